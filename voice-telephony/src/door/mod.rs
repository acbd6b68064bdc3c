//! The door: what stands between the network and a webhook or media socket, in four layers.
//!
//! | layer | question | refused with | where |
//! |---|---|---|---|
//! | [`Layer::Rate`] | does this address, or this carrier, ask too often? | 429, `Retry-After` | [`Door::knock`] |
//! | [`Layer::Address`] | is the address on the carrier's list, where there is one? | 403 | [`Door::knock`] |
//! | [`Layer::Signature`] | did the carrier sign this very request? | 403 | [`crate::webhook::verify`] |
//! | [`Layer::Freshness`] | is it new? | 403, or the same answer again | [`crate::webhook::verify`], [`Replays`] |
//!
//! The first two need no more than the address and are asked before a body is read. Only the third
//! proves anything: the others keep strangers from costing much, and what was proven once from being
//! used twice.
//!
//! Everything here is a value: time is an argument, and memory has a bound.
//!
//! ```
//! use voice_core::time::MonoTime;
//! use voice_telephony::door::{Door, DoorSettings};
//!
//! let mut door = Door::new(DoorSettings::default());
//! let (now, stranger) = (MonoTime::ZERO, "192.0.2.7".parse().unwrap());
//! for _ in 0..20 {
//!     assert!(door.knock(now, "twilio", stranger).is_ok());
//!     door.failed(now, stranger); // the signature was wrong
//! }
//! let turned_away = door.knock(now, "twilio", stranger).unwrap_err();
//! assert_eq!((turned_away.status(), turned_away.name()), (429, "address_rate"));
//! ```

mod network;
mod origin;
mod rate;
mod replay;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use voice_core::time::MonoTime;

use crate::webhook::Rejection;
use rate::{Visitors, Window};

pub use network::{Network, NetworkError, Networks, PRESETS};
pub use origin::{ForwardedBy, TrustedProxies};
pub use rate::{Rate, visitor_key};
pub use replay::{Arrival, Fingerprint, Replays};

/// Which question was answered with no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// Too often.
    Rate,
    /// From an address that is not listed.
    Address,
    /// Not signed by the carrier.
    Signature,
    /// Too old, or seen before.
    Freshness,
    /// Of a shape that no carrier sends: method, size, media type, or content.
    Form,
}

impl Layer {
    /// A short, stable name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Address => "address",
            Self::Signature => "signature",
            Self::Freshness => "freshness",
            Self::Form => "form",
        }
    }
}

/// Why a request was turned away, by whichever layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TurnedAway {
    /// Too many requests from this address.
    #[error("too many requests from this address")]
    AddressRate {
        /// When one more would be heard.
        retry_after: Duration,
    },
    /// Too many requests of this carrier.
    #[error("too many requests of this carrier")]
    CarrierRate {
        /// When one more would be heard.
        retry_after: Duration,
    },
    /// The address is not on the carrier's list.
    #[error("the address is not on the list")]
    NotListed,
    /// The signature, the age or the form is wrong.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Signed, but seen before, and no retry of the carrier's.
    #[error("the request was seen before")]
    Replayed,
}

impl TurnedAway {
    /// Which layer turned it away.
    pub const fn layer(&self) -> Layer {
        match self {
            Self::AddressRate { .. } | Self::CarrierRate { .. } => Layer::Rate,
            Self::NotListed => Layer::Address,
            Self::Rejected(Rejection::NoKey | Rejection::MissingSignature | Rejection::BadSignature) => {
                Layer::Signature
            }
            Self::Rejected(Rejection::Stale) | Self::Replayed => Layer::Freshness,
            Self::Rejected(
                Rejection::TooLarge
                | Rejection::Method
                | Rejection::ContentType
                | Rejection::Malformed { .. },
            ) => Layer::Form,
        }
    }

    /// The HTTP status to answer with.
    pub const fn status(&self) -> u16 {
        match self {
            Self::AddressRate { .. } | Self::CarrierRate { .. } => 429,
            Self::NotListed | Self::Replayed => 403,
            Self::Rejected(rejection) => rejection.status(),
        }
    }

    /// A short, stable name for metrics, logs and the body of the answer.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddressRate { .. } => "address_rate",
            Self::CarrierRate { .. } => "carrier_rate",
            Self::NotListed => "not_listed",
            Self::Rejected(rejection) => rejection.name(),
            Self::Replayed => "replayed",
        }
    }

    /// The value of the header `Retry-After`, in whole seconds, where there is one.
    pub const fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::AddressRate { retry_after } | Self::CarrierRate { retry_after } => {
                let whole = retry_after.as_secs() + (retry_after.subsec_nanos() > 0) as u64;
                Some(if whole == 0 { 1 } else { whole })
            }
            Self::NotListed | Self::Rejected(_) | Self::Replayed => None,
        }
    }
}

/// How a door is set up.
#[derive(Clone, Debug)]
pub struct DoorSettings {
    /// How often one address may ask for something wrong; `None` is as often as it likes.
    pub address: Option<Rate>,
    /// How often one carrier may ask; `None` is as often as it likes.
    pub carrier: Option<Rate>,
    /// Which addresses each carrier may come from. `None` is no list at all; with lists, a carrier that
    /// has none comes from nowhere.
    pub lists: Option<BTreeMap<&'static str, Networks>>,
}

/// For webhooks: 100 a minute and 20 in ten seconds for an address, 1,000 a minute for a carrier, no list.
impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            address: Some(Rate { per_minute: 100, burst: 20 }),
            carrier: Some(Rate { per_minute: 1_000, burst: 1_000 }),
            lists: None,
        }
    }
}

/// The first two layers.
///
/// What an address is allowed is meant for strangers, so it is what they get wrong that counts
/// ([`Self::failed`]). What proves to be the carrier's own ([`Self::proven`]) counts for the carrier. So a
/// carrier whose calls all come from one address at once is not taken for an attacker, and no stranger
/// can use up what the carrier is allowed.
#[derive(Debug)]
pub struct Door {
    visitors: Option<Visitors>,
    carrier: Option<Rate>,
    /// By the names that the program has for its carriers, so there are few.
    carriers: BTreeMap<&'static str, Window>,
    lists: Option<BTreeMap<&'static str, Networks>>,
}

impl Door {
    /// A door nobody has come to.
    pub fn new(settings: DoorSettings) -> Self {
        Self {
            visitors: settings.address.map(Visitors::new),
            carrier: settings.carrier,
            carriers: BTreeMap::new(),
            lists: settings.lists,
        }
    }

    /// Somebody at this address asks for what belongs to this carrier. Ask before the body is read.
    ///
    /// # Errors
    /// Says by which layer they are turned away.
    pub fn knock(&mut self, now: MonoTime, carrier: &'static str, address: IpAddr) -> Result<(), TurnedAway> {
        if let Some(retry_after) = self.visitors.as_mut().and_then(|visitors| visitors.wait(now, address)) {
            return Err(TurnedAway::AddressRate { retry_after });
        }
        let listed =
            |lists: &BTreeMap<_, Networks>| lists.get(carrier).is_some_and(|list| list.contains(address));
        if self.lists.as_ref().is_none_or(listed) { Ok(()) } else { Err(TurnedAway::NotListed) }
    }

    /// What was asked from this address was refused, by whichever layer but the rate, or never came to its
    /// end.
    pub fn failed(&mut self, now: MonoTime, address: IpAddr) {
        if let Some(visitors) = &mut self.visitors {
            visitors.count(now, address);
        }
    }

    /// What was asked from this address proved to be the carrier's own.
    ///
    /// # Errors
    /// [`TurnedAway::CarrierRate`] if the carrier asks too often. What it asks for may be worth more than
    /// its rate: a call for which there is room should not be lost.
    pub fn proven(
        &mut self,
        now: MonoTime,
        carrier: &'static str,
        address: IpAddr,
    ) -> Result<(), TurnedAway> {
        if let Some(visitors) = &mut self.visitors {
            visitors.know(now, address);
        }
        let Some(rate) = self.carrier else { return Ok(()) };
        let window = self.carriers.entry(carrier).or_insert_with(|| Window::new(now));
        if let Some(retry_after) = window.wait(now, rate::MINUTE, rate.per_minute) {
            return Err(TurnedAway::CarrierRate { retry_after });
        }
        window.add(now, rate::MINUTE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Asks for something wrong.
    fn answer(door: &mut Door, at: u64, address: &str) -> &'static str {
        match door.knock(AT(at), "twilio", ip(address)) {
            Ok(()) => {
                door.failed(AT(at), ip(address));
                "in"
            }
            Err(away) => away.name(),
        }
    }

    #[test]
    fn a_stranger_has_twenty_in_ten_seconds_and_is_told_when_to_come_again() {
        let mut door = Door::new(DoorSettings::default());
        for at in 0..20 {
            assert_eq!(answer(&mut door, at, "192.0.2.1"), "in");
        }
        let away = door.knock(AT(20), "twilio", ip("192.0.2.1")).expect_err("one too many");
        let seconds = away.retry_after_secs().expect("a time to come again");
        assert!((1..=11).contains(&seconds), "{seconds}");
        assert_eq!((away.status(), away.layer()), (429, Layer::Rate));
        assert_eq!(answer(&mut door, 20, "192.0.2.2"), "in", "somebody else is somebody else");
        assert_eq!(answer(&mut door, 20 + seconds * 1_000, "192.0.2.1"), "in");
    }

    #[test]
    fn what_proves_to_be_the_carriers_own_counts_for_the_carrier() {
        let mut door = Door::new(DoorSettings::default());
        let carrier = ip("198.51.100.1");
        let mut answers = BTreeMap::new();
        for at in 0..2_000 {
            door.knock(AT(at), "twilio", carrier).expect("it gets nothing wrong");
            let proven = door.proven(AT(at), "twilio", carrier);
            *answers.entry(proven.map_or_else(|away| away.name(), |()| "in")).or_insert(0) += 1;
        }
        assert_eq!(answers, BTreeMap::from([("in", 1_000), ("carrier_rate", 1_000)]));
        assert!(door.proven(AT(2_000), "telnyx", carrier).is_ok(), "another carrier's are its own");
        let minutes = |count: u64| AT(count * 60_000);
        assert!(door.proven(minutes(3), "twilio", carrier).is_ok());
    }

    #[test]
    fn strangers_cannot_use_up_what_the_carrier_is_allowed() {
        let mut door = Door::new(DoorSettings::default());
        for at in 0..5_000_u64 {
            let _in_or_not = answer(&mut door, at, &format!("10.{}.{}.1", at / 250, at % 250));
        }
        assert!(door.knock(AT(5_000), "twilio", ip("198.51.100.1")).is_ok());
        assert!(door.proven(AT(5_000), "twilio", ip("198.51.100.1")).is_ok());
    }

    #[test]
    fn a_list_lets_in_whom_it_names_and_is_closed_where_it_is_empty() {
        let list: Networks = "192.0.2.0/24 2001:db8::/32".parse().expect("a list");
        let lists = Some(BTreeMap::from([("twilio", list)]));
        let mut door = Door::new(DoorSettings { lists, ..DoorSettings::default() });
        assert_eq!(answer(&mut door, 0, "192.0.2.200"), "in");
        assert_eq!(answer(&mut door, 0, "::ffff:192.0.2.200"), "in", "the same address, as IPv6 writes it");
        assert_eq!(answer(&mut door, 0, "2001:db8:1::1"), "in");
        assert_eq!(answer(&mut door, 0, "192.0.3.1"), "not_listed");
        let away = door.knock(AT(0), "telnyx", ip("192.0.2.200")).expect_err("no list, nobody");
        assert_eq!((away.status(), away.layer(), away.retry_after_secs()), (403, Layer::Address, None));
    }

    #[test]
    fn without_limits_and_lists_everybody_may_ask() {
        let mut door = Door::new(DoorSettings { address: None, carrier: None, lists: None });
        for at in 0..5_000 {
            assert_eq!(answer(&mut door, at, "192.0.2.1"), "in");
            assert!(door.proven(AT(at), "twilio", ip("192.0.2.1")).is_ok());
        }
    }

    #[test]
    fn every_reason_belongs_to_a_layer() {
        for (away, layer, status) in [
            (TurnedAway::Rejected(Rejection::NoKey), "signature", 403),
            (TurnedAway::Rejected(Rejection::Stale), "freshness", 403),
            (TurnedAway::Replayed, "freshness", 403),
            (TurnedAway::Rejected(Rejection::TooLarge), "form", 413),
            (TurnedAway::NotListed, "address", 403),
        ] {
            assert_eq!((away.layer().name(), away.status()), (layer, status), "{away}");
        }
    }
}
