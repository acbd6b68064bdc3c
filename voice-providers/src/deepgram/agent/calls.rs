//! Calls of tools: which are awaited, and under which name the service knows them.

use std::collections::VecDeque;

use voice_core::id::{AttachmentId, ToolCallId};

/// Calls of tools under way.
#[derive(Debug)]
pub(super) struct Calls {
    attachment: AttachmentId,
    count: u32,
    open: Vec<Open>,
    /// The service's ids of the last calls, so that no tool runs twice.
    seen: VecDeque<String>,
}

/// Why a call is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It was called before.
    Repeated,
    /// So many are open that it cannot be in earnest.
    TooMany,
}

/// A call that waits for its answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    id: ToolCallId,
    /// The service's id.
    pub(super) call: String,
    /// The tool's name, which goes back with the answer.
    pub(super) name: String,
}

impl Calls {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self { attachment, count: 0, open: Vec::new(), seen: VecDeque::new() }
    }

    /// A new call.
    pub(super) fn called(&mut self, call: &str, name: &str) -> Result<ToolCallId, Refusal> {
        if self.seen.iter().any(|seen| seen == call) {
            return Err(Refusal::Repeated);
        }
        if self.open.len() == OPEN_MAX {
            return Err(Refusal::TooMany);
        }
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(call.to_owned());
        self.count += 1;
        let id = ToolCallId::new(self.attachment, self.count);
        self.open.push(Open { id, call: call.to_owned(), name: name.to_owned() });
        Ok(id)
    }

    /// A call is answered now; `None` if nobody waits for it.
    pub(super) fn answered(&mut self, id: ToolCallId) -> Option<Open> {
        let at = self.open.iter().position(|open| open.id == id)?;
        Some(self.open.swap_remove(at))
    }

    /// The service does not want the answer any more; `None` if it was not waiting.
    pub(super) fn cancelled(&mut self, call: &str) -> Option<ToolCallId> {
        let at = self.open.iter().position(|open| open.call == call)?;
        Some(self.open.swap_remove(at).id)
    }
}

/// The call itself refuses more than `limits::TOOLS_RUNNING_MAX`; this bounds a service gone mad.
const OPEN_MAX: usize = 64;
const SEEN_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_answered_or_cancelled_once() {
        let mut calls = Calls::new(AttachmentId(1));
        let a = calls.called("a", "look").expect("new");
        let b = calls.called("b", "look").expect("new");
        assert_eq!(calls.called("a", "look"), Err(Refusal::Repeated));
        assert_eq!(calls.answered(a), Some(Open { id: a, call: "a".into(), name: "look".into() }));
        assert_eq!(calls.answered(a), None);
        assert_eq!(calls.called("a", "look"), Err(Refusal::Repeated));
        assert_eq!(calls.cancelled("b"), Some(b));
        assert_eq!((calls.cancelled("b"), calls.answered(b)), (None, None));
        let flood = (0..1_000).filter(|n| calls.called(&n.to_string(), "x").is_ok()).count();
        assert_eq!(flood, OPEN_MAX);
        assert_eq!(calls.called("more", "x"), Err(Refusal::TooMany));
    }
}
