//! What is sent to Twilio, and what its answers mean.

use std::time::Duration;

use expect_test::expect;
use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::*;
use crate::twilio::{TwilioStatus, Twiml};

fn api() -> TwilioApi {
    let account = "AC00112233445566778899aabbccddeeff".parse().expect("a sid");
    TwilioApi::new(account, Credentials::AuthToken(Secret::new("5a1c".to_owned())))
}

fn call_sid() -> CallSid {
    "CA00112233445566778899aabbccddeeff".parse().expect("a sid")
}

fn create() -> CreateCall {
    CreateCall {
        to: "+15005550006".parse().expect("a number"),
        from: "+15005550009".parse().expect("a number"),
        instructions: Instructions::Url("https://a.example/hook?attempt=1.0".to_owned()),
        callbacks: Callbacks {
            status: Some("https://a.example/hook?attempt=1.0".to_owned()),
            recording: None,
        },
        ring: Duration::from_secs(30),
        longest: Some(Duration::from_secs(3_600)),
        detection: Some(Detection {
            until_end: true,
            callback: "https://a.example/hook".to_owned(),
            timeout: None,
        }),
        record: false,
    }
}

fn said<T>(ask: &Ask<T>) -> String {
    let request = ask.request();
    let path = request.uri().to_string().replace("https://api.twilio.com/2010-04-01/Accounts/", "…/");
    let body = String::from_utf8_lossy(request.body());
    let fields: String = body.split_terminator('&').map(|field| format!("  {field}\n")).collect();
    format!("{} {path}\n{fields}", request.method())
}

#[test]
fn a_call_is_placed_with_all_that_was_wished() {
    let ask = api().create_call(&create());
    expect![[r#"
        POST …/AC00112233445566778899aabbccddeeff/Calls.json
          To=%2B15005550006
          From=%2B15005550009
          Url=https%3A%2F%2Fa.example%2Fhook%3Fattempt%3D1.0
          Timeout=30
          TimeLimit=3600
          StatusCallback=https%3A%2F%2Fa.example%2Fhook%3Fattempt%3D1.0
          StatusCallbackEvent=initiated
          StatusCallbackEvent=ringing
          StatusCallbackEvent=answered
          StatusCallbackEvent=completed
          MachineDetection=DetectMessageEnd
          AsyncAmd=true
          AsyncAmdStatusCallback=https%3A%2F%2Fa.example%2Fhook
    "#]]
    .assert_eq(&said(&ask));
    let authorization = &ask.request().headers()[AUTHORIZATION];
    assert!(authorization.is_sensitive());
    assert_eq!(authorization, "Basic QUMwMDExMjIzMzQ0NTU2Njc3ODg5OWFhYmJjY2RkZWVmZjo1YTFj");
}

#[test]
fn the_rest_of_the_api() {
    let (api, call) = (api(), call_sid());
    let number = |text: &str| text.parse().expect("a number");
    let search = ListCalls {
        to: Some(number("+15005550006")),
        from: None,
        started_after: Some(voice_core::time::UnixMillis(1_000)),
    };
    let who = AddParticipant {
        to: number("+15005550007"),
        from: number("+15005550009"),
        label: Some("a human".to_owned()),
        ring: Duration::from_secs(20),
        ends_conference: true,
        status_callback: None,
    };
    let hold = ParticipantEdit { hold: Some(true), ..ParticipantEdit::default() };
    let keys = Instructions::play_digits("1w2#", "https://a.example/x?a=1").expect("good keys");
    let all = [
        said(&api.fetch_call(&call)),
        said(&api.hang_up(&call)),
        said(&api.edit_call(&call, &CallEdit::Cancel)),
        said(&api.edit_call(&call, &CallEdit::Redirect(Instructions::Twiml(Twiml::of(&[]))))),
        said(&api.edit_call(&call, &CallEdit::Redirect(keys))),
        said(&api.list_calls(&search)),
        said(&api.find_conference("room 7")),
        said(&api.list_participants("CF1")),
        said(&api.add_participant("room/7", &who)),
        said(&api.edit_participant("CF1", call.as_str(), &hold)),
        said(&api.remove_participant("CF1", "a human")),
        said(&api.start_recording(&call, &RecordCall::default())),
        said(&api.list_recordings(&call)),
        said(&api.edit_recording(&call, None, RecordingEdit::Pause)),
        said(&api.edit_recording(&call, Some("RE1"), RecordingEdit::Resume)),
        said(&api.edit_recording(&call, Some("RE1"), RecordingEdit::Stop)),
    ];
    expect![[r#"
        GET …/AC/Calls/CA00112233445566778899aabbccddeeff.json
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff.json
          Status=completed
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff.json
          Status=canceled
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff.json
          Twiml=%3C%3Fxml%20version%3D%221.0%22%20encoding%3D%22UTF-8%22%3F%3E%3CResponse%3E%3C%2FResponse%3E
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff.json
          Twiml=%3C%3Fxml%20version%3D%221.0%22%20encoding%3D%22UTF-8%22%3F%3E%3CResponse%3E%3CPlay%20digits%3D%221w2%23%22%2F%3E%3CRedirect%20method%3D%22POST%22%3Ehttps%3A%2F%2Fa.example%2Fx%3Fa%3D1%3C%2FRedirect%3E%3C%2FResponse%3E
        GET …/AC/Calls.json?To=%2B15005550006&StartTime%3E=1970-01-01T00%3A00%3A01Z&PageSize=50
        GET …/AC/Conferences.json?FriendlyName=room%207&Status=in-progress
        GET …/AC/Conferences/CF1/Participants.json
        POST …/AC/Conferences/room%2F7/Participants.json
          From=%2B15005550009
          To=%2B15005550007
          Label=a%20human
          Timeout=20
          EndConferenceOnExit=true
        POST …/AC/Conferences/CF1/Participants/CA00112233445566778899aabbccddeeff.json
          Hold=true
        DELETE …/AC/Conferences/CF1/Participants/a%20human.json
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff/Recordings.json
          RecordingChannels=dual
        GET …/AC/Calls/CA00112233445566778899aabbccddeeff/Recordings.json
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff/Recordings/Twilio.CURRENT.json
          Status=paused
          PauseBehavior=silence
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff/Recordings/RE1.json
          Status=in-progress
        POST …/AC/Calls/CA00112233445566778899aabbccddeeff/Recordings/RE1.json
          Status=stopped
    "#]].assert_eq(&all.concat().replace("AC00112233445566778899aabbccddeeff", "AC"));
}

fn answer(status: u16, body: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    answer
}

#[test]
fn a_call_is_read() {
    let body = r#"{"sid":"CA00112233445566778899aabbccddeeff","status":"in-progress","duration":"12",
        "date_created":"Sat, 21 Nov 2026 10:00:00 +0000","answered_by":null,"new":{}}"#;
    let ask = api().fetch_call(&call_sid());
    let call = ask.read(&answer(200, body)).expect("readable");
    assert_eq!((call.status, call.duration_secs), (TwilioStatus::InProgress, Some(12)));
    let page = format!(r#"{{"calls":[{body}],"page":0}}"#);
    let calls = api().list_calls(&ListCalls::default()).read(&answer(200, &page)).expect("readable");
    assert_eq!(calls, [call]);
}

#[test]
fn every_refusal_has_a_cause() {
    let of = |status, code: u64| {
        let error =
            refusal(&answer(status, &format!(r#"{{"code":{code},"message":"x","status":{status}}}"#)));
        (error.cause, error.may_have_happened)
    };
    for (status, code, cause) in [
        (401, 20003, Cause::Credentials),
        (404, 20404, Cause::CallGone),
        (400, 21220, Cause::CallGone),
        (400, 21211, Cause::Number),
        (400, 21210, Cause::Number),
        (400, 21215, Cause::Number),
        (403, 13227, Cause::Number),
        (429, 20429, Cause::Throttled { retry_after: None }),
        (429, 10004, Cause::Throttled { retry_after: None }),
        (400, 21205, Cause::Number),
        (400, 12345, Cause::Invalid),
        (403, 10002, Cause::Balance),
    ] {
        assert_eq!(of(status, code), (cause, false), "{code}");
    }
    assert_eq!(of(503, 20503), (Cause::Server { status: 503 }, true));
    assert_eq!(of(500, 21211), (Cause::Server { status: 500 }, true));
}

#[test]
fn a_throttled_request_says_for_how_long() {
    let mut throttled = answer(429, r#"{"code":20429}"#);
    *throttled.headers_mut() = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("3"))]);
    let cause = Cause::Throttled { retry_after: Some(Duration::from_secs(3)) };
    assert_eq!(refusal(&throttled).cause, cause);
}

#[test]
fn a_success_that_cannot_be_read_may_have_happened() {
    for body in ["", "<html>", "{}", r#"{"sid":"CA1","status":"queued"}"#] {
        let error = api().create_call(&create()).read(&answer(201, body)).expect_err("unreadable");
        assert_eq!((error.cause, error.may_have_happened), (Cause::Server { status: 201 }, true), "{body}");
    }
}

#[test]
fn there_is_no_call_to_be_gone_before_it_is_placed() {
    let gone = answer(404, r#"{"code":20404}"#);
    let error = api().create_call(&create()).read(&gone).expect_err("refused");
    assert_eq!(error.cause, Cause::Credentials);
    assert_eq!(api().hang_up(&call_sid()).read(&gone).expect_err("refused").cause, Cause::CallGone);
}

#[test]
fn the_address_can_be_another() {
    let other = api().with_url("http://127.0.0.1:7000/").expect("an address");
    let uri = other.fetch_call(&call_sid()).request().uri().to_string();
    assert!(uri.starts_with("http://127.0.0.1:7000/2010-04-01/Accounts/AC"), "{uri}");
    for bad in ["", "api.twilio.com", "ftp://a.example", "https://a.example/path", "https://"] {
        assert!(api().with_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn nothing_private_is_printed() {
    let credentials = Credentials::AuthToken(Secret::new("5a1c".to_owned()));
    let printed = format!("{:?} {:?} {credentials:?} {:?}", api(), create(), api().create_call(&create()));
    assert!(!printed.contains("5a1c") && !printed.contains("5550006"), "{printed}");
}
