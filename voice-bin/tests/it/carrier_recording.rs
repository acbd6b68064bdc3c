//! Recordings that the carrier makes, over sockets: on both carriers, of calls to us and from us. What it has in the
//! end is told after the call, to whoever is there.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use voice_bin::recording::RecordingParts;
use voice_bin::sim_net::TelnyxCaller;
use voice_bin::store::{Journal, JournalReader, Node, Store};
use voice_core::audio::AudioFormat;
use voice_core::driver::{Clock, Dial};
use voice_core::id::{CallId, CarrierId, CorrelationId};
use voice_core::record::{CallEvent, EndReason, Entry, Reader, Totals};
use voice_core::recording::{RecordStep, RecordingPlace};
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd};
use voice_providers::dial::Dialer;
use voice_telephony::rest::{HttpSend, Rest};
use voice_telephony::sim::{
    ApiEffect, ApiRudeness, FakeTwilioApi, Script, Step, TelnyxRudeness, TwilioApiPlan,
};
use voice_telephony::twilio::rest::RecordCall;

use crate::every_line::{PLACE, post, until};
use crate::telnyx::{self, pause};
use crate::twilio::{self, ACCOUNT};
use crate::world::{Server, TOKEN};

const START: &str = r#"{"action":"start","at":"carrier","consent":{"by":"+15550100","method":"keypad"}}"#;

/// How a test's carrier is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Polite,
    RecordsNothing,
    LosesAll,
}

/// A call that goes on until it is ended, and its carrier.
enum Line {
    Twilio(twilio::World),
    Telnyx(telnyx::World, TelnyxCaller),
}

fn stays() -> Script {
    Script::new(vec![Step::Pause(Duration::from_secs(60)), Step::HangUp])
}

impl Line {
    async fn over_twilio(is_ours: bool, manner: Manner, recording: Option<RecordingParts>) -> (Self, String) {
        let plan = |plan: &mut TwilioApiPlan| {
            plan.script = stays();
            plan.rudeness = match manner {
                Manner::Polite => vec![ApiRudeness::DuplicateCallbacks],
                Manner::RecordsNothing => vec![ApiRudeness::RecordsNothing],
                Manner::LosesAll => vec![ApiRudeness::EmptyRecordings],
            };
        };
        let world = twilio::world(plan, |parts| parts.recording = recording).await;
        if is_ours {
            let order = PLACE.replace("CARRIER", "twilio");
            let answer = post(&world.server, "/api/v1/telephony/outbound", &order).await;
            assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        } else {
            // Nobody waits for their report.
            drop(world.call(|plan| plan.with_script(stays())).await);
        }
        Self::Twilio(world).begun().await
    }

    async fn over_telnyx(is_ours: bool, manner: Manner, recording: Option<RecordingParts>) -> (Self, String) {
        let world = telnyx::world(|parts| parts.recording = recording).await;
        let rudeness = match manner {
            Manner::Polite => vec![TelnyxRudeness::DoubledWebhooks],
            Manner::RecordsNothing => vec![TelnyxRudeness::RecordsNothing],
            Manner::LosesAll => vec![TelnyxRudeness::RecordingFails],
        };
        let plan = world.plan(1).with_script(stays()).with_rudeness(rudeness);
        let (caller, run) = world.connect(if is_ours { plan.waits_for_dial() } else { plan });
        // Ends with the test at the latest.
        tokio::spawn(run);
        if is_ours {
            world.order(&PLACE.replace("CARRIER", "telnyx")).await;
        }
        Self::Telnyx(world, caller).begun().await
    }

    async fn over(is_twilio: bool, is_ours: bool, manner: Manner) -> (Self, String) {
        if is_twilio {
            Self::over_twilio(is_ours, manner, None).await
        } else {
            Self::over_telnyx(is_ours, manner, None).await
        }
    }

    async fn begun(self) -> (Self, String) {
        self.server().record.wait_for_live().await;
        let call = self.server().record.calls().remove(0);
        (self, call)
    }

    fn server(&self) -> &Server {
        match self {
            Self::Twilio(world) => &world.server,
            Self::Telnyx(world, _) => &world.server,
        }
    }

    async fn order(&self, call: &str, body: &str) -> u16 {
        let answer = post(self.server(), &format!("/api/v1/sessions/{call}/recording"), body).await;
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn act(&self, call: &str, action: &str) -> u16 {
        self.order(call, &format!(r#"{{"action":"{action}"}}"#)).await
    }

    async fn shown(&self, path: &str) -> Value {
        let answer = self.server().ask(path).await;
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    async fn recordings(&self, call: &str) -> Value {
        self.shown(&format!("/api/v1/sessions/{call}/recordings")).await
    }

    async fn end(&self, call: &str) {
        let answer = post(self.server(), &format!("/api/v1/sessions/{call}/end"), "").await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        until("the call is over", || !self.server().record.ends().is_empty()).await;
    }

    fn count(&self, is_one: fn(&CallEvent) -> bool) -> usize {
        self.server().record.count(is_one)
    }

    async fn wait_for(&self, what: &str, is_one: fn(&CallEvent) -> bool, times: usize) {
        until(what, || self.count(is_one) == times).await;
    }
}

const BEGUN: fn(&CallEvent) -> bool = |event| matches!(event, CallEvent::RecordingBegun { .. });
const SAVED: fn(&CallEvent) -> bool = |event| matches!(event, CallEvent::RecordingSaved(_));
const ABSENT: fn(&CallEvent) -> bool = |event| matches!(event, CallEvent::RecordingAbsent { .. });
const REFUSED: fn(&CallEvent) -> bool =
    |event| matches!(event, CallEvent::RecordingRefused { step: RecordStep::Start, .. });

/// Begun, paused, gone on with, ended, and told of; then once more, and the call ends in the middle of it.
async fn everything(is_twilio: bool, is_ours: bool) {
    let (line, call) = Line::over(is_twilio, is_ours, Manner::Polite).await;
    assert_eq!(line.order(&call, r#"{"action":"start","at":"carrier"}"#).await, 422, "nobody agreed");
    assert_eq!(line.act(&call, "pause").await, 409, "nothing runs");
    assert_eq!(line.order(&call, START).await, 202);
    line.wait_for("the carrier records", BEGUN, 1).await;
    assert_eq!(line.order(&call, START).await, 409, "it runs");
    let session = line.shown(&format!("/api/v1/sessions/{call}")).await;
    assert_eq!((&session["recording"], &session["recording_at"]), (&"on".into(), &"carrier".into()));
    for (action, state) in [("pause", "paused"), ("resume", "on"), ("stop", "off")] {
        assert_eq!(line.act(&call, action).await, 202, "{action}");
        let session = loop {
            let session = line.shown(&format!("/api/v1/sessions/{call}")).await;
            if session["recording"] == state {
                break session;
            }
            pause().await;
        };
        assert_eq!(session["recording_at"].is_null(), state == "off");
    }
    line.wait_for("it is there", SAVED, 1).await;
    assert_eq!(line.order(&call, START).await, 202, "another one");
    line.wait_for("the carrier records again", BEGUN, 2).await;
    line.end(&call).await;
    // The carrier ends it with the call, and says so some time later; twice.
    line.wait_for("the second is there", SAVED, 2).await;
    let told = line.recordings(&call).await;
    let ends: Vec<&Value> =
        told["recordings"].as_array().unwrap().iter().map(|one| &one["end_reason"]).collect();
    assert_eq!(ends, ["ordered", "call_over"], "{told:#}");
    assert!(told["recordings"][0]["recording_id"].is_string(), "{told:#}");
    assert_eq!(told["recordings"][0]["refusals"], Value::Array(vec![]), "{told:#}");
    let there = told["at_carrier"].as_array().unwrap();
    assert!(there.iter().all(|one| one["saved"] == true && one["url"].is_string()), "{told:#}");
    assert_eq!(there.len(), 2, "{told:#}");
    if let Line::Telnyx(_, caller) = &line {
        let of_recordings = caller.commands().into_iter().filter(|command| command.starts_with("record"));
        let all = ["record_start", "record_pause", "record_resume", "record_stop", "record_start"];
        assert_eq!(of_recordings.collect::<Vec<_>>(), all);
    }
    let session = line.shown(&format!("/api/v1/sessions/{call}")).await;
    assert_eq!(session["end_reason"], "hung_up", "the call is as over as it was");
}

#[tokio::test]
async fn a_call_to_us_is_recorded_by_twilio() {
    everything(true, false).await;
}

#[tokio::test]
async fn a_call_from_us_is_recorded_by_twilio() {
    everything(true, true).await;
}

#[tokio::test]
async fn a_call_to_us_is_recorded_by_telnyx() {
    everything(false, false).await;
}

#[tokio::test]
async fn a_call_from_us_is_recorded_by_telnyx() {
    everything(false, true).await;
}

#[tokio::test]
async fn a_carrier_that_refuses_is_told_of_and_the_call_goes_on() {
    for is_twilio in [true, false] {
        let (line, call) = Line::over(is_twilio, false, Manner::RecordsNothing).await;
        assert_eq!(line.order(&call, START).await, 202);
        line.wait_for("it is refused", REFUSED, 1).await;
        let told = line.recordings(&call).await;
        let first = &told["recordings"][0];
        assert_eq!(first["refusals"][0]["step"], "start", "{told:#}");
        assert_eq!(first["refusals"][0]["reason"], "refused", "{told:#}");
        assert_eq!(first["end_reason"], "failed", "{told:#}");
        let session = line.shown(&format!("/api/v1/sessions/{call}")).await;
        assert_eq!((&session["recording"], &session["status"]), (&"off".into(), &"active".into()));
        line.end(&call).await;
    }
}

#[tokio::test]
async fn a_recording_of_which_nothing_is_left_is_told_of() {
    for is_twilio in [true, false] {
        let (line, call) = Line::over(is_twilio, false, Manner::LosesAll).await;
        assert_eq!(line.order(&call, START).await, 202);
        line.wait_for("the carrier records", BEGUN, 1).await;
        line.end(&call).await;
        line.wait_for("there is nothing", ABSENT, 1).await;
        let told = line.recordings(&call).await;
        assert_eq!(told["at_carrier"][0]["saved"], false, "{told:#}");
    }
}

/// Every call from its beginning, where that is assumed to be allowed.
#[tokio::test]
async fn every_call_is_recorded_from_its_beginning() {
    let parts = || {
        let basis = "everybody in a test has agreed".parse().unwrap();
        Some(RecordingParts::at(RecordingPlace::Carrier, None, Some(basis)))
    };
    for is_twilio in [true, false] {
        let (line, call) = if is_twilio {
            Line::over_twilio(false, Manner::Polite, parts()).await
        } else {
            Line::over_telnyx(true, Manner::Polite, parts()).await
        };
        line.wait_for("the carrier records", BEGUN, 1).await;
        let order = r#"{"action":"start","at":"server","consent":{"not_required":"told before"}}"#;
        assert_eq!(line.order(&call, order).await, 409, "it runs");
        assert_eq!(line.act(&call, "revoke").await, 202);
        line.wait_for("it is there", SAVED, 1).await;
        assert_eq!(line.order(&call, order).await, 409, "there is no place for ours");
        let told = line.recordings(&call).await;
        assert_eq!(told["recordings"][0]["end_reason"], "revoked", "{told:#}");
        line.end(&call).await;
    }
}

#[tokio::test]
async fn a_carrier_that_nobody_commands_is_not_asked() {
    let server = Server::with(|parts| parts.world.fleet = crate::world::Silent::fleet()).await;
    let call = tokio::spawn(server.place(server.plan().with_script(stays())));
    server.record.wait_for_live().await;
    let path = format!("/api/v1/sessions/{}/recording", server.record.calls().remove(0));
    assert!(post(&server, &path, START).await.starts_with("HTTP/1.1 409"));
    call.abort();
}

const CALL: CallId = CallId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0009);
const NAME: &str = "CA00112233445566778899aabbccddeeff";

/// A call that is over, and whose server is no more.
async fn over_elsewhere() -> (Store, JournalReader) {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let other = store.clone().with_node(Node::new("gone"));
    let journal = Journal::start(other, Clock::start()).reader();
    write_over(&journal).await;
    (store, journal)
}

async fn write_over(journal: &JournalReader) {
    let events = [
        CallEvent::Started {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: NAME.to_owned(),
            format: AudioFormat::MULAW_8K,
            from: "+15005550009".into(),
            to: "+15005550006".into(),
            correlation: CorrelationId::from_static("c-9"),
        },
        CallEvent::Ended { reason: EndReason::HungUp, totals: Totals::default() },
    ];
    for (seq, event) in (1..).zip(events) {
        journal.read(CALL, &Entry { seq, at: MonoTime::from_millis(seq), event });
    }
    assert!(journal.flush().await);
}

/// Whoever the caller is led to agreed to nothing: the carrier's recording is over before they are joined.
#[tokio::test]
async fn whoever_a_caller_is_led_to_is_not_recorded() {
    for is_twilio in [true, false] {
        let (line, call) = Line::over(is_twilio, false, Manner::Polite).await;
        if let Line::Telnyx(world, _) = &line {
            let (_, run) = world.connect(world.plan(2).with_script(stays()).waits_for_dial());
            tokio::spawn(run);
        }
        assert_eq!(line.order(&call, START).await, 202);
        line.wait_for("the carrier records", BEGUN, 1).await;
        let wish = r#"{"to":"+15005550008","kind":"blind"}"#;
        let answer = post(line.server(), &format!("/api/v1/sessions/{call}/transfer"), wish).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        until("somebody has the caller", || line.server().record.ends() == ["transfer"]).await;
        let ended: fn(&CallEvent) -> bool = |event| matches!(event, CallEvent::RecordingEnded);
        assert_eq!(line.count(ended), 1, "the carrier said so before");
        let told = line.recordings(&call).await;
        assert_eq!(told["recordings"][0]["end_reason"], "transfer", "{told:#}");
        line.wait_for("it is there", SAVED, 1).await;
    }
}

/// Two recordings run at Twilio, of which the call knows one: both are ended by one order.
#[tokio::test]
async fn all_recordings_at_twilio_end_with_the_one_that_is_known() {
    let (line, call) = Line::over(true, false, Manner::Polite).await;
    assert_eq!(line.order(&call, START).await, 202);
    line.wait_for("the carrier records", BEGUN, 1).await;
    let Line::Twilio(world) = &line else { unreachable!("it is Twilio's") };
    let session = line.shown(&format!("/api/v1/sessions/{call}")).await;
    let sid = session["carrier_call_id"].as_str().unwrap().parse().unwrap();
    let how = RecordCall { callback: Some(format!("{}?recording={call}", world.server.webhook())) };
    let ask = world.api.start_recording(&sid, &how);
    let answer = Rest::plain().send(ask.request().clone()).await.unwrap();
    assert!(ask.read(&answer).is_ok());
    assert_eq!(line.act(&call, "pause").await, 202);
    assert_eq!(line.act(&call, "stop").await, 202);
    let ended: fn(&CallEvent) -> bool = |event| matches!(event, CallEvent::RecordingEnded);
    line.wait_for("both are over", ended, 1).await;
    let refused: fn(&CallEvent) -> bool = |event| matches!(event, CallEvent::RecordingRefused { .. });
    assert_eq!(line.count(refused), 0);
    line.wait_for("both are there", SAVED, 2).await;
    line.end(&call).await;
}

/// A server on that database.
async fn here(store: &Store) -> (Server, JournalReader) {
    let mut journal = None;
    let server = Server::with(|parts| {
        let store = store.clone().with_node(Node::new("here"));
        let writes = Journal::start(store.clone(), parts.world.clock).reader();
        let others = parts.world.readers.iter().cloned();
        parts.world.readers = others.chain([Arc::new(writes.clone()) as Arc<dyn Reader>]).collect();
        parts.store = Some(store);
        parts.journal = Some(writes.clone());
        journal = Some(writes);
    })
    .await;
    (server, journal.unwrap())
}

/// Twilio has recorded that call, and says so to this server.
fn word_of_twilio(server: &Server) -> Endpoint {
    let at = MonoTime::from_millis;
    let mut api = FakeTwilioApi::new(TwilioApiPlan::new(ACCOUNT, Secret::new(TOKEN.to_owned())));
    api.adopt(at(0), NAME);
    let callback = format!("{}?recording={CALL}", server.webhook()).replace(':', "%3A").replace('?', "%3F");
    let ask = |path: &str, body: String| {
        let credentials = format!("{ACCOUNT}:{TOKEN}");
        let credentials = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials);
        http::Request::post(format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{NAME}/Recordings{path}.json"))
            .header("authorization", format!("Basic {credentials}"))
            .body(bytes::Bytes::from(body))
            .unwrap()
    };
    api.request(at(1), 1, &ask("", format!("RecordingStatusCallback={}", callback.replace('=', "%3D"))));
    api.request(at(4_000), 2, &ask("/Twilio.CURRENT", "Status=stopped".to_owned()));
    api.advance(at(9_000));
    let mut posted = None;
    while posted.is_none() {
        let effect = api.poll();
        assert!(!matches!(effect, ApiEffect::WaitUntil(_)), "nobody is told");
        if let ApiEffect::Post(endpoint) = effect {
            posted = Some(endpoint);
        }
    }
    posted.unwrap()
}

/// Posts it; what it is refused with, if it is.
async fn posted_to(posted: &Endpoint) -> Option<u16> {
    let mut line = match Dialer::plain().dial(posted.clone()).await {
        Ok(line) => line,
        Err(LineEnd::Refused { status, .. }) => return Some(status),
        Err(end) => panic!("{end:?}"),
    };
    loop {
        match std::future::poll_fn(|cx| line.poll(cx)).await {
            Ok(_) => {}
            Err(LineEnd::Refused { status, .. }) => return Some(status),
            Err(end) => {
                assert_eq!(end, LineEnd::Ended);
                return None;
            }
        }
    }
}

#[tokio::test]
async fn what_is_told_after_the_end_at_another_server_is_written_down_once() {
    // Whoever wrote it goes on to hold the database, which closes with the last of them.
    let (store, _gone) = over_elsewhere().await;
    let (server, journal) = here(&store).await;
    let posted = word_of_twilio(&server);
    for _ in 0..2 {
        assert_eq!(posted_to(&posted).await, None);
        // What is answered is written.
        assert_eq!(store.carrier_recordings(CALL).await.unwrap().len(), 1);
    }
    until("it is in the record", || server.record.count(SAVED) == 1).await;
    server.stop().await;
    assert!(journal.flush().await);
    let found = store.carrier_recordings(CALL).await.unwrap();
    assert_eq!(
        (found.len(), found[0].seq, found[0].length),
        (1, 3, Some(Duration::from_secs(3))),
        "{found:?}"
    );
    let row = store.call(CALL).await.unwrap().unwrap();
    assert_eq!((row.node.as_str(), row.reason.as_deref()), ("here", Some("hung_up")), "it is over still");
    assert_eq!(store.entries(CALL).await.unwrap().len(), 3);
    let url = found[0].url.as_ref().map(|url| url.expose().starts_with("https://"));
    assert_eq!(url, Some(true));
}

/// A carrier that was told that we know would not say it again.
#[tokio::test]
async fn what_nobody_could_write_down_is_not_taken_note_of() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let (server, _journal) = here(&store).await;
    let posted = word_of_twilio(&server);
    assert_eq!(posted_to(&posted).await, Some(503), "nobody knows the call yet");
    let other = Journal::start(store.clone().with_node(Node::new("gone")), Clock::start()).reader();
    write_over(&other).await;
    assert_eq!(posted_to(&posted).await, None);
    assert_eq!(store.carrier_recordings(CALL).await.unwrap().len(), 1);
    server.stop().await;
}
