//! One connection to the fake: the door, the client's events, and the passing of time.

mod answering;
mod listening;

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::audio::AudioFormat;
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::Listener;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use super::check::{self, Checked, Fault, only};
use super::config::{FakeOpenAiConfig, Rudeness};
use super::conversation::Conversation;
use super::door::{self, Guest};
use super::ears;
use super::events::Events;
use super::log::{FakeOpenAiLog, Truncated};
use super::speaking::Speaking;

/// One connection to a fake OpenAI Realtime.
#[derive(Debug)]
pub struct FakeOpenAi {
    config: FakeOpenAiConfig,
    log: FakeOpenAiLog,
    rng: Rng,
    events: Events,
    phase: Phase,
    /// What will happen when, beside the response.
    agenda: Vec<(MonoTime, Deed)>,
    /// The session in force, as `session.updated` shows it.
    session: Value,
    hearing: Hearing,
    conversation: Conversation,
    speaking: Option<Speaking>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Open,
    Closed,
}

/// Something that happens by itself.
#[derive(Debug)]
enum Deed {
    /// The words of a turn are known.
    Transcribe { item: String, text: Option<&'static str> },
    /// The longest session is over.
    Expire,
}

/// What the caller's audio went into.
#[derive(Debug)]
struct Hearing {
    format: AudioFormat,
    listener: Option<Listener>,
    /// Audio that was not committed, mu-law; kept only where the client commits by itself.
    buffer: Vec<u8>,
    bytes: u64,
    /// The item of the turn that is being spoken.
    item: Option<String>,
    /// Transcripts that wait until the reply is over.
    late: Vec<(String, Option<&'static str>)>,
}

#[derive(Debug, Default)]
struct Counts {
    ids: u32,
    responses: u32,
    has_spoken: bool,
    /// Tokens read for the last response: the next finds them in the cache.
    read_before: u64,
}

impl FakeService for FakeOpenAi {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        // What is due comes before what is new.
        self.pass_time(now);
        match (input, self.phase) {
            (ServiceInput::Request(request), Phase::Waiting) => self.on_request(now, request),
            (ServiceInput::Wire(message), Phase::Open) => self.on_message(now, message),
            (ServiceInput::Gone, _) => self.phase = Phase::Closed,
            (ServiceInput::Request(_) | ServiceInput::Wire(_) | ServiceInput::Tick, _) => {}
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        if let Some(output) = self.events.pop() {
            return output;
        }
        if self.phase != Phase::Open {
            return ServiceOutput::WaitUntil(None);
        }
        let agenda = self.agenda.iter().map(|(at, _)| *at);
        ServiceOutput::WaitUntil(agenda.chain(self.speaking.as_ref().and_then(Speaking::due)).min())
    }
}

impl FakeOpenAi {
    /// A fake that waits for one connection.
    pub fn new(config: FakeOpenAiConfig) -> Self {
        let log = FakeOpenAiLog::default();
        let mut rng = Rng::new(config.seed);
        let events = Events::new(&config, rng.fork(), log.clone());
        let hearing = Hearing {
            format: AudioFormat::PCM16_24K,
            listener: None,
            buffer: Vec::new(),
            bytes: 0,
            item: None,
            late: Vec::new(),
        };
        Self {
            config,
            log,
            rng,
            events,
            phase: Phase::Waiting,
            agenda: Vec::new(),
            session: Value::Null,
            hearing,
            conversation: Conversation::default(),
            speaking: None,
            counts: Counts::default(),
        }
    }

    /// A view of what it sees.
    pub fn log(&self) -> FakeOpenAiLog {
        self.log.clone()
    }

    fn on_request(&mut self, now: MonoTime, request: &Request) {
        let guest = match door::enter(&self.config, request) {
            Ok(guest) => guest,
            Err(refusal) => {
                self.phase = Phase::Closed;
                return refusal.into_iter().for_each(|output| self.events.raw(output));
            }
        };
        self.phase = Phase::Open;
        self.events.raw(ServiceOutput::Accept { subprotocol: guest.subprotocol });
        self.welcome(now, &guest);
    }

    fn welcome(&mut self, now: MonoTime, guest: &Guest) {
        if guest.is_beta {
            return self.refuse_beta();
        }
        if !guest.model.starts_with("gpt-realtime") {
            let message = format!("The model '{}' is not supported in realtime mode.", guest.model);
            return self.turn_away(&Fault::new("invalid_model", "model", message));
        }
        if self.config.is(Rudeness::NoQuota) {
            let message = "You exceeded your current quota.";
            return self.turn_away(&Fault {
                code: "insufficient_quota",
                param: None,
                message: message.into(),
            });
        }
        let expires_at = self.config.unix.as_secs() + self.config.session_secs;
        self.session = defaults(&guest.model, expires_at);
        self.agenda.push((now + Duration::from_secs(self.config.session_secs.unsigned_abs()), Deed::Expire));
        self.adopt_session();
        self.events.emit("session.created", &json!({ "session": self.session }));
    }

    fn refuse_beta(&mut self) {
        let fault = Fault {
            code: "beta_api_shape_disabled",
            param: None,
            message: "The Realtime beta API is no longer available.".to_owned(),
        };
        self.turn_away(&fault);
    }

    /// An error, and the door.
    fn turn_away(&mut self, fault: &Fault) {
        self.events.error(fault, None);
        self.close(4000, &format!("invalid_request_error.{}", fault.code));
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.events.raw(ServiceOutput::Close { code, reason: reason.to_owned() });
        self.phase = Phase::Closed;
    }

    fn expire(&mut self) {
        let message = "Your session hit the maximum duration of 60 minutes.";
        self.events.error(&Fault { code: "session_expired", param: None, message: message.into() }, None);
        self.close(1001, message);
    }

    fn on_message(&mut self, now: MonoTime, message: &WireMessage) {
        let event: Value = match message {
            WireMessage::Text(text) => serde_json::from_slice(text.as_bytes()).unwrap_or_default(),
            WireMessage::Binary(_) => Value::Null,
        };
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        if kind != "input_audio_buffer.append" {
            self.log.note(|seen| seen.kinds.push(kind.clone()));
        }
        if let Err(fault) = self.on_event(now, &kind, &event) {
            self.events.error(&fault, event["event_id"].as_str());
        }
        self.pass_time(now);
    }

    fn on_event(&mut self, now: MonoTime, kind: &str, event: &Value) -> Checked {
        if event["event_id"].as_str().is_some_and(|id| id.len() > 512) {
            return Err(Fault::invalid("event_id"));
        }
        match kind {
            "input_audio_buffer.append" => self.on_append(now, event),
            "input_audio_buffer.commit" => self.on_commit(now),
            "input_audio_buffer.clear" => {
                self.hearing.buffer.clear();
                self.events.emit("input_audio_buffer.cleared", &json!({}));
                Ok(())
            }
            "session.update" => self.on_update(event),
            "conversation.item.create" => self.on_create(event),
            "conversation.item.truncate" => self.on_truncate(event),
            "conversation.item.delete" => {
                only("", event, &["type", "event_id", "item_id"])?;
                let item = self.conversation.delete(event)?;
                self.log.note(|seen| seen.deleted.push(item.clone()));
                self.events.emit("conversation.item.deleted", &json!({ "item_id": item }));
                Ok(())
            }
            "response.create" => self.on_respond(now, event),
            "response.cancel" => self.on_cancel(event),
            "" => Err(Fault::new("invalid_event", "type", "This is no event.")),
            _ => Err(Fault::new("invalid_value", "type", format!("Invalid value: '{kind}'."))),
        }
    }

    fn on_update(&mut self, event: &Value) -> Checked {
        only("", event, &["type", "event_id", "session"])?;
        let update = &event["session"];
        if update.get("modalities").is_some() {
            self.refuse_beta();
            return Ok(());
        }
        check::session(update, &self.session, self.counts.has_spoken)?;
        merge(&mut self.session, update);
        if self.config.is(Rudeness::OtherFormat) {
            self.session["audio"]["output"]["format"] = json!({"type": "audio/pcm", "rate": 24_000});
        }
        self.adopt_session();
        self.log.note(|seen| seen.updates.push(update.to_string()));
        self.events.emit("session.updated", &json!({ "session": self.session }));
        Ok(())
    }

    /// The ears follow the session in force.
    fn adopt_session(&mut self) {
        let input = &self.session["audio"]["input"];
        self.hearing.format = ears::format_of(&input["format"]).unwrap_or(AudioFormat::PCM16_24K);
        let detection = &input["turn_detection"];
        let silence = detection["silence_duration_ms"].as_u64().unwrap_or(600);
        self.hearing.listener = (!detection.is_null()).then(|| Listener::new(Duration::from_millis(silence)));
    }

    fn on_create(&mut self, event: &Value) -> Checked {
        only("", event, &["type", "event_id", "item", "previous_item_id"])?;
        let fresh = self.fresh_id("item");
        let item = self.conversation.create(event, fresh)?;
        self.log.note(|seen| seen.items.push(event["item"].to_string()));
        if !self.config.is(Rudeness::NoAcks) {
            self.show_item("conversation.item.added", &item.id, "completed");
            self.show_item("conversation.item.done", &item.id, "completed");
        }
        Ok(())
    }

    fn on_truncate(&mut self, event: &Value) -> Checked {
        let generated_ms = self.conversation.truncate(event)?;
        let item = event["item_id"].as_str().unwrap_or_default().to_owned();
        let audio_end_ms = event["audio_end_ms"].as_u64().unwrap_or_default();
        self.events.emit(
            "conversation.item.truncated",
            &json!({"item_id": item, "content_index": 0, "audio_end_ms": audio_end_ms}),
        );
        self.log.note(|seen| seen.truncated.push(Truncated { item, audio_end_ms, generated_ms }));
        Ok(())
    }

    /// Tells of an item as it is now.
    fn show_item(&mut self, kind: &str, id: &str, status: &str) {
        let previous = self.conversation.before(id).map(str::to_owned);
        let Some(item) = self.conversation.find(id) else { return };
        self.events.emit(kind, &json!({"previous_item_id": previous, "item": item.to_json(status)}));
    }

    fn pass_time(&mut self, now: MonoTime) {
        while self.phase == Phase::Open {
            let earliest = (0..self.agenda.len())
                .min_by_key(|at| self.agenda[*at].0)
                .filter(|at| self.agenda[*at].0 <= now);
            if let Some(at) = earliest {
                match self.agenda.remove(at).1 {
                    Deed::Transcribe { item, text } => self.transcribe(&item, text),
                    Deed::Expire => self.expire(),
                }
                continue;
            }
            match self.speaking.as_mut().and_then(|speaking| speaking.next(now)) {
                Some(step) => self.take_step(step),
                None => return,
            }
        }
    }

    fn fresh_id(&mut self, kind: &str) -> String {
        self.counts.ids += 1;
        format!("{kind}_{:04}", self.counts.ids)
    }
}

/// The session before anything is set; silence of 200 ms, as real ones show.
fn defaults(model: &str, expires_at: i64) -> Value {
    json!({
        "type": "realtime", "object": "realtime.session", "id": "sess_fake", "model": model,
        "expires_at": expires_at, "output_modalities": ["audio"],
        "instructions": "Your knowledge cutoff is 2023-10.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000}, "noise_reduction": null,
                "transcription": null,
                "turn_detection": {
                    "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                    "silence_duration_ms": 200, "create_response": true, "interrupt_response": true,
                    "idle_timeout_ms": null,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "alloy", "speed": 1.0},
        },
        "tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "truncation": "auto",
        "include": null, "tracing": null, "prompt": null,
    })
}

/// Merges an update into the session in force. What has a `type` is replaced as a whole.
fn merge(current: &mut Value, update: &Value) {
    let Some(update) = update.as_object() else { return };
    for (key, value) in update {
        if value.is_object() && value.get("type").is_none() && current[key].is_object() {
            merge(&mut current[key], value);
        } else {
            current[key] = value.clone();
        }
    }
}
