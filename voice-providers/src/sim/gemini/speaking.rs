//! The fake's turns: when which piece of a reply is sent, and how a turn is interrupted.

use std::time::Duration;

use serde_json::{Value, json};

use voice_core::audio::AudioFormat;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::config::{Profile, Rudeness};
use super::script::{self, Answer};
use super::service::{FakeGemini, Of, Step};

/// What the model is at.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// When the caller will have heard it all, as far as the model can tell.
    until: Option<MonoTime>,
    /// Tool calls that wait for an answer.
    pub(super) waiting: Vec<Waiting>,
    /// When the latest of them was made.
    called: MonoTime,
    calls: u32,
}

/// A tool call.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    id: Option<String>,
    name: String,
    args: Value,
}

impl Turn {
    /// Whether nothing may be sent but an answer. What was under way when the tool was called may be.
    pub(super) fn blocks(&self, now: MonoTime, profile: Profile) -> bool {
        let late = now.since(self.called) > Duration::from_millis(250);
        !self.waiting.is_empty() && profile != Profile::V3_8 && late
    }

    /// Whether somebody waits for this.
    pub(super) fn answered(&mut self, id: Option<&str>, name: &str) -> bool {
        let fits = |waiting: &Waiting| waiting.id.as_deref() == id && waiting.name == name;
        let at = self.waiting.iter().position(fits);
        at.map(|at| self.waiting.remove(at)).is_some()
    }
}

impl FakeGemini {
    /// Answers, after the time it takes to think.
    pub(super) fn answer(&mut self, now: MonoTime, answer: Answer) {
        // One turn at a time: what answers a tool waits for what is being said.
        let idle = self.turn.until.map_or(now, |until| until.max(now));
        let start = idle + self.rng.millis(self.config.first_audio_ms.clone());
        for (rudeness, reason) in
            [(Rudeness::NeedMoreInput, "NEED_MORE_INPUT"), (Rudeness::ResponseRejected, "RESPONSE_REJECTED")]
        {
            if self.is_once(rudeness) {
                let content = json!({ "turnComplete": true, "turnCompleteReason": reason });
                return self.at(start, Of::Turn, Step::Send(json!({ "serverContent": content })));
            }
        }
        self.session.greeted = true;
        match answer {
            Answer::Say(clip) => {
                let generated = self.speak(start, clip);
                self.finish(start, generated, clip);
            }
            Answer::LookUp if self.session.tools.iter().any(|tool| tool == "lookup_order") => {
                let generated = self.speak(start, "check");
                let calls = self.calls();
                self.at(generated, Of::Turn, Step::Call(calls));
                // A model that waits for its tool goes on with the same turn afterwards.
                if self.session.profile == Profile::V3_8 {
                    self.finish(start, generated, "check");
                }
            }
            Answer::LookUp => self.answer(now, Answer::Say("sorry")),
        }
    }

    /// Sends a clip, piece by piece. When all of it will have been sent.
    fn speak(&mut self, start: MonoTime, name: &str) -> MonoTime {
        self.preface(start);
        let clip = script::clip(name);
        let (format, mime) = if self.is(Rudeness::OtherRate) {
            (AudioFormat::PCM16_16K, "audio/pcm;rate=16000")
        } else {
            (AudioFormat::PCM16_24K, "audio/pcm;rate=24000")
        };
        let length = self.rng.millis(20..200);
        let mut pieces = script::pieces(clip, format, length);
        if self.is(Rudeness::OddBytes) {
            tear(&mut pieces);
        }
        let late_words = self.is(Rudeness::LateWords);
        let count = pieces.len();
        let mut at = start;
        for (n, (audio, mut text)) in pieces.into_iter().enumerate() {
            if !self.session.transcribes_voice {
                text.clear();
            }
            if late_words && n + 1 == count {
                let words = json!({ "serverContent": { "outputTranscription": { "text": &text } } });
                self.at(at + Duration::from_millis(200), Of::Turn, Step::Send(words));
                text.clear();
            }
            if n == count / 3 {
                self.misbehave(at);
            }
            for message in script::messages(self.session.profile, &audio, &text, mime) {
                self.at(at, Of::Turn, Step::Send(message));
            }
            at += if self.is(Rudeness::SlowAudio) {
                format.duration_of(audio.len()).mul_f64(1.3)
            } else {
                format.duration_of(audio.len()) / self.config.speed.max(1)
            };
        }
        self.turn.until = Some((start + clip.duration()).max(at));
        at
    }

    /// What comes before a reply.
    fn preface(&mut self, start: MonoTime) {
        if self.session.resumable {
            self.at(start, Of::Turn, Step::Send(json!({ "sessionResumptionUpdate": {} })));
        }
        if self.is(Rudeness::EmptyContent) {
            let empty = json!({ "serverContent": {}, "usageMetadata": { "promptTokenCount": 10 } });
            self.at(start, Of::Turn, Step::Send(empty));
        }
        if self.is(Rudeness::HugeMessage) {
            let huge = json!({ "serverContent": {}, "padding": "x".repeat(5 << 20) });
            self.at(start, Of::Turn, Step::Send(huge));
        }
        if self.is(Rudeness::BadBase64) {
            let blob = json!({ "mimeType": "audio/pcm;rate=24000", "data": "!!!" });
            let bad = json!({ "serverContent": { "modelTurn": { "parts": [{ "inlineData": blob }] } } });
            self.at(start, Of::Turn, Step::Send(bad));
        }
        if self.is(Rudeness::Garbage) {
            let bytes: Vec<u8> = (0..200).map(|_| self.rng.bits() as u8).collect();
            for raw in [
                WireMessage::Binary(bytes.into()),
                WireMessage::text(r#"{"serverContent":{"modelTurn":{"par"#),
                WireMessage::text(r#"{"newsOfTheDay":{"a":[1,2,3]}}"#),
                WireMessage::text(
                    r#"{"serverContent":{"novelty":7,"modelTurn":{"parts":[{"novelty":{}}]}}}"#,
                ),
            ] {
                self.at(start, Of::Turn, Step::Raw(raw));
            }
        }
    }

    /// What goes wrong in the middle of a reply, once.
    fn misbehave(&mut self, at: MonoTime) {
        for (rudeness, code, reason) in [
            (Rudeness::Close1011, 1011, "Internal error occurred."),
            (Rudeness::Abort, 1008, "The operation was aborted."),
            (Rudeness::Deadline, 1011, "Deadline expired before operation could complete."),
        ] {
            if self.is_once(rudeness) {
                self.at(at, Of::Connection, Step::Close(code, reason));
            }
        }
        if self.is_once(Rudeness::Cut) {
            self.at(at, Of::Connection, Step::Cut);
        }
        if self.is_once(Rudeness::ErrorMessage) {
            let error = json!({ "code": 503, "message": "Try again.", "status": "UNAVAILABLE" });
            self.at(at, Of::Connection, Step::Send(json!({ "error": error })));
        }
        if self.is_once(Rudeness::FalseInterruption) {
            self.at(at, Of::Turn, Step::Interrupt);
        }
    }

    /// Ends a turn whose last audio is sent at `generated`.
    fn finish(&mut self, start: MonoTime, generated: MonoTime, name: &str) {
        if !self.is(Rudeness::NoGenerationComplete) {
            let complete = json!({ "serverContent": { "generationComplete": true } });
            self.at(generated, Of::Turn, Step::Send(complete));
        }
        let spoken = script::clip(name).duration();
        let over = generated.max(start + spoken);
        for message in script::turn_complete(self.session.profile, script::usage(spoken)) {
            self.at(over, Of::Turn, Step::Send(message));
        }
        self.offer_handle(over);
        if self.is_once(Rudeness::GoAwayAtOnce) {
            self.go_away(over + Duration::from_millis(200), Duration::ZERO);
        }
    }

    /// The caller speaks: whatever the model is at ends.
    pub(super) fn barge_in(&mut self, now: MonoTime) {
        let speaks = self.turn.until.is_some_and(|until| now < until);
        if speaks && !self.is(Rudeness::KeepsTalking) {
            self.interrupt(now);
        }
    }

    pub(super) fn interrupt(&mut self, now: MonoTime) {
        self.forget_turn();
        self.turn.until = None;
        self.memory.see(|seen| seen.interruptions += 1);
        self.say(json!({ "serverContent": { "interrupted": true } }));
        self.cancel_calls();
        let soon = now + Duration::from_millis(60);
        if !self.is(Rudeness::NoTurnComplete) {
            self.at(soon, Of::Connection, Step::Send(json!({ "serverContent": { "turnComplete": true } })));
        }
        self.offer_handle(soon);
    }

    pub(super) fn cancel_calls(&mut self) {
        let waiting = std::mem::take(&mut self.turn.waiting);
        let ids: Vec<_> = waiting.into_iter().filter_map(|call| call.id).collect();
        if !ids.is_empty() {
            self.say(json!({ "toolCallCancellation": { "ids": ids } }));
        }
    }

    pub(super) fn call(&mut self, now: MonoTime, calls: Vec<Waiting>) {
        let shown: Vec<Value> = calls
            .iter()
            .map(|call| match &call.id {
                Some(id) => json!({ "id": id, "name": call.name, "args": call.args }),
                None => json!({ "name": call.name, "args": call.args }),
            })
            .collect();
        self.turn.waiting.extend(calls);
        self.turn.called = now;
        self.say(json!({ "toolCall": { "functionCalls": shown } }));
        if self.is(Rudeness::ToolCancelled) {
            self.at(now + Duration::from_millis(300), Of::Connection, Step::CancelCalls);
        }
    }

    fn calls(&mut self) -> Vec<Waiting> {
        let mut call = |name: &str, number: &str| {
            self.turn.calls += 1;
            let id = format!("fc-{}-{}", self.session.number, self.turn.calls);
            let id = (!self.config.is(Rudeness::ToolWithoutId)).then_some(id);
            Waiting { id, name: name.to_owned(), args: json!({ "number": number }) }
        };
        if self.config.is(Rudeness::ToolsParallel) {
            ["427", "428", "429"].map(|number| call("lookup_order", number)).to_vec()
        } else if self.config.is(Rudeness::ToolTwice) {
            vec![call("lookup_order", "427"), call("lookup_order", "427")]
        } else if self.config.is(Rudeness::ToolUnknown) {
            vec![call("open_the_pod_bay_doors", "427")]
        } else {
            vec![call("lookup_order", "427")]
        }
    }
}

/// Moves a byte of every piece into the next one.
fn tear(pieces: &mut [(Vec<u8>, String)]) {
    for at in 1..pieces.len() {
        if at % 2 == 1
            && let Some(byte) = pieces[at - 1].0.pop()
        {
            pieces[at].0.insert(0, byte);
        }
    }
}
