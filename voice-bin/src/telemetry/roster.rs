//! The figures of the roster, taken when somebody reads the metrics.

use std::time::Duration;

use metrics::{counter, gauge};
use voice_core::breaker::{BreakerSnapshot, State};
use voice_core::roster::MemberSnapshot;
use voice_core::time::MonoTime;

use crate::metrics_names as names;

/// Writes down how everybody fares.
pub(crate) fn publish_roster(now: MonoTime, members: &[MemberSnapshot]) {
    for member in members {
        let id = || member.id.to_string();
        for (name, breaker) in member.breakers() {
            publish_breaker(name, &id(), breaker);
        }
        publish_both(now, member);
        if let Some(status) = member.health.status.code() {
            gauge!(names::HEALTH_STATUS, "provider_id" => id(), "provider_type" => "voice")
                .set(f64::from(status));
        }
        gauge!(names::HEALTH_FAILURES, "provider_id" => id()).set(f64::from(member.health.failures_in_row));
        gauge!(names::HEALTH_SUCCESS, "provider_id" => id()).set(member.health.recent.success_percent());
        gauge!(names::PROVIDER_CALLS, "provider" => id()).set(f64::from(member.live));
        gauge!(names::PROVIDER_CONFIDENCE, "provider" => id()).set(f64::from(member.confidence));
    }
}

/// What both breakers of a provider say together.
fn publish_both(now: MonoTime, member: &MemberSnapshot) {
    let id = || member.id.to_string();
    let up = if member.state() == State::Closed {
        let closed = member.breakers().map(|(_, breaker)| breaker.times.closed.unwrap_or_default());
        closed.into_iter().max().map(|since| now.since(since)).unwrap_or_default()
    } else {
        Duration::ZERO
    };
    gauge!(names::AI_UPTIME, "provider" => id()).set(up.as_secs_f64());
    for from in State::ALL {
        for to in State::ALL.into_iter().filter(|to| *to != from) {
            let both = member.breakers().map(|(_, breaker)| breaker.totals.transitions(from, to));
            let labels = [
                ("provider", id()),
                ("from_state", from.name().to_owned()),
                ("to_state", to.name().to_owned()),
            ];
            counter!(names::AI_TRANSITIONS, &labels).absolute(both.into_iter().sum());
        }
    }
}

fn publish_breaker(name: &'static str, provider: &str, breaker: &BreakerSnapshot) {
    let provider = || provider.to_owned();
    gauge!(names::BREAKER_STATE, "name" => name, "provider" => provider())
        .set(f64::from(breaker.state.code()));
    let totals = &breaker.totals;
    for (status, count) in [
        ("attempted", totals.granted),
        ("success", totals.successful),
        ("failure", totals.failed),
        ("rejected", totals.rejected),
        ("unproven", totals.unproven),
        ("late", totals.late),
    ] {
        counter!(names::BREAKER_CALLS, "name" => name, "provider" => provider(), "status" => status)
            .absolute(count);
    }
    for from in State::ALL {
        for to in State::ALL.into_iter().filter(|to| *to != from) {
            let labels = [
                ("name", name.to_owned()),
                ("provider", provider()),
                ("from_state", from.name().to_owned()),
                ("to_state", to.name().to_owned()),
            ];
            counter!(names::BREAKER_TRANSITIONS, &labels).absolute(totals.transitions(from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use voice_core::failure::Failure;
    use voice_core::id::{AttachmentId, CallId, ProviderId};
    use voice_core::roster::{Assignment, Candidate, Roster, RosterConfig, Settled, StayId};

    #[test]
    fn breakers_and_health_are_told_as_dashboards_expect() {
        let now = MonoTime::from_millis(1);
        let mut roster =
            Roster::new(RosterConfig::default(), vec![Candidate::new(ProviderId::from_static("openai"), ())]);
        for call in 0..5 {
            let stay = StayId { call: CallId::from_u128(call), attachment: AttachmentId(1) };
            roster.assign(now, stay, &Assignment::default()).expect("it can");
            roster.settle(now, stay, Settled::Failure(&Failure::Cut));
        }
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            names::describe();
            publish_roster(now, &roster.snapshot(now));
            publish_roster(now, &roster.snapshot(now));
        });
        let text = recorder.handle().render();
        for expected in [
            r#"circuit_breaker_state{name="connect",provider="openai"} 2"#,
            r#"circuit_breaker_state{name="converse",provider="openai"} 0"#,
            r#"circuit_breaker_calls_total{name="connect",provider="openai",status="failure"} 5"#,
            r#"circuit_breaker_state_transitions_total{name="connect",provider="openai",from_state="closed",to_state="open"} 1"#,
            r#"provider_health_status{provider_id="openai",provider_type="voice"} 0"#,
            r#"provider_health_consecutive_failures{provider_id="openai"} 5"#,
            r#"provider_health_success_rate{provider_id="openai"} 0"#,
            r#"voice_provider_calls{provider="openai"} 0"#,
            r#"ai_provider_circuit_breaker_transitions_total{provider="openai",from_state="closed",to_state="open"} 1"#,
            r#"ai_provider_uptime_seconds{provider="openai"} 0"#,
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}
