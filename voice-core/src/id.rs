//! Names of things: calls, attachments, lines, replies, tool calls, providers, carriers.
//!
//! Ids that belong to one call are small numbers. Those that a provider's session hands out
//! ([`ReplyId`], [`UtteranceId`], [`ToolCallId`]) carry the attachment they came from in their upper
//! half, so they are unique within a call and rise over time even across a switch of provider.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One phone call, for ever. Made at the edge (UUID v7 in the server); printed like a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u128);

impl CallId {
    /// Wraps a number that the caller guarantees to be unique.
    pub const fn from_u128(value: u128) -> Self {
        Self(value)
    }

    /// The number behind the id.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            (v >> 80) & 0xffff,
            (v >> 64) & 0xffff,
            (v >> 48) & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CallId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|g| g.len()).collect();
        if lengths != [8, 4, 4, 4, 12] || text.bytes().any(|b| b == b'+') {
            return Err(IdError { what: "call id" });
        }
        u128::from_str_radix(&groups.concat(), 16).map(Self).map_err(|_| IdError { what: "call id" })
    }
}

/// A text that is not a valid id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}")]
pub struct IdError {
    what: &'static str,
}

/// One stay of one provider in a call. Rises by one with every attempt to attach somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AttachmentId(pub u32);

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a{}", self.0)
    }
}

/// One connection (WebSocket or streaming HTTP). Inside a session its own small number; in the bridge's
/// outputs unique within the call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LineId(pub u32);

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l{}", self.0)
    }
}

macro_rules! session_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u64);

        impl $name {
            /// The `number`th of its kind that this attachment brought forth.
            pub const fn new(attachment: AttachmentId, number: u32) -> Self {
                Self(((attachment.0 as u64) << 32) | number as u64)
            }

            /// The attachment it came from.
            pub const fn attachment(self) -> AttachmentId {
                AttachmentId((self.0 >> 32) as u32)
            }

            /// Its number within the attachment.
            pub const fn number(self) -> u32 {
                self.0 as u32
            }

            /// Both halves in one number, for storage.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// Back from [`Self::as_u64`].
            pub const fn from_u64(value: u64) -> Self {
                Self(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}.{}"), self.attachment().0, self.number())
            }
        }
    };
}

session_id!(
    /// One piece of speech of the provider that can be cut on its own. OpenAI calls it an item.
    ReplyId,
    "r"
);
session_id!(
    /// One turn of the caller, as the provider saw it.
    UtteranceId,
    "u"
);
session_id!(
    /// One call of a tool by the provider.
    ToolCallId,
    "t"
);

/// A point in what was sent to the carrier, which tells us when it has been played.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MarkId(pub u64);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest name accepted, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// For names written in source code.
            ///
            /// # Panics
            /// If the name breaks the rules of this kind of id.
            pub fn from_static(name: &'static str) -> Self {
                match name.parse() {
                    Ok(id) => id,
                    Err(_) => panic!(concat!("a name in source code is a valid ", $what)),
                }
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let allowed: fn(u8) -> bool = $allowed;
                if text.is_empty() || text.len() > Self::MAX_BYTES || !text.bytes().all(allowed) {
                    return Err(IdError { what: $what });
                }
                Ok(Self(text.into()))
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

fn is_label(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
}

name_id!(
    /// An AI service as configured: `openai`, `gemini`, `openai-backup`. Lower case, digits, `-`, `_`.
    ProviderId, "provider id", 40, is_label
);
name_id!(
    /// A carrier as configured: `twilio`, `telnyx`. Lower case, digits, `-`, `_`.
    CarrierId, "carrier id", 40, is_label
);
name_id!(
    /// One id that finds everything about a request or call in logs, database and peers' headers.
    CorrelationId, "correlation id", 64, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':')
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids_survive_being_printed() {
        let id = CallId::from_u128(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0011-223344556677");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "0123456789abcdef0011223344556677",
            "01234567-89ab-cdef-0011-22334455667g",
            "+1234567-89ab-cdef-0011-223344556677",
        ] {
            assert!(bad.parse::<CallId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_of_a_later_attachment_are_larger() {
        let early = ReplyId::new(AttachmentId(1), u32::MAX);
        let late = ReplyId::new(AttachmentId(2), 0);
        assert!(early < late);
        assert_eq!((late.attachment(), late.number()), (AttachmentId(2), 0));
        assert_eq!(ReplyId::from_u64(late.as_u64()), late);
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(ProviderId::from_static("openai").as_str(), "openai");
        for bad in ["", "Open AI", "ä", &"x".repeat(41)] {
            assert!(bad.parse::<ProviderId>().is_err(), "{bad}");
        }
        assert!("a\nb".parse::<CorrelationId>().is_err());
    }
}
