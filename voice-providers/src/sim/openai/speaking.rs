//! The response that is being given: its steps, and what becomes of it.

use std::collections::VecDeque;

use serde_json::{Value, json};
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;

use super::conversation::{Conversation, Kind};
use super::mouth::Step;

/// A response under way.
#[derive(Debug)]
pub(super) struct Speaking {
    pub(super) id: String,
    began: MonoTime,
    steps: VecDeque<(std::time::Duration, Step)>,
    /// Items begun, and whether each is whole.
    items: Vec<(String, bool)>,
    /// Bytes of mu-law spoken of each item.
    spoken: Vec<(String, u64)>,
    /// Tokens of text and audio that were read for it, and how many of them from the cache.
    read: (u64, u64, u64),
}

impl Speaking {
    pub(super) fn new(
        id: String,
        began: MonoTime,
        steps: Vec<(std::time::Duration, Step)>,
        read: (u64, u64, u64),
    ) -> Self {
        Self { id, began, steps: steps.into(), items: Vec::new(), spoken: Vec::new(), read }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Option<MonoTime> {
        self.steps.front().map(|(after, _)| self.began + *after)
    }

    pub(super) fn next(&mut self, now: MonoTime) -> Option<Step> {
        if self.due()? > now {
            return None;
        }
        self.steps.pop_front().map(|(_, step)| step)
    }

    pub(super) fn begin(&mut self, item: &str) {
        self.items.push((item.to_owned(), false));
    }

    pub(super) fn finish(&mut self, item: &str) {
        if let Some((_, whole)) = self.items.iter_mut().find(|(id, _)| id == item) {
            *whole = true;
        }
    }

    /// More of this item was spoken; its length in milliseconds so far.
    pub(super) fn speak(&mut self, item: &str, bytes: usize) -> u64 {
        let at = match self.spoken.iter().position(|(id, _)| id == item) {
            Some(at) => at,
            None => {
                self.spoken.push((item.to_owned(), 0));
                self.spoken.len() - 1
            }
        };
        self.spoken[at].1 += bytes as u64;
        self.spoken[at].1 / 8
    }

    /// The items begun that are not whole, so that they can be shown as cut.
    pub(super) fn broken_items(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter(|(_, whole)| !whole).map(|(id, _)| id.as_str())
    }

    pub(super) fn spoken(&self) -> impl Iterator<Item = (&str, u64)> {
        self.spoken.iter().map(|(id, bytes)| (id.as_str(), bytes / 8))
    }

    /// A few pieces of speech that were under way when it was stopped.
    pub(super) fn strays(&mut self, rng: &mut Rng) -> Vec<Step> {
        let count = rng.range(0..4) as usize;
        let audio = |step: &Step| matches!(step, Step::Audio { .. });
        self.steps.drain(..).map(|(_, step)| step).filter(audio).take(count).collect()
    }

    /// The whole of it, as `response.done` shows it.
    pub(super) fn to_json(&self, conversation: &Conversation, status: &str, details: Value) -> Value {
        let output: Vec<Value> = self
            .items
            .iter()
            .filter_map(|(id, whole)| {
                let item = conversation.item(id)?;
                Some(item.to_json(if *whole { "completed" } else { "incomplete" }))
            })
            .collect();
        json!({
            "object": "realtime.response", "id": self.id, "status": status, "status_details": details,
            "output": output, "usage": self.usage(conversation),
        })
    }

    fn usage(&self, conversation: &Conversation) -> Value {
        let (text_in, audio_in, cached) = self.read;
        let audio_out = self.spoken.iter().map(|(_, bytes)| bytes / 400).sum::<u64>();
        let text_out = self
            .items
            .iter()
            .filter_map(|(id, _)| conversation.item(id))
            .map(|item| match &item.kind {
                Kind::Assistant { text } => text.split(' ').count() as u64,
                Kind::Call { arguments, .. } => arguments.len() as u64 / 3,
                Kind::User { .. } | Kind::System | Kind::Output => 0,
            })
            .sum::<u64>();
        let cached_audio = cached.min(audio_in);
        json!({
            "total_tokens": text_in + audio_in + text_out + audio_out,
            "input_tokens": text_in + audio_in,
            "output_tokens": text_out + audio_out,
            "input_token_details": {
                "text_tokens": text_in, "audio_tokens": audio_in, "image_tokens": 0, "cached_tokens": cached,
                "cached_tokens_details": {
                    "text_tokens": cached - cached_audio, "audio_tokens": cached_audio, "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
        })
    }
}
