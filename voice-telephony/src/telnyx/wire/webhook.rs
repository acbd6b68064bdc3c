//! The JSON of Call Control webhooks (protocol notes, Telnyx §1).

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// The outermost layer. What is inside `payload` depends on the kind of event.
#[derive(Deserialize)]
pub(in crate::telnyx) struct Envelope<'a> {
    #[serde(borrow)]
    pub(in crate::telnyx) data: Data<'a>,
    #[serde(default)]
    pub(in crate::telnyx) meta: Option<Meta>,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct Data<'a> {
    pub(in crate::telnyx) event_type: String,
    pub(in crate::telnyx) id: String,
    #[serde(default)]
    pub(in crate::telnyx) occurred_at: Option<String>,
    #[serde(borrow)]
    pub(in crate::telnyx) payload: &'a RawValue,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct Meta {
    #[serde(default)]
    pub(in crate::telnyx) attempt: Option<u32>,
}

/// What nearly every payload says about the leg.
#[derive(Deserialize)]
pub(in crate::telnyx) struct LegBody {
    #[serde(default)]
    pub(in crate::telnyx) call_control_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) call_leg_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) call_session_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) connection_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) client_state: Word,
    #[serde(default)]
    pub(in crate::telnyx) from: Word,
    #[serde(default)]
    pub(in crate::telnyx) to: Word,
}

/// A text or number; anything else is taken for nothing, because a field that changed its type must not
/// cost the event it stands in.
#[derive(Default, Deserialize)]
#[serde(from = "Spelling")]
pub(in crate::telnyx) struct Word(pub(in crate::telnyx) Option<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Text(String),
    Number(i64),
    Other(IgnoredAny),
}

impl From<Spelling> for Word {
    fn from(spelling: Spelling) -> Self {
        Self(match spelling {
            Spelling::Text(text) => Some(text),
            Spelling::Number(number) => Some(number.to_string()),
            Spelling::Other(_) => None,
        })
    }
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct InitiatedBody {
    #[serde(default)]
    pub(in crate::telnyx) direction: Word,
    #[serde(default)]
    pub(in crate::telnyx) state: Word,
    #[serde(default)]
    pub(in crate::telnyx) caller_id_name: Word,
    #[serde(default)]
    pub(in crate::telnyx) shaken_stir_attestation: Word,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct AnsweredBody {
    #[serde(default)]
    pub(in crate::telnyx) codec: Word,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct HangupBody {
    #[serde(default)]
    pub(in crate::telnyx) hangup_cause: Word,
    #[serde(default)]
    pub(in crate::telnyx) hangup_source: Word,
    #[serde(default)]
    pub(in crate::telnyx) sip_hangup_cause: Word,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct DigitBody {
    #[serde(default)]
    pub(in crate::telnyx) digit: Word,
}

/// `status`, `result` or `reason`: the one word that the payload is about, and a set of digits.
#[derive(Deserialize)]
pub(in crate::telnyx) struct WordBody {
    #[serde(default)]
    pub(in crate::telnyx) status: Word,
    #[serde(default)]
    pub(in crate::telnyx) result: Word,
    #[serde(default)]
    pub(in crate::telnyx) reason: Word,
    #[serde(default)]
    pub(in crate::telnyx) digits: Word,
    #[serde(default)]
    pub(in crate::telnyx) sip_notify_response: Word,
    #[serde(default)]
    pub(in crate::telnyx) conference_id: Word,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct StreamingBody {
    #[serde(default)]
    pub(in crate::telnyx) stream_url: Word,
    #[serde(default)]
    pub(in crate::telnyx) stream_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) failure_reason: Word,
    #[serde(default)]
    pub(in crate::telnyx) stream_params: Option<StreamParams>,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct StreamParams {
    #[serde(default)]
    pub(in crate::telnyx) stream_url: Word,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct RecordingBody {
    #[serde(default)]
    pub(in crate::telnyx) channels: Word,
    #[serde(default)]
    pub(in crate::telnyx) recording_urls: Option<RecordingUrls>,
    #[serde(default)]
    pub(in crate::telnyx) recording_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) recording_started_at: Word,
    #[serde(default)]
    pub(in crate::telnyx) recording_ended_at: Word,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct RecordingUrls {
    #[serde(default)]
    pub(in crate::telnyx) mp3: Word,
    #[serde(default)]
    pub(in crate::telnyx) wav: Word,
}
