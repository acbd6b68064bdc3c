//! Who asks: an extension of every request.

use std::net::IpAddr;

/// The address that a request comes from: the peer, or whom a proxy of ours (`TRUSTED_PROXIES`) names.
///
/// Behind a proxy that is not listed there it is the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);
