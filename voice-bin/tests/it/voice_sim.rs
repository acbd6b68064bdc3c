//! The fakes of the services as `voice-sim` puts them on sockets.

use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use voice_core::driver::{Dial, Line};
use voice_core::wire::{Endpoint, LineEnd, WireMessage};
use voice_providers::dial::Dialer;

const GEMINI: &str = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
const SOUND: &str = "encoding=mulaw&sample_rate=8000";

#[tokio::test]
async fn deepgram_is_all_its_services_on_one_address() {
    let sim = Sim::start(&["deepgram"]);
    let flux = format!("/v2/listen?model=flux-general-en&{SOUND}");
    let speak = format!("/v1/speak?model=aura-2-thalia-en&{SOUND}");
    for (path, greeting) in
        [("/v1/agent/converse", "Welcome"), (flux.as_str(), "Connected"), (speak.as_str(), "Metadata")]
    {
        let mut line = sim.dial("ws", path, "Token right").await.unwrap();
        assert!(text(&mut line).await.contains(greeting), "{path}");
    }
    // Listen says nothing until it has heard something.
    let mut listen =
        sim.dial("ws", &format!("/v1/listen?model=nova-3&{SOUND}"), "Token right").await.unwrap();
    listen.offer(WireMessage::text(r#"{"type":"CloseStream"}"#)).unwrap();
    assert!(text(&mut listen).await.contains("Metadata"));
}

#[tokio::test]
async fn a_probe_is_answered_and_a_wrong_key_refused() {
    for (service, probe) in [
        ("openai", "/v1/models/gpt-realtime-2.1"),
        ("gemini", "/v1beta/models/gemini-3.8-live"),
        ("deepgram", "/v1/projects"),
        ("llm", "/v1/models/any"),
    ] {
        let sim = Sim::start(&[service, "--key", "right"]);
        let scheme = if service == "deepgram" { "Token" } else { "Bearer" };
        let mut answer = sim.get(probe, &format!("{scheme} right")).await.unwrap();
        assert!(text(&mut answer).await.starts_with('{'), "{service}");
        let refused = sim.get(probe, &format!("{scheme} wrong")).await.err();
        assert!(
            matches!(refused, Some(LineEnd::Refused { status: 401 | 403, .. })),
            "{service}: {refused:?}"
        );
        // The whole refusal arrived, and the line ended.
        let upgrade = if service == "gemini" { GEMINI } else { probe };
        let refused = sim.dial("ws", upgrade, &format!("{scheme} wrong")).await.err();
        assert!(matches!(refused, Some(LineEnd::Refused { .. })), "{service}: {refused:?}");
    }
}

#[tokio::test]
async fn every_fake_is_rude_when_told_so() {
    for (service, rude, path) in [
        ("openai", "refuse-429", "/v1/realtime?model=gpt-realtime-2.1"),
        ("gemini", "refuse-429", GEMINI),
        ("deepgram", "refuse-429", "/v1/agent/converse"),
        ("llm", "throttle", "/v1/models"),
    ] {
        let sim = Sim::start(&[service, "--rude", rude]);
        let key = if service == "deepgram" { "Token any" } else { "Bearer any" };
        let refused = match service {
            "llm" => sim.get(path, key).await.err(),
            _ => sim.dial("ws", path, key).await.err(),
        };
        assert!(matches!(refused, Some(LineEnd::Refused { status: 429, .. })), "{service}: {refused:?}");
    }
}

#[test]
fn help_lists_the_ways_to_be_rude() {
    for (service, rude) in [
        ("openai", "late-transcript"),
        ("gemini", "tool-twice"),
        ("deepgram", "net-0000"),
        ("llm", "stall-midway"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_voice-sim")).args([service, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains(rude), "{help}");
        let arguments = [service, "--listen", "127.0.0.1:0", "--rude", "shouting"];
        let output = Command::new(env!("CARGO_BIN_EXE_voice-sim")).args(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(rude), "{errors}");
    }
}

/// A running `voice-sim`, ended with the test.
struct Sim {
    process: Child,
    address: String,
}

impl Sim {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_voice-sim"))
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let (_, rest) = first.split_once("://").unwrap_or_else(|| panic!("no address in {first:?}"));
        let address = rest.split('/').next().unwrap().trim().to_owned();
        Self { process, address }
    }

    async fn dial(&self, scheme: &str, path: &str, key: &str) -> Result<Box<dyn Line>, LineEnd> {
        let url = format!("{scheme}://{}{path}", self.address);
        Dialer::plain().dial(Endpoint::web_socket(url).header("authorization", key)).await
    }

    async fn get(&self, path: &str, key: &str) -> Result<Box<dyn Line>, LineEnd> {
        let url = format!("http://{}{path}", self.address);
        let mut endpoint = Endpoint::post(url, "").header("authorization", key);
        if let voice_core::wire::EndpointKind::Http { method, .. } = &mut endpoint.kind {
            *method = "GET";
        }
        Dialer::plain().dial(endpoint).await
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _nobody_waits = self.process.wait();
    }
}

async fn text(line: &mut Box<dyn Line>) -> String {
    let message = poll_fn(|cx| line.poll(cx)).await.unwrap();
    String::from_utf8(message.as_bytes().to_vec()).unwrap()
}
