//! The demonstration's carrier: who calls, how the server knows it, and how to call again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use voice_core::driver::Clock;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{CallReport, FakeTelnyxCall, FakeTwilioCall, TelnyxCallPlan, TwilioCallPlan};

use crate::config::{Config, Setting, settings};
use crate::random::{new_names, random};
use crate::server::{TELNYX_WEBHOOK, TWILIO_WEBHOOK};
use crate::sim_net::{TelnyxExchange, run_caller};

/// Over which carrier the simulated callers come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CarrierKind {
    /// Signed webhooks, answered with TwiML.
    #[default]
    Twilio,
    /// Signed events and a command API; every second caller's leg speaks A-law.
    Telnyx,
}

/// A fake carrier, ready to call.
pub(super) enum Carrier {
    Twilio {
        token: Secret<String>,
        /// As it may be shown: one that somebody configured is theirs.
        shown: String,
    },
    Telnyx {
        exchange: TelnyxExchange,
        /// Where the API is, and its clock, which its calls share.
        api: (SocketAddr, Clock),
        /// Signs.
        seed: [u8; 32],
        key: Secret<String>,
    },
}

impl Carrier {
    /// The API of a carrier that is commanded runs beside the server, until `stop`.
    pub(super) async fn start(
        kind: CarrierKind,
        config: &Config,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let made_up = || made_up_token().context("the system has no randomness");
        match kind {
            CarrierKind::Twilio => Ok(match &config.twilio.auth_token {
                Some(token) => {
                    Self::Twilio { token: token.clone(), shown: "\"$TWILIO_AUTH_TOKEN\"".to_owned() }
                }
                None => {
                    let token = made_up()?;
                    Self::Twilio { shown: token.expose().clone(), token }
                }
            }),
            CarrierKind::Telnyx => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let (address, clock) = (listener.local_addr()?, Clock::start());
                let exchange = TelnyxExchange::default();
                // Beside the server, as on another machine.
                tokio::spawn(exchange.clone().serve(listener, clock, stop.clone().cancelled_owned()));
                let seed = random().context("the system has no randomness")?;
                Ok(Self::Telnyx { exchange, api: (address, clock), seed, key: made_up()? })
            }
        }
    }

    /// What leads the configuration to this carrier.
    pub(super) fn pretend(&self) -> Vec<(&'static Setting, Option<String>)> {
        match self {
            Self::Twilio { token, .. } => vec![
                (&settings::TWILIO_ACCOUNT_SID, None),
                (&settings::TWILIO_AUTH_TOKEN, Some(token.expose().clone())),
            ],
            Self::Telnyx { api: (api, _), key, seed, .. } => vec![
                (&settings::TELNYX_API_URL, Some(format!("http://{api}/v2"))),
                (&settings::TELNYX_API_KEY, Some(key.expose().clone())),
                (
                    &settings::TELNYX_PUBLIC_KEY,
                    Some(TelnyxCallPlan::new("", *seed, key.clone()).public_key()),
                ),
            ],
        }
    }

    /// So many callers at once, to the end of the last call.
    pub(super) async fn call(&self, server: SocketAddr, calls: u32, clock: Clock) -> Vec<CallReport> {
        let mut callers = JoinSet::new();
        for number in 1..=calls {
            let dial = Arc::new(Dialer::plain());
            match self {
                Self::Twilio { token, .. } => {
                    let plan = TwilioCallPlan::new(self.webhook(server), token.clone());
                    let plan = plan.with_seed(number.into()).with_names(new_names());
                    let call = FakeTwilioCall::new(clock.now(), plan);
                    // One task for each caller, so that none waits for another.
                    callers.spawn(async move { run_caller(call, dial, clock).await.report().clone() })
                }
                Self::Telnyx { exchange, api: (_, clock), seed, key } => {
                    let clock = *clock;
                    let plan = TelnyxCallPlan::new(self.webhook(server), *seed, key.clone())
                        .with_seed(number.into())
                        .with_names(new_names())
                        .with_epoch(clock.unix(MonoTime::ZERO));
                    let plan = if number.is_multiple_of(2) { plan.speaks_alaw() } else { plan };
                    let call = exchange.connect(FakeTelnyxCall::new(clock.now(), plan), clock);
                    // One task for each caller, so that none waits for another.
                    callers.spawn(async move { run_caller(call, dial, clock).await.report() })
                }
            };
        }
        callers.join_all().await
    }

    /// How somebody else calls this server; nothing where that takes another API than the one here.
    pub(super) fn invitation(&self, server: SocketAddr) -> Option<String> {
        let Self::Twilio { shown, .. } = self else { return None };
        Some(format!(
            "cargo run --release --bin voice-sim -- twilio-call --webhook {} --auth-token {shown}",
            self.webhook(server)
        ))
    }

    fn webhook(&self, server: SocketAddr) -> String {
        let path = match self {
            Self::Twilio { .. } => TWILIO_WEBHOOK,
            Self::Telnyx { .. } => TELNYX_WEBHOOK,
        };
        format!("http://{server}{path}")
    }
}

/// As long as Twilio's own.
fn made_up_token() -> Option<Secret<String>> {
    let bytes: [u8; 16] = random()?;
    Some(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}
