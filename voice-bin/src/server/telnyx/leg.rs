//! The task of one call over Telnyx: sends what its control wants sent, and brings it what comes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use voice_core::call::Control;
use voice_core::carrier::CarrierEnd;
use voice_core::id::CallId;
use voice_core::record::EndReason;
use voice_core::time::MonoTime;
use voice_telephony::legs::Leg as SignedLeg;
use voice_telephony::limits::TICKET_LIFETIME;
use voice_telephony::rest::HttpSend;
use voice_telephony::telnyx::{
    Answer, Api, CARRIER, CallControl, CallControlId, CommandError, CommandId, ControlEvent, ControlInput,
    ControlOutput, End, Order, read_answer,
};

use super::super::{App, Grant};
use super::{Entry, Facts, LegLine, Word};
use crate::random::random;
use crate::recovery;

/// How often a call whose media does not come is looked for at other servers.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// From the end of a call until its conversation is ended, if the media socket has not ended it: that
/// end and the event race each other, and the first says more.
const SOCKET_GRACE: Duration = Duration::from_millis(300);

type Asked = Pin<Box<dyn Future<Output = (CommandId, Result<Answer, CommandError>)> + Send>>;

/// One call, while we command it.
pub(super) struct Leg {
    app: Arc<App>,
    control: CallControl,
    name: CallControlId,
    facts: Facts,
    line: LegLine,
    words: mpsc::Receiver<Word>,
    rest: (Api, Arc<dyn HttpSend>),
    asked: FuturesUnordered<Asked>,
    /// The conversation that runs.
    media: Option<CallId>,
    /// The last media socket that a ticket was signed for.
    number: u32,
    /// Last, so that the call is in the table as long as anything of it is.
    _place: Entry,
}

/// How a call's task came to its end.
enum Over {
    /// The call is over.
    Ended(End),
    /// Somebody else leads it.
    Released,
    /// The server stops.
    Left,
}

impl Leg {
    pub(super) fn new(
        app: Arc<App>,
        place: Entry,
        (control, name, facts): (CallControl, CallControlId, Facts),
        (line, words): (LegLine, mpsc::Receiver<Word>),
        rest: (Api, Arc<dyn HttpSend>),
    ) -> Self {
        let asked = FuturesUnordered::new();
        Self { app, control, name, facts, line, words, rest, asked, media: None, number: 0, _place: place }
    }

    /// Until the call is over.
    pub(super) async fn run(mut self, closing: CancellationToken) {
        if let Some(cluster) = &self.app.parts.cluster {
            cluster.take_leg(self.name.as_str()).await;
        }
        let over = self.command(closing).await;
        self.app.calls.give_up(self.name.as_str());
        self.end_conversation().await;
        let Facts { call, correlation, is_ours, .. } = &self.facts;
        match over {
            // Its messages are the desk's business now.
            Over::Released => {}
            Over::Ended(end) => {
                info!(%correlation, %call, end = ?end, "call over Telnyx is over");
                if let Some(cluster) = &self.app.parts.cluster {
                    cluster.drop_leg(self.name.as_str()).await;
                }
                recovery::close(&self.app, *call, EndReason::Carrier(CarrierEnd::Stopped));
                if *is_ours {
                    self.app.outbound.media_over(*call);
                }
            }
            Over::Left => info!(%correlation, %call, "the server stops before the end of the call was told"),
        }
    }

    async fn command(&mut self, closing: CancellationToken) -> Over {
        let clock = self.app.parts.world.clock;
        let mut is_closing = false;
        loop {
            let until = match self.control.poll() {
                ControlOutput::Send(order) => {
                    self.send(order);
                    continue;
                }
                ControlOutput::NeedTicket(_) => {
                    self.ticket();
                    continue;
                }
                ControlOutput::Event(event) => {
                    self.note(&event);
                    continue;
                }
                // Calls of ours are dialled by the desk.
                ControlOutput::Dial { .. } => continue,
                ControlOutput::Finished(end) => return Over::Ended(end),
                ControlOutput::WaitUntil(until) => until,
            };
            if is_closing && self.asked.is_empty() {
                return Over::Left;
            }
            let alarm = async {
                match until {
                    Some(at) => tokio::time::sleep_until(clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((id, answer)) = self.asked.next(), if !self.asked.is_empty() => {
                    self.control.handle(clock.now(), ControlInput::Answer(id, answer));
                }
                Some(word) = self.words.recv() => {
                    if self.hear(clock.now(), word) {
                        return Over::Released;
                    }
                }
                () = found_elsewhere(&self.app, &self.name, self.facts.call), if self.may_be_elsewhere() => {
                    return Over::Released;
                }
                () = closing.cancelled(), if !is_closing => {
                    is_closing = true;
                    self.control.handle(clock.now(), ControlInput::HangUp);
                }
                () = alarm => self.control.handle(clock.now(), ControlInput::Tick),
            }
        }
    }

    /// A ticket was given out, and whoever came with it came to another server, perhaps.
    fn may_be_elsewhere(&self) -> bool {
        self.app.parts.cluster.is_some() && self.media.is_none() && self.number > 0
    }

    /// Whether that was the last one.
    fn hear(&mut self, now: MonoTime, word: Word) -> bool {
        match word {
            Word::Event(webhook) => self.control.handle(now, ControlInput::Webhook(&webhook)),
            Word::MediaUp(call) => {
                self.media = Some(call);
                self.control.handle(now, ControlInput::MediaUp);
            }
            // The caller is somebody else's: their leg ends with the one that it is joined with, or is ended once
            // it has left its conference (`recovery/led.rs`).
            Word::MediaOver(Some(EndReason::Transfer { .. })) => {
                self.media = None;
                return true;
            }
            Word::MediaOver(end) => {
                self.media = None;
                if self.app.calls.is_handing_over() {
                    return true;
                }
                // What the carrier ended may be a call that ended, or a socket that broke.
                let is_lost = matches!(end, Some(EndReason::Carrier(_)));
                let input = if is_lost { ControlInput::MediaDown } else { ControlInput::HangUp };
                self.control.handle(now, input);
            }
            Word::NoPlace => self.control.handle(now, ControlInput::HangUp),
            Word::Release => return true,
        }
        false
    }

    fn send(&self, order: Order) {
        let (api, http) = &self.rest;
        let (request, http, id) = (api.request(&order), http.clone(), order.id);
        self.asked.push(Box::pin(async move {
            let answer = match http.send(request).await {
                Ok(response) => read_answer(&response),
                Err(_no_answer) => Err(CommandError::unreachable()),
            };
            (id, answer)
        }));
    }

    /// A place and a ticket for the next media socket. Without them the call cannot go on.
    fn ticket(&mut self) {
        let now = self.app.parts.world.clock.now();
        let name = self.name.as_str();
        let correlation = &self.facts.correlation;
        let (Some(random), true) = (random(), self.app.calls.keep(now, name)) else {
            warn!(%correlation, "a call is hung up: there is no place for it any more");
            return self.control.handle(now, ControlInput::HangUp);
        };
        // A stream that breaks does not end the conversation: the next one goes on with it.
        let Facts { call, correlation, from, to, .. } = self.facts.clone();
        if let (Some(key), true) = (self.app.telnyx.key(), self.app.parts.cluster.is_some()) {
            let past = self.app.pasts.look(call).map_or(0, |known| known.past.leg());
            self.number = past.max(self.number).saturating_add(1);
            // Addresses are written into logs on their way: numbers stay here, for whoever asks.
            let (number, nobody) = (self.number, || String::new().into());
            let signed = SignedLeg { call, number, correlation, from: nobody(), to: nobody() };
            let clock = self.app.parts.world.clock;
            let ticket = key.sign(CARRIER, name, clock.wall() + TICKET_LIFETIME, &signed);
            return self.control.handle(now, ControlInput::Ticket(&ticket));
        }
        let leg = Some(self.line.clone());
        let ticket = self.app.issue(name, random, Grant { call, correlation, from, to, leg });
        self.control.handle(now, ControlInput::Ticket(&ticket));
    }

    fn note(&self, event: &ControlEvent) {
        let Facts { call, correlation, .. } = &self.facts;
        if let ControlEvent::Status(status, reason) = event {
            self.app.statuses.carrier_says(*call, *status, *reason);
        }
        if *event == ControlEvent::Restarting {
            warn!(%correlation, %call, "the media stream of a call broke, and is started again");
        } else {
            debug!(%correlation, %call, ?event, "call over Telnyx");
        }
    }

    /// The conversation ends with its call, whatever the media socket thinks.
    async fn end_conversation(&mut self) {
        let clock = self.app.parts.world.clock;
        // No socket is let in from here on.
        self.words.close();
        while let Some(word) = self.words.recv().await {
            match word {
                Word::MediaUp(call) => self.media = Some(call),
                Word::MediaOver(_) => self.media = None,
                Word::Event(_) | Word::NoPlace | Word::Release => {}
            }
        }
        let Some(call) = self.media else { return };
        tokio::time::sleep_until(clock.instant(clock.now() + SOCKET_GRACE)).await;
        if let Some(conversation) = self.app.calls.find(call) {
            conversation.control(Control::HangUp);
        }
    }
}

/// Returns once another server has the call. Only what the database or Redis say of another one counts.
async fn found_elsewhere(app: &App, name: &CallControlId, call: CallId) {
    let Some(cluster) = &app.parts.cluster else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let commands = cluster.leg(name.as_str()).await;
        if commands.is_some_and(|node| node != *cluster.node()) {
            return;
        }
        // Redis may not have heard.
        let row = cluster.row(call).await.ok().flatten();
        if row.is_some_and(|row| row.node != *cluster.node() && row.ended.is_none()) {
            return;
        }
    }
}
