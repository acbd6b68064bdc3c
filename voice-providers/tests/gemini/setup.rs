//! The first message of a connection, and settings that are refused before it.

use expect_test::{Expect, expect};
use voice_core::provider::{CallerSpeech, Provider};
use voice_core::sensitive::Secret;
use voice_providers::gemini::{
    Detection, Family, Gemini, GeminiSettings, GeminiSettingsBuilder, Platform, Scheduling, Sensitivity,
    SettingsError, Thinking, ToolBehaviour,
};
use voice_providers::sim::gemini::FakeGeminiConfig;

use crate::world::{World, settings, setup};

fn check(settings: GeminiSettingsBuilder, setup: voice_core::provider::Setup, expected: &Expect) {
    let mut world = World::with(FakeGeminiConfig::new(1), settings, setup);
    world.become_ready();
    let sent = serde_json::to_string_pretty(&world.seen().setups[0]).expect("it is JSON");
    expected.assert_eq(&sent);
}

#[test]
fn the_usual_setup() {
    check(
        settings(),
        setup(Vec::new()),
        &expect![[r#"
        {
          "contextWindowCompression": {
            "slidingWindow": {}
          },
          "generationConfig": {
            "responseModalities": [
              "AUDIO"
            ],
            "speechConfig": {
              "voiceConfig": {
                "prebuiltVoiceConfig": {
                  "voiceName": "Kore"
                }
              }
            }
          },
          "inputAudioTranscription": {},
          "model": "models/gemini-3.8-live",
          "outputAudioTranscription": {},
          "sessionResumption": {},
          "systemInstruction": {
            "parts": [
              {
                "text": "You answer the phone of a book shop."
              }
            ]
          },
          "tools": [
            {
              "functionDeclarations": [
                {
                  "description": "Finds an order.",
                  "name": "lookup_order",
                  "parametersJsonSchema": {
                    "properties": {
                      "number": {
                        "type": "string"
                      }
                    },
                    "type": "object"
                  }
                }
              ]
            }
          ]
        }"#]],
    );
}

#[test]
fn everything_that_can_be_set() {
    let detection = Detection {
        start: Some(Sensitivity::Low),
        end: Some(Sensitivity::High),
        speech_needed: Some(std::time::Duration::from_millis(40)),
        silence: Some(std::time::Duration::from_millis(600)),
    };
    let settings = settings()
        .model("models/gemini-2.5-flash-native-audio-preview-12-2025")
        .voice("Puck")
        .temperature(0.5)
        .top_p(0.75)
        .output_tokens_max(2_000)
        .thinking(Thinking::Budget(0))
        .affective_dialog(true)
        .proactive_audio(true)
        .detection(detection)
        .tool_behaviour(ToolBehaviour::NonBlocking)
        .scheduling(Scheduling::Interrupt)
        .compress_at(100_000, 50_000);
    let mut setup = setup(Vec::new());
    setup.language = Some("de-DE".into());
    check(
        settings,
        setup,
        &expect![[r#"
        {
          "contextWindowCompression": {
            "slidingWindow": {
              "targetTokens": 50000
            },
            "triggerTokens": 100000
          },
          "generationConfig": {
            "enableAffectiveDialog": true,
            "maxOutputTokens": 2000,
            "responseModalities": [
              "AUDIO"
            ],
            "speechConfig": {
              "voiceConfig": {
                "prebuiltVoiceConfig": {
                  "voiceName": "Puck"
                }
              }
            },
            "temperature": 0.5,
            "thinkingConfig": {
              "thinkingBudget": 0
            },
            "topP": 0.75
          },
          "inputAudioTranscription": {},
          "model": "models/gemini-2.5-flash-native-audio-preview-12-2025",
          "outputAudioTranscription": {},
          "proactivity": {
            "proactiveAudio": true
          },
          "realtimeInputConfig": {
            "automaticActivityDetection": {
              "endOfSpeechSensitivity": "END_SENSITIVITY_HIGH",
              "prefixPaddingMs": 40,
              "silenceDurationMs": 600,
              "startOfSpeechSensitivity": "START_SENSITIVITY_LOW"
            }
          },
          "sessionResumption": {},
          "systemInstruction": {
            "parts": [
              {
                "text": "You answer the phone of a book shop.\n\nThe caller's language (BCP 47): de-DE."
              }
            ]
          },
          "tools": [
            {
              "functionDeclarations": [
                {
                  "behavior": "NON_BLOCKING",
                  "description": "Finds an order.",
                  "name": "lookup_order",
                  "parametersJsonSchema": {
                    "properties": {
                      "number": {
                        "type": "string"
                      }
                    },
                    "type": "object"
                  }
                }
              ]
            }
          ]
        }"#]],
    );
}

#[test]
fn what_is_switched_off_is_left_out() {
    let mut setup = setup(Vec::new());
    setup.tools = std::sync::Arc::from([]);
    setup.instructions = "".into();
    check(
        settings().transcripts(false, false).resume(false).compress(false),
        setup,
        &expect![[r#"
        {
          "generationConfig": {
            "responseModalities": [
              "AUDIO"
            ],
            "speechConfig": {
              "voiceConfig": {
                "prebuiltVoiceConfig": {
                  "voiceName": "Kore"
                }
              }
            }
          },
          "model": "models/gemini-3.8-live"
        }"#]],
    );
}

#[test]
fn where_it_dials_and_what_it_shows() {
    let endpoint = |settings: GeminiSettingsBuilder| {
        let world = World::with(FakeGeminiConfig::new(1), settings, setup(Vec::new()));
        let endpoint = &world.lines[0].endpoint;
        let (name, value) = &endpoint.headers[0];
        format!("{} {name}: {}", endpoint.url, value.expose())
    };
    let new = |key: &str| GeminiSettings::new(Secret::new(key.to_owned()));
    let vertex = |location: &str| Platform::Vertex { project: "shop".into(), location: location.into() };
    assert_eq!(
        endpoint(new("AIza-k")),
        "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta.GenerativeService.\
         BidiGenerateContent x-goog-api-key: AIza-k"
    );
    assert_eq!(
        endpoint(new("auth_tokens/abc")),
        "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1alpha.GenerativeService.\
         BidiGenerateContentConstrained authorization: Token auth_tokens/abc"
    );
    assert_eq!(
        endpoint(new("AIza-k").model("gemini-2.5-x").affective_dialog(true)),
        "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1alpha.GenerativeService.\
         BidiGenerateContent x-goog-api-key: AIza-k"
    );
    assert_eq!(
        endpoint(new("ya29.t").platform(vertex("europe-west4"))),
        "wss://europe-west4-aiplatform.googleapis.com/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/\
         BidiGenerateContent authorization: Bearer ya29.t"
    );
    assert!(
        endpoint(new("ya29.t").platform(vertex("global"))).starts_with("wss://aiplatform.googleapis.com/")
    );
    assert_eq!(
        endpoint(new("k1").url("ws://localhost:9/own/path")),
        "ws://localhost:9/own/path x-goog-api-key: k1"
    );
    assert!(endpoint(new("k1").url("ws://localhost:9/")).starts_with("ws://localhost:9/ws/google.ai."));
}

#[test]
fn vertex_names_the_model_in_full() {
    let platform = Platform::Vertex { project: "shop".into(), location: "global".into() };
    let mut config = FakeGeminiConfig::new(1);
    config.vertex = true;
    let mut world = World::with(config, settings().platform(platform), setup(Vec::new()));
    world.become_ready();
    let model = &world.seen().setups[0]["model"];
    assert_eq!(model, "projects/shop/locations/global/publishers/google/models/gemini-3.8-live");
    // And it never says that the microphone is muted, which Vertex refuses.
    world.switch_mic(false);
    world.run(5_000);
    assert_eq!(world.seen().stream_ends, 0);
    assert!(world.seen().closes.is_empty());
}

#[test]
fn keys_that_are_none_are_refused_at_once() {
    for (key, error) in [
        ("", SettingsError::KeyMissing),
        ("  \n", SettingsError::KeyMissing),
        ("your-api-key", SettingsError::KeyPlaceholder),
        ("<GEMINI_API_KEY>", SettingsError::KeyPlaceholder),
        ("AIza with spaces", SettingsError::KeyPlaceholder),
    ] {
        let built = GeminiSettings::new(Secret::new(key.to_owned())).build();
        assert_eq!(built.err(), Some(error), "{key}");
    }
    assert!(GeminiSettings::new(Secret::new(" AIza-k\n".to_owned())).build().is_ok());
}

#[test]
fn settings_are_checked_against_the_model() {
    let not_taken = |setting, family| SettingsError::NotTaken { setting, family };
    let (v2_5, v3_1, v3_8) = ("gemini-2.5-x", "gemini-3.1-x", "gemini-3.8-live");
    let thinking = "gemini-3.8-live-extended-thinking";
    for (settings, error) in [
        (settings().model(v3_8).thinking(Thinking::Low), not_taken("this thinking", Family::V3_8)),
        (
            settings().model(thinking).thinking(Thinking::Minimal),
            not_taken("this thinking", Family::V3_8Thinking),
        ),
        (settings().model(v2_5).thinking(Thinking::High), not_taken("this thinking", Family::V2_5)),
        (settings().model(v3_1).thinking(Thinking::Budget(0)), not_taken("this thinking", Family::V3_1)),
        (settings().model(v3_8).affective_dialog(true), not_taken("affective_dialog", Family::V3_8)),
        (settings().model(v3_8).proactive_audio(false), not_taken("proactive_audio", Family::V3_8)),
        (
            settings().model(v3_1).tool_behaviour(ToolBehaviour::NonBlocking),
            not_taken("tools that do not block", Family::V3_1),
        ),
        (
            settings().model(v3_1).scheduling(Scheduling::Silent),
            not_taken("scheduling of tools that block", Family::V3_1),
        ),
        (settings().temperature(3.0), SettingsError::OutOfRange("temperature")),
        (settings().temperature(f32::NAN), SettingsError::OutOfRange("temperature")),
        (settings().top_p(-0.1), SettingsError::OutOfRange("top_p")),
        (settings().compress_at(10, 10), SettingsError::OutOfRange("compress_at")),
        (settings().model("a/../b"), SettingsError::Name("model")),
        (settings().voice(""), SettingsError::Name("voice")),
        (settings().url("https://x"), SettingsError::Url),
        (
            settings().platform(Platform::Vertex { project: "a b".into(), location: "x".into() }),
            SettingsError::Name("project"),
        ),
    ] {
        assert_eq!(settings.build().err(), Some(error));
    }
    assert!(settings().model(thinking).thinking(Thinking::Low).build().is_ok());
    assert!(settings().model("gemini-9").family(Family::V2_5).thinking(Thinking::Budget(-1)).build().is_ok());
}

#[test]
fn capabilities_follow_the_settings() {
    let of = |settings: GeminiSettingsBuilder| {
        Gemini::new(settings.build().expect("they are valid")).capabilities().clone()
    };
    let minutes = |capabilities: &voice_core::provider::Capabilities| {
        capabilities.lifetime.session_max.map(|max| max.as_secs() / 60)
    };
    assert_eq!(of(settings()).caller_speech, CallerSpeech::Detected);
    assert_eq!(minutes(&of(settings())), Some(58));
    assert_eq!(minutes(&of(settings().compress(false))), Some(15));
    assert_eq!(minutes(&of(settings().resume(false))), Some(10));
    assert_eq!(minutes(&of(settings().model("gemini-3.1-x"))), None);
}

#[test]
fn a_key_is_never_printed() {
    let provider = Gemini::new(settings().build().expect("they are valid"));
    assert!(!format!("{provider:?}").contains("AIza"));
}

#[test]
fn a_tool_whose_schema_is_no_json_is_told_by_its_name() {
    let mut setup = setup(Vec::new());
    let tool = voice_core::conversation::ToolDefinition {
        name: "broken".into(),
        description: String::new(),
        parameters: "{type: object".into(),
    };
    setup.tools = std::sync::Arc::from([tool]);
    let world = World::with(FakeGeminiConfig::new(1), settings(), setup);
    let failure = world.failure().expect("it fails");
    assert_eq!(failure.to_string(), "refused our settings (tools.broken.parameters)");
    assert!(world.lines.is_empty(), "nothing is dialled");
}
