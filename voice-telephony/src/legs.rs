//! Signed tickets: leave to open one of a call's media sockets, which any server of ours can check that
//! knows the same secret, also one that was started after the ticket was given out.
//!
//! A call that is to survive its server needs more than one media socket: its *legs*, numbered from 1. Each
//! has a ticket of its own, bound to call, carrier, leg and an end. Nothing is kept for it; so that it opens
//! one socket only, whoever takes it remembers the highest leg that came ([`LegsSeen`]) and looks into the
//! call's record for what other servers saw.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use voice_core::id::{CallId, CorrelationId};
use voice_core::sensitive::{Pii, Secret};
use voice_core::time::{MonoTime, UnixMillis};

use crate::limits::LEGS_SEEN_MAX;
use crate::ticket::{StreamTicket, TicketError};

/// What the key is derived with, so that the secret behind it signs nothing else in the same way.
const KEY_LABEL: &[u8] = b"voice: media legs, 1";

/// The form of what is signed. Another form, another number.
const FORM: u8 = 1;

/// Of a text this much goes into a ticket: name and value of a parameter stay below 500 characters
/// (protocol notes, Twilio §1), and three texts share it.
const TEXT_BYTES_MAX: usize = 72;

/// Signs tickets and checks them. All servers that share calls share it.
///
/// ```
/// use voice_core::id::{CallId, CorrelationId};
/// use voice_core::time::UnixMillis;
/// use voice_telephony::legs::{Leg, LegKey};
/// use voice_telephony::ticket::TicketError;
///
/// let key = LegKey::derive(b"the carrier's auth token, for one");
/// let leg = Leg {
///     call: CallId::from_u128(7),
///     number: 2,
///     correlation: CorrelationId::from_static("c-1"),
///     from: "+15005550009".into(),
///     to: "+15005550006".into(),
/// };
/// let ticket = key.sign("twilio", "CA0123", UnixMillis(60_000), &leg);
/// assert_eq!(key.open("twilio", "CA0123", UnixMillis(1), ticket.expose()), Ok(leg));
/// let late = key.open("twilio", "CA0123", UnixMillis(60_000), ticket.expose());
/// assert_eq!(late, Err(TicketError::Expired));
/// ```
#[derive(Clone)]
pub struct LegKey(Secret<[u8; 32]>);

/// Prints no key.
impl fmt::Debug for LegKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegKey([secret])")
    }
}

/// What a ticket gives leave to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Which call.
    pub call: CallId,
    /// Which of its media sockets, from 1.
    pub number: u32,
    /// Finds the call in everybody's logs.
    pub correlation: CorrelationId,
    /// Who calls, for a server that knows nothing of the call; 72 bytes at most are carried.
    pub from: Pii<String>,
    /// The number that was called; 72 bytes at most.
    pub to: Pii<String>,
}

impl LegKey {
    /// From a secret that all servers have. It need not be a key: it is made one under a label of its own.
    pub fn derive(secret: &[u8]) -> Self {
        Self(Secret::new(mac(secret, &[KEY_LABEL])))
    }

    /// A ticket for this leg of that call, good until `expires`.
    pub fn sign(&self, carrier: &str, carrier_call: &str, expires: UnixMillis, leg: &Leg) -> StreamTicket {
        let mut body = vec![FORM];
        body.extend(expires.0.to_be_bytes());
        body.extend(leg.number.to_be_bytes());
        body.extend(leg.call.as_u128().to_be_bytes());
        for text in [leg.correlation.as_str(), leg.from.expose(), leg.to.expose()] {
            let text = &text.as_bytes()[..cut(text)];
            body.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            body.extend(text);
        }
        let seal = self.seal(carrier, carrier_call, &body);
        StreamTicket::signed(format!("{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(seal)))
    }

    /// What a ticket gives leave to, if it is one of ours, for this call, and still good. Compared in
    /// constant time.
    ///
    /// # Errors
    /// [`TicketError::Unknown`] for whatever nobody with our key has signed for this call, else
    /// [`TicketError::Expired`].
    pub fn open(
        &self,
        carrier: &str,
        carrier_call: &str,
        now: UnixMillis,
        token: &str,
    ) -> Result<Leg, TicketError> {
        let unknown = || TicketError::Unknown;
        let (body, seal) = token.split_once('.').ok_or_else(unknown)?;
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketError::Unknown);
        let (body, seal) = (decoded(body)?, decoded(seal)?);
        self.keyed(carrier, carrier_call, &body).verify_slice(&seal).map_err(|_| TicketError::Unknown)?;
        let (expires, leg) = read(&body).ok_or_else(unknown)?;
        if now >= expires { Err(TicketError::Expired) } else { Ok(leg) }
    }

    fn seal(&self, carrier: &str, carrier_call: &str, body: &[u8]) -> [u8; 32] {
        self.keyed(carrier, carrier_call, body).finalize().into_bytes().into()
    }

    fn keyed(&self, carrier: &str, carrier_call: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes a key of any length");
        // With its length before each part, no two calls sign alike.
        for part in [carrier.as_bytes(), carrier_call.as_bytes(), body] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// Legs that have come, so that each comes once to this process. Bounded: what is pushed out is left to the
/// call's record.
#[derive(Debug, Default)]
pub struct LegsSeen {
    highest: BTreeMap<CallId, (u32, MonoTime)>,
}

impl LegsSeen {
    /// A leg has come.
    ///
    /// # Errors
    /// [`TicketError::Used`] if it, or a later one of the same call, has come before.
    pub fn take(&mut self, now: MonoTime, call: CallId, leg: u32) -> Result<(), TicketError> {
        if self.highest.get(&call).is_some_and(|(highest, _)| leg <= *highest) {
            return Err(TicketError::Used);
        }
        if self.highest.len() >= LEGS_SEEN_MAX {
            // Ids rise with time, so the first is the oldest.
            self.highest.pop_first();
        }
        self.highest.insert(call, (leg, now));
        Ok(())
    }

    /// Forgets calls of which nothing came for so long.
    pub fn forget(&mut self, now: MonoTime, after: Duration) {
        self.highest.retain(|_, (_, at)| now.since(*at) < after);
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Whole characters within the room of a text.
fn cut(text: &str) -> usize {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

fn read(body: &[u8]) -> Option<(UnixMillis, Leg)> {
    let (form, rest) = body.split_first()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (call, mut rest) = rest.split_first_chunk::<16>()?;
    let mut texts = Vec::with_capacity(3);
    for _ in 0..3 {
        let (length, more) = rest.split_first()?;
        let (text, more) = more.split_at_checked(usize::from(*length))?;
        texts.push(std::str::from_utf8(text).ok()?.to_owned());
        rest = more;
    }
    let [correlation, from, to] = <[String; 3]>::try_from(texts).ok()?;
    let leg = Leg {
        call: CallId::from_u128(u128::from_be_bytes(*call)),
        number: u32::from_be_bytes(*number),
        correlation: correlation.parse().ok()?,
        from: from.into(),
        to: to.into(),
    };
    let is_whole = *form == FORM && rest.is_empty() && leg.number > 0;
    is_whole.then(|| (UnixMillis(i64::from_be_bytes(*expires)), leg))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: UnixMillis = UnixMillis(1_000_000);
    const NOW: UnixMillis = UnixMillis(5);

    fn leg(number: u32) -> Leg {
        Leg {
            call: CallId::from_u128(7),
            number,
            correlation: CorrelationId::from_static("c-1"),
            from: "+15005550009".into(),
            to: "sip:ünser@a.example".into(),
        }
    }

    #[test]
    fn any_server_with_the_secret_opens_it_and_nobody_else() {
        let ticket = LegKey::derive(b"secret").sign("twilio", "CA1", LATE, &leg(2));
        let open =
            |key: &[u8], carrier, call, token: &str| LegKey::derive(key).open(carrier, call, NOW, token);
        assert_eq!(open(b"secret", "twilio", "CA1", ticket.expose()), Ok(leg(2)));
        for (key, carrier, call) in
            [(&b"other"[..], "twilio", "CA1"), (b"secret", "telnyx", "CA1"), (b"secret", "twilio", "CA2")]
        {
            assert_eq!(open(key, carrier, call, ticket.expose()), Err(TicketError::Unknown));
        }
    }

    #[test]
    fn whatever_is_changed_is_unknown() {
        let key = LegKey::derive(b"secret");
        let ticket = key.sign("twilio", "CA1", LATE, &leg(2));
        let token = ticket.expose();
        for at in 0..token.len() {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("all of it is ASCII");
            // The last letter of a part has bits that say nothing; strict decoding refuses those, too.
            assert_eq!(key.open("twilio", "CA1", NOW, &changed), Err(TicketError::Unknown), "{at}");
        }
        for bad in ["", ".", "a.b", &token[1..], &format!("{token}.")] {
            assert_eq!(key.open("twilio", "CA1", NOW, bad), Err(TicketError::Unknown), "{bad}");
        }
    }

    #[test]
    fn a_ticket_fits_where_it_must_and_is_never_printed() {
        let key = LegKey::derive(b"secret");
        let long = "ä".repeat(300);
        let correlation = "c".repeat(64).parse().expect("a correlation id");
        let wide = Leg { correlation, from: long.clone().into(), to: long.into(), ..leg(u32::MAX) };
        let ticket = key.sign("twilio", "CA1", LATE, &wide);
        assert!(ticket.expose().len() + "ticket".len() < 500, "{}", ticket.expose().len());
        assert!(ticket.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        let opened = key.open("twilio", "CA1", NOW, ticket.expose()).expect("it is ours");
        assert_eq!(opened.from.expose(), &"ä".repeat(36));
        assert!(!format!("{ticket:?} {key:?} {opened:?}").contains('ä'));
    }

    #[test]
    fn each_leg_comes_once_and_none_after_a_later_one() {
        let mut seen = LegsSeen::default();
        let (now, call) = (MonoTime::ZERO, CallId::from_u128(7));
        assert_eq!(seen.take(now, call, 1), Ok(()));
        assert_eq!(seen.take(now, call, 1), Err(TicketError::Used));
        assert_eq!(seen.take(now, call, 4), Ok(()));
        assert_eq!(seen.take(now, call, 3), Err(TicketError::Used));
        assert_eq!(seen.take(now, CallId::from_u128(8), 1), Ok(()));
        seen.forget(MonoTime::from_millis(10), Duration::from_millis(10));
        assert_eq!(seen.take(now, call, 1), Ok(()), "forgotten");
    }
}
