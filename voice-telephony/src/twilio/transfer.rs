//! Leading callers elsewhere over Twilio: the port of [`crate::transfer`], spoken in its REST API and TwiML.
//!
//! The leg asks what to do, step by step, at one webhook URL with the transfer's key in its query: it hears
//! the summary, then enters a conference of its own. The caller is led there by a request, which ends their
//! stream; both leave it together.

use voice_core::transfer::TransferKind;

use super::CallSid;
use super::rest::{CallEdit, Callbacks, CreateCall, Detection, Instructions, TwilioApi};
use super::twiml::{Twiml, Verb};
use super::webhook::{TwilioStatus, TwilioWebhook};
use crate::ask::Ask;
use crate::number::Callee;
use crate::outbound::AnsweredBy;
use crate::status::FailReason;
use crate::transfer::{Abilities, Act, Conferences, LeadCalls, LegEnd, LegNews, Plan, Scene, TransferKey};

/// Twilio as a carrier that leads callers elsewhere.
#[derive(Clone, Debug)]
pub struct TwilioLead {
    api: TwilioApi,
    webhook: String,
}

/// Where a leg is in the document it was given, as its request says in the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegStep {
    /// It was answered.
    Answered,
    /// Everything was said.
    Said,
    /// A key was asked for.
    Key,
    /// The caller was led to where nobody is any more, and comes back to us.
    Back,
}

impl LegStep {
    const ALL: [Self; 4] = [Self::Answered, Self::Said, Self::Key, Self::Back];

    const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Said => "said",
            Self::Key => "key",
            Self::Back => "back",
        }
    }

    fn in_url(self, webhook: &str, key: TransferKey) -> String {
        let separator = if webhook.contains('?') { '&' } else { '?' };
        format!("{webhook}{separator}step={}&{}={key}", self.name(), TransferKey::PARAMETER)
    }

    /// The step in a URL's query.
    pub fn in_query(query: &str) -> Option<Self> {
        let name = query.split('&').find_map(|pair| pair.strip_prefix("step="))?;
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

impl TwilioLead {
    /// Over this API, told at this webhook: an absolute URL, `https` unless it is on this machine.
    pub fn new(api: TwilioApi, webhook: impl Into<String>) -> Self {
        Self { api, webhook: webhook.into() }
    }

    /// What a leg is answered that asks what to do.
    pub fn document(&self, plan: &Plan, scene: Scene) -> Twiml {
        let step = |step: LegStep| step.in_url(&self.webhook, plan.key);
        match scene {
            Scene::Summary { accept: true } => {
                let then = step(LegStep::Key);
                // Without a key the same URL is asked, and tells of none.
                Twiml::of(&[Verb::GatherKey { say: plan.words(), then: then.clone() }, Verb::Redirect(then)])
            }
            Scene::Summary { accept: false } => {
                Twiml::of(&[Verb::Say(plan.words()), Verb::Redirect(step(LegStep::Said))])
            }
            Scene::Join => Twiml::of(&[Verb::Conference { name: room(plan), then: None, ends: true }]),
            Scene::HangUp => Twiml::of(&[Verb::Hangup]),
        }
    }
}

impl LeadCalls for TwilioLead {
    fn dial(&self, plan: &Plan) -> Option<Ask<String>> {
        let to: Callee = plan.order.to.expose().parse().ok()?;
        let url = LegStep::Answered.in_url(&self.webhook, plan.key);
        let is_warm = plan.order.kind == TransferKind::Warm;
        let detection = is_warm.then(|| Detection { until_end: false, callback: url.clone(), timeout: None });
        let call = CreateCall {
            to,
            from: plan.from.clone(),
            instructions: Instructions::Url(url.clone()),
            callbacks: Callbacks { status: Some(url), recording: None },
            ring: plan.order.ring,
            longest: None,
            detection,
            record: false,
        };
        Some(self.api.create_call(&call).map(|call| call.sid.as_str().to_owned()))
    }

    fn act(&self, plan: &Plan, leg: Option<&str>, act: Act) -> Option<Ask<()>> {
        let edit = |call: &str, edit: CallEdit| {
            let call: CallSid = call.parse().ok()?;
            Some(self.api.edit_call(&call, &edit).map(|_| ()))
        };
        match act {
            // The leg asks.
            Act::Speak => None,
            Act::EndLeg => edit(leg?, CallEdit::HangUp),
            Act::Join => {
                let ends = plan.order.kind != TransferKind::Conference;
                let join = Twiml::of(&[Verb::Conference { name: room(plan), then: None, ends }]);
                edit(&plan.caller, CallEdit::Redirect(Instructions::Twiml(join)))
            }
            Act::BringBack => {
                let url = LegStep::Back.in_url(&self.webhook, plan.key);
                edit(&plan.caller, CallEdit::Redirect(Instructions::Url(url)))
            }
        }
    }

    fn abilities(&self) -> Abilities {
        Abilities { conferences: Conferences::ByName, tells_bridged: false }
    }
}

/// What a verified webhook tells of a leg: the transfer named in the query of its URL, the leg, and the news.
/// `None` where it tells nothing about a leg's progress.
pub fn told(query: &str, webhook: &TwilioWebhook) -> Option<(TransferKey, String, LegNews)> {
    let key = TransferKey::in_query(query)?;
    let (call, news) = match webhook {
        TwilioWebhook::Voice(voice) => {
            let news = match LegStep::in_query(query)? {
                LegStep::Answered => LegNews::Answered,
                LegStep::Said => LegNews::Said,
                LegStep::Key => {
                    LegNews::Key(voice.digits.as_ref().and_then(|digits| digits.expose().chars().next()))
                }
                LegStep::Back => return None,
            };
            (&voice.call_sid, news)
        }
        TwilioWebhook::Progress(progress) => {
            (&progress.call_sid, LegNews::Over(end(progress.status, progress.sip_code)?))
        }
        TwilioWebhook::Machine(verdict) => {
            let is_machine = matches!(
                verdict.answered_by,
                AnsweredBy::Machine | AnsweredBy::MachineWaits | AnsweredBy::Fax
            );
            (&verdict.call_sid, is_machine.then_some(LegNews::Machine)?)
        }
        TwilioWebhook::Stream(_) | TwilioWebhook::Recording(_) | TwilioWebhook::Other(_) => return None,
    };
    Some((key, call.as_str().to_owned(), news))
}

/// How a leg ended, if it did.
fn end(status: TwilioStatus, sip_code: Option<u16>) -> Option<LegEnd> {
    if status == TwilioStatus::Completed {
        return Some(LegEnd::HungUp);
    }
    // 603: whoever was called pressed the red button.
    if status.is_final() && sip_code == Some(603) {
        return Some(LegEnd::Declined);
    }
    let (_, reason) = status.as_call_status()?;
    status.is_final().then(|| LegEnd::Failed(reason.unwrap_or(FailReason::Carrier)))
}

/// The conference in which the two meet.
fn room(plan: &Plan) -> String {
    match plan.order.kind {
        TransferKind::Conference => plan.order.to.expose().clone(),
        TransferKind::Warm | TransferKind::Blind => format!("voice-{}", plan.key),
    }
}
