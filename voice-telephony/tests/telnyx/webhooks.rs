//! Events as they arrive: every kind, what is missing, what nobody expects, and duplicates out of order.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use voice_core::id::CallId;
use voice_core::recording::Filed;
use voice_core::time::UnixMillis;
use voice_telephony::recording::Whose;
use voice_telephony::status::{CallStatus, FailReason, Outcome, StatusTracker};
use voice_telephony::telnyx::recording::filed;
use voice_telephony::telnyx::{
    Answerer, Codec, Direction, Event, GreetingEnd, HangupCause, HangupSource, PublicKey, PublicKeys,
    TelnyxWebhook,
};
use voice_telephony::webhook::{RawRequest, Rejection, Verified, verify};

pub(crate) const CALL: &str = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg";

/// Signs and reads a body, as a server does.
pub(crate) fn deliver(body: &[u8], content_type: &str) -> Result<Verified<TelnyxWebhook>, Rejection> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = PublicKey::from_bytes(key.verifying_key().as_bytes()).expect("a good key");
    let timestamp = "1795219200";
    let signature = STANDARD.encode(key.sign(&[timestamp.as_bytes(), b"|", body].concat()).to_bytes());
    let headers = [
        ("telnyx-signature-ed25519", signature.as_str()),
        ("telnyx-timestamp", timestamp),
        ("content-type", content_type),
    ];
    let url = "https://voice.example.test/hooks/telnyx";
    let request = RawRequest { method: "POST", url, headers: &headers, body };
    verify(&PublicKeys::new(public), &request, UnixMillis::from_secs(1_795_219_200))
}

/// An event of our call; `fields` are added to its payload.
pub(crate) fn webhook(kind: &str, id: &str, fields: &Value) -> Verified<TelnyxWebhook> {
    deliver(envelope(kind, id, fields).to_string().as_bytes(), "application/json").expect("a good event")
}

fn envelope(kind: &str, id: &str, fields: &Value) -> Value {
    let mut payload = json!({
        "call_control_id": CALL, "call_leg_id": "leg", "call_session_id": "session",
        "connection_id": "2811212257810187875", "client_state": STANDARD.encode("call 7"),
        "from": "+15005550009", "to": "+15005550006",
    });
    for (name, value) in fields.as_object().expect("fields") {
        payload[name] = value.clone();
    }
    json!({"data": {"record_type": "event", "event_type": kind, "id": id,
        "occurred_at": "2026-11-21T00:00:00.076316Z", "payload": payload},
        "meta": {"attempt": 2, "delivered_to": "https://voice.example.test/hooks/telnyx"}})
}

fn event(kind: &str, fields: &Value) -> Event {
    webhook(kind, "1", fields).event.clone()
}

#[test]
fn an_event_says_which_call_it_is_about() {
    let webhook = webhook("call.bridged", "e1", &json!({}));
    assert_eq!((webhook.id.as_str(), webhook.attempt), ("e1", Some(2)));
    assert_eq!(webhook.occurred_at(), Some(UnixMillis(1_795_219_200_076)));
    let leg = &webhook.leg;
    assert_eq!(leg.call_control_id.as_ref().map(|id| id.as_str()), Some(CALL));
    assert_eq!(leg.connection_id.as_ref().map(|id| id.as_str()), Some("2811212257810187875"));
    assert_eq!(leg.client_state.as_deref(), Some(&b"call 7"[..]));
    assert_eq!(leg.from.as_ref().map(|from| from.expose().as_str()), Some("+15005550009"));
    let printed = format!("{webhook:?}");
    assert!(!printed.contains("5005550009") && !printed.contains("5005550006"), "{printed}");
}

#[test]
fn a_call_begins_and_ends() {
    let fields = json!({"direction": "incoming", "state": "parked", "caller_id_name": "ANN",
        "shaken_stir_attestation": "A", "sip_headers": [{"name": "Diversion", "value": "x"}]});
    let Event::Initiated(initiated) = event("call.initiated", &fields) else { panic!("another kind") };
    assert_eq!(initiated.direction, Direction::Incoming);
    assert_eq!(initiated.attestation.as_deref(), Some("A"));
    let answered = event("call.answered", &json!({"codec": "PCMA"}));
    assert_eq!(answered, Event::Answered { codec: Some(Codec::Pcma) });
    let fields = json!({"hangup_cause": "normal_clearing", "hangup_source": "caller",
        "sip_hangup_cause": "200", "call_quality_stats": null});
    let Event::Hangup(hangup) = event("call.hangup", &fields) else { panic!("another kind") };
    assert_eq!(hangup.cause, HangupCause::NormalClearing);
    assert_eq!((hangup.source, hangup.sip_code), (HangupSource::Caller, Some(200)));
}

#[test]
fn why_a_call_ended() {
    use CallStatus::{Completed, Failed};
    for (cause, sip, status, reason) in [
        (json!("normal_clearing"), json!("200"), Completed, None),
        (json!("time_limit"), json!(null), Completed, None),
        (json!("unspecified"), json!("200"), Completed, None),
        (json!("user_busy"), json!("486"), Failed, Some(FailReason::Busy)),
        (json!("timeout"), json!("unspecified"), Failed, Some(FailReason::NoAnswer)),
        (json!("no_answer"), json!(480), Failed, Some(FailReason::NoAnswer)),
        (json!("originator_cancel"), json!("487"), Failed, Some(FailReason::Canceled)),
        (json!("call_rejected"), json!("603"), Failed, Some(FailReason::Carrier)),
        (json!("a_new_one"), json!([]), Failed, Some(FailReason::Carrier)),
        (json!(null), json!({}), Failed, Some(FailReason::Carrier)),
    ] {
        let event = event("call.hangup", &json!({"hangup_cause": cause, "sip_hangup_cause": sip}));
        assert_eq!(event.status(), Some((status, reason)), "{cause}");
    }
}

#[test]
fn every_kind_is_read() {
    let text = "wss://voice.example.test/media?ticket=abc";
    for (kind, fields, name) in [
        ("call.dtmf.received", json!({"digit": "#"}), "digit"),
        ("call.gather.ended", json!({"digits": "12", "status": "valid"}), "gather"),
        ("call.speak.started", json!({}), "speak"),
        ("call.speak.ended", json!({"status": "completed"}), "speak"),
        ("call.playback.started", json!({"media_url": "x"}), "playback"),
        ("call.playback.ended", json!({"status": "file_not_found"}), "playback"),
        ("call.recording.error", json!({"reason": "x"}), "recording"),
        ("call.hold", json!({}), "hold"),
        ("call.unhold", json!({}), "hold"),
        ("streaming.started", json!({"stream_url": text}), "streaming"),
        ("streaming.stopped", json!({"stream_url": text}), "streaming"),
        (
            "streaming.failed",
            json!({"failure_reason": "x", "stream_params": {"stream_url": text}}),
            "streaming",
        ),
        ("call.refer.completed", json!({"sip_notify_response": 202}), "refer"),
        ("conference.participant.joined", json!({"conference_id": "c"}), "conference"),
        ("call.streaming.started", json!({}), "other"),
        ("call.cost", json!({"cost": 1.5}), "other"),
    ] {
        assert_eq!(event(kind, &fields).name(), name, "{kind}");
    }
    let failed = event("streaming.failed", &json!({"stream_params": {"stream_url": text}}));
    let Event::StreamingFailed(notice) = &failed else { panic!("another kind") };
    assert_eq!(notice.url.as_ref().map(|url| url.expose().as_str()), Some(text));
    assert!(!format!("{failed:?}").contains("abc"), "the address carries a ticket");
}

#[test]
fn who_answered_an_outgoing_call() {
    for (word, who) in [
        ("human", Answerer::Human),
        ("human_residence", Answerer::Human),
        ("machine", Answerer::Machine),
        ("fax_detected", Answerer::Fax),
        ("silence", Answerer::Silence),
        ("not_sure", Answerer::NotSure),
        ("alien", Answerer::NotSure),
    ] {
        for kind in ["call.machine.detection.ended", "call.machine.premium.detection.ended"] {
            assert_eq!(event(kind, &json!({"result": word})), Event::MachineDetected(who), "{word}");
        }
    }
    let beep = event("call.machine.premium.greeting.ended", &json!({"result": "beep_detected"}));
    assert_eq!(beep, Event::GreetingEnded(GreetingEnd::Beep));
}

#[test]
fn a_recording_has_no_handle_and_a_link_that_is_not_printed() {
    let fields = json!({"call_control_id": null, "channels": "dual",
        "recording_urls": {"mp3": "https://a.example/x.mp3", "wav": "https://a.example/x.wav?key=abc"}});
    let webhook = webhook("call.recording.saved", "1", &fields);
    assert_eq!(webhook.leg.call_control_id, None);
    let Event::RecordingSaved(links) = &webhook.event else { panic!("another kind") };
    assert!(links.is_dual && links.url.as_ref().is_some_and(|url| url.expose().ends_with("key=abc")));
    assert!(!format!("{webhook:?}").contains("abc"));
}

#[test]
fn a_recording_belongs_to_the_call_whose_state_it_carries() {
    let state = |text: &str| STANDARD.encode(text);
    let times = json!({"recording_started_at": "2026-11-21T00:00:01.5Z",
        "recording_ended_at": "2026-11-21T00:00:09.750Z", "call_control_id": null});
    let told = |client_state: String, kind: &str| {
        let mut fields = times.clone();
        fields["client_state"] = json!(client_state);
        filed(&webhook(kind, "event-1", &fields))
    };
    let placed = "00000000-0000-0000-0000-000000000007.2";
    let Some((whose, Filed::Saved(saved))) = told(state(placed), "call.recording.saved") else {
        panic!("a recording")
    };
    assert_eq!(whose, Whose::Call(CallId::from_u128(7)));
    assert_eq!((saved.recording.as_str(), saved.length), ("event-1", Some(Duration::from_millis(8_250))));
    let named = Whose::Named(CALL.to_owned());
    let absent = Filed::Absent { recording: "event-1".to_owned() };
    assert_eq!(told(state(CALL), "call.recording.error"), Some((named, absent)));
    assert_eq!(told(state("two words"), "call.recording.saved"), None, "nobody's");
    assert_eq!(told(state(CALL), "call.bridged"), None);
}

#[test]
fn what_cannot_be_an_event_is_refused() {
    let refused = |body: &str, kind: &str| deliver(body.as_bytes(), kind).map(|_| ());
    let malformed = |what| Err(Rejection::Malformed { what });
    let json = "application/json";
    assert_eq!(refused("", json), malformed("not an event"));
    assert_eq!(refused("{}", json), malformed("not an event"));
    assert_eq!(refused("CallSid=v3", "application/x-www-form-urlencoded"), Err(Rejection::ContentType));
    let without_id = envelope("call.bridged", "", &json!({})).to_string();
    assert_eq!(refused(&without_id, json), malformed("id"));
    let without_handle = envelope("call.hangup", "1", &json!({"call_control_id": "a b"})).to_string();
    assert_eq!(refused(&without_handle, json), malformed("call_control_id is missing"));
    let two_digits = envelope("call.dtmf.received", "1", &json!({"digit": "12"})).to_string();
    assert_eq!(refused(&two_digits, json), malformed("digit"));
    let old = r#"{"event_type":"call_initiated","payload":{}}"#;
    assert_eq!(refused(old, json), malformed("not an event"), "version 1 has another layout");
}

#[test]
fn fields_that_changed_their_type_cost_nothing_else() {
    let fields = json!({"from": {"sip": 1}, "to": ["+1"], "client_state": "not base64!", "connection_id": 28,
        "hangup_cause": "user_busy"});
    let webhook = webhook("call.hangup", "1", &fields);
    assert_eq!(webhook.event.status(), Some((CallStatus::Failed, Some(FailReason::Busy))));
    assert_eq!((webhook.leg.from.is_some(), webhook.leg.client_state.is_some()), (false, false));
    assert_eq!(webhook.leg.connection_id.as_ref().map(|id| id.as_str()), Some("28"));
}

/// The reports of one call as the tracker sees them, in any order, with duplicates.
fn story(order: &[usize]) -> (Vec<Outcome>, CallStatus) {
    let told = [("call.initiated", "00.1"), ("call.answered", "02.5"), ("call.hangup", "09.0")];
    let mut tracker = StatusTracker::new(UnixMillis(0), CallStatus::Initiated);
    let outcomes = order
        .iter()
        .map(|&at| {
            let (kind, second) = told[at];
            let mut body = envelope(kind, kind, &json!({"hangup_cause": "normal_clearing"}));
            body["data"]["occurred_at"] = json!(format!("2026-11-21T00:00:{second}Z"));
            let webhook = deliver(body.to_string().as_bytes(), "application/json").expect("a good event");
            let report = webhook.report().expect("a report");
            tracker.report_event(UnixMillis(0), webhook.id.as_str(), report)
        })
        .collect();
    (outcomes, tracker.status())
}

#[test]
fn order_and_duplicates_do_not_matter() {
    let moved = |from, skipped| Outcome::Moved { from, skipped };
    let (outcomes, end) = story(&[1, 0, 1, 0, 2, 2]);
    assert_eq!(end, CallStatus::Completed);
    assert_eq!(outcomes[0], moved(CallStatus::Initiated, 1));
    assert_eq!(outcomes[1], Outcome::Late);
    assert_eq!(&outcomes[2..4], [Outcome::Repeated, Outcome::Repeated]);
    assert_eq!(outcomes[4], moved(CallStatus::Answered, 0));
    assert_eq!(outcomes[5], Outcome::Repeated);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2]] {
        assert_eq!(story(&order).1, CallStatus::Completed, "{order:?}");
    }
}

proptest! {
    #[test]
    fn any_signed_body_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = deliver(&body, "application/json");
    }

    #[test]
    fn any_payload_is_read_or_refused(
        kind in "call\\.(initiated|answered|hangup|dtmf\\.received|gather\\.ended|recording\\.saved)|streaming\\.failed",
        field in "from|to|digit|hangup_cause|status|stream_params|recording_urls|client_state|codec",
        value in prop_oneof![
            Just(json!(null)), Just(json!({})), Just(json!([1])), Just(json!("")), Just(json!(true)),
            any::<i64>().prop_map(|n| json!(n)), any::<f64>().prop_map(|n| json!(n)), "\\PC{0,20}".prop_map(|t| json!(t)),
        ],
    ) {
        let body = envelope(&kind, "1", &json!({ field: value }));
        let _ = deliver(body.to_string().as_bytes(), "application/json");
    }
}
