//! Orders of calls: the same one only once, and from nobody too many.
//!
//! Who does not hear our answer orders again. With a key of theirs (`Idempotency-Key`) that is the same order:
//! the answer is given again, and no second call is placed.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use voice_core::driver::Clock;
use voice_core::id::CallId;
use voice_core::time::MonoTime;
use voice_telephony::door::Fingerprint;

use super::ClientAddress;

/// How long an answer is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// So many answers at the most, and so much of them: one is half a kilobyte, with much metadata thirty. The
/// oldest are forgotten first.
const ANSWERS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// Clients whose pace is known at once. All others share one place, so that nobody gets around their limit by
/// coming from many addresses.
const CLIENTS_MAX: usize = 4_096;

/// A key of more characters is none.
const KEY_CHARACTERS_MAX: usize = 255;

const MINUTE: Duration = Duration::from_secs(60);

/// What was ordered lately, and by whom.
#[derive(Debug)]
pub(crate) struct Orders {
    clock: Clock,
    per_minute: Option<NonZeroU32>,
    /// Held while an order is read, which waits for nothing, so that its repetition finds the answer.
    table: Mutex<Table>,
}

/// An order that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) call: CallId,
    /// The answer's body.
    pub(crate) body: Bytes,
}

/// Why an order is not even looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// This client has ordered enough; one more may come after so long.
    TooMany(Duration),
    /// The key belongs to another order.
    OtherOrder,
    /// That is no key.
    NoKey,
}

#[derive(Debug, Default)]
struct Table {
    answers: BTreeMap<Arc<str>, Answer>,
    /// Oldest first.
    ages: VecDeque<(MonoTime, Arc<str>)>,
    bytes: usize,
    /// When the last of each client's orders will have been paid for, at the pace that is allowed.
    paid_at: BTreeMap<Option<IpAddr>, MonoTime>,
}

#[derive(Debug)]
struct Answer {
    print: Fingerprint,
    taken: Taken,
}

impl Orders {
    /// Each client may order so many calls a minute; without a number, as many as they like.
    pub(crate) fn new(clock: Clock, per_minute: Option<NonZeroU32>) -> Self {
        Self { clock, per_minute, table: Mutex::default() }
    }

    /// Takes an order, or gives the answer to it that was given before. The outer error is why it was not
    /// looked at, the inner one what is wrong with it.
    pub(crate) fn take<E>(
        &self,
        client: ClientAddress,
        key: Option<&[u8]>,
        order: &[u8],
        place: impl FnOnce() -> Result<Taken, E>,
    ) -> Result<Result<Taken, E>, Unheard> {
        let key = key.map(read).transpose()?;
        let (now, print) = (self.clock.now(), Fingerprint::of(&[order]));
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.forget(now);
        if let Some(known) = key.and_then(|key| table.answers.get(key)) {
            return if known.print == print { Ok(Ok(known.taken.clone())) } else { Err(Unheard::OtherOrder) };
        }
        if let Some(per_minute) = self.per_minute {
            table.pay(now, client.0.to_canonical(), per_minute).map_err(Unheard::TooMany)?;
        }
        let taken = match place() {
            Ok(taken) => taken,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(key) = key {
            table.keep(now, key, Answer { print, taken: taken.clone() });
        }
        Ok(Ok(taken))
    }
}

impl Orders {
    /// One more call that this client orders, without a key: it can be ordered once only anyway. The error is how
    /// long to wait before it.
    pub(crate) fn pay(&self, client: ClientAddress) -> Result<(), Unheard> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.pay(self.clock.now(), client.0.to_canonical(), per_minute).map_err(Unheard::TooMany)
    }
}

/// Visible characters, as a header has them (RFC 9110, section 5.6.2, and the quotes that the draft of the header
/// has around them).
fn read(key: &[u8]) -> Result<&str, Unheard> {
    let is_good = (1..=KEY_CHARACTERS_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(key).ok().filter(|_| is_good).ok_or(Unheard::NoKey)
}

impl Orders {
    /// The order came to nothing after all: its key is free again.
    pub(crate) fn withdraw(&self, key: Option<&[u8]>) {
        let Some(key) = key.and_then(|key| read(key).ok()) else { return };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = table.answers.remove(key) {
            table.bytes -= answer.taken.body.len();
            // Its age goes with it, or it would end the next answer under the same key too soon.
            table.ages.retain(|(_, one)| **one != *key);
        }
    }
}

impl Table {
    /// One more order of this client; the error is how long to wait before it.
    fn pay(&mut self, now: MonoTime, client: IpAddr, per_minute: NonZeroU32) -> Result<(), Duration> {
        if self.paid_at.len() >= CLIENTS_MAX {
            self.paid_at.retain(|_, paid_at| *paid_at > now);
        }
        let is_known = self.paid_at.contains_key(&Some(client));
        let client = Some(client).filter(|_| is_known || self.paid_at.len() < CLIENTS_MAX);
        let price = MINUTE / per_minute.get();
        let paid_at = self.paid_at.entry(client).or_insert(now);
        let next = (*paid_at).max(now) + price;
        // A whole minute's orders may come at once.
        if next > now + MINUTE {
            return Err(next.since(now + MINUTE));
        }
        *paid_at = next;
        Ok(())
    }

    fn keep(&mut self, now: MonoTime, key: &str, answer: Answer) {
        let key: Arc<str> = key.into();
        self.bytes += answer.taken.body.len();
        self.ages.push_back((now, key.clone()));
        self.answers.insert(key, answer);
        while self.ages.len() > ANSWERS_MAX || self.bytes > BYTES_MAX {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    fn forget(&mut self, now: MonoTime) {
        while self.ages.front().is_some_and(|(at, _)| now.since(*at) >= REMEMBERED_FOR) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, key)) = self.ages.pop_front() else { return false };
        if let Some(answer) = self.answers.remove(&key) {
            self.bytes -= answer.taken.body.len();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    fn taken(call: u128, bytes: usize) -> Taken {
        Taken { call: CallId::from_u128(call), body: vec![b'x'; bytes].into() }
    }

    fn answer(call: u128, bytes: usize) -> Answer {
        Answer { print: Fingerprint::of(&[]), taken: taken(call, bytes) }
    }

    #[tokio::test]
    async fn the_same_order_is_placed_once() {
        let orders = Orders::new(Clock::start(), NonZeroU32::new(2));
        let take = |key: Option<&[u8]>, order: &[u8], call| {
            let place = || if call == 0 { Err("no") } else { Ok(taken(call, 9)) };
            orders.take(ClientAddress(HERE), key, order, place)
        };
        let key = Some(&b"k-1"[..]);
        assert_eq!(take(key, b"{}", 0), Ok(Err("no")), "what was refused may be mended under the same key");
        assert_eq!(take(key, b"{}", 1), Ok(Ok(taken(1, 9))));
        // Neither counts as one more, and nobody is called again.
        assert_eq!(take(key, b"{}", 2), Ok(Ok(taken(1, 9))));
        assert_eq!(take(key, b"{ }", 3), Err(Unheard::OtherOrder));
        assert!(matches!(take(None, b"{}", 4), Err(Unheard::TooMany(_))));
        for bad in [&b""[..], b"a b", "\u{e9}".as_bytes(), &[b'k'; 256]] {
            assert_eq!(take(Some(bad), b"{}", 5), Err(Unheard::NoKey));
        }
    }

    #[test]
    fn a_client_has_a_minutes_orders_and_then_one_after_the_other() {
        let mut table = Table::default();
        let twenty = NonZeroU32::new(20).expect("twenty is not zero");
        for _ in 0..20 {
            assert_eq!(table.pay(AT(0), HERE, twenty), Ok(()));
        }
        assert_eq!(table.pay(AT(0), HERE, twenty), Err(Duration::from_secs(3)));
        assert_eq!(table.pay(AT(1_000), HERE, twenty), Err(Duration::from_secs(2)));
        assert_eq!(table.pay(AT(3_000), HERE, twenty), Ok(()));
        let other = IpAddr::from([192, 0, 2, 7]);
        assert_eq!(table.pay(AT(3_000), other, twenty), Ok(()), "each has their own");
    }

    #[test]
    fn many_addresses_are_one_client() {
        let mut table = Table::default();
        let one = NonZeroU32::MIN;
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let heard =
            (0..CLIENTS_MAX as u32 + 10).filter(|number| table.pay(AT(0), address(*number), one).is_ok());
        assert_eq!(heard.count(), CLIENTS_MAX + 1);
        // After their minute they are forgotten.
        assert_eq!(table.pay(AT(60_000), address(9_999), one), Ok(()));
    }

    #[test]
    fn answers_are_forgotten_when_they_are_old_or_too_many() {
        let mut table = Table::default();
        for call in 0..ANSWERS_MAX as u128 + 1 {
            table.keep(AT(0), &call.to_string(), answer(call, 1));
        }
        assert_eq!((table.answers.len(), table.bytes), (ANSWERS_MAX, ANSWERS_MAX));
        assert!(!table.answers.contains_key("0") && table.answers.contains_key("1"));
        table.keep(AT(1), "large", answer(7, BYTES_MAX));
        assert_eq!((table.answers.len(), table.bytes), (1, BYTES_MAX));
        table.forget(AT(1) + REMEMBERED_FOR);
        assert_eq!((table.answers.len(), table.ages.len(), table.bytes), (0, 0, 0));
    }
}
