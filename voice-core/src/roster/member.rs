//! One provider of a roster: its breakers, its health, its calls.

use std::time::Duration;

use crate::breaker::{Breaker, BreakerSnapshot, Permit, Refusal, Sample, State};
use crate::failure::{Blame, Verdict};
use crate::id::ProviderId;
use crate::time::MonoTime;

use super::health::{Check, Health, HealthSnapshot};
use super::needs::{Candidate, StickyKey};
use super::strategy::View;
use super::{Order, RosterConfig, Settled};

/// A conversation that has lasted so long has proven itself, even without a reply.
const PROVEN_AFTER: Duration = Duration::from_secs(10);

/// The names of the two breakers.
const CONNECT: &str = "connect";
const CONVERSE: &str = "converse";

/// One provider.
#[derive(Debug)]
pub(super) struct Member<T> {
    pub(super) candidate: Candidate<T>,
    connect: Breaker,
    converse: Breaker,
    pub(super) health: Health,
    pub(super) live: u32,
    pub(super) drained: bool,
    /// What it is owed under weighted turns.
    pub(super) credit: i64,
    /// Number of the decision that chose it last.
    pub(super) turn: u64,
}

/// One stay that is not settled.
#[derive(Debug)]
pub(super) struct Stay {
    pub(super) member: usize,
    since: MonoTime,
    /// Taken when the session is ready.
    connect: Option<Permit>,
    converse: Option<Permit>,
    proven: bool,
    /// Who is to be remembered for having talked with it; taken when that is done.
    pub(super) sticky: Option<StickyKey>,
}

/// A provider of a roster at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberSnapshot {
    /// Its name.
    pub id: ProviderId,
    /// Calls it is in, live or warming up.
    pub live: u32,
    /// Whether an operator lets it run empty.
    pub drained: bool,
    /// 0 to 100: four tenths for an hour's checks, three for quick answers, three for the present.
    pub confidence: u8,
    /// How it fares.
    pub health: HealthSnapshot,
    /// Whether sessions are opened.
    pub connect: BreakerSnapshot,
    /// Whether conversations hold.
    pub converse: BreakerSnapshot,
}

impl MemberSnapshot {
    /// Both breakers with the names of what they guard.
    pub fn breakers(&self) -> [(&'static str, &BreakerSnapshot); 2] {
        [(CONNECT, &self.connect), (CONVERSE, &self.converse)]
    }

    /// Where the provider as a whole stands: the worse of the two.
    pub fn state(&self) -> State {
        if self.connect.state.code() >= self.converse.state.code() {
            self.connect.state
        } else {
            self.converse.state
        }
    }
}

impl Stay {
    pub(super) const fn new(
        member: usize,
        since: MonoTime,
        permits: (Permit, Permit),
        sticky: Option<StickyKey>,
    ) -> Self {
        Self { member, since, connect: Some(permits.0), converse: Some(permits.1), proven: false, sticky }
    }
}

impl<T> Member<T> {
    pub(super) fn new(candidate: Candidate<T>, config: &RosterConfig, seed: u64) -> Self {
        Self {
            candidate: Candidate { weight: candidate.weight.max(1), ..candidate },
            connect: Breaker::new(config.connect, seed),
            converse: Breaker::new(config.converse, seed.wrapping_add(1)),
            health: Health::new(),
            live: 0,
            drained: false,
            credit: 0,
            turn: 0,
        }
    }

    /// Leave of both breakers, or of none.
    pub(super) fn admit(&mut self, now: MonoTime, insist: bool) -> Option<(Permit, Permit)> {
        let ask = |breaker: &mut Breaker| if insist { breaker.insist(now) } else { breaker.admit(now) };
        let connect = ask(&mut self.connect).ok()?;
        match ask(&mut self.converse) {
            Ok(converse) => Some((connect, converse)),
            Err(_) => {
                self.connect.release(connect);
                None
            }
        }
    }

    pub(super) fn ready(&mut self, now: MonoTime, stay: &mut Stay, took: Duration, slow: Duration) {
        let Some(permit) = stay.connect.take() else { return };
        let sample = if took > slow { Sample::Slow } else { Sample::Success };
        self.connect.settle(now, permit, sample);
        self.health.note(now, Check::Passed(took));
    }

    pub(super) fn replied(
        &mut self,
        now: MonoTime,
        stay: &mut Stay,
        latency: Option<Duration>,
        slow: Duration,
    ) {
        if let Some(latency) = latency {
            self.health.replied(now, latency);
        }
        if stay.proven {
            return;
        }
        stay.proven = true;
        let slow = latency.is_some_and(|latency| latency > slow);
        let sample = if slow { Sample::Slow } else { Sample::Success };
        stay.converse =
            stay.converse.take().map(|permit| self.converse.settle_and_stand(now, permit, sample));
    }

    pub(super) fn settle(&mut self, now: MonoTime, stay: Stay, settled: Settled<'_>) {
        self.live = self.live.saturating_sub(1);
        let (connect, converse) = match settled {
            Settled::Unproven => (Sample::Unproven, Sample::Unproven),
            Settled::Success => {
                let shown = !stay.proven && now.since(stay.since) >= PROVEN_AFTER;
                (Sample::Success, if shown { Sample::Success } else { Sample::Unproven })
            }
            Settled::Failure(failure) => {
                let (blame, verdict) = failure.judge();
                if blame != Blame::Nobody && verdict != Verdict::Ignore {
                    self.health.note(now, Check::Failed(failure.kind()));
                }
                let failed = Sample::Failure(failure);
                if stay.connect.is_some() { (failed, Sample::Unproven) } else { (failed, failed) }
            }
        };
        if let Some(permit) = stay.connect {
            self.connect.settle(now, permit, connect);
        }
        if let Some(permit) = stay.converse {
            self.converse.settle(now, permit, converse);
        }
    }

    /// Another server's breaker of this name has opened.
    pub(super) fn told_open(&mut self, now: MonoTime, breaker: &str, ago: Duration, left: Duration) {
        match breaker {
            CONNECT => self.connect.told_open(now, ago, left),
            CONVERSE => self.converse.told_open(now, ago, left),
            // A later version may have more.
            _ => {}
        }
    }

    pub(super) fn order(&mut self, now: MonoTime, order: Order) {
        let both = [&mut self.connect, &mut self.converse];
        match order {
            Order::Reset => both.into_iter().for_each(|breaker| breaker.reset(now)),
            Order::ForceOpen => both.into_iter().for_each(|breaker| breaker.force_open(now)),
            Order::ForceClosed => both.into_iter().for_each(|breaker| breaker.force_closed(now)),
            Order::Drain => self.drained = true,
            Order::Resume => self.drained = false,
        }
    }

    /// Whether both breakers would admit; if not, the longer of the two times.
    pub(super) fn would_admit(&self, now: MonoTime) -> Result<(), Refusal> {
        match (self.connect.would_admit(now), self.converse.would_admit(now)) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(refusal), Ok(())) | (Ok(()), Err(refusal)) => Err(refusal),
            (Err(one), Err(other)) => Err(Refusal {
                retry_after: one.retry_after.zip(other.retry_after).map(|(one, other)| one.max(other)),
            }),
        }
    }

    pub(super) const fn is_forced_open(&self) -> bool {
        self.connect.is_forced_open() || self.converse.is_forced_open()
    }

    /// Whether a call that came now could be given to it, if only as a last resort.
    pub(super) fn can_serve(&self, now: MonoTime) -> bool {
        !self.drained && self.connect.would_insist(now) && self.converse.would_insist(now)
    }

    pub(super) fn view(&self, now: MonoTime, index: usize) -> View {
        View {
            index,
            weight: self.candidate.weight,
            credit: self.credit,
            turn: self.turn,
            live: self.live,
            latency: self.health.pace(now),
            cost: self.candidate.skills.cost_per_minute,
            confidence: self.health.confidence(now),
        }
    }

    pub(super) fn snapshot(&self, now: MonoTime) -> MemberSnapshot {
        MemberSnapshot {
            id: self.candidate.id.clone(),
            live: self.live,
            drained: self.drained,
            confidence: self.health.confidence(now),
            health: self.health.snapshot(now),
            connect: self.connect.snapshot(now),
            converse: self.converse.snapshot(now),
        }
    }
}
