//! voice-sim's command line: be a service, or be a carrier with many callers.

mod calls;
mod services;
mod telnyx;
mod twilio_api;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use voice_telephony::sim::{Rudeness, TelnyxRudeness};

use crate::config::LogFormat;
use crate::output;
use crate::telemetry::start_log;
use services::{Like, Serve, Service};

/// Plays the other side: a fake of each service, or a fake carrier whose callers really speak.
#[derive(Debug, Parser)]
#[command(name = "voice-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be OpenAI Realtime on this address (use OPENAI_REALTIME_URL=ws://ADDR/v1/realtime).
    Openai(Serve),
    /// Be Gemini Live on this address (use GEMINI_LIVE_URL with the address that is printed).
    Gemini(Serve),
    /// Be Deepgram on this address: Voice Agent, Listen v1, Flux and Speak (use DEEPGRAM_URL=ws://ADDR).
    Deepgram(Serve),
    /// Be an OpenAI-compatible language model on this address (use LLM_URL=http://ADDR/v1).
    Llm {
        #[command(flatten)]
        serve: Serve,
        /// Have the habits of this server.
        #[arg(long, value_name = "SERVER", value_enum, default_value_t = Like::Openai)]
        like: Like,
    },
    /// Be Twilio: place calls to a webhook and follow the TwiML it answers. Fails if a call fails.
    TwilioCall(TwilioCall),
    /// Be Telnyx with callers: send signed webhooks, and obey the commands that come to the API on this
    /// address (use the TELNYX_ settings that are printed). Fails if a call fails.
    TelnyxCall(telnyx::TelnyxCall),
    /// Be Telnyx for calls of the server's own: wait to be dialled, then answer and speak.
    TelnyxApi(telnyx::TelnyxCall),
    /// Be Twilio's REST API on this address, with people who answer the calls that are placed (use
    /// TWILIO_API_URL=http://ADDR).
    TwilioApi(twilio_api::Options),
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
    /// Say this recording instead of the built-in conversation: WAV with one channel, 16-bit PCM at 8, 16,
    /// 24 or 48 kHz, or mu-law at 8 kHz.
    #[arg(long, value_name = "FILE.wav")]
    speech: Option<PathBuf>,
    /// Misbehave in this way (listed below); may be given several times.
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
    let arguments = arguments();
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

/// Reads them; `--help` of a fake also lists its ways to be rude.
fn arguments() -> Arguments {
    let mut command = Arguments::command();
    for (name, service) in Service::NAMES {
        command = command.mut_subcommand(name, |command| command.after_help(service.rude_help()));
    }
    let twilio = services::rude_help(Rudeness::HELP.iter().copied());
    command = command.mut_subcommand("twilio-call", |command| command.after_help(twilio));
    for name in ["telnyx-call", "telnyx-api"] {
        let telnyx = services::rude_help(TelnyxRudeness::HELP.iter().copied());
        command = command.mut_subcommand(name, |command| command.after_help(telnyx));
    }
    Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Openai(options) => services::serve(Service::OpenAi, options).await,
        Command::Gemini(options) => services::serve(Service::Gemini, options).await,
        Command::Deepgram(options) => services::serve(Service::Deepgram, options).await,
        Command::Llm { serve, like } => services::serve(Service::Llm(like), serve).await,
        Command::TwilioCall(options) => calls::place(options).await,
        Command::TelnyxCall(options) => telnyx::place(options).await,
        Command::TelnyxApi(options) => telnyx::wait(options).await,
        Command::TwilioApi(options) => twilio_api::serve(options).await,
    }
}

impl TwilioCall {
    fn stagger(&self) -> Duration {
        Duration::from_millis(self.stagger)
    }
}
