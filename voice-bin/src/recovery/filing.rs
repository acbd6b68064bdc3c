//! What a carrier says it has of a recording usually comes after the call's end, at whichever server: it is added
//! to the record all the same, once.

use std::sync::Arc;

use tracing::{info, warn};
use voice_core::call::Past;
use voice_core::id::CallId;
use voice_core::record::Entry;
use voice_core::recording::Filed;
use voice_telephony::recording::Whose;

use super::add;
use super::entry::from_store;
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
    // If not, it was told before.
    if add(app, call, |past| past.file(now, filed.clone())) {
        info!(%call, recording = filed.recording(), "a recording is told of after its call");
    }
    true
}

/// A consent is taken back while the call does not run, for its caller is elsewhere or its server died: what is
/// recorded is not gone on with when it comes back. False if nothing would be.
pub(crate) async fn revoke_recording(app: &Arc<App>, call: CallId) -> bool {
    if !is_ours(app, call).await.unwrap_or(false) || app.calls.find(call).is_some() {
        return false;
    }
    add(app, call, Past::revoke_recording)
}

/// A call does not come back after this leg: what its carrier recorded has ended with its line.
pub(super) async fn end_recording(app: &Arc<App>, call: CallId, leg: u32) {
    if app.calls.find(call).is_some() || !is_ours(app, call).await.unwrap_or(false) {
        return;
    }
    // As it is known by now: somebody else may have had it meanwhile.
    if add(app, call, |past| over_since(past, leg)) {
        info!(%call, "a recording has ended with a call that did not come back");
    }
}

/// The end of what is recorded, if the call has ended with this leg. If it came back since and ended once more, it may
/// still come back: that is another's to wait for.
fn over_since(past: &Past, leg: u32) -> Option<Entry> {
    past.ended().filter(|_| past.leg() == leg)?;
    past.end_recording()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use voice_core::audio::AudioFormat;
    use voice_core::carrier::CarrierEnd;
    use voice_core::consent::{Consent, Given, Method, Scope};
    use voice_core::id::{CarrierId, CorrelationId};
    use voice_core::record::{Away, CallEvent, EndReason, Totals};
    use voice_core::recording::RecordingPlace;
    use voice_core::time::{MonoTime, UnixMillis};
    use voice_core::wire::LineEnd;

    use super::*;

    #[test]
    fn a_call_that_left_once_more_is_awaited_anew() {
        let given = Given { by: "+15550100".into(), how: Method::Verbal, at: UnixMillis(0), region: None };
        let consent = Consent::given(given, Scope::RECORDING);
        let reason = EndReason::Carrier(CarrierEnd::LineDown(LineEnd::Cut));
        let cut = || CallEvent::Ended { reason: reason.clone(), totals: Totals::default() };
        let (format, after) = (AudioFormat::MULAW_8K, Duration::from_secs(3));
        let story = [
            CallEvent::Started {
                carrier: CarrierId::from_static("telnyx"),
                carrier_call: "v3:1".into(),
                format,
                from: "+15550100".into(),
                to: "+15550101".into(),
                correlation: CorrelationId::from_static("c-1"),
            },
            CallEvent::RecordingStarted { consent, place: RecordingPlace::Carrier },
            cut(),
            CallEvent::Returned { leg: 2, format, after, why: Away::LineDown },
            cut(),
        ];
        let entry = |(seq, event)| Entry { seq, at: MonoTime::from_millis(seq * 1_000), event };
        let record: Vec<Entry> = (1..).zip(story).map(entry).collect();
        let known = |entries: usize| Past::fold(&record[..entries]).expect("a record begins with its start");
        assert!(over_since(&known(3), 1).is_some(), "it did not come back");
        assert_eq!(over_since(&known(4), 1), None, "it is here");
        assert_eq!(over_since(&known(5), 1), None, "it left a moment ago");
        assert!(over_since(&known(5), 2).is_some(), "nor did it then");
    }
}
