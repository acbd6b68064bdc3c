//! Who can take a call: a list of providers, how each of them fares, and the choice between them.
//!
//! A roster is a value like everything that decides: time is an argument, nothing inside waits.
//! [`crate::fleet::SharedRoster`] puts it behind a lock for all calls of a process.
//!
//! # How a choice is made
//!
//! 1. Everybody is judged: what stands against them for this call ([`Obstacle`])? A missing skill, an
//!    operator's order, or a failure for this very call that must not be repeated is final.
//! 2. A wish leaves only the one who was named. If their breaker refuses, the answer is no: whoever
//!    talks with the caller goes on.
//! 3. Of the rest, those with the least against them come first; among equals the [`Strategy`] decides,
//!    and before it whoever the caller, or the agent, talked with last (if [`RosterConfig::sticky`]).
//! 4. If everybody's breaker refuses, the caller is still on the line, and is better served by a probe
//!    than by nobody: the first whose breaker can be [insisted](crate::breaker::Breaker::insist) upon
//!    takes the call. That is bounded, and never done against an operator's order.
//!
//! Each choice is kept as a [`Decision`] with its reason and everybody else's obstacle.
//!
//! # What is learned
//!
//! Each provider has two breakers: *connect* learns from the choice until the session is ready,
//! *converse* from then on. A conversation has proven itself with its first reply, or after ten seconds;
//! a failure after that counts as one more sample, so half of all conversations must break before the
//! rate alone opens the breaker. What never counts: our key, a caller who hangs up, a session limit.
//!
//! Who does not tell [`Roster::ready`] and [`Roster::replied`] loses latency and the difference between
//! the two breakers, and nothing else: [`Roster::settle`] alone is enough to open and close them.

mod decision;
mod health;
mod judge;
mod load;
mod member;
mod needs;
mod probe;
mod sticky;
mod strategy;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::breaker::BreakerConfig;
use crate::failure::Failure;
use crate::id::{CallId, ProviderId};
use crate::limits::{DECISIONS_MAX, STAYS_MAX, STICKY_MAX};
use crate::time::MonoTime;

pub use decision::{Decision, Obstacle, Reason};
pub use health::{Check, HealthSlice, HealthSnapshot, Latency, Status};
pub use load::Load;
pub use member::MemberSnapshot;
pub use needs::{Assignment, Candidate, Needs, Skills, StayId, StickyKey};
pub use probe::{PROBE_EVERY, PROBE_TIMEOUT, ProbePlan};
pub use strategy::Strategy;

use member::{Member, Stay};
use sticky::Memory;

/// How a roster chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RosterConfig {
    /// Among those who can.
    pub strategy: Strategy,
    /// Whether callers return to who they talked with last.
    pub sticky: Sticky,
    /// When connecting is given up.
    pub connect: BreakerConfig,
    /// When conversations are given up.
    pub converse: BreakerConfig,
    /// What counts as slow.
    pub slow: Slow,
    /// Spreads what must not happen at once.
    pub seed: u64,
}

/// What counts as slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// From the choice until ready. Default: 3 s.
    pub connect: Duration,
    /// From the caller's last word to the first sound of the first reply. Default: 4 s.
    pub reply: Duration,
}

impl Default for Slow {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), reply: Duration::from_secs(4) }
    }
}

/// Whether somebody returns to the provider they had last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sticky {
    /// Nobody does.
    #[default]
    No,
    /// Each caller does: [`Needs::caller`].
    Caller,
    /// Each agent does: [`Needs::agent`].
    Agent,
}

/// An operator's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Both breakers closed, as if nothing had happened.
    Reset,
    /// No calls, until reset.
    ForceOpen,
    /// Calls, whatever happens, until reset.
    ForceClosed,
    /// No new calls; those that are live are told by [`Roster::calls_with`].
    Drain,
    /// New calls again.
    Resume,
}

/// How a stay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled<'a> {
    /// It did its work until it was let go.
    Success,
    /// It failed.
    Failure(&'a Failure),
    /// It never had the chance to show anything.
    Unproven,
}

/// There is no provider of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no provider is called {0}")]
pub struct Unknown(pub ProviderId);

/// Who can take a call. `T` is what is handed out: a provider, or anything else with a name.
#[derive(Debug)]
pub struct Roster<T> {
    config: RosterConfig,
    members: Vec<Member<T>>,
    stays: BTreeMap<StayId, Stay>,
    memory: Memory,
    turns: u64,
    decisions: VecDeque<Decision>,
}

impl<T> Roster<T> {
    /// From a list, best first. Of two with the same name the first stays.
    pub fn new(config: RosterConfig, candidates: Vec<Candidate<T>>) -> Self {
        let mut members: Vec<Member<T>> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if members.iter().all(|member| member.candidate.id != candidate.id) {
                let seed = config.seed.wrapping_add(members.len() as u64 * 2);
                members.push(Member::new(candidate, &config, seed));
            }
        }
        Self {
            config,
            members,
            stays: BTreeMap::new(),
            memory: Memory::new(STICKY_MAX),
            turns: 0,
            decisions: VecDeque::new(),
        }
    }

    /// Somebody who can take the call, or `None` when nobody is left.
    pub fn assign(&mut self, now: MonoTime, stay: StayId, wanted: &Assignment) -> Option<(&ProviderId, &T)> {
        let ranked = self.rank(now, wanted);
        let mut chosen = None;
        for (index, obstacle) in ranked.iter().filter(|(_, obstacle)| !obstacle.is_final()) {
            let insist = matches!(obstacle, Obstacle::Refused(_));
            if insist && wanted.wish.is_some() {
                break;
            }
            if let Some(permits) = self.members[*index].admit(now, insist) {
                chosen = Some((*index, *obstacle, permits));
                break;
            }
        }
        self.note_decision(now, stay, wanted, &ranked, chosen.as_ref().map(|(index, why, _)| (*index, *why)));
        let (index, _, permits) = chosen?;
        self.turns += 1;
        self.pay(index, &ranked);
        // A stay that is assigned twice was not settled: somebody else's bug must not keep its slot.
        self.settle(now, stay, Settled::Unproven);
        if self.stays.len() >= STAYS_MAX
            && let Some((oldest, _)) = self.stays.first_key_value()
        {
            self.settle(now, *oldest, Settled::Unproven);
        }
        let sticky = self.sticky_key(wanted);
        let member = &mut self.members[index];
        member.live += 1;
        member.turn = self.turns;
        self.stays.insert(stay, Stay::new(index, now, permits, sticky));
        let candidate = &self.members[index].candidate;
        Some((&candidate.id, &candidate.value))
    }

    /// The session of this stay accepted its history, so long after it was chosen.
    pub fn ready(&mut self, now: MonoTime, stay: StayId, took: Duration) {
        if let Some(stay) = self.stays.get_mut(&stay) {
            self.members[stay.member].ready(now, stay, took, self.config.slow.connect);
        }
    }

    /// A reply of this stay reached the caller, so long after they fell silent, if they spoke.
    pub fn replied(&mut self, now: MonoTime, stay: StayId, latency: Option<Duration>) {
        if let Some(stay) = self.stays.get_mut(&stay) {
            // Who was only chosen, or stood by, is nobody to return to.
            if let Some(key) = stay.sticky.take() {
                self.memory.remember(key, stay.member);
            }
            self.members[stay.member].replied(now, stay, latency, self.config.slow.reply);
        }
    }

    /// How a stay ended. One that is not known is no harm.
    pub fn settle(&mut self, now: MonoTime, stay: StayId, settled: Settled<'_>) {
        if let Some(mut stay) = self.stays.remove(&stay) {
            if let (Settled::Success, Some(key)) = (settled, stay.sticky.take()) {
                self.memory.remember(key, stay.member);
            }
            self.members[stay.member].settle(now, stay, settled);
        }
    }

    /// Somebody looked at a provider without a call. Changes its health, never its breakers: a key may
    /// be good for calls and not for looking.
    pub fn probed(&mut self, now: MonoTime, provider: &ProviderId, check: Check) {
        if let Ok(member) = self.member_mut(provider) {
            member.health.note(now, check);
        }
    }

    /// Carries out an operator's order.
    pub fn order(&mut self, now: MonoTime, provider: &ProviderId, order: Order) -> Result<(), Unknown> {
        self.member_mut(provider)?.order(now, order);
        Ok(())
    }

    /// Another server's breaker of this name ([`MemberSnapshot::breakers`]) opened `ago`, and stays open for
    /// `left`: see [`crate::breaker::Breaker::told_open`]. A provider that is not on this list is no harm.
    pub fn told_open(
        &mut self,
        now: MonoTime,
        provider: &ProviderId,
        breaker: &str,
        (ago, left): (Duration, Duration),
    ) {
        if let Ok(member) = self.member_mut(provider) {
            member.told_open(now, breaker, ago, left);
        }
    }

    /// Calls that this provider is in, live or warming up.
    pub fn calls_with(&self, provider: &ProviderId) -> Vec<CallId> {
        let mut calls: Vec<_> = self
            .stays
            .iter()
            .filter(|(_, stay)| self.members[stay.member].candidate.id == *provider)
            .map(|(id, _)| id.call)
            .collect();
        calls.dedup();
        calls
    }

    /// Whether a call that came now would find anybody at all. The door asks this: a busy tone is more
    /// honest than a call that ends after a second.
    pub fn can_serve(&self, now: MonoTime) -> bool {
        self.members.iter().any(|member| member.can_serve(now))
    }

    /// Whether anybody but this one could take over a call with these needs, if only as a last resort.
    pub fn could_replace(&self, now: MonoTime, from: &ProviderId, needs: &Needs) -> bool {
        let others = self.members.iter().filter(|member| member.candidate.id != *from);
        others.into_iter().any(|member| member.can_serve(now) && judge::lacks(member, needs).is_none())
    }

    /// Everybody, in the order of the list.
    pub fn snapshot(&self, now: MonoTime) -> Vec<MemberSnapshot> {
        self.members.iter().map(|member| member.snapshot(now)).collect()
    }

    /// A day of a provider's health in slices of five minutes, oldest first.
    pub fn history(&self, now: MonoTime, provider: &ProviderId) -> Result<Vec<HealthSlice>, Unknown> {
        Ok(self.member(provider)?.health.history(now))
    }

    /// The last choices, oldest first; at most [`DECISIONS_MAX`].
    pub fn decisions(&self) -> impl DoubleEndedIterator<Item = &Decision> + ExactSizeIterator {
        self.decisions.iter()
    }

    /// Names and values, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = (&ProviderId, &T)> {
        self.members.iter().map(|member| (&member.candidate.id, &member.candidate.value))
    }

    /// Stays that are not settled.
    pub fn stays(&self) -> usize {
        self.stays.len()
    }

    fn note_decision(
        &mut self,
        now: MonoTime,
        stay: StayId,
        wanted: &Assignment,
        ranked: &[(usize, Obstacle)],
        chosen: Option<(usize, Obstacle)>,
    ) {
        let name = |index: usize| self.members[index].candidate.id.clone();
        let reason = match chosen {
            None => Reason::Nobody,
            Some(_) if wanted.wish.is_some() => Reason::Wish,
            Some((index, Obstacle::Outranked)) if self.remembered(wanted) == Some(index) => Reason::Sticky,
            Some((_, Obstacle::Outranked)) => Reason::Strategy(self.config.strategy),
            Some((_, obstacle)) => Reason::LastResort(obstacle),
        };
        let others = ranked.iter().filter(|(index, _)| chosen.is_none_or(|(chosen, _)| chosen != *index));
        let decision = Decision {
            at: now,
            stay,
            chosen: chosen.map(|(index, _)| name(index)),
            reason,
            confidence: chosen.map_or(0, |(index, _)| self.members[index].health.confidence(now)),
            others: others.map(|(index, obstacle)| (name(*index), *obstacle)).collect(),
        };
        if self.decisions.len() >= DECISIONS_MAX {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decision);
    }

    fn sticky_key(&self, wanted: &Assignment) -> Option<StickyKey> {
        match self.config.sticky {
            Sticky::No => None,
            Sticky::Caller => wanted.needs.caller,
            Sticky::Agent => wanted.needs.agent,
        }
    }

    fn remembered(&self, wanted: &Assignment) -> Option<usize> {
        self.sticky_key(wanted).and_then(|key| self.memory.recall(key))
    }

    fn member(&self, provider: &ProviderId) -> Result<&Member<T>, Unknown> {
        let found = self.members.iter().find(|member| member.candidate.id == *provider);
        found.ok_or_else(|| Unknown(provider.clone()))
    }

    fn member_mut(&mut self, provider: &ProviderId) -> Result<&mut Member<T>, Unknown> {
        let found = self.members.iter_mut().find(|member| member.candidate.id == *provider);
        found.ok_or_else(|| Unknown(provider.clone()))
    }
}

#[cfg(test)]
mod tests;
