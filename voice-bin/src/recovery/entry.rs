//! A media socket has shown a ticket: it is a new call, one that comes back, or it is not let in.

use std::time::Duration;

use tracing::{info, warn};
use uuid::Uuid;
use voice_core::call::{Control, Past, Return};
use voice_core::id::CallId;
use voice_core::record::{Away, EndReason, Entry};
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::legs::Leg;
use voice_telephony::limits::TICKET_LIFETIME;
use voice_telephony::opening::Refusal;
use voice_telephony::ticket::TicketError;

use super::pasts::Known;
use crate::cluster::Cluster;
use crate::routes::let_go_there;
use crate::server::{App, Grant};
use crate::store::{Node, Store, StoreError, StoredEntry};
use crate::telemetry::chain;

/// A caller waits meanwhile: a database that takes longer is not asked any more.
const STORE_TIMEOUT: Duration = Duration::from_millis(700);

/// How long an older media socket of the same call may take to let go of it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a leg that came is remembered for other servers; by then it is in the call's record.
const LEG_REMEMBERED: Duration = Duration::from_secs(600);

/// Somebody who is let in.
pub(crate) struct Entrant {
    pub(crate) grant: Grant,
    /// What it was, if the call comes back.
    pub(crate) back: Option<Return>,
}

/// Takes a ticket, whoever gave it out, in exchange for what it grants.
pub(crate) async fn enter(
    app: &App,
    carrier: &'static str,
    carrier_call: &str,
    ticket: &str,
) -> Result<Entrant, Refusal> {
    let clock = app.parts.world.clock;
    let (mut grant, number) = match app.leg_key(carrier).filter(|_| ticket.contains('.')) {
        Some(key) => {
            let leg = key.open(carrier, carrier_call, clock.earliest(), ticket)?;
            is_new(app, &leg).await?;
            let (call, number) = (leg.call, leg.number);
            let (correlation, from, to) = (leg.correlation, leg.from, leg.to);
            (Grant { call, correlation, from, to, leg: app.telnyx.line(carrier_call) }, Some(number))
        }
        None => (app.redeem(ticket, carrier_call)?, None),
    };
    // An older socket of the call may be half open: the newer one has it.
    if let Some(running) = app.calls.find(grant.call) {
        running.control(Control::Shutdown);
        app.calls.gone(grant.call, RELEASE_TIMEOUT).await;
    }
    let may_be_stored = if let Some(cluster) = &app.parts.cluster {
        claim(app, cluster, grant.call).await
    } else {
        // A first leg is a new call, unless it was used already with the server that was here before.
        let is_young = clock.now() < MonoTime::ZERO + TICKET_LIFETIME;
        number.is_some_and(|number| number > 1 || is_young)
    };
    let Some(Known { past, unix, .. }) = recall(app, grant.call, may_be_stored).await else {
        if number.is_some_and(|number| number > 1) && app.parts.store.is_some() {
            // Under its old name its entries might meet those that nobody can read now.
            let call = CallId::from_u128(Uuid::now_v7().as_u128());
            warn!(was = %grant.call, %call, "a call came back of which nothing is known; it begins anew");
            grant.call = call;
        }
        return Ok(Entrant { grant, back: None });
    };
    if !past.may_return() {
        return Err(TicketError::CallOver.into());
    }
    let leg = number.unwrap_or(past.leg() + 1);
    if leg <= past.leg() {
        return Err(TicketError::Used.into());
    }
    let after = between(unix, clock.unix(clock.now()));
    let why = away(past.ended());
    info!(call = %grant.call, leg, why = why.name(), ?after, "a call has come back");
    Ok(Entrant { grant, back: Some(Return { past, leg, after, why }) })
}

/// Each leg comes once, to whichever server. Without Redis the others know it from the call's record.
async fn is_new(app: &App, leg: &Leg) -> Result<(), TicketError> {
    app.pasts.take_leg(leg.call, leg.number)?;
    let Some(cluster) = &app.parts.cluster else { return Ok(()) };
    let name = format!("leg:{}:{}", leg.call, leg.number);
    if cluster.is_first(&name, LEG_REMEMBERED).await { Ok(()) } else { Err(TicketError::Used) }
}

/// Another server that holds the call lets go of it. Answers whether the store may know of the call.
async fn claim(app: &App, cluster: &Cluster, call: CallId) -> bool {
    let Ok(Ok(row)) = tokio::time::timeout(STORE_TIMEOUT, cluster.row(call)).await else {
        // It does not answer, and the caller waits.
        return false;
    };
    let Some(row) = row else { return false };
    if row.node == *cluster.node() {
        return true;
    }
    app.forget(call);
    if row.ended.is_none() {
        let letting_go = let_go_there(cluster, &row.node, call);
        let _let_go_or_dead = tokio::time::timeout(RELEASE_TIMEOUT, letting_go).await;
    }
    true
}

/// What is known of a call, here or in the store.
async fn recall(app: &App, call: CallId, may_be_stored: bool) -> Option<Known> {
    if let Some(known) = app.pasts.look(call) {
        return Some(known);
    }
    let store = app.parts.store.as_ref().filter(|_| may_be_stored)?;
    match tokio::time::timeout(STORE_TIMEOUT, from_store(store, call, None)).await {
        Ok(Ok(known)) => {
            if let Some(known) = &known {
                app.pasts.learn(call, known.clone());
            }
            known
        }
        Ok(Err(error)) => {
            warn!(%call, error = chain(&error), "a call's record cannot be read");
            None
        }
        Err(_late) => {
            warn!(%call, "a call's record was not read in time");
            None
        }
    }
}

/// A call as the store knows it, which is ours from here on. `None` if there is no such call, or if it is
/// no longer where it is to be taken from.
pub(super) async fn from_store(
    store: &Store,
    call: CallId,
    only_from: Option<&Node>,
) -> Result<Option<Known>, StoreError> {
    let Some(row) = store.call(call).await? else { return Ok(None) };
    if only_from.is_some_and(|node| *node != row.node) {
        return Ok(None);
    }
    if row.node != *store.node() && !store.take_back(call, &row.node).await? {
        // Somebody else was faster.
        return Ok(None);
    }
    let known = fold(store.entries(call).await?);
    Ok(known.map(|(past, unix)| Known { past, unix, is_awaited: false }))
}

/// Which of a call's legs the store knows to have been there last.
pub(super) async fn last_leg(store: &Store, call: CallId) -> Result<Option<u32>, StoreError> {
    Ok(fold(store.entries(call).await?).map(|(past, _)| past.leg()))
}

fn fold(stored: Vec<StoredEntry>) -> Option<(Past, UnixMillis)> {
    let mut folded: Option<(Past, UnixMillis)> = None;
    for StoredEntry { seq, at, unix, event } in stored {
        match (event, &mut folded) {
            (Ok(event), Some((past, last))) => {
                past.apply(&Entry { seq, at, event });
                *last = unix;
            }
            (Ok(event), None) => {
                folded = Past::begin(&Entry { seq, at, event }).map(|past| (past, unix));
            }
            // Written by a newer build: its number is taken all the same.
            (Err(_), Some((past, _))) => past.skip(seq),
            (Err(_), None) => {}
        }
    }
    folded
}

/// From then until now, as far as the clocks on two walls agree.
pub(super) fn between(then: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(now.0.saturating_sub(then.0)).unwrap_or_default())
}

fn away(ended: Option<&EndReason>) -> Away {
    match ended {
        None => Away::Restart,
        Some(EndReason::Shutdown) => Away::HandOver,
        Some(EndReason::Transfer { .. }) => Away::Transfer,
        // The others do not come back, or are what a carrier tells.
        Some(_) => Away::LineDown,
    }
}
