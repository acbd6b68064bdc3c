//! Switching and failing over, as the caller hears it: services whose sockets die at will, callers who
//! listen for holes, and the server between them.
//!
//! Callers speak a quiet tone, alone or in bursts; services say what they hear, a round trip later, as
//! replies that end when the tone does. So every frame that is lost on the way is missed in what comes
//! back, and every silence in it is one that the caller would hear. A carrier's buffer is reckoned with:
//! what was sent ahead covers a hole.

pub mod api;
pub mod caller;
pub mod echo;
pub mod figures;
pub mod scenarios;
pub mod stage;

use std::time::Duration;

/// A frame of the telephone.
pub(crate) const FRAME: Duration = Duration::from_millis(20);
