//! Every transition of a call. No other file assigns `self.phase`.
//!
//! ```text
//!            Assigned, Ready                  successor ready, pause
//! Attaching ─────────────────► Talking ──┐ ◄──────────────────────── (make before break)
//!     ▲      held audio first      │     │
//!     └────────────────────────────┘     │ hang-up, limit, shutdown
//!        the live provider failed        ▼
//!     nobody left ───────────────────► Ended
//! ```
//!
//! Answering a call and failing over are the same state with a different reason.

use std::time::Duration;

use crate::audio::AudioFrame;
use crate::carrier::CarrierCommand;
use crate::failure::{Failure, Verdict};
use crate::id::{AttachmentId, ProviderId};
use crate::limits;
use crate::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use crate::record::{CallEvent, EndReason, SwitchRefusal, Why};
use crate::time::MonoTime;

use super::config::Greeting;
use super::held::{HeldAudio, Lost};
use super::{Call, Outcome, Output, Timer};

/// A live provider that fails sooner than this may be down, or may have had bad luck.
const QUICK_FAILURE: Duration = Duration::from_secs(5);

/// So many of those in a row are no bad luck: the last of them is not asked again for this gap.
const QUICK_FAILURES_MAX: u32 = 3;

/// A rollover that has come to nothing is tried again after this.
const ROLLOVER_AGAIN: Duration = Duration::from_secs(10);

/// Where a call stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nobody hears the caller. What they say is held, and given to whoever comes first.
    Attaching(Attaching),
    /// One provider hears the caller. Another may be warming up to take over.
    Talking(Talking),
    /// Over, for this reason.
    Ended(EndReason),
}

#[derive(Debug)]
pub(super) struct Attaching {
    next: Candidate,
    held: HeldAudio,
    /// Since when nobody hears the caller.
    since: MonoTime,
}

#[derive(Debug)]
pub(super) struct Talking {
    live: AttachmentId,
    provider: ProviderId,
    since: MonoTime,
    successor: Option<Successor>,
}

/// Somebody who might take the call.
#[derive(Debug)]
struct Candidate {
    id: AttachmentId,
    why: Why,
    /// Who it is, once the roster has said so.
    provider: Option<ProviderId>,
    since: MonoTime,
    /// Those who have failed to fill this gap.
    tried: Vec<ProviderId>,
    /// Up to where in the transcript it has been told the conversation.
    knows_until: usize,
}

#[derive(Debug)]
struct Successor {
    candidate: Candidate,
    /// When its session ends, once it is ready.
    ready: Option<Readiness>,
}

/// A session has accepted everything; this is when it ends, if it says so.
#[derive(Clone, Copy, Debug)]
struct Readiness {
    expires: Option<MonoTime>,
}

/// What became of a frame of the caller.
pub(super) enum Ear {
    /// This one hears it.
    Live(AttachmentId, AudioFrame),
    /// Nobody does yet; some older ones had to go.
    Held(Option<Lost>),
}

impl Phase {
    /// Before the first candidate; replaced by [`Call::seek`] in the call's constructor.
    pub(super) fn initial(now: MonoTime) -> Self {
        let next = Candidate {
            id: AttachmentId(0),
            why: Why::CallStart,
            provider: None,
            since: now,
            tried: vec![],
            knows_until: 0,
        };
        Self::Attaching(Attaching { next, held: HeldAudio::default(), since: now })
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    pub(super) fn end_reason(&self) -> Option<&EndReason> {
        match self {
            Self::Ended(reason) => Some(reason),
            Self::Attaching(_) | Self::Talking(_) => None,
        }
    }

    pub(super) fn live(&self) -> Option<AttachmentId> {
        match self {
            Self::Talking(talking) => Some(talking.live),
            Self::Attaching(_) | Self::Ended(_) => None,
        }
    }

    pub(super) fn ear(&mut self, frame: AudioFrame) -> Ear {
        match self {
            Self::Talking(talking) => Ear::Live(talking.live, frame),
            Self::Attaching(attaching) => Ear::Held(attaching.held.push(frame)),
            Self::Ended(_) => Ear::Held(None),
        }
    }

    /// Whoever is wanted or warming up.
    fn candidate(&mut self) -> Option<&mut Candidate> {
        match self {
            Self::Attaching(attaching) => Some(&mut attaching.next),
            Self::Talking(talking) => talking.successor.as_mut().map(|successor| &mut successor.candidate),
            Self::Ended(_) => None,
        }
    }
}

impl Call {
    /// Looks for somebody to fill a gap. The phase must be `Attaching`; what is held stays held.
    pub(super) fn seek(
        &mut self,
        now: MonoTime,
        why: Why,
        wish: Option<ProviderId>,
        last_resort: Option<ProviderId>,
    ) {
        let tried = self.phase.candidate().map(|c| std::mem::take(&mut c.tried)).unwrap_or_default();
        let Some(candidate) = self.candidate(now, why, wish, tried, last_resort) else {
            return self.end(now, EndReason::NoProvider);
        };
        if let Phase::Attaching(attaching) = &mut self.phase {
            attaching.next = candidate;
        }
    }

    /// Asks the roster for somebody. `None` if this call has asked too often.
    fn candidate(
        &mut self,
        now: MonoTime,
        why: Why,
        wish: Option<ProviderId>,
        mut tried: Vec<ProviderId>,
        last_resort: Option<ProviderId>,
    ) -> Option<Candidate> {
        if self.books.attachments >= limits::ATTACHMENTS_MAX {
            return None;
        }
        self.books.attachments += 1;
        let id = AttachmentId(self.books.attachments);
        // Whoever asks for it by name knows that the key was mended, or will learn that it was not.
        self.books.barred.retain(|barred| Some(barred) != wish.as_ref());
        for barred in &self.books.barred {
            if !tried.contains(barred) {
                tried.push(barred.clone());
            }
        }
        self.report(now, CallEvent::Attaching { attachment: id, why });
        self.outbox.push_back(Output::Attach { id, wish, tried: tried.clone(), last_resort });
        Some(Candidate { id, why, provider: None, since: now, tried, knows_until: 0 })
    }

    pub(super) fn on_assigned(&mut self, now: MonoTime, id: AttachmentId, provider: Option<ProviderId>) {
        let expected = self.phase.candidate().filter(|c| c.id == id && c.provider.is_none());
        let (Some(candidate), Some(provider)) = (expected, provider.as_ref()) else {
            return self.on_no_assignment(now, id, provider.is_some());
        };
        candidate.provider = Some(provider.clone());
        candidate.since = now;
        self.timers.set(Timer::Attach, now + self.config.limits.attach);
        self.report(now, CallEvent::Assigned { attachment: id, provider: provider.clone() });
        // Who warms up while the conversation goes on is told what is certain, and the rest later.
        let (history, knows_until) = match self.phase {
            Phase::Talking(_) => self.transcript.settled(),
            Phase::Attaching(_) | Phase::Ended(_) => {
                self.note_pending_words();
                self.transcript.all()
            }
        };
        if let Some(candidate) = self.phase.candidate() {
            candidate.knows_until = knows_until;
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
            Phase::Attaching(_) => self.end(now, EndReason::NoProvider),
            Phase::Talking(talking) => {
                talking.successor = None;
                self.report(now, CallEvent::SwitchRefused { why: SwitchRefusal::Nobody });
            }
            Phase::Ended(_) => {}
        }
    }

    pub(super) fn on_provider(&mut self, now: MonoTime, id: AttachmentId, event: ProviderEvent) {
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
                self.timers.clear(Timer::Attach);
                self.timers.set(Timer::CutOver, now + self.config.limits.cut_over);
                self.report(now, CallEvent::Ready { attachment: id, session, took });
            }
            Phase::Talking(_) | Phase::Ended(_) => {}
        }
    }

    /// `Attaching → Talking`: the candidate hears what was held, in order, and then the caller.
    fn go_live(&mut self, now: MonoTime, readiness: Readiness) {
        let before = std::mem::replace(&mut self.phase, Phase::Ended(EndReason::NoProvider));
        let (next, provider) = match before {
            Phase::Attaching(attaching) => match attaching.next.provider.clone() {
                Some(provider) => (attaching, provider),
                None => {
                    self.phase = Phase::Attaching(attaching);
                    return;
                }
            },
            Phase::Talking(_) | Phase::Ended(_) => {
                self.phase = before;
                return;
            }
        };
        let Attaching { next: candidate, held, since } = next;
        self.timers.clear(Timer::Attach);
        self.watch_session(now, readiness);
        self.phase = Phase::Talking(Talking { live: candidate.id, provider, since: now, successor: None });
        self.report(now, CallEvent::Live { attachment: candidate.id, gap: now.since(since) });
        self.catch_up(candidate.id, candidate.knows_until);
        for frame in held.into_frames() {
            self.hear(candidate.id, frame);
        }
        self.let_speak(now, candidate.why);
    }

    /// Whoever has just gone live says something if it is the voice's turn.
    fn let_speak(&mut self, now: MonoTime, why: Why) {
        self.caller.reminded = false;
        let asked = self.caller.cue.take();
        match &self.config.greeting {
            Greeting::Voice(greeting) if why == Why::CallStart => {
                let cue = asked.or_else(|| greeting.clone());
                self.ask(now, cue);
            }
            // Whoever was here before was asked for it and did not get to it, or not to its end.
            Greeting::Voice(_) | Greeting::Caller if self.caller.owed => self.ask(now, asked),
            Greeting::Voice(_) | Greeting::Caller => {}
        }
    }

    fn watch_session(&mut self, now: MonoTime, readiness: Readiness) {
        let at = readiness
            .expires
            .map(|at| at.saturating_sub(self.config.limits.rollover).max(now + ROLLOVER_AGAIN));
        self.set_or_clear(Timer::SessionLimit, at);
    }

    pub(super) fn on_attach_timeout(&mut self, now: MonoTime) {
        let Some(candidate) = self.phase.candidate() else { return };
        let (id, limit) = (candidate.id, self.config.limits.attach);
        self.on_candidate_failed(now, id, Failure::NotReady(limit));
    }

    fn on_candidate_failed(&mut self, now: MonoTime, id: AttachmentId, failure: Failure) {
        self.timers.clear(Timer::Attach);
        self.let_go(now, id, failure);
        match &mut self.phase {
            Phase::Attaching(attaching) => {
                let why = attaching.next.why;
                attaching.next.tried.extend(attaching.next.provider.take());
                self.seek(now, why, None, None);
            }
            // The one who talks never stopped. That is the whole rollback.
            Phase::Talking(talking) => {
                talking.successor = None;
                self.timers.clear(Timer::CutOver);
            }
            Phase::Ended(_) => {}
        }
    }

    /// `Talking → Attaching`: the live provider has failed. What was received of it is still played.
    pub(super) fn on_live_failed(&mut self, now: MonoTime, failure: Failure) {
        let Phase::Talking(talking) = &mut self.phase else { return };
        let (live, provider) = (talking.live, talking.provider.clone());
        let hopeless = failure.verdict() == Verdict::NeverAgain;
        let quick = now.since(talking.since) < QUICK_FAILURE;
        self.books.quick_failures = if quick { self.books.quick_failures + 1 } else { 0 };
        let down = self.books.quick_failures >= QUICK_FAILURES_MAX;
        let successor = talking.successor.take();
        let why = if failure == Failure::SessionLimit { Why::SessionLimit } else { Why::Failure };
        if hopeless && !self.books.barred.contains(&provider) {
            self.books.barred.push(provider.clone());
        }
        self.timers.clear(Timer::Stall);
        self.timers.clear(Timer::SessionLimit);
        self.timers.clear(Timer::CutOver);
        self.let_go(now, live, failure);
        self.caller.owed |= self.playout.break_off(ReplyEnd::Failed);
        self.caller.owed |= self.caller.speaking.take().is_some();
        self.note_pending_words();
        self.books.totals.switches += 1;
        let tried = if down { vec![provider.clone()] } else { vec![] };
        let placeholder = Candidate { id: live, why, provider: None, since: now, tried, knows_until: 0 };
        match successor {
            Some(Successor { mut candidate, ready }) => {
                // A wish for somebody else has put this one aside; now it may be needed.
                candidate.tried.retain(|tried| *tried != provider || down || hopeless);
                self.phase =
                    Phase::Attaching(Attaching { next: candidate, held: HeldAudio::default(), since: now });
                if let Some(readiness) = ready {
                    self.go_live(now, readiness);
                }
            }
            None => {
                self.phase =
                    Phase::Attaching(Attaching { next: placeholder, held: HeldAudio::default(), since: now });
                self.seek(now, why, None, Some(provider));
            }
        }
    }

    /// A failed attachment leaves.
    fn let_go(&mut self, now: MonoTime, id: AttachmentId, failure: Failure) {
        self.report(now, CallEvent::Problem { attachment: id, failure: failure.clone() });
        self.outbox.push_back(Output::Outcome(id, Outcome::Failure(failure)));
        self.detach(now, id);
    }

    fn detach(&mut self, now: MonoTime, id: AttachmentId) {
        self.outbox.push_back(Output::Detach(id));
        self.report(now, CallEvent::Detached { attachment: id });
    }

    /// The provider's session comes to its end: another is sought, again and again until there is one.
    pub(super) fn roll_over(&mut self, now: MonoTime) {
        self.timers.set(Timer::SessionLimit, now + ROLLOVER_AGAIN);
        if matches!(self.phase, Phase::Talking(Talking { successor: None, .. })) {
            self.switch(now, Why::SessionLimit, None);
        }
    }

    /// Somebody wants another voice: make before break.
    pub(super) fn switch(&mut self, now: MonoTime, why: Why, wish: Option<ProviderId>) {
        let refused = match &self.phase {
            Phase::Talking(Talking { successor: None, .. }) => None,
            Phase::Talking(_) => Some(SwitchRefusal::UnderWay),
            Phase::Attaching(_) | Phase::Ended(_) => Some(SwitchRefusal::NotTalking),
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
    pub(super) fn cut_over_if_quiet(&mut self, now: MonoTime) {
        let quiet = self.playout.is_silent()
            && self.caller.speaking.is_none()
            && !self.caller.owed
            && self.tools.is_idle();
        if quiet {
            self.cut_over(now);
        }
    }

    pub(super) fn cut_over(&mut self, now: MonoTime) {
        let Phase::Talking(talking) = &mut self.phase else { return };
        let Some(Successor { candidate, ready: Some(readiness) }) =
            talking.successor.take_if(|successor| successor.ready.is_some())
        else {
            return;
        };
        let old = talking.live;
        let Some(provider) = candidate.provider.clone() else { return };
        self.phase = Phase::Talking(Talking { live: candidate.id, provider, since: now, successor: None });
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
    fn catch_up(&mut self, id: AttachmentId, knows_until: usize) {
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

    /// Hangs up if that was asked for and the caller has heard everything.
    pub(super) fn leave_when_said(&mut self, now: MonoTime) {
        let said = self.playout.is_silent() && !self.caller.owed && self.tools.is_idle();
        if said && self.timers.due(Timer::Goodbye).is_some() {
            self.end(now, EndReason::HungUp);
        }
    }

    /// Ends the call, whatever phase it is in. Everything is let go; the record is closed.
    pub(super) fn end(&mut self, now: MonoTime, reason: EndReason) {
        if self.phase.is_ended() {
            return;
        }
        let before = std::mem::replace(&mut self.phase, Phase::Ended(reason.clone()));
        let cut = self.playout.cut(now);
        for finished in cut.finished {
            self.on_finished(now, finished);
        }
        for id in self.tools.abandon() {
            self.outbox.push_back(Output::AbandonTool(id));
        }
        let mut candidate = None;
        match before {
            Phase::Attaching(Attaching { next, held, .. }) => {
                if let Some(lost) = held.into_lost() {
                    self.lose(now, lost);
                }
                candidate = Some(next);
            }
            Phase::Talking(Talking { live, successor, .. }) => {
                self.outbox.push_back(Output::Outcome(live, Outcome::Success));
                self.detach(now, live);
                candidate = successor.map(|successor| successor.candidate);
            }
            Phase::Ended(_) => {}
        }
        if let Some(Candidate { id, provider: Some(_), .. }) = candidate {
            self.outbox.push_back(Output::Outcome(id, Outcome::Unproven));
            self.detach(now, id);
        }
        if !matches!(reason, EndReason::Carrier(_)) {
            self.outbox.push_back(Output::Carrier(CarrierCommand::HangUp));
        }
        self.books.totals.duration = now.since(self.books.started);
        let totals = self.books.totals;
        self.report(now, CallEvent::Ended { reason, totals });
    }
}
