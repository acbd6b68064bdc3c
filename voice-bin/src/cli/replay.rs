//! `voice-server export` and `voice-server replay`: a stored call as a file, and once more.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use voice_core::id::CallId;
use voice_core::record::Entry;

use crate::assemble::agent;
use crate::config::Config;
use crate::output::export::{export as write, import, show};
use crate::output::tell;
use crate::replay::replay as once_more;
use crate::store::{Store, StoredEntry};

/// Writes the record of a call to standard output.
pub(super) async fn export(config: &Config, call: &str) -> anyhow::Result<ExitCode> {
    let (call, entries) = stored(config, call).await?;
    let lost = write(call, &entries);
    if lost > 0 {
        tell(format_args!("{lost} entries were written by a newer build, and are left out"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays a call, or a file that was exported, once more. Fails if something else comes of it.
pub(super) async fn replay(config: &Config, what: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let entries: Vec<Entry> = if what.parse::<CallId>().is_err() {
        let file = File::open(Path::new(what))
            .with_context(|| format!("{what} is neither the id of a call nor a file that can be read"))?;
        import(BufReader::new(file))?
    } else {
        let (_, entries) = stored(config, what).await?;
        let entries = entries.into_iter();
        let entry = |stored: StoredEntry| {
            let event = stored.event.with_context(|| format!("entry {}", stored.seq))?;
            anyhow::Ok(Entry { seq: stored.seq, at: stored.at, event })
        };
        entries.map(entry).collect::<anyhow::Result<_>>()?
    };
    let replayed = once_more(&entries, Arc::new(agent(config, Vec::new())?))?;
    show(&replayed, as_json);
    Ok(if replayed.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn stored(config: &Config, call: &str) -> anyhow::Result<(CallId, Vec<StoredEntry>)> {
    let Ok(id) = call.parse::<CallId>() else { bail!("{call} is not the id of a call, which is a UUID") };
    let store = Store::open(&config.database_url).await.context("DATABASE_URL")?;
    let entries = store.entries(id).await?;
    store.close().await;
    if entries.is_empty() {
        bail!("the database has no call {call}");
    }
    Ok((id, entries))
}
