//! Nobody hears the caller: who is asked, when they are asked again, and when it is given up.

use std::time::Duration;

use crate::conversation::fit;
use crate::failure::{Failure, Verdict};
use crate::id::{AttachmentId, ProviderId};
use crate::provider::ProviderEvent;
use crate::record::{CallEvent, CoverKind, Loss, SwitchRefusal, Why};
use crate::time::MonoTime;

use super::super::backoff;
use super::super::{Call, Outcome, Output, SwitchCause, Timer};
use super::{Attaching, Candidate, Carried, Leaving, Phase, Quest, Readiness, Role, Successor, Talking};

/// Asking again so shortly before the time is up would be no better than the last time.
const WAIT_MIN: Duration = Duration::from_millis(250);

impl Call {
    /// Looks for somebody to fill a gap. The phase must be `Attaching`; what is held stays held.
    pub(in crate::call) fn seek(&mut self, now: MonoTime, why: Why, wish: Option<ProviderId>) {
        let tried = self.phase.candidate().map(|c| std::mem::take(&mut c.tried)).unwrap_or_default();
        let candidate = self.candidate(now, why, wish, tried, None);
        self.ask_or_give_up(now, candidate);
    }

    /// As [`Self::seek`], for the gap that somebody leaves behind.
    pub(super) fn replace(
        &mut self,
        now: MonoTime,
        why: Why,
        tried: Vec<ProviderId>,
        last_resort: Option<ProviderId>,
    ) {
        let candidate = self.candidate(now, why, None, tried, last_resort);
        self.ask_or_give_up(now, candidate);
    }

    fn ask_or_give_up(&mut self, now: MonoTime, candidate: Option<Candidate>) {
        match (candidate, &mut self.phase) {
            (Some(candidate), Phase::Attaching(attaching)) => {
                attaching.quest = Quest::Candidate(candidate);
            }
            (Some(_), Phase::Talking(_) | Phase::Leaving(_) | Phase::Ended(_)) => {}
            (None, _) => self.give_up(now),
        }
    }

    /// All have failed, or there is nobody: they are asked again after a while, some times.
    fn nobody_left(&mut self, now: MonoTime) {
        let Phase::Attaching(attaching) = &mut self.phase else { return };
        let left = (attaching.since + self.config.limits.gap).since(now);
        let (round, hopeless) = (self.books.rounds, self.books.is_hopeless());
        if hopeless || backoff::is_enough(round, attaching.rounds) || left < WAIT_MIN {
            return self.give_up(now);
        }
        attaching.quest = Quest::Waiting;
        attaching.rounds += 1;
        let wait = backoff::wait(round, self.books.seed).min(left);
        self.books.rounds += 1;
        self.timers.set(Timer::Retry, now + wait);
        self.report(now, CallEvent::Retrying { round: round + 1, wait });
    }

    /// Asks everybody again, if this is a time of waiting.
    pub(in crate::call) fn ask_again(&mut self, now: MonoTime, wish: Option<ProviderId>) -> bool {
        let Phase::Attaching(attaching) = &mut self.phase else { return false };
        let Attaching { quest: Quest::Waiting, why, rounds, .. } = attaching else { return false };
        let why = *why;
        if self.timers.due(Timer::Retry).is_some() {
            // Somebody was quicker than the clock: the wait that this round stands for has not been.
            self.books.rounds = self.books.rounds.saturating_sub(1);
            *rounds = rounds.saturating_sub(1);
            self.timers.clear(Timer::Retry);
        }
        self.seek(now, why, wish);
        true
    }

    /// Somebody who is being connected is not wanted after all; the next one is asked.
    pub(super) fn pass_over(&mut self, now: MonoTime, id: AttachmentId) {
        self.timers.clear(Timer::Attach);
        self.outbox.push_back(Output::Outcome(id, Outcome::Unproven));
        self.detach(now, id);
        self.next_candidate(now);
    }

    /// The candidate will not do; whoever has not been tried yet is asked.
    fn next_candidate(&mut self, now: MonoTime) {
        let Phase::Attaching(attaching) = &mut self.phase else { return };
        let why = attaching.why;
        if let Quest::Candidate(candidate) = &mut attaching.quest {
            candidate.tried.extend(candidate.provider.take());
        }
        self.seek(now, why, None);
    }

    /// `Attaching → Leaving`: nobody is asked any more.
    fn give_up(&mut self, now: MonoTime) {
        let leaving = Phase::Leaving(Leaving { lost: Default::default() });
        if let Phase::Attaching(attaching) = std::mem::replace(&mut self.phase, leaving) {
            self.lose(now, Loss::Held, attaching.held.into_lost());
        }
        self.timers.clear(Timer::Attach);
        self.timers.clear(Timer::Retry);
        // Whoever is being led to somebody else needs nobody here.
        if !self.aside.transfers.is_under_way() {
            self.say_why(now);
        }
    }

    /// The caller hears that nobody can talk with them; then the call leaves them.
    pub(in crate::call) fn say_why(&mut self, now: MonoTime) {
        self.take_off_hold(now, false);
        self.cover(CoverKind::Unavailable);
        // The end of what was being said is heard first. The limit is for an ear that is very late.
        self.timers.set(Timer::Goodbye, self.playout.ends(now) + self.config.limits.goodbye);
    }

    /// Asks the roster for somebody. `None` if this call has asked too often of late.
    pub(super) fn candidate(
        &mut self,
        now: MonoTime,
        why: Why,
        wish: Option<ProviderId>,
        mut tried: Vec<ProviderId>,
        last_resort: Option<ProviderId>,
    ) -> Option<Candidate> {
        let id = self.books.next_attachment(now)?;
        // Whoever asks for it by name knows that the key was mended, or will learn that it was not.
        self.books.barred.retain(|barred| Some(barred) != wish.as_ref());
        for barred in &self.books.barred {
            if !tried.contains(barred) {
                tried.push(barred.clone());
            }
        }
        self.report(now, CallEvent::Attaching { attachment: id, why });
        let (wished, besides) = (wish.clone(), tried.clone());
        self.outbox.push_back(Output::Attach { id, wish: wished, tried: besides, last_resort });
        let (carried, missed) = (Carried::default(), Vec::new());
        Some(Candidate { id, why, wish, provider: None, since: now, tried, knows_until: 0, missed, carried })
    }

    pub(in crate::call) fn on_assigned(
        &mut self,
        now: MonoTime,
        id: AttachmentId,
        provider: Option<ProviderId>,
    ) {
        if self.stays_as_it_is(now, id, provider.as_ref()) {
            return;
        }
        let expected = self.phase.candidate().filter(|c| c.id == id && c.provider.is_none());
        let (Some(candidate), Some(provider)) = (expected, provider.as_ref()) else {
            return self.on_no_assignment(now, id, provider.is_some());
        };
        candidate.provider = Some(provider.clone());
        candidate.since = now;
        self.books.meet(provider);
        self.timers.set(Timer::Attach, now + self.config.limits.attach);
        self.report(now, CallEvent::Assigned { attachment: id, provider: provider.clone() });
        // Who warms up while the conversation goes on is told what is certain, and the rest later.
        let (history, knows_until) = match self.phase {
            Phase::Talking(_) => self.transcript.settled(),
            Phase::Attaching(_) | Phase::Leaving(_) | Phase::Ended(_) => {
                self.note_pending_words(now);
                // Those that have come are part of it.
                self.tools.late_answers.clear();
                self.transcript.all()
            }
        };
        let history = fit(history, self.transcript.summary(), self.config.context_bytes);
        if let Some(candidate) = self.phase.candidate() {
            candidate.knows_until = knows_until;
            candidate.carried.add(&history);
        }
        self.outbox.push_back(Output::Open { id, history });
    }

    /// The roster has nobody, or answers a question that is no longer asked.
    fn on_no_assignment(&mut self, now: MonoTime, id: AttachmentId, somebody: bool) {
        let is_current = self.phase.candidate().is_some_and(|c| c.id == id && c.provider.is_none());
        if !is_current {
            if somebody && self.phase.live() != Some(id) {
                self.outbox.push_back(Output::Outcome(id, Outcome::Unproven));
            }
            return;
        }
        match &mut self.phase {
            // Whoever had the caller before would have been best; anybody else will do.
            Phase::Attaching(Attaching {
                quest: Quest::Candidate(Candidate { wish: Some(_), .. }),
                why,
                ..
            }) if *why == Why::Return => {
                self.seek(now, Why::Return, None);
            }
            Phase::Attaching(_) => self.nobody_left(now),
            Phase::Talking(talking) => {
                let Some(Successor { candidate, role, .. }) = talking.successor.take() else { return };
                match role {
                    Role::Standby => self.stand_by_later(now),
                    Role::Takeover => {
                        self.refuse(now, SwitchRefusal::Nobody, candidate.why, candidate.wish);
                        self.leave_later(now);
                        self.stand_by_soon(now);
                    }
                }
            }
            Phase::Leaving(_) | Phase::Ended(_) => {}
        }
    }

    pub(in crate::call) fn on_provider(&mut self, now: MonoTime, id: AttachmentId, event: ProviderEvent) {
        if self.phase.live() == Some(id) {
            return self.on_voice(now, id, event);
        }
        if self.phase.candidate().is_none_or(|c| c.id != id || c.provider.is_none()) {
            return;
        }
        // A candidate has no voice yet: whatever else it says is not for this call.
        if let ProviderEvent::Ready { session, expires } = event {
            self.on_ready(now, id, session, expires);
        } else if let ProviderEvent::Failed(failure) = event {
            if failure.verdict() != Verdict::Ignore {
                self.on_candidate_failed(now, id, failure);
            }
        } else if let ProviderEvent::Used(usage) = event {
            self.report(now, CallEvent::Used { attachment: id, usage });
        } else if let ProviderEvent::Unknown { kind } = event {
            self.count_oddity(now, id, kind);
        }
    }

    fn on_ready(
        &mut self,
        now: MonoTime,
        id: AttachmentId,
        session: Option<String>,
        expires: Option<MonoTime>,
    ) {
        let Some(candidate) = self.phase.candidate() else { return };
        let took = now.since(candidate.since);
        match &mut self.phase {
            Phase::Attaching(_) => {
                self.report(now, CallEvent::Ready { attachment: id, session, took });
                self.go_live(now, Readiness { expires });
            }
            Phase::Talking(Talking { successor: Some(successor), .. }) if successor.ready.is_none() => {
                successor.ready = Some(Readiness { expires });
                let role = successor.role;
                self.timers.clear(Timer::Attach);
                self.report(now, CallEvent::Ready { attachment: id, session, took });
                match role {
                    Role::Takeover => self.timers.set(Timer::CutOver, now + self.config.limits.cut_over),
                    Role::Standby => self.on_standby_ready(now, expires),
                }
            }
            Phase::Talking(_) | Phase::Leaving(_) | Phase::Ended(_) => {}
        }
    }

    pub(in crate::call) fn on_attach_timeout(&mut self, now: MonoTime) {
        let Some(candidate) = self.phase.candidate() else { return };
        let (id, limit) = (candidate.id, self.config.limits.attach);
        self.on_candidate_failed(now, id, Failure::NotReady(limit));
    }

    fn on_candidate_failed(&mut self, now: MonoTime, id: AttachmentId, failure: Failure) {
        self.timers.clear(Timer::Attach);
        let hopeless = failure.verdict() == Verdict::NeverAgain;
        let Some(candidate) = self.phase.candidate() else { return };
        let (provider, why) = (candidate.provider.clone(), candidate.why);
        self.books.bar(provider.as_ref().filter(|_| hopeless));
        self.note_failed_switch(why, provider, SwitchCause::Failed(failure.clone()));
        self.let_go(now, id, failure);
        match &mut self.phase {
            Phase::Attaching(_) => self.next_candidate(now),
            // The one who talks never stopped. That is the whole rollback.
            Phase::Talking(talking) => {
                let Some(Successor { mut candidate, role, .. }) = talking.successor.take() else { return };
                self.timers.clear(Timer::CutOver);
                self.timers.clear(Timer::Standby);
                candidate.tried.extend(candidate.provider);
                if role == Role::Standby || !self.leave_again(now, candidate.tried) {
                    self.stand_by_after(now, role);
                }
            }
            Phase::Leaving(_) | Phase::Ended(_) => {}
        }
    }
}
