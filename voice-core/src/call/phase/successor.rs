//! Somebody else warms up while the one who talks goes on: switches by wish, and rollovers.

use std::time::Duration;

use crate::id::{AttachmentId, ProviderId};
use crate::provider::{ProviderCommand, ReplyEnd};
use crate::record::{CallEvent, SwitchRefusal, Why};
use crate::time::MonoTime;

use super::super::{Call, Outcome, Output, Timer};
use super::{Phase, Readiness, Successor, Talking};

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
        if matches!(self.phase, Phase::Talking(Talking { successor: None, .. })) {
            self.switch(now, Why::SessionLimit, None);
        }
    }

    /// Somebody wants another voice: make before break.
    pub(in crate::call) fn switch(&mut self, now: MonoTime, why: Why, wish: Option<ProviderId>) {
        if self.ask_again(now, wish.clone()) {
            return;
        }
        let refused = match &self.phase {
            Phase::Talking(Talking { successor: None, .. }) => None,
            Phase::Talking(_) => Some(SwitchRefusal::UnderWay),
            Phase::Attaching(_) | Phase::Leaving(_) | Phase::Ended(_) => Some(SwitchRefusal::NotTalking),
        };
        if let Some(why) = refused {
            return self.report(now, CallEvent::SwitchRefused { why });
        }
        // A rollover may well go to the same provider; a wish for nobody in particular may not.
        let Phase::Talking(Talking { provider, .. }) = &self.phase else { return };
        let tried = if wish.is_none() && why == Why::Wish { vec![provider.clone()] } else { vec![] };
        let Some(candidate) = self.candidate(now, why, wish, tried, None) else {
            return self.report(now, CallEvent::SwitchRefused { why: SwitchRefusal::Nobody });
        };
        if let Phase::Talking(talking) = &mut self.phase {
            talking.successor = Some(Successor { candidate, ready: None });
        }
    }

    /// A ready successor takes over in the first pause.
    pub(in crate::call) fn cut_over_if_quiet(&mut self, now: MonoTime) {
        let quiet = self.playout.is_silent()
            && self.caller.speaking.is_none()
            && !self.caller.owed
            && self.tools.is_idle();
        if quiet {
            self.cut_over(now);
        }
    }

    pub(in crate::call) fn cut_over(&mut self, now: MonoTime) {
        let Phase::Talking(talking) = &mut self.phase else { return };
        let Some(Successor { candidate, ready: Some(readiness) }) =
            talking.successor.take_if(|successor| successor.ready.is_some())
        else {
            return;
        };
        let (old, stay) = (talking.live, now.since(talking.since));
        let Some(provider) = candidate.provider.clone() else { return };
        self.phase = Phase::Talking(Talking { live: candidate.id, provider, since: now, successor: None });
        self.judge_stay(stay);
        self.timers.clear(Timer::CutOver);
        self.timers.clear(Timer::Stall);
        self.caller.owed |= self.playout.break_off(ReplyEnd::Cancelled);
        self.caller.owed |= self.caller.speaking.take().is_some();
        self.note_pending_words();
        self.books.totals.switches += 1;
        self.outbox.push_back(Output::Outcome(old, Outcome::Success));
        self.detach(now, old);
        self.watch_session(now, readiness);
        self.report(now, CallEvent::Live { attachment: candidate.id, gap: Duration::ZERO });
        self.catch_up(candidate.id, candidate.knows_until);
        self.let_speak(now, candidate.why);
    }

    /// Tells whoever goes live what was said since it was given the conversation.
    pub(super) fn catch_up(&mut self, id: AttachmentId, knows_until: usize) {
        let mut turns = self.transcript.since(knows_until);
        for late in std::mem::take(&mut self.late_answers) {
            if !turns.contains(&late) {
                turns.push(late);
            }
        }
        if !turns.is_empty() {
            self.tell(id, ProviderCommand::CatchUp(turns));
        }
    }
}
