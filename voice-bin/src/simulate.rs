//! voice-sim's command line: be OpenAI, or be Twilio with many callers.

mod calls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use voice_core::driver::Clock;

use crate::config::LogFormat;
use crate::telemetry::start_log;
use crate::{fakes, output, signals, sim_net};

/// Plays the other side: a fake OpenAI Realtime service, or a fake Twilio whose callers really speak.
#[derive(Debug, Parser)]
#[command(name = "voice-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be OpenAI Realtime on this address (use OPENAI_REALTIME_URL=ws://ADDR/v1/realtime).
    Openai {
        /// Address and port to listen on.
        #[arg(long, value_name = "ADDR")]
        listen: SocketAddr,
        /// Misbehave in this way; may be given several times.
        #[arg(long, value_name = "NAME")]
        rude: Vec<String>,
        /// All chance follows from this number.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Be Twilio: place calls to a webhook and follow the TwiML it answers. Fails if a call fails.
    TwilioCall(TwilioCall),
}

/// How to call.
#[derive(Debug, Args)]
struct TwilioCall {
    /// The voice webhook of the server.
    #[arg(long, value_name = "URL")]
    webhook: String,
    /// The token to sign with (TWILIO_AUTH_TOKEN of the server).
    #[arg(long, value_name = "T", env = "TWILIO_AUTH_TOKEN", hide_env_values = true)]
    auth_token: String,
    /// Calls at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    calls: u32,
    /// Say this recording instead of the built-in conversation (WAV, one channel).
    #[arg(long, value_name = "FILE.wav")]
    speech: Option<PathBuf>,
    /// Misbehave in this way; may be given several times.
    #[arg(long, value_name = "NAME")]
    rude: Vec<String>,
    /// All chance but the calls' names follows from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Milliseconds between the beginnings of two calls.
    #[arg(long, value_name = "MS", default_value_t = 20)]
    stagger: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _somebody_was_first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _logs_are_not_the_point = start_log(LogFormat::Text, "info");
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(arguments.command)),
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        output::tell(format_args!("voice-sim: {error:#}"));
        ExitCode::FAILURE
    })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Openai { listen, rude, seed } => {
            let clock = Clock::start();
            let make = fakes::openai(&fakes::openai_rudeness(&rude)?, seed, clock);
            let listener =
                TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
            let address = listener.local_addr()?;
            output::say(format_args!("OpenAI Realtime (simulated) on ws://{address}/v1/realtime"));
            sim_net::serve(listener, clock, make, signals::listen().stop.cancelled_owned()).await;
            Ok(ExitCode::SUCCESS)
        }
        Command::TwilioCall(options) => calls::place(options).await,
    }
}

impl TwilioCall {
    fn stagger(&self) -> Duration {
        Duration::from_millis(self.stagger)
    }
}
