//! A server on a free port, with whatever a test needs around it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use voice_bin::config::{DoorConfig, LimitsConfig};
use voice_bin::server::{OutboundParts, Parts, TWILIO_WEBHOOK, TelnyxParts, TwilioParts, run_until};
use voice_bin::sim_net::run_caller;
use voice_bin::telemetry::Metrics;
use voice_core::audio::AudioFormat;
use voice_core::call::CallConfig;
use voice_core::driver::{Clock, InOrder, NoTools, World};
use voice_core::id::{CallId, ProviderId};
use voice_core::provider::{
    Capabilities, Provider, ProviderEvent, ProviderSession, SessionInput, SessionOutput, Setup,
};
use voice_core::record::{CallEvent, Entry, Reader};
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{CallReport, FakeTwilioCall, Rudeness, TwilioCallPlan};
use voice_telephony::twilio::Tokens;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running server without any provider: every call that gets in ends with `no_provider`.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) record: Arc<Record>,
    stop: Option<oneshot::Sender<()>>,
    at_once: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Keeps what every call reports.
#[derive(Default)]
pub(crate) struct Record {
    events: Mutex<Vec<(CallId, CallEvent)>>,
    live: Notify,
}

impl Reader for Record {
    fn read(&self, call: CallId, entry: &Entry) {
        self.events.lock().unwrap().push((call, entry.event.clone()));
        if matches!(entry.event, CallEvent::Live { .. }) {
            self.live.notify_one();
        }
    }
}

impl Record {
    /// Until a provider hears a caller.
    pub(crate) async fn wait_for_live(&self) {
        self.live.notified().await;
    }

    /// How many of these there were.
    pub(crate) fn count(&self, is_one: impl Fn(&CallEvent) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|(_, event)| is_one(event)).count()
    }

    /// The calls that reported anything, each once, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let mut calls: Vec<String> =
            self.events.lock().unwrap().iter().map(|(call, _)| call.to_string()).collect();
        calls.dedup();
        calls
    }

    /// Whoever was connected, in order.
    pub(crate) fn voices(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let mut voices = Vec::new();
        for (_, event) in events.iter() {
            if let CallEvent::Assigned { provider, .. } = event {
                voices.push(provider.to_string());
            }
        }
        voices
    }

    /// How transfers went: `answered`, or why one failed.
    pub(crate) fn transfers(&self) -> Vec<&'static str> {
        let events = self.events.lock().unwrap();
        let mut told = Vec::new();
        for (_, event) in events.iter() {
            if let CallEvent::TransferAnswered { .. } = event {
                told.push("answered");
            } else if let CallEvent::TransferFailed { why, .. } = event {
                told.push(why.name());
            }
        }
        told
    }

    /// The reasons for which calls ended, in order.
    pub(crate) fn ends(&self) -> Vec<&'static str> {
        let events = self.events.lock().unwrap();
        let mut ends = Vec::new();
        for (_, event) in events.iter() {
            if let CallEvent::Ended { reason, .. } = event {
                ends.push(reason.kind());
            }
        }
        ends
    }
}

/// A server that is no more, so that nothing is added to its record.
pub(crate) struct Stopped(Arc<Record>);

impl Stopped {
    /// Why its calls ended.
    pub(crate) fn ends(self) -> Vec<&'static str> {
        self.0.ends()
    }

    /// These calls were ended, for these reasons.
    pub(crate) fn settled(self, ends: &[&str]) {
        assert_eq!(self.0.ends(), ends);
    }
}

/// A provider that is ready at once, listens, and never says a word. It needs no line.
pub(crate) struct Silent(Capabilities);

impl Silent {
    pub(crate) fn fleet() -> Arc<InOrder> {
        Arc::new(InOrder::new(vec![(ProviderId::from_static("silent"), Self::provider())]))
    }

    pub(crate) fn provider() -> Arc<dyn Provider> {
        let formats = || vec![AudioFormat::MULAW_8K];
        Arc::new(Self(Capabilities::new(formats(), formats())))
    }
}

impl Provider for Silent {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn open(&self, _: Setup) -> Box<dyn ProviderSession> {
        Box::new(Silence { ready: Some(ProviderEvent::Ready { session: None, expires: None }) })
    }
}

struct Silence {
    ready: Option<ProviderEvent>,
}

impl ProviderSession for Silence {
    fn handle(&mut self, _: MonoTime, _: SessionInput<'_>) {}

    fn poll(&mut self) -> SessionOutput {
        self.ready.take().map_or(SessionOutput::WaitUntil(None), SessionOutput::Event)
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Parts)) -> Self {
        let clock = Clock::start();
        let record = Arc::new(Record::default());
        let readers: Vec<Arc<dyn Reader>> = vec![record.clone()];
        let mut parts = Parts {
            world: World {
                dial: Arc::new(Dialer::plain()),
                fleet: Arc::new(InOrder::default()),
                tools: Arc::new(NoTools),
                readers: readers.into(),
                clock,
            },
            agent: Arc::new(CallConfig::builder("You are a test.").build().unwrap()),
            twilio: TwilioParts {
                tokens: Tokens::new(Secret::new(TOKEN.to_owned())),
                account_sid: None,
                rest: None,
            },
            telnyx: TelnyxParts::default(),
            outbound: OutboundParts::default(),
            public_url: None,
            limits: LimitsConfig { calls_max: 10, drain: Duration::from_secs(5), hand_over: false },
            door: DoorConfig::default(),
            recording: None,
            store: None,
            journal: None,
            metrics: Metrics::unfed().unwrap(),
            traces: None,
        };
        change(&mut parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = word();
        let (at_once, stopped_at_once) = word();
        let task = tokio::spawn(run_until(listener, parts, stopped, stopped_at_once));
        Self { address, clock, record, stop: Some(stop), at_once: Some(at_once), task }
    }

    pub(crate) fn webhook(&self) -> String {
        format!("http://{}{TWILIO_WEBHOOK}", self.address)
    }

    /// Places one call and waits for its end.
    pub(crate) async fn call(&self, rudeness: &[Rudeness]) -> CallReport {
        self.call_with(self.plan().with_rudeness(rudeness.iter().copied())).await
    }

    /// A polite call of a name that no other has.
    pub(crate) fn plan(&self) -> TwilioCallPlan {
        static NAMES: AtomicU64 = AtomicU64::new(1_000);
        TwilioCallPlan::new(self.webhook(), Secret::new(TOKEN.to_owned()))
            .with_names(NAMES.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn call_with(&self, plan: TwilioCallPlan) -> CallReport {
        self.place(plan).await
    }

    /// The same for a task of its own.
    pub(crate) fn place(&self, plan: TwilioCallPlan) -> impl Future<Output = CallReport> + Send + use<> {
        let clock = self.clock;
        let call = FakeTwilioCall::new(clock.now(), plan);
        async move { run_caller(call, Arc::new(Dialer::plain()), clock).await.report().clone() }
    }

    /// Tells the server to stop, which it does in its own time.
    pub(crate) fn tell_to_stop(&mut self) {
        self.stop = None;
    }

    /// Tells it a second time.
    pub(crate) fn tell_to_stop_at_once(&mut self) {
        self.at_once = None;
    }

    /// Stops the server, which must come to its end by itself.
    pub(crate) async fn stop(mut self) -> Stopped {
        self.tell_to_stop();
        self.task.await.unwrap().unwrap();
        Stopped(self.record)
    }

    /// Sends these bytes over a connection of its own and reads until the server closes it.
    pub(crate) async fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Asks for a path and gives back the whole answer.
    pub(crate) async fn ask(&self, path: &str) -> String {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await
    }
}

/// A word that is said by dropping it.
fn word() -> (oneshot::Sender<()>, impl Future<Output = ()> + Send) {
    let (said, heard) = oneshot::channel::<()>();
    (said, async move {
        let _dropped_means_said = heard.await;
    })
}
