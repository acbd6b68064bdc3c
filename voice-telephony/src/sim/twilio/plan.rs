//! What a fake call is to be like.

use std::time::Duration;

use voice_core::sensitive::Secret;

use super::rooms::Rooms;
use crate::sim::rudeness::Rudeness;
use crate::sim::script::Script;

/// Where to call, what to say, and how rude to be.
#[derive(Clone, Debug)]
pub struct TwilioCallPlan {
    pub(super) webhook: String,
    pub(super) token: Secret<String>,
    pub(super) status_callback: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) script: Script,
    pub(super) rudeness: Vec<Rudeness>,
    pub(super) seed: u64,
    /// Call and account, where somebody else gave the names: then the call is one to the caller.
    pub(super) names: Option<(String, String)>,
    /// What the names follow from, if not from the seed.
    pub(super) naming: Option<u64>,
    pub(super) manners: Manners,
    pub(super) rooms: Rooms,
}

/// What somebody does whom nobody leads to a media socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// They press this when a key is asked for.
    pub(super) presses: Option<char>,
    /// They hang up after so long, whatever happens.
    pub(super) leaves_after: Option<Duration>,
}

impl TwilioCallPlan {
    /// A polite call to this webhook, signed with this auth token. The status callback goes to the same
    /// URL.
    pub fn new(webhook: impl Into<String>, token: Secret<String>) -> Self {
        let webhook = webhook.into();
        Self {
            status_callback: Some(webhook.clone()),
            webhook,
            token,
            from: "+15005550009".to_owned(),
            to: "+15005550006".to_owned(),
            script: Script::shop(),
            rudeness: Vec::new(),
            seed: 1,
            names: None,
            naming: None,
            manners: Manners::default(),
            rooms: Rooms::default(),
        }
    }

    /// What the caller does; [`Script::shop`] unless it is said.
    #[must_use]
    pub fn with_script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Ways to misbehave.
    #[must_use]
    pub fn with_rudeness(mut self, rudeness: impl IntoIterator<Item = Rudeness>) -> Self {
        self.rudeness.extend(rudeness);
        self
    }

    /// Names of call and stream, and all chance, follow from this. Calls to one server need different ones,
    /// or [`Self::with_names`]: a call of a known name is a replay.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Names of call and stream follow from this instead of the seed, so that the same call can be placed
    /// twice.
    #[must_use]
    pub const fn with_names(mut self, names: u64) -> Self {
        self.naming = Some(names);
        self
    }

    /// Where to tell that the call is over; nowhere for `None`.
    #[must_use]
    pub fn with_status_callback(mut self, url: Option<String>) -> Self {
        self.status_callback = url;
        self
    }

    /// Who calls whom.
    #[must_use]
    pub fn with_numbers(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.from = from.into();
        self.to = to.into();
        self
    }

    /// They press this when a key is asked for; nothing otherwise.
    #[must_use]
    pub const fn presses(mut self, key: Option<char>) -> Self {
        self.manners.presses = key;
        self
    }

    /// They hang up after so long, whatever happens.
    #[must_use]
    pub const fn leaves_after(mut self, length: Option<Duration>) -> Self {
        self.manners.leaves_after = length;
        self
    }

    /// Conferences are those of this account.
    #[must_use]
    pub fn in_rooms(mut self, rooms: Rooms) -> Self {
        self.rooms = rooms;
        self
    }

    /// The call was placed over REST under this name: the webhook is asked because somebody answered.
    #[must_use]
    pub fn placed_by_us(mut self, call: impl Into<String>, account: impl Into<String>) -> Self {
        self.names = Some((call.into(), account.into()));
        self
    }
}
