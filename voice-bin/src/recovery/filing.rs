//! What a carrier says it has of a recording usually comes after the call's end, at whichever server: it is added
//! to the record all the same, once.

use std::sync::Arc;

use tracing::{info, warn};
use voice_core::call::Past;
use voice_core::id::CallId;
use voice_core::recording::Filed;
use voice_telephony::recording::Whose;

use super::entry::from_store;
use super::tell;
use crate::server::App;
use crate::store::StoreError;
use crate::telemetry::chain;

/// The call that the carrier means, if it is known yet.
pub(crate) async fn call_of(app: &App, carrier: &str, whose: &Whose) -> Option<CallId> {
    let name = match whose {
        Whose::Call(call) => return Some(*call),
        Whose::Named(name) => name,
    };
    if let Some(call) = app.pasts.named(name) {
        return Some(call);
    }
    let store = app.parts.store.as_ref()?;
    match store.call_of(carrier, name).await {
        Ok(row) => row.map(|row| row.call),
        Err(error) => {
            warn!(error = chain(&error), "a recording's call cannot be looked up");
            None
        }
    }
}

/// Adds it to the record of a call that does not run here. False if nobody can say yet whose that is.
pub(crate) async fn file(app: &Arc<App>, call: CallId, filed: &Filed) -> bool {
    match is_ours(app, call).await {
        Ok(true) => {}
        Ok(false) => return false,
        Err(error) => {
            warn!(%call, error = chain(&error), "a recording cannot be added to its call yet");
            return false;
        }
    }
    // Whoever runs it numbers its entries.
    if app.calls.find(call).is_some() || !app.pasts.knows(call) {
        return false;
    }
    let now = app.parts.world.clock.now();
    let Some(entry) = app.pasts.add(call, |past| past.file(now, filed.clone())) else {
        // It was told before.
        return true;
    };
    info!(%call, recording = filed.recording(), "a recording is told of after its call");
    tell(app, call, &entry);
    true
}

/// A consent is taken back while the call does not run, for its caller is elsewhere or its server died: what is
/// recorded is not gone on with when it comes back. False if nothing would be.
pub(crate) async fn revoke_recording(app: &Arc<App>, call: CallId) -> bool {
    if !is_ours(app, call).await.unwrap_or(false) || app.calls.find(call).is_some() {
        return false;
    }
    let Some(entry) = app.pasts.add(call, Past::revoke_recording) else { return false };
    tell(app, call, &entry);
    true
}

/// A call does not come back: what its carrier recorded has ended with its line.
pub(super) async fn end_recording(app: &Arc<App>, call: CallId) {
    if app.calls.find(call).is_some() || !is_ours(app, call).await.unwrap_or(false) {
        return;
    }
    let ended = |past: &Past| past.ended().and_then(|_| past.end_recording());
    if let Some(entry) = app.pasts.add(call, ended) {
        info!(%call, "a recording has ended with a call that did not come back");
        tell(app, call, &entry);
    }
}

/// Whether nobody else writes the call's record: it is over or awaited here. One that is over and was somebody
/// else's is ours from here on.
pub(super) async fn is_ours(app: &App, call: CallId) -> Result<bool, StoreError> {
    let is_known = app.pasts.knows(call);
    let Some(store) = &app.parts.store else { return Ok(is_known) };
    if is_known && !store.is_shared() {
        return Ok(true);
    }
    let Some(row) = store.call(call).await? else { return Ok(is_known) };
    if row.node == *store.node() && is_known {
        return Ok(true);
    }
    // Another server's, or one that is to be taken up: that one's business until it is over.
    if row.ended.is_none() {
        return Ok(false);
    }
    app.forget(call);
    let Some(known) = from_store(store, call, None).await? else { return Ok(false) };
    app.pasts.learn(call, known);
    Ok(true)
}
