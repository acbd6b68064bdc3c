//! Conferences of an account: who is in them, and whether they are over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All conferences of an account, shared by its calls.
#[derive(Clone, Debug, Default)]
pub struct Rooms(
    /// A lock, because calls run as tasks of their own and meet here: held to come, go or look.
    Arc<Mutex<BTreeMap<String, Room>>>,
);

#[derive(Debug, Default)]
struct Room {
    members: u32,
    /// The most there ever were at once.
    most: u32,
    /// How often it came to its end.
    ended: u32,
}

/// A stay in a conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) name: String,
    pub(super) ends: bool,
    round: u32,
}

impl Rooms {
    /// The most who ever were in this conference at once.
    pub fn most(&self, name: &str) -> u32 {
        self.lock().get(name).map_or(0, |room| room.most)
    }

    /// The names of all conferences that anybody ever joined.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    pub(super) fn join(&self, name: &str, ends: bool) -> Stay {
        let mut rooms = self.lock();
        let room = rooms.entry(name.to_owned()).or_default();
        room.members += 1;
        room.most = room.most.max(room.members);
        Stay { name: name.to_owned(), ends, round: room.ended }
    }

    pub(super) fn leave(&self, stay: &Stay) {
        if let Some(room) = self.lock().get_mut(&stay.name)
            && room.ended == stay.round
        {
            room.members -= 1;
            if stay.ends {
                room.ended += 1;
                room.members = 0;
            }
        }
    }

    pub(super) fn is_over(&self, stay: &Stay) -> bool {
        self.lock().get(&stay.name).is_none_or(|room| room.ended != stay.round)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
