//! What is told to a recorder, and what is done with the blocks that it makes. Without a recording each of
//! these is one look at an empty place.

use bytes::Bytes;

use crate::audio::AudioFrame;
use crate::consent::{Consent, Use};
use crate::limits;
use crate::record::{CallEvent, Loss};
use crate::recording::{RecordCommand, Recorded, Recorder, RecordingEnd, RecordingStart};
use crate::time::MonoTime;

use super::status::Recording;
use super::{Call, Output, Timer};

/// A recording that runs.
#[derive(Debug)]
pub(super) struct Tape {
    recorder: Recorder,
}

impl Tape {
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn is_paused(&self) -> bool {
        self.recorder.is_paused()
    }
}

impl Call {
    pub(super) fn on_record(&mut self, now: MonoTime, command: RecordCommand) {
        match command {
            RecordCommand::Start(order) => self.start_recording(now, order.consent().clone()),
            RecordCommand::Pause => {
                let Some(tape) = self.tape.as_mut().filter(|tape| !tape.recorder.is_paused()) else { return };
                tape.recorder.pause(now);
                self.report(now, CallEvent::RecordingPaused);
            }
            RecordCommand::Resume => {
                let Some(tape) = self.tape.as_mut().filter(|tape| tape.recorder.is_paused()) else { return };
                tape.recorder.resume(now);
                self.report(now, CallEvent::RecordingResumed);
            }
            RecordCommand::Stop => self.stop_recording(now, RecordingEnd::Ordered),
            RecordCommand::Revoke(_) => self.stop_recording(now, RecordingEnd::Revoked),
            RecordCommand::Lost(duration) => {
                self.report(now, CallEvent::AudioLost { what: Loss::Recording, duration });
            }
            RecordCommand::Failed => self.stop_recording(now, RecordingEnd::Failed),
        }
    }

    pub(super) fn recording(&self) -> Recording {
        match &self.tape {
            None => Recording::Off,
            Some(tape) if tape.recorder.is_paused() => Recording::Paused,
            Some(_) => Recording::On,
        }
    }

    pub(super) fn tape_caller(&mut self, now: MonoTime, frame: &AudioFrame) {
        if let Some(tape) = &mut self.tape {
            tape.recorder.caller(now, frame.data.clone());
        }
    }

    /// The frame that was released just now.
    pub(super) fn tape_voice(&mut self, frame: &Bytes) {
        if let Some(tape) = &mut self.tape {
            tape.recorder.voice(self.playout.sent_at(), frame.clone());
        }
    }

    pub(super) fn tape_cut(&mut self, heard_until: MonoTime) {
        if let Some(tape) = &mut self.tape {
            tape.recorder.cut(heard_until);
        }
    }

    /// Gives out what is due, and asks to be woken for the rest.
    pub(super) fn give_recording(&mut self, now: MonoTime) {
        let Some(tape) = &mut self.tape else { return };
        let lag = self.playout.lag();
        for _ in 0..limits::RECORDING_BLOCKS_MAX {
            let Some(block) = tape.recorder.poll(now, lag) else { break };
            self.outbox.push_back(Output::Record(Recorded::Block(block)));
        }
        self.timers.set(Timer::Recording, tape.recorder.wakes_at());
    }

    /// Ends it, if there is one.
    pub(super) fn stop_recording(&mut self, now: MonoTime, reason: RecordingEnd) {
        let Some(mut tape) = self.tape.take() else { return };
        tape.recorder.finish(now);
        let lag = self.playout.lag();
        // Much less than this waits, unless the whole machine was asleep.
        for _ in 0..limits::RECORDING_BLOCKS_MAX {
            let Some(block) = tape.recorder.poll(now, lag) else { break };
            self.outbox.push_back(Output::Record(Recorded::Block(block)));
        }
        self.timers.clear(Timer::Recording);
        let length = tape.recorder.length();
        self.outbox.push_back(Output::Record(Recorded::Ended { reason, length }));
        self.report(now, CallEvent::RecordingStopped { reason, length });
    }

    /// A recording ran, on this consent, when the call was lost. Another one goes on where it stopped.
    pub(super) fn record_again(&mut self, now: MonoTime, consent: Consent, paused: bool) {
        if !consent.covers(Use::Recording) {
            return;
        }
        self.start_recording(now, consent);
        if paused {
            self.on_record(now, RecordCommand::Pause);
        }
    }

    fn start_recording(&mut self, now: MonoTime, consent: Consent) {
        if self.tape.is_some() {
            return;
        }
        let format = self.playout.format();
        self.tape = Some(Box::new(Tape { recorder: Recorder::new(now, format) }));
        let start = RecordingStart { format, at: now, consent: consent.clone() };
        self.outbox.push_back(Output::Record(Recorded::Began(start)));
        self.report(now, CallEvent::RecordingStarted { consent });
    }
}
