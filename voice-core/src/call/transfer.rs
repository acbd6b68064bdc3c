//! The caller is led to somebody else. Who calls them, and how the two are joined, is the carrier's side of
//! it ([`Operation`]); here stands what the caller hears meanwhile, and what becomes of the call.
//!
//! ```text
//!            said, or 10 s               Joining                    Done
//!  ordered ───────────────► on hold ───────────────► … Proceed ────────────► Ended(Transfer)
//!     │                        │                      │ the carrier ends its recording, then: Proceed
//!     │                        │                      │ stream gone: wait for the verdict
//!     └──── Failed, Resume ────┴──► off hold, the voice is told why, and talks
//! ```

use crate::carrier::CarrierEnd;
use crate::conversation::Turn;
use crate::limits::{
    TRANSFER_HOLD_AFTER, TRANSFER_MAX, TRANSFER_SUMMARY_BYTES_MAX, TRANSFER_VERDICT, TRANSFER_WAY,
};
use crate::record::{CallEvent, EndReason};
use crate::sensitive::Pii;
use crate::time::MonoTime;
use crate::transfer::{
    Operation, TransferFailure, TransferId, TransferKind, TransferNews, TransferOrder, TransferStage,
};

use super::tape::Again;
use super::{Call, Output, Timer, WhenRecorded};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// How many there were.
    count: u32,
    current: Option<Current>,
}

/// The one that is under way.
#[derive(Debug)]
struct Current {
    id: TransferId,
    name: String,
    to: Pii<String>,
    stage: TransferStage,
    way: Way,
    /// What the carrier recorded until then, and goes on with if the caller comes back.
    again: Option<Again>,
    /// When the caller is put on hold at the latest; `None` once they are.
    hold_by: Option<MonoTime>,
    /// When it has taken too long.
    until: MonoTime,
    /// It is the last thing that is tried for them.
    is_last: bool,
    /// The caller's stream has ended like this: with the joining, or before it.
    gone: Option<CarrierEnd>,
}

/// Whether the two may be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nobody has asked.
    Unasked,
    /// The carrier is ending its recording; it has so long.
    Clearing(MonoTime),
    /// They may.
    Free,
}

impl Transfers {
    /// A recording is not to go on after the transfer.
    pub(super) fn take_again(&mut self) -> Option<Again> {
        self.current.as_mut()?.again.take()
    }

    /// What is to go on after it.
    pub(super) fn again(&mut self) -> Option<&mut Again> {
        self.current.as_mut()?.again.as_mut()
    }

    /// Whether one is to go on after it.
    pub(super) fn has_again(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.again.is_some())
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn stage(&self) -> Option<TransferStage> {
        self.current.as_ref().map(|current| current.stage)
    }

    fn next(&mut self) -> TransferId {
        self.count += 1;
        TransferId(self.count)
    }
}

impl Current {
    /// They can no longer be had back.
    fn is_being_joined(&self) -> bool {
        self.stage == TransferStage::Joining && self.way == Way::Free
    }
}

impl Call {
    pub(super) fn transfer(&mut self, now: MonoTime, mut order: TransferOrder) {
        let id = self.aside.transfers.next();
        let (kind, name, to) = (order.kind, order.name.clone(), order.to.clone());
        self.report(now, CallEvent::Transferring { id, kind, name: name.clone(), to: to.clone() });
        if self.aside.transfers.is_under_way() {
            return self.report(now, CallEvent::TransferFailed { id, why: TransferFailure::UnderWay });
        }
        if order.summary.is_none() && kind == TransferKind::Warm {
            order.summary = self.summary_for_others();
        }
        let (hold_by, until) = (Some(now + TRANSFER_HOLD_AFTER), now + TRANSFER_MAX);
        let (stage, way, again) = (TransferStage::Calling, Way::Unasked, None);
        self.aside.transfers.current =
            Some(Current { id, name, to, stage, way, again, hold_by, until, is_last: false, gone: None });
        self.wait_for_transfer();
        self.outbox.push_back(Output::Operate(Operation::Transfer(id, order)));
    }

    /// Nobody can talk with the caller: the last thing that is tried for them.
    pub(super) fn transfer_last(&mut self, now: MonoTime, to: Pii<String>) {
        self.transfer(now, TransferOrder::new(TransferKind::Blind, "last_resort", to));
        if let Some(current) = &mut self.aside.transfers.current {
            current.is_last = true;
        }
    }

    /// Once the caller has heard what is being said, they hear music.
    pub(super) fn hold_for_transfer(&mut self, now: MonoTime) {
        let answered = self.phase.live().is_none() || (!self.caller.owed && self.tools.is_idle());
        let said = answered && self.playout.is_silent();
        let Some(current) = &mut self.aside.transfers.current else { return };
        if current.gone.is_some() || !current.hold_by.is_some_and(|by| said || by <= now) {
            return;
        }
        current.hold_by = None;
        self.wait_for_transfer();
        self.hold(now, true);
    }

    pub(super) fn on_transferred(&mut self, now: MonoTime, id: TransferId, news: TransferNews) {
        let Some(current) = self.aside.transfers.current.as_mut().filter(|current| current.id == id) else {
            return;
        };
        match news {
            TransferNews::Answered => {
                if current.stage == TransferStage::Calling {
                    current.stage = TransferStage::Answered;
                    self.report(now, CallEvent::TransferAnswered { id });
                }
            }
            TransferNews::Joining => {
                current.stage = TransferStage::Joining;
                self.clear_the_way(now);
            }
            TransferNews::Done => {
                let to = current.to.clone();
                self.end(now, EndReason::Transfer { to });
            }
            TransferNews::Failed(why) => self.transfer_failed(now, why),
        }
    }

    /// The carrier's stream is over. That may be what was wanted.
    pub(super) fn on_carrier_ended(&mut self, now: MonoTime, end: CarrierEnd) {
        let joining = |current: &&mut Current| current.is_being_joined();
        if let Some(current) = self.aside.transfers.current.as_mut().filter(joining) {
            (current.gone, current.hold_by) = (Some(end), None);
            current.until = now + TRANSFER_VERDICT;
            // Nobody hears anything any more.
            self.timers.clear(Timer::Hold);
            self.timers.clear(Timer::CarrierSilence);
            return self.wait_for_transfer();
        }
        self.end(now, EndReason::Carrier(end));
    }

    pub(super) fn on_transfer_due(&mut self, now: MonoTime) {
        let Some(current) = &mut self.aside.transfers.current else { return };
        if current.until > now {
            // Only time to put the caller on hold, or to wait no longer for the carrier.
            if current.hold_by.is_some_and(|by| by <= now) {
                self.hold_for_transfer(now);
            }
            self.look_at_the_way(now);
            return self.wait_for_transfer();
        }
        self.withdraw_transfer(now, TransferFailure::Timeout);
    }

    /// Whoever the caller is led to did not agree to be recorded: before the two are joined, the carrier ends its
    /// recording, or has had a second for it.
    fn clear_the_way(&mut self, now: MonoTime) {
        if let Some(current) =
            self.aside.transfers.current.as_ref().filter(|current| current.way == Way::Free)
        {
            // Asked twice is answered twice.
            let id = current.id;
            return self.outbox.push_back(Output::Operate(Operation::Proceed(id)));
        }
        let again = self.end_recording_for_transfer(now);
        let Some(current) = &mut self.aside.transfers.current else { return };
        if current.way == Way::Unasked {
            current.way = Way::Clearing(now + TRANSFER_WAY);
        }
        current.again = again.or(current.again.take());
        self.look_at_the_way(now);
        self.wait_for_transfer();
    }

    /// Whether the two may be joined by now.
    pub(super) fn look_at_the_way(&mut self, now: MonoTime) {
        let (is_ending, is_recorded) = (self.is_ending_recording(), self.is_recorded_by_carrier());
        let Some(current) = &mut self.aside.transfers.current else { return };
        let Way::Clearing(until) = current.way else { return };
        if is_ending && now < until {
            return;
        }
        if (is_ending || is_recorded) && self.config.when_recorded == WhenRecorded::GiveBack {
            return self.withdraw_transfer(now, TransferFailure::Recorded);
        }
        current.way = Way::Free;
        let id = current.id;
        self.outbox.push_back(Output::Operate(Operation::Proceed(id)));
    }

    /// Wakes when the next thing about it is due.
    fn wait_for_transfer(&mut self) {
        let Some(current) = &self.aside.transfers.current else { return };
        let way = if let Way::Clearing(until) = current.way { Some(until) } else { None };
        let due = [current.hold_by, way].into_iter().flatten().fold(current.until, MonoTime::min);
        self.timers.set(Timer::Transfer, due);
    }

    /// Nobody wants it any more: whoever was called is let go of.
    fn withdraw_transfer(&mut self, now: MonoTime, why: TransferFailure) {
        if let Some(current) = &self.aside.transfers.current {
            let id = current.id;
            self.outbox.push_back(Output::Operate(Operation::Withdraw(id)));
        }
        self.transfer_failed(now, why);
    }

    /// Somebody wants the caller back. False if there is nothing to take back: the caller is on hold for
    /// another reason, or on the way to somebody else already.
    pub(super) fn take_back(&mut self, now: MonoTime) -> bool {
        match &self.aside.transfers.current {
            None => false,
            // Whoever is being joined cannot be had back.
            Some(current) if current.is_being_joined() => true,
            Some(_) => {
                self.withdraw_transfer(now, TransferFailure::Withdrawn);
                true
            }
        }
    }

    /// The call ends: with the transfer, or before it is done.
    pub(super) fn drop_transfer(&mut self, now: MonoTime, reason: &EndReason) {
        let Some(current) = self.aside.transfers.current.take() else { return };
        self.timers.clear(Timer::Transfer);
        if !matches!(reason, EndReason::Transfer { .. }) {
            self.outbox.push_back(Output::Operate(Operation::Withdraw(current.id)));
            let (id, why) = (current.id, TransferFailure::CallOver);
            self.report(now, CallEvent::TransferFailed { id, why });
        }
    }

    fn transfer_failed(&mut self, now: MonoTime, why: TransferFailure) {
        let Some(current) = self.aside.transfers.current.take() else { return };
        self.timers.clear(Timer::Transfer);
        self.report(now, CallEvent::TransferFailed { id: current.id, why });
        if let Some(end) = current.gone {
            return self.end(now, EndReason::Carrier(end));
        }
        if self.phase.is_leaving() && !current.is_last {
            return self.say_why(now);
        }
        if self.phase.is_leaving() {
            // Nobody operates the carrier: whoever runs the call leads the caller elsewhere after its end.
            let is_left_to_others = why == TransferFailure::Unsupported;
            let led = EndReason::Transfer { to: current.to };
            return self.end(now, if is_left_to_others { led } else { EndReason::NoProvider });
        }
        if let Some(again) = current.again {
            self.record_after_transfer(now, again);
        }
        self.give_back(now, &current.name, why);
    }

    /// The server died in the middle of one; whoever was called is told that nobody is there.
    pub(super) fn forget_transfer(&mut self, now: MonoTime, count: u32, lost: Option<TransferId>) {
        self.aside.transfers.count = count;
        let Some(id) = lost else { return };
        let why = TransferFailure::Interrupted;
        self.report(now, CallEvent::TransferFailed { id, why });
        self.give_back(now, "somebody else", why);
    }

    /// The caller is the voice's again, which is told why.
    fn give_back(&mut self, now: MonoTime, name: &str, why: TransferFailure) {
        let text = Pii::new(format!("The caller was not put through to {name}: {}.", why.told()));
        self.report(now, CallEvent::Noted { text: text.clone() });
        self.note(text);
        self.report(now, CallEvent::Cued { cue: Pii::from(BACK) });
        if self.aside.is_on_hold() {
            self.caller.want(Some(BACK));
            self.take_off_hold(now, false);
        } else {
            self.ask(now, Some(BACK.to_owned()));
        }
    }

    /// What is told to whom the caller is led, if nobody said what.
    fn summary_for_others(&self) -> Option<Pii<String>> {
        if let Some(summary) = self.transcript.summary() {
            return Some(summary.clone());
        }
        let (turns, _) = self.transcript.all();
        let mut said = Vec::new();
        let mut bytes = 0;
        for turn in turns.iter().rev() {
            let line = match turn {
                Turn::Caller { text } => format!("The caller said: {}", text.expose()),
                Turn::Voice { text, .. } => format!("They were told: {}", text.expose()),
                Turn::Tool { .. } | Turn::Note { .. } => continue,
            };
            bytes += line.len() + 1;
            if bytes > TRANSFER_SUMMARY_BYTES_MAX {
                break;
            }
            said.push(line);
        }
        said.reverse();
        (!said.is_empty()).then(|| Pii::new(said.join(" ")))
    }
}

/// What the voice is asked for when the caller comes back.
const BACK: &str = "The transfer failed and the caller is back with you. Tell them briefly why, and ask how \
                    else you can help.";
