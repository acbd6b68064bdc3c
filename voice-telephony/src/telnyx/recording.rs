//! Recordings at Telnyx: the port of [`crate::recording`], spoken in Call Control, and what its events say of a
//! recording (protocol notes, Telnyx §1.2 and §3).

use voice_core::recording::{Filed, RecordStep, SavedRecording};
use voice_core::sensitive::Pii;

use super::answer::read_answer;
use super::api::Api;
use super::command::{Command, CommandId, Order};
use super::event::Event;
use super::id::CallControlId;
use super::outbound::attempt;
use super::webhook::TelnyxWebhook;
use crate::ask::Ask;
use crate::carrier_error::CarrierError;
use crate::recording::{RecordCalls, RecordOrder, Whose};

/// Telnyx as a carrier that records.
#[derive(Clone, Debug)]
pub struct TelnyxRecord {
    api: Api,
}

impl TelnyxRecord {
    /// Over this API.
    pub const fn new(api: Api) -> Self {
        Self { api }
    }
}

impl RecordCalls for TelnyxRecord {
    fn ask(&self, order: &RecordOrder, _recording: Option<&str>) -> Option<Ask<Option<String>>> {
        let call: CallControlId = order.carrier_call.parse().ok()?;
        let command = match order.step {
            RecordStep::Start => Command::RecordStart { beep: false },
            RecordStep::Pause => Command::RecordPause,
            RecordStep::Resume => Command::RecordResume,
            RecordStep::Stop => Command::RecordStop,
        };
        // The numbers are those of the call's record, not those of the commands of its leg.
        let number = u32::try_from(order.order).unwrap_or(u32::MAX);
        let id = CommandId::new(&format!("{} recording", call.as_str()), number);
        // The leg keeps the state by which its events are known.
        let order = Order { call, id, command, client_state: None };
        Some(Ask::new(self.api.request(&order), |response| {
            read_answer(response).map(|answer| answer.recording).map_err(CarrierError::from)
        }))
    }

    /// The same order has the same id, and Telnyx knows it again.
    fn look(&self, _: &RecordOrder) -> Option<Ask<Vec<String>>> {
        None
    }
}

/// Whether such an event names the recording; else [`filed`] has the name of the event in its place.
pub fn is_named(webhook: &TelnyxWebhook) -> bool {
    matches!(&webhook.event, Event::RecordingSaved(links) if links.recording.is_some())
}

/// What a verified event says that Telnyx has, and of which call, if it says anything of a recording. An event
/// without a name for the recording has one of its own, which stays the same however often it is delivered.
pub fn filed(webhook: &TelnyxWebhook) -> Option<(Whose, Filed)> {
    let named = || webhook.id.as_str().to_owned();
    let filed = if let Event::RecordingSaved(links) = &webhook.event {
        Filed::Saved(SavedRecording {
            recording: links.recording.clone().unwrap_or_else(named),
            length: links.length,
            url: links.url.as_ref().map(|url| Pii::new(url.expose().clone())),
        })
    } else if let Event::RecordingFailed { .. } = &webhook.event {
        Filed::Absent { recording: named() }
    } else {
        return None;
    };
    Some((whose(webhook)?, filed))
}

/// The event carries no handle, but the state that we left with the leg: the attempt of a call that we placed,
/// or the handle of one that came to us.
fn whose(webhook: &TelnyxWebhook) -> Option<Whose> {
    if let Some(attempt) = attempt(webhook) {
        return Some(Whose::Call(attempt.call));
    }
    let state = || std::str::from_utf8(webhook.leg.client_state.as_deref()?).ok()?.parse().ok();
    let name: CallControlId = webhook.leg.call_control_id.clone().or_else(state)?;
    Some(Whose::Named(name.as_str().to_owned()))
}
