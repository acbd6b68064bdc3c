//! Somebody stands by, connected and told the conversation, in case the one who talks fails.

use std::time::Duration;

use crate::id::{AttachmentId, ProviderId};
use crate::limits::ATTACHMENTS_MAX;
use crate::provider::ProviderCommand;
use crate::record::Why;
use crate::time::MonoTime;

use super::super::config::Standby;
use super::super::{Call, Outcome, Output, Timer, backoff};
use super::{Phase, Readiness, Role, Successor, Talking};

/// The one who has just gone live is busy enough.
const SOON: Duration = Duration::from_secs(1);

/// When the usual waits have led to nobody, there is no hurry any more.
const LATER: Duration = Duration::from_secs(300);

/// Whoever stands by for a call with the same service would fail with it: so often another is sought.
const ANOTHER: Duration = Duration::from_secs(60);

/// A session that says that it ends almost at once must not be replaced all the time.
const SHORTEST: Duration = Duration::from_secs(10);

impl Call {
    /// Somebody has gone live, or the last one to stand by is needed or gone.
    pub(super) fn stand_by_soon(&mut self, now: MonoTime) {
        self.books.standby_failures = 0;
        if self.config.standby != Standby::Off {
            self.timers.set(Timer::Standby, now + SOON);
        }
    }

    /// Nobody could stand by, or not for long.
    pub(super) fn stand_by_later(&mut self, now: MonoTime) {
        let round = self.books.standby_failures;
        self.books.standby_failures += 1;
        let wait = if round < backoff::ROUNDS_MAX { backoff::wait(round, self.books.seed) } else { LATER };
        if self.config.standby != Standby::Off {
            self.timers.set(Timer::Standby, now + wait);
        }
    }

    /// Somebody who warmed up has failed. Who was to take over leaves a place to stand by.
    pub(super) fn stand_by_after(&mut self, now: MonoTime, role: Role) {
        match role {
            Role::Standby => self.stand_by_later(now),
            Role::Takeover => self.stand_by_soon(now),
        }
    }

    /// It is time to look for somebody, or to replace somebody whose session comes to its end.
    pub(in crate::call) fn on_standby_due(&mut self, now: MonoTime) {
        let Phase::Talking(talking) = &self.phase else { return };
        let last_resort = Some(talking.provider.clone());
        match talking.successor.as_ref().map(|successor| successor.role) {
            Some(Role::Takeover) => return self.stand_by_later(now),
            Some(Role::Standby) if self.ask_for_another(now) => return,
            Some(Role::Standby) => self.dismiss(now),
            None => {}
        }
        // A call that is nearly out of attempts keeps the rest for real needs.
        if self.books.asked_of_late(now) >= ATTACHMENTS_MAX / 2 {
            return;
        }
        let Some(candidate) = self.candidate(now, Why::Standby, None, vec![], last_resort) else { return };
        if let Phase::Talking(talking) = &mut self.phase {
            talking.successor = Some(Successor::new(candidate, Role::Standby));
        }
    }

    pub(super) fn on_standby_ready(&mut self, now: MonoTime, expires: Option<MonoTime>) {
        self.books.standby_failures = 0;
        let at = expires.map(|at| at.saturating_sub(self.config.limits.rollover).max(now + SHORTEST));
        let again = self.shares_the_fate_of_the_live_one().then_some(now + ANOTHER);
        self.set_or_clear(Timer::Standby, at.into_iter().chain(again).min());
    }

    /// The same service stands by that talks: there was nobody else then.
    fn shares_the_fate_of_the_live_one(&self) -> bool {
        let Phase::Talking(Talking { provider, successor: Some(successor), .. }) = &self.phase else {
            return false;
        };
        successor.role == Role::Standby && successor.candidate.provider.as_ref() == Some(provider)
    }

    /// Asks whether another service could stand by in the place of the one that talks itself. False if whoever
    /// stands by must go in any case.
    fn ask_for_another(&mut self, now: MonoTime) -> bool {
        if !self.shares_the_fate_of_the_live_one() {
            return false;
        }
        let Phase::Talking(Talking { provider, successor: Some(successor), .. }) = &self.phase else {
            return false;
        };
        let Some(Readiness { expires }) = successor.ready else { return false };
        let last_resort = Some(provider.clone());
        let is_over = |at: MonoTime| at.saturating_sub(self.config.limits.rollover) <= now;
        if expires.is_some_and(is_over) || self.books.asked_of_late(now) >= ATTACHMENTS_MAX / 2 {
            return false;
        }
        let rather = self.candidate(now, Why::Standby, None, vec![], last_resort);
        if let Phase::Talking(Talking { successor: Some(successor), .. }) = &mut self.phase {
            successor.rather = rather;
        }
        self.on_standby_ready(now, expires);
        true
    }

    /// The answer to that. True if there is nobody else, and all stays as it is; else whoever was chosen takes
    /// the place.
    pub(super) fn stays_as_it_is(
        &mut self,
        now: MonoTime,
        id: AttachmentId,
        chosen: Option<&ProviderId>,
    ) -> bool {
        let Phase::Talking(Talking { provider, successor: Some(successor), .. }) = &mut self.phase else {
            return false;
        };
        let Some(candidate) = successor.rather.take_if(|rather| rather.id == id) else { return false };
        if chosen.is_none_or(|chosen| chosen == provider) {
            if chosen.is_some() {
                self.outbox.push_back(Output::Outcome(id, Outcome::Unproven));
            }
            return true;
        }
        self.dismiss(now);
        if let Phase::Talking(talking) = &mut self.phase {
            talking.successor = Some(Successor::new(candidate, Role::Standby));
        }
        false
    }

    /// A switch is wanted and somebody stands by who will do.
    pub(super) fn promote_standby(
        &mut self,
        now: MonoTime,
        why: Why,
        wish: Option<&ProviderId>,
        tried: &[ProviderId],
    ) -> bool {
        let Phase::Talking(Talking { successor: Some(successor), .. }) = &mut self.phase else {
            return false;
        };
        let Some(provider) = &successor.candidate.provider else { return false };
        if wish.is_some_and(|wish| wish != provider) || tried.contains(provider) {
            return false;
        }
        successor.role = Role::Takeover;
        successor.candidate.why = why;
        let ready = successor.ready.is_some();
        self.timers.clear(Timer::Standby);
        if ready {
            self.timers.set(Timer::CutOver, now + self.config.limits.cut_over);
        }
        true
    }

    /// Tells whoever stands by what has been said.
    pub(in crate::call) fn feed_standby(&mut self) {
        if self.config.standby != Standby::Fed {
            return;
        }
        let Phase::Talking(Talking { successor: Some(successor), .. }) = &mut self.phase else { return };
        if successor.ready.is_none() {
            return;
        }
        let candidate = &mut successor.candidate;
        let mut turns = self.transcript.late(&mut candidate.missed);
        let (settled, knows_until, passed) = self.transcript.settled_since(candidate.knows_until);
        turns.extend(settled);
        candidate.missed.extend(passed);
        candidate.knows_until = knows_until;
        if !turns.is_empty() {
            candidate.carried.add(&turns);
            let id = candidate.id;
            self.tell(id, ProviderCommand::CatchUp(turns));
        }
    }
}
