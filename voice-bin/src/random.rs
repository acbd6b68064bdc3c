//! Randomness that cannot be guessed, from the operating system by way of the TLS library.

/// So many bytes; `None` if the system has none to give.
pub(crate) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes)
}

/// A seed for what must only be spread, not unguessable: the same everywhere if the system has none.
pub(crate) fn seed() -> u64 {
    random().map_or(0, u64::from_le_bytes)
}

/// What the names of a simulated call follow from: no two calls to one server have the same.
pub(crate) fn new_names() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}
