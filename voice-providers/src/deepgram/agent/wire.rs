//! The Voice Agent's messages, as little of them as we need (protocol notes, Deepgram §5).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What we say.
#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum ToAgent<'a> {
    Settings(Box<Settings<'a>>),
    KeepAlive,
    UpdatePrompt { prompt: &'a str },
    InjectUserMessage { content: &'a str },
    InjectAgentMessage { message: &'a str, behavior: &'static str },
    FunctionCallResponse { id: &'a str, name: &'a str, content: &'a str },
}

impl ToAgent<'_> {
    pub(super) fn to_json(&self) -> String {
        // Maps have text keys and numbers are finite, so there is nothing that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The content of a refused answer, as the model reads it.
#[derive(Serialize)]
pub(super) struct ToolError<'a> {
    pub(super) error: &'a str,
}

impl ToolError<'_> {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Serialize)]
pub(super) struct Settings<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) tags: &'a [String],
    #[serde(skip_serializing_if = "is_false")]
    pub(super) mip_opt_out: bool,
    pub(super) flags: Flags,
    pub(super) audio: Audio,
    pub(super) agent: AgentPart<'a>,
}

#[derive(Serialize)]
pub(super) struct Flags {
    /// A second report of what `ConversationText` says already.
    pub(super) history: bool,
}

#[derive(Serialize)]
pub(super) struct Audio {
    pub(super) input: Sound,
    pub(super) output: Sound,
}

#[derive(Serialize)]
pub(super) struct Sound {
    pub(super) encoding: &'static str,
    pub(super) sample_rate: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct AgentPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<Past<'a>>,
    pub(super) listen: ListenPart<'a>,
    pub(super) think: OneOrMore<ThinkPart<'a>>,
    pub(super) speak: OneOrMore<SpeakPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) greeting: Option<&'a str>,
}

/// A list is an order of fallback. One entry is written without the list, as everybody does.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    pub(super) fn new(mut entries: Vec<T>) -> Self {
        match (entries.len(), entries.pop()) {
            (1, Some(only)) => Self::One(only),
            (_, last) => {
                entries.extend(last);
                Self::More(entries)
            }
        }
    }
}

#[derive(Serialize)]
pub(super) struct Past<'a> {
    pub(super) messages: Vec<Message<'a>>,
}

/// One entry of the conversation before the session.
#[derive(Serialize)]
#[serde(tag = "type", rename = "History")]
pub(super) struct Message<'a> {
    #[serde(flatten)]
    pub(super) content: MessageContent<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum MessageContent<'a> {
    Said { role: &'static str, content: Cow<'a, str> },
    Called { function_calls: [FunctionCall<'a>; 1] },
}

#[derive(Serialize)]
pub(super) struct FunctionCall<'a> {
    pub(super) id: String,
    pub(super) name: &'a str,
    pub(super) client_side: bool,
    pub(super) arguments: &'a str,
    pub(super) response: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct ListenPart<'a> {
    pub(super) provider: ListenProvider<'a>,
}

#[derive(Serialize)]
pub(super) struct ListenProvider<'a> {
    #[serde(rename = "type")]
    pub(super) service: &'static str,
    pub(super) version: &'static str,
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) smart_format: bool,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    pub(super) language_hints: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eot_threshold: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eager_eot_threshold: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eot_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) keyterms: &'a [String],
}

#[derive(Serialize)]
pub(super) struct ThinkPart<'a> {
    pub(super) provider: ThinkProvider<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<EndpointPart<'a>>,
    pub(super) prompt: &'a str,
    #[serde(skip_serializing_if = "<[Function<'_>]>::is_empty")]
    pub(super) functions: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context_length: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct ThinkProvider<'a> {
    #[serde(rename = "type")]
    pub(super) service: &'static str,
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials: Option<Credentials<'a>>,
}

/// A tool. Without an endpoint it is ours to run; any key beyond these three is refused.
#[derive(Serialize)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) parameters: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct SpeakPart<'a> {
    pub(super) provider: SpeakProvider<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<EndpointPart<'a>>,
}

#[derive(Default, Serialize)]
pub(super) struct SpeakProvider<'a> {
    #[serde(rename = "type")]
    pub(super) service: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) voice: Option<VoicePart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) engine: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) speed: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expressivity: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials: Option<Credentials<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum VoicePart<'a> {
    Name(&'a str),
    Id { mode: &'static str, id: &'a str },
}

#[derive(Serialize)]
pub(super) struct EndpointPart<'a> {
    pub(super) url: &'a str,
    pub(super) headers: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
pub(super) struct Credentials<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) region: &'a str,
    pub(super) access_key_id: &'a str,
    pub(super) secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_token: Option<&'a str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A JSON text as it stands, if it is an object.
pub(super) fn object(text: &str) -> Option<&RawValue> {
    serde_json::from_str::<&RawValue>(text).ok().filter(|raw| raw.get().starts_with('{'))
}

/// What the service says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromAgent<'a> {
    Welcome {
        request_id: Option<String>,
    },
    SettingsApplied,
    UserStartedSpeaking,
    CallerSaid(Cow<'a, str>),
    VoiceSaid(Cow<'a, str>),
    AgentAudioDone,
    FunctionCallRequest(Vec<Requested<'a>>),
    FunctionCallCancelled(Vec<Cow<'a, str>>),
    InjectionRefused,
    Error {
        code: Cow<'a, str>,
    },
    Warning {
        code: Cow<'a, str>,
    },
    /// Documented, and nothing to us.
    Needless,
    Unknown(Cow<'a, str>),
    Unreadable,
}

/// A tool that the model wants to be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Requested<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) arguments: Cow<'a, str>,
    pub(super) client_side: bool,
}

impl<'a> FromAgent<'a> {
    pub(super) fn read(message: &'a [u8]) -> Self {
        Self::try_read(message).unwrap_or(Self::Unreadable)
    }

    fn try_read(message: &'a [u8]) -> Option<Self> {
        let kind = body::<Kind<'_>>(message)?.kind?;
        Some(match &*kind {
            "Welcome" => Self::Welcome { request_id: body::<WelcomeBody>(message)?.request_id },
            "SettingsApplied" => Self::SettingsApplied,
            "UserStartedSpeaking" => Self::UserStartedSpeaking,
            "ConversationText" => {
                let said: SaidBody<'_> = body(message)?;
                match &*said.role {
                    "user" => Self::CallerSaid(said.content),
                    "assistant" => Self::VoiceSaid(said.content),
                    _ => return None,
                }
            }
            "AgentAudioDone" => Self::AgentAudioDone,
            "FunctionCallRequest" => {
                let functions = body::<RequestBody<'_>>(message)?.functions;
                Self::FunctionCallRequest(functions.into_iter().map(FunctionBody::told).collect())
            }
            "FunctionCallCancelled" => {
                let functions = body::<CancelledBody<'_>>(message)?.functions;
                Self::FunctionCallCancelled(functions.into_iter().map(|function| function.id).collect())
            }
            "InjectionRefused" => Self::InjectionRefused,
            "Error" => Self::Error { code: body::<CodeBody<'_>>(message)?.code.unwrap_or_default() },
            "Warning" => Self::Warning { code: body::<CodeBody<'_>>(message)?.code.unwrap_or_default() },
            known if NEEDLESS.contains(&known) => Self::Needless,
            _ => Self::Unknown(kind),
        })
    }
}

/// Acknowledgements, figures, and what other messages say as well.
const NEEDLESS: &[&str] = &[
    "AgentStartedSpeaking",
    "AgentThinking",
    "EndOfThought",
    "FrustrationDetected",
    "FunctionCallResponse",
    "History",
    "LatencyReport",
    "ListenUpdated",
    "PromptUpdated",
    "SpeakUpdated",
    "ThinkLiveUpdated",
    "ThinkUpdated",
];

/// The error in the body of a refused upgrade, in either of its two forms.
pub(super) fn refusal_code(message: &[u8]) -> Option<String> {
    let refusal: RefusalBody = body(message)?;
    refusal.err_code.or(refusal.category)
}

fn body<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Option<T> {
    serde_json::from_slice(message).ok()
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WelcomeBody {
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct SaidBody<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RequestBody<'a> {
    #[serde(borrow)]
    functions: Vec<FunctionBody<'a>>,
}

#[derive(Deserialize)]
struct FunctionBody<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    client_side: Option<bool>,
}

impl<'a> FunctionBody<'a> {
    fn told(self) -> Requested<'a> {
        let Self { id, name, arguments, client_side } = self;
        let raw = arguments.map_or("null", RawValue::get);
        // A string that holds JSON, as documented; if it is JSON itself, that is what was meant.
        let arguments = match serde_json::from_str::<Cow<'_, str>>(raw) {
            Ok(text) => Cow::Owned(text.into_owned()),
            Err(_) if raw == "null" => Cow::Borrowed(""),
            Err(_) => Cow::Borrowed(raw),
        };
        Requested { id, name, arguments, client_side: client_side.unwrap_or(true) }
    }
}

#[derive(Deserialize)]
struct CancelledBody<'a> {
    #[serde(borrow)]
    functions: Vec<CancelledFunction<'a>>,
}

#[derive(Deserialize)]
struct CancelledFunction<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct CodeBody<'a> {
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RefusalBody {
    err_code: Option<String>,
    category: Option<String>,
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names what it wants")]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_and_unknown_fields_are_read() {
        let said = br#"{"new":[1],"type":"Conversation\u0054ext","role":"user","content":"a \/ \"b\"","languages":["en"]}"#;
        assert_eq!(FromAgent::read(said), FromAgent::CallerSaid("a / \"b\"".into()));
    }

    #[test]
    fn arguments_may_be_text_or_json_or_missing() {
        let read = |arguments: &str| {
            let request = format!(
                r#"{{"type":"FunctionCallRequest","functions":[{{"id":"f","name":"n"{arguments},"client_side":true}}]}}"#
            );
            match FromAgent::read(request.as_bytes()) {
                FromAgent::FunctionCallRequest(functions) => functions[0].arguments.clone().into_owned(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read(r#","arguments":"{\"a\":1}""#), r#"{"a":1}"#);
        assert_eq!(read(r#","arguments":{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(read(r#","arguments":null"#), "");
        assert_eq!(read(""), "");
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_so() {
        for message in
            ["", "{", "[]", "3", "{}", r#"{"type":3}"#, r#"{"type":"ConversationText","role":"user"}"#]
        {
            assert_eq!(FromAgent::read(message.as_bytes()), FromAgent::Unreadable, "{message}");
        }
        assert_eq!(FromAgent::read(br#"{"type":"New"}"#), FromAgent::Unknown("New".into()));
        assert_eq!(FromAgent::read(br#"{"type":"LatencyReport"}"#), FromAgent::Needless);
    }

    #[test]
    fn one_entry_is_written_without_a_list() {
        let json = |entries: Vec<u8>| serde_json::to_string(&OneOrMore::new(entries)).expect("numbers");
        assert_eq!((json(vec![1]), json(vec![1, 2, 3])), ("1".into(), "[1,2,3]".into()));
    }
}
