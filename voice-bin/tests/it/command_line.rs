//! The binaries as people and scripts start them.

use std::process::{Command, Output};

const KEY: &str = "sk-proj-0123456789abcdefWXYZ";

#[test]
fn check_prints_the_configuration_with_secrets_masked() {
    let output = server(&["check"], &[("OPENAI_API_KEY", KEY), ("PORT", "9000")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("PORT                 9000  (environment)") && text.contains("[secret …WXYZ]"),
        "{text}"
    );
    assert!(!text.contains(KEY), "{text}");
}

#[test]
fn check_asks_the_services_whether_they_take_the_keys() {
    // Nobody listens there; a service that says something is tried in `voice_sim`.
    let nobody = [("OPENAI_API_KEY", KEY), ("OPENAI_REALTIME_URL", "ws://127.0.0.1:9/v1/realtime")];
    let output = server(&["check", "--online", "--json"], &nobody);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success(), "{answer}");
    assert_eq!((&answer["valid"], &answer["providers"][0]["ok"]), (&true.into(), &false.into()));
    assert!(
        answer["providers"][0]["answer"].as_str().unwrap().starts_with("openai cannot be asked"),
        "{answer}"
    );
}

#[test]
fn check_fails_with_every_error_as_text_and_as_json() {
    let wrong = [("PORT", "many"), ("OPENAI_API_KEY", "your-key-here")];
    let output = server(&["check"], &wrong);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && text.contains("PORT") && text.contains("OPENAI_API_KEY"), "{text}");

    let output = server(&["check", "--json"], &wrong);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["valid"], false);
    let settings: Vec<_> =
        answer["errors"].as_array().unwrap().iter().map(|error| &error["setting"]).collect();
    assert_eq!(settings, ["PORT", "OPENAI_API_KEY"]);
}

#[test]
fn a_wrong_configuration_keeps_the_server_from_starting() {
    let output = server(&["--config", "/nowhere/voice.toml"], &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("/nowhere/voice.toml"), "{text}");
}

#[test]
fn a_log_of_json_tells_errors_of_the_configuration_in_json() {
    let wrong = [("LOG_FORMAT", "json"), ("PORT", "many"), ("LOG_LEVEL", "inof")];
    let output = server(&["serve"], &wrong);
    let text = String::from_utf8(output.stderr).unwrap();
    let settings: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["setting"].clone())
        .collect();
    assert_eq!(
        (output.status.success(), settings),
        (false, vec!["PORT".into(), "LOG_LEVEL".into()]),
        "{text}"
    );
}

#[test]
fn no_address_is_shown_with_what_may_be_a_secret_in_it() {
    let secret = "s3cr3t-in-an-address";
    let realtime = format!("wss://me:{secret}@voice.test/v1?api-key={secret}");
    for (name, value) in [
        ("OPENAI_REALTIME_URL", realtime.as_str()),
        ("DATABASE_URL", &format!("sqlite:/nowhere/voice.db?key={secret}")),
        ("PUBLIC_URL", &format!("https://voice.test/?token={secret}")),
    ] {
        for command in ["check", "serve"] {
            let mut environment = vec![(name, value), ("OPENAI_API_KEY", KEY), ("PORT", "0")];
            if command == "serve" && name != "DATABASE_URL" {
                // So that it does not start.
                environment.push(("LOG_LEVEL", "inof"));
            }
            let output = server(&[command], &environment);
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!text.is_empty() && !text.contains(secret), "{command} with {name}: {text}");
        }
    }
}

#[test]
fn help_names_the_commands() {
    let output = server(&["--help"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["serve", "check", "demo", "--config", "OPENAI_API_KEY"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn an_unknown_rudeness_is_answered_with_those_there_are() {
    let arguments =
        ["twilio-call", "--webhook", "http://127.0.0.1:1/", "--auth-token", "t", "--rude", "shouting"];
    let output = Command::new(env!("CARGO_BIN_EXE_voice-sim")).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("used-ticket"), "{text}");
}

#[test]
fn a_webhook_that_is_not_answered_is_told_with_the_reason() {
    let call = |arguments: &[&str]| {
        let fixed = ["twilio-call", "--webhook", "http://127.0.0.1:9/voice", "--auth-token", "t"];
        let output =
            Command::new(env!("CARGO_BIN_EXE_voice-sim")).args(fixed).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let reason = "the webhook was not answered: nobody listens there";
    let (people, machines) = (call(&[]), call(&["--json"]));
    assert!(people.contains(reason), "{people}");
    let figures: serde_json::Value = serde_json::from_str(&machines).unwrap();
    let failures = figures["failures"].as_object().unwrap();
    assert!(failures.keys().any(|told| told.starts_with(reason)), "{machines}");
}

/// In an empty directory, with nothing in the environment but these.
fn server(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .args(arguments)
        .current_dir(directory.path())
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}
