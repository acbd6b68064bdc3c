//! The rules of hold and mute, and of silence that is told.

use std::time::Duration;

use crate::audio::AudioFrame;
use crate::call::CallConfig;
use crate::id::{AttachmentId, ReplyId};
use crate::record::{CallEvent, Party};
use crate::time::MonoTime;

use super::checks::require;
use super::number_of;

/// The clip that the world plays as music.
const MUSIC: u32 = 4;

/// What is known from the record alone.
#[derive(Default)]
pub(super) struct Aside {
    on_hold: Option<MonoTime>,
    /// They were being joined with somebody: that is not interrupted.
    excused: bool,
    muted: bool,
    live: Option<AttachmentId>,
    /// The caller's last frame, and the last before they were put aside.
    said: u64,
    said_before: u64,
    /// Whose silence was told and is not over.
    silent: [bool; 2],
    /// When the call came back; a hold may have been due before.
    returned: Option<MonoTime>,
}

impl Aside {
    /// Whoever was silent is gone.
    pub(super) fn returned(&mut self, now: MonoTime) {
        self.returned = Some(now);
        self.live = None;
        self.silent = [false; 2];
        self.said_before = self.said;
    }

    pub(super) fn caller_says(&mut self, frame: u64) {
        self.said = frame;
    }

    /// A provider hears a frame. True if it is silence.
    pub(super) fn hears(&self, now: MonoTime, frame: &AudioFrame) -> Result<bool, String> {
        let silent = frame.data.iter().all(|byte| *byte == frame.format.encoding.silence_byte());
        // What was said before the hold may still have waited for somebody.
        let before = !silent && number_of(frame) <= self.said_before;
        let shut = self.muted || self.on_hold.is_some();
        require(silent == shut || before, || {
            format!("the voice hears silence: {silent}, the caller is aside: {shut}")
        })?;
        let long = self.on_hold.is_some_and(|since| now.since(since) >= Duration::from_secs(1));
        require(!long || before, || "the voice hears silence in a long hold".to_owned())?;
        Ok(silent)
    }

    /// The caller hears a frame.
    pub(super) fn plays(&self, cover: bool, reply: ReplyId) -> Result<(), String> {
        let music = cover && reply.number() == MUSIC;
        require(music == self.on_hold.is_some(), || {
            format!("on hold: {}, but hears {reply}", self.on_hold.is_some())
        })
    }

    /// One more entry; something to be counted, if it is of interest.
    pub(super) fn entry(
        &mut self,
        now: MonoTime,
        event: &CallEvent,
        config: &CallConfig,
        transferring: bool,
    ) -> Result<Option<&'static str>, String> {
        let late = self.on_hold.is_some_and(|since| now.since(since) > config.limits.hold);
        let over = matches!(
            event,
            CallEvent::Resumed { .. } | CallEvent::AudioLost { .. } | CallEvent::Ended { .. }
        );
        let at_once = self.returned == Some(now);
        self.excused |= transferring;
        require(!late || over || at_once || self.excused, || "is on hold for too long".to_owned())?;
        Ok(if let CallEvent::Held { .. } = event {
            self.put_aside();
            require(self.on_hold.replace(now).is_none(), || "is held twice".to_owned())?;
            Some("holds")
        } else if let CallEvent::Resumed { after, timed_out } = event {
            let since = self.on_hold.take();
            self.excused = transferring;
            require(since.is_some_and(|since| now.since(since) == *after), || "was not on hold".to_owned())?;
            Some(if *timed_out { "holds timed out" } else { "holds resumed" })
        } else if let CallEvent::Muted { on } = event {
            self.put_aside();
            require(std::mem::replace(&mut self.muted, *on) != *on, || "is muted twice".to_owned())?;
            Some("mutes")
        } else if let CallEvent::Silence { of, over } = event {
            let silent = &mut self.silent[usize::from(*of == Party::Caller)];
            require(*silent == over.is_some(), || format!("silence of {of:?} is told twice"))?;
            *silent = over.is_none();
            require(over.is_none_or(|over| over >= config.limits.silence), || {
                "a short silence was told".to_owned()
            })?;
            Some(match of {
                Party::Caller => "silences of the carrier",
                Party::Provider => "silences of the provider",
            })
        } else if let CallEvent::Live { attachment, .. } = event {
            self.live = Some(*attachment);
            None
        } else if let CallEvent::Detached { attachment } = event {
            // Whoever is let go has no silence to be over.
            self.silent[0] &= self.live != Some(*attachment);
            None
        } else {
            None
        })
    }

    /// From now on nothing is to be heard, unless that is so already.
    fn put_aside(&mut self) {
        if !self.muted && self.on_hold.is_none() {
            self.said_before = self.said;
        }
    }
}
