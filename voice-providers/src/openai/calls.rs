//! Calls of tools: which are awaited, and when the voice may go on.

use std::collections::VecDeque;

use voice_core::id::{AttachmentId, ToolCallId};

/// Calls of tools under way.
#[derive(Debug)]
pub(super) struct Calls {
    attachment: AttachmentId,
    count: u32,
    open: Vec<Open>,
    /// Ids of the service that were seen, so that no tool runs twice.
    seen: VecDeque<String>,
}

#[derive(Debug)]
struct Open {
    id: ToolCallId,
    call_id: String,
    response: String,
    answered: bool,
    /// The item of its answer, until the service has accepted it.
    telling: Option<String>,
}

impl Calls {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self { attachment, count: 0, open: Vec::new(), seen: VecDeque::new() }
    }

    /// A new call; `None` if it was seen before, or if so many are open that it cannot be in earnest.
    pub(super) fn called(&mut self, response: &str, call_id: &str) -> Option<ToolCallId> {
        if self.open.len() == OPEN_MAX || self.seen.iter().any(|seen| seen == call_id) {
            return None;
        }
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(call_id.to_owned());
        self.count += 1;
        let id = ToolCallId::new(self.attachment, self.count);
        let (call_id, response) = (call_id.to_owned(), response.to_owned());
        self.open.push(Open { id, call_id, response, answered: false, telling: None });
        Some(id)
    }

    /// The service's id of a call that is answered now; `None` if nobody waits for it.
    pub(super) fn answer(&mut self, id: ToolCallId) -> Option<&str> {
        let open = self.open.iter_mut().find(|open| open.id == id && !open.answered)?;
        open.answered = true;
        Some(&open.call_id)
    }

    /// The answer to this call is on its way, as this item.
    pub(super) fn told(&mut self, id: ToolCallId, item: String) {
        if let Some(open) = self.open.iter_mut().find(|open| open.id == id) {
            open.telling = Some(item);
        }
    }

    /// The service has this item.
    pub(super) fn accepted(&mut self, item: &str) {
        for open in &mut self.open {
            open.telling.take_if(|telling| telling == item);
        }
    }

    /// A response begins that nobody asked for on account of tools: it knows the answers that the service
    /// has accepted, and nothing is owed for them any more.
    pub(super) fn forget_known(&mut self) {
        let known = |open: &Open| open.answered && open.telling.is_none();
        let owed: Vec<String> =
            self.open.iter().filter(|open| !known(open)).map(|open| open.response.clone()).collect();
        self.open.retain(|open| owed.contains(&open.response));
    }

    /// A response was cut: calls of it that are not among the `whole` ones are void.
    pub(super) fn cut(&mut self, response: &str, whole: impl Fn(&str) -> bool) -> Vec<ToolCallId> {
        let is_void = |open: &Open| open.response == response && !open.answered && !whole(&open.call_id);
        let void = self.open.iter().filter(|open| is_void(open)).map(|open| open.id).collect();
        self.open.retain(|open| !is_void(open));
        void
    }

    /// Whether all calls of some response are answered, so that the voice has something to go on with.
    pub(super) fn all_answered(&self) -> bool {
        self.open.iter().any(|open| self.is_settled(&open.response))
    }

    /// Whether this response called a tool.
    pub(super) fn any_of(&self, response: &str) -> bool {
        self.open.iter().any(|open| open.response == response)
    }

    /// The voice goes on, knowing all answers given so far.
    pub(super) fn forget_settled(&mut self) {
        let settled: Vec<bool> = self.open.iter().map(|open| self.is_settled(&open.response)).collect();
        let mut settled = settled.into_iter();
        self.open.retain(|_| !settled.next().unwrap_or(false));
    }

    fn is_settled(&self, response: &str) -> bool {
        self.open.iter().filter(|open| open.response == response).all(|open| open.answered)
    }
}

/// The call itself refuses more than `limits::TOOLS_RUNNING_MAX`; this bounds a service gone mad.
const OPEN_MAX: usize = 64;
const SEEN_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_voice_goes_on_when_all_of_one_response_are_answered() {
        let mut calls = Calls::new(AttachmentId(1));
        let a = calls.called("r1", "a").expect("new");
        let b = calls.called("r1", "b").expect("new");
        assert_eq!(calls.called("r1", "a"), None);
        assert_eq!(calls.answer(a), Some("a"));
        assert_eq!(calls.answer(a), None);
        assert!(!calls.all_answered());
        let other = calls.called("r2", "c").expect("new");
        assert_eq!(calls.answer(b), Some("b"));
        assert!(calls.all_answered());
        calls.forget_settled();
        assert!(!calls.all_answered() && calls.any_of("r2") && !calls.any_of("r1"));
        assert_eq!(calls.cut("r2", |_| true), []);
        assert_eq!(calls.cut("r2", |_| false), [other]);
        assert_eq!(calls.answer(other), None);
        assert!(!calls.all_answered());
    }

    #[test]
    fn a_response_knows_the_answers_that_came_before_it() {
        let mut calls = Calls::new(AttachmentId(1));
        let a = calls.called("r1", "a").expect("new");
        calls.answer(a);
        calls.told(a, "item-1".to_owned());
        calls.forget_known();
        assert!(calls.all_answered(), "it may have begun before the answer arrived");
        calls.accepted("item-1");
        calls.forget_known();
        assert!(!calls.all_answered(), "nothing is owed any more");
    }

    #[test]
    fn a_flood_of_calls_is_bounded() {
        let mut calls = Calls::new(AttachmentId(1));
        let begun = (0..1_000).filter(|n| calls.called("r", &n.to_string()).is_some()).count();
        assert_eq!(begun, OPEN_MAX);
    }
}
