//! What the fake answers, and how its answers become messages.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use voice_core::audio::convert::Converter;
use voice_core::audio::{AudioFormat, FRAME};
use voice_core::sim::speech::{self, Clip};

use super::config::Profile;

/// What the fake does about something that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Say(&'static str),
    LookUp,
}

/// To a recorded sentence of the caller.
pub(super) fn to_speech(heard: Option<&str>) -> Answer {
    match heard {
        Some("hello") => Answer::Say("hear"),
        Some("hours") => Answer::Say("hours"),
        Some("order") => Answer::LookUp,
        Some("delivery") => Answer::Say("delivery"),
        Some("price") => Answer::Say("price"),
        Some("person") => Answer::Say("person"),
        Some("thanks") => Answer::Say("welcome"),
        Some("goodbye") => Answer::Say("goodbye"),
        _ => Answer::Say("sorry"),
    }
}

/// To text: a greeting if nothing was said before; else whatever it is about.
pub(super) fn to_text(text: &str, greeted: bool) -> Answer {
    let text = text.to_ascii_lowercase();
    let about = [
        ("has answered", "order"),
        ("has failed", "sorry"),
        ("hours", "hours"),
        ("deliver", "delivery"),
        ("cost", "price"),
        ("goodbye", "goodbye"),
    ];
    if !greeted {
        return Answer::Say("greeting");
    }
    let known = about.iter().find(|(word, _)| text.contains(word));
    Answer::Say(known.map_or("hear", |(_, clip)| clip))
}

/// A clip in pieces of sound and words, in the order in which they are said.
pub(super) fn pieces(clip: &Clip, rate: AudioFormat, piece: Duration) -> Vec<(Vec<u8>, String)> {
    let mut converter = Converter::new(AudioFormat::MULAW_8K, rate);
    let length = AudioFormat::MULAW_8K.bytes_in(piece.max(FRAME));
    let chunks: Vec<&[u8]> = clip.mulaw.chunks(length).collect();
    let words: Vec<&str> = clip.text.split_inclusive(' ').collect();
    let mut told = 0;
    let count = chunks.len().max(1);
    chunks
        .into_iter()
        .enumerate()
        .map(|(at, chunk)| {
            let until = (words.len() * (at + 1)).div_ceil(count).min(words.len());
            let text = words[told..until].concat();
            told = until;
            (converter.convert(chunk.to_vec().into()).to_vec(), text)
        })
        .collect()
}

/// The clip, or the apology that is always there.
pub(super) fn clip(name: &str) -> &'static Clip {
    speech::voice(name).unwrap_or(&speech::VOICE[0])
}

/// A piece of a reply as messages: packed by the newer models, one thing each by the oldest.
pub(super) fn messages(profile: Profile, audio: &[u8], text: &str, mime: &str) -> Vec<Value> {
    let data = STANDARD.encode(audio);
    let turn = json!({ "parts": [{ "inlineData": { "mimeType": mime, "data": data } }] });
    if text.is_empty() {
        return vec![json!({ "serverContent": { "modelTurn": turn } })];
    }
    let words = json!({ "text": text });
    match profile {
        Profile::V2_5 => vec![
            json!({ "serverContent": { "modelTurn": turn } }),
            json!({ "serverContent": { "outputTranscription": words } }),
        ],
        Profile::V3_1 | Profile::V3_8 => {
            vec![json!({ "serverContent": { "modelTurn": turn, "outputTranscription": words } })]
        }
    }
}

/// The end of a turn, with what it cost.
pub(super) fn turn_complete(profile: Profile, usage: Value) -> Vec<Value> {
    match profile {
        Profile::V2_5 => {
            vec![json!({ "usageMetadata": usage }), json!({ "serverContent": { "turnComplete": true } })]
        }
        Profile::V3_1 | Profile::V3_8 => {
            vec![json!({ "serverContent": { "turnComplete": true }, "usageMetadata": usage })]
        }
    }
}

/// What a reply of so many tokens cost. The details leave out some of the total, as the service's do.
pub(super) fn usage(spoken: Duration) -> Value {
    let spoken = spoken.as_secs() * 25 + 1;
    json!({
        "promptTokenCount": 300, "responseTokenCount": spoken, "totalTokenCount": 300 + spoken,
        "promptTokensDetails": [
            { "modality": "TEXT", "tokenCount": 150 }, { "modality": "AUDIO", "tokenCount": 120 }
        ],
        "responseTokensDetails": [{ "modality": "AUDIO", "tokenCount": spoken }],
    })
}
