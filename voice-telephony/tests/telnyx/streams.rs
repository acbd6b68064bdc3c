//! A media stream message by message: the opening, audio in order, keys, marks, nonsense, the end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::carrier::{CarrierCommand, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession};
use voice_core::id::MarkId;
use voice_core::limits::ODDITIES_MAX;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};
use voice_telephony::limits::OPENING_MESSAGES_MAX;
use voice_telephony::opening::{Refusal, Step};
use voice_telephony::telnyx::{ByteOrder, Codec, Expected, Opened, Opening, TelnyxSession};

const STREAM: &str = "32de0dea-53cb-4b21-89a4-9e1819c043bc";
const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

fn start() -> Value {
    json!({"event": "start", "sequence_number": "1", "stream_id": STREAM, "start": {
        "user_id": "u", "call_control_id": "v3:abc", "call_session_id": "s", "from": "+15005550009",
        "to": "+15005550006", "tags": [], "client_state": "c3RhdGU=", "custom_parameters": {"ticket": "k3J"},
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    }})
}

fn text(message: &Value) -> WireMessage {
    WireMessage::text(message.to_string())
}

fn open_as(messages: &[WireMessage], expected: Expected) -> Result<Option<Box<Opened>>, Refusal> {
    let mut opening = Opening::new(AT(0), expected, None);
    for message in messages {
        match opening.read(AT(10), message) {
            Step::Wait(next) => opening = next,
            Step::Opened(opened) => return Ok(Some(opened)),
            Step::Refused(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}

fn open(messages: &[WireMessage]) -> Result<Option<Box<Opened>>, Refusal> {
    open_as(messages, Expected::new(Codec::Pcmu))
}

fn session() -> TelnyxSession {
    let connected = text(&json!({"event": "connected", "version": "1.0.0"}));
    open(&[connected, text(&start())]).ok().flatten().expect("a good opening").session
}

/// A session that receives one thing and sends another.
fn session_of(encoding: &str, rate: u32, expected: Expected) -> TelnyxSession {
    let mut start = start();
    start["start"]["media_format"] = json!({"encoding": encoding, "sample_rate": rate, "channels": 1});
    open_as(&[text(&start)], expected).ok().flatten().expect("a good opening").session
}

fn outputs(session: &mut TelnyxSession) -> Vec<CarrierOutput> {
    let mut outputs = Vec::new();
    loop {
        let output = session.poll();
        if matches!(output, CarrierOutput::WaitUntil(_)) {
            return outputs;
        }
        outputs.push(output);
    }
}

/// What comes out, one line each.
fn drain(session: &mut TelnyxSession) -> Vec<String> {
    let shown = |output| match output {
        CarrierOutput::Send(message) => String::from_utf8_lossy(message.as_bytes()).into_owned(),
        CarrierOutput::HangUp => "HangUp".to_owned(),
        CarrierOutput::Event(CarrierEvent::Audio(frame)) => {
            format!("{} x{} {}", frame.format, frame.data.len(), frame.data[0])
        }
        CarrierOutput::Event(event) => format!("{event:?}"),
        CarrierOutput::WaitUntil(_) => unreachable!("left out"),
    };
    outputs(session).into_iter().map(shown).collect()
}

fn tell_at(session: &mut TelnyxSession, at: u64, message: &Value) -> Vec<String> {
    session.handle(AT(at), CarrierInput::Wire(&text(message)));
    drain(session)
}

fn tell(session: &mut TelnyxSession, message: &Value) -> Vec<String> {
    tell_at(session, 20, message)
}

fn command(session: &mut TelnyxSession, command: CarrierCommand) -> Vec<String> {
    session.handle(AT(20), CarrierInput::Command(command));
    drain(session)
}

fn check(messages: &[Value], expected: &Expect) {
    let mut session = session();
    let lines: Vec<String> = messages.iter().flat_map(|message| tell(&mut session, message)).collect();
    expected.assert_eq(&lines.join("\n"));
}

/// 20 ms of this byte.
fn chunk(number: u64, byte: u8) -> Value {
    media(
        json!({"track": "inbound", "chunk": number.to_string(), "timestamp": number.saturating_mul(20).to_string(),
        "payload": STANDARD.encode([byte; 160])}),
    )
}

fn media(media: Value) -> Value {
    json!({"event": "media", "sequence_number": "4", "stream_id": STREAM, "media": media})
}

fn mark(name: &str) -> Value {
    json!({"event": "mark", "stream_id": STREAM, "mark": {"name": name}})
}

fn key(digit: &str, at: &str) -> Value {
    json!({"event": "dtmf", "stream_id": STREAM, "occurred_at": at, "dtmf": {"digit": digit}})
}

#[test]
fn a_start_says_which_call_it_is() {
    let opened = open(&[text(&start())]).ok().flatten().expect("a good opening");
    let start = &opened.start;
    assert_eq!((start.call_control_id.as_str(), start.stream_id.as_str()), ("v3:abc", STREAM));
    assert_eq!(start.ticket.as_ref().map(|ticket| ticket.expose().as_str()), Some("k3J"));
    assert_eq!(start.client_state.as_deref(), Some(&b"state"[..]));
    assert_eq!((start.received, opened.session.format()), (Codec::Pcmu, AudioFormat::MULAW_8K));
    assert!(!format!("{start:?}").contains("k3J"));
}

#[test]
fn the_ticket_of_the_upgrade_counts_first() {
    let shown = Some(Secret::new("of the upgrade".to_owned()));
    let opening = Opening::new(AT(0), Expected::new(Codec::Pcmu), shown.clone());
    assert!(!format!("{opening:?}").contains("of the upgrade"));
    let Step::Opened(opened) = opening.read(AT(1), &text(&start())) else { panic!("not opened") };
    assert_eq!(opened.start.ticket, shown);
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
        (text(&chunk(1, 0)), Refusal::OutOfPlace),
        (text(&json!({"event": "stop"})), Refusal::OutOfPlace),
        (text(&json!({"event": "start"})), Refusal::Unreadable),
        (changed(|m| m["stream_id"] = json!(null)), Refusal::Unreadable),
        (changed(|m| m["start"]["call_control_id"] = json!("a b")), Refusal::Unreadable),
        (changed(|m| m["start"]["media_format"]["encoding"] = json!("OPUS")), Refusal::WrongFormat),
        (changed(|m| m["start"]["media_format"]["sample_rate"] = json!(16000)), Refusal::WrongFormat),
        (changed(|m| m["start"]["media_format"]["channels"] = json!("2")), Refusal::WrongFormat),
        (changed(|m| m["start"]["media_format"] = Value::Null), Refusal::WrongFormat),
    ] {
        assert_eq!(open(std::slice::from_ref(&message)).map(|_| ()), Err(refusal), "{message:?}");
    }
    let noise = vec![text(&json!({"event": "weather"})); OPENING_MESSAGES_MAX as usize];
    assert_eq!(open(&noise).map(|_| ()), Err(Refusal::Flood));
    let opening = Opening::new(AT(1_000), Expected::new(Codec::Pcmu), None);
    assert_eq!(opening.deadline(), AT(6_000));
    assert!(matches!(opening.read(AT(6_000), &text(&start())), Step::Refused(Refusal::NoStart)));
}

#[test]
fn audio_passes_in_order_and_what_is_missing_is_told() {
    check(
        &[
            chunk(1, 1),
            chunk(3, 3),
            chunk(2, 2),
            chunk(2, 9),
            chunk(4, 4),
            chunk(6, 6),
            chunk(7, 7),
            chunk(8, 8),
            chunk(9, 9),
            chunk(5, 5),
        ],
        &expect![[r#"
            mu-law 8 kHz x160 1
            mu-law 8 kHz x160 2
            mu-law 8 kHz x160 3
            mu-law 8 kHz x160 4
            Lost(20ms)
            mu-law 8 kHz x160 6
            mu-law 8 kHz x160 7
            mu-law 8 kHz x160 8
            mu-law 8 kHz x160 9"#]],
    );
}

#[test]
fn a_missing_chunk_is_waited_for_sixty_milliseconds_by_the_clock() {
    let mut session = session();
    tell_at(&mut session, 20, &chunk(1, 1));
    assert!(tell_at(&mut session, 40, &chunk(3, 3)).is_empty());
    let CarrierOutput::WaitUntil(at) = session.poll() else { panic!("drained") };
    assert_eq!(at, Some(AT(100)));
    session.handle(AT(99), CarrierInput::Tick);
    assert!(drain(&mut session).is_empty());
    session.handle(AT(100), CarrierInput::Tick);
    assert_eq!(drain(&mut session), ["Lost(20ms)", "mu-law 8 kHz x160 3"]);
}

#[test]
fn the_other_track_is_our_own_voice() {
    let outbound = media(json!({"track": "outbound", "chunk": "1", "payload": "//8="}));
    let third = media(json!({"track": "sideways", "chunk": "1", "payload": "//8="}));
    check(&[outbound, third], &expect![[r#"Oddity(OutOfPlace)"#]]);
}

#[test]
fn a_law_is_heard_as_what_we_send() {
    let mut session = session_of("PCMA", 8_000, Expected::new(Codec::Pcmu));
    assert_eq!(session.format(), AudioFormat::MULAW_8K);
    assert_eq!(tell(&mut session, &chunk(1, 0xd5)), ["mu-law 8 kHz x160 254"]);
    let mut same = session_of("PCMA", 8_000, Expected::new(Codec::Pcma));
    assert_eq!(tell(&mut same, &chunk(1, 0xd5)), ["A-law 8 kHz x160 213"]);
}

#[test]
fn l16_comes_with_the_higher_byte_first() {
    for (order, first) in [(ByteOrder::HighFirst, 2), (ByteOrder::LowFirst, 1), (ByteOrder::Detect, 2)] {
        let expected = Expected { codec: Codec::L16, byte_order: order };
        let mut session = session_of("L16", 16_000, expected);
        let payload = STANDARD.encode([1, 2].repeat(320));
        let heard = tell(&mut session, &media(json!({"chunk": "1", "payload": payload})));
        assert_eq!(heard, [format!("{} x640 {first}", AudioFormat::PCM16_16K)]);
        let frame = AudioFrame::new(AudioFormat::PCM16_16K, Bytes::from([1, 2].repeat(320)));
        session.handle(AT(20), CarrierInput::Command(CarrierCommand::Play(frame)));
        let sent = drain(&mut session).remove(0);
        let sent: Value = serde_json::from_str(&sent).expect("JSON");
        let sent = STANDARD.decode(sent["media"]["payload"].as_str().expect("text")).expect("base64");
        assert_eq!(sent[0], first, "{order:?}");
    }
}

#[test]
fn what_is_played_has_twenty_milliseconds_at_least() {
    let mut session = session();
    let frame = |bytes| AudioFrame::new(AudioFormat::MULAW_8K, Bytes::from(vec![7; bytes]));
    let payload_of = |line: &str| {
        let message: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(message["event"], "media");
        STANDARD.decode(message["media"]["payload"].as_str().expect("text")).expect("base64")
    };
    let sent = command(&mut session, CarrierCommand::Play(frame(160)));
    assert_eq!(payload_of(&sent[0]), [7; 160]);
    let sent = command(&mut session, CarrierCommand::Play(frame(100)));
    assert_eq!(payload_of(&sent[0]), [vec![7; 100], vec![0xff; 60]].concat());
    assert!(command(&mut session, CarrierCommand::Play(frame(0))).is_empty());
}

#[test]
fn marks_come_back_once_and_not_across_a_clear() {
    let mut session = session();
    let sent = command(&mut session, CarrierCommand::Mark(MarkId(5)));
    assert_eq!(sent, [r#"{"event":"mark","mark":{"name":"0.5"}}"#]);
    assert_eq!(tell(&mut session, &mark("0.5")), ["Played(MarkId(5))"]);
    assert_eq!(tell(&mut session, &mark("0.5")), ["Oddity(BadMark)"]);
    command(&mut session, CarrierCommand::Mark(MarkId(6)));
    assert_eq!(command(&mut session, CarrierCommand::Clear), [r#"{"event":"clear"}"#]);
    assert!(tell(&mut session, &mark("0.6")).is_empty(), "it was thrown away");
    assert_eq!(tell(&mut session, &mark("utt-3/end")), ["Oddity(BadMark)"]);
}

#[test]
fn keys_wait_for_those_pressed_before_them_and_count_once() {
    let mut session = session();
    for (digit, at) in [("2", "00.2"), ("1", "00.1"), ("2", "00.2"), ("#", "00.3")] {
        let heard = tell_at(&mut session, 20, &key(digit, &format!("2026-11-21T08:54:{at}Z")));
        assert!(heard.is_empty(), "{heard:?}");
    }
    session.handle(AT(80), CarrierInput::Tick);
    assert_eq!(drain(&mut session), ["Digit(Digit('1'))", "Digit(Digit('2'))", "Digit(Digit('#'))"]);
    assert_eq!(tell(&mut session, &key("12", "x")), ["Oddity(BadDigit)"]);
}

#[test]
fn nonsense_is_counted_and_too_much_of_it_is_the_end() {
    check(
        &[
            json!({"event": "error", "payload": {"code": 100004, "title": "invalid_media", "detail": ""}}),
            json!({"event": "weather", "sun": [1, {}]}),
            json!({"event": "media", "stream_id": "another", "media": {"payload": "//8="}}),
            media(json!({"chunk": "1", "payload": "no base64!"})),
            media(json!({"chunk": "1", "payload": ""})),
            json!({"event": "media"}),
            json!({"event": "connected"}),
        ],
        &expect![[r#"
            Oddity(Complaint)
            Oddity(UnknownEvent)
            Oddity(WrongStream)
            Oddity(BadAudio)
            Oddity(BadAudio)
            Oddity(Unreadable)
            Oddity(OutOfPlace)"#]],
    );
    let mut session = session();
    for _ in 1..ODDITIES_MAX {
        session.handle(AT(0), CarrierInput::Wire(&WireMessage::text("nonsense")));
    }
    drain(&mut session);
    session.handle(AT(0), CarrierInput::Wire(&WireMessage::Binary(Bytes::new())));
    assert_eq!(drain(&mut session), ["Oddity(Binary)", "HangUp", "Ended(Nonsense)"]);
    assert!(tell(&mut session, &chunk(1, 1)).is_empty());
}

#[test]
fn what_waits_comes_before_the_end_which_comes_once() {
    let mut session = session();
    tell(&mut session, &chunk(1, 1));
    tell(&mut session, &chunk(3, 3));
    tell(&mut session, &key("7", "2026-11-21T08:54:00Z"));
    let stop = json!({"event": "stop", "stream_id": STREAM, "stop": {"call_control_id": "v3:abc"}});
    let heard = tell(&mut session, &stop);
    assert_eq!(heard, ["Lost(20ms)", "mu-law 8 kHz x160 3", "Digit(Digit('7'))", "Ended(Stopped)"]);
    assert!(tell(&mut session, &stop).is_empty());
    session.handle(AT(30), CarrierInput::LineDown(LineEnd::Cut));
    assert!(drain(&mut session).is_empty());
}

#[test]
fn we_hang_up_once_and_then_only_the_end_counts() {
    let mut session = session();
    assert_eq!(command(&mut session, CarrierCommand::HangUp), ["HangUp"]);
    assert!(command(&mut session, CarrierCommand::HangUp).is_empty());
    assert!(tell(&mut session, &chunk(1, 1)).is_empty());
    session.handle(AT(30), CarrierInput::LineDown(LineEnd::Ended));
    assert_eq!(drain(&mut session), ["Ended(LineDown(Ended))"]);
}

#[test]
fn a_stream_that_says_nothing_is_cut() {
    let mut session = session();
    session.handle(AT(30_009), CarrierInput::Tick);
    assert!(drain(&mut session).is_empty());
    session.handle(AT(30_010), CarrierInput::Tick);
    assert_eq!(drain(&mut session), ["HangUp", "Ended(LineDown(Cut))"]);
}

/// Chunks as they arrive when neighbours overtake each other by at most three places, and some twice.
fn shuffled() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec((0_u64..4, proptest::bool::weighted(0.1)), 1..120).prop_map(|moves| {
        let mut order: Vec<(u64, u64)> = Vec::new();
        for (number, (delay, again)) in (1..).zip(moves) {
            order.push((number + delay, number));
            if again {
                order.push((number + delay, number));
            }
        }
        order.sort();
        order.into_iter().map(|(_, number)| number).collect()
    })
}

proptest! {
    /// Bit for bit: what goes in in any order within the window comes out in order, once, complete.
    #[test]
    fn audio_is_put_in_order_bit_for_bit(order in shuffled()) {
        let mut session = session();
        let mut heard = Vec::new();
        for number in &order {
            let audio: Vec<u8> = (0..160).map(|at| (number * 31 + at) as u8).collect();
            let message = media(json!({"chunk": number.to_string(), "payload": STANDARD.encode(&audio)}));
            session.handle(AT(20), CarrierInput::Wire(&text(&message)));
            heard.append(&mut outputs(&mut session));
        }
        let newest = *order.iter().max().expect("at least one");
        let audio: Vec<u8> = heard.into_iter().flat_map(|output| {
            let CarrierOutput::Event(CarrierEvent::Audio(frame)) = output else {
                panic!("nothing is lost or odd: {output:?}")
            };
            frame.data.to_vec()
        }).collect();
        let expected: Vec<u8> =
            (1..=newest).flat_map(|number| (0..160).map(move |at| (number * 31 + at) as u8)).collect();
        prop_assert_eq!(audio, expected);
    }

    /// Never a panic, never two ends, nothing after the end.
    #[test]
    fn garbage_does_no_harm(
        messages in proptest::collection::vec(
            prop_oneof![
                "\\PC{0,60}".prop_map(WireMessage::text),
                proptest::collection::vec(any::<u8>(), 0..60).prop_map(|b| WireMessage::Binary(Bytes::from(b))),
                (any::<u64>(), any::<u8>()).prop_map(|(number, byte)| text(&chunk(number, byte))),
                (1_u64..30, any::<u8>()).prop_map(|(number, byte)| text(&chunk(number, byte))),
                ("[0-9A-D#*x]{0,2}", "[0-9:.TZ-]{0,24}").prop_map(|(digit, at)| text(&key(&digit, &at))),
                "[0-9]{0,3}\\.?[0-9]{0,3}".prop_map(|name| text(&mark(&name))),
                Just(text(&json!({"event": "stop"}))),
            ],
            0..60,
        ),
    ) {
        let mut session = session();
        let mut ends = 0;
        for (at, message) in messages.iter().enumerate() {
            session.handle(AT(at as u64 * 15), CarrierInput::Wire(message));
            for output in outputs(&mut session) {
                prop_assert_eq!(ends, 0, "nothing follows the end");
                ends += usize::from(matches!(output, CarrierOutput::Event(CarrierEvent::Ended(_))));
            }
        }
        prop_assert!(ends <= 1);
    }

    #[test]
    fn any_opening_is_read_or_refused(message in "\\PC{0,80}|\\{\"event\":\"start\",\"start\":.{0,60}") {
        let _ = open(&[WireMessage::text(message)]);
    }
}

#[test]
fn a_loss_has_a_bound() {
    let mut session = session();
    tell(&mut session, &chunk(1, 1));
    for number in 2_900..2_903 {
        tell(&mut session, &chunk(number, 2));
    }
    session.handle(AT(200), CarrierInput::Tick);
    let mut losses = Vec::new();
    for output in outputs(&mut session) {
        if let CarrierOutput::Event(CarrierEvent::Lost(lost)) = output {
            losses.push(lost);
        }
    }
    assert_eq!(losses, [Duration::from_secs(57) + Duration::from_millis(960)]);
}
