//! Ends that are meant. A call over Twilio with a lifeline goes on when its socket closes, so whoever means
//! to end it says so over REST.

use std::time::Duration;

use tracing::{info, warn};
use voice_core::record::EndReason;
use voice_telephony::ask::Ask;
use voice_telephony::carrier_error::{CarrierError, Cause};
use voice_telephony::twilio::rest::{Call, Credentials, TwilioApi};
use voice_telephony::twilio::{AccountSid, CallSid};

use crate::server::App;

/// Attempts to end a call, and the pause between them: its document waits a second before it goes on.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// A call over Twilio, as its REST API knows it.
#[derive(Clone, Debug)]
pub(crate) struct TwilioLeg {
    api: TwilioApi,
    call: CallSid,
}

impl TwilioLeg {
    /// `None` without a lifeline, or where nobody knows the account.
    pub(crate) fn of(app: &App, account: Option<&AccountSid>, carrier_call: &str) -> Option<Self> {
        app.lifeline.as_ref()?;
        let rest = app.parts.twilio.rest.as_ref()?;
        let configured = app.parts.twilio.account_sid.as_ref().and_then(|account| account.parse().ok());
        let account = configured.or_else(|| account.cloned())?;
        let api = TwilioApi::new(account, Credentials::AuthToken(rest.token.clone()));
        let api = api.with_url(&rest.api_url).ok()?;
        Some(Self { api, call: carrier_call.parse().ok()? })
    }
}

/// Ends the call at Twilio, if that is what the end of its conversation means.
pub(crate) async fn hang_up(app: &App, leg: &TwilioLeg, end: Option<&EndReason>) {
    let is_meant = match end {
        Some(EndReason::HungUp | EndReason::NoProvider | EndReason::Limit) => true,
        Some(EndReason::Shutdown) => app.calls.ends_for_good(),
        // Whoever transfers leads the caller elsewhere; and after a bug the call may well go on.
        Some(_) | None => false,
    };
    if !is_meant {
        return;
    }
    for attempt in 1..=ATTEMPTS {
        match ask(app, &leg.api.hang_up(&leg.call)).await {
            Ok(_) | Err(CarrierError { cause: Cause::CallGone, .. }) => return,
            Err(error) if attempt == ATTEMPTS => {
                warn!(%error, "a call could not be ended over REST; its streams are refused from now on");
            }
            Err(_again) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Whether the carrier says that the call is over. What it does not say is not.
pub(super) async fn is_gone(app: &App, leg: &TwilioLeg) -> bool {
    match ask(app, &leg.api.fetch_call(&leg.call)).await {
        Ok(call) => call.status.is_final(),
        Err(CarrierError { cause: Cause::CallGone, .. }) => true,
        Err(error) => {
            info!(%error, "the carrier does not say how a call of before stands");
            false
        }
    }
}

async fn ask(app: &App, ask: &Ask<Call>) -> Result<Call, CarrierError> {
    let http = app.parts.outbound.http.as_ref();
    let http = http.ok_or(CarrierError::unanswered(voice_telephony::carrier_error::Reach::NeverSent))?;
    match http.send(ask.request().clone()).await {
        Ok(answer) => ask.read(&answer),
        Err(error) => Err(CarrierError::unanswered(error.reach)),
    }
}
