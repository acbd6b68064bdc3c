//! Is there a voice in this frame? A cheap look at its energy, for latency figures only; whether a
//! caller has taken the turn is for the provider or for a detector with a memory to say.

use crate::audio::{AudioFrame, Encoding, g711};

/// Mean square above which a frame counts as voiced: an effective value of 250, −42 dBov, well above
/// line noise and below quiet speech.
const VOICED_MEAN_SQUARE: u64 = 250 * 250;

/// Whether the frame holds more than background.
pub fn is_voiced(frame: &AudioFrame) -> bool {
    let samples = frame.data.len() / frame.format.encoding.bytes_per_sample();
    let energy = match frame.format.encoding {
        Encoding::Mulaw => g711::mulaw_energy(&frame.data),
        Encoding::Alaw => g711::alaw_energy(&frame.data),
        Encoding::Pcm16 => frame.data.chunks_exact(2).map(|s| square(i16::from_le_bytes([s[0], s[1]]))).sum(),
    };
    energy > VOICED_MEAN_SQUARE * samples as u64
}

fn square(sample: i16) -> u64 {
    let magnitude = u64::from(sample.unsigned_abs());
    magnitude * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::AudioFormat;

    #[test]
    fn silence_is_not_voiced_and_speech_is() {
        let frame = |format, byte: u8| AudioFrame::new(format, vec![byte; 160].into());
        assert!(!is_voiced(&frame(AudioFormat::MULAW_8K, 0xff)));
        assert!(!is_voiced(&frame(AudioFormat::MULAW_8K, 0x7e)));
        assert!(is_voiced(&frame(AudioFormat::MULAW_8K, 0x30)));
        assert!(!is_voiced(&frame(AudioFormat::ALAW_8K, 0xd5)));
        assert!(is_voiced(&frame(AudioFormat::ALAW_8K, 0x10)));
        assert!(!is_voiced(&frame(AudioFormat::PCM16_8K, 0)));
        assert!(is_voiced(&frame(AudioFormat::PCM16_8K, 0x11)));
        assert!(!is_voiced(&AudioFrame::new(AudioFormat::MULAW_8K, bytes::Bytes::new())));
    }
}
