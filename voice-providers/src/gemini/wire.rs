//! The service's messages as JSON. Nothing else in the workspace knows a name of a field.
//!
//! Names and shapes: protocol notes, Gemini Live §2 to §8. The service leaves out whatever has its default
//! value, packs several keys into one message, and sends JSON in binary frames.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use voice_core::audio::{AudioFormat, Rate};
use voice_core::wire::WireMessage;

use crate::base64;

/// What we send; one key a message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ToGemini<'a> {
    Setup(Box<Setup<'a>>),
    ClientContent(ClientContent),
    RealtimeInput(RealtimeInput<'a>),
    ToolResponse(ToolResponse<'a>),
}

impl ToGemini<'_> {
    /// As a message.
    pub(super) fn message(&self) -> WireMessage {
        // Serialising fails on maps with odd keys and on failing writers only; there are neither.
        WireMessage::text(serde_json::to_string(self).unwrap_or_default())
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Setup<'a> {
    pub(super) model: String,
    pub(super) generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_instruction: Option<Content>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) realtime_input_config: Option<RealtimeInputConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_audio_transcription: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_audio_transcription: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_resumption: Option<SessionResumption<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context_window_compression: Option<Compression>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) history_config: Option<HistoryConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proactivity: Option<Proactivity>,
}

/// `{}`: switched on, with the service's own settings.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Empty {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GenerationConfig<'a> {
    pub(super) response_modalities: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_output_tokens: Option<u32>,
    pub(super) speech_config: SpeechConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking_config: Option<ThinkingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enable_affective_dialog: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpeechConfig<'a> {
    pub(super) voice_config: VoiceConfig<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VoiceConfig<'a> {
    pub(super) prebuilt_voice_config: PrebuiltVoice<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PrebuiltVoice<'a> {
    pub(super) voice_name: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThinkingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking_budget: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking_level: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tool<'a> {
    pub(super) function_declarations: Vec<FunctionDeclaration<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionDeclaration<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) parameters_json_schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) behavior: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RealtimeInputConfig {
    pub(super) automatic_activity_detection: ActivityDetection,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ActivityDetection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_of_speech_sensitivity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_of_speech_sensitivity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prefix_padding_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) silence_duration_ms: Option<u64>,
}

/// Without a handle the field is left out: `null` is refused.
#[derive(Debug, Serialize)]
pub(super) struct SessionResumption<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) handle: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Compression {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trigger_tokens: Option<u32>,
    pub(super) sliding_window: SlidingWindow,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SlidingWindow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_tokens: Option<u32>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryConfig {
    pub(super) initial_history_in_client_content: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proactivity {
    pub(super) proactive_audio: bool,
}

/// A turn, or instructions (which have no role).
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    pub(super) parts: Vec<TextPart>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct TextPart {
    pub(super) text: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientContent {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) turns: Vec<Content>,
    pub(super) turn_complete: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RealtimeInput<'a> {
    Text(&'a str),
    AudioStreamEnd(bool),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolResponse<'a> {
    pub(super) function_responses: Vec<FunctionResponse<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) response: Outcome<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheduling: Option<&'static str>,
}

/// An object, as the service demands, with one of the two keys it knows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome<'a> {
    Output(Answer<'a>),
    Error(Answer<'a>),
}

/// What a tool answered: JSON where it is JSON, else text.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

impl<'a> Answer<'a> {
    pub(super) fn of(output: &'a str) -> Self {
        serde_json::from_str(output).map_or(Self::Text(output), Self::Json)
    }
}

/// What we are sent. Several keys may stand in one message, in any combination.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FromGemini<'a> {
    #[serde(borrow)]
    pub(super) setup_complete: Option<SetupComplete<'a>>,
    #[serde(borrow)]
    pub(super) server_content: Option<ServerContent<'a>>,
    #[serde(borrow)]
    pub(super) tool_call: Option<ToolCall<'a>>,
    #[serde(borrow)]
    pub(super) tool_call_cancellation: Option<Cancellation<'a>>,
    /// Read on its own, so that an odd figure does not cost the speech beside it.
    #[serde(borrow)]
    pub(super) usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) go_away: Option<GoAway<'a>>,
    #[serde(borrow)]
    pub(super) session_resumption_update: Option<ResumptionUpdate<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<ErrorBody<'a>>,
    /// Known, and of no use: a local detector is quicker, and this one is not always there.
    pub(super) voice_activity: Option<IgnoredAny>,
    pub(super) voice_activity_detection_signal: Option<IgnoredAny>,
}

impl FromGemini<'_> {
    /// Whether there is not a single key that we know.
    pub(super) fn is_empty(&self) -> bool {
        self.setup_complete.is_none()
            && self.server_content.is_none()
            && self.tool_call.is_none()
            && self.tool_call_cancellation.is_none()
            && self.usage_metadata.is_none()
            && self.go_away.is_none()
            && self.session_resumption_update.is_none()
            && self.error.is_none()
            && self.voice_activity.is_none()
            && self.voice_activity_detection_signal.is_none()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SetupComplete<'a> {
    #[serde(borrow)]
    pub(super) session_id: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServerContent<'a> {
    #[serde(borrow)]
    pub(super) model_turn: Option<ModelTurn<'a>>,
    pub(super) interrupted: Option<bool>,
    pub(super) generation_complete: Option<bool>,
    pub(super) turn_complete: Option<bool>,
    #[serde(borrow)]
    pub(super) turn_complete_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) input_transcription: Option<Transcription<'a>>,
    #[serde(borrow)]
    pub(super) output_transcription: Option<Transcription<'a>>,
    #[serde(borrow)]
    pub(super) interaction_status: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelTurn<'a> {
    #[serde(borrow)]
    pub(super) parts: Option<Vec<Part<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) inline_data: Option<Blob<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Blob<'a> {
    #[serde(borrow)]
    pub(super) mime_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Transcription<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Cow<'a, str>>,
    pub(super) finished: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow)]
    pub(super) function_calls: Option<Vec<FunctionCall<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cancellation<'a> {
    #[serde(borrow)]
    pub(super) ids: Option<Vec<Cow<'a, str>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GoAway<'a> {
    #[serde(borrow)]
    pub(super) time_left: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ResumptionUpdate<'a> {
    #[serde(borrow)]
    pub(super) new_handle: Option<Cow<'a, str>>,
    pub(super) resumable: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody<'a> {
    pub(super) code: Option<i64>,
    #[serde(borrow)]
    pub(super) message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) status: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UsageMetadata {
    pub(super) prompt_token_count: u32,
    pub(super) cached_content_token_count: u32,
    pub(super) response_token_count: u32,
    pub(super) thoughts_token_count: u32,
    pub(super) tool_use_prompt_token_count: u32,
    pub(super) prompt_tokens_details: Vec<ModalityTokens>,
    pub(super) cache_tokens_details: Vec<ModalityTokens>,
    pub(super) response_tokens_details: Vec<ModalityTokens>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ModalityTokens {
    pub(super) modality: String,
    pub(super) token_count: u32,
}

/// Reads a message, whichever kind of frame it came in.
pub(super) fn read(message: &WireMessage) -> Option<FromGemini<'_>> {
    serde_json::from_slice(message.as_bytes()).ok()
}

/// The first key of a message in which we know none, for the books.
pub(super) fn first_key(message: &WireMessage) -> String {
    let keys: Option<BTreeMap<Cow<'_, str>, IgnoredAny>> = serde_json::from_slice(message.as_bytes()).ok();
    keys.and_then(|keys| keys.into_keys().next()).map(Cow::into_owned).unwrap_or_default()
}

/// A piece of the caller's audio: the one message that is sent fifty times a second, written by hand into
/// one allocation.
pub(super) fn audio(mime: &str, pcm: &[u8]) -> WireMessage {
    const HEAD: &str = r#"{"realtimeInput":{"audio":{"mimeType":""#;
    const MIDDLE: &str = r#"","data":""#;
    const TAIL: &str = r#""}}}"#;
    let length = HEAD.len() + mime.len() + MIDDLE.len() + base64::encoded_len(pcm.len()) + TAIL.len();
    let mut text = String::with_capacity(length);
    text.push_str(HEAD);
    text.push_str(mime);
    text.push_str(MIDDLE);
    base64::encode_into(pcm, &mut text);
    text.push_str(TAIL);
    WireMessage::text(text)
}

/// How audio of ours is declared: at its true rate, or the service resamples what was resampled before.
pub(super) const fn mime_type(format: AudioFormat) -> &'static str {
    match format.rate {
        Rate::Hz8000 => "audio/pcm;rate=8000",
        Rate::Hz16000 => "audio/pcm;rate=16000",
        Rate::Hz24000 => "audio/pcm;rate=24000",
        Rate::Hz48000 => "audio/pcm;rate=48000",
    }
}

/// The rate in `audio/pcm;rate=24000`; 24 kHz where it is not said.
pub(super) fn rate_hz(mime: &str) -> Option<u32> {
    let mut pieces = mime.split(';').map(str::trim);
    if !pieces.next()?.eq_ignore_ascii_case("audio/pcm") {
        return None;
    }
    match pieces.find_map(|piece| piece.strip_prefix("rate=")) {
        Some(rate) => rate.trim().parse().ok(),
        None => Some(24_000),
    }
}

/// Seconds of a duration as protocol buffers write it: `50s`, `1.5s`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_texts_are_read() {
        assert_eq!(seconds("50s"), Some(Duration::from_secs(50)));
        assert_eq!(seconds("0.25s"), Some(Duration::from_millis(250)));
        assert_eq!(seconds("-3s"), Some(Duration::ZERO));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("1e999s"), None);
        assert_eq!(rate_hz("audio/pcm;rate=24000"), Some(24_000));
        assert_eq!(rate_hz("audio/pcm; rate=16000"), Some(16_000));
        assert_eq!(rate_hz("audio/pcm"), Some(24_000));
        assert_eq!(rate_hz("audio/opus"), None);
        assert_eq!(rate_hz("audio/pcm;rate=fast"), None);
    }

    #[test]
    fn both_kinds_of_frame_are_read() {
        let json = r#"{"serverContent":{"turnComplete":true},"usageMetadata":{}}"#;
        for message in [WireMessage::text(json), WireMessage::Binary(json.as_bytes().to_vec().into())] {
            let read = read(&message).expect("it is valid");
            assert_eq!(read.server_content.and_then(|content| content.turn_complete), Some(true));
            assert!(read.usage_metadata.is_some());
        }
        assert!(read(&WireMessage::Binary(vec![0xff, 0x00].into())).is_none());
        assert_eq!(first_key(&WireMessage::text(r#"{"news":{}}"#)), "news");
    }

    #[test]
    fn audio_is_declared_at_its_rate() {
        let message = audio(mime_type(AudioFormat::PCM16_8K), &[1, 2, 3]);
        let expected = r#"{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=8000","data":"AQID"}}}"#;
        assert_eq!(message, WireMessage::text(expected));
    }

    #[test]
    fn an_answer_is_json_where_it_is_json() {
        let print = |text| serde_json::to_string(&Outcome::Output(Answer::of(text))).expect("it serialises");
        assert_eq!(print(r#"{"eta":"Friday"}"#), r#"{"output":{"eta":"Friday"}}"#);
        assert_eq!(print("on Friday"), r#"{"output":"on Friday"}"#);
    }
}
