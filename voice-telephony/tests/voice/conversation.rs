//! A real call for tests with any carrier: a provider who listens and says nothing, orders that come at their
//! times, and somebody to whom the caller may be led.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::call::{Call, CallConfig, CallStart, Control, Greeting, Input, Output};
use voice_core::carrier::{CarrierCommand, CarrierEvent};
use voice_core::id::{CarrierId, CorrelationId, ProviderId};
use voice_core::provider::ProviderEvent;
use voice_core::record::CallEvent;
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::transfer::{Operation, TransferId, TransferKind, TransferNews, TransferOrder};
use voice_telephony::transfer::{self, Abilities, Act, Conferences, LegEnd, LegNews, Transfer};

use super::Talks;

/// What is wanted of the call, and when, from the time at which its media came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) seed: u64,
    pub(crate) hold_at: Option<Duration>,
    pub(crate) transfer_at: Option<Duration>,
    pub(crate) hang_up_at: Option<Duration>,
}

/// Who hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The other side.
    Caller,
    /// Our side, on somebody's order.
    We,
    /// Nobody: the media socket breaks.
    Socket,
}

impl Who {
    /// They take turns.
    pub(crate) const fn of(seed: u64) -> Self {
        match seed % 3 {
            0 => Self::Caller,
            1 => Self::We,
            _ => Self::Socket,
        }
    }
}

impl Wishes {
    /// Of a call that is ended by this one: when that is, and what is wanted of it before.
    pub(crate) fn until(seed: u64, rng: &mut Rng, who: Who) -> (Duration, Self) {
        let at = rng.millis(50..14_000);
        let wishes = Self {
            seed,
            hold_at: rng.percent(30).then(|| rng.millis(0..6_000)),
            transfer_at: rng.percent(60).then(|| rng.millis(0..6_000)),
            hang_up_at: (who == Who::We).then_some(at),
        };
        (at, wishes)
    }
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    /// When it ended, and why.
    pub(crate) ended: Option<(MonoTime, &'static str)>,
    /// How many ends there were; more than one is too many.
    pub(crate) ends: u32,
    /// When we were told to hang up.
    pub(crate) ordered_at: Option<MonoTime>,
    pub(crate) was_on_hold: bool,
    pub(crate) was_transferring: bool,
    pub(crate) was_led_on: bool,
    /// Somebody's telephone rings, or they talk.
    pub(crate) leg_is_up: bool,
    /// When the end of their leg was ordered.
    pub(crate) leg_ends: Vec<MonoTime>,
}

/// A conversation, which a media socket has and whoever keeps it beside: what it wants of others does not end with
/// its socket.
#[derive(Clone)]
pub(crate) struct Conversation(Rc<RefCell<Running>>);

struct Running {
    call: Call,
    rng: Rng,
    orders: VecDeque<(MonoTime, Control)>,
    transfer: Option<(TransferId, Transfer)>,
    later: BTreeMap<(MonoTime, u64), transfer::Input>,
    count: u64,
    wakes: Option<MonoTime>,
    is_over: bool,
    story: Story,
}

const LEG: &str = "leg-1";

impl Conversation {
    pub(crate) fn new(now: MonoTime, format: AudioFormat, carrier: &'static str, wishes: &Wishes) -> Self {
        let config = CallConfig::builder("You are a test.").greeting(Greeting::Caller).build();
        let start = CallStart {
            carrier: CarrierId::from_static(carrier),
            carrier_call: "a call".to_owned(),
            format,
            from: "+15005550009".into(),
            to: "+15005550006".into(),
            correlation: CorrelationId::from_static("c-1"),
        };
        let order = TransferOrder::new(TransferKind::Warm, "support", "+15005550008");
        let mut orders: Vec<(MonoTime, Control)> = [
            wishes.hold_at.map(|at| (now + at, Control::Hold { music: true })),
            wishes.transfer_at.map(|at| (now + at, Control::Transfer(order))),
            wishes.hang_up_at.map(|at| (now + at, Control::HangUp)),
        ]
        .into_iter()
        .flatten()
        .collect();
        orders.sort_by_key(|(at, _)| *at);
        Self(Rc::new(RefCell::new(Running {
            call: Call::new(now, Arc::new(config.expect("good settings")), start),
            rng: Rng::new(wishes.seed),
            orders: orders.into(),
            transfer: None,
            later: BTreeMap::new(),
            count: 0,
            wakes: None,
            is_over: false,
            story: Story::default(),
        })))
    }

    pub(crate) fn story(&self) -> Story {
        self.0.borrow().story.clone()
    }

    /// Why it ended, if it has.
    #[allow(dead_code, reason = "calls over Twilio end with their socket, and need no other word")]
    pub(crate) fn end(&self) -> Option<&'static str> {
        self.0.borrow().story.ended.map(|(_, why)| why)
    }

    /// Somebody else than its media socket says that it is over.
    #[allow(dead_code, reason = "calls over Twilio end with their socket, and need no other word")]
    pub(crate) fn hang_up(&self, now: MonoTime) {
        let mut running = self.0.borrow_mut();
        running.call.handle(now, Input::Control(Control::HangUp));
        running.pump(now);
    }

    /// Nothing is left to be done, with the socket or without.
    pub(crate) fn is_done(&self) -> bool {
        let running = self.0.borrow();
        running.is_over && running.transfer.is_none()
    }
}

impl Talks for Conversation {
    fn due(&self) -> Option<MonoTime> {
        let running = self.0.borrow();
        let order = running.orders.front().map(|(at, _)| *at);
        let later = running.later.first_key_value().map(|((at, _), _)| *at);
        [running.wakes, order, later].into_iter().flatten().min()
    }

    fn tick(&mut self, now: MonoTime) -> Vec<CarrierCommand> {
        let mut running = self.0.borrow_mut();
        while let Some((_, order)) = running.orders.pop_front_if(|(at, _)| *at <= now) {
            if order == Control::HangUp && !running.is_over {
                running.story.ordered_at = Some(now);
            }
            running.call.handle(now, Input::Control(order));
        }
        while running.later.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            let Some((_, input)) = running.later.pop_first() else { break };
            running.told(now, input);
        }
        running.call.handle(now, Input::Tick);
        if let Some((_, transfer)) = &mut running.transfer {
            transfer.handle(now, transfer::Input::Tick);
        }
        running.pump(now)
    }

    fn hear(&mut self, now: MonoTime, event: &CarrierEvent) -> Vec<CarrierCommand> {
        let mut running = self.0.borrow_mut();
        running.call.handle(now, Input::Carrier(event.clone()));
        running.pump(now)
    }
}

impl Running {
    fn told(&mut self, now: MonoTime, input: transfer::Input) {
        if let Some((_, transfer)) = &mut self.transfer {
            transfer.handle(now, input);
        }
    }

    fn pump(&mut self, now: MonoTime) -> Vec<CarrierCommand> {
        let mut commands = Vec::new();
        for _ in 0..10_000 {
            let is_call_done = self.pump_call(now, &mut commands);
            if self.pump_transfer(now) && is_call_done {
                return commands;
            }
        }
        panic!("the call turns in circles");
    }

    /// Whether it wants nothing more now.
    #[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be wanted, only this matters here")]
    fn pump_call(&mut self, now: MonoTime, commands: &mut Vec<CarrierCommand>) -> bool {
        match self.call.poll() {
            Output::Carrier(command) => commands.push(command),
            Output::Attach { id, .. } => {
                let ada = Some(ProviderId::from_static("ada"));
                self.call.handle(now, Input::Assigned(id, ada));
            }
            Output::Open { id, .. } => {
                let ready = ProviderEvent::Ready { session: None, expires: None };
                self.call.handle(now, Input::Provider(id, ready));
            }
            Output::Operate(Operation::Transfer(id, order)) => {
                let abilities =
                    Abilities { conferences: Conferences::None, tells_bridged: self.rng.percent(50) };
                self.transfer = Some((id, Transfer::new(now, &order, abilities)));
            }
            Output::Operate(operation) => {
                let is_leave = matches!(operation, Operation::Proceed(_));
                let input = if is_leave { transfer::Input::Proceed } else { transfer::Input::Withdraw };
                if let Some((_, transfer)) = &mut self.transfer {
                    transfer.handle(now, input);
                }
            }
            Output::Report(entry) => {
                self.story.was_on_hold |= matches!(entry.event, CallEvent::Held { .. });
                self.story.was_transferring |= matches!(entry.event, CallEvent::Transferring { .. });
                if let CallEvent::Ended { reason, .. } = &entry.event {
                    self.story.ends += 1;
                    self.story.ended = Some((now, reason.kind()));
                }
            }
            Output::WaitUntil(until) => {
                self.wakes = until.map(|(at, _)| at);
                return true;
            }
            Output::Finished(_) => {
                (self.wakes, self.is_over) = (None, true);
                self.orders.clear();
                return true;
            }
            _no_matter_here => {}
        }
        false
    }

    fn pump_transfer(&mut self, now: MonoTime) -> bool {
        let Some((id, transfer)) = &mut self.transfer else { return true };
        let id = *id;
        match transfer.poll() {
            transfer::Output::Tell(news) => {
                self.story.was_led_on |= news == TransferNews::Done;
                self.call.handle(now, Input::Control(Control::Transferred(id, news)));
            }
            transfer::Output::Dial => {
                self.story.leg_is_up = true;
                let named = self.soon(now, 50..900, transfer::Input::Dialled(Ok(LEG.to_owned())));
                self.soon(named, 300..4_000, news(LegNews::Answered));
            }
            // Nobody joins a conference here.
            transfer::Output::Find => {}
            transfer::Output::Act(act) => self.act(now, act),
            transfer::Output::WaitUntil(at) => {
                self.wakes = Some(self.wakes.map_or(at, |wakes| wakes.min(at)));
                return true;
            }
            transfer::Output::Finished => {
                self.transfer = None;
                return true;
            }
        }
        false
    }

    fn act(&mut self, now: MonoTime, act: Act) {
        let answered = self.soon(now, 50..900, transfer::Input::Acted(act, Ok(())));
        match act {
            Act::Speak => drop(self.soon(answered, 1_000..4_000, news(LegNews::Said))),
            Act::Join => drop(self.soon(answered, 20..200, news(LegNews::Bridged))),
            Act::EndLeg => {
                self.story.leg_ends.push(now);
                self.story.leg_is_up = false;
                self.soon(answered, 20..200, news(LegNews::Over(LegEnd::HungUp)));
            }
            Act::BringBack => {}
        }
    }

    fn soon(&mut self, now: MonoTime, millis: std::ops::Range<u64>, input: transfer::Input) -> MonoTime {
        let at = now + self.rng.millis(millis);
        self.count += 1;
        self.later.insert((at, self.count), input);
        at
    }
}

fn news(news: LegNews) -> transfer::Input {
    transfer::Input::Told(LEG.to_owned(), news)
}
