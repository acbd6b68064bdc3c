//! Why a carrier did not do what it was asked over REST, and whether it may have done it all the same.
//!
//! Two questions decide what comes next. Whether another carrier may be asked is the [`Cause`]'s answer;
//! whether it may be asked *now* is [`CarrierError::may_have_happened`]: after a request that may have
//! reached the carrier, a second one could ring the same telephone twice.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use voice_core::failure::Failure;

use crate::limits::RETRY_AFTER_MAX;

/// What went wrong with one request to a carrier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct CarrierError {
    /// Why.
    pub cause: Cause,
    /// Whether the carrier may have done what was asked. Then look before you ask anybody again.
    pub may_have_happened: bool,
    /// The carrier's own code, cleaned of anything but letters, digits, `_`, `-` and `.`.
    pub code: Option<String>,
}

/// Why a carrier did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// No answer: name, connection, TLS or time.
    #[error("no answer")]
    Network,
    /// The carrier says that it failed inside, or sent an answer that nobody can read.
    #[error("failed inside (http status {status})")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// Too many requests or calls at once. A request that is refused so was not carried out.
    #[error("throttled")]
    Throttled {
        /// How long to stay away, where the carrier said so.
        retry_after: Option<Duration>,
    },
    /// Our key or account was refused.
    #[error("refused our credentials")]
    Credentials,
    /// One of the two numbers cannot be used at this carrier: not ours, not verified, not callable, or
    /// in a country that the account may not call.
    #[error("refused one of the numbers")]
    Number,
    /// The account has no money left, or is closed.
    #[error("the account has no balance left")]
    Balance,
    /// The call is over, or was never there. To whoever wanted to hang up this is success.
    #[error("the call is gone")]
    CallGone,
    /// Our request makes no sense to the carrier. It will make none tomorrow.
    #[error("refused the request")]
    Invalid,
}

/// How far a request came that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Not a byte of it left this machine.
    NeverSent,
    /// It was sent, in part or whole, and nobody knows what became of it.
    Unknown,
    /// It was answered with this status, and then the answer broke off.
    Answered {
        /// The HTTP status.
        status: u16,
    },
}

impl CarrierError {
    /// A request without an answer.
    pub const fn unanswered(reach: Reach) -> Self {
        let may_have_happened = match reach {
            Reach::NeverSent => false,
            Reach::Unknown | Reach::Answered { .. } => true,
        };
        Self { cause: Cause::Network, may_have_happened, code: None }
    }

    /// An answer that is a refusal: nothing was done.
    pub fn refused(cause: Cause, code: Option<&str>) -> Self {
        Self { cause, may_have_happened: false, code: code.map(Failure::clean_code) }
    }

    /// What an answer's status alone says, for bodies whose code says nothing more precise.
    ///
    /// A server error does not tell at which point the server failed, so what was asked may have
    /// happened; the same goes for a success that cannot be read.
    pub fn of_status(status: u16, headers: &HeaderMap, code: Option<&str>) -> Self {
        let cause = match status {
            401 | 403 => Cause::Credentials,
            402 => Cause::Balance,
            404 | 410 => Cause::CallGone,
            // The carrier gave up waiting: nobody knows whether it had read enough.
            408 => Cause::Server { status },
            429 => Cause::Throttled { retry_after: retry_after(headers) },
            400..500 => Cause::Invalid,
            _ => Cause::Server { status },
        };
        let may_have_happened = matches!(cause, Cause::Server { .. });
        Self { may_have_happened, ..Self::refused(cause, code) }
    }

    /// Whether another carrier may do better. Says nothing about whether it may be asked now: see
    /// [`Self::may_have_happened`].
    pub const fn is_elsewhere_different(&self) -> bool {
        match self.cause {
            Cause::Network
            | Cause::Server { .. }
            | Cause::Throttled { .. }
            | Cause::Credentials
            | Cause::Number
            | Cause::Balance => true,
            Cause::CallGone | Cause::Invalid => false,
        }
    }

    /// Whether the same request makes sense at the same carrier after a while.
    pub const fn is_passing(&self) -> bool {
        matches!(self.cause, Cause::Network | Cause::Server { .. } | Cause::Throttled { .. })
    }
}

impl Cause {
    /// A short, stable name for metrics, logs and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Server { .. } => "server",
            Self::Throttled { .. } => "throttled",
            Self::Credentials => "credentials",
            Self::Number => "number",
            Self::Balance => "balance",
            Self::CallGone => "call_gone",
            Self::Invalid => "invalid",
        }
    }
}

/// `Retry-After` in whole seconds, at most [`RETRY_AFTER_MAX`]. The form with a date is not read: it
/// would need a clock that agrees with the peer's.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(status: u16) -> (Cause, bool) {
        let error = CarrierError::of_status(status, &HeaderMap::new(), None);
        (error.cause, error.may_have_happened)
    }

    #[test]
    fn what_a_status_means() {
        assert_eq!(check(400), (Cause::Invalid, false));
        assert_eq!(check(401), (Cause::Credentials, false));
        assert_eq!(check(402), (Cause::Balance, false));
        assert_eq!(check(404), (Cause::CallGone, false));
        assert_eq!(check(429), (Cause::Throttled { retry_after: None }, false));
        assert_eq!(check(503), (Cause::Server { status: 503 }, true));
    }

    /// A gateway that answers a `POST` with its own error page, and a success that is no JSON.
    #[test]
    fn what_cannot_be_understood_may_have_happened() {
        for status in [200, 201, 302, 408, 500, 502, 504] {
            assert!(check(status).1, "{status}");
        }
        assert!(CarrierError::unanswered(Reach::Unknown).may_have_happened);
        assert!(!CarrierError::unanswered(Reach::NeverSent).may_have_happened);
    }

    #[test]
    fn a_peer_cannot_send_us_away_for_ever() {
        let after = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers)
        };
        assert_eq!(after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(after("99999999999"), Some(RETRY_AFTER_MAX));
        for unread in ["", "-1", "soon", "Fri, 21 Nov 2026 07:28:00 GMT"] {
            assert_eq!(after(unread), None, "{unread}");
        }
    }

    #[test]
    fn codes_of_carriers_are_cleaned() {
        let error = CarrierError::refused(Cause::Number, Some("21211\n\u{1b}["));
        assert_eq!(error.to_string(), "refused one of the numbers (21211)");
    }
}
