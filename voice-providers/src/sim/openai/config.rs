//! How the fake behaves: key, pace, and what it does wrong on purpose.

use std::ops::Range;

use voice_core::sim::rudeness;
use voice_core::time::UnixMillis;

/// How a fake behaves.
#[derive(Clone, Debug)]
pub struct FakeOpenAiConfig {
    /// All that varies is drawn from it.
    pub seed: u64,
    /// The key that is let in; `None` lets everybody in who shows one.
    pub key: Option<String>,
    /// Milliseconds from the end of the caller's turn to the first audio.
    pub first_audio_ms: Range<u64>,
    /// Milliseconds from the end of the caller's turn to its transcript.
    pub transcript_ms: Range<u64>,
    /// How much faster than real time it speaks.
    pub speed: u64,
    /// Wall-clock time of its first moment, for `expires_at`.
    pub unix: UnixMillis,
    /// Seconds a session may last.
    pub session_secs: i64,
    /// What it does wrong.
    pub rudeness: Vec<Rudeness>,
    /// Which response is the first that suffers from it, counted from 1.
    pub rude_from: u32,
}

impl FakeOpenAiConfig {
    /// A polite one, with the pace of the real one.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            key: None,
            first_audio_ms: 300..800,
            transcript_ms: 200..1_500,
            speed: 6,
            unix: UnixMillis(1_795_230_000_000),
            session_secs: 3_600,
            rudeness: Vec::new(),
            rude_from: 1,
        }
    }

    /// Lets only this key in.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Also does this wrong.
    #[must_use]
    pub fn rude(mut self, rudeness: Rudeness) -> Self {
        self.rudeness.push(rudeness);
        self
    }

    /// Behaves until this response (counted from 1) begins.
    #[must_use]
    pub fn rude_from(mut self, response: u32) -> Self {
        self.rude_from = response;
        self
    }

    pub(super) fn is(&self, rudeness: Rudeness) -> bool {
        self.rudeness.contains(&rudeness)
    }
}

rudeness! {
    /// Something a service does wrong. All of them have been seen (protocol notes, OpenAI Realtime §17).
    pub enum Rudeness {
        /// HTTP 401 although the key is right.
        Refuse401 = "refuse-401",
        /// HTTP 403.
        Refuse403 = "refuse-403",
        /// HTTP 429 with `Retry-After`.
        Refuse429 = "refuse-429",
        /// HTTP 503 with a body that is no JSON.
        Refuse503 = "refuse-503",
        /// Takes the connection, then says `insufficient_quota` and closes.
        NoQuota = "no-quota",
        /// Accepts the connection and never says a word.
        Mute = "mute",
        /// The first audio takes 2 to 10 s.
        Slow = "slow",
        /// No response at all after the caller's turn.
        NoAnswer = "no-answer",
        /// The response fails with `server_error`.
        FailServer = "fail-server",
        /// The response fails with `rate_limit_exceeded`.
        FailRateLimit = "fail-rate-limit",
        /// In the middle of a reply: `session_expired`, then close 1001.
        Expire = "expire",
        /// In the middle of a reply the TCP connection is cut.
        Cut = "cut",
        /// In the middle of a reply: close 1011.
        Close1011 = "close-1011",
        /// In the middle of a reply it falls silent for ever, and the connection stays.
        Silent = "silent",
        /// More audio after `output_audio.done`, after the item and after the response.
        StrayDelta = "stray-delta",
        /// Two spoken items in each response.
        TwoItems = "two-items",
        /// Events nobody has heard of.
        UnknownEvent = "unknown-event",
        /// Fields nobody has heard of, in every event, before the kind.
        UnknownField = "unknown-field",
        /// No transcript of the caller.
        TranscriptionFails = "transcription-fails",
        /// The transcript of the caller comes after the reply.
        LateTranscript = "late-transcript",
        /// Base64 with a newline at its end.
        Newline = "newline",
        /// Now and then a piece of audio that is no base64.
        BadBase64 = "bad-base64",
        /// All audio is no base64.
        OnlyBadBase64 = "only-bad-base64",
        /// An event of 5 MB in each reply.
        HugeEvent = "huge-event",
        /// `usage` is `null`.
        NullUsage = "null-usage",
        /// The conversation so far is never acknowledged.
        NoAcks = "no-acks",
        /// Goes on talking when the caller interrupts.
        KeepsTalking = "keeps-talking",
        /// Uses the names of the beta.
        BetaNames = "beta-names",
        /// Random bytes, JSON cut in half and binary messages between the events.
        Garbage = "garbage",
        /// Takes the settings and answers that it speaks 24 kHz PCM.
        OtherFormat = "other-format",
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
        assert_eq!(Rudeness::ALL.len(), Rudeness::NAMES.len());
        assert!("polite".parse::<Rudeness>().is_err());
    }
}
