//! Strictness: what the service refuses in `session.update`, and with which error.

use serde_json::Value;

/// An error as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) param: Option<String>,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(code: &'static str, param: &str, message: impl Into<String>) -> Self {
        Self { code, param: Some(param.to_owned()), message: message.into() }
    }

    pub(super) fn invalid(param: &str) -> Self {
        Self::new("invalid_value", param, format!("Invalid value: '{param}'."))
    }
}

pub(super) type Checked = Result<(), Fault>;

/// Only these keys may be there.
pub(super) fn only(at: &str, value: &Value, allowed: &[&str]) -> Checked {
    let Some(object) = value.as_object() else {
        return Err(Fault::new("invalid_type", at, format!("Invalid type for '{at}': expected an object.")));
    };
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => {
            let param = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            Err(Fault::new("unknown_parameter", &param, format!("Unknown parameter: '{param}'.")))
        }
        None => Ok(()),
    }
}

/// The value is absent, or this holds.
pub(super) fn ensure(at: &str, value: &Value, holds: impl FnOnce(&Value) -> bool) -> Checked {
    if value.is_null() || holds(value) { Ok(()) } else { Err(Fault::invalid(at)) }
}

/// Checks the `session` of a `session.update` against the one in force.
pub(super) fn session(update: &Value, current: &Value, has_spoken: bool) -> Checked {
    only("session", update, SESSION_KEYS)?;
    match update["type"].as_str() {
        Some("realtime") => {}
        Some(_) => return Err(Fault::invalid("session.type")),
        None => {
            let message = "Missing required parameter: 'session.type'.";
            return Err(Fault::new("missing_required_parameter", "session.type", message));
        }
    }
    ensure("session.model", &update["model"], |model| *model == current["model"])?;
    ensure("session.output_modalities", &update["output_modalities"], |modalities| {
        modalities.as_array().is_some_and(|list| list.len() == 1 && one_of(&list[0], &["audio", "text"]))
    })?;
    ensure("session.instructions", &update["instructions"], Value::is_string)?;
    audio(&update["audio"], current, has_spoken)?;
    tools(&update["tools"])?;
    ensure("session.tool_choice", &update["tool_choice"], |choice| {
        one_of(choice, &["auto", "none", "required"]) || choice.is_object()
    })?;
    ensure("session.max_output_tokens", &update["max_output_tokens"], |max| {
        *max == "inf" || max.as_u64().is_some_and(|max| (1..=32_768).contains(&max))
    })?;
    ensure("session.truncation", &update["truncation"], |truncation| {
        one_of(truncation, &["auto", "disabled"])
            || (truncation["type"] == "retention_ratio" && between(&truncation["retention_ratio"], 0.0, 1.0))
    })?;
    reasoning(update, current)
}

const SESSION_KEYS: &[&str] = &[
    "type",
    "model",
    "output_modalities",
    "instructions",
    "audio",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "truncation",
    "include",
    "tracing",
    "prompt",
    "reasoning",
    "parallel_tool_calls",
];

fn reasoning(update: &Value, current: &Value) -> Checked {
    let reasons = current["model"].as_str().is_some_and(|model| model.starts_with("gpt-realtime-2"));
    for key in ["reasoning", "parallel_tool_calls"] {
        if !reasons && !update[key].is_null() {
            return Err(Fault::new("unknown_parameter", &format!("session.{key}"), "Not for this model."));
        }
    }
    ensure("session.reasoning.effort", &update["reasoning"]["effort"], |effort| {
        one_of(effort, &["minimal", "low", "medium", "high", "xhigh"])
    })?;
    ensure("session.parallel_tool_calls", &update["parallel_tool_calls"], Value::is_boolean)
}

fn audio(audio: &Value, current: &Value, has_spoken: bool) -> Checked {
    if audio.is_null() {
        return Ok(());
    }
    only("session.audio", audio, &["input", "output"])?;
    let (input, output) = (&audio["input"], &audio["output"]);
    if !input.is_null() {
        only(
            "session.audio.input",
            input,
            &["format", "noise_reduction", "transcription", "turn_detection"],
        )?;
        format("session.audio.input.format", &input["format"])?;
        ensure("session.audio.input.noise_reduction", &input["noise_reduction"], |reduction| {
            one_of(&reduction["type"], &["near_field", "far_field"])
        })?;
        transcription(&input["transcription"])?;
        turn_detection(&input["turn_detection"])?;
    }
    if !output.is_null() {
        only("session.audio.output", output, &["format", "voice", "speed"])?;
        format("session.audio.output.format", &output["format"])?;
        let voice = &output["voice"];
        ensure("session.audio.output.voice", voice, |voice| {
            one_of(voice, VOICES) || voice["id"].as_str().is_some_and(|id| id.starts_with("voice_"))
        })?;
        if has_spoken && !voice.is_null() && *voice != current["audio"]["output"]["voice"] {
            let message = "Cannot update a conversation's voice if assistant audio is present.";
            return Err(Fault::new("cannot_update_voice", "session.audio.output.voice", message));
        }
        ensure("session.audio.output.speed", &output["speed"], |speed| between(speed, 0.25, 1.5))?;
    }
    Ok(())
}

const VOICES: &[&str] =
    &["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"];

fn format(at: &str, format: &Value) -> Checked {
    if format.is_null() {
        return Ok(());
    }
    only(at, format, &["type", "rate"])?;
    match format["type"].as_str() {
        Some("audio/pcm") if format["rate"] == 24_000 => Ok(()),
        Some("audio/pcm") => Err(Fault::invalid(&format!("{at}.rate"))),
        Some("audio/pcmu" | "audio/pcma") => only(at, format, &["type"]),
        _ => Err(Fault::invalid(&format!("{at}.type"))),
    }
}

fn transcription(transcription: &Value) -> Checked {
    if transcription.is_null() {
        return Ok(());
    }
    let at = "session.audio.input.transcription";
    only(at, transcription, &["model", "language", "languages", "prompt", "keywords", "delay"])?;
    ensure(&format!("{at}.model"), &transcription["model"], |model| one_of(model, TRANSCRIBERS))?;
    ensure(&format!("{at}.language"), &transcription["language"], |language| {
        language.as_str().is_some_and(|language| (2..=3).contains(&language.len()))
    })
}

const TRANSCRIBERS: &[&str] =
    &["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe", "gpt-live-transcribe"];

fn turn_detection(detection: &Value) -> Checked {
    if detection.is_null() {
        return Ok(());
    }
    let at = "session.audio.input.turn_detection";
    let both = ["type", "create_response", "interrupt_response"];
    match detection["type"].as_str() {
        Some("server_vad") => {
            let own = ["threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"];
            only(at, detection, &[&both[..], &own[..]].concat())?;
            ensure(&format!("{at}.threshold"), &detection["threshold"], |t| between(t, 0.0, 1.0))?;
            for key in ["prefix_padding_ms", "silence_duration_ms"] {
                ensure(&format!("{at}.{key}"), &detection[key], Value::is_u64)?;
            }
            ensure(&format!("{at}.idle_timeout_ms"), &detection["idle_timeout_ms"], |idle| {
                between(idle, 5_000.0, 30_000.0)
            })?;
        }
        Some("semantic_vad") => {
            only(at, detection, &[&both[..], &["eagerness"]].concat())?;
            ensure(&format!("{at}.eagerness"), &detection["eagerness"], |eagerness| {
                one_of(eagerness, &["low", "medium", "high", "auto"])
            })?;
        }
        _ => return Err(Fault::invalid(&format!("{at}.type"))),
    }
    for key in ["create_response", "interrupt_response"] {
        ensure(&format!("{at}.{key}"), &detection[key], Value::is_boolean)?;
    }
    Ok(())
}

fn tools(tools: &Value) -> Checked {
    let Some(tools) = tools.as_array() else { return ensure("session.tools", tools, |_| false) };
    for (at, tool) in tools.iter().enumerate() {
        let at = format!("session.tools[{at}]");
        if tool["type"] != "function" {
            return Err(Fault::invalid(&format!("{at}.type")));
        }
        only(&at, tool, &["type", "name", "description", "parameters"])?;
        let name = tool["name"].as_str().unwrap_or_default();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fine) {
            return Err(Fault::invalid(&format!("{at}.name")));
        }
        ensure(&format!("{at}.parameters"), &tool["parameters"], Value::is_object)?;
    }
    Ok(())
}

fn one_of(value: &Value, allowed: &[&str]) -> bool {
    value.as_str().is_some_and(|value| allowed.contains(&value))
}

fn between(value: &Value, low: f64, high: f64) -> bool {
    value.as_f64().is_some_and(|value| (low..=high).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_service_refuses_is_refused() {
        let current = json!({"model": "gpt-realtime-2.1", "audio": {"output": {"voice": "marin"}}});
        let input = |key: &str, value: Value| json!({"type": "realtime", "audio": {"input": {key: value}}});
        let output = |key: &str, value: Value| json!({"type": "realtime", "audio": {"output": {key: value}}});
        let vad =
            |key: &str, value: Value| input("turn_detection", json!({"type": "server_vad", key: value}));
        for (update, code, param) in [
            (json!({}), "missing_required_parameter", "session.type"),
            (json!({"type": "realtime", "temperature": 0.8}), "unknown_parameter", "session.temperature"),
            (json!({"type": "realtime", "voice": "marin"}), "unknown_parameter", "session.voice"),
            (json!({"type": "realtime", "model": "gpt-realtime"}), "invalid_value", "session.model"),
            (
                json!({"type": "realtime", "output_modalities": ["audio", "text"]}),
                "invalid_value",
                "session.output_modalities",
            ),
            (
                input("format", json!({"type": "audio/pcm", "rate": 16_000})),
                "invalid_value",
                "session.audio.input.format.rate",
            ),
            (
                input("format", json!({"type": "audio/pcmu", "rate": 8_000})),
                "unknown_parameter",
                "session.audio.input.format.rate",
            ),
            (input("format", json!("g711_ulaw")), "invalid_type", "session.audio.input.format"),
            (vad("threshold", json!(2)), "invalid_value", "session.audio.input.turn_detection.threshold"),
            (
                vad("eagerness", json!("low")),
                "unknown_parameter",
                "session.audio.input.turn_detection.eagerness",
            ),
            (
                vad("idle_timeout_ms", json!(10)),
                "invalid_value",
                "session.audio.input.turn_detection.idle_timeout_ms",
            ),
            (output("voice", json!("nova")), "invalid_value", "session.audio.output.voice"),
            (output("voice", json!("cedar")), "cannot_update_voice", "session.audio.output.voice"),
            (output("speed", json!(3)), "invalid_value", "session.audio.output.speed"),
            (
                json!({"type": "realtime", "tools": [{"type": "function", "function": {"name": "x"}}]}),
                "unknown_parameter",
                "session.tools[0].function",
            ),
            (
                json!({"type": "realtime", "max_output_tokens": 0}),
                "invalid_value",
                "session.max_output_tokens",
            ),
        ] {
            let fault = session(&update, &current, true).expect_err("refused");
            assert_eq!((fault.code, fault.param.as_deref()), (code, Some(param)), "{update}");
        }
        let older = json!({"model": "gpt-realtime-1.5"});
        let update = json!({"type": "realtime", "reasoning": {"effort": "low"}});
        assert!(session(&update, &older, false).is_err());
        assert_eq!(session(&update, &current, false), Ok(()));
        assert_eq!(session(&json!({"type": "realtime"}), &current, true), Ok(()));
    }
}
