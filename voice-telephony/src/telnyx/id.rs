//! Telnyx's names for things: short texts without spaces, which mean nothing to us.

use std::fmt;
use std::str::FromStr;

/// The longest name that is taken; the longest seen, a call control id, has about 100 bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// A text that cannot be the name of such a thing at Telnyx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct NameError(&'static str);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text: visible ASCII, neither quotes nor backslashes.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let is_name = (1..=NAME_BYTES_MAX).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
                if is_name { Ok(Self(text.to_owned())) } else { Err(NameError($what)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// One leg, `v3:…`: the handle for commands (protocol notes, Telnyx §1.1).
    CallControlId,
    "call control id"
);
name!(
    /// One leg, as reports and invoices name it.
    CallLegId,
    "call leg id"
);
name!(
    /// What the legs of one conversation share.
    CallSessionId,
    "call session id"
);
name!(
    /// The application that calls belong to; digits, written as text.
    ConnectionId,
    "connection id"
);
name!(
    /// One webhook event. Retries and duplicates carry the same.
    EventId,
    "event id"
);
name!(
    /// A media stream; a call that is streamed again gets a new one.
    StreamId,
    "stream id"
);
name!(
    /// A conference.
    ConferenceId,
    "conference id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_visible_and_short() {
        let good = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg";
        assert_eq!(good.parse::<CallControlId>().map(|id| id.to_string()), Ok(good.to_owned()));
        for bad in ["", "a b", "a\n", "a\"", "a\\", "ü", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(bad.parse::<CallControlId>(), Err(NameError("call control id")), "{bad}");
        }
    }
}
