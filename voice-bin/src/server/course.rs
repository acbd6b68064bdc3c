//! How a call went, folded from its record: the same for one that runs and for one that is read back.

use std::collections::BTreeMap;

use voice_core::call::Recording;
use voice_core::id::{AttachmentId, CarrierId, CorrelationId, ProviderId};
use voice_core::record::CallEvent;
use voice_core::recording::RecordingPlace;
use voice_core::sensitive::Pii;
use voice_core::time::UnixMillis;

/// What the record of a call says so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    pub(crate) begin: Option<Begin>,
    pub(crate) end: Option<End>,
    /// Who talks or, once it is over, talked last.
    pub(crate) provider: Option<ProviderId>,
    pub(crate) switches: usize,
    pub(crate) on_hold: bool,
    pub(crate) muted: bool,
    pub(crate) recording: Recording,
    /// Who records, if anybody does.
    pub(crate) recording_at: RecordingPlace,
    assigned: BTreeMap<AttachmentId, ProviderId>,
}

/// The first entry.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    pub(crate) at: UnixMillis,
    pub(crate) carrier: CarrierId,
    pub(crate) carrier_call: String,
    pub(crate) from: Pii<String>,
    pub(crate) to: Pii<String>,
    pub(crate) correlation: CorrelationId,
}

/// The last one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: UnixMillis,
    /// The name of the reason.
    pub(crate) reason: &'static str,
    pub(crate) duration: std::time::Duration,
}

impl Course {
    /// Takes the next entry. What happens at the end (the caller off hold) is no news of how it went.
    #[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
    pub(crate) fn take(&mut self, at: UnixMillis, event: &CallEvent) {
        match event {
            CallEvent::Started { carrier, carrier_call, from, to, correlation, format: _ } => {
                self.begin = Some(Begin {
                    at,
                    carrier: carrier.clone(),
                    carrier_call: carrier_call.clone(),
                    from: from.clone(),
                    to: to.clone(),
                    correlation: correlation.clone(),
                });
            }
            CallEvent::Assigned { attachment, provider } => {
                self.assigned.insert(*attachment, provider.clone());
            }
            CallEvent::Live { attachment, .. } => self.provider = self.assigned.get(attachment).cloned(),
            CallEvent::Switched(_) => self.switches += 1,
            CallEvent::Held { .. } => self.on_hold = true,
            CallEvent::Resumed { .. } => self.on_hold = false,
            CallEvent::Muted { on } => self.muted = *on,
            CallEvent::RecordingStarted { place, .. } => {
                self.recording = Recording::On;
                self.recording_at = *place;
            }
            // What was ended for a transfer is paused for the time after it: nothing is recorded meanwhile.
            CallEvent::RecordingResumed | CallEvent::RecordingPaused if self.recording == Recording::Off => {}
            CallEvent::RecordingResumed => self.recording = Recording::On,
            CallEvent::RecordingPaused => self.recording = Recording::Paused,
            CallEvent::RecordingStopped { .. } => self.recording = Recording::Off,
            CallEvent::Returned { .. } => self.end = None,
            CallEvent::Ended { reason, totals } => {
                self.end = Some(End { at, reason: reason.kind(), duration: totals.duration });
            }
            _no_matter_here => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use voice_core::record::{EndReason, Totals};

    use super::*;

    #[test]
    fn a_call_is_what_its_record_says() {
        let mut course = Course::default();
        let (ada, bob) = (ProviderId::from_static("ada"), ProviderId::from_static("bob"));
        let live = |id| CallEvent::Live { attachment: AttachmentId(id), gap: Duration::ZERO };
        let assigned = |id, provider: &ProviderId| CallEvent::Assigned {
            attachment: AttachmentId(id),
            provider: provider.clone(),
        };
        let entries = [assigned(1, &ada), live(1), assigned(2, &bob), CallEvent::Held { music: true }];
        entries.iter().for_each(|event| course.take(UnixMillis(7), event));
        assert_eq!((course.provider.as_ref(), course.on_hold), (Some(&ada), true));
        course.take(UnixMillis(8), &live(2));
        course.take(UnixMillis(8), &CallEvent::RecordingPaused);
        assert_eq!(course.recording, Recording::Off, "it is for what begins after a transfer");
        course.take(UnixMillis(9), &CallEvent::Resumed { after: Duration::ZERO, timed_out: false });
        let totals = Totals { duration: Duration::from_secs(2), ..Totals::default() };
        course.take(UnixMillis(10), &CallEvent::Ended { reason: EndReason::HungUp, totals });
        assert_eq!((course.provider, course.on_hold), (Some(bob), false));
        let end = course.end.expect("it ended");
        assert_eq!((end.at, end.reason, end.duration), (UnixMillis(10), "hung_up", Duration::from_secs(2)));
    }
}
