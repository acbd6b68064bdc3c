//! Messages of a Telnyx media socket (protocol notes, Telnyx §4): read by borrowing, written by hand.
//!
//! The JSON of webhooks, commands and answers stands in files of its own below.

pub(super) mod answer;
pub(super) mod command;
pub(super) mod webhook;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use voice_core::wire::WireMessage;

use crate::wire::{Borrowed, Counter, media_message};

/// Any message from Telnyx. Which parts are there depends on `event`.
#[derive(Deserialize)]
pub(super) struct FromTelnyx<'a> {
    #[serde(borrow)]
    pub(super) event: Borrowed<'a>,
    /// At the top, unlike the names of the call.
    #[serde(borrow, default)]
    pub(super) stream_id: Option<Borrowed<'a>>,
    #[serde(borrow, default)]
    pub(super) occurred_at: Option<Borrowed<'a>>,
    #[serde(borrow, default)]
    pub(super) media: Option<Media<'a>>,
    #[serde(borrow, default)]
    pub(super) mark: Option<Mark<'a>>,
    #[serde(borrow, default)]
    pub(super) dtmf: Option<Dtmf<'a>>,
    #[serde(borrow, default)]
    pub(super) start: Option<StartBody<'a>>,
}

impl<'a> FromTelnyx<'a> {
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
pub(super) struct StartBody<'a> {
    #[serde(borrow)]
    pub(super) call_control_id: Borrowed<'a>,
    #[serde(borrow, default)]
    pub(super) call_session_id: Option<Borrowed<'a>>,
    #[serde(borrow, default)]
    pub(super) client_state: Option<Borrowed<'a>>,
    #[serde(default)]
    pub(super) custom_parameters: Parameters,
    #[serde(borrow, default)]
    pub(super) media_format: Option<MediaFormat<'a>>,
}

#[derive(Deserialize)]
pub(super) struct MediaFormat<'a> {
    #[serde(borrow)]
    pub(super) encoding: Borrowed<'a>,
    #[serde(default)]
    pub(super) sample_rate: Counter,
    #[serde(default)]
    pub(super) channels: Counter,
}

/// Parameters of the stream. In which form they come is not documented, so both likely ones are read;
/// another is taken for none.
#[derive(Default)]
pub(super) struct Parameters(pub(super) BTreeMap<String, String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum ParametersForm {
    Map(BTreeMap<String, String>),
    List(Vec<NameAndValue>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct NameAndValue {
    name: String,
    value: String,
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match ParametersForm::deserialize(deserializer)? {
            ParametersForm::Map(map) => map,
            ParametersForm::List(list) => list.into_iter().map(|one| (one.name, one.value)).collect(),
            ParametersForm::Other(_) => BTreeMap::new(),
        }))
    }
}

/// Our messages need no ids: the socket says which stream they belong to.
pub(super) fn media(audio: &[u8]) -> WireMessage {
    media_message(r#"{"event":"media","media":{"payload":""#, audio)
}

pub(super) fn mark(generation: u64, number: u64) -> WireMessage {
    WireMessage::text(format!(r#"{{"event":"mark","mark":{{"name":"{generation}.{number}"}}}}"#))
}

pub(super) fn clear() -> WireMessage {
    WireMessage::text(r#"{"event":"clear"}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode_audio;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_a_map_or_a_list_or_nothing() {
        for (written, expected) in [
            (r#"{"ticket":"a"}"#, Some("a")),
            (r#"[{"name":"ticket","value":"a"}]"#, Some("a")),
            (r#"[{"name":"ticket"}]"#, None),
            ("null", None),
            ("7", None),
            (r#"{"ticket":7}"#, None),
        ] {
            let Parameters(read) = serde_json::from_str(written).expect("never refused");
            assert_eq!(read.get("ticket").map(String::as_str), expected, "{written}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(audio in proptest::collection::vec(any::<u8>(), 0..700)) {
            let message = media(&audio);
            let read: serde_json::Value = serde_json::from_slice(message.as_bytes()).expect("JSON");
            let payload = read["media"]["payload"].as_str().expect("a string");
            prop_assert_eq!(decode_audio(payload, 700), Some(bytes::Bytes::from(audio)));
        }
    }
}
