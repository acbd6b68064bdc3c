//! Calls, failures and intruders after which every metric of the table has moved.
//!
//! The recorder is the process's own, so other tests of the same process only add to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::net::TcpStream;
use voice_bin::config::LogFormat;
use voice_bin::recording::{BucketConfig, RecordingParts, Recordings, Uploads, recover};
use voice_bin::server::{OutboundParts, TwilioLine};
use voice_bin::store::{Journal, Store};
use voice_bin::telemetry::{Budget, BudgetAction, Kind, Metrics, Prices, TABLE, start_log};
use voice_core::audio::AudioFormat;
use voice_core::call::{CallConfig, Greeting};
use voice_core::capabilities::{MicroUsd, Price, Rate};
use voice_core::consent::{Consent, Scope};
use voice_core::conversation::ToolCall;
use voice_core::driver::{Clock, SharedRoster};
use voice_core::failure::Failure;
use voice_core::id::{AttachmentId, CallId, ProviderId, ReplyId, ToolCallId, UtteranceId};
use voice_core::provider::{
    Capabilities, Provider, ProviderCommand, ProviderEvent, ProviderSession, ReplyEnd, SessionInput,
    SessionOutput, Setup, Usage,
};
use voice_core::record::{CallEvent, Entry, Reader};
use voice_core::recording::{Block, RecordingStart};
use voice_core::roster::{Candidate, RosterConfig};
use voice_core::sensitive::Secret;
use voice_core::sim::speech::caller;
use voice_core::time::MonoTime;
use voice_telephony::outbound::AttemptKey;
use voice_telephony::rest::Rest;
use voice_telephony::sim::{Rudeness, Script, Step, TwilioCallPlan};
use voice_telephony::twilio::rest::{Credentials, TwilioApi};

use crate::world::{Server, TOKEN};

/// What moves only where there are several servers: `tests/survive` looks at those.
const AMONG_SERVERS: [&str; 4] =
    ["redis_up", "voice_servers", "voice_requests_led_total", "voice_calls_adopted_total"];

/// What each metric came to, at most, over several looks: gauges fall again.
#[derive(Default)]
struct Seen(BTreeMap<String, f64>);

#[tokio::test]
async fn every_metric_moves_and_the_table_is_printed() {
    let clock = Clock::start();
    let budget = Budget { limit: MicroUsd(200), warn_percent: 50, action: BudgetAction::Warn };
    let price = Price { rate: Rate::PerMinute(MicroUsd(60_000)), as_of: "2026-11-21", source: "a test" };
    let metrics = Metrics::install().unwrap().with_budget(Prices::new([(id("ada"), price)]), Some(budget));
    let _other_tests_may_have_started_it = start_log(LogFormat::Json, "off");
    metrics.name_server("test");
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("voice.db").display());
    let store = Store::open(&url).await.unwrap();
    let mut seen = Seen::default();

    talk(&metrics, &store, clock, directory.path(), &mut seen).await;
    nobody_is_there(&metrics).await;
    intruders(&metrics).await;
    over_telnyx(&metrics).await;
    overload(&store, clock, directory.path(), &metrics, &mut seen).await;

    seen.look(&metrics.render());
    let mut table = String::new();
    let mut still = Vec::new();
    for metric in TABLE {
        let most = seen.0.get(metric.name).copied().unwrap_or_default();
        let kind = match metric.kind {
            Kind::Counter(_) => "counter",
            Kind::Gauge(_) => "gauge",
            Kind::Histogram(..) => "histogram",
        };
        table += &format!("{:<48} {kind:<10} {most:>16.3}  {}\n", metric.name, metric.labels.join(", "));
        if most == 0.0 && !AMONG_SERVERS.contains(&metric.name) {
            still.push(metric.name);
        }
    }
    println!("{table}");
    assert_eq!(still, Vec::<&str>::new(), "never moved");
}

/// Two providers, of whom the first fails; a caller who speaks; orders of an operator; a recording.
async fn talk(metrics: &Metrics, store: &Store, clock: Clock, dir: &std::path::Path, seen: &mut Seen) {
    let recordings = Recordings::start(dir, clock).unwrap();
    recover(dir).unwrap();
    let journal = Journal::start(store.clone(), clock);
    let server = Server::with(|parts| {
        let candidate = |name, script| Candidate::new(id(name), Scripted::provider(script));
        let candidates = vec![candidate("eve", eve as Play), candidate("ada", ada), candidate("bob", bob)];
        parts.world.fleet = Arc::new(SharedRoster::new(RosterConfig::default(), candidates));
        let mut readers = parts.world.readers.to_vec();
        readers.extend([Arc::new(metrics.reader()) as Arc<dyn Reader>, Arc::new(journal.reader())]);
        parts.world.readers = readers.into();
        parts.agent =
            Arc::new(CallConfig::builder("You are a test.").greeting(Greeting::Caller).build().unwrap());
        parts.metrics = metrics.clone();
        parts.store = Some(store.clone());
        let basis = Some("everybody is told before".parse().unwrap());
        parts.recording = Some(RecordingParts::new(recordings.sink(), basis));
    })
    .await;
    let say = Step::Say(caller("hello").unwrap().into());
    let steps =
        vec![say.clone(), Step::Pause(Duration::from_secs(5)), say, Step::Pause(Duration::from_secs(7))];
    let plan = server.plan().with_script(Script::new(steps));
    let call =
        tokio::spawn(server.place(plan.with_rudeness([Rudeness::UnknownEvents, Rudeness::StrayMarks])));
    server.record.wait_for_live().await;
    let session = format!("/api/v1/sessions/{}", server.record.calls()[0]);
    for order in ["mute", "switch-back"] {
        post(&server, &format!("{session}/{order}")).await;
    }
    post_body(&server, &format!("{session}/mute"), r#"{"muted": false}"#).await;
    post_body(&server, &format!("{session}/switch-provider"), r#"{"provider": "bob"}"#).await;
    post(&server, &format!("{session}/switch-back")).await;
    // Nobody operates this call's carrier.
    post_body(&server, &format!("{session}/transfer"), r#"{"to": "+15005550006"}"#).await;
    while !call.is_finished() {
        seen.look(&server.ask("/metrics").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let shown = server.ask(&format!("{session}/metrics")).await;
    assert!(shown.contains(r#""answers":"#) && shown.contains(r#""packet_loss_percent":"#), "{shown}");
    seen.look(&server.ask("/metrics").await);
    // Their media socket breaks off: dropped.
    let _stopped = server.stop().await;
    recordings.close().await;
    journal.close().await;
    // The bucket is not there.
    let bucket = BucketConfig {
        name: "recordings".to_owned(),
        endpoint: Some("http://127.0.0.1:1".parse().unwrap()),
        region: "us-east-1".to_owned(),
        prefix: String::new(),
        key_id: "id".to_owned(),
        secret: Secret::new("key".to_owned()),
    };
    let uploads = Uploads::start(dir, &bucket, Arc::new(Rest::plain())).unwrap();
    while !metrics.render().contains("voice_recording_uploads_total{") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    uploads.close().await;
}

/// A server without providers: the caller hears prompts, and calls of ours cannot be placed.
async fn nobody_is_there(metrics: &Metrics) {
    let credentials = Credentials::AuthToken(Secret::new(TOKEN.to_owned()));
    let account = "AC00112233445566778899aabbccddeeff".parse().unwrap();
    let api = TwilioApi::new(account, credentials).with_url("http://127.0.0.1:1").unwrap();
    let server = Server::with(|parts| {
        let mut readers = parts.world.readers.to_vec();
        readers.push(Arc::new(metrics.reader()));
        parts.world.readers = readers.into();
        parts.metrics = metrics.clone();
        parts.outbound = OutboundParts {
            http: Some(Arc::new(Rest::plain())),
            twilio: Some(TwilioLine { api, from: "+15005550009".parse().unwrap() }),
            ..OutboundParts::default()
        };
    })
    .await;
    post_body(&server, "/api/v1/telephony/outbound", r#"{"to_number": "+15005550010"}"#).await;
    // One of ours that nobody waits for.
    let key = AttemptKey { call: CallId::from_u128(7), attempt: 0 };
    let stray = TwilioCallPlan::new(key.in_url(&server.webhook()), Secret::new(TOKEN.to_owned()));
    server.call_with(stray.with_names(999_999)).await;
    server.call_with(server.plan().with_script(Script::new(vec![Step::Pause(Duration::from_secs(4))]))).await;
    let _stopped = server.stop().await;
}

/// Who has no business here.
async fn intruders(metrics: &Metrics) {
    let server = Server::with(|parts| {
        parts.metrics = metrics.clone();
        parts.door.connections_from_one_max = 4;
    })
    .await;
    server.call(&[Rudeness::WrongSignature]).await;
    server.call(&[Rudeness::UnsignedUpgrade]).await;
    let guarded =
        "GET /api/v1/sessions HTTP/1.1\r\nhost: localhost\r\nvia: somebody\r\nconnection: close\r\n\r\n";
    assert!(server.exchange(guarded).await.contains(StatusCode::UNAUTHORIZED.as_str()));
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    drop(held);
    let _stopped = server.stop().await;
}

/// A carrier that signs the time.
async fn over_telnyx(metrics: &Metrics) {
    let world = crate::telnyx::world(|parts| {
        let mut readers = parts.world.readers.to_vec();
        readers.push(Arc::new(metrics.reader()));
        parts.world.readers = readers.into();
        parts.metrics = metrics.clone();
    })
    .await;
    world.call(world.plan(77)).await;
}

/// More than the disk takes, and a disk that takes nothing.
async fn overload(store: &Store, clock: Clock, dir: &std::path::Path, metrics: &Metrics, seen: &mut Seen) {
    let entry = |seq| Entry { seq, at: clock.now(), event: CallEvent::RecordingPaused };
    let journal = Journal::start(store.clone(), clock);
    let reader = journal.reader();
    // Nobody else runs on this thread meanwhile.
    (1..80_000).for_each(|seq| reader.read(CallId::from_u128(8), &entry(seq)));
    tokio::task::yield_now().await;
    seen.look(&metrics.render());
    journal.close().await;

    let recordings = Recordings::start(dir, clock).unwrap();
    let consent = Consent::not_required("a test".parse().unwrap(), Scope::RECORDING);
    let start = RecordingStart { format: AudioFormat::MULAW_8K, at: clock.now(), consent };
    let mut writer = recordings.sink().begin(CallId::from_u128(9), &start).unwrap();
    let sound = bytes::Bytes::from_static(&[0xff; 160]);
    for n in 0..500_000_u32 {
        writer.write(Block {
            at: Duration::from_millis(20) * n,
            caller: sound.clone(),
            voice: sound.clone(),
        });
    }
    recordings.close().await;

    // More questions at once than there are connections.
    let fresh = Store::open(&format!("sqlite:{}", dir.join("other.db").display())).await.unwrap();
    let server = Server::with(|parts| {
        parts.metrics = metrics.clone();
        parts.store = Some(fresh.clone());
    })
    .await;
    for _ in 0..50 {
        let asked = futures_util::future::join_all((0..2_000).map(|_| fresh.is_up()));
        let (_, text) = tokio::join!(asked, server.ask("/metrics"));
        seen.look(&text);
        if seen.0.get("db_connections_overflow").is_some_and(|most| *most > 0.0) {
            break;
        }
    }
    let _stopped = server.stop().await;
    fresh.close().await;
    let journal = Journal::start(fresh, clock);
    journal.reader().read(CallId::from_u128(8), &entry(1));
    journal.close().await;
}

impl Seen {
    fn look(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let name = series.split('{').next().unwrap_or_default();
            let name = name.strip_suffix("_count").filter(|name| is_histogram(name)).unwrap_or(name);
            let most = self.0.entry(name.to_owned()).or_default();
            *most = most.max(value);
        }
    }
}

fn is_histogram(name: &str) -> bool {
    TABLE.iter().any(|metric| metric.name == name && matches!(metric.kind, Kind::Histogram(..)))
}

fn id(name: &'static str) -> ProviderId {
    ProviderId::from_static(name)
}

async fn post(server: &Server, path: &str) {
    post_body(server, path, "").await;
}

async fn post_body(server: &Server, path: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    server.exchange(&request).await;
}

/// What somebody says and does after so many frames of the caller's.
pub(crate) type Play = fn(AttachmentId) -> Vec<(u32, ProviderEvent)>;

/// A provider that plays its part by the number of frames that it has heard. It needs no line.
pub(crate) struct Scripted(Capabilities, Play);

struct Playing {
    attachment: AttachmentId,
    heard: u32,
    events: VecDeque<(u32, ProviderEvent)>,
}

impl Scripted {
    pub(crate) fn provider(play: Play) -> Arc<dyn Provider> {
        let formats = || vec![AudioFormat::MULAW_8K];
        Arc::new(Self(Capabilities::new(formats(), formats()), play))
    }
}

impl Provider for Scripted {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        let attachment = setup.attachment;
        Box::new(Playing { attachment, heard: 0, events: (self.1)(attachment).into() })
    }
}

impl ProviderSession for Playing {
    fn handle(&mut self, _: MonoTime, input: SessionInput<'_>) {
        if matches!(input, SessionInput::Command(ProviderCommand::Hear(_))) {
            self.heard += 1;
        }
        if matches!(input, SessionInput::Command(ProviderCommand::Speak { .. })) {
            let reply = ReplyId::new(self.attachment, 900);
            let audio = vec![0x30; 4_000].into();
            self.events.push_front((0, ProviderEvent::ReplyDone { reply, end: ReplyEnd::Completed }));
            self.events.push_front((0, ProviderEvent::Speech { reply, audio }));
        }
    }

    fn poll(&mut self) -> SessionOutput {
        match self.events.front() {
            Some((at, _)) if *at <= self.heard => {
                SessionOutput::Event(self.events.pop_front().expect("it was just seen").1)
            }
            Some(_) | None => SessionOutput::WaitUntil(None),
        }
    }
}

/// Takes none of our keys.
fn eve(_: AttachmentId) -> Vec<(u32, ProviderEvent)> {
    vec![(0, ProviderEvent::Failed(Failure::Credentials))]
}

/// Hears, answers, is interrupted, is slow to answer, calls a tool, and is cut off.
fn ada(of: AttachmentId) -> Vec<(u32, ProviderEvent)> {
    let mut events = vec![(0, ProviderEvent::Ready { session: None, expires: None })];
    events.extend(turn(of, 1, (40, 100, 110), 2));
    let tool =
        ToolCall { id: ToolCallId::new(of, 1), name: "none".into(), arguments: "{}".to_owned().into() };
    events.push((111, ProviderEvent::ToolCall(tool)));
    events.push((111, ProviderEvent::Used(Usage { audio_out: 40, ..Usage::default() })));
    events.push((111, ProviderEvent::Unknown { kind: "news".into() }));
    // Interrupts what is being said, and is answered only after two seconds.
    events.extend(turn(of, 2, (150, 160, 290), 1));
    events.push((350, ProviderEvent::Failed(Failure::Cut)));
    events
}

/// Takes over, and is of use for a while.
fn bob(of: AttachmentId) -> Vec<(u32, ProviderEvent)> {
    let mut events = vec![(0, ProviderEvent::Ready { session: None, expires: None })];
    events.extend(turn(of, 1, (20, 30, 40), 1));
    events.push((41, ProviderEvent::Used(Usage { audio_out: 40, ..Usage::default() })));
    events
}

/// The caller speaks and pauses, and is answered for so many seconds.
pub(crate) fn turn(
    of: AttachmentId,
    n: u32,
    at: (u32, u32, u32),
    seconds: usize,
) -> Vec<(u32, ProviderEvent)> {
    let (utterance, reply) = (UtteranceId::new(of, n), ReplyId::new(of, n));
    vec![
        (at.0, ProviderEvent::CallerSpoke(utterance)),
        (at.1, ProviderEvent::CallerPaused(utterance)),
        (at.2, ProviderEvent::Speech { reply, audio: vec![0x30; seconds * 8_000].into() }),
        (at.2, ProviderEvent::ReplyDone { reply, end: ReplyEnd::Completed }),
    ]
}
