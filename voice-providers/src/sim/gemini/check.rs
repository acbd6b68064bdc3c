//! What the fake does not let pass, and how it says so.

use serde_json::Value;

use super::config::Profile;

/// A close code with its reason.
pub(super) type Refusal = (u16, String);

/// A field, in either spelling: the official clients mix them.
pub(super) fn field<'a>(value: &'a Value, camel: &str) -> &'a Value {
    let found = &value[camel];
    if !found.is_null() || value.get(camel).is_some() {
        return found;
    }
    let snake: String = camel
        .chars()
        .flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
        .collect();
    &value[snake.as_str()]
}

/// Whether a setup would be taken.
pub(super) fn setup(setup: &Value, profile: Profile, vertex: bool) -> Result<(), Refusal> {
    known_keys(setup, SETUP)?;
    let generation = field(setup, "generationConfig");
    known_keys(generation, GENERATION)?;
    if let Value::Array(modalities) = field(generation, "responseModalities")
        && modalities != &["AUDIO"]
    {
        return Err(invalid("the response modalities"));
    }
    if !setup["model"].as_str().is_some_and(|model| model.starts_with("models/") || vertex) {
        return Err(invalid("the model's name"));
    }
    thinking(field(generation, "thinkingConfig"), profile)?;
    let moods =
        !field(setup, "proactivity").is_null() || !field(generation, "enableAffectiveDialog").is_null();
    if moods && profile != Profile::V2_5 {
        return Err(invalid("a field that this model does not take"));
    }
    let resumption = field(setup, "sessionResumption");
    if resumption.get("handle").is_some_and(Value::is_null) {
        return Err(invalid("a handle of null"));
    }
    detection(field(field(setup, "realtimeInputConfig"), "automaticActivityDetection"))?;
    tools(setup, profile)
}

/// Whether a turn list would be taken now.
pub(super) fn turns(
    turns: &[(String, String)],
    complete: bool,
    profile: Profile,
    initial: bool,
) -> Result<(), Refusal> {
    if turns.iter().any(|(role, _)| role != "user" && role != "model") {
        return Err(invalid("a role"));
    }
    if profile == Profile::V3_1 && !initial {
        return Err(invalid("turns in the middle of a conversation"));
    }
    let ends_with_caller = turns.last().is_none_or(|(role, _)| role == "user");
    if profile == Profile::V2_5 && complete && !ends_with_caller {
        return Err(invalid("a history that ends with the model"));
    }
    Ok(())
}

pub(super) fn invalid(what: &str) -> Refusal {
    (1007, format!("Request contains an invalid argument: {what}."))
}

fn known_keys(object: &Value, known: &[&str]) -> Result<(), Refusal> {
    let keys = object.as_object().into_iter().flat_map(|map| map.keys());
    for key in keys {
        let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
        if !known.iter().any(|name| plain(name) == plain(key)) {
            return Err((1007, format!("Invalid JSON payload received. Unknown name \"{key}\"")));
        }
    }
    Ok(())
}

fn thinking(config: &Value, profile: Profile) -> Result<(), Refusal> {
    if config.is_null() {
        return Ok(());
    }
    let (budget, level) = (field(config, "thinkingBudget"), field(config, "thinkingLevel"));
    match profile {
        Profile::V2_5 if level.is_null() => Ok(()),
        Profile::V3_1 if budget.is_null() => Ok(()),
        Profile::V2_5 | Profile::V3_1 | Profile::V3_8 => Err(invalid("thinking")),
    }
}

fn detection(detection: &Value) -> Result<(), Refusal> {
    known_keys(detection, DETECTION)?;
    let start = field(detection, "startOfSpeechSensitivity").as_str();
    let end = field(detection, "endOfSpeechSensitivity").as_str();
    let known =
        ["START_SENSITIVITY_LOW", "START_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW", "END_SENSITIVITY_HIGH"];
    if start.is_some_and(|name| !known[..2].contains(&name))
        || end.is_some_and(|name| !known[2..].contains(&name))
    {
        return Err(invalid("a sensitivity"));
    }
    Ok(())
}

fn tools(setup: &Value, profile: Profile) -> Result<(), Refusal> {
    for declaration in declarations(setup) {
        let schema = field(declaration, "parametersJsonSchema");
        let own = field(declaration, "parameters");
        if !(schema.is_null() || schema.is_object()) || !(own.is_null() || own.is_object()) {
            return Err(invalid("the parameters of a tool"));
        }
        if profile == Profile::V3_1 && declaration["behavior"] == "NON_BLOCKING" {
            return Err(invalid("a tool that does not block"));
        }
        if !declaration["name"].is_string() {
            return Err(invalid("a tool without a name"));
        }
    }
    Ok(())
}

/// All tools of a setup.
pub(super) fn declarations(setup: &Value) -> impl Iterator<Item = &Value> {
    let tools = setup["tools"].as_array().into_iter().flatten();
    tools.flat_map(|tool| field(tool, "functionDeclarations").as_array().into_iter().flatten())
}

const SETUP: &[&str] = &[
    "model",
    "generationConfig",
    "systemInstruction",
    "tools",
    "realtimeInputConfig",
    "inputAudioTranscription",
    "outputAudioTranscription",
    "sessionResumption",
    "contextWindowCompression",
    "historyConfig",
    "proactivity",
    "explicitVadSignal",
    "labels",
    "safetySettings",
    "avatarConfig",
];

const GENERATION: &[&str] = &[
    "responseModalities",
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "seed",
    "mediaResolution",
    "speechConfig",
    "thinkingConfig",
    "enableAffectiveDialog",
    "translationConfig",
];

const DETECTION: &[&str] = &[
    "disabled",
    "startOfSpeechSensitivity",
    "endOfSpeechSensitivity",
    "prefixPaddingMs",
    "silenceDurationMs",
];
