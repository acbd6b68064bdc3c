//! A response before it is given: every event of it, with its moment.

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::Clip;

use super::config::{FakeOpenAiConfig, Rudeness};
use super::conversation::{Item, Kind};

/// Something that happens in a response.
#[derive(Debug)]
pub(super) enum Step {
    /// An event without consequences.
    Emit(&'static str, Value),
    /// An item begins, in the response and in the conversation.
    Begin(Item, usize),
    /// A piece of speech of an item; `spoilt` ones are no base64.
    Audio { item: String, fields: Value, mulaw: &'static [u8], spoilt: bool },
    /// An item is whole.
    Finish(String, usize),
    /// The response is whole, or has failed with this code.
    Done(Option<&'static str>),
    /// Something goes wrong in the middle.
    Strike(Rudeness),
}

/// A response being composed.
pub(super) struct Mouth<'a> {
    config: &'a FakeOpenAiConfig,
    rng: &'a mut Rng,
    response: &'a str,
    /// Whether rudeness has begun.
    rude: bool,
    at: Duration,
    items: usize,
    steps: Vec<(Duration, Step)>,
}

impl<'a> Mouth<'a> {
    /// Nothing happens before `begin`.
    pub(super) fn new(
        config: &'a FakeOpenAiConfig,
        rng: &'a mut Rng,
        response: &'a str,
        rude: bool,
        begin: Duration,
    ) -> Self {
        Self { config, rng, response, rude, at: begin, items: 0, steps: Vec::new() }
    }

    /// Says a sentence as an item of its own, several times faster than it can be listened to.
    pub(super) fn say(&mut self, item: &str, clip: &'static Clip) {
        let index = self.items;
        self.items += 1;
        self.push(Step::Begin(Item::new(item, Kind::Assistant { text: clip.text.to_owned() }), index));
        let part = |fields: Value| json!({"part": fields});
        self.emit(
            "response.content_part.added",
            item,
            index,
            part(json!({"type": "audio", "transcript": ""})),
        );
        self.speak(item, index, clip);
        self.emit("response.output_audio.done", item, index, json!({}));
        if self.is(Rudeness::StrayDelta) {
            self.audio(item, index, &clip.mulaw[..640]);
        }
        let transcript = json!({"transcript": clip.text});
        self.emit("response.output_audio_transcript.done", item, index, transcript);
        let whole = part(json!({"type": "audio", "transcript": clip.text}));
        self.emit("response.content_part.done", item, index, whole);
        self.push(Step::Finish(item.to_owned(), index));
        if self.is(Rudeness::StrayDelta) {
            self.audio(item, index, &clip.mulaw[..640]);
        }
    }

    /// Calls a tool.
    pub(super) fn call(&mut self, item: &str, call_id: &str, tool: &str, arguments: &str) {
        let index = self.items;
        self.items += 1;
        let kind = Kind::Call {
            name: tool.to_owned(),
            call_id: call_id.to_owned(),
            arguments: arguments.to_owned(),
        };
        self.push(Step::Begin(Item::new(item, kind), index));
        let (first, second) = arguments.split_at(arguments.len() / 2);
        for delta in [first, second] {
            self.at += self.rng.millis(5..40);
            let fields = json!({"response_id": self.response, "item_id": item, "output_index": index,
                "call_id": call_id, "delta": delta});
            self.push(Step::Emit("response.function_call_arguments.delta", fields));
        }
        let fields = json!({"response_id": self.response, "item_id": item, "output_index": index,
            "call_id": call_id, "name": tool, "arguments": arguments});
        self.push(Step::Emit("response.function_call_arguments.done", fields));
        self.push(Step::Finish(item.to_owned(), index));
    }

    /// That was all; `code` says why, if it failed.
    pub(super) fn done(mut self, code: Option<&'static str>) -> Vec<(Duration, Step)> {
        self.push(Step::Done(code));
        if self.is(Rudeness::StrayDelta) {
            let spoken = self.steps.iter().rev().find_map(|(_, step)| match step {
                Step::Audio { item, mulaw, .. } => Some((item.clone(), *mulaw)),
                Step::Emit(..) | Step::Begin(..) | Step::Finish(..) | Step::Done(_) | Step::Strike(_) => None,
            });
            if let Some((item, mulaw)) = spoken {
                self.audio(&item, 0, mulaw);
            }
        }
        self.steps
    }

    fn speak(&mut self, item: &str, index: usize, clip: &'static Clip) {
        let words: Vec<&str> = clip.text.split_inclusive(' ').collect();
        let (mut spoken, mut position) = (0, 0);
        let strike_at = clip.mulaw.len() * 2 / 5;
        let mut struck = false;
        while position < clip.mulaw.len() {
            let length = self.rng.range(20..200) as usize * 8;
            let end = (position + length).min(clip.mulaw.len());
            // The words run some 300 ms ahead of the speech.
            while spoken < words.len() && spoken * clip.mulaw.len() < (end + 2_400) * words.len() {
                let delta = json!({"delta": words[spoken]});
                self.emit("response.output_audio_transcript.delta", item, index, delta);
                spoken += 1;
            }
            self.audio(item, index, &clip.mulaw[position..end]);
            // Some come in a burst, others late.
            let pace = self.rng.range(0..3);
            self.at += Duration::from_micros((end - position) as u64 * 125 * pace / self.config.speed.max(1));
            position = end;
            if position > strike_at && !struck {
                struck = true;
                self.strike();
            }
        }
    }

    fn strike(&mut self) {
        let strikes = [
            Rudeness::Expire,
            Rudeness::Cut,
            Rudeness::Close1011,
            Rudeness::Silent,
            Rudeness::HugeEvent,
            Rudeness::UnknownEvent,
        ];
        for rudeness in strikes {
            if self.is(rudeness) {
                self.push(Step::Strike(rudeness));
            }
        }
    }

    fn audio(&mut self, item: &str, index: usize, mulaw: &'static [u8]) {
        let fields = json!({
            "response_id": self.response, "item_id": item, "output_index": index, "content_index": 0,
        });
        let now_and_then = self.is(Rudeness::BadBase64) && self.rng.percent(10);
        let spoilt = now_and_then || self.is(Rudeness::OnlyBadBase64);
        self.push(Step::Audio { item: item.to_owned(), fields, mulaw, spoilt });
    }

    fn emit(&mut self, kind: &'static str, item: &str, index: usize, mut fields: Value) {
        fields["response_id"] = self.response.into();
        fields["item_id"] = item.into();
        fields["output_index"] = index.into();
        fields["content_index"] = 0.into();
        self.push(Step::Emit(kind, fields));
    }

    fn push(&mut self, step: Step) {
        self.steps.push((self.at, step));
    }

    fn is(&self, rudeness: Rudeness) -> bool {
        self.rude && self.config.is(rudeness)
    }
}
