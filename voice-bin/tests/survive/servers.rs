//! Two servers on one PostgreSQL and one Redis, behind a load balancer, and callers of both carriers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use voice_bin::server::{TELNYX_WEBHOOK, TWILIO_WEBHOOK};
use voice_bin::sim_net::{MakeService, TelnyxExchange, run_caller, serve};
use voice_core::driver::{Clock, Dial};
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{FakeTelnyxCall, FakeTwilioCall, TelnyxCallPlan, TwilioCallPlan};

use crate::balancer::Balancer;
use crate::ear::{Ear, Listening};
use crate::memory::Memory;
use crate::stage::patient;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const API_TOKEN: &str = "0123456789abcdef-of-the-test";
const API_KEY: &str = "KEYtwo";

/// With this the fake Telnyx signs.
const KEY_SEED: [u8; 32] = *b"the survivors' key, no secret!!!";

/// Nothing that is waited for takes longer.
const LONGEST: Duration = Duration::from_secs(40);

/// See the module.
pub(crate) struct Servers {
    pub(crate) memory: Memory,
    pub(crate) balancer: Balancer,
    pub(crate) services: Services,
    pub(crate) clock: Clock,
    addresses: [SocketAddr; 2],
    running: [Option<Child>; 2],
    settings: Vec<(&'static str, String)>,
    exchange: TelnyxExchange,
    telnyx_plan: TelnyxCallPlan,
    ears: Vec<(&'static str, Arc<Ear>)>,
    callers: JoinSet<()>,
    directory: TempDir,
}

/// A PostgreSQL and a Redis of the test's own. They end with the value.
pub(crate) struct Services(TempDir);

impl Services {
    fn start() -> io::Result<Self> {
        let services = Self(tempfile::tempdir()?);
        services.order(&["start"])?;
        Ok(services)
    }

    /// As `scripts/services` has it: `["kill", "redis"]`.
    pub(crate) fn order(&self, words: &[&str]) -> io::Result<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let mut command = Command::new(script);
        command.arg(words[0]).arg(self.0.path()).args(&words[1..]);
        let output = command.output()?;
        if output.status.success() {
            return String::from_utf8(output.stdout).map_err(io::Error::other);
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Where one of them is.
    pub(crate) fn url(&self, variable: &str) -> io::Result<String> {
        let lines = self.order(&["env"])?;
        let line = lines.lines().find_map(|line| line.trim().split_once(&format!("{variable}=")));
        line.map(|(_, url)| url.to_owned()).ok_or_else(|| io::Error::other("no such service"))
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ended_or_never_begun = self.order(&["kill"]);
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in self.running.iter_mut().flatten() {
            let _already_gone = server.kill();
            let _unknown = server.wait();
        }
    }
}

impl Servers {
    /// Starts all, without callers.
    pub(crate) async fn start() -> io::Result<Self> {
        let clock = Clock::start();
        let services = Services::start()?;
        let memory = Memory::default();
        let service = TcpListener::bind(("127.0.0.1", 0)).await?;
        let service_address = service.local_addr()?;
        let connecting = memory.clone();
        let make: MakeService = Arc::new(move || connecting.connection());
        // The service and the API answer as long as the test runs.
        tokio::spawn(serve(service, clock, make, std::future::pending()));
        let api = TcpListener::bind(("127.0.0.1", 0)).await?;
        let api_address = api.local_addr()?;
        let exchange = TelnyxExchange::default();
        tokio::spawn(exchange.clone().serve(api, clock, std::future::pending()));
        let free = || std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr();
        let addresses = [free()?, free()?];
        let balancer = Balancer::start(addresses).await?;
        let base = format!("http://{}", balancer.address);
        let telnyx_plan =
            TelnyxCallPlan::new(format!("{base}{TELNYX_WEBHOOK}"), KEY_SEED, Secret::new(API_KEY.to_owned()))
                .with_script(patient())
                .with_epoch(clock.unix(MonoTime::ZERO));
        let settings = vec![
            ("PUBLIC_URL", base),
            ("API_TOKEN", API_TOKEN.to_owned()),
            ("DATABASE_URL", format!("{}/postgres", services.url("VOICE_TEST_POSTGRES")?)),
            ("REDIS_URL", services.url("VOICE_TEST_REDIS")?),
            ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
            ("TWILIO_API_URL", format!("http://{api_address}")),
            ("TELNYX_API_KEY", API_KEY.to_owned()),
            ("TELNYX_PUBLIC_KEY", telnyx_plan.public_key()),
            ("TELNYX_API_URL", format!("http://{api_address}/v2")),
            ("OPENAI_API_KEY", "sk-survive".to_owned()),
            ("OPENAI_REALTIME_URL", format!("ws://{service_address}/v1/realtime")),
            ("DRAIN_MODE", "handover".to_owned()),
            ("AGENT_GREETING", "off".to_owned()),
            ("COVER_PROMPTS", "off".to_owned()),
            ("VOICE_PROVIDERS", "openai".to_owned()),
            ("VOICE_PROBE_SECONDS", "0".to_owned()),
            ("WEBHOOK_BURST", "1000".to_owned()),
        ];
        let mut servers = Self {
            memory,
            balancer,
            services,
            clock,
            addresses,
            running: [None, None],
            settings,
            exchange,
            telnyx_plan,
            ears: Vec::new(),
            callers: JoinSet::new(),
            directory: tempfile::tempdir()?,
        };
        servers.run(0).await?;
        servers.run(1).await?;
        Ok(servers)
    }

    /// One caller more on each carrier.
    pub(crate) async fn call(&mut self) -> io::Result<()> {
        for server in [0, 1] {
            // A machine that does not keep up has a busy tone for whoever calls now.
            self.until(server, "/ready", |body| body.contains("true")).await?;
        }
        let dial: Arc<dyn Dial> = Arc::new(Dialer::plain());
        let (clock, number) = (self.clock, self.ears.len() as u64);
        let webhook = format!("http://{}{TWILIO_WEBHOOK}", self.balancer.address);
        let plan = TwilioCallPlan::new(webhook, Secret::new(TOKEN.to_owned()));
        let plan = plan.with_script(patient()).with_seed(number).with_names(1_000 + number);
        let (call, ear) = (FakeTwilioCall::new(clock.now(), plan), self.ear("twilio", &dial));
        // One task for each caller.
        self.callers.spawn(async move { drop(run_caller(call, ear, clock).await) });
        let plan = self.telnyx_plan.clone().with_seed(number).with_names(2_000 + number);
        let call = self.exchange.connect(FakeTelnyxCall::new(clock.now(), plan), clock);
        let ear = self.ear("telnyx", &dial);
        self.callers.spawn(async move { drop(run_caller(call, ear, clock).await) });
        Ok(())
    }

    /// From now on until every caller hears the voice, each sorted in; an error if somebody does not.
    pub(crate) async fn all_heard(&self) -> io::Result<Vec<(Duration, &'static str)>> {
        let began = self.clock.now();
        self.ears.iter().for_each(|(_, ear)| ear.forget());
        while self.clock.now().since(began) < LONGEST {
            if self.ears.iter().all(|(_, ear)| ear.heard().is_some()) {
                let heard = self.ears.iter();
                let silent = heard.filter_map(|(who, ear)| Some((ear.heard()?.since(began), *who)));
                let mut silent: Vec<_> = silent.collect();
                silent.sort();
                return Ok(silent);
            }
            sleep(Duration::from_millis(20)).await;
        }
        let lost: Vec<_> =
            self.ears.iter().filter(|(_, ear)| ear.heard().is_none()).map(|(who, _)| *who).collect();
        Err(io::Error::other(format!("not talked with again: {lost:?}")))
    }

    /// Starts one of them.
    pub(crate) async fn run(&mut self, server: usize) -> io::Result<()> {
        let errors = match std::env::var_os("VOICE_SURVIVE_LOG") {
            Some(path) => Stdio::from(std::fs::File::options().create(true).append(true).open(path)?),
            None => Stdio::null(),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_voice-server"));
        command
            .arg("serve")
            .env_clear()
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .envs(self.settings.iter().cloned())
            .env("NODE_NAME", ["a", "b"][server])
            .env("PORT", self.addresses[server].port().to_string());
        self.running[server] = Some(command.spawn()?);
        self.until(server, "/live", |_| true).await.map(drop)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, server: usize) -> io::Result<()> {
        self.memory.killing(self.clock.now());
        let Some(mut child) = self.running[server].take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    /// Told to go. Answers once it has gone, or an error if it went badly.
    pub(crate) async fn stop(&mut self, server: usize) -> io::Result<()> {
        self.memory.killing(self.clock.now());
        let Some(mut child) = self.running[server].take() else { return Ok(()) };
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
        // In a thread of its own: it takes as long as it takes.
        let gone = tokio::task::spawn_blocking(move || child.wait()).await.map_err(io::Error::other)??;
        if gone.success() { Ok(()) } else { Err(io::Error::other("the server did not go as it should")) }
    }

    /// Asks one server something; status and body.
    pub(crate) async fn ask(&self, server: usize, method: &str, path: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.addresses[server]).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {API_TOKEN}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        timeout(LONGEST, stream.read_to_string(&mut answer)).await??;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Ok((status.ok_or_else(|| io::Error::other("no answer"))?, body))
    }

    /// Asks until the answer is as it should be, but not for ever.
    pub(crate) async fn until(
        &self,
        server: usize,
        path: &str,
        is_right: impl Fn(&str) -> bool,
    ) -> io::Result<String> {
        self.until_done(server, "GET", path, |status, body| status == 200 && is_right(body)).await
    }

    /// The same for any request.
    pub(crate) async fn until_done(
        &self,
        server: usize,
        method: &str,
        path: &str,
        is_right: impl Fn(u16, &str) -> bool,
    ) -> io::Result<String> {
        let began = self.clock.now();
        let mut last = String::new();
        while self.clock.now().since(began) < LONGEST {
            match self.ask(server, method, path).await {
                Ok((status, body)) if is_right(status, &body) => return Ok(body),
                Ok((status, body)) => last = format!("{status} {body}"),
                Err(error) => last = error.to_string(),
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(io::Error::other(format!("{method} {path} of server {server}: {last}")))
    }

    /// The value of a metric, summed over its series that have all these labels.
    pub(crate) async fn metric(&self, server: usize, name: &str, labels: &str) -> io::Result<f64> {
        let (_, text) = self.ask(server, "GET", "/metrics").await?;
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Where calls are kept.
    pub(crate) fn database(&self) -> io::Result<String> {
        Ok(format!("{}/postgres", self.services.url("VOICE_TEST_POSTGRES")?))
    }

    fn ear(&mut self, carrier: &'static str, dial: &Arc<dyn Dial>) -> Arc<dyn Dial> {
        let ear = Arc::new(Ear::default());
        self.ears.push((carrier, ear.clone()));
        Arc::new(Listening { dial: dial.clone(), ear, clock: self.clock })
    }
}
