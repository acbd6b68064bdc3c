//! Where log lines go and which are written; how they look is in `lines`.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::lines::Lines;
use super::log_counts::CountLines;
use crate::config::LogFormat;

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The level is not one.
    #[error("{0:?} is not a log level")]
    Level(String),
    /// Somebody else already takes the log lines of this process.
    #[error("the log was started before")]
    Started,
}

/// One more that is told every event, besides the lines.
pub(crate) type MoreLayers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// Sends log lines to standard error from now on. Standard output is left to commands' results.
///
/// A level without a module is for what is ours: below `info`, libraries write down what passes through them,
/// keys and conversations too. Whoever wants that asks for the library by its name.
///
/// # Errors
/// If the level is none, or the process has a log already.
pub fn start_log(format: LogFormat, level: &str) -> Result<(), LogError> {
    start_log_with(format, level, Vec::new())
}

/// The same, with others who are told every event.
pub(crate) fn start_log_with(format: LogFormat, level: &str, more: MoreLayers) -> Result<(), LogError> {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = Lines::new(format, colours, std::io::stderr).with_filter(filter(level)?);
    // Lines are counted from this level on whatever is written, but nothing finer: that would cost more than
    // it tells.
    let counted = CountLines.with_filter(LevelFilter::INFO);
    let mut layers: MoreLayers = vec![lines.boxed(), counted.boxed()];
    layers.extend(more);
    tracing_subscriber::registry().with(layers).try_init().map_err(|_| LogError::Started)
}

/// The prefix of all crates of this workspace.
const OURS: &str = "voice_";

fn filter(level: &str) -> Result<Targets, LogError> {
    let asked: Targets = level.parse().map_err(|_| LogError::Level(level.to_owned()))?;
    let general = asked.default_level().unwrap_or(LevelFilter::OFF);
    // The longest name that fits decides, so what was asked for by name stands.
    let filter = Targets::new().with_default(general.min(LevelFilter::INFO)).with_target(OURS, general);
    Ok(filter.with_targets(asked))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::Level;

    use super::*;

    /// A log that is kept.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(crate) fn writer(&self) -> impl Fn() -> Self + use<> {
            let kept = self.clone();
            move || kept.clone()
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_level_alone_is_for_what_is_ours() {
        let trace = filter("trace").unwrap();
        assert!(trace.would_enable("voice_bin::server", &Level::TRACE));
        assert!(trace.would_enable("rustls", &Level::INFO) && !trace.would_enable("rustls", &Level::DEBUG));
        let asked = filter("warn,rustls=trace,voice_bin=debug").unwrap();
        assert!(asked.would_enable("rustls::conn", &Level::TRACE), "by name");
        assert!(asked.would_enable("voice_bin::server", &Level::DEBUG));
        assert!(
            !asked.would_enable("voice_core", &Level::INFO) && !asked.would_enable("hyper", &Level::INFO)
        );
        let one = filter("voice_bin=info").unwrap();
        assert!(!one.would_enable("voice_core", &Level::ERROR) && !one.would_enable("sqlx", &Level::ERROR));
    }
}
