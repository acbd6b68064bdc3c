//! Calls of tools: which are awaited, and under which name the service knows them.

use voice_core::id::{AttachmentId, ToolCallId};

/// Calls of tools under way.
#[derive(Debug)]
pub(super) struct Calls {
    attachment: AttachmentId,
    count: u32,
    open: Vec<Open>,
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
        Self { attachment, count: 0, open: Vec::new() }
    }

    /// A new call; `None` if it is open already, or if so many are open that it cannot be in earnest.
    pub(super) fn called(&mut self, call: &str, name: &str) -> Option<ToolCallId> {
        if self.open.len() == OPEN_MAX || self.open.iter().any(|open| open.call == call) {
            return None;
        }
        self.count += 1;
        let id = ToolCallId::new(self.attachment, self.count);
        self.open.push(Open { id, call: call.to_owned(), name: name.to_owned() });
        Some(id)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_answered_or_cancelled_once() {
        let mut calls = Calls::new(AttachmentId(1));
        let a = calls.called("a", "look").expect("new");
        let b = calls.called("b", "look").expect("new");
        assert_eq!(calls.called("a", "look"), None);
        assert_eq!(calls.answered(a), Some(Open { id: a, call: "a".into(), name: "look".into() }));
        assert_eq!(calls.answered(a), None);
        assert_eq!(calls.cancelled("b"), Some(b));
        assert_eq!((calls.cancelled("b"), calls.answered(b)), (None, None));
        assert_eq!((0..1_000).filter(|n| calls.called(&n.to_string(), "x").is_some()).count(), OPEN_MAX);
    }
}
