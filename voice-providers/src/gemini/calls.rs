//! Tool calls the model waits for: our ids for its ids, doubles, and what a lost connection leaves behind.

use voice_core::conversation::{ToolCall, ToolResult};
use voice_core::id::{AttachmentId, ToolCallId};
use voice_core::wire::WireMessage;

use super::wire::{Answer, FunctionCall, FunctionResponse, Outcome, ToGemini, ToolResponse};

/// Calls that wait for an answer, and doubles of one call. The call runs sixteen tools at once and answers
/// whatever exceeds them at once; what exceeds this is a peer gone mad, and ignored.
const CALLS_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Calls {
    attachment: AttachmentId,
    count: u32,
    pending: Vec<Pending>,
}

/// One call of a tool.
#[derive(Debug)]
pub(super) struct Pending {
    id: ToolCallId,
    /// The service's ids: the call's own, and those of its doubles. Vertex may give none.
    wires: Vec<String>,
    pub(super) name: String,
    arguments: String,
    /// The connection that asked is gone, and the service has forgotten that it did.
    pub(super) forgotten: bool,
}

impl Calls {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self { attachment, count: 0, pending: Vec::new() }
    }

    /// The service calls a tool. `None` for a double: it is answered together with the first.
    pub(super) fn called(&mut self, call: &FunctionCall<'_>) -> Option<ToolCall> {
        let wire = call.id.as_deref().filter(|id| !id.is_empty());
        let name = call.name.as_deref().unwrap_or_default();
        let arguments = call.args.map_or("{}", |args| args.get());
        let double = self.pending.iter_mut().filter(|pending| !pending.forgotten).find(|pending| {
            wire.is_some_and(|wire| pending.wires.iter().any(|known| known == wire))
                || (pending.name == name && pending.arguments == arguments)
        });
        if let Some(double) = double {
            let news = wire.filter(|wire| double.wires.iter().all(|known| known != wire));
            if double.wires.len() < CALLS_MAX {
                double.wires.extend(news.map(str::to_owned));
            }
            return None;
        }
        if self.pending.len() >= CALLS_MAX {
            return None;
        }
        self.count = self.count.wrapping_add(1);
        let id = ToolCallId::new(self.attachment, self.count);
        self.pending.push(Pending {
            id,
            wires: wire.map(str::to_owned).into_iter().collect(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            forgotten: false,
        });
        Some(ToolCall { id, name: name.to_owned(), arguments: arguments.to_owned().into() })
    }

    /// The service is no longer interested. Our id, if that was the last one it had for the call.
    pub(super) fn cancelled(&mut self, wire: &str) -> Option<ToolCallId> {
        let at = self.pending.iter().position(|pending| pending.wires.iter().any(|known| known == wire))?;
        let pending = &mut self.pending[at];
        pending.wires.retain(|known| known != wire);
        pending.wires.is_empty().then(|| self.pending.remove(at).id)
    }

    /// The tool has answered. `None` if nobody waits for it.
    pub(super) fn answered(&mut self, id: ToolCallId) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.id == id)?;
        Some(self.pending.remove(at))
    }

    /// The connection is gone, and with it the service's memory of its calls.
    pub(super) fn forget(&mut self) {
        for pending in &mut self.pending {
            pending.forgotten = true;
        }
    }

    /// Whether the model waits for an answer.
    pub(super) fn is_awaited(&self) -> bool {
        self.pending.iter().any(|pending| !pending.forgotten)
    }
}

impl Pending {
    /// The answer to the call and its doubles.
    pub(super) fn answer(&self, result: &ToolResult, scheduling: Option<&'static str>) -> WireMessage {
        let response = || {
            let answer = Answer::of(result.output.expose());
            if result.failed { Outcome::Error(answer) } else { Outcome::Output(answer) }
        };
        let one = |id| FunctionResponse { id, name: &self.name, response: response(), scheduling };
        let function_responses = if self.wires.is_empty() {
            vec![one(None)]
        } else {
            self.wires.iter().map(|wire| one(Some(wire.as_str()))).collect()
        };
        ToGemini::ToolResponse(ToolResponse { function_responses }).message()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(id: Option<&'a str>, name: &'a str) -> FunctionCall<'a> {
        FunctionCall { id: id.map(Into::into), name: Some(name.into()), args: None }
    }

    #[test]
    fn a_double_is_run_once_and_answered_twice() {
        let mut calls = Calls::new(AttachmentId(1));
        let first = calls.called(&call(Some("a"), "look")).expect("it is new");
        assert_eq!(calls.called(&call(Some("a"), "look")), None);
        assert_eq!(calls.called(&call(Some("b"), "look")), None);
        assert!(calls.called(&call(Some("c"), "other")).is_some());
        let result = ToolResult { output: "fine".into(), failed: false };
        let answer = calls.answered(first.id).expect("it waits").answer(&result, None);
        let expected = concat!(
            r#"{"toolResponse":{"functionResponses":[{"id":"a","name":"look","response":{"output":"fine"}},"#,
            r#"{"id":"b","name":"look","response":{"output":"fine"}}]}}"#
        );
        assert_eq!(answer, WireMessage::text(expected));
        assert!(calls.answered(first.id).is_none());
    }

    #[test]
    fn a_call_without_an_id_is_answered_by_its_name() {
        let mut calls = Calls::new(AttachmentId(1));
        let first = calls.called(&call(None, "look")).expect("it is new");
        let result = ToolResult { output: "no".into(), failed: true };
        let answer = calls.answered(first.id).expect("it waits").answer(&result, Some("SILENT"));
        let expected = concat!(
            r#"{"toolResponse":{"functionResponses":[{"name":"look","response":{"error":"no"},"#,
            r#""scheduling":"SILENT"}]}}"#
        );
        assert_eq!(answer, WireMessage::text(expected));
    }

    #[test]
    fn a_call_is_cancelled_with_its_last_id() {
        let mut calls = Calls::new(AttachmentId(1));
        let first = calls.called(&call(Some("a"), "look")).expect("it is new");
        calls.called(&call(Some("b"), "look"));
        assert_eq!(calls.cancelled("a"), None);
        assert!(calls.is_awaited());
        assert_eq!(calls.cancelled("b"), Some(first.id));
        assert_eq!(calls.cancelled("b"), None);
        assert!(!calls.is_awaited());
    }

    #[test]
    fn a_peer_gone_mad_is_bounded() {
        let mut calls = Calls::new(AttachmentId(1));
        let names: Vec<String> = (0..1_000).map(|n| format!("t{n}")).collect();
        let taken = names.iter().filter(|name| calls.called(&call(Some(name), name)).is_some()).count();
        assert_eq!(taken, CALLS_MAX);
    }
}
