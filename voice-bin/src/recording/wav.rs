//! WAV files of two channels, whose header is true at any time.
//!
//! Sources: Microsoft's "Multiple channel audio data and WAVE files" and RFC 2361 for the codes of A-law (6)
//! and mu-law (7). Channel 1 (left) is the caller, channel 2 (right) the voice.

use voice_core::audio::{AudioFormat, Encoding};

/// Bytes before the sound. Every file of ours has a `fact` chunk, so that all headers are equally long.
pub(super) const HEADER_BYTES: usize = 58;

const CHANNELS: u16 = 2;

/// The header of a file with so many bytes of sound. Sizes beyond 4 GiB (37 hours of 8 kHz PCM) stay at what
/// the format can say.
pub(super) fn header(format: AudioFormat, sound_bytes: u64) -> [u8; HEADER_BYTES] {
    let (code, bytes) = match format.encoding {
        Encoding::Pcm16 => (1_u16, 2_u16),
        Encoding::Alaw => (6, 1),
        Encoding::Mulaw => (7, 1),
    };
    let sound = u32::try_from(sound_bytes).unwrap_or(u32::MAX - HEADER_BYTES as u32);
    let rate = format.rate.hz();
    let block = CHANNELS * bytes;
    let parts: [&[u8]; 17] = [
        b"RIFF",
        &(sound.saturating_add(HEADER_BYTES as u32 - 8)).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &18_u32.to_le_bytes(),
        &code.to_le_bytes(),
        &CHANNELS.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(block)).to_le_bytes(),
        &block.to_le_bytes(),
        &(bytes * 8).to_le_bytes(),
        &0_u16.to_le_bytes(),
        b"fact",
        &4_u32.to_le_bytes(),
        &(sound / u32::from(block)).to_le_bytes(),
        b"data",
        &sound.to_le_bytes(),
    ];
    let mut header = [0; HEADER_BYTES];
    let mut at = 0;
    for part in parts {
        header[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    header
}

/// The format that a header of ours tells, if it is one.
pub(super) fn format_of(header: &[u8; HEADER_BYTES]) -> Option<AudioFormat> {
    let formats = [Encoding::Pcm16, Encoding::Alaw, Encoding::Mulaw];
    let rates = voice_core::audio::Rate::ALL;
    let all = formats.iter().flat_map(|e| rates.iter().map(move |rate| AudioFormat::new(*e, *rate)));
    // All but the sizes.
    let same = |format: &AudioFormat| {
        let ours = self::header(*format, 0);
        ours[..4] == header[..4] && ours[8..46] == header[8..46] && ours[50..54] == header[50..54]
    };
    all.into_iter().find(same)
}

/// Sample by sample, caller and voice.
pub(super) fn interleave(format: AudioFormat, caller: &[u8], voice: &[u8], into: &mut Vec<u8>) {
    let sample = format.encoding.bytes_per_sample();
    for (caller, voice) in caller.chunks_exact(sample).zip(voice.chunks_exact(sample)) {
        into.extend_from_slice(caller);
        into.extend_from_slice(voice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_one_that_players_know() {
        let header = header(AudioFormat::MULAW_8K, 320);
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        assert_eq!(
            (&header[..4], &header[8..16], &header[38..42]),
            (&b"RIFF"[..], &b"WAVEfmt "[..], &b"fact"[..])
        );
        assert_eq!((number(4), number(24), number(28)), (370, 8_000, 16_000));
        assert_eq!((&header[20..24], &header[32..36]), (&[7, 0, 2, 0][..], &[2, 0, 8, 0][..]));
        assert_eq!((number(46), &header[50..54], number(54)), (160, &b"data"[..], 320));
    }

    #[test]
    fn a_header_tells_its_format_whatever_its_sizes() {
        for format in [AudioFormat::MULAW_8K, AudioFormat::ALAW_8K, AudioFormat::PCM16_16K] {
            assert_eq!(format_of(&header(format, 12_345)), Some(format));
        }
        assert_eq!(format_of(&[0; HEADER_BYTES]), None);
    }

    #[test]
    fn channels_are_woven_sample_by_sample() {
        let mut woven = Vec::new();
        interleave(AudioFormat::PCM16_8K, &[1, 2, 3, 4], &[5, 6, 7, 8], &mut woven);
        assert_eq!(woven, [1, 2, 5, 6, 3, 4, 7, 8]);
    }
}
