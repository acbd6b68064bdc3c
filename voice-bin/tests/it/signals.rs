//! The process, told to stop by the operating system in the middle of a call.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use voice_bin::sim_net::{run_caller, serve};
use voice_bin::store::Store;
use voice_core::driver::Clock;
use voice_core::sensitive::Secret;
use voice_core::sim::peer::FakeService;
use voice_providers::dial::Dialer;
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig};
use voice_telephony::sim::{FakeTwilioCall, Script, Step, TwilioCallPlan};

use crate::world::TOKEN;

#[tokio::test]
async fn told_twice_the_process_ends_its_calls_and_writes_them_down() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let voice = listener.local_addr().unwrap();
    let make = Arc::new(|| Box::new(FakeOpenAi::new(FakeOpenAiConfig::new(1))) as Box<dyn FakeService>);
    tokio::spawn(serve(listener, clock, make, std::future::pending::<()>()));

    let mut process = Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .arg("serve")
        .current_dir(directory.path())
        .env_clear()
        .env("PORT", "0")
        .env("LOG_FORMAT", "json")
        .env("DRAIN_SECONDS", "3600")
        .env("OPENAI_API_KEY", "sk-of-a-test-0123456789")
        .env("OPENAI_REALTIME_URL", format!("ws://{voice}/v1/realtime"))
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = Log(BufReader::new(process.stderr.take().unwrap()));
    let listening = tokio::task::spawn_blocking(move || {
        let line = log.until("listening");
        (log, line)
    });
    let (mut log, line) = listening.await.unwrap();
    let webhook =
        format!("http://{}{}", line["address"].as_str().unwrap(), voice_bin::server::TWILIO_WEBHOOK);
    let script = Script::new(vec![Step::Pause(Duration::from_secs(3_600))]);
    let plan = TwilioCallPlan::new(webhook, Secret::new(TOKEN.to_owned())).with_script(script);
    let call = FakeTwilioCall::new(clock.now(), plan);
    let caller = tokio::spawn(run_caller(call, Arc::new(Dialer::plain()), clock));

    let ended = tokio::task::spawn_blocking(move || {
        log.until("the provider hears the caller");
        terminate(&process);
        log.until("shutting down: no new calls; waiting for those that run");
        terminate(&process);
        log.until("stopped");
        process.wait().unwrap()
    });
    assert_eq!(ended.await.unwrap().code(), Some(130));
    assert!(!caller.await.unwrap().report().closed.is_empty(), "the caller was told");
    let file = format!("sqlite:{}", directory.path().join("voice.db").display());
    let calls = Store::open(&file).await.unwrap().calls(10).await.unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].reason.as_deref(), Some("shutdown"));
}

struct Log(BufReader<std::process::ChildStderr>);

impl Log {
    /// Reads lines until one with this message.
    fn until(&mut self, message: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the log ended before {message:?}");
            let value: Value = serde_json::from_str(&line).unwrap();
            if value["message"] == message {
                return value;
            }
        }
    }
}

fn terminate(process: &Child) {
    let sent = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status().unwrap();
    assert!(sent.success());
}
