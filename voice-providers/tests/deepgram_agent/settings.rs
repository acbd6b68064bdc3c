//! What the first message holds, for every kind of settings and of history.

use std::time::Duration;

use expect_test::expect;
use voice_core::conversation::{ToolCall, ToolDefinition, ToolResult, Turn};
use voice_core::id::{AttachmentId, ToolCallId};
use voice_core::provider::Provider;
use voice_core::sensitive::Secret;
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::agent::{
    Agent, AgentSettings, AwsCredentials, Effort, Flux, Listen, Nova, Speak, StageEndpoint, Think,
};

use crate::harness::{KEY, Rig, settings, setup};

#[test]
fn the_usual_settings() {
    let rig = Rig::polite().ready();
    expect![[r#"
        {
          "agent": {
            "listen": {
              "provider": {
                "model": "flux-general-en",
                "type": "deepgram",
                "version": "v2"
              }
            },
            "speak": {
              "provider": {
                "model": "aura-2-thalia-en",
                "type": "deepgram",
                "version": "v1"
              }
            },
            "think": {
              "functions": [
                {
                  "description": "Finds an order by its number.",
                  "name": "lookup_order",
                  "parameters": {
                    "properties": {
                      "number": {
                        "type": "string"
                      }
                    },
                    "type": "object"
                  }
                }
              ],
              "prompt": "You answer the phone of a book shop.",
              "provider": {
                "model": "gpt-4.1-mini",
                "type": "open_ai"
              }
            }
          },
          "audio": {
            "input": {
              "encoding": "mulaw",
              "sample_rate": 8000
            },
            "output": {
              "container": "none",
              "encoding": "mulaw",
              "sample_rate": 8000
            }
          },
          "flags": {
            "history": false
          },
          "type": "Settings"
        }
    "#]]
    .assert_eq(&format!("{:#}\n", rig.settings()));
}

#[test]
fn everything_at_once() {
    let aws = AwsCredentials {
        region: "eu-central-1".into(),
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: Secret::new("hidden".into()),
        session_token: None,
    };
    let sts = AwsCredentials { session_token: Some(Secret::new("short".into())), ..aws.clone() };
    let flux = Flux {
        model: "flux-general-multi".into(),
        eot_threshold: Some(0.8),
        eager_eot_threshold: Some(0.5),
        eot_timeout: Some(Duration::from_secs(4)),
        keyterms: vec!["Ada".into()],
        language_hints: Vec::new(),
    };
    let llm = StageEndpoint::new("https://llm.example/v1/chat").header("authorization", "Bearer x");
    let tts = StageEndpoint::new("wss://tts.example/v1").header("xi-api-key", "k");
    let other = StageEndpoint::new("https://tts.example/v1");
    let builder = settings()
        .listen(Listen::Flux(flux))
        .think([
            Think::open_ai("house-model").endpoint(llm).context_length(9_000).temperature(0.5),
            Think::aws_bedrock("anthropic/claude-3-5-haiku-20240307-v1:0", sts),
            Think::groq("openai/gpt-oss-20b").effort(Effort::Low),
        ])
        .speak([
            Speak::deepgram("flux-alexis-en").speed(0.9).expressivity(1),
            Speak::eleven_labs("eleven_turbo_v2_5").endpoint(tts).language("en-US"),
            Speak::cartesia("sonic-2", "a167e0f3").endpoint(other.clone()),
            Speak::open_ai("tts-1", "alloy").endpoint(other),
            Speak::aws_polly("Joanna", "neural", "en-US", aws),
        ])
        .tags(["pilot".to_owned()])
        .mip_opt_out(true)
        .greeting("Hello!");
    let rig = Rig::new(builder, setup(), None).ready();
    let mut wanted = rig.settings();
    wanted["agent"]["think"][0]["functions"] = serde_json::Value::Null;
    expect![[r#"
        {
          "greeting": "Hello!",
          "listen": {
            "provider": {
              "eager_eot_threshold": 0.5,
              "eot_threshold": 0.8,
              "eot_timeout_ms": 4000,
              "keyterms": [
                "Ada"
              ],
              "language_hints": [
                "en"
              ],
              "model": "flux-general-multi",
              "type": "deepgram",
              "version": "v2"
            }
          },
          "speak": [
            {
              "provider": {
                "expressivity": 1,
                "model": "flux-alexis-en",
                "speed": 0.9,
                "type": "deepgram",
                "version": "v2"
              }
            },
            {
              "endpoint": {
                "headers": {
                  "xi-api-key": "k"
                },
                "url": "wss://tts.example/v1"
              },
              "provider": {
                "language": "en-US",
                "model_id": "eleven_turbo_v2_5",
                "type": "eleven_labs"
              }
            },
            {
              "endpoint": {
                "headers": {},
                "url": "https://tts.example/v1"
              },
              "provider": {
                "model_id": "sonic-2",
                "type": "cartesia",
                "voice": {
                  "id": "a167e0f3",
                  "mode": "id"
                }
              }
            },
            {
              "endpoint": {
                "headers": {},
                "url": "https://tts.example/v1"
              },
              "provider": {
                "model": "tts-1",
                "type": "open_ai",
                "voice": "alloy"
              }
            },
            {
              "provider": {
                "credentials": {
                  "access_key_id": "AKIDEXAMPLE",
                  "region": "eu-central-1",
                  "secret_access_key": "hidden",
                  "type": "iam"
                },
                "engine": "neural",
                "language": "en-US",
                "type": "aws_polly",
                "voice": "Joanna"
              }
            }
          ],
          "think": [
            {
              "context_length": 9000,
              "endpoint": {
                "headers": {
                  "authorization": "Bearer x"
                },
                "url": "https://llm.example/v1/chat"
              },
              "functions": null,
              "prompt": "You answer the phone of a book shop.",
              "provider": {
                "model": "house-model",
                "temperature": 0.5,
                "type": "open_ai"
              }
            },
            {
              "functions": [
                {
                  "description": "Finds an order by its number.",
                  "name": "lookup_order",
                  "parameters": {
                    "properties": {
                      "number": {
                        "type": "string"
                      }
                    },
                    "type": "object"
                  }
                }
              ],
              "prompt": "You answer the phone of a book shop.",
              "provider": {
                "credentials": {
                  "access_key_id": "AKIDEXAMPLE",
                  "region": "eu-central-1",
                  "secret_access_key": "hidden",
                  "session_token": "short",
                  "type": "sts"
                },
                "model": "anthropic/claude-3-5-haiku-20240307-v1:0",
                "type": "aws_bedrock"
              }
            },
            {
              "functions": [
                {
                  "description": "Finds an order by its number.",
                  "name": "lookup_order",
                  "parameters": {
                    "properties": {
                      "number": {
                        "type": "string"
                      }
                    },
                    "type": "object"
                  }
                }
              ],
              "prompt": "You answer the phone of a book shop.",
              "provider": {
                "model": "openai/gpt-oss-20b",
                "reasoning_mode": "low",
                "type": "groq"
              }
            }
          ]
        }
    "#]]
    .assert_eq(&format!("{:#}\n", wanted["agent"]));
    assert_eq!((&wanted["tags"][0], &wanted["mip_opt_out"]), (&"pilot".into(), &true.into()));
}

#[test]
fn nova_hears_the_calls_language() {
    let nova = Nova { keyterms: vec!["Ada".into()], smart_format: true, ..Nova::default() };
    let rig = Rig::new(settings().listen(Listen::Nova(nova)), setup(), None).ready();
    expect![[r#"{"provider":{"keyterms":["Ada"],"language":"en","model":"nova-3","smart_format":true,"type":"deepgram","version":"v1"}}"#]].assert_eq(&format!("{}", rig.settings()["agent"]["listen"]));
}

#[test]
fn every_kind_of_turn_is_seeded() {
    let call = |n, name: &str, arguments: &str| ToolCall {
        id: ToolCallId::new(AttachmentId(1), n),
        name: name.into(),
        arguments: arguments.into(),
    };
    let result = |output: &str, failed| Some(ToolResult { output: output.into(), failed });
    let mut setup = setup();
    setup.history = vec![
        Turn::Voice { text: "Hello, this is Ada.".into(), cut: false },
        Turn::Caller { text: "".into() },
        Turn::Caller { text: "Where is my \"order\"?".into() },
        Turn::Tool { call: call(1, "lookup_order", r#"{"number":"427"}"#), result: result("sent", false) },
        Turn::Tool { call: call(2, "lookup_order", "{not json"), result: result("no such order", true) },
        Turn::Tool { call: call(3, "lookup_order", "{}"), result: None },
        Turn::Tool { call: call(4, "no such name", "{}"), result: result("there is no such tool", true) },
        Turn::Note { text: "The caller pressed 5.".into() },
        Turn::Voice { text: "Your order left".into(), cut: true },
        Turn::Voice { text: "".into(), cut: true },
    ];
    let rig = Rig::new(settings(), setup, None).ready();
    let agent = &rig.settings()["agent"];
    expect![[r#"
        {
          "messages": [
            {
              "content": "Hello, this is Ada.",
              "role": "assistant",
              "type": "History"
            },
            {
              "content": "(something that could not be understood)",
              "role": "user",
              "type": "History"
            },
            {
              "content": "Where is my \"order\"?",
              "role": "user",
              "type": "History"
            },
            {
              "function_calls": [
                {
                  "arguments": "{\"number\":\"427\"}",
                  "client_side": true,
                  "id": "call_1_1",
                  "name": "lookup_order",
                  "response": "sent"
                }
              ],
              "type": "History"
            },
            {
              "function_calls": [
                {
                  "arguments": "{}",
                  "client_side": true,
                  "id": "call_1_2",
                  "name": "lookup_order",
                  "response": "{\"error\":\"no such order\"}"
                }
              ],
              "type": "History"
            },
            {
              "function_calls": [
                {
                  "arguments": "{}",
                  "client_side": true,
                  "id": "call_1_3",
                  "name": "lookup_order",
                  "response": "It is still running; the answer will follow."
                }
              ],
              "type": "History"
            },
            {
              "content": "Your order left…",
              "role": "assistant",
              "type": "History"
            }
          ]
        }
        "You answer the phone of a book shop.\n\nWhat is known from earlier in this call:\n- You called the tool no such name with {}. Its answer: {\"error\":\"there is no such tool\"}\n- The caller pressed 5."
    "#]].assert_eq(&format!("{:#}\n{}\n", agent["context"], agent["think"]["prompt"]));
}

#[test]
fn a_long_history_still_fits_on_the_line() {
    let mut setup = setup();
    setup.history =
        (0..1_000).map(|n| Turn::Caller { text: format!("{n} {}", "\"\n".repeat(8_000)).into() }).collect();
    let rig = Rig::new(settings(), setup, None).ready();
    let size = rig.sent[0].as_bytes().len();
    assert!(size < voice_core::limits::LINE_BACKLOG_BYTES_MAX, "{size}");
    let messages = rig.settings()["agent"]["context"]["messages"].clone();
    let last = messages.as_array().and_then(|all| all.last()).expect("some fit");
    assert!(last["content"].as_str().is_some_and(|text| text.starts_with("999 ")));
}

#[test]
fn reasoning_models_are_offered_no_tools() {
    let builder = settings().think([Think::open_ai("gpt-5-mini"), Think::google("gemini-2.5-flash")]);
    let agent = Agent::new(builder.clone().build().expect("fine"));
    assert!(agent.capabilities().tools.is_some());
    let rig = Rig::new(builder, setup(), None).ready();
    let think = &rig.settings()["agent"]["think"];
    assert!(think[0]["functions"].is_null() && think[1]["functions"].is_array());
    let alone = Agent::new(settings().think([Think::open_ai("gpt-5")]).build().expect("fine"));
    assert!(alone.capabilities().tools.is_none());
}

#[test]
fn a_tool_with_broken_parameters_does_not_cost_the_session() {
    let mut setup = setup();
    let broken = |name: &str, parameters: &str| ToolDefinition {
        name: name.into(),
        description: String::new(),
        parameters: parameters.into(),
    };
    let mut tools = setup.tools.to_vec();
    tools.extend([broken("a", "{"), broken("b", "[]"), broken("c", "{\"type\":\"object\"}")]);
    setup.tools = tools.into();
    let rig = Rig::new(settings(), setup, None).ready();
    let functions = rig.settings()["agent"]["think"]["functions"].clone();
    let names: Vec<_> = functions.as_array().expect("a list").iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, ["lookup_order", "c"]);
}

#[test]
fn a_temporary_token_has_its_own_scheme() {
    let token = Credential::AccessToken(Secret::new(KEY.to_owned()));
    let rig = Rig::new(AgentSettings::new(token), setup(), None).ready();
    assert!(rig.is_ready());
}
