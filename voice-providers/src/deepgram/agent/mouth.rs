//! What the service says, cut into replies. Nothing on the wire says which reply a piece belongs to.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use voice_core::audio::AudioFormat;
use voice_core::id::{AttachmentId, ReplyId};
use voice_core::provider::{ProviderEvent, ReplyEnd};
use voice_core::time::MonoTime;

/// See the module.
#[derive(Debug)]
pub(super) struct Mouth {
    attachment: AttachmentId,
    format: AudioFormat,
    count: u32,
    /// The first half of a sample that was split between two messages.
    half: Option<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Silent,
    Speaking {
        reply: ReplyId,
        /// When something of it last came.
        last: MonoTime,
        /// Whether words of it came, so that more are set apart from them.
        worded: bool,
    },
    /// Just cut: what still comes until then is the tail of what was cut.
    Hushed {
        until: MonoTime,
    },
}

impl Mouth {
    pub(super) fn new(attachment: AttachmentId, format: AudioFormat) -> Self {
        Self { attachment, format, count: 0, half: None, state: State::Silent }
    }

    /// A piece of sound.
    pub(super) fn speech(&mut self, now: MonoTime, sound: &Bytes) -> Option<ProviderEvent> {
        let reply = self.open(now)?;
        let audio = self.whole_samples(sound);
        (!audio.is_empty()).then_some(ProviderEvent::Speech { reply, audio })
    }

    /// The words of a sentence or so.
    pub(super) fn words(&mut self, now: MonoTime, text: &str) -> Option<ProviderEvent> {
        let reply = self.open(now)?;
        let State::Speaking { worded, .. } = &mut self.state else { return None };
        let text = if std::mem::replace(worded, true) { format!(" {text}") } else { text.to_owned() };
        Some(ProviderEvent::Words { reply, text: text.into() })
    }

    /// The service has sent everything.
    pub(super) fn done(&mut self) -> Option<ProviderEvent> {
        self.half = None;
        match std::mem::replace(&mut self.state, State::Silent) {
            State::Speaking { reply, .. } => Some(over(reply, ReplyEnd::Completed)),
            State::Silent | State::Hushed { .. } => None,
        }
    }

    /// The caller interrupts.
    pub(super) fn cut(&mut self, now: MonoTime) -> Option<ProviderEvent> {
        self.half = None;
        match std::mem::replace(&mut self.state, State::Hushed { until: now + TAIL }) {
            State::Speaking { reply, .. } => Some(over(reply, ReplyEnd::Cancelled)),
            State::Silent | State::Hushed { .. } => None,
        }
    }

    /// A reply of which nothing has come for long is over, even if nobody said so. Should more come, it
    /// is another one.
    pub(super) fn tick(&mut self, now: MonoTime) -> Option<ProviderEvent> {
        self.wakes_at().filter(|at| *at <= now).and_then(|_| self.done())
    }

    pub(super) fn wakes_at(&self) -> Option<MonoTime> {
        match self.state {
            State::Speaking { last, .. } => Some(last + QUIET_MAX),
            State::Silent | State::Hushed { .. } => None,
        }
    }

    /// Whether a reply is under way.
    pub(super) fn is_speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    /// Whether this one is.
    pub(super) fn is_in(&self, wanted: ReplyId) -> bool {
        matches!(self.state, State::Speaking { reply, .. } if reply == wanted)
    }

    /// The reply to which a piece belongs that comes now; none while the tail of the last one comes.
    fn open(&mut self, now: MonoTime) -> Option<ReplyId> {
        match &mut self.state {
            State::Hushed { until } if now < *until => None,
            State::Speaking { reply, last, .. } => {
                *last = now;
                Some(*reply)
            }
            State::Silent | State::Hushed { .. } => {
                self.count += 1;
                let reply = ReplyId::new(self.attachment, self.count);
                self.state = State::Speaking { reply, last: now, worded: false };
                Some(reply)
            }
        }
    }

    /// Messages may end in the middle of a sample; the half is kept for the next one.
    fn whole_samples(&mut self, sound: &Bytes) -> Bytes {
        if self.format.encoding.bytes_per_sample() == 1 {
            return sound.clone();
        }
        let mut whole = match self.half.take() {
            None => sound.clone(),
            Some(half) => {
                let mut joined = BytesMut::with_capacity(sound.len() + 1);
                joined.put_u8(half);
                joined.extend_from_slice(sound);
                joined.freeze()
            }
        };
        if whole.len() % 2 == 1 {
            self.half = whole.last().copied();
            whole.truncate(whole.len() - 1);
        }
        whole
    }
}

fn over(reply: ReplyId, end: ReplyEnd) -> ProviderEvent {
    ProviderEvent::ReplyDone { reply, end }
}

/// A few messages of an interrupted reply may still be under way. Longer, and the next reply would
/// lose its beginning (protocol notes, Deepgram §5.5).
const TAIL: Duration = Duration::from_millis(150);

/// Speech comes faster than it is spoken, and a mind that thinks between two sentences seldom thinks
/// longer.
const QUIET_MAX: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    #[test]
    fn the_tail_of_a_cut_reply_is_not_the_next_reply() {
        let mut mouth = Mouth::new(AttachmentId(1), AudioFormat::MULAW_8K);
        let sound = Bytes::from_static(&[1, 2, 3]);
        let reply = |n| ReplyId::new(AttachmentId(1), n);
        let speech = |n| Some(ProviderEvent::Speech { reply: reply(n), audio: sound.clone() });
        assert_eq!(mouth.speech(at(0), &sound), speech(1));
        assert_eq!(mouth.cut(at(10)), Some(over(reply(1), ReplyEnd::Cancelled)));
        assert_eq!(mouth.speech(at(159), &sound), None);
        assert_eq!(mouth.words(at(159), "x"), None);
        assert_eq!(mouth.speech(at(160), &sound), speech(2));
        assert_eq!(mouth.cut(at(170)), Some(over(reply(2), ReplyEnd::Cancelled)));
        // The service says itself that no more is coming.
        assert_eq!(mouth.done(), None);
        assert_eq!(mouth.speech(at(171), &sound), speech(3));
        assert_eq!(mouth.done(), Some(over(reply(3), ReplyEnd::Completed)));
        assert_eq!(mouth.done(), None);
    }

    #[test]
    fn samples_are_whole_and_none_is_lost() {
        let mut mouth = Mouth::new(AttachmentId(1), AudioFormat::PCM16_24K);
        let mut heard = Vec::new();
        for piece in [&[1u8, 2, 3][..], &[4], &[5, 6], &[7], &[8, 9, 10]] {
            if let Some(ProviderEvent::Speech { audio, .. }) =
                mouth.speech(at(0), &Bytes::copy_from_slice(piece))
            {
                assert_eq!(audio.len() % 2, 0);
                heard.extend_from_slice(&audio);
            }
        }
        assert_eq!(heard, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn a_reply_that_nobody_ends_is_over_after_a_while() {
        let mut mouth = Mouth::new(AttachmentId(1), AudioFormat::MULAW_8K);
        assert!(mouth.words(at(0), "One.").is_some());
        assert_eq!(mouth.wakes_at(), Some(at(4_000)));
        assert_eq!(mouth.tick(at(3_999)), None);
        assert!(
            matches!(mouth.words(at(3_999), "Two."), Some(ProviderEvent::Words { text, .. }) if text.expose() == " Two.")
        );
        assert_eq!(mouth.tick(at(4_000)), None);
        assert!(matches!(mouth.tick(at(7_999)), Some(ProviderEvent::ReplyDone { .. })));
        assert_eq!(mouth.wakes_at(), None);
    }
}
