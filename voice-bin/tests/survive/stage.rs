//! A server that is killed and started again, callers of both carriers, and what they notice.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use voice_bin::server::{TELNYX_WEBHOOK, TWILIO_WEBHOOK};
use voice_bin::sim_net::{MakeService, TelnyxExchange, run_caller, serve};
use voice_bin::store::Store;
use voice_core::driver::{Clock, Dial};
use voice_core::record::CallEvent;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{FakeTelnyxCall, FakeTwilioCall, Script, Step, TelnyxCallPlan, TwilioCallPlan};

use crate::ear::{Ear, Listening};
use crate::memory::Memory;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const API_KEY: &str = "KEYsurvive";

/// With this the fake Telnyx signs.
const KEY_SEED: [u8; 32] = *b"the survivors' key, no secret!!!";

/// Nothing that is waited for takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Stage {
    /// Makes up the conversations.
    pub(crate) memory: Memory,
    clock: Clock,
    server: Option<Child>,
    address: SocketAddr,
    settings: Vec<(&'static str, String)>,
    exchange: TelnyxExchange,
    telnyx_plan: TelnyxCallPlan,
    ears: Vec<(&'static str, Arc<Ear>)>,
    callers: JoinSet<()>,
    directory: TempDir,
}

/// What one death cost.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// From the start of the new process until it took connections.
    pub(crate) started: Duration,
    /// From then on until each caller heard the voice, sorted; with the carrier's name.
    pub(crate) silent: Vec<(&'static str, Duration)>,
    /// Calls that nobody heard of again.
    pub(crate) lost: usize,
}

/// What the store holds at the end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Calls.
    pub(crate) calls: usize,
    /// Entries in all.
    pub(crate) entries: u64,
    /// Entries that say that a call came back.
    pub(crate) returns: u64,
    /// Calls whose numbers have a gap, or that have an entry twice.
    pub(crate) torn: usize,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _already_gone = server.kill();
            let _unknown = server.wait();
        }
    }
}

impl Stage {
    /// Starts all, and waits until every caller is talked with.
    pub(crate) async fn set(twilio: usize, telnyx: usize) -> io::Result<Self> {
        let mut stage = Self::open(&[]).await?;
        for number in 0..twilio as u64 {
            stage.call_over_twilio(number);
            sleep(Duration::from_millis(20)).await;
        }
        for number in 0..telnyx as u64 {
            stage.call_over_telnyx(number);
            sleep(Duration::from_millis(20)).await;
        }
        let heard = stage.all_heard(LONGEST).await;
        if heard { Ok(stage) } else { Err(io::Error::other("not every caller was talked with")) }
    }

    /// Starts all, without callers; the server with these settings besides.
    pub(crate) async fn open(more: &[(&'static str, String)]) -> io::Result<Self> {
        let clock = Clock::start();
        let memory = Memory::default();
        let service = TcpListener::bind(("127.0.0.1", 0)).await?;
        let service_address = service.local_addr()?;
        let connecting = memory.clone();
        let make: MakeService = Arc::new(move || connecting.connection());
        // The service answers as long as the test runs.
        tokio::spawn(serve(service, clock, make, std::future::pending()));
        let api = TcpListener::bind(("127.0.0.1", 0)).await?;
        let api_address = api.local_addr()?;
        let exchange = TelnyxExchange::default();
        // The API answers as long as the harness runs.
        tokio::spawn(exchange.clone().serve(api, clock, std::future::pending()));
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let telnyx_plan = TelnyxCallPlan::new(
            format!("http://{address}{TELNYX_WEBHOOK}"),
            KEY_SEED,
            Secret::new(API_KEY.to_owned()),
        )
        .with_script(patient())
        .with_epoch(clock.unix(MonoTime::ZERO));
        let mut settings = vec![
            ("PORT", address.port().to_string()),
            ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
            ("TWILIO_API_URL", format!("http://{api_address}")),
            ("TELNYX_API_KEY", API_KEY.to_owned()),
            ("TELNYX_PUBLIC_KEY", telnyx_plan.public_key()),
            ("TELNYX_API_URL", format!("http://{api_address}/v2")),
            ("OPENAI_API_KEY", "sk-survive".to_owned()),
            ("OPENAI_REALTIME_URL", format!("ws://{}/v1/realtime", service_address)),
        ];
        settings.extend_from_slice(more);
        let directory = tempfile::tempdir()?;
        let mut stage = Self {
            memory,
            clock,
            server: None,
            address,
            settings,
            exchange,
            telnyx_plan,
            ears: Vec::new(),
            callers: JoinSet::new(),
            directory,
        };
        stage.start().await?;
        Ok(stage)
    }

    pub(crate) fn call_over_twilio(&mut self, number: u64) {
        let plan = TwilioCallPlan::new(
            format!("http://{}{TWILIO_WEBHOOK}", self.address),
            Secret::new(TOKEN.to_owned()),
        );
        let plan = plan.with_script(patient()).with_seed(number).with_names(1_000 + number);
        let clock = self.clock;
        let call = FakeTwilioCall::new(clock.now(), plan);
        let dial = self.ear("twilio");
        // One task for each caller.
        self.callers.spawn(async move { drop(run_caller(call, dial, clock).await) });
    }

    pub(crate) fn call_over_telnyx(&mut self, number: u64) {
        let plan = self.telnyx_plan.clone().with_seed(number).with_names(2_000 + number);
        let clock = self.clock;
        let call = self.exchange.connect(FakeTelnyxCall::new(clock.now(), plan), clock);
        let dial = self.ear("telnyx");
        // One task for each caller.
        self.callers.spawn(async move { drop(run_caller(call, dial, clock).await) });
    }

    /// Whether every caller hears the voice from now on.
    pub(crate) async fn is_heard_by_all(&self, patience: Duration) -> bool {
        self.ears.iter().for_each(|(_, ear)| ear.forget());
        self.all_heard(patience).await
    }

    /// The server is killed, `dead` later another one is started.
    pub(crate) async fn kill(&mut self, dead: Duration, patience: Duration) -> io::Result<Round> {
        self.memory.killing(self.clock.now());
        if let Some(mut server) = self.server.take() {
            server.kill()?;
            server.wait()?;
        }
        self.begin_again(dead, patience).await
    }

    /// The server is told to go, and gives its calls away; then another one is started.
    pub(crate) async fn hand_over(&mut self, patience: Duration) -> io::Result<Round> {
        self.memory.killing(self.clock.now());
        if let Some(mut server) = self.server.take() {
            let told = Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?;
            // In a thread of its own: it takes as long as it takes.
            let ended =
                tokio::task::spawn_blocking(move || server.wait()).await.map_err(io::Error::other)??;
            if !told.success() || !ended.success() {
                return Err(io::Error::other("the server did not go as it should"));
            }
        }
        self.begin_again(Duration::ZERO, patience).await
    }

    async fn begin_again(&mut self, dead: Duration, patience: Duration) -> io::Result<Round> {
        self.ears.iter().for_each(|(_, ear)| ear.forget());
        sleep(dead).await;
        let began = self.clock.now();
        self.start().await?;
        let started = self.clock.now();
        self.all_heard(patience).await;
        let mut silent: Vec<_> = self
            .ears
            .iter()
            .filter_map(|(carrier, ear)| Some((*carrier, ear.heard()?.since(started))))
            .collect();
        silent.sort_by_key(|(_, silent)| *silent);
        let lost = self.ears.len() - silent.len();
        Ok(Round { started: started.since(began), silent, lost })
    }

    /// The server is told to go, and what it wrote is looked at.
    pub(crate) async fn records(&mut self) -> io::Result<Records> {
        if let Some(mut server) = self.server.take() {
            server.kill()?;
            server.wait()?;
        }
        let url = format!("sqlite:{}", self.directory.path().join("voice.db").display());
        let store = Store::open(&url).await.map_err(io::Error::other)?;
        let mut records = Records::default();
        for row in store.calls(1_000).await.map_err(io::Error::other)? {
            let entries = store.entries(row.call).await.map_err(io::Error::other)?;
            let whole = entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq);
            records.calls += 1;
            records.entries += entries.len() as u64;
            records.torn += usize::from(!whole);
            let returned = |event: &CallEvent| matches!(event, CallEvent::Returned { .. });
            records.returns +=
                entries.iter().filter(|entry| entry.event.as_ref().is_ok_and(returned)).count() as u64;
        }
        Ok(records)
    }

    fn ear(&mut self, carrier: &'static str) -> Arc<dyn Dial> {
        let dial = Arc::new(Dialer::plain());
        let ear = Arc::new(Ear::default());
        self.ears.push((carrier, ear.clone()));
        Arc::new(Listening { dial, ear, clock: self.clock })
    }

    async fn all_heard(&self, patience: Duration) -> bool {
        let until = self.clock.now() + patience;
        while self.clock.now() < until {
            if self.ears.iter().all(|(_, ear)| ear.heard().is_some()) {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    async fn start(&mut self) -> io::Result<()> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_voice-server"));
        let log = std::env::var_os("VOICE_SURVIVE_LOG");
        let errors = match log {
            Some(path) => Stdio::from(std::fs::File::options().create(true).append(true).open(path)?),
            None => Stdio::null(),
        };
        command
            .arg("serve")
            .env_clear()
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .env("NODE_NAME", "voice")
            .env("DRAIN_MODE", "handover")
            .env("MAX_CALLS", "10000")
            .env("AGENT_GREETING", "off")
            .env("COVER_PROMPTS", "off")
            .env("VOICE_PROVIDERS", "openai")
            .env("VOICE_PROBE_SECONDS", "0")
            .env("WEBHOOK_PER_MINUTE", "100000")
            .env("WEBHOOK_BURST", "10000")
            .env("CARRIER_PER_MINUTE", "100000")
            .env("MEDIA_PER_MINUTE", "100000")
            .env("MEDIA_BURST", "10000")
            .envs(self.settings.iter().cloned());
        self.server = Some(command.spawn()?);
        let began = self.clock.now();
        while TcpStream::connect(self.address).await.is_err() {
            if self.clock.now().since(began) > LONGEST {
                return Err(io::Error::other("the server does not listen"));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Somebody who listens for an hour.
pub(crate) fn patient() -> Script {
    let hour = Duration::from_secs(3_600);
    let mut script = Script::new(vec![Step::Pause(hour), Step::HangUp]);
    script.longest = hour;
    script
}
