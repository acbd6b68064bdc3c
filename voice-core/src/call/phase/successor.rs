//! Somebody else warms up while the one who talks goes on: switches by wish, and rollovers.

use std::time::Duration;

use crate::conversation::fit;
use crate::id::ProviderId;
use crate::provider::{ProviderCommand, ReplyEnd};
use crate::record::{CallEvent, SwitchRefusal, Why};
use crate::time::MonoTime;

use super::super::covers::PAUSE;
use super::super::{Attempt, Call, FailedSwitch, Outcome, Output, SwitchCause, Timer};
use super::talking::Passage;
use super::{Candidate, Carried, Phase, Readiness, Role, Successor, Talking};

/// A rollover that has come to nothing is tried again after this.
const ROLLOVER_AGAIN: Duration = Duration::from_secs(10);

impl Call {
    pub(super) fn watch_session(&mut self, now: MonoTime, readiness: Readiness) {
        let at = readiness
            .expires
            .map(|at| at.saturating_sub(self.config.limits.rollover).max(now + ROLLOVER_AGAIN));
        self.set_or_clear(Timer::SessionLimit, at);
    }

    /// The provider's session comes to its end: another is sought, again and again until there is one.
    pub(in crate::call) fn roll_over(&mut self, now: MonoTime) {
        self.timers.set(Timer::SessionLimit, now + ROLLOVER_AGAIN);
        if !self.is_switching() {
            self.switch(now, Why::SessionLimit, None);
        }
    }

    /// Somebody wants another voice: make before break.
    pub(in crate::call) fn switch(&mut self, now: MonoTime, why: Why, wish: Option<ProviderId>) {
        if self.ask_again(now, wish.clone()) {
            return;
        }
        let Phase::Talking(Talking { provider, .. }) = &self.phase else {
            return self.refuse(now, SwitchRefusal::NotTalking, why, wish);
        };
        // A rollover may well go to the same provider; a wish for nobody in particular may not.
        let tried = match why {
            Why::Wish | Why::Drain if wish.is_none() => vec![provider.clone()],
            Why::Wish
            | Why::Drain
            | Why::CallStart
            | Why::Failure
            | Why::SessionLimit
            | Why::Standby
            | Why::Return => vec![],
        };
        if wish.as_ref() == Some(provider) {
            return self.refuse(now, SwitchRefusal::Same, why, wish);
        }
        if self.is_switching() {
            return self.refuse(now, SwitchRefusal::UnderWay, why, wish);
        }
        if self.promote_standby(now, why, wish.as_ref(), &tried) {
            return;
        }
        self.dismiss(now);
        let Some(candidate) = self.candidate(now, why, wish.clone(), tried, None) else {
            return self.refuse(now, SwitchRefusal::Nobody, why, wish);
        };
        if let Phase::Talking(talking) = &mut self.phase {
            talking.successor = Some(Successor::new(candidate, Role::Takeover));
        }
    }

    /// Takes back a switch that is under way, or the last one.
    pub(in crate::call) fn switch_back(&mut self, now: MonoTime) {
        if self.is_switching() {
            self.withdraw(now);
            if let Phase::Talking(talking) = &mut self.phase {
                talking.to_leave = false;
            }
            return self.stand_by_soon(now);
        }
        match self.books.before.clone() {
            Some(before) => self.switch(now, Why::Wish, Some(before)),
            None => self.report(now, CallEvent::SwitchRefused { why: SwitchRefusal::NoneBefore }),
        }
    }

    /// Somebody else is to talk, in the next pause or at once.
    pub(in crate::call) fn fail_over(&mut self, now: MonoTime, force: bool) {
        if force && self.phase.live().is_some() {
            self.drop_live(now);
        } else {
            self.switch(now, Why::Wish, None);
        }
    }

    /// Somebody is taken out of service.
    pub(in crate::call) fn leave_provider(&mut self, now: MonoTime, leave: &ProviderId) {
        let warming = self.phase.candidate().filter(|candidate| candidate.provider.as_ref() == Some(leave));
        if let (Some(id), Phase::Attaching(_)) = (warming.map(|candidate| candidate.id), &self.phase) {
            return self.pass_over(now, id);
        }
        let Phase::Talking(talking) = &mut self.phase else { return };
        talking.to_leave |= talking.provider == *leave;
        let to_leave = talking.to_leave;
        let successor = talking.successor.as_ref();
        let role = successor.filter(|s| s.candidate.provider.as_ref() == Some(leave)).map(|s| s.role);
        match role {
            Some(Role::Takeover) => self.withdraw(now),
            Some(Role::Standby) => self.dismiss(now),
            None => {}
        }
        if to_leave {
            return self.on_leave_due(now);
        }
        if role.is_some() {
            self.stand_by_soon(now);
        }
    }

    /// Whoever talks is to be left, as soon as there is somebody else.
    pub(in crate::call) fn on_leave_due(&mut self, now: MonoTime) {
        let Phase::Talking(Talking { to_leave: true, .. }) = self.phase else { return };
        // Who warms up already will do; if they do not, this comes again.
        if !self.is_switching() {
            self.switch(now, Why::Drain, None);
        }
    }

    /// Nobody could take over from somebody who is to be left. The next one may.
    pub(super) fn leave_again(&mut self, now: MonoTime, mut tried: Vec<ProviderId>) -> bool {
        let Phase::Talking(Talking { to_leave: true, provider, .. }) = &self.phase else { return false };
        if !tried.contains(provider) {
            tried.push(provider.clone());
        }
        let Some(candidate) = self.candidate(now, Why::Drain, None, tried, None) else {
            self.leave_later(now);
            return true;
        };
        if let Phase::Talking(talking) = &mut self.phase {
            talking.successor = Some(Successor::new(candidate, Role::Takeover));
        }
        true
    }

    /// Nobody can take over at present.
    pub(super) fn leave_later(&mut self, now: MonoTime) {
        if let Phase::Talking(Talking { to_leave: true, .. }) = self.phase {
            self.timers.set(Timer::Leave, now + ROLLOVER_AGAIN);
        }
    }

    /// A switch that is under way is given up.
    fn withdraw(&mut self, now: MonoTime) {
        let Some(candidate) = self.phase.candidate() else { return };
        let (why, to) = (candidate.why, candidate.provider.clone());
        self.dismiss(now);
        self.refuse(now, SwitchRefusal::Withdrawn, why, to);
    }

    /// Nothing comes of a switch: whoever talks goes on.
    pub(super) fn refuse(&mut self, now: MonoTime, refusal: SwitchRefusal, why: Why, to: Option<ProviderId>) {
        self.report(now, CallEvent::SwitchRefused { why: refusal });
        self.note_failed_switch(why, to, SwitchCause::Refused(refusal));
    }

    /// For those who ask what became of a switch. The first voice of a call takes over from nobody.
    pub(super) fn note_failed_switch(&mut self, why: Why, to: Option<ProviderId>, cause: SwitchCause) {
        if let (Some(from), Why::Failure | Why::Wish | Why::SessionLimit | Why::Drain) =
            (self.books.last.clone(), why)
        {
            self.books.switches.note(Attempt::Failed(FailedSwitch { from, to, why, cause }));
        }
    }

    /// Lets go of whoever warms up or stands by. It did nothing wrong.
    pub(super) fn dismiss(&mut self, now: MonoTime) {
        let Phase::Talking(talking) = &mut self.phase else { return };
        let Some(Successor { candidate, .. }) = talking.successor.take() else { return };
        for timer in [Timer::Attach, Timer::CutOver, Timer::Standby] {
            self.timers.clear(timer);
        }
        if candidate.provider.is_some() {
            // That it connected was told when it was ready; of talking it has shown nothing.
            self.outbox.push_back(Output::Outcome(candidate.id, Outcome::Unproven));
            self.detach(now, candidate.id);
        }
    }

    fn is_switching(&self) -> bool {
        let Phase::Talking(Talking { successor: Some(successor), .. }) = &self.phase else { return false };
        successor.role == Role::Takeover
    }

    /// A ready successor takes over in the first pause.
    pub(in crate::call) fn cut_over_if_quiet(&mut self, now: MonoTime) {
        // A service notices later than our own ear that somebody speaks, and tells nobody else what it heard
        // until then.
        let hushed = self.caller.last_voiced.is_none_or(|voiced| now.since(voiced) >= PAUSE);
        let unasked = self.caller.speaking.is_none() && !self.caller.owed;
        let pause = self.playout.is_silent() && unasked && hushed;
        let quiet = (pause || self.aside.is_on_hold()) && self.tools.is_idle();
        if quiet {
            self.cut_over(now);
        }
    }

    pub(in crate::call) fn cut_over(&mut self, now: MonoTime) {
        let Phase::Talking(talking) = &mut self.phase else { return };
        let is_due =
            |successor: &mut Successor| successor.role == Role::Takeover && successor.ready.is_some();
        let Some(Successor { mut candidate, ready: Some(readiness), .. }) = talking.successor.take_if(is_due)
        else {
            return;
        };
        let (old, stay) = (talking.live, now.since(talking.since));
        let Some(provider) = candidate.provider.clone() else { return };
        self.phase = Phase::Talking(Talking {
            live: candidate.id,
            provider: provider.clone(),
            since: now,
            successor: None,
            to_leave: false,
        });
        self.judge_stay(old, stay);
        for timer in [Timer::CutOver, Timer::Stall, Timer::Silence, Timer::Doubt, Timer::Leave] {
            self.timers.clear(timer);
        }
        self.caller.unanswered_since = None;
        self.caller.owed |= self.playout.break_off(ReplyEnd::Cancelled);
        self.caller.owed |= self.caller.speaking.take().is_some();
        self.note_pending_words(now);
        self.books.totals.switches += 1;
        self.outbox.push_back(Output::Outcome(old, Outcome::Success));
        self.detach(now, old);
        self.watch_session(now, readiness);
        self.report(now, CallEvent::Live { attachment: candidate.id, gap: Duration::ZERO });
        let (why, carried) = (candidate.why, self.catch_up(&mut candidate));
        let passage = Passage { why, gap: Duration::ZERO, lost: Duration::ZERO, carried };
        self.on_switched(now, &candidate, provider, passage);
        self.let_speak(now, why);
        self.stand_by_soon(now);
    }

    /// Tells whoever goes live what was said since it was given the conversation. How much it knows now.
    pub(super) fn catch_up(&mut self, candidate: &mut Candidate) -> Carried {
        let mut turns = self.transcript.late(&mut candidate.missed);
        turns.extend(self.transcript.since(candidate.knows_until));
        for late in std::mem::take(&mut self.tools.late_answers) {
            if !turns.contains(&late) {
                turns.push(late);
            }
        }
        let turns = fit(turns, self.transcript.summary(), self.config.context_bytes);
        let mut carried = candidate.carried;
        carried.add(&turns);
        if !turns.is_empty() {
            self.tell(candidate.id, ProviderCommand::CatchUp(turns));
        }
        carried
    }
}
