//! `voice-server serve`: take calls until told to stop.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::warn;

use crate::assemble::Assembly;
use crate::config::Config;
use crate::demo::{self, DemoOptions};
use crate::output;
use crate::providers::KINDS;
use crate::server;
use crate::signals;

pub(super) async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    if config.providers.is_empty() {
        output::say("No key of an AI service is set, so the server starts in demo mode.");
        let options = DemoOptions { once: false, json: false, calls: 1, kind: KINDS[0] };
        return demo::demo(config, options).await;
    }
    for notice in config.notices() {
        warn!(setting = notice.setting, "{}", notice.text);
    }
    let listener = TcpListener::bind((config.host, config.port)).await.with_context(|| {
        format!("cannot listen on {}:{}; is HOST or PORT wrong, or taken?", config.host, config.port)
    })?;
    let assembly = Assembly::new(&config).await?;
    server::run(listener, assembly.parts(&config)?, signals::stop()).await?;
    assembly.close().await;
    Ok(ExitCode::SUCCESS)
}
