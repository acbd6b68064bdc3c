//! Fakes whose every message is written down.

use std::sync::{Arc, Mutex, PoisonError};

use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

/// What both sides said, in order; shared by all fakes, which run on one thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, service: &str, from: &str, what: &str) {
        let line = format!(r#"{{"service":"{service}","from":"{from}",{what}}}"#);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// A fake, and where its messages are written down.
pub(crate) struct Tapped {
    fake: Box<dyn FakeService>,
    service: &'static str,
    log: Log,
}

impl Tapped {
    pub(crate) fn new(service: &'static str, fake: impl FakeService + 'static, log: &Log) -> Self {
        Self { fake: Box::new(fake), service, log: log.clone() }
    }
}

impl FakeService for Tapped {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match &input {
            ServiceInput::Request(request) => self.log.note(self.service, "session", &shown_request(request)),
            ServiceInput::Wire(message) => self.log.note(self.service, "session", &shown(message)),
            ServiceInput::Gone | ServiceInput::Tick => {}
        }
        self.fake.handle(now, input);
    }

    fn poll(&mut self) -> ServiceOutput {
        let output = self.fake.poll();
        if let ServiceOutput::Send(message) = &output {
            self.log.note(self.service, "service", &shown(message));
        }
        output
    }
}

fn shown_request(request: &Request) -> String {
    let body = std::str::from_utf8(&request.body).ok().filter(|body| !body.is_empty()).unwrap_or("null");
    let (method, target) = (quoted(&request.method), quoted(&request.target));
    format!(r#""method":{method},"target":{target},"body":{body}"#)
}

/// JSON as it is, whichever frame it came in; all else by its length.
fn shown(message: &WireMessage) -> String {
    let text = std::str::from_utf8(message.as_bytes()).ok();
    match text.filter(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()) {
        Some(text) => format!(r#""event":{text}"#),
        None => format!(r#""sound":{}"#, message.as_bytes().len()),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
