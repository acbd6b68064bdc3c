//! What the carrier says it has of its recordings, which may come whenever it likes.

use crate::limits::RECORDINGS_FILED_MAX;
use crate::record::CallEvent;
use crate::recording::{Filed, RecordStep, RecordingEnd, RecordingPlace, SavedRecording};
use crate::time::MonoTime;

use super::super::Call;
use super::Tape;

/// What the record says of the carrier's recordings: those of which it has told what it has, and how many more there
/// are. A carrier that does not say which one it means, means one of those, or the one that runs if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::call) struct Filing {
    names: Vec<String>,
    /// Recordings that are over, and of which nothing was told.
    owed: u32,
    /// The carrier records.
    runs: bool,
}

impl Filing {
    /// One more entry of the record.
    pub(in crate::call) fn take(&mut self, event: &CallEvent) {
        if let CallEvent::RecordingStarted { place, .. } = event {
            self.runs = *place == RecordingPlace::Carrier;
        } else if let CallEvent::RecordingStopped { reason, .. } = event {
            // Of one that was never begun there is nothing to tell.
            self.owed += u32::from(self.runs && *reason != RecordingEnd::Failed);
            self.runs = false;
        } else if let CallEvent::RecordingRefused { step: RecordStep::Stop, .. } = event {
            self.owed = self.owed.saturating_sub(1);
        } else if let CallEvent::RecordingSaved(SavedRecording { recording, .. })
        | CallEvent::RecordingAbsent { recording } = event
        {
            self.names.push(recording.clone());
            self.owed = self.owed.saturating_sub(1);
        }
    }

    /// Whether nothing was told yet of a recording of this name, and more may be.
    pub(in crate::call) fn is_new(&self, name: &str) -> bool {
        self.names.len() < RECORDINGS_FILED_MAX && !self.names.iter().any(|known| known == name)
    }
}

impl Call {
    /// The carrier says what it has of a recording, and whether it names it.
    pub(in crate::call) fn on_filed(&mut self, now: MonoTime, filed: Filed, is_named: bool) {
        let name = filed.recording();
        let filing = &self.books.filing;
        if !filing.is_new(name) {
            return;
        }
        let is_current = match self.tape.as_deref() {
            None | Some(Tape::Ours(_)) => false,
            Some(tape) if is_named => tape.carriers_name() == Some(name),
            Some(Tape::Carrier(_)) => filing.owed == 0,
            Some(Tape::Ending(_)) => filing.owed <= 1,
        };
        if is_current {
            // Nobody here wanted that: it was the longest that the carrier allows, or it failed. Or it is what
            // was wanted.
            self.carrier_has_ended(now);
        }
        self.report(now, told(filed));
        self.look_at_the_way(now);
    }
}

/// How the record tells it.
pub(in crate::call) fn told(filed: Filed) -> CallEvent {
    match filed {
        Filed::Saved(saved) => CallEvent::RecordingSaved(saved),
        Filed::Absent { recording } => CallEvent::RecordingAbsent { recording },
    }
}
