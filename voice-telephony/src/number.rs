//! Telephone numbers in the one form that every carrier understands (ITU-T E.164).

use std::fmt;
use std::str::FromStr;

use voice_core::sensitive::Pii;

/// A number with its country code: `+`, then 7 to 15 digits of which the first is not zero.
///
/// Spaces, hyphens, dots and brackets that people write between digits are taken out; nothing is
/// guessed. Never printed: whoever shows one says so with [`Self::expose`].
///
/// ```
/// use voice_telephony::number::{E164, NumberError};
///
/// let number: E164 = "+1 (500) 555-0006".parse()?;
/// assert_eq!(number.expose(), "+15005550006");
/// assert_eq!(format!("{number:?}"), "E164([private])");
/// assert_eq!("500 555-0006".parse::<E164>(), Err(NumberError::NoPlus));
/// # Ok::<(), NumberError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct E164(Pii<String>);

/// Why a text is no number that can be called. Says what to do about it, and never the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// Nothing at all.
    #[error("the number is empty; write it like +15005550006")]
    Empty,
    /// No country code, so it could be any country's.
    #[error("the number has no country code; begin with + and the code, like +15005550006")]
    NoPlus,
    /// `+0…`, or `(0)` behind the country code: a prefix that is dialled inside a country only.
    #[error("the number has a trunk prefix; leave out the 0 that is only dialled inside the country")]
    Trunk,
    /// A letter, an extension, a second plus.
    #[error("the number has something else than digits; write it like +15005550006, without extension")]
    NotDigits,
    /// Fewer than seven digits: an emergency or service number, or half a number.
    #[error("the number has fewer than 7 digits; service and emergency numbers cannot be called")]
    TooShort,
    /// More than fifteen.
    #[error("the number has more than 15 digits")]
    TooLong,
}

/// The shortest international numbers in use have seven digits.
const DIGITS_MIN: usize = 7;

/// E.164's own limit.
const DIGITS_MAX: usize = 15;

impl E164 {
    /// The number, `+` and digits. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The same for those who keep numbers among other private texts.
    pub fn to_private(&self) -> Pii<String> {
        self.0.clone()
    }
}

/// Whom a carrier can call: a number, or a SIP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Callee {
    /// A number.
    Number(E164),
    /// `sip:` or `sips:`, a user and a host.
    Sip(Pii<String>),
}

impl Callee {
    /// The number or address. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        match self {
            Self::Number(number) => number.expose(),
            Self::Sip(address) => address.expose(),
        }
    }
}

impl From<E164> for Callee {
    fn from(number: E164) -> Self {
        Self::Number(number)
    }
}

impl FromStr for Callee {
    type Err = NumberError;

    /// A SIP address is looked at roughly: the carrier knows better.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let text = text.trim();
        let Some(address) = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:")) else {
            return text.parse().map(Self::Number);
        };
        let is_clean = address.len() <= SIP_BYTES_MAX && address.bytes().all(|byte| byte.is_ascii_graphic());
        let has_host =
            address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
        if is_clean && has_host { Ok(Self::Sip(text.into())) } else { Err(NumberError::NotDigits) }
    }
}

/// What Twilio takes as an address.
const SIP_BYTES_MAX: usize = 255;

impl FromStr for E164 {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        let rest = text.strip_prefix('+').ok_or(NumberError::NoPlus)?;
        if rest.contains("(0)") {
            return Err(NumberError::Trunk);
        }
        let mut number = String::with_capacity(text.len().min(DIGITS_MAX + 1));
        number.push('+');
        for c in rest.chars() {
            match c {
                '0'..='9' if number.len() > DIGITS_MAX => return Err(NumberError::TooLong),
                '0'..='9' => number.push(c),
                ' ' | '\u{a0}' | '-' | '.' | '(' | ')' => {}
                _ => return Err(NumberError::NotDigits),
            }
        }
        match number.as_bytes() {
            [_, b'0', ..] => Err(NumberError::Trunk),
            digits if digits.len() <= DIGITS_MIN => Err(NumberError::TooShort),
            _ => Ok(Self(Pii::new(number))),
        }
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("E164([private])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) -> Result<String, NumberError> {
        text.parse().map(|number: E164| number.expose().to_owned())
    }

    #[test]
    fn what_people_write_between_digits_is_taken_out() {
        for text in ["+15005550006", " +1 500 555 0006 ", "+1 (500) 555-0006", "+1.500.555.0006"] {
            assert_eq!(check(text).as_deref(), Ok("+15005550006"), "{text}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for (text, error) in [
            ("", NumberError::Empty),
            ("  ", NumberError::Empty),
            ("15005550006", NumberError::NoPlus),
            ("0015005550006", NumberError::NoPlus),
            ("sip:someone@a.example", NumberError::NoPlus),
            ("+0445550006", NumberError::Trunk),
            ("+44 (0)20 7946 0000", NumberError::Trunk),
            ("+1500555000x", NumberError::NotDigits),
            ("+1500555++", NumberError::NotDigits),
            ("+15005550006,200", NumberError::NotDigits),
            ("+\u{661}5005550006", NumberError::NotDigits),
            ("+", NumberError::TooShort),
            ("+112", NumberError::TooShort),
            ("+1234567890123456", NumberError::TooLong),
        ] {
            assert_eq!(check(text), Err(error), "{text}");
            assert!(!error.to_string().contains("5550009"));
        }
    }

    #[test]
    fn the_bounds_are_inside() {
        assert!(check("+1234567").is_ok() && check("+123456").is_err());
        assert!(check("+123456789012345").is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_plus_and_digits(text in "\\PC{0,24}") {
            if let Ok(number) = check(&text) {
                let digits = number.strip_prefix('+').expect("it begins with a plus");
                prop_assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
                prop_assert_eq!(check(&number), Ok(number.clone()));
            }
        }
    }
}
