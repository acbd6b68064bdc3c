//! voice-server's command line: load, build, run, drain.

mod replay;
mod serve;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{io, thread};

use clap::builder::PossibleValue;
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
#[cfg(feature = "sentry")]
use {std::sync::Arc, voice_telephony::rest::Rest};

use crate::config::{Config, ConfigErrors, Environment, LogFormat};
use crate::demo::{self, CarrierKind, DemoOptions};
use crate::output;
use crate::providers::{KINDS, Kind};
use crate::telemetry::{MoreLayers, chain, event_types as kinds, start_log, start_log_with};
#[cfg(feature = "sentry")]
use crate::telemetry::{Reports, report};

/// Connects telephone calls with a realtime voice AI.
///
/// Settings come from voice.toml and from the environment, which wins; `voice-server check` shows them.
/// Without the key of any AI service (OPENAI_API_KEY, GEMINI_API_KEY, DEEPGRAM_API_KEY) the server starts
/// in demo mode: a simulated voice, one simulated call, no network, no keys.
#[derive(Debug, Parser)]
#[command(name = "voice-server", version)]
struct Arguments {
    /// Read settings from this file instead of voice.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take calls until told to stop (this is what happens without a command).
    Serve,
    /// Check the configuration and print it, secrets masked.
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Also ask the AI services whether they answer and take the keys. Costs nothing.
        #[arg(long)]
        online: bool,
    },
    /// Write the record of a stored call to standard output, one JSON object a line.
    Export {
        /// The call's id.
        call: String,
    },
    /// Play a stored call once more in virtual time, with this build and configuration, and show where it
    /// goes another way. Exits with 1 if it does.
    Replay {
        /// The call's id, or a file that `export` wrote.
        call: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Place simulated calls through the real server, on this machine alone, and show what was said.
    Demo {
        /// Exit after the calls, with success only if all went well.
        #[arg(long)]
        once: bool,
        /// Print one JSON summary instead of the transcript.
        #[arg(long)]
        json: bool,
        /// Calls at the same time.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        calls: u32,
        /// Which AI service is simulated.
        #[arg(long, value_name = "NAME", value_parser = provider_names())]
        provider: Option<String>,
        /// Over which carrier the callers come.
        #[arg(long, value_name = "NAME", value_enum, default_value_t = CarrierKind::default())]
        carrier: CarrierKind,
    },
}

fn provider_names() -> clap::builder::PossibleValuesParser {
    KINDS.iter().map(|kind| PossibleValue::new(kind.name).help(kind.title)).collect::<Vec<_>>().into()
}

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Every user of TLS here names its provider; this is for libraries that do not.
    let _somebody_was_first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match runtime() {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => {
            output::tell(format_args!("voice-server cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A thread for each core; where there is but one, nothing that is there to share work between threads.
fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut builder = if cores == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()
}

async fn run(arguments: Arguments) -> ExitCode {
    let file = arguments.config.as_deref();
    let loaded = Config::load(file, &Environment);
    let loaded = loaded.map_err(|errors| (errors, Config::log_format(file, &Environment)));
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Check { json, online } => {
            output::check::check(&loaded.map_err(|(errors, _)| errors), json, online).await
        }
        Command::Serve => {
            with_log(loaded, |config| config.providers.is_empty(), async |config| serve::serve(config).await)
                .await
        }
        Command::Export { call } => {
            with_log(loaded, |_| true, async |config| replay::export(&config, &call).await).await
        }
        Command::Replay { call, json } => {
            with_log(loaded, |_| true, async |config| replay::replay(&config, &call, json).await).await
        }
        Command::Demo { once, json, calls, provider, carrier } => {
            let kind = provider.and_then(|name| Kind::named(&name)).unwrap_or(KINDS[0]);
            let options = DemoOptions { once, json, calls, kind, carrier };
            with_log(loaded, |_| true, async |config| demo::demo(config, options).await).await
        }
    }
}

async fn with_log(
    loaded: Result<Config, (ConfigErrors, LogFormat)>,
    is_simulated: fn(&Config) -> bool,
    run: impl AsyncFnOnce(Config) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    let config = match loaded {
        Ok(config) => config,
        Err((errors, format)) => {
            tell(&errors, format);
            return ExitCode::FAILURE;
        }
    };
    // Where simulated calls are shown as they are spoken, log lines between them only disturb.
    let is_quiet = is_simulated(&config) && config.is_default("LOG_LEVEL");
    let level = if is_quiet { "warn" } else { config.log_level.as_str() };
    let (more, reports) = reporting(&config);
    if let Err(error) = start_log_with(config.log_format, level, more) {
        output::tell(format_args!("LOG_LEVEL: {error}"));
        return ExitCode::FAILURE;
    }
    let for_people = config.log_format == LogFormat::Text;
    let ran = run(config).await;
    let code = match ran {
        Ok(code) => code,
        Err(error) => {
            let error = chain(error.as_ref());
            if for_people {
                output::tell(format_args!("voice-server: {error}"));
            } else {
                tracing::error!(error, "voice-server cannot go on");
            }
            ExitCode::FAILURE
        }
    };
    reports.close().await;
    code
}

/// Who is told of errors besides the log, if anybody.
struct Reporting {
    #[cfg(feature = "sentry")]
    reports: Option<Reports>,
}

#[cfg(feature = "sentry")]
fn reporting(config: &Config) -> (MoreLayers, Reporting) {
    let dsn = config.observe.sentry_dsn.as_ref();
    let started = dsn.and_then(|dsn| {
        let http = Rest::new().ok()?;
        report(dsn.expose(), &config.environment, Arc::new(http))
    });
    let (layer, reports) = started.unzip();
    (layer.into_iter().collect(), Reporting { reports })
}

#[cfg(not(feature = "sentry"))]
fn reporting(_: &Config) -> (MoreLayers, Reporting) {
    (Vec::new(), Reporting {})
}

impl Reporting {
    async fn close(self) {
        #[cfg(feature = "sentry")]
        if let Some(reports) = self.reports {
            reports.close().await;
        }
    }
}

/// What is wrong with the configuration, in the form in which the log was wanted.
fn tell(errors: &ConfigErrors, format: LogFormat) {
    let has_log = format == LogFormat::Json && start_log(format, "error").is_ok();
    if !has_log {
        return output::tell(errors);
    }
    for error in &errors.0 {
        let (setting, problem, fix) = (&error.setting, &error.problem, &error.fix);
        tracing::error!(event_type = kinds::CONFIGURATION, error_type = "configuration", setting, origin = %error.origin, problem, fix, "the configuration is wrong");
    }
}
