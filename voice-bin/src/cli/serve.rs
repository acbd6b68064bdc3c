//! `voice-server serve`: take calls until told to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::{error, warn};

use crate::assemble::Assembly;
use crate::config::Config;
use crate::demo::{self, CarrierKind, DemoOptions};
use crate::output;
use crate::providers::KINDS;
use crate::server;
use crate::signals;
use crate::telemetry::event_types as kinds;

/// How long the journal may take to be written once somebody has said twice that it is enough.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// The exit code of a process that was told twice; as shells have it.
const INTERRUPTED: u8 = 130;

pub(super) async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    if config.providers.is_empty() {
        output::say("No key of an AI service is set, so the server starts in demo mode.");
        let options = DemoOptions {
            once: false,
            json: false,
            calls: 1,
            kind: KINDS[0],
            carrier: CarrierKind::default(),
        };
        return demo::demo(config, options).await;
    }
    for notice in config.notices() {
        warn!(event_type = kinds::CONFIGURATION, setting = notice.setting, "{}", notice.text);
    }
    let listener = TcpListener::bind((config.host, config.port)).await.with_context(|| {
        format!("cannot listen on {}:{}; is HOST or PORT wrong, or taken?", config.host, config.port)
    })?;
    let assembly = Assembly::new(&config).await?;
    let signals = signals::listen();
    let (stop, at_once) = (signals.stop.cancelled(), signals.at_once.cancelled());
    server::run_until(listener, assembly.parts(&config)?, stop, at_once).await?;
    let closing = assembly.close();
    tokio::pin!(closing);
    tokio::select! {
        () = closing.as_mut() => {}
        () = signals.at_once.cancelled() => {
            if tokio::time::timeout(FLUSH_TIMEOUT, closing).await.is_err() {
                error!(event_type = kinds::JOURNAL_LOST, error_type = "journal_lost", "the journal could not be written in time; its last entries are lost");
            }
        }
    }
    Ok(if signals.at_once.is_cancelled() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}
