//! The tones of telephone keys, to be sent in the voice's own stream.
//!
//! A carrier's own way to press keys may end a media stream (protocol notes, Twilio §5), and tones in the
//! stream pass every network that carries G.711. Frequencies and durations are those of ITU-T Q.23 and
//! Q.24: two tones, exact to far less than the allowed 1.5 %, 100 ms long, then 100 ms of silence. The high
//! tone is 2 dB louder, as telephones make it, because lines dampen it more.

use std::f64::consts::TAU;
use std::time::Duration;

use bytes::Bytes;

use super::AudioFormat;
use super::Encoding;
use super::convert::Converter;

/// How long a key sounds.
pub const TONE: Duration = Duration::from_millis(100);

/// And how long it is silent after it.
pub const GAP: Duration = Duration::from_millis(100);

/// Peaks of the low and the high tone, of 32,768: -10 and -8 dBm0, where a G.711 sine of full scale has
/// +3.17 dBm0. Together they stay below half of full scale, so nothing is clipped.
const PEAKS: [f64; 2] = [7_050.0, 8_880.0];

/// The edges are rounded for so long, so that a key begins and ends without a click.
const EDGE: Duration = Duration::from_millis(2);

const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [char; 16] = ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];

/// The two frequencies of a key in Hz, the low one first; `None` for what is no key.
pub fn frequencies(key: char) -> Option<(f64, f64)> {
    let at = KEYS.iter().position(|known| *known == key.to_ascii_uppercase())?;
    Some((LOW[at / 4], HIGH[at % 4]))
}

/// A key in this format: [`TONE`] and [`GAP`], which are whole frames of 20 ms. `None` for what is no key.
///
/// ```
/// use voice_core::audio::{AudioFormat, dtmf};
///
/// let line = AudioFormat::MULAW_8K;
/// let five = dtmf::key('5', line).expect("it is a key");
/// assert_eq!(line.duration_of(five.len()), dtmf::TONE + dtmf::GAP);
/// assert!(dtmf::key('x', line).is_none());
/// ```
pub fn key(key: char, format: AudioFormat) -> Option<Bytes> {
    let (low, high) = frequencies(key)?;
    let rate = f64::from(format.rate.hz());
    let samples = |length: Duration| (length.as_secs_f64() * rate).round();
    let (length, edge) = (samples(TONE), samples(EDGE));
    let mut pcm = Vec::new();
    for n in 0..length as u32 {
        let n = f64::from(n);
        let loud = (n.min(length - 1.0 - n) / edge).min(1.0);
        let tone = |hz: f64, peak: f64| peak * (TAU * hz * n / rate).sin();
        let sample = (loud * (tone(low, PEAKS[0]) + tone(high, PEAKS[1]))).round();
        // Both peaks together are far below what 16 bits hold.
        pcm.extend((sample as i16).to_le_bytes());
    }
    let linear = AudioFormat::new(Encoding::Pcm16, format.rate);
    pcm.resize(pcm.len() + linear.bytes_in(GAP), 0);
    Some(Converter::new(linear, format).convert(Bytes::from(pcm)))
}

/// So much silence, for a pause between keys.
pub fn silence(length: Duration, format: AudioFormat) -> Bytes {
    vec![format.encoding.silence_byte(); format.bytes_in(length)].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Rate;

    /// How much of a frequency is in there, by Goertzel's algorithm: 1 is a sine of full scale.
    fn power(pcm: &[f64], hz: f64, rate: f64) -> f64 {
        let turn = 2.0 * (TAU * hz / rate).cos();
        let (mut one, mut two) = (0.0, 0.0);
        for sample in pcm {
            (one, two) = (sample + turn * one - two, one);
        }
        let energy = one * one + two * two - turn * one * two;
        4.0 * energy / (pcm.len() as f64).powi(2) / 32_768_f64.powi(2)
    }

    fn samples(tone: &Bytes, format: AudioFormat) -> Vec<f64> {
        let linear = AudioFormat::new(Encoding::Pcm16, format.rate);
        let pcm = Converter::new(format, linear).convert(tone.clone());
        pcm.chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]]))).collect()
    }

    fn level(power: f64) -> f64 {
        3.17 + 10.0 * power.log10()
    }

    #[test]
    fn each_key_has_its_two_tones_and_no_others_in_every_format() {
        let formats =
            [Encoding::Mulaw, Encoding::Alaw].map(|encoding| AudioFormat::new(encoding, Rate::Hz8000));
        let linear = Rate::ALL.map(|rate| AudioFormat::new(Encoding::Pcm16, rate));
        for format in formats.into_iter().chain(linear) {
            let rate = f64::from(format.rate.hz());
            for key in KEYS {
                let pcm = samples(&self::key(key, format).expect("a key"), format);
                assert_eq!(pcm.len(), (rate * 0.2) as usize, "{key} {format}");
                let (sound, gap) = pcm.split_at(pcm.len() / 2);
                let (low, high) = frequencies(key).expect("a key");
                let (loud, louder) = (level(power(sound, low, rate)), level(power(sound, high, rate)));
                assert!((loud + 10.0).abs() < 0.5 && (louder + 8.0).abs() < 0.5, "{key}: {loud} {louder}");
                for other in LOW.into_iter().chain(HIGH).filter(|hz| *hz != low && *hz != high) {
                    assert!(power(sound, other, rate) < power(sound, low, rate) / 100.0, "{key}: {other}");
                }
                assert!(gap.iter().all(|sample| sample.abs() < 16.0), "{key} is followed by silence");
            }
        }
    }

    #[test]
    fn the_frequencies_are_exact() {
        let format = AudioFormat::PCM16_8K;
        let pcm = samples(&key('1', format).expect("a key"), format);
        let sound = &pcm[..800];
        // Half a percent beside each, on either side, is weaker than the frequency itself.
        for hz in [697.0, 1_209.0] {
            for beside in [hz * 0.995, hz * 1.005] {
                assert!(power(sound, beside, 8_000.0) < power(sound, hz, 8_000.0), "{hz} {beside}");
            }
        }
    }

    #[test]
    fn what_is_no_key_has_no_tone() {
        assert!(key('w', AudioFormat::MULAW_8K).is_none() && frequencies(' ').is_none());
        assert_eq!(frequencies('d'), frequencies('D'));
        assert_eq!(silence(TONE, AudioFormat::ALAW_8K), vec![0xd5; 800]);
    }
}
