//! A shadow of the roster: naive books of its own, kept from what calls and operators did, and the rules
//! that the real one must keep.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::breaker::{BreakerSnapshot, State, TripReason};
use crate::failure::{Blame, Failure, Verdict};
use crate::limits::DECISIONS_MAX;
use crate::roster::{Assignment, Decision, MemberSnapshot, Obstacle, Order, Reason, Roster, Settled, StayId};
use crate::time::MonoTime;

use super::weather::{PROVIDERS, index};

const CONNECT: usize = 0;
const CONVERSE: usize = 1;

/// Probes of a half-open breaker, and callers who may insist: what the roster was configured with.
const PROBES: u32 = 3;
const INSISTS: u32 = 32;

/// See the module.
pub(super) struct Shadow {
    stays: BTreeMap<StayId, Booked>,
    watches: [[Watch; 2]; PROVIDERS.len()],
    drained: [bool; PROVIDERS.len()],
    forced_open: [bool; PROVIDERS.len()],
    /// When an operator last said something about it.
    ordered_at: [Option<MonoTime>; PROVIDERS.len()],
    before: Vec<MemberSnapshot>,
    news: Vec<&'static str>,
    last_none: BTreeMap<u64, bool>,
}

/// A stay that is not settled.
struct Booked {
    provider: usize,
    since: MonoTime,
    /// In which epoch of each breaker it stands.
    epochs: [u64; 2],
    ready: bool,
    proven: bool,
    insisted: bool,
}

/// What is known of one breaker.
#[derive(Default)]
struct Watch {
    /// Every change of state and every order begins a new one.
    epoch: u64,
    /// Samples of this epoch: when, failed, slow.
    log: Vec<(MonoTime, bool, bool)>,
    /// The last probe may come no sooner.
    shut_until: Option<MonoTime>,
    forced_closed: bool,
}

/// What a breaker was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Good,
    Slow,
    Bad,
    Stalled,
    Throttled,
    Held,
}

impl Shadow {
    pub(super) fn new() -> Self {
        Self {
            stays: BTreeMap::new(),
            watches: Default::default(),
            drained: Default::default(),
            forced_open: Default::default(),
            ordered_at: Default::default(),
            before: Vec::new(),
            news: Vec::new(),
            last_none: BTreeMap::new(),
        }
    }

    /// To be called before the roster is changed.
    pub(super) fn before(&mut self, now: MonoTime, roster: &Roster<()>) {
        self.before = roster.snapshot(now);
    }

    pub(super) fn take_news(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.news)
    }

    pub(super) fn assigned(
        &mut self,
        now: MonoTime,
        stay: StayId,
        wanted: &Assignment,
        decision: &Decision,
        roster: &Roster<()>,
    ) -> Result<(), String> {
        let after = roster.snapshot(now);
        self.last_none.insert(stay.call.as_u128() as u64, decision.chosen.is_none());
        let Some(chosen) = decision.chosen.as_ref() else {
            self.transitions(now, None, &after, [Told::Nothing; 2])?;
            return self.nobody_could(wanted);
        };
        let chosen = index(chosen).ok_or("a stranger was chosen")?;
        self.may_be_chosen(chosen, wanted, decision)?;
        self.transitions(now, None, &after, [Told::Nothing; 2])?;
        let insisted = matches!(decision.reason, Reason::LastResort(Obstacle::Refused(_)));
        let epochs = [CONNECT, CONVERSE].map(|kind| self.watches[chosen][kind].epoch);
        let booked = Booked { provider: chosen, since: now, epochs, ready: false, proven: false, insisted };
        self.stays.insert(stay, booked);
        self.no_herd(chosen, &after[chosen])?;
        self.live_adds_up(&after)
    }

    pub(super) fn ready(
        &mut self,
        now: MonoTime,
        stay: StayId,
        took: Duration,
        roster: &Roster<()>,
    ) -> Result<(), String> {
        let Some(booked) = self.stays.get_mut(&stay) else { return Err(format!("{stay:?} is unknown")) };
        let told = if took > Duration::from_secs(3) { Told::Slow } else { Told::Good };
        let told = if booked.ready { Told::Nothing } else { told };
        booked.ready = true;
        self.told(now, stay, [told, Told::Nothing], roster)
    }

    pub(super) fn replied(
        &mut self,
        now: MonoTime,
        stay: StayId,
        latency: Option<Duration>,
        roster: &Roster<()>,
    ) -> Result<(), String> {
        // What is left of a dead provider's words is played after it was let go.
        let Some(booked) = self.stays.get_mut(&stay) else { return Ok(()) };
        let slow = latency.is_some_and(|latency| latency > Duration::from_secs(4));
        let told = if slow { Told::Slow } else { Told::Good };
        let told = if booked.proven { Told::Nothing } else { told };
        booked.proven = true;
        let (provider, epoch) = (booked.provider, booked.epochs[CONVERSE]);
        let current = self.watches[provider][CONVERSE].epoch == epoch;
        self.told(now, stay, [Told::Nothing, told], roster)?;
        // What has proven itself stands for the period that it has brought about.
        if let Some(booked) = self.stays.get_mut(&stay)
            && current
            && told != Told::Nothing
        {
            booked.epochs[CONVERSE] = self.watches[provider][CONVERSE].epoch;
        }
        Ok(())
    }

    pub(super) fn settled(
        &mut self,
        now: MonoTime,
        stay: StayId,
        settled: Settled<'_>,
        roster: &Roster<()>,
    ) -> Result<(), String> {
        let Some(booked) = self.stays.get(&stay) else { return Err(format!("{stay:?} was settled twice")) };
        let told = match settled {
            Settled::Unproven => [Told::Nothing; 2],
            Settled::Success => {
                let shown = !booked.proven && now.since(booked.since) >= Duration::from_secs(10);
                let connect = if booked.ready { Told::Nothing } else { Told::Good };
                [connect, if shown { Told::Good } else { Told::Nothing }]
            }
            Settled::Failure(failure) if booked.ready => [Told::Nothing, judged(failure)],
            Settled::Failure(failure) => [judged(failure), Told::Nothing],
        };
        self.told(now, stay, told, roster)?;
        self.stays.remove(&stay);
        self.live_adds_up(&roster.snapshot(now))
    }

    /// Whether no operator has kept calls from it since then.
    pub(super) fn serves(&self, provider: usize, since: MonoTime) -> bool {
        let told = self.ordered_at[provider].is_some_and(|at| at >= since);
        !told && !self.drained[provider] && !self.forced_open[provider]
    }

    pub(super) fn ordered(&mut self, now: MonoTime, provider: usize, order: Order, roster: &Roster<()>) {
        self.ordered_at[provider] = Some(now);
        match order {
            Order::Drain => self.drained[provider] = true,
            Order::Resume => self.drained[provider] = false,
            Order::Reset | Order::ForceOpen | Order::ForceClosed => {
                self.forced_open[provider] = order == Order::ForceOpen;
                for watch in &mut self.watches[provider] {
                    watch.begin(None);
                    watch.forced_closed = order == Order::ForceClosed;
                }
            }
        }
        self.before(now, roster);
    }

    /// A call is over: everything it had is settled, and if nobody was found, it asked in vain.
    pub(super) fn finished(&mut self, number: u64) -> Result<(), String> {
        self.last_none.remove(&number);
        let left = self.stays.keys().find(|stay| stay.call.as_u128() == u128::from(number));
        left.map_or(Ok(()), |stay| Err(format!("{stay:?} was never settled")))
    }

    /// After every step.
    pub(super) fn books(&self, now: MonoTime, roster: &Roster<()>) -> Result<(), String> {
        if roster.stays() != self.stays.len() {
            return Err(format!("{now}: {} stays, but {} are live", roster.stays(), self.stays.len()));
        }
        if roster.decisions().len() > DECISIONS_MAX {
            return Err("decisions grow without a bound".to_owned());
        }
        Ok(())
    }

    pub(super) fn at_the_end(&self, now: MonoTime, roster: &Roster<()>) -> Result<(), String> {
        for member in roster.snapshot(now) {
            for (kind, breaker) in member.breakers() {
                let totals = breaker.totals;
                let settled = totals.successful + totals.failed + totals.unproven + totals.late;
                if totals.granted != settled {
                    return Err(format!(
                        "{} {kind}: {} granted, {settled} settled",
                        member.id, totals.granted
                    ));
                }
            }
            if member.live != 0 {
                return Err(format!("{} has {} calls after the last", member.id, member.live));
            }
        }
        Ok(())
    }

    /// Whether a breaker of this provider waits for a human.
    pub(super) fn needs_somebody(&self, now: MonoTime, roster: &Roster<()>, provider: usize) -> bool {
        roster.snapshot(now)[provider].breakers().iter().any(|(_, breaker)| {
            breaker.forced || matches!(breaker.reason, Some(TripReason::Held(_) | TripReason::Forced))
        })
    }

    /// The choice keeps to what was asked for, and nobody is insisted upon while another is well.
    fn may_be_chosen(&self, chosen: usize, wanted: &Assignment, decision: &Decision) -> Result<(), String> {
        let name = PROVIDERS[chosen];
        if wanted.tried.iter().any(|tried| tried.as_str() == name) {
            return Err(format!("{name} was tried already"));
        }
        if wanted.wish.as_ref().is_some_and(|wish| wish.as_str() != name) {
            return Err(format!("{name} was not wished for"));
        }
        if self.drained[chosen] || self.forced_open[chosen] {
            return Err(format!("{name} is ordered off"));
        }
        let others = (0..PROVIDERS.len()).filter(|other| *other != chosen && self.is_free(*other, wanted));
        let well: Vec<_> = others.filter(|other| self.is_well(*other)).collect();
        let insisted = matches!(decision.reason, Reason::LastResort(Obstacle::Refused(_)));
        if insisted && !well.is_empty() {
            return Err(format!("insists on {name} while {well:?} are well: {decision:?}"));
        }
        if !insisted
            && self.before[chosen]
                .breakers()
                .iter()
                .any(|(_, b)| b.state == State::Open && b.retry_after.is_some())
        {
            return Err(format!("{name} was chosen through an open breaker"));
        }
        Ok(())
    }

    /// Nobody was found: everybody was tried, ordered off, or as busy with last resorts as may be.
    fn nobody_could(&self, wanted: &Assignment) -> Result<(), String> {
        for provider in (0..PROVIDERS.len()).filter(|provider| self.is_free(*provider, wanted)) {
            let name = PROVIDERS[provider];
            if self.is_well(provider) {
                return Err(format!("nobody is found while {name} is well"));
            }
            let at_it = self.stays.values().filter(|stay| stay.provider == provider && !stay.proven).count();
            let held = self.before[provider]
                .breakers()
                .iter()
                .any(|(_, breaker)| matches!(breaker.reason, Some(TripReason::Held(_))));
            let room = if held { 1 } else { INSISTS as usize };
            if wanted.wish.is_none() && at_it < room {
                return Err(format!("nobody is found, but {name} has only {at_it} at it"));
            }
        }
        Ok(())
    }

    fn is_free(&self, provider: usize, wanted: &Assignment) -> bool {
        let name = PROVIDERS[provider];
        !self.drained[provider]
            && !self.forced_open[provider]
            && !wanted.tried.iter().any(|tried| tried.as_str() == name)
            && wanted.wish.as_ref().is_none_or(|wish| wish.as_str() == name)
    }

    fn is_well(&self, provider: usize) -> bool {
        self.before[provider].state() == State::Closed
    }

    /// A breaker that is not closed lets no herd in.
    fn no_herd(&self, provider: usize, after: &MemberSnapshot) -> Result<(), String> {
        let insisted = self.stays.values().filter(|stay| stay.provider == provider && stay.insisted).count();
        for (kind, breaker) in after.breakers() {
            let most = PROBES + (insisted as u32).min(INSISTS);
            if breaker.under_way > most {
                let under_way = breaker.under_way;
                return Err(format!("{} {kind}: {under_way} at once, {most} may", after.id));
            }
        }
        Ok(())
    }

    fn live_adds_up(&self, after: &[MemberSnapshot]) -> Result<(), String> {
        for (provider, member) in after.iter().enumerate() {
            let live = self.stays.values().filter(|stay| stay.provider == provider).count();
            if member.live as usize != live {
                return Err(format!("{} counts {} calls, it has {live}", member.id, member.live));
            }
        }
        Ok(())
    }

    fn told(
        &mut self,
        now: MonoTime,
        stay: StayId,
        mut told: [Told; 2],
        roster: &Roster<()>,
    ) -> Result<(), String> {
        let Some(booked) = self.stays.get(&stay) else { return Err(format!("{stay:?} is unknown")) };
        let provider = booked.provider;
        for kind in [CONNECT, CONVERSE] {
            let watch = &mut self.watches[provider][kind];
            if watch.epoch != booked.epochs[kind] {
                told[kind] = Told::Nothing;
            }
            watch.note(now, told[kind]);
        }
        self.transitions(now, Some(provider), &roster.snapshot(now), told)
    }

    /// Every change of every breaker has its cause, and every cause its change.
    fn transitions(
        &mut self,
        now: MonoTime,
        about: Option<usize>,
        after: &[MemberSnapshot],
        told: [Told; 2],
    ) -> Result<(), String> {
        for provider in 0..PROVIDERS.len() {
            let before = &self.before[provider];
            let pairs =
                [(&before.connect, &after[provider].connect), (&before.converse, &after[provider].converse)];
            for (kind, (before, after)) in pairs.into_iter().enumerate() {
                let told = if about == Some(provider) { told[kind] } else { Told::Nothing };
                let watch = &mut self.watches[provider][kind];
                let step = watch.step(now, before, after, told);
                self.news.extend(step.map_err(|rule| {
                    format!("{now} {} {kind}: {rule} (told {told:?}): {after:?}", PROVIDERS[provider])
                })?);
            }
        }
        self.before = after.to_vec();
        Ok(())
    }
}

impl Watch {
    fn begin(&mut self, shut_until: Option<MonoTime>) {
        self.epoch += 1;
        self.log.clear();
        self.shut_until = shut_until;
    }

    fn note(&mut self, now: MonoTime, told: Told) {
        let (failed, slow) = match told {
            Told::Nothing => return,
            Told::Good => (false, false),
            Told::Slow => (false, true),
            Told::Bad | Told::Throttled | Told::Held => (true, false),
            Told::Stalled => (true, true),
        };
        self.log.push((now, failed, slow));
    }

    /// Why it should be open by now, if it should.
    fn cause(&self, now: MonoTime) -> Option<TripReason> {
        let slice = |at: MonoTime| at.as_micros() / 6_000_000;
        let recent: Vec<_> = self.log.iter().filter(|(at, ..)| slice(*at) + 10 > slice(now)).collect();
        let failed = recent.iter().filter(|(_, failed, _)| *failed).count();
        let slow = recent.iter().filter(|(_, _, slow)| *slow).count();
        if self.log.iter().rev().take_while(|(_, failed, _)| *failed).count() >= 5 {
            Some(TripReason::InRow)
        } else if recent.len() >= 10 && failed * 2 >= recent.len() {
            Some(TripReason::Rate)
        } else if recent.len() >= 10 && slow * 5 >= recent.len() * 4 {
            Some(TripReason::Slow)
        } else {
            None
        }
    }

    fn step(
        &mut self,
        now: MonoTime,
        before: &BreakerSnapshot,
        after: &BreakerSnapshot,
        told: Told,
    ) -> Result<Option<&'static str>, String> {
        match (before.state, after.state) {
            (State::Closed, State::Closed) => {
                let counts = !matches!(told, Told::Nothing | Told::Good) && !self.forced_closed;
                match self.cause(now).filter(|_| counts) {
                    Some(why) => Err(format!("should have opened: {why:?}")),
                    None if counts && matches!(told, Told::Throttled | Told::Held) => {
                        Err("should have opened at once".to_owned())
                    }
                    None => Ok(None),
                }
            }
            (State::Closed | State::HalfOpen, State::Open) => self.opened(now, before.state, after, told),
            (State::Open, State::HalfOpen) => {
                let time = self.shut_until.is_some_and(|until| now >= until);
                self.begin(None);
                self.note(now, told);
                if time || told == Told::Good {
                    Ok(Some("half-open"))
                } else {
                    Err("probes too early".into())
                }
            }
            (State::HalfOpen, State::Closed) => {
                let good = self.log.iter().filter(|(_, failed, slow)| !failed && !slow).count();
                self.begin(None);
                if good >= 2 { Ok(Some("closed again")) } else { Err("closed without two successes".into()) }
            }
            (State::Open, State::Closed) => Err("closed without a probe".into()),
            (State::Open, State::Open) => {
                if told == Told::Throttled || told == Told::Held {
                    self.shut_until = after.retry_after.map(|wait| now + wait);
                }
                Ok(None)
            }
            (State::Closed, State::HalfOpen) => Err("half-open without having been open".into()),
            (State::HalfOpen, State::HalfOpen) => Ok(None),
        }
    }

    fn opened(
        &mut self,
        now: MonoTime,
        from: State,
        after: &BreakerSnapshot,
        told: Told,
    ) -> Result<Option<&'static str>, String> {
        let cause = match (from, told) {
            (_, Told::Throttled) => Some(TripReason::Throttled),
            (_, Told::Held) => Some(TripReason::Held("credentials")),
            (State::HalfOpen, Told::Bad | Told::Stalled) => Some(TripReason::Probe),
            (State::Closed, Told::Bad | Told::Stalled | Told::Slow) => self.cause(now),
            (State::Open | State::HalfOpen | State::Closed, _) => None,
        };
        if cause.is_none() || cause != after.reason {
            return Err(format!("opened for {:?}, where the cause is {cause:?}", after.reason));
        }
        let wait = after.retry_after;
        let (least, most) = match cause {
            Some(TripReason::Throttled) => (1, 660),
            Some(TripReason::Held(_)) | None => (0, 0),
            Some(_) => (60, 330),
        };
        if wait.is_some_and(|wait| wait.as_secs() < least || wait.as_secs() > most) {
            return Err(format!("open for {wait:?}"));
        }
        self.begin(wait.map(|wait| now + wait));
        Ok(cause.map(TripReason::name))
    }
}

fn judged(failure: &Failure) -> Told {
    match failure.judge() {
        (Blame::Nobody, _) | (_, Verdict::Ignore) => Told::Nothing,
        (Blame::Us, _) | (_, Verdict::NeverAgain) => Told::Held,
        (Blame::Provider, Verdict::SwitchAndRetryAfter(_)) => Told::Throttled,
        (Blame::Provider, Verdict::SwitchNow) if matches!(failure, Failure::Stalled(_)) => Told::Stalled,
        (Blame::Provider, Verdict::SwitchNow) => Told::Bad,
    }
}
