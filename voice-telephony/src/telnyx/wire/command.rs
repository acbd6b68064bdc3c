//! The JSON of REST commands (protocol notes, Telnyx §3): what is left out is not written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

use crate::telnyx::command::CommandId;

/// The body of a command.
pub(in crate::telnyx) fn write(id: &CommandId, client_state: Option<&[u8]>, body: impl Serialize) -> Bytes {
    let client_state = client_state.map(|state| STANDARD.encode(state));
    let envelope = Envelope { command_id: id.as_str(), client_state, body };
    Bytes::from(serde_json::to_vec(&envelope).expect("texts and numbers can be written as JSON"))
}

/// What every command can carry, around its own fields.
#[derive(Serialize)]
struct Envelope<'a, B> {
    command_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_state: Option<String>,
    #[serde(flatten)]
    body: B,
}

/// A command that says all by its name.
#[derive(Serialize)]
pub(in crate::telnyx) struct Nothing {}

#[derive(Serialize)]
pub(in crate::telnyx) struct Answer {
    pub(in crate::telnyx) send_silence_when_idle: bool,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct Reject {
    pub(in crate::telnyx) cause: &'static str,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct StreamingStart<'a> {
    pub(in crate::telnyx) stream_url: &'a str,
    pub(in crate::telnyx) stream_track: &'static str,
    pub(in crate::telnyx) stream_codec: &'static str,
    pub(in crate::telnyx) stream_bidirectional_mode: &'static str,
    pub(in crate::telnyx) stream_bidirectional_codec: &'static str,
    pub(in crate::telnyx) stream_bidirectional_sampling_rate: u32,
    pub(in crate::telnyx) stream_bidirectional_target_legs: &'static str,
    pub(in crate::telnyx) stream_auth_token: &'a str,
    pub(in crate::telnyx) custom_parameters: [Parameter<'a>; 1],
}

#[derive(Serialize)]
pub(in crate::telnyx) struct Parameter<'a> {
    pub(in crate::telnyx) name: &'static str,
    pub(in crate::telnyx) value: &'a str,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct Digits<'a> {
    pub(in crate::telnyx) digits: &'a str,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct Transfer<'a> {
    pub(in crate::telnyx) to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) timeout_secs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) target_leg_client_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) park_after_unbridge: Option<&'static str>,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct Bridge<'a> {
    pub(in crate::telnyx) call_control_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) park_after_unbridge: Option<&'static str>,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct PlaybackStart<'a> {
    pub(in crate::telnyx) audio_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) r#loop: Option<&'static str>,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct PlaybackStop {
    pub(in crate::telnyx) stop: &'static str,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct Speak<'a> {
    pub(in crate::telnyx) payload: &'a str,
    pub(in crate::telnyx) voice: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) language: Option<&'a str>,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct RecordStart {
    pub(in crate::telnyx) channels: &'static str,
    pub(in crate::telnyx) format: &'static str,
    pub(in crate::telnyx) play_beep: bool,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct ConferenceCreate<'a> {
    pub(in crate::telnyx) call_control_id: &'a str,
    pub(in crate::telnyx) name: &'a str,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct ConferenceMember<'a> {
    pub(in crate::telnyx) call_control_id: &'a str,
}

#[derive(Serialize)]
pub(in crate::telnyx) struct Dial<'a> {
    pub(in crate::telnyx) connection_id: &'a str,
    pub(in crate::telnyx) from: &'a str,
    pub(in crate::telnyx) to: &'a str,
    pub(in crate::telnyx) timeout_secs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) time_limit_secs: Option<u64>,
    pub(in crate::telnyx) answering_machine_detection: &'static str,
    pub(in crate::telnyx) send_silence_when_idle: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) webhook_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::telnyx) from_display_name: Option<&'a str>,
}
