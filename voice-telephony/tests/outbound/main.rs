//! Calls placed by us: by hand, one thing at a time, and by the thousand against rude carriers.

mod by_hand;
mod simulated;
mod world;
