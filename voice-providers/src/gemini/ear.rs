//! The caller's audio on its way to the service: held while it cannot be sent, then sent in order.

use std::collections::VecDeque;
use std::time::Duration;

use voice_core::audio::speech::is_voiced;
use voice_core::audio::{AudioFrame, FRAME};
use voice_core::limits;
use voice_core::time::MonoTime;

/// What was held is given ten times as fast as it was spoken: 10 s of 16 kHz audio, half a megabyte of
/// base64, take one second and never fill the queue of the line.
const FRAMES_PER_WINDOW: u32 = 10;

/// The window for the above.
const WINDOW: Duration = FRAME;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ear {
    held: VecDeque<AudioFrame>,
    duration: Duration,
    /// Lost since it was last asked.
    lost: Duration,
    window: MonoTime,
    sent: u32,
    last_voiced: MonoTime,
    /// When the caller began to say what they are saying, if they are.
    began: MonoTime,
}

impl Ear {
    /// The caller is heard. The oldest audio is lost first if too much is held.
    pub(super) fn push(&mut self, now: MonoTime, frame: AudioFrame) {
        if is_voiced(frame.format.encoding, &frame.data) {
            if self.quiet_for(now) > PAUSE {
                self.began = now;
            }
            self.last_voiced = now;
        }
        self.duration += frame.duration();
        self.held.push_back(frame);
        while self.duration > limits::HELD_MAX
            && let Some(oldest) = self.held.pop_front()
        {
            self.duration = self.duration.saturating_sub(oldest.duration());
            self.lost += oldest.duration();
        }
    }

    /// The next frame that may be sent now.
    pub(super) fn pop(&mut self, now: MonoTime) -> Option<AudioFrame> {
        if now.since(self.window) >= WINDOW {
            self.window = now;
            self.sent = 0;
        }
        if self.sent >= FRAMES_PER_WINDOW {
            return None;
        }
        let frame = self.held.pop_front()?;
        self.duration = self.duration.saturating_sub(frame.duration());
        self.sent += 1;
        Some(frame)
    }

    /// When there is more to send.
    pub(super) fn wakes_at(&self) -> Option<MonoTime> {
        (!self.held.is_empty()).then(|| self.window + WINDOW)
    }

    /// How much was lost since this was last asked.
    pub(super) fn take_lost(&mut self) -> Duration {
        std::mem::take(&mut self.lost)
    }

    /// Nobody will be given what is held. How much that is, with what was lost before.
    pub(super) fn give_up(&mut self) -> Duration {
        self.held.clear();
        std::mem::take(&mut self.duration) + self.take_lost()
    }

    /// Whether the caller is in the middle of saying something, beyond doubt, so that the service knows it too.
    pub(super) fn is_mid_speech(&self, now: MonoTime) -> bool {
        self.quiet_for(now) < SYLLABLE && now.since(self.began) >= BEYOND_DOUBT
    }

    /// For how long no voice was heard.
    pub(super) fn quiet_for(&self, now: MonoTime) -> Duration {
        now.since(self.last_voiced)
    }
}

/// A pause that makes what follows something new.
const PAUSE: Duration = Duration::from_millis(300);

/// Between two voiced frames of a word there is no more than this.
const SYLLABLE: Duration = Duration::from_millis(100);

/// The service notices speech after some 100 ms of it, and hears it a network later than we do.
const BEYOND_DOUBT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use voice_core::audio::AudioFormat;

    use super::*;

    fn frame(n: u8) -> AudioFrame {
        AudioFrame::new(AudioFormat::PCM16_8K, vec![n; AudioFormat::PCM16_8K.frame_bytes()].into())
    }

    #[test]
    fn frames_come_out_in_order_and_not_all_at_once() {
        let mut ear = Ear::default();
        let now = MonoTime::from_millis(1_000);
        for n in 0..25 {
            ear.push(now, frame(n));
        }
        let mut taken = Vec::new();
        for step in 0..3 {
            let now = MonoTime::from_millis(1_000 + step * 20);
            while let Some(frame) = ear.pop(now) {
                taken.push((step, frame.data[0]));
            }
        }
        assert_eq!(taken.iter().map(|(_, n)| *n).collect::<Vec<_>>(), (0..25).collect::<Vec<_>>());
        assert_eq!(taken.iter().filter(|(step, _)| *step == 0).count(), 10);
        assert_eq!(ear.wakes_at(), None);
    }

    #[test]
    fn the_oldest_are_lost_and_counted() {
        let mut ear = Ear::default();
        for _ in 0..510 {
            ear.push(MonoTime::ZERO, frame(0));
        }
        assert_eq!(ear.take_lost(), Duration::from_millis(200));
        assert_eq!(ear.take_lost(), Duration::ZERO);
        assert_eq!(ear.duration, limits::HELD_MAX);
    }
}
