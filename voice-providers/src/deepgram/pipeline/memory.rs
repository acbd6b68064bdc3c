//! What the mind is told of the conversation: what the caller said, what they heard, what tools did.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::value::RawValue;
use voice_core::conversation::{Heard, ToolResult, Turn};
use voice_core::id::{ReplyId, ToolCallId};
use voice_core::limits::{TURN_TEXT_BYTES_MAX, TURNS_MAX};

use crate::llm::wire::{Call, CallFunction, Message};

/// See the module.
pub(super) struct Memory {
    instructions: String,
    entries: VecDeque<Entry>,
    /// Rises with every call that had no usable id of its own.
    ids_made: u32,
}

enum Entry {
    Caller(String),
    Voice(Said),
    Tools(Vec<ToolRecord>),
    /// Something that nobody said.
    Note(String),
}

/// What the voice said, in the order in which it was made into sound.
struct Said {
    /// `None` for what another voice said earlier in the call.
    reply: Option<ReplyId>,
    pieces: Vec<Piece>,
    cut: bool,
}

struct Piece {
    /// The voice's number of it.
    group: u32,
    text: String,
    sound: Duration,
    /// All of its text is sound.
    whole: bool,
}

/// A call of a tool and its answer.
pub(super) struct ToolRecord {
    pub(super) id: ToolCallId,
    pub(super) call: Call,
    pub(super) result: Option<String>,
}

/// No voice speaks more characters in a second; of a piece that is not all sound yet, no more than this
/// was heard.
const CHARS_PER_SECOND: f64 = 18.0;

/// Text of a conversation that is sent with each request: some 40,000 tokens, or two hours of talk. The
/// oldest is left out.
const REQUEST_BYTES_MAX: usize = 160 << 10;

/// What stands in the place of a result that has not come.
const STILL_RUNNING: &str = "Still running. The result will follow; do not call the tool again.";

impl Memory {
    pub(super) fn new(instructions: &str, history: Vec<Turn>) -> Self {
        let mut memory =
            Self { instructions: instructions.to_owned(), entries: VecDeque::new(), ids_made: 0 };
        memory.catch_up(history);
        memory
    }

    /// Takes turns that this session did not see.
    pub(super) fn catch_up(&mut self, turns: Vec<Turn>) {
        for turn in turns {
            match turn {
                Turn::Caller { text } => self.caller(text.into_inner()),
                Turn::Voice { text, cut } => {
                    let text = text.into_inner();
                    let piece = Piece { group: 0, text, sound: Duration::ZERO, whole: true };
                    self.push(Entry::Voice(Said { reply: None, pieces: vec![piece], cut }));
                }
                Turn::Note { text } => self.note(text.into_inner()),
                Turn::Tool { call, result } => self.tool_of_another(call, result),
            }
        }
    }

    pub(super) fn caller(&mut self, text: String) {
        if !text.is_empty() {
            self.push(Entry::Caller(text));
        }
    }

    /// Something that nobody said.
    pub(super) fn note(&mut self, text: String) {
        self.push(Entry::Note(text));
    }

    /// The voice has been given more of a reply to say.
    pub(super) fn say(&mut self, reply: ReplyId, group: u32, text: &str) {
        if self.said(reply).is_none() {
            self.push(Entry::Voice(Said { reply: Some(reply), pieces: Vec::new(), cut: false }));
        }
        let Some(said) = self.said(reply) else { return };
        if said.pieces.iter().map(|piece| piece.text.len()).sum::<usize>() > TURN_TEXT_BYTES_MAX {
            return;
        }
        match said.pieces.last_mut().filter(|piece| piece.group == group) {
            Some(piece) => {
                piece.text.push(' ');
                piece.text.push_str(text);
            }
            None => {
                said.pieces.push(Piece { group, text: text.to_owned(), sound: Duration::ZERO, whole: false })
            }
        }
    }

    /// So much more of a piece has become sound.
    pub(super) fn sounded(&mut self, reply: ReplyId, group: u32, duration: Duration) {
        if let Some(piece) = self.piece(reply, group) {
            piece.sound += duration;
        }
    }

    /// All of a piece has become sound.
    pub(super) fn spoken(&mut self, reply: ReplyId, group: u32) {
        if let Some(piece) = self.piece(reply, group) {
            piece.whole = true;
        }
    }

    /// Keeps of a reply only what was heard of it.
    pub(super) fn cut(&mut self, heard: Heard) {
        let Some(said) = self.said(heard.reply) else { return };
        let mut left = heard.heard;
        said.cut = true;
        for piece in &mut said.pieces {
            piece.cut(&mut left);
        }
        said.pieces.retain(|piece| !piece.text.is_empty());
    }

    /// Forgets what was to be said and never began to be heard.
    pub(super) fn forget(&mut self, reply: ReplyId) {
        self.entries.retain(|entry| !matches!(entry, Entry::Voice(said) if said.reply == Some(reply)));
    }

    /// The model called tools.
    pub(super) fn tools(&mut self, records: Vec<ToolRecord>) {
        self.push(Entry::Tools(records));
    }

    /// A tool has answered. False if nobody asked.
    pub(super) fn answer(&mut self, id: ToolCallId, result: ToolResult) -> bool {
        let Some(record) = self.record(id) else { return false };
        record.result = Some(result_text(result));
        true
    }

    /// Whether a tool of the last batch has not answered.
    pub(super) fn is_waiting_for_tools(&self) -> bool {
        let last = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Tools(records) => Some(records),
            Entry::Caller(_) | Entry::Voice(_) | Entry::Note(_) => None,
        });
        last.is_some_and(|records| records.iter().any(|record| record.result.is_none()))
    }

    /// Whether the last that happened asks for an answer.
    pub(super) fn awaits_answer(&self) -> bool {
        match self.entries.back() {
            Some(Entry::Caller(_) | Entry::Note(_)) => true,
            Some(Entry::Tools(records)) => records.iter().all(|record| record.result.is_some()),
            Some(Entry::Voice(_)) | None => false,
        }
    }

    /// An id for a call that came without one: nine letters and digits, which every server takes.
    pub(super) fn make_call_id(&mut self) -> String {
        self.ids_made += 1;
        format!("call{:05}", self.ids_made % 100_000)
    }

    /// The conversation as a request carries it; `perhaps` is what the caller has probably just said.
    ///
    /// Turns of the same side are joined, because some servers insist that they alternate. A note stands
    /// among the caller's words, marked as what it is: not every server takes a second system message.
    pub(super) fn messages(&self, perhaps: Option<&str>) -> Vec<Message> {
        let mut messages = vec![Message::System { content: self.instructions.clone() }];
        for entry in self.entries.iter().skip(self.too_old()) {
            match entry {
                Entry::Caller(text) => push_user(&mut messages, text),
                Entry::Note(text) => {
                    push_user(&mut messages, &format!("(Note, not said by the caller: {text})"))
                }
                Entry::Voice(said) => push_assistant(&mut messages, said.text()),
                Entry::Tools(records) => push_tools(&mut messages, records),
            }
        }
        if let Some(text) = perhaps {
            push_user(&mut messages, text);
        }
        messages
    }

    /// How many of the oldest entries are left out.
    fn too_old(&self) -> usize {
        let mut bytes = 0;
        let fit = self.entries.iter().rev().take_while(|entry| {
            bytes += entry.len();
            bytes <= REQUEST_BYTES_MAX
        });
        self.entries.len() - fit.count()
    }

    fn tool_of_another(&mut self, call: voice_core::conversation::ToolCall, result: Option<ToolResult>) {
        if let Some(record) = self.record(call.id) {
            record.result = result.map(result_text).or(record.result.take());
            return;
        }
        let arguments = readable(call.arguments.into_inner());
        let function = CallFunction { name: call.name, arguments };
        let wire = Call { id: self.make_call_id(), kind: "function", function, extra_content: None };
        let record = ToolRecord { id: call.id, call: wire, result: result.map(result_text) };
        self.push(Entry::Tools(vec![record]));
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= TURNS_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    fn said(&mut self, reply: ReplyId) -> Option<&mut Said> {
        self.entries.iter_mut().rev().find_map(|entry| match entry {
            Entry::Voice(said) if said.reply == Some(reply) => Some(said),
            Entry::Voice(_) | Entry::Caller(_) | Entry::Tools(_) | Entry::Note(_) => None,
        })
    }

    fn piece(&mut self, reply: ReplyId, group: u32) -> Option<&mut Piece> {
        self.said(reply)?.pieces.iter_mut().find(|piece| piece.group == group)
    }

    fn record(&mut self, id: ToolCallId) -> Option<&mut ToolRecord> {
        self.entries.iter_mut().rev().find_map(|entry| match entry {
            Entry::Tools(records) => records.iter_mut().find(|record| record.id == id),
            Entry::Caller(_) | Entry::Voice(_) | Entry::Note(_) => None,
        })
    }
}

impl ToolRecord {
    /// A call as the model made it. Arguments that are no JSON object are not sent back: servers refuse
    /// a whole conversation for them.
    pub(super) fn new(
        id: ToolCallId,
        own: String,
        name: String,
        arguments: String,
        extra: Option<Box<RawValue>>,
    ) -> Self {
        let function = CallFunction { name, arguments: readable(arguments) };
        let call = Call { id: own, kind: "function", function, extra_content: extra };
        Self { id, call, result: None }
    }
}

impl Entry {
    fn len(&self) -> usize {
        match self {
            Self::Caller(text) | Self::Note(text) => text.len(),
            Self::Voice(said) => said.pieces.iter().map(|piece| piece.text.len()).sum(),
            Self::Tools(records) => {
                let len = |r: &ToolRecord| {
                    r.call.function.arguments.len() + r.result.as_ref().map_or(0, String::len)
                };
                records.iter().map(len).sum()
            }
        }
    }
}

impl Said {
    fn text(&self) -> String {
        let pieces: Vec<&str> = self.pieces.iter().map(|piece| piece.text.as_str()).collect();
        let mut text = pieces.join(" ");
        if self.cut && !text.is_empty() {
            text.push('…');
        }
        text
    }
}

impl Piece {
    /// Keeps what fits into `left`, and takes away from it what this piece used.
    fn cut(&mut self, left: &mut Duration) {
        if self.whole && *left >= self.sound {
            *left -= self.sound;
            return;
        }
        let chars = self.text.chars().count() as f64;
        let lasts = match self.whole {
            true => self.sound.as_secs_f64(),
            false => self.sound.as_secs_f64().max(chars / CHARS_PER_SECOND),
        };
        // What was heard cannot be more than what there was to hear.
        self.sound = self.sound.min(std::mem::take(left));
        let fit = if lasts > 0.0 { chars * self.sound.as_secs_f64() / lasts } else { 0.0 };
        let end = whole_words(&self.text, fit.floor() as usize);
        self.text.truncate(end);
        self.whole = true;
    }
}

/// Where the longest run of whole words within so many characters ends.
fn whole_words(text: &str, chars: usize) -> usize {
    let Some((end, _)) = text.char_indices().nth(chars) else { return text.len() };
    if text[end..].starts_with(char::is_whitespace) {
        return text[..end].trim_end().len();
    }
    text[..end].rfind(char::is_whitespace).map_or(0, |gap| text[..gap].trim_end().len())
}

fn result_text(result: ToolResult) -> String {
    let output = result.output.into_inner();
    if result.failed { format!("The tool failed: {output}") } else { output }
}

/// Arguments that a server accepts in a history.
fn readable(arguments: String) -> String {
    if crate::llm::wire::is_object(&arguments) { arguments } else { "{}".to_owned() }
}

fn push_user(messages: &mut Vec<Message>, text: &str) {
    if let Some(Message::User { content }) = messages.last_mut() {
        content.push('\n');
        content.push_str(text);
    } else {
        messages.push(Message::User { content: text.to_owned() });
    }
}

fn push_assistant(messages: &mut Vec<Message>, text: String) {
    if text.is_empty() {
        return;
    }
    if let Some(Message::Assistant { content: Some(content), tool_calls }) = messages.last_mut()
        && tool_calls.is_empty()
    {
        content.push(' ');
        content.push_str(&text);
    } else {
        messages.push(Message::Assistant { content: Some(text), tool_calls: Vec::new() });
    }
}

/// Every call must have its answer right behind it, or the whole request is refused.
fn push_tools(messages: &mut Vec<Message>, records: &[ToolRecord]) {
    let calls: Vec<Call> = records.iter().map(|record| record.call.clone()).collect();
    match messages.last_mut() {
        Some(Message::Assistant { tool_calls, .. }) if tool_calls.is_empty() => *tool_calls = calls,
        Some(_) | None => messages.push(Message::Assistant { content: None, tool_calls: calls }),
    }
    for record in records {
        let content = record.result.clone().unwrap_or_else(|| STILL_RUNNING.to_owned());
        messages.push(Message::Tool { tool_call_id: record.call.id.clone(), content });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voice_core::conversation::ToolCall;
    use voice_core::id::AttachmentId;

    const WHO: AttachmentId = AttachmentId(1);

    fn told(memory: &Memory) -> String {
        serde_json::to_string(&memory.messages(None)[1..]).expect("plain data")
    }

    fn reply(n: u32) -> ReplyId {
        ReplyId::new(WHO, n)
    }

    fn heard(n: u32, ms: u64) -> Heard {
        Heard { reply: reply(n), heard: Duration::from_millis(ms), unheard: Duration::from_secs(9) }
    }

    fn spoken(memory: &mut Memory, group: u32, text: &str, ms: u64, whole: bool) {
        memory.say(reply(1), group, text);
        memory.sounded(reply(1), group, Duration::from_millis(ms));
        if whole {
            memory.spoken(reply(1), group);
        }
    }

    #[test]
    fn only_what_was_heard_is_remembered() {
        let after = |ms| {
            let mut memory = Memory::new("i", vec![]);
            spoken(&mut memory, 1, "Of course,", 1_000, true);
            spoken(&mut memory, 2, "one two three four five.", 2_400, true);
            spoken(&mut memory, 3, "And this was never made into sound at all.", 0, false);
            memory.cut(heard(1, ms));
            told(&memory)
        };
        assert_eq!(after(0), "[]");
        assert_eq!(after(1_000), r#"[{"role":"assistant","content":"Of course,…"}]"#);
        assert_eq!(after(2_000), r#"[{"role":"assistant","content":"Of course, one two…"}]"#);
        assert_eq!(
            after(3_400),
            r#"[{"role":"assistant","content":"Of course, one two three four five.…"}]"#
        );
    }

    #[test]
    fn text_that_is_not_all_sound_is_not_stretched_over_the_sound_there_is() {
        let mut memory = Memory::new("i", vec![]);
        spoken(&mut memory, 1, "a long sentence of which only the beginning has been made", 500, false);
        memory.cut(heard(1, 500));
        assert_eq!(told(&memory), r#"[{"role":"assistant","content":"a long…"}]"#);
    }

    #[test]
    fn every_turn_has_its_form_and_sides_alternate() {
        let call = |n, arguments: &str| ToolCall {
            id: ToolCallId::new(AttachmentId(7), n),
            name: "look".into(),
            arguments: arguments.into(),
        };
        let done = ToolResult { output: "{\"eta\":1}".into(), failed: false };
        let failed = ToolResult { output: "too slow".into(), failed: true };
        let history = vec![
            Turn::Note { text: "pressed 1".into() },
            Turn::Caller { text: "Where is it?".into() },
            Turn::Caller { text: "".into() },
            Turn::Voice { text: "Let me see.".into(), cut: false },
            Turn::Tool { call: call(1, "{\"n\":1}"), result: Some(done) },
            Turn::Tool { call: call(2, "not json"), result: Some(failed) },
            Turn::Tool { call: call(3, "{}"), result: None },
            Turn::Voice { text: "It is".into(), cut: true },
        ];
        let mut memory = Memory::new("Be brief.", history);
        assert!(memory.is_waiting_for_tools() && !memory.awaits_answer());
        let written = serde_json::to_string_pretty(&memory.messages(Some("Hm?"))).expect("plain data");
        expect_test::expect_file!["../../../tests/pipeline/fixtures/history.json"].assert_eq(&written);
        // The answer that was missing comes with what was said meanwhile.
        let late = ToolResult { output: "late".into(), failed: false };
        memory.catch_up(vec![Turn::Tool { call: call(3, "{}"), result: Some(late) }]);
        assert!(!memory.is_waiting_for_tools());
        assert_eq!(told(&memory).matches("\"late\"").count(), 1);
    }

    #[test]
    fn a_long_conversation_loses_its_oldest_turns() {
        let mut memory = Memory::new("i", vec![]);
        for n in 0..3_000 {
            memory.caller(format!("{n} {}", "x".repeat(500)));
        }
        let messages = memory.messages(None);
        let bytes = serde_json::to_string(&messages).expect("plain data").len();
        assert!((REQUEST_BYTES_MAX / 2..REQUEST_BYTES_MAX * 2).contains(&bytes), "{bytes}");
        assert!(memory.entries.len() <= TURNS_MAX);
        let last = messages.last().map(|m| serde_json::to_string(m).expect("plain data"));
        assert!(last.is_some_and(|last| last.contains("2999 ")));
    }
}
