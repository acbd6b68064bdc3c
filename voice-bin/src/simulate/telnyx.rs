//! A fake Telnyx on sockets: callers who send webhooks and open media sockets, and the API that commands them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use voice_core::driver::{Clock, Dial};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{
    CallerInput, CallerOutput, FakeCaller, FakeService, Request, ServiceInput, ServiceOutput,
};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{ApiAnswer, CallReport, FakeTelnyxCall, TelnyxCallPlan, TelnyxRudeness};

use super::calls;
use crate::fakes::rudeness;
use crate::sim_net::{MakeService, run_caller, serve};
use crate::{output, signals};

/// How to call, or to be called.
#[derive(Debug, Args)]
pub(super) struct TelnyxCall {
    /// The webhook of the server.
    #[arg(long, value_name = "URL")]
    webhook: String,
    /// Address and port of the API; port 0 takes a free one, and the first line printed tells which.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The key that the API lets in (TELNYX_API_KEY of the server).
    #[arg(long, value_name = "KEY", env = "TELNYX_API_KEY", hide_env_values = true)]
    api_key: String,
    /// Calls at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    calls: u32,
    /// The legs speak A-law, as they do outside North America.
    #[arg(long)]
    alaw: bool,
    /// Say this recording instead of the built-in conversation: WAV with one channel, 16-bit PCM at 8, 16,
    /// 24 or 48 kHz, or mu-law at 8 kHz.
    #[arg(long, value_name = "FILE.wav")]
    speech: Option<PathBuf>,
    /// Misbehave in this way (listed below); may be given several times.
    #[arg(long, value_name = "NAME")]
    rude: Vec<String>,
    /// All chance follows from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Milliseconds between the beginnings of two calls.
    #[arg(long, value_name = "MS", default_value_t = 20)]
    stagger: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Somebody calls.
pub(super) async fn place(options: TelnyxCall) -> anyhow::Result<ExitCode> {
    let plan = plan(&options)?;
    run(plan, options).await
}

/// Waits until the server dials.
pub(super) async fn wait(options: TelnyxCall) -> anyhow::Result<ExitCode> {
    let plan = plan(&options)?.waits_for_dial();
    run(plan, options).await
}

/// With this the fake signs. It is no secret: whoever trusts it wants to be called by a fake.
const KEY_SEED: [u8; 32] = *b"voice-sim's own key, no secret!!";

fn plan(options: &TelnyxCall) -> anyhow::Result<TelnyxCallPlan> {
    let mut plan = TelnyxCallPlan::new(&options.webhook, KEY_SEED, Secret::new(options.api_key.clone()))
        .with_rudeness(rudeness::<TelnyxRudeness>(&options.rude)?);
    if let Some(script) = calls::script(options.speech.as_deref())? {
        plan = plan.with_script(script);
    }
    Ok(if options.alaw { plan.speaks_alaw() } else { plan })
}

async fn run(plan: TelnyxCallPlan, options: TelnyxCall) -> anyhow::Result<ExitCode> {
    let listen = options.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    if !options.json {
        let (address, key) = (listener.local_addr()?, plan.public_key());
        output::say(format_args!("TELNYX_API_URL=http://{address}/v2 TELNYX_PUBLIC_KEY={key}"));
    }
    let clock = Clock::start();
    let dial: Arc<dyn Dial> = Arc::new(Dialer::new()?);
    let exchange = Exchange::default();
    let make: MakeService = {
        let exchange = exchange.clone();
        Arc::new(move || Box::new(Connection { exchange: exchange.clone(), answer: Answering::Nothing }))
    };
    // A task of its own, because the calls below are what this function waits for.
    let api = tokio::spawn(serve(listener, clock, make, signals::listen().stop.cancelled_owned()));
    let plan = plan.with_epoch(clock.unix(MonoTime::ZERO));
    let mut callers = JoinSet::new();
    for number in 0..u64::from(options.calls) {
        let plan = plan.clone().with_seed(options.seed.wrapping_add(number));
        let (dial, exchange) = (dial.clone(), exchange.clone());
        let wait = Duration::from_millis(options.stagger.saturating_mul(number));
        // One task for each caller, so that none waits for another.
        callers.spawn(async move {
            tokio::time::sleep(wait).await;
            let call = exchange.connect(FakeTelnyxCall::new(clock.now(), plan), clock);
            run_caller(call, dial, clock).await.report()
        });
    }
    let outcome = calls::tell(callers, options.json).await;
    api.abort();
    outcome
}

/// One call, that a caller's task drives and the API's connections command.
#[derive(Clone)]
struct Shared {
    // Locked for microseconds, never over an await; both sides must see the same call.
    call: Arc<Mutex<FakeTelnyxCall>>,
    clock: Clock,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, FakeTelnyxCall> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> CallReport {
        self.lock().report().clone()
    }
}

impl FakeCaller for Shared {
    fn handle(&mut self, now: MonoTime, input: CallerInput<'_>) {
        self.lock().handle(now, input);
    }

    /// A command may have given it something to do at any time; it looks each 20 ms, as it speaks.
    fn poll(&mut self) -> CallerOutput {
        let output = self.lock().poll();
        if let CallerOutput::WaitUntil(at) = output {
            let soon = self.clock.now() + Duration::from_millis(20);
            return CallerOutput::WaitUntil(Some(at.map_or(soon, |at| at.min(soon))));
        }
        output
    }
}

/// All calls of a run.
#[derive(Clone, Default)]
struct Exchange {
    // Locked to add a call or to find one, never over an await.
    calls: Arc<Mutex<Vec<Shared>>>,
}

impl Exchange {
    fn connect(&self, call: FakeTelnyxCall, clock: Clock) -> Shared {
        let shared = Shared { call: Arc::new(Mutex::new(call)), clock };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(shared.clone());
        shared
    }

    /// What the call that the request is about makes of it.
    fn ask(&self, now: MonoTime, request: &Request) -> Option<ApiAnswer> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut about = calls.iter().map(Shared::lock).find(|call| call.is_about(request))?;
        Some(about.api(now, request))
    }
}

/// One connection to the API.
struct Connection {
    exchange: Exchange,
    answer: Answering,
}

enum Answering {
    Nothing,
    Head(MonoTime, ApiAnswer),
    Body(Bytes),
    End,
    Cut,
}

impl FakeService for Connection {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match input {
            ServiceInput::Request(request) => {
                let unknown = || ApiAnswer {
                    status: Some(404),
                    headers: Vec::new(),
                    body: Bytes::from_static(
                        br#"{"errors":[{"code":"10005","title":"Resource not found"}]}"#,
                    ),
                    after: Duration::ZERO,
                };
                let answer = self.exchange.ask(now, request).unwrap_or_else(unknown);
                self.answer = Answering::Head(now + answer.after, answer);
            }
            ServiceInput::Tick => {
                if let Answering::Head(at, answer) = &mut self.answer
                    && now >= *at
                {
                    *at = MonoTime::ZERO;
                    if answer.status.is_none() {
                        self.answer = Answering::Cut;
                    }
                }
            }
            ServiceInput::Wire(_) | ServiceInput::Gone => {}
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        match std::mem::replace(&mut self.answer, Answering::Nothing) {
            Answering::Head(at, answer) if at > MonoTime::ZERO => {
                self.answer = Answering::Head(at, answer);
                ServiceOutput::WaitUntil(Some(at))
            }
            Answering::Head(_, answer) => {
                let mut headers = answer.headers;
                headers.push(("content-type", "application/json".to_owned()));
                self.answer = Answering::Body(answer.body);
                ServiceOutput::Respond { status: answer.status.unwrap_or(500), headers }
            }
            Answering::Body(body) => {
                self.answer = Answering::End;
                ServiceOutput::Send(WireMessage::Binary(body))
            }
            Answering::End => ServiceOutput::Close { code: 1000, reason: String::new() },
            Answering::Cut => ServiceOutput::Cut,
            Answering::Nothing => ServiceOutput::WaitUntil(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use voice_core::driver::Line;
    use voice_core::wire::{Endpoint, LineEnd};

    /// Asks the API over a real socket; the status and the body.
    async fn ask(dial: &Dialer, url: String, body: &'static str) -> (u16, String) {
        let request = Endpoint::post(url, body.as_bytes()).header("authorization", "Bearer KEY");
        let mut line: Box<dyn Line> = match dial.dial(request).await {
            Ok(line) => line,
            Err(LineEnd::Refused { status, body, .. }) => {
                return (status, String::from_utf8_lossy(&body).into_owned());
            }
            Err(other) => panic!("not an answer: {other:?}"),
        };
        let mut text = String::new();
        while let Ok(piece) = poll_fn(|cx| line.poll(cx)).await {
            text.push_str(&String::from_utf8_lossy(piece.as_bytes()));
        }
        (200, text)
    }

    #[tokio::test]
    async fn the_api_finds_the_call_that_it_is_asked_about() {
        let _somebody_was_first = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (clock, exchange) = (Clock::start(), Exchange::default());
        let plan = TelnyxCallPlan::new("http://127.0.0.1:1/", KEY_SEED, Secret::new("KEY".to_owned()));
        let call = exchange.connect(FakeTelnyxCall::new(clock.now(), plan.waits_for_dial()), clock);
        let make: MakeService = {
            let exchange = exchange.clone();
            Arc::new(move || Box::new(Connection { exchange: exchange.clone(), answer: Answering::Nothing }))
        };
        // Ends with the test.
        let api = tokio::spawn(serve(listener, clock, make, std::future::pending()));
        let dial = Dialer::new().expect("a dialler");
        let base = format!("http://{address}/v2");
        let numbers = r#"{"command_id":"1","connection_id":"2","from":"+15005550006","to":"+15005550009"}"#;
        let (status, body) = ask(&dial, format!("{base}/calls"), numbers).await;
        let name = call.lock().call_control_id().replace(':', "%3A");
        assert!(status == 200 && body.contains("is_alive"), "{status} {body}");
        let (status, body) = ask(&dial, format!("{base}/calls"), numbers).await;
        assert_eq!(status, 404, "nobody is left to be dialled: {body}");
        let hangup = format!("{base}/calls/{name}/actions/hangup");
        let (status, body) = ask(&dial, hangup, r#"{"command_id":"2"}"#).await;
        assert!(status == 200 && body.contains("ok"), "{status} {body}");
        let other = format!("{base}/calls/v3%3Aother/actions/hangup");
        let (status, body) = ask(&dial, other, r#"{"command_id":"3"}"#).await;
        assert!(status == 404 && body.contains("10005"), "{status} {body}");
        assert_eq!(call.lock().commands(), ["hangup"]);
        api.abort();
    }
}
