//! Keys that are pressed for the caller's side of the line: tones in the voice's own stream, in turn with
//! what is said. They pass through the ledger like a cover; nobody interrupts them.

use std::collections::VecDeque;

use crate::audio::dtmf;
use crate::audio::framer::Framer;
use crate::carrier::Digits;
use crate::id::ReplyId;
use crate::limits;
use crate::provider::ReplyEnd;
use crate::record::CallEvent;
use crate::time::MonoTime;

use super::Call;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// What waits for the end of a reply that still comes in.
    waiting: VecDeque<char>,
    /// What the other side has not heard to the end.
    pressed: Option<ReplyId>,
}

impl Keys {
    /// Tones are on their way.
    pub(super) const fn are_pressed(&self) -> bool {
        self.pressed.is_some()
    }

    /// The ledger is done with this one.
    pub(super) fn over(&mut self, reply: ReplyId) {
        if self.pressed == Some(reply) {
            self.pressed = None;
        }
    }
}

impl Call {
    pub(super) fn send_digits(&mut self, now: MonoTime, digits: &Digits) {
        let keys = digits.keys();
        let waiting = &mut self.covers.keys.waiting;
        if waiting.len() + keys.expose().len() > limits::DIGITS_MAX {
            // Somebody presses faster than keys can sound.
            return;
        }
        waiting.extend(keys.expose().chars());
        self.report(now, CallEvent::DigitsSent { digits: keys.clone() });
    }

    /// Queues the tones, unless a reply still comes in: they would stand in the middle of it.
    pub(super) fn press_keys(&mut self) {
        if self.covers.keys.waiting.is_empty() || self.playout.is_open() || self.covers.keys.are_pressed() {
            return;
        }
        let keys = std::mem::take(&mut self.covers.keys.waiting);
        let format = self.playout.format();
        let mut tones = Framer::new(format);
        // What is no key is a pause of half a second.
        let pause = || dtmf::silence(dtmf::GAP * 5, format);
        keys.into_iter().for_each(|key| tones.push(dtmf::key(key, format).unwrap_or_else(pause)));
        let reply = self.covers.next();
        for frame in tones.by_ref() {
            self.playout.push(reply, frame);
        }
        self.playout.done(reply, ReplyEnd::Completed);
        self.covers.keys.pressed = Some(reply);
    }
}
