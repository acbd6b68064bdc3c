//! Who asks, when proxies stand before us: only what a trusted one says is believed.

use std::net::{IpAddr, SocketAddr};

use super::network::Networks;
use crate::limits::FORWARDED_HOPS_MAX;

/// The header in which our proxies name whom they ask for.
///
/// One of the two, never whichever is there: a proxy that writes one passes the other on as the stranger
/// wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For: client, proxy`, which nearly all write.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
}

/// The proxies that are ours. None unless said otherwise: then the peer is who asks, whatever it says.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    proxies: Networks,
    header: ForwardedBy,
}

impl TrustedProxies {
    /// These, which name in this header for whom they ask.
    pub const fn new(proxies: Networks, header: ForwardedBy) -> Self {
        Self { proxies, header }
    }

    /// Whether the address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.proxies.contains(address)
    }

    /// The name of the header, in lower case.
    pub const fn header(&self) -> &'static str {
        match self.header {
            ForwardedBy::XForwardedFor => "x-forwarded-for",
            ForwardedBy::Forwarded => "forwarded",
        }
    }

    /// The address that asks: the peer, or whom our proxies name.
    ///
    /// `values` are those of [`Self::header`], in the order of arrival. Each proxy appends whom it heard, so
    /// they are read from the right, and only as far as the one who says so is ours. Whatever stands
    /// further left is the stranger's own invention.
    pub fn address<'a>(&self, peer: IpAddr, values: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut address = peer.to_canonical();
        let hops = values.rev().flat_map(|value| value.rsplit(',')).take(FORWARDED_HOPS_MAX);
        for hop in hops {
            if !self.contains(address) {
                break;
            }
            // A proxy that says nothing we can read is as far as we can see.
            let Some(before) = self.read(hop.trim()) else { break };
            address = before.to_canonical();
        }
        address
    }

    fn read(&self, hop: &str) -> Option<IpAddr> {
        let node = match self.header {
            ForwardedBy::XForwardedFor => hop,
            ForwardedBy::Forwarded => hop.split(';').find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for").then(|| value.trim_matches('"'))
            })?,
        };
        let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
        bare.parse().ok().or_else(|| node.parse().ok().map(|socket: SocketAddr| socket.ip()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(header: ForwardedBy, peer: &str, values: &[&str]) -> String {
        let ours = "10.0.0.0/8 2001:db8::/32".parse().expect("a list");
        let proxies = TrustedProxies::new(ours, header);
        proxies.address(peer.parse().expect("an address"), values.iter().copied()).to_string()
    }

    fn plain(peer: &str, values: &[&str]) -> String {
        address(ForwardedBy::XForwardedFor, peer, values)
    }

    #[test]
    fn a_stranger_is_who_they_are_whatever_they_say() {
        assert_eq!(plain("192.0.2.1", &["127.0.0.1"]), "192.0.2.1");
        assert_eq!(plain("192.0.2.1", &[]), "192.0.2.1");
        let nobody = TrustedProxies::default();
        let local = "127.0.0.1".parse().expect("an address");
        assert_eq!(nobody.address(local, ["192.0.2.1"].into_iter()), local);
    }

    #[test]
    fn proxies_are_walked_from_the_right() {
        assert_eq!(plain("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(plain("10.0.0.1", &["127.0.0.1, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(plain("10.0.0.1", &["127.0.0.1", "192.0.2.1", "10.0.0.2"]), "192.0.2.1");
        assert_eq!(plain("10.0.0.1", &["10.0.0.3,10.0.0.2"]), "10.0.0.3", "all of them ours");
        assert_eq!(plain("::ffff:10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
        assert_eq!(plain("10.0.0.1", &["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(plain("2001:db8::1", &["[2001:db9::1]:4711"]), "2001:db9::1");
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk_at_who_said_it() {
        for garbage in ["unknown", "", ",", "_hidden", "192.0.2.1, ?", "1.2.3.4.5", "for=192.0.2.1"] {
            assert_eq!(plain("10.0.0.1", &[garbage]), "10.0.0.1", "{garbage}");
        }
        let endless = "10.0.0.2,".repeat(1_000) + "10.0.0.2";
        assert_eq!(plain("10.0.0.1", &["192.0.2.1", &endless]), "10.0.0.2", "no further than the bound");
    }

    #[test]
    fn the_standard_header_is_read_where_it_is_the_one() {
        let forwarded = |values: &[&str]| address(ForwardedBy::Forwarded, "10.0.0.1", values);
        assert_eq!(forwarded(&["for=192.0.2.1;proto=https;by=10.0.0.1"]), "192.0.2.1");
        assert_eq!(forwarded(&[r#"For="[2001:db9::1]:4711", for=10.0.0.2"#]), "2001:db9::1");
        assert_eq!(forwarded(&["for=192.0.2.1", "for=10.0.0.9;host=a.example"]), "192.0.2.1");
        assert_eq!(forwarded(&["for=unknown"]), "10.0.0.1");
        assert_eq!(forwarded(&["192.0.2.1"]), "10.0.0.1", "that is the other header's form");
    }

    proptest! {
        /// Whatever a stranger writes to the left of what our proxy appends changes nothing.
        #[test]
        fn a_stranger_cannot_choose_an_address(invented in "[0-9a-f.:,; =\"for]{0,60}") {
            prop_assert_eq!(plain("10.0.0.1", &[&invented, "192.0.2.1"]), "192.0.2.1");
            prop_assert_eq!(plain("10.0.0.1", &[&format!("{invented}, 192.0.2.1")]), "192.0.2.1");
        }
    }
}
