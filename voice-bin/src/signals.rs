//! When the operating system wants this process to stop.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What the operating system says.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// Come to an end: Ctrl-C, or SIGTERM from whoever runs this process.
    pub(crate) stop: CancellationToken,
    /// The second time: come to an end at once.
    pub(crate) at_once: CancellationToken,
}

/// Listens from now on. A third word ends the process where it stands. That a terminal is gone (SIGHUP) is no
/// reason to end calls.
pub(crate) fn listen() -> Signals {
    let signals = Signals { stop: CancellationToken::new(), at_once: CancellationToken::new() };
    let (stop, at_once) = (signals.stop.clone(), signals.at_once.clone());
    ignore_hang_ups();
    // A task of its own, because signals come whatever else goes on.
    tokio::spawn(async move {
        wait().await;
        stop.cancel();
        wait().await;
        warn!("told again: ending all calls at once");
        at_once.cancel();
        wait().await;
        std::process::exit(130);
    });
    signals
}

#[cfg(unix)]
fn ignore_hang_ups() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else { return };
    // A task of its own: once somebody listens, the signal ends nothing any more.
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            info!("the terminal is gone, or somebody wants new settings, which are read at the start only");
        }
    });
}

#[cfg(not(unix))]
fn ignore_hang_ups() {}

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
