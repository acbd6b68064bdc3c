//! A media stream message by message: the opening, audio, keys, marks, losses, nonsense, the end.

use std::time::Duration;

use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::carrier::{
    CarrierCommand, CarrierEnd, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession, Oddity,
};
use voice_core::id::MarkId;
use voice_core::limits::{MARKS_MAX, ODDITIES_MAX};
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};
use voice_telephony::limits::{LOSS_MAX, OPENING_MESSAGES_MAX};
use voice_telephony::opening::{Refusal, Step};
use voice_telephony::twilio::{Opened, Opening, TwilioSession};

const STREAM: &str = "MZ00112233445566778899aabbccddeeff";

fn start() -> Value {
    json!({"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": {
        "accountSid": "AC00112233445566778899aabbccddeeff",
        "callSid": "CA00112233445566778899aabbccddeeff",
        "streamSid": STREAM,
        "tracks": ["inbound"],
        "customParameters": {"ticket": "k3J", "tenant": "7"},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }})
}

fn text(message: &Value) -> WireMessage {
    WireMessage::text(message.to_string())
}

const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

/// Feeds messages to an opening, all at once.
fn open(messages: &[WireMessage]) -> Result<Option<Box<Opened>>, Refusal> {
    let mut opening = Opening::new(AT(0));
    for message in messages {
        match opening.read(AT(10), message) {
            Step::Wait(next) => opening = next,
            Step::Opened(opened) => return Ok(Some(opened)),
            Step::Refused(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

fn session() -> TwilioSession {
    let connected = text(&json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
    open(&[connected, text(&start())]).ok().flatten().expect("a good opening").session
}

#[test]
fn a_flood_of_keys_is_cut_to_what_a_telephone_can_send() {
    let mut session = session();
    let key = text(&json!({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "1"}}));
    let (mut keys, mut odd) = (0, 0);
    for at in 0..200 {
        session.handle(AT(5_000 + at), CarrierInput::Wire(&key));
        while let CarrierOutput::Event(event) = session.poll() {
            keys += u32::from(matches!(event, CarrierEvent::Digit(_)));
            odd += u32::from(matches!(event, CarrierEvent::Oddity(Oddity::TooManyKeys)));
        }
    }
    assert_eq!((keys, odd), (16, 184));
}

/// What comes out, one line each; `WaitUntil` is left out.
fn drain(session: &mut TwilioSession) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match session.poll() {
            CarrierOutput::WaitUntil(_) => return lines,
            CarrierOutput::Send(message) => {
                lines.push(String::from_utf8_lossy(message.as_bytes()).into_owned());
            }
            CarrierOutput::HangUp => lines.push("HangUp".to_owned()),
            CarrierOutput::Event(event) => lines.push(format!("Event({event:?})")),
        }
    }
}

fn tell(session: &mut TwilioSession, message: &Value) -> Vec<String> {
    session.handle(AT(20), CarrierInput::Wire(&text(message)));
    drain(session)
}

fn command(session: &mut TwilioSession, command: CarrierCommand) -> Vec<String> {
    session.handle(AT(20), CarrierInput::Command(command));
    drain(session)
}

/// Tells a fresh session these messages and compares everything that comes out.
fn check(messages: &[Value], expected: &Expect) {
    let mut session = session();
    let lines: Vec<String> = messages.iter().flat_map(|message| tell(&mut session, message)).collect();
    expected.assert_eq(&lines.join("\n"));
}

fn media(media: Value) -> Value {
    json!({"event": "media", "streamSid": STREAM, "media": media})
}

#[test]
fn a_start_says_which_call_it_is() {
    let opened = open(&[text(&start())]).ok().flatten().expect("a good opening");
    let start = &opened.start;
    assert_eq!(start.call_sid.as_str(), "CA00112233445566778899aabbccddeeff");
    assert_eq!(start.ticket.as_ref().map(|ticket| ticket.expose().as_str()), Some("k3J"));
    assert_eq!(
        start.parameters.expose().iter().collect::<Vec<_>>(),
        [(&"tenant".to_owned(), &"7".to_owned())]
    );
    assert_eq!((start.format, opened.session.format()), (AudioFormat::MULAW_8K, AudioFormat::MULAW_8K));
    assert!(!format!("{start:?}").contains("k3J"));
}

#[test]
fn what_opens_nothing_is_refused() {
    let changed = |change: fn(&mut Value)| {
        let mut message = start();
        change(&mut message);
        text(&message)
    };
    for (message, refusal) in [
        (WireMessage::Binary(Bytes::from_static(b"{}")), Refusal::Binary),
        (WireMessage::text("{"), Refusal::Unreadable),
        (WireMessage::text("[]"), Refusal::Unreadable),
        (text(&media(json!({"payload": "//8="}))), Refusal::OutOfPlace),
        (text(&json!({"event": "stop"})), Refusal::OutOfPlace),
        (text(&json!({"event": "start"})), Refusal::Unreadable),
        (changed(|m| m["streamSid"] = json!("MZ99")), Refusal::Unreadable),
        (changed(|m| m["start"]["callSid"] = json!("CA1")), Refusal::Unreadable),
        (changed(|m| m["start"]["mediaFormat"]["encoding"] = json!("audio/x-alaw")), Refusal::WrongFormat),
        (changed(|m| m["start"]["mediaFormat"]["sampleRate"] = json!("16000")), Refusal::WrongFormat),
        (changed(|m| m["start"]["mediaFormat"]["channels"] = json!(2)), Refusal::WrongFormat),
        (changed(|m| m["start"]["mediaFormat"] = Value::Null), Refusal::WrongFormat),
    ] {
        assert_eq!(open(std::slice::from_ref(&message)).map(|_| ()), Err(refusal), "{message:?}");
    }
}

#[test]
fn an_opening_does_not_wait_for_ever() {
    let noise = vec![text(&json!({"event": "weather"})); OPENING_MESSAGES_MAX as usize];
    assert_eq!(open(&noise).map(|_| ()), Err(Refusal::Flood));
    assert_eq!(open(&noise[1..]).map(|opened| opened.is_none()), Ok(true));
    let opening = Opening::new(AT(1_000));
    assert_eq!(opening.deadline(), AT(6_000));
    assert!(matches!(opening.read(AT(6_000), &text(&start())), Step::Refused(Refusal::NoStart)));
}

#[test]
fn audio_keys_and_the_end() {
    check(
        &[
            media(json!({"track": "inbound", "chunk": "1", "timestamp": "40", "payload": "f/8=".repeat(40)})),
            media(json!({"track": "inbound", "chunk": 2, "timestamp": 45, "payload": "f/8="})),
            json!({"event": "dtmf", "streamSid": STREAM, "dtmf": {"track": "inbound_track", "digit": "#"}}),
            json!({"event": "stop", "streamSid": STREAM, "stop": {}}),
            media(json!({"payload": "f/8="})),
            json!({"event": "stop", "streamSid": STREAM, "stop": {}}),
        ],
        &expect![[r#"
            Event(Oddity(BadAudio))
            Event(Audio(AudioFrame(mu-law 8 kHz, 250µs)))
            Event(Digit(Digit('#')))
            Event(Ended(Stopped))"#]],
    );
}

#[test]
fn nonsense_is_counted_by_kind() {
    check(
        &[
            json!({"event": "media", "streamSid": "MZ0", "media": {"payload": "f/8="}}),
            media(json!({"payload": "no base64"})),
            media(json!({"payload": ""})),
            media(json!({"payload": "//8A".repeat(2_667)})),
            media(json!({"track": "outbound", "payload": "f/8="})),
            media(json!({"payload": 7})),
            json!({"event": "media", "streamSid": STREAM}),
            json!({"event": "weather", "streamSid": STREAM}),
            json!({"event": "connected"}),
            start(),
            json!({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "12"}}),
            json!({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": ""}}),
            json!({"event": "mark", "streamSid": STREAM, "mark": {"name": "0.1"}}),
            json!({"event": "mark", "streamSid": STREAM, "mark": {"name": "-1.x.y"}}),
            json!({"event": "mark", "streamSid": STREAM, "mark": {}}),
        ],
        &expect![[r#"
            Event(Oddity(WrongStream))
            Event(Oddity(BadAudio))
            Event(Oddity(BadAudio))
            Event(Oddity(BadAudio))
            Event(Oddity(OutOfPlace))
            Event(Oddity(Unreadable))
            Event(Oddity(Unreadable))
            Event(Oddity(UnknownEvent))
            Event(Oddity(OutOfPlace))
            Event(Oddity(OutOfPlace))
            Event(Oddity(BadDigit))
            Event(Oddity(BadDigit))
            Event(Oddity(BadMark))
            Event(Oddity(BadMark))
            Event(Oddity(Unreadable))"#]],
    );
}

/// The losses that a stream of counters tells of, in milliseconds; each message has 20 ms of audio.
fn losses(counters: &[(Value, Value)]) -> Vec<u128> {
    let mut session = session();
    let mut losses = Vec::new();
    for (chunk, timestamp) in counters {
        let audio = format!("{}/w==", "////".repeat(53));
        let message = media(json!({"chunk": chunk, "timestamp": timestamp, "payload": audio}));
        session.handle(AT(20), CarrierInput::Wire(&text(&message)));
        loop {
            match session.poll() {
                CarrierOutput::Event(CarrierEvent::Lost(duration)) => losses.push(duration.as_millis()),
                CarrierOutput::WaitUntil(_) => break,
                CarrierOutput::Event(CarrierEvent::Audio(frame)) => assert_eq!(frame.data.len(), 160),
                CarrierOutput::Event(event) => {
                    assert_eq!(event, CarrierEvent::Oddity(Oddity::OutOfPlace));
                }
                CarrierOutput::Send(_) | CarrierOutput::HangUp => panic!("nobody asked for that"),
            }
        }
    }
    losses
}

#[test]
fn gaps_in_the_counters_are_losses() {
    let at = |chunk: u64, ms: u64| (json!(chunk.to_string()), json!(ms.to_string()));
    assert_eq!(losses(&[at(1, 40), at(2, 60), at(3, 80)]), [0_u128; 0], "no gap");
    assert_eq!(losses(&[at(1, 40), at(5, 120)]), [60], "by the clock");
    assert_eq!(losses(&[at(1, 40), at(5, 60)]), [60], "by the count, where the clock stands still");
    assert_eq!(losses(&[at(1, 40), at(2, 500)]), [0_u128; 0], "the clock alone is not believed");
    assert_eq!(losses(&[at(7, 40), at(1, 20), at(2, 40)]), [0_u128; 0], "counters that begin anew");
    assert_eq!(losses(&[at(1, 40), at(1, 40), at(2, 60)]), [0_u128; 0], "the same chunk twice");
    let none = Value::Null;
    assert_eq!(losses(&[(none.clone(), json!(40)), (none.clone(), json!(100))]), [40], "without a count");
    assert_eq!(losses(&[(none.clone(), json!(40)), (none.clone(), json!(61))]), [0_u128; 0], "rounded");
    let far = losses(&[at(1, 40), at(u64::MAX, u64::MAX), at(1, 0)]);
    assert_eq!(far, [LOSS_MAX.as_millis()], "nonsense is not believed");
}

#[test]
fn the_same_chunk_is_heard_once() {
    let chunk = || media(json!({"chunk": "1", "timestamp": "40", "payload": "f/8="}));
    check(
        &[chunk(), chunk()],
        &expect![[r#"
            Event(Audio(AudioFrame(mu-law 8 kHz, 250µs)))
            Event(Oddity(OutOfPlace))"#]],
    );
}

fn played(session: &mut TwilioSession, name: &str) -> Vec<String> {
    tell(session, &json!({"event": "mark", "streamSid": STREAM, "mark": {"name": name}}))
}

#[test]
fn commands_are_written_as_twilio_wants_them() {
    let mut session = session();
    let frame = AudioFrame::new(AudioFormat::MULAW_8K, Bytes::from_static(&[0xff, 0x7f, 0xff]));
    let empty = AudioFrame::new(AudioFormat::MULAW_8K, Bytes::new());
    let mut lines = Vec::new();
    for asked in [
        CarrierCommand::Play(frame.clone()),
        CarrierCommand::Play(empty),
        CarrierCommand::Mark(MarkId(1)),
        CarrierCommand::Clear,
        CarrierCommand::Mark(MarkId(2)),
        CarrierCommand::HangUp,
        CarrierCommand::Play(frame),
    ] {
        lines.extend(command(&mut session, asked));
    }
    expect![[r#"
        {"event":"media","streamSid":"MZ00112233445566778899aabbccddeeff","media":{"payload":"/3//"}}
        {"event":"mark","streamSid":"MZ00112233445566778899aabbccddeeff","mark":{"name":"0.1"}}
        {"event":"clear","streamSid":"MZ00112233445566778899aabbccddeeff"}
        {"event":"mark","streamSid":"MZ00112233445566778899aabbccddeeff","mark":{"name":"1.2"}}
        HangUp"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_mark_counts_as_played_once_and_only_before_a_clear() {
    let mut session = session();
    for number in 1..=3 {
        command(&mut session, CarrierCommand::Mark(MarkId(number)));
    }
    assert_eq!(played(&mut session, "0.2"), ["Event(Played(MarkId(2)))"]);
    assert_eq!(played(&mut session, "0.2"), ["Event(Oddity(BadMark))"], "a second time");
    assert_eq!(played(&mut session, "0.1"), ["Event(Oddity(BadMark))"], "an earlier one, which was lost");
    command(&mut session, CarrierCommand::Clear);
    assert_eq!(played(&mut session, "0.3"), [""; 0], "thrown away, not played");
    assert_eq!(played(&mut session, "1.3"), ["Event(Oddity(BadMark))"]);
    command(&mut session, CarrierCommand::Mark(MarkId(4)));
    assert_eq!(played(&mut session, "2.4"), ["Event(Oddity(BadMark))"], "of a future generation");
    assert_eq!(played(&mut session, "1.4"), ["Event(Played(MarkId(4)))"]);
}

#[test]
fn marks_that_never_come_back_do_not_pile_up() {
    let mut session = session();
    for number in 1..=MARKS_MAX as u64 + 2 {
        command(&mut session, CarrierCommand::Mark(MarkId(number)));
    }
    assert_eq!(played(&mut session, "0.2"), [""; 0], "forgotten, but no nonsense");
    assert_eq!(played(&mut session, "0.3"), ["Event(Played(MarkId(3)))"]);
}

#[test]
fn too_much_nonsense_ends_the_stream() {
    let mut session = session();
    for _ in 1..ODDITIES_MAX {
        session.handle(AT(20), CarrierInput::Wire(&WireMessage::text("?")));
        assert_eq!(drain(&mut session), ["Event(Oddity(Unreadable))"]);
    }
    session.handle(AT(20), CarrierInput::Wire(&WireMessage::Binary(Bytes::new())));
    assert_eq!(drain(&mut session), ["Event(Oddity(Binary))", "HangUp", "Event(Ended(Nonsense))"]);
}

#[test]
fn a_stream_that_falls_silent_is_given_up() {
    let mut session = session();
    session.handle(AT(1_000), CarrierInput::Wire(&text(&media(json!({"payload": "f/8="})))));
    drain(&mut session);
    assert!(matches!(session.poll(), CarrierOutput::WaitUntil(Some(at)) if at == AT(31_000)));
    session.handle(AT(30_999), CarrierInput::Tick);
    assert_eq!(drain(&mut session), [""; 0]);
    session.handle(AT(31_000), CarrierInput::Tick);
    assert_eq!(drain(&mut session), ["HangUp", "Event(Ended(LineDown(Cut)))"]);
    assert!(matches!(session.poll(), CarrierOutput::WaitUntil(None)));
}

#[test]
fn after_our_hang_up_only_the_end_is_told() {
    let mut session = session();
    command(&mut session, CarrierCommand::HangUp);
    assert_eq!(tell(&mut session, &media(json!({"payload": "f/8="}))), [""; 0]);
    session.handle(AT(30), CarrierInput::LineDown(LineEnd::Cut));
    session.handle(AT(31), CarrierInput::LineDown(LineEnd::Cut));
    assert_eq!(drain(&mut session), ["Event(Ended(LineDown(Cut)))"]);
}

/// Anything at all that may happen to a session.
#[derive(Clone, Debug)]
enum Happening {
    Message(String),
    Bytes(Vec<u8>),
    Command(u8),
    Down,
    Tick(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let event =
        prop_oneof![Just("media"), Just("mark"), Just("dtmf"), Just("stop"), Just("start"), Just("?")];
    let message = (event, "[0-3]\\.[0-3]|[0-9]{1,22}|.{0,5}", any::<u64>(), any::<bool>()).prop_map(
        |(event, word, number, is_ours)| {
            let sid = if is_ours { STREAM } else { "MZ" };
            json!({"event": event, "streamSid": sid, "mark": {"name": word}, "dtmf": {"digit": word},
                   "media": {"chunk": word, "timestamp": number, "payload": "f/8="}})
            .to_string()
        },
    );
    prop_oneof![
        8 => message.prop_map(Happening::Message),
        2 => ".{0,40}".prop_map(Happening::Message),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Happening::Bytes),
        4 => (0_u8..4).prop_map(Happening::Command),
        1 => Just(Happening::Down),
        1 => (0_u64..40_000).prop_map(Happening::Tick),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_ends_once_and_then_is_silent(
        happenings in proptest::collection::vec(happening(), 0..120),
    ) {
        let mut session = session();
        let (mut now, mut ends, mut marks) = (AT(20), 0, 0);
        for happening in happenings {
            let message;
            let input = match happening {
                Happening::Message(text) => {
                    message = WireMessage::text(text);
                    CarrierInput::Wire(&message)
                }
                Happening::Bytes(bytes) => {
                    message = WireMessage::Binary(bytes.into());
                    CarrierInput::Wire(&message)
                }
                Happening::Command(0) => CarrierInput::Command(CarrierCommand::Clear),
                Happening::Command(1) => {
                    marks += 1;
                    CarrierInput::Command(CarrierCommand::Mark(MarkId(marks)))
                }
                Happening::Command(2) => {
                    let audio = Bytes::from_static(&[0xff; 160]);
                    CarrierInput::Command(CarrierCommand::Play(AudioFrame::new(AudioFormat::MULAW_8K, audio)))
                }
                Happening::Command(_) => CarrierInput::Command(CarrierCommand::HangUp),
                Happening::Down => CarrierInput::LineDown(LineEnd::Cut),
                Happening::Tick(ms) => {
                    now += Duration::from_millis(ms);
                    CarrierInput::Tick
                }
            };
            session.handle(now, input);
            loop {
                match session.poll() {
                    CarrierOutput::WaitUntil(_) => break,
                    _ if ends > 0 => prop_assert!(false, "something came after the end"),
                    CarrierOutput::Event(CarrierEvent::Ended(_)) => ends += 1,
                    CarrierOutput::Event(CarrierEvent::Played(MarkId(mark))) => prop_assert!(mark <= marks),
                    CarrierOutput::Event(_) | CarrierOutput::Send(_) | CarrierOutput::HangUp => {}
                }
            }
        }
        session.handle(now, CarrierInput::LineDown(LineEnd::Cut));
        let told = drain(&mut session);
        prop_assert_eq!(ends + told.len(), 1);
    }

    #[test]
    fn any_first_messages_open_or_are_refused(texts in proptest::collection::vec(".{0,60}", 0..12)) {
        let messages: Vec<WireMessage> = texts.into_iter().map(WireMessage::text).collect();
        let _ = open(&messages).map(|opened| opened.is_some());
    }

    /// A true start with one byte changed opens the same stream, another, or none; it never panics.
    #[test]
    fn a_damaged_start_never_panics(at in 0_usize..400, byte in 0x20_u8..0x7f) {
        let mut message = start().to_string().into_bytes();
        let length = message.len();
        message[at % length] = byte;
        let message = WireMessage::text(String::from_utf8(message).expect("ASCII"));
        let _ = open(&[message]).map(|opened| opened.map(|opened| opened.start));
    }
}

#[test]
fn ends_have_their_reasons() {
    let mut session = session();
    let end = LineEnd::Closed { code: 1001, reason: String::new() };
    session.handle(AT(20), CarrierInput::LineDown(end.clone()));
    let CarrierOutput::Event(CarrierEvent::Ended(CarrierEnd::LineDown(told))) = session.poll() else {
        panic!("an end")
    };
    assert_eq!(told, end);
}
