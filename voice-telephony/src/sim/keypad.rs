//! Which keys somebody hears: two tones at once, and little else (ITU-T Q.23 and Q.24).

use std::f64::consts::TAU;

use voice_core::audio::AudioFormat;
use voice_core::audio::g711::mulaw_to_linear;

const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// A key sounds for 40 ms at least.
const TICKS_MIN: u32 = 2;

/// So much of what is heard is the two tones; of speech it is less.
const SHARE_MIN: f64 = 0.8;

/// Fainter than this it is the noise of a line: the mean square of linear samples.
const MEAN_SQUARE_MIN: f64 = 500_000.0;

/// Listens for keys, tick by tick.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    sounding: Option<char>,
    ticks: u32,
    heard: String,
}

impl Keypad {
    /// The next 20 ms, mu-law.
    pub(super) fn hear(&mut self, mulaw: &[u8]) {
        let key = key_of(mulaw);
        self.ticks = if key.is_some() && key == self.sounding { self.ticks + 1 } else { 1 };
        self.sounding = key;
        if self.ticks == TICKS_MIN {
            self.heard.extend(key);
        }
    }

    /// All of them, in order.
    pub(super) fn conclude(self) -> String {
        self.heard
    }
}

fn key_of(mulaw: &[u8]) -> Option<char> {
    let samples: Vec<f64> = mulaw.iter().map(|code| f64::from(mulaw_to_linear(*code))).collect();
    let length = samples.len() as f64;
    let energy: f64 = samples.iter().map(|sample| sample * sample).sum();
    if energy < MEAN_SQUARE_MIN * length {
        return None;
    }
    let (row, low) = loudest(&samples, &LOW);
    let (column, high) = loudest(&samples, &HIGH);
    // A sine of energy e over n samples has a squared magnitude of e·n/2.
    let share = (low + high) * 2.0 / (energy * length);
    (share >= SHARE_MIN && low.min(high) * 8.0 > low.max(high)).then(|| KEYS[row][column])
}

/// Which of these frequencies is loudest, and its squared magnitude by Goertzel's algorithm.
fn loudest(samples: &[f64], frequencies: &[f64; 4]) -> (usize, f64) {
    let rate = f64::from(AudioFormat::MULAW_8K.rate.hz());
    let magnitudes = frequencies.map(|hz| {
        let turn = 2.0 * (TAU * hz / rate).cos();
        let (mut one, mut two) = (0.0, 0.0);
        for sample in samples {
            (one, two) = (sample + turn * one - two, one);
        }
        one * one + two * two - turn * one * two
    });
    let mut best = (0, magnitudes[0]);
    for (at, magnitude) in magnitudes.into_iter().enumerate() {
        if magnitude > best.1 {
            best = (at, magnitude);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use voice_core::audio::dtmf;
    use voice_core::sim::speech::{CALLER, VOICE};

    fn heard(audio: &[u8]) -> String {
        let mut keypad = Keypad::default();
        audio.chunks(160).for_each(|tick| keypad.hear(tick));
        keypad.conclude()
    }

    #[test]
    fn every_key_is_heard_once_and_doubled_keys_twice() {
        let keys = "123A456B789C*0#D11#";
        let format = AudioFormat::MULAW_8K;
        let sound: Vec<u8> =
            keys.chars().flat_map(|key| dtmf::key(key, format).expect("a key").to_vec()).collect();
        assert_eq!(heard(&sound), keys);
    }

    #[test]
    fn nobody_who_speaks_presses_a_key() {
        for clip in CALLER.iter().chain(VOICE) {
            assert_eq!(heard(clip.mulaw), "", "{clip:?}");
        }
    }
}
