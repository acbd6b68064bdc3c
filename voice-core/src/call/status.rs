//! How a call stands, for those who ask: an operator, a console, a test.

use crate::id::{AttachmentId, ProviderId};
use crate::record::Switch;
use crate::transfer::TransferStage;

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
    /// The last switches ([`crate::limits::SWITCHES_KEPT`]), oldest first.
    pub switches: Vec<Switch>,
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
