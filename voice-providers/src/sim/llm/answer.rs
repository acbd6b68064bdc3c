//! What the fake language model answers to a conversation, and in which chunks.

use serde_json::{Value, json};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::{caller, voice};

use super::rudeness::{LlmProfile, LlmRudeness};

/// An answer: words, and calls of tools by name and arguments.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    calls: Vec<(String, String)>,
}

/// Refuses what a strict server refuses; the code says why.
pub(super) fn check(body: &Value, profile: LlmProfile) -> Result<(), &'static str> {
    let messages = body["messages"].as_array().filter(|list| !list.is_empty()).ok_or("no_messages")?;
    if !body["model"].is_string() {
        return Err("no_model");
    }
    if profile == LlmProfile::Groq && !body["stream_options"].is_null() {
        return Err("unknown_parameter");
    }
    let mut unanswered: Vec<&Value> = Vec::new();
    let mut before = "";
    for message in messages {
        let role = message["role"].as_str().ok_or("no_role")?;
        match role {
            "system" if before.is_empty() => {}
            "user" if message["content"].is_string() => {}
            "assistant" => {
                let calls = message["tool_calls"].as_array();
                if !message["content"].is_string() && calls.is_none_or(Vec::is_empty) {
                    return Err("empty_assistant");
                }
            }
            "tool" => {
                let id = &message["tool_call_id"];
                let at = unanswered.iter().position(|open| *open == id).ok_or("answer_without_call")?;
                unanswered.remove(at);
            }
            _ => return Err("bad_message"),
        }
        if role != "tool" && !unanswered.is_empty() {
            return Err("call_without_answer");
        }
        if role == "user" && before == "user" && profile == LlmProfile::Vllm {
            return Err("roles_must_alternate");
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap_or("?");
            if !serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object()) {
                return Err("bad_arguments");
            }
            if profile == LlmProfile::Gemini
                && call["extra_content"]["google"]["thought_signature"] != json!("sig")
                && call["id"].as_str().is_some_and(|id| id.starts_with("own-"))
            {
                return Err("no_thought_signature");
            }
            unanswered.push(&call["id"]);
        }
        before = role;
    }
    if unanswered.is_empty() { Ok(()) } else { Err("call_without_answer") }
}

/// The dialogue of the book shop.
pub(super) fn to(body: &Value, profile: LlmProfile, rude: &[LlmRudeness]) -> Answer {
    let has = |rudeness| rude.contains(&rudeness);
    let say = |name: &str| voice(name).map(|clip| clip.text.to_owned()).unwrap_or_default();
    let only = |name: &str| Answer { text: say(name), calls: Vec::new() };
    if has(LlmRudeness::Nothing) {
        return Answer::default();
    }
    let none = Vec::new();
    let messages = body["messages"].as_array().unwrap_or(&none);
    let tools = body["tools"].as_array().is_some_and(|tools| !tools.is_empty())
        && body["tool_choice"] != json!("none");
    let last = messages.last().cloned().unwrap_or_default();
    if has(LlmRudeness::AlwaysCalls) {
        return with_call(String::new(), profile, rude);
    }
    if last["role"] == json!("tool") {
        let failed = last["content"].as_str().is_some_and(|text| text.starts_with("The tool"));
        return only(if failed { "sorry" } else { "order" });
    }
    let line = last["content"].as_str().unwrap_or_default().lines().last().unwrap_or_default().to_owned();
    let said = |name: &str| caller(name).is_some_and(|clip| line.contains(clip.text));
    let replies = [
        ("hello", "hear"),
        ("hours", "hours"),
        ("delivery", "delivery"),
        ("price", "price"),
        ("person", "person"),
        ("thanks", "welcome"),
        ("goodbye", "goodbye"),
    ];
    if said("order") {
        return if tools { with_call(say("check"), profile, rude) } else { only("order") };
    }
    if line.contains("Go on from where") {
        return only("price");
    }
    if line.starts_with("(Note") {
        return only("greeting");
    }
    only(replies.iter().find(|(heard, _)| said(heard)).map_or("sorry", |(_, reply)| reply))
}

fn with_call(text: String, _profile: LlmProfile, rude: &[LlmRudeness]) -> Answer {
    let has = |rudeness| rude.contains(&rudeness);
    let arguments = if has(LlmRudeness::BadArguments) { "{\"number\":" } else { "{\"number\":\"427\"}" };
    let mut calls = vec![("lookup_order".to_owned(), arguments.to_owned())];
    if has(LlmRudeness::TwoCalls) {
        calls.push(("lookup_order".to_owned(), "{\"number\":\"428\"}".to_owned()));
    }
    Answer { text, calls }
}

impl Answer {
    /// The answer in one piece, for those who do not stream.
    pub(super) fn whole(&self) -> Value {
        let calls: Vec<Value> = (0..).zip(&self.calls).map(|(at, call)| one_call(at, call, "own")).collect();
        let mut message = json!({"role": "assistant", "content": self.text});
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        json!({"id": "fake", "object": "chat.completion", "created": 0, "model": "fake",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 31, "completion_tokens": 9, "total_tokens": 40}})
    }

    /// The `data` of every event but the last.
    pub(super) fn chunks(
        &self,
        rng: &mut Rng,
        profile: LlmProfile,
        rude: &[LlmRudeness],
        usage: bool,
    ) -> Vec<String> {
        let has = |rudeness| rude.contains(&rudeness);
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        if has(LlmRudeness::Thoughts) {
            deltas.push(json!({"content": null, "reasoning_content": "They want to know."}));
            deltas.push(json!({"reasoning": "I should tell them."}));
        }
        if has(LlmRudeness::Huge) {
            deltas.push(json!({"content": format!("{} ", "long ".repeat(20_000))}));
        }
        let mut rest = self.text.as_str();
        while !rest.is_empty() {
            let mut end = (rng.range(1..9) as usize).min(rest.len());
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            deltas.push(json!({"content": &rest[..end]}));
            rest = &rest[end..];
        }
        deltas.extend(self.call_deltas(profile));
        let reason = match profile {
            LlmProfile::Gemini | LlmProfile::Ollama => "stop",
            LlmProfile::OpenAi | LlmProfile::Vllm | LlmProfile::Groq | LlmProfile::OpenRouter => {
                if self.calls.is_empty() { "stop" } else { "tool_calls" }
            }
        };
        let mut chunks: Vec<Value> = deltas.into_iter().map(|delta| chunk(delta, Value::Null)).collect();
        if profile == LlmProfile::Vllm {
            for chunk in &mut chunks {
                chunk["choices"][0]["delta"]["role"] = json!("assistant");
            }
            if let Some(last) = chunks.last_mut() {
                last["choices"][0]["finish_reason"] = json!(reason);
                last["choices"][0]["stop_reason"] = Value::Null;
            }
        } else if !has(LlmRudeness::NoReason) {
            chunks.push(chunk(json!({}), json!(reason)));
        }
        if has(LlmRudeness::OddFields) {
            chunks.insert(0, json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}));
            chunks.insert(1, json!({"choices": null, "obfuscation": "x9f"}));
            chunks.insert(2, json!({"choices": [{"index": 0, "delta": null, "finish_reason": ""}]}));
        }
        let counted = json!({"prompt_tokens": 31, "completion_tokens": 9, "total_tokens": 40,
            "prompt_tokens_details": {"cached_tokens": 11}});
        if profile == LlmProfile::Groq {
            if let Some(last) = chunks.last_mut() {
                last["x_groq"] = json!({"id": "req", "usage": counted});
            }
        } else if usage {
            let mut last = chunk(Value::Null, Value::Null);
            last["choices"] = json!([]);
            last["usage"] = counted;
            chunks.push(last);
        }
        chunks.iter().map(Value::to_string).collect()
    }

    fn call_deltas(&self, profile: LlmProfile) -> Vec<Value> {
        let mut deltas = Vec::new();
        for (at, call) in (0..).zip(&self.calls) {
            let (name, arguments) = call;
            match profile {
                LlmProfile::Gemini => {
                    let mut whole = one_call(0, call, &format!("own-{at}"));
                    whole["extra_content"] = json!({"google": {"thought_signature": "sig"}});
                    deltas.push(json!({"tool_calls": [whole]}));
                }
                LlmProfile::Ollama => {
                    let arguments: Value = serde_json::from_str(arguments).unwrap_or(json!(arguments));
                    let function = json!({"name": name, "arguments": arguments});
                    let call = json!({"id": format!("call_{at}"), "type": "function", "function": function});
                    deltas.push(json!({"tool_calls": [call]}));
                }
                LlmProfile::OpenAi | LlmProfile::Vllm | LlmProfile::Groq | LlmProfile::OpenRouter => {
                    let id = format!("chatcmpl-tool-{at}");
                    let function = json!({"name": name, "arguments": ""});
                    let first = json!({"index": at, "id": id, "type": "function", "function": function});
                    deltas.push(json!({"tool_calls": [first]}));
                    for piece in arguments.as_bytes().chunks(5) {
                        let piece = String::from_utf8_lossy(piece);
                        let more = json!({"index": at, "function": {"arguments": piece}});
                        deltas.push(json!({"tool_calls": [more]}));
                    }
                }
            }
        }
        deltas
    }
}

fn one_call(index: u32, (name, arguments): &(String, String), id: &str) -> Value {
    json!({"index": index, "id": id, "type": "function",
        "function": {"name": name, "arguments": arguments}})
}

fn chunk(delta: Value, reason: Value) -> Value {
    json!({"id": "fake", "object": "chat.completion.chunk", "created": 0, "model": "fake",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": null})
}
