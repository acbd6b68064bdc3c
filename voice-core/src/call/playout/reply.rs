//! One reply in the ledger: how much of it there is, how much was heard, and which words that was.

use std::time::Duration;

use crate::id::ReplyId;
use crate::limits;
use crate::provider::ReplyEnd;

/// While a reply is still being generated, its text runs ahead of its audio by an unknown amount. No
/// voice speaks faster than this, so no more of the text counts as heard.
const CHARS_PER_SECOND_MAX: f64 = 20.0;

/// So much sound may be heard before the record is told of it. It is what a caller may have heard and nobody
/// remembers when the server dies.
const PROGRESS: Duration = Duration::from_millis(500);

/// Books of one reply.
#[derive(Debug)]
pub(crate) struct ReplyLedger {
    pub(crate) reply: ReplyId,
    pub(crate) received: Duration,
    pub(crate) dropped: Duration,
    pub(crate) heard: Duration,
    pub(crate) started: bool,
    pub(crate) end: Option<ReplyEnd>,
    text: String,
    told: Told,
}

/// What the record knows of a reply that goes on.
#[derive(Debug, Default)]
struct Told {
    /// Bytes of its text.
    text: usize,
    /// When the record was last told, in the reply's own time.
    heard: Duration,
}

/// More of a reply has been heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) reply: ReplyId,
    pub(crate) more: String,
    pub(crate) heard: Duration,
}

/// A reply that is over, as far as the caller is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) reply: ReplyId,
    pub(crate) text: String,
    pub(crate) heard: Duration,
    pub(crate) unheard: Duration,
    pub(crate) dropped: Duration,
    pub(crate) cut: bool,
}

/// A reply that is not over, for those who compare.
#[cfg(any(test, feature = "sim"))]
pub(crate) struct UnderWay<'a> {
    pub(crate) reply: ReplyId,
    pub(crate) started: bool,
    pub(crate) text: &'a str,
    pub(crate) heard: Duration,
    pub(crate) told_heard: Duration,
}

impl ReplyLedger {
    pub(crate) fn new(reply: ReplyId) -> Self {
        Self {
            reply,
            received: Duration::ZERO,
            dropped: Duration::ZERO,
            heard: Duration::ZERO,
            started: false,
            end: None,
            text: String::new(),
            told: Told::default(),
        }
    }

    /// The words heard since the record was last told, if that is long enough ago.
    pub(crate) fn progress(&mut self) -> Option<Progress> {
        if self.heard < self.told.heard + PROGRESS {
            return None;
        }
        self.told.heard = self.heard;
        // A prefix of the text, always; but one that may shrink when more sound comes than words.
        let until = self.words_within(self.heard).len();
        let more = self.text.get(self.told.text..until).filter(|more| !more.is_empty())?.to_owned();
        self.told.text = until;
        Some(Progress { reply: self.reply, more, heard: self.heard })
    }

    pub(crate) fn append(&mut self, text: &str) {
        let mut room = limits::TURN_TEXT_BYTES_MAX.saturating_sub(self.text.len()).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(&text[..room]);
    }

    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn under_way(&self) -> UnderWay<'_> {
        let (reply, started, heard) = (self.reply, self.started, self.heard);
        UnderWay { reply, started, text: &self.text, heard, told_heard: self.told.heard }
    }

    /// Nothing more will come and everything there was has been heard.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some() && self.heard + self.dropped >= self.received
    }

    pub(crate) fn finish(self, interrupted: bool) -> Finished {
        let text = if interrupted {
            self.words_within(self.heard)
        } else {
            self.words_within(self.received - self.dropped)
        };
        Finished {
            reply: self.reply,
            cut: interrupted || self.end != Some(ReplyEnd::Completed) || !self.dropped.is_zero(),
            text,
            heard: self.heard,
            unheard: self.received.saturating_sub(self.heard),
            dropped: self.dropped,
        }
    }

    /// The words that fit into so much of the reply's sound: in proportion, down to a whole word.
    pub(crate) fn words_within(&self, sound: Duration) -> String {
        let complete = self.end == Some(ReplyEnd::Completed);
        if complete && sound >= self.received && !self.received.is_zero() {
            return self.text.clone();
        }
        if sound.is_zero() || self.received.is_zero() {
            return String::new();
        }
        let chars = self.text.chars().count() as f64;
        let share = chars * (sound.as_secs_f64() / self.received.as_secs_f64()).min(1.0);
        let fit = if complete { share } else { share.min(sound.as_secs_f64() * CHARS_PER_SECOND_MAX) };
        whole_words(&self.text, fit.floor() as usize)
    }
}

/// The longest prefix of whole words within so many characters.
fn whole_words(text: &str, chars: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(chars) else { return text.to_owned() };
    let prefix = &text[..end];
    let at_boundary = text[end..].starts_with(char::is_whitespace);
    let cut = if at_boundary { end } else { prefix.rfind(char::is_whitespace).unwrap_or(0) };
    text[..cut].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AttachmentId;

    fn reply(text: &str, received_ms: u64, end: Option<ReplyEnd>) -> ReplyLedger {
        let mut ledger = ReplyLedger::new(ReplyId::new(AttachmentId(1), 1));
        ledger.append(text);
        ledger.received = Duration::from_millis(received_ms);
        ledger.end = end;
        ledger
    }

    #[test]
    fn words_follow_the_sound() {
        let whole = reply("one two three four", 1_800, Some(ReplyEnd::Completed));
        let within = |ms| whole.words_within(Duration::from_millis(ms));
        assert_eq!(within(0), "");
        assert_eq!(within(300), "one");
        assert_eq!(within(800), "one two");
        assert_eq!(within(1_800), "one two three four");
    }

    #[test]
    fn text_that_runs_ahead_of_sound_is_not_heard() {
        let running = reply("a long answer of which hardly anything has been spoken so far", 200, None);
        assert_eq!(running.words_within(Duration::from_millis(200)), "a");
        assert_eq!(running.words_within(Duration::ZERO), "");
    }

    #[test]
    fn text_is_bounded_at_a_character() {
        let mut ledger = reply("", 20, None);
        for _ in 0..limits::TURN_TEXT_BYTES_MAX {
            ledger.append("ä€");
        }
        assert!(ledger.text.len() <= limits::TURN_TEXT_BYTES_MAX);
        assert!(ledger.text.len() > limits::TURN_TEXT_BYTES_MAX - 4);
    }
}
