//! When the operating system wants this process to stop.

use tracing::info;

/// Returns when the process is told to stop: Ctrl-C, or SIGTERM from whoever runs it. A second word
/// ends it at once.
pub(crate) async fn stop() {
    wait().await;
    tokio::spawn(async {
        wait().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn wait() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _without_signals_nothing_can_be_told = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => info!("interrupted"),
        _ = terminate.recv() => info!("told to terminate"),
    }
}

#[cfg(not(unix))]
async fn wait() {
    let _without_signals_nothing_can_be_told = tokio::signal::ctrl_c().await;
    info!("interrupted");
}
