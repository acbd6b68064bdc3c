//! Deepgram's speech services on the wire: what Listen v1, Flux and Speak v1 say, and their errors.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Error;

/// Keeps a Listen v1 socket alive. As text: in a binary message it would be audio. Never to Flux, whose
/// socket it kills (protocol notes, Deepgram §9).
pub(super) const KEEP_ALIVE: &str = r#"{"type":"KeepAlive"}"#;
/// Makes Listen v1 transcribe what it has.
pub(super) const FINALIZE: &str = r#"{"type":"Finalize"}"#;
/// Ends a Listen v1 or Flux stream.
pub(super) const CLOSE_STREAM: &str = r#"{"type":"CloseStream"}"#;
/// Makes Speak speak what it has.
pub(super) const FLUSH: &str = r#"{"type":"Flush"}"#;
/// Makes Speak forget what it has.
pub(super) const CLEAR: &str = r#"{"type":"Clear"}"#;
/// Ends a Speak stream.
pub(super) const CLOSE: &str = r#"{"type":"Close"}"#;

/// What Listen v1 says.
pub(super) enum FromListen {
    Results(Results),
    SpeechStarted,
    UtteranceEnd,
    Metadata,
    Error { code: String },
    Unknown(String),
}

/// A piece of a transcript.
pub(super) struct Results {
    pub(super) transcript: String,
    pub(super) is_final: bool,
    pub(super) speech_final: bool,
    pub(super) from_finalize: bool,
}

/// What Flux says.
pub(super) enum FromFlux {
    Connected { request: Option<String> },
    Turn { event: TurnEvent, transcript: String },
    Warning { code: String },
    Error { code: String },
    Unknown(String),
}

/// Where a turn stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnEvent {
    Update,
    Start,
    Eager,
    Resumed,
    End,
}

/// What Speak v1 says beside audio.
pub(super) enum FromSpeak {
    Metadata,
    Flushed,
    Cleared,
    Warning { code: String },
    Error { code: String },
    Unknown(String),
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

/// The codes of an error or warning, under the names that the services use.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Coded {
    code: Option<String>,
    err_code: Option<String>,
    variant: Option<String>,
    category: Option<String>,
    request_id: Option<String>,
}

impl Coded {
    fn code(self) -> String {
        let given = self.code.or(self.err_code).or(self.variant).or(self.category);
        given.unwrap_or_else(|| "unspecified".to_owned())
    }
}

#[derive(Deserialize)]
struct RawResults<'a> {
    #[serde(borrow, default)]
    channel: Channel<'a>,
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    speech_final: bool,
    #[serde(default)]
    from_finalize: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Channel<'a> {
    #[serde(borrow)]
    alternatives: Vec<Alternative<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Alternative<'a> {
    #[serde(borrow)]
    transcript: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTurn<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    transcript: Cow<'a, str>,
}

pub(super) fn from_listen(json: &[u8]) -> Result<FromListen, Error> {
    let Kind { kind } = serde_json::from_slice(json)?;
    Ok(match kind.as_ref() {
        "Results" => {
            let raw: RawResults<'_> = serde_json::from_slice(json)?;
            let transcript = raw.channel.alternatives.into_iter().next().unwrap_or_default().transcript;
            FromListen::Results(Results {
                transcript: transcript.trim().to_owned(),
                is_final: raw.is_final || raw.speech_final,
                speech_final: raw.speech_final,
                from_finalize: raw.from_finalize,
            })
        }
        "SpeechStarted" => FromListen::SpeechStarted,
        "UtteranceEnd" => FromListen::UtteranceEnd,
        "Metadata" => FromListen::Metadata,
        "Error" => FromListen::Error { code: serde_json::from_slice::<Coded>(json)?.code() },
        other => FromListen::Unknown(other.to_owned()),
    })
}

pub(super) fn from_flux(json: &[u8]) -> Result<FromFlux, Error> {
    let Kind { kind } = serde_json::from_slice(json)?;
    let coded = || serde_json::from_slice::<Coded>(json);
    Ok(match kind.as_ref() {
        "Connected" => FromFlux::Connected { request: coded()?.request_id },
        "TurnInfo" => {
            let raw: RawTurn<'_> = serde_json::from_slice(json)?;
            let event = match raw.event.as_ref() {
                "Update" => TurnEvent::Update,
                "StartOfTurn" => TurnEvent::Start,
                "EagerEndOfTurn" => TurnEvent::Eager,
                "TurnResumed" => TurnEvent::Resumed,
                "EndOfTurn" => TurnEvent::End,
                other => return Ok(FromFlux::Unknown(format!("TurnInfo.{other}"))),
            };
            FromFlux::Turn { event, transcript: raw.transcript.trim().to_owned() }
        }
        "Warning" | "ConfigureFailure" => FromFlux::Warning { code: coded()?.code() },
        "Error" => FromFlux::Error { code: coded()?.code() },
        other => FromFlux::Unknown(other.to_owned()),
    })
}

pub(super) fn from_speak(json: &[u8]) -> Result<FromSpeak, Error> {
    let Kind { kind } = serde_json::from_slice(json)?;
    let coded = || serde_json::from_slice::<Coded>(json);
    Ok(match kind.as_ref() {
        "Metadata" => FromSpeak::Metadata,
        "Flushed" => FromSpeak::Flushed,
        "Cleared" => FromSpeak::Cleared,
        "Warning" => FromSpeak::Warning { code: coded()?.code() },
        "Error" => FromSpeak::Error { code: coded()?.code() },
        other => FromSpeak::Unknown(other.to_owned()),
    })
}

/// Text to be spoken.
pub(super) fn speak(text: &str) -> String {
    #[derive(Serialize)]
    struct Speak<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        text: &'a str,
    }
    serde_json::to_string(&Speak { kind: "Speak", text }).unwrap_or_default()
}

/// The code in the body of a refused upgrade, in either of its two forms.
pub(super) fn refusal_code(body: &[u8]) -> Option<String> {
    let coded: Coded = serde_json::from_slice(body).ok()?;
    coded.err_code.or(coded.category).or(coded.code)
}
