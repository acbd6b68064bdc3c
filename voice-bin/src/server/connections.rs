//! How many connections of a kind there may be, in all and from one address, and who makes room.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use tokio_util::sync::CancellationToken;
use voice_core::driver::Clock;
use voice_core::time::MonoTime;
use voice_telephony::door::visitor_key;

/// The HTTP connections of a server, or its media sockets that are not calls yet.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    most_from_one: usize,
    /// The metric that shows them.
    shown: Option<&'static str>,
    /// Taken when a connection begins or ends or its work does, for a look-up, and to look through all when
    /// somebody must make room.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    seats: BTreeMap<u64, Seat>,
    next: u64,
    from: BTreeMap<u128, usize>,
}

/// One that is taken.
#[derive(Debug)]
struct Seat {
    key: Option<u128>,
    /// Since when nothing is done for it: it may be asked to make room.
    idle: Option<MonoTime>,
    leave: CancellationToken,
}

/// Leave to keep one connection. Free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    leave: CancellationToken,
}

/// Something is being done for a connection; when this is dropped, it is idle.
#[derive(Debug)]
pub(crate) struct Busy {
    place: Arc<Place>,
    clock: Clock,
}

/// Why there is no place, as a name for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    InAll,
    FromOne,
}

impl Connections {
    pub(crate) fn new(most: usize, most_from_one: usize, shown: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { most, most_from_one, shown, open: Mutex::new(Open::default()) })
    }

    /// Takes a place for a connection from there. A proxy of ours speaks for many and counts only in all.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> Result<Place, Crowded> {
        self.seat(&mut self.open(), (!is_proxy).then(|| visitor_key(peer)), None)
    }

    /// The same; where all are taken, whoever has been idle for longest makes room, of the same address if
    /// that has too many. Answers whether somebody had to.
    pub(crate) fn take_or_evict(
        self: &Arc<Self>,
        now: MonoTime,
        peer: IpAddr,
        is_proxy: bool,
    ) -> Result<(Place, bool), Crowded> {
        let key = (!is_proxy).then(|| visitor_key(peer));
        let mut open = self.open();
        let mut evicted = false;
        loop {
            let crowded = match self.seat(&mut open, key, Some(now)) {
                Ok(place) => return Ok((place, evicted)),
                Err(crowded) => crowded,
            };
            let of = key.filter(|_| crowded == Crowded::FromOne);
            let may_go = |seat: &Seat| seat.idle.filter(|_| of.is_none() || seat.key == of);
            let idlest = open.seats.iter().filter_map(|(number, seat)| Some((may_go(seat)?, *number))).min();
            let (_, number) = idlest.ok_or(crowded)?;
            open.leave(number);
            evicted = true;
        }
    }

    fn seat(
        self: &Arc<Self>,
        open: &mut Open,
        key: Option<u128>,
        idle: Option<MonoTime>,
    ) -> Result<Place, Crowded> {
        if key.is_some_and(|key| open.from.get(&key).is_some_and(|from| *from >= self.most_from_one)) {
            return Err(Crowded::FromOne);
        }
        if open.seats.len() >= self.most {
            return Err(Crowded::InAll);
        }
        if let Some(key) = key {
            *open.from.entry(key).or_default() += 1;
        }
        let (number, leave) = (open.next, CancellationToken::new());
        open.next += 1;
        open.seats.insert(number, Seat { key, idle, leave: leave.clone() });
        self.show(open);
        Ok(Place { connections: self.clone(), number, leave })
    }

    fn mark(&self, number: u64, idle: Option<MonoTime>) {
        if let Some(seat) = self.open().seats.get_mut(&number) {
            seat.idle = idle;
        }
    }

    fn show(&self, open: &Open) {
        if let Some(shown) = self.shown {
            gauge!(shown).set(open.seats.len() as f64);
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn leave(&mut self, number: u64) {
        let Some(seat) = self.seats.remove(&number) else { return };
        seat.leave.cancel();
        if let Some(key) = seat.key
            && let Some(from) = self.from.get_mut(&key)
        {
            *from -= 1;
            if *from == 0 {
                self.from.remove(&key);
            }
        }
    }
}

impl Place {
    /// Something is done for this connection, and it will not be asked to make room meanwhile.
    pub(crate) fn busy(self: &Arc<Self>, clock: Clock) -> Busy {
        self.connections.mark(self.number, None);
        Busy { place: self.clone(), clock }
    }

    /// When this connection is to make room for another.
    pub(crate) async fn evicted(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.place.connections.mark(self.place.number, Some(self.clock.now()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.leave(self.number);
        self.connections.show(&open);
    }
}

impl Crowded {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InAll => "in_all",
            Self::FromOne => "from_one_address",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    #[test]
    fn places_are_counted_in_all_and_by_address_and_come_back() {
        let connections = Connections::new(4, 2, None);
        let take = |peer: &str, is_proxy| connections.take(peer.parse().unwrap(), is_proxy);
        let (first, second) = (take("192.0.2.1", false).unwrap(), take("192.0.2.1", false).unwrap());
        assert_eq!(take("::ffff:192.0.2.1", false).unwrap_err(), Crowded::FromOne);
        let proxy = take("192.0.2.1", true).unwrap();
        let other = take("192.0.2.2", false).unwrap();
        assert_eq!(take("192.0.2.3", false).unwrap_err(), Crowded::InAll);
        drop(first);
        let again = take("192.0.2.1", false).unwrap();
        drop((second, proxy, other, again));
        let open = connections.open.lock().unwrap();
        assert_eq!((open.seats.len(), open.from.len()), (0, 0));
    }

    #[tokio::test]
    async fn who_has_been_idle_for_longest_makes_room_and_who_is_busy_does_not() {
        let connections = Connections::new(3, 2, None);
        let clock = Clock::start();
        let take = |at, peer: &str| {
            let taken = connections.take_or_evict(AT(at), peer.parse().unwrap(), false);
            taken.map(|(place, evicted)| (Arc::new(place), evicted))
        };
        let gone = |place: &Place| place.leave.is_cancelled();
        let (oldest, _) = take(1, "192.0.2.1").unwrap();
        let working = oldest.busy(clock);
        let (second, _) = take(2, "192.0.2.2").unwrap();
        let (third, _) = take(3, "192.0.2.3").unwrap();
        let (fourth, evicted) = take(4, "192.0.2.4").unwrap();
        assert!(evicted && gone(&second) && !gone(&third) && !gone(&oldest));
        // Its place was given away already, and is not given twice.
        drop(second);
        let (fifth, evicted) = take(5, "192.0.2.4").unwrap();
        assert!(evicted && gone(&third));
        // Of an address that has too many it is one of its own.
        let (sixth, _) = take(6, "192.0.2.4").unwrap();
        assert!(gone(&fourth) && !gone(&fifth) && !gone(&sixth));
        let (also, and) = (fifth.busy(clock), sixth.busy(clock));
        assert_eq!(take(7, "192.0.2.5").map(|_| ()), Err(Crowded::InAll));
        assert_eq!(take(7, "192.0.2.4").map(|_| ()), Err(Crowded::FromOne));
        drop(working);
        assert!(take(8, "192.0.2.5").is_ok_and(|(_, evicted)| evicted && gone(&oldest)));
        drop((also, and));
    }
}
