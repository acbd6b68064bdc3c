//! The port to whoever operates a call's carrier.

use crate::id::CallId;
use crate::transfer::Operation;

/// Leads callers elsewhere, and has the carrier record them. Asked on the call's own task, so it must return at once: what takes time belongs
/// into a task of its own, which tells how it goes with `Control::Transferred` or `RecordCommand::Ordered`
/// through the call's [`CallHandle`](super::CallHandle). Whatever it does is to be bounded: a call waits for
/// [`TRANSFER_MAX`](crate::limits::TRANSFER_MAX), then for nobody.
pub trait Operate: Send + Sync {
    /// The call wants this.
    fn operate(&self, call: CallId, operation: Operation);
}
