//! The socket of live events: what happened in a session so far, and then what happens, without a gap or
//! anything twice, until its end.
//!
//! The socket fetches from the call's [feed](crate::server) at its own pace. A call never waits for it and
//! keeps nothing for it, so a slow reader costs nobody else anything: it is told, and its socket is closed.

#![allow(unused_qualifications, reason = "what is made from the parameters has some")]

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use voice_core::driver::Line;
use voice_core::id::CallId;
use voice_core::wire::{LineEnd, Text, WireMessage};

use super::super::answers::{FailsForOne, FailsToOrderOne};
use super::super::authorise::authorise;
use super::super::media::{Socket, line, upgrade_key};
use super::super::problem::{Nothing, Problem, understood};
use super::history;
use super::query::Query;
use super::read::{id_of, is_known};
use super::told::Event;
use crate::random::random;
use crate::server::{App, CallFeed, ClientAddress, FOLLOWER_TICKET_LIFETIME, Followers};

/// What the two speak; chosen where a client offers it, and asked of browsers.
const PROTOCOL: &str = "voice.events.v1";

/// Before a ticket among the protocols that a browser offers: the only header that a page can set.
const TICKET_PREFIX: &str = "voice.ticket.";

/// A reader who does not take a message for so long is let go.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A reader who was up to date and falls so many entries behind is told, and let go.
const BEHIND_MAX: u64 = 512;

/// When nothing happens, that is said so often: a page cannot see pings.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How often a call of another server is looked at in the database.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Entries that are fetched at once.
const BATCH_MAX: usize = 128;

/// Close codes: RFC 6455 section 7.4.1.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const TRY_AGAIN: u16 = 1013;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(open))
}

pub(super) fn guarded_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(ticket))
}

/// A message on the socket of a session's events.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum EventMessage {
    /// The first message.
    Hello {
        /// Version of these messages.
        protocol: u8,
        #[schema(format = Uuid)]
        session_id: String,
        /// The newest entry there is, 0 where another server holds the call; what is older and was asked for
        /// follows.
        last_seq: u64,
    },
    /// One entry of the record.
    Event(Event),
    /// These entries were lost before they were stored.
    Gap { from_seq: u64, to_seq: u64 },
    /// Nothing has happened for a while.
    Heartbeat { last_seq: u64 },
    /// The reader is too slow. The socket is closed; what is missing can be had with `after`.
    Lagged { after: u64 },
    /// Nothing more will come. The socket is closed.
    End { last_seq: u64 },
}

/// Leave to open the socket of one session, once, soon.
#[derive(Serialize, ToSchema)]
pub(super) struct EventTicket {
    websocket_url: String,
    /// What a browser gives as the second argument of `WebSocket`.
    protocols: [String; 2],
    expires_in_seconds: u64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "says what the query may hold; it is read by hand, to name what is wrong")]
struct SocketQuery {
    /// Only what comes after the event of this number: a reader who was cut off goes on where they were.
    #[param(minimum = 0, default = 0)]
    after: Option<u64>,
}

/// Leave for a browser, which can set no headers, to open the socket of a session's events: once, within a
/// minute.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/events/ticket", tag = "sessions", operation_id = "issue_event_ticket",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 201, body = EventTicket), FailsToOrderOne),
)]
async fn ticket(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Result<Response, Problem> {
    let Nothing {} = understood(&body)?;
    let call = id_of(&id)?;
    is_known(&app, call).await?;
    Ok((StatusCode::CREATED, Json(issue(&app, call)?)).into_response())
}

pub(super) fn issue(app: &App, call: CallId) -> Result<EventTicket, Problem> {
    let random = random().ok_or_else(|| Problem::unavailable("no_random", "No ticket can be made", 5))?;
    let ticket = app.followers.issue(call, random);
    Ok(EventTicket {
        websocket_url: app.base.web_socket(&format!("/ws/sessions/{call}")),
        protocols: [PROTOCOL.to_owned(), format!("{TICKET_PREFIX}{}", ticket.expose())],
        expires_in_seconds: FOLLOWER_TICKET_LIFETIME.as_secs(),
    })
}

/// The events of a session over a WebSocket: first those that were, then those that come. Each message is
/// a JSON object, an `EventMessage`.
///
/// Opened with the API's bearer token, or by a browser with the protocols of a ticket. Never with a token in
/// the address.
#[utoipa::path(
    get, path = "/ws/sessions/{id}", tag = "sessions", operation_id = "follow_session",
    params(("id" = String, Path, format = Uuid), SocketQuery),
    responses(
        (status = 101, description = "The socket is open; its messages are of this form", body = EventMessage),
        (status = 426, description = "This is a WebSocket"), FailsForOne
    ),
    security(("bearer" = []), ("ticket" = [])),
)]
async fn open(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    mut request: Request,
) -> Result<Response, Problem> {
    let protocol = admit(&app, client, &id, request.headers()).await?;
    let mut query = Query::of(query.as_deref());
    let after = query.number("after", 0, super::SEQ_MAX, 0);
    query.end()?;
    let call = id_of(&id)?;
    is_known(&app, call).await?;
    let Some(key) = upgrade_key(request.headers()) else {
        let upgrade = HeaderValue::from_static("websocket");
        return Err(Problem::of(StatusCode::UPGRADE_REQUIRED).header(UPGRADE, upgrade));
    };
    let crowded = |_| Problem::unavailable("crowded", "Too many follow calls already", 10);
    let place = app.followers.places.take(client.0, app.front.is_proxy(client.0)).map_err(crowded)?;
    let on_upgrade = hyper::upgrade::on(&mut request);
    let follower = app.clone();
    // A task of its own, so that whoever reads slowly keeps nobody waiting.
    app.followers.spawn(|stop| async move {
        let _held_to_the_end = place;
        let Ok(upgraded) = on_upgrade.await else { return };
        if let Some(line) = line(upgraded).await {
            Follower { app: follower, call, line, at: after, stop }.run().await;
        }
    });
    let accepted = [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_ACCEPT, key.as_str())];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, accepted, Body::empty()).into_response();
    if let Some(protocol) = protocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(response)
}

/// By token or by ticket. Answers the protocol that is chosen, if one was offered.
async fn admit(
    app: &App,
    client: ClientAddress,
    id: &str,
    headers: &HeaderMap,
) -> Result<Option<&'static str>, Problem> {
    let offered: Vec<&str> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let chosen = offered.contains(&PROTOCOL).then_some(PROTOCOL);
    let ticket = offered.iter().find_map(|protocol| protocol.strip_prefix(TICKET_PREFIX));
    match (ticket, id_of(id)) {
        (Some(ticket), Ok(call)) if may_follow(&app.followers, ticket, call).await => Ok(chosen),
        (Some(_), _) => {
            Err(Problem::unauthorised()
                .detail("the ticket is unknown, used, expired, or for another session"))
        }
        (None, _) => authorise(app, client, headers).map(|()| chosen),
    }
}

async fn may_follow(followers: &Followers, ticket: &str, call: CallId) -> bool {
    followers.redeem(ticket, call).await.is_ok()
}

/// Somebody who follows a session.
struct Follower {
    app: Arc<App>,
    call: CallId,
    line: Socket,
    /// The last entry that was sent.
    at: u64,
    stop: CancellationToken,
}

/// Why a follower is let go.
enum Leave {
    /// They went, or do not read.
    Gone,
    /// Close with this code, for this reason.
    Close(u16, &'static str),
}

impl Follower {
    async fn run(mut self) {
        let Err(leave) = self.follow().await;
        if let Leave::Close(code, reason) = leave {
            self.line.close_with(code, reason);
        }
    }

    /// Never comes to a good end: somebody always leaves.
    async fn follow(&mut self) -> Result<std::convert::Infallible, Leave> {
        if self.runs_elsewhere().await {
            return self.follow_from_afar().await;
        }
        let feed = self.app.feed.find(self.call);
        let last_seq = feed.as_ref().map_or(0, |feed| feed.place().seq);
        let hello = EventMessage::Hello { protocol: 1, session_id: self.call.to_string(), last_seq };
        self.send(&hello).await?;
        // Told of every step from here on, so that none is missed between a look and a wait.
        let mut steps = feed.as_ref().map(|feed| feed.follow());
        let mut is_up_to_date = false;
        loop {
            if let Some(steps) = &mut steps {
                steps.borrow_and_update();
            }
            if is_up_to_date {
                self.keeps_up(feed.as_deref()).await?;
            }
            if self.send_some().await? {
                continue;
            }
            is_up_to_date = true;
            let is_over =
                feed.as_ref().is_none_or(|feed| feed.place().is_over && feed.place().seq <= self.at);
            let Some(steps) = steps.as_mut().filter(|_| !is_over) else {
                self.send(&EventMessage::End { last_seq: self.at }).await?;
                return Err(Leave::Close(NORMAL, "the session is over"));
            };
            self.wait(steps).await?;
        }
    }

    /// Whether another server holds the call, and it goes on.
    async fn runs_elsewhere(&self) -> bool {
        let Some(cluster) = self.app.parts.cluster.as_ref() else { return false };
        if self.app.calls.find(self.call).is_some() {
            return false;
        }
        let row = cluster.row(self.call).await.ok().flatten();
        let is_elsewhere = row.is_some_and(|row| row.ended.is_none() && row.node != *cluster.node());
        if is_elsewhere {
            self.app.forget(self.call);
        }
        is_elsewhere
    }

    /// A call of another server: what it tells is in the database a moment later.
    async fn follow_from_afar(&mut self) -> Result<std::convert::Infallible, Leave> {
        let hello = EventMessage::Hello { protocol: 1, session_id: self.call.to_string(), last_seq: 0 };
        self.send(&hello).await?;
        let mut quiet = Duration::ZERO;
        loop {
            // Asked before the look, so that nothing is missed that came in between.
            let goes_on = self.runs_elsewhere().await || self.app.calls.find(self.call).is_some();
            if self.send_some().await? {
                quiet = Duration::ZERO;
                continue;
            }
            if !goes_on {
                self.send(&EventMessage::End { last_seq: self.at }).await?;
                return Err(Leave::Close(NORMAL, "the session is over"));
            }
            let (stop, line) = (&self.stop, &mut self.line);
            tokio::select! {
                left = gone(line) => return Err(left),
                () = stop.cancelled() => return Err(Leave::Close(GOING_AWAY, "the server stops")),
                () = tokio::time::sleep(LOOK_EVERY) => quiet += LOOK_EVERY,
            }
            if quiet >= HEARTBEAT {
                quiet = Duration::ZERO;
                self.send(&EventMessage::Heartbeat { last_seq: self.at }).await?;
            }
        }
    }

    /// Sends what is next, if there is anything.
    async fn send_some(&mut self) -> Result<bool, Leave> {
        let told = history::entries(&self.app, self.call, self.at, BATCH_MAX).await;
        let told = told.map_err(|_| Leave::Close(TRY_AGAIN, "the database does not answer"))?;
        for told in &told {
            if told.seq > self.at + 1 {
                self.send(&EventMessage::Gap { from_seq: self.at + 1, to_seq: told.seq - 1 }).await?;
            }
            self.send(&EventMessage::Event(Event::from(told))).await?;
            self.at = told.seq;
        }
        Ok(!told.is_empty())
    }

    async fn keeps_up(&mut self, feed: Option<&CallFeed>) -> Result<(), Leave> {
        let newest = feed.map_or(0, |feed| feed.place().seq);
        if newest.saturating_sub(self.at) <= BEHIND_MAX {
            return Ok(());
        }
        self.send(&EventMessage::Lagged { after: self.at }).await?;
        Err(Leave::Close(TRY_AGAIN, "too slow"))
    }

    /// Until something happens in the call, or the reader goes.
    async fn wait(
        &mut self,
        steps: &mut tokio::sync::watch::Receiver<crate::server::Place>,
    ) -> Result<(), Leave> {
        let (stop, line) = (&self.stop, &mut self.line);
        let happened = tokio::select! {
            step = steps.changed() => step.map(|()| true).map_err(|_| Leave::Gone),
            left = gone(line) => Err(left),
            () = stop.cancelled() => Err(Leave::Close(GOING_AWAY, "the server stops")),
            () = tokio::time::sleep(HEARTBEAT) => Ok(false),
        }?;
        if !happened {
            self.send(&EventMessage::Heartbeat { last_seq: self.at }).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: &EventMessage) -> Result<(), Leave> {
        let text = serde_json::to_string(message).unwrap_or_default();
        self.line.offer(WireMessage::Text(Text::from(text))).map_err(|_end| Leave::Gone)?;
        let (stop, line) = (&self.stop, &mut self.line);
        let written = poll_fn(|cx| match line.poll_written(cx) {
            // What is not taken yet is waited for; meanwhile the reader may say that they go.
            std::task::Poll::Pending => line.poll(cx).map(|message| message.map(|_ignored| ())),
            ready => ready,
        });
        let written = tokio::select! {
            written = timeout(WRITE_TIMEOUT, written) => written,
            () = stop.cancelled() => return Err(Leave::Close(GOING_AWAY, "the server stops")),
        };
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_end)) => Err(Leave::Gone),
            Err(_late) => Err(Leave::Close(TRY_AGAIN, "too slow")),
        }
    }
}

/// When the reader goes. What they say meanwhile is nothing that anybody waits for.
async fn gone(line: &mut Socket) -> Leave {
    loop {
        let message: Result<WireMessage, LineEnd> = poll_fn(|cx| line.poll(cx)).await;
        if message.is_err() {
            return Leave::Gone;
        }
    }
}
