//! Nothing a service sends makes the session panic, grow without a bound, or give away a secret.

use std::time::Duration;

use voice_core::failure::Failure;
use voice_core::id::LineId;
use voice_core::provider::{Provider, ProviderEvent, ProviderSession, SessionInput, SessionOutput};
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;
use voice_providers::openai::OpenAi;

use super::world::{KEY, settings, setup};

const LINE: LineId = LineId(0);

/// Every message the service may send, as a text to be spoilt.
const MESSAGES: &[&str] = &[
    r#"{"type":"session.created","session":{"id":"sess_1","expires_at":1795233600}}"#,
    r#"{"type":"session.updated","session":{"audio":{"input":{"format":{"type":"audio/pcmu"}}}}}"#,
    r#"{"type":"input_audio_buffer.speech_started","item_id":"item_1","audio_start_ms":10}"#,
    r#"{"type":"input_audio_buffer.committed","item_id":"item_1","previous_item_id":null}"#,
    r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_1","transcript":"hi"}"#,
    r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#,
    r#"{"type":"response.output_audio.delta","response_id":"resp_1","item_id":"item_2","delta":"AAAA"}"#,
    r#"{"type":"response.output_audio_transcript.delta","response_id":"resp_1","item_id":"item_2","delta":"yes"}"#,
    r#"{"type":"response.output_item.done","response_id":"resp_1","item":{"id":"item_3","type":"function_call","status":"completed","call_id":"call_1","name":"lookup_order","arguments":"{}"}}"#,
    r#"{"type":"response.done","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":10,"input_token_details":{"cached_tokens":4294967295,"text_tokens":1}}}}"#,
    r#"{"type":"error","error":{"type":"invalid_request_error","code":"x","event_id":"respond-1"}}"#,
];

fn open() -> Box<dyn ProviderSession> {
    let mut session = OpenAi::new(settings().build().expect("fine")).open(setup());
    while !matches!(session.poll(), SessionOutput::WaitUntil(_)) {}
    session.handle(MonoTime::ZERO, SessionInput::LineUp(LINE));
    session
}

fn feed(session: &mut dyn ProviderSession, now: MonoTime, message: &WireMessage) -> Vec<ProviderEvent> {
    session.handle(now, SessionInput::Wire(LINE, message));
    let mut events = Vec::new();
    loop {
        match session.poll() {
            SessionOutput::Event(event) => events.push(event),
            SessionOutput::WaitUntil(_) => return events,
            SessionOutput::Dial(..) | SessionOutput::Send(..) | SessionOutput::HangUp(_) => {}
        }
    }
}

#[test]
fn spoilt_messages_are_survived() {
    let mut rng = Rng::new(60);
    let mut ready = 0;
    for _ in 0..2_000 {
        let mut session = open();
        let mut now = MonoTime::ZERO;
        for message in MESSAGES {
            let mut bytes = message.as_bytes().to_vec();
            if rng.percent(20) {
                spoil(&mut rng, &mut bytes);
            }
            now += Duration::from_millis(rng.range(0..50));
            let message = match String::from_utf8(bytes) {
                Ok(text) if !rng.percent(2) => WireMessage::text(text),
                Ok(text) => WireMessage::Binary(text.into()),
                Err(error) => WireMessage::Binary(error.into_bytes().into()),
            };
            let events = feed(session.as_mut(), now, &message);
            ready += events.iter().filter(|event| matches!(event, ProviderEvent::Ready { .. })).count();
        }
    }
    assert!((200..2_000).contains(&ready), "some get through, some do not: {ready}");
}

fn spoil(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.range(0..bytes.len() as u64) as usize;
    match rng.range(0..5) {
        0 => bytes.truncate(at),
        1 => bytes[at] = rng.bits() as u8,
        2 => bytes.insert(at, b'"'),
        3 => drop(bytes.remove(at)),
        _ => {
            let tail = bytes.split_off(at);
            bytes.extend(tail.iter().rev());
        }
    }
}

#[test]
fn after_so_many_unreadable_messages_the_session_is_given_up() {
    let mut session = open();
    let mut events = Vec::new();
    for _ in 0..100 {
        events.extend(feed(session.as_mut(), MonoTime::ZERO, &WireMessage::text("{")));
    }
    let unreadable = ProviderEvent::Unknown { kind: "unreadable".into() };
    assert_eq!(events.len(), 21);
    assert!(events[..20].iter().all(|event| *event == unreadable));
    assert_eq!(events[20], ProviderEvent::Failed(Failure::Unreadable("message")));
}

#[test]
fn nothing_private_is_printed() {
    let mut session = OpenAi::new(settings().build().expect("fine")).open(setup());
    let mut printed = format!("{:?}", settings());
    printed += &format!("{:?}", OpenAi::new(settings().build().expect("fine")));
    loop {
        let output = session.poll();
        printed += &format!("{output:?}");
        if matches!(output, SessionOutput::WaitUntil(_)) {
            break;
        }
    }
    session.handle(MonoTime::ZERO, SessionInput::LineUp(LINE));
    for message in MESSAGES {
        for event in feed(session.as_mut(), MonoTime::ZERO, &WireMessage::text(*message)) {
            printed += &format!("{event:?}");
        }
    }
    assert!(printed.contains("ToolCall") && printed.contains("CallerSaid"));
    assert!(
        !printed.contains(KEY) && !printed.contains("hi\"") && !printed.contains("book shop"),
        "{printed}"
    );
}
