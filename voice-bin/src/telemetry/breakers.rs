//! What becomes of breakers, told to the log.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{info, warn};
use voice_core::breaker::State;
use voice_core::driver::{Clock, SharedRoster};
use voice_core::id::ProviderId;
use voice_core::roster::MemberSnapshot;

use super::event_types::{BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN};

/// Changes are counted where they happen, so none is missed; it is only told a little later.
const EVERY: Duration = Duration::from_secs(1);

/// Looks for ever; drop the future to stop.
pub(crate) async fn tell_breakers(roster: &SharedRoster, clock: Clock) {
    let mut told = Told::default();
    loop {
        told.look(&roster.with(|roster| roster.snapshot(clock.now())));
        tokio::time::sleep(EVERY).await;
    }
}

/// How often each breaker had gone into each state when that was last told.
#[derive(Default)]
struct Told(BTreeMap<(ProviderId, &'static str), [u64; 3]>);

impl Told {
    fn look(&mut self, members: &[MemberSnapshot]) {
        for member in members {
            for (name, breaker) in member.breakers() {
                let into = State::ALL
                    .map(|to| State::ALL.iter().map(|from| breaker.totals.transitions(*from, to)).sum());
                let before = self.0.insert((member.id.clone(), name), into).unwrap_or_default();
                let (provider, failures) = (&member.id, breaker.failures_in_row);
                let is_new =
                    |state: State| into[usize::from(state.code())] > before[usize::from(state.code())];
                if is_new(State::Open) {
                    let reason = breaker.reason.map(|reason| format!("{reason:?}"));
                    warn!(event_type = BREAKER_OPEN, %provider, name, failures, reason, "breaker opened");
                }
                if is_new(State::HalfOpen) {
                    info!(event_type = BREAKER_HALF_OPEN, %provider, name, "breaker lets some through, to try");
                }
                if is_new(State::Closed) {
                    info!(event_type = BREAKER_CLOSED, %provider, name, "breaker closed");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use voice_core::failure::Failure;
    use voice_core::id::{AttachmentId, CallId};
    use voice_core::roster::{Assignment, Candidate, Roster, RosterConfig, Settled, StayId};
    use voice_core::time::MonoTime;

    use super::*;
    use crate::config::LogFormat;
    use crate::telemetry::lines::Lines;
    use crate::telemetry::log::tests::Kept;

    #[test]
    fn a_breaker_that_opens_is_told_once() {
        let now = MonoTime::from_millis(1);
        let mut roster =
            Roster::new(RosterConfig::default(), vec![Candidate::new(ProviderId::from_static("openai"), ())]);
        let kept = Kept::default();
        let lines = Lines::new(LogFormat::Json, false, kept.writer());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let mut told = Told::default();
            told.look(&roster.snapshot(now));
            for call in 0..5 {
                let stay = StayId { call: CallId::from_u128(call), attachment: AttachmentId(1) };
                roster.assign(now, stay, &Assignment::default()).expect("it can");
                roster.settle(now, stay, Settled::Failure(&Failure::Cut));
            }
            told.look(&roster.snapshot(now));
            told.look(&roster.snapshot(now));
        });
        let text = kept.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in
            [r#""event_type":"circuit_breaker.open""#, r#""provider":"openai""#, r#""name":"connect""#]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
