//! How many connections of a kind there may be, in all and from one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::gauge;
use voice_telephony::door::visitor_key;

/// The HTTP connections of a server, or its media sockets that are not calls yet.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    most_from_one: usize,
    /// The metric that shows them.
    shown: Option<&'static str>,
    /// Taken when a connection begins or ends, for a look-up.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    from: BTreeMap<u128, usize>,
}

/// Leave to keep one connection. Free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    key: Option<u128>,
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
        let key = (!is_proxy).then(|| visitor_key(peer));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= self.most {
            return Err(Crowded::InAll);
        }
        if let Some(key) = key {
            let from = open.from.entry(key).or_default();
            if *from >= self.most_from_one {
                return Err(Crowded::FromOne);
            }
            *from += 1;
        }
        open.count += 1;
        self.show(&open);
        Ok(Place { connections: self.clone(), key })
    }

    fn show(&self, open: &Open) {
        if let Some(shown) = self.shown {
            gauge!(shown).set(open.count as f64);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.count -= 1;
        if let Some(key) = self.key
            && let Some(from) = open.from.get_mut(&key)
        {
            *from -= 1;
            if *from == 0 {
                open.from.remove(&key);
            }
        }
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
        assert_eq!((open.count, open.from.len()), (0, 0));
    }
}
