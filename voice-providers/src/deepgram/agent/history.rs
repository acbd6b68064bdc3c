//! The conversation so far, in the service's form: messages before the session, and lines in the prompt.

use std::borrow::Cow;

use voice_core::conversation::{ToolCall, ToolResult, Turn};

use super::wire::{self, FunctionCall, Message, MessageContent};

/// What was said before the session began.
pub(super) struct Seed<'a> {
    /// Turns of either side, and tools with their results.
    pub(super) messages: Vec<Message<'a>>,
    /// What nobody said: the history knows callers and voices only, so that it goes into the prompt.
    pub(super) notes: Vec<Cow<'a, str>>,
}

/// The newest turns that fit.
pub(super) fn seed(turns: &[Turn]) -> Seed<'_> {
    let turns = newest_that_fit(turns, HISTORY_BYTES_MAX);
    let mut seed = Seed { messages: Vec::with_capacity(turns.len()), notes: Vec::new() };
    for turn in turns {
        match turn {
            Turn::Caller { text } => seed.say("user", caller_words(text.expose())),
            // Nothing of it was heard, so it was never said.
            Turn::Voice { text, .. } if text.expose().trim().is_empty() => {}
            Turn::Voice { text, cut } => seed.say("assistant", voice_words(text.expose(), *cut)),
            Turn::Tool { call, result } if is_name(&call.name) => seed.call(call, result.as_ref()),
            Turn::Tool { .. } => seed.notes.push(line(turn).into()),
            Turn::Note { text } => seed.notes.push(text.expose().into()),
        }
    }
    seed
}

/// The instructions, with the notes behind them.
pub(super) fn prompt(instructions: &str, notes: &[Cow<'_, str>]) -> String {
    let mut prompt = instructions.to_owned();
    if !notes.is_empty() {
        prompt.push_str("\n\nWhat is known from earlier in this call:");
    }
    for note in notes {
        prompt.push_str("\n- ");
        prompt.push_str(note);
    }
    prompt
}

/// Turns that were spoken elsewhere while this session was warming up, as an addition to the prompt.
pub(super) fn catch_up(turns: &[Turn]) -> String {
    let mut text = "Meanwhile, in this same call:".to_owned();
    for turn in newest_that_fit(turns, CATCH_UP_BYTES_MAX) {
        text.push_str("\n- ");
        text.push_str(&line(turn));
    }
    text
}

/// Something that the model should know, as an addition to the prompt.
pub(super) fn note(text: &str) -> String {
    format!("A note about this call, which nobody said aloud: {text}")
}

impl<'a> Seed<'a> {
    fn say(&mut self, role: &'static str, content: Cow<'a, str>) {
        self.messages.push(Message { content: MessageContent::Said { role, content } });
    }

    fn call(&mut self, call: &'a ToolCall, result: Option<&'a ToolResult>) {
        let function = FunctionCall {
            // Minds of every maker take letters, digits and `_`.
            id: format!("call_{}_{}", call.id.attachment().0, call.id.number()),
            name: &call.name,
            client_side: true,
            // Replayed to minds that refuse arguments which are no object.
            arguments: wire::object(call.arguments.expose()).map_or("{}", |object| object.get()),
            response: response(result),
        };
        self.messages.push(Message { content: MessageContent::Called { function_calls: [function] } });
    }
}

/// The content of an answer: what the tool said, or that it failed and why.
pub(super) fn response(result: Option<&ToolResult>) -> Cow<'_, str> {
    match result {
        None => "It is still running; the answer will follow.".into(),
        Some(ToolResult { output, failed: false }) => output.expose().into(),
        Some(ToolResult { output, failed: true }) => {
            wire::ToolError { error: output.expose() }.to_json().into()
        }
    }
}

fn line(turn: &Turn) -> String {
    match turn {
        Turn::Caller { text } => format!("The caller said: {}", caller_words(text.expose())),
        Turn::Voice { text, cut } => format!("You said: {}", voice_words(text.expose(), *cut)),
        Turn::Tool { call, result } => {
            let (name, arguments) = (&call.name, call.arguments.expose());
            format!("You called the tool {name} with {arguments}. Its answer: {}", response(result.as_ref()))
        }
        Turn::Note { text } => text.expose().clone(),
    }
}

fn caller_words(text: &str) -> Cow<'_, str> {
    if text.trim().is_empty() { "(something that could not be understood)".into() } else { text.into() }
}

fn voice_words(text: &str, cut: bool) -> Cow<'_, str> {
    if cut { format!("{text}…").into() } else { text.into() }
}

fn newest_that_fit(turns: &[Turn], bytes_max: usize) -> &[Turn] {
    let mut bytes = 0;
    let fitting = turns.iter().rev().take_while(|turn| {
        bytes += size(turn);
        bytes <= bytes_max
    });
    &turns[turns.len() - fitting.count()..]
}

fn size(turn: &Turn) -> usize {
    const FRAME: usize = 128;
    FRAME
        + match turn {
            Turn::Caller { text } | Turn::Voice { text, .. } | Turn::Note { text } => text.expose().len(),
            Turn::Tool { call, result } => {
                let output = result.as_ref().map_or(0, |result| result.output.expose().len());
                call.name.len() + call.arguments.expose().len() + output
            }
        }
}

/// What every mind accepts as the name of a tool.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

/// Of a line's backlog (`limits::LINE_BACKLOG_BYTES_MAX`), this much is for the history; JSON escapes
/// may double it.
const HISTORY_BYTES_MAX: usize = 64 << 10;

/// Minds that Deepgram manages take a prompt of 25,000 characters in all.
const CATCH_UP_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use voice_core::id::{AttachmentId, ToolCallId};

    use super::*;

    fn tool(name: &str, arguments: &str, result: Option<ToolResult>) -> Turn {
        let id = ToolCallId::new(AttachmentId(1), 2);
        Turn::Tool { call: ToolCall { id, name: name.into(), arguments: arguments.into() }, result }
    }

    #[test]
    fn every_kind_of_turn_has_its_form() {
        let answer = |text: &str, failed| Some(ToolResult { output: text.into(), failed });
        let turns = [
            Turn::Caller { text: "Hi".into() },
            Turn::Caller { text: " ".into() },
            Turn::Voice { text: "Good mor".into(), cut: true },
            Turn::Voice { text: "".into(), cut: true },
            tool("look", r#"{"a":1}"#, answer("found", false)),
            tool("look", "not json", answer("no \"such\" thing", true)),
            tool("look", "{}", None),
            tool("no name", "{}", answer("x", false)),
            Turn::Note { text: "Pressed 5.".into() },
        ];
        let seed = seed(&turns);
        let messages = serde_json::to_string(&seed.messages).expect("text");
        let call =
            r#"{"type":"History","function_calls":[{"id":"call_1_2","name":"look","client_side":true,"#;
        let wanted = [
            r#"[{"type":"History","role":"user","content":"Hi"},"#.to_owned(),
            r#"{"type":"History","role":"user","content":"(something that could not be understood)"},"#
                .into(),
            r#"{"type":"History","role":"assistant","content":"Good mor…"},"#.into(),
            format!(r#"{call}"arguments":"{{\"a\":1}}","response":"found"}}]}},"#),
            format!(r#"{call}"arguments":"{{}}","response":"{{\"error\":\"no \\\"such\\\" thing\"}}"}}]}},"#),
            format!(
                r#"{call}"arguments":"{{}}","response":"It is still running; the answer will follow."}}]}}]"#
            ),
        ];
        assert_eq!(messages, wanted.concat());
        assert_eq!(
            prompt("Be kind.", &seed.notes),
            "Be kind.\n\nWhat is known from earlier in this call:\
             \n- You called the tool no name with {}. Its answer: x\n- Pressed 5."
        );
        assert_eq!(prompt("Be kind.", &[]), "Be kind.");
    }

    #[test]
    fn the_oldest_are_left_out_when_it_is_too_much() {
        let long = |n: usize| Turn::Caller { text: format!("{n}{}", "x".repeat(20_000)).into() };
        let turns: Vec<Turn> = (0..9).map(long).collect();
        let seeded = seed(&turns).messages;
        assert_eq!(seeded.len(), 3);
        assert!(
            matches!(&seeded[0].content, MessageContent::Said { content, .. } if content.starts_with('6'))
        );
        assert!(catch_up(&turns).len() < 100, "none fits, and none is cut in the middle");
    }
}
