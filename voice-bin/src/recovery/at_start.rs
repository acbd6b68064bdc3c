//! The calls of a server that died: they are looked up, their carriers are asked, and whoever does not come
//! back is written off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use metrics::counter;
use tracing::{info, warn};
use voice_core::call::{Control, Past};
use voice_core::carrier::CarrierEnd;
use voice_core::id::CallId;
use voice_core::record::EndReason;
use voice_core::time::UnixMillis;
use voice_core::wire::LineEnd;
use voice_telephony::telnyx::{self, CallControlId};
use voice_telephony::transfer::TransferKey;
use voice_telephony::twilio;

use super::entry::{between, from_store, last_leg};
use super::filing::end_recording;
use super::pasts::Known;
use super::{TwilioLeg, add, ends, legs, tell};
use crate::metrics_names as names;
use crate::server::{App, Begin, Facts, Heard, Legs};
use crate::store::{CallFilter, CallRow, CallState, Node, Store, StoreError};
use crate::telemetry::chain;

/// Calls that are looked up at once.
const AT_ONCE: usize = 16;

/// Of the latest calls so many are looked through for those that were handed over.
const HANDED_OVER_MAX: u32 = 1_000;

/// Whoever has not come back by then has nowhere to come from: a carrier's document lasts half a minute, its
/// redirect is tried for a while, and then there is another document, or none.
const LAST_CHANCE: Duration = Duration::from_secs(90);

/// How long a call may take to let go.
const LET_GO_TIMEOUT: Duration = Duration::from_millis(500);

/// Finds the calls that this server had when it died, and lets them come back. Returns when none is awaited.
pub(crate) async fn recover(app: Arc<App>) {
    let Some(store) = app.parts.store.clone() else { return };
    let node = store.node().clone();
    let found = find(&app, &store, &node).await;
    wait_for(&app, &found, &recorded(&store, &node).await).await;
}

/// Takes up the calls of a server that is gone: those it had when it died, or let go of when it left.
pub(crate) async fn adopt(app: &Arc<App>, node: &Node, why: &'static str) {
    let Some(store) = app.parts.store.clone() else { return };
    if app.calls.is_draining() {
        // Whoever goes takes up nothing; the others have heard of it as well.
        return;
    }
    let found = find(app, &store, node).await;
    counter!(names::ADOPTED, "why" => why).increment(found.len() as u64);
    // It is known to be gone: nobody need wait for signs of its life.
    if let Err(error) = store.forget(node).await {
        info!(%node, error = chain(&error), "a server that is gone cannot be forgotten yet");
    }
    if !found.is_empty() {
        info!(%node, calls = found.len(), why, "calls of another server are taken up");
    }
    wait_for(app, &found, &recorded(&store, node).await).await;
}

/// Takes up one call whose server cannot be reached, and of which its carrier says that it needs somebody.
pub(crate) async fn adopt_one(app: &Arc<App>, call: CallId, from: &Node, why: &'static str) {
    let Some(store) = app.parts.store.clone() else { return };
    if !app.calls.is_draining() && find_again(app, &store, call, from).await.is_some() {
        counter!(names::ADOPTED, "why" => why).increment(1);
        info!(%call, node = %from, why, "a call of another server is taken up");
    }
}

/// Takes up what servers left behind of which nobody has a sign of life: the last one went before this came.
pub(crate) async fn adopt_orphans(app: &Arc<App>) {
    let (Some(store), Some(cluster)) = (&app.parts.store, &app.parts.cluster) else { return };
    let clock = app.parts.world.clock;
    let found = async {
        let mut living: Vec<Node> = store.beats().await?.into_iter().map(|(node, _)| node).collect();
        living.push(cluster.node().clone());
        let rows = left_behind(store, None, clock.unix(clock.now())).await?;
        let orphans = rows.into_iter().map(|row| row.node).filter(|node| !living.contains(node));
        Ok::<BTreeSet<Node>, StoreError>(orphans.collect())
    };
    match found.await {
        Ok(nodes) => {
            for node in nodes {
                let app = app.clone();
                // Beside what is taken up next: whoever does not come back is waited for.
                tokio::spawn(async move { adopt(&app, &node, "left").await });
            }
        }
        Err(error) => warn!(error = chain(&error), "calls that nobody holds cannot be looked for"),
    }
}

/// The calls of a node that is gone, which are ours from here on, with the leg that was there last.
async fn find(app: &Arc<App>, store: &Store, node: &Node) -> Vec<(CallId, u32)> {
    let clock = app.parts.world.clock;
    let began = clock.now();
    let rows = match left_behind(store, Some(node), clock.unix(began)).await {
        Ok(rows) => rows,
        Err(error) => {
            warn!(error = chain(&error), "the calls of before cannot be looked up");
            return Vec::new();
        }
    };
    // Those that began while the question was asked are not of before.
    let is_ours = node == store.node();
    let is_of_before =
        |row: &CallRow| app.calls.find(row.call).is_none() && !(is_ours && app.pasts.knows(row.call));
    let calls: Vec<CallId> = rows.into_iter().filter(is_of_before).map(|row| row.call).collect();
    let found = stream::iter(calls)
        .map(|call| async move { find_again(app, store, call, node).await.map(|leg| (call, leg)) })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect::<Vec<_>>()
        .await;
    if !found.is_empty() {
        info!(calls = found.len(), took = ?clock.now().since(began), "calls of before are awaited");
    }
    found
}

/// Calls of a node that are over, as far as it could tell, while their carrier recorded them; each with the leg that
/// was there last.
async fn recorded(store: &Store, node: &Node) -> Vec<(CallId, u32)> {
    let found = async {
        let mut found = Vec::new();
        for call in store.recorded_and_over(node).await? {
            found.extend(last_leg(store, call).await?.map(|leg| (call, leg)));
        }
        Ok::<_, StoreError>(found)
    };
    found.await.unwrap_or_else(|error| {
        warn!(error = chain(&error), "recordings that nobody has ended cannot be looked up");
        Vec::new()
    })
}

/// Whoever has not come back by then does not; what is recorded of them has ended with their line.
async fn wait_for(app: &Arc<App>, calls: &[(CallId, u32)], recorded: &[(CallId, u32)]) {
    if calls.is_empty() && recorded.is_empty() {
        return;
    }
    let clock = app.parts.world.clock;
    // A document that is on its way now is the last.
    tokio::time::sleep_until(clock.instant(clock.now() + LAST_CHANCE)).await;
    for (call, leg) in calls {
        if app.calls.find(*call).is_none() && is_still_ours(app, *call).await && is_away(app, *call, *leg) {
            close(app, *call, EndReason::Carrier(CarrierEnd::LineDown(LineEnd::Cut)));
        }
    }
    for (call, leg) in recorded {
        end_recording(app, *call, *leg).await;
    }
}

/// Whether it has not come back since that leg. One that came and left once more has as long again.
fn is_away(app: &App, call: CallId, leg: u32) -> bool {
    app.pasts.look(call).is_some_and(|known| known.past.leg() == leg)
}

/// A call has ended with its media socket, which was this leg, or its server, while its carrier recorded it. If it does
/// not come back, its recording has ended with it.
pub(crate) async fn end_recording_unless_back(app: &Arc<App>, call: CallId, leg: u32) {
    let clock = app.parts.world.clock;
    tokio::time::sleep_until(clock.instant(clock.now() + LAST_CHANCE)).await;
    end_recording(app, call, leg).await;
}

/// It may have come back to another server meanwhile.
async fn is_still_ours(app: &App, call: CallId) -> bool {
    let Some(cluster) = &app.parts.cluster else { return true };
    let is_elsewhere = cluster.row(call).await.ok().flatten().is_some_and(|row| row.node != *cluster.node());
    if is_elsewhere {
        app.forget(call);
    }
    !is_elsewhere
}

/// Calls of this node without an end, and those over Telnyx that it handed over a moment ago: Twilio brings
/// its calls by itself, Telnyx waits to be asked. Of all nodes, where none is named.
async fn left_behind(
    store: &Store,
    node: Option<&Node>,
    now: UnixMillis,
) -> Result<Vec<CallRow>, StoreError> {
    let mut rows = store.unfinished(node).await?;
    let filter = CallFilter {
        state: Some(CallState::Ended),
        node: node.cloned(),
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

/// Takes a call from a node that is gone, or finds one of our own. If it is ours now, answers which leg was there last.
async fn find_again(app: &Arc<App>, store: &Store, call: CallId, from: &Node) -> Option<u32> {
    let known = match from_store(store, call, Some(from)).await {
        Ok(Some(known)) => known,
        Ok(None) => return None,
        Err(error) => {
            warn!(%call, error = chain(&error), "a call of before cannot be read");
            return None;
        }
    };
    if app.pasts.look(call).is_some_and(|known| known.is_awaited) {
        // It was found in another way, and is ours already.
        return None;
    }
    let start = known.past.start().clone();
    app.forget(call);
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
    Some(known.past.leg())
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
        is_ours: app.outbound.page(call).is_some(),
    };
    if Legs::begin(app, name, facts, Begin::Stream) != Heard::Taken {
        warn!(%call, "a call of before cannot be commanded; is TELNYX_API_KEY set?");
    }
}

/// Another server has the call: whatever runs here ends, without a word to the carrier, and what was said is
/// written down before.
pub(crate) async fn let_go(app: &App, call: CallId) {
    if let Some(running) = app.calls.find(call) {
        let name = app.pasts.look(call).map(|known| known.past.start().carrier_call.clone());
        if let Some(Ok(name)) = name.map(|name| name.parse::<CallControlId>()) {
            app.telnyx.release(&name);
        }
        running.control(Control::Shutdown);
        app.calls.gone(call, LET_GO_TIMEOUT).await;
    }
    if let Some(cluster) = &app.parts.cluster {
        cluster.flush().await;
    }
    app.forget(call);
}

/// A call that did not come back has an end in its record, and so has what was recorded of it.
pub(crate) fn close(app: &App, call: CallId, reason: EndReason) {
    let Some(Known { past, is_awaited, .. }) = app.pasts.look(call) else { return };
    if !is_awaited && past.ended().is_none() {
        // It runs.
        return;
    }
    // The line has ended, and with it what was recorded of it.
    add(app, call, Past::end_recording);
    let Some(Known { past, unix, .. }) = app.pasts.look(call) else { return };
    if past.ended().is_some() {
        return;
    }
    let clock = app.parts.world.clock;
    let now = clock.now();
    info!(%call, reason = reason.kind(), "a call of before did not come back");
    let entry = past.close(now, between(unix, clock.unix(now)), reason);
    tell(app, call, &entry);
}
