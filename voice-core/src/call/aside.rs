//! The caller is put aside: on hold, where they hear music and nobody, or muted, where nobody hears them.
//!
//! What they say meanwhile is withheld: it is given to nobody, now or later, and reported as lost. On hold
//! what the voice says is refused, and it is told so; when the hold is over and an answer is owed, it is
//! asked for one. A provider judges turns by what it hears, so it hears silence: all the time while the
//! caller is muted, and for the first second of a hold, lest half a sentence stays open.

use std::time::Duration;

use bytes::Bytes;

use crate::audio::{AudioFrame, FRAME};
use crate::carrier::CarrierCommand;
use crate::conversation::Heard;
use crate::id::{AttachmentId, ReplyId};
use crate::provider::ProviderCommand;
use crate::record::{CallEvent, CoverKind, Loss};
use crate::time::MonoTime;

use super::covers::is_cover;
use super::held::Lost;
use super::transfer::Transfers;
use super::{Call, Timer};

/// So much silence ends a turn of the caller, as services judge it.
const HUSH: Duration = Duration::from_secs(1);

/// So much music is queued at least.
const MUSIC_AHEAD: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Aside {
    hold: Option<Hold>,
    muted: bool,
    /// What the caller said and nobody was given.
    withheld: Lost,
    /// A frame of silence on this line, once one was needed.
    silence: Option<Bytes>,
    /// Who leads them elsewhere.
    pub(super) transfers: Transfers,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    since: MonoTime,
    /// How long it had been when the call came back.
    spent: Duration,
    music: bool,
}

impl Aside {
    pub(super) fn is_on_hold(&self) -> bool {
        self.hold.is_some()
    }

    pub(super) fn is_muted(&self) -> bool {
        self.muted
    }

    /// Nobody is to hear the caller.
    pub(super) fn is_shut(&self) -> bool {
        self.muted || self.hold.is_some()
    }
}

impl Call {
    /// Neither hears the other any more.
    pub(super) fn hold(&mut self, now: MonoTime, music: bool) {
        if self.aside.is_on_hold() || (self.phase.is_leaving() && !self.aside.transfers.is_under_way()) {
            return;
        }
        self.report(now, CallEvent::Held { music });
        let interrupted = self.hush(now);
        // Half a sentence is no answer, even if whoever began it is gone.
        self.caller.owed |= !interrupted.is_empty();
        if let Some(live) = self.phase.live().filter(|_| !interrupted.is_empty()) {
            self.tell(live, ProviderCommand::Interrupt(interrupted));
        }
        self.aside.hold = Some(Hold { since: now, spent: Duration::ZERO, music });
        self.timers.set(Timer::Hold, now + self.config.limits.hold);
    }

    /// Both hear each other again. `timed_out`: because nobody else saw to it.
    pub(super) fn take_off_hold(&mut self, now: MonoTime, timed_out: bool) {
        if self.take_back(now) {
            return;
        }
        let Some(hold) = self.aside.hold.take() else { return };
        self.timers.clear(Timer::Hold);
        self.hush(now);
        self.give_up_withheld(now);
        self.report(now, CallEvent::Resumed { after: hold.spent + now.since(hold.since), timed_out });
        if self.phase.live().is_some() && self.caller.owed {
            let cue = self.caller.cue.take();
            self.ask(now, cue);
        }
    }

    /// The caller was aside when the call was lost, and still is.
    pub(super) fn put_aside_again(&mut self, now: MonoTime, hold: Option<(Duration, bool)>, muted: bool) {
        self.aside.muted = muted;
        self.aside.hold = hold.map(|(spent, music)| Hold { since: now, spent, music });
        if let Some((spent, _)) = hold {
            self.timers.set(Timer::Hold, now + self.config.limits.hold.saturating_sub(spent));
        }
    }

    /// Whether the voice hears the caller.
    pub(super) fn mute(&mut self, now: MonoTime, muted: bool) {
        if self.aside.muted == muted {
            return;
        }
        self.aside.muted = muted;
        self.give_up_withheld(now);
        self.report(now, CallEvent::Muted { on: muted });
    }

    /// The caller says something that is nobody's business.
    pub(super) fn withhold(&mut self, now: MonoTime, frame: &AudioFrame) {
        self.aside.withheld.frames += 1;
        self.aside.withheld.duration += frame.duration();
        let hushed = self.aside.hold.is_some_and(|hold| hold.spent + now.since(hold.since) >= HUSH);
        let Some(live) = self.phase.live().filter(|_| !hushed) else { return };
        let format = frame.format;
        let silence = self
            .aside
            .silence
            .get_or_insert_with(|| vec![format.encoding.silence_byte(); format.frame_bytes()].into())
            .clone();
        self.tell(live, ProviderCommand::Hear(AudioFrame::new(format, silence)));
    }

    /// The voice says something to a caller on hold: it is told that nobody heard it.
    pub(super) fn refuse_reply(&mut self, now: MonoTime, live: AttachmentId, reply: ReplyId) {
        let finished = self.playout.refuse(reply, FRAME);
        let heard = Heard { reply, heard: Duration::ZERO, unheard: FRAME };
        self.tell(live, ProviderCommand::Interrupt(vec![heard]));
        self.on_finished(now, finished);
        self.caller.owed = true;
    }

    /// There is music to be played, as long as the caller is on hold.
    pub(super) fn keep_music(&mut self) {
        let music = self.aside.hold.is_some_and(|hold| hold.music);
        if music && self.playout.queued() < MUSIC_AHEAD {
            self.cover(CoverKind::Music);
        }
    }

    /// What nobody was given is lost.
    pub(super) fn give_up_withheld(&mut self, now: MonoTime) {
        let withheld = std::mem::take(&mut self.aside.withheld);
        self.lose(now, Loss::Withheld, withheld);
    }

    /// Nothing more of what is being played is heard. What of it came from a voice.
    fn hush(&mut self, now: MonoTime) -> Vec<Heard> {
        let cut = self.cut(now);
        if !cut.heard.is_empty() {
            self.outbox.push_back(super::Output::Carrier(CarrierCommand::Clear));
        }
        for finished in cut.finished {
            self.on_finished(now, finished);
        }
        cut.heard.into_iter().filter(|heard| !is_cover(heard.reply)).collect()
    }
}
