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
