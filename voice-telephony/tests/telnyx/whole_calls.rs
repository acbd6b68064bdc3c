//! Whole calls in virtual time: the real door, control, ticket, opening and session against the fake.

use std::time::Duration;

use voice_core::carrier::Oddity;
use voice_core::sensitive::Pii;
use voice_core::time::MonoTime;
use voice_telephony::opening::Refusal;
use voice_telephony::sim::{CallReport, Script, Step, TelnyxRudeness};
use voice_telephony::status::{CallStatus, FailReason};
use voice_telephony::telnyx::{Answerer, Cause, Codec, Command, ControlEvent, End, HangupCause};
use voice_telephony::ticket::TicketError;
use voice_telephony::webhook::Rejection;

use crate::exchange::{Manner, Seen, dial, plan, run, run_with};

const SHOP: [&str; 7] = ["greeting", "hear", "check", "order", "price", "welcome", "goodbye"];

fn check_polite(report: &CallReport, seen: &Seen) {
    assert_eq!((report.failure.as_deref(), report.completed), (None, true));
    assert_eq!(report.clips_heard(), SHOP, "{:?}", report.heard);
    assert_eq!(report.said, ["hello", "order", "delivery", "price", "thanks", "goodbye"]);
    assert_eq!((report.traffic.invalid_messages, report.traffic.gap_ticks), (0, 0));
    assert_eq!(seen.caller_audio, Duration::from_millis(report.traffic.frames_sent * 20));
    assert_eq!((seen.lost, seen.oddities.as_slice(), seen.after_end), (Duration::ZERO, &[][..], 0));
    assert!(matches!(&seen.end, Some(End::HungUp(hangup)) if hangup.cause == HangupCause::NormalClearing));
    assert_eq!(report.callbacks_refused, 0);
}

#[test]
fn a_polite_call_is_heard_from_both_ends() {
    let (report, seen) = run(plan(&[]));
    check_polite(&report, &seen);
    assert_eq!(seen.sent, ["answer", "streaming_start"]);
    assert_eq!(
        seen.events,
        [ControlEvent::Status(CallStatus::Answered, None), ControlEvent::Status(CallStatus::Completed, None)]
    );
}

#[test]
fn a_call_in_a_law_is_heard_as_well() {
    let manner = Manner { codec: Codec::Pcma, ..Manner::default() };
    let (report, seen) = run_with(plan(&[]).speaks_alaw(), manner);
    check_polite(&report, &seen);
}

#[test]
fn a_leg_in_another_codec_than_ours_is_heard_as_well() {
    let (report, seen) = run(plan(&[]).speaks_alaw());
    check_polite(&report, &seen);
    let manner = Manner { codec: Codec::Pcma, ..Manner::default() };
    let (report, seen) = run_with(plan(&[]), manner);
    check_polite(&report, &seen);
}

#[test]
fn a_call_of_ours_is_heard_from_both_ends() {
    let (report, seen) = dial(plan(&[]), Manner::default());
    check_polite(&report, &seen);
    assert_eq!(seen.sent, ["dial", "streaming_start"]);
    assert!(seen.events.contains(&ControlEvent::Answerer(Answerer::Human)));
}

#[test]
fn a_call_of_ours_that_nobody_takes_says_why() {
    for (plan, cause, reason) in [
        (plan(&[]).is_busy(), HangupCause::UserBusy, FailReason::Busy),
        (plan(&[]).nobody_answers(), HangupCause::Timeout, FailReason::NoAnswer),
    ] {
        let (_, seen) = dial(plan, Manner::default());
        assert!(matches!(&seen.end, Some(End::HungUp(hangup)) if hangup.cause == cause), "{:?}", seen.end);
        assert_eq!(seen.events.last(), Some(&ControlEvent::Status(CallStatus::Failed, Some(reason))));
    }
}

#[test]
fn a_barge_in_silences_the_voice_and_leaves_nothing_behind() {
    let (report, seen) = run(plan(&[]));
    let [barge_in] = report.barge_ins.as_slice() else { panic!("one barge-in: {:?}", report.barge_ins) };
    assert!(barge_in.reaction.is_some_and(|reaction| reaction <= Duration::from_millis(160)), "{barge_in:?}");
    assert_eq!(barge_in.residue, Duration::ZERO);
    assert_eq!(report.traffic.clears, 1);
    assert!(seen.played < report.traffic.marks_echoed, "what was thrown away never counts as played");
}

#[test]
fn keys_arrive_once_and_in_order() {
    for rude in [&[][..], &[TelnyxRudeness::DoubledKeys]] {
        let mut steps =
            vec![Step::WaitForVoice { quiet: Duration::from_millis(700), patience: Duration::from_secs(15) }];
        steps.extend("12*#".chars().map(Step::Press));
        steps.push(Step::Pause(Duration::from_millis(500)));
        let (report, seen) = run(plan(rude).with_script(Script::new(steps)));
        assert!(report.completed, "{:?}", report.failure);
        assert_eq!(seen.digits, "12*#", "{rude:?}");
    }
}

#[test]
fn orders_in_a_call_are_carried_out_once() {
    let orders = Some(Command::SendDtmf(Pii::from("1")));
    for rude in [&[][..], &[TelnyxRudeness::ApiFails], &[TelnyxRudeness::ApiSilent]] {
        let manner = Manner { orders: orders.clone(), ..Manner::default() };
        let (report, seen) = run_with(plan(rude), manner);
        assert!(report.completed, "{:?}", report.failure);
        assert_eq!(seen.carried_out, ["answer", "streaming_start", "send_dtmf"], "{rude:?}");
        assert!(seen.events.iter().any(|event| matches!(event, ControlEvent::Done(_, Ok(_)))));
    }
}

#[test]
fn a_call_that_we_end_ends_the_other_side_once_and_soon() {
    for seed in 0..500_u64 {
        let codec = if seed % 2 == 0 { Codec::Pcmu } else { Codec::Pcma };
        let at = Duration::from_millis(seed * 7 % 3_500);
        let manner = Manner { codec, hangs_up_at: Some(at), ..Manner::default() };
        let (_, seen) = run_with(plan(&[]).with_seed(seed), manner);
        assert_eq!(seen.carried_out.iter().filter(|name| *name == "hangup").count(), 1, "{seed}");
        assert!(matches!(seen.end, Some(End::HungUp(_))), "{seed}: {:?}", seen.end);
        assert!(seen.ends.len() <= 1 && seen.after_end == 0, "{seed}: {:?}", seen.ends);
        let took = seen.ended_at.map(|ended_at| ended_at.since(MonoTime::ZERO + at));
        assert!(took.is_some_and(|took| took < Duration::from_secs(1)), "{seed}: {took:?}");
    }
}

#[test]
fn a_caller_who_hangs_up_ends_our_side_once_and_is_not_hung_up_on() {
    for seed in 0..500_u64 {
        let steps = vec![Step::Pause(Duration::from_millis(seed * 7 % 3_500)), Step::HangUp];
        let rude: &[TelnyxRudeness] = match seed % 4 {
            0 => &[],
            1 => &[TelnyxRudeness::LeftOpen],
            2 => &[TelnyxRudeness::NoStop, TelnyxRudeness::DoubledWebhooks],
            _ => &[TelnyxRudeness::DisorderedWebhooks],
        };
        let (report, seen) = run(plan(rude).with_seed(seed).with_script(Script::new(steps)));
        assert!(report.completed, "{seed}: {:?}", report.failure);
        // Where the event is late, a refused command is the first to tell.
        assert!(matches!(seen.end, Some(End::HungUp(_) | End::Gone)), "{seed}: {:?}", seen.end);
        assert!(!seen.carried_out.iter().any(|name| name == "hangup"), "{seed}: {:?}", seen.carried_out);
        assert!(seen.ends.len() <= 1 && seen.after_end == 0, "{seed}: {:?}", seen.ends);
    }
}

#[test]
fn a_call_of_ours_can_be_taken_back_while_it_rings() {
    let manner = Manner { hangs_up_at: Some(Duration::from_secs(1)), ..Manner::default() };
    let (_, seen) = dial(plan(&[]), manner);
    assert_eq!(
        seen.events.last(),
        Some(&ControlEvent::Status(CallStatus::Failed, Some(FailReason::Canceled)))
    );
}

#[test]
fn the_same_seed_gives_the_same_call() {
    let rude = [TelnyxRudeness::DisorderedChunks, TelnyxRudeness::LateWebhooks];
    assert_eq!(run(plan(&rude).with_seed(7)).0, run(plan(&rude).with_seed(7)).0);
}

/// What a rude carrier costs it.
#[derive(Debug, PartialEq)]
enum Fate {
    /// The call goes on as if nothing were; these oddities were counted.
    Harmless(&'static [Oddity]),
    /// The stream is started again, this often, and the call goes on.
    Restarts(u32, &'static [Refusal]),
    /// The webhook is refused.
    Rejected(Rejection),
    /// No stream ever opens, for this reason, and we hang up.
    NeverOpens(Refusal),
    /// The caller hears nothing any more, and leaves.
    CallerLeaves,
    /// The first step fails.
    Fails(Cause),
}

fn fate(rudeness: TelnyxRudeness) -> Fate {
    use TelnyxRudeness as Rude;
    match rudeness {
        Rude::Unsigned => Fate::Rejected(Rejection::MissingSignature),
        Rude::WrongSignature => Fate::Rejected(Rejection::BadSignature),
        Rude::StaleSignature => Fate::Rejected(Rejection::Stale),
        Rude::OversizedWebhook => Fate::Rejected(Rejection::TooLarge),
        Rude::ApiRefuses => Fate::Fails(Cause::Auth),
        Rude::MissingTicket => Fate::NeverOpens(Refusal::NoTicket),
        Rude::UnknownTicket => Fate::NeverOpens(Refusal::Ticket(TicketError::Unknown)),
        Rude::NoStart => Fate::Restarts(1, &[Refusal::NoStart]),
        Rude::EarlyMedia => Fate::Restarts(1, &[Refusal::OutOfPlace]),
        Rude::WrongFormat => Fate::Restarts(1, &[Refusal::WrongFormat]),
        Rude::StreamFails | Rude::Cut | Rude::Flood => Fate::Restarts(1, &[]),
        Rude::HalfOpen => Fate::CallerLeaves,
        Rude::BinaryMedia => Fate::Harmless(&[Oddity::Binary]),
        Rude::MalformedJson => Fate::Harmless(&[Oddity::Unreadable]),
        Rude::WrongStreamId => Fate::Harmless(&[Oddity::WrongStream]),
        Rude::BadBase64 | Rude::OversizedMedia => Fate::Harmless(&[Oddity::BadAudio]),
        Rude::UnknownMessages => Fate::Harmless(&[Oddity::UnknownEvent]),
        Rude::Complaints => Fate::Harmless(&[Oddity::Complaint]),
        Rude::StrayMarks => Fate::Harmless(&[Oddity::BadMark]),
        Rude::TitleCaseHeaders
        | Rude::DoubledWebhooks
        | Rude::DisorderedWebhooks
        | Rude::LateWebhooks
        | Rude::UnknownEvents
        | Rude::SlowApi
        | Rude::ApiFails
        | Rude::ApiSilent
        | Rude::ApiThrottles
        | Rude::NoConferences
        | Rude::RecordsNothing
        | Rude::RecordingFails
        | Rude::BearerTicket
        | Rude::ParameterTicket
        | Rude::UsedTicket
        | Rude::DisorderedChunks
        | Rude::DoubledChunks
        | Rude::Gaps
        | Rude::BothTracks
        | Rude::DoubledKeys
        | Rude::LostMarks
        | Rude::LateMarks
        | Rude::NoStop
        | Rude::LeftOpen => Fate::Harmless(&[]),
        unanswered => panic!("what does {unanswered} cost?"),
    }
}

fn check_fate(rudeness: TelnyxRudeness, report: &CallReport, seen: &Seen) {
    let restarts = seen.events.iter().filter(|event| **event == ControlEvent::Restarting).count();
    let streams = seen.carried_out.iter().filter(|name| *name == "streaming_start").count();
    match fate(rudeness) {
        Fate::Harmless(oddities) => {
            assert!(report.completed, "{rudeness}: {:?} {seen:?}", report.failure);
            assert_eq!(report.clips_heard(), SHOP, "{rudeness}");
            let mut kinds = seen.oddities.clone();
            kinds.dedup();
            assert_eq!((kinds.as_slice(), restarts, streams), (oddities, 0, 1), "{rudeness}");
        }
        Fate::Restarts(times, refusals) => {
            assert!(restarts >= times as usize, "{rudeness}: {restarts}");
            assert_eq!(seen.refusals, refusals, "{rudeness}");
            assert_eq!(streams, restarts + 1, "{rudeness}");
            assert!(matches!(seen.end, Some(End::HungUp(_))), "{rudeness}: {:?}", seen.end);
            assert!(report.clips_heard().contains(&"goodbye"), "{rudeness}: {:?}", report.clips_heard());
        }
        Fate::Rejected(rejection) => {
            assert_eq!(seen.rejections.first(), Some(&rejection), "{rudeness}");
            assert_eq!(report.webhook_status, Some(rejection.status()), "{rudeness}");
            assert_eq!((report.completed, seen.sent.len()), (false, 0), "{rudeness}");
        }
        Fate::NeverOpens(refusal) => {
            assert_eq!((seen.refusals.as_slice(), restarts), (&[refusal; 4][..], 3), "{rudeness}");
            assert_eq!((report.completed, seen.caller_audio), (false, Duration::ZERO), "{rudeness}");
            assert_eq!(seen.carried_out.last().map(String::as_str), Some("hangup"), "{rudeness}");
        }
        Fate::CallerLeaves => {
            assert_eq!((report.completed, restarts), (false, 0), "{rudeness}");
            assert!(matches!(seen.end, Some(End::HungUp(_))), "{rudeness}: {:?}", seen.end);
        }
        Fate::Fails(cause) => {
            assert_eq!(seen.end, Some(End::Failed(cause)), "{rudeness}");
            assert!(!report.completed && seen.carried_out.is_empty(), "{rudeness}");
        }
    }
    assert_eq!(seen.after_end, 0, "{rudeness}");
}

#[test]
fn every_rudeness_has_its_answer() {
    for &rudeness in TelnyxRudeness::ALL {
        for seed in 1..4 {
            let (report, seen) = run(plan(&[rudeness]).with_seed(seed));
            check_fate(rudeness, &report, &seen);
        }
    }
}

#[test]
fn a_socket_that_fell_silent_is_replaced_for_a_patient_caller() {
    let patient = |quiet| Step::WaitForVoice { quiet, patience: Duration::from_secs(60) };
    let quiet = Duration::from_millis(700);
    let steps = vec![patient(quiet), Step::Pause(Duration::from_secs(10)), patient(quiet)];
    let (report, seen) = run(plan(&[TelnyxRudeness::HalfOpen]).with_script(Script::new(steps)));
    assert!(report.completed, "{:?}", report.failure);
    assert_eq!(seen.carried_out, ["answer", "streaming_start", "streaming_start"]);
}

#[test]
fn a_used_ticket_opens_nothing_and_harms_nobody() {
    let (report, seen) = run(plan(&[TelnyxRudeness::UsedTicket]));
    assert!(report.completed, "{:?}", report.failure);
    assert_eq!(seen.refusals, [Refusal::Ticket(TicketError::Used)]);
    assert!(report.closed.contains(&(1008, "ticket_used".to_owned())), "{:?}", report.closed);
}

#[test]
fn what_the_carrier_dropped_is_told_and_nothing_else() {
    let (report, seen) = run(plan(&[TelnyxRudeness::Gaps]));
    assert!(report.traffic.frames_dropped > 10);
    let dropped = Duration::from_millis(report.traffic.frames_dropped * 20);
    assert!(dropped - seen.lost <= Duration::from_millis(60), "{dropped:?} {:?}", seen.lost);
    for rude in [TelnyxRudeness::DisorderedChunks, TelnyxRudeness::DoubledChunks] {
        let (_, seen) = run(plan(&[rude]));
        assert_eq!(seen.lost, Duration::ZERO, "{rude}");
    }
}

/// Any mixture of what is legal, in both directions: the call is the same call.
#[test]
fn rudeness_that_is_legal_can_be_mixed() {
    use TelnyxRudeness as Rude;
    let legal = [
        Rude::TitleCaseHeaders,
        Rude::DoubledWebhooks,
        Rude::DisorderedWebhooks,
        Rude::LateWebhooks,
        Rude::UnknownEvents,
        Rude::SlowApi,
        Rude::ApiFails,
        Rude::ApiSilent,
        Rude::ApiThrottles,
        Rude::DisorderedChunks,
        Rude::DoubledChunks,
        Rude::BothTracks,
        Rude::LostMarks,
        Rude::UnknownMessages,
    ];
    for seed in 0..40_u64 {
        let chosen = legal.iter().enumerate().filter(|(at, _)| ((seed * 2_654_435_761) >> at) & 1 == 1);
        let rude: Vec<Rude> = chosen.map(|(_, rude)| *rude).collect();
        let (report, seen) = run(plan(&rude).with_seed(seed));
        assert!(report.completed, "{seed} {rude:?} {:?} {:?}", report.failure, seen.end);
        assert_eq!(report.clips_heard(), SHOP, "{seed} {rude:?}");
        assert!(seen.events.contains(&ControlEvent::Status(CallStatus::Completed, None)), "{seed}");
    }
}

#[test]
fn rudeness_has_names() {
    for &name in TelnyxRudeness::NAMES {
        assert_eq!(name.parse::<TelnyxRudeness>().map(TelnyxRudeness::name), Ok(name));
    }
    assert!("kind".parse::<TelnyxRudeness>().is_err());
}
