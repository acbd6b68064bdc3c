//! What the fake sends: events with ids, in the order of fields of the real one, spoilt on request.

use std::collections::VecDeque;

use serde_json::{Value, json};
use voice_core::sim::peer::ServiceOutput;
use voice_core::sim::rng::Rng;
use voice_core::wire::WireMessage;

use super::check::Fault;
use super::config::{FakeOpenAiConfig, Rudeness};
use super::log::FakeOpenAiLog;

/// Where everything goes out.
#[derive(Debug)]
pub(super) struct Events {
    out: VecDeque<ServiceOutput>,
    rng: Rng,
    count: u64,
    unknown_fields: bool,
    beta_names: bool,
    garbage: bool,
    /// Nothing goes out any more.
    pub(super) silent: bool,
    log: FakeOpenAiLog,
}

impl Events {
    pub(super) fn new(config: &FakeOpenAiConfig, rng: Rng, log: FakeOpenAiLog) -> Self {
        Self {
            out: VecDeque::new(),
            rng,
            count: 0,
            unknown_fields: config.is(Rudeness::UnknownField),
            beta_names: config.is(Rudeness::BetaNames),
            garbage: config.is(Rudeness::Garbage),
            silent: config.is(Rudeness::Mute),
            log,
        }
    }

    pub(super) fn pop(&mut self) -> Option<ServiceOutput> {
        self.out.pop_front()
    }

    /// Something that is no event: an answer to the request, a close.
    pub(super) fn raw(&mut self, output: ServiceOutput) {
        self.out.push_back(output);
    }

    /// One event. `fields` is an object.
    pub(super) fn emit(&mut self, kind: &str, fields: &Value) {
        self.count += 1;
        let kind = if self.beta_names { beta_name(kind) } else { kind.to_owned() };
        let fields = fields.to_string();

        let rest = fields.strip_prefix("{").and_then(|rest| rest.strip_suffix("}")).unwrap_or_default();
        let comma = if rest.is_empty() { "" } else { "," };
        let count = self.count;
        let mut text = format!(r#"{{"type":"{kind}","event_id":"event_{count}"{comma}{rest}}}"#);
        if self.unknown_fields {
            text = format!(r#"{{"novelty":{{"type":"no","list":[1,null]}}, {}"#, &text[1..]);
        }
        self.send(WireMessage::text(text));
        if self.garbage && self.rng.percent(3) {
            let garbage = self.garbage();
            self.send(garbage);
        }
    }

    pub(super) fn error(&mut self, fault: &Fault, event_id: Option<&str>) {
        self.log.note(|seen| seen.errors.push((fault.code.to_owned(), fault.param.clone())));
        let kind = if fault.code == "server_error" { "server_error" } else { "invalid_request_error" };
        let error = json!({
            "type": kind, "code": fault.code, "message": fault.message, "param": fault.param,
            "event_id": event_id,
        });
        self.emit("error", &json!({ "error": error }));
    }

    fn send(&mut self, message: WireMessage) {
        if !self.silent {
            self.out.push_back(ServiceOutput::Send(message));
        }
    }

    fn garbage(&mut self) -> WireMessage {
        let bytes: Vec<u8> = (0..self.rng.range(0..200)).map(|_| self.rng.bits() as u8).collect();
        match self.rng.range(0..4) {
            0 => WireMessage::Binary(bytes.into()),
            1 => WireMessage::text(r#"{"type":"response.output_audio.delta","item_id":"item_1","del"#),
            2 => WireMessage::text(r#"{"type":"response.done","response":null}"#),
            _ => WireMessage::text(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

fn beta_name(kind: &str) -> String {
    if kind == "conversation.item.added" {
        return "conversation.item.created".to_owned();
    }
    kind.replace("response.output_audio", "response.audio").replace("response.output_text", "response.text")
}
