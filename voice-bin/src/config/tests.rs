//! Configuration from maps and texts.

use std::collections::BTreeMap;

use expect_test::expect;
use voice_core::recording::RecordingPlace;

use super::*;

type Env<'a> = BTreeMap<&'a str, &'a str>;

const KEY: &str = "sk-proj-0123456789abcdefWXYZ";

#[test]
fn nothing_at_all_is_demo_mode_on_loopback() {
    let config = load("", &[]).unwrap();
    assert_eq!((config.host.to_string().as_str(), config.port), ("127.0.0.1", 8080));
    assert_eq!(config.database_url, "sqlite:voice.db");
    assert!(config.providers.is_empty() && config.twilio.auth_token.is_none());
    assert_eq!(
        config.limits,
        LimitsConfig { calls_max: 500, drain: Duration::from_secs(30), hand_over: false }
    );
}

#[test]
fn the_environment_wins_over_the_file_and_empty_counts_as_unset() {
    let file = "[server]\nport = 9000\nhost = \"0.0.0.0\"\n[log]\nlevel = \"debug\"";
    let config = load(file, &[("PORT", "9001"), ("LOG_LEVEL", "")]).unwrap();
    assert_eq!(
        (config.port, config.host.to_string().as_str(), config.log_level.as_str()),
        (9001, "0.0.0.0", "debug")
    );
}

#[test]
fn every_error_is_told_with_place_and_fix() {
    let file =
        "[server]\nport = \"many\"\nhots = \"::1\"\n\n[openai]\napi_key = \"sk-...\"\nmodel = []\n[sever]\n";
    let environment =
        [("TWILIO_ACCOUNT_SID", "AC1"), ("LOG_FORMAT", "xml"), ("PUBLIC_URL", "voice.example.com")];
    let errors = load(file, &environment).unwrap_err();
    expect![[r#"
        8 errors in the configuration
          openai.model (voice.toml:7:9): this is a list, table or date; write a text or a number
          server.hots (voice.toml:3:1): there is no such setting; [server] has host, port, public_url, api_token, max_calls, drain_seconds, drain_mode
          sever (voice.toml:8:2): there is no such table; the tables are server, door, storage, recording, log, metrics, traces, calls, providers, openai, gemini, deepgram, llm, twilio, telnyx, agent
          PORT (voice.toml:2:8): "many" is not a port; use a number from 1 to 65535, or 0 for any free one
          PUBLIC_URL (environment): voice.example.com is not an address; write https:// and the host name as Twilio calls it, like https://voice.example.com
          LOG_FORMAT (environment): "xml" is no format; use text or json
          OPENAI_API_KEY (voice.toml:6:11): this is a placeholder, not a secret; create a key at platform.openai.com and paste it whole, or unset this
          TWILIO_ACCOUNT_SID (environment): "AC1" is not an account SID; copy the one that begins with AC from the Twilio console"#]]
    .assert_eq(&errors.to_string());
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let errors = load("[server]\nport = = 1\n", &[]).unwrap_err();
    assert_eq!(errors.0[0].origin.to_string(), "voice.toml:2:8", "{errors}");
}

#[test]
fn placeholders_are_refused_and_never_repeated() {
    for value in ["your-key-here", "changeme", "sk-...", "<key>", "SK-XXXXXXXX", "key with space", "x"] {
        let errors = load("", &[("OPENAI_API_KEY", value)]).unwrap_err();
        let said = errors.to_string();
        assert!(said.contains("OPENAI_API_KEY") && !said.contains(value) || value == "x", "{said}");
    }
}

#[test]
fn secrets_are_masked_wherever_the_configuration_is_printed() {
    let environment = [("OPENAI_API_KEY", KEY), ("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")];
    let config = load("", &environment).unwrap();
    for printed in [config.to_string(), format!("{config:?}")] {
        assert!(!printed.contains("0123456789abcdef"), "{printed}");
    }
    assert!(config.to_string().contains("[secret …WXYZ]  (environment)"), "{config}");
    assert_eq!(names(&config), ["openai"]);
}

#[test]
fn secrets_come_from_files_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    let path = path.to_str().unwrap();

    for (file, environment) in [
        (String::new(), vec![("TWILIO_AUTH_TOKEN_FILE", path)]),
        (format!("[twilio]\nauth_token_file = {path:?}"), vec![]),
    ] {
        let config = load(&file, &environment).unwrap();
        assert_eq!(config.twilio.auth_token.unwrap().expose(), KEY);
    }

    let twice = load("", &[("OPENAI_API_KEY_FILE", path), ("OPENAI_API_KEY", KEY)]).unwrap_err();
    assert!(twice.to_string().contains("given twice"), "{twice}");
    let missing = load("", &[("TWILIO_AUTH_TOKEN_FILE", "/nowhere/token")]).unwrap_err();
    assert!(missing.to_string().contains("TWILIO_AUTH_TOKEN_FILE"), "{missing}");
}

/// A carrier keeps what it records: no place of ours is needed.
#[test]
fn carriers_record_without_a_directory() {
    let base = [("RECORDING_CONSENT", "assumed"), ("RECORDING_BASIS", "everybody is told before")];
    assert!(load("", &base).unwrap().recording.is_none(), "ours need one");
    let at = |place| load("", &[&base[..], &[("RECORDING_AT", place)]].concat());
    let recording = at("carrier").unwrap().recording.unwrap();
    assert_eq!((recording.place, recording.dir), (RecordingPlace::Carrier, None));
    assert!(recording.assumed.is_some());
    assert!(at("moon").unwrap_err().to_string().contains("server (a file of ours) or carrier"));
}

#[test]
fn what_is_probably_not_meant_is_said() {
    let settings = |environment: &[(&'static str, &'static str)]| -> Vec<&'static str> {
        load("", environment).unwrap().notices().iter().map(|notice| notice.setting).collect()
    };
    assert_eq!(settings(&[]), ["VOICE_PROVIDERS"]);
    assert_eq!(settings(&[("OPENAI_API_KEY", KEY)]), ["TWILIO_AUTH_TOKEN", "PUBLIC_URL"]);
    let complete = [
        ("OPENAI_API_KEY", KEY),
        ("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef"),
        ("PUBLIC_URL", "https://voice.test"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ];
    assert_eq!(settings(&complete), Vec::<&str>::new());
    let and = |more| settings(&[&complete[..], &[more]].concat());
    assert_eq!(and(("OPENAI_REALTIME_URL", "ws://far.test/v1")), ["OPENAI_REALTIME_URL"]);
    assert_eq!(and(("DATABASE_URL", "sqlite:/nowhere/at/all/voice.db")), ["DATABASE_URL"]);
    assert_eq!(and(("DATABASE_URL", "sqlite://voice.db?mode=rwc")), Vec::<&str>::new());
    assert_eq!(settings(&[&complete[..3], &[("HOST", "127.0.0.1")]].concat()), ["TRUSTED_PROXIES"]);
    assert_eq!(settings(&[&complete[..3], &[("HOST", "0.0.0.0")]].concat()), Vec::<&str>::new());
}

#[test]
fn calls_do_not_cross_a_network_in_the_open() {
    let url = |url| load("", &[("PUBLIC_URL", url)]).map(|config| config.public_url.unwrap().to_string());
    assert!(url("http://voice.example.org").unwrap_err().to_string().contains("https://"));
    for fine in ["http://127.0.0.1:8080", "http://localhost:8080", "https://voice.example.org"] {
        assert_eq!(url(fine).unwrap(), fine);
    }
}

#[test]
fn telnyx_says_what_is_missing_and_refuses_what_is_no_key() {
    let key = ("TELNYX_API_KEY", "KEY0123456789ABCDEF");
    let public = ("TELNYX_PUBLIC_KEY", "HFlC+XgDSJG0dV7Oz5Ck0cqU1tYYUXQvtBIgEGyHAX8=");
    let from = ("TELNYX_FROM_NUMBER", "+15005550006");
    let told = |environment: &[(&'static str, &'static str)]| -> Vec<&'static str> {
        let base = [
            ("OPENAI_API_KEY", KEY),
            ("PUBLIC_URL", "https://voice.test"),
            ("API_TOKEN", KEY),
            ("TRUSTED_PROXIES", "127.0.0.1"),
        ];
        let config = load("", &[&base, environment].concat()).unwrap();
        config.notices().iter().map(|notice| notice.setting).collect()
    };
    assert_eq!(told(&[key, public]), Vec::<&str>::new());
    assert_eq!(told(&[key]), ["TELNYX_PUBLIC_KEY", "TWILIO_AUTH_TOKEN"]);
    assert_eq!(told(&[public]), ["TELNYX_API_KEY"]);
    assert_eq!(told(&[key, public, from]), ["TELNYX_CONNECTION_ID"]);
    for (setting, wrong) in [
        ("TELNYX_API_KEY", "your-key-here"),
        ("TELNYX_PUBLIC_KEY", "changeme"),
        ("TELNYX_CONNECTION_ID", "<id>"),
        ("TELNYX_FROM_NUMBER", "500"),
        ("TELNYX_API_URL", "http://api.telnyx.com/v2"),
    ] {
        let errors = load("", &[(setting, wrong)]).unwrap_err();
        assert!(errors.0.iter().any(|error| error.setting == setting), "{setting}: {errors}");
    }
    let config = load("", &[key]).unwrap();
    assert!(!format!("{config:?}{config}").contains("0123456789AB"), "{config}");
}

#[test]
fn the_public_address_becomes_a_socket_address() {
    let config = load("", &[("PUBLIC_URL", "https://voice.test:8443/base/")]).unwrap();
    let url = config.public_url.unwrap();
    assert_eq!(url.of("/x"), "https://voice.test:8443/base/x");
    assert_eq!(url.web_socket("/x"), "wss://voice.test:8443/base/x");
}

#[test]
fn a_mistyped_level_is_an_error_and_not_the_name_of_a_module() {
    for wrong in ["inof", "info,debg", "voice_bin=inof", "voice_bin", "", "=info", "a b=info"] {
        let file = format!("[log]\nlevel = {wrong:?}");
        assert!(load(&file, &[]).is_err(), "{wrong}");
    }
    for fine in ["info", "INFO", "off", "warn,voice_bin=debug", "voice_bin::server=trace, error"] {
        assert!(load("", &[("LOG_LEVEL", fine)]).is_ok(), "{fine}");
    }
}

#[test]
fn an_empty_greeting_is_none_that_was_chosen() {
    let greeting = |value| load("", &[("AGENT_GREETING", value)]).unwrap();
    assert_eq!(greeting("off").agent.greeting, None);
    assert!(greeting("").agent.greeting.is_some());
    let notices: Vec<_> = greeting(" ").notices().iter().map(|notice| notice.setting).collect();
    assert!(notices.contains(&"AGENT_GREETING"), "{notices:?}");
    let errors = load("[agent]\ngreeting = \"\"", &[]).unwrap_err().to_string();
    assert!(errors.contains("write off"), "{errors}");
}

#[test]
fn the_door_is_set_up_as_said() {
    let door = load("", &[]).unwrap().door;
    let preset = DoorConfig::default();
    assert_eq!(door.webhooks.address, preset.webhooks.address);
    assert_eq!(door.webhooks.carrier, preset.webhooks.carrier);
    assert_eq!(door.sockets.address, preset.sockets.address);
    assert!(door.webhooks.lists.is_none() && door.sockets.lists.is_none());
    assert_eq!(door.connections_max, preset.connections_max);
    assert_eq!(door.connections_from_one_max, preset.connections_from_one_max);

    let environment = [
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("WEBHOOK_PER_MINUTE", "off"),
        ("WEBHOOK_BURST", "off"),
        ("CARRIER_PER_MINUTE", "5000"),
        ("ENABLE_WEBHOOK_IP_WHITELIST", "true"),
        ("TELNYX_WEBHOOK_IPS", "telnyx-webhooks"),
    ];
    let config = load("", &environment).unwrap();
    assert!(config.door.proxies.contains("10.1.2.3".parse().unwrap()));
    assert!(config.door.webhooks.address.is_none());
    let lists = config.door.webhooks.lists.clone().unwrap();
    assert!(lists["telnyx"].contains("192.76.120.200".parse().unwrap()) && lists["twilio"].is_empty());
    assert!(config.notices().iter().any(|notice| notice.setting == "TWILIO_WEBHOOK_IPS"));

    let sip = [("ENABLE_WEBHOOK_IP_WHITELIST", "on"), ("TWILIO_WEBHOOK_IPS", "twilio-sip, twilio-rtp")];
    let notices = load("", &sip).unwrap().notices().to_vec();
    assert!(notices.iter().any(|notice| notice.text.contains("no webhook comes")), "{notices:?}");

    for (name, value) in [
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("WEBHOOK_BURST", "0"),
        ("ENABLE_WEBHOOK_IP_WHITELIST", "maybe"),
        ("FORWARDED_HEADER", "x-real-ip"),
        ("MAX_CONNECTIONS", "0"),
    ] {
        let errors = load("", &[(name, value)]).unwrap_err().to_string();
        assert!(errors.contains(name), "{errors}");
    }
}

#[test]
fn providers_are_used_in_the_order_given_or_else_all_that_have_a_key() {
    let keys =
        [("OPENAI_API_KEY", KEY), ("GEMINI_API_KEY", KEY), ("DEEPGRAM_API_KEY", KEY), ("LLM_API_KEY", KEY)];
    let order =
        |file: &str, environment: &[(&'static str, &str)]| names(&load(file, environment).unwrap()).join(" ");
    assert_eq!(order("", &keys), "openai gemini deepgram-agent deepgram-pipeline");
    assert_eq!(order("", &keys[2..3]), "deepgram-agent");
    assert_eq!(
        order("", &[keys[2], ("LLM_URL", "http://127.0.0.1:11434/v1")]),
        "deepgram-agent deepgram-pipeline"
    );
    assert_eq!(order("", &[keys[0], keys[1], ("VOICE_PROVIDERS", " gemini , openai,")]), "gemini openai");
    let file = "[providers]\norder = \"deepgram-pipeline\"\n[llm]\nmodel = \"qwen3\"\nurl = \"http://localhost:8000/v1/\"";
    let chosen = load(file, &[keys[2]]).unwrap();
    assert_eq!(names(&chosen), ["deepgram-pipeline"]);
    expect![[
        r#"[Notice { setting: "VOICE_PROVIDERS", text: "leaves out deepgram-agent, which could be used" }]"#
    ]]
    .assert_eq(&format!("{:?}", &chosen.notices()[..1]));
}

#[test]
fn what_a_provider_lacks_is_told_by_its_name() {
    let environment = [
        ("VOICE_PROVIDERS", "gemini, openai, deepgram, openai, deepgram-pipeline"),
        ("OPENAI_API_KEY", "your-key"),
        ("DEEPGRAM_API_KEY", KEY),
        ("DEEPGRAM_URL", "https://api.deepgram.com"),
        ("LLM_URL", "http://localhost:8000/v1/chat/completions"),
        ("LLM_FALLBACK_MODEL", "small"),
    ];
    expect![[r#"
        7 errors in the configuration
          VOICE_PROVIDERS (environment): there is no "deepgram"; the names are openai, gemini, deepgram-agent, deepgram-pipeline, separated by commas
          VOICE_PROVIDERS (environment): openai is named twice; name it once
          VOICE_PROVIDERS (environment): gemini has no GEMINI_API_KEY; set GEMINI_API_KEY, or take gemini out of the list
          OPENAI_API_KEY (environment): this is a placeholder, not a secret; create a key at platform.openai.com and paste it whole, or unset this
          DEEPGRAM_URL (environment): https://api.deepgram.com is not an address that begins with ws:// or wss://; leave it out for the service itself, or write scheme and host, like wss://api.eu.deepgram.com
          LLM_URL (environment): http://localhost:8000/v1/chat/completions goes on beyond the base address; write the base address up to /v1, like https://api.openai.com/v1
          LLM_FALLBACK_URL (default): it is needed for a second language model; set it, or unset all of LLM_FALLBACK_*"#]].assert_eq(&load("", &environment).unwrap_err().to_string());
}

#[test]
fn what_a_library_refuses_is_told_with_its_provider() {
    let environment = [("OPENAI_API_KEY", KEY), ("OPENAI_REALTIME_URL", "wss://voice.test/v1#x")];
    expect![[r#"
        1 error in the configuration
          openai (taken together): the url is not ws:// or wss://, or has a query or fragment; see docs/configuration.md"#]].assert_eq(&load("", &environment).unwrap_err().to_string());
}

#[test]
fn how_calls_get_over_gaps_is_set_and_checked() {
    use voice_core::audio::resample::Phase;
    use voice_core::call::Standby;
    let calls = |environment: &[(&'static str, &str)]| load("", environment).map(|config| config.calls);
    let usual = calls(&[]).unwrap();
    assert_eq!((usual.standby, usual.covers, usual.gap), (Standby::Off, true, Duration::from_secs(30)));
    assert_eq!(usual.phase, Phase::Linear);
    let set = [
        ("VOICE_STANDBY", "fed"),
        ("COVER_PROMPTS", "off"),
        ("GAP_SECONDS", "0"),
        ("RESAMPLER_PHASE", "minimum"),
    ];
    let set = calls(&set).unwrap();
    assert_eq!((set.standby, set.covers, set.gap), (Standby::Fed, false, Duration::ZERO));
    assert_eq!(set.phase, Phase::Minimum);
    let wrong = [
        ("VOICE_STANDBY", "on"),
        ("COVER_PROMPTS", "?"),
        ("GAP_SECONDS", "121"),
        ("CALL_SECONDS_MAX", "9"),
        ("RESAMPLER_PHASE", "zero"),
    ];
    assert_eq!(load("", &wrong).unwrap_err().0.len(), 5);
}

#[test]
fn a_demonstration_lays_its_fakes_over_whatever_is_set() {
    let wrong_place =
        [("GEMINI_API_KEY", KEY), ("GEMINI_VOICE", "Puck"), ("PUBLIC_URL", "https://voice.test")];
    let config = load("", &wrong_place).unwrap();
    let nobody: std::net::SocketAddr = ([127, 0, 0, 1], 9).into();
    let fakes =
        crate::providers::FakeAddresses { openai: nobody, gemini: nobody, deepgram: nobody, llm: nobody };
    for kind in crate::providers::KINDS {
        let mut instead = (kind.pretend)(&fakes);
        instead.push((&settings::VOICE_PROVIDERS, kind.name.to_owned()));
        let instead = instead.into_iter().map(|(setting, text)| (setting, Some(text)));
        let pretended = config.with(instead.chain([(&settings::PUBLIC_URL, None)])).unwrap();
        assert_eq!(names(&pretended), [kind.name]);
        assert_eq!(pretended.public_url, None);
        assert!(pretended.to_string().contains("(demo)"), "{pretended}");
    }
}

fn names(config: &Config) -> Vec<&str> {
    config.providers.iter().map(|one| one.id.as_str()).collect()
}

fn load(file: &str, environment: &[(&'static str, &str)]) -> Result<Config, ConfigErrors> {
    let mut layers = layers::Layers::default();
    layers.read_toml(&"voice.toml".into(), file);
    layers.read_environment(&environment.iter().copied().collect::<Env<'_>>());
    check::check(layers)
}
