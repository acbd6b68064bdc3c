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

/// Listens from now on. A third word ends the process where it stands.
pub(crate) fn listen() -> Signals {
    let signals = Signals { stop: CancellationToken::new(), at_once: CancellationToken::new() };
    let (stop, at_once) = (signals.stop.clone(), signals.at_once.clone());
    take_hang_ups();
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

/// A terminal that closes, or a tool that wants logs to be opened anew, must not end calls. The log goes to
/// standard error, which this process did not open, and settings are read at its start only.
#[cfg(unix)]
fn take_hang_ups() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hang_ups) = signal(SignalKind::hangup()) else { return };
    // A task of its own, because signals come whatever else goes on.
    tokio::spawn(async move {
        while hang_ups.recv().await.is_some() {
            info!(
                "SIGHUP is ignored: the log is not a file of this process, and settings are read at its start"
            );
        }
    });
}

#[cfg(not(unix))]
const fn take_hang_ups() {}

#[cfg(not(unix))]
async fn wait() {
    let _without_signals_nothing_can_be_told = tokio::signal::ctrl_c().await;
    info!("interrupted");
}
