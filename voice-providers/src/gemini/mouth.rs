//! What the model says, turn by turn, and the words of both sides.
//!
//! ```text
//!  Silent ──audio, words──► Speaking ──generationComplete──► Finishing ──a moment──► Said ──turnComplete──► Silent
//! ```
//!
//! `turnComplete` ends a reply from wherever it is; `interrupted` ends it at once, and then one
//! `turnComplete` more belongs to what was interrupted (protocol notes, Gemini Live §9).

use std::collections::VecDeque;

use bytes::Bytes;

use voice_core::audio::convert::Converter;
use voice_core::audio::{AudioFormat, Encoding, Rate};
use voice_core::id::{AttachmentId, ReplyId, UtteranceId};
use voice_core::limits;
use voice_core::provider::{ProviderEvent, ReplyEnd};

/// Events on their way to the call.
pub(super) type Events = VecDeque<ProviderEvent>;

/// See the module.
#[derive(Debug)]
pub(super) struct Mouth {
    attachment: AttachmentId,
    speaks: AudioFormat,
    replies: u32,
    stage: Stage,
    /// A turn before the one of the moment is still to be completed.
    stale: bool,
    /// All of this turn was generated, so that `turnComplete` is all that comes of it.
    generated: bool,
    /// The model has called a tool in this turn, so that it need not have said anything.
    called: bool,
    /// The call has cut everything up to this reply itself.
    cut_until: Option<ReplyId>,
    /// First half of a sample that was torn in two.
    half: Option<u8>,
    /// Where the service speaks in a rate it was not known for.
    converter: Option<(u32, Converter)>,
}

/// What the end of a turn was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnEnd {
    /// The end of a turn that was interrupted before; says nothing about the one of the moment.
    Stale,
    /// The model has said what it wanted.
    Over,
    /// Something kept it from saying it.
    CutOff,
}

/// How far a turn of the model has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Silent,
    /// The reply is being generated.
    Speaking(ReplyId),
    /// All its audio is here; late words of it may come.
    Finishing(ReplyId),
    /// It is done; its turn is not complete yet.
    Said,
}

impl Mouth {
    pub(super) fn new(attachment: AttachmentId, speaks: AudioFormat) -> Self {
        Self {
            attachment,
            speaks,
            replies: 0,
            stage: Stage::Silent,
            stale: false,
            generated: false,
            called: false,
            cut_until: None,
            half: None,
            converter: None,
        }
    }

    /// Audio of the model. Whether a reply begins with it.
    pub(super) fn speech(&mut self, rate_hz: u32, audio: Vec<u8>, events: &mut Events) -> bool {
        let begins = !matches!(self.stage, Stage::Speaking(_));
        let reply = self.reply(events);
        let audio = self.whole_samples(audio);
        let audio = self.converted(rate_hz, audio, events);
        if !audio.is_empty() {
            events.push_back(ProviderEvent::Speech { reply, audio });
        }
        begins
    }

    /// Words of the model. Whether a reply begins with them. Words of a reply that is done are dropped.
    pub(super) fn words(&mut self, text: &str, events: &mut Events) -> bool {
        if text.is_empty() {
            return false;
        }
        let (reply, begins) = match self.stage {
            Stage::Speaking(reply) | Stage::Finishing(reply) => (reply, false),
            Stage::Silent => (self.reply(events), true),
            Stage::Said => return false,
        };
        events.push_back(ProviderEvent::Words { reply, text: text.into() });
        begins
    }

    /// All audio of the turn is here. Whether late words are to be waited for.
    pub(super) fn generated(&mut self) -> bool {
        self.generated = true;
        self.pauses()
    }

    /// All audio of the reply is here, though the turn goes on. Whether late words are to be waited for.
    pub(super) fn pauses(&mut self) -> bool {
        let Stage::Speaking(reply) = self.stage else { return false };
        self.stage = Stage::Finishing(reply);
        true
    }

    /// No more late words are waited for.
    pub(super) fn finish(&mut self, events: &mut Events) {
        if let Stage::Finishing(reply) = self.stage {
            self.done(reply, ReplyEnd::Completed, events);
            self.stage = Stage::Said;
        }
    }

    /// A tool was called in this turn.
    pub(super) fn tool_called(&mut self) {
        self.called = true;
    }

    /// The service says that the caller interrupted. If the call has not cut the reply itself, it is
    /// told that the caller spoke; the answer is whether it was.
    pub(super) fn interrupted(&mut self, events: &mut Events) -> bool {
        let latest = ReplyId::new(self.attachment, self.replies);
        let unnoticed = self.stage != Stage::Silent && self.cut_until.is_none_or(|cut| cut < latest);
        if let Stage::Speaking(reply) | Stage::Finishing(reply) = self.stage {
            self.done(reply, ReplyEnd::Cancelled, events);
        }
        self.stage = Stage::Said;
        self.stale = true;
        self.generated = false;
        self.called = false;
        unnoticed
    }

    /// A turn is over, for this reason if not the usual one; `more` if the model says that it will go on.
    pub(super) fn turn_complete(&mut self, reason: &str, more: bool, events: &mut Events) -> TurnEnd {
        if std::mem::take(&mut self.stale) {
            if self.stage == Stage::Said {
                self.stage = Stage::Silent;
            }
            return TurnEnd::Stale;
        }
        self.generated = false;
        let end = match reason {
            "" | "TURN_COMPLETE_REASON_UNSPECIFIED" | "NEED_MORE_INPUT" => ReplyEnd::Completed,
            _ => ReplyEnd::Incomplete,
        };
        match self.stage {
            Stage::Speaking(reply) | Stage::Finishing(reply) => self.done(reply, end, events),
            // It has decided to say nothing, which is an answer, too.
            Stage::Silent if !self.called && !more => {
                let reply = self.reply(events);
                self.done(reply, end, events);
            }
            Stage::Silent | Stage::Said => {}
        }
        self.stage = Stage::Silent;
        self.called = false;
        if end == ReplyEnd::Incomplete { TurnEnd::CutOff } else { TurnEnd::Over }
    }

    /// The connection is gone. Whether something was being said.
    pub(super) fn break_off(&mut self, events: &mut Events) -> bool {
        let speaking = match self.stage {
            Stage::Speaking(reply) => {
                self.done(reply, ReplyEnd::Failed, events);
                true
            }
            Stage::Finishing(reply) => {
                self.done(reply, ReplyEnd::Completed, events);
                false
            }
            Stage::Silent | Stage::Said => false,
        };
        self.stage = Stage::Silent;
        self.stale = false;
        self.generated = false;
        self.called = false;
        speaking
    }

    /// The call has cut everything up to this reply.
    pub(super) fn cut(&mut self, reply: ReplyId) {
        self.cut_until = self.cut_until.max(Some(reply));
    }

    /// Whether the model is at it.
    pub(super) fn is_generating(&self) -> bool {
        matches!(self.stage, Stage::Speaking(_))
    }

    /// Whether no turn of the model is under way, not even one that is only being played.
    pub(super) fn is_silent(&self) -> bool {
        self.stage == Stage::Silent
    }

    /// The reply that is being generated; a new one if there is none.
    fn reply(&mut self, events: &mut Events) -> ReplyId {
        match self.stage {
            Stage::Speaking(reply) => return reply,
            Stage::Finishing(before) => self.done(before, ReplyEnd::Completed, events),
            Stage::Silent | Stage::Said => {}
        }
        // The turn before has not been completed yet, and will be.
        self.stale |= std::mem::take(&mut self.generated);
        self.replies = self.replies.wrapping_add(1);
        let reply = ReplyId::new(self.attachment, self.replies);
        self.stage = Stage::Speaking(reply);
        reply
    }

    fn done(&mut self, reply: ReplyId, end: ReplyEnd, events: &mut Events) {
        self.half = None;
        self.converter = None;
        events.push_back(ProviderEvent::ReplyDone { reply, end });
    }

    fn whole_samples(&mut self, mut audio: Vec<u8>) -> Vec<u8> {
        if let Some(half) = self.half.take() {
            audio.insert(0, half);
        }
        if audio.len() % 2 == 1 {
            self.half = audio.pop();
        }
        audio
    }

    fn converted(&mut self, rate_hz: u32, audio: Vec<u8>, events: &mut Events) -> Bytes {
        if rate_hz == self.speaks.rate.hz() {
            return audio.into();
        }
        let Some(rate) = Rate::from_hz(rate_hz) else {
            events.push_back(ProviderEvent::Unknown { kind: format!("rate.{rate_hz}") });
            return Bytes::new();
        };
        if self.converter.as_ref().is_none_or(|(known, _)| *known != rate_hz) {
            let from = AudioFormat::new(Encoding::Pcm16, rate);
            self.converter = Some((rate_hz, Converter::new(from, self.speaks)));
        }
        match &mut self.converter {
            Some((_, converter)) => converter.convert(audio.into()),
            None => Bytes::new(),
        }
    }
}

/// What the caller said, put together from pieces that come at any time.
#[derive(Debug)]
pub(super) struct CallerWords {
    attachment: AttachmentId,
    utterances: u32,
    /// The utterance to which the next words belong, if the call knows it.
    open: Option<UtteranceId>,
    text: String,
}

impl CallerWords {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self { attachment, utterances: 0, open: None, text: String::new() }
    }

    /// One piece more; spaces between pieces are the service's.
    pub(super) fn push(&mut self, piece: &str) {
        let mut room = limits::TURN_TEXT_BYTES_MAX.saturating_sub(self.text.len()).min(piece.len());
        while !piece.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(&piece[..room]);
    }

    /// The turn is over: its words are told.
    pub(super) fn flush(&mut self, events: &mut Events) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            let utterance = self.open.take().unwrap_or_else(|| self.next());
            events.push_back(ProviderEvent::CallerSaid { utterance, text: text.trim().into() });
        }
    }

    /// The caller spoke and nobody but the service noticed.
    pub(super) fn noticed(&mut self, events: &mut Events) {
        let utterance = self.next();
        self.open = Some(utterance);
        events.push_back(ProviderEvent::CallerSpoke(utterance));
        events.push_back(ProviderEvent::CallerPaused(utterance));
    }

    /// Whether there are words that were not told yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.text.is_empty()
    }

    fn next(&mut self) -> UtteranceId {
        self.utterances = self.utterances.wrapping_add(1);
        UtteranceId::new(self.attachment, self.utterances)
    }
}
