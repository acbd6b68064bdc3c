//! Chat completions on the wire: the request, the chunks of its answer, and the forms of errors.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Body of `POST …/chat/completions`.
#[derive(Serialize)]
pub(crate) struct Request<'a> {
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream_options: Option<StreamOptions>,
    pub(crate) messages: &'a [Message],
    #[serde(skip_serializing_if = "<[Tool]>::is_empty")]
    pub(crate) tools: &'a [Tool],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_completion_tokens: Option<u32>,
}

/// Asks for the chunk with the consumption.
#[derive(Serialize)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: bool,
}

/// One message of the conversation.
#[derive(Clone, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(crate) enum Message {
    /// The instructions.
    System { content: String },
    /// The caller, and notes.
    User { content: String },
    /// The model.
    Assistant {
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call>,
    },
    /// What a tool answered.
    Tool { tool_call_id: String, content: String },
}

/// A call of a tool as it stands in an assistant's message.
#[derive(Clone, Serialize)]
pub(crate) struct Call {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) function: CallFunction,
    /// Whatever the server attached; some (Gemini's thinking models) insist on having it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extra_content: Option<Box<RawValue>>,
}

/// Which tool, with what.
#[derive(Clone, Serialize)]
pub(crate) struct CallFunction {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// A tool on offer.
#[derive(Serialize)]
pub(crate) struct Tool {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) function: ToolFunction,
}

/// What the tool is.
#[derive(Serialize)]
pub(crate) struct ToolFunction {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) parameters: Box<RawValue>,
}

/// One `data` line of the answer. Servers leave out, null or add fields as they like.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chunk {
    pub(crate) choices: Option<Vec<Choice>>,
    pub(crate) usage: Option<Usage>,
    pub(crate) x_groq: Option<XGroq>,
    pub(crate) error: Option<Box<RawValue>>,
}

/// Groq's place for the consumption.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct XGroq {
    pub(crate) usage: Option<Usage>,
}

/// One of the answers; we ask for one only.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Choice {
    pub(crate) delta: Option<Delta>,
    pub(crate) finish_reason: Option<String>,
}

/// What is new.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Delta {
    /// Text as a rule; a list where a server mixes thoughts into it.
    content: Option<Box<RawValue>>,
    pub(crate) tool_calls: Option<Vec<CallDelta>>,
    pub(crate) refusal: Option<String>,
}

impl Delta {
    /// What is to be spoken: the content if it is text.
    pub(crate) fn text(&self) -> Option<String> {
        let text: String = serde_json::from_str(self.content.as_ref()?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }
}

/// A piece of a tool call.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct CallDelta {
    pub(crate) index: Option<i64>,
    pub(crate) id: Option<String>,
    pub(crate) function: Option<FunctionDelta>,
    pub(crate) extra_content: Option<Box<RawValue>>,
}

/// A piece of its function.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FunctionDelta {
    pub(crate) name: Option<String>,
    arguments: Option<Box<RawValue>>,
}

impl FunctionDelta {
    /// A piece of the arguments' JSON text; some servers send an object instead of text.
    pub(crate) fn arguments(&self) -> Option<String> {
        let raw = self.arguments.as_ref()?.get();
        match serde_json::from_str::<Option<String>>(raw) {
            Ok(text) => text,
            Err(_) => Some(raw.to_owned()),
        }
    }
}

/// Consumption.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u32>,
    pub(crate) completion_tokens: Option<u32>,
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
}

/// How the prompt was read.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PromptDetails {
    pub(crate) cached_tokens: Option<u32>,
}

/// Whether these arguments are a JSON object, which is all that a tool can take.
pub(crate) fn is_object(arguments: &str) -> bool {
    arguments.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(arguments).is_ok()
}

/// The error's own code out of any of the forms in which servers write it:
/// `{"error":{"code":…}}`, `{"error":"text"}`, `{"object":"error",…}`, `[{"error":{…}}]`.
pub(crate) fn error_code(body: &[u8]) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Envelope {
        error: Option<Box<RawValue>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        code: Option<Box<RawValue>>,
        status: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    let Ok(text) = std::str::from_utf8(body) else { return code_in_pieces(&String::from_utf8_lossy(body)) };
    let envelope = match serde_json::from_str::<Vec<Envelope>>(text) {
        Ok(list) => list.into_iter().next()?,
        Err(_) => match serde_json::from_str::<Envelope>(text) {
            Ok(envelope) => envelope,
            Err(_) => return code_in_pieces(text),
        },
    };
    let body = envelope.error.as_ref().map_or(text, |error| error.get());
    let body: Body = serde_json::from_str(body).ok()?;
    let code = body.code.and_then(|code| serde_json::from_str::<String>(code.get()).ok());
    code.or(body.status).or(body.kind).filter(|code| !code.is_empty())
}

/// The code in a body of which only the beginning was kept, or whose last character was cut in half.
fn code_in_pieces(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("\"code\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    rest.split_once('"').map(|(code, _)| code.to_owned()).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_many_forms() {
        let code = |body: &str| error_code(body.as_bytes());
        let openai = r#"{"error":{"message":"m","type":"t","param":null,"code":"model_not_found"}}"#;
        assert_eq!(code(openai).as_deref(), Some("model_not_found"));
        let typed = r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#;
        assert_eq!(code(typed).as_deref(), Some("invalid_request_error"));
        let gemini = r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#;
        assert_eq!(code(gemini).as_deref(), Some("INVALID_ARGUMENT"));
        let vllm = r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#;
        assert_eq!(code(vllm).as_deref(), Some("BadRequestError"));
        let cut = r#"{"error":{"code": "context_length_exceeded","message":"very lo"#;
        assert_eq!(code(cut).as_deref(), Some("context_length_exceeded"));
        assert_eq!(error_code(&[cut.as_bytes(), &[0xc3]].concat()).as_deref(), code(cut).as_deref());
        assert_eq!(code(r#"{"error":"text"}"#), None);
        assert_eq!(code("<html>"), None);
        assert_eq!(error_code(&[0xff, b'{']), None);
    }

    #[test]
    fn chunks_may_lack_or_null_anything() {
        for chunk in [
            "{}",
            r#"{"choices":null,"usage":null}"#,
            r#"{"choices":[{"delta":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":null,"tool_calls":null,"role":"assistant"}}],"new":[1]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"thinking"}]}}]}"#,
        ] {
            let chunk: Chunk = serde_json::from_str(chunk).expect(chunk);
            let texts = chunk.choices.unwrap_or_default().into_iter().filter_map(|c| c.delta?.text());
            assert_eq!(texts.count(), 0);
        }
    }

    #[test]
    fn arguments_are_text_or_an_object() {
        let read = |json: &str| serde_json::from_str::<FunctionDelta>(json).expect(json).arguments();
        assert_eq!(read(r#"{"arguments":"{\"a\":"}"#).as_deref(), Some("{\"a\":"));
        assert_eq!(read(r#"{"arguments":{"a":1}}"#).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(read(r#"{"arguments":null}"#), None);
        assert!(is_object(" {\"a\":[1]}") && is_object("{}"));
        for bad in ["", "[]", "\"{}\"", "{", "{\"a\":}", "null", "{} {}"] {
            assert!(!is_object(bad), "{bad}");
        }
    }
}
