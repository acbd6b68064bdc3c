//! Calls that are made, and made again.

use std::sync::Arc;
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::call::CallConfig;
use voice_core::carrier::CarrierEnd;
use voice_core::failure::Failure;
use voice_core::id::{AttachmentId, CarrierId, CorrelationId, ProviderId, ReplyId, UtteranceId};
use voice_core::record::{CallEvent, EndReason, Entry, Totals, Why};
use voice_core::time::MonoTime;

use super::*;

fn config() -> Arc<CallConfig> {
    Arc::new(CallConfig::builder("You are a test.").build().expect("a configuration"))
}

fn record(events: impl IntoIterator<Item = (u64, CallEvent)>) -> Vec<Entry> {
    (1..).zip(events).map(|(seq, (at, event))| Entry { seq, at: MonoTime::from_millis(at), event }).collect()
}

/// A call with a reply that is interrupted, a voice that fails, and another that takes over.
fn course() -> Vec<Entry> {
    let (one, two) = (AttachmentId(1), AttachmentId(2));
    let reply = ReplyId::from_u64(1 << 32 | 1);
    let utterance = UtteranceId::from_u64(1 << 32 | 1);
    record([
        (
            5_000,
            CallEvent::Started {
                carrier: CarrierId::from_static("twilio"),
                carrier_call: "CA1".to_owned(),
                format: AudioFormat::MULAW_8K,
                from: "+15550100".into(),
                to: "+15550199".into(),
                correlation: CorrelationId::from_static("c-1"),
            },
        ),
        (5_000, CallEvent::Attaching { attachment: one, why: Why::CallStart }),
        (5_000, CallEvent::Assigned { attachment: one, provider: ProviderId::from_static("ada") }),
        (5_300, CallEvent::Ready { attachment: one, session: None, took: Duration::from_millis(300) }),
        (5_300, CallEvent::Live { attachment: one, gap: Duration::from_millis(300) }),
        (5_700, CallEvent::ReplyStarted { reply, latency: None }),
        (7_000, CallEvent::CallerSpoke { utterance }),
        (
            7_000,
            CallEvent::BargeIn {
                reply,
                heard: Duration::from_millis(1_200),
                unheard: Duration::from_secs(2),
            },
        ),
        (
            7_000,
            CallEvent::ReplyHeard {
                reply,
                text: "Good day".into(),
                heard: Duration::from_millis(1_200),
                unheard: Duration::from_secs(2),
                cut: true,
            },
        ),
        (8_000, CallEvent::CallerPaused { utterance }),
        (9_000, CallEvent::Problem { attachment: one, failure: Failure::Closed { code: 1011 } }),
        (9_000, CallEvent::Detached { attachment: one }),
        (9_000, CallEvent::Attaching { attachment: two, why: Why::Failure }),
        (9_000, CallEvent::Assigned { attachment: two, provider: ProviderId::from_static("bob") }),
        (9_400, CallEvent::Ready { attachment: two, session: None, took: Duration::from_millis(400) }),
        (9_400, CallEvent::Live { attachment: two, gap: Duration::from_millis(400) }),
        (
            12_000,
            CallEvent::Ended { reason: EndReason::Carrier(CarrierEnd::Stopped), totals: Totals::default() },
        ),
    ])
}

/// Everything that the call told when it was made again.
fn made_again(entries: &[Entry]) -> Vec<Entry> {
    stage::Stage::new(entries, config()).expect("it has a beginning").play()
}

#[test]
fn a_call_made_again_tells_what_it_told_and_again_the_same() {
    // The first time brings what a record written by hand lacks; from then on nothing may differ.
    let first = made_again(&course());
    let kinds: Vec<&str> = first.iter().filter_map(|entry| kind(&entry.event)).collect();
    for wanted in ["live", "barge_in", "cut", "switched", "ended"] {
        assert!(kinds.contains(&wanted), "{wanted} is not among {kinds:?}");
    }
    let replayed = replay(&first, config()).expect("it has a beginning");
    assert!(replayed.is_same(), "{:#?}", replayed.lines);
    assert_eq!(replayed.duration, Duration::from_secs(7));
    assert!(replayed.left_out.is_empty());
}

#[test]
fn what_a_build_did_otherwise_is_shown_where_it_happened() {
    let mut entries = made_again(&course());
    // As if the build of then had not cut the reply when the caller spoke, and had let the second voice go.
    entries.retain(|entry| !matches!(entry.event, CallEvent::BargeIn { .. }));
    let at = entries.len() - 1;
    let end = entries[at].at;
    entries
        .insert(at, Entry { seq: 0, at: end, event: CallEvent::Retrying { round: 9, wait: Duration::ZERO } });
    let replayed = replay(&entries, config()).expect("it has a beginning");
    let differences: Vec<&Line> =
        replayed.lines.iter().filter(|line| !matches!(line, Line::Both(..))).collect();
    let [Line::Now(_, cut), Line::Then(_, round)] = differences[..] else { panic!("{differences:#?}") };
    assert!(cut.contains("interrupted"), "{cut}");
    assert_eq!(round, "nobody found, round 9");
}

#[test]
fn what_is_no_whole_record_is_not_replayed() {
    assert_eq!(replay(&[], config()).map(|_| ()), Err(NoReplay::NoBeginning));
    assert_eq!(replay(&course()[1..], config()).map(|_| ()), Err(NoReplay::NoBeginning));
}

fn kind(event: &CallEvent) -> Option<&'static str> {
    if matches!(event, CallEvent::Live { .. }) {
        Some("live")
    } else if matches!(event, CallEvent::BargeIn { .. }) {
        Some("barge_in")
    } else if matches!(event, CallEvent::ReplyHeard { cut: true, .. }) {
        Some("cut")
    } else if matches!(event, CallEvent::Switched(_)) {
        Some("switched")
    } else if matches!(event, CallEvent::Ended { .. }) {
        Some("ended")
    } else {
        None
    }
}
