//! No caller is left in silence: when somebody waits and hears nothing, a prompt covers the gap.
//!
//! A cover goes through the ledger like a reply, with an id of its own, so that marks, pace and barge-in
//! need no other rules. It is no turn of the conversation: no provider is told, and no transcript.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::{AttachmentId, ReplyId};
use crate::provider::ReplyEnd;
use crate::record::{CallEvent, CoverKind, Why};
use crate::time::MonoTime;

use super::keys::Keys;
use super::{Call, Timer, prompts};

/// Attachments are numbered from 1; what we say ourselves comes from nobody.
const NOBODY: AttachmentId = AttachmentId(0);

/// A caller who is speaking is not talked over for so long; then they should know that nobody hears them.
const TALK_OVER_AFTER: Duration = Duration::from_secs(2);

/// A pause of the caller, by our own ear.
pub(super) const PAUSE: Duration = Duration::from_millis(300);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Covers {
    /// How many there were, for their ids.
    count: u32,
    /// Keys that are pressed, which are covers of their own.
    pub(super) keys: Keys,
    /// Those that the caller has not heard to the end.
    playing: VecDeque<(ReplyId, CoverKind)>,
    /// Since when somebody has waited and heard nothing.
    quiet_since: Option<MonoTime>,
    /// How many prompts this waiting has seen.
    prompts: u32,
}

impl Covers {
    /// The id of the next thing that we say ourselves.
    pub(super) fn next(&mut self) -> ReplyId {
        self.count += 1;
        ReplyId::new(NOBODY, self.count)
    }

    /// The caller hears the voice: a silence after it is a new one, in which nobody was told anything.
    pub(super) fn on_voice_heard(&mut self) {
        self.prompts = 0;
    }
}

/// Somebody waits to hear something.
struct Waits {
    since: MonoTime,
    patience: Duration,
    /// Nobody hears them: it would be rude to talk over them at once.
    unheard: bool,
}

/// Whether this is one of ours.
pub(super) fn is_cover(reply: ReplyId) -> bool {
    reply.attachment() == NOBODY
}

impl Call {
    /// Sets the clock for the next cover, or stops it.
    pub(super) fn mind_silence(&mut self, now: MonoTime) {
        let waits = self.waits().filter(|_| self.config.prompts.can_cover());
        if waits.is_none() {
            self.covers.prompts = 0;
        }
        let Some(waits) = waits.filter(|_| self.playout.is_dry()) else {
            // The clock runs only while it is quiet; this is asked with every frame.
            if self.covers.quiet_since.take().is_some() {
                self.timers.clear(Timer::Cover);
            }
            return;
        };
        let quiet = *self.covers.quiet_since.get_or_insert(now);
        // Whoever came meanwhile and left without a sound has changed nothing for the caller.
        let due = match self.covers.prompts {
            0 => quiet.max(waits.since) + waits.patience,
            _ => quiet + self.config.patience.again,
        };
        let paused = self.caller.last_voiced.filter(|_| waits.unheard).map(|voiced| voiced + PAUSE);
        let polite = paused.map_or(due, |paused| paused.min(due + TALK_OVER_AFTER));
        self.timers.set(Timer::Cover, due.max(polite));
    }

    /// The caller has heard nothing for too long.
    pub(super) fn on_quiet(&mut self) {
        let kind = if self.covers.prompts.is_multiple_of(2) { CoverKind::Moment } else { CoverKind::Still };
        self.covers.prompts += 1;
        self.cover(kind);
    }

    /// Plays a clip after whatever is being played. False if there is none.
    pub(super) fn cover(&mut self, kind: CoverKind) -> bool {
        let frames = prompts::frames(self.config.prompts.clip(kind), self.playout.format());
        if frames.is_empty() {
            return false;
        }
        let reply = self.covers.next();
        self.covers.playing.push_back((reply, kind));
        for frame in frames {
            self.playout.push(reply, frame);
        }
        self.playout.done(reply, ReplyEnd::Completed);
        true
    }

    /// The first sound of a cover is about to reach the caller.
    pub(super) fn on_cover_starts(&mut self, now: MonoTime, reply: ReplyId) {
        let playing = self.covers.playing.iter().find(|(playing, _)| *playing == reply);
        if let Some((_, kind)) = playing.filter(|(_, kind)| *kind != CoverKind::Music) {
            self.report(now, CallEvent::Covered { kind: *kind });
        }
    }

    pub(super) fn on_cover_over(&mut self, reply: ReplyId) {
        self.covers.playing.retain(|(playing, _)| *playing != reply);
        self.covers.keys.over(reply);
    }

    /// Whether somebody waits to hear something, and with how much patience.
    fn waits(&self) -> Option<Waits> {
        if self.aside.is_on_hold() {
            return None;
        }
        let patience = &self.config.patience;
        if let Some((since, why)) = self.phase.gap() {
            let spoke = self.caller.last_voiced.is_some_and(|voiced| voiced >= since);
            let patience = match why {
                _ if self.caller.owed || spoke => patience.gap,
                Why::CallStart => patience.opening,
                Why::Failure | Why::Wish | Why::SessionLimit | Why::Standby | Why::Drain | Why::Return => {
                    patience.idle
                }
            };
            return Some(Waits { since, patience, unheard: true });
        }
        let due = self.caller.owed || self.playout.is_open();
        let waits = self.phase.live().is_some() && due && self.caller.speaking.is_none();
        let (since, patience) = (MonoTime::ZERO, patience.thinking);
        waits.then_some(Waits { since, patience, unheard: false })
    }
}
