//! The network: lines, who is at their other end, and how everybody behaves.

use std::time::Duration;

use voice_core::conversation::Turn;
use voice_core::id::LineId;
use voice_core::sim::peer::{FakeService, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;
use voice_core::wire::LineEnd;
use voice_providers::sim::deepgram::SpeechRudeness;
use voice_providers::sim::deepgram::flux::FakeFlux;
use voice_providers::sim::deepgram::listen::FakeListen;
use voice_providers::sim::deepgram::speak::FakeSpeak;
use voice_providers::sim::llm::{FakeLlm, LlmProfile, LlmRudeness};

/// How everybody behaves.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    pub(crate) seed: u64,
    pub(crate) ears: Vec<SpeechRudeness>,
    pub(crate) voice: Vec<SpeechRudeness>,
    /// One for each request to the first language model; the last holds for all that follow.
    pub(crate) mind: Vec<Vec<LlmRudeness>>,
    /// The same of the second.
    pub(crate) spare: Vec<Vec<LlmRudeness>>,
    pub(crate) profile: LlmProfile,
    /// The call lets the voice finish whatever the caller does.
    pub(crate) never_interrupts: bool,
    /// The first language model cannot be reached.
    pub(crate) mind_unreachable: bool,
    pub(crate) history: Vec<Turn>,
    pub(crate) tools_offered: bool,
    /// How long a tool takes; `None` if it never answers.
    pub(crate) tool_takes: Option<Duration>,
}

/// One thing that is on the way, or was.
pub(crate) struct Line {
    pub(crate) id: LineId,
    pub(crate) fake: Fake,
    pub(crate) up: bool,
    pub(crate) http: bool,
    pub(crate) refused: Option<(u16, Option<Duration>, Vec<u8>)>,
    pub(crate) over: bool,
}

pub(crate) enum Fake {
    Listen(FakeListen),
    Flux(FakeFlux),
    Speak(FakeSpeak),
    Llm(FakeLlm),
    Nobody,
}

/// Who answers calls to this place. `asked` counts the requests to each of the two language models.
pub(crate) fn answerer(
    manners: &Manners,
    asked: &mut (usize, usize),
    seed: u64,
    host: &str,
    target: &str,
) -> Fake {
    let nth =
        |list: &Vec<Vec<LlmRudeness>>, n: usize| list.get(n).or(list.last()).cloned().unwrap_or_default();
    match host {
        "mind.example" => {
            asked.0 += 1;
            if manners.mind_unreachable {
                return Fake::Nobody;
            }
            Fake::Llm(FakeLlm::new(seed, manners.profile, &nth(&manners.mind, asked.0 - 1)))
        }
        "spare.example" => {
            asked.1 += 1;
            Fake::Llm(FakeLlm::new(seed, LlmProfile::OpenAi, &nth(&manners.spare, asked.1 - 1)))
        }
        _ if target.starts_with("/v1/listen") => Fake::Listen(FakeListen::new(seed, &manners.ears)),
        _ if target.starts_with("/v2/listen") => Fake::Flux(FakeFlux::new(seed, &manners.ears)),
        _ => Fake::Speak(FakeSpeak::new(seed, &manners.voice)),
    }
}

impl Line {
    /// How this line ends when the fake closes it.
    pub(crate) fn end(&mut self, code: u16, reason: String) -> LineEnd {
        match self.refused.take() {
            Some((status, retry_after, body)) => LineEnd::Refused { status, retry_after, body: body.into() },
            None if self.http => LineEnd::Ended,
            None => LineEnd::Closed { code, reason },
        }
    }
}

impl Fake {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Listen(_) | Self::Flux(_) => "listen",
            Self::Speak(_) => "speak",
            Self::Llm(_) => "llm",
            Self::Nobody => "nobody",
        }
    }

    pub(crate) fn log(&self) -> &[String] {
        match self {
            Self::Listen(fake) => fake.log(),
            Self::Flux(fake) => fake.log(),
            Self::Speak(fake) => fake.log(),
            Self::Llm(fake) => fake.log(),
            Self::Nobody => &[],
        }
    }

    pub(crate) fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match self {
            Self::Listen(fake) => fake.handle(now, input),
            Self::Flux(fake) => fake.handle(now, input),
            Self::Speak(fake) => fake.handle(now, input),
            Self::Llm(fake) => fake.handle(now, input),
            Self::Nobody => {}
        }
    }

    pub(crate) fn poll(&mut self) -> ServiceOutput {
        match self {
            Self::Listen(fake) => fake.poll(),
            Self::Flux(fake) => fake.poll(),
            Self::Speak(fake) => fake.poll(),
            Self::Llm(fake) => fake.poll(),
            Self::Nobody => ServiceOutput::WaitUntil(None),
        }
    }
}
