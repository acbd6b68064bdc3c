//! How a call stands, for those who ask: an operator, a console, a test.

use std::collections::VecDeque;

use crate::failure::Failure;
use crate::id::{AttachmentId, ProviderId};
use crate::limits::SWITCHES_KEPT;
use crate::record::{Switch, SwitchRefusal, Why};
use crate::recording::RecordingPlace;
use crate::transfer::TransferStage;

use super::Call;

/// A look at a call. It is old as soon as it is taken; the record tells what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStatus {
    /// Which phase it is in.
    pub standing: Standing,
    /// Who hears the caller.
    pub live: Option<Attached>,
    /// Who is to take over in the next pause: a switch is under way.
    pub successor: Option<Attached>,
    /// Who stands by.
    pub standby: Option<Attached>,
    /// The caller is on hold.
    pub on_hold: bool,
    /// The caller is being led to somebody else, and how far that is.
    pub transfer: Option<TransferStage>,
    /// Nobody hears the caller, by order.
    pub muted: bool,
    /// Whether what is said is kept.
    pub recording: Recording,
    /// By whom, if it is.
    pub recording_at: RecordingPlace,
    /// It was ended for a transfer, and begins again if the caller comes back: it can be paused until then.
    pub recording_again: bool,
    /// What became of switches.
    pub switches: Switches,
}

/// The switches of a call, and the attempts that came to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switches {
    /// How often another voice took over, in the whole call.
    pub done: u32,
    /// How often that was tried and came to nothing, in the whole call.
    pub failed: u32,
    /// The last of both ([`SWITCHES_KEPT`]), oldest first.
    pub kept: VecDeque<Attempt>,
}

/// What became of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// Another voice talks.
    Done(Switch),
    /// Whoever talked goes on, or somebody else was asked.
    Failed(FailedSwitch),
}

/// A switch that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSwitch {
    /// Who talked, or talked last.
    pub from: ProviderId,
    /// Who was to take over; `None` if nobody was named or chosen.
    pub to: Option<ProviderId>,
    /// What it was for.
    pub why: Why,
    /// Why nothing came of it.
    pub cause: SwitchCause,
}

/// Why nothing came of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchCause {
    /// It was not carried out.
    Refused(SwitchRefusal),
    /// Whoever was to take over failed before they could.
    Failed(Failure),
}

impl SwitchCause {
    /// A short, stable name for the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.name(),
            Self::Failed(failure) => failure.kind(),
        }
    }
}

impl Call {
    /// How it stands. Made anew each time: for people, not for each frame.
    pub fn status(&self) -> CallStatus {
        let (standing, live, successor, standby) = self.phase.status();
        let (recording, recording_at) = self.recording();
        CallStatus {
            standing,
            live,
            successor,
            standby,
            on_hold: self.aside.is_on_hold(),
            transfer: self.aside.transfers.stage(),
            muted: self.aside.is_muted(),
            recording,
            recording_at,
            recording_again: self.begins_again(),
            switches: self.books.switches.clone(),
        }
    }
}

impl Switches {
    pub(super) fn note(&mut self, attempt: Attempt) {
        match &attempt {
            Attempt::Done(_) => self.done += 1,
            // What is tried again and again is worth one line.
            Attempt::Failed(_) if self.kept.back() == Some(&attempt) => return,
            Attempt::Failed(_) => self.failed += 1,
        }
        if self.kept.len() >= SWITCHES_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(attempt);
    }
}

/// Which phase a call is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Somebody is sought to talk with the caller.
    #[default]
    Attaching,
    /// Somebody talks with the caller.
    Talking,
    /// Nobody is left; the caller hears why.
    Leaving,
    /// Over.
    Ended,
}

/// Whether what is said in a call is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// It is not.
    #[default]
    Off,
    /// It is.
    On,
    /// Silence is kept in its place.
    Paused,
    /// It is not any more; the carrier has still to say so, and until then nothing else is begun.
    Ending,
}

/// Somebody in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Which stay.
    pub id: AttachmentId,
    /// Who; `None` until the roster has chosen.
    pub provider: Option<ProviderId>,
    /// Whether it could take over.
    pub ready: bool,
}
