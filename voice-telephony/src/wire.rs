//! What the media protocols of the carriers have in common: JSON text with base64 in it, read by borrowing.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurposeConfig, PAD};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use voice_core::wire::{Text, WireMessage};

/// A string that is borrowed where JSON did not escape anything in it, and is not where it did: base64
/// contains `/`, which may arrive as `\/`.
///
/// (Serde borrows a plain `Cow` field, but not one inside an `Option`.)
pub(crate) struct Borrowed<'a>(Cow<'a, str>);

impl Borrowed<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub(crate) const fn is_borrowed(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Borrowed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// A counter that is documented as a string of digits, and taken as a number too. Anything else is
/// absent: a counter that cannot be read must not cost the audio that comes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter(pub(crate) Option<u64>);

impl<'de> Deserialize<'de> for Counter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CounterVisitor)
    }
}

struct CounterVisitor;

impl<'de> Visitor<'de> for CounterVisitor {
    type Value = Counter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a counter")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Counter, E> {
        Ok(Counter(text.parse().ok()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Counter, E> {
        Ok(Counter(Some(value)))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Counter, E> {
        Ok(Counter(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Counter, E> {
        Ok(Counter(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Counter, E> {
        Ok(Counter(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Counter, E> {
        Ok(Counter(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Counter, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Counter(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counter, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Counter(None))
    }
}

/// The audio of a payload; `None` where it is not base64 or longer than `bytes_max`.
pub(crate) fn decode_audio(payload: &str, bytes_max: usize) -> Option<Bytes> {
    let encoded = payload.as_bytes();
    let padding = encoded.iter().rev().take(2).take_while(|&&b| b == b'=').count();
    let length = (encoded.len() / 4 * 3).checked_sub(padding)?;
    if length > bytes_max {
        return None;
    }
    // Exactly as long as needed, so that `Bytes` takes the buffer over without a second allocation.
    let mut audio = vec![0; length];
    let written = BASE64.decode_slice(encoded, &mut audio).ok()?;
    (written == length).then(|| Bytes::from(audio))
}

/// A message of `head`, the audio in base64, and the three signs that close it: one buffer of the exact
/// size, the payload encoded in place. `head` must be ASCII.
pub(crate) fn media_message(head: &str, audio: &[u8]) -> WireMessage {
    let (head, tail) = (head.as_bytes(), br#""}}"#);
    let encoded_len = audio.len().div_ceil(3) * 4;
    let mut message = vec![0; head.len() + encoded_len + tail.len()];
    let (start, rest) = message.split_at_mut(head.len());
    let (middle, end) = rest.split_at_mut(encoded_len);
    start.copy_from_slice(head);
    end.copy_from_slice(tail);
    BASE64.encode_slice(audio, middle).expect("the buffer has room for the padded encoding");
    WireMessage::Text(Text::from_utf8(Bytes::from(message)).expect("JSON and base64 are ASCII"))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
type Base64 = base64::engine::Simd;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Base64 = base64::engine::GeneralPurpose;

/// Three times faster than the scalar engine where the processor allows; found out once.
static BASE64: LazyLock<Base64> = LazyLock::new(|| {
    const CONFIG: GeneralPurposeConfig = PAD;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return Base64::standard(CONFIG);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Base64::new(&base64::alphabet::STANDARD, CONFIG);
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counters_are_strings_or_numbers_or_absent() {
        for (written, expected) in [
            (r#""42""#, Some(42)),
            ("42", Some(42)),
            ("-1", None),
            ("1.5", None),
            (r#""x""#, None),
            ("null", None),
            ("[1,{}]", None),
            (r#"{"a":[1]}"#, None),
            ("true", None),
        ] {
            assert_eq!(serde_json::from_str::<Counter>(written).ok(), Some(Counter(expected)), "{written}");
        }
    }

    #[test]
    fn audio_is_base64_of_a_bounded_length() {
        assert_eq!(decode_audio("//8=", 2).as_deref(), Some(&[0xff, 0xff][..]));
        for bad in ["//8=", "//8", "/", "=", "====", "a===", "//8!", "_w==", " //8=", "AB=="] {
            let bytes_max = if bad == "//8=" { 1 } else { 100 };
            assert_eq!(decode_audio(bad, bytes_max), None, "{bad}");
        }
        assert_eq!(decode_audio("", 10).map(|audio| audio.len()), Some(0));
    }

    proptest! {
        #[test]
        fn any_payload_is_decoded_or_refused(payload in ".{0,40}") {
            let _ = decode_audio(&payload, 100);
        }
    }
}
