//! What can be asked about calls, and how it is said to Twilio.

use std::time::Duration;

use voice_core::sensitive::Pii;
use voice_core::time::UnixMillis;

use super::params::Params;
use super::wire::iso_8601;
use crate::number::{Callee, E164};
use crate::twilio::twiml::Twiml;

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct CreateCall {
    /// Who is called.
    pub to: Callee,
    /// The number they see: bought from Twilio, or verified.
    pub from: E164,
    /// What happens once they answer.
    pub instructions: Instructions,
    /// Where to tell how it goes.
    pub callbacks: Callbacks,
    /// How long it may ring, in whole seconds up to 600. Twilio adds some five seconds.
    pub ring: Duration,
    /// How long it may last, in whole seconds.
    pub longest: Option<Duration>,
    /// Who answered, a person or a machine.
    pub detection: Option<Detection>,
    /// Twilio records it, both sides apart. Only with the consent of both sides.
    pub record: bool,
}

/// What a call is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Ask this URL.
    Url(String),
    /// Do this; at most 4,000 characters.
    Twiml(Twiml),
}

/// Where to tell how a call goes. Both are absolute URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callbacks {
    /// For initiated, ringing, answered and completed.
    pub status: Option<String>,
    /// For recordings that begin, are ready, or were empty.
    pub recording: Option<String>,
}

/// Who answered? Asked beside the call, which goes on meanwhile: a person hears the voice at once and
/// not after seconds of silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// Wait for the end of a machine's greeting, so that a message can be left after the beep.
    pub until_end: bool,
    /// Where to tell the verdict.
    pub callback: String,
    /// When to say that it cannot be told, in whole seconds from 3 to 59; Twilio's default is 30.
    pub timeout: Option<Duration>,
}

/// What is done with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEdit {
    /// It ends, whether it rings or is answered.
    HangUp,
    /// It ends if it was not answered yet.
    Cancel,
    /// It does something else from now on.
    Redirect(Instructions),
}

/// Which calls to look for.
#[derive(Clone, Debug, Default)]
pub struct ListCalls {
    /// Who was called.
    pub to: Option<E164>,
    /// By which number.
    pub from: Option<E164>,
    /// Begun at this time or later. A call that still waits to be dialled has not begun: leave this out
    /// where such a call must be found.
    pub started_after: Option<UnixMillis>,
}

/// Calls on one page; to one number from one number within a minute there are never more.
const PAGE_SIZE: &str = "50";

impl CreateCall {
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        params.push("To", self.to.expose());
        params.push("From", self.from.expose());
        self.instructions.push(&mut params);
        params.push("Timeout", &seconds(self.ring, 5, 600));
        params.push_some("TimeLimit", self.longest.map(|longest| seconds(longest, 1, 86_400)).as_deref());
        if let Some(url) = &self.callbacks.status {
            params.push("StatusCallback", url);
            for event in ["initiated", "ringing", "answered", "completed"] {
                params.push("StatusCallbackEvent", event);
            }
        }
        if let Some(detection) = &self.detection {
            params.push("MachineDetection", if detection.until_end { "DetectMessageEnd" } else { "Enable" });
            params.push("AsyncAmd", "true");
            params.push("AsyncAmdStatusCallback", &detection.callback);
            let timeout = detection.timeout.map(|timeout| seconds(timeout, 3, 59));
            params.push_some("MachineDetectionTimeout", timeout.as_deref());
        }
        if self.record {
            params.push("Record", "true");
            params.push("RecordingChannels", "dual");
            params.push_some("RecordingStatusCallback", self.callbacks.recording.as_deref());
        }
        params
    }
}

impl CallEdit {
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        match self {
            Self::HangUp => params.push("Status", "completed"),
            Self::Cancel => params.push("Status", "canceled"),
            Self::Redirect(instructions) => instructions.push(&mut params),
        }
        params
    }
}

impl ListCalls {
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        params.push_some("To", self.to.as_ref().map(E164::expose));
        params.push_some("From", self.from.as_ref().map(E164::expose));
        params.push_some("StartTime>", self.started_after.map(iso_8601).as_deref());
        params.push("PageSize", PAGE_SIZE);
        params
    }
}

impl Instructions {
    fn push(&self, params: &mut Params) {
        match self {
            Self::Url(url) => params.push("Url", url),
            Self::Twiml(document) => params.push("Twiml", document.as_str()),
        }
    }

    /// Presses keys, then goes on with the instructions at this URL.
    pub fn play_digits(digits: &str, then: &str) -> Result<Self, BadDigits> {
        Ok(Self::Twiml(Twiml::play_digits(digits, then).ok_or(BadDigits)?))
    }

    /// Says something, then hangs up: what is left on an answering machine.
    pub fn leave_message(text: &Pii<String>) -> Self {
        Self::Twiml(Twiml::say_and_hang_up(text.expose()))
    }
}

/// Digits that no telephone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys are 0-9, *, #, A-D, and w for a pause of half a second; at most 32")]
pub struct BadDigits;

fn seconds(duration: Duration, least: u64, most: u64) -> String {
    duration.as_secs().clamp(least, most).to_string()
}
