//! `voice-server serve`: take calls until told to stop.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::warn;

use crate::assemble::Assembly;
use crate::config::Config;
use crate::demo::{self, DemoOptions};
use crate::output;
use crate::server;
use crate::signals;

pub(super) async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    if config.openai.is_none() {
        output::say("OPENAI_API_KEY is not set, so the server starts in demo mode.");
        return demo::demo(config, DemoOptions { once: false, json: false, calls: 1 }).await;
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
