//! What a call is told.

use crate::carrier::{CarrierEvent, Digits};
use crate::conversation::ToolResult;
use crate::id::{AttachmentId, ProviderId, ToolCallId};
use crate::provider::ProviderEvent;
use crate::recording::RecordCommand;
use crate::sensitive::Pii;
use crate::transfer::{TransferId, TransferNews, TransferOrder};

/// The only way into a [`super::Call`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// From the carrier. Audio comes as frames of 20 ms in the carrier's format.
    Carrier(CarrierEvent),
    /// From a provider, tagged with the attachment, so that a voice we have let go of can be told from
    /// the live one. Speech comes as frames of 20 ms in the carrier's format.
    Provider(AttachmentId, ProviderEvent),
    /// The answer to [`super::Output::Attach`]; `None` when nobody is left.
    Assigned(AttachmentId, Option<ProviderId>),
    /// Somebody wants something: an operator, the embedder, a tool.
    Control(Control),
    /// The time asked for has come.
    Tick,
}

/// What somebody outside may want of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// End the call at once.
    HangUp,
    /// End the call when the caller has heard what is being said, at the latest after
    /// [`super::CallLimits::goodbye`].
    HangUpAfterReply,
    /// Let another provider take over at the next pause; whoever the roster likes if none is named.
    /// While nobody can be found, ask again at once.
    Switch(Option<ProviderId>),
    /// Take back the last switch: one under way is given up; else whoever talked before takes over at
    /// the next pause.
    SwitchBack,
    /// Let somebody else than the one who talks take over.
    FailOver {
        /// Let go of the one who talks at once, as if it had failed, instead of waiting for a pause. For
        /// a voice that talks nonsense.
        force: bool,
    },
    /// Leave this provider, if it talks, warms up or stands by: it is to be taken out of service.
    LeaveProvider(ProviderId),
    /// A tool has answered. Answers to calls that are unknown or over are ignored.
    ToolAnswered {
        /// Which call of a tool.
        id: ToolCallId,
        /// What came of it.
        result: ToolResult,
    },
    /// Let the voice say something now.
    Say {
        /// In words for the model.
        cue: String,
    },
    /// Let the model know something, without an answer being due.
    Note(Pii<String>),
    /// The conversation so far, in short. Whoever takes over is given this instead of the oldest turns
    /// once those do not fit into [`super::CallConfig`]'s `context_bytes`; without it they are only
    /// counted.
    Summary(Pii<String>),
    /// Put the caller on hold: neither hears the other until [`Control::Resume`], at the latest until
    /// [`super::CallLimits::hold`].
    Hold {
        /// Whether they hear music.
        music: bool,
    },
    /// Take the caller off hold. If an answer is owed, the voice is asked for it.
    Resume,
    /// Whether the voice hears silence instead of the caller.
    Mute(bool),
    /// Lead the caller to somebody else. They are put on hold once they have heard what is being said;
    /// [`Control::Resume`] takes them back.
    Transfer(TransferOrder),
    /// How a transfer goes, from whoever was asked for it ([`super::Output::Operate`]). What is told of one
    /// that is over is ignored.
    Transferred(TransferId, TransferNews),
    /// Press keys, for the caller's side of the line to hear: after what is being said, and without
    /// interrupting anybody.
    SendDigits(Digits),
    /// Begin, pause or end a recording.
    Record(RecordCommand),
    /// The server shuts down: end the call at once, and say why in the record.
    Shutdown,
}
