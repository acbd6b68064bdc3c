//! Tools that run: which, for whom, since when. A tool that never answers never blocks a conversation.

use std::time::Duration;

use crate::conversation::{ToolCall, ToolDefinition, ToolResult, Turn};
use crate::id::ToolCallId;
use crate::limits;
use crate::time::MonoTime;

/// Tool calls under way, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    running: Vec<Running>,
    /// Those that answered while nobody was live; for whoever is next.
    pub(crate) late_answers: Vec<Turn>,
}

#[derive(Debug)]
struct Running {
    id: ToolCallId,
    since: MonoTime,
    due: MonoTime,
}

/// What to do about a call of a tool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Run it.
    Run,
    /// Tell the model why not; it can act on the sentence.
    Refuse(String),
}

impl Tools {
    /// Decides about a call, and remembers it if it is to run.
    pub(crate) fn admit(
        &mut self,
        now: MonoTime,
        call: &ToolCall,
        known: &[ToolDefinition],
        limit: Duration,
    ) -> Admission {
        if self.running.iter().any(|running| running.id == call.id) {
            return Admission::Refuse("this call is already running".to_owned());
        }
        if !known.iter().any(|tool| tool.name == call.name) {
            let names: Vec<&str> = known.iter().map(|tool| tool.name.as_str()).collect();
            return Admission::Refuse(format!("there is no such tool; there are: {}", names.join(", ")));
        }
        if call.arguments.expose().len() > limits::TOOL_ARGUMENTS_BYTES_MAX {
            return Admission::Refuse("the arguments are too long".to_owned());
        }
        if self.running.len() >= limits::TOOLS_RUNNING_MAX {
            return Admission::Refuse("too many tools are running; wait for their answers".to_owned());
        }
        self.running.push(Running { id: call.id, since: now, due: now + limit });
        Admission::Run
    }

    /// The tool is no longer awaited; how long it ran, or `None` if nobody waited for it.
    pub(crate) fn finish(&mut self, now: MonoTime, id: ToolCallId) -> Option<Duration> {
        let at = self.running.iter().position(|running| running.id == id)?;
        Some(now.since(self.running.remove(at).since))
    }

    /// A tool that has taken too long.
    pub(crate) fn overdue(&self, now: MonoTime) -> Option<ToolCallId> {
        self.running.iter().find(|running| running.due <= now).map(|running| running.id)
    }

    pub(crate) fn wakes_at(&self) -> Option<MonoTime> {
        self.running.iter().map(|running| running.due).min()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// What runs, in the order in which it was asked for.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn running(&self) -> impl Iterator<Item = ToolCallId> {
        self.running.iter().map(|running| running.id)
    }

    /// Everything that runs, when nobody is interested any more.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = ToolCallId> + use<> {
        std::mem::take(&mut self.running).into_iter().map(|running| running.id)
    }
}

/// The answer when there is none.
pub(crate) fn failed(why: impl Into<String>) -> ToolResult {
    ToolResult { output: why.into().into(), failed: true }
}

/// An answer as long as we pass it on; the model is told if it was cut.
pub(crate) fn bounded(result: ToolResult) -> ToolResult {
    let mut output = result.output.into_inner();
    if output.len() > limits::TOOL_OUTPUT_BYTES_MAX {
        let mut end = limits::TOOL_OUTPUT_BYTES_MAX;
        while !output.is_char_boundary(end) {
            end -= 1;
        }
        output.truncate(end);
        output.push_str(" [cut: the answer was too long]");
    }
    ToolResult { output: output.into(), failed: result.failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AttachmentId;

    fn call(n: u32, name: &str) -> ToolCall {
        ToolCall { id: ToolCallId::new(AttachmentId(1), n), name: name.into(), arguments: "{}".into() }
    }

    #[test]
    fn what_cannot_run_is_refused_with_a_reason() {
        let known =
            [ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() }];
        let limit = Duration::from_secs(1);
        let now = MonoTime::from_millis(5);
        let mut tools = Tools::default();
        assert_eq!(tools.admit(now, &call(1, "look"), &known, limit), Admission::Run);
        assert!(matches!(tools.admit(now, &call(1, "look"), &known, limit), Admission::Refuse(_)));
        assert_eq!(
            tools.admit(now, &call(2, "lok"), &known, limit),
            Admission::Refuse("there is no such tool; there are: look".into())
        );
        let long = ToolCall {
            arguments: "x".repeat(limits::TOOL_ARGUMENTS_BYTES_MAX + 1).into(),
            ..call(3, "look")
        };
        assert!(matches!(tools.admit(now, &long, &known, limit), Admission::Refuse(_)));
        for n in 10..10 + limits::TOOLS_RUNNING_MAX as u32 - 1 {
            assert_eq!(tools.admit(now, &call(n, "look"), &known, limit), Admission::Run);
        }
        assert!(matches!(tools.admit(now, &call(99, "look"), &known, limit), Admission::Refuse(_)));
    }

    #[test]
    fn overdue_tools_are_found() {
        let known =
            [ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() }];
        let mut tools = Tools::default();
        tools.admit(MonoTime::ZERO, &call(1, "look"), &known, Duration::from_secs(1));
        assert_eq!(tools.overdue(MonoTime::from_millis(999)), None);
        assert_eq!(tools.overdue(MonoTime::from_millis(1_000)), Some(call(1, "").id));
        assert_eq!(
            tools.finish(MonoTime::from_millis(1_200), call(1, "").id),
            Some(Duration::from_millis(1_200))
        );
        assert_eq!(tools.finish(MonoTime::from_millis(1_300), call(1, "").id), None);
    }

    #[test]
    fn long_answers_are_cut_and_say_so() {
        let long = ToolResult { output: "ä".repeat(limits::TOOL_OUTPUT_BYTES_MAX).into(), failed: false };
        let cut = bounded(long).output.into_inner();
        assert!(cut.len() < limits::TOOL_OUTPUT_BYTES_MAX + 40 && cut.ends_with("too long]"));
    }
}
