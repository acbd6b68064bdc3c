//! Somebody hears the caller: how they begin, and what becomes of the call when they fail.

use std::time::Duration;

use crate::failure::{Failure, Verdict};
use crate::id::{AttachmentId, ProviderId};
use crate::provider::ReplyEnd;
use crate::record::{CallEvent, EndReason, Switch, Why};
use crate::time::MonoTime;

use super::super::config::Greeting;
use super::super::held::HeldAudio;
use super::super::{Attempt, Call, Outcome, Output, Timer};
use super::{Attaching, Candidate, Carried, Phase, Quest, Readiness, Successor, Talking};

/// A live provider that fails sooner than this may be down, or may have had bad luck.
const QUICK_FAILURE: Duration = Duration::from_secs(5);

/// So many of those in a row are no bad luck: the last of them is not asked again for this gap.
const QUICK_FAILURES_MAX: u32 = 3;

/// How the call came from one voice to another.
pub(super) struct Passage {
    pub(super) why: Why,
    pub(super) gap: Duration,
    pub(super) lost: Duration,
    pub(super) carried: Carried,
}

impl Call {
    /// `Attaching → Talking`: the candidate hears what was held, in order, and then the caller.
    pub(super) fn go_live(&mut self, now: MonoTime, readiness: Readiness) {
        if !matches!(&self.phase, Phase::Attaching(Attaching { quest: Quest::Candidate(next), .. }) if next.provider.is_some())
        {
            return;
        }
        let before = std::mem::replace(&mut self.phase, Phase::Ended(EndReason::NoProvider));
        let Phase::Attaching(Attaching { quest: Quest::Candidate(mut candidate), held, since, why, .. }) =
            before
        else {
            return;
        };
        let Some(provider) = candidate.provider.clone() else { return };
        let (gap, lost) = (now.since(since), held.lost());
        self.timers.clear(Timer::Attach);
        self.watch_session(now, readiness);
        self.phase = Phase::Talking(Talking {
            live: candidate.id,
            provider: provider.clone(),
            since: now,
            successor: None,
            to_leave: false,
        });
        self.report(now, CallEvent::Live { attachment: candidate.id, gap });
        let carried = self.catch_up(&mut candidate);
        self.on_switched(now, &candidate, provider, Passage { why, gap, lost, carried });
        for frame in held.into_frames() {
            self.hear(candidate.id, frame);
        }
        self.let_speak(now, candidate.why);
        self.stand_by_soon(now);
    }

    /// Books a change of voice. The first voice of a call changes nothing.
    pub(super) fn on_switched(&mut self, now: MonoTime, to: &Candidate, provider: ProviderId, by: Passage) {
        let Some(from) = self.books.last.replace(provider.clone()) else { return };
        if from != provider {
            self.books.before = Some(from.clone());
        }
        let Passage { why, gap, lost, carried: Carried { turns, bytes } } = by;
        let switch = Switch { from, to: provider, attachment: to.id, why, gap, lost, turns, bytes };
        self.books.switches.note(Attempt::Done(switch.clone()));
        self.report(now, CallEvent::Switched(switch));
    }

    /// Whoever has just gone live says something if it is the voice's turn.
    pub(super) fn let_speak(&mut self, now: MonoTime, why: Why) {
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

    /// `Talking → Attaching`: the live provider has failed. What was received of it is still played.
    pub(in crate::call) fn on_live_failed(&mut self, now: MonoTime, failure: Failure) {
        let Phase::Talking(talking) = &mut self.phase else { return };
        let (live, provider, stay) = (talking.live, talking.provider.clone(), now.since(talking.since));
        if !self.judge_stay(live, stay) {
            self.books.quick_failures += 1;
        }
        let down = self.books.quick_failures >= QUICK_FAILURES_MAX;
        let hopeless = failure.verdict() == Verdict::NeverAgain;
        let why = if failure == Failure::SessionLimit { Why::SessionLimit } else { Why::Failure };
        self.books.bar(Some(&provider).filter(|_| hopeless));
        self.report(now, CallEvent::Problem { attachment: live, failure: failure.clone() });
        self.outbox.push_back(Output::Outcome(live, Outcome::Failure(failure)));
        self.vacate(now, why, Some(provider).filter(|_| down || hopeless));
    }

    /// `Talking → Attaching`: somebody wants the one who talks to be silent at once.
    pub(super) fn drop_live(&mut self, now: MonoTime) {
        let Phase::Talking(Talking { live, since, .. }) = self.phase else { return };
        self.judge_stay(live, now.since(since));
        self.outbox.push_back(Output::Outcome(live, Outcome::Success));
        self.vacate(now, Why::Wish, None);
    }

    /// The place of the live one is free, for whoever stands by, or else for whoever can be found; who
    /// is `useless` only as far as the roster knows better.
    fn vacate(&mut self, now: MonoTime, why: Why, useless: Option<ProviderId>) {
        let Phase::Talking(talking) = &mut self.phase else { return };
        let (live, provider) = (talking.live, talking.provider.clone());
        let successor = talking.successor.take();
        for timer in [
            Timer::Stall,
            Timer::Silence,
            Timer::Doubt,
            Timer::SessionLimit,
            Timer::CutOver,
            Timer::Standby,
            Timer::Leave,
        ] {
            self.timers.clear(timer);
        }
        self.detach(now, live);
        self.caller.unanswered_since = None;
        self.caller.owed |= self.playout.break_off(ReplyEnd::Failed);
        self.caller.owed |= self.caller.speaking.take().is_some();
        self.note_pending_words(now);
        self.books.totals.switches += 1;
        let (held, since) = (HeldAudio::default(), now);
        match successor {
            Some(Successor { mut candidate, ready, .. }) => {
                // A wish for somebody else has put this one aside; now it may be needed.
                candidate.tried.retain(|tried| *tried != provider || useless.is_some());
                self.phase = Phase::Attaching(Attaching {
                    quest: Quest::Candidate(candidate),
                    why,
                    held,
                    since,
                    rounds: 0,
                });
                if let Some(readiness) = ready {
                    self.go_live(now, readiness);
                }
            }
            None => {
                self.phase =
                    Phase::Attaching(Attaching { quest: Quest::Waiting, why, held, since, rounds: 0 });
                self.replace(now, why, useless.into_iter().collect(), Some(provider));
            }
        }
    }

    /// Whoever has talked for a while, or has answered, was no bad choice: the counts of bad luck begin anew.
    pub(super) fn judge_stay(&mut self, live: AttachmentId, stay: Duration) -> bool {
        let good = stay >= QUICK_FAILURE || self.books.heard_out == Some(live);
        if good {
            self.books.quick_failures = 0;
            self.books.rounds = 0;
        }
        good
    }
}
