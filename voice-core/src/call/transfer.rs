//! The caller is led to somebody else. Who calls them, and how the two are joined, is the carrier's side of
//! it ([`Operation`]); here stands what the caller hears meanwhile, and what becomes of the call.
//!
//! ```text
//!            said, or 10 s               Joining            Done
//!  ordered ───────────────► on hold ───────────────► … ────────────► Ended(Transfer)
//!     │                        │                      │ stream gone: wait for the verdict
//!     └──── Failed, Resume ────┴──► off hold, the voice is told why, and talks
//! ```

use crate::carrier::CarrierEnd;
use crate::conversation::Turn;
use crate::limits::{TRANSFER_HOLD_AFTER, TRANSFER_MAX, TRANSFER_SUMMARY_BYTES_MAX, TRANSFER_VERDICT};
use crate::record::{CallEvent, EndReason};
use crate::sensitive::Pii;
use crate::time::MonoTime;
use crate::transfer::{
    Operation, TransferFailure, TransferId, TransferKind, TransferNews, TransferOrder, TransferStage,
};

use super::{Call, Output, Timer};

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
    /// When the caller is put on hold at the latest; `None` once they are.
    hold_by: Option<MonoTime>,
    /// When it has taken too long.
    until: MonoTime,
    /// It is the last thing that is tried for them.
    is_last: bool,
    /// The caller's stream has ended like this: with the joining, or before it.
    gone: Option<CarrierEnd>,
}

impl Transfers {
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
        let stage = TransferStage::Calling;
        self.aside.transfers.current =
            Some(Current { id, name, to, stage, hold_by, until, is_last: false, gone: None });
        self.timers.set(Timer::Transfer, now + TRANSFER_HOLD_AFTER);
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
        let until = current.until;
        self.timers.set(Timer::Transfer, until);
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
            TransferNews::Joining => current.stage = TransferStage::Joining,
            TransferNews::Done => {
                let to = current.to.clone();
                self.end(now, EndReason::Transfer { to });
            }
            TransferNews::Failed(why) => self.transfer_failed(now, why),
        }
    }

    /// The carrier's stream is over. That may be what was wanted.
    pub(super) fn on_carrier_ended(&mut self, now: MonoTime, end: CarrierEnd) {
        let joining = |current: &&mut Current| current.stage == TransferStage::Joining;
        if let Some(current) = self.aside.transfers.current.as_mut().filter(joining) {
            current.gone = Some(end);
            current.until = now + TRANSFER_VERDICT;
            let until = current.until;
            // Nobody hears anything any more.
            self.timers.clear(Timer::Hold);
            self.timers.clear(Timer::CarrierSilence);
            return self.timers.set(Timer::Transfer, until);
        }
        self.end(now, EndReason::Carrier(end));
    }

    pub(super) fn on_transfer_due(&mut self, now: MonoTime) {
        let Some(current) = &self.aside.transfers.current else { return };
        if current.until > now {
            // Only time to put the caller on hold.
            let until = current.until;
            return self.timers.set(Timer::Transfer, until);
        }
        self.outbox.push_back(Output::Operate(Operation::Withdraw(current.id)));
        self.transfer_failed(now, TransferFailure::Timeout);
    }

    /// Somebody wants the caller back. False if there is nothing to take back: the caller is on hold for
    /// another reason, or on the way to somebody else already.
    pub(super) fn take_back(&mut self, now: MonoTime) -> bool {
        match &self.aside.transfers.current {
            None => false,
            // Whoever is being joined cannot be had back.
            Some(current) if current.stage == TransferStage::Joining => true,
            Some(current) => {
                self.outbox.push_back(Output::Operate(Operation::Withdraw(current.id)));
                self.transfer_failed(now, TransferFailure::Withdrawn);
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
            // Should the caller come back, the voice will know.
            self.transcript.note(told_of(&current.name, why));
        }
    }

    fn transfer_failed(&mut self, now: MonoTime, why: TransferFailure) {
        let Some(current) = self.aside.transfers.current.take() else { return };
        self.timers.clear(Timer::Transfer);
        self.report(now, CallEvent::TransferFailed { id: current.id, why });
        self.note(told_of(&current.name, why));
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
        self.caller.owed = true;
        self.caller.cue = Some(BACK.to_owned());
        if self.aside.is_on_hold() {
            self.take_off_hold(now, false);
        } else if self.phase.live().is_some() {
            self.ask(now, Some(BACK.to_owned()));
        }
    }

    /// It was under way when the call was lost. Nobody knows how far it came, but the caller is here.
    pub(super) fn transfer_lost(&mut self, now: MonoTime, count: u32, lost: Option<(TransferId, String)>) {
        self.aside.transfers.count = count;
        let Some((id, name)) = lost else { return };
        let why = TransferFailure::Carrier;
        self.report(now, CallEvent::TransferFailed { id, why });
        self.note(told_of(&name, why));
        self.caller.owed = true;
        self.caller.cue = Some(BACK.to_owned());
        self.take_off_hold(now, false);
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

/// What the voice is told of a transfer that failed.
pub(super) fn told_of(name: &str, why: TransferFailure) -> Pii<String> {
    Pii::new(format!("The caller was not put through to {name}: {}.", why.told()))
}

/// What the voice is asked for when the caller comes back.
pub(super) const BACK: &str = "The transfer failed and the caller is back with you. Tell them briefly why, and ask how \
                    else you can help.";
