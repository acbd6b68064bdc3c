//! The conversation as the caller heard it, in the order in which it was spoken.
//!
//! Transcriptions of the caller arrive late, sometimes after the reply to them; each is put where it was
//! said. A reply stands where its sound began, with the words that reached the ear.

use std::collections::VecDeque;

use crate::carrier::Digit;
use crate::conversation::{ToolCall, ToolResult, Turn};
use crate::id::{ReplyId, ToolCallId, UtteranceId};
use crate::limits;
use crate::sensitive::Pii;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    turns: VecDeque<Spoken>,
    /// Turns that were dropped because there were too many, so that positions stay valid.
    dropped: usize,
    /// The conversation in short, as somebody put it last.
    summary: Option<Pii<String>>,
}

/// A turn, whose it is, and whether anything about it may still change.
#[derive(Clone, Debug)]
struct Spoken {
    key: Key,
    turn: Turn,
    settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Caller(UtteranceId),
    Voice(ReplyId),
    Tool(ToolCallId),
    Note,
}

impl Transcript {
    /// The caller speaks: their words belong here, whenever they come.
    pub(crate) fn caller_speaks(&mut self, utterance: UtteranceId) {
        let key = Key::Caller(utterance);
        if self.find(key).is_none() {
            self.push(Spoken { key, turn: Turn::Caller { text: Pii::default() }, settled: false });
        }
    }

    pub(crate) fn caller_said(&mut self, utterance: UtteranceId, text: Pii<String>) {
        self.caller_speaks(utterance);
        if let Some(spoken) = self.find(Key::Caller(utterance)) {
            spoken.turn = Turn::Caller { text: bounded(text) };
            spoken.settled = true;
        }
    }

    /// A reply begins to be heard. False if it has its place already.
    pub(crate) fn voice_speaks(&mut self, reply: ReplyId) -> bool {
        let key = Key::Voice(reply);
        let is_new = self.find(key).is_none();
        if is_new {
            self.push(Spoken { key, turn: Turn::Voice { text: Pii::default(), cut: false }, settled: false });
        }
        is_new
    }

    /// What was, or will have been, heard of a reply that has begun.
    pub(crate) fn voice_said(&mut self, reply: ReplyId, text: String, cut: bool, settled: bool) {
        if let Some(spoken) = self.find(Key::Voice(reply)) {
            spoken.turn = Turn::Voice { text: bounded(text.into()), cut };
            spoken.settled = settled;
        }
    }

    pub(crate) fn tool_called(&mut self, call: ToolCall) {
        let key = Key::Tool(call.id);
        self.push(Spoken { key, turn: Turn::Tool { call, result: None }, settled: false });
    }

    /// The whole turn, for somebody who did not see the call; `None` if it is unknown.
    pub(crate) fn tool_answered(&mut self, id: ToolCallId, answer: ToolResult) -> Option<Turn> {
        let spoken = self.find(Key::Tool(id))?;
        if let Turn::Tool { result, .. } = &mut spoken.turn {
            *result = Some(answer);
        }
        spoken.settled = true;
        Some(spoken.turn.clone())
    }

    pub(crate) fn tool_cancelled(&mut self, id: ToolCallId) {
        self.turns.retain(|spoken| spoken.key != Key::Tool(id) || spoken.settled);
    }

    pub(crate) fn note(&mut self, text: Pii<String>) {
        self.push(Spoken { key: Key::Note, turn: Turn::Note { text: bounded(text) }, settled: true });
    }

    pub(crate) fn summarise(&mut self, text: Pii<String>) {
        self.summary = Some(bounded(text));
    }

    pub(crate) fn summary(&self) -> Option<&Pii<String>> {
        self.summary.as_ref()
    }

    /// Everything so far, for somebody who takes over now, and the position after it.
    pub(crate) fn all(&self) -> (Vec<Turn>, usize) {
        (self.since(0), self.dropped + self.turns.len())
    }

    /// Everything up to the first turn about which something may still change, and the position after
    /// it: for somebody who warms up while the conversation goes on.
    pub(crate) fn settled(&self) -> (Vec<Turn>, usize) {
        let count = self.turns.iter().take_while(|spoken| spoken.settled).count();
        (self.turns.iter().take(count).filter_map(Spoken::told).collect(), self.dropped + count)
    }

    /// What has settled since, in order, and the position after it; and the positions of what was passed by,
    /// because its words may never come.
    pub(crate) fn settled_since(&self, position: usize) -> (Vec<Turn>, usize, Vec<usize>) {
        let mut next = position.max(self.dropped);
        let (mut turns, mut passed) = (Vec::new(), Vec::new());
        while let Some(spoken) = self.turns.get(next - self.dropped) {
            if spoken.settled {
                turns.extend(spoken.told());
            } else if self.is_given_up(next - self.dropped) {
                passed.push(next);
            } else {
                break;
            }
            next += 1;
        }
        (turns, next, passed)
    }

    /// What has come of turns that were passed by; they are taken from the list.
    pub(crate) fn late(&self, passed: &mut Vec<usize>) -> Vec<Turn> {
        let mut late = Vec::new();
        passed.retain(|position| {
            let spoken = position.checked_sub(self.dropped).and_then(|index| self.turns.get(index));
            let Some(spoken) = spoken else { return false };
            late.extend(spoken.told());
            !spoken.settled
        });
        late
    }

    /// Words of the caller come within seconds, and in order. If the caller has spoken twice since, or has been
    /// understood since, those of this turn will hardly come: it was a noise, or was said to somebody who left.
    fn is_given_up(&self, index: usize) -> bool {
        if !matches!(self.turns[index].key, Key::Caller(_)) {
            return false;
        }
        let since = self.turns.range(index + 1..).filter(|spoken| matches!(spoken.key, Key::Caller(_)));
        let mut since = since.take(2);
        since.clone().any(|spoken| spoken.settled) || since.nth(1).is_some()
    }

    /// What [`Self::settled`] left out.
    pub(crate) fn since(&self, position: usize) -> Vec<Turn> {
        let skip = position.saturating_sub(self.dropped);
        self.turns.iter().skip(skip).filter_map(Spoken::told).collect()
    }

    /// Every turn with its place and whose it is, even if there is nothing to tell yet.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn keyed(&self) -> Vec<(String, &Turn)> {
        let place = self.dropped..;
        place.zip(&self.turns).map(|(at, spoken)| (format!("{at} {}", spoken.key), &spoken.turn)).collect()
    }

    fn push(&mut self, spoken: Spoken) {
        if self.turns.len() >= limits::TURNS_MAX {
            self.turns.pop_front();
            self.dropped += 1;
        }
        self.turns.push_back(spoken);
    }

    fn find(&mut self, key: Key) -> Option<&mut Spoken> {
        self.turns.iter_mut().rev().find(|spoken| spoken.key == key)
    }
}

#[cfg(any(test, feature = "sim"))]
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Caller(utterance) => write!(f, "caller {utterance}"),
            Self::Voice(reply) => write!(f, "voice {reply}"),
            Self::Tool(id) => write!(f, "tool {id}"),
            Self::Note => f.write_str("note"),
        }
    }
}

impl Spoken {
    /// The turn, if there is anything to tell: nobody gains from an empty one.
    fn told(&self) -> Option<Turn> {
        let empty = match &self.turn {
            Turn::Caller { text } | Turn::Voice { text, .. } | Turn::Note { text } => {
                text.expose().is_empty()
            }
            Turn::Tool { .. } => false,
        };
        (!empty).then(|| self.turn.clone())
    }
}

/// What a voice is told of a key.
pub(crate) fn pressed(key: Digit) -> Pii<String> {
    Pii::new(format!("The caller pressed the key {}.", key.as_char()))
}

fn bounded(text: Pii<String>) -> Pii<String> {
    let mut text = text.into_inner();
    if text.len() > limits::TURN_TEXT_BYTES_MAX {
        let mut end = limits::TURN_TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    Pii::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AttachmentId;

    const A: AttachmentId = AttachmentId(1);

    fn texts(turns: &[Turn]) -> Vec<String> {
        turns
            .iter()
            .map(|turn| match turn {
                Turn::Caller { text } => format!("c:{}", text.expose()),
                Turn::Voice { text, cut } => format!("v:{}{}", text.expose(), if *cut { "-" } else { "" }),
                Turn::Tool { call, result } => format!("t:{}:{}", call.name, result.is_some()),
                Turn::Note { text } => format!("n:{}", text.expose()),
            })
            .collect()
    }

    #[test]
    fn late_words_stand_where_they_were_said() {
        let (u1, u2, r1) = (UtteranceId::new(A, 1), UtteranceId::new(A, 2), ReplyId::new(A, 1));
        let mut transcript = Transcript::default();
        transcript.caller_speaks(u1);
        transcript.voice_speaks(r1);
        transcript.caller_speaks(u2);
        transcript.caller_said(u2, "stop".into());
        transcript.voice_said(r1, "let me tell".into(), true, true);
        assert_eq!(texts(&transcript.all().0), ["v:let me tell-", "c:stop"]);
        let (settled, position) = transcript.settled();
        assert!(settled.is_empty(), "the first turn has no words yet");
        transcript.caller_said(u1, "hello".into());
        assert_eq!(texts(&transcript.since(position)), ["c:hello", "v:let me tell-", "c:stop"]);
    }

    #[test]
    fn the_oldest_turns_go_first() {
        let mut transcript = Transcript::default();
        for n in 0..limits::TURNS_MAX + 5 {
            transcript.note(format!("{n}").into());
        }
        assert_eq!(transcript.all().0.len(), limits::TURNS_MAX);
        assert_eq!(texts(&transcript.all().0)[0], "n:5");
        assert_eq!(transcript.since(limits::TURNS_MAX).len(), 5);
    }

    #[test]
    fn a_tool_is_remembered_with_its_answer() {
        let id = ToolCallId::new(A, 1);
        let mut transcript = Transcript::default();
        transcript.tool_called(ToolCall { id, name: "look".into(), arguments: "{}".into() });
        assert_eq!(texts(&transcript.all().0), ["t:look:false"]);
        assert!(transcript.tool_answered(id, ToolResult { output: "x".into(), failed: false }).is_some());
        assert!(
            transcript
                .tool_answered(ToolCallId::new(A, 2), ToolResult { output: "x".into(), failed: false })
                .is_none()
        );
        assert_eq!(texts(&transcript.all().0), ["t:look:true"]);
    }
}
