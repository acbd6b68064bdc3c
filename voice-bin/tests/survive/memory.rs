//! A service that makes up conversations, and knows what must be brought along when one is taken up again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use voice_core::sim::peer::{FakeService, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use crate::ear::voice;

/// From one turn of the caller to the next.
const TURN: Duration = Duration::from_millis(1_500);

/// A reply of so many frames.
const REPLY_FRAMES: usize = 25;

/// What was told or heard so long before the server died must be known afterwards.
const DURABLE: Duration = Duration::from_secs(1);

/// From the moment at which a reply is sent until it was heard, with what the server sends ahead.
const HEARD_AFTER: Duration = Duration::from_millis(500 + 400);

/// All conversations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(
    /// A lock, because every connection has a task of its own; held for microseconds.
    Arc<Mutex<Books>>,
);

#[derive(Debug, Default)]
struct Books {
    conversations: u32,
    /// What was told in each, and when it was sure.
    told: BTreeMap<u32, Vec<(String, MonoTime)>>,
    killed: MonoTime,
    found: Found,
}

/// What came of taking conversations up again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Conversations that began.
    pub(crate) began: u32,
    /// Times that one was taken up again.
    pub(crate) resumed: u32,
    /// Turns that were brought along.
    pub(crate) turns: u64,
    /// Turns that should have been, and were not.
    pub(crate) missing: Vec<String>,
    /// Turns that came twice.
    pub(crate) twice: Vec<String>,
}

impl Memory {
    /// The server dies now.
    pub(crate) fn killing(&self, now: MonoTime) {
        self.books().killed = now;
    }

    /// What came of it so far.
    pub(crate) fn found(&self) -> Found {
        self.books().found.clone()
    }

    /// One more connection.
    pub(crate) fn connection(&self) -> Box<dyn FakeService> {
        let memory = self.clone();
        Box::new(Connection { memory, history: String::new(), talk: None, outbox: VecDeque::new() })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Whose conversation this is, by what was brought along.
    fn take_up(&mut self, now: MonoTime, history: &str) -> Talk {
        let known = history.split_once("conversation ").and_then(|(_, rest)| rest.split(',').next());
        let Some(conversation) = known.and_then(|number| number.parse().ok()) else {
            self.conversations += 1;
            self.found.began += 1;
            self.told.insert(self.conversations, Vec::new());
            return Talk { conversation: self.conversations, turn: 0, next: now };
        };
        self.found.resumed += 1;
        let told = self.told.entry(conversation).or_default();
        // More than there ever were, so that no two turns have the same words.
        let turn = told.len() as u32 + self.found.resumed;
        let (killed, found) = (self.killed, &mut self.found);
        told.retain(|(text, at)| match history.matches(text.as_str()).count() {
            0 => {
                if *at + DURABLE <= killed {
                    found.missing.push(text.clone());
                }
                // What the server took with it nobody will bring along later.
                false
            }
            1 => {
                found.turns += 1;
                true
            }
            _ => {
                found.twice.push(text.clone());
                true
            }
        });
        Talk { conversation, turn, next: now }
    }

    fn note(&mut self, now: MonoTime, talk: &Talk) {
        let told = self.told.entry(talk.conversation).or_default();
        told.push((talk.words("caller"), now));
        told.push((talk.words("voice"), now + HEARD_AFTER));
    }
}

struct Connection {
    memory: Memory,
    history: String,
    /// Once the caller is heard.
    talk: Option<Talk>,
    outbox: VecDeque<ServiceOutput>,
}

impl FakeService for Connection {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match input {
            ServiceInput::Request(_) => {
                self.outbox.push_back(ServiceOutput::Accept { subprotocol: None });
                self.send(&session("session.created"));
            }
            ServiceInput::Wire(message) => self.hear(now, message),
            ServiceInput::Gone | ServiceInput::Tick => {}
        }
        let Some(talk) = self.talk.as_mut().filter(|talk| talk.next <= now) else { return };
        let events = talk.take_turn();
        talk.next = now + TURN;
        self.memory.books().note(now, talk);
        events.iter().for_each(|event| self.send(event));
    }

    fn poll(&mut self) -> ServiceOutput {
        let next = self.talk.as_ref().map(|talk| talk.next);
        self.outbox.pop_front().unwrap_or(ServiceOutput::WaitUntil(next))
    }
}

impl Connection {
    fn send(&mut self, event: &Value) {
        self.outbox.push_back(ServiceOutput::Send(WireMessage::Text(event.to_string().into())));
    }

    fn hear(&mut self, now: MonoTime, message: &WireMessage) {
        let Ok(message) = serde_json::from_slice::<Value>(message.as_bytes()) else { return };
        match message["type"].as_str().unwrap_or_default() {
            "input_audio_buffer.append" if self.talk.is_none() => {
                self.talk = Some(self.memory.books().take_up(now, &self.history));
            }
            "session.update" => self.send(&session("session.updated")),
            "conversation.item.create" => {
                self.history.push_str(&message.to_string());
                let id = &message["item"]["id"];
                self.send(&json!({"type": "conversation.item.added", "item": {"id": id, "type": "message"}}));
            }
            _ => {}
        }
    }
}

/// One connection's part of a conversation.
struct Talk {
    conversation: u32,
    turn: u32,
    next: MonoTime,
}

impl Talk {
    fn words(&self, who: &str) -> String {
        format!("conversation {}, {who}, turn {};", self.conversation, self.turn)
    }

    /// The caller says something, and is answered.
    fn take_turn(&mut self) -> Vec<Value> {
        self.turn += 1;
        let (said, response, item) =
            (format!("item_c{}", self.turn), format!("resp_{}", self.turn), format!("item_{}", self.turn));
        let of = |kind: &str, field: &str, value: String| {
            json!({"type": kind, "response_id": response, "item_id": item, "output_index": 0,
                "content_index": 0, field: value})
        };
        vec![
            json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": said}),
            json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 90, "item_id": said}),
            json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": said,
                "content_index": 0, "transcript": self.words("caller")}),
            json!({"type": "response.created",
                "response": {"id": response, "status": "in_progress", "output": []}}),
            json!({"type": "response.output_item.added", "response_id": response, "output_index": 0,
                "item": {"id": item, "type": "message", "role": "assistant", "content": []}}),
            of("response.output_audio_transcript.delta", "delta", self.words("voice")),
            of("response.output_audio.delta", "delta", voice(REPLY_FRAMES)),
            of("response.output_audio.done", "event_id", "e1".to_owned()),
            json!({"type": "response.done",
                "response": {"id": response, "status": "completed", "output": []}}),
        ]
    }
}

fn session(kind: &str) -> Value {
    json!({"type": kind, "session": {"type": "realtime", "object": "realtime.session", "id": "sess_survive"}})
}
