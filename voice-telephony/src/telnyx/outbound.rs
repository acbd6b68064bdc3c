//! Calls placed by us over Telnyx: the port of [`crate::outbound`], spoken in Call Control.
//!
//! Only until somebody answers: from then on the call is like any other, and a
//! [`CallControl`](super::CallControl) leads its audio to us ([`resume`](super::CallControl::resume)).

use super::answer::{Answer, CommandError, read_active, read_answer};
use super::api::Api;
use super::command::{Command, CommandId, Detection, Dial, Order};
use super::event::{Answerer, Event};
use super::id::{CallControlId, ConnectionId};
use super::webhook::TelnyxWebhook;
use crate::ask::Ask;
use crate::carrier_error::{CarrierError, Cause};
use crate::outbound::{Act, AnsweredBy, AttemptKey, News, PlaceCalls, Placement, Seen, Told, Voicemail};
use crate::status::CallStatus;

/// Telnyx as a carrier for calls of ours.
///
/// The attempt's key travels as the call's `client_state`: a webhook's address is not part of what is
/// signed (protocol notes, Telnyx §2), its body is. Events come to this one address.
#[derive(Clone, Debug)]
pub struct TelnyxOutbound {
    api: Api,
    connection: ConnectionId,
    webhook: String,
}

/// Speaks the messages that are left. One of Telnyx's own, in English; the voice itself talks to people.
pub(super) const VOICE: &str = "Telnyx.KokoroTTS.af";

impl TelnyxOutbound {
    /// Over this API, through this application (or connection), told at this webhook: an absolute URL.
    pub fn new(api: Api, connection: ConnectionId, webhook: impl Into<String>) -> Self {
        Self { api, connection, webhook: webhook.into() }
    }
}

impl PlaceCalls for TelnyxOutbound {
    fn place(&self, placement: Placement<'_>) -> Ask<String> {
        let order = placement.order;
        let dial = Dial {
            connection: self.connection.clone(),
            from: placement.from.to_private(),
            to: order.to.to_private(),
            ring: order.ring,
            longest: Some(order.longest),
            detection: match order.voicemail {
                Voicemail::GoOn => Detection::Disabled,
                Voicemail::HangUp => Detection::Detect,
                Voicemail::LeaveMessage(_) => Detection::DetectBeep,
            },
            webhook_url: Some(self.webhook.clone()),
            display_name: None,
        };
        let key = placement.key.to_string();
        let request = self.api.dial(&dial, &CommandId::new(&key, 0), key.as_bytes());
        Ask::new(request, |response| placed(read_answer(response)))
    }

    fn look(&self, placement: Placement<'_>) -> Ask<Vec<Seen>> {
        let key = placement.key.to_string();
        Ask::new(self.api.active_calls(&self.connection), move |response| {
            let found = read_active(response, key.as_bytes())?;
            Ok(found.into_iter().map(|call| seen(&call)).collect())
        })
    }

    fn act(&self, carrier_call: &str, act: &Act) -> Option<Ask<()>> {
        let call: CallControlId = carrier_call.parse().ok()?;
        let (number, command) = match act {
            Act::HangUp => (0, Command::Hangup),
            Act::LeaveMessage(text) => {
                (1, Command::Speak { text: text.clone(), voice: VOICE.to_owned(), language: None })
            }
        };
        // Apart from the orders of the call's own control, whose numbers begin at zero, too.
        let id = CommandId::new(&format!("{carrier_call} from the desk"), number);
        let order = Order { call, id, command, client_state: None };
        Some(Ask::new(self.api.request(&order), |response| {
            read_answer(response).map(|_| ()).map_err(CarrierError::from)
        }))
    }
}

/// What a verified webhook tells of a call of ours: the attempt named in its state, and the news. `None`
/// where it tells nothing about a call's progress, or of a call that is not ours.
pub fn told(webhook: &TelnyxWebhook) -> Option<(AttemptKey, Told)> {
    let key = attempt(webhook)?;
    let carrier_call = webhook.leg.call_control_id.as_ref()?.as_str().to_owned();
    let news = if let Event::MachineDetected(who) = &webhook.event {
        News::Machine(answered_by(*who))
    } else if let Event::Answered { .. } = &webhook.event {
        News::Answered
    } else if let Event::GreetingEnded(_) = &webhook.event {
        // However it ended, the announcement is over.
        News::Machine(AnsweredBy::MachineWaits)
    } else {
        News::Status(webhook.report()?)
    };
    Some((key, Told { carrier_call, news }))
}

/// Which attempt of ours an event belongs to, if to any.
pub fn attempt(webhook: &TelnyxWebhook) -> Option<AttemptKey> {
    std::str::from_utf8(webhook.leg.client_state.as_deref()?).ok()?.parse().ok()
}

const fn answered_by(who: Answerer) -> AnsweredBy {
    match who {
        Answerer::Human => AnsweredBy::Human,
        Answerer::Machine => AnsweredBy::Machine,
        Answerer::Fax => AnsweredBy::Fax,
        Answerer::Silence | Answerer::NotSure => AnsweredBy::Unknown,
    }
}

pub(super) fn placed(answer: Result<Answer, CommandError>) -> Result<String, CarrierError> {
    match answer?.call {
        Some(call) => Ok(call.as_str().to_owned()),
        // A success without a name: there is a call, and nobody can say which.
        None => Err(CarrierError {
            may_have_happened: true,
            ..CarrierError::refused(Cause::Server { status: 200 }, Some("no_call_control_id"))
        }),
    }
}

/// How far it is the list does not say; events will.
fn seen(call: &CallControlId) -> Seen {
    Seen {
        carrier_call: call.as_str().to_owned(),
        status: CallStatus::Initiated,
        reason: None,
        created: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use bytes::Bytes;
    use http::Response;
    use voice_core::id::CallId;
    use voice_core::sensitive::Secret;

    use crate::outbound;
    use crate::telnyx::{API_URL, GreetingEnd, Hangup, HangupCause, HangupSource, Leg};

    fn carrier() -> TelnyxOutbound {
        let api = Api::new(API_URL, &Secret::new("KEY".to_owned())).expect("an API");
        TelnyxOutbound::new(api, "77".parse().expect("a name"), "https://voice.example/hook")
    }

    fn ask<T>(call: impl FnOnce(&TelnyxOutbound, Placement<'_>) -> Ask<T>) -> Ask<T> {
        let number = |text: &str| text.parse().expect("a number");
        let order = outbound::Order {
            call: CallId::from_u128(7),
            to: number("+15005550009"),
            routes: Vec::new(),
            ring: Duration::from_secs(20),
            longest: Duration::from_secs(60),
            voicemail: Voicemail::LeaveMessage("Call us.".into()),
        };
        let key = AttemptKey { call: order.call, attempt: 2 };
        call(&carrier(), Placement { key, order: &order, from: &number("+15005550006") })
    }

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("a response")
    }

    /// `00000000-0000-0000-0000-000000000007.2`, as it travels.
    const STATE: &str = "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDA3LjI=";

    #[test]
    fn a_call_is_dialled_under_its_key() {
        let ask = ask(|carrier, placement| carrier.place(placement));
        let body: serde_json::Value = serde_json::from_slice(ask.request().body()).expect("JSON");
        assert_eq!(ask.request().uri(), "https://api.telnyx.com/v2/calls");
        for (name, value) in [
            ("client_state", STATE),
            ("connection_id", "77"),
            ("from", "+15005550006"),
            ("to", "+15005550009"),
            ("answering_machine_detection", "detect_beep"),
            ("webhook_url", "https://voice.example/hook"),
        ] {
            assert_eq!(body[name], value, "{name}");
        }
        let taken = ask.read(&answer(200, r#"{"data":{"call_control_id":"v3:a","is_alive":false}}"#));
        assert_eq!(taken.as_deref(), Ok("v3:a"));
    }

    #[test]
    fn only_a_refusal_proves_that_nothing_was_done() {
        let ask = ask(|carrier, placement| carrier.place(placement));
        let may_have = |status, body: &str| {
            ask.read(&answer(status, body)).expect_err("no name of a call").may_have_happened
        };
        assert!(may_have(500, "") && may_have(200, "<html>") && may_have(200, r#"{"data":{}}"#));
        for (status, code) in [(401, "10009"), (403, "90041"), (422, "10016"), (429, "10011")] {
            let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
            assert!(!may_have(status, &body), "{code}");
        }
    }

    #[test]
    fn a_lost_call_is_known_by_its_state() {
        let ask = ask(|carrier, placement| carrier.look(placement));
        assert_eq!(ask.request().uri(), "https://api.telnyx.com/v2/connections/77/active_calls");
        let list = |state: &str, length| {
            let one = format!(r#"{{"call_control_id":"v3:a","client_state":{state}}}"#);
            answer(200, &format!(r#"{{"data":[{}]}}"#, vec![one; length].join(",")))
        };
        let found = ask.read(&list(&format!("{STATE:?}"), 1)).expect("a list");
        assert_eq!(found.iter().map(|call| call.carrier_call.as_str()).collect::<Vec<_>>(), ["v3:a"]);
        assert_eq!(ask.read(&list("null", 19)), Ok(Vec::new()));
        // A page that is full says nothing about the next one.
        assert!(ask.read(&list("null", 20)).is_err());
        assert!(ask.read(&answer(500, "")).is_err() && ask.read(&answer(200, "[]")).is_err());
    }

    #[test]
    fn what_is_told_of_our_calls_and_of_no_others() {
        let webhook = |state: Option<&str>, event| TelnyxWebhook {
            id: "e1".parse().expect("a name"),
            occurred_at_micros: Some(5),
            attempt: None,
            leg: Leg {
                call_control_id: "v3:a".parse().ok(),
                client_state: state.map(|state| state.as_bytes().to_vec()),
                ..Leg::default()
            },
            event,
        };
        let key = AttemptKey { call: CallId::from_u128(7), attempt: 2 };
        let ours = key.to_string();
        for (event, news) in [
            (Event::Answered { codec: None }, Some(News::Answered)),
            (Event::MachineDetected(Answerer::Machine), Some(News::Machine(AnsweredBy::Machine))),
            (Event::GreetingEnded(GreetingEnd::Beep), Some(News::Machine(AnsweredBy::MachineWaits))),
            (Event::SpeakStarted, None),
            (Event::Bridged, None),
        ] {
            let told_of_ours = told(&webhook(Some(&ours), event.clone()));
            let carrier_call = "v3:a".to_owned();
            assert_eq!(told_of_ours, news.map(|news| (key, Told { carrier_call, news })));
            for state in [None, Some(""), Some("v3:a"), Some("another's state.1")] {
                assert_eq!(told(&webhook(state, event.clone())), None, "{state:?}");
            }
        }
        let hangup =
            Hangup { cause: HangupCause::UserBusy, source: HangupSource::Callee, sip_code: Some(486) };
        let Some((_, Told { news: News::Status(report), .. })) =
            told(&webhook(Some(&ours), Event::Hangup(hangup)))
        else {
            panic!("a status")
        };
        assert_eq!((report.status, report.sequence), (CallStatus::Failed, Some(5)));
    }

    #[test]
    fn what_is_done_with_a_call() {
        let carrier = carrier();
        let path = |act: &Act| {
            let ask = carrier.act("v3:a", act).expect("a name of Telnyx's");
            ask.request().uri().path().rsplit('/').next().map(str::to_owned)
        };
        assert_eq!(path(&Act::HangUp).as_deref(), Some("hangup"));
        assert_eq!(path(&Act::LeaveMessage("Call us.".into())).as_deref(), Some("speak"));
        assert!(carrier.act("", &Act::HangUp).is_none());
    }
}
