//! How often somebody asks: two windows for each address, in a table that a flood cannot flush.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use voice_core::time::MonoTime;

use crate::limits::{KNOWN_ADDRESS_KEPT, KNOWN_ADDRESSES_MAX, VISITORS_MAX};

/// So many requests are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In a minute.
    pub per_minute: u32,
    /// In ten seconds.
    pub burst: u32,
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
const BURST: Duration = Duration::from_secs(10);

/// A full table is looked through for those who can be forgotten this often, not at every request.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Counts what came within a length of time that ends now: all of the running window, and of the one
/// before it the part that is still in view. Two numbers instead of a list of times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    start: MonoTime,
    current: u32,
    before: u32,
}

impl Window {
    pub(super) const fn new(now: MonoTime) -> Self {
        Self { start: now, current: 0, before: 0 }
    }

    /// How long until one more is within `most`; `None` if it is now.
    pub(super) fn wait(&mut self, now: MonoTime, length: Duration, most: u32) -> Option<Duration> {
        self.roll(now, length);
        let Some(room) = most.checked_sub(1) else { return Some(length) };
        let elapsed = now.since(self.start);
        if self.current <= room {
            let clear = clear_at(self.before, room - self.current, length);
            return (clear > elapsed).then(|| clear - elapsed);
        }
        // Not in this window; in the next one, what counts now fades away.
        Some(length.saturating_sub(elapsed) + clear_at(self.current, room, length))
    }

    pub(super) fn add(&mut self, now: MonoTime, length: Duration) {
        self.roll(now, length);
        self.current = self.current.saturating_add(1);
    }

    fn roll(&mut self, now: MonoTime, length: Duration) {
        let elapsed = now.since(self.start);
        if elapsed >= length * 2 {
            *self = Self::new(now);
        } else if elapsed >= length {
            *self = Self { start: self.start + length, current: 0, before: self.current };
        }
    }
}

/// How far into a window no more than `room` of the `before` are still in view.
fn clear_at(before: u32, room: u32, length: Duration) -> Duration {
    if before <= room {
        return Duration::ZERO;
    }
    length - length.mul_f64(f64::from(room) / f64::from(before))
}

/// One address, or rather whoever has it.
#[derive(Clone, Copy, Debug)]
struct Visitor {
    minute: Window,
    burst: Window,
    seen_at: MonoTime,
}

impl Visitor {
    const fn new(now: MonoTime) -> Self {
        Self { minute: Window::new(now), burst: Window::new(now), seen_at: now }
    }

    /// How long until one more is heard; `None` if it is now.
    fn wait(&mut self, now: MonoTime, rate: Rate) -> Option<Duration> {
        let minute = self.minute.wait(now, MINUTE, rate.per_minute);
        let burst = self.burst.wait(now, BURST, rate.burst);
        minute.max(burst)
    }

    fn count(&mut self, now: MonoTime) {
        self.seen_at = now;
        self.minute.add(now, MINUTE);
        self.burst.add(now, BURST);
    }

    /// Whether forgetting it frees nobody from anything.
    fn is_spent(&self, now: MonoTime) -> bool {
        now.since(self.seen_at) >= MINUTE * 2
    }
}

/// Everybody who asked for something wrong lately.
///
/// Nobody is forgotten while they are limited: an attacker with many addresses fills the table, and those
/// who come after share one place until others have gone quiet. The carrier does not suffer from that,
/// because addresses that proved to be its own have a table that strangers cannot get into.
#[derive(Debug)]
pub(super) struct Visitors {
    rate: Rate,
    strangers: BTreeMap<u128, Visitor>,
    known: BTreeMap<u128, Visitor>,
    /// All who came when the table was full.
    crowd: Visitor,
    capacity: usize,
    sweep_at: MonoTime,
}

impl Visitors {
    pub(super) fn new(rate: Rate) -> Self {
        Self::with_capacity(rate, VISITORS_MAX)
    }

    fn with_capacity(rate: Rate, capacity: usize) -> Self {
        Self {
            rate,
            strangers: BTreeMap::new(),
            known: BTreeMap::new(),
            crowd: Visitor::new(MonoTime::ZERO),
            capacity,
            sweep_at: MonoTime::ZERO,
        }
    }

    /// How long until somebody from there is heard; `None` if it is now.
    pub(super) fn wait(&mut self, now: MonoTime, address: IpAddr) -> Option<Duration> {
        let (rate, key) = (self.rate, visitor_key(address));
        if let Some(visitor) = self.known.get_mut(&key) {
            return visitor.wait(now, rate);
        }
        if let Some(visitor) = self.strangers.get_mut(&key) {
            return visitor.wait(now, rate);
        }
        if self.has_room(now) { Visitor::new(now).wait(now, rate) } else { self.crowd.wait(now, rate) }
    }

    /// Somebody from there asked for something wrong.
    pub(super) fn count(&mut self, now: MonoTime, address: IpAddr) {
        let key = visitor_key(address);
        if let Some(visitor) = self.known.get_mut(&key) {
            return visitor.count(now);
        }
        if !self.strangers.contains_key(&key) && !self.has_room(now) {
            return self.crowd.count(now);
        }
        self.strangers.entry(key).or_insert_with(|| Visitor::new(now)).count(now);
    }

    /// Somebody from there was no stranger.
    pub(super) fn know(&mut self, now: MonoTime, address: IpAddr) {
        let key = visitor_key(address);
        if let Some(known) = self.known.get_mut(&key) {
            known.seen_at = now;
            return;
        }
        if self.known.len() >= KNOWN_ADDRESSES_MAX {
            self.known.retain(|_, visitor| now.since(visitor.seen_at) < KNOWN_ADDRESS_KEPT);
        }
        if self.known.len() < KNOWN_ADDRESSES_MAX {
            let mut visitor = self.strangers.remove(&key).unwrap_or_else(|| Visitor::new(now));
            visitor.seen_at = now;
            self.known.insert(key, visitor);
        }
    }

    fn has_room(&mut self, now: MonoTime) -> bool {
        if self.strangers.len() >= self.capacity && now >= self.sweep_at {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.strangers.retain(|_, visitor| !visitor.is_spent(now));
        }
        self.strangers.len() < self.capacity
    }
}

/// Whom an address stands for: itself with IPv4, the /64 that a customer has at least with IPv6. Two
/// addresses with the same key are counted as one.
pub fn visitor_key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;
    const RATE: Rate = Rate { per_minute: 100, burst: 20 };

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    /// Asks for something wrong, if it is heard at all.
    fn ask(visitors: &mut Visitors, now: MonoTime, address: IpAddr) -> Result<(), Duration> {
        match visitors.wait(now, address) {
            Some(wait) => Err(wait),
            None => {
                visitors.count(now, address);
                Ok(())
            }
        }
    }

    #[test]
    fn a_patient_stranger_has_about_a_hundred_a_minute() {
        let mut visitors = Visitors::new(RATE);
        let heard = |visitors: &mut Visitors, from: u64| {
            let steps = (from..from + 60_000).step_by(100);
            steps.filter(|at| ask(visitors, AT(*at), address(1)).is_ok()).count()
        };
        let first = heard(&mut visitors, 0);
        assert!((95..=100).contains(&first), "{first}");
        let second = heard(&mut visitors, 60_000);
        assert!((80..=101).contains(&second), "{second}");
    }

    #[test]
    fn all_addresses_of_one_ipv6_customer_are_one() {
        let mut visitors = Visitors::new(RATE);
        let v6 = |text: &str| text.parse::<IpAddr>().expect("an address");
        let heard = (0..100_u32)
            .filter(|n| ask(&mut visitors, AT(0), v6(&format!("2001:db8::{n:x}"))).is_ok())
            .count();
        assert_eq!(heard, 20);
        assert!(ask(&mut visitors, AT(0), v6("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn a_flood_of_addresses_frees_nobody_and_does_not_shut_out_the_carrier() {
        let mut visitors = Visitors::with_capacity(RATE, 1_000);
        let (carrier, attacker) = (address(1), address(2));
        visitors.know(AT(0), carrier);
        while ask(&mut visitors, AT(1), attacker).is_ok() {}
        let heard = (0..50_000_u32).filter(|n| ask(&mut visitors, AT(2), address(1_000 + n)).is_ok()).count();
        assert_eq!(heard, 999 + 20, "a table full of strangers, then a crowd that counts as one");
        assert!(visitors.wait(AT(3), attacker).is_some(), "the attacker is not forgotten");
        assert!(visitors.wait(AT(3), address(900_000)).is_some(), "who is new is one of the crowd");
        assert!(visitors.wait(AT(3), carrier).is_none(), "but the carrier is known");
        assert!(visitors.strangers.len() <= 1_000);
        assert!(ask(&mut visitors, AT(130_000), address(9)).is_ok(), "quiet ones make room");
        assert!(visitors.strangers.len() < 10);
    }

    #[test]
    fn who_is_known_is_limited_too_and_keeps_what_counts() {
        let mut visitors = Visitors::new(RATE);
        while ask(&mut visitors, AT(0), address(1)).is_ok() {}
        visitors.know(AT(1), address(1));
        assert!(visitors.wait(AT(1), address(1)).is_some(), "one good request pays for no bad ones");
        for number in 0..2 * u32::try_from(KNOWN_ADDRESSES_MAX).expect("small") {
            visitors.know(AT(2), address(number));
        }
        assert_eq!(visitors.known.len(), KNOWN_ADDRESSES_MAX);
        visitors.know(AT(3_600_002), address(9_000_000));
        assert_eq!(visitors.known.len(), 1, "old ones make room");
    }

    #[test]
    fn nobody_is_heard_where_nothing_is_allowed() {
        let mut visitors = Visitors::new(Rate { per_minute: 0, burst: 0 });
        assert_eq!(ask(&mut visitors, AT(0), address(1)), Err(MINUTE));
    }

    proptest! {
        /// Whoever comes whenever: never more than twice the limit in a window that begins anywhere, and
        /// who waits as long as told is heard.
        #[test]
        fn limits_hold_whatever_the_times(steps in proptest::collection::vec(0_u64..3_000, 1..400)) {
            let mut visitors = Visitors::new(RATE);
            let (mut now, mut heard) = (0, Vec::new());
            for step in steps {
                now += step;
                match ask(&mut visitors, AT(now), address(1)) {
                    Ok(()) => heard.push(now),
                    Err(wait) => {
                        let at = AT(now) + wait + Duration::from_millis(1);
                        let mut later = visitors.strangers[&visitor_key(address(1))];
                        prop_assert_eq!(later.wait(at, RATE), None);
                    }
                }
                let since = |length: u64| heard.iter().filter(|at| **at + length > now).count();
                prop_assert!(since(10_000) <= 40 && since(60_000) <= 200);
            }
        }
    }
}
