//! Wire logs, and what the session makes of them.
//!
//! Each line of a log is one thing that happens: `{"service": {…}}` or `{"raw": "…"}` is a message of the
//! service, `{"down": "cut"}` or `{"down": [1001, "reason"]}` the end of the line, `{"at": 1500}` the
//! passing of time, `{"call": "…"}` a command. What comes of each is printed below it.

use std::time::Duration;

use expect_test::expect_file;
use serde_json::Value;
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::conversation::{Heard, ToolResult};
use voice_core::id::{AttachmentId, LineId, ToolCallId};
use voice_core::provider::{
    Provider, ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput,
};
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};
use voice_providers::openai::OpenAi;

use super::world::{reply, settings, setup};

const LINE: LineId = LineId(0);

macro_rules! wire_logs {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            let log = include_str!(concat!("../../fixtures/openai/", stringify!($name), ".jsonl"));
            let expected = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/openai/", stringify!($name), ".txt");
            expect_file![expected].assert_eq(&replay(log));
        })*
    };
}

wire_logs! {
    a_turn,
    barge_in,
    two_items_in_one_response,
    late_and_stray,
    parallel_tools,
    a_tool_cut_by_the_caller,
    errors_that_change_nothing,
    session_expired,
    refused_settings,
    failed_response,
    the_names_of_the_beta,
    an_empty_answer,
    an_answer_during_another_response,
    an_end_in_the_past,
    an_end_that_is_not_told,
    a_format_nobody_asked_for,
}

fn replay(log: &str) -> String {
    let mut session = OpenAi::new(settings().build().expect("fine")).open(setup());
    let mut now = MonoTime::ZERO;
    let mut printed = String::new();
    drain(session.as_mut(), &mut printed);
    session.handle(now, SessionInput::LineUp(LINE));
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        let step: Value = serde_json::from_str(line).expect("a log is JSON");
        printed.push_str(&shorten(line));
        printed.push('\n');
        if let Some(at) = step["at"].as_u64() {
            now = MonoTime::from_millis(at);
            session.handle(now, SessionInput::Tick);
        } else if let Some(command) = step["call"].as_str() {
            session.handle(now, SessionInput::Command(parse(command)));
        } else if !step["down"].is_null() {
            session.handle(now, SessionInput::LineDown(LINE, end(&step["down"])));
        } else {
            let text = step["raw"].as_str().map_or_else(|| step["service"].to_string(), str::to_owned);
            session.handle(now, SessionInput::Wire(LINE, &WireMessage::text(text)));
        }
        drain(session.as_mut(), &mut printed);
    }
    printed
}

fn shorten(line: &str) -> String {
    if line.len() > 160 {
        format!("{}…", line.chars().take(159).collect::<String>())
    } else {
        line.to_owned()
    }
}

fn drain(session: &mut dyn ProviderSession, printed: &mut String) {
    loop {
        let line = match session.poll() {
            SessionOutput::WaitUntil(None) => return,
            SessionOutput::WaitUntil(Some(at)) => {
                printed.push_str(&format!("    wait until {at}\n"));
                return;
            }
            SessionOutput::Dial(_, endpoint) => format!("dial {}", endpoint.url),
            SessionOutput::Send(_, message) => {
                let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
                format!("send {}", shorten(&text))
            }
            SessionOutput::HangUp(_) => "hang up".to_owned(),
            SessionOutput::Event(event) => describe(&event),
        };
        printed.push_str("    ");
        printed.push_str(&line);
        printed.push('\n');
    }
}

fn describe(event: &ProviderEvent) -> String {
    match event {
        ProviderEvent::CallerSaid { utterance, text } => {
            format!("caller said {utterance} {:?}", text.expose())
        }
        ProviderEvent::Speech { reply, audio } => format!("speech {reply}, {} bytes", audio.len()),
        ProviderEvent::Words { reply, text } => format!("words {reply} {:?}", text.expose()),
        ProviderEvent::ToolCall(call) => {
            format!("tool call {} {}({})", call.id, call.name, call.arguments.expose())
        }
        ProviderEvent::CallerSpoke(id) => format!("caller spoke {id}"),
        ProviderEvent::CallerPaused(id) => format!("caller paused {id}"),
        ProviderEvent::ReplyDone { reply, end } => format!("reply done {reply}, {end:?}"),
        ProviderEvent::ToolCancelled(id) => format!("tool cancelled {id}"),
        other => format!("{other:?}"),
    }
}

fn parse(command: &str) -> ProviderCommand {
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let heard = |pair: &str| {
        let (number, ms) = pair.split_once(':').expect("number:ms");
        Heard {
            reply: reply(number.parse().expect("a number")),
            heard: Duration::from_millis(ms.parse().expect("a number")),
            unheard: Duration::from_secs(1),
        }
    };
    match name {
        "interrupt" => ProviderCommand::Interrupt(rest.split(' ').map(heard).collect()),
        "speak" => ProviderCommand::Speak { cue: (!rest.is_empty()).then(|| rest.to_owned()) },
        "answer" => {
            let (number, output) = rest.split_once(' ').expect("number and output");
            let id = ToolCallId::new(AttachmentId(1), number.parse().expect("a number"));
            ProviderCommand::Answer { id, result: ToolResult { output: output.into(), failed: false } }
        }
        "hear" => ProviderCommand::Hear(AudioFrame::new(AudioFormat::MULAW_8K, vec![0xff; 160].into())),
        "close" => ProviderCommand::Close,
        other => panic!("no such command: {other}"),
    }
}

fn end(down: &Value) -> LineEnd {
    match down.as_array() {
        Some(closed) => LineEnd::Closed {
            code: closed[0].as_u64().expect("a code") as u16,
            reason: closed[1].as_str().expect("a reason").to_owned(),
        },
        None => LineEnd::Cut,
    }
}
