//! Recordings at Twilio: the port of [`crate::recording`], spoken in its REST API, and what its status
//! callback says of a recording (protocol notes, Twilio §4.2 and §6).

use std::time::Duration;

use voice_core::id::CallId;
use voice_core::recording::{Filed, RecordStep, SavedRecording};

use super::CallSid;
use super::rest::{RecordCall, RecordingEdit, TwilioApi};
use super::webhook::{RecordingState, RecordingStatus};
use crate::ask::Ask;
use crate::recording::{RecordCalls, RecordOrder};

/// The query parameter of the status callback that says which call it is about. It is signed with the URL.
const PARAMETER: &str = "recording=";

/// Twilio's settings of the callback, which it neither sends nor signs: by itself it would not tell again what nobody
/// could write down (protocol notes, Twilio §2.1).
const TRY_AGAIN: &str = "#rc=5&rp=all";

/// Twilio as a carrier that records.
#[derive(Clone, Debug)]
pub struct TwilioRecord {
    api: TwilioApi,
    webhook: String,
}

impl TwilioRecord {
    /// Over this API, told at this webhook: an absolute URL, `https` unless it is on this machine.
    pub fn new(api: TwilioApi, webhook: impl Into<String>) -> Self {
        Self { api, webhook: webhook.into() }
    }

    fn callback(&self, call: CallId) -> String {
        let separator = if self.webhook.contains('?') { '&' } else { '?' };
        format!("{}{separator}{PARAMETER}{call}{TRY_AGAIN}", self.webhook)
    }
}

impl RecordCalls for TwilioRecord {
    fn ask(&self, order: &RecordOrder, recording: Option<&str>) -> Option<Ask<Option<String>>> {
        let call: CallSid = order.carrier_call.parse().ok()?;
        // As a rule there is one, and who goes on with a call after a restart knows no name.
        let edit = |edit| self.api.edit_recording(&call, recording, edit);
        let ask = match order.step {
            RecordStep::Start => {
                let how = RecordCall { callback: Some(self.callback(order.call)) };
                self.api.start_recording(&call, &how)
            }
            RecordStep::Pause => edit(RecordingEdit::Pause),
            RecordStep::Resume => edit(RecordingEdit::Resume),
            RecordStep::Stop => edit(RecordingEdit::Stop),
        };
        Some(ask.map(|recording| Some(recording.sid)))
    }

    /// Twilio takes a repetition for a second recording, and of two it changes none that is not named.
    fn look(&self, order: &RecordOrder) -> Option<Ask<Vec<String>>> {
        let call: CallSid = order.carrier_call.parse().ok()?;
        let runs = |status: &str| matches!(status, "in-progress" | "paused");
        Some(self.api.list_recordings(&call).map(move |recordings| {
            recordings.into_iter().filter(|one| runs(&one.status)).map(|one| one.sid).collect()
        }))
    }
}

/// The call that a status callback is about, from the query of its URL.
pub fn in_query(query: &str) -> Option<CallId> {
    query.split('&').find_map(|pair| pair.strip_prefix(PARAMETER)?.parse().ok())
}

/// What a verified status callback says that Twilio has. `None` of a recording that goes on.
pub fn filed(status: &RecordingStatus) -> Option<Filed> {
    let recording = status.recording.clone();
    match status.state {
        RecordingState::Completed => Some(Filed::Saved(SavedRecording {
            recording,
            length: status.length_secs.map(Duration::from_secs),
            url: status.url.clone(),
        })),
        RecordingState::Absent => Some(Filed::Absent { recording }),
        RecordingState::InProgress | RecordingState::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::TransferKey;
    use crate::twilio::rest::Credentials;
    use voice_core::sensitive::Secret;

    const CALL: &str = "CA00112233445566778899aabbccddeeff";

    fn said(step: RecordStep) -> (String, String) {
        let credentials = Credentials::AuthToken(Secret::new("token".to_owned()));
        let api = TwilioApi::new("AC00112233445566778899aabbccddeeff".parse().expect("a sid"), credentials);
        let port = TwilioRecord::new(api, "https://voice.example/hook?a=1");
        let order = RecordOrder { call: CallId::from_u128(7), carrier_call: CALL.to_owned(), order: 1, step };
        let ask = port.ask(&order, None).expect("a call of Twilio's");
        let path = ask.request().uri().path().rsplit_once(CALL).map_or("", |(_, rest)| rest).to_owned();
        (path, String::from_utf8_lossy(ask.request().body()).into_owned())
    }

    #[test]
    fn each_side_has_a_channel_and_the_callback_names_the_call() {
        let (path, body) = said(RecordStep::Start);
        assert_eq!(path, "/Recordings.json");
        assert!(body.starts_with("RecordingChannels=dual&RecordingStatusCallback=https%3A%2F%2F"), "{body}");
        let callback = format!("%3Fa%3D1%26recording%3D{}%23rc%3D5%26rp%3Dall", CallId::from_u128(7));
        assert!(body.contains(&callback), "{body}");
        for (step, status) in [
            (RecordStep::Pause, "paused"),
            (RecordStep::Resume, "in-progress"),
            (RecordStep::Stop, "stopped"),
        ] {
            let (path, body) = said(step);
            assert_eq!(path, "/Recordings/Twilio.CURRENT.json");
            assert!(body.starts_with(&format!("Status={status}")), "{body}");
        }
    }

    #[test]
    fn a_query_names_a_call_or_nothing() {
        let call = CallId::from_u128(7);
        let query = format!("a=1&recording={call}");
        assert_eq!((in_query(&query), TransferKey::in_query(&query)), (Some(call), None));
        for bad in ["", "recording", "recording=", "recording=7", "transfer=7.t1"] {
            assert_eq!(in_query(bad), None, "{bad}");
        }
    }
}
