//! Twilio's names for things: two letters and 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

/// A text that is not the name of such a thing at Twilio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct SidError(&'static str);

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text, letters and digits only.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = SidError;

            fn from_str(text: &str) -> Result<Self, SidError> {
                match text.strip_prefix($prefix) {
                    Some(digits) if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
                        Ok(Self(text.to_owned()))
                    }
                    Some(_) | None => Err(SidError($what)),
                }
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

sid!(
    /// A call, `CA…`: the same in webhooks, status callbacks and media streams.
    CallSid,
    "CA",
    "call sid"
);
sid!(
    /// An account or sub-account, `AC…`.
    AccountSid,
    "AC",
    "account sid"
);
sid!(
    /// A media stream, `MZ…`; a call that is re-attached gets a new one.
    StreamSid,
    "MZ",
    "stream sid"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_form_is_taken() {
        let good = "CA00112233445566778899aabbccddeeff";
        assert_eq!(good.parse::<CallSid>().map(|sid| sid.to_string()), Ok(good.to_owned()));
        for bad in [
            "",
            "CA",
            "CA1234567890ABCDE",
            "MZ00112233445566778899aabbccddeeff",
            &good[..33],
            "CA00112233445566778899aabbccdde\"{",
        ] {
            assert!(bad.parse::<CallSid>().is_err(), "{bad}");
        }
    }
}
