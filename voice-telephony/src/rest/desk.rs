//! The edge of outbound calls: sends what [`OutboundCall`]s want sent, and brings them what is told.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use voice_core::breaker::BreakerSnapshot;
use voice_core::driver::Clock;
use voice_core::id::{CallId, CarrierId};

use super::HttpSend;
use crate::ask::Ask;
use crate::carrier_error::{CarrierError, Cause};
use crate::limits::OUTBOUND_CALLS_MAX;
use crate::outbound::{
    Act, AttemptKey, End, Gate, Input, Order, OutboundCall, Output, PlaceCalls, Placement, Progress, Route,
    Seen, Told,
};

/// Told of everything that is worth telling about a call, in order. It must not block.
pub type Observe = Arc<dyn Fn(CallId, &Progress) + Send + Sync>;

/// Places calls at carriers, and keeps those that are under way.
///
/// [`Self::place`] answers a future, to be spawned; webhooks are brought in by [`Self::tell`], which says
/// whether a call that was answered is to be given the voice. From there on it is a call like any other:
/// answer the webhook with a media stream, and say when its audio is over ([`Self::media_over`]).
///
/// ```no_run
/// use std::num::NonZeroU32;
/// use std::sync::Arc;
/// use voice_core::breaker::{Breaker, BreakerConfig};
/// use voice_core::driver::Clock;
/// use voice_core::id::CarrierId;
/// use voice_telephony::outbound::{Gate, Order};
/// use voice_telephony::rest::{Desk, Rest};
/// use voice_telephony::twilio::outbound::TwilioOutbound;
/// use voice_telephony::twilio::rest::TwilioApi;
///
/// async fn call(api: TwilioApi, order: Order) -> Result<(), Box<dyn std::error::Error>> {
///     let twilio = Arc::new(TwilioOutbound::new(api, "https://voice.example/hooks/twilio"));
///     let gate = Gate::new(Breaker::new(BreakerConfig::default(), 1), NonZeroU32::MIN);
///     let observe = Arc::new(|call, progress: &_| println!("{call}: {progress:?}"));
///     let desk = Desk::new(Arc::new(Rest::new()?), Clock::start(), observe);
///     let desk = Arc::new(desk.with_carrier(CarrierId::from_static("twilio"), twilio, gate));
///     let end = desk.place(order)?.run().await;
///     println!("{}", end.name());
///     Ok(())
/// }
/// ```
pub struct Desk {
    http: Arc<dyn HttpSend>,
    clock: Clock,
    observe: Observe,
    carriers: BTreeMap<CarrierId, Carrier>,
    /// A lock, because webhooks look up calls: held to find, add or remove one, never over an await.
    calls: Mutex<BTreeMap<CallId, Arc<Slot>>>,
}

struct Carrier {
    port: Arc<dyn PlaceCalls>,
    /// A lock, because all calls share the pace and the breaker: held to ask or tell it, never over an
    /// await.
    gate: Mutex<Gate>,
}

/// One call under way.
struct Slot {
    /// A lock, because a webhook wants its answer at once and does not wait for the call's task: held for
    /// one input or output, never over an await.
    call: Mutex<OutboundCall>,
    /// Tells the task that a webhook has changed something.
    wake: Notify,
}

/// More calls than a desk follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls are being placed")]
pub struct DeskFull;

/// A call that is being placed, to be run to its end: spawn [`Self::run`].
#[must_use = "the call is placed by running this"]
pub struct Placing {
    desk: Arc<Desk>,
    slot: Arc<Slot>,
    call: CallId,
}

type Pending = Pin<Box<dyn Future<Output = Input> + Send>>;

impl Desk {
    /// A desk without carriers.
    pub fn new(http: Arc<dyn HttpSend>, clock: Clock, observe: Observe) -> Self {
        Self { http, clock, observe, carriers: BTreeMap::new(), calls: Mutex::default() }
    }

    /// Adds a carrier under the name by which [`Route`]s call it.
    #[must_use]
    pub fn with_carrier(mut self, id: CarrierId, port: Arc<dyn PlaceCalls>, gate: Gate) -> Self {
        self.carriers.insert(id, Carrier { port, gate: Mutex::new(gate) });
        self
    }

    /// Whether there is a carrier of this name.
    pub fn has_carrier(&self, id: &CarrierId) -> bool {
        self.carriers.contains_key(id)
    }

    /// How the breaker in front of a carrier stands, for people and dashboards; `None` for a carrier that nobody
    /// added.
    pub fn breaker(&self, id: &CarrierId) -> Option<BreakerSnapshot> {
        Some(self.carriers.get(id)?.gate().snapshot(self.clock.now()))
    }

    /// Takes an order. Nothing happens before the answer is run.
    ///
    /// # Errors
    /// If as many calls are being placed as can be followed ([`OUTBOUND_CALLS_MAX`]).
    pub fn place(self: &Arc<Self>, order: Order) -> Result<Placing, DeskFull> {
        let call = order.call;
        let now = self.clock.now();
        let mut calls = self.calls();
        if calls.len() >= OUTBOUND_CALLS_MAX {
            return Err(DeskFull);
        }
        let outbound = OutboundCall::new(now, self.clock.unix(now), order);
        let slot = Arc::new(Slot { call: Mutex::new(outbound), wake: Notify::new() });
        calls.insert(call, slot.clone());
        Ok(Placing { desk: self.clone(), slot, call })
    }

    /// Brings what a carrier told, from a verified webhook. The answer is whether the call should be
    /// given the voice if it was answered: a call that was given up, canceled, or that nobody knows
    /// should be hung up instead.
    pub fn tell(&self, key: AttemptKey, told: Told) -> bool {
        let Some(slot) = self.slot(key.call) else { return false };
        let mut call = slot.call();
        let is_welcome = call.is_welcome(key.attempt);
        call.handle(self.clock.now(), Input::Told(key.attempt, told));
        slot.wake.notify_one();
        is_welcome
    }

    /// The audio of a call is over. Does nothing for calls of others.
    pub fn media_over(&self, call: CallId) {
        self.input(call, Input::MediaOver);
    }

    /// Ends a call, whether it was answered or not. Answers whether there is one.
    pub fn hang_up(&self, call: CallId) -> bool {
        self.input(call, Input::HangUp)
    }

    /// Ends all calls that nobody has answered yet: the webhooks that would tell so are about to go
    /// unheard.
    pub fn hang_up_unanswered(&self) {
        let slots: Vec<Arc<Slot>> = self.calls().values().cloned().collect();
        for slot in slots {
            let mut call = slot.call();
            if !call.is_answered() {
                call.handle(self.clock.now(), Input::HangUp);
                slot.wake.notify_one();
            }
        }
    }

    fn input(&self, call: CallId, input: Input) -> bool {
        let Some(slot) = self.slot(call) else { return false };
        slot.call().handle(self.clock.now(), input);
        slot.wake.notify_one();
        true
    }

    fn slot(&self, call: CallId) -> Option<Arc<Slot>> {
        self.calls().get(&call).cloned()
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<CallId, Arc<Slot>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(&self, ask: &Ask<T>) -> Result<T, CarrierError> {
        ask.read(&self.http.send(ask.request().clone()).await?)
    }

    async fn place_at(&self, slot: &Slot, id: CarrierId, ask: Ask<String>) -> Result<String, CarrierError> {
        let carrier = self.carriers.get(&id).ok_or_else(no_carrier)?;
        let entry = carrier.gate().enter(self.clock.now())?;
        tokio::time::sleep_until(self.clock.instant(entry.at)).await;
        // It may have waited its turn for a while, and nobody may want it any more.
        let outcome = if slot.call().is_wanted() {
            self.ask(&ask).await
        } else {
            Err(CarrierError::refused(Cause::CallGone, Some("canceled")))
        };
        carrier.gate().settle(self.clock.now(), entry, &outcome);
        outcome
    }

    /// Calls that belong to other orders are not what is looked for.
    fn found(&self, slot: &Slot, attempt: u32, mut found: Result<Vec<Seen>, CarrierError>) {
        // Under one lock from the question to the answer, or two orders could take the same call.
        let calls = self.calls();
        if let Ok(seen) = &mut found {
            seen.retain(|one| !calls.values().any(|slot| slot.call().owns(&one.carrier_call)));
        }
        slot.call().handle(self.clock.now(), Input::Found(attempt, found));
    }
}

impl Placing {
    /// Runs the call to its end, and answers how it ended.
    pub async fn run(self) -> End {
        let clock = self.desk.clock;
        let mut asked: FuturesUnordered<Pending> = FuturesUnordered::new();
        loop {
            let output = self.slot.call().poll();
            match output {
                Output::Report(progress) => (self.desk.observe)(self.call, &progress),
                Output::Place(attempt, route) => asked.push(self.place(attempt, &route)),
                Output::Look(attempt, route) => asked.push(self.look(attempt, &route)),
                Output::Act(attempt, carrier, call, act) => {
                    asked.push(self.act(attempt, carrier, call, act));
                }
                Output::Finished(end) if asked.is_empty() => return end,
                Output::Finished(_) => {
                    // What is under way, a stray being hung up perhaps, comes to its end.
                    if let Some(input) = asked.next().await {
                        self.handle(input);
                    }
                }
                Output::WaitUntil(at) => {
                    let input = tokio::select! {
                        Some(input) = asked.next(), if !asked.is_empty() => input,
                        () = self.slot.wake.notified() => Input::Tick,
                        () = tokio::time::sleep_until(clock.instant(at)) => Input::Tick,
                    };
                    self.handle(input);
                }
            }
        }
    }

    fn handle(&self, input: Input) {
        match input {
            Input::Found(attempt, found) => self.desk.found(&self.slot, attempt, found),
            input @ (Input::Placed(..)
            | Input::Acted(..)
            | Input::Told(..)
            | Input::MediaOver
            | Input::HangUp
            | Input::Tick) => self.slot.call().handle(self.desk.clock.now(), input),
        }
    }

    fn place(&self, attempt: u32, route: &Route) -> Pending {
        let (desk, id, slot) = (self.desk.clone(), route.carrier.clone(), self.slot.clone());
        let ask = self.with_port(attempt, route, |port, placement| port.place(placement));
        Box::pin(async move {
            let outcome = match ask {
                Some(ask) => desk.place_at(&slot, id, ask).await,
                None => Err(no_carrier()),
            };
            Input::Placed(attempt, outcome)
        })
    }

    fn look(&self, attempt: u32, route: &Route) -> Pending {
        let desk = self.desk.clone();
        let ask = self.with_port(attempt, route, |port, placement| port.look(placement));
        Box::pin(async move {
            let outcome = match ask {
                Some(ask) => desk.ask(&ask).await,
                None => Err(no_carrier()),
            };
            Input::Found(attempt, outcome)
        })
    }

    fn act(&self, attempt: u32, carrier: CarrierId, call: String, act: Act) -> Pending {
        let desk = self.desk.clone();
        Box::pin(async move {
            let ask = desk.carriers.get(&carrier).and_then(|carrier| carrier.port.act(&call, &act));
            let outcome = match ask {
                Some(ask) => desk.ask(&ask).await,
                None => Err(no_carrier()),
            };
            Input::Acted(attempt, act, outcome)
        })
    }

    fn with_port<T>(
        &self,
        attempt: u32,
        route: &Route,
        ask: impl FnOnce(&dyn PlaceCalls, Placement<'_>) -> Ask<T>,
    ) -> Option<Ask<T>> {
        let carrier = self.desk.carriers.get(&route.carrier)?;
        // A port is foreign code, and is not asked under a lock.
        let (key, order) = {
            let call = self.slot.call();
            (call.key(attempt), call.order().clone())
        };
        Some(ask(carrier.port.as_ref(), Placement { key, order: &order, from: &route.from }))
    }
}

/// Also when the task is dropped in mid-call: nobody would move the call on.
impl Drop for Placing {
    fn drop(&mut self) {
        self.desk.calls().remove(&self.call);
    }
}

impl Slot {
    fn call(&self) -> MutexGuard<'_, OutboundCall> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Carrier {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A route to a carrier that nobody set up.
fn no_carrier() -> CarrierError {
    CarrierError::refused(Cause::Credentials, Some("no_such_carrier"))
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("calls", &self.calls().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Placing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Placing({})", self.call)
    }
}
