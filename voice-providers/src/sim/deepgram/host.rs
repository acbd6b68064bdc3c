//! Deepgram's door: one connection to whichever service its path names.

use std::str::FromStr;

use serde_json::json;
use voice_core::sim::peer::{FakeService, Request, ServiceInput, ServiceOutput};
use voice_core::time::MonoTime;

use super::agent::{self, FakeAgent};
use super::flux::FakeFlux;
use super::listen::FakeListen;
use super::speak::FakeSpeak;
use super::speech_socket::SpeechRudeness;
use crate::sim::http;

/// One connection to a fake Deepgram: the Voice Agent (`/v1/agent/converse`), Listen v1 (`/v1/listen`), Flux
/// (`/v2/listen`) or Speak (`/v1/speak`), or a probe whether the key is right (`GET /v1/projects`).
///
/// ```
/// use voice_core::sim::peer::{FakeService, ServiceOutput};
/// use voice_providers::sim::deepgram::FakeDeepgram;
///
/// let mut fake = FakeDeepgram::new(7, Some("dg-key".to_owned()), &["net-0000".parse()?]);
/// assert!(matches!(fake.poll(), ServiceOutput::WaitUntil(None)));
/// # Ok::<(), voice_providers::sim::deepgram::UnknownDeepgramRudeness>(())
/// ```
pub struct FakeDeepgram {
    seed: u64,
    key: Option<String>,
    rude: Vec<DeepgramRudeness>,
    inside: Option<Box<dyn FakeService>>,
    answers: std::vec::IntoIter<ServiceOutput>,
}

impl FakeDeepgram {
    /// A connection that nobody has made yet. `key` is the one that is let in; `None` lets everybody in who
    /// shows one. Those rudenesses that mean nothing to the service that is asked for do nothing.
    pub fn new(seed: u64, key: Option<String>, rude: &[DeepgramRudeness]) -> Self {
        Self { seed, key, rude: rude.to_vec(), inside: None, answers: Vec::new().into_iter() }
    }

    /// Whom the path names; else an answer.
    fn enter(&self, request: &Request) -> Result<Box<dyn FakeService>, [ServiceOutput; 3]> {
        let shown = shown_key(request).filter(|shown| !shown.is_empty());
        let Some(key) = shown.filter(|shown| self.key.as_deref().is_none_or(|key| key == *shown)) else {
            return Err(refusal(401, "INVALID_AUTH", "Invalid credentials."));
        };
        let speech: Vec<SpeechRudeness> = self.rude.iter().filter_map(|rude| rude.speech).collect();
        Ok(match http::path(request) {
            "/v1/agent/converse" => {
                let rude = self.rude.iter().find_map(|rude| rude.agent);
                Box::new(FakeAgent::new(key, self.seed).rude(rude))
            }
            "/v1/listen" => Box::new(FakeListen::new(self.seed, &speech)),
            "/v2/listen" => Box::new(FakeFlux::new(self.seed, &speech)),
            "/v1/speak" => Box::new(FakeSpeak::new(self.seed, &speech)),
            "/v1/projects" if http::read(request).is_some() => {
                let projects = json!({"projects": [{"project_id": "fake", "name": "Fake"}]});
                return Err(http::answer(200, Vec::new(), &projects));
            }
            _ => return Err(refusal(404, "NOT_FOUND", "There is nothing here.")),
        })
    }
}

impl FakeService for FakeDeepgram {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        if let ServiceInput::Request(request) = &input {
            match self.enter(request) {
                Ok(inside) => self.inside = Some(inside),
                Err(answers) => self.answers = Vec::from(answers).into_iter(),
            }
        }
        if let Some(inside) = &mut self.inside {
            inside.handle(now, input);
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        match &mut self.inside {
            Some(inside) => inside.poll(),
            None => self.answers.next().unwrap_or(ServiceOutput::WaitUntil(None)),
        }
    }
}

/// A way to misbehave that at least one of Deepgram's services knows by this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeepgramRudeness {
    agent: Option<agent::Rudeness>,
    speech: Option<SpeechRudeness>,
}

impl DeepgramRudeness {
    /// The names that [`FromStr`] understands, each once.
    pub fn names() -> Vec<&'static str> {
        let speech = SpeechRudeness::NAMES.iter().filter(|name| !agent::Rudeness::NAMES.contains(name));
        agent::Rudeness::NAMES.iter().chain(speech).copied().collect()
    }
}

impl FromStr for DeepgramRudeness {
    type Err = UnknownDeepgramRudeness;

    fn from_str(name: &str) -> Result<Self, UnknownDeepgramRudeness> {
        let (agent, speech) = (name.parse().ok(), name.parse().ok());
        match (agent, speech) {
            (None, None) => Err(UnknownDeepgramRudeness),
            (agent, speech) => Ok(Self { agent, speech }),
        }
    }
}

/// A name that no rudeness of any of Deepgram's services has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such rudeness; there are: {}", DeepgramRudeness::names().join(", "))]
pub struct UnknownDeepgramRudeness;

/// The key that a request shows, by header or (browsers) by subprotocol.
pub(super) fn shown_key(request: &Request) -> Option<&str> {
    let protocols = request.header("sec-websocket-protocol").unwrap_or_default();
    let offered = protocols.split_once(", ").filter(|(kind, _)| ["token", "bearer"].contains(kind));
    let header = request.header("authorization").unwrap_or_default();
    let sent = ["Token ", "Bearer "].iter().find_map(|kind| header.strip_prefix(kind));
    sent.or(offered.map(|(_, key)| key))
}

fn refusal(status: u16, code: &str, message: &str) -> [ServiceOutput; 3] {
    let headers = vec![("dg-request-id", "fake-0".to_owned()), ("dg-error", code.to_owned())];
    let body = json!({"err_code": code, "err_msg": message, "request_id": "fake-0"});
    http::answer(status, headers, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status of the answer; 101 where there is none but a welcome.
    fn knock(key: &str, target: &str, upgrade: bool, rude: &[&str]) -> u16 {
        let rude: Vec<_> = rude.iter().map(|name| name.parse().expect("a rudeness")).collect();
        let mut fake = FakeDeepgram::new(1, Some("dg-1".to_owned()), &rude);
        let request = Request {
            method: "GET".into(),
            target: target.into(),
            headers: vec![("authorization".into(), format!("Token {key}"))],
            body: bytes::Bytes::new(),
            upgrade,
        };
        fake.handle(MonoTime::ZERO, ServiceInput::Request(&request));
        let answer = fake.poll();
        if let ServiceOutput::Respond { status, .. } = answer { status } else { 101 }
    }

    #[test]
    fn the_path_says_which_service_is_meant() {
        for (target, upgrade, expected) in [
            ("/v1/agent/converse", true, 101),
            ("/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000", true, 101),
            ("/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000", true, 101),
            ("/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000", true, 101),
            ("/v1/projects", false, 200),
            ("/v3/listen", true, 404),
        ] {
            assert_eq!(knock("dg-1", target, upgrade, &[]), expected, "{target}");
            assert_eq!(knock("dg-2", target, upgrade, &[]), 401, "{target}");
        }
    }

    #[test]
    fn a_rudeness_reaches_every_service_that_knows_it() {
        let listen = "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000";
        assert_eq!(knock("dg-1", "/v1/agent/converse", true, &["refuse-402"]), 402);
        assert_eq!(knock("dg-1", listen, true, &["refuse-402"]), 402);
        assert_eq!(knock("dg-1", listen, true, &["no-welcome"]), 101);
        assert_eq!("polite".parse::<DeepgramRudeness>(), Err(UnknownDeepgramRudeness));
        assert!(DeepgramRudeness::names().iter().all(|name| name.parse::<DeepgramRudeness>().is_ok()));
    }
}
