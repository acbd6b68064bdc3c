//! Requests about a call that another server holds: any server takes them, whoever holds the call answers.
//!
//! The API's are led as they came, once whoever asks was let in. A carrier's webhooks are led with all that
//! was signed, and their signature is checked where they arrive as well.

mod led;

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, UPGRADE};
use http::request::Parts as Head;
use http::{HeaderValue, StatusCode};
use metrics::counter;
use tracing::{info, warn};
use voice_core::id::{CallId, CorrelationId};
use voice_core::sensitive::Pii;

use super::OUTBOUND;
use super::problem::Problem;
use crate::cluster::{Cluster, Delivery};
use crate::metrics_names as names;
use crate::recovery;
use crate::server::{App, ClientAddress};
use crate::store::{Node, StoreError};
use crate::telemetry::chain;
use led::{Back, Errand, Led, Numbers};

pub(crate) use led::{Answers, Part};

/// Where a call's id stands in a path.
const SESSIONS: &str = "/api/v1/sessions/";

/// Longest body of a request that is led on; the API takes no longer one.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What anybody can answer from the database.
const READS: [&str; 5] = ["", "transcript", "events", "events/ticket", "recordings"];

/// Whose business a carrier's webhook is.
pub(super) enum Whose {
    /// Whoever gets it.
    Anybody,
    /// Whoever has the order for this call.
    Desk(CallId),
    /// Whoever holds this call.
    Holder(CallId),
    /// Whoever commands the carrier's call of this name, and whoever has the order for it.
    Leg {
        name: String,
        desk: Option<CallId>,
        /// It begins: whoever comes first has it.
        opens: bool,
        /// It tells that whoever had its media has it no more.
        is_lost: bool,
    },
}

/// What a path is about.
enum About<'p> {
    /// A session, and what of it.
    Session(CallId, &'p str),
    /// A call that was placed.
    Placed(CallId),
}

/// Leads a request of the API on if its call is somebody else's. A layer.
pub(super) async fn lead(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (Some(cluster), Some(about)) = (&app.parts.cluster, About::of(&path)) else {
        return next.run(request).await;
    };
    if request.headers().contains_key(UPGRADE) {
        // A socket cannot be led.
        return next.run(request).await;
    }
    let node = match whose(&app, cluster, &about).await {
        Ok(Some(node)) if node != *cluster.node() => node,
        Ok(_) => return next.run(request).await,
        Err(error) => {
            warn!(error = chain(&error), "cannot find out who holds a call");
            return next.run(request).await;
        }
    };
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Some(led) = Led::of(&head, &body) else { return StatusCode::BAD_REQUEST.into_response() };
    let (call, errand) = (about.call(), Errand::Api(led));
    let mut delivery = send(cluster, &node, Some(call), &errand).await;
    if delivery == Delivery::NoCall
        && let Some(other) = moved(cluster, call, &node).await
    {
        delivery = send(cluster, &other, Some(call), &errand).await;
    }
    match delivery {
        Delivery::Answered(back) => answer(&back),
        // It ended or came here meanwhile.
        Delivery::Here | Delivery::NoCall => next.run(Request::from_parts(head, Body::from(body))).await,
        Delivery::Unreachable(node) | Delivery::NoAnswer(node) => out_of_reach(&node),
    }
}

/// Leads a carrier's webhook to whose business it is. `None` if that is this server's.
pub(super) async fn lead_webhook(
    app: &Arc<App>,
    carrier: &'static str,
    whose: Whose,
    (head, body): (&Head, &Bytes),
    (correlation, client): (&CorrelationId, ClientAddress),
) -> Option<Response> {
    let cluster = app.parts.cluster.as_ref()?;
    let others = |node: Option<Node>| node.filter(|node| node != cluster.node());
    let led = |part| Some(Errand::Webhook(Led::of(head, body)?.signed(carrier, part, correlation, client)));
    let (node, call) = match whose {
        Whose::Anybody => return None,
        Whose::Desk(call) if app.outbound.page(call).is_some() => return None,
        Whose::Desk(call) => (others(cluster.desk(call).await)?, call),
        Whose::Holder(call) if app.calls.find(call).is_some() => return None,
        Whose::Holder(call) => (others(cluster.holder(call).await.ok().flatten())?, call),
        Whose::Leg { name, desk, opens, is_lost } => {
            let desk = desk.filter(|call| app.outbound.page(*call).is_none());
            let desk = match desk {
                Some(call) => others(cluster.desk(call).await),
                None => None,
            };
            let leg = if app.telnyx.knows(&name) { None } else { leg_of(cluster, &name, opens).await };
            let part = if leg.is_some() { Part::Desk } else { Part::Whole };
            let mut answered = None;
            if let Some(desk) = &desk {
                answered = Some(send(cluster, desk, None, &led(part)?).await);
            }
            if let Some((leg, call)) = leg {
                let delivery = send(cluster, &leg, None, &led(Part::Leg)?).await;
                if matches!(delivery, Delivery::Unreachable(_)) && is_lost {
                    recovery::adopt_one(app, call, &leg, "unreachable").await;
                    return None;
                }
                answered = Some(delivery);
            }
            let is_also_ours = app.telnyx.knows(&name);
            return answered.filter(|_| !is_also_ours).and_then(|delivery| told(&delivery));
        }
    };
    told(&send(cluster, &node, Some(call), &led(Part::Whole)?).await)
}

/// Has this server let go of a call, and waits until what was said there is written, but not for ever.
pub(crate) async fn let_go_there(cluster: &Cluster, node: &Node, call: CallId) {
    let delivery = send(cluster, node, Some(call), &Errand::LetGo).await;
    info!(%call, %node, let_go = matches!(delivery, Delivery::Answered(_)), "a call of another server is here");
}

/// Has whoever commands a carrier's call leave that to us. Answers the numbers of both sides, if anybody knows.
pub(crate) async fn release_there(cluster: &Cluster, name: &str) -> Option<(Pii<String>, Pii<String>)> {
    let node = cluster.leg(name).await.filter(|node| node != cluster.node())?;
    let delivery = send(cluster, &node, None, &Errand::Release { name: name.to_owned() }).await;
    let Delivery::Answered(numbers) = delivery else { return None };
    let Numbers { from, to } = serde_json::from_str(&numbers).ok()?;
    Some((Pii::from(from), Pii::from(to)))
}

/// The others are to lead here what comes for this call.
pub(super) async fn keep_desk(app: &App, call: CallId) {
    if let Some(cluster) = &app.parts.cluster {
        cluster.keep_desk(call).await;
    }
}

/// Who answers for what a path is about; `None` if anybody may.
async fn whose(app: &App, cluster: &Cluster, about: &About<'_>) -> Result<Option<Node>, StoreError> {
    let (call, what) = match *about {
        About::Placed(call) if app.outbound.page(call).is_some() => return Ok(None),
        About::Placed(call) => return Ok(cluster.desk(call).await),
        About::Session(call, what) => (call, what),
    };
    if app.calls.find(call).is_some() {
        return Ok(None);
    }
    if !READS.contains(&what)
        && what != "metrics"
        && let Some(node) = cluster.holder(call).await?.filter(|node| node != cluster.node())
    {
        app.forget(call);
        return Ok(Some(node));
    }
    let row = cluster.row(call).await?;
    if let Some(row) = row.filter(|row| row.node != *cluster.node()) {
        // What this server remembers of it is of before.
        app.forget(call);
        let is_asked_there = row.ended.is_none() && !READS.contains(&what);
        // Figures are kept where a call ran.
        return Ok((is_asked_there || what == "metrics").then_some(row.node));
    }
    if app.prepared.find(call).is_some() || app.outbound.page(call).is_some() {
        return Ok(None);
    }
    Ok(cluster.desk(call).await)
}

/// Where a call is that was not found where Redis had it.
async fn moved(cluster: &Cluster, call: CallId, missed: &Node) -> Option<Node> {
    let row = cluster.row(call).await.ok().flatten().filter(|row| row.ended.is_none())?;
    (row.node != *missed && row.node != *cluster.node()).then_some(row.node)
}

/// Another server that commands a carrier's call, and the call.
async fn leg_of(cluster: &Cluster, name: &str, opens: bool) -> Option<(Node, CallId)> {
    let nobody = CallId::from_u128(0);
    if opens {
        let first = cluster.claim_leg(name).await?;
        return (first != *cluster.node()).then_some((first, nobody));
    }
    let row = cluster.store().call_of(voice_telephony::telnyx::CARRIER, name).await.ok().flatten();
    let row = row.filter(|row| row.ended.is_none());
    let node = match cluster.leg(name).await {
        Some(node) => Some(node),
        None => row.as_ref().map(|row| row.node.clone()),
    };
    let node = node.filter(|node| node != cluster.node())?;
    Some((node, row.map_or(nobody, |row| row.call)))
}

async fn send(cluster: &Cluster, node: &Node, call: Option<CallId>, errand: &Errand) -> Delivery {
    let Ok(order) = serde_json::to_string(errand) else { return Delivery::NoCall };
    let delivery = cluster.send_to(node, call, &order).await;
    let outcome = match &delivery {
        Delivery::Answered(_) => "answered",
        Delivery::Here | Delivery::NoCall => "no_call",
        Delivery::Unreachable(_) => "unreachable",
        Delivery::NoAnswer(_) => "no_answer",
    };
    counter!(names::LED, "kind" => errand.kind(), "outcome" => outcome).increment(1);
    delivery
}

/// What a carrier is answered: where nobody knows whether its news arrived, it is to tell them again.
fn told(delivery: &Delivery) -> Option<Response> {
    match delivery {
        Delivery::Answered(back) => Some(answer(back)),
        Delivery::Here | Delivery::NoCall | Delivery::Unreachable(_) => None,
        Delivery::NoAnswer(_) => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
    }
}

fn answer(back: &str) -> Response {
    let Ok(Back { status, content_type, body }) = serde_json::from_str(back) else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    if let Some(kind) = content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// Whoever asks can ask that server itself; what they ordered may have been done.
fn out_of_reach(node: &Node) -> Response {
    Problem::unavailable("other_server", "Another server holds the call", 2)
        .detail(format!("the server {node} holds the call and did not answer in time"))
        .into_response()
}

impl<'p> About<'p> {
    fn of(path: &'p str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix(SESSIONS) {
            let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
            return Some(Self::Session(id.parse().ok()?, what));
        }
        let id = path.strip_prefix(OUTBOUND)?.strip_prefix('/')?;
        Some(Self::Placed(id.parse().ok()?))
    }

    const fn call(&self) -> CallId {
        match self {
            Self::Session(call, _) | Self::Placed(call) => *call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_in_its_paths() {
        let id = "00000000-0000-0000-0000-000000000007";
        for what in ["", "hold", "events/ticket"] {
            let path = format!("{SESSIONS}{id}/{what}");
            let about = About::of(path.trim_end_matches('/')).expect("it is about a session");
            assert!(
                matches!(about, About::Session(call, told) if call == CallId::from_u128(7) && told == what)
            );
        }
        assert!(matches!(About::of(&format!("{OUTBOUND}/{id}")), Some(About::Placed(_))));
        for path in
            ["/api/v1/sessions", "/api/v1/sessions/", "/api/v1/sessions/bootstrap", OUTBOUND, "/health"]
        {
            assert!(About::of(path).is_none(), "{path}");
        }
    }
}
