//! Language models behind an OpenAI-compatible `chat/completions` endpoint: where one is, how it wants
//! to be asked, and what its errors mean.
//!
//! OpenAI, Groq, Together, Cerebras, xAI, DeepSeek, OpenRouter, Fireworks, Azure, Gemini's compatible
//! surface, vLLM and Ollama all speak this; what differs is data on [`ChatEndpoint`]
//! (protocol notes, chat completions §A1).

mod quirks;
pub(crate) mod sse;
pub(crate) mod wire;

use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use voice_core::conversation::ToolDefinition;
use voice_core::failure::Failure;
use voice_core::provider::Usage;
use voice_core::sensitive::Secret;
use voice_core::wire::{Endpoint, LineEnd};

use quirks::Quirks;

/// One model at one address, with its key.
#[derive(Clone, Debug)]
pub struct ChatEndpoint {
    url: String,
    model: String,
    auth: Auth,
    answer_tokens: Option<(TokenLimit, u32)>,
    temperature: Option<f32>,
    reasoning_effort: Option<String>,
    usage: bool,
    quirks: Quirks,
    patience: Duration,
}

/// How a server takes its key.
#[derive(Clone, Debug)]
enum Auth {
    /// A server of one's own may want none.
    None,
    Bearer(Secret<String>),
    /// Azure's way.
    ApiKey(Secret<String>),
}

/// The name under which a server takes the limit on an answer's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimit {
    /// `max_completion_tokens`: OpenAI.
    MaxCompletionTokens,
    /// `max_tokens`: everybody else.
    MaxTokens,
}

/// Why an endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatEndpointError {
    /// Only these two schemes are streaming HTTP.
    #[error("the address of a language model begins with https:// or http://")]
    Scheme,
    /// No model is named.
    #[error("no model is named")]
    Model,
    /// The patience is zero, so every request would fail at once.
    #[error("the patience is zero")]
    Patience,
}

impl ChatEndpoint {
    /// The endpoint whose base address (up to and with `/v1`, a slash at the end does no harm) and model
    /// these are. No key, no limit on the answer, patience of [`PATIENCE`]. How the server at that address
    /// wants to be asked is known from a table.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Result<Self, ChatEndpointError> {
        let (url, model) = (base_url.into(), model.into());
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(ChatEndpointError::Scheme);
        }
        if model.trim().is_empty() {
            return Err(ChatEndpointError::Model);
        }
        let quirks = Quirks::of(&url, &model);
        let url = format!("{}/chat/completions", url.trim_end_matches('/'));
        Ok(Self {
            url,
            model,
            auth: Auth::None,
            answer_tokens: None,
            temperature: None,
            reasoning_effort: None,
            usage: quirks.usage,
            quirks,
            patience: PATIENCE,
        })
    }

    /// Sends the key in the way this server takes it.
    #[must_use]
    pub fn key(self, key: Secret<String>) -> Self {
        if self.quirks.api_key { self.api_key(key) } else { self.bearer(key) }
    }

    /// Sends the key as `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(mut self, key: Secret<String>) -> Self {
        self.auth = Auth::Bearer(key);
        self
    }

    /// Sends the key as `api-key`, as Azure takes it.
    #[must_use]
    pub fn api_key(mut self, key: Secret<String>) -> Self {
        self.auth = Auth::ApiKey(key);
        self
    }

    /// The list of models: a request that costs nothing and needs the key. `None` at Azure, where a model is
    /// known by its deployment (protocol notes, chat completions §A1).
    pub(crate) fn probe(&self) -> Option<Endpoint> {
        if self.quirks.api_key {
            return None;
        }
        let base = self.url.strip_suffix("/chat/completions")?;
        Some(self.authorised(Endpoint::get(format!("{base}/models"))))
    }

    /// Limits the length of an answer, under the name that this server takes.
    #[must_use]
    pub fn tokens_max(self, tokens: u32) -> Self {
        let name = self.quirks.limit;
        self.answer_tokens_max(name, tokens)
    }

    /// Limits the length of an answer, under this name.
    #[must_use]
    pub fn answer_tokens_max(mut self, name: TokenLimit, tokens: u32) -> Self {
        self.answer_tokens = Some((name, tokens));
        self
    }

    /// Sets the temperature. Not sent unless set, nor to a model that is known to refuse it, as reasoning
    /// ones do.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Sets `reasoning_effort`; for a phone call the lowest the model has.
    #[must_use]
    pub fn reasoning_effort(mut self, effort: impl Into<String>) -> Self {
        self.reasoning_effort = Some(effort.into());
        self
    }

    /// Whether consumption is asked for by `stream_options`, which some servers refuse (400 or 422). As the
    /// table says unless set.
    #[must_use]
    pub fn usage(mut self, wanted: bool) -> Self {
        self.usage = wanted;
        self
    }

    /// How long to wait for the first word before somebody else is asked.
    pub fn patience(mut self, patience: Duration) -> Result<Self, ChatEndpointError> {
        if patience.is_zero() {
            return Err(ChatEndpointError::Patience);
        }
        self.patience = patience;
        Ok(self)
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    pub(crate) fn first_word_within(&self) -> Duration {
        self.patience
    }

    /// The request for the next answer.
    pub(crate) fn ask(
        &self,
        messages: &[wire::Message],
        tools: &[wire::Tool],
        may_call: bool,
    ) -> Option<Endpoint> {
        let limit = |name| self.answer_tokens.filter(|(n, _)| *n == name).map(|(_, tokens)| tokens);
        let request = wire::Request {
            model: &self.model,
            stream: true,
            stream_options: self.usage.then_some(wire::StreamOptions { include_usage: true }),
            messages,
            tools,
            tool_choice: (!tools.is_empty() && !may_call).then_some("none"),
            temperature: self.temperature.filter(|_| self.quirks.temperature),
            reasoning_effort: self.reasoning_effort.as_deref(),
            max_tokens: limit(TokenLimit::MaxTokens),
            max_completion_tokens: limit(TokenLimit::MaxCompletionTokens),
        };
        let body = Bytes::from(serde_json::to_vec(&request).ok()?);
        let endpoint = Endpoint::post(self.url.clone(), body)
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            // A compressed stream comes in lumps, if it can be read at all.
            .header("accept-encoding", "identity");
        Some(self.authorised(endpoint))
    }

    fn authorised(&self, endpoint: Endpoint) -> Endpoint {
        match &self.auth {
            Auth::None => endpoint,
            Auth::Bearer(key) => endpoint.header("authorization", format!("Bearer {}", key.expose())),
            Auth::ApiKey(key) => endpoint.header("api-key", key.expose().clone()),
        }
    }
}

/// How long to wait for the first word if nothing else was said. Most models need 0.3–0.6 s, reasoning
/// ones up to 5 s; a caller hangs up after about eight.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Tools in the form that a request carries. The name of the first whose parameters are no JSON object
/// is the error.
pub(crate) fn tools(definitions: &[ToolDefinition]) -> Result<Vec<wire::Tool>, String> {
    let tool = |definition: &ToolDefinition| {
        let parameters = RawValue::from_string(definition.parameters.trim().to_owned())
            .ok()
            .filter(|parameters| wire::is_object(parameters.get()))
            .ok_or_else(|| definition.name.clone())?;
        let function = wire::ToolFunction {
            name: definition.name.clone(),
            description: definition.description.clone(),
            parameters,
        };
        Ok(wire::Tool { kind: "function", function })
    };
    definitions.iter().map(tool).collect()
}

/// What the end of a request that did not succeed means (protocol notes, chat completions §A4).
pub(crate) fn failure(end: &LineEnd) -> Failure {
    let LineEnd::Refused { status, retry_after, body } = end else { return Failure::from_line_end(end) };
    let code = wire::error_code(body);
    let clean = || Failure::clean_code(code.as_deref().unwrap_or("unspecified"));
    match (*status, code.as_deref()) {
        (402, _) | (_, Some("insufficient_quota")) => Failure::Quota,
        (401 | 403, _) => Failure::Credentials,
        (429, _) => Failure::Throttled { retry_after: *retry_after },
        // The model wrote a call that the server could not read: another attempt may do better.
        (400, Some("tool_use_failed")) => Failure::Service { code: clean() },
        // Nothing is wrong with our settings; the conversation has become too long for this model.
        (400 | 413, Some(CONTEXT_LENGTH)) => Failure::Service { code: clean() },
        (400 | 404 | 405 | 413 | 422, _) => Failure::Settings { code: clean() },
        (status, Some(_)) if status >= 500 => Failure::Service { code: clean() },
        (status, _) => Failure::Refused { status },
    }
}

/// Whether the conversation is too long for the model, which a shorter one mends.
pub(crate) fn is_too_long(failure: &Failure) -> bool {
    matches!(failure, Failure::Service { code } if code == CONTEXT_LENGTH)
}

const CONTEXT_LENGTH: &str = "context_length_exceeded";

/// What an error inside a stream means; there is no status any more.
pub(crate) fn stream_failure(data: &[u8]) -> Failure {
    match wire::error_code(data).as_deref() {
        Some("insufficient_quota") => Failure::Quota,
        Some("rate_limit_exceeded" | "rate_limit_error") => Failure::Throttled { retry_after: None },
        code => Failure::Service { code: Failure::clean_code(code.unwrap_or("unspecified")) },
    }
}

/// Consumption in our terms.
pub(crate) fn usage(usage: wire::Usage) -> Usage {
    let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
    Usage {
        text_in: usage.prompt_tokens.unwrap_or(0).saturating_sub(cached),
        cached_in: cached,
        text_out: usage.completion_tokens.unwrap_or(0),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voice_core::failure::{Blame, Verdict};
    use voice_core::wire::EndpointKind;

    fn refused(status: u16, body: &str) -> Failure {
        failure(&LineEnd::Refused { status, retry_after: None, body: Bytes::from(body.to_owned()) })
    }

    #[test]
    fn addresses_are_joined_with_one_slash() {
        for base in ["https://llm.example/v1", "https://llm.example/v1/"] {
            let endpoint = ChatEndpoint::new(base, "m").expect("a good address");
            assert_eq!(endpoint.url, "https://llm.example/v1/chat/completions");
        }
        assert_eq!(ChatEndpoint::new("wss://a", "m").err(), Some(ChatEndpointError::Scheme));
        assert_eq!(ChatEndpoint::new("https://a", " ").err(), Some(ChatEndpointError::Model));
        let hasty = ChatEndpoint::new("https://a", "m").and_then(|e| e.patience(Duration::ZERO));
        assert_eq!(hasty.err(), Some(ChatEndpointError::Patience));
    }

    #[test]
    fn a_request_carries_what_was_set_and_nothing_else() {
        let body = |endpoint: &ChatEndpoint, may_call| {
            let tool = ToolDefinition {
                name: "look".into(),
                description: "Looks.".into(),
                parameters: "{\"type\":\"object\"}".into(),
            };
            let tools = tools(&[tool]).expect("good parameters");
            let messages = [wire::Message::User { content: "Hi".into() }];
            let asked = endpoint.ask(&messages, &tools, may_call).expect("plain data");
            assert!(!format!("{asked:?}").contains("sk-"), "{asked:?}");
            match asked.kind {
                EndpointKind::Http { body, .. } => String::from_utf8(body.to_vec()).expect("JSON"),
                EndpointKind::WebSocket { .. } => String::new(),
            }
        };
        let plain = ChatEndpoint::new("https://a/v1", "m").expect("a good address").usage(false);
        assert_eq!(
            body(&plain, true),
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object"}}}]}"#
        );
        let rich = plain
            .usage(true)
            .bearer(Secret::new("sk-1".into()))
            .temperature(0.5)
            .reasoning_effort("minimal")
            .answer_tokens_max(TokenLimit::MaxTokens, 300);
        let written = body(&rich, false);
        for part in [
            r#""stream_options":{"include_usage":true}"#,
            r#""tool_choice":"none""#,
            r#""temperature":0.5"#,
            r#""reasoning_effort":"minimal""#,
            r#""max_tokens":300"#,
        ] {
            assert!(written.contains(part), "{part} in {written}");
        }
        assert!(!written.contains("max_completion_tokens"));
    }

    #[test]
    fn a_request_is_made_as_its_server_takes_it() {
        let asked = |url: &str, model: &str| {
            let endpoint = ChatEndpoint::new(url, model).expect("a good address");
            let endpoint = endpoint.key(Secret::new("sk-1".into())).temperature(0.5).tokens_max(90);
            let asked = endpoint.ask(&[], &[], true).expect("plain data");
            let header = asked.headers.iter().map(|(name, _)| *name).next_back().unwrap_or_default();
            let EndpointKind::Http { body, .. } = asked.kind else { return (header, String::new()) };
            (header, String::from_utf8(body.to_vec()).expect("JSON"))
        };
        assert_eq!(
            asked("https://api.openai.com/v1", "o3"),
            (
                "authorization",
                r#"{"model":"o3","stream":true,"stream_options":{"include_usage":true},"messages":[],"max_completion_tokens":90}"#
                    .to_owned()
            )
        );
        assert_eq!(
            asked("https://api.groq.com/openai/v1", "llama"),
            (
                "authorization",
                r#"{"model":"llama","stream":true,"messages":[],"temperature":0.5,"max_tokens":90}"#
                    .to_owned()
            )
        );
        assert_eq!(asked("https://eu.openai.azure.com/openai/v1", "d").0, "api-key");
    }

    #[test]
    fn every_documented_error_has_its_meaning() {
        let coded = |status, code: &str| refused(status, &format!(r#"{{"error":{{"code":"{code}"}}}}"#));
        for (failure, blame, verdict) in [
            (coded(400, "unsupported_parameter"), Blame::Us, Verdict::NeverAgain),
            (coded(400, "tool_use_failed"), Blame::Provider, Verdict::SwitchNow),
            (coded(400, "context_length_exceeded"), Blame::Provider, Verdict::SwitchNow),
            (coded(401, "invalid_api_key"), Blame::Us, Verdict::NeverAgain),
            (refused(403, ""), Blame::Us, Verdict::NeverAgain),
            (coded(404, "model_not_found"), Blame::Us, Verdict::NeverAgain),
            (refused(422, "{}"), Blame::Us, Verdict::NeverAgain),
            (refused(402, ""), Blame::Us, Verdict::NeverAgain),
            (coded(429, "insufficient_quota"), Blame::Us, Verdict::NeverAgain),
            (refused(408, ""), Blame::Provider, Verdict::SwitchNow),
            (refused(409, ""), Blame::Provider, Verdict::SwitchNow),
            (refused(500, ""), Blame::Provider, Verdict::SwitchNow),
            (coded(503, "overloaded"), Blame::Provider, Verdict::SwitchNow),
            (refused(529, ""), Blame::Provider, Verdict::SwitchNow),
        ] {
            assert_eq!(failure.judge(), (blame, verdict), "{failure}");
        }
        assert_eq!(coded(429, "rate_limit_exceeded"), Failure::Throttled { retry_after: None });
        assert!(is_too_long(&coded(400, "context_length_exceeded")));
        assert_eq!(stream_failure(b"{\"error\":{\"code\":\"rate_limit_exceeded\"}}").kind(), "throttled");
        assert_eq!(stream_failure(b"nonsense").kind(), "service");
    }

    #[test]
    fn a_tool_without_a_schema_is_named() {
        let broken = ToolDefinition { name: "b".into(), description: String::new(), parameters: "[".into() };
        assert_eq!(tools(&[broken]).err().as_deref(), Some("b"));
    }
}
