//! The edge of transfers: sends what [`Transfer`]s want sent, and brings them what is told.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use voice_core::driver::Clock;
use voice_core::id::CarrierId;
use voice_core::transfer::{TransferFailure, TransferId, TransferNews};

use super::HttpSend;
use crate::ask::Ask;
use crate::carrier_error::{CarrierError, Cause};
use crate::limits::TRANSFERS_MAX;
use crate::transfer::{Act, Input, LeadCalls, LegNews, Output, Plan, Scene, Transfer, TransferKey};

/// Told how a transfer goes, in order: bring it to the call as `Control::Transferred`. It must not block.
pub type Listen = Arc<dyn Fn(TransferNews) + Send + Sync>;

/// Leads callers to somebody else, and keeps the transfers that are under way.
///
/// [`Self::begin`] answers a future, to be spawned; webhooks of its legs are brought in by [`Self::told`].
///
/// ```no_run
/// use std::sync::Arc;
/// use voice_core::call::Control;
/// use voice_core::driver::{CallHandle, Clock};
/// use voice_core::id::CarrierId;
/// use voice_core::transfer::{Operation, TransferKind, TransferOrder};
/// use voice_telephony::number::E164;
/// use voice_telephony::rest::{Rest, TransferDesk};
/// use voice_telephony::transfer::{Plan, TransferKey};
/// use voice_telephony::twilio::rest::TwilioApi;
/// use voice_telephony::twilio::transfer::TwilioLead;
///
/// /// What an embedder's `Operate` does with what a call wants.
/// fn operate(desk: &Arc<TransferDesk>, call: &CallHandle, caller: &str, ours: E164, wants: Operation) {
///     match wants {
///         Operation::Transfer(transfer, order) => {
///             let key = TransferKey { call: call.id(), transfer };
///             let plan = Plan { key, caller: caller.to_owned(), from: ours, order };
///             let call = call.clone();
///             let listen = Arc::new(move |news| {
///                 call.control(Control::Transferred(transfer, news));
///             });
///             tokio::spawn(desk.begin(&CarrierId::from_static("twilio"), plan, listen).run());
///         }
///         Operation::Proceed(transfer) => desk.proceed(TransferKey { call: call.id(), transfer }),
///         Operation::Withdraw(transfer) => desk.withdraw(TransferKey { call: call.id(), transfer }),
///         _ => {}
///     }
/// }
///
/// fn desk(api: TwilioApi) -> Result<Arc<TransferDesk>, Box<dyn std::error::Error>> {
///     let lead = TwilioLead::new(api, "https://voice.example/hooks/twilio");
///     let desk = TransferDesk::new(Arc::new(Rest::new()?), Clock::start());
///     Ok(Arc::new(desk.with_carrier(CarrierId::from_static("twilio"), Arc::new(lead))))
/// }
///
/// /// By whomever it is wished: an operator, the embedder, a tool of the voice.
/// fn wish(call: &CallHandle) -> bool {
///     let order = TransferOrder::new(TransferKind::Warm, "support", "+15005550006");
///     call.control(Control::Transfer(order))
/// }
/// ```
pub struct TransferDesk {
    http: Arc<dyn HttpSend>,
    clock: Clock,
    carriers: BTreeMap<CarrierId, Arc<dyn LeadCalls>>,
    /// A lock, because webhooks look up transfers: held to find, add or remove one, never over an await.
    slots: Mutex<BTreeMap<TransferKey, Arc<Slot>>>,
}

/// One transfer under way.
struct Slot {
    plan: Plan,
    port: Arc<dyn LeadCalls>,
    /// A lock, because a webhook wants its answer at once and does not wait for the transfer's task: held
    /// for one input or output, never over an await.
    transfer: Mutex<Transfer>,
    /// Tells the task that a webhook has changed something.
    wake: Notify,
}

/// A transfer, to be run to its end: spawn [`Self::run`].
#[must_use = "the transfer happens by running this"]
pub struct Leading {
    desk: Arc<TransferDesk>,
    listen: Listen,
    /// `None` if it failed before it began.
    slot: Option<Arc<Slot>>,
}

type Pending = Pin<Box<dyn Future<Output = Input> + Send>>;

impl TransferDesk {
    /// A desk without carriers.
    pub fn new(http: Arc<dyn HttpSend>, clock: Clock) -> Self {
        Self { http, clock, carriers: BTreeMap::new(), slots: Mutex::default() }
    }

    /// Adds a carrier.
    #[must_use]
    pub fn with_carrier(mut self, id: CarrierId, port: Arc<dyn LeadCalls>) -> Self {
        self.carriers.insert(id, port);
        self
    }

    /// Begins a transfer at the carrier of the caller's leg. Nothing happens before the answer is run. What
    /// cannot be done (no such carrier, [`TRANSFERS_MAX`] under way) is told as a failure, too.
    pub fn begin(self: &Arc<Self>, carrier: &CarrierId, plan: Plan, listen: Listen) -> Leading {
        let key = plan.key;
        let port = self.carriers.get(carrier).cloned();
        let mut slots = self.slots();
        let slot = port.filter(|_| slots.len() < TRANSFERS_MAX && !slots.contains_key(&key)).map(|port| {
            let transfer = Transfer::new(self.clock.now(), &plan.order, port.abilities());
            Arc::new(Slot { plan, port, transfer: Mutex::new(transfer), wake: Notify::new() })
        });
        let mut older = Vec::new();
        if let Some(slot) = &slot {
            let first = TransferKey { call: key.call, transfer: TransferId(0) };
            older.extend(slots.range(first..key).map(|(_, slot)| slot.clone()));
            slots.insert(key, slot.clone());
        }
        drop(slots);
        for slot in older {
            slot.handle(self.clock, Input::Superseded);
        }
        Leading { desk: self.clone(), listen, slot }
    }

    /// Nothing is in the way of joining the two any more.
    pub fn proceed(&self, key: TransferKey) {
        if let Some(slot) = self.slot(key) {
            slot.handle(self.clock, Input::Proceed);
        }
    }

    /// Nobody wants a transfer any more.
    pub fn withdraw(&self, key: TransferKey) {
        if let Some(slot) = self.slot(key) {
            slot.handle(self.clock, Input::Withdraw);
        }
    }

    /// Brings what a carrier told of a leg, from a verified webhook, and answers what a leg that asks should
    /// do, and in which plan. `None` of a transfer that nobody knows: its leg should be ended.
    pub fn told(&self, key: TransferKey, leg: String, news: LegNews) -> Option<(Scene, Plan)> {
        let slot = self.slot(key)?;
        slot.handle(self.clock, Input::Told(leg, news));
        let scene = slot.transfer().scene();
        Some((scene, slot.plan.clone()))
    }

    fn slot(&self, key: TransferKey) -> Option<Arc<Slot>> {
        self.slots().get(&key).cloned()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<TransferKey, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leading {
    /// Runs the transfer until nothing of it is left.
    pub async fn run(self) {
        let Some(slot) = self.slot.clone() else {
            return (self.listen)(TransferNews::Failed(TransferFailure::Unsupported));
        };
        let clock = self.desk.clock;
        let mut asked: FuturesUnordered<Pending> = FuturesUnordered::new();
        loop {
            let output = slot.transfer().poll();
            match output {
                Output::Tell(news) => (self.listen)(news),
                Output::Dial => asked.push(self.dial(&slot)),
                Output::Find => asked.push(self.find(&slot)),
                Output::Act(act) => asked.extend(self.act(&slot, act)),
                Output::Finished if asked.is_empty() => return,
                Output::Finished => {
                    if let Some(input) = asked.next().await {
                        slot.transfer().handle(clock.now(), input);
                    }
                }
                Output::WaitUntil(at) => {
                    let input = tokio::select! {
                        Some(input) = asked.next(), if !asked.is_empty() => input,
                        () = slot.wake.notified() => Input::Tick,
                        () = tokio::time::sleep_until(clock.instant(at)) => Input::Tick,
                    };
                    // Not through the slot, which would wake this very loop again.
                    slot.transfer().handle(clock.now(), input);
                }
            }
        }
    }

    fn dial(&self, slot: &Slot) -> Pending {
        let ask = slot.port.dial(&slot.plan);
        let http = self.desk.http.clone();
        Box::pin(async move {
            // Nobody can be called at such an address.
            let Some(ask) = ask else {
                return Input::Dialled(Err(CarrierError::refused(Cause::Number, None)));
            };
            Input::Dialled(send(http.as_ref(), &ask).await)
        })
    }

    fn find(&self, slot: &Slot) -> Pending {
        let ask = slot.port.room(&slot.plan);
        let http = self.desk.http.clone();
        Box::pin(async move {
            let Some(ask) = ask else { return Input::Found(Ok(None)) };
            Input::Found(send(http.as_ref(), &ask).await)
        })
    }

    fn act(&self, slot: &Slot, act: Act) -> Option<Pending> {
        let leg = slot.transfer().leg().map(str::to_owned);
        let ask = slot.port.act(&slot.plan, leg.as_deref(), act)?;
        let http = self.desk.http.clone();
        Some(Box::pin(async move { Input::Acted(act, send(http.as_ref(), &ask).await) }))
    }
}

async fn send<T>(http: &dyn HttpSend, ask: &Ask<T>) -> Result<T, CarrierError> {
    ask.read(&http.send(ask.request().clone()).await?)
}

/// Also when the task is dropped in the middle: nobody would move the transfer on.
impl Drop for Leading {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            self.desk.slots().remove(&slot.plan.key);
        }
    }
}

impl Slot {
    /// From outside: whoever runs the transfer looks again.
    fn handle(&self, clock: Clock, input: Input) {
        self.transfer().handle(clock.now(), input);
        self.wake.notify_one();
    }

    fn transfer(&self) -> MutexGuard<'_, Transfer> {
        self.transfer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TransferDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferDesk").field("transfers", &self.slots().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Leading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leading").field("key", &self.slot.as_ref().map(|slot| slot.plan.key)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use tokio::sync::mpsc;
    use voice_core::id::CallId;
    use voice_core::sensitive::Secret;
    use voice_core::transfer::{TransferKind, TransferOrder};

    use super::*;
    use crate::carrier_error::Reach;
    use crate::rest::RestError;
    use crate::transfer::{Abilities, Conferences};
    use crate::twilio::rest::{Credentials, TwilioApi};
    use crate::twilio::transfer::TwilioLead;

    /// A carrier that never answers.
    struct Deaf;

    #[async_trait::async_trait]
    impl HttpSend for Deaf {
        async fn send(&self, _request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
            std::future::pending().await
        }
    }

    /// A carrier whose conferences are looked for.
    struct Rooms;

    impl LeadCalls for Rooms {
        fn dial(&self, _plan: &Plan) -> Option<Ask<String>> {
            None
        }

        fn act(&self, _plan: &Plan, _leg: Option<&str>, _act: Act) -> Option<Ask<()>> {
            None
        }

        fn abilities(&self) -> Abilities {
            Abilities { conferences: Conferences::ByLooking, tells_bridged: true }
        }
    }

    #[tokio::test]
    async fn a_later_transfer_of_the_call_ends_the_search_of_the_one_before() {
        let carrier = CarrierId::from_static("telnyx");
        for later_call in [1, 2] {
            let desk = TransferDesk::new(Arc::new(Deaf), Clock::start());
            let desk = Arc::new(desk.with_carrier(carrier.clone(), Arc::new(Rooms)));
            let begin = |call, transfer| {
                let key = TransferKey { call: CallId::from_u128(call), transfer: TransferId(transfer) };
                let order = TransferOrder::new(TransferKind::Conference, "conference", "board room");
                let plan =
                    Plan { key, caller: "v3:1".to_owned(), from: "+15005550009".parse().unwrap(), order };
                desk.begin(&carrier, plan, Arc::new(|_| ()))
            };
            let first = begin(1, 1);
            let slot = first.slot.clone().expect("it is under way");
            let lost = || Input::Acted(Act::Join, Err(CarrierError::unanswered(Reach::Unknown)));
            let so_far = [Input::Found(Ok(None)), Input::Proceed, lost(), lost(), lost(), lost()];
            so_far.into_iter().for_each(|input| slot.handle(desk.clock, input));
            let later = begin(later_call, 2);
            slot.handle(desk.clock, Input::Found(Ok(Some("conference-7".to_owned()))));
            let told: Vec<Output> = (0..16).map(|_| slot.transfer().poll()).collect();
            let is_led_out = told.contains(&Output::Act(Act::BringBack));
            assert_eq!(is_led_out, later_call != 1, "{told:?}");
            drop((first, later));
        }
    }

    /// The clock goes on only while nothing has anything to do: a task that wakes itself would stop it.
    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_waits_leaves_the_machine_alone() {
        let credentials = Credentials::AuthToken(Secret::new("token".to_owned()));
        let api = TwilioApi::new("AC00112233445566778899aabbccddeeff".parse().unwrap(), credentials);
        let carrier = CarrierId::from_static("twilio");
        let lead = Arc::new(TwilioLead::new(api, "https://voice.example/hooks/twilio"));
        let desk =
            Arc::new(TransferDesk::new(Arc::new(Deaf), Clock::start()).with_carrier(carrier.clone(), lead));
        let key = TransferKey { call: CallId::from_u128(1), transfer: TransferId(1) };
        let order = TransferOrder::new(TransferKind::Warm, "support", "+15005550006");
        let plan = Plan { key, caller: "CA1".to_owned(), from: "+15005550009".parse().unwrap(), order };
        let (tell, mut told) = mpsc::channel(8);
        let listen = Arc::new(move |news| tell.try_send(news).unwrap_or_default());
        tokio::spawn(desk.begin(&carrier, plan, listen).run());
        tokio::time::sleep(Duration::from_millis(1)).await;
        // News from outside wake it, once.
        desk.told(key, "CA2".to_owned(), LegNews::Key(None));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(matches!(told.recv().await, Some(TransferNews::Failed(_))));
        assert!(told.try_recv().is_err(), "told once");
    }
}
