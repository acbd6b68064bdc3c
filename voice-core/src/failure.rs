//! What can go wrong with a provider, whose fault it is, and what is done about it: one table.

use std::time::Duration;

use crate::wire::{LineEnd, Unreachable};

/// Something went wrong on the provider's side of a call.
///
/// Sessions only say what happened; [`Failure::verdict`] and [`Failure::blame`] say what it means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection never came up.
    #[error("could not connect ({0:?})")]
    Unreachable(Unreachable),
    /// The service answered the connection with an HTTP error that says nothing more precise.
    #[error("refused the connection (http status {status})")]
    Refused {
        /// The status code.
        status: u16,
    },
    /// It did not become ready in time.
    #[error("not ready within {0:?}")]
    NotReady(Duration),
    /// The WebSocket was closed by the service.
    #[error("closed by the provider (code {code})")]
    Closed {
        /// RFC 6455 close code.
        code: u16,
    },
    /// The connection vanished without a close frame.
    #[error("the connection was cut")]
    Cut,
    /// The connection stands but nothing comes, although something should.
    #[error("no sign of life for {0:?}")]
    Stalled(Duration),
    /// It reads more slowly than the caller speaks.
    #[error("reads too slowly")]
    Clogged,
    /// It sent something that cannot be read, more than once.
    #[error("sent something we cannot read ({0})")]
    Unreadable(&'static str),
    /// The service says that it failed inside.
    #[error("reports an internal failure ({code})")]
    Service {
        /// The service's own code, cleaned of anything but letters, digits, `_`, `-` and `.`.
        code: String,
    },
    /// Too many requests or tokens.
    #[error("throttled")]
    Throttled {
        /// How long to stay away, if the service said so.
        retry_after: Option<Duration>,
    },
    /// Our credentials were refused.
    #[error("refused our credentials")]
    Credentials,
    /// The account is out of money or closed.
    #[error("the account has no quota left")]
    Quota,
    /// Our settings were refused: an unknown model, a parameter it does not take.
    #[error("refused our settings ({code})")]
    Settings {
        /// The service's own code or the parameter's name, cleaned as in [`Failure::Service`].
        code: String,
    },
    /// The longest session the service allows is over.
    #[error("the session reached its longest duration")]
    SessionLimit,
    /// An error that changes nothing: a lost race, a cancel that came too late.
    #[error("harmless ({code})")]
    Harmless {
        /// The service's own code, cleaned as in [`Failure::Service`].
        code: String,
    },
}

/// Whose fault it is. Only [`Blame::Provider`] counts against a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Theirs.
    Provider,
    /// Ours: key, settings, account.
    Us,
    /// Nobody's: a limit that everybody knows, a race.
    Nobody,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on as if nothing had happened.
    Ignore,
    /// Somebody else must take the call; this provider may be tried again after a while.
    SwitchAndRetryAfter(Duration),
    /// Somebody else must take the call.
    SwitchNow,
    /// Somebody else must take the call, and this provider will fail the same way until a human acts.
    NeverAgain,
}

impl Failure {
    /// The table: whose fault, and what now.
    pub fn judge(&self) -> (Blame, Verdict) {
        match self {
            Self::Harmless { .. } => (Blame::Nobody, Verdict::Ignore),
            Self::SessionLimit => (Blame::Nobody, Verdict::SwitchNow),
            Self::Credentials | Self::Quota | Self::Settings { .. } => (Blame::Us, Verdict::NeverAgain),
            Self::Throttled { retry_after } => {
                (Blame::Provider, Verdict::SwitchAndRetryAfter(retry_after.unwrap_or(THROTTLE_DEFAULT)))
            }
            Self::Unreachable(_)
            | Self::Refused { .. }
            | Self::NotReady(_)
            | Self::Closed { .. }
            | Self::Cut
            | Self::Stalled(_)
            | Self::Clogged
            | Self::Unreadable(_)
            | Self::Service { .. } => (Blame::Provider, Verdict::SwitchNow),
        }
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        self.judge().0
    }

    /// What to do now.
    pub fn verdict(&self) -> Verdict {
        self.judge().1
    }

    /// A short, stable name for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused { .. } => "refused",
            Self::NotReady(_) => "not_ready",
            Self::Closed { .. } => "closed",
            Self::Cut => "cut",
            Self::Stalled(_) => "stalled",
            Self::Clogged => "clogged",
            Self::Unreadable(_) => "unreadable",
            Self::Service { .. } => "service",
            Self::Throttled { .. } => "throttled",
            Self::Credentials => "credentials",
            Self::Quota => "quota",
            Self::Settings { .. } => "settings",
            Self::SessionLimit => "session_limit",
            Self::Harmless { .. } => "harmless",
        }
    }

    /// What the end of a line means where the service's own codes say nothing more precise.
    pub fn from_line_end(end: &LineEnd) -> Self {
        match end {
            LineEnd::Unreachable(why) => Self::Unreachable(*why),
            LineEnd::Refused { status: 401 | 403, .. } => Self::Credentials,
            LineEnd::Refused { status: 429, retry_after, .. } => {
                Self::Throttled { retry_after: *retry_after }
            }
            LineEnd::Refused { status, .. } => Self::Refused { status: *status },
            LineEnd::Closed { code, .. } => Self::Closed { code: *code },
            LineEnd::Ended => Self::Closed { code: 1000 },
            LineEnd::Cut => Self::Cut,
            LineEnd::Broken => Self::Unreadable("websocket framing"),
            LineEnd::Clogged => Self::Clogged,
        }
    }

    /// A peer's code made fit for logs and metrics: at most 48 bytes of `[A-Za-z0-9_.-]`.
    pub fn clean_code(code: &str) -> String {
        let clean: String = code
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .take(48)
            .collect();
        if clean.is_empty() { "unspecified".to_owned() } else { clean }
    }
}

/// How long to stay away from a service that throttles us without saying for how long.
const THROTTLE_DEFAULT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let service = Failure::Service { code: "server_error".into() };
        let settings = Failure::Settings { code: "invalid_model".into() };
        let later = Duration::from_secs(7);
        for (failure, blame, verdict) in [
            (Failure::Cut, Blame::Provider, Verdict::SwitchNow),
            (Failure::Closed { code: 1011 }, Blame::Provider, Verdict::SwitchNow),
            (service, Blame::Provider, Verdict::SwitchNow),
            (Failure::Credentials, Blame::Us, Verdict::NeverAgain),
            (Failure::Quota, Blame::Us, Verdict::NeverAgain),
            (settings, Blame::Us, Verdict::NeverAgain),
            (Failure::SessionLimit, Blame::Nobody, Verdict::SwitchNow),
            (Failure::Harmless { code: "x".into() }, Blame::Nobody, Verdict::Ignore),
            (
                Failure::Throttled { retry_after: Some(later) },
                Blame::Provider,
                Verdict::SwitchAndRetryAfter(later),
            ),
        ] {
            assert_eq!(failure.judge(), (blame, verdict), "{failure}");
        }
    }

    #[test]
    fn a_refused_key_is_our_fault_and_a_full_house_is_theirs() {
        let refused = |status| {
            let end = LineEnd::Refused { status, retry_after: None, body: bytes::Bytes::new() };
            Failure::from_line_end(&end).blame()
        };
        assert_eq!(refused(401), Blame::Us);
        assert_eq!(refused(429), Blame::Provider);
        assert_eq!(refused(503), Blame::Provider);
    }

    #[test]
    fn codes_of_peers_are_cleaned() {
        assert_eq!(Failure::clean_code("server_error"), "server_error");
        assert_eq!(Failure::clean_code("a\nb +1555"), "ab1555");
        assert_eq!(Failure::clean_code("\u{1b}["), "unspecified");
        assert_eq!(Failure::clean_code(&"x".repeat(99)).len(), 48);
    }
}
