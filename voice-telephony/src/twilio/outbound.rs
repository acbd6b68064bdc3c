//! Calls placed by us over Twilio: the port of [`crate::outbound`], spoken in its REST API.

use crate::ask::Ask;
use crate::outbound::{Act, AttemptKey, News, PlaceCalls, Placement, Seen, Told, Voicemail};
use crate::twilio::rest::{
    Call, CallEdit, Callbacks, CreateCall, Detection, Instructions, ListCalls, TwilioApi,
};
use crate::twilio::{CallSid, TwilioStatus, TwilioWebhook};

/// Twilio as a carrier for calls of ours.
///
/// Everything that Twilio asks and tells comes to one webhook URL with the attempt's key in its query:
/// what to do once somebody answers ([`TwilioWebhook::Voice`]), how it goes, who answered. The query is
/// signed with the URL, so the key can be believed once the webhook is verified.
#[derive(Clone, Debug)]
pub struct TwilioOutbound {
    api: TwilioApi,
    webhook: String,
}

impl TwilioOutbound {
    /// Over this API, told at this webhook: an absolute URL, `https` unless it is on this machine.
    pub fn new(api: TwilioApi, webhook: impl Into<String>) -> Self {
        Self { api, webhook: webhook.into() }
    }
}

impl PlaceCalls for TwilioOutbound {
    fn place(&self, placement: Placement<'_>) -> Ask<String> {
        let url = placement.key.in_url(&self.webhook);
        let order = placement.order;
        let until_end = match order.voicemail {
            Voicemail::GoOn => None,
            Voicemail::HangUp => Some(false),
            Voicemail::LeaveMessage(_) => Some(true),
        };
        let call = CreateCall {
            to: order.to.clone().into(),
            from: placement.from.clone(),
            instructions: Instructions::Url(url.clone()),
            callbacks: Callbacks { status: Some(url.clone()), recording: None },
            ring: order.ring,
            longest: Some(order.longest),
            detection: until_end.map(|until_end| Detection { until_end, callback: url, timeout: None }),
            record: false,
        };
        self.api.create_call(&call).map(|call| call.sid.as_str().to_owned())
    }

    fn look(&self, placement: Placement<'_>) -> Ask<Vec<Seen>> {
        // Not by the time of its start: a call that waits to be dialled has none.
        let search = ListCalls {
            to: Some(placement.order.to.clone()),
            from: Some(placement.from.clone()),
            started_after: None,
        };
        self.api.list_calls(&search).map(|calls| calls.into_iter().filter_map(seen).collect())
    }

    fn act(&self, carrier_call: &str, act: &Act) -> Option<Ask<()>> {
        let call: CallSid = carrier_call.parse().ok()?;
        let edit = match act {
            Act::HangUp => CallEdit::HangUp,
            Act::LeaveMessage(text) => CallEdit::Redirect(Instructions::leave_message(text)),
        };
        Some(self.api.edit_call(&call, &edit).map(|_| ()))
    }
}

/// What a verified webhook tells of a call of ours: the attempt named in the query of its URL, and the
/// news. `None` where it tells nothing about a call's progress.
pub fn told(query: &str, webhook: &TwilioWebhook) -> Option<(AttemptKey, Told)> {
    let key = AttemptKey::in_query(query)?;
    let (call, news) = match webhook {
        TwilioWebhook::Voice(voice) => (&voice.call_sid, News::Answered),
        TwilioWebhook::Progress(progress) => (&progress.call_sid, News::Status(progress.report()?)),
        TwilioWebhook::Machine(verdict) => (&verdict.call_sid, News::Machine(verdict.answered_by)),
        TwilioWebhook::Stream(_) | TwilioWebhook::Recording(_) | TwilioWebhook::Other(_) => return None,
    };
    Some((key, Told { carrier_call: call.as_str().to_owned(), news }))
}

fn seen(call: Call) -> Option<Seen> {
    // A status that is new to us: the call exists, and that is what matters.
    let (status, reason) = call.status.as_call_status().or(TwilioStatus::Queued.as_call_status())?;
    Some(Seen { carrier_call: call.sid.as_str().to_owned(), status, reason, created: call.created })
}
