//! Callers who were led to somebody else: nobody here talks with them any more, but their leg may have to be ended
//! all the same.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;
use voice_core::call::CallStart;
use voice_core::id::CallId;
use voice_core::record::EndReason;
use voice_telephony::recording::Whose;
use voice_telephony::telnyx::{self, CallControlId};
use voice_telephony::twilio;

use super::{TwilioLeg, call_of, filing, hang_up};
use crate::server::{App, Begin, Facts, Heard, Legs};

/// How long whoever commanded a leg may take to leave it.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Somebody wants a call to end whose caller was led elsewhere. False if it is none, or nobody can end it.
pub(crate) async fn hang_up_led(app: &Arc<App>, call: CallId) -> bool {
    // One that runs is asked itself: that must not wait for a store.
    if app.calls.find(call).is_some() {
        return false;
    }
    let Some(start) = led(app, call).await else { return false };
    if app.outbound.page(call).is_some() && app.outbound.hang_up(call) {
        return true;
    }
    if start.carrier.as_str() == telnyx::CARRIER {
        return dismiss(app, call, &start).await;
    }
    if start.carrier.as_str() == twilio::CARRIER
        && let Some(leg) = TwilioLeg::of(app, None, &start.carrier_call)
    {
        hang_up(app, &leg, Some(&EndReason::HungUp)).await;
        return true;
    }
    false
}

/// A leg has left its conference at Telnyx, which goes on with it nowhere and does not end it either.
pub(crate) async fn left_conference(app: &Arc<App>, name: &CallControlId) {
    let whose = Whose::Named(name.as_str().to_owned());
    let Some(call) = call_of(app, telnyx::CARRIER, &whose).await else { return };
    if let Some(start) = led(app, call).await
        && dismiss(app, call, &start).await
    {
        info!(%call, "a caller whose conference is over is hung up");
    }
}

/// How a call began whose caller was led elsewhere, and has not come back.
async fn led(app: &Arc<App>, call: CallId) -> Option<CallStart> {
    if !filing::is_ours(app, call).await.unwrap_or(false) {
        return None;
    }
    let past = app.pasts.look(call)?.past;
    matches!(past.ended(), Some(EndReason::Transfer { .. })).then(|| past.start().clone())
}

async fn dismiss(app: &Arc<App>, call: CallId, start: &CallStart) -> bool {
    let Ok(name) = start.carrier_call.parse::<CallControlId>() else { return false };
    let (from, to) = (start.from.clone(), start.to.clone());
    let is_ours = app.outbound.page(call).is_some();
    let facts = Facts { call, correlation: start.correlation.clone(), from, to, is_ours };
    for _ in 0..TRIES {
        match Legs::begin(app, name.clone(), facts.clone(), Begin::Dismiss) {
            Heard::Taken => return true,
            Heard::Nobody => return false,
            // Whoever commanded it until now is about to leave.
            Heard::Full => tokio::time::sleep(PAUSE).await,
        }
    }
    false
}
