//! Networks in CIDR notation, lists of them, and what carriers say of their own addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::limits::NETWORKS_MAX;

/// A network: all addresses that begin with the same bits. A single address is one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// Why a text is no list of networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// Neither an address, nor a network, nor the name of a preset.
    #[error("{0:?} is neither a network like 192.0.2.0/24 nor one of {names}", names = preset_names())]
    Unknown(String),
    /// The prefix is longer than an address.
    #[error("{0:?} has a prefix that is longer than an address")]
    Prefix(String),
    /// The address has bits that the prefix leaves out, so one of the two is not what was meant.
    #[error("{given:?} begins at {first}, so write {first}/{prefix}, or the address alone")]
    Host {
        /// As it was written.
        given: String,
        /// Where a network of that prefix begins.
        first: IpAddr,
        /// The prefix.
        prefix: u8,
    },
    /// More networks than a list may have.
    #[error("more than {NETWORKS_MAX} networks")]
    TooMany,
}

impl Network {
    /// Whether the address is one of them. IPv4 written as IPv6 (`::ffff:192.0.2.1`) is IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                address.to_bits() & mask == first.to_bits()
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                address.to_bits() & mask == first.to_bits()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let unknown = || NetworkError::Unknown(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| unknown())?;
        let bits = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let length = match prefix {
            None => bits(given),
            // Digits and nothing else: `parse` would take a sign.
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits(given))
                .ok_or_else(|| NetworkError::Prefix(text.to_owned()))?,
            Some(_) => return Err(unknown()),
        };
        let (address, prefix) = match given.to_canonical() {
            IpAddr::V4(v4) if given.is_ipv6() && length >= 96 => (IpAddr::V4(v4), length - 96),
            IpAddr::V4(_) if given.is_ipv6() => (given, length),
            canonical @ (IpAddr::V4(_) | IpAddr::V6(_)) => (canonical, length),
        };
        let first = first_of(address, prefix);
        if first != address {
            return Err(NetworkError::Host { given: text.to_owned(), first, prefix });
        }
        Ok(Self { first, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

fn first_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// Some networks. Read from text: networks, addresses and names of [`PRESETS`], separated by commas or
/// spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Whether one of them has the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let mut networks = Vec::new();
        for word in text.split([',', ' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
            match PRESETS.iter().find(|(name, _)| *name == word) {
                Some((_, list)) => {
                    for network in *list {
                        networks.push(network.parse()?);
                    }
                }
                None => networks.push(word.parse()?),
            }
            if networks.len() > NETWORKS_MAX {
                return Err(NetworkError::TooMany);
            }
        }
        Ok(Self(networks))
    }
}

/// What carriers publish of their addresses (protocol notes, Twilio §7 and Telnyx §6, as of November
/// 2026), by a name that may stand in a list.
///
/// Twilio publishes no addresses for webhooks and media sockets, so there is no preset for them: its two
/// lists are for SIP and RTP, and a list of nothing else refuses every webhook of Twilio. Telnyx's pages
/// contradict each other. Whatever a list says, the signature decides.
pub const PRESETS: &[(&str, &[&str])] = &[
    (
        "twilio-sip",
        &[
            "54.172.60.0/30",
            "54.244.51.0/30",
            "54.171.127.192/30",
            "35.156.191.128/30",
            "54.65.63.192/30",
            "54.169.127.128/30",
            "54.252.254.64/30",
            "177.71.206.192/30",
        ],
    ),
    ("twilio-rtp", &["168.86.128.0/18"]),
    ("telnyx-webhooks", &["192.76.120.192/27"]),
    (
        "telnyx-sockets",
        &[
            "192.76.120.128/29",
            "192.76.120.136/29",
            "192.76.120.144/29",
            "185.246.41.0/29",
            "185.246.41.8/29",
            "185.246.41.16/29",
            "103.115.244.0/29",
            "103.115.244.8/29",
        ],
    ),
    (
        "telnyx-sip",
        &[
            "192.76.120.10",
            "64.16.250.10",
            "5.172.39.10",
            "5.172.39.25",
            "193.108.220.10",
            "193.108.220.25",
            "103.135.104.10",
            "103.135.104.25",
        ],
    ),
];

fn preset_names() -> String {
    PRESETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().expect("a network").contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_network_has_what_begins_alike() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.5"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("::1", "::1", "::2"),
            ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            assert!(contains(network, inside) && !contains(network, outside), "{network}");
        }
    }

    #[test]
    fn what_is_no_network_is_explained() {
        for bad in ["", "/", "1.2.3", "1.2.3.4/", "1.2.3.4/+8", "1.2.3.4/ 8", "a/8", "1.2.3.4/8/8", "[::1]"] {
            assert!(matches!(bad.parse::<Network>(), Err(NetworkError::Unknown(_))), "{bad}");
        }
        for bad in ["1.2.3.4/33", "::1/129", "1.2.3.4/999"] {
            assert!(matches!(bad.parse::<Network>(), Err(NetworkError::Prefix(_))), "{bad}");
        }
        let error = "192.0.2.1/24".parse::<Network>().expect_err("host bits");
        assert!(error.to_string().contains("write 192.0.2.0/24"), "{error}");
    }

    #[test]
    fn every_preset_is_a_list_and_lists_mix() {
        for (name, list) in PRESETS {
            assert_eq!(name.parse::<Networks>().map(|networks| networks.len()), Ok(list.len()), "{name}");
        }
        let mixed: Networks = "telnyx-webhooks, 192.0.2.0/24\n2001:db8::/32 ".parse().expect("a list");
        assert_eq!(mixed.len(), 3);
        assert!("telnyx-webhook".parse::<Networks>().is_err());
        let flood = "1.2.3.4 ".repeat(NETWORKS_MAX + 1);
        assert_eq!(flood.parse::<Networks>(), Err(NetworkError::TooMany));
        assert!("".parse::<Networks>().is_ok_and(|networks| networks.is_empty()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Networks>();
        }

        #[test]
        fn what_is_printed_is_read_again(bits in any::<u128>(), prefix in 0_u8..=128) {
            let first = first_of(Ipv6Addr::from_bits(bits).into(), prefix);
            let network = Network { first, prefix };
            prop_assume!(first.to_canonical() == first);
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.contains(Ipv6Addr::from_bits(bits).into()) || prefix > 96);
        }
    }
}
