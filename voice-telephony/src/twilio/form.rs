//! Decoding of `application/x-www-form-urlencoded`, in bytes, because signatures are over bytes.

use std::borrow::Cow;

use crate::limits::FORM_PARAMETERS_MAX;

/// The decoded parameters of a form, in the order of the wire. Names may repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form<'a> {
    pairs: Vec<Pair<'a>>,
}

/// A name and a value.
type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// More parameters than any true request has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl<'a> Form<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, TooMany> {
        let mut pairs = Vec::new();
        for piece in body.split(|&b| b == b'&').filter(|piece| !piece.is_empty()) {
            if pairs.len() == FORM_PARAMETERS_MAX {
                return Err(TooMany);
            }
            let (name, value) = match piece.iter().position(|&b| b == b'=') {
                Some(at) => (&piece[..at], &piece[at + 1..]),
                None => (piece, &b""[..]),
            };
            pairs.push((decode(name), decode(value)));
        }
        Ok(Self { pairs })
    }

    /// The first value of that name, even if it is empty; `None` also where it is not text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(n, _)| n.as_ref() == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// As [`Self::text`], but empty counts as absent: Twilio sends many parameters without a value.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|value| !value.is_empty())
    }

    /// Names and values as Twilio signs them: by name in byte order, each distinct value once.
    pub(crate) fn signed_order(&self) -> Vec<(&[u8], &[u8])> {
        let mut pairs: Vec<(&[u8], &[u8])> =
            self.pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

/// `+` is a space, `%xx` a byte; a `%` that begins nothing stands for itself.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                (None, _) | (_, None) => decoded.push(b'%'),
            },
            _ => decoded.push(*first),
        }
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_what_browsers_and_carriers_send() {
        let form = Form::decode(b"a=1+2&b=%2B15550100&&c&d=&e=%zz%4&f=%C3%BC").expect("few parameters");
        let texts = ["a", "b", "c", "d", "e", "f", "g"].map(|name| form.text(name));
        assert_eq!(
            texts,
            [Some("1 2"), Some("+15550100"), Some(""), Some(""), Some("%zz%4"), Some("ü"), None]
        );
        assert_eq!((form.filled("a"), form.filled("d")), (Some("1 2"), None));
    }

    #[test]
    fn what_is_not_text_is_absent() {
        assert_eq!(Form::decode(b"a=%ff").expect("few parameters").text("a"), None);
    }

    #[test]
    fn a_flood_of_parameters_is_refused() {
        let body = "a=1&".repeat(FORM_PARAMETERS_MAX + 1);
        assert_eq!(Form::decode(body.as_bytes()).map(|_| ()), Err(TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_survive_encoding(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let encoded: String = value.iter().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(encoded.as_bytes()).into_owned(), value);
        }

        #[test]
        fn any_body_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Form::decode(&body).map(|form| form.signed_order().len());
        }
    }
}
