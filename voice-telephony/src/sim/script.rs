//! What a caller does, step by step.

use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::AudioFormat;
use voice_core::sim::speech::{Clip, caller};

/// What a caller does in the course of a call. Every step ends, because every wait has a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// In this order. At the end the caller hangs up.
    pub steps: Vec<Step>,
    /// The caller hangs up after so long, whatever the script says.
    pub longest: Duration,
}

/// One thing that a caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Waits until the voice has spoken and has then been quiet for so long.
    WaitForVoice {
        /// The pause after which it is the caller's turn.
        quiet: Duration,
        /// With no voice at all after so long, the caller hangs up in anger.
        patience: Duration,
    },
    /// Says something, to its end.
    Say(Utterance),
    /// Waits until so much of a reply was heard, then speaks over it.
    BargeIn {
        /// From the first sound of the reply.
        after: Duration,
        /// With no voice at all after so long, the caller hangs up in anger.
        patience: Duration,
        /// What is said.
        say: Utterance,
    },
    /// Presses a key.
    Press(char),
    /// Does nothing for so long.
    Pause(Duration),
    /// Hangs up.
    HangUp,
}

/// Something to say.
#[derive(Clone, PartialEq, Eq)]
pub struct Utterance {
    /// A short name for reports.
    pub name: String,
    /// Mu-law, 8 kHz.
    pub mulaw: Bytes,
}

impl Utterance {
    /// Any audio, mu-law at 8 kHz.
    pub fn new(name: impl Into<String>, mulaw: impl Into<Bytes>) -> Self {
        Self { name: name.into(), mulaw: mulaw.into() }
    }

    /// How long it takes to say.
    pub fn duration(&self) -> Duration {
        AudioFormat::MULAW_8K.duration_of(self.mulaw.len())
    }
}

impl From<&Clip> for Utterance {
    fn from(clip: &Clip) -> Self {
        Self { name: clip.name.to_owned(), mulaw: Bytes::from_static(clip.mulaw) }
    }
}

impl std::fmt::Debug for Utterance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Utterance({}, {:?})", self.name, self.duration())
    }
}

/// A pause after which a caller takes the turn.
const QUIET: Duration = Duration::from_millis(700);

/// Longer than any pause inside a reply, a tool that is being asked included.
const LONG_QUIET: Duration = Duration::from_millis(1_500);

/// Nobody listens to silence for longer.
const PATIENCE: Duration = Duration::from_secs(15);

impl Script {
    /// Steps with the usual limit of five minutes.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps, longest: Duration::from_secs(300) }
    }

    /// A call to the book shop: a greeting, an order that a tool looks up, an interruption, thanks and
    /// goodbye. The caller hangs up.
    pub fn shop() -> Self {
        Self::new(vec![
            wait(QUIET),
            say("hello"),
            wait(QUIET),
            say("order"),
            wait(LONG_QUIET),
            say("delivery"),
            Step::BargeIn { after: Duration::from_millis(1_500), patience: PATIENCE, say: clip("price") },
            wait(QUIET),
            say("thanks"),
            wait(QUIET),
            say("goodbye"),
            wait(QUIET),
            Step::HangUp,
        ])
    }

    /// Listens to the greeting, says this, listens to the answer, hangs up.
    pub fn speech(utterance: Utterance) -> Self {
        Self::new(vec![wait(QUIET), Step::Say(utterance), wait(LONG_QUIET), Step::HangUp])
    }
}

fn wait(quiet: Duration) -> Step {
    Step::WaitForVoice { quiet, patience: PATIENCE }
}

fn say(name: &str) -> Step {
    Step::Say(clip(name))
}

fn clip(name: &str) -> Utterance {
    caller(name).expect("the caller's clips have this name").into()
}
