//! Telnyx's webhook signature (protocol notes, Telnyx §2): Ed25519 over the time, a pipe and the raw body.
//!
//! Where the official libraries are lenient this is not: base64 is read strictly (no stray characters,
//! no missing padding), the time is ASCII digits and nothing else, the body is bytes and need not be
//! text. The signature is checked before the age, so that a stale request is known to have been true
//! once. What is younger than five minutes can be replayed; events carry an id for that.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signature, VerifyingKey};
use voice_core::time::UnixMillis;

use crate::limits::WEBHOOK_AGE_MAX;
use crate::webhook::{RawRequest, Rejection};

/// The key with which an account's webhooks can be checked, as the portal shows it: 32 bytes in base64.
///
/// ```
/// use voice_telephony::telnyx::PublicKey;
///
/// assert!("HFlC+XgDSJG0dV7Oz5Ck0cqU1tYYUXQvtBIgEGyHAX8=".parse::<PublicKey>().is_ok());
/// assert!("1c5942f978034891b4755ececf90a4d1ca94d6d61851742fb41220106c87017f".parse::<PublicKey>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key of 32 bytes in base64")]
pub struct PublicKeyError;

impl PublicKey {
    /// A key from its bytes.
    ///
    /// # Errors
    /// If they are no point of the curve in its one canonical form, or one of the few weak points under
    /// which a signature proves nothing.
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_LENGTH]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError)?;
        let is_canonical = key.to_edwards().compress().as_bytes() == bytes;
        if key.is_weak() || !is_canonical {
            return Err(PublicKeyError);
        }
        Ok(Self(key))
    }

    /// Whether this key signed these bytes. Strict (RFC 8032 with no second spelling of anything), so that
    /// a signature cannot be changed into another that is valid as well.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_bytes(&decode(text).ok_or(PublicKeyError)?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", STANDARD.encode(self.0.as_bytes()))
    }
}

/// The keys that webhooks may be signed with. Without one every request is refused
/// ([`Rejection::NoKey`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct PublicKeys {
    primary: Option<PublicKey>,
    previous: Option<PublicKey>,
}

impl PublicKeys {
    /// Requests are signed with this key.
    pub const fn new(primary: PublicKey) -> Self {
        Self { primary: Some(primary), previous: None }
    }

    /// Also accepts this one: during a rotation both are in use for a while.
    #[must_use]
    pub const fn with_previous(mut self, previous: PublicKey) -> Self {
        self.previous = Some(previous);
        self
    }

    /// Whether there is nothing to check a signature with.
    pub const fn is_empty(&self) -> bool {
        self.primary.is_none() && self.previous.is_none()
    }
}

const SIGNATURE_HEADER: &str = "telnyx-signature-ed25519";
const TIMESTAMP_HEADER: &str = "telnyx-timestamp";

/// Checks signature and age of any request of Telnyx.
pub(super) fn check(keys: &PublicKeys, request: &RawRequest<'_>, now: UnixMillis) -> Result<(), Rejection> {
    if keys.is_empty() {
        return Err(Rejection::NoKey);
    }
    let given = request.header(SIGNATURE_HEADER).ok_or(Rejection::MissingSignature)?;
    let timestamp = request.header(TIMESTAMP_HEADER).ok_or(Rejection::MissingSignature)?;
    let signature: [u8; SIGNATURE_LENGTH] = decode(given).ok_or(Rejection::BadSignature)?;
    let signed_at = read_seconds(timestamp).ok_or(Rejection::BadSignature)?;
    let message = [timestamp.as_bytes(), b"|", request.body].concat();
    let mut keys = keys.primary.iter().chain(&keys.previous);
    if !keys.any(|key| key.has_signed(&message, &signature)) {
        return Err(Rejection::BadSignature);
    }
    if now.as_secs().abs_diff(signed_at) > WEBHOOK_AGE_MAX.as_secs() {
        return Err(Rejection::Stale);
    }
    Ok(())
}

/// Unix seconds in ASCII digits. Leading zeros are part of what is signed and do no harm.
fn read_seconds(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_key_everything_is_refused() {
        let request = RawRequest { method: "POST", url: "", headers: &[], body: b"" };
        assert_eq!(check(&PublicKeys::default(), &request, UnixMillis(0)), Err(Rejection::NoKey));
    }

    /// Under a point of small order anything verifies; under two spellings of one key, who signed?
    #[test]
    fn weak_and_doubtful_keys_are_not_taken() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(PublicKeyError));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(PublicKeyError));
        assert_eq!(PublicKey::from_bytes(&[0xff; 32]), Err(PublicKeyError));
        assert_eq!("".parse::<PublicKey>(), Err(PublicKeyError));
    }

    #[test]
    fn a_time_is_digits() {
        assert_eq!(read_seconds("01795219200"), Some(1_795_219_200));
        for bad in ["", "+1", "-1", " 1", "1.0", "1_0", "99999999999999999999", "١"] {
            assert_eq!(read_seconds(bad), None, "{bad}");
        }
    }
}
