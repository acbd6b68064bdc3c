//! The recorder: frames and times in, blocks of both channels out.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::audio::{AudioFormat, FRAME};
use crate::limits;
use crate::time::MonoTime;

use super::Block;
use super::caller::CallerChannel;
use super::track::{Grid, Place, silence_like};
use super::voice::VoiceChannel;

/// Where no frame of a caller wakes us, so many blocks are made at once.
const BLOCKS_PER_WAKE: u32 = 10;

/// Aligns two channels. A value: tell it what is said and handed out, then take blocks with
/// [`Recorder::poll`] until there is none.
///
/// A block comes out [`limits::RECORDING_LOOKAHEAD`] after its end, because only then it is known what
/// belongs into it; so much sound of both channels is what it holds.
#[derive(Debug)]
pub struct Recorder {
    grid: Grid,
    caller: CallerChannel,
    voice: VoiceChannel,
    /// The first sample that was not given out.
    given: Place,
    /// The end, once it is known: blocks no longer wait.
    end: Option<Place>,
    pauses: Pauses,
}

/// From where to where nothing is written down.
#[derive(Debug, Default)]
struct Pauses {
    over: VecDeque<(Place, Place)>,
    since: Option<Place>,
}

impl Recorder {
    /// A recording of both channels in this format, from now on.
    pub fn new(now: MonoTime, format: AudioFormat) -> Self {
        let grid = Grid { format, origin: now };
        Self {
            grid,
            caller: CallerChannel::new(grid),
            voice: VoiceChannel::new(grid),
            given: 0,
            end: None,
            pauses: Pauses::default(),
        }
    }

    /// A frame of the caller has arrived.
    pub fn caller(&mut self, now: MonoTime, frame: Bytes) {
        // What they say in a pause is not even kept for a moment.
        let frame = if self.is_paused() { silence_like(&frame, self.grid.format) } else { frame };
        self.caller.push(self.grid.place(now), frame);
    }

    /// A frame was handed to the carrier. `begins`: when the ear would begin to hear it if nothing took
    /// any time; frames that follow each other without a gap begin where the one before ends.
    pub fn voice(&mut self, begins: MonoTime, frame: Bytes) {
        self.voice.push(begins, frame);
    }

    /// What was handed out and would begin after this was thrown away, unheard.
    pub fn cut(&mut self, heard_until: MonoTime) {
        self.voice.cut(heard_until);
    }

    /// From now on there is silence. What is under way to the ear counts as said later.
    pub fn pause(&mut self, now: MonoTime) {
        let since = self.grid.place(now);
        self.pauses.since.get_or_insert(since);
    }

    /// From now on there is sound again.
    pub fn resume(&mut self, now: MonoTime) {
        let Some(since) = self.pauses.since.take() else { return };
        if self.pauses.over.len() >= limits::RECORDING_PAUSES_MAX
            && let Some((_, last)) = self.pauses.over.back_mut()
        {
            // Rather too much silence than a word too much.
            *last = self.grid.place(now);
            return;
        }
        self.pauses.over.push_back((since, self.grid.place(now)));
    }

    /// Whether it is silent by order.
    pub const fn is_paused(&self) -> bool {
        self.pauses.since.is_some()
    }

    /// The recording ends now: all blocks up to here can be taken, and none after. What is under way to
    /// the ear is not in it.
    pub fn finish(&mut self, now: MonoTime) {
        let end = *self.end.get_or_insert(self.grid.place(now));
        self.pauses.since.get_or_insert(end);
    }

    /// The next block, if it is time. `lag`: how much later than handed out the ear hears, by all that is
    /// known.
    pub fn poll(&mut self, now: MonoTime, lag: Duration) -> Option<Block> {
        let frame = self.grid.frame();
        let until = self.given + frame;
        let (due, end) = match self.end {
            Some(end) => (self.given < end, end.min(until)),
            None => (until <= self.grid.place(now.saturating_sub(limits::RECORDING_LOOKAHEAD)), until),
        };
        if !due {
            return None;
        }
        let mut caller = fill(self.caller.settle(end), until);
        let mut voice = fill(self.voice.settle(end, lag), until);
        for channel in [&mut caller, &mut voice] {
            self.pauses.silence(&self.grid, self.given, channel);
        }
        let at = FRAME * u32::try_from(self.given / frame).unwrap_or(u32::MAX);
        self.given = until;
        self.pauses.forget(self.given);
        Some(Block { at, caller: caller.freeze(), voice: voice.freeze() })
    }

    /// When blocks should be taken, if nobody comes by before: there is no hurry, so it is for some at once.
    pub fn wakes_at(&self) -> MonoTime {
        self.grid.origin + self.length() + FRAME * BLOCKS_PER_WAKE + limits::RECORDING_LOOKAHEAD
    }

    /// From the beginning to the end of the last block that was taken.
    pub fn length(&self) -> Duration {
        FRAME * u32::try_from(self.given / self.grid.frame()).unwrap_or(u32::MAX)
    }
}

/// The channel's next block, whose rest lies after the end of the recording.
fn fill(track: &mut super::track::Track, until: Place) -> BytesMut {
    track.fill(until);
    track.take()
}

impl Pauses {
    /// Silences what of this block lies in a pause.
    fn silence(&self, grid: &Grid, at: Place, block: &mut BytesMut) {
        let until = at + grid.samples(block.len());
        let running = self.since.map(|since| (since, Place::MAX));
        for (from, to) in self.over.iter().copied().chain(running) {
            if from < until && to > at {
                let part = grid.bytes(from - at)..grid.bytes(to.min(until) - at);
                block[part].fill(grid.format.encoding.silence_byte());
            }
        }
    }

    fn forget(&mut self, given: Place) {
        while self.over.front().is_some_and(|(_, to)| *to <= given) {
            self.over.pop_front();
        }
    }
}
