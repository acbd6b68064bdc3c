//! One-time tickets: leave to open the media socket of one call, once, soon.
//!
//! A carrier's media socket carries no login. What the webhook's answer gives away to the carrier
//! alone comes back in the stream's first message, and proves that the socket belongs to a call that
//! we agreed to take.
//!
//! The table keeps only the SHA-256 of a token, so that neither a core dump nor a log of it opens a
//! socket. Tokens are found by that digest and then compared in constant time; what a search for a
//! digest could reveal by its timing is of no use to somebody who would have to invert it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;

use crate::limits::{TICKET_LIFETIME, TICKETS_MAX};

/// What is given to the carrier: 43 characters of `A–Z a–z 0–9 - _`, safe in XML, JSON and URLs; signed ones
/// are longer, and have a dot.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamTicket(Secret<String>);

impl StreamTicket {
    /// One that proves itself; see [`crate::legs`].
    pub(crate) fn signed(text: String) -> Self {
        Self(Secret::new(text))
    }

    /// The text, for the answer to the carrier and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for StreamTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamTicket([secret])")
    }
}

/// Why a ticket does not open the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// Never issued, or so long ago that it is forgotten.
    #[error("the ticket is unknown")]
    Unknown,
    /// Somebody has come with it before.
    #[error("the ticket was used before")]
    Used,
    /// Issued too long ago.
    #[error("the ticket has expired")]
    Expired,
    /// Issued for another call.
    #[error("the ticket belongs to another call")]
    WrongCall,
    /// Its call was ended by us, and is not to come back.
    #[error("the call is over")]
    CallOver,
}

impl TicketError {
    /// A short, stable name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "ticket_unknown",
            Self::Used => "ticket_used",
            Self::Expired => "ticket_expired",
            Self::WrongCall => "ticket_wrong_call",
            Self::CallOver => "ticket_call_over",
        }
    }
}

/// Tickets that were issued, each with what it grants. Bounded, and forgets by itself.
///
/// ```
/// use voice_core::time::MonoTime;
/// use voice_telephony::ticket::{TicketError, Tickets};
///
/// let now = MonoTime::ZERO;
/// let mut tickets = Tickets::default();
/// let random = [7; 32]; // of a cryptographic generator
/// let ticket = tickets.issue(now, random, "CA0123", "agent 7");
/// assert_eq!(tickets.redeem(now, ticket.expose(), "CA0123"), Ok("agent 7"));
/// assert_eq!(tickets.redeem(now, ticket.expose(), "CA0123"), Err(TicketError::Used));
/// ```
#[derive(Debug)]
pub struct Tickets<T> {
    lifetime: Duration,
    capacity: usize,
    /// In the order of issue, so also of expiry.
    entries: VecDeque<Entry<T>>,
    /// From a token's digest to the entry's number.
    numbers: BTreeMap<[u8; 32], u64>,
    /// Number of the first entry.
    first: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Entry<T> {
    digest: [u8; 32],
    carrier_call: String,
    issued_at: MonoTime,
    /// Gone once the ticket was used.
    grant: Option<T>,
}

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        Self::new(TICKET_LIFETIME, TICKETS_MAX)
    }
}

impl<T> Tickets<T> {
    /// Tickets that live so long, so many of them at once (at least one).
    pub fn new(lifetime: Duration, capacity: usize) -> Self {
        Self {
            lifetime,
            capacity: capacity.max(1),
            entries: VecDeque::new(),
            numbers: BTreeMap::new(),
            first: 0,
            dropped: 0,
        }
    }

    /// Makes a ticket for a call. `random` must come from a cryptographic generator, fresh each time.
    ///
    /// A retried webhook gets a ticket of its own; whichever the carrier uses counts. When the table
    /// is full the oldest ticket goes, see [`Self::dropped`].
    pub fn issue(
        &mut self,
        now: MonoTime,
        random: [u8; 32],
        carrier_call: impl Into<String>,
        grant: T,
    ) -> StreamTicket {
        self.forget_old(now);
        if self.entries.len() >= self.capacity
            && let Some(oldest) = self.forget_first()
            && oldest.grant.is_some()
            && now.since(oldest.issued_at) < self.lifetime
        {
            self.dropped += 1;
        }
        let token = URL_SAFE_NO_PAD.encode(random);
        let digest = digest_of(&token);
        self.numbers.insert(digest, self.first + self.entries.len() as u64);
        self.entries.push_back(Entry {
            digest,
            carrier_call: carrier_call.into(),
            issued_at: now,
            grant: Some(grant),
        });
        StreamTicket(Secret::new(token))
    }

    /// Takes a ticket in exchange for what it grants.
    ///
    /// # Errors
    /// Says why not. A ticket shown for another call stays good for its own: whoever has it but not the
    /// call's name cannot spoil it.
    pub fn redeem(&mut self, now: MonoTime, token: &str, carrier_call: &str) -> Result<T, TicketError> {
        self.forget_old(now);
        let digest = digest_of(token);
        let number = *self.numbers.get(&digest).ok_or(TicketError::Unknown)?;
        let position = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        let entry = self.entries.get_mut(position).ok_or(TicketError::Unknown)?;
        if !bool::from(entry.digest.ct_eq(&digest)) {
            return Err(TicketError::Unknown);
        }
        if entry.carrier_call != carrier_call {
            return Err(TicketError::WrongCall);
        }
        if entry.grant.is_some() && now.since(entry.issued_at) >= self.lifetime {
            return Err(TicketError::Expired);
        }
        entry.grant.take().ok_or(TicketError::Used)
    }

    /// Tickets that could still be redeemed when they had to make room. Above zero the table is too
    /// small, or somebody asks for calls that they never open.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Entries kept, redeemable or not.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// An entry stays a second lifetime, so that a late socket is told `Expired` or `Used` and not
    /// `Unknown`, which in a log would look like an attack.
    fn forget_old(&mut self, now: MonoTime) {
        while self.entries.front().is_some_and(|entry| now.since(entry.issued_at) >= self.lifetime * 2) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) -> Option<Entry<T>> {
        let entry = self.entries.pop_front()?;
        if self.numbers.get(&entry.digest) == Some(&self.first) {
            self.numbers.remove(&entry.digest);
        }
        self.first += 1;
        Some(entry)
    }
}

fn digest_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    fn random(number: u8) -> [u8; 32] {
        [number; 32]
    }

    #[test]
    fn opens_once_for_its_own_call_in_time() {
        let mut tickets = Tickets::default();
        let ticket = tickets.issue(AT(0), random(1), "CA1", 'a');
        assert_eq!(tickets.redeem(AT(1), "x", "CA1"), Err(TicketError::Unknown));
        assert_eq!(tickets.redeem(AT(1), ticket.expose(), "CA2"), Err(TicketError::WrongCall));
        assert_eq!(tickets.redeem(AT(59_999), ticket.expose(), "CA1"), Ok('a'));
        assert_eq!(tickets.redeem(AT(59_999), ticket.expose(), "CA1"), Err(TicketError::Used));
        assert_eq!(tickets.redeem(AT(60_001), ticket.expose(), "CA1"), Err(TicketError::Used));
    }

    #[test]
    fn expires_and_is_then_forgotten() {
        let mut tickets = Tickets::default();
        let ticket = tickets.issue(AT(0), random(1), "CA1", ());
        assert_eq!(tickets.redeem(AT(60_000), ticket.expose(), "CA1"), Err(TicketError::Expired));
        assert_eq!(tickets.redeem(AT(119_999), ticket.expose(), "CA1"), Err(TicketError::Expired));
        assert_eq!(tickets.redeem(AT(120_000), ticket.expose(), "CA1"), Err(TicketError::Unknown));
        assert!(tickets.is_empty());
    }

    #[test]
    fn the_oldest_makes_room_and_is_counted() {
        let mut tickets = Tickets::new(Duration::from_secs(60), 2);
        let first = tickets.issue(AT(0), random(1), "CA1", 1);
        let second = tickets.issue(AT(0), random(2), "CA2", 2);
        assert_eq!(tickets.redeem(AT(1), second.expose(), "CA2"), Ok(2));
        let third = tickets.issue(AT(2), random(3), "CA3", 3);
        assert_eq!((tickets.len(), tickets.dropped()), (2, 1));
        assert_eq!(tickets.redeem(AT(3), first.expose(), "CA1"), Err(TicketError::Unknown));
        assert_eq!(tickets.redeem(AT(3), second.expose(), "CA2"), Err(TicketError::Used));
        tickets.issue(AT(4), random(4), "CA4", 4);
        assert_eq!(tickets.dropped(), 1, "a used ticket is no loss");
        assert_eq!(tickets.redeem(AT(5), third.expose(), "CA3"), Ok(3));
    }

    /// A caller with a broken generator harms only itself: the newer ticket counts, also after the older
    /// one had to go.
    #[test]
    fn the_same_random_bytes_twice_make_one_ticket() {
        let mut tickets = Tickets::new(Duration::from_secs(60), 2);
        let first = tickets.issue(AT(0), random(1), "CA1", 1);
        let second = tickets.issue(AT(0), random(1), "CA2", 2);
        assert_eq!(first, second);
        tickets.issue(AT(1), random(3), "CA3", 3);
        assert_eq!(tickets.redeem(AT(2), first.expose(), "CA1"), Err(TicketError::WrongCall));
        assert_eq!(tickets.redeem(AT(2), second.expose(), "CA2"), Ok(2));
    }

    #[test]
    fn a_ticket_fits_into_xml_json_and_urls_and_is_never_printed() {
        let mut tickets = Tickets::default();
        let ticket = tickets.issue(AT(0), [0xfb; 32], "CA1", ());
        assert_eq!(ticket.expose().len(), 43);
        assert!(ticket.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        assert!(!format!("{ticket:?} {tickets:?}").contains(ticket.expose()));
    }

    proptest! {
        /// Against a plain list: whatever is issued and shown when, nothing opens twice, late, or for
        /// another call, and the table stays within its bound.
        #[test]
        fn a_table_behaves_like_a_list(
            steps in proptest::collection::vec((any::<bool>(), 0_u8..6, 0_u64..40, any::<bool>()), 0..60),
        ) {
            let lifetime = Duration::from_millis(100);
            let mut tickets = Tickets::new(lifetime, 4);
            let mut issued: Vec<(StreamTicket, String, u64, bool)> = Vec::new();
            let mut now = 0;
            for (number, (is_issue, which, wait, is_own)) in steps.into_iter().enumerate() {
                now += wait;
                if is_issue || issued.is_empty() {
                    let call = format!("CA{number}");
                    let ticket = tickets.issue(AT(now), random(number as u8), call.as_str(), number);
                    issued.push((ticket, call, now, false));
                } else {
                    let at = usize::from(which) % issued.len();
                    let newer = issued.len() - 1 - at;
                    let (ticket, call, since, used) = &mut issued[at];
                    let shown = if is_own { call.as_str() } else { "CA" };
                    let opens = tickets.redeem(AT(now), ticket.expose(), shown).is_ok();
                    prop_assert_eq!(opens, is_own && !*used && now - *since < 100 && newer < 4);
                    *used |= opens;
                }
                prop_assert!(tickets.len() <= 4);
            }
        }
    }
}
