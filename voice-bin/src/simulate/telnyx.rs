//! A fake Telnyx on sockets: callers who send webhooks and open media sockets, and the API that commands them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use voice_core::driver::{Clock, Dial};
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{FakeTelnyxCall, TelnyxCallPlan, TelnyxRudeness};

use super::calls;
use crate::fakes::rudeness;
use crate::random::new_names;
use crate::sim_net::{TelnyxExchange, run_caller};
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
    let exchange = TelnyxExchange::default();
    // A task of its own, because the calls below are what this function waits for.
    let api = tokio::spawn(exchange.clone().serve(listener, clock, signals::listen().stop.cancelled_owned()));
    let plan = plan.with_epoch(clock.unix(MonoTime::ZERO));
    let mut callers = JoinSet::new();
    for number in 0..u64::from(options.calls) {
        let plan = plan.clone().with_seed(options.seed.wrapping_add(number)).with_names(new_names());
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
