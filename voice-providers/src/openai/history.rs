//! The conversation so far, in the service's form (protocol notes, OpenAI Realtime §10).

use std::borrow::Cow;

use voice_core::conversation::{ToolCall, ToolResult, Turn};
use voice_core::id::{AttachmentId, ToolCallId};

use super::wire::{self, Content, Item};

/// Turns what was said elsewhere into items of this conversation.
#[derive(Debug)]
pub(super) struct History {
    attachment: AttachmentId,
    items: u32,
    /// Calls of tools whose result was not known when they were told.
    pending: Vec<ToolCallId>,
}

impl History {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self { attachment, items: 0, pending: Vec::new() }
    }

    /// Hands over the items for these turns, each with an id of ours.
    pub(super) fn tell(&mut self, turns: &[Turn], mut create: impl FnMut(&str, Item<'_>)) {
        let newest = newest_that_fit(turns);
        if newest.len() < turns.len() {
            self.note("The beginning of this conversation is left out.", &mut create);
        }
        for turn in newest {
            self.turn(turn, &mut create);
        }
    }

    /// Hands over something the model should know that nobody said.
    pub(super) fn note(&mut self, text: &str, mut create: impl FnMut(&str, Item<'_>)) {
        self.message("system", "input_text", text, &mut create);
    }

    /// Hands over what came of a call of a tool that the service itself made.
    pub(super) fn output(
        &mut self,
        call_id: &str,
        result: &ToolResult,
        mut create: impl FnMut(&str, Item<'_>),
    ) {
        let id = self.next_id();
        create(&id, Item::FunctionCallOutput { id: &id, call_id, output: result.output.expose() });
    }

    fn turn(&mut self, turn: &Turn, create: &mut impl FnMut(&str, Item<'_>)) {
        match turn {
            Turn::Caller { text } if text.expose().trim().is_empty() => {
                self.message("user", "input_text", "[something that could not be understood]", create);
            }
            Turn::Caller { text } => self.message("user", "input_text", text.expose(), create),
            // Nothing of it was heard, so it was never said.
            Turn::Voice { text, .. } if text.expose().trim().is_empty() => {}
            Turn::Voice { text, cut } => {
                let text = text.expose();
                let text = if *cut { Cow::Owned(format!("{text}…")) } else { Cow::Borrowed(text.as_str()) };
                self.message("assistant", "output_text", &text, create);
            }
            Turn::Tool { call, result } => self.tool(call, result.as_ref(), create),
            Turn::Note { text } => self.message("system", "input_text", text.expose(), create),
        }
    }

    fn tool(
        &mut self,
        call: &ToolCall,
        result: Option<&ToolResult>,
        create: &mut impl FnMut(&str, Item<'_>),
    ) {
        if let Some(at) = self.pending.iter().position(|pending| *pending == call.id) {
            // The call has an output already; a second one for the same call would be refused.
            if let Some(result) = result {
                self.pending.remove(at);
                let text = format!("The tool {} has now answered: {}", call.name, result.output.expose());
                self.message("system", "input_text", &text, create);
            }
            return;
        }
        let call_id = format!("call_{:x}_{:x}", call.id.attachment().0, call.id.number());
        let name = clean_name(&call.name);
        // The model may have written nonsense, but the service wants JSON back.
        let arguments = wire::raw_object(call.arguments.expose()).map_or("{}", |raw| raw.get());
        let id = self.next_id();
        create(&id, Item::FunctionCall { id: &id, call_id: &call_id, name: &name, arguments });
        if result.is_none() {
            self.pending.push(call.id);
        }
        let output = result.map_or(STILL_RUNNING, |result| result.output.expose());
        let id = self.next_id();
        create(&id, Item::FunctionCallOutput { id: &id, call_id: &call_id, output });
    }

    fn message(
        &mut self,
        role: &'static str,
        kind: &'static str,
        text: &str,
        create: &mut impl FnMut(&str, Item<'_>),
    ) {
        let id = self.next_id();
        create(&id, Item::Message { id: &id, role, content: [Content { kind, text }] });
    }

    /// Unique within the service's session, and far below 32 characters, the beta's limit.
    fn next_id(&mut self) -> String {
        self.items += 1;
        format!("told_{:x}_{:x}", self.attachment.0, self.items)
    }
}

/// An output is due for every call, or the service waits for it.
const STILL_RUNNING: &str = "Still running. The result will be told as soon as it is known.";

/// Text that is told at most. The line takes 256 KiB before it counts as clogged; names of fields and
/// escaped characters need the rest. At 50 bytes a second of talk this is half an hour.
const TOLD_BYTES_MAX: usize = 96 << 10;

/// The end of the conversation, as long as it may be.
fn newest_that_fit(turns: &[Turn]) -> &[Turn] {
    let mut room = TOLD_BYTES_MAX;
    let fits = turns.iter().rev().take_while(|turn| {
        let needs = bytes_of(turn);
        let fits = needs <= room;
        room = room.saturating_sub(needs);
        fits
    });
    &turns[turns.len() - fits.count()..]
}

fn bytes_of(turn: &Turn) -> usize {
    match turn {
        Turn::Caller { text } | Turn::Voice { text, .. } | Turn::Note { text } => text.expose().len(),
        Turn::Tool { call, result } => {
            let output = result.as_ref().map_or(0, |result| result.output.expose().len());
            call.name.len() + call.arguments.expose().len() + output
        }
    }
}

/// A name that the service accepts, whatever another service's model has made up.
fn clean_name(name: &str) -> String {
    let clean: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(64).collect();
    if clean.is_empty() { "unnamed".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(history: &mut History, turns: &[Turn]) -> Vec<String> {
        let mut told = Vec::new();
        history.tell(turns, |_, item| told.push(serde_json::to_string(&item).expect("json")));
        told
    }

    #[test]
    fn a_long_conversation_loses_its_beginning() {
        let turns: Vec<Turn> =
            (0..100).map(|n| Turn::Caller { text: format!("{n} {}", "x".repeat(2_000)).into() }).collect();
        let told = told(&mut History::new(AttachmentId(1)), &turns);
        assert!(told.len() < 60, "{}", told.len());
        assert!(told[0].contains("left out"));
        assert!(told.last().is_some_and(|last| last.contains("\"99 xx")));
        assert!(told.iter().map(String::len).sum::<usize>() < 128 << 10);
    }

    #[test]
    fn a_tool_that_ran_during_the_switch_is_told_twice_but_called_once() {
        let id = ToolCallId::new(AttachmentId(3), 7);
        let call = ToolCall { id, name: "look up".into(), arguments: "not json".into() };
        let mut history = History::new(AttachmentId(4));
        let before = told(&mut history, &[Turn::Tool { call: call.clone(), result: None }]);
        assert!(before[0].contains(r#""call_id":"call_3_7","name":"lookup","arguments":"{}""#), "{before:?}");
        assert!(before[1].contains(r#""call_id":"call_3_7","output":"Still running"#), "{before:?}");
        let result = ToolResult { output: "found".into(), failed: false };
        let after = told(&mut history, &[Turn::Tool { call, result: Some(result) }]);
        assert_eq!(after.len(), 1);
        assert!(after[0].contains("system") && after[0].contains("has now answered: found"), "{after:?}");
    }
}
