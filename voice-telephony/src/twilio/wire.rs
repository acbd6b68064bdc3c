//! Messages of a Twilio media stream (protocol notes, Twilio §1.1 and §1.2): read by borrowing, written by hand.

use std::collections::BTreeMap;

use serde::Deserialize;
use voice_core::wire::WireMessage;

use super::sid::StreamSid;
use crate::wire::{Borrowed, Counter, media_message};

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

    pub(super) fn media(&self, audio: &[u8]) -> WireMessage {
        media_message(&self.media_head, audio)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode_audio;
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn payloads_are_borrowed_unless_json_escaped_them() {
        let read = |message: &'static str| FromTwilio::read(message.as_bytes()).and_then(|m| m.media);
        let plain = read(r#"{"event":"media","media":{"payload":"//7+"}}"#).expect("readable");
        assert!(plain.payload.is_borrowed());
        let escaped = read(r#"{"event":"media","media":{"payload":"\/\/7+"}}"#).expect("readable");
        assert_eq!(escaped.payload.as_str(), "//7+");
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
    }
}
