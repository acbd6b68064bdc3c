//! The caller's channel: frames in order of arrival, put where the sample clock says that they belong.
//!
//! A frame that comes late was not said late: the network held it up. So frames follow each other without a
//! gap, and the earliest of those that wait says how far the whole must be moved: a frame can arrive late,
//! but never before it was said. Only where all of them are late by more than that, there is a hole; and
//! where one is early, the caller's clock runs faster than ours, and a frame is left out.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::audio::speech;
use crate::limits;

use super::track::{Grid, Place, Track};

/// See the module.
#[derive(Debug)]
pub(super) struct CallerChannel {
    grid: Grid,
    track: Track,
    /// Where each began by its arrival, and what it is.
    waiting: VecDeque<(Place, Bytes)>,
    /// Nothing of the caller has come yet.
    is_new: bool,
}

impl CallerChannel {
    pub(super) fn new(grid: Grid) -> Self {
        Self { grid, track: Track::new(grid), waiting: VecDeque::new(), is_new: true }
    }

    /// A frame has arrived whose last sample lies here.
    pub(super) fn push(&mut self, ends: Place, frame: Bytes) {
        // So many in so short a time are no telephone: what is on top is left out.
        if self.waiting.len() < limits::RECORDING_FRAMES_MAX {
            self.waiting.push_back((ends - self.grid.samples(frame.len()), frame));
        }
    }

    /// Puts into its place what belongs before this; where nothing does, there is silence.
    pub(super) fn settle(&mut self, until: Place) -> &mut Track {
        while let Some(late) = self.lateness() {
            let Some((_, frame)) = self.waiting.front() else { break };
            let (half, frame_length) = (self.grid.frame() / 2, self.grid.frame());
            // In the middle of a word a whole frame may pass before anything is moved.
            let bearable = if self.is_voiced(frame) { frame_length } else { half };
            let moved = if self.is_new || late >= bearable { late } else { 0 };
            let at = self.track.end() + moved;
            if at >= until {
                break;
            }
            let Some((_, frame)) = self.waiting.pop_front() else { break };
            if !self.is_new && late <= -bearable {
                continue;
            }
            self.is_new = false;
            self.track.put(at, &frame);
        }
        self.track.fill(until);
        &mut self.track
    }

    /// By how much the earliest of those that wait comes after the place where it would be put.
    fn lateness(&self) -> Option<Place> {
        let mut would_be = self.track.end();
        let mut least: Option<Place> = None;
        for (at, frame) in &self.waiting {
            let late = at - would_be;
            least = Some(least.map_or(late, |least| least.min(late)));
            would_be += self.grid.samples(frame.len());
        }
        least
    }

    fn is_voiced(&self, frame: &Bytes) -> bool {
        speech::is_voiced(self.grid.format.encoding, frame)
    }
}
