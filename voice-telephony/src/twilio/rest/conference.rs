//! What can be asked about conferences and recordings, and how it is said to Twilio.

use std::time::Duration;

use super::params::Params;
use crate::number::E164;

/// Somebody to be dialled into a conference.
#[derive(Clone, Debug)]
pub struct AddParticipant {
    /// Who is called.
    pub to: E164,
    /// The number they see.
    pub from: E164,
    /// A name for them within the conference, by which they can be found before the answer is read.
    pub label: Option<String>,
    /// How long it may ring.
    pub ring: Duration,
    /// The conference ends when they leave.
    pub ends_conference: bool,
    /// Where to tell how their call goes.
    pub status_callback: Option<String>,
}

/// What is changed about somebody in a conference; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParticipantEdit {
    /// They hear music, and nobody hears them.
    pub hold: Option<bool>,
    /// What they hear on hold, by URL; Twilio's own music unless it is said.
    pub hold_url: Option<String>,
    /// Nobody hears them.
    pub muted: Option<bool>,
    /// The conference ends when they leave.
    pub ends_conference: Option<bool>,
    /// Something that they alone hear, by URL.
    pub announce_url: Option<String>,
}

/// How a call is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordCall {
    /// Where to tell that it is ready.
    pub callback: Option<String>,
}

/// What is done with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordingEdit {
    /// Nothing is recorded for now; silence stands in its place, so that the times stay true.
    Pause,
    /// It goes on.
    Resume,
    /// It is over.
    Stop,
}

impl AddParticipant {
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        params.push("From", self.from.expose());
        params.push("To", self.to.expose());
        params.push_some("Label", self.label.as_deref());
        params.push("Timeout", &self.ring.as_secs().clamp(5, 600).to_string());
        params.push_flag("EndConferenceOnExit", Some(self.ends_conference));
        if let Some(url) = &self.status_callback {
            params.push("StatusCallback", url);
            for event in ["initiated", "ringing", "answered", "completed"] {
                params.push("StatusCallbackEvent", event);
            }
        }
        params
    }
}

impl ParticipantEdit {
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        params.push_flag("Hold", self.hold);
        params.push_some("HoldUrl", self.hold_url.as_deref());
        params.push_flag("Muted", self.muted);
        params.push_flag("EndConferenceOnExit", self.ends_conference);
        params.push_some("AnnounceUrl", self.announce_url.as_deref());
        params
    }
}

impl RecordCall {
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        params.push("RecordingChannels", "dual");
        if let Some(url) = &self.callback {
            params.push("RecordingStatusCallback", url);
            for event in ["completed", "absent"] {
                params.push("RecordingStatusCallbackEvent", event);
            }
        }
        params
    }
}

impl RecordingEdit {
    pub(super) fn params(self) -> Params {
        let mut params = Params::default();
        match self {
            Self::Pause => {
                params.push("Status", "paused");
                params.push("PauseBehavior", "silence");
            }
            Self::Resume => params.push("Status", "in-progress"),
            Self::Stop => params.push("Status", "stopped"),
        }
        params
    }
}
