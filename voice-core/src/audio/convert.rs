//! From the format we have to the one they take, by the cheapest way; nothing at all where they agree.

use std::time::Duration;

use bytes::Bytes;

use super::resample::Resampler;
use super::{AudioFormat, Encoding, g711};

/// Converts one stream. State is kept between pieces, which may have any length.
///
/// ```
/// use bytes::Bytes;
/// use voice_core::audio::AudioFormat;
/// use voice_core::audio::convert::Converter;
///
/// let mut to_service = Converter::new(AudioFormat::MULAW_8K, AudioFormat::PCM16_24K);
/// assert_eq!(to_service.convert(Bytes::from(vec![0xff; 160])).len(), 960);
///
/// let mut nothing = Converter::new(AudioFormat::MULAW_8K, AudioFormat::MULAW_8K);
/// let frame = Bytes::from(vec![0x10; 160]);
/// assert_eq!(nothing.convert(frame.clone()).as_ptr(), frame.as_ptr());
/// ```
#[derive(Debug)]
pub struct Converter {
    plan: Plan,
}

/// The cheapest way from one format to the other.
#[derive(Debug)]
enum Plan {
    /// They agree: the same bytes.
    Nothing,
    /// One byte for another.
    Table(fn(&[u8], &mut [u8])),
    /// By way of linear samples.
    Samples(Box<Samples>),
}

#[derive(Debug)]
struct Samples {
    from: Encoding,
    to: Encoding,
    resampler: Option<Resampler>,
    /// The first half of a sample whose second half has not come yet.
    half: Option<u8>,
    /// Samples of one piece, before and after; reused.
    before: Vec<i16>,
    after: Vec<i16>,
}

impl Converter {
    /// Finds the cheapest way.
    pub fn new(from: AudioFormat, to: AudioFormat) -> Self {
        let plan = match (from.encoding, to.encoding) {
            _ if from == to => Plan::Nothing,
            (Encoding::Mulaw, Encoding::Alaw) if from.rate == to.rate => Plan::Table(g711::mulaw_to_alaw),
            (Encoding::Alaw, Encoding::Mulaw) if from.rate == to.rate => Plan::Table(g711::alaw_to_mulaw),
            _ => Plan::Samples(Box::new(Samples {
                from: from.encoding,
                to: to.encoding,
                resampler: (from.rate != to.rate).then(|| Resampler::new(from.rate, to.rate)),
                half: None,
                before: Vec::new(),
                after: Vec::new(),
            })),
        };
        Self { plan }
    }

    /// Whether there is nothing to do.
    pub const fn is_identity(&self) -> bool {
        matches!(self.plan, Plan::Nothing)
    }

    /// Converts a piece. Allocates nothing but the result; where there is nothing to do the result is
    /// the piece itself.
    pub fn convert(&mut self, piece: Bytes) -> Bytes {
        match &mut self.plan {
            Plan::Nothing => piece,
            Plan::Table(table) => {
                let mut result = vec![0; piece.len()];
                table(&piece, &mut result);
                Bytes::from(result)
            }
            Plan::Samples(samples) => samples.convert(&piece),
        }
    }

    /// Forgets the stream, so that nothing of it is heard in the next.
    pub fn reset(&mut self) {
        if let Plan::Samples(samples) = &mut self.plan {
            samples.half = None;
            if let Some(resampler) = &mut samples.resampler {
                resampler.reset();
            }
        }
    }

    /// How much later everything comes out than it went in.
    pub fn delay(&self) -> Duration {
        match &self.plan {
            Plan::Samples(samples) => samples.resampler.as_ref().map(Resampler::delay).unwrap_or_default(),
            Plan::Nothing | Plan::Table(_) => Duration::ZERO,
        }
    }
}

impl Samples {
    fn convert(&mut self, piece: &[u8]) -> Bytes {
        self.decode(piece);
        let samples = match &mut self.resampler {
            Some(resampler) => {
                self.after.clear();
                resampler.process(&self.before, &mut self.after);
                &self.after
            }
            None => &self.before,
        };
        encode(self.to, samples)
    }

    fn decode(&mut self, piece: &[u8]) {
        self.before.clear();
        match self.from {
            Encoding::Mulaw => {
                self.before.resize(piece.len(), 0);
                g711::mulaw_decode(piece, &mut self.before);
            }
            Encoding::Alaw => {
                self.before.resize(piece.len(), 0);
                g711::alaw_decode(piece, &mut self.before);
            }
            Encoding::Pcm16 => self.decode_pcm(piece),
        }
    }

    /// Peers cut where they like; half a sample waits for its other half, else all that follows is noise.
    fn decode_pcm(&mut self, mut piece: &[u8]) {
        if let (Some(low), Some((high, rest))) = (self.half, piece.split_first()) {
            self.before.push(i16::from_le_bytes([low, *high]));
            self.half = None;
            piece = rest;
        }
        let (pairs, rest) = piece.as_chunks::<2>();
        self.before.extend(pairs.iter().map(|pair| i16::from_le_bytes(*pair)));
        self.half = self.half.or(rest.first().copied());
    }
}

fn encode(to: Encoding, samples: &[i16]) -> Bytes {
    match to {
        Encoding::Mulaw => {
            let mut result = vec![0; samples.len()];
            g711::mulaw_encode(samples, &mut result);
            Bytes::from(result)
        }
        Encoding::Alaw => {
            let mut result = vec![0; samples.len()];
            g711::alaw_encode(samples, &mut result);
            Bytes::from(result)
        }
        Encoding::Pcm16 => {
            let mut result = vec![0; samples.len() * 2];
            for (slot, sample) in result.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
                *slot = sample.to_le_bytes();
            }
            Bytes::from(result)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Rate;

    const FORMATS: [AudioFormat; 6] = [
        AudioFormat::MULAW_8K,
        AudioFormat::ALAW_8K,
        AudioFormat::PCM16_8K,
        AudioFormat::PCM16_16K,
        AudioFormat::PCM16_24K,
        AudioFormat::PCM16_48K,
    ];

    #[test]
    fn a_frame_becomes_a_frame_in_every_pair() {
        for from in FORMATS {
            for to in FORMATS {
                let mut converter = Converter::new(from, to);
                for _ in 0..5 {
                    let piece = Bytes::from(vec![from.encoding.silence_byte(); from.frame_bytes()]);
                    assert_eq!(converter.convert(piece).len(), to.frame_bytes(), "{from} to {to}");
                }
                assert_eq!(converter.is_identity(), from == to);
                assert_eq!(converter.delay().is_zero(), from.rate == to.rate, "{from} to {to}");
            }
        }
    }

    #[test]
    fn speech_survives_the_way_there_and_back() {
        let there_and_back = |codes: Vec<u8>| {
            let mut there = Converter::new(AudioFormat::MULAW_8K, AudioFormat::PCM16_8K);
            let mut back = Converter::new(AudioFormat::PCM16_8K, AudioFormat::MULAW_8K);
            back.convert(there.convert(Bytes::from(codes)))
        };
        let codes: Vec<u8> = (0..=255).filter(|code| *code != 0x7f).collect();
        assert_eq!(there_and_back(codes.clone()), codes);
    }

    #[test]
    fn pcm_may_be_cut_in_the_middle_of_a_sample() {
        let pcm: Vec<u8> = (0..960_u32).map(|n| (n * 7) as u8).collect();
        let whole = Converter::new(AudioFormat::PCM16_24K, AudioFormat::MULAW_8K).convert(pcm.clone().into());
        for at in [1, 2, 3, 479, 959] {
            let mut converter = Converter::new(AudioFormat::PCM16_24K, AudioFormat::MULAW_8K);
            let mut parts = converter.convert(pcm[..at].to_vec().into()).to_vec();
            parts.extend_from_slice(&converter.convert(pcm[at..].to_vec().into()));
            assert_eq!(parts, whole, "cut at {at}");
        }
    }

    #[test]
    fn nothing_is_heard_after_a_reset() {
        let loud = Bytes::from(vec![0x00; 160]);
        let quiet = Bytes::from(vec![0xff; 160]);
        for rate in [Rate::Hz16000, Rate::Hz24000, Rate::Hz48000] {
            let mut converter =
                Converter::new(AudioFormat::MULAW_8K, AudioFormat::new(Encoding::Pcm16, rate));
            converter.convert(loud.clone());
            converter.reset();
            assert!(converter.convert(quiet.clone()).iter().all(|byte| *byte == 0), "{rate:?}");
        }
    }
}
