//! Conferences of a fake Telnyx account: begun by a call, joined by others under Telnyx's own name, over when the
//! last one leaves (protocol notes, Telnyx §1.2 and §3).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use voice_core::time::MonoTime;

use super::api::{ApiAnswer, ok, refuse};
use super::rudeness::TelnyxRudeness;
use super::{Effect, FakeTelnyxCall, Leg};

/// All conferences of an account, shared by its calls.
#[derive(Clone, Debug, Default)]
pub struct TelnyxRooms(
    /// A lock, because calls run as tasks of their own and meet here: held to come, go or look.
    Arc<Mutex<Vec<Room>>>,
);

#[derive(Debug)]
struct Room {
    id: String,
    name: String,
    members: BTreeSet<String>,
    /// Somebody ended it, with everybody in it.
    is_over: bool,
    /// The most there ever were at once.
    most: usize,
}

impl TelnyxRooms {
    /// The most who ever were at once in a conference of this name.
    pub fn most(&self, name: &str) -> usize {
        self.lock().iter().filter(|room| room.name == name).map(|room| room.most).max().unwrap_or_default()
    }

    /// Begins one, by the word of somebody who is not one of these calls; for tests.
    pub fn begin(&self, name: &str, member: &str) -> Option<String> {
        let mut rooms = self.lock();
        if rooms.iter().any(|room| room.name == name && room.goes_on()) {
            return None;
        }
        let id = format!("conference-{}", rooms.len() + 1);
        let members = BTreeSet::from([member.to_owned()]);
        rooms.push(Room { id: id.clone(), name: name.to_owned(), members, is_over: false, most: 1 });
        Some(id)
    }

    /// Ends all of this name, by the word of somebody who is not one of these calls: their legs stay; for tests.
    pub fn end(&self, name: &str) {
        self.lock().iter_mut().filter(|room| room.name == name).for_each(|room| room.is_over = true);
    }

    /// Whether this call was in one that was ended; once.
    pub(super) fn was_ended(&self, member: &str) -> bool {
        self.lock().iter_mut().any(|room| room.is_over && room.members.remove(member))
    }

    pub(super) fn leave(&self, member: &str) {
        self.lock().iter_mut().for_each(|room| {
            room.members.remove(member);
        });
    }

    /// Those of this name that go on, as the API lists them.
    pub(super) fn list(&self, name: &str) -> Value {
        let rooms = self.lock();
        let found = rooms.iter().filter(|room| room.name == name && room.goes_on());
        found.map(|room| json!({"record_type": "conference", "id": room.id, "name": room.name, "status": "in_progress"})).collect()
    }

    fn join(&self, id: &str, member: &str) -> bool {
        let mut rooms = self.lock();
        let room = rooms.iter_mut().find(|room| room.id == id && room.goes_on());
        room.is_some_and(|room| {
            room.members.insert(member.to_owned());
            room.most = room.most.max(room.members.len());
            true
        })
    }

    fn holds(&self, member: &str) -> bool {
        self.lock().iter().any(|room| room.members.contains(member))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn goes_on(&self) -> bool {
        !self.is_over && !self.members.is_empty()
    }
}

impl FakeTelnyxCall {
    /// Whoever is in a conference that somebody ended is out of it, and nowhere.
    pub(super) fn look_at_conference(&mut self, now: MonoTime) {
        if self.room.is_some() && self.plan.rooms.was_ended(&self.names.call_control_id) {
            for kind in ["conference.participant.left", "conference.ended"] {
                self.later(now, Effect::Conference(kind));
            }
        }
    }

    pub(super) fn begin_conference(&mut self, now: MonoTime, body: &Value) -> ApiAnswer {
        self.report_command("create");
        let Some(name) = body["name"].as_str() else { return refuse(422, 10_004, "name is missing") };
        if let Some(refused) = self.may_not_confer() {
            return refused;
        }
        // The code is not published.
        let taken = || refuse(422, 10_015, "A conference of this name is in progress");
        let Some(id) = self.plan.rooms.begin(name, &self.names.call_control_id) else { return taken() };
        self.is_in(now, &id, &["conference.created", "conference.participant.joined"]);
        ok(json!({"record_type": "conference", "id": id, "name": name}))
    }

    pub(super) fn confer(&mut self, now: MonoTime, room: &str, action: &str) -> ApiAnswer {
        self.report_command(action);
        let gone = || refuse(404, 10_005, "Resource not found");
        match action {
            "join" => {
                if let Some(refused) = self.may_not_confer() {
                    return refused;
                }
                if !self.plan.rooms.join(room, &self.names.call_control_id) {
                    return gone();
                }
                self.is_in(now, room, &["conference.participant.joined"]);
            }
            "leave" if self.plan.rooms.holds(&self.names.call_control_id) => {
                self.plan.rooms.leave(&self.names.call_control_id);
                self.is_in(now, room, &["conference.participant.left"]);
            }
            _ => return gone(),
        }
        ok(json!({"result": "ok"}))
    }

    fn may_not_confer(&self) -> Option<ApiAnswer> {
        if self.is(TelnyxRudeness::NoConferences) {
            return Some(refuse(403, 10_010, "Not authorized"));
        }
        if !matches!(self.leg, Leg::Talking { .. }) {
            return Some(refuse(422, 90_034, "Call not answered yet"));
        }
        let is_in_one = self.plan.rooms.holds(&self.names.call_control_id);
        is_in_one.then(|| refuse(422, 90_044, "Call is already in a conference"))
    }

    fn is_in(&mut self, now: MonoTime, room: &str, told: &[&'static str]) {
        self.room = Some(room.to_owned());
        let pause = self.rng.millis(50..300);
        told.iter().for_each(|kind| self.later(now + pause, Effect::Conference(kind)));
    }
}
