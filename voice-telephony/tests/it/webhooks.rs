//! What is read out of Twilio's webhooks once their signature was found right.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha1::Sha1;
use voice_core::recording::Filed;
use voice_core::sensitive::Secret;
use voice_core::time::UnixMillis;
use voice_telephony::limits::WEBHOOK_BYTES_MAX;
use voice_telephony::status::{CallStatus, FailReason, Report};
use voice_telephony::twilio::recording::filed;
use voice_telephony::twilio::{Direction, RecordingState, StreamEvent, Tokens, TwilioStatus, TwilioWebhook};
use voice_telephony::webhook::{RawRequest, Rejection, verify};

const CALL: &str = "CA00112233445566778899aabbccddeeff";
const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";
const STREAM: &str = "MZ00112233445566778899aabbccddeeff";
const URL: &str = "https://voice.example.test/hook";

/// Signs by the book, for parameters whose names and values need no encoding.
fn signature(url: &str, pairs: &[(&str, &str)]) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(b"token").expect("any length");
    mac.update(url.as_bytes());
    pairs.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    STANDARD.encode(mac.finalize().into_bytes())
}

fn read(pairs: &[(&str, &str)]) -> Result<TwilioWebhook, Rejection> {
    let body: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", value.replace('+', "%2B"))).collect();
    send("POST", URL, &body.join("&"), &signature(URL, pairs))
}

fn send(method: &str, url: &str, body: &str, signature: &str) -> Result<TwilioWebhook, Rejection> {
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Twilio-Signature", signature),
        ("I-Twilio-Idempotency-Token", "5a0c8e10"),
    ];
    let headers = if method == "GET" { &headers[1..] } else { &headers[..] };
    let request = RawRequest { method, url, headers, body: body.as_bytes() };
    let tokens = Tokens::new(Secret::new("token".to_owned()));
    verify::<TwilioWebhook>(&tokens, &request, UnixMillis(0)).map(|verified| verified.into_inner())
}

fn call<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut pairs =
        vec![("CallSid", CALL), ("AccountSid", ACCOUNT), ("From", "+15005550009"), ("To", "+15005550006")];
    pairs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    pairs.extend(more);
    pairs
}

#[test]
fn a_call_that_rings() {
    let more =
        [("CallStatus", "ringing"), ("Direction", "inbound"), ("ForwardedFrom", ""), ("Brand_new", "x")];
    let Ok(TwilioWebhook::Voice(voice)) = read(&call(&more)) else { panic!("a voice webhook") };
    assert_eq!((voice.call_sid.as_str(), voice.account_sid.as_str()), (CALL, ACCOUNT));
    assert_eq!((voice.from.expose().as_str(), voice.to.expose().as_str()), ("+15005550009", "+15005550006"));
    assert_eq!((voice.status, voice.direction), (TwilioStatus::Ringing, Direction::Inbound));
    assert_eq!(
        (voice.forwarded_from.is_none(), voice.idempotency_token.as_deref()),
        (true, Some("5a0c8e10"))
    );
    let printed = format!("{voice:?}");
    assert!(!printed.contains("5550"), "{printed}");
}

#[test]
fn a_call_over_get() {
    let url = format!("{URL}?CallSid={CALL}&AccountSid={ACCOUNT}&From=anonymous&To=x&CallStatus=ringing");
    let read = send("GET", &url, "", &signature(&url, &[]));
    assert!(matches!(read, Ok(TwilioWebhook::Voice(_))), "{read:?}");
}

#[test]
fn progress_of_a_call() {
    for (status, expected) in [
        ("queued", (CallStatus::Initiated, None)),
        ("initiated", (CallStatus::Initiated, None)),
        ("ringing", (CallStatus::Ringing, None)),
        ("in-progress", (CallStatus::Answered, None)),
        ("completed", (CallStatus::Completed, None)),
        ("busy", (CallStatus::Failed, Some(FailReason::Busy))),
        ("no-answer", (CallStatus::Failed, Some(FailReason::NoAnswer))),
        ("canceled", (CallStatus::Failed, Some(FailReason::Canceled))),
        ("failed", (CallStatus::Failed, Some(FailReason::Carrier))),
    ] {
        let more = [
            ("CallStatus", status),
            ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", "3"),
            ("CallDuration", "42"),
            ("SipResponseCode", "486"),
        ];
        let Ok(TwilioWebhook::Progress(progress)) = read(&call(&more)) else { panic!("progress") };
        let (status, reason) = expected;
        assert_eq!(progress.report(), Some(Report { status, reason, sequence: Some(3) }));
        assert_eq!((progress.duration_secs, progress.sip_code), (Some(42), Some(486)));
    }
}

#[test]
fn progress_is_known_by_more_than_its_source() {
    for more in [
        [("CallStatus", "ringing"), ("SequenceNumber", "1")],
        [("CallStatus", "completed"), ("CallDuration", "7")],
        [("CallStatus", "in-progress"), ("CallbackSource", "call-progress-events")],
    ] {
        assert!(matches!(read(&call(&more)), Ok(TwilioWebhook::Progress(_))), "{more:?}");
    }
    let answered = [("CallStatus", "in-progress"), ("CallDuration", "7")];
    assert!(matches!(read(&call(&answered)), Ok(TwilioWebhook::Voice(_))), "the answer to an action");
}

#[test]
fn a_status_that_is_new_is_no_error() {
    let more =
        [("CallStatus", "teleported"), ("SequenceNumber", "x"), ("CallbackSource", "call-progress-events")];
    let Ok(TwilioWebhook::Progress(progress)) = read(&call(&more)) else { panic!("progress") };
    assert_eq!((progress.status, progress.sequence, progress.report()), (TwilioStatus::Unknown, None, None));
}

#[test]
fn a_stream_that_begins_ends_or_fails() {
    for (event, expected) in [
        ("stream-started", StreamEvent::Started),
        ("stream-stopped", StreamEvent::Stopped),
        ("stream-error", StreamEvent::Error),
        ("stream-dreamt", StreamEvent::Unknown),
    ] {
        let pairs =
            [("CallSid", CALL), ("AccountSid", ACCOUNT), ("StreamSid", STREAM), ("StreamEvent", event)];
        let Ok(TwilioWebhook::Stream(stream)) = read(&pairs) else { panic!("a stream status") };
        assert_eq!((stream.stream_sid.as_str(), stream.event, stream.error), (STREAM, expected, None));
    }
}

#[test]
fn other_callbacks_are_told_apart() {
    for more in [
        vec![("ConferenceSid", "CF1"), ("CallStatus", "in-progress")],
        vec![("RecordingStatus", "completed")],
        vec![],
    ] {
        assert!(matches!(read(&call(&more)), Ok(TwilioWebhook::Other(_))), "{more:?}");
    }
    let verdict =
        [("AnsweredBy", "human"), ("MachineDetectionDuration", "2300"), ("CallStatus", "in-progress")];
    assert!(matches!(read(&call(&verdict)), Ok(TwilioWebhook::Machine(_))));
}

#[test]
fn a_recording_tells_how_it_stands_and_what_there_is() {
    let sid = ("RecordingSid", "RE00112233445566778899aabbccddeeff");
    let url = "https://api.example/Recordings/RE0";
    for (word, state) in [
        ("in-progress", RecordingState::InProgress),
        ("completed", RecordingState::Completed),
        ("absent", RecordingState::Absent),
        ("sung", RecordingState::Unknown),
    ] {
        let more = [sid, ("RecordingStatus", word), ("RecordingDuration", "12"), ("RecordingUrl", url)];
        let Ok(TwilioWebhook::Recording(status)) = read(&call(&more)) else { panic!("a recording") };
        assert_eq!((status.call_sid.as_str(), status.recording.as_str()), (CALL, sid.1));
        assert_eq!((status.state, status.length_secs), (state, Some(12)));
        let saved =
            |filed| matches!(filed, Filed::Saved(saved) if saved.length == Some(Duration::from_secs(12)));
        assert_eq!(filed(&status).is_some_and(saved), state == RecordingState::Completed);
        assert!(!format!("{status:?}").contains("api.example"));
    }
}

#[test]
fn what_must_be_there_is_named_when_it_is_not() {
    let ringing = ("CallStatus", "ringing");
    for (pairs, what) in [
        (vec![ringing], "CallSid is missing"),
        (call(&[ringing, ("CallSid", "CA1234567890ABCDE")]), "CallSid"),
        (call(&[ringing, ("AccountSid", "x")]), "AccountSid"),
        (call(&[ringing, ("From", "")]), "From is missing"),
        (call(&[("StreamEvent", "stream-started"), ("StreamSid", "../..")]), "StreamSid"),
    ] {
        assert_eq!(read(&pairs), Err(Rejection::Malformed { what }));
    }
}

#[test]
fn wrong_kinds_of_request_are_refused() {
    let signed = signature(URL, &[]);
    assert_eq!(send("PUT", URL, "", &signed), Err(Rejection::Method));
    let headers = [("X-Twilio-Signature", signed.as_str()), ("Content-Type", "text/plain")];
    let request = RawRequest { method: "POST", url: URL, headers: &headers, body: b"" };
    let tokens = Tokens::new(Secret::new("token".to_owned()));
    let refused = verify::<TwilioWebhook>(&tokens, &request, UnixMillis(0)).map(|_| ());
    assert_eq!(refused, Err(Rejection::ContentType));
    assert_eq!(send("POST", URL, &"x".repeat(WEBHOOK_BYTES_MAX + 1), &signed), Err(Rejection::TooLarge));
}

proptest! {
    /// Even who has the token cannot make it panic.
    #[test]
    fn any_signed_form_is_read_or_refused(
        names in proptest::collection::vec("[A-Za-z]{1,12}|CallSid|CallStatus|StreamEvent|AccountSid", 0..8),
        values in proptest::collection::vec("[A-Za-z0-9]{0,34}", 8),
    ) {
        let pairs: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        let mut unique = pairs.clone();
        unique.sort_unstable();
        unique.dedup();
        if unique.len() == pairs.len() {
            prop_assert!(!matches!(read(&pairs), Err(Rejection::BadSignature)));
        }
    }
}
