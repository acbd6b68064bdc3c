//! The calls of a server that died: they are looked up, their carriers are asked, and whoever does not come
//! back is written off.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tracing::{info, warn};
use voice_core::call::Past;
use voice_core::carrier::CarrierEnd;
use voice_core::id::CallId;
use voice_core::record::EndReason;
use voice_core::time::UnixMillis;
use voice_core::wire::LineEnd;
use voice_telephony::telnyx::{self, CallControlId};
use voice_telephony::transfer::TransferKey;
use voice_telephony::twilio;

use super::entry::{between, from_store};
use super::pasts::Known;
use super::{TwilioLeg, ends, legs};
use crate::server::{App, Begin, Facts, Heard, Legs};
use crate::store::{CallFilter, CallRow, CallState, Store, StoreError};
use crate::telemetry::chain;

/// Calls that are looked up at once.
const AT_ONCE: usize = 16;

/// Of the latest calls so many are looked through for those that were handed over.
const HANDED_OVER_MAX: u32 = 1_000;

/// Whoever has not come back by then has nowhere to come from: a carrier's document lasts half a minute, its
/// redirect is tried for a while, and then there is another document, or none.
const LAST_CHANCE: Duration = Duration::from_secs(90);

/// Finds the calls that this server had when it died, and lets them come back. Returns when none is awaited.
pub(crate) async fn recover(app: Arc<App>) {
    let Some(store) = app.parts.store.clone() else { return };
    let clock = app.parts.world.clock;
    let began = clock.now();
    let rows = match left_behind(&store, clock.unix(began)).await {
        Ok(rows) => rows,
        Err(error) => return warn!(error = chain(&error), "the calls of before cannot be looked up"),
    };
    // Those that began while the question was asked are not of before.
    let rows: Vec<CallRow> = rows.into_iter().filter(|row| !app.pasts.knows(row.call)).collect();
    if rows.is_empty() {
        return;
    }
    let calls = rows.len();
    stream::iter(rows).for_each_concurrent(AT_ONCE, |row| find_again(&app, &store, row.call)).await;
    info!(calls, took = ?clock.now().since(began), "calls of before are awaited");
    // A document that is on its way now is the last.
    tokio::time::sleep_until(clock.instant(began + LAST_CHANCE)).await;
    for (call, _) in app.pasts.awaited() {
        if app.calls.find(call).is_none() {
            close(&app, call, EndReason::Carrier(CarrierEnd::LineDown(LineEnd::Cut)));
        }
    }
}

/// Calls of this node without an end, and those over Telnyx that it handed over a moment ago: Twilio brings
/// its calls by itself, Telnyx waits to be asked.
async fn left_behind(store: &Store, now: UnixMillis) -> Result<Vec<CallRow>, StoreError> {
    let mut rows = store.unfinished(Some(store.node())).await?;
    let filter = CallFilter {
        state: Some(CallState::Ended),
        node: Some(store.node().clone()),
        carrier: Some(telnyx::CARRIER.to_owned()),
        ..CallFilter::default()
    };
    let ended = store.page(&filter, None, HANDED_OVER_MAX).await?.calls.into_iter();
    rows.extend(ended.filter(|row| {
        let is_fresh = row.ended.is_some_and(|ended| between(ended, now) < LAST_CHANCE);
        is_fresh && row.reason.as_deref() == Some(EndReason::Shutdown.kind())
    }));
    Ok(rows)
}

async fn find_again(app: &Arc<App>, store: &Store, call: CallId) {
    let known = match from_store(store, call).await {
        Ok(Some(known)) => known,
        Ok(None) => return,
        Err(error) => return warn!(%call, error = chain(&error), "a call of before cannot be read"),
    };
    let start = known.past.start().clone();
    app.pasts.learn(call, Known { is_awaited: true, ..known.clone() });
    if start.carrier.as_str() == telnyx::CARRIER {
        if let Some(transfer) = known.past.transfer() {
            legs::end(app, TransferKey { call, transfer }).await;
        }
        stream_again(app, call, &known.past);
    } else if start.carrier.as_str() == twilio::CARRIER
        && let Some(leg) = TwilioLeg::of(app, None, &start.carrier_call)
        && ends::is_gone(app, &leg).await
    {
        close(app, call, EndReason::Carrier(CarrierEnd::Stopped));
    }
}

/// Telnyx is asked to stream again. If the call is over it says so, and then it is closed.
fn stream_again(app: &Arc<App>, call: CallId, past: &Past) {
    let start = past.start();
    let gone = || close(app, call, EndReason::Carrier(CarrierEnd::Stopped));
    let Ok(name) = start.carrier_call.parse::<CallControlId>() else { return gone() };
    let facts = Facts {
        call,
        correlation: start.correlation.clone(),
        from: start.from.clone(),
        to: start.to.clone(),
        is_ours: false,
    };
    if Legs::begin(app, name, facts, Begin::Stream) != Heard::Taken {
        warn!(%call, "a call of before cannot be commanded; is TELNYX_API_KEY set?");
    }
}

/// A call that did not come back has an end in its record.
pub(crate) fn close(app: &App, call: CallId, reason: EndReason) {
    let Some(Known { past, unix, is_awaited: true }) = app.pasts.look(call) else { return };
    if past.ended().is_some() {
        return;
    }
    let clock = app.parts.world.clock;
    let now = clock.now();
    info!(%call, reason = reason.kind(), "a call of before did not come back");
    let entry = past.close(now, between(unix, clock.unix(now)), reason);
    for reader in app.parts.world.readers.iter() {
        reader.read(call, &entry);
    }
}
