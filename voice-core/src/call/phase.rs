//! Every transition of a call. No file but this one and those below it assigns `self.phase`.
//!
//! ```text
//!            Assigned, Ready                  successor ready, pause
//! Attaching ─────────────────► Talking ──┐ ◄──────────────────────── (make before break)
//!  │  ▲      held audio first      │     │
//!  │  └────────────────────────────┘     │ hang-up, limit, shutdown
//!  │     the live provider failed        ▼
//!  └─ nobody left ──► Leaving ───────► Ended
//!                     last words
//! ```
//!
//! Answering a call and failing over are the same state with a different reason.
//!
//! | file | subject |
//! |---|---|
//! | `phase/attaching.rs` | nobody hears the caller: who is asked, when they are asked again, when it is given up |
//! | `phase/talking.rs` | somebody hears the caller: their beginning, and their failure |
//! | `phase/successor.rs` | somebody else warms up meanwhile: switches, rollovers |
//! | `phase/standby.rs` | somebody else stands by, in case |

mod attaching;
mod standby;
mod successor;
mod talking;

use crate::audio::AudioFrame;
use crate::carrier::CarrierCommand;
use crate::conversation::Turn;
use crate::failure::Failure;
use crate::id::{AttachmentId, ProviderId};
use crate::record::{CallEvent, EndReason, Loss, Why};
use crate::time::MonoTime;

use super::config::WhenNobody;
use super::held::{HeldAudio, Lost};
use super::status::{Attached, Standing};
use super::{Call, Outcome, Output, Timer};

/// Where a call stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nobody hears the caller. What they say is held, and given to whoever comes first.
    Attaching(Attaching),
    /// One provider hears the caller. Another may be warming up to take over.
    Talking(Talking),
    /// Nobody is left, and nobody is asked any more. The caller hears why.
    Leaving(Leaving),
    /// Over, for this reason.
    Ended(EndReason),
}

#[derive(Debug)]
pub(super) struct Attaching {
    quest: Quest,
    why: Why,
    held: HeldAudio,
    /// Since when nobody hears the caller.
    since: MonoTime,
    /// So often all were asked again meanwhile.
    rounds: u32,
}

/// How the search goes.
#[derive(Debug)]
enum Quest {
    /// Somebody is wanted, or being connected.
    Candidate(Candidate),
    /// All have failed. They are asked again when the timer rings.
    Waiting,
}

#[derive(Debug)]
pub(super) struct Talking {
    live: AttachmentId,
    provider: ProviderId,
    since: MonoTime,
    successor: Option<Successor>,
    /// It is taken out of service: somebody else is to talk, as soon as there is anybody.
    to_leave: bool,
}

#[derive(Debug)]
pub(super) struct Leaving {
    /// What the caller says to nobody.
    lost: Lost,
}

/// Somebody who might take the call.
#[derive(Debug)]
struct Candidate {
    id: AttachmentId,
    why: Why,
    /// Who was asked for by name.
    wish: Option<ProviderId>,
    /// Who it is, once the roster has said so.
    provider: Option<ProviderId>,
    since: MonoTime,
    /// Those who have failed to fill this gap.
    tried: Vec<ProviderId>,
    /// Up to where in the transcript it has been told the conversation.
    knows_until: usize,
    /// Turns before that whose words had not come, and may yet.
    missed: Vec<usize>,
    carried: Carried,
}

/// How much of the conversation somebody was told.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    turns: u32,
    bytes: u64,
}

#[derive(Debug)]
struct Successor {
    candidate: Candidate,
    role: Role,
    /// When its session ends, once it is ready.
    ready: Option<Readiness>,
    /// Somebody else who would stand by rather than this one, if there is anybody.
    rather: Option<Candidate>,
}

/// What somebody warms up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// To take over in the next pause.
    Takeover,
    /// To take over if the one who talks fails.
    Standby,
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
    pub(super) fn initial(now: MonoTime, why: Why) -> Self {
        Self::Attaching(Attaching {
            quest: Quest::Waiting,
            why,
            held: HeldAudio::default(),
            since: now,
            rounds: 0,
        })
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self, Self::Leaving(_))
    }

    pub(super) fn end_reason(&self) -> Option<&EndReason> {
        match self {
            Self::Ended(reason) => Some(reason),
            Self::Attaching(_) | Self::Talking(_) | Self::Leaving(_) => None,
        }
    }

    pub(super) fn live(&self) -> Option<AttachmentId> {
        match self {
            Self::Talking(talking) => Some(talking.live),
            Self::Attaching(_) | Self::Leaving(_) | Self::Ended(_) => None,
        }
    }

    /// Since when nobody hears the caller, and why, while somebody is sought.
    pub(super) fn gap(&self) -> Option<(MonoTime, Why)> {
        match self {
            Self::Attaching(attaching) => Some((attaching.since, attaching.why)),
            Self::Talking(_) | Self::Leaving(_) | Self::Ended(_) => None,
        }
    }

    /// How the call stands, for those who ask.
    pub(super) fn status(&self) -> (Standing, Option<Attached>, Option<Attached>, Option<Attached>) {
        let talking = match self {
            Self::Attaching(_) => return (Standing::Attaching, None, None, None),
            Self::Leaving(_) => return (Standing::Leaving, None, None, None),
            Self::Ended(_) => return (Standing::Ended, None, None, None),
            Self::Talking(talking) => talking,
        };
        let live = Attached { id: talking.live, provider: Some(talking.provider.clone()), ready: true };
        let other = |role| {
            let successor = talking.successor.as_ref().filter(|successor| successor.role == role)?;
            let Candidate { id, provider, .. } = &successor.candidate;
            Some(Attached { id: *id, provider: provider.clone(), ready: successor.ready.is_some() })
        };
        (Standing::Talking, Some(live), other(Role::Takeover), other(Role::Standby))
    }

    pub(super) fn ear(&mut self, frame: AudioFrame) -> Ear {
        match self {
            Self::Talking(talking) => Ear::Live(talking.live, frame),
            Self::Attaching(attaching) => Ear::Held(attaching.held.push(frame)),
            Self::Leaving(leaving) => {
                leaving.lost.frames += 1;
                leaving.lost.duration += frame.duration();
                Ear::Held(None)
            }
            Self::Ended(_) => Ear::Held(None),
        }
    }

    /// Whoever is wanted or warming up.
    fn candidate(&mut self) -> Option<&mut Candidate> {
        match self {
            Self::Attaching(Attaching { quest: Quest::Candidate(candidate), .. }) => Some(candidate),
            Self::Talking(talking) => talking.successor.as_mut().map(|successor| &mut successor.candidate),
            Self::Attaching(_) | Self::Leaving(_) | Self::Ended(_) => None,
        }
    }
}

impl Successor {
    const fn new(candidate: Candidate, role: Role) -> Self {
        Self { candidate, role, ready: None, rather: None }
    }
}

impl Carried {
    fn add(&mut self, turns: &[Turn]) {
        self.turns = self.turns.saturating_add(u32::try_from(turns.len()).unwrap_or(u32::MAX));
        self.bytes += turns.iter().map(|turn| turn.text_bytes() as u64).sum::<u64>();
    }
}

impl Call {
    /// A failed attachment leaves.
    fn let_go(&mut self, now: MonoTime, id: AttachmentId, failure: Failure) {
        self.report(now, CallEvent::Problem { attachment: id, failure: failure.clone() });
        self.outbox.push_back(Output::Outcome(id, Outcome::Failure(failure)));
        self.detach(now, id);
    }

    fn detach(&mut self, now: MonoTime, id: AttachmentId) {
        if self.books.gauges.hears == Some(id) {
            self.tell_sound(now, true);
        }
        self.outbox.push_back(Output::Detach(id));
        self.report(now, CallEvent::Detached { attachment: id });
    }

    /// Hangs up if that was asked for, or nothing else is left, and the caller has heard everything.
    pub(super) fn leave_when_said(&mut self, now: MonoTime) {
        let on_hold = self.aside.is_on_hold();
        if !self.playout.is_silent() && !on_hold {
            return;
        }
        let said = on_hold || (!self.caller.owed && self.tools.is_idle());
        if matches!(self.phase, Phase::Leaving(_)) || (said && self.timers.due(Timer::Goodbye).is_some()) {
            self.leave(now);
        }
    }

    /// The time for last words is over.
    pub(super) fn leave(&mut self, now: MonoTime) {
        let reason = match self.phase {
            // They are on their way to somebody already.
            Phase::Leaving(_) if self.aside.transfers.is_under_way() => return,
            Phase::Leaving(_) => match &self.config.when_nobody {
                WhenNobody::HangUp => EndReason::NoProvider,
                WhenNobody::Transfer(to) => return self.transfer_last(now, to.clone()),
            },
            Phase::Attaching(_) | Phase::Talking(_) | Phase::Ended(_) => EndReason::HungUp,
        };
        self.end(now, reason);
    }

    /// Ends the call, whatever phase it is in. Everything is let go; the record is closed.
    pub(super) fn end(&mut self, now: MonoTime, reason: EndReason) {
        if self.phase.is_ended() {
            return;
        }
        self.drop_transfer(now, &reason);
        self.tell_sound(now, true);
        let before = std::mem::replace(&mut self.phase, Phase::Ended(reason.clone()));
        let cut = self.cut(now);
        for finished in cut.finished {
            self.on_finished(now, finished);
        }
        for id in self.tools.abandon() {
            self.outbox.push_back(Output::AbandonTool(id));
        }
        self.give_up_withheld(now);
        self.end_recording(now, &reason);
        let mut candidate = None;
        match before {
            Phase::Attaching(Attaching { quest, held, .. }) => {
                self.lose(now, Loss::Held, held.into_lost());
                if let Quest::Candidate(next) = quest {
                    candidate = Some(next);
                }
            }
            Phase::Talking(Talking { live, successor, .. }) => {
                self.outbox.push_back(Output::Outcome(live, Outcome::Success));
                self.detach(now, live);
                candidate = successor.map(|successor| successor.candidate);
            }
            Phase::Leaving(Leaving { lost }) => self.lose(now, Loss::Held, lost),
            Phase::Ended(_) => {}
        }
        if let Some(Candidate { id, provider: Some(_), .. }) = candidate {
            self.outbox.push_back(Output::Outcome(id, Outcome::Unproven));
            self.detach(now, id);
        }
        // The carrier leads the caller elsewhere once our stream is closed; to hang up would end the call.
        if !matches!(reason, EndReason::Carrier(_) | EndReason::Transfer { .. }) {
            self.outbox.push_back(Output::Carrier(CarrierCommand::HangUp));
        }
        self.books.totals.duration = self.books.elapsed(now);
        let totals = self.books.totals;
        self.report(now, CallEvent::Ended { reason, totals });
    }
}
