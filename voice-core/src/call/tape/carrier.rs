//! A recording that the carrier makes. Each step is told in the record and asked of whoever operates the
//! carrier ([`Operation::Record`]); it counts as done unless a refusal comes back, and then the record tells
//! what follows from that.

use std::time::Duration;

use crate::carrier::CarrierEnd;
use crate::consent::{Consent, Revocation};
use crate::limits::RECORDINGS_FILED_MAX;
use crate::record::{CallEvent, EndReason};
use crate::recording::{Filed, RecordNews, RecordStep, RecordingEnd, RecordingPlace, RecordingRefusal};
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
    recording: Option<String>,
    /// Since when, in the call's own time.
    since: Duration,
    /// The order that began it; 0 if that was before the call came back.
    begun_by: u64,
    /// The latest order.
    last: u64,
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

    pub(super) fn stop_carrier_recording(&mut self, now: MonoTime, reason: RecordingEnd) {
        let Some(mut tape) = self.carrier_recording_over(now, reason) else { return };
        tape.last = self.ask_to_record(RecordStep::Stop);
        self.tape = Some(Box::new(Tape::Ending(tape)));
    }

    /// The call is over. Its line ends with it, and the carrier's recording with that, unless the line stands:
    /// for somebody else, who is not recorded by our consent, or for us, who come back.
    pub(super) fn leave_carrier_recording(&mut self, now: MonoTime, reason: &EndReason) {
        match reason {
            EndReason::Shutdown | EndReason::Carrier(CarrierEnd::LineDown(_)) => {}
            // Twilio says that a stream has stopped also when the caller is led elsewhere by somebody else.
            EndReason::Transfer { .. } | EndReason::Carrier(CarrierEnd::Stopped | CarrierEnd::Nonsense) => {
                if self.carrier_recording_over(now, RecordingEnd::CallOver).is_some() {
                    self.ask_to_record(RecordStep::Stop);
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
            self.start_carrier_recording(now, consent);
            if paused {
                self.pause_carrier_recording(now, true);
            }
            return;
        }
        self.keep_carrier_tape(now, consent, paused, 0);
        if let Some(Tape::Carrier(tape)) = self.tape.as_deref_mut() {
            (tape.recording, tape.since) = (recording, since);
        }
    }

    /// The call has come back, and nobody knows whether the carrier was asked to end it, as was wanted. To end
    /// what is over does no harm.
    pub(super) fn stop_again(&mut self) {
        self.ask_to_record(RecordStep::Stop);
    }

    /// What came of an order.
    pub(super) fn on_carrier_recording(&mut self, now: MonoTime, order: u64, news: RecordNews) {
        match news {
            RecordNews::Begun(recording) => {
                let Some(Tape::Carrier(tape) | Tape::Ending(tape)) = self.tape.as_deref_mut() else {
                    return;
                };
                if tape.begun_by != order || tape.recording.is_some() {
                    return;
                }
                tape.recording.clone_from(&recording);
                self.report(now, CallEvent::RecordingBegun { recording });
            }
            RecordNews::Refused(step, why) => self.on_record_refused(now, order, (step, why)),
        }
    }

    /// The carrier says what it has of a recording.
    pub(super) fn on_filed(&mut self, now: MonoTime, filed: Filed) {
        let name = filed.recording();
        if !is_news(&self.books.filed, name) {
            return;
        }
        self.books.filed.push(name.to_owned());
        let is_this =
            |tape: &Tape| matches!(tape, Tape::Carrier(tape) if tape.recording.as_deref() == Some(name));
        if self.tape.as_deref().is_some_and(is_this) {
            // Nobody here wanted that: it was the longest that the carrier allows, or it failed.
            self.carrier_recording_over(now, RecordingEnd::Carrier);
        }
        self.report(now, told(filed));
    }

    fn on_record_refused(&mut self, now: MonoTime, order: u64, (step, why): (RecordStep, RecordingRefusal)) {
        let (tape, is_ending) = match self.tape.as_deref() {
            Some(Tape::Carrier(tape)) => (tape, false),
            Some(Tape::Ending(tape)) => (tape, true),
            Some(Tape::Ours(_)) | None => {
                // Another one was begun since, here, or none is known any more: whoever reads must know.
                if step == RecordStep::Stop && why != RecordingRefusal::NotRunning {
                    self.report(now, CallEvent::RecordingRefused { step, why });
                }
                return;
            }
        };
        let (is_of_its_beginning, is_last) = (tape.begun_by == order, tape.last == order);
        self.report(now, CallEvent::RecordingRefused { step, why });
        let is_gone = why == RecordingRefusal::NotRunning;
        match step {
            RecordStep::Start if is_of_its_beginning => {
                let over = self.carrier_recording_over(now, RecordingEnd::Failed);
                self.tape = None;
                // It may have begun all the same, and nobody would know how to end it.
                if let (Some(mut tape), RecordingRefusal::NoAnswer) = (over, why) {
                    tape.last = self.ask_to_record(RecordStep::Stop);
                    self.tape = Some(Box::new(Tape::Ending(tape)));
                }
            }
            RecordStep::Stop if is_ending && is_last && !is_gone => self.goes_on_recording(now),
            RecordStep::Pause | RecordStep::Resume if !is_ending && is_gone => {
                self.carrier_recording_over(now, RecordingEnd::Carrier);
            }
            RecordStep::Pause | RecordStep::Resume if !is_ending && is_last => {
                let pauses = step == RecordStep::Resume;
                self.tell_carrier_pause(now, pauses);
                if let Some(Tape::Carrier(tape)) = self.tape.as_deref_mut() {
                    tape.is_paused = pauses;
                }
            }
            // Something else was wanted since.
            RecordStep::Start | RecordStep::Pause | RecordStep::Resume | RecordStep::Stop => {}
        }
    }

    /// It was to be over, and is not: whoever wanted that can want it again.
    fn goes_on_recording(&mut self, now: MonoTime) {
        let Some(Tape::Ending(tape)) = self.tape.take().map(|tape| *tape) else { return };
        self.tell_carrier_recording(now, tape.consent.clone());
        if tape.is_paused {
            self.tell_carrier_pause(now, true);
        }
        let since = self.books.elapsed(now);
        self.tape = Some(Box::new(Tape::Carrier(CarrierTape { since, ..tape })));
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

    /// Asks for what the last entry told.
    fn ask_to_record(&mut self, step: RecordStep) -> u64 {
        let order = self.books.seq;
        self.outbox.push_back(Output::Operate(Operation::Record { order, step }));
        order
    }
}

/// Whether nothing was told yet of a recording of this name, and more may be.
pub(in crate::call) fn is_news(filed: &[String], name: &str) -> bool {
    filed.len() < RECORDINGS_FILED_MAX && !filed.iter().any(|known| known == name)
}

/// How the record tells it.
pub(in crate::call) fn told(filed: Filed) -> CallEvent {
    match filed {
        Filed::Saved(saved) => CallEvent::RecordingSaved(saved),
        Filed::Absent { recording } => CallEvent::RecordingAbsent { recording },
    }
}
