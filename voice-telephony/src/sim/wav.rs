//! Reads a WAV file into mu-law at 8 kHz, so that a caller can say anything.

use std::f32::consts::PI;

use bytes::Bytes;
use voice_core::audio::Rate;
use voice_core::audio::g711::mulaw_encode;

/// Why a file cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    /// Not a WAV file, or cut short before its audio.
    #[error("not a wav file")]
    NotWav,
    /// Anything but 16-bit PCM, or mu-law at 8 kHz.
    #[error("neither 16-bit pcm nor mu-law at 8 kHz")]
    Encoding,
    /// More than one channel.
    #[error("more than one channel")]
    Channels,
    /// A rate that is no simple multiple of the telephone's.
    #[error("a rate other than 8, 16, 24 or 48 kHz")]
    Rate,
}

/// The audio of a WAV file (one channel; 16-bit PCM at 8, 16, 24 or 48 kHz, or mu-law at 8 kHz) as
/// mu-law at 8 kHz. A header that promises more than there is, as of a file that was piped, is
/// forgiven.
///
/// # Errors
/// [`WavError`] says what the file is not.
pub fn read_wav(file: &[u8]) -> Result<Bytes, WavError> {
    let chunks = file.strip_prefix(b"RIFF").ok_or(WavError::NotWav)?.get(4..).ok_or(WavError::NotWav)?;
    let chunks = chunks.strip_prefix(b"WAVE").ok_or(WavError::NotWav)?;
    let format = Format::read(find(chunks, *b"fmt ").ok_or(WavError::NotWav)?)?;
    let data = find(chunks, *b"data").ok_or(WavError::NotWav)?;
    if format.channels != 1 {
        return Err(WavError::Channels);
    }
    let rate = Rate::from_hz(format.rate).ok_or(WavError::Rate)?;
    match (format.encoding, format.bits, rate) {
        (MULAW, 8, Rate::Hz8000) => Ok(Bytes::copy_from_slice(data)),
        (PCM, 16, rate) => {
            let samples: Vec<i16> =
                data.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
            let samples = decimate(&samples, (rate.hz() / Rate::Hz8000.hz()) as usize);
            let mut mulaw = vec![0; samples.len()];
            mulaw_encode(&samples, &mut mulaw);
            Ok(Bytes::from(mulaw))
        }
        _ => Err(WavError::Encoding),
    }
}

const PCM: u16 = 1;
const MULAW: u16 = 7;
/// The real encoding stands further down, in the first two bytes of a GUID.
const EXTENSIBLE: u16 = 0xfffe;

struct Format {
    encoding: u16,
    channels: u16,
    rate: u32,
    bits: u16,
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Self, WavError> {
        let u16_at = |at: usize| chunk.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let u32_at = |at: usize| chunk.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let read = || {
            let encoding = match u16_at(0)? {
                EXTENSIBLE => u16_at(24)?,
                encoding => encoding,
            };
            Some(Self { encoding, channels: u16_at(2)?, rate: u32_at(4)?, bits: u16_at(14)? })
        };
        read().ok_or(WavError::NotWav)
    }
}

/// The first chunk of that name, as far as it is there.
fn find(mut chunks: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    while let [a, b, c, d, s0, s1, s2, s3, rest @ ..] = chunks {
        let size = u32::from_le_bytes([*s0, *s1, *s2, *s3]) as usize;
        if [*a, *b, *c, *d] == name {
            return Some(&rest[..size.min(rest.len())]);
        }
        // Chunks begin at even positions.
        chunks = rest.get(size.checked_add(size % 2)?..)?;
    }
    None
}

/// Every `by`th sample, after what lies above the new band was filtered out (Hann-windowed sinc).
///
/// For a file that is read once; live audio goes through the streaming resampler of voice-core.
fn decimate(samples: &[i16], by: usize) -> Vec<i16> {
    if by == 1 {
        return samples.to_vec();
    }
    let reach = 8 * by as isize;
    let cutoff = 0.9 / by as f32;
    let taps: Vec<f32> = (-reach..=reach)
        .map(|at| {
            let x = PI * at as f32;
            let sinc = if at == 0 { cutoff } else { (x * cutoff).sin() / x };
            sinc * (0.5 + 0.5 * (x / (reach + 1) as f32).cos())
        })
        .collect();
    (0..samples.len())
        .step_by(by)
        .map(|center| {
            let sum: f32 = taps
                .iter()
                .zip(center as isize - reach..)
                .filter_map(|(tap, at)| Some(tap * f32::from(*samples.get(usize::try_from(at).ok()?)?)))
                .sum();
            sum as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use voice_core::audio::g711::mulaw_to_linear;
    use voice_core::sim::speech::{caller, recognise};

    fn wav(encoding: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        file.extend(encoding.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend([0; 6]);
        file.extend(bits.to_le_bytes());
        file.extend(b"data");
        file.extend(u32::MAX.to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn a_clip_is_recognised_at_every_rate() {
        let clip = caller("order").expect("that clip");
        assert_eq!(read_wav(&wav(7, 1, 8_000, 8, clip.mulaw)).as_deref(), Ok(clip.mulaw));
        for times in [1, 2, 3, 6] {
            let pcm: Vec<u8> = clip
                .mulaw
                .iter()
                .flat_map(|&code| std::iter::repeat_n(mulaw_to_linear(code).to_le_bytes(), times))
                .flatten()
                .collect();
            let mulaw = read_wav(&wav(1, 1, 8_000 * times as u32, 16, &pcm)).expect("a good file");
            assert_eq!(mulaw.len(), clip.mulaw.len());
            assert_eq!(recognise(&mulaw).map(|clip| clip.name), Some("order"), "{times} times 8 kHz");
        }
    }

    #[test]
    fn a_tone_above_the_telephone_band_does_not_fold_back() {
        let tone = |n: i32| (f64::from(n) * 7_000.0 * std::f64::consts::TAU / 24_000.0).sin() * 16_000.0;
        let pcm: Vec<u8> = (0..24_000).flat_map(|n| (tone(n) as i16).to_le_bytes()).collect();
        let mulaw = read_wav(&wav(1, 1, 24_000, 16, &pcm)).expect("a good file");
        let loudest = mulaw[100..7_900].iter().map(|&code| mulaw_to_linear(code).unsigned_abs()).max();
        assert!(loudest < Some(300), "{loudest:?}");
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(read_wav(b"ID3 something"), Err(WavError::NotWav));
        assert_eq!(read_wav(b"RIFF\0\0\0\0WAVEfmt "), Err(WavError::NotWav));
        assert_eq!(read_wav(&wav(3, 1, 8_000, 32, &[0; 8])), Err(WavError::Encoding));
        assert_eq!(read_wav(&wav(1, 2, 8_000, 16, &[0; 8])), Err(WavError::Channels));
        assert_eq!(read_wav(&wav(1, 1, 44_100, 16, &[0; 8])), Err(WavError::Rate));
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(mut file in proptest::collection::vec(any::<u8>(), 0..200), is_riff in any::<bool>()) {
            if is_riff {
                file.splice(0..0, *b"RIFF\0\0\0\0WAVE");
            }
            let _ = read_wav(&file);
        }
    }
}
