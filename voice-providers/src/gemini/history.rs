//! The conversation so far, as turns of text.
//!
//! Tools of the past are told in words, because the service takes calls of its own only (protocol notes,
//! Gemini Live §6).

use std::collections::VecDeque;

use voice_core::conversation::{ToolCall, ToolResult, Turn};
use voice_core::id::ReplyId;
use voice_core::limits;
use voice_core::provider::ProviderEvent;
use voice_core::sensitive::Pii;

use super::wire::{Content, TextPart};

/// Of a conversation, this much text is told, the latest: about 16,000 tokens, an eighth of what fits,
/// and a quarter of what may wait on a line. Ten minutes of talk are 10,000 bytes.
pub(super) const HISTORY_BYTES_MAX: usize = 64 << 10;

const CALLER: &str = "user";
const VOICE: &str = "model";

/// The turns in the service's form; neighbours of the same role become one.
pub(super) fn contents(turns: &[Turn]) -> Vec<Content> {
    let mut room = HISTORY_BYTES_MAX;
    let mut told = Vec::new();
    for turn in turns.iter().rev() {
        let (role, text) = words(turn);
        let Some(left) = room.checked_sub(text.len()) else { break };
        room = left;
        if !text.is_empty() {
            told.push((role, text));
        }
    }
    let mut contents: Vec<Content> = Vec::new();
    for (role, text) in told.into_iter().rev() {
        append(&mut contents, role, text);
    }
    contents
}

/// Puts words of the caller's side at the end.
pub(super) fn push_caller(contents: &mut Vec<Content>, text: String) {
    append(contents, CALLER, text);
}

/// Whether the caller had the last word.
pub(super) fn ends_with_caller(contents: &[Content]) -> bool {
    contents.last().is_some_and(|content| content.role == Some(CALLER))
}

/// Something nobody said, marked as such.
pub(super) fn note(text: &str) -> String {
    format!("[Note: {text}]")
}

/// Turns for a model that takes text only.
pub(super) fn in_one_text(contents: &[Content]) -> String {
    let line = |content: &Content| {
        let who = if content.role == Some(VOICE) { "you" } else { "caller" };
        let parts: Vec<&str> = content.parts.iter().map(|part| part.text.as_str()).collect();
        format!("{who}: {}", parts.join(" "))
    };
    let lines: Vec<String> = contents.iter().map(line).collect();
    note(&format!("said meanwhile: {}", lines.join(" / ")))
}

/// An answer to a tool call that the service knows no longer.
pub(super) fn late_answer(name: &str, result: &ToolResult) -> String {
    let verb = if result.failed { "failed" } else { "answered" };
    note(&format!("the tool {name} has {verb}: {}", result.output.expose()))
}

/// What was said since the service last gave a handle: a session that is resumed with that handle does not
/// know it.
#[derive(Debug, Default)]
pub(super) struct Recent {
    turns: VecDeque<(Of, Turn)>,
}

/// Whose a turn is, while more of it may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Reply(ReplyId),
    /// The caller speaks, and their words are still being put together.
    Caller,
    Done,
}

/// A handle comes with every turn; this is a peer that forgot how.
const RECENT_TURNS_MAX: usize = 64;

impl Recent {
    /// The caller's words will stand here, before the reply that may begin earlier than they are told.
    pub(super) fn caller_speaks(&mut self) {
        self.push(Of::Caller, Turn::Caller { text: Pii::default() });
    }

    /// Takes note of words that go to the call.
    pub(super) fn observe(&mut self, event: &ProviderEvent) {
        if let ProviderEvent::CallerSaid { text, .. } = event {
            let turn = Turn::Caller { text: text.clone() };
            match self.turns.iter_mut().rfind(|(of, _)| *of == Of::Caller) {
                Some(place) => *place = (Of::Done, turn),
                None => self.push(Of::Done, turn),
            }
        } else if let ProviderEvent::Words { reply, text } = event {
            let last = self.turns.iter_mut().rfind(|(of, _)| *of == Of::Reply(*reply));
            if let Some((_, Turn::Voice { text: said, .. })) = last {
                let mut longer = std::mem::take(said).into_inner();
                if longer.len() + text.expose().len() <= limits::TURN_TEXT_BYTES_MAX {
                    longer.push_str(text.expose());
                }
                *said = longer.into();
            } else {
                self.push(Of::Reply(*reply), Turn::Voice { text: text.clone(), cut: false });
            }
        }
    }

    /// The service knows everything so far.
    pub(super) fn forget(&mut self) {
        self.turns.clear();
    }

    /// What it does not know.
    pub(super) fn take(&mut self) -> Vec<Turn> {
        self.turns.drain(..).map(|(_, turn)| turn).collect()
    }

    fn push(&mut self, of: Of, turn: Turn) {
        if self.turns.len() >= RECENT_TURNS_MAX {
            self.turns.pop_front();
        }
        self.turns.push_back((of, turn));
    }
}

fn append(contents: &mut Vec<Content>, role: &'static str, text: String) {
    match contents.last_mut().filter(|content| content.role == Some(role)) {
        Some(content) => content.parts.push(TextPart { text }),
        None => contents.push(Content { role: Some(role), parts: vec![TextPart { text }] }),
    }
}

fn words(turn: &Turn) -> (&'static str, String) {
    match turn {
        Turn::Caller { text } => (CALLER, text.expose().clone()),
        Turn::Voice { text, cut: false } => (VOICE, text.expose().clone()),
        // Cut before a word of it was heard: never said.
        Turn::Voice { text, cut: true } if text.expose().is_empty() => (VOICE, String::new()),
        Turn::Voice { text, cut: true } => (VOICE, format!("{}…", text.expose())),
        Turn::Tool { call, result } => (CALLER, tool(call, result.as_ref())),
        Turn::Note { text } => (CALLER, note(text.expose())),
    }
}

fn tool(call: &ToolCall, result: Option<&ToolResult>) -> String {
    let outcome = match result {
        None => "is still running".to_owned(),
        Some(ToolResult { output, failed: false }) => format!("answered: {}", output.expose()),
        Some(ToolResult { output, failed: true }) => format!("failed: {}", output.expose()),
    };
    note(&format!("the tool {} was called with {} and {outcome}", call.name, call.arguments.expose()))
}

#[cfg(test)]
mod tests {
    use voice_core::id::{AttachmentId, ToolCallId};

    use super::*;

    fn printed(turns: &[Turn]) -> Vec<String> {
        contents(turns)
            .iter()
            .map(|content| {
                let parts: Vec<&str> = content.parts.iter().map(|part| part.text.as_str()).collect();
                format!("{}: {}", content.role.unwrap_or("?"), parts.join(" | "))
            })
            .collect()
    }

    fn tool_turn(result: Option<ToolResult>) -> Turn {
        let id = ToolCallId::new(AttachmentId(1), 1);
        let call = ToolCall { id, name: "lookup".into(), arguments: r#"{"n":1}"#.into() };
        Turn::Tool { call, result }
    }

    #[test]
    fn every_kind_of_turn_is_told() {
        let turns = [
            Turn::Voice { text: "Good morning.".into(), cut: false },
            Turn::Caller { text: "Where is it?".into() },
            tool_turn(Some(ToolResult { output: "on its way".into(), failed: false })),
            Turn::Voice { text: "It is on".into(), cut: true },
            Turn::Voice { text: "".into(), cut: true },
            Turn::Note { text: "the caller pressed 3".into() },
            tool_turn(None),
            tool_turn(Some(ToolResult { output: "no such order".into(), failed: true })),
        ];
        assert_eq!(
            printed(&turns),
            [
                "model: Good morning.",
                "user: Where is it? | [Note: the tool lookup was called with {\"n\":1} and answered: on its way]",
                "model: It is on…",
                "user: [Note: the caller pressed 3] | [Note: the tool lookup was called with {\"n\":1} and is \
                 still running] | [Note: the tool lookup was called with {\"n\":1} and failed: no such order]",
            ]
        );
    }

    #[test]
    fn the_oldest_turns_are_left_out() {
        let turns: Vec<Turn> =
            (0..100).map(|n| Turn::Caller { text: format!("{n} {}", "x".repeat(1_020)).into() }).collect();
        let told = contents(&turns);
        let bytes: usize = told.iter().flat_map(|content| &content.parts).map(|part| part.text.len()).sum();
        assert!(bytes <= HISTORY_BYTES_MAX && bytes > HISTORY_BYTES_MAX - 2_000, "{bytes}");
        let last = told.last().and_then(|content| content.parts.last()).expect("there is one");
        assert!(last.text.starts_with("99 "));
    }
}
