//! A recording that the carrier makes. Each step is told in the record and asked of whoever operates the
//! carrier ([`Operation::Record`]); it counts as done unless a refusal comes back, and then the record tells
//! what follows from that.

use std::time::Duration;

use crate::carrier::CarrierEnd;
use crate::consent::{Consent, Revocation};
use crate::record::{CallEvent, EndReason};
use crate::recording::{RecordNews, RecordStep, RecordingEnd, RecordingPlace, RecordingRefusal};
use crate::time::MonoTime;
use crate::transfer::Operation;

use super::super::past::PastTape;
use super::super::{Call, Output};
use super::Tape;

/// A recording at the carrier, as far as we know.
#[derive(Debug)]
pub(in crate::call) struct CarrierTape {
    pub(super) is_paused: bool,
    consent: Consent,
    /// The carrier's name for it.
    pub(super) recording: Option<String>,
    /// Since when, in the call's own time.
    since: Duration,
    /// The order that began it; 0 if that was before the call came back.
    begun_by: u64,
    /// The latest order.
    last: u64,
}

/// A recording that the carrier was asked to end. While it has not answered, nothing else is begun.
#[derive(Debug)]
pub(in crate::call) struct EndingTape {
    /// What goes on if it refuses. Of one that was to end before the call came back, nothing is known.
    pub(super) tape: Option<CarrierTape>,
    /// The order to end it.
    order: u64,
    /// It was ended for a transfer that came to nothing: it begins once more as soon as it is over.
    again: Option<Again>,
}

/// A recording that was ended for a transfer, and goes on if the caller comes back.
#[derive(Debug)]
pub(in crate::call) struct Again {
    consent: Consent,
    is_paused: bool,
    length: Duration,
}

impl CarrierTape {
    /// Nobody may record any more. If the carrier does not obey, the record says that nobody allowed it.
    pub(super) fn revoke(&mut self, revocation: Revocation) {
        self.consent.revoke(revocation);
    }
}

impl Call {
    pub(super) fn start_carrier_recording(&mut self, now: MonoTime, consent: Consent) {
        self.tell_carrier_recording(now, consent.clone());
        let order = self.ask_to_record(RecordStep::Start);
        self.keep_carrier_tape(now, consent, false, order);
    }

    pub(super) fn pause_carrier_recording(&mut self, now: MonoTime, pauses: bool) {
        self.tell_carrier_pause(now, pauses);
        let order = self.ask_to_record(if pauses { RecordStep::Pause } else { RecordStep::Resume });
        if let Some(Tape::Carrier(tape)) = self.tape.as_deref_mut() {
            (tape.is_paused, tape.last) = (pauses, order);
        }
    }

    /// What was ended for a transfer is to be paused, or not, if it goes on after it.
    pub(super) fn pause_what_begins_again(&mut self, now: MonoTime, pauses: bool) {
        let again = match self.tape.as_deref_mut() {
            Some(Tape::Carrier(_) | Tape::Ours(_)) => None,
            Some(Tape::Ending(EndingTape { again: Some(again), .. })) => Some(again),
            Some(Tape::Ending(_)) | None => self.aside.transfers.again(),
        };
        if let Some(again) = again.filter(|again| again.is_paused != pauses) {
            again.is_paused = pauses;
            // Whoever goes on with the call by its record must know.
            self.tell_carrier_pause(now, pauses);
        }
    }

    /// Whether one was ended for a transfer, and begins once more if the caller comes back.
    pub(in crate::call) fn begins_again(&self) -> bool {
        match self.tape.as_deref() {
            Some(Tape::Carrier(_) | Tape::Ours(_)) => false,
            Some(Tape::Ending(EndingTape { again: Some(_), .. })) => true,
            Some(Tape::Ending(_)) | None => self.aside.transfers.has_again(),
        }
    }

    pub(super) fn stop_carrier_recording(&mut self, now: MonoTime, reason: RecordingEnd) {
        self.do_not_begin_again(now, reason);
        let Some(tape) = self.carrier_recording_over(now, reason) else { return };
        self.ask_to_end(Some(tape));
    }

    /// The caller is about to be led to somebody else, who agreed to nothing. What is to go on if nothing comes of
    /// that.
    pub(in crate::call) fn end_recording_for_transfer(&mut self, now: MonoTime) -> Option<Again> {
        let tape = self.carrier_recording_over(now, RecordingEnd::Transfer)?;
        let length = self.books.elapsed(now).saturating_sub(tape.since);
        let again = Again { consent: tape.consent.clone(), is_paused: tape.is_paused, length };
        self.ask_to_end(Some(tape));
        Some(again)
    }

    /// The transfer came to nothing.
    pub(in crate::call) fn record_after_transfer(&mut self, now: MonoTime, again: Again) {
        match self.tape.as_deref_mut() {
            // It was not ended after all, or something else is recorded since.
            Some(Tape::Carrier(_) | Tape::Ours(_)) => {}
            Some(Tape::Ending(ending)) => ending.again = Some(again),
            None => self.begin_again(now, again),
        }
    }

    /// Somebody wants no recording, while one that was ended for a transfer may go on after it.
    fn do_not_begin_again(&mut self, now: MonoTime, reason: RecordingEnd) {
        let of_transfer = self.aside.transfers.take_again();
        let of_ending = match self.tape.as_deref_mut() {
            Some(Tape::Ending(ending)) => ending.again.take(),
            Some(Tape::Carrier(_) | Tape::Ours(_)) | None => None,
        };
        if let Some(Again { length, .. }) = of_transfer.or(of_ending) {
            // Whoever goes on with the call by its record must know.
            self.report(now, CallEvent::RecordingStopped { reason, length });
        }
    }

    fn begin_again(&mut self, now: MonoTime, Again { consent, is_paused, .. }: Again) {
        self.start_carrier_recording(now, consent);
        if is_paused {
            self.pause_carrier_recording(now, true);
        }
    }

    /// The call is over. Its line ends with it, and the carrier's recording with that, unless the line stands:
    /// for somebody else, who is not recorded by our consent, or for us, who come back.
    pub(super) fn leave_carrier_recording(&mut self, now: MonoTime, reason: &EndReason) {
        match reason {
            EndReason::Shutdown | EndReason::Carrier(CarrierEnd::LineDown(_)) => {}
            // Twilio says that a stream has stopped also when the caller is led elsewhere by somebody else.
            EndReason::Transfer { .. } | EndReason::Carrier(CarrierEnd::Stopped | CarrierEnd::Nonsense) => {
                if let Some(tape) = self.carrier_recording_over(now, RecordingEnd::CallOver) {
                    self.ask_to_end(Some(tape));
                }
            }
            EndReason::HungUp | EndReason::NoProvider | EndReason::Limit => {
                self.carrier_recording_over(now, RecordingEnd::CallOver);
            }
        }
    }

    /// The call has come back, and the carrier has recorded all the while; unless it was asked to end it when
    /// the caller was led elsewhere.
    pub(super) fn find_carrier_recording(&mut self, now: MonoTime, past: PastTape) {
        let PastTape { consent, paused, since, closed, recording, .. } = past;
        if closed {
            let (is_paused, length) = (paused, Duration::ZERO);
            return self.begin_again(now, Again { consent, is_paused, length });
        }
        self.keep_carrier_tape(now, consent, paused, 0);
        if let Some(Tape::Carrier(tape)) = self.tape.as_deref_mut() {
            (tape.recording, tape.since) = (recording, since);
        }
    }

    /// The call has come back, and nobody knows whether the carrier was asked to end it, as was wanted. To end
    /// what is over does no harm.
    pub(super) fn stop_again(&mut self) {
        self.ask_to_end(None);
    }

    /// What came of an order.
    pub(super) fn on_carrier_recording(&mut self, now: MonoTime, order: u64, news: RecordNews) {
        match news {
            RecordNews::Begun(recording) => self.on_begun(now, order, recording),
            RecordNews::Ended => {
                if self.awaits_end(order) {
                    self.carrier_has_ended(now);
                }
            }
            RecordNews::Refused(step, why) => self.on_record_refused(now, order, (step, why)),
        }
        self.look_at_the_way(now);
    }

    /// It records no more, as it was asked or by itself.
    pub(super) fn carrier_has_ended(&mut self, now: MonoTime) {
        match self.tape.take().map(|tape| *tape) {
            Some(Tape::Ending(ending)) => {
                self.report(now, CallEvent::RecordingEnded);
                if let Some(again) = ending.again {
                    self.begin_again(now, again);
                }
            }
            Some(running @ Tape::Carrier(_)) => {
                self.tape = Some(Box::new(running));
                self.carrier_recording_over(now, RecordingEnd::Carrier);
            }
            ours => self.tape = ours.map(Box::new),
        }
    }

    /// Whether the carrier was asked to end its recording, and has not answered.
    pub(in crate::call) fn is_ending_recording(&self) -> bool {
        matches!(self.tape.as_deref(), Some(Tape::Ending(_)))
    }

    /// Whether the carrier records, as far as we know.
    pub(in crate::call) fn is_recorded_by_carrier(&self) -> bool {
        matches!(self.tape.as_deref(), Some(Tape::Carrier(_)))
    }

    fn awaits_end(&self, order: u64) -> bool {
        matches!(self.tape.as_deref(), Some(Tape::Ending(ending)) if ending.order == order)
    }

    fn on_begun(&mut self, now: MonoTime, order: u64, recording: Option<String>) {
        let tape = match self.tape.as_deref_mut() {
            Some(Tape::Carrier(tape)) => Some(tape),
            Some(Tape::Ending(ending)) => ending.tape.as_mut(),
            Some(Tape::Ours(_)) | None => None,
        };
        if let Some(tape) = tape.filter(|tape| tape.begun_by == order && tape.recording.is_none()) {
            tape.recording.clone_from(&recording);
            self.report(now, CallEvent::RecordingBegun { recording });
        }
    }

    fn on_record_refused(&mut self, now: MonoTime, order: u64, (step, why): (RecordStep, RecordingRefusal)) {
        let is_gone = why == RecordingRefusal::NotRunning;
        match self.tape.as_deref() {
            // What is to be over and is gone is over.
            Some(Tape::Ending(_)) if step == RecordStep::Stop && is_gone && self.awaits_end(order) => {
                self.carrier_has_ended(now);
            }
            Some(Tape::Ending(ending)) => {
                let is_its_beginning = ending.tape.as_ref().is_some_and(|tape| tape.begun_by == order);
                self.report(now, CallEvent::RecordingRefused { step, why });
                if step == RecordStep::Start && is_its_beginning && why != RecordingRefusal::NoAnswer {
                    self.carrier_has_ended(now);
                } else if step == RecordStep::Stop && self.awaits_end(order) {
                    self.goes_on_recording(now);
                }
            }
            Some(Tape::Carrier(tape)) => {
                let (is_its_beginning, is_last) = (tape.begun_by == order, tape.last == order);
                self.report(now, CallEvent::RecordingRefused { step, why });
                match step {
                    RecordStep::Start if is_its_beginning => self.was_not_begun(now, why),
                    RecordStep::Pause | RecordStep::Resume if is_gone => self.carrier_has_ended(now),
                    RecordStep::Pause | RecordStep::Resume if is_last => self.is_as_before(now, step),
                    // Something else was wanted since.
                    RecordStep::Start | RecordStep::Pause | RecordStep::Resume | RecordStep::Stop => {}
                }
            }
            Some(Tape::Ours(_)) | None => {
                // Another one was begun since, here, or none is known any more: whoever reads must know.
                if step == RecordStep::Stop && !is_gone {
                    self.report(now, CallEvent::RecordingRefused { step, why });
                }
            }
        }
    }

    fn was_not_begun(&mut self, now: MonoTime, why: RecordingRefusal) {
        let over = self.carrier_recording_over(now, RecordingEnd::Failed);
        // It may have begun all the same, and nobody would know how to end it.
        if let (Some(tape), RecordingRefusal::NoAnswer) = (over, why) {
            self.ask_to_end(Some(tape));
        }
    }

    /// A pause, or the end of one, was refused.
    fn is_as_before(&mut self, now: MonoTime, step: RecordStep) {
        let pauses = step == RecordStep::Resume;
        self.tell_carrier_pause(now, pauses);
        if let Some(Tape::Carrier(tape)) = self.tape.as_deref_mut() {
            tape.is_paused = pauses;
        }
    }

    /// It was to be over, and is not: whoever wanted that can want it again.
    fn goes_on_recording(&mut self, now: MonoTime) {
        let Some(Tape::Ending(EndingTape { tape, again, .. })) = self.tape.take().map(|tape| *tape) else {
            return;
        };
        let Some(tape) = tape else { return };
        // What goes on need not begin again.
        let again = self.aside.transfers.take_again().or(again);
        self.tell_carrier_recording(now, tape.consent.clone());
        if tape.is_paused {
            self.tell_carrier_pause(now, true);
        }
        let since = self.books.elapsed(now);
        let wanted = again.map(|again| again.is_paused).filter(|pauses| *pauses != tape.is_paused);
        self.tape = Some(Box::new(Tape::Carrier(CarrierTape { since, ..tape })));
        // It was paused, or no longer, while it was to be over.
        if let Some(pauses) = wanted {
            self.pause_carrier_recording(now, pauses);
        }
    }

    /// Tells its end, if one runs, and takes it out.
    fn carrier_recording_over(&mut self, now: MonoTime, reason: RecordingEnd) -> Option<CarrierTape> {
        let tape = match *self.tape.take()? {
            Tape::Carrier(tape) => tape,
            other @ (Tape::Ours(_) | Tape::Ending(_)) => {
                self.tape = Some(Box::new(other));
                return None;
            }
        };
        let length = self.books.elapsed(now).saturating_sub(tape.since);
        self.report(now, CallEvent::RecordingStopped { reason, length });
        Some(tape)
    }

    fn tell_carrier_recording(&mut self, now: MonoTime, consent: Consent) {
        self.report(now, CallEvent::RecordingStarted { consent, place: RecordingPlace::Carrier });
    }

    fn tell_carrier_pause(&mut self, now: MonoTime, pauses: bool) {
        self.report(now, if pauses { CallEvent::RecordingPaused } else { CallEvent::RecordingResumed });
    }

    fn keep_carrier_tape(&mut self, now: MonoTime, consent: Consent, is_paused: bool, begun_by: u64) {
        let (since, last) = (self.books.elapsed(now), begun_by);
        let tape = CarrierTape { is_paused, consent, recording: None, since, begun_by, last };
        self.tape = Some(Box::new(Tape::Carrier(tape)));
    }

    /// Asks to end what the last entry told to be over.
    fn ask_to_end(&mut self, tape: Option<CarrierTape>) {
        let order = self.ask_to_record(RecordStep::Stop);
        self.tape = Some(Box::new(Tape::Ending(EndingTape { tape, order, again: None })));
    }

    /// Asks for what the last entry told.
    fn ask_to_record(&mut self, step: RecordStep) -> u64 {
        let order = self.books.seq;
        self.outbox.push_back(Output::Operate(Operation::Record { order, step }));
        order
    }
}
