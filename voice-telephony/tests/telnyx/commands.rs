//! Commands as requests: path, body, key, and what makes a repetition recognisable.

use std::time::Duration;

use bytes::Bytes;
use expect_test::{Expect, expect};
use http::Request;
use voice_core::sensitive::{Pii, Secret};
use voice_core::time::MonoTime;
use voice_telephony::telnyx::{
    API_URL, Api, ApiError, Codec, Command, CommandId, Detection, Dial, Order, RejectCause, Streaming,
    Transfer,
};
use voice_telephony::ticket::Tickets;

fn api() -> Api {
    Api::new(API_URL, &Secret::new("KEY0123".to_owned())).expect("good settings")
}

fn order(command: Command) -> Order {
    let call = "v3:a/b".parse().expect("a name");
    Order { call, id: CommandId::new("v3:a/b", 1), command, client_state: None }
}

fn shown(request: &Request<Bytes>) -> String {
    let body = String::from_utf8(request.body().to_vec()).expect("text");
    let path = request.uri().to_string().replace(API_URL, "");
    let id = CommandId::new("v3:a/b", 1);
    format!("{} {path} {}", request.method(), body.replace(id.as_str(), "ID"))
}

fn check(commands: impl IntoIterator<Item = Command>, expected: &Expect) {
    let lines: Vec<String> =
        commands.into_iter().map(|command| shown(&api().request(&order(command)))).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn commands_are_written_as_telnyx_wants_them() {
    let other = || "v3:other".parse().expect("a name");
    check(
        [
            Command::Answer,
            Command::Reject(RejectCause::UserBusy),
            Command::Hangup,
            Command::StreamingStop,
            Command::SendDtmf(Pii::from("12w#")),
            Command::Bridge { with: other(), park_after: true },
            Command::PlaybackStart { audio_url: "https://a.example/m.mp3".to_owned(), repeats: true },
            Command::PlaybackStop,
            Command::Speak {
                text: Pii::from("Say \"hi\""),
                voice: "AWS.Polly.Joanna".to_owned(),
                language: None,
            },
            Command::RecordStart { beep: false },
            Command::RecordPause,
            Command::RecordResume,
            Command::RecordStop,
            Command::ConferenceCreate { name: "room 7".to_owned() },
            Command::ConferenceJoin("c/1".parse().expect("a name")),
            Command::ConferenceLeave("c/1".parse().expect("a name")),
            Command::ClientStateUpdate,
        ],
        &expect![[r#"
            POST /calls/v3%3Aa%2Fb/actions/answer {"command_id":"ID","send_silence_when_idle":true}
            POST /calls/v3%3Aa%2Fb/actions/reject {"command_id":"ID","cause":"USER_BUSY"}
            POST /calls/v3%3Aa%2Fb/actions/hangup {"command_id":"ID"}
            POST /calls/v3%3Aa%2Fb/actions/streaming_stop {"command_id":"ID"}
            POST /calls/v3%3Aa%2Fb/actions/send_dtmf {"command_id":"ID","digits":"12w#"}
            POST /calls/v3%3Aa%2Fb/actions/bridge {"command_id":"ID","call_control_id":"v3:other","park_after_unbridge":"self"}
            POST /calls/v3%3Aa%2Fb/actions/playback_start {"command_id":"ID","audio_url":"https://a.example/m.mp3","loop":"infinity"}
            POST /calls/v3%3Aa%2Fb/actions/playback_stop {"command_id":"ID","stop":"all"}
            POST /calls/v3%3Aa%2Fb/actions/speak {"command_id":"ID","payload":"Say \"hi\"","voice":"AWS.Polly.Joanna"}
            POST /calls/v3%3Aa%2Fb/actions/record_start {"command_id":"ID","channels":"dual","format":"wav","play_beep":false}
            POST /calls/v3%3Aa%2Fb/actions/record_pause {"command_id":"ID"}
            POST /calls/v3%3Aa%2Fb/actions/record_resume {"command_id":"ID"}
            POST /calls/v3%3Aa%2Fb/actions/record_stop {"command_id":"ID"}
            POST /conferences {"command_id":"ID","call_control_id":"v3:a/b","name":"room 7"}
            POST /conferences/c%2F1/actions/join {"command_id":"ID","call_control_id":"v3:a/b"}
            POST /conferences/c%2F1/actions/leave {"command_id":"ID","call_control_id":"v3:a/b"}
            PUT /calls/v3%3Aa%2Fb/actions/client_state_update {"command_id":"ID","client_state":""}"#]],
    );
}

#[test]
fn a_transfer_can_come_back() {
    let transfer = Transfer {
        to: Pii::from("+15005550100"),
        from: None,
        ring: Some(Duration::from_secs(2)),
        client_state: Some(b"leg 2".to_vec()),
        park_after: true,
    };
    check(
        [Command::Transfer(Box::new(transfer))],
        &expect![[
            r#"POST /calls/v3%3Aa%2Fb/actions/transfer {"command_id":"ID","to":"+15005550100","timeout_secs":5,"target_leg_client_state":"bGVnIDI=","park_after_unbridge":"self"}"#
        ]],
    );
}

#[test]
fn a_stream_is_asked_for_in_rtp_mode_with_its_ticket() {
    let mut tickets = Tickets::default();
    let ticket = tickets.issue(MonoTime::ZERO, [0; 32], "v3:a/b", ());
    let streaming =
        Streaming::new("wss://voice.example/media/telnyx", &ticket, Codec::Pcma).expect("a good address");
    let command = Command::StreamingStart(Box::new(streaming));
    assert!(!format!("{command:?}").contains("AAAA"), "{command:?}");
    check(
        [command],
        &expect![[
            r#"POST /calls/v3%3Aa%2Fb/actions/streaming_start {"command_id":"ID","stream_url":"wss://voice.example/media/telnyx?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","stream_track":"inbound_track","stream_codec":"PCMA","stream_bidirectional_mode":"rtp","stream_bidirectional_codec":"PCMA","stream_bidirectional_sampling_rate":8000,"stream_bidirectional_target_legs":"self","stream_auth_token":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","custom_parameters":[{"name":"ticket","value":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#
        ]],
    );
    for bad in ["https://a.example/", "wss://a.example/?x=1", "wss://a.example/#x", "wss://a example/", ""] {
        assert!(Streaming::new(bad, &ticket, Codec::Pcmu).is_err(), "{bad}");
    }
}

#[test]
fn a_call_is_dialled() {
    let dial = Dial {
        connection: "2811212257810187875".parse().expect("a name"),
        from: Pii::from("+15005550006"),
        to: Pii::from("+15005550009"),
        ring: Duration::from_secs(1),
        longest: Some(Duration::from_secs(3_600)),
        detection: Detection::DetectBeep,
        webhook_url: None,
        display_name: None,
    };
    let id = CommandId::new("v3:a/b", 1);
    expect![[r#"POST /calls {"command_id":"ID","client_state":"Y2FsbCA3","connection_id":"2811212257810187875","from":"+15005550006","to":"+15005550009","timeout_secs":5,"time_limit_secs":3600,"answering_machine_detection":"detect_beep","send_silence_when_idle":true}"#]].assert_eq(&shown(&api().dial(&dial, &id, b"call 7")));
    let printed = format!("{dial:?}");
    assert!(!printed.contains("5550009"), "{printed}");
}

#[test]
fn a_repetition_is_the_same_to_the_byte() {
    let api = api();
    let (first, again) = (api.request(&order(Command::Answer)), api.request(&order(Command::Answer)));
    assert_eq!((first.body(), first.uri(), first.headers()), (again.body(), again.uri(), again.headers()));
}

#[test]
fn the_key_is_sent_and_never_printed() {
    let (api, request) = (api(), api().request(&order(Command::Hangup)));
    assert_eq!(request.headers()["authorization"], "Bearer KEY0123");
    assert!(!format!("{api:?} {request:?}").contains("KEY0123"));
}

#[test]
fn calls_can_be_found_again() {
    let call = "v3:a/b".parse().expect("a name");
    let connection = "28".parse().expect("a name");
    assert_eq!(shown(&api().look_up(&call)), "GET /calls/v3%3Aa%2Fb ");
    assert_eq!(shown(&api().active_calls(&connection)), "GET /connections/28/active_calls ");
}

#[test]
fn settings_without_which_no_request_can_be_made() {
    let key = |text: &str| Secret::new(text.to_owned());
    for url in ["", "api.telnyx.com", "ftp://a.example", "https://", "https://a.example/?x", "https://a b/"] {
        assert_eq!(Api::new(url, &key("k")).map(|_| ()), Err(ApiError::Url), "{url}");
    }
    for bad in ["", "a\nb", "\u{7f}"] {
        assert_eq!(Api::new(API_URL, &key(bad)).map(|_| ()), Err(ApiError::Key));
    }
    assert!(Api::new("http://127.0.0.1:9000/v2/", &key("k")).is_ok());
}
