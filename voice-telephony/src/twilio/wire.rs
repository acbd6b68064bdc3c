//! Messages of a Twilio media stream (protocol notes, Twilio §1.1 and §1.2): read by borrowing, written by hand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurposeConfig, PAD};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use voice_core::wire::{Text, WireMessage};

use super::sid::StreamSid;

/// Any message from Twilio. Which parts are there depends on `event`.
///
/// One struct instead of an enum tagged by `event`: it is read in one pass, twice as fast, and an event
/// that is new is still a message of this stream.
#[derive(Deserialize)]
pub(super) struct FromTwilio<'a> {
    #[serde(borrow)]
    pub(super) event: Borrowed<'a>,
    #[serde(borrow, default, rename = "streamSid")]
    pub(super) stream_sid: Option<Borrowed<'a>>,
    #[serde(borrow, default)]
    pub(super) media: Option<Media<'a>>,
    #[serde(borrow, default)]
    pub(super) mark: Option<Mark<'a>>,
    #[serde(borrow, default)]
    pub(super) dtmf: Option<Dtmf<'a>>,
    #[serde(borrow, default)]
    pub(super) start: Option<StartBody<'a>>,
}

impl<'a> FromTwilio<'a> {
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(message).ok()
    }
}

#[derive(Deserialize)]
pub(super) struct Media<'a> {
    #[serde(borrow, default)]
    pub(super) track: Option<Borrowed<'a>>,
    #[serde(default)]
    pub(super) chunk: Counter,
    #[serde(default)]
    pub(super) timestamp: Counter,
    #[serde(borrow)]
    pub(super) payload: Borrowed<'a>,
}

#[derive(Deserialize)]
pub(super) struct Mark<'a> {
    #[serde(borrow)]
    pub(super) name: Borrowed<'a>,
}

#[derive(Deserialize)]
pub(super) struct Dtmf<'a> {
    #[serde(borrow)]
    pub(super) digit: Borrowed<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartBody<'a> {
    #[serde(borrow)]
    pub(super) account_sid: Borrowed<'a>,
    #[serde(borrow)]
    pub(super) call_sid: Borrowed<'a>,
    #[serde(borrow)]
    pub(super) stream_sid: Borrowed<'a>,
    #[serde(default)]
    pub(super) custom_parameters: BTreeMap<String, String>,
    #[serde(borrow)]
    pub(super) media_format: Option<MediaFormat<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MediaFormat<'a> {
    #[serde(borrow)]
    pub(super) encoding: Borrowed<'a>,
    #[serde(default)]
    pub(super) sample_rate: Counter,
    #[serde(default)]
    pub(super) channels: Counter,
}

/// A string that is borrowed where JSON did not escape anything in it, and is not where it did: base64
/// contains `/`, which may arrive as `\/`.
///
/// (Serde borrows a plain `Cow` field, but not one inside an `Option`.)
pub(super) struct Borrowed<'a>(Cow<'a, str>);

impl Borrowed<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
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
pub(super) struct Counter(pub(super) Option<u64>);

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
pub(super) fn decode_audio(payload: &str, bytes_max: usize) -> Option<Bytes> {
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

/// Writes the messages of one stream.
#[derive(Debug)]
pub(super) struct Writer {
    /// Everything of a `media` message before the payload.
    media_head: String,
    stream_sid: StreamSid,
}

impl Writer {
    pub(super) fn new(stream_sid: StreamSid) -> Self {
        // A `StreamSid` is letters and digits, so it needs no escaping.
        let media_head = format!(r#"{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":""#);
        Self { media_head, stream_sid }
    }

    /// A `media` message: one buffer of the exact size, the payload encoded in place.
    pub(super) fn media(&self, audio: &[u8]) -> WireMessage {
        let (head, tail) = (self.media_head.as_bytes(), br#""}}"#);
        let encoded_len = audio.len().div_ceil(3) * 4;
        let mut message = vec![0; head.len() + encoded_len + tail.len()];
        let (start, rest) = message.split_at_mut(head.len());
        let (middle, end) = rest.split_at_mut(encoded_len);
        start.copy_from_slice(head);
        end.copy_from_slice(tail);
        BASE64.encode_slice(audio, middle).expect("the buffer has room for the padded encoding");
        WireMessage::Text(Text::from_utf8(Bytes::from(message)).expect("JSON and base64 are ASCII"))
    }

    pub(super) fn mark(&self, generation: u64, number: u64) -> WireMessage {
        let sid = &self.stream_sid;
        WireMessage::text(format!(
            r#"{{"event":"mark","streamSid":"{sid}","mark":{{"name":"{generation}.{number}"}}}}"#
        ))
    }

    pub(super) fn clear(&self) -> WireMessage {
        WireMessage::text(format!(r#"{{"event":"clear","streamSid":"{}"}}"#, self.stream_sid))
    }
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
    fn payloads_are_borrowed_unless_json_escaped_them() {
        let read = |message: &'static str| FromTwilio::read(message.as_bytes()).and_then(|m| m.media);
        let plain = read(r#"{"event":"media","media":{"payload":"//7+"}}"#).expect("readable");
        assert!(matches!(plain.payload.0, Cow::Borrowed("//7+")));
        let escaped = read(r#"{"event":"media","media":{"payload":"\/\/7+"}}"#).expect("readable");
        assert_eq!(escaped.payload.as_str(), "//7+");
    }

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
        fn what_is_written_can_be_read(audio in proptest::collection::vec(any::<u8>(), 0..700)) {
            let sid: StreamSid = "MZ00112233445566778899aabbccddeeff".parse().expect("a good sid");
            let message = Writer::new(sid).media(&audio);
            let read: serde_json::Value = serde_json::from_slice(message.as_bytes()).expect("JSON");
            prop_assert_eq!(&read["streamSid"], "MZ00112233445566778899aabbccddeeff");
            let payload = read["media"]["payload"].as_str().expect("a string");
            prop_assert_eq!(decode_audio(payload, 700), Some(Bytes::from(audio)));
        }

        #[test]
        fn any_payload_is_decoded_or_refused(payload in ".{0,40}") {
            let _ = decode_audio(&payload, 100);
        }
    }
}
