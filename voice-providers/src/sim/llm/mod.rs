//! A fake OpenAI-compatible language model: `/v1/chat/completions` and `/v1/models`, one value a request.

mod answer;
mod rudeness;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

pub use rudeness::{LlmProfile, LlmRudeness};

use crate::sim::http;
use answer::Answer;

/// One request.
#[derive(Debug)]
pub struct FakeLlm {
    profile: LlmProfile,
    /// The key that is let in; `None` lets everybody in who shows one.
    key: Option<String>,
    rude: Vec<LlmRudeness>,
    rng: Rng,
    due: Vec<(MonoTime, ServiceOutput)>,
    now: MonoTime,
    gone: bool,
    log: Vec<String>,
}

/// First word after so long, further pieces so far apart, in milliseconds.
const FIRST: std::ops::Range<u64> = 250..600;
const NEXT: std::ops::Range<u64> = 8..20;

impl FakeLlm {
    /// A model that behaves like this server, and like this.
    pub fn new(seed: u64, profile: LlmProfile, rude: &[LlmRudeness]) -> Self {
        Self {
            profile,
            key: None,
            rude: rude.to_vec(),
            rng: Rng::new(seed),
            due: Vec::new(),
            now: MonoTime::ZERO,
            gone: false,
            log: Vec::new(),
        }
    }

    /// Lets only this key in.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What was seen: the body of the request, then `gone` if the peer hung up before the end.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    fn is(&self, rudeness: LlmRudeness) -> bool {
        self.rude.contains(&rudeness)
    }

    fn after(&mut self, delay: Duration, output: ServiceOutput) {
        let at = self.now + delay;
        let place = self.due.partition_point(|(due, _)| *due <= at);
        self.due.insert(place, (at, output));
    }

    fn request(&mut self, request: &Request) {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        self.log.push(String::from_utf8_lossy(&request.body).into_owned());
        if let Some((status, body)) = self.rude.iter().find_map(|rudeness| rudeness.refusal()) {
            return self.refuse(status, &body);
        }
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let shown = bearer.or(request.header("api-key")).filter(|shown| !shown.is_empty());
        if shown.is_none_or(|shown| self.key.as_ref().is_some_and(|key| key != shown)) {
            return self.refuse(401, &error("invalid_api_key"));
        }
        match (request.method.as_str(), http::path(request)) {
            ("GET", "/v1/models") => {
                let list = json!({"object": "list", "data": [model("fake")]});
                self.respond(200, "application/json", list.to_string());
            }
            ("GET", path) if path.starts_with("/v1/models/") => {
                let model = model(path.trim_start_matches("/v1/models/"));
                self.respond(200, "application/json", model.to_string());
            }
            ("POST", "/v1/chat/completions") => match answer::check(&body, self.profile) {
                Ok(()) => self.complete(&body),
                Err(code) => self.refuse(400, &error(code)),
            },
            _ => self.refuse(404, &error("not_found")),
        }
    }

    fn refuse(&mut self, status: u16, body: &Value) {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if status == 429 {
            headers.push(("retry-after", "20".to_owned()));
        }
        self.after(Duration::from_millis(30), ServiceOutput::Respond { status, headers });
        self.body(Duration::from_millis(30), body.to_string().into_bytes());
        self.end(Duration::from_millis(30));
    }

    fn respond(&mut self, status: u16, kind: &str, body: String) {
        let headers = vec![("content-type", kind.to_owned())];
        self.after(Duration::from_millis(30), ServiceOutput::Respond { status, headers });
        self.body(Duration::from_millis(30), body.into_bytes());
        self.end(Duration::from_millis(30));
    }

    fn complete(&mut self, body: &Value) {
        let answer = answer::to(body, self.profile, &self.rude);
        if body["stream"] != json!(true) {
            return self.respond(200, "application/json", answer.whole().to_string());
        }
        if self.is(LlmRudeness::Html) {
            return self.respond(200, "text/html", "<html>Please log in</html>".to_owned());
        }
        if self.is(LlmRudeness::NoAnswer) {
            return;
        }
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        self.after(Duration::from_millis(80), ServiceOutput::Respond { status: 200, headers });
        if self.is(LlmRudeness::NoFirstWord) {
            return;
        }
        if self.is(LlmRudeness::Gzip) {
            self.body(Duration::from_millis(90), vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x4c]);
            return self.end(Duration::from_millis(95));
        }
        self.stream(&answer, body["stream_options"]["include_usage"] == json!(true));
    }

    fn stream(&mut self, answer: &Answer, usage: bool) {
        let mut at = match self.is(LlmRudeness::SlowFirstWord) {
            true => Duration::from_secs(10),
            false => self.rng.millis(FIRST),
        };
        let chunks = answer.chunks(&mut self.rng, self.profile, &self.rude, usage);
        let middle = chunks.len() / 2;
        for (number, data) in chunks.iter().enumerate() {
            if number == middle && self.stop_in_the_middle(at) {
                return;
            }
            if self.is(LlmRudeness::ErrorFirst) {
                self.event(at, &error("server_error").to_string());
                return self.end(at);
            }
            if self.is(LlmRudeness::Malformed) && number == 1 {
                self.event(at, "{\"choices\":[{\"delta\":");
            }
            if self.is(LlmRudeness::Comments) || self.profile == LlmProfile::OpenRouter {
                self.body(at, b": OPENROUTER PROCESSING\n\n".to_vec());
            }
            self.event(at, data);
            at += self.rng.millis(NEXT);
        }
        if !self.is(LlmRudeness::NoDone) {
            self.event(at, "[DONE]");
        }
        self.end(at);
    }

    /// True if nothing more comes.
    fn stop_in_the_middle(&mut self, at: Duration) -> bool {
        if self.is(LlmRudeness::CutMidway) {
            self.after(at, ServiceOutput::Cut);
        } else if self.is(LlmRudeness::EndMidway) {
            self.end(at);
        } else if self.is(LlmRudeness::ErrorMidway) {
            self.body(at, format!("event: error\ndata: {}\n\n", error("server_error")).into_bytes());
            self.end(at);
        } else {
            return self.is(LlmRudeness::StallMidway);
        }
        true
    }

    fn event(&mut self, at: Duration, data: &str) {
        let end = if self.is(LlmRudeness::CarriageReturns) { "\r\n" } else { "\n" };
        let space = if self.profile == LlmProfile::Gemini { "" } else { " " };
        let event = format!("data:{space}{data}{end}{end}").into_bytes();
        if self.is(LlmRudeness::SplitBytes) {
            for byte in event {
                self.body(at, vec![byte]);
            }
        } else {
            self.body(at, event);
        }
    }

    fn body(&mut self, at: Duration, bytes: Vec<u8>) {
        self.after(at, ServiceOutput::Send(WireMessage::Binary(Bytes::from(bytes))));
    }

    fn end(&mut self, at: Duration) {
        self.after(at, ServiceOutput::Close { code: 1000, reason: String::new() });
    }
}

impl FakeService for FakeLlm {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        self.now = now;
        match input {
            ServiceInput::Request(request) => self.request(request),
            ServiceInput::Gone => {
                if !self.due.is_empty() {
                    self.log.push("gone".to_owned());
                }
                self.due.clear();
                self.gone = true;
            }
            ServiceInput::Wire(_) | ServiceInput::Tick => {}
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        match self.due.first() {
            Some((at, _)) if *at <= self.now => self.due.remove(0).1,
            first => ServiceOutput::WaitUntil(first.map(|(at, _)| *at)),
        }
    }
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "fake"})
}

fn error(code: &str) -> Value {
    json!({"error": {"message": "no", "type": "invalid_request_error", "param": null, "code": code}})
}
