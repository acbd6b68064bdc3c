//! What is told to a recorder, and what is done with the blocks that it makes. Without a recording each of
//! these is one look at an empty place.

mod carrier;
mod filed;

use bytes::Bytes;

use crate::audio::AudioFrame;
use crate::consent::{Consent, Use};
use crate::limits;
use crate::record::{CallEvent, EndReason, Loss};
use crate::recording::{
    RecordCommand, RecordStep, Recorded, Recorder, RecordingEnd, RecordingOrder, RecordingPlace,
    RecordingRefusal, RecordingStart,
};
use crate::time::MonoTime;

use super::past::PastTape;
use super::status::Recording;
use super::{Call, Output, Timer};

pub(super) use carrier::Again;
use carrier::{CarrierTape, EndingTape};
pub(super) use filed::{Filing, told};

/// A recording that runs.
#[derive(Debug)]
pub(super) enum Tape {
    /// We write it.
    Ours(Recorder),
    /// The carrier does.
    Carrier(CarrierTape),
    /// The carrier was asked to end it, and has not answered. It counts as over.
    Ending(EndingTape),
}

impl Tape {
    /// Whether it is paused; `None` if it is over.
    fn pause(&self) -> Option<bool> {
        match self {
            Self::Ours(recorder) => Some(recorder.is_paused()),
            Self::Carrier(tape) => Some(tape.is_paused),
            Self::Ending(_) => None,
        }
    }

    /// The carrier's name for what it records, or recorded last.
    fn carriers_name(&self) -> Option<&str> {
        match self {
            Self::Ours(_) => None,
            Self::Carrier(tape) => tape.recording.as_deref(),
            Self::Ending(ending) => ending.tape.as_ref()?.recording.as_deref(),
        }
    }
}

impl Call {
    pub(super) fn on_record(&mut self, now: MonoTime, command: RecordCommand) {
        match command {
            RecordCommand::Start(order) => self.start_recording(now, order),
            RecordCommand::Pause => self.pause_recording(now, true),
            RecordCommand::Resume => self.pause_recording(now, false),
            RecordCommand::Stop => self.stop_recording(now, RecordingEnd::Ordered),
            RecordCommand::Revoke(revocation) => {
                match self.tape.as_deref_mut() {
                    Some(Tape::Carrier(tape) | Tape::Ending(EndingTape { tape: Some(tape), .. })) => {
                        tape.revoke(revocation);
                    }
                    Some(Tape::Ours(_) | Tape::Ending(_)) | None => {}
                }
                self.stop_recording(now, RecordingEnd::Revoked);
            }
            RecordCommand::Lost(duration) => {
                self.report(now, CallEvent::AudioLost { what: Loss::Recording, duration });
            }
            RecordCommand::Failed => self.stop_our_tape(now, RecordingEnd::Failed),
            RecordCommand::Ordered { order, news } => self.on_carrier_recording(now, order, news),
            RecordCommand::Filed(filed) => self.on_filed(now, filed, true),
            RecordCommand::FiledUnnamed(filed) => self.on_filed(now, filed, false),
        }
    }

    pub(super) fn recording(&self) -> (Recording, RecordingPlace) {
        let place = match self.tape.as_deref() {
            Some(Tape::Carrier(_) | Tape::Ending(_)) => RecordingPlace::Carrier,
            Some(Tape::Ours(_)) | None => RecordingPlace::Server,
        };
        let recording = match self.tape.as_deref().and_then(Tape::pause) {
            Some(true) => Recording::Paused,
            Some(false) => Recording::On,
            None if self.is_ending_recording() || self.aside.transfers.has_again() => Recording::Ending,
            None => Recording::Off,
        };
        (recording, place)
    }

    pub(super) fn tape_caller(&mut self, now: MonoTime, frame: &AudioFrame) {
        if let Some(recorder) = self.recorder() {
            recorder.caller(now, frame.data.clone());
        }
    }

    /// The frame that was released just now.
    pub(super) fn tape_voice(&mut self, frame: &Bytes) {
        if let Some(Tape::Ours(recorder)) = self.tape.as_deref_mut() {
            recorder.voice(self.playout.sent_at(), frame.clone());
        }
    }

    pub(super) fn tape_cut(&mut self, heard_until: MonoTime) {
        if let Some(recorder) = self.recorder() {
            recorder.cut(heard_until);
        }
    }

    /// Gives out what is due, and asks to be woken for the rest.
    pub(super) fn give_recording(&mut self, now: MonoTime) {
        let Some(Tape::Ours(recorder)) = self.tape.as_deref_mut() else { return };
        let lag = self.playout.lag();
        for _ in 0..limits::RECORDING_BLOCKS_MAX {
            let Some(block) = recorder.poll(now, lag) else { break };
            self.outbox.push_back(Output::Record(Recorded::Block(block)));
        }
        self.timers.set(Timer::Recording, recorder.wakes_at());
    }

    /// The call is over, and with it what is recorded of it; except what the carrier records of a call that may
    /// go on elsewhere.
    pub(super) fn end_recording(&mut self, now: MonoTime, reason: &EndReason) {
        self.stop_our_tape(now, RecordingEnd::CallOver);
        self.leave_carrier_recording(now, reason);
    }

    /// A recording ran when the call was lost. Ours goes on as another one where it stopped; the carrier's has
    /// gone on meanwhile.
    pub(super) fn record_again(&mut self, now: MonoTime, tape: PastTape) {
        let allowed = tape.consent.covers(Use::Recording);
        match tape.place {
            RecordingPlace::Carrier if allowed && !tape.ending => {
                return self.find_carrier_recording(now, tape);
            }
            RecordingPlace::Carrier => return self.stop_again(),
            RecordingPlace::Server if allowed => {}
            RecordingPlace::Server => return,
        }
        self.start_our_tape(now, tape.consent);
        if tape.paused {
            self.pause_recording(now, true);
        }
    }

    fn start_recording(&mut self, now: MonoTime, order: RecordingOrder) {
        match self.recording().0 {
            Recording::On | Recording::Paused => return,
            Recording::Ending => {
                let (step, why) = (RecordStep::Start, RecordingRefusal::Ending);
                return self.report(now, CallEvent::RecordingRefused { step, why });
            }
            Recording::Off => {}
        }
        let consent = order.consent().clone();
        match order.place() {
            RecordingPlace::Server => self.start_our_tape(now, consent),
            RecordingPlace::Carrier => self.start_carrier_recording(now, consent),
        }
    }

    fn start_our_tape(&mut self, now: MonoTime, consent: Consent) {
        let format = self.playout.format();
        self.tape = Some(Box::new(Tape::Ours(Recorder::new(now, format))));
        let start = RecordingStart { format, at: now, consent: consent.clone() };
        self.outbox.push_back(Output::Record(Recorded::Began(start)));
        self.report(now, CallEvent::RecordingStarted { consent, place: RecordingPlace::Server });
    }

    fn pause_recording(&mut self, now: MonoTime, pauses: bool) {
        let Some(tape) = self.tape.as_deref_mut().filter(|tape| tape.pause() == Some(!pauses)) else {
            return self.pause_what_begins_again(now, pauses);
        };
        match tape {
            Tape::Ours(recorder) if pauses => recorder.pause(now),
            Tape::Ours(recorder) => recorder.resume(now),
            Tape::Carrier(_) | Tape::Ending(_) => return self.pause_carrier_recording(now, pauses),
        }
        self.report(now, if pauses { CallEvent::RecordingPaused } else { CallEvent::RecordingResumed });
    }

    fn stop_recording(&mut self, now: MonoTime, reason: RecordingEnd) {
        self.stop_our_tape(now, reason);
        self.stop_carrier_recording(now, reason);
    }

    /// Ends it, if there is one.
    fn stop_our_tape(&mut self, now: MonoTime, reason: RecordingEnd) {
        let Some(mut recorder) = self.take_recorder() else { return };
        recorder.finish(now);
        let lag = self.playout.lag();
        // Much less than this waits, unless the whole machine was asleep.
        for _ in 0..limits::RECORDING_BLOCKS_MAX {
            let Some(block) = recorder.poll(now, lag) else { break };
            self.outbox.push_back(Output::Record(Recorded::Block(block)));
        }
        self.timers.clear(Timer::Recording);
        let length = recorder.length();
        self.outbox.push_back(Output::Record(Recorded::Ended { reason, length }));
        self.report(now, CallEvent::RecordingStopped { reason, length });
    }

    fn recorder(&mut self) -> Option<&mut Recorder> {
        match self.tape.as_deref_mut()? {
            Tape::Ours(recorder) => Some(recorder),
            Tape::Carrier(_) | Tape::Ending(_) => None,
        }
    }

    fn take_recorder(&mut self) -> Option<Recorder> {
        match *self.tape.take()? {
            Tape::Ours(recorder) => Some(recorder),
            carriers @ (Tape::Carrier(_) | Tape::Ending(_)) => {
                self.tape = Some(Box::new(carriers));
                None
            }
        }
    }
}
