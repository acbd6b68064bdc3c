//! Leading callers elsewhere over Telnyx: the port of [`crate::transfer`], spoken in Call Control.
//!
//! The leg is dialled with the transfer's key as its `client_state`, spoken to, and bridged with the caller's.
//! When either hangs up then, Telnyx ends the other (protocol notes, Telnyx §3, `park_after_unbridge`).
//! Conferences are known by Telnyx's own names: one of the wanted name is looked for, joined, or else begun.

use voice_core::transfer::TransferKind;

use super::answer::{read_active, read_answer, read_conference};
use super::api::Api;
use super::command::{Command, CommandId, Detection, Dial, Order};
use super::event::{Answerer, Event, Hangup, HangupCause};
use super::id::{CallControlId, ConferenceId, ConnectionId};
use super::outbound::{VOICE, placed};
use super::webhook::TelnyxWebhook;
use crate::ask::Ask;
use crate::carrier_error::CarrierError;
use crate::number::Callee;
use crate::status::{CallStatus, FailReason};
use crate::transfer::{Abilities, Act, Conferences, LeadCalls, LegEnd, LegNews, Plan, TransferKey};

/// Telnyx as a carrier that leads callers elsewhere.
#[derive(Clone, Debug)]
pub struct TelnyxLead {
    api: Api,
    connection: ConnectionId,
    webhook: String,
}

impl TelnyxLead {
    /// Over this API, through this application (or connection), told at this webhook: an absolute URL.
    pub fn new(api: Api, connection: ConnectionId, webhook: impl Into<String>) -> Self {
        Self { api, connection, webhook: webhook.into() }
    }

    /// Looks for the leg of a transfer of which nobody knows any more, since its server died.
    pub fn look(&self, key: TransferKey) -> Ask<Option<String>> {
        let state = key.to_string();
        Ask::new(self.api.active_calls(&self.connection), move |response| {
            let found = read_active(response, state.as_bytes())?;
            Ok(found.map(|call| call.as_str().to_owned()))
        })
    }

    /// Ends such a leg. `None` where the name is none that Telnyx gives.
    pub fn end(&self, key: TransferKey, leg: &str) -> Option<Ask<()>> {
        self.order(key, leg, END)
    }

    fn order(&self, key: TransferKey, call: &str, (number, command): (u32, Command)) -> Option<Ask<()>> {
        let call: CallControlId = call.parse().ok()?;
        // The same order of the same transfer has the same id: a repetition does no harm.
        let id = CommandId::new(&format!("{} {key}", call.as_str()), number);
        let order = Order { call, id, command, client_state: None };
        Some(Ask::new(self.api.request(&order), |response| {
            read_answer(response).map(|_| ()).map_err(CarrierError::from)
        }))
    }
}

impl LeadCalls for TelnyxLead {
    fn dial(&self, plan: &Plan) -> Option<Ask<String>> {
        let to: Callee = plan.order.to.expose().parse().ok()?;
        let dial = Dial {
            connection: self.connection.clone(),
            from: plan.from.to_private(),
            to: to.expose().into(),
            ring: plan.order.ring,
            longest: None,
            detection: match plan.order.kind {
                TransferKind::Warm => Detection::Detect,
                TransferKind::Blind | TransferKind::Conference => Detection::Disabled,
            },
            webhook_url: Some(self.webhook.clone()),
            display_name: None,
        };
        let key = plan.key.to_string();
        let request = self.api.dial(&dial, &CommandId::new(&key, 0), key.as_bytes());
        Some(Ask::new(request, |response| placed(read_answer(response))))
    }

    fn act(&self, plan: &Plan, leg: Option<&str>, act: Act) -> Option<Ask<()>> {
        if plan.order.kind == TransferKind::Conference {
            let command = conference(plan, leg, act)?;
            return self.order(plan.key, &plan.caller, command);
        }
        let command = match act {
            Act::Speak => (1, Command::Speak { text: plan.words(), voice: VOICE.to_owned(), language: None }),
            Act::Join => (2, Command::Bridge { with: plan.caller.parse().ok()?, park_after: false }),
            Act::EndLeg => END,
            // Nobody is led anywhere before the other side is there.
            Act::BringBack => return None,
        };
        self.order(plan.key, leg?, command)
    }

    fn abilities(&self) -> Abilities {
        Abilities { conferences: Conferences::ByLooking, tells_bridged: true }
    }

    fn room(&self, plan: &Plan) -> Option<Ask<Option<String>>> {
        let name = plan.order.to.expose().clone();
        Some(Ask::new(self.api.conferences(&name), move |response| {
            Ok(read_conference(response, &name)?.map(|room| room.as_str().to_owned()))
        }))
    }
}

/// What the caller's own leg is told about a conference: to begin it, if it has no name yet, to join or to leave.
fn conference(plan: &Plan, room: Option<&str>, act: Act) -> Option<(u32, Command)> {
    let room: Option<ConferenceId> = room.map(str::parse).transpose().ok()?;
    match (act, room) {
        (Act::Join, None) => Some((4, Command::ConferenceCreate { name: plan.order.to.expose().clone() })),
        (Act::Join, Some(room)) => Some((5, Command::ConferenceJoin(room))),
        (Act::BringBack, Some(room)) => Some((6, Command::ConferenceLeave(room))),
        (Act::BringBack, None) | (Act::Speak | Act::EndLeg, _) => None,
    }
}

/// How a leg is ended, by whomever: under one number, so that it is ended once.
const END: (u32, Command) = (3, Command::Hangup);

/// The transfer to which a leg belongs, by its state.
pub fn key(webhook: &TelnyxWebhook) -> Option<TransferKey> {
    std::str::from_utf8(webhook.leg.client_state.as_deref()?).ok()?.parse().ok()
}

/// What a verified webhook tells of a leg: the transfer named in its state, the leg, and the news. `None`
/// where it tells nothing about a leg's progress, or of a call that is no such leg.
pub fn told(webhook: &TelnyxWebhook) -> Option<(TransferKey, String, LegNews)> {
    let key = key(webhook)?;
    let leg = webhook.leg.call_control_id.as_ref()?.as_str().to_owned();
    let news = if let Event::Answered { .. } = &webhook.event {
        LegNews::Answered
    } else if let Event::SpeakEnded(_) = &webhook.event {
        LegNews::Said
    } else if let Event::Digit(digit) = &webhook.event {
        LegNews::Key(Some(digit.as_char()))
    } else if let Event::MachineDetected(Answerer::Machine | Answerer::Fax) = &webhook.event {
        LegNews::Machine
    } else if let Event::Bridged = &webhook.event {
        LegNews::Bridged
    } else if let Event::Hangup(hangup) = &webhook.event {
        LegNews::Over(end(hangup))
    } else {
        return None;
    };
    Some((key, leg, news))
}

fn end(hangup: &Hangup) -> LegEnd {
    if hangup.cause == HangupCause::CallRejected || hangup.sip_code == Some(603) {
        return LegEnd::Declined;
    }
    match hangup.status() {
        (CallStatus::Completed, _) => LegEnd::HungUp,
        (_, reason) => LegEnd::Failed(reason.unwrap_or(FailReason::Carrier)),
    }
}
