//! What is led from server to server, and who answers it at the other end.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts as Head;
use http::{Method, StatusCode};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;
use tracing::warn;
use voice_core::id::{CallId, CorrelationId};
use voice_telephony::{telnyx, twilio};

use crate::cluster::{News, Obey};
use crate::recovery;
use crate::server::{App, CarrierRecordings, ClientAddress, take_note_of};
use crate::store::Node;

/// Longest answer that is led back.
const ANSWER_BYTES_MAX: usize = 192 << 10;

/// What one server wants of another.
#[derive(Serialize, Deserialize)]
#[serde(tag = "errand", rename_all = "snake_case")]
pub(super) enum Errand {
    /// Answer this. Who asked was let in before.
    Api(Led),
    /// Answer this carrier, if you too find that it was the carrier.
    Webhook(Led),
    /// The call's media has come here: let go of it.
    LetGo,
    /// The media of a carrier's call has come here: leave it to us, and say whose numbers they are.
    Release { name: String },
    /// Something a later version wants.
    #[serde(other)]
    Unknown,
}

/// A request, as it is led.
#[derive(Serialize, Deserialize)]
pub(super) struct Led {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    /// Of a webhook: whose it is, which part of it is meant, and what it is called in logs.
    carrier: Option<String>,
    part: Option<Part>,
    correlation: Option<String>,
    client: Option<IpAddr>,
}

/// Which part of a webhook a server is to act upon: whoever has the order for a call and whoever commands it
/// need not be the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// All that it means.
    #[default]
    Whole,
    /// What it tells of an order.
    Desk,
    /// What it tells of the carrier's call.
    Leg,
}

/// Its answer, on the way back.
#[derive(Serialize, Deserialize)]
pub(super) struct Back {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) body: String,
}

/// Both sides of a carrier's call.
#[derive(Serialize, Deserialize)]
pub(super) struct Numbers {
    pub(super) from: String,
    pub(super) to: String,
}

/// Answers what other servers lead here, and hears their news.
pub(crate) struct Answers {
    /// The server's own life must not depend on who listens.
    app: Weak<App>,
    router: Router,
    /// Who takes up the calls of those who leave.
    left: Sender<Node>,
}

impl Answers {
    pub(crate) fn new(app: &Arc<App>, left: Sender<Node>) -> Arc<Self> {
        let router = super::super::about_calls().with_state(app.clone());
        Arc::new(Self { app: Arc::downgrade(app), router, left })
    }

    async fn api(&self, led: Led) -> Option<Response> {
        let mut request = http::Request::builder()
            .method(led.method.parse::<Method>().ok()?)
            .uri(&led.target)
            .header(CONTENT_TYPE, led.header("content-type").unwrap_or("application/json"));
        if let Some(correlation) =
            led.header("x-correlation-id").and_then(|id| id.parse::<CorrelationId>().ok())
        {
            request = request.extension(correlation);
        }
        let client = ClientAddress(led.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let request = request.extension(client).body(Body::from(led.body)).ok()?;
        let router = TowerToHyperService::new(self.router.clone());
        hyper::service::Service::call(&router, request).await.ok()
    }
}

#[async_trait]
impl Obey for Answers {
    async fn obey(&self, call: Option<CallId>, order: &str) -> Option<String> {
        let app = self.app.upgrade()?;
        let response = match serde_json::from_str(order).ok()? {
            Errand::Api(led) => self.api(led).await?,
            Errand::Webhook(led) => webhook(&app, &led).await?,
            Errand::LetGo => {
                recovery::let_go(&app, call?).await;
                return Some(String::new());
            }
            Errand::Release { name } => {
                let (from, to) = app.telnyx.give_away(&name)?;
                return serde_json::to_string(&Numbers { from, to }).ok();
            }
            Errand::Unknown => return None,
        };
        back(response).await
    }

    fn hear(&self, from: &Node, news: News) {
        let Some(app) = self.app.upgrade() else { return };
        if news == News::Leaves {
            if self.left.try_send(from.clone()).is_err() {
                warn!(node = %from, "too many servers leave at once; its calls are found at the next start");
            }
            return;
        }
        take_note_of(&app, news);
    }
}

impl Errand {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Api(_) => "api",
            Self::Webhook(_) => "webhook",
            Self::LetGo => "let_go",
            Self::Release { .. } => "release",
            Self::Unknown => "unknown",
        }
    }
}

impl Led {
    /// `None` if it is not text.
    pub(super) fn of(head: &Head, body: &Bytes) -> Option<Self> {
        let texts = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        // Who asks was found to be who they say they are; the proof stays here.
        let is_led = |(name, _): &(String, String)| name != "authorization" && name != "cookie";
        let correlation = head.extensions.get::<CorrelationId>().map(ToString::to_string);
        let mut headers: Vec<_> = head.headers.iter().filter_map(texts).filter(is_led).collect();
        headers.retain(|(name, _)| name != "x-correlation-id");
        headers.extend(correlation.map(|id| ("x-correlation-id".to_owned(), id)));
        Some(Self {
            method: head.method.to_string(),
            target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers,
            body: std::str::from_utf8(body).ok()?.to_owned(),
            carrier: None,
            part: None,
            correlation: None,
            client: head.extensions.get::<ClientAddress>().map(|client| client.0),
        })
    }

    /// The same as a webhook.
    pub(super) fn signed(
        mut self,
        carrier: &str,
        part: Part,
        correlation: &CorrelationId,
        client: ClientAddress,
    ) -> Self {
        (self.carrier, self.part) = (Some(carrier.to_owned()), Some(part));
        (self.correlation, self.client) = (Some(correlation.to_string()), Some(client.0));
        self
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Checked and acted upon as if the carrier had come here.
async fn webhook(app: &Arc<App>, led: &Led) -> Option<Response> {
    let mut request = http::Request::builder().method(led.method.parse::<Method>().ok()?).uri(&led.target);
    for (name, value) in &led.headers {
        request = request.header(name, value);
    }
    let (head, ()) = request.body(()).ok()?.into_parts();
    let body = Bytes::from(led.body.clone());
    let correlation: CorrelationId = led.correlation.as_ref()?.parse().ok()?;
    let client = ClientAddress(led.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let word = match led.carrier.as_deref()? {
        twilio::CARRIER => super::super::twilio::recording_word(app, &head, &body),
        telnyx::CARRIER => super::super::telnyx::recording_word(app, &head, &body),
        _unknown => None,
    };
    if let Some(word) = word
        && !CarrierRecordings::file(app, word).await
    {
        return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let answer = match led.carrier.as_deref()? {
        twilio::CARRIER => super::super::twilio::receive(app, client, &correlation, &head, &body),
        telnyx::CARRIER => {
            let part = led.part.unwrap_or_default();
            super::super::telnyx::receive(app, client, &correlation, (&head, &body), part)
        }
        _unknown => return None,
    };
    match answer {
        Ok(answer) => Some(answer.into_response()),
        Err(away) => {
            warn!(%correlation, reason = away.name(), "a webhook that another server led here is refused");
            None
        }
    }
}

async fn back(answer: Response) -> Option<String> {
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (content_type, status) = (content_type.map(str::to_owned), answer.status().as_u16());
    let body = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.ok()?;
    let back = Back { status, content_type, body: String::from_utf8(body.to_vec()).ok()? };
    serde_json::to_string(&back).ok()
}
