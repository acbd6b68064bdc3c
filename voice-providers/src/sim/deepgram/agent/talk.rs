//! What the fake Voice Agent hears and says: the dialogue of a book shop.

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::sim::speech::{CALLER, Clip, Hearing, VOICE, recognise, voice};
use voice_core::time::MonoTime;

use super::{Due, FakeAgent, Rudeness, Seen, Stage, sound};

/// Where the conversation stands.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// The last known sentence of the caller, even from before the session.
    last: Option<&'static str>,
    /// Whether anybody has said anything.
    begun: bool,
    caller_speaks: bool,
    /// Ids of the calls of tools that wait for an answer.
    calls: Vec<String>,
    calls_made: u32,
    replies: u32,
    /// Whether what is rude but once has been done.
    rude_once: bool,
}

impl Talk {
    /// Takes up a conversation that began elsewhere.
    pub(super) fn remember(&mut self, history: &[(String, String)]) {
        self.begun = !history.is_empty();
        let said = history.iter().rev().filter(|(role, _)| role == "user");
        self.last = said.filter_map(|(_, text)| sentence(text)).next();
    }
}

// What comes in.
impl FakeAgent {
    pub(super) fn on_hearing(&mut self, now: MonoTime, hearing: Hearing) {
        match hearing {
            Hearing::Began { .. } => {
                self.talk.caller_speaks = true;
                self.interrupt(now);
                self.say_of_caller(now, json!({"type": "UserStartedSpeaking"}));
            }
            Hearing::Ended { audio, .. } => {
                self.talk.caller_speaks = false;
                self.talk.begun = true;
                let clip = recognise(&audio).filter(|clip| sentence(clip.text) == Some(clip.name));
                let name = clip.map(|clip| clip.name);
                self.seen.push(Seen::Caller(name));
                self.talk.last = name.or(self.talk.last);
                let text = clip.map_or("something else", |clip| clip.text);
                self.said(now, "user", text);
                let thought = self.think(now);
                self.agenda.add(thought, Due::Answer(name));
            }
        }
    }

    pub(super) fn on_user_message(&mut self, now: MonoTime, content: String) {
        self.seen.push(Seen::UserMessage(content.clone()));
        if self.talk.caller_speaks || self.refuses_once() {
            return self.refuse_injection(now);
        }
        self.said(now, "user", &content);
        let known = sentence(&content).or(self.talk.last);
        let thought = self.think(now);
        if known.is_none() && !self.talk.begun {
            self.talk.begun = true;
            return self.reply(thought, "greeting");
        }
        self.agenda.add(thought, Due::Answer(known.or(Some("hello"))));
    }

    pub(super) fn on_agent_message(
        &mut self,
        now: MonoTime,
        message: String,
        behavior: &str,
    ) -> Result<(), super::Refusal> {
        let mid_turn = self.talk.caller_speaks || self.is_speaking();
        let refused = match behavior {
            "default" => mid_turn,
            "queue" => false,
            "interrupt" => {
                self.interrupt(now);
                false
            }
            other => return Err(("UNPARSABLE_CLIENT_MESSAGE", format!("behavior {other}"))),
        };
        self.seen.push(Seen::AgentMessage(message.clone()));
        if refused || self.refuses_once() {
            self.refuse_injection(now);
        } else {
            let after = self.agenda.items.iter().rev().find(|(_, due)| due.is_of_reply()).map(|(at, _)| *at);
            self.speak_words(after.unwrap_or(now), &message);
        }
        Ok(())
    }

    pub(super) fn on_answer(&mut self, now: MonoTime, id: &str, name: String, content: String) {
        let Some(at) = self.talk.calls.iter().position(|call| call == id) else {
            return self.seen.push(Seen::NeedlessAnswer(id.to_owned()));
        };
        self.talk.calls.remove(at);
        let failed = content.contains("\"error\"");
        self.seen.push(Seen::Answer { name, content });
        if !self.talk.calls.is_empty() {
            return;
        }
        self.agenda.items.retain(|(_, due)| !matches!(due, Due::GiveUp));
        let thought = self.think(now);
        if failed && self.rudeness == Some(Rudeness::BadArguments) && self.talk.calls_made < 2 {
            return self.call_tool(thought, "lookup_order", r#"{"number":"427"}"#);
        }
        self.reply(thought, if failed { "sorry" } else { "order" });
    }

    /// The voice stops where it is.
    fn interrupt(&mut self, now: MonoTime) {
        let strays: Vec<Vec<u8>> = self
            .agenda
            .items
            .iter()
            .filter_map(|(_, due)| if let Due::Sound(bytes) = due { Some(bytes.clone()) } else { None })
            .take(3)
            .collect();
        self.agenda.items.retain(|(_, due)| !due.is_of_reply());
        if self.rudeness == Some(Rudeness::AudioAfterStart) {
            for (n, stray) in strays.into_iter().enumerate() {
                self.agenda.add(now + Duration::from_millis(40 * (n as u64 + 1)), Due::Stray(stray));
            }
        }
    }

    fn refuse_injection(&mut self, now: MonoTime) {
        let refusal = json!({"type": "InjectionRefused", "message": "somebody is in the middle of a turn"});
        self.agenda.add(now, Due::Say(refusal));
    }

    fn refuses_once(&mut self) -> bool {
        self.rudeness == Some(Rudeness::RefusesInjection)
            && !std::mem::replace(&mut self.talk.rude_once, true)
    }
}

// What goes out.
impl FakeAgent {
    /// Answers a sentence of the caller.
    pub(super) fn answer(&mut self, now: MonoTime, sentence: Option<&'static str>) {
        match self.rudeness {
            Some(Rudeness::TurnError(code)) => return self.agenda.add(now, Due::Fail(code)),
            Some(Rudeness::HalfOpen) if self.talk.replies > 0 => return,
            Some(Rudeness::ThinkFallsBack) => {
                let warning =
                    json!({"type": "Warning", "code": "THINK_REQUEST_FAILED", "description": "first"});
                self.agenda.add(now, Due::Say(warning));
            }
            _ => {}
        }
        let Stage::Talking { settings } = &self.stage else { return };
        let clip = match sentence {
            Some("hello") => "hear",
            Some("order") if settings.tools.iter().any(|tool| tool == "lookup_order") => {
                let said = self.reply_until(now, "check");
                return self.call(said);
            }
            Some("thanks") => "welcome",
            Some(known @ ("hours" | "delivery" | "price" | "person" | "goodbye")) => known,
            Some(_) | None => "sorry",
        };
        self.reply(now, clip);
    }

    /// A tool has not answered for long.
    pub(super) fn give_up(&mut self, now: MonoTime) {
        self.talk.calls.clear();
        self.reply(now, "sorry");
    }

    /// Says these words, with the voice of a clip.
    pub(super) fn speak_words(&mut self, now: MonoTime, words: &str) {
        self.talk.begun = true;
        let clip = VOICE.iter().find(|clip| clip.text == words).or_else(|| voice("check"));
        if let Some(clip) = clip {
            self.speak(now, clip, words);
        }
    }

    fn reply(&mut self, now: MonoTime, name: &str) {
        self.reply_until(now, name);
    }

    fn reply_until(&mut self, now: MonoTime, name: &str) -> MonoTime {
        match voice(name) {
            Some(clip) => self.speak(now, clip, clip.text),
            None => now,
        }
    }

    /// One reply: its words sentence by sentence, its sound in pieces of any size, and the word that it
    /// is over, which comes well before anybody can have heard it.
    fn speak(&mut self, now: MonoTime, clip: &Clip, words: &str) -> MonoTime {
        let Stage::Talking { settings } = &self.stage else { return now };
        let sound = sound::from_mulaw(&settings.speaks, clip.mulaw);
        let silent = self.rudeness == Some(Rudeness::WordsWithoutAudio);
        let sentences: Vec<&str> = words.split_inclusive(". ").map(str::trim_end).collect();
        let share = sound.len() / sentences.len();
        let mut at = now;
        let mut rest = sound.as_slice();
        for (n, sentence) in sentences.iter().enumerate() {
            self.said_as(at, "assistant", sentence, Due::Reply);
            let (part, later) = rest.split_at(if n + 1 == sentences.len() { rest.len() } else { share });
            rest = later;
            if !silent {
                at = self.send_sound(at, part);
            }
        }
        if self.talk.replies == 0 {
            self.end_rudely(now, at);
        }
        self.talk.replies += 1;
        self.season(now);
        if self.rudeness != Some(Rudeness::NoAudioDone) {
            self.agenda.add(at, Due::Reply(json!({"type": "AgentAudioDone"})));
        }
        at
    }

    fn send_sound(&mut self, mut at: MonoTime, mut sound: &[u8]) -> MonoTime {
        while !sound.is_empty() {
            let size = self.rng.range(301..3_203) as usize;
            let (piece, rest) = sound.split_at(size.min(sound.len()));
            self.agenda.add(at, Due::Sound(piece.to_vec()));
            sound = rest;
            at += self.rng.millis(5..40);
        }
        at
    }

    fn end_rudely(&mut self, begin: MonoTime, end: MonoTime) {
        let middle = begin + end.since(begin) / 2;
        match self.rudeness {
            Some(Rudeness::Close(code, reason)) => self.agenda.add(middle, Due::Close(code, reason)),
            Some(Rudeness::Cut) => self.agenda.add(middle, Due::Cut),
            _ => {}
        }
    }

    /// What else comes with a reply.
    fn season(&mut self, at: MonoTime) {
        let report = json!({"type": "LatencyReport", "stt_latency": 0.12, "ttt_token_latency": 0.34,
            "tts_latency": 0.18, "total_latency": 0.64});
        self.agenda.add(at, Due::Reply(report));
        match self.rudeness {
            Some(Rudeness::UnknownKinds) => {
                for kind in ["EndOfThought", "FrustrationDetected", "SomethingNew", ""] {
                    self.agenda.add(at, Due::Say(json!({"type": kind, "count": 1})));
                }
            }
            Some(Rudeness::Garbage) => {
                for text in ["", "{\"type\":\"Conversa", "[object Blob]", "\u{0}\u{fffd}", "{\"type\":7}"] {
                    self.agenda.add(at, Due::Garble(text));
                }
                self.agenda.add(at, Due::Sound(Vec::new()));
            }
            _ => {}
        }
    }

    fn call(&mut self, at: MonoTime) {
        let look = r#"{"number":"427"}"#;
        match self.rudeness {
            Some(Rudeness::BadArguments) => self.call_tool(at, "lookup_order", r#"{"number":"#),
            Some(Rudeness::UnknownTool) => self.call_tool(at, "launch_rocket", look),
            Some(Rudeness::ParallelTools) => {
                let calls = [
                    self.new_call("lookup_order", look),
                    self.new_call("lookup_order", r#"{"number":"428"}"#),
                ];
                let own = json!({"id": "own", "name": "search", "arguments": "{}", "client_side": false});
                let [a, b] = calls;
                self.request(at, json!([a, own, b]));
                let done =
                    json!({"type": "FunctionCallResponse", "id": "own", "name": "search", "content": "x"});
                self.agenda.add(at, Due::Say(done));
            }
            Some(Rudeness::CancelledTool) => {
                let call = self.new_call("lookup_order", look);
                let cancelled = json!([{"id": call["id"], "name": call["name"]}]);
                self.request(at, json!([call]));
                let soon = at + Duration::from_millis(200);
                self.agenda
                    .add(soon, Due::Say(json!({"type": "FunctionCallCancelled", "functions": cancelled})));
                self.talk.calls.clear();
                self.agenda.items.retain(|(_, due)| !matches!(due, Due::GiveUp));
                self.reply(soon, "sorry");
            }
            _ => self.call_tool(at, "lookup_order", look),
        }
    }

    fn call_tool(&mut self, at: MonoTime, name: &str, arguments: &str) {
        let call = self.new_call(name, arguments);
        self.request(at, json!([call]));
    }

    fn new_call(&mut self, name: &str, arguments: &str) -> Value {
        self.talk.calls_made += 1;
        let id = format!("fc_{:08x}_{}", self.rng.bits() as u32, self.talk.calls_made);
        self.talk.calls.push(id.clone());
        json!({"id": id, "name": name, "arguments": arguments, "client_side": true})
    }

    fn request(&mut self, at: MonoTime, functions: Value) {
        self.agenda.add(at, Due::Say(json!({"type": "FunctionCallRequest", "functions": functions})));
        self.agenda.add(at + TOOL_MAX, Due::GiveUp);
    }

    fn think(&mut self, now: MonoTime) -> MonoTime {
        let slow = self.rudeness == Some(Rudeness::SlowThink);
        now + if slow { self.rng.millis(5_000..10_000) } else { self.rng.millis(300..700) }
    }

    fn said(&mut self, now: MonoTime, role: &str, content: &str) {
        self.said_as(now, role, content, Due::Say);
        if role == "user" && self.rudeness == Some(Rudeness::SaysTwice) {
            self.said_as(now, role, content, Due::Say);
        }
    }

    fn said_as(&mut self, at: MonoTime, role: &str, content: &str, due: fn(Value) -> Due) {
        let text = json!({"type": "ConversationText", "role": role, "content": content,
            "conversational_behavior": "default"});
        self.agenda.add(at, due(text));
        if let Stage::Talking { settings } = &self.stage
            && settings.reports_history
        {
            self.agenda.add(at, due(json!({"type": "History", "role": role, "content": content})));
        }
    }

    fn say_of_caller(&mut self, now: MonoTime, message: Value) {
        if self.rudeness == Some(Rudeness::SaysTwice) {
            self.agenda.add(now, Due::Say(message.clone()));
        }
        self.agenda.add(now, Due::Say(message));
    }

    fn is_speaking(&self) -> bool {
        self.agenda.items.iter().any(|(_, due)| due.is_of_reply())
    }
}

impl Due {
    fn is_of_reply(&self) -> bool {
        matches!(self, Self::Reply(_) | Self::Sound(_) | Self::Answer(_))
    }
}

/// The name of the caller's sentence with these words.
fn sentence(text: &str) -> Option<&'static str> {
    CALLER.iter().find(|clip| clip.text == text).map(|clip| clip.name)
}

/// A tool that has not answered by then is given up.
const TOOL_MAX: Duration = Duration::from_secs(15);
