//! How the fake behaves: model, key, pace, and what it does wrong on purpose.

use std::ops::Range;
use std::time::Duration;

use voice_core::sim::rudeness;

/// How a fake behaves.
#[derive(Clone, Debug)]
pub struct FakeGeminiConfig {
    /// All that varies is drawn from it.
    pub seed: u64,
    /// The key that is let in; `None` lets everybody in who shows one.
    pub key: Option<String>,
    /// Which model it plays; `None` goes by the name in the setup.
    pub profile: Option<Profile>,
    /// Whether it is Vertex AI.
    pub vertex: bool,
    /// Milliseconds from the end of the caller's turn to the first audio.
    pub first_audio_ms: Range<u64>,
    /// How much faster than real time it speaks.
    pub speed: u32,
    /// After how long a connection is asked to go away.
    pub go_away_after: Duration,
    /// How long before the cut that is.
    pub time_left: Duration,
    /// What it does wrong.
    pub rudeness: Vec<Rudeness>,
}

/// Generations of models that behave alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// One thing a message; history ends with the caller; tools block.
    V2_5,
    /// Packed messages; history is announced, turns cannot be added later; tools block.
    V3_1,
    /// As 3.1, but turns can be added, and tools do not block.
    V3_8,
}

impl Profile {
    pub(super) fn of(model: &str) -> Self {
        if model.contains("2.5") {
            Self::V2_5
        } else if model.contains("3.1") {
            Self::V3_1
        } else {
            Self::V3_8
        }
    }
}

impl FakeGeminiConfig {
    /// A polite one, with the pace of the real one.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            key: None,
            profile: None,
            vertex: false,
            first_audio_ms: 600..1_200,
            speed: 3,
            go_away_after: Duration::from_secs(9 * 60),
            time_left: Duration::from_secs(50),
            rudeness: Vec::new(),
        }
    }

    /// Lets only this key in.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Plays this model, whatever the setup says.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Says `goAway` so long after the setup, and cuts so long after that.
    #[must_use]
    pub fn go_away(mut self, after: Duration, time_left: Duration) -> Self {
        self.go_away_after = after;
        self.time_left = time_left;
        self
    }

    /// Also does this wrong.
    #[must_use]
    pub fn rude(mut self, rudeness: Rudeness) -> Self {
        self.rudeness.push(rudeness);
        self
    }

    pub(super) fn is(&self, rudeness: Rudeness) -> bool {
        self.rudeness.contains(&rudeness)
    }
}

rudeness! {
    /// Something a service does wrong. All of them have been seen (protocol notes, Gemini Live §13, §15).
    pub enum Rudeness {
        /// HTTP 403 although the key is right.
        Refuse403 = "refuse-403",
        /// HTTP 400 that says the key is not valid.
        Refuse400 = "refuse-400",
        /// HTTP 429.
        Refuse429 = "refuse-429",
        /// Takes the connection, then closes it with 1008 because of the key.
        CloseKey = "close-key",
        /// 1007 to the setup.
        BadSetup = "bad-setup",
        /// 1008 to the setup: no such model.
        NoModel = "no-model",
        /// 1011 to the setup: no quota.
        NoQuota = "no-quota",
        /// Accepts the connection and never says a word.
        Mute = "mute",
        /// In the middle of the first reply: 1011 "Internal error occurred.".
        Close1011 = "close-1011",
        /// In the middle of the first reply: 1008 "The operation was aborted.".
        Abort = "abort",
        /// In the middle of the first reply the TCP connection is cut.
        Cut = "cut",
        /// In the middle of the first reply: 1011 "Deadline expired…".
        Deadline = "deadline",
        /// In the middle of the first reply: an error in a message in place of a close.
        ErrorMessage = "error-message",
        /// `goAway` with 0 s left, after the first reply.
        GoAwayAtOnce = "go-away-at-once",
        /// Never gives a handle.
        NoHandle = "no-handle",
        /// Refuses to resume with 1007.
        RefuseResume = "refuse-resume",
        /// Refuses to resume with 1011, once.
        BusyResume = "busy-resume",
        /// Refuses to resume with 1011, always.
        NeverResume = "never-resume",
        /// Speaks more slowly than real time.
        SlowAudio = "slow-audio",
        /// No `generationComplete`.
        NoGenerationComplete = "no-generation-complete",
        /// No `turnComplete` after an interruption.
        NoTurnComplete = "no-turn-complete",
        /// A turn without audio: it wants to hear more first.
        NeedMoreInput = "need-more-input",
        /// A turn without audio: the answer was rejected. Once.
        ResponseRejected = "response-rejected",
        /// Tool calls without an id.
        ToolWithoutId = "tool-without-id",
        /// The same tool call twice, with another id.
        ToolTwice = "tool-twice",
        /// Three different tool calls at once.
        ToolsParallel = "tools-parallel",
        /// A tool that was not declared.
        ToolUnknown = "tool-unknown",
        /// Cancels its tool call after a moment.
        ToolCancelled = "tool-cancelled",
        /// Empty `serverContent` with nothing but usage before each reply.
        EmptyContent = "empty-content",
        /// Text frames.
        TextFrames = "text-frames",
        /// No reply at all after the caller's first turn, until it is prompted.
        Silent = "silent",
        /// Goes on talking when the caller interrupts.
        KeepsTalking = "keeps-talking",
        /// Thinks that it was interrupted when nobody spoke.
        FalseInterruption = "false-interruption",
        /// Words of a reply come after its audio is complete.
        LateWords = "late-words",
        /// Samples torn in two.
        OddBytes = "odd-bytes",
        /// Speaks at 16 kHz, and says so.
        OtherRate = "other-rate",
        /// Audio that is no base64, now and then.
        BadBase64 = "bad-base64",
        /// Random bytes, JSON cut in half, unknown keys and text frames between the messages.
        Garbage = "garbage",
        /// A message of 5 MB in each reply.
        HugeMessage = "huge-message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rudeness_has_a_name_of_its_own() {
        for rudeness in Rudeness::ALL {
            assert_eq!(rudeness.name().parse(), Ok(*rudeness));
        }
        assert!("polite".parse::<Rudeness>().is_err());
    }
}
