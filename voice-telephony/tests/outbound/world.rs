//! Two fake carriers, the orders of one server, and virtual time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use voice_core::id::{CallId, CarrierId};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{CallerOutput, FakeCaller};
use voice_core::sim::rng::Rng;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, EndpointKind};
use voice_telephony::ask::Ask;
use voice_telephony::carrier_error::{CarrierError, Reach};
use voice_telephony::outbound::{
    Act, AttemptKey, End, Entry, Gate, InARow, Input, Order, OutboundCall, Output, PlaceCalls, Placement,
    Progress, Route, Seen, Told,
};
use voice_telephony::sim::{ApiEffect, ApiRudeness, FakeTwilioApi, FakeTwilioCall, TwilioApiPlan};
use voice_telephony::twilio::outbound::{TwilioOutbound, told};
use voice_telephony::twilio::rest::{Credentials, TwilioApi};
use voice_telephony::twilio::{Tokens, TwilioWebhook};
use voice_telephony::webhook::{RawRequest, verify};

pub(crate) const UNIX: UnixMillis = UnixMillis(1_795_255_200_000);

const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";
const TOKEN: &str = "5a1c0de5a1c0de5a1c0de5a1c0de5a1c";
const WEBHOOK: &str = "https://voice.example.test/hooks/twilio";

/// What is done on the way to an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one order told.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) told: Vec<Progress>,
    pub(crate) ends: Vec<End>,
    /// Conversations that began.
    pub(crate) talks: u32,
    pub(crate) messages: Vec<String>,
    pub(crate) is_finished: bool,
}

struct Carrier {
    id: CarrierId,
    api: FakeTwilioApi,
    port: TwilioOutbound,
    gate: Gate,
}

/// A request under way.
enum Asked {
    Place(Ask<String>, Entry),
    Look(Ask<Vec<Seen>>),
    Act(Ask<()>, Act),
}

enum Due {
    Send {
        order: usize,
        attempt: u32,
        carrier: usize,
        asked: Box<Asked>,
    },
    GiveUp(u64),
    /// The callee or the voice hangs up.
    TalkOver {
        order: usize,
        carrier: usize,
        call: String,
    },
    Cancel(usize),
}

pub(crate) struct World {
    pub(crate) now: MonoTime,
    carriers: Vec<Carrier>,
    orders: Vec<OutboundCall>,
    pub(crate) stories: Vec<Story>,
    exchanges: BTreeMap<u64, (usize, u32, usize, Asked)>,
    next_exchange: u64,
    due: Vec<(MonoTime, Due)>,
    rng: Rng,
}

impl World {
    /// Two carriers, `one` and `two`, each as rude as told.
    pub(crate) fn new(seed: u64, rudeness: [Vec<ApiRudeness>; 2], chance: u64) -> Self {
        let mut rng = Rng::new(seed);
        let carriers = ["one", "two"]
            .into_iter()
            .zip(rudeness)
            .map(|(name, rudeness)| {
                let token = Secret::new(TOKEN.to_owned());
                let plan = TwilioApiPlan::new(ACCOUNT, token.clone());
                let api = FakeTwilioApi::new(TwilioApiPlan {
                    rudeness,
                    chance,
                    seed: rng.bits(),
                    unix: UNIX,
                    ..plan
                });
                let account = ACCOUNT.parse().expect("a sid");
                let port = TwilioApi::new(account, Credentials::AuthToken(token));
                let rate = NonZeroU32::new(5).expect("not zero");
                Carrier {
                    id: CarrierId::from_static(name),
                    api,
                    port: TwilioOutbound::new(port, WEBHOOK),
                    gate: Gate::new(Box::new(InARow::default()), rate),
                }
            })
            .collect();
        Self {
            now: MonoTime::ZERO,
            carriers,
            orders: Vec::new(),
            stories: Vec::new(),
            exchanges: BTreeMap::new(),
            next_exchange: 0,
            due: Vec::new(),
            rng,
        }
    }

    pub(crate) fn order(number: u128, voicemail: voice_telephony::outbound::Voicemail) -> Order {
        let route = |name, from: &str| Route {
            carrier: CarrierId::from_static(name),
            from: from.parse().expect("a number"),
        };
        Order {
            call: CallId::from_u128(number),
            to: format!("+1500555{number:04}").parse().expect("a number"),
            routes: vec![route("one", "+15005550001"), route("two", "+15005550002")],
            ring: Duration::from_secs(20),
            longest: Duration::from_secs(600),
            voicemail,
        }
    }

    pub(crate) fn place(&mut self, order: Order) -> usize {
        self.orders.push(OutboundCall::new(self.now, UNIX + self.now.since(MonoTime::ZERO), order));
        self.stories.push(Story::default());
        self.orders.len() - 1
    }

    /// Somebody cancels an order some time later.
    pub(crate) fn cancel_at(&mut self, order: usize, at: MonoTime) {
        self.due.push((at, Due::Cancel(order)));
    }

    /// How often each telephone rang, at both carriers together.
    pub(crate) fn rang(&self) -> BTreeMap<String, usize> {
        let mut rang = BTreeMap::new();
        for (number, times) in self.carriers.iter().flat_map(|carrier| carrier.api.rang()) {
            *rang.entry(number).or_default() += times;
        }
        rang
    }

    /// Calls that are not over at their carriers.
    pub(crate) fn live(&self) -> usize {
        self.carriers.iter().map(|carrier| carrier.api.live().len()).sum()
    }

    /// Runs until nothing happens any more.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            self.drain();
            let carriers = self.carriers.iter_mut().filter_map(|carrier| {
                let ApiEffect::WaitUntil(at) = carrier.api.poll() else { panic!("an effect was not taken") };
                at
            });
            let orders = self.orders.iter_mut().filter_map(|order| {
                let output = order.poll();
                assert!(matches!(output, Output::WaitUntil(_) | Output::Finished(_)), "{output:?}");
                if let Output::WaitUntil(at) = output { Some(at) } else { None }
            });
            let due = self.due.iter().map(|(at, _)| *at);
            let Some(next) = carriers.chain(orders).chain(due).min() else { return };
            self.now = self.now.max(next);
            self.step();
        }
        panic!("it goes on for ever: {:?}", self.stories);
    }

    /// Does what is due now.
    fn step(&mut self) {
        let now = self.now;
        self.carriers.iter_mut().for_each(|carrier| carrier.api.advance(now));
        self.orders.iter_mut().for_each(|order| order.handle(now, Input::Tick));
        while let Some(at) = self.due.iter().position(|(at, _)| *at <= now) {
            match self.due.swap_remove(at).1 {
                Due::Send { order, attempt, carrier, asked } => self.send(order, attempt, carrier, *asked),
                Due::GiveUp(exchange) => self.unanswered(exchange, Reach::Unknown),
                Due::TalkOver { order, carrier, call } => {
                    self.carriers[carrier].api.call_over(now, &call);
                    self.orders[order].handle(now, Input::MediaOver);
                }
                Due::Cancel(order) => self.orders[order].handle(now, Input::HangUp),
            }
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            let mut was_busy = false;
            for order in 0..self.orders.len() {
                while self.take_output(order) {
                    was_busy = true;
                }
            }
            for carrier in 0..self.carriers.len() {
                while self.take_effect(carrier) {
                    was_busy = true;
                }
            }
            if !was_busy {
                return;
            }
        }
    }

    fn take_output(&mut self, index: usize) -> bool {
        let now = self.now;
        let output = self.orders[index].poll();
        let order = &self.orders[index];
        let carrier_of = |id: &CarrierId| {
            self.carriers.iter().position(|carrier| carrier.id == *id).expect("a carrier of this world")
        };
        match output {
            Output::WaitUntil(_) => return false,
            Output::Finished(end) => {
                let story = &mut self.stories[index];
                assert_eq!(story.ends, [end], "what was told is how it ended");
                let is_first = !story.is_finished;
                story.is_finished = true;
                return is_first;
            }
            Output::Report(progress) => {
                if let Progress::Ended(end) = &progress {
                    self.stories[index].ends.push(end.clone());
                }
                self.stories[index].told.push(progress);
            }
            Output::Place(attempt, route) => {
                let carrier = carrier_of(&route.carrier);
                let placement =
                    Placement { key: order.key(attempt), order: order.order(), from: &route.from };
                let ask = self.carriers[carrier].port.place(placement);
                match self.carriers[carrier].gate.enter(now) {
                    Ok(entry) => {
                        let at = entry.at;
                        let asked = Box::new(Asked::Place(ask, entry));
                        self.due.push((at, Due::Send { order: index, attempt, carrier, asked }));
                    }
                    Err(shut) => self.orders[index].handle(now, Input::Placed(attempt, Err(shut))),
                }
            }
            Output::Look(attempt, route) => {
                let carrier = carrier_of(&route.carrier);
                let placement =
                    Placement { key: order.key(attempt), order: order.order(), from: &route.from };
                let asked = Asked::Look(self.carriers[carrier].port.look(placement));
                self.send(index, attempt, carrier, asked);
            }
            Output::Act(attempt, id, call, act) => {
                let carrier = carrier_of(&id);
                let ask = self.carriers[carrier].port.act(&call, &act).expect("a name of this carrier's");
                self.send(index, attempt, carrier, Asked::Act(ask, act));
            }
        }
        true
    }

    fn send(&mut self, order: usize, attempt: u32, carrier: usize, asked: Asked) {
        let exchange = self.next_exchange;
        self.next_exchange += 1;
        let request = match &asked {
            Asked::Place(ask, _) => ask.request(),
            Asked::Look(ask) => ask.request(),
            Asked::Act(ask, _) => ask.request(),
        };
        self.carriers[carrier].api.request(self.now, exchange, request);
        self.exchanges.insert(exchange, (order, attempt, carrier, asked));
        self.due.push((self.now + PATIENCE, Due::GiveUp(exchange)));
    }

    fn unanswered(&mut self, exchange: u64, reach: Reach) {
        let error = || CarrierError::unanswered(reach);
        self.settle(exchange, |_| Err(error()), |_| Err(error()), |_| Err(error()));
    }

    fn answered(&mut self, exchange: u64, answer: &Response<Bytes>) {
        self.settle(exchange, |ask| ask.read(answer), |ask| ask.read(answer), |ask| ask.read(answer));
    }

    fn settle(
        &mut self,
        exchange: u64,
        placed: impl FnOnce(&Ask<String>) -> Result<String, CarrierError>,
        found: impl FnOnce(&Ask<Vec<Seen>>) -> Result<Vec<Seen>, CarrierError>,
        acted: impl FnOnce(&Ask<()>) -> Result<(), CarrierError>,
    ) {
        let Some((order, attempt, carrier, asked)) = self.exchanges.remove(&exchange) else { return };
        let input = match asked {
            Asked::Place(ask, entry) => {
                let outcome = placed(&ask);
                self.carriers[carrier].gate.settle(self.now, entry, &outcome);
                Input::Placed(attempt, outcome)
            }
            Asked::Look(ask) => Input::Found(attempt, found(&ask)),
            Asked::Act(ask, act) => Input::Acted(attempt, act, acted(&ask)),
        };
        self.orders[order].handle(self.now, input);
    }

    fn take_effect(&mut self, carrier: usize) -> bool {
        match self.carriers[carrier].api.poll() {
            ApiEffect::WaitUntil(_) => return false,
            ApiEffect::Answer(exchange, answer) => self.answered(exchange, &answer),
            ApiEffect::Cut(exchange) => self.unanswered(exchange, Reach::Unknown),
            ApiEffect::Post(endpoint) => {
                let (key, told) = read(&endpoint);
                self.tell(key, told);
            }
            ApiEffect::Connect(call, plan) => {
                let CallerOutput::Dial(_, endpoint) = FakeTwilioCall::new(self.now, *plan).poll() else {
                    panic!("a call begins with a webhook");
                };
                let (key, told) = read(&endpoint);
                let order = self.tell(key, told);
                let is_welcome = self.orders[order].is_welcome(key.attempt);
                self.stories[order].talks += u32::from(is_welcome);
                let length = self.rng.millis(if is_welcome { 2_000..40_000 } else { 300..301 });
                self.due.push((self.now + length, Due::TalkOver { order, carrier, call }));
            }
            ApiEffect::Redirect(call, document) => {
                let due = self.due.iter_mut().find_map(|(at, due)| {
                    let Due::TalkOver { call: other, order, .. } = due else { return None };
                    (*other == call).then_some((at, *order))
                });
                let Some((at, order)) = due else { panic!("a call that talks is redirected") };
                *at = self.now + Duration::from_secs(6);
                self.stories[order].messages.push(document);
            }
            ApiEffect::End(call) => self
                .due
                .retain(|(_, due)| !matches!(due, Due::TalkOver { call: other, .. } if *other == call)),
        }
        true
    }

    fn tell(&mut self, key: AttemptKey, told: Told) -> usize {
        let order = self.orders.iter().position(|order| order.order().call == key.call);
        let order = order.expect("an order of this world");
        self.orders[order].handle(self.now, Input::Told(key.attempt, told));
        order
    }
}

/// What a webhook tells, by the same door as everywhere.
fn read(endpoint: &Endpoint) -> (AttemptKey, Told) {
    let EndpointKind::Http { method, body } = &endpoint.kind else { panic!("a webhook is a request") };
    let headers: Vec<(&str, &str)> =
        endpoint.headers.iter().map(|(name, value)| (*name, value.expose().as_str())).collect();
    let raw = RawRequest { method, url: &endpoint.url, headers: &headers, body };
    let tokens = Tokens::new(Secret::new(TOKEN.to_owned()));
    let webhook = verify::<TwilioWebhook>(&tokens, &raw, UNIX).expect("well signed");
    let query = endpoint.url.split_once('?').expect("the key is in the query").1;
    told(query, &webhook).expect("news of a call of ours")
}
