//! OpenAI Realtime's messages. Nobody else knows the name of a field.
//!
//! Incoming ones are borrowed from the message and read in two steps: their kind, and then only what
//! that kind is wanted for. Unknown kinds and fields are tolerated (protocol notes, OpenAI Realtime §6).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use voice_core::wire::WireMessage;

use crate::base64;

/// What the service sent, as far as a phone call is interested.
#[derive(Debug)]
pub(super) enum FromServer<'a> {
    SessionCreated(SessionBody),
    SessionUpdated(SessionBody),
    Error(ErrorBody),
    SpeechStarted(Cow<'a, str>),
    SpeechStopped(Cow<'a, str>),
    Committed(Cow<'a, str>),
    Transcribed {
        item: Cow<'a, str>,
        transcript: Cow<'a, str>,
    },
    TranscriptionFailed(Cow<'a, str>),
    ItemAccepted(Cow<'a, str>),
    ResponseCreated(ResponseBody),
    ResponseDone(ResponseBody),
    OutputItemDone {
        response: Cow<'a, str>,
        item: ItemBody,
    },
    Audio(Piece<'a>),
    Words(Piece<'a>),
    /// The words as a whole, for services that send no pieces.
    WordsDone(Piece<'a>),
    /// A kind that is known and says nothing a call needs.
    Dull,
    Unknown(Cow<'a, str>),
}

/// The message is not JSON, or lacks what its kind cannot do without.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// A piece of a reply, or the whole of its words.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Piece<'a> {
    #[serde(borrow)]
    pub(super) response_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) item_id: Cow<'a, str>,
    pub(super) content_index: u32,
    #[serde(borrow, alias = "transcript", alias = "text")]
    pub(super) delta: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SessionBody {
    pub(super) id: Option<String>,
    pub(super) expires_at: Option<i64>,
    audio: Option<AudioBody>,
}

impl SessionBody {
    /// The format in which it takes audio, if it says so.
    pub(super) fn input_format(&self) -> Option<&str> {
        self.audio.as_ref()?.input.as_ref()?.format.as_ref()?.kind.as_deref()
    }

    /// The format in which it speaks, if it says so.
    pub(super) fn output_format(&self) -> Option<&str> {
        self.audio.as_ref()?.output.as_ref()?.format.as_ref()?.kind.as_deref()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AudioBody {
    input: Option<AudioSide>,
    output: Option<AudioSide>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AudioSide {
    format: Option<FormatBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FormatBody {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    pub(super) event_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResponseBody {
    pub(super) id: String,
    pub(super) status: Option<String>,
    status_details: Option<StatusDetails>,
    pub(super) output: Vec<ItemBody>,
    pub(super) usage: Option<UsageBody>,
}

impl ResponseBody {
    pub(super) fn error(&self) -> Option<&ErrorBody> {
        self.status_details.as_ref()?.error.as_ref()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusDetails {
    error: Option<ErrorBody>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemBody {
    pub(super) id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
    pub(super) call_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

impl ItemBody {
    /// Whether it is a call of a tool whose arguments are whole.
    pub(super) fn is_whole_call(&self) -> bool {
        self.kind.as_deref() == Some("function_call") && self.is_whole()
    }

    /// Whether nothing of it was cut off.
    pub(super) fn is_whole(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status == "completed")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UsageBody {
    pub(super) input_tokens: Option<u32>,
    pub(super) output_tokens: Option<u32>,
    pub(super) input_token_details: Option<TokensIn>,
    pub(super) output_token_details: Option<TokensOut>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokensIn {
    pub(super) text_tokens: Option<u32>,
    pub(super) audio_tokens: Option<u32>,
    pub(super) image_tokens: Option<u32>,
    pub(super) cached_tokens: Option<u32>,
    pub(super) cached_tokens_details: Option<TokensOut>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokensOut {
    pub(super) text_tokens: Option<u32>,
    pub(super) audio_tokens: Option<u32>,
}

/// Reads one message.
pub(super) fn read(message: &[u8]) -> Result<FromServer<'_>, Unreadable> {
    let kind = kind_of(message)?;
    Ok(match kind.as_ref() {
        "response.output_audio.delta" | "response.audio.delta" => FromServer::Audio(piece(message)?),
        "response.output_audio_transcript.delta"
        | "response.audio_transcript.delta"
        | "response.output_text.delta"
        | "response.text.delta" => FromServer::Words(piece(message)?),
        "response.output_audio_transcript.done"
        | "response.audio_transcript.done"
        | "response.output_text.done"
        | "response.text.done" => FromServer::WordsDone(piece(message)?),
        "session.created" => FromServer::SessionCreated(session(message)?),
        "session.updated" => FromServer::SessionUpdated(session(message)?),
        "error" => FromServer::Error(body::<Wrapped>(message)?.error.unwrap_or_default()),
        "input_audio_buffer.speech_started" => FromServer::SpeechStarted(about(message)?.item_id),
        "input_audio_buffer.speech_stopped" => FromServer::SpeechStopped(about(message)?.item_id),
        "input_audio_buffer.committed" => FromServer::Committed(about(message)?.item_id),
        "conversation.item.input_audio_transcription.completed" => {
            let piece = piece(message)?;
            FromServer::Transcribed { item: piece.item_id, transcript: piece.delta }
        }
        "conversation.item.input_audio_transcription.failed" => {
            FromServer::TranscriptionFailed(about(message)?.item_id)
        }
        "conversation.item.added" | "conversation.item.created" => {
            let item = body::<WithItem>(message)?.item;
            FromServer::ItemAccepted(Cow::Owned(item.id.unwrap_or_default()))
        }
        "response.created" => FromServer::ResponseCreated(response(message)?),
        "response.done" => FromServer::ResponseDone(response(message)?),
        "response.output_item.done" => {
            let WithItem { response_id, item } = body(message)?;
            FromServer::OutputItemDone { response: response_id, item }
        }
        dull if is_dull(dull) => FromServer::Dull,
        _ => FromServer::Unknown(kind),
    })
}

/// The kind stands first in whatever the service itself sends, so most messages are not read twice.
fn kind_of(message: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if let Some(rest) = message.strip_prefix(br#"{"type":""#)
        && let Some(end) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))
        && rest[end] == b'"'
        && let Ok(kind) = std::str::from_utf8(&rest[..end])
    {
        return Ok(Cow::Borrowed(kind));
    }
    Ok(body::<OnlyKind>(message)?.kind)
}

/// Known, and of no use in a phone call, or told by another message as well.
fn is_dull(kind: &str) -> bool {
    matches!(
        kind,
        "conversation.created"
            | "conversation.item.deleted"
            | "conversation.item.done"
            | "conversation.item.input_audio_transcription.delta"
            | "conversation.item.input_audio_transcription.segment"
            | "conversation.item.retrieved"
            | "conversation.item.truncated"
            | "input_audio_buffer.cleared"
            | "input_audio_buffer.timeout_triggered"
            | "rate_limits.updated"
            | "response.audio.done"
            | "response.content_part.added"
            | "response.content_part.done"
            | "response.function_call_arguments.delta"
            | "response.function_call_arguments.done"
            | "response.output_audio.done"
            | "response.output_item.added"
    )
}

#[derive(Deserialize)]
struct OnlyKind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct About<'a> {
    #[serde(borrow)]
    item_id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Wrapped {
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct WithItem<'a> {
    #[serde(borrow, default)]
    response_id: Cow<'a, str>,
    item: ItemBody,
}

#[derive(Deserialize)]
struct WithSession {
    session: SessionBody,
}

#[derive(Deserialize)]
struct WithResponse {
    response: ResponseBody,
}

/// The code of an error in the body of an HTTP answer.
pub(super) fn read_refusal(body: &[u8]) -> Option<ErrorBody> {
    serde_json::from_slice::<Wrapped>(body).ok()?.error
}

fn body<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(message).map_err(|_| Unreadable)
}

fn session(message: &[u8]) -> Result<SessionBody, Unreadable> {
    Ok(body::<WithSession>(message)?.session)
}

fn response(message: &[u8]) -> Result<ResponseBody, Unreadable> {
    let response = body::<WithResponse>(message)?.response;
    if is_id(&response.id) { Ok(response) } else { Err(Unreadable) }
}

fn about(message: &[u8]) -> Result<About<'_>, Unreadable> {
    let about: About<'_> = body(message)?;
    if is_id(&about.item_id) { Ok(about) } else { Err(Unreadable) }
}

fn piece(message: &[u8]) -> Result<Piece<'_>, Unreadable> {
    let piece: Piece<'_> = body(message)?;
    let fine = is_id(&piece.item_id) && piece.response_id.len() <= ID_BYTES_MAX;
    if fine { Ok(piece) } else { Err(Unreadable) }
}

/// Ids are kept, so their length has a bound. The service's own have about 25 bytes.
const ID_BYTES_MAX: usize = 256;

fn is_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len())
}

/// What we send, but for audio.
#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum ToServer<'a> {
    #[serde(rename = "session.update")]
    Update { session: Box<SessionShape<'a>> },
    #[serde(rename = "conversation.item.create")]
    Create { item: Item<'a> },
    #[serde(rename = "conversation.item.truncate")]
    Truncate { item_id: &'a str, content_index: u32, audio_end_ms: u64 },
    #[serde(rename = "conversation.item.delete")]
    Delete { item_id: &'a str },
    #[serde(rename = "response.create")]
    Respond {
        #[serde(skip_serializing_if = "Option::is_none")]
        response: Option<ResponseShape<'a>>,
    },
    #[serde(rename = "response.cancel")]
    Cancel { response_id: &'a str },
}

impl ToServer<'_> {
    /// The message, with an id of ours that an error repeats.
    pub(super) fn with_id(self, event_id: &str) -> WireMessage {
        // All keys are strings and memory takes whatever is written to it, so this cannot fail.
        WireMessage::text(serde_json::to_string(&Labelled { message: self, event_id }).unwrap_or_default())
    }
}

#[derive(Serialize)]
struct Labelled<'a> {
    #[serde(flatten)]
    message: ToServer<'a>,
    event_id: &'a str,
}

/// The one message that is sent fifty times a second: no serialiser, and no allocation but itself.
pub(super) fn append(audio: &[u8]) -> WireMessage {
    let length = APPEND_HEAD.len() + base64::encoded_len(audio.len()) + APPEND_TAIL.len();
    let mut text = String::with_capacity(length);
    text.push_str(APPEND_HEAD);
    base64::encode_into(audio, &mut text);
    text.push_str(APPEND_TAIL);
    WireMessage::text(text)
}

const APPEND_HEAD: &str = r#"{"type":"input_audio_buffer.append","audio":""#;
const APPEND_TAIL: &str = r#""}"#;

#[derive(Serialize)]
pub(super) struct ResponseShape<'a> {
    pub(super) instructions: &'a str,
}

#[derive(Serialize)]
pub(super) struct SessionShape<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) output_modalities: [&'static str; 1],
    pub(super) instructions: &'a str,
    pub(super) audio: AudioShape<'a>,
    pub(super) tools: Vec<ToolShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_output_tokens: Option<u32>,
    pub(super) truncation: TruncationShape,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<ReasoningShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parallel_tool_calls: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct AudioShape<'a> {
    pub(super) input: InputShape<'a>,
    pub(super) output: OutputShape<'a>,
}

#[derive(Serialize)]
pub(super) struct InputShape<'a> {
    pub(super) format: FormatShape,
    pub(super) noise_reduction: Option<NoiseShape>,
    pub(super) transcription: Option<TranscriptionShape<'a>>,
    pub(super) turn_detection: DetectionShape,
}

#[derive(Serialize)]
pub(super) struct OutputShape<'a> {
    pub(super) format: FormatShape,
    pub(super) voice: VoiceShape<'a>,
    pub(super) speed: f32,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct FormatShape {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct NoiseShape {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

#[derive(Serialize)]
pub(super) struct TranscriptionShape<'a> {
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum DetectionShape {
    ServerVad {
        threshold: f32,
        prefix_padding_ms: u64,
        silence_duration_ms: u64,
        create_response: bool,
        interrupt_response: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        idle_timeout_ms: Option<u64>,
    },
    SemanticVad {
        eagerness: &'static str,
        create_response: bool,
        interrupt_response: bool,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum VoiceShape<'a> {
    Named(&'a str),
    Custom { id: &'a str },
}

#[derive(Serialize)]
pub(super) struct ToolShape<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) parameters: &'a RawValue,
}

/// JSON text as it is, if it is an object.
pub(super) fn raw_object(text: &str) -> Option<&RawValue> {
    serde_json::from_str::<&RawValue>(text).ok().filter(|raw| raw.get().starts_with('{'))
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum TruncationShape {
    Named(&'static str),
    Retention {
        #[serde(rename = "type")]
        kind: &'static str,
        retention_ratio: f32,
    },
}

#[derive(Serialize)]
pub(super) struct ReasoningShape {
    pub(super) effort: &'static str,
}

/// Something in the conversation.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message { id: &'a str, role: &'static str, content: [Content<'a>; 1] },
    FunctionCall { id: &'a str, call_id: &'a str, name: &'a str, arguments: &'a str },
    FunctionCallOutput { id: &'a str, call_id: &'a str, output: &'a str },
}

#[derive(Serialize)]
pub(super) struct Content<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) text: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_found_wherever_it_stands() {
        for (message, kind) in [
            (r#"{"type":"a.b","x":1}"#, Ok("a.b")),
            (r#"{ "x": {"type":"no"}, "type" : "a.b" }"#, Ok("a.b")),
            (r#"{"type":"a\u002eb"}"#, Ok("a.b")),
            (r#"{"type":7}"#, Err(Unreadable)),
            (r#"{"x":1}"#, Err(Unreadable)),
            ("", Err(Unreadable)),
        ] {
            assert_eq!(kind_of(message.as_bytes()), kind.map(Cow::Borrowed), "{message}");
        }
    }

    #[test]
    fn audio_is_borrowed_unless_it_is_escaped() {
        let read_audio = |text: &'static str| match read(text.as_bytes()) {
            Ok(FromServer::Audio(piece)) => piece.delta,
            other => panic!("{other:?}"),
        };
        let plain = r#"{"type":"response.output_audio.delta","item_id":"i","delta":"AA/A"}"#;
        assert!(matches!(read_audio(plain), Cow::Borrowed("AA/A")));
        let escaped = r#"{"type":"response.output_audio.delta","item_id":"i","delta":"AA\/A"}"#;
        assert_eq!(read_audio(escaped), "AA/A");
    }

    #[test]
    fn an_append_is_one_allocation_of_the_right_size() {
        let message = append(&[0xff; 160]);
        let text = std::str::from_utf8(message.as_bytes()).expect("text");
        assert_eq!(text.len(), 45 + 216 + 2);
        let value: serde_json::Value = serde_json::from_str(text).expect("json");
        assert_eq!(base64::decode(value["audio"].as_str().expect("text")), Some(vec![0xff; 160]));
    }
}
