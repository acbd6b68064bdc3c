//! What the caller says while nobody hears them. Exists only in the phase in which it has a meaning.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::AudioFrame;
use crate::limits;

/// Frames of the caller, oldest first, at most [`limits::HELD_MAX`] of them.
#[derive(Debug, Default)]
pub(crate) struct HeldAudio {
    frames: VecDeque<AudioFrame>,
    duration: Duration,
    lost: Duration,
}

impl HeldAudio {
    /// Keeps the frame; answers with the oldest ones that had to go for it.
    pub(crate) fn push(&mut self, frame: AudioFrame) -> Option<Lost> {
        self.duration += frame.duration();
        self.frames.push_back(frame);
        let mut lost = Lost::default();
        while self.duration > limits::HELD_MAX {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.duration -= oldest.duration();
            lost.frames += 1;
            lost.duration += oldest.duration();
        }
        self.lost += lost.duration;
        (lost.frames > 0).then_some(lost)
    }

    /// How much had to go so far.
    pub(crate) fn lost(&self) -> Duration {
        self.lost
    }

    /// The frames in order, for whoever comes first.
    pub(crate) fn into_frames(self) -> impl Iterator<Item = AudioFrame> {
        self.frames.into_iter()
    }

    /// All of it, given up.
    pub(crate) fn into_lost(self) -> Lost {
        Lost { frames: self.frames.len() as u64, duration: self.duration }
    }
}

/// Frames that nobody will ever hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) frames: u64,
    pub(crate) duration: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{AudioFormat, FRAME};

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let frame = |n: u8| AudioFrame::new(AudioFormat::MULAW_8K, vec![n; 160].into());
        let room = (limits::HELD_MAX.as_millis() / FRAME.as_millis()) as usize;
        let mut held = HeldAudio::default();
        for n in 0..room {
            assert_eq!(held.push(frame(n as u8)), None);
        }
        assert_eq!(held.push(frame(0xee)), Some(Lost { frames: 1, duration: FRAME }));
        let kept: Vec<AudioFrame> = held.into_frames().collect();
        assert_eq!(kept.len(), room);
        assert_eq!((kept[0].data[0], kept[room - 1].data[0]), (1, 0xee));
    }
}
