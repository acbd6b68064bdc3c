//! What the voice says, by the service's items: how much of each was received, which are cut or over.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::AudioFormat;
use voice_core::conversation::Heard;
use voice_core::id::{AttachmentId, ReplyId};
use voice_core::limits;
use voice_core::provider::{ProviderEvent, ReplyEnd};

use super::wire::Piece;

/// The last few replies. One response may consist of several, and each is cut on its own.
#[derive(Debug)]
pub(super) struct Replies {
    format: AudioFormat,
    ids: Ids,
    known: VecDeque<Reply>,
    /// Responses of which nothing new is wanted: done, or cut as a whole.
    closed: VecDeque<String>,
}

/// Numbers in the order in which replies are first told of.
#[derive(Debug)]
struct Ids {
    attachment: AttachmentId,
    count: u32,
}

impl Ids {
    fn next(&mut self) -> ReplyId {
        self.count += 1;
        ReplyId::new(self.attachment, self.count)
    }
}

#[derive(Debug)]
struct Reply {
    item: String,
    response: String,
    /// None until there is something to tell.
    id: Option<ReplyId>,
    content_index: u32,
    received_bytes: usize,
    /// The first half of a sample whose second half is in the next piece.
    half: Option<u8>,
    has_words: bool,
    /// The caller interrupted: whatever still arrives is dropped.
    cut: bool,
    /// The service says that nothing more comes.
    done: bool,
}

/// What the service must be told about a reply that was cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Amends {
    /// The caller heard so much of it.
    Truncate { item: String, content_index: u32, audio_end_ms: u64 },
    /// The caller heard nothing of it.
    Delete { item: String },
}

impl Replies {
    pub(super) fn new(attachment: AttachmentId, format: AudioFormat) -> Self {
        let ids = Ids { attachment, count: 0 };
        Self { format, ids, known: VecDeque::new(), closed: VecDeque::new() }
    }

    /// A piece of speech arrived. It is told unless it comes too late.
    pub(super) fn audio(&mut self, piece: &Piece<'_>, audio: Vec<u8>, events: &mut Vec<ProviderEvent>) {
        let sample = self.format.encoding.bytes_per_sample();
        let Some(at) = self.speaking(piece, events) else { return };
        let reply = &mut self.known[at];
        if reply.received_bytes == 0 {
            reply.content_index = piece.content_index;
        }
        reply.received_bytes += audio.len();
        let audio = whole_samples(audio, &mut reply.half, sample);
        if !audio.is_empty() {
            let id = *reply.id.get_or_insert_with(|| self.ids.next());
            events.push(ProviderEvent::Speech { reply: id, audio: Bytes::from(audio) });
        }
    }

    /// Words arrived, `whole` if they are all of the reply's.
    pub(super) fn words(&mut self, piece: &Piece<'_>, whole: bool, events: &mut Vec<ProviderEvent>) {
        if piece.delta.is_empty() {
            return;
        }
        let Some(at) = self.speaking(piece, events) else { return };
        let reply = &mut self.known[at];
        if whole && reply.has_words {
            return;
        }
        reply.has_words = true;
        let id = *reply.id.get_or_insert_with(|| self.ids.next());
        events.push(ProviderEvent::Words { reply: id, text: piece.delta.as_ref().into() });
    }

    /// Nothing more of this item comes.
    pub(super) fn item_done(&mut self, item: &str, end: ReplyEnd, events: &mut Vec<ProviderEvent>) {
        if let Some(reply) = self.known.iter_mut().find(|reply| reply.item == item) {
            reply.end(end, &mut self.ids, events);
        }
    }

    /// Nothing more of this response comes.
    pub(super) fn response_done(&mut self, response: &str, end: ReplyEnd, events: &mut Vec<ProviderEvent>) {
        self.close(response);
        for reply in self.known.iter_mut().filter(|reply| reply.response == response) {
            reply.end(end, &mut self.ids, events);
        }
    }

    /// Whether this response has said anything.
    pub(super) fn any_of(&self, response: &str) -> bool {
        self.known.iter().any(|reply| reply.response == response)
    }

    /// The response had nothing to say, which is an answer too.
    pub(super) fn said_nothing(&mut self, end: ReplyEnd, events: &mut Vec<ProviderEvent>) {
        events.push(ProviderEvent::ReplyDone { reply: self.ids.next(), end });
    }

    /// The caller interrupted this reply. What the service must be told, if anything.
    pub(super) fn cut(&mut self, heard: &Heard) -> Option<Amends> {
        let format = self.format;
        let reply = self.known.iter_mut().find(|reply| reply.id == Some(heard.reply))?;
        if std::mem::replace(&mut reply.cut, true) {
            return None;
        }
        let received = format.duration_of(reply.received_bytes);
        // Truncating what was heard to its end is an error, and so is truncating text.
        if received.is_zero() || (reply.done && heard.heard >= received) {
            return None;
        }
        let item = reply.item.clone();
        Some(match whole_millis(heard.heard.min(received)) {
            0 => Amends::Delete { item },
            audio_end_ms => Amends::Truncate { item, content_index: reply.content_index, audio_end_ms },
        })
    }

    /// Nothing new of this response is wanted; what has begun and is not cut may go on.
    pub(super) fn close(&mut self, response: &str) {
        if response.is_empty() || self.closed.iter().any(|closed| closed == response) {
            return;
        }
        if self.closed.len() == CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back(response.to_owned());
    }

    /// The place of the reply this piece belongs to, a new one if need be; `None` if the piece comes too
    /// late.
    fn speaking(&mut self, piece: &Piece<'_>, events: &mut Vec<ProviderEvent>) -> Option<usize> {
        if let Some(at) = self.known.iter().rposition(|reply| reply.item == piece.item_id) {
            return Some(at).filter(|at| !self.known[*at].cut && !self.known[*at].done);
        }
        if self.closed.iter().any(|closed| *closed == piece.response_id) {
            return None;
        }
        if self.known.len() == limits::REPLIES_MAX
            && let Some(mut oldest) = self.known.pop_front()
        {
            oldest.end(ReplyEnd::Incomplete, &mut self.ids, events);
        }
        let reply = Reply {
            item: piece.item_id.to_string(),
            response: piece.response_id.to_string(),
            id: None,
            content_index: piece.content_index,
            received_bytes: 0,
            half: None,
            has_words: false,
            cut: false,
            done: false,
        };
        self.known.push_back(reply);
        Some(self.known.len() - 1)
    }
}

impl Reply {
    fn end(&mut self, end: ReplyEnd, ids: &mut Ids, events: &mut Vec<ProviderEvent>) {
        if !std::mem::replace(&mut self.done, true) {
            let reply = *self.id.get_or_insert_with(|| ids.next());
            events.push(ProviderEvent::ReplyDone { reply, end });
        }
    }
}

/// Responses whose late pieces are recognised.
const CLOSED_MAX: usize = 16;

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Puts a sample together that was cut in two, and keeps half of the last one where it was cut again.
fn whole_samples(mut audio: Vec<u8>, half: &mut Option<u8>, sample_bytes: usize) -> Vec<u8> {
    if sample_bytes == 2 {
        if let Some(first) = half.take() {
            audio.insert(0, first);
        }
        if audio.len() % 2 == 1 {
            *half = audio.pop();
        }
    }
    audio
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(item: &'static str, response: &'static str) -> Piece<'static> {
        Piece { item_id: item.into(), response_id: response.into(), ..Piece::default() }
    }

    fn heard(number: u32, ms: u64) -> Heard {
        let reply = ReplyId::new(AttachmentId(1), number);
        Heard { reply, heard: Duration::from_millis(ms), unheard: Duration::ZERO }
    }

    fn replies() -> Replies {
        Replies::new(AttachmentId(1), AudioFormat::MULAW_8K)
    }

    #[test]
    fn each_item_is_cut_where_the_ear_stopped() {
        let (mut replies, mut events) = (replies(), Vec::new());
        for item in ["a", "b", "c", "d"] {
            replies.audio(&piece(item, "r"), vec![0; 8_000], &mut events);
        }
        replies.words(&Piece { delta: "text".into(), ..piece("e", "r") }, false, &mut events);
        replies.item_done("a", ReplyEnd::Completed, &mut events);
        let truncate = |item: &str, audio_end_ms| {
            Some(Amends::Truncate { item: item.into(), content_index: 0, audio_end_ms })
        };
        assert_eq!(replies.cut(&heard(1, 1_000)), None, "heard to the end");
        assert_eq!(replies.cut(&heard(2, 5_000)), truncate("b", 1_000), "never more than was received");
        let partly = Heard { heard: Duration::from_micros(420_999), ..heard(3, 0) };
        assert_eq!(replies.cut(&partly), truncate("c", 420), "rounded down");
        assert_eq!(replies.cut(&partly), None, "once");
        assert_eq!(replies.cut(&heard(4, 0)), Some(Amends::Delete { item: "d".into() }));
        assert_eq!(replies.cut(&heard(5, 10)), None, "text has no length");
        assert_eq!(replies.cut(&heard(9, 10)), None, "unknown");
    }

    #[test]
    fn nothing_follows_the_end_or_a_cut() {
        let (mut replies, mut events) = (replies(), Vec::new());
        replies.audio(&piece("a", "r"), vec![0; 80], &mut events);
        replies.cut(&heard(1, 5));
        events.clear();
        replies.audio(&piece("a", "r"), vec![0; 80], &mut events);
        assert_eq!(events, []);
        replies.response_done("r", ReplyEnd::Cancelled, &mut events);
        let done =
            ProviderEvent::ReplyDone { reply: ReplyId::new(AttachmentId(1), 1), end: ReplyEnd::Cancelled };
        assert_eq!(events, [done]);
        events.clear();
        replies.item_done("a", ReplyEnd::Completed, &mut events);
        replies.audio(&piece("b", "r"), vec![0; 80], &mut events);
        assert_eq!(events, [], "a late item of a response that is over");
    }

    #[test]
    fn numbers_rise_in_the_order_in_which_replies_are_told_of() {
        let (mut replies, mut events) = (replies(), Vec::new());
        replies.audio(&piece("a", "r"), Vec::new(), &mut events);
        replies.audio(&piece("b", "r"), vec![0; 8], &mut events);
        replies.audio(&piece("a", "r"), vec![0; 8], &mut events);
        let of = |event: &ProviderEvent| {
            if let ProviderEvent::Speech { reply, .. } = event { reply.number() } else { 0 }
        };
        assert_eq!(events.iter().map(of).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn samples_are_whole() {
        let (mut replies, mut events) = (Replies::new(AttachmentId(1), AudioFormat::PCM16_24K), Vec::new());
        for bytes in [vec![1, 2, 3], vec![4], vec![5], vec![6, 7, 8]] {
            replies.audio(&piece("a", "r"), bytes, &mut events);
        }
        let mut audio = Vec::new();
        for event in events {
            let ProviderEvent::Speech { audio: piece, .. } = event else { panic!("{event:?}") };
            assert_eq!(piece.len() % 2, 0);
            audio.extend_from_slice(&piece);
        }
        assert_eq!(audio, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_flood_of_items_is_bounded_and_each_ends_once() {
        let (mut replies, mut events) = (replies(), Vec::new());
        let names: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        for name in &names {
            let piece = Piece { item_id: name.as_str().into(), response_id: "r".into(), ..Piece::default() };
            replies.audio(&piece, vec![0; 8], &mut events);
        }
        replies.response_done("r", ReplyEnd::Completed, &mut events);
        assert_eq!(replies.known.len(), limits::REPLIES_MAX);
        let ended = events.iter().filter(|event| matches!(event, ProviderEvent::ReplyDone { .. })).count();
        assert_eq!(ended, 200);
    }
}
