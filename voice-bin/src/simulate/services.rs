//! Fakes of services behind a listener.

use std::fmt::Display;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use voice_core::driver::Clock;
use voice_providers::sim::deepgram::DeepgramRudeness;
use voice_providers::sim::llm::{LlmProfile, LlmRudeness};
use voice_providers::sim::{gemini, openai};

use crate::fakes::{self, Manners};
use crate::sim_net::{self, MakeService};
use crate::{output, signals};

/// How to be a service.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address and port to listen on; port 0 takes a free one, and the first line printed tells which.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Let only this key in; without it, any key is right.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Misbehave in this way (listed below); may be given several times.
    #[arg(long, value_name = "NAME")]
    rude: Vec<String>,
    /// All chance follows from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Which service to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    OpenAi,
    Gemini,
    Deepgram,
    Llm(Like),
}

/// Whose habits a language model's server has.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Like {
    Openai,
    Gemini,
    Ollama,
    Vllm,
    Groq,
    Openrouter,
}

/// Listens until told to stop.
pub(super) async fn serve(service: Service, options: Serve) -> anyhow::Result<ExitCode> {
    let clock = Clock::start();
    let manners = Manners { seed: options.seed, key: options.key, clock };
    let make = service.make(&options.rude, manners)?;
    let listen = options.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    output::say(service.announcement(listener.local_addr()?));
    sim_net::serve(listener, clock, make, signals::listen().stop.cancelled_owned()).await;
    Ok(ExitCode::SUCCESS)
}

impl Service {
    /// All of them, by the names of their commands.
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("openai", Self::OpenAi),
        ("gemini", Self::Gemini),
        ("deepgram", Self::Deepgram),
        ("llm", Self::Llm(Like::Openai)),
    ];

    /// What there is for `--rude`.
    pub(super) fn rude_help(self) -> String {
        let plain = |table: &[(&'static str, &'static str)]| rude_help(table.iter().copied());
        match self {
            Self::OpenAi => plain(openai::Rudeness::HELP),
            Self::Gemini => plain(gemini::Rudeness::HELP),
            Self::Deepgram => {
                let help = rude_help(DeepgramRudeness::help());
                format!("{help}Of several, the Agent takes the first that it knows; the others take all.\n")
            }
            Self::Llm(_) => plain(LlmRudeness::HELP),
        }
    }

    fn make(self, rude: &[String], manners: Manners) -> anyhow::Result<MakeService> {
        Ok(match self {
            Self::OpenAi => fakes::openai(&fakes::rudeness(rude)?, manners),
            Self::Gemini => fakes::gemini(&fakes::rudeness(rude)?, manners),
            Self::Deepgram => fakes::deepgram(&fakes::rudeness(rude)?, manners),
            Self::Llm(like) => fakes::llm(like.profile(), &fakes::rudeness(rude)?, manners),
        })
    }

    fn announcement(self, at: SocketAddr) -> String {
        match self {
            Self::OpenAi => format!("OpenAI Realtime (simulated) on ws://{at}/v1/realtime"),
            Self::Gemini => format!("Gemini Live (simulated) on ws://{at}{GEMINI_PATH}"),
            Self::Deepgram => format!("Deepgram (simulated: agent, listen, flux, speak) on ws://{at}"),
            Self::Llm(_) => format!("A language model (simulated) on http://{at}/v1"),
        }
    }
}

/// The ways to be rude, one a line.
pub(super) fn rude_help(table: impl IntoIterator<Item = (&'static str, impl Display)>) -> String {
    let mut help = "Ways to be rude:\n".to_owned();
    for (name, means) in table {
        help.push_str(&format!("  {name:27} {means}\n"));
    }
    help
}

impl Like {
    fn profile(self) -> LlmProfile {
        match self {
            Self::Openai => LlmProfile::OpenAi,
            Self::Gemini => LlmProfile::Gemini,
            Self::Ollama => LlmProfile::Ollama,
            Self::Vllm => LlmProfile::Vllm,
            Self::Groq => LlmProfile::Groq,
            Self::Openrouter => LlmProfile::OpenRouter,
        }
    }
}

const GEMINI_PATH: &str = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
