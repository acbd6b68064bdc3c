//! What the fake accepts as settings: as strict as the service about keys it does not know.

use serde_json::Value;

/// The settings as far as the fake acts on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    pub(super) hears: Sound,
    pub(super) speaks: Sound,
    pub(super) greeting: Option<String>,
    /// Names of our tools.
    pub(super) tools: Vec<String>,
    /// Said before the session, oldest first.
    pub(super) history: Vec<(String, String)>,
    pub(super) reports_history: bool,
    pub(super) minds: usize,
}

/// How sound is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) encoding: String,
    pub(super) rate: usize,
}

/// Code and description of an error.
pub(super) type Refusal = (&'static str, String);

const UNPARSABLE: &str = "UNPARSABLE_CLIENT_MESSAGE";
const INVALID: &str = "INVALID_SETTINGS";

/// Reads settings, or says what is wrong with them.
pub(super) fn read(settings: &Value) -> Result<Applied, Refusal> {
    only(settings, &["type", "tags", "experimental", "flags", "mip_opt_out", "audio", "agent"])?;
    let mut applied = Applied {
        hears: sound(&settings["audio"]["input"], &["mulaw", "alaw", "linear16"])?,
        speaks: sound(&settings["audio"]["output"], &["mulaw", "linear16"])?,
        ..Applied::default()
    };
    only(&settings["audio"], &["input", "output"])?;
    if settings["audio"]["output"]["container"] != "none" {
        return Err((INVALID, "this fake speaks without a container".into()));
    }
    if !settings["flags"].is_null() {
        only(&settings["flags"], &["history"])?;
        applied.reports_history = settings["flags"]["history"] == true;
    }
    let agent = &settings["agent"];
    only(agent, &["language", "context", "listen", "think", "speak", "greeting"])?;
    applied.greeting = agent["greeting"].as_str().map(str::to_owned);
    if !agent["context"].is_null() {
        only(&agent["context"], &["messages"])?;
        applied.history = history(&agent["context"]["messages"])?;
    }
    listen(&agent["listen"])?;
    for mind in one_or_more(&agent["think"]) {
        applied.minds += 1;
        applied.tools.extend(think(mind)?);
    }
    for voice in one_or_more(&agent["speak"]) {
        speak(voice)?;
    }
    Ok(applied)
}

fn one_or_more(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |entries| entries.iter().collect())
}

fn sound(value: &Value, encodings: &[&str]) -> Result<Sound, Refusal> {
    only(value, &["encoding", "sample_rate", "bitrate", "container"])?;
    let encoding = text(value, "encoding")?;
    let rate = value["sample_rate"].as_u64().unwrap_or(24_000);
    let rates: &[u64] = if encoding == "linear16" { &[8_000, 16_000, 24_000, 48_000] } else { &[8_000] };
    if !encodings.contains(&encoding.as_str()) || !rates.contains(&rate) {
        return Err((INVALID, format!("audio {encoding} at {rate}")));
    }
    Ok(Sound { encoding, rate: rate as usize })
}

fn history(messages: &Value) -> Result<Vec<(String, String)>, Refusal> {
    let mut said = Vec::new();
    for message in messages.as_array().ok_or((UNPARSABLE, "messages".to_owned()))? {
        if message["type"] != "History" {
            return Err((UNPARSABLE, "a message that is no History".into()));
        }
        if message["function_calls"].is_null() {
            only(message, &["type", "role", "content"])?;
            let role = text(message, "role")?;
            if !["user", "assistant"].contains(&role.as_str()) {
                return Err((UNPARSABLE, format!("role {role}")));
            }
            said.push((role, text(message, "content")?));
            continue;
        }
        only(message, &["type", "function_calls"])?;
        for call in message["function_calls"].as_array().ok_or((UNPARSABLE, "function_calls".to_owned()))? {
            only(call, &["id", "name", "client_side", "arguments", "response", "thought_signature"])?;
            for key in ["id", "name", "response"] {
                text(call, key)?;
            }
            if call["client_side"].as_bool().is_none() {
                return Err((UNPARSABLE, "client_side".into()));
            }
            let arguments: Result<Value, _> = serde_json::from_str(&text(call, "arguments")?);
            if !arguments.is_ok_and(|arguments| arguments.is_object()) {
                return Err(("FAILED_TO_THINK", "arguments in the history".into()));
            }
        }
    }
    Ok(said)
}

fn listen(listen: &Value) -> Result<(), Refusal> {
    only(listen, &["provider"])?;
    let provider = &listen["provider"];
    let model = text(provider, "model")?;
    if provider["version"] == "v2" {
        only(
            provider,
            &[
                "type",
                "version",
                "model",
                "language_hints",
                "eot_threshold",
                "eager_eot_threshold",
                "eot_timeout_ms",
                "keyterms",
            ],
        )?;
        if !model.ends_with("multi") && !provider["language_hints"].is_null() {
            return Err((INVALID, "language_hints".into()));
        }
        return Ok(());
    }
    only(provider, &["type", "version", "model", "language", "keyterms", "smart_format"])
}

fn think(think: &Value) -> Result<Vec<String>, Refusal> {
    only(think, &["provider", "endpoint", "functions", "prompt", "context_length"])?;
    let provider = &think["provider"];
    only(
        provider,
        &["type", "version", "model", "temperature", "reasoning_mode", "credentials", "voice_prompt_opt_out"],
    )?;
    text(provider, "model").map_err(|_| (INVALID, "model".to_owned()))?;
    let kinds = ["open_ai", "anthropic", "google", "groq", "aws_bedrock", "deepgram"];
    if !kinds.contains(&text(provider, "type")?.as_str()) {
        return Err((INVALID, "provider".into()));
    }
    if !think["context_length"].is_null() && think["endpoint"].is_null() {
        return Err((INVALID, "context_length".into()));
    }
    let mut tools = Vec::new();
    for function in think["functions"].as_array().map(Vec::as_slice).unwrap_or_default() {
        only(function, &["name", "description", "parameters", "endpoint"])?;
        if !function["parameters"].is_object() {
            return Err((UNPARSABLE, "parameters".into()));
        }
        tools.push(text(function, "name")?);
    }
    Ok(tools)
}

fn speak(speak: &Value) -> Result<(), Refusal> {
    only(speak, &["provider", "endpoint"])?;
    let provider = &speak["provider"];
    let (needed, allowed): (&[&str], &[&str]) = match text(provider, "type")?.as_str() {
        "deepgram" => (&["model"], &["version", "speed", "expressivity"]),
        "eleven_labs" => (&["model_id"], &["version", "language", "language_code"]),
        "cartesia" => (&["model_id", "voice"], &["version", "language", "volume"]),
        "open_ai" => (&["model", "voice"], &["version"]),
        "aws_polly" => (&["voice", "language", "engine", "credentials"], &["language_code"]),
        other => return Err((INVALID, format!("provider {other}"))),
    };
    if let Some(missing) = needed.iter().find(|key| provider[**key].is_null()) {
        return Err((INVALID, format!("{missing} is missing")));
    }
    let all: Vec<&str> = ["type"].iter().chain(needed).chain(allowed).copied().collect();
    only(provider, &all)
}

/// An object without keys but these.
pub(super) fn only(value: &Value, keys: &[&str]) -> Result<(), Refusal> {
    let object = value.as_object().ok_or((UNPARSABLE, format!("not an object with {keys:?}")))?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err((UNPARSABLE, format!("unknown key {key}"))),
        None => Ok(()),
    }
}

/// A text that must be there.
pub(super) fn text(value: &Value, key: &str) -> Result<String, Refusal> {
    value[key].as_str().map(str::to_owned).ok_or((UNPARSABLE, format!("{key} is no text")))
}
