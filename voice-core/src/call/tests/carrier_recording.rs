//! Recordings that the carrier makes.

use super::*;
use crate::call::{Past, Return, WhenRecorded};
use crate::consent::{Consent, Given, Method, Revocation, Scope};
use crate::record::{Away, Entry};
use crate::recording::{
    Filed, RecordCommand, RecordNews, RecordStep, RecordingEnd, RecordingOrder, RecordingPlace,
    RecordingRefusal, SavedRecording,
};
use crate::time::UnixMillis;
use crate::transfer::{TransferFailure, TransferId, TransferKind, TransferNews};

fn order() -> RecordCommand {
    let given = Given { by: "+15550100".into(), how: Method::Verbal, at: UnixMillis(0), region: None };
    let order = RecordingOrder::new(Consent::given(given, Scope::RECORDING)).expect("it covers recording");
    RecordCommand::Start(order.at(RecordingPlace::Carrier))
}

fn give(rig: &mut Rig, command: RecordCommand) -> Vec<String> {
    rig.give(Input::Control(Control::Record(command))).wanted()
}

fn refused(order: u64, step: RecordStep, why: RecordingRefusal) -> RecordCommand {
    RecordCommand::Ordered { order, news: RecordNews::Refused(step, why) }
}

fn begun(order: u64, name: &str) -> RecordCommand {
    RecordCommand::Ordered { order, news: RecordNews::Begun(Some(name.to_owned())) }
}

/// What was asked for last is done, and it was the end.
fn ended_last(rig: &Rig) -> RecordCommand {
    RecordCommand::Ordered { order: last(rig), news: RecordNews::Ended }
}

fn end_last(rig: &mut Rig) -> Vec<String> {
    let ended = ended_last(rig);
    give(rig, ended)
}

fn last(rig: &Rig) -> u64 {
    rig.record.last().map_or(0, |entry| entry.seq)
}

fn saved(name: &str) -> RecordCommand {
    let length = Some(Duration::from_secs(9));
    RecordCommand::Filed(Filed::Saved(SavedRecording { recording: name.to_owned(), length, url: None }))
}

/// A call that is recorded, and the order by which it is.
fn recorded() -> (Rig, u64) {
    let mut rig = Rig::talking();
    give(&mut rig, order());
    let begun_by = rig.record.last().map_or(0, |entry| entry.seq);
    (rig, begun_by)
}

fn state(rig: &Rig) -> (Recording, RecordingPlace) {
    let status = rig.call.status();
    (status.recording, status.recording_at)
}

/// Another server goes on with it.
fn come_back(rig: &mut Rig, why: Away) -> Vec<String> {
    let past = Past::fold(&rig.record).expect("a record begins with its start");
    let start = past.start().clone();
    let config = rig.call.config.clone();
    let after = rig.now.since(past.last_at()) + ms(500);
    let back = Return { leg: past.leg() + 1, past, after, why };
    rig.now = at(50);
    rig.call = Call::resume(rig.now, config, &start, back);
    (rig.finished, rig.said) = (None, Vec::new());
    rig.drain();
    rig.wanted().into_iter().filter(|word| word.contains("ecord")).collect()
}

#[test]
fn each_step_is_told_and_asked_of_the_carrier() {
    let mut rig = Rig::talking();
    let said = give(&mut rig, order());
    let first = rig.record.last().map_or(0, |entry| entry.seq);
    assert_eq!(said, ["· recordingstarted".to_owned(), format!("Record {{ order: {first}, step: Start }}")]);
    assert_eq!(state(&rig), (Recording::On, RecordingPlace::Carrier));
    assert_eq!(give(&mut rig, order()), [""; 0], "it runs");
    assert_eq!(give(&mut rig, begun(first, "RE1")), ["· recordingbegun"]);
    assert_eq!(give(&mut rig, begun(first, "RE1")), [""; 0], "once");
    for (command, word, step) in [
        (RecordCommand::Pause, "paused", "Pause"),
        (RecordCommand::Resume, "resumed", "Resume"),
        (RecordCommand::Stop, "stopped", "Stop"),
    ] {
        let said = give(&mut rig, command.clone());
        let last = rig.record.last().map_or(0, |entry| entry.seq);
        assert_eq!(said, [format!("· recording{word}"), format!("Record {{ order: {last}, step: {step} }}")]);
        assert_eq!(give(&mut rig, command), [""; 0], "{step} is done");
    }
    assert_eq!(end_last(&mut rig), ["· recordingended"]);
    assert_eq!(state(&rig).0, Recording::Off);
    let said = give(&mut rig, order());
    assert_eq!(said[0], "· recordingstarted", "another one");
    let revoked = RecordCommand::Revoke(Revocation { at: UnixMillis(1), reason: None });
    assert!(give(&mut rig, revoked)[1].ends_with("step: Stop }"));
    assert!(!rig.wanted().iter().any(|word| word.starts_with("tape")), "nothing is written here");
}

#[test]
fn a_refusal_is_told_with_its_cause_and_what_follows_from_it() {
    let (mut rig, first) = recorded();
    let why = RecordingRefusal::Refused;
    let said = give(&mut rig, refused(first, RecordStep::Start, why));
    assert_eq!(said, ["· recordingrefused", "· recordingstopped"]);
    assert_eq!(state(&rig).0, Recording::Off);
    assert_eq!(give(&mut rig, refused(first, RecordStep::Start, why)), [""; 0], "it is over");
    let why = RecordingRefusal::NoAnswer;

    for (command, step, after) in [
        (RecordCommand::Pause, RecordStep::Pause, ("resumed", Recording::On)),
        (RecordCommand::Stop, RecordStep::Stop, ("started", Recording::On)),
    ] {
        let (mut rig, _) = recorded();
        give(&mut rig, command);
        let last = rig.record.last().map_or(0, |entry| entry.seq);
        let said = give(&mut rig, refused(last, step, why));
        assert_eq!(said, ["· recordingrefused".to_owned(), format!("· recording{}", after.0)], "{step:?}");
        assert_eq!(state(&rig), (after.1, RecordingPlace::Carrier), "{step:?}: it goes on as before");
        let folded = Past::fold(&rig.record).expect("a record");
        assert_eq!(rig.call.differs_from(&folded), None);
    }
}

#[test]
fn a_refusal_that_comes_late_undoes_nothing_that_was_wanted_since() {
    let (mut rig, _) = recorded();
    give(&mut rig, RecordCommand::Pause);
    let pause = rig.record.last().map_or(0, |entry| entry.seq);
    give(&mut rig, RecordCommand::Resume);
    let said = give(&mut rig, refused(pause, RecordStep::Pause, RecordingRefusal::Refused));
    assert_eq!(said, ["· recordingrefused"]);
    assert_eq!(state(&rig).0, Recording::On);
    give(&mut rig, RecordCommand::Pause);
    let pause = rig.record.last().map_or(0, |entry| entry.seq);
    let said = give(&mut rig, refused(pause, RecordStep::Pause, RecordingRefusal::NotRunning));
    assert_eq!(said, ["· recordingrefused", "· recordingstopped"], "there is none");
    assert_eq!(state(&rig).0, Recording::Off);
}

#[test]
fn what_the_carrier_has_is_told_once_during_the_call_and_after_it() {
    let (mut rig, first) = recorded();
    give(&mut rig, begun(first, "RE1"));
    assert_eq!(give(&mut rig, saved("RE0")), ["· recordingsaved"], "one of before");
    assert_eq!(state(&rig).0, Recording::On);
    assert_eq!(
        give(&mut rig, saved("RE1")),
        ["· recordingstopped", "· recordingsaved"],
        "the carrier ended it"
    );
    assert_eq!(give(&mut rig, saved("RE1")), [""; 0]);
    rig.give(Input::Control(Control::HangUp));
    let mut past = Past::fold(&rig.record).expect("a record");
    let before = (past.elapsed(), past.ended().cloned());
    let filed = |name: &str| Filed::Absent { recording: name.to_owned() };
    assert_eq!(past.file(at(90_000), filed("RE1")), None, "known");
    let entry = past.file(at(90_000), filed("RE2")).expect("news");
    assert_eq!(entry.seq, rig.record.len() as u64 + 1);
    assert!(entry.event.is_afterthought());
    past.apply(&entry);
    assert_eq!((past.elapsed(), past.ended().cloned()), before, "the call is as over as before");
    assert_eq!(past.file(at(91_000), filed("RE2")), None);
}

#[test]
fn it_ends_with_the_line_and_only_with_the_line() {
    let words = |rig: &mut Rig| -> Vec<String> {
        rig.wanted().into_iter().filter(|word| word.contains("ecord")).collect()
    };
    let (mut rig, _) = recorded();
    rig.give(Input::Control(Control::HangUp));
    assert_eq!(words(&mut rig), ["· recordingstopped"], "the carrier needs no word");

    let (mut rig, _) = recorded();
    rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::LineDown(crate::wire::LineEnd::Cut))));
    assert_eq!(words(&mut rig), [""; 0], "the carrier goes on");
    assert_eq!(come_back(&mut rig, Away::LineDown), [""; 0]);
    assert_eq!(state(&rig), (Recording::On, RecordingPlace::Carrier));

    let (mut rig, _) = recorded();
    let transfer = TransferOrder::new(TransferKind::Blind, "support", "+15550177");
    rig.give(Input::Control(Control::Transfer(transfer)));
    rig.give(Input::Control(Control::Transferred(TransferId(1), TransferNews::Done)));
    let said = words(&mut rig);
    assert_eq!(said[0], "· recordingstopped");
    assert!(said[1].ends_with("step: Stop }"), "whoever has the caller now was not asked: {said:?}");
    let said = come_back(&mut rig, Away::Transfer);
    assert_eq!(said[0], "· recordingstarted");
    assert!(said[1].ends_with("step: Start }"), "{said:?}");
}

#[test]
fn a_server_that_dies_ends_nothing_at_the_carrier() {
    let (mut rig, first) = recorded();
    give(&mut rig, begun(first, "RE1"));
    give(&mut rig, RecordCommand::Pause);
    rig.pass(ms(2_000));
    assert_eq!(come_back(&mut rig, Away::Restart), [""; 0]);
    assert_eq!(state(&rig), (Recording::Paused, RecordingPlace::Carrier));
    assert!(give(&mut rig, RecordCommand::Resume)[1].ends_with("step: Resume }"));
    rig.pass(ms(1_000));
    assert!(give(&mut rig, RecordCommand::Stop)[1].ends_with("step: Stop }"));
    let is_whole = |event: &CallEvent| matches!(event, CallEvent::RecordingStopped { length, .. } if *length >= ms(3_000));
    assert!(rig.record.iter().any(|entry| is_whole(&entry.event)), "{:?}", rig.record.last());
}

#[test]
fn a_beginning_that_nobody_answered_is_ended_for_it_may_have_been_one() {
    let (mut rig, first) = recorded();
    let said = give(&mut rig, refused(first, RecordStep::Start, RecordingRefusal::NoAnswer));
    assert_eq!(said[..2], ["· recordingrefused", "· recordingstopped"]);
    assert!(said[2].ends_with("step: Stop }"), "{said:?}");
    assert_eq!(state(&rig).0, Recording::Ending);
    let last = rig.record.last().map_or(0, |entry| entry.seq);
    let said = give(&mut rig, refused(last, RecordStep::Stop, RecordingRefusal::NoAnswer));
    assert_eq!(said, ["· recordingrefused", "· recordingstarted"], "nobody says that it is over");
}

#[test]
fn a_consent_that_was_taken_back_stays_so_whatever_the_carrier_does() {
    let (mut rig, first) = recorded();
    give(&mut rig, begun(first, "RE1"));
    give(&mut rig, RecordCommand::Revoke(Revocation { at: UnixMillis(1), reason: None }));
    let last = rig.record.last().map_or(0, |entry| entry.seq);
    give(&mut rig, refused(last, RecordStep::Stop, RecordingRefusal::NoAnswer));
    let told = rig.record.iter().rev().find_map(|entry| match &entry.event {
        CallEvent::RecordingStarted { consent, .. } => Some(consent.clone()),
        _ => None,
    });
    assert!(told.is_some_and(|consent| consent.revoked().is_some()), "it runs, and nobody allowed it");
    let said = come_back(&mut rig, Away::Restart);
    assert!(said.iter().any(|word| word.ends_with("step: Stop }")), "{said:?}");
    assert_eq!(state(&rig).0, Recording::Ending);
}

#[test]
fn an_end_that_was_wanted_when_the_server_died_is_asked_for_again() {
    let (mut rig, first) = recorded();
    give(&mut rig, begun(first, "RE1"));
    give(&mut rig, RecordCommand::Stop);
    let said = come_back(&mut rig, Away::Restart);
    assert!(said.iter().any(|word| word.ends_with("step: Stop }")), "{said:?}");
    // It was asked for by the entry with which the call came back.
    let is_return = |entry: &&Entry| matches!(entry.event, CallEvent::Returned { .. });
    let asked_by = rig.record.iter().rev().find(is_return).map_or(0, |entry| entry.seq);
    assert_eq!(give(&mut rig, order()), ["· recordingrefused"], "there may be one, and never two");
    let said = give(&mut rig, refused(asked_by, RecordStep::Stop, RecordingRefusal::NoAnswer));
    assert_eq!(said, ["· recordingrefused"], "whoever reads the record learns that it may run");
    assert_eq!(state(&rig).0, Recording::Off);
}

#[test]
fn a_consent_that_is_taken_back_while_nobody_is_there_is_not_recorded_on() {
    let (mut rig, first) = recorded();
    give(&mut rig, begun(first, "RE1"));
    let past = Past::fold(&rig.record).expect("a record");
    let entry = past.revoke_recording().expect("it is recorded");
    rig.record.push(entry);
    let past = Past::fold(&rig.record).expect("a record");
    assert_eq!(past.revoke_recording(), None, "once is enough");
    let said = come_back(&mut rig, Away::Restart);
    assert!(said.iter().any(|word| word.ends_with("step: Stop }")), "{said:?}");
    assert_eq!(state(&rig).0, Recording::Ending);
}

#[test]
fn while_one_is_being_ended_no_other_is_begun_and_whoever_wants_one_is_told() {
    let (mut rig, _) = recorded();
    give(&mut rig, RecordCommand::Stop);
    let ended = ended_last(&rig);
    assert_eq!(state(&rig).0, Recording::Ending);
    for at in RecordingPlace::ALL {
        let RecordCommand::Start(order) = order() else { unreachable!("it is one") };
        assert_eq!(give(&mut rig, RecordCommand::Start(order.at(at))), ["· recordingrefused"]);
        let why = RecordingRefusal::Ending;
        let told = CallEvent::RecordingRefused { step: RecordStep::Start, why };
        assert_eq!(rig.record.last().map(|entry| &entry.event), Some(&told));
    }
    assert_eq!(give(&mut rig, ended.clone()), ["· recordingended"]);
    assert_eq!(give(&mut rig, ended), [""; 0], "once");
    assert_eq!(give(&mut rig, order())[0], "· recordingstarted");
    // Whether it is over, the carrier may also say by what it has.
    let (mut rig, first) = recorded();
    give(&mut rig, begun(first, "RE1"));
    give(&mut rig, RecordCommand::Stop);
    assert_eq!(give(&mut rig, saved("RE1")), ["· recordingended", "· recordingsaved"]);
    assert_eq!(state(&rig).0, Recording::Off);
}

/// Telnyx tells of a recording without its name, mostly.
#[test]
fn news_without_a_name_are_of_the_one_that_was_not_told_of_yet() {
    let unnamed = |event: &str| RecordCommand::FiledUnnamed(Filed::Absent { recording: event.to_owned() });
    let (mut rig, first) = recorded();
    give(&mut rig, begun(first, "r1"));
    assert_eq!(give(&mut rig, unnamed("e1")), ["· recordingstopped", "· recordingabsent"], "none else runs");
    assert_eq!(state(&rig).0, Recording::Off);

    let (mut rig, _) = recorded();
    give(&mut rig, RecordCommand::Stop);
    end_last(&mut rig);
    give(&mut rig, order());
    assert_eq!(give(&mut rig, unnamed("e1")), ["· recordingabsent"], "of the first one");
    assert_eq!(give(&mut rig, unnamed("e1")), [""; 0]);
    assert_eq!(state(&rig).0, Recording::On);
    let folded = Past::fold(&rig.record).expect("a record");
    assert_eq!(rig.call.differs_from(&folded), None);
    assert_eq!(come_back(&mut rig, Away::Restart), [""; 0]);
    assert_eq!(give(&mut rig, unnamed("e2")), ["· recordingstopped", "· recordingabsent"]);
}

/// A recorded call that is being led to somebody, who has answered.
fn answered(when_recorded: WhenRecorded) -> (Rig, Vec<String>) {
    led(when_recorded, true)
}

fn led(when_recorded: WhenRecorded, is_paused: bool) -> (Rig, Vec<String>) {
    let config = CallConfig::builder("x").greeting(Greeting::Caller).when_recorded(when_recorded);
    let mut rig = Rig::with(config);
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    give(&mut rig, order());
    if is_paused {
        give(&mut rig, RecordCommand::Pause);
    }
    let transfer = TransferOrder::new(TransferKind::Blind, "support", "+15550177");
    rig.give(Input::Control(Control::Transfer(transfer))).said.clear();
    let said = tell(&mut rig, TransferNews::Joining);
    (rig, said)
}

fn tell(rig: &mut Rig, news: TransferNews) -> Vec<String> {
    rig.give(Input::Control(Control::Transferred(TransferId(1), news))).wanted()
}

const PROCEED: &str = "Proceed(TransferId(1))";

#[test]
fn whoever_the_caller_is_led_to_is_not_recorded() {
    let (mut rig, said) = answered(WhenRecorded::PutThrough);
    assert_eq!(said[0], "· recordingstopped");
    assert!(said[1].ends_with("step: Stop }") && said.len() == 2, "nobody is joined yet: {said:?}");
    let reason = RecordingEnd::Transfer;
    let is_so = |event: &CallEvent| matches!(event, CallEvent::RecordingStopped { reason: told, .. } if *told == reason);
    assert!(rig.record.iter().any(|entry| is_so(&entry.event)));
    let said = end_last(&mut rig);
    assert_eq!(said, ["· recordingended", PROCEED]);
    rig.pass(ms(3_000));
    assert!(!rig.wanted().contains(&PROCEED.to_owned()), "once");
    let said = tell(&mut rig, TransferNews::Done);
    assert!(!said.iter().any(|word| word.contains("ecord")), "{said:?}");
    let said = come_back(&mut rig, Away::Transfer);
    assert!(said[0] == "· recordingstarted" && said[2] == "· recordingpaused", "as before: {said:?}");
}

#[test]
fn a_carrier_that_does_not_end_it_is_waited_for_a_second() {
    let (mut rig, _) = answered(WhenRecorded::PutThrough);
    rig.pass(ms(980));
    assert!(!rig.wanted().contains(&PROCEED.to_owned()));
    rig.pass(ms(40));
    assert!(rig.wanted().contains(&PROCEED.to_owned()));

    let (mut rig, _) = answered(WhenRecorded::PutThrough);
    let order = last(&rig);
    let said = give(&mut rig, refused(order, RecordStep::Stop, RecordingRefusal::Refused));
    assert_eq!(said.last().map(String::as_str), Some(PROCEED), "they want to talk: {said:?}");
    let said = tell(&mut rig, TransferNews::Done);
    assert!(said.iter().any(|word| word.ends_with("step: Stop }")), "it is asked again: {said:?}");

    for refuses in [true, false] {
        let (mut rig, _) = answered(WhenRecorded::GiveBack);
        let order = last(&rig);
        if refuses {
            give(&mut rig, refused(order, RecordStep::Stop, RecordingRefusal::Refused));
        } else {
            rig.pass(ms(1_020));
        }
        let failed = CallEvent::TransferFailed { id: TransferId(1), why: TransferFailure::Recorded };
        assert!(rig.record.iter().any(|entry| entry.event == failed), "refuses: {refuses}");
        assert_eq!(state(&rig).0, if refuses { Recording::Paused } else { Recording::Ending });
    }
}

#[test]
fn a_transfer_that_comes_to_nothing_leaves_the_recording_as_it_was() {
    for is_late in [false, true] {
        let (mut rig, _) = answered(WhenRecorded::PutThrough);
        let ended = ended_last(&rig);
        if !is_late {
            give(&mut rig, ended.clone());
        }
        tell(&mut rig, TransferNews::Failed(TransferFailure::HungUp));
        assert_eq!(state(&rig).0, if is_late { Recording::Ending } else { Recording::Paused });
        if is_late {
            let said = give(&mut rig, ended);
            assert_eq!(said[..2], ["· recordingended", "· recordingstarted"], "never two at once");
        }
        assert_eq!(state(&rig), (Recording::Paused, RecordingPlace::Carrier));
        let folded = Past::fold(&rig.record).expect("a record");
        assert_eq!(rig.call.differs_from(&folded), None);
    }
}

#[test]
fn a_consent_that_is_taken_back_during_a_transfer_holds_after_it() {
    for is_over in [true, false] {
        let (mut rig, _) = answered(WhenRecorded::PutThrough);
        let ended = ended_last(&rig);
        if is_over {
            give(&mut rig, ended.clone());
        }
        assert_eq!(state(&rig).0, Recording::Ending, "it is to go on, perhaps");
        let said = give(&mut rig, RecordCommand::Revoke(Revocation { at: UnixMillis(1), reason: None }));
        assert_eq!(said, ["· recordingstopped"]);
        tell(&mut rig, TransferNews::Failed(TransferFailure::HungUp));
        give(&mut rig, ended);
        assert_eq!(state(&rig).0, Recording::Off);
        let said = come_back(&mut rig, Away::Restart);
        assert!(!said.iter().any(|word| word.ends_with("step: Start }")), "{said:?}");
    }
}

#[test]
fn an_end_that_was_refused_during_a_transfer_leaves_one_recording_and_one_end() {
    let (mut rig, _) = answered(WhenRecorded::PutThrough);
    let order = last(&rig);
    give(&mut rig, refused(order, RecordStep::Stop, RecordingRefusal::Refused));
    let said = give(&mut rig, RecordCommand::Stop);
    assert_eq!(
        said,
        ["· recordingstopped".to_owned(), format!("Record {{ order: {}, step: Stop }}", last(&rig))]
    );
    assert!(!rig.call.status().recording_again);
}

#[test]
fn what_is_paused_during_a_transfer_is_paused_after_it() {
    for case in ["ended", "late", "paused late", "refused", "crash"] {
        for pauses in [true, false] {
            let (mut rig, _) = led(WhenRecorded::PutThrough, !pauses);
            let (ended, stop) = (ended_last(&rig), last(&rig));
            assert!(rig.call.status().recording_again, "{case}");
            if case == "paused late" {
                tell(&mut rig, TransferNews::Failed(TransferFailure::HungUp));
                assert!(rig.call.status().recording_again, "{case}");
            }
            let (wish, word) = if pauses {
                (RecordCommand::Pause, "· recordingpaused")
            } else {
                (RecordCommand::Resume, "· recordingresumed")
            };
            assert_eq!(give(&mut rig, wish.clone()), [word], "{case}: nothing is asked of the carrier");
            assert_eq!(give(&mut rig, wish), [""; 0], "{case}: once");
            match case {
                "ended" => {
                    give(&mut rig, ended);
                    tell(&mut rig, TransferNews::Failed(TransferFailure::HungUp));
                }
                "late" => {
                    tell(&mut rig, TransferNews::Failed(TransferFailure::HungUp));
                    give(&mut rig, ended);
                }
                "refused" => {
                    let said = give(&mut rig, refused(stop, RecordStep::Stop, RecordingRefusal::Refused));
                    let step = if pauses { "step: Pause }" } else { "step: Resume }" };
                    assert!(said.iter().any(|word| word.ends_with(step)), "{said:?}");
                }
                "crash" => drop(come_back(&mut rig, Away::Restart)),
                _ => drop(give(&mut rig, ended)),
            }
            let is = if pauses { Recording::Paused } else { Recording::On };
            assert_eq!(state(&rig), (is, RecordingPlace::Carrier), "{case}");
            assert!(!rig.call.status().recording_again, "{case}");
            let folded = Past::fold(&rig.record).expect("a record");
            assert_eq!(rig.call.differs_from(&folded), None, "{case}");
        }
    }
}

#[test]
fn a_caller_who_is_wanted_back_before_they_are_joined_is_given_back() {
    let (mut rig, _) = answered(WhenRecorded::PutThrough);
    let said = rig.give(Input::Control(Control::Resume)).wanted();
    assert_eq!(said[..2], ["Withdraw(TransferId(1))", "· transfer 1 failed Withdrawn"]);
    // Whoever hangs up then has hung up.
    let (mut rig, _) = answered(WhenRecorded::PutThrough);
    rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped)));
    assert_eq!(rig.finished, Some(EndReason::Carrier(CarrierEnd::Stopped)));
}
