//! Is there a voice in this frame? A cheap look at its energy, for latency figures only; whether a
//! caller has taken the turn is for the provider or for a detector with a memory to say.

use crate::audio::{AudioFrame, Encoding};

/// Mean magnitude above which a frame counts as voiced: −42 dBov or so, well above line noise and below
/// quiet speech.
const VOICED_MEAN: u64 = 200;

/// Whether the frame holds more than background.
pub fn is_voiced(frame: &AudioFrame) -> bool {
    let (sum, samples) = match frame.format.encoding {
        Encoding::Mulaw => (sum(&frame.data, mulaw_magnitude), frame.data.len()),
        Encoding::Alaw => (sum(&frame.data, alaw_magnitude), frame.data.len()),
        Encoding::Pcm16 => {
            let samples = frame.data.chunks_exact(2);
            let count = samples.len();
            (samples.map(|s| u64::from(i16::from_le_bytes([s[0], s[1]]).unsigned_abs())).sum(), count)
        }
    };
    samples > 0 && sum / samples as u64 > VOICED_MEAN
}

fn sum(codes: &[u8], magnitude: fn(u8) -> u16) -> u64 {
    codes.iter().map(|code| u64::from(magnitude(*code))).sum()
}

/// Protocol notes, G.711 §1, without the sign.
fn mulaw_magnitude(code: u8) -> u16 {
    let code = !code;
    ((((u16::from(code) & 15) << 3) + 132) << ((code >> 4) & 7)) - 132
}

/// Protocol notes, G.711 §2, without the sign.
fn alaw_magnitude(code: u8) -> u16 {
    let code = code ^ 0x55;
    let step = (u16::from(code) & 15) << 4;
    match (code >> 4) & 7 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    }
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
