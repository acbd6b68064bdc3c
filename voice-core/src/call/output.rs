//! What a call wants.

use crate::carrier::CarrierCommand;
use crate::conversation::{ToolCall, Turn};
use crate::failure::Failure;
use crate::id::{AttachmentId, ProviderId};
use crate::provider::ProviderCommand;
use crate::record::{EndReason, Entry};
use crate::recording::Recorded;
use crate::time::MonoTime;
use crate::transfer::Operation;

/// The only way out of a [`super::Call`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Tell the carrier.
    Carrier(CarrierCommand),
    /// Find somebody to talk with the caller; answered with [`super::Input::Assigned`].
    Attach {
        /// Which attempt.
        id: AttachmentId,
        /// Somebody was asked for by name.
        wish: Option<ProviderId>,
        /// Not these: they have failed in this attempt.
        tried: Vec<ProviderId>,
        /// Only if nobody else can: it has just failed, but only once.
        last_resort: Option<ProviderId>,
    },
    /// Open a conversation with the provider that was assigned.
    Open {
        /// Which attempt.
        id: AttachmentId,
        /// The conversation so far.
        history: Vec<Turn>,
    },
    /// Tell this provider.
    Provider(AttachmentId, ProviderCommand),
    /// Nothing comes of this one although something is due: whoever has its lines finds out whether the peer is
    /// there at all. One that thinks answers a ping; one that does not is no more.
    Doubt(AttachmentId),
    /// Let go of this one. Nothing of it will be listened to any more.
    Detach(AttachmentId),
    /// What the breaker behind that attachment should learn. Once per assigned attachment.
    Outcome(AttachmentId, Outcome),
    /// Run this tool; answered with [`super::Control::ToolAnswered`].
    RunTool(ToolCall),
    /// Stop waiting for this tool, if that is possible.
    AbandonTool(crate::id::ToolCallId),
    /// Ask this of whoever operates the carrier; answered with [`super::Control::Transferred`] or
    /// [`RecordCommand::Ordered`](crate::recording::RecordCommand::Ordered).
    Operate(Operation),
    /// One more entry of the record.
    Report(Entry),
    /// For whoever writes the recording down; only while there is one.
    Record(Recorded),
    /// Nothing more for now; wake me then. The timer tells a log what the call waits for.
    WaitUntil(Option<(MonoTime, Timer)>),
    /// It is over. Nothing more comes, ever.
    Finished(EndReason),
}

/// How an attachment fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work until it was let go.
    Success,
    /// It failed. [`Failure::blame`] says whether that counts.
    Failure(Failure),
    /// It never had the chance to show anything: the call ended first, or it was not needed.
    Unproven,
}

/// Every reason a call may wake up without being spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timer {
    /// The candidate has taken too long to become ready.
    Attach,
    /// Nobody could take the call; all are asked again.
    Retry,
    /// Somebody is to stand by, or the one who does must be replaced.
    Standby,
    /// The one who talks is to be left, and nobody could take over so far.
    Leave,
    /// A successor is ready but no pause has come.
    CutOver,
    /// It is the voice's turn and nothing comes.
    Stall,
    /// The same, much earlier: it is only told.
    Silence,
    /// The same, earlier still: is anybody there?
    Doubt,
    /// Nothing comes from the carrier.
    CarrierSilence,
    /// The caller has been on hold for too long.
    Hold,
    /// The caller is to be put on hold for a transfer, or the transfer has taken too long.
    Transfer,
    /// The caller waits and hears nothing.
    Cover,
    /// The next frame is due at the carrier, or the last one has just been heard.
    Playout,
    /// A tool has taken too long.
    Tool,
    /// The next of a recording can be given out.
    Recording,
    /// We want to hang up once the reply has been heard, but not wait for ever.
    Goodbye,
    /// The provider's session comes to its end.
    SessionLimit,
    /// The longest call we allow.
    Limit,
}
