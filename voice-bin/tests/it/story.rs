//! One id finds everything about a call: in the log, in the database, and with those whom we asked. And no log
//! tells a key or a number, whatever goes wrong.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use voice_bin::sim_net::run_caller;
use voice_bin::store::{CallFilter, Store};
use voice_core::driver::Clock;
use voice_core::record::CallEvent;
use voice_core::sensitive::Secret;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{CallReport, FakeTwilioCall, Rudeness, TwilioCallPlan};

use crate::world::TOKEN;

const KEY: &str = "sk-of-a-test-0123456789";
const API_TOKEN: &str = "api-token-of-a-test-0123456789";
const CALLER: &str = "+15005551234";
const CALLED: &str = "+15005554321";
const ORDERED: &str = "+15005559876";
const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";
const GREETING: &str = "Greet them as a very secret person.";

/// Lines of a log that nobody has read yet.
const LINES_MAX: usize = 10_000;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_id_tells_the_story_of_a_call_that_failed() {
    let directory = tempfile::tempdir().unwrap();
    let service = Refusing::start().await;
    let mut server = Running::start(directory.path(), &service, &[("LOG_LEVEL", "debug")]).await;
    server.call(&[]).await;
    let log = server.log_until("call ended").await;

    let started = log.iter().find(|line| line["event_type"] == "call.started").unwrap();
    let id = started["correlation_id"].as_str().unwrap().to_owned();
    // The log: from the webhook to the end, each line by itself.
    let of_call: Vec<&Value> = log.iter().filter(|line| line["correlation_id"] == id.as_str()).collect();
    let kinds: Vec<&str> = of_call.iter().filter_map(|line| line["event_type"].as_str()).collect();
    for wanted in [
        "carrier.call",
        "call.started",
        "connection.attempt",
        "connection.failed",
        "reconnection.failed",
        "call.ended",
    ] {
        assert!(kinds.contains(&wanted), "{wanted} is not among {kinds:?}");
    }
    let failed = of_call.iter().find(|line| line["event_type"] == "connection.failed").unwrap();
    assert_eq!((&failed["provider"], &failed["level"]), (&"openai".into(), &"WARN".into()), "{failed}");
    assert_eq!(failed["call_id"], started["call_id"]);
    // The service that refused.
    service.was_told("/v1/realtime", &id);
    // The database, which is written a moment later.
    let url = format!("sqlite:{}", directory.path().join("voice.db").display());
    let store = Store::open(&url).await.unwrap();
    let filter = CallFilter { correlation: Some(id), ..CallFilter::default() };
    let written = async {
        loop {
            let page = store.page(&filter, None, 10).await.unwrap();
            if let Some(call) = page.calls.into_iter().find(|call| call.reason.is_some()) {
                break call;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let call = tokio::time::timeout(PATIENCE, written).await.unwrap();
    assert_eq!(call.reason.as_deref(), Some("no_provider"));
    assert_eq!(started["call_id"], call.call.to_string());
    let entries = store.entries(call.call).await.unwrap();
    assert!(entries.iter().any(|entry| matches!(entry.event, Ok(CallEvent::Problem { .. }))));
}

#[tokio::test]
async fn an_order_to_call_has_one_id_in_the_answer_the_log_and_the_carriers_api() {
    let directory = tempfile::tempdir().unwrap();
    let service = Refusing::start().await;
    let api = format!("http://{}", service.address);
    let more = [
        ("LOG_LEVEL", "debug"),
        ("API_TOKEN", API_TOKEN),
        ("TWILIO_ACCOUNT_SID", ACCOUNT),
        ("TWILIO_API_URL", &api),
    ];
    let mut server = Running::start(directory.path(), &service, &more).await;
    let answer = server.order(API_TOKEN, "x-correlation-id: mine-7\r\n").await;
    assert!(
        answer.contains("x-correlation-id: mine-7") && answer.contains(r#""correlation_id":"mine-7""#),
        "{answer}"
    );
    let log = server.log_until("call of ours is over").await;
    let over = log.last().unwrap();
    assert_eq!(
        (&over["correlation_id"], &over["event_type"]),
        (&"mine-7".into(), &"outbound".into()),
        "{over}"
    );
    service.was_told("/Calls.json", "mine-7");
    // What is no id is not taken for one, and an error has one in its body.
    let answer = server.order("wrong", "x-correlation-id: not an id\r\n").await;
    let head = answer.to_lowercase();
    let id = head.split("x-correlation-id: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(
        !id.contains("not an id") && answer.starts_with("HTTP/1.1 401") && answer.matches(&id).count() == 2,
        "{answer}"
    );
    let log = server.log_until("a request to the api was refused").await;
    assert_eq!(log.last().unwrap()["correlation_id"], id.as_str());
}

#[tokio::test]
async fn no_key_and_no_number_is_in_the_log_whatever_goes_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let service = Refusing::start().await;
    let more = [("LOG_LEVEL", "trace"), ("API_TOKEN", API_TOKEN), ("AGENT_GREETING", GREETING)];
    let mut server = Running::start(directory.path(), &service, &more).await;
    for rudeness in [
        [].as_slice(),
        &[Rudeness::WrongSignature],
        &[Rudeness::UnsignedUpgrade],
        &[Rudeness::UnknownEvents, Rudeness::StrayMarks],
    ] {
        server.call(rudeness).await;
    }
    let mut log = server.log_until("call ended").await;
    // Calls are placed for one account only, and the callers above belong to others.
    let api = format!("http://{}", service.address);
    let carrier = [("TWILIO_ACCOUNT_SID", ACCOUNT), ("TWILIO_API_URL", &api), ("NODE_NAME", "other")];
    let more = [&more[..], &carrier].concat();
    let mut other = Running::start(directory.path(), &service, &more).await;
    other.order(API_TOKEN, "").await;
    log.extend(other.log_until("call of ours is over").await);
    log.extend(other.stop().await);
    server.order("wrong-token-of-a-test", "").await;
    server
        .say(
            "POST",
            "/api/v1/telephony/webhooks/twilio",
            "",
            &format!("From=%2B15005551234&To={CALLED}&x=%zz"),
        )
        .await;
    server.say("POST", "/api/v1/telephony/webhooks/telnyx", "", &format!(r#"{{"from":"{CALLER}"#)).await;
    server
        .say("POST", "/api/v1/telephony/outbound", API_TOKEN, &format!(r#"{{"to_number":"{ORDERED}","#))
        .await;
    server.say("GET", &format!("/api/v1/sessions?from_number=%2B{}", &CALLER[1..]), API_TOKEN, "").await;
    log.extend(server.stop().await);
    assert!(log.iter().any(|line| line["event_type"] == "system.stopped"));
    for line in &log {
        for part in ["timestamp", "level", "event_type", "message", "target"] {
            assert!(line[part].is_string(), "{part} is missing in {line}");
        }
        let text = line.to_string();
        let numbers = [CALLER, CALLED, ORDERED].map(|number| &number[1..]);
        for secret in [KEY, API_TOKEN, TOKEN, "wrong-token-of-a-test", GREETING].into_iter().chain(numbers) {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// A service that takes nobody, says who they were, and writes down what it was asked.
struct Refusing {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Refusing {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::default());
        tokio::spawn(refuse(listener, Arc::clone(&asked)));
        Self { address, asked }
    }

    fn was_told(&self, path: &str, id: &str) {
        let heads = self.asked.lock().unwrap();
        let header = format!("x-correlation-id: {id}");
        let told = |head: &String| head.contains(path) && head.to_lowercase().contains(&header);
        assert!(heads.iter().any(told), "{heads:?}");
    }
}

async fn refuse(listener: TcpListener, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        // As services do: "Incorrect API key provided: sk-…".
        let body =
            format!(r#"{{"error":{{"message":"Incorrect: {KEY} {ORDERED}","code":"{KEY}"}},"code":20003}}"#);
        asked.lock().unwrap().push(head);
        let refusal = format!(
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let _gone_or_not = stream.write_all(refusal.as_bytes()).await;
    }
}

/// A server in a process of its own, whose log is read along.
struct Running {
    process: Child,
    address: String,
    lines: Receiver<Value>,
}

impl Running {
    async fn start(directory: &Path, service: &Refusing, more: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_voice-server"))
            .arg("serve")
            .current_dir(directory)
            .env_clear()
            .env("PORT", "0")
            .env("LOG_FORMAT", "json")
            .env("DRAIN_SECONDS", "1")
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_REALTIME_URL", format!("ws://{}/v1/realtime", service.address))
            .env("TWILIO_AUTH_TOKEN", TOKEN)
            .env("TWILIO_FROM_NUMBER", CALLED)
            .envs(more.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pipe = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = channel(LINES_MAX);
        // Reading a pipe waits; this thread ends with the process.
        std::thread::spawn(move || {
            for line in pipe.lines() {
                let _nobody_reads_any_more =
                    sender.blocking_send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        let mut running = Self { process, address: String::new(), lines };
        let log = running.log_until("listening").await;
        running.address = log.last().unwrap()["address"].as_str().unwrap().to_owned();
        running
    }

    /// The log from where it was read last, up to this line.
    async fn log_until(&mut self, message: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|line: &Value| line["message"] != message) {
            let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
            seen.push(line.unwrap_or_else(|_| panic!("{message:?} does not come: {seen:#?}")).unwrap());
        }
        seen
    }

    async fn call(&self, rudeness: &[Rudeness]) -> CallReport {
        static NAMES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let webhook = format!("http://{}{}", self.address, voice_bin::server::TWILIO_WEBHOOK);
        let clock = Clock::start();
        let plan = TwilioCallPlan::new(webhook, Secret::new(TOKEN.to_owned()))
            .with_names(NAMES.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
            .with_numbers(CALLER, CALLED)
            .with_rudeness(rudeness.iter().copied());
        let caller = FakeTwilioCall::new(clock.now(), plan);
        run_caller(caller, Arc::new(Dialer::plain()), clock).await.report().clone()
    }

    async fn order(&self, token: &str, headers: &str) -> String {
        let body = format!(r#"{{"to_number":"{ORDERED}"}}"#);
        self.request("POST", "/api/v1/telephony/outbound", (token, headers), &body).await
    }

    async fn say(&self, method: &str, path: &str, token: &str, body: &str) -> String {
        self.request(method, path, (token, ""), body).await
    }

    async fn request(&self, method: &str, path: &str, (token, headers): (&str, &str), body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Ends it as an operator would; the rest of the log.
    async fn stop(mut self) -> Vec<Value> {
        let told = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(told.success());
        let rest = self.log_until("journal closed").await;
        self.process.wait().unwrap();
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _over_or_not = self.process.kill();
        let _reaped_or_not = self.process.wait();
    }
}
