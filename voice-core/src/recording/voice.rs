//! The voice's channel: what was handed to the carrier, put where the ear heard it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::limits;
use crate::time::MonoTime;

use super::track::{Grid, Track};

/// See the module.
#[derive(Debug)]
pub(super) struct VoiceChannel {
    grid: Grid,
    track: Track,
    /// When each begins by the clock of sending, and what it is.
    waiting: VecDeque<(MonoTime, Bytes)>,
    /// When what was put down last ends by the clock of sending; what begins then follows without a gap.
    put_until: Option<MonoTime>,
}

impl VoiceChannel {
    pub(super) fn new(grid: Grid) -> Self {
        Self { grid, track: Track::new(grid), waiting: VecDeque::new(), put_until: None }
    }

    /// A frame was handed to the carrier; on a perfect line the ear would begin to hear it then.
    pub(super) fn push(&mut self, begins: MonoTime, frame: Bytes) {
        if self.waiting.len() < limits::RECORDING_FRAMES_MAX {
            self.waiting.push_back((begins, frame));
        }
    }

    /// What begins after this, by the clock of sending, was never heard.
    pub(super) fn cut(&mut self, heard_until: MonoTime) {
        while self.waiting.back().is_some_and(|(begins, _)| *begins >= heard_until) {
            self.waiting.pop_back();
        }
        if let Some((begins, last)) = self.waiting.back_mut() {
            let heard = self.grid.format.bytes_in(heard_until.since(*begins));
            last.truncate(heard);
        }
    }

    /// Puts into its place what belongs before this; where nothing does, there is silence. The ear is so
    /// much behind the clock of sending.
    pub(super) fn settle(&mut self, until: i64, lag: Duration) -> &mut Track {
        while let Some((begins, frame)) = self.waiting.front() {
            let believed = self.grid.place(*begins + lag);
            // A carrier plays without a gap what it has: that the ear is believed a little elsewhere now
            // does not tear a sentence apart.
            let follows =
                self.put_until == Some(*begins) && believed - self.track.end() < self.grid.frame() * 2;
            let at = if follows { self.track.end() } else { believed.max(self.track.end()) };
            if at >= until {
                break;
            }
            self.put_until = Some(*begins + self.grid.format.duration_of(frame.len()));
            self.track.put(at, frame);
            self.waiting.pop_front();
        }
        self.track.fill(until);
        &mut self.track
    }
}
