//! Somebody stands by, connected and told the conversation, in case the one who talks fails.

use std::time::Duration;

use crate::id::ProviderId;
use crate::limits::ATTACHMENTS_MAX;
use crate::provider::ProviderCommand;
use crate::record::Why;
use crate::time::MonoTime;

use super::super::config::Standby;
use super::super::{Call, Timer, backoff};
use super::{Phase, Role, Successor, Talking};

/// The one who has just gone live is busy enough.
const SOON: Duration = Duration::from_secs(1);

/// When the usual waits have led to nobody, there is no hurry any more.
const LATER: Duration = Duration::from_secs(300);

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
    pub(super) fn stand_by_after(&mut self, now: MonoTime, role: Option<Role>) {
        match role {
            Some(Role::Standby) => self.stand_by_later(now),
            Some(Role::Takeover) => self.stand_by_soon(now),
            None => {}
        }
    }

    /// It is time to look for somebody, or to replace somebody whose session comes to its end.
    pub(in crate::call) fn on_standby_due(&mut self, now: MonoTime) {
        let Phase::Talking(talking) = &self.phase else { return };
        let last_resort = Some(talking.provider.clone());
        match &talking.successor {
            Some(Successor { role: Role::Takeover, .. }) => return self.stand_by_later(now),
            Some(Successor { role: Role::Standby, .. }) => self.dismiss(now),
            None => {}
        }
        // A call that is nearly out of attempts keeps the rest for real needs.
        if self.books.attachments >= ATTACHMENTS_MAX / 2 {
            return;
        }
        let Some(candidate) = self.candidate(now, Why::Standby, None, vec![], last_resort) else { return };
        if let Phase::Talking(talking) = &mut self.phase {
            talking.successor = Some(Successor { candidate, role: Role::Standby, ready: None });
        }
    }

    pub(super) fn on_standby_ready(&mut self, now: MonoTime, expires: Option<MonoTime>) {
        self.books.standby_failures = 0;
        let at = expires.map(|at| at.saturating_sub(self.config.limits.rollover).max(now + SHORTEST));
        self.set_or_clear(Timer::Standby, at);
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
        let (turns, knows_until) = self.transcript.settled_since(candidate.knows_until);
        candidate.knows_until = knows_until;
        if !turns.is_empty() {
            candidate.carried.add(&turns);
            let id = candidate.id;
            self.tell(id, ProviderCommand::CatchUp(turns));
        }
    }
}
