//! Whole calls in virtual time: the real door, ticket, opening and session against the fake carrier.

use std::time::Duration;

use voice_core::carrier::{CarrierEnd, Oddity};
use voice_core::wire::LineEnd;
use voice_telephony::opening::Refusal;
use voice_telephony::sim::{CallReport, Rudeness, Script, Step, Utterance};
use voice_telephony::status::CallStatus;
use voice_telephony::ticket::TicketError;
use voice_telephony::webhook::Rejection;

use crate::exchange::{Seen, plan, run};

const SHOP: [&str; 9] =
    ["greeting", "hear", "check", "order", "price", "welcome", "goodbye", "delivery", "sorry"];

#[test]
fn a_polite_call_is_heard_from_both_ends() {
    let (report, seen) = run(plan(&[]));
    assert_eq!((report.failure.as_deref(), report.completed), (None, true));
    assert_eq!(report.clips_heard(), &SHOP[..7], "{:?}", report.heard);
    assert_eq!(report.said, ["hello", "order", "delivery", "price", "thanks", "goodbye"]);
    assert_eq!(report.traffic.invalid_messages, 0);
    assert_eq!(report.traffic.gap_ticks, 0);
    assert_eq!(seen.caller_audio, Duration::from_millis(report.traffic.frames_sent * 20));
    assert_eq!((seen.lost, seen.oddities.as_slice()), (Duration::ZERO, &[][..]));
    assert_eq!(seen.ends, [CarrierEnd::Stopped]);
    assert_eq!(seen.after_end, 0);
    assert_eq!(seen.status, Some(CallStatus::Completed));
    assert_eq!((report.callbacks_taken, report.callbacks_refused), (3, 0));
}

#[test]
fn a_barge_in_silences_the_voice_and_leaves_nothing_behind() {
    let (report, seen) = run(plan(&[]));
    let [barge_in] = report.barge_ins.as_slice() else { panic!("one barge-in: {:?}", report.barge_ins) };
    assert!(barge_in.reaction.is_some_and(|reaction| reaction <= Duration::from_millis(160)), "{barge_in:?}");
    assert_eq!(barge_in.residue, Duration::ZERO);
    assert_eq!(report.traffic.clears, 1);
    let unheard = report.traffic.received - report.traffic.played;
    assert!(unheard > Duration::from_secs(5), "most of the long reply was thrown away: {unheard:?}");
    // Twilio returned the marks of what it threw away as well; the session let none of them pass.
    assert!(seen.played < report.traffic.marks_echoed, "{} {}", seen.played, report.traffic.marks_echoed);
}

#[test]
fn each_turn_is_answered_in_the_time_the_voice_takes() {
    let (report, _) = run(plan(&[]));
    assert_eq!(report.latencies.len(), 6);
    for latency in report.latencies {
        assert!((500..1_000).contains(&latency.as_millis()), "{latency:?}");
    }
}

#[test]
fn keys_arrive_in_order() {
    let steps = "12*#".chars().map(Step::Press).collect();
    let (report, seen) = run(plan(&[]).with_script(Script::new(steps)));
    assert!(report.completed);
    assert_eq!(seen.digits, "12*#");
}

#[test]
fn a_caller_who_hears_nothing_gives_up() {
    let mumble = Utterance::new("mumble", vec![0xff; 800]);
    let wait = Step::WaitForVoice { quiet: Duration::from_millis(700), patience: Duration::from_secs(5) };
    let steps = vec![wait.clone(), Step::Say(mumble), wait];
    let (report, seen) = run(plan(&[]).with_script(Script::new(steps)));
    assert!(!report.completed);
    assert_eq!(report.failure.as_deref(), Some("heard nothing for 5s"));
    assert_eq!(seen.ends, [CarrierEnd::Stopped]);
}

#[test]
fn the_same_seed_gives_the_same_call() {
    let rude = [Rudeness::Jitter, Rudeness::Gaps];
    assert_eq!(run(plan(&rude).with_seed(7)).0, run(plan(&rude).with_seed(7)).0);
    assert_ne!(run(plan(&rude).with_seed(7)).0, run(plan(&rude).with_seed(8)).0);
}

/// What a rude carrier costs it.
#[derive(Debug, PartialEq)]
enum Fate {
    /// The call goes on as if nothing were; these oddities were counted.
    Harmless(&'static [Oddity]),
    /// The webhook is refused.
    Rejected(Rejection),
    /// The media socket's upgrade is refused.
    UpgradeRejected(Rejection),
    /// The media socket is closed before it is a call.
    Refused(Refusal),
    /// The stream ends in this way.
    Ends(CarrierEnd),
}

fn fate(rudeness: Rudeness) -> Fate {
    match rudeness {
        Rudeness::Unsigned => Fate::Rejected(Rejection::MissingSignature),
        Rudeness::WrongSignature => Fate::Rejected(Rejection::BadSignature),
        Rudeness::OversizedWebhook => Fate::Rejected(Rejection::TooLarge),
        Rudeness::UnsignedUpgrade => Fate::UpgradeRejected(Rejection::MissingSignature),
        Rudeness::WrongUpgradeSignature => Fate::UpgradeRejected(Rejection::BadSignature),
        Rudeness::UnknownTicket => Fate::Refused(Refusal::Ticket(TicketError::Unknown)),
        Rudeness::MissingTicket => Fate::Refused(Refusal::NoTicket),
        Rudeness::NoStart => Fate::Refused(Refusal::NoStart),
        Rudeness::EarlyMedia => Fate::Refused(Refusal::OutOfPlace),
        Rudeness::WrongFormat => Fate::Refused(Refusal::WrongFormat),
        Rudeness::MalformedStart => Fate::Refused(Refusal::Unreadable),
        Rudeness::BinaryMedia => Fate::Harmless(&[Oddity::Binary]),
        Rudeness::MalformedJson => Fate::Harmless(&[Oddity::Unreadable]),
        Rudeness::WrongStreamSid => Fate::Harmless(&[Oddity::WrongStream]),
        Rudeness::BadBase64 | Rudeness::OversizedMedia => Fate::Harmless(&[Oddity::BadAudio]),
        Rudeness::UnknownEvents => Fate::Harmless(&[Oddity::UnknownEvent]),
        Rudeness::StrayMarks => Fate::Harmless(&[Oddity::BadMark]),
        Rudeness::Cut => Fate::Ends(CarrierEnd::LineDown(LineEnd::Cut)),
        Rudeness::HalfOpen => Fate::Ends(CarrierEnd::LineDown(LineEnd::Cut)),
        Rudeness::Flood => Fate::Ends(CarrierEnd::Nonsense),
        Rudeness::LowerCaseHeader
        | Rudeness::DuplicateWebhook
        | Rudeness::ExtraParameters
        | Rudeness::UsedTicket
        | Rudeness::Jitter
        | Rudeness::Gaps
        | Rudeness::BigFrames
        | Rudeness::LostMarks
        | Rudeness::LateMarks
        | Rudeness::NoStop
        | Rudeness::LateStatus => Fate::Harmless(&[]),
        unanswered => panic!("what does {unanswered} cost?"),
    }
}

fn check_fate(rudeness: Rudeness, report: &CallReport, seen: &Seen) {
    let closed = report.closed.first().map(|(code, reason)| (*code, reason.as_str()));
    match fate(rudeness) {
        Fate::Harmless(oddities) => {
            assert!(report.completed, "{rudeness}: {:?}", report.failure);
            assert_eq!(report.clips_heard(), &SHOP[..7], "{rudeness}");
            let mut kinds = seen.oddities.clone();
            kinds.dedup();
            assert_eq!(kinds, oddities, "{rudeness}");
        }
        Fate::Rejected(rejection) => {
            assert_eq!(seen.rejections.first(), Some(&rejection), "{rudeness}");
            assert_eq!(report.webhook_status, Some(rejection.status()), "{rudeness}");
            assert_eq!((report.completed, report.traffic.frames_sent), (false, 0), "{rudeness}");
        }
        Fate::UpgradeRejected(rejection) => {
            assert_eq!(seen.rejections, [rejection], "{rudeness}");
            assert_eq!((report.completed, report.traffic.frames_sent), (false, 0), "{rudeness}");
        }
        Fate::Refused(refusal) => {
            assert_eq!(seen.refusals, [refusal], "{rudeness}");
            assert_eq!(closed, Some((refusal.close_code(), refusal.name())), "{rudeness}");
            assert_eq!((report.completed, seen.caller_audio), (false, Duration::ZERO), "{rudeness}");
        }
        Fate::Ends(end) => {
            assert_eq!(seen.ends, [end], "{rudeness}");
            assert!(!report.completed, "{rudeness}");
        }
    }
    assert_eq!(seen.after_end, 0, "{rudeness}");
    assert!(seen.ends.len() <= 1, "{rudeness}");
}

#[test]
fn every_rudeness_has_its_answer() {
    for &rudeness in Rudeness::ALL {
        let (report, seen) = run(plan(&[rudeness]));
        check_fate(rudeness, &report, &seen);
    }
}

#[test]
fn a_used_ticket_opens_nothing_and_harms_nobody() {
    let (report, seen) = run(plan(&[Rudeness::UsedTicket]));
    assert!(report.completed, "{:?}", report.failure);
    assert_eq!(seen.refusals, [Refusal::Ticket(TicketError::Used)]);
    assert_eq!(report.closed, [(1008, "ticket_used".to_owned())]);
}

#[test]
fn what_the_carrier_dropped_is_told() {
    let (report, seen) = run(plan(&[Rudeness::Gaps]));
    assert!(report.traffic.frames_dropped > 10);
    // The last gap may still be open when the call ends.
    let dropped = Duration::from_millis(report.traffic.frames_dropped * 20);
    assert!(dropped - seen.lost <= Duration::from_millis(60), "{dropped:?} {:?}", seen.lost);
}

#[test]
fn nothing_else_looks_like_a_loss() {
    for &rudeness in Rudeness::ALL.iter().filter(|&&rudeness| rudeness != Rudeness::Gaps) {
        let (_, seen) = run(plan(&[rudeness]));
        assert_eq!(seen.lost, Duration::ZERO, "{rudeness}");
    }
}

#[test]
fn late_and_doubled_status_reports_end_as_the_truth() {
    let (report, seen) = run(plan(&[Rudeness::LateStatus]));
    assert_eq!((report.callbacks_taken, seen.status), (6, Some(CallStatus::Completed)));
}

#[test]
fn rudeness_has_names() {
    for &name in Rudeness::NAMES {
        assert_eq!(name.parse::<Rudeness>().map(Rudeness::name), Ok(name));
    }
    assert!("kind".parse::<Rudeness>().is_err());
}
