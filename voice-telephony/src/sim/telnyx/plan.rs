//! What a fake call over Telnyx is to be like.

use voice_core::sensitive::Secret;
use voice_core::time::UnixMillis;

use super::rooms::TelnyxRooms;
use super::rudeness::TelnyxRudeness;
use crate::sim::script::Script;

/// Where to call, what to say, and how rude to be.
#[derive(Clone, Debug)]
pub struct TelnyxCallPlan {
    pub(super) webhook: String,
    pub(super) key_seed: [u8; 32],
    pub(super) api_key: Secret<String>,
    pub(super) is_outgoing: bool,
    pub(super) answers: Answers,
    pub(super) speaks_alaw: bool,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) script: Script,
    pub(super) rudeness: Vec<TelnyxRudeness>,
    pub(super) seed: u64,
    pub(super) names: Option<u64>,
    pub(super) epoch: UnixMillis,
    pub(super) rooms: TelnyxRooms,
}

/// Who answers a call of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Somebody,
    /// With a beep three seconds after the answer.
    Machine,
    Nobody,
    Busy,
}

impl TelnyxCallPlan {
    /// A polite call whose events go to this webhook, signed with a key made of this seed; the API wants
    /// this key. The leg speaks mu-law.
    pub fn new(webhook: impl Into<String>, key_seed: [u8; 32], api_key: Secret<String>) -> Self {
        Self {
            webhook: webhook.into(),
            key_seed,
            api_key,
            is_outgoing: false,
            answers: Answers::Somebody,
            speaks_alaw: false,
            from: "+15005550009".to_owned(),
            to: "+15005550006".to_owned(),
            script: Script::shop(),
            rudeness: Vec::new(),
            seed: 1,
            names: None,
            epoch: UnixMillis(1_795_219_200_000),
            rooms: TelnyxRooms::default(),
        }
    }

    /// Nobody calls: the fake waits until it is told to dial.
    #[must_use]
    pub const fn waits_for_dial(mut self) -> Self {
        self.is_outgoing = true;
        self
    }

    /// Nobody answers when it is dialled, however long it rings.
    #[must_use]
    pub const fn nobody_answers(mut self) -> Self {
        self.answers = Answers::Nobody;
        self
    }

    /// A machine answers when it is dialled.
    #[must_use]
    pub const fn is_machine(mut self) -> Self {
        self.answers = Answers::Machine;
        self
    }

    /// Busy when it is dialled.
    #[must_use]
    pub const fn is_busy(mut self) -> Self {
        self.answers = Answers::Busy;
        self
    }

    /// The leg speaks A-law, whatever is asked for: the caller arrives in it.
    #[must_use]
    pub const fn speaks_alaw(mut self) -> Self {
        self.speaks_alaw = true;
        self
    }

    /// What the caller does; [`Script::shop`] unless it is said.
    #[must_use]
    pub fn with_script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Ways to misbehave.
    #[must_use]
    pub fn with_rudeness(mut self, rudeness: impl IntoIterator<Item = TelnyxRudeness>) -> Self {
        self.rudeness.extend(rudeness);
        self
    }

    /// Names of call and stream, and all chance, follow from this. Calls of one run need different ones.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Names of the call and of its events follow from this instead: a server that has seen a name
    /// before takes it for a repetition.
    #[must_use]
    pub const fn with_names(mut self, names: u64) -> Self {
        self.names = Some(names);
        self
    }

    /// The wall-clock time at the origin of the call's clock; what is signed is dated by it.
    #[must_use]
    pub const fn with_epoch(mut self, epoch: UnixMillis) -> Self {
        self.epoch = epoch;
        self
    }

    /// Conferences are those of this account.
    #[must_use]
    pub fn in_rooms(mut self, rooms: TelnyxRooms) -> Self {
        self.rooms = rooms;
        self
    }

    /// The public key that goes with the seed, in base64 as the portal shows it.
    pub fn public_key(&self) -> String {
        super::hooks::public_key(&self.key_seed)
    }
}
