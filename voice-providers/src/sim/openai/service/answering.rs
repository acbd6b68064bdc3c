//! The fake answers: one response at a time, step by step, until it is done or stopped.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use voice_core::audio::AudioFormat;
use voice_core::sim::peer::ServiceOutput;
use voice_core::time::MonoTime;

use super::super::check::{Checked, Fault, only};
use super::super::config::Rudeness;
use super::super::conversation::Kind;
use super::super::ears;
use super::super::mouth::{Mouth, Step};
use super::super::script::{self, Act};
use super::super::speaking::Speaking;
use super::{FakeOpenAi, Phase};

impl FakeOpenAi {
    pub(super) fn on_respond(&mut self, now: MonoTime, event: &Value) -> Checked {
        only("", event, &["type", "event_id", "response"])?;
        let response = &event["response"];
        if !response.is_null() {
            only("response", response, RESPONSE_KEYS)?;
        }
        if self.speaking.is_some() {
            return Err(Fault {
                code: "conversation_already_has_active_response",
                param: None,
                message: "Conversation already has an active response in progress.".to_owned(),
            });
        }
        let cue = response["instructions"].as_str();
        self.log.note(|seen| seen.cues.push(cue.map(str::to_owned)));
        self.respond(now, cue);
        Ok(())
    }

    pub(super) fn on_cancel(&mut self, event: &Value) -> Checked {
        only("", event, &["type", "event_id", "response_id"])?;
        let wanted = event["response_id"].as_str();
        let runs = self.speaking.as_ref().is_some_and(|s| wanted.is_none_or(|wanted| wanted == s.id));
        if !runs {
            let message = "Cancellation failed: no active response found".to_owned();
            return Err(Fault { code: "response_cancel_not_active", param: None, message });
        }
        self.stop("client_cancelled");
        Ok(())
    }

    /// Begins a response. It counts as active at once; speech takes a while.
    pub(super) fn respond(&mut self, now: MonoTime, cue: Option<&str>) {
        let rude = self.counts.responses + 1 >= self.config.rude_from;
        if rude && self.config.is(Rudeness::NoAnswer) {
            return;
        }
        self.counts.responses += 1;
        let id = self.fresh_id("resp");
        let shown = json!({"object": "realtime.response", "id": id, "status": "in_progress",
            "status_details": null, "output": [], "usage": null});
        self.events.emit("response.created", &json!({ "response": shown }));
        let limits = json!([{"name": "tokens", "limit": 40_000, "remaining": 38_000, "reset_seconds": 2.8}]);
        self.events.emit("rate_limits.updated", &json!({ "rate_limits": limits }));
        let delay = match rude && self.config.is(Rudeness::Slow) {
            true => self.rng.millis(2_000..10_000),
            false => self.rng.millis(self.config.first_audio_ms.clone()),
        };
        let act = self.decide(cue);
        let steps = self.compose(&id, &act, rude, delay);
        let (text, audio) = self.conversation.tokens();
        let text = text + self.session["instructions"].as_str().map_or(0, str::len) as u64 / 4;
        // The cache works in blocks of 64 tokens.
        let cached = (self.counts.read_before / 64 * 64).min(text + audio);
        self.counts.read_before = text + audio;
        self.speaking = Some(Speaking::new(id, now, steps, (text, audio, cached)));
    }

    fn decide(&self, cue: Option<&str>) -> Act {
        if cue.is_some() && !self.conversation.has_user() {
            return Act::Say("greeting");
        }
        let tools = self.session["tools"].as_array();
        let has_tool = |name: &str| tools.is_some_and(|tools| tools.iter().any(|tool| tool["name"] == name));
        match self.conversation.unanswered() {
            Some(Kind::User { text }) => script::answer(script::caller_clip(text), has_tool),
            Some(Kind::Output { .. }) => Act::Say("order"),
            Some(Kind::Assistant { .. } | Kind::Call { .. } | Kind::System { .. }) => Act::Say("hear"),
            None => Act::Say("greeting"),
        }
    }

    fn compose(&mut self, id: &str, act: &Act, rude: bool, delay: Duration) -> Vec<(Duration, Step)> {
        let ids: Vec<String> = ["item", "item", "call"].map(|kind| self.fresh_id(kind)).into();
        let is = |rudeness| rude && self.config.is(rudeness);
        let two = is(Rudeness::TwoItems);
        let failure = is(Rudeness::FailServer).then_some("server_error");
        let failure = failure.or(is(Rudeness::FailRateLimit).then_some("rate_limit_exceeded"));
        let mut mouth = Mouth::new(&self.config, &mut self.rng, id, rude, delay);
        if failure.is_some() {
            return mouth.done(failure);
        }
        match act {
            Act::Say(clip) => {
                if two {
                    mouth.say(&ids[0], script::clip("check"));
                }
                mouth.say(&ids[1], script::clip(clip));
            }
            Act::Look { say, tool, arguments } => {
                mouth.say(&ids[0], script::clip(say));
                mouth.call(&ids[1], &ids[2], tool, arguments);
            }
        }
        mouth.done(None)
    }

    pub(super) fn take_step(&mut self, step: Step) {
        match step {
            Step::Emit(kind, fields) => self.events.emit(kind, &fields),
            Step::Begin(item, index) => {
                let Some(speaking) = &mut self.speaking else { return };
                speaking.begin(&item.id);
                let fields = json!({"response_id": speaking.id, "output_index": index,
                    "item": item.to_json("in_progress")});
                self.events.emit("response.output_item.added", &fields);
                let id = item.id.clone();
                self.conversation.push(item);
                self.show_item("conversation.item.added", &id, "in_progress");
            }
            Step::Audio { item, fields, mulaw, spoilt } => self.speak(&item, fields, mulaw, spoilt),
            Step::Finish(item, index) => {
                let Some(speaking) = &mut self.speaking else { return };
                speaking.finish(&item);
                let response = speaking.id.clone();
                let Some(shown) = self.conversation.find(&item).map(|item| item.to_json("completed")) else {
                    return;
                };
                let fields = json!({"response_id": response, "output_index": index, "item": shown});
                self.events.emit("response.output_item.done", &fields);
                self.show_item("conversation.item.done", &item, "completed");
            }
            Step::Done(None) => self.finish("completed", Value::Null),
            Step::Done(Some(code)) => {
                let error = json!({"type": code, "code": code, "message": "The response failed."});
                self.finish("failed", json!({"type": "failed", "error": error}));
            }
            Step::Strike(rudeness) => self.strike(rudeness),
        }
    }

    fn speak(&mut self, item: &str, mut fields: Value, mulaw: &'static [u8], spoilt: bool) {
        let format = &self.session["audio"]["output"]["format"];
        let format = ears::format_of(format).unwrap_or(AudioFormat::PCM16_24K);
        let mut delta = STANDARD.encode(ears::from_mulaw(format, mulaw));
        if spoilt {
            delta.insert(delta.len() / 2, '!');
        } else if self.config.is(Rudeness::Newline) {
            delta.push('\n');
        }
        fields["delta"] = delta.into();
        self.events.emit("response.output_audio.delta", &fields);
        self.counts.has_spoken = true;
        // What comes after the end belongs to nobody's count.
        if let Some(speaking) = &mut self.speaking {
            let ms = speaking.speak(item, mulaw.len());
            if let Some(item) = self.conversation.find(item) {
                item.audio_ms = ms;
            }
        }
    }

    /// Stops the response that runs, if one does. Some of it is on the wire already.
    pub(super) fn stop(&mut self, reason: &str) {
        let Some(speaking) = &mut self.speaking else { return };
        for stray in speaking.strays(&mut self.rng) {
            self.take_step(stray);
        }
        self.finish("cancelled", json!({"type": "cancelled", "reason": reason}));
    }

    fn finish(&mut self, status: &str, details: Value) {
        let Some(mut speaking) = self.speaking.take() else { return };
        for item in speaking.broken_items() {
            let Some(shown) = self.conversation.find(item).map(|item| item.to_json("incomplete")) else {
                continue;
            };
            let fields = json!({"response_id": speaking.id, "output_index": 0, "item": shown});
            self.events.emit("response.output_item.done", &fields);
        }
        let mut shown = speaking.to_json(&self.conversation, status, details);
        if self.config.is(Rudeness::NullUsage) {
            shown["usage"] = Value::Null;
        }
        self.log.note(|seen| {
            seen.responses.push(status.to_owned());
            seen.spoken.extend(speaking.spoken().map(|(id, ms)| (id.to_owned(), ms)));
        });
        self.events.emit("response.done", &json!({ "response": shown }));
        // A polite fake has nothing left to say here.
        while let Some(step) = speaking.next(MonoTime::from_micros(u64::MAX)) {
            self.take_step(step);
        }
        for (item, text) in std::mem::take(&mut self.hearing.late) {
            self.transcribe(&item, text);
        }
    }

    fn strike(&mut self, rudeness: Rudeness) {
        if rudeness == Rudeness::Expire {
            self.expire();
        } else if rudeness == Rudeness::Cut {
            self.events.raw(ServiceOutput::Cut);
            self.phase = Phase::Closed;
        } else if rudeness == Rudeness::Close1011 {
            self.close(1011, "internal error");
        } else if rudeness == Rudeness::Silent {
            self.events.silent = true;
        } else if rudeness == Rudeness::HugeEvent {
            let audio = "A".repeat(5 << 20);
            let item = json!({"id": "item_huge", "type": "message", "role": "user",
                "content": [{"type": "input_audio", "audio": audio}]});
            self.events.emit("conversation.item.retrieved", &json!({ "item": item }));
        } else {
            self.events.emit("response.telepathy.delta", &json!({"why": rudeness.name()}));
        }
    }
}

const RESPONSE_KEYS: &[&str] = &[
    "conversation",
    "input",
    "instructions",
    "output_modalities",
    "audio",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "metadata",
    "prompt",
    "reasoning",
    "parallel_tool_calls",
];
