//! The door for webhooks: a request is either [`Verified`] or a [`Rejection`].

use voice_core::time::UnixMillis;

use crate::limits::WEBHOOK_BYTES_MAX;

/// An HTTP request as it arrived, borrowed from whatever server received it.
#[derive(Clone, Copy)]
pub struct RawRequest<'a> {
    /// `GET`, `POST`…
    pub method: &'a str,
    /// The public URL exactly as the carrier was told it, with scheme, host, path and query.
    ///
    /// Behind a TLS proxy this is not what the server sees: put it together from the configured public
    /// address and the request's path and query, byte for byte. Without a fragment, which is never
    /// sent and never signed.
    pub url: &'a str,
    /// Names in any case, in the order of arrival. Values that are not text may be left out.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body as it came, not parsed and not trimmed.
    pub body: &'a [u8],
}

impl<'a> RawRequest<'a> {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }

    /// The media type without its parameters, as it was written.
    pub fn content_type(&self) -> Option<&'a str> {
        self.header("content-type").map(|value| value.split(';').next().unwrap_or_default().trim())
    }
}

/// Prints sizes only: URLs, headers and bodies carry numbers and signatures.
impl std::fmt::Debug for RawRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawRequest({} header(s), {} bytes)", self.headers.len(), self.body.len())
    }
}

/// What a carrier signs: how to check it, then how to read it.
pub trait Signed: Sized {
    /// What is needed to check a signature.
    type Keys;

    /// Checks the signature, in constant time where secrets are compared, and the request's age
    /// against `now` where the carrier signs a time.
    fn check(keys: &Self::Keys, request: &RawRequest<'_>, now: UnixMillis) -> Result<(), Rejection>;

    /// Reads a request whose signature was found right.
    fn parse(request: &RawRequest<'_>) -> Result<Self, Rejection>;
}

/// A value whose signature was checked. Only [`verify`] can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value, which is no longer marked as verified from here on.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Turns the value into a part of itself, which is as verified as the whole was. Not public: what a
    /// part is must be decided beside the parser.
    pub(crate) fn part<U>(self, part: impl FnOnce(T) -> Result<U, T>) -> Result<Verified<U>, Self> {
        part(self.0).map(Verified).map_err(Self)
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Checks and reads a webhook.
///
/// # Errors
/// The [`Rejection`] says which HTTP status to answer and, by name, what to log and count.
pub fn verify<T: Signed>(
    keys: &T::Keys,
    request: &RawRequest<'_>,
    now: UnixMillis,
) -> Result<Verified<T>, Rejection> {
    if request.body.len() > WEBHOOK_BYTES_MAX {
        return Err(Rejection::TooLarge);
    }
    T::check(keys, request, now)?;
    T::parse(request).map(Verified)
}

/// Why a webhook, or the upgrade of a media socket, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// We have no key to check it with. Fails closed: an operator forgot to configure one.
    #[error("no key is configured to check the signature with")]
    NoKey,
    /// It carries no signature.
    #[error("the request is not signed")]
    MissingSignature,
    /// It carries a signature that is not of this request under any of our keys.
    #[error("the signature is wrong")]
    BadSignature,
    /// Signed too long ago, or in the future.
    #[error("the signature is too old")]
    Stale,
    /// The body is larger than any true one.
    #[error("the body is too large")]
    TooLarge,
    /// A method that no carrier uses here.
    #[error("the method is not allowed")]
    Method,
    /// A body in a form that this carrier does not use here.
    #[error("the content type is not supported")]
    ContentType,
    /// Signed, but it does not hold what it must.
    #[error("the request is malformed ({what})")]
    Malformed {
        /// Which part; our own word, never the peer's.
        what: &'static str,
    },
}

impl Rejection {
    /// The HTTP status to answer with.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NoKey | Self::MissingSignature | Self::BadSignature | Self::Stale => 403,
            Self::TooLarge => 413,
            Self::Method => 405,
            Self::ContentType => 415,
            Self::Malformed { .. } => 400,
        }
    }

    /// A short, stable name for metrics, logs and the body of the answer.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::MissingSignature => "missing_signature",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::TooLarge => "too_large",
            Self::Method => "method",
            Self::ContentType => "content_type",
            Self::Malformed { .. } => "malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signed whenever it says so.
    #[derive(Debug, PartialEq)]
    struct Honest(usize);

    impl Signed for Honest {
        type Keys = ();

        fn check((): &(), request: &RawRequest<'_>, _: UnixMillis) -> Result<(), Rejection> {
            request.header("X-Signed").map(|_| ()).ok_or(Rejection::MissingSignature)
        }

        fn parse(request: &RawRequest<'_>) -> Result<Self, Rejection> {
            Ok(Self(request.body.len()))
        }
    }

    fn check(headers: &[(&str, &str)], body: &[u8]) -> Result<usize, Rejection> {
        let request = RawRequest { method: "POST", url: "https://a.example/", headers, body };
        verify::<Honest>(&(), &request, UnixMillis(0)).map(|honest| honest.into_inner().0)
    }

    #[test]
    fn a_request_is_verified_or_refused() {
        assert_eq!(check(&[("x-signed", "1")], b"abc"), Ok(3));
        assert_eq!(check(&[("X-SIGNED", "1")], &[0; WEBHOOK_BYTES_MAX]), Ok(WEBHOOK_BYTES_MAX));
        assert_eq!(check(&[], b"abc"), Err(Rejection::MissingSignature));
    }

    #[test]
    fn size_is_checked_before_anything_is_hashed() {
        assert_eq!(check(&[], &[0; WEBHOOK_BYTES_MAX + 1]), Err(Rejection::TooLarge));
    }

    #[test]
    fn a_media_type_loses_its_parameters() {
        let headers = [("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")];
        let request = RawRequest { method: "POST", url: "", headers: &headers, body: b"" };
        assert_eq!(request.content_type(), Some("application/x-www-form-urlencoded"));
    }

    #[test]
    fn nothing_private_is_printed() {
        let headers = [("X-Twilio-Signature", "c2VjcmV0")];
        let request = RawRequest {
            method: "POST",
            url: "https://a.example/?From=%2B15550100",
            headers: &headers,
            body: b"From=%2B15550100",
        };
        assert_eq!(format!("{request:?}"), "RawRequest(1 header(s), 16 bytes)");
    }
}
