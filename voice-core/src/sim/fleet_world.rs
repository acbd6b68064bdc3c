//! A seeded world around one [`Roster`]: a hundred calls in virtual time, and providers with weather:
//! outages, brown-outs, hung sockets, slow days, storms of 429, refused keys, flapping. Every call is the
//! real [`Call`]; a shadow of the roster keeps books of its own, and rules are checked at every step.
//!
//! [`run`] plays one world to its end. The same seed gives the same world for ever.

mod callers;
mod context;
mod shadow;
mod weather;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::audio::AudioFormat;
use crate::call::{
    Call, CallConfig, CallLimits, CallStart, Control, Greeting, Input, Outcome, Output, Standby,
};
use crate::carrier::{CarrierCommand, CarrierEnd, CarrierEvent};
use crate::failure::Failure;
use crate::id::{AttachmentId, CallId, CarrierId, CorrelationId, MarkId, ProviderId, ReplyId, UtteranceId};
use crate::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use crate::record::{CallEvent, Entry};
use crate::roster::{
    Assignment, Candidate, Check, Needs, Order, ProbePlan, Reason, Roster, RosterConfig, Settled, StayId,
    Sticky, StickyKey, Strategy,
};
use crate::sim::call_world::{Stats, Violation, prompts};
use crate::sim::rng::Rng;
use crate::time::MonoTime;

use callers::Rules;
use context::Context;
use shadow::Shadow;
use weather::{PROVIDERS, Sky, Weather};

/// What a line waits for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_millis(1_200);

/// Calls in one world.
pub const CALLS: u64 = 100;

/// Plays the world of this seed and tells what happened in it, or which rule was broken.
pub fn run(seed: u64) -> Result<Stats, Violation> {
    World::new(seed).play().map_err(|rule| Violation { seed, rule })
}

/// Something that will happen.
#[derive(Debug)]
enum What {
    /// A call begins.
    Begin(u64),
    /// Somebody tells a call something.
    Tell(u64, Input),
    /// A provider says something, if its weather lets it.
    Says(u64, AttachmentId, ProviderEvent),
    /// A call asked to be woken.
    Wake(u64),
    Order(usize, Order),
    Probe,
}

struct World {
    rng: Rng,
    now: MonoTime,
    roster: Roster<()>,
    shadow: Shadow,
    sky: Sky,
    calls: BTreeMap<u64, Caller>,
    schedule: BTreeMap<(MonoTime, u64), What>,
    scheduled: u64,
    probes: ProbePlan,
    stats: Stats,
    config: Arc<CallConfig>,
}

/// One call, and what its providers have said so far.
struct Caller {
    call: Call,
    needs: Needs,
    voices: BTreeMap<AttachmentId, Voice>,
    rules: Rules,
    context: Context,
    wake: Option<MonoTime>,
}

struct Voice {
    provider: usize,
    replies: u32,
    utterances: u32,
    /// When the caller fell silent last.
    paused: MonoTime,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let strategy = *rng.pick(&Strategy::ALL);
        let sticky = *rng.pick(&[Sticky::No, Sticky::Caller, Sticky::Agent]);
        let roster =
            Roster::new(RosterConfig { strategy, sticky, seed, ..RosterConfig::default() }, list(&mut rng));
        let ids = PROVIDERS.map(ProviderId::from_static).to_vec();
        let limits = CallLimits {
            attach: rng.millis(2_000..8_000),
            stall: rng.millis(2_000..6_000),
            ..CallLimits::default()
        };
        let standby = *rng.pick(&[Standby::Off, Standby::Off, Standby::Fed]);
        let greeting = if rng.percent(50) { Greeting::Voice(None) } else { Greeting::Caller };
        let config = CallConfig::builder("sim")
            .greeting(greeting)
            .limits(limits)
            .standby(standby)
            .prompts(prompts())
            .build();
        let probes = ProbePlan::new(MonoTime::ZERO, Duration::from_secs(30), ids, seed);
        let mut world = Self {
            sky: Sky::new(rng.fork()),
            rng,
            now: MonoTime::ZERO,
            roster,
            shadow: Shadow::new(),
            calls: BTreeMap::new(),
            schedule: BTreeMap::new(),
            scheduled: 0,
            probes,
            stats: Stats::default(),
            config: Arc::new(config.expect("the limits above are within the rules")),
        };
        world.plan();
        world
    }

    /// Who calls when, what operators do, and whether anybody looks without a call.
    fn plan(&mut self) {
        for number in 0..CALLS {
            let at = self.rng.millis(0..weather::WORLD.as_millis() as u64);
            self.after(at, What::Begin(number));
        }
        for (at, provider) in self.sky.mended_keys() {
            self.at(at, What::Order(provider, Order::Reset));
        }
        for _ in 0..self.rng.range(0..4) {
            let provider = self.rng.range(0..PROVIDERS.len() as u64) as usize;
            let (begin, end) = *self.rng.pick(&[
                (Order::Drain, Order::Resume),
                (Order::ForceOpen, Order::Reset),
                (Order::ForceClosed, Order::Reset),
            ]);
            let at = self.rng.millis(0..500_000);
            self.after(at, What::Order(provider, begin));
            let until = at + self.rng.millis(5_000..120_000);
            self.after(until, What::Order(provider, end));
        }
        if self.rng.percent(50) {
            self.after(Duration::ZERO, What::Probe);
        }
    }

    fn play(mut self) -> Result<Stats, String> {
        while let Some(((at, _), what)) = self.schedule.pop_first() {
            self.now = self.now.max(at);
            self.happens(what)?;
            self.shadow.books(self.now, &self.roster)?;
        }
        if let Some(number) = self.calls.keys().next() {
            return Err(format!("call {number} never ended"));
        }
        self.shadow.at_the_end(self.now, &self.roster)?;
        self.coda()?;
        Ok(self.stats)
    }

    fn happens(&mut self, what: What) -> Result<(), String> {
        match what {
            What::Begin(number) => self.begin(number),
            What::Tell(number, input) => self.tell(number, input),
            What::Wake(number) => {
                let due = |caller: &Caller| caller.wake.is_some_and(|wake| wake <= self.now);
                if self.calls.get(&number).is_some_and(due) { self.tell(number, Input::Tick) } else { Ok(()) }
            }
            What::Says(number, id, event) => self.provider_says(number, id, event),
            What::Order(provider, order) => self.operate(provider, order),
            What::Probe => {
                self.probe();
                Ok(())
            }
        }
    }

    fn begin(&mut self, number: u64) -> Result<(), String> {
        let start = CallStart {
            carrier: CarrierId::from_static("sim"),
            carrier_call: format!("sim-{number}"),
            format: AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550101".into(),
            correlation: CorrelationId::from_static("sim"),
        };
        let needs = Needs {
            caller: Some(StickyKey::of(&self.rng.range(0..30).to_string())),
            agent: Some(StickyKey::of(&self.rng.range(0..4).to_string())),
            cost_max: self.rng.percent(20).then_some(500),
            ..Needs::default()
        };
        let call = Call::new(self.now, self.config.clone(), start);
        self.calls.insert(
            number,
            Caller {
                call,
                needs,
                voices: BTreeMap::new(),
                rules: Rules::new(self.now),
                context: Context::default(),
                wake: None,
            },
        );
        self.count("calls");
        let lasts = self.rng.millis(1_000..90_000);
        self.after(lasts, What::Tell(number, Input::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped))));
        if self.rng.percent(10) {
            let at = self.rng.millis(1_000..40_000);
            let wish =
                self.rng.percent(50).then(|| ProviderId::from_static(self.rng.pick::<&str>(&PROVIDERS)));
            self.after(at, What::Tell(number, Input::Control(Control::Switch(wish))));
        }
        self.drain(number)
    }

    fn tell(&mut self, number: u64, input: Input) -> Result<(), String> {
        let Some(caller) = self.calls.get_mut(&number) else { return Ok(()) };
        caller.call.handle(self.now, input);
        self.drain(number)
    }

    fn drain(&mut self, number: u64) -> Result<(), String> {
        loop {
            let Some(caller) = self.calls.get_mut(&number) else { return Ok(()) };
            let output = caller.call.poll();
            if let Output::Attach { id, wish, tried, last_resort, .. } = output {
                let needs = caller.needs.clone();
                self.assign(number, id, &Assignment { wish, tried, last_resort, needs })?;
            } else if let Output::Open { id, history } = output {
                caller.context.told(id, &history);
                self.open(number, id);
            } else if let Output::Outcome(id, outcome) = output {
                self.settle(number, id, &outcome)?;
            } else if let Output::Report(entry) = output {
                self.read(number, &entry)?;
            } else if let Output::Provider(id, command) = output {
                if let ProviderCommand::CatchUp(turns) = &command {
                    caller.context.told(id, turns);
                }
                if let ProviderCommand::Speak { .. } = command {
                    let delay = self.rng.millis(300..1_200);
                    self.reply(number, id, delay);
                }
            } else if let Output::Carrier(command) = output {
                caller.rules.hears(self.now, &command);
                if let CarrierCommand::Mark(mark) = command {
                    self.play_mark(number, mark);
                }
            } else if let Output::Doubt(id) = output {
                self.doubt(number, id);
            } else if let Output::Detach(id) = output {
                caller.rules.detached(self.now, id);
            } else if let Output::WaitUntil(wake) = output {
                let kept = caller.rules.check(self.now).and_then(|()| caller.context.check());
                kept.map_err(|rule| format!("call {number} {rule}"))?;
                caller.wake = wake.map(|(at, _)| at);
                if let Some((at, _)) = wake {
                    self.at(at, What::Wake(number));
                }
                return Ok(());
            } else if let Output::Finished(reason) = output {
                if let Some(caller) = self.calls.remove(&number) {
                    self.stats += caller.rules.tally;
                    self.stats += caller.context.tally;
                }
                self.count(reason.kind());
                return self.shadow.finished(number);
            }
        }
    }

    fn assign(&mut self, number: u64, id: AttachmentId, wanted: &Assignment) -> Result<(), String> {
        let stay = stay(number, id);
        self.shadow.before(self.now, &self.roster);
        let chosen = self.roster.assign(self.now, stay, wanted).map(|(id, ())| id.clone());
        let decision = self.roster.decisions().next_back().ok_or("a choice without a decision")?;
        self.shadow.assigned(self.now, stay, wanted, decision, &self.roster)?;
        let reason = decision.reason;
        self.count(reason.name());
        if let Reason::LastResort(obstacle) = reason {
            self.count(obstacle.name());
        }
        if let Some(provider) = chosen.as_ref().and_then(weather::index)
            && let Some(caller) = self.calls.get_mut(&number)
        {
            let voice = Voice { provider, replies: 0, utterances: 0, paused: self.now };
            caller.voices.insert(id, voice);
        }
        let Some(caller) = self.calls.get_mut(&number) else { return Ok(()) };
        caller.call.handle(self.now, Input::Assigned(id, chosen));
        Ok(())
    }

    fn settle(&mut self, number: u64, id: AttachmentId, outcome: &Outcome) -> Result<(), String> {
        let settled = match outcome {
            Outcome::Success => Settled::Success,
            Outcome::Failure(failure) => Settled::Failure(failure),
            Outcome::Unproven => Settled::Unproven,
        };
        let stay = stay(number, id);
        self.shadow.before(self.now, &self.roster);
        self.roster.settle(self.now, stay, settled);
        self.shadow.settled(self.now, stay, settled, &self.roster)?;
        self.count_openings();
        if let Settled::Failure(failure) = settled {
            self.count(failure.kind());
        }
        Ok(())
    }

    fn read(&mut self, number: u64, entry: &Entry) -> Result<(), String> {
        if let Some(caller) = self.calls.get_mut(&number) {
            let kept = caller.rules.entry(self.now, &entry.event, &self.sky, &self.shadow);
            let kept = kept.and_then(|()| caller.context.entry(&entry.event));
            kept.map_err(|rule| format!("call {number} {rule}"))?;
        }
        if let CallEvent::Ready { attachment, took, .. } = &entry.event {
            self.shadow.before(self.now, &self.roster);
            self.roster.ready(self.now, stay(number, *attachment), *took);
            self.shadow.ready(self.now, stay(number, *attachment), *took, &self.roster)?;
        } else if let CallEvent::ReplyStarted { reply, .. } = &entry.event {
            let id = reply.attachment();
            let voice = self.calls.get(&number).and_then(|caller| caller.voices.get(&id));
            let latency = voice.map(|voice| self.now.since(voice.paused));
            self.shadow.before(self.now, &self.roster);
            self.roster.replied(self.now, stay(number, id), latency);
            self.shadow.replied(self.now, stay(number, id), latency, &self.roster)?;
        } else if let CallEvent::Live { attachment, gap } = &entry.event {
            self.count(if attachment.0 == 1 { "answered" } else { "taken over" });
            if *gap > Duration::from_secs(5) {
                self.count("long gaps");
            }
            self.converse(number, *attachment);
        }
        self.count_openings();
        Ok(())
    }

    /// Why breakers opened in this step, and that they closed.
    fn count_openings(&mut self) {
        for name in self.shadow.take_news() {
            self.count(name);
        }
    }

    /// A session was opened: what its provider makes of it.
    fn open(&mut self, number: u64, id: AttachmentId) {
        let Some(provider) = self.provider(number, id) else { return };
        let ready = ProviderEvent::Ready { session: None, expires: None };
        let (delay, event) = match self.sky.at(self.now, provider) {
            Weather::Fine => (self.rng.millis(100..900), ready),
            Weather::Slow => (self.rng.millis(3_200..6_000), ready),
            Weather::BrownOut if self.rng.percent(50) => (self.rng.millis(100..900), ready),
            Weather::BrownOut => {
                let failure = Failure::Service { code: "overloaded".into() };
                (self.rng.millis(50..1_000), ProviderEvent::Failed(failure))
            }
            Weather::Outage => {
                (self.rng.millis(5..100), ProviderEvent::Failed(Failure::Refused { status: 503 }))
            }
            Weather::Storm => {
                let retry_after = self.rng.percent(70).then(|| self.rng.millis(500..40_000));
                (self.rng.millis(20..200), ProviderEvent::Failed(Failure::Throttled { retry_after }))
            }
            Weather::BadKey => (self.rng.millis(20..200), ProviderEvent::Failed(Failure::Credentials)),
            // The socket stands, and nothing ever comes.
            Weather::Hung => return,
        };
        // What was said before the weather changed arrives all the same.
        let told = Input::Provider(id, event);
        self.after(delay, What::Tell(number, told));
    }

    /// A ping goes out. Some services answer it whatever they do; behind a socket that hangs nobody does.
    fn doubt(&mut self, number: u64, id: AttachmentId) {
        self.count("doubts");
        let Some(provider) = self.provider(number, id) else { return };
        if weather::answers_pings(provider) && self.sky.at(self.now, provider) == Weather::Hung {
            self.count("half-open found");
            let failure = ProviderEvent::Failed(Failure::Cut);
            self.after(PING_TIMEOUT, What::Tell(number, Input::Provider(id, failure)));
        }
    }

    /// It is live: the caller speaks, pauses, is answered, and so on.
    fn converse(&mut self, number: u64, id: AttachmentId) {
        let Some(provider) = self.provider(number, id) else { return };
        let mut at = self.rng.millis(300..3_000);
        for _ in 0..self.rng.range(1..5) {
            let utterance = {
                let Some(voice) = self.voice(number, id) else { return };
                voice.utterances += 1;
                UtteranceId::new(id, voice.utterances)
            };
            self.after(at, What::Says(number, id, ProviderEvent::CallerSpoke(utterance)));
            at += self.rng.millis(300..2_500);
            self.after(at, What::Says(number, id, ProviderEvent::CallerPaused(utterance)));
            // Words come late, and of a noise never.
            if self.rng.percent(85) {
                let text = format!("caller {number} said {utterance}").into();
                let late = self.rng.millis(50..2_500);
                self.after(at + late, What::Says(number, id, ProviderEvent::CallerSaid { utterance, text }));
            }
            let slow = self.sky.at(self.now, provider) == Weather::Slow;
            let thinks = if slow { self.rng.millis(4_100..7_000) } else { self.rng.millis(300..1_500) };
            self.reply(number, id, at + thinks);
            at += thinks + self.rng.millis(1_000..8_000);
        }
        if self.rng.percent(4) {
            let failure = if self.rng.percent(30) { Failure::SessionLimit } else { Failure::Cut };
            let at = self.rng.millis(0..30_000);
            self.after(at, What::Says(number, id, ProviderEvent::Failed(failure)));
        }
    }

    fn reply(&mut self, number: u64, id: AttachmentId, delay: Duration) {
        let Some(voice) = self.voice(number, id) else { return };
        voice.replies += 1;
        let reply = ReplyId::new(id, voice.replies);
        let text = format!("call {number} heard {reply} from its beginning to its end").into();
        self.after(delay, What::Says(number, id, ProviderEvent::Words { reply, text }));
        for n in 0..self.rng.range(2..8) {
            let audio = Bytes::from_static(&[0x55; 160]);
            let at = delay + Duration::from_millis(n * 5);
            self.after(at, What::Says(number, id, ProviderEvent::Speech { reply, audio }));
        }
        let done = ProviderEvent::ReplyDone { reply, end: ReplyEnd::Completed };
        self.after(delay + Duration::from_millis(60), What::Says(number, id, done));
    }

    /// What was planned is said only in weather in which it can be said.
    fn provider_says(&mut self, number: u64, id: AttachmentId, event: ProviderEvent) -> Result<(), String> {
        let Some(provider) = self.provider(number, id) else { return Ok(()) };
        let event = match self.sky.at(self.now, provider) {
            Weather::Hung => return Ok(()),
            Weather::Outage if self.rng.percent(70) => ProviderEvent::Failed(Failure::Closed { code: 1011 }),
            Weather::Outage => return Ok(()),
            Weather::BrownOut if self.rng.percent(10) => ProviderEvent::Failed(Failure::Cut),
            Weather::Fine | Weather::Slow | Weather::BrownOut | Weather::Storm | Weather::BadKey => event,
        };
        if let ProviderEvent::CallerPaused(_) = event
            && let now = self.now
            && let Some(voice) = self.voice(number, id)
        {
            voice.paused = now;
        }
        self.tell(number, Input::Provider(id, event))
    }

    fn play_mark(&mut self, number: u64, mark: MarkId) {
        let delay = self.rng.millis(20..200);
        self.after(delay, What::Tell(number, Input::Carrier(CarrierEvent::Played(mark))));
    }

    fn operate(&mut self, provider: usize, order: Order) -> Result<(), String> {
        let id = ProviderId::from_static(PROVIDERS[provider]);
        self.shadow.before(self.now, &self.roster);
        self.roster.order(self.now, &id, order).map_err(|error| error.to_string())?;
        self.shadow.ordered(self.now, provider, order, &self.roster);
        self.count("orders");
        if order == Order::Drain {
            for call in self.roster.calls_with(&id) {
                self.count("calls moved");
                let leave = Control::LeaveProvider(id.clone());
                self.tell(call.as_u128() as u64, Input::Control(leave))?;
            }
        }
        Ok(())
    }

    fn probe(&mut self) {
        while let Some(id) = self.probes.take(self.now) {
            let weather = weather::index(&id).map(|provider| self.sky.at(self.now, provider));
            let check = match weather {
                Some(Weather::Outage) => Check::Failed("unreachable"),
                Some(Weather::Hung) => Check::Failed("not_ready"),
                Some(Weather::BadKey) => Check::Failed("credentials"),
                Some(Weather::Slow) => Check::Passed(self.rng.millis(1_000..3_500)),
                Some(Weather::Fine | Weather::BrownOut | Weather::Storm) | None => {
                    Check::Passed(self.rng.millis(50..400))
                }
            };
            self.roster.probed(self.now, &id, check);
            self.count("probes");
        }
        if let Some(next) = self.probes.next().filter(|_| self.now < MonoTime::ZERO + weather::WORLD) {
            self.at(next, What::Probe);
        }
    }

    /// The sun shines and somebody has acted: no breaker may stay open.
    fn coda(&mut self) -> Result<(), String> {
        for (number, name) in PROVIDERS.iter().enumerate() {
            let id = ProviderId::from_static(name);
            let mut now = self.now + Duration::from_secs(700);
            if self.shadow.needs_somebody(now, &self.roster, number) {
                self.roster.order(now, &id, Order::Reset).map_err(|error| error.to_string())?;
            }
            self.roster.order(now, &id, Order::Resume).map_err(|error| error.to_string())?;
            for n in 0..3 {
                now += Duration::from_secs(1);
                let stay = stay(CALLS + n, AttachmentId(1));
                let wanted = Assignment { wish: Some(id.clone()), ..Assignment::default() };
                if self.roster.assign(now, stay, &wanted).is_none() {
                    return Err(format!("the breaker of {name} is stuck: {:?}", self.roster.snapshot(now)));
                }
                self.roster.ready(now, stay, Duration::from_millis(200));
                self.roster.replied(now, stay, Some(Duration::from_millis(500)));
                self.roster.settle(now, stay, Settled::Success);
            }
            let state = self.roster.snapshot(now)[number].state();
            if state != crate::breaker::State::Closed {
                return Err(format!("the breaker of {name} is {state:?} in fine weather"));
            }
        }
        Ok(())
    }

    fn provider(&self, number: u64, id: AttachmentId) -> Option<usize> {
        self.calls.get(&number)?.voices.get(&id).map(|voice| voice.provider)
    }

    fn voice(&mut self, number: u64, id: AttachmentId) -> Option<&mut Voice> {
        self.calls.get_mut(&number)?.voices.get_mut(&id)
    }

    fn count(&mut self, what: &'static str) {
        *self.stats.0.entry(what).or_default() += 1;
    }

    fn after(&mut self, delay: Duration, what: What) {
        self.at(self.now + delay, what);
    }

    fn at(&mut self, at: MonoTime, what: What) {
        self.scheduled += 1;
        self.schedule.insert((at, self.scheduled), what);
    }
}

fn stay(number: u64, attachment: AttachmentId) -> StayId {
    StayId { call: CallId::from_u128(u128::from(number)), attachment }
}

fn list(rng: &mut Rng) -> Vec<Candidate<()>> {
    let candidate = |(n, name): (usize, &&'static str)| {
        let mut candidate = Candidate::new(ProviderId::from_static(name), ());
        candidate.weight = rng.range(1..4) as u32;
        candidate.calls_max = rng.percent(30).then_some(5);
        candidate.skills.cost_per_minute = Some(300 * (n as u64 + 1));
        candidate
    };
    PROVIDERS.iter().enumerate().map(candidate).collect()
}
