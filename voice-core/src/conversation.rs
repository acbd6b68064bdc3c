//! What was said and done in a call, in a form that every provider's session can turn into its own.

use std::fmt;
use std::time::Duration;

use crate::id::{ReplyId, ToolCallId};
use crate::sensitive::Pii;

/// One entry of a conversation, oldest first in any list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The caller said something.
    Caller {
        /// The transcription; empty if there was speech that nobody could transcribe.
        text: Pii<String>,
    },
    /// The voice said something.
    Voice {
        /// What the caller heard of it; the rest was never said as far as anybody is concerned.
        text: Pii<String>,
        /// Whether it was cut short, by the caller or by a failure.
        cut: bool,
    },
    /// The voice called a tool, and what came of it.
    Tool {
        /// The call.
        call: ToolCall,
        /// The result; `None` while it runs.
        result: Option<ToolResult>,
    },
    /// Something the provider should know that nobody said: keys the caller pressed, a summary.
    Note {
        /// The note, in the language of the instructions.
        text: Pii<String>,
    },
}

impl Turn {
    /// Bytes of text that a service is given for it; its own framing comes on top.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Caller { text } | Self::Voice { text, .. } | Self::Note { text } => text.expose().len(),
            Self::Tool { call, result } => {
                let output = result.as_ref().map_or(0, |result| result.output.expose().len());
                call.name.len() + call.arguments.expose().len() + output
            }
        }
    }
}

/// As much of a conversation as fits into so many bytes of text.
///
/// If all fits, all is kept. Else the newest turns are kept, at least one, and of the older ones those
/// notes that fit into a quarter of the room, because facts about the caller do not age as small talk
/// does. In front stands a note that says how many turns are missing, and what is known of them from
/// `summary`.
///
/// ```
/// use voice_core::conversation::{Turn, fit};
/// let turns = (0..100).map(|n| Turn::Caller { text: format!("sentence {n}").into() }).collect();
/// let short = fit(turns, Some(&"They count.".into()), 200);
/// assert!(short.len() < 20 && short.last() == Some(&Turn::Caller { text: "sentence 99".into() }));
/// assert!(matches!(&short[0], Turn::Note { text } if text.expose().ends_with("They count.")));
/// ```
pub fn fit(turns: Vec<Turn>, summary: Option<&Pii<String>>, bytes_max: usize) -> Vec<Turn> {
    let total: usize = turns.iter().map(Turn::text_bytes).sum();
    if total <= bytes_max {
        return turns;
    }
    let (mut recent, mut facts) = (bytes_max - bytes_max / 4, bytes_max / 4);
    let mut is_recent = true;
    let (count, newest) = (turns.len(), turns.len().saturating_sub(1));
    let mut kept: Vec<Turn> = Vec::new();
    for (at, turn) in turns.into_iter().enumerate().rev() {
        let bytes = turn.text_bytes();
        is_recent &= bytes <= recent || at == newest;
        let room = if is_recent { &mut recent } else { &mut facts };
        if is_recent || (matches!(turn, Turn::Note { .. }) && bytes <= *room) {
            *room = room.saturating_sub(bytes);
            kept.push(turn);
        }
    }
    let missing = count - kept.len();
    let mut text = format!("{missing} earlier turns of this conversation are left out here.");
    if let Some(summary) = summary {
        text.push_str(" What was said so far, in short: ");
        text.push_str(summary.expose());
    }
    kept.push(Turn::Note { text: text.into() });
    kept.reverse();
    kept
}

/// A tool the voice may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolDefinition {
    /// `[a-zA-Z0-9_-]{1,64}`, which every service accepts.
    pub name: String,
    /// What it does and when to call it, for the model.
    pub description: String,
    /// JSON Schema of the arguments, an object; kept as text because this crate reads no JSON.
    pub parameters: String,
}

/// The voice wants a tool to be run.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Which call this is; the session knows the provider's own id for it.
    pub id: ToolCallId,
    /// The tool's name as the model wrote it; it need not exist.
    pub name: String,
    /// JSON text as the model wrote it; it need not be valid.
    pub arguments: Pii<String>,
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall({} {:?})", self.id, self.name)
    }
}

/// What came of a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// JSON or plain text for the model. For a failure, a sentence that the model can act on.
    pub output: Pii<String>,
    /// Whether the tool failed, was unknown, or took too long.
    pub failed: bool,
}

/// How much of one reply reached the caller's ear when it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The reply.
    pub reply: ReplyId,
    /// Played to the caller.
    pub heard: Duration,
    /// Received from the provider but never played.
    pub unheard: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(n: usize) -> Turn {
        Turn::Caller { text: format!("{n:010}").into() }
    }

    fn note(text: &str) -> Turn {
        Turn::Note { text: text.into() }
    }

    #[test]
    fn what_fits_is_left_alone() {
        let turns: Vec<Turn> = (0..10).map(said).collect();
        assert_eq!(fit(turns.clone(), Some(&"short".into()), 100), turns);
        assert_eq!(fit(vec![], None, 0), []);
    }

    #[test]
    fn the_newest_turns_and_the_notes_stay_and_the_rest_is_counted() {
        let mut turns: Vec<Turn> = (0..10).map(said).collect();
        turns.insert(2, note("vip"));
        turns.insert(3, note("a note that is far too long to be kept among the old ones"));
        let left_out = "8 earlier turns of this conversation are left out here.";
        assert_eq!(fit(turns.clone(), None, 40), [note(left_out), note("vip"), said(7), said(8), said(9)]);
        let summary = fit(turns, Some(&"they count".into()), 40);
        assert_eq!(summary[0], note(&format!("{left_out} What was said so far, in short: they count")));
    }

    #[test]
    fn the_newest_turn_stays_whatever_its_size() {
        assert_eq!(fit(vec![said(1), said(2)], None, 1)[1..], [said(2)]);
    }

    #[test]
    fn tools_count_with_their_answers() {
        let call = ToolCall {
            id: ToolCallId::new(crate::id::AttachmentId(1), 1),
            name: "look".into(),
            arguments: "{}".into(),
        };
        let result = Some(ToolResult { output: "four".into(), failed: false });
        assert_eq!(Turn::Tool { call, result }.text_bytes(), 10);
    }
}
