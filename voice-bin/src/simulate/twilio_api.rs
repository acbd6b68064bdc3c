//! `voice-sim twilio-api`: be Twilio's REST API, with people who answer.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use voice_core::driver::Clock;
use voice_core::sensitive::Secret;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{ApiRudeness, TwilioApiPlan};

use crate::{output, signals, sim_net};

/// Which account, and how rude.
#[derive(Debug, Args)]
#[command(after_help = format!("Ways to be rude: {}", ApiRudeness::NAMES.join(", ")))]
pub(super) struct Options {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// The account (TWILIO_ACCOUNT_SID of the server).
    #[arg(long, value_name = "AC…", env = "TWILIO_ACCOUNT_SID")]
    account_sid: String,
    /// The token to ask for and to sign with (TWILIO_AUTH_TOKEN of the server).
    #[arg(long, value_name = "T", env = "TWILIO_AUTH_TOKEN", hide_env_values = true)]
    auth_token: String,
    /// Misbehave in this way; may be given several times.
    #[arg(long, value_name = "NAME")]
    rude: Vec<ApiRudeness>,
    /// How many requests and calls of a hundred each way befalls.
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100))]
    chance: u64,
    /// All chance follows from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) async fn serve(options: Options) -> anyhow::Result<ExitCode> {
    let listen = options.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let clock = Clock::start();
    let plan = TwilioApiPlan {
        rudeness: options.rude,
        chance: options.chance,
        seed: options.seed,
        unix: clock.unix(voice_core::time::MonoTime::ZERO),
        ..TwilioApiPlan::new(options.account_sid, Secret::new(options.auth_token))
    };
    output::say(format_args!("Twilio's REST API (simulated) on http://{address}/ (use TWILIO_API_URL)"));
    sim_net::serve_twilio_api(
        listener,
        clock,
        plan,
        Arc::new(Dialer::plain()),
        signals::listen().stop.cancelled_owned(),
    )
    .await;
    Ok(ExitCode::SUCCESS)
}
