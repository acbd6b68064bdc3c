//! Calls that come back: what is known of them, who is let in again, and what a server does when it starts.
//!
//! A call outlives its server because three things do: its record in the store, the carrier's line, and the
//! tickets, which any server with our secret can check. Whoever gets the call's next media socket folds the
//! record and goes on.
//!
//! | file | subject |
//! |---|---|
//! | `recovery/pasts.rs` | what every call has been, kept beside it while it runs and a little longer |
//! | `recovery/entry.rs` | a media socket with a ticket: a new call, one that comes back, or neither |
//! | `recovery/at_start.rs` | the calls of a server that died or left: of this one before, or of another |
//! | `recovery/legs.rs` | legs to somebody to whom nobody leads a caller any more |
//! | `recovery/led.rs` | callers who were led to somebody else, and whose leg is to be ended all the same |
//! | `recovery/filing.rs` | what a carrier has of a recording, told after the call's end |
//! | `recovery/ends.rs` | ends that are meant, where closing the socket no longer says so |

mod at_start;
mod ends;
mod entry;
mod filing;
mod led;
mod legs;
mod pasts;

use std::time::Duration;

use voice_core::call::Past;
use voice_core::id::CallId;
use voice_core::record::Entry;

use crate::server::App;

pub(crate) use at_start::{
    adopt, adopt_one, adopt_orphans, close, end_recording_unless_back, let_go, recover,
};
pub(crate) use ends::{TwilioLeg, hang_up};
pub(crate) use entry::{Entrant, enter};
pub(crate) use filing::{call_of, file, revoke_recording};
pub(crate) use led::{hang_up_led, left_conference};
pub(crate) use legs::is_left_behind;
pub(crate) use pasts::{Known, Pasts};

/// Tickets are good for the longest call, and so much longer: its last leg may be under way.
pub(crate) const TICKET_SLACK: Duration = Duration::from_secs(10 * 60);

/// Adds this entry to the record of a call that does not run, if there is one to add. Whether there was.
fn add(app: &App, call: CallId, next: impl FnOnce(&Past) -> Option<Entry>) -> bool {
    let added = app.pasts.add(call, next);
    added.iter().for_each(|entry| tell(app, call, entry));
    added.is_some()
}

/// Tells an entry of a call that does not run, as the call would.
fn tell(app: &App, call: CallId, entry: &Entry) {
    for reader in app.parts.world.readers.iter() {
        reader.read(call, entry);
    }
}
