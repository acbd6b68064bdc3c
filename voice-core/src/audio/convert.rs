//! From the format one side speaks to the format the other side takes, in the cheapest way.

use std::time::Duration;

use bytes::Bytes;

use super::resample::{Phase, Resampler};
use super::{AudioFormat, Encoding, g711};

/// Converts one stream. State is kept between pieces, so they may have any length, and may even end in
/// the middle of a sample.
///
/// * Equal formats: the same bytes, counted once more; nothing is touched.
/// * Mu-law and A-law: one table.
/// * Otherwise decode, resample where the rates differ, encode; the message that comes out is all that
///   is allocated.
///
/// ```
/// use bytes::Bytes;
/// use voice_core::audio::AudioFormat;
/// use voice_core::audio::convert::Converter;
///
/// let mut converter = Converter::new(AudioFormat::MULAW_8K, AudioFormat::PCM16_24K);
/// let frame = converter.convert(Bytes::from_static(&[0xff; 160]));
/// assert_eq!(frame.len(), AudioFormat::PCM16_24K.frame_bytes());
/// ```
#[derive(Clone, Debug)]
pub struct Converter {
    from: AudioFormat,
    to: AudioFormat,
    plan: Plan,
}

#[derive(Clone, Debug)]
enum Plan {
    /// Nothing to do.
    Same,
    /// One byte becomes another.
    Recode(fn(&[u8], &mut [u8])),
    /// By way of samples.
    Samples(Box<Samples>),
}

/// Buffers that are used again for each piece.
#[derive(Clone, Debug)]
struct Samples {
    /// The first byte of a 16-bit sample whose second is still to come.
    half: Option<u8>,
    decoded: Vec<i16>,
    resampling: Option<(Resampler, Vec<i16>)>,
}

impl Converter {
    /// Finds the plan.
    pub fn new(from: AudioFormat, to: AudioFormat) -> Self {
        Self::with_phase(from, to, Phase::Linear)
    }

    /// The same, with a resampler of this phase where one is needed.
    pub fn with_phase(from: AudioFormat, to: AudioFormat, phase: Phase) -> Self {
        use Encoding::{Alaw, Mulaw};
        let plan = match (from.encoding, to.encoding) {
            _ if from == to => Plan::Same,
            (Mulaw, Alaw) if from.rate == to.rate => Plan::Recode(g711::mulaw_to_alaw),
            (Alaw, Mulaw) if from.rate == to.rate => Plan::Recode(g711::alaw_to_mulaw),
            _ => {
                let resampler = || Resampler::with_phase(from.rate, to.rate, phase);
                let resampling = (from.rate != to.rate).then(|| (resampler(), Vec::new()));
                Plan::Samples(Box::new(Samples { half: None, decoded: Vec::new(), resampling }))
            }
        };
        Self { from, to, plan }
    }

    /// Converts the next piece of the stream. Frames of 20 ms make frames of 20 ms; of other pieces
    /// less than a sample, or with different rates fewer than six samples, wait for the next.
    pub fn convert(&mut self, piece: Bytes) -> Bytes {
        match &mut self.plan {
            Plan::Same => piece,
            Plan::Recode(table) => {
                let mut output = vec![0; piece.len()];
                table(&piece, &mut output);
                Bytes::from(output)
            }
            Plan::Samples(samples) => {
                Bytes::from(samples.convert(&piece, self.from.encoding, self.to.encoding))
            }
        }
    }

    /// Forgets the stream, so that no tail of cut speech is heard in what follows.
    pub fn reset(&mut self) {
        if let Plan::Samples(samples) = &mut self.plan {
            samples.half = None;
            if let Some((resampler, _)) = &mut samples.resampling {
                resampler.reset();
            }
        }
    }

    /// Whether both formats are the same, and bytes pass as they are.
    pub const fn is_identity(&self) -> bool {
        matches!(self.plan, Plan::Same)
    }

    /// How much later everything comes out than it went in; zero unless the rates differ.
    pub fn delay(&self) -> Duration {
        match &self.plan {
            Plan::Samples(samples) => samples.resampling.as_ref().map_or(Duration::ZERO, |(r, _)| r.delay()),
            Plan::Same | Plan::Recode(_) => Duration::ZERO,
        }
    }

    /// What goes in.
    pub const fn from(&self) -> AudioFormat {
        self.from
    }

    /// What comes out.
    pub const fn to(&self) -> AudioFormat {
        self.to
    }
}

impl Samples {
    fn convert(&mut self, piece: &[u8], from: Encoding, to: Encoding) -> Vec<u8> {
        self.decoded.clear();
        match from {
            Encoding::Mulaw => decode(g711::mulaw_decode, piece, &mut self.decoded),
            Encoding::Alaw => decode(g711::alaw_decode, piece, &mut self.decoded),
            Encoding::Pcm16 => self.decode_pcm(piece),
        }
        let samples = match &mut self.resampling {
            None => &self.decoded,
            Some((resampler, resampled)) => {
                resampled.clear();
                resampler.process(&self.decoded, resampled);
                resampled
            }
        };
        let mut output = vec![0; samples.len() * to.bytes_per_sample()];
        match to {
            Encoding::Mulaw => g711::mulaw_encode(samples, &mut output),
            Encoding::Alaw => g711::alaw_encode(samples, &mut output),
            Encoding::Pcm16 => {
                for (bytes, sample) in output.as_chunks_mut().0.iter_mut().zip(samples) {
                    *bytes = sample.to_le_bytes();
                }
            }
        }
        output
    }

    fn decode_pcm(&mut self, mut piece: &[u8]) {
        if let (Some(low), Some((high, rest))) = (self.half, piece.split_first()) {
            self.decoded.push(i16::from_le_bytes([low, *high]));
            self.half = None;
            piece = rest;
        }
        let (whole, half) = piece.as_chunks();
        self.decoded.extend(whole.iter().map(|bytes| i16::from_le_bytes(*bytes)));
        self.half = half.first().copied().or(self.half);
    }
}

fn decode(law: fn(&[u8], &mut [i16]), codes: &[u8], samples: &mut Vec<i16>) {
    samples.resize(codes.len(), 0);
    law(codes, samples);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Rate;

    const ENCODINGS: [Encoding; 3] = [Encoding::Mulaw, Encoding::Alaw, Encoding::Pcm16];

    #[test]
    fn equal_formats_share_the_bytes() {
        let frame = Bytes::from(vec![7; 160]);
        let mut converter = Converter::new(AudioFormat::MULAW_8K, AudioFormat::MULAW_8K);
        let same = converter.convert(frame.clone());
        assert!(converter.is_identity());
        assert_eq!((same.as_ptr(), same.len()), (frame.as_ptr(), frame.len()));
    }

    #[test]
    fn every_pair_makes_a_frame_of_a_frame_and_silence_of_silence() {
        for (from, to) in pairs() {
            let mut converter = Converter::new(from, to);
            assert_eq!(converter.is_identity(), from == to);
            assert_eq!(converter.delay().is_zero(), from.rate == to.rate);
            let silence = Bytes::from(vec![from.encoding.silence_byte(); from.frame_bytes()]);
            for _ in 0..3 {
                let frame = converter.convert(silence.clone());
                assert_eq!(frame.len(), to.frame_bytes(), "{from} to {to}");
                // A-law knows no zero, and a filter overshoots the step to its 8.
                assert!(loudest(to, &frame) <= 9, "{from} to {to}");
            }
        }
    }

    #[test]
    fn how_the_stream_is_cut_makes_no_difference() {
        for (from, to) in pairs() {
            let stream: Vec<u8> = (0..from.frame_bytes() * 3).map(|n| (n * n / 7) as u8).collect();
            let expected = Converter::new(from, to).convert(Bytes::from(stream.clone()));
            for length in [1, 3, 50, 161] {
                let mut converter = Converter::new(from, to);
                let pieces = stream.chunks(length).map(Bytes::copy_from_slice);
                let output: Vec<u8> = pieces.flat_map(|piece| converter.convert(piece)).collect();
                assert!(output == expected, "{from} to {to} in pieces of {length}");
            }
        }
    }

    #[test]
    fn there_and_back_is_nearly_the_same() {
        let mut there = Converter::new(AudioFormat::MULAW_8K, AudioFormat::PCM16_24K);
        let mut back = Converter::new(AudioFormat::PCM16_24K, AudioFormat::MULAW_8K);
        let tone = |n: usize| (9_000.0 * (n as f64 * 0.7).sin()) as i16;
        let codes: Bytes = (0..1_600).map(|n| g711::linear_to_mulaw(tone(n))).collect();
        let returned = back.convert(there.convert(codes.clone()));
        // Twice 1.625 ms at 8 kHz.
        let late = 26;
        for n in 100..1_600 {
            let error = i32::from(g711::mulaw_to_linear(returned[n])) - i32::from(tone(n - late));
            assert!(error.abs() <= 600, "{error} at {n}");
        }
    }

    #[test]
    fn a_reset_forgets_the_tail_and_the_half_sample() {
        let mut converter = Converter::new(AudioFormat::PCM16_24K, AudioFormat::MULAW_8K);
        converter.convert(Bytes::from(vec![0x55; 961]));
        converter.reset();
        let after = converter.convert(Bytes::from(vec![0; 960]));
        assert_eq!(after, vec![0xff; 160]);
    }

    fn pairs() -> impl Iterator<Item = (AudioFormat, AudioFormat)> {
        let all = || {
            Rate::ALL.into_iter().flat_map(|rate| ENCODINGS.map(|encoding| AudioFormat::new(encoding, rate)))
        };
        all().flat_map(move |from| all().map(move |to| (from, to)))
    }

    fn loudest(format: AudioFormat, bytes: &Bytes) -> u16 {
        let pcm =
            Converter::new(format, AudioFormat::new(Encoding::Pcm16, format.rate)).convert(bytes.clone());
        let samples = pcm.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes).unsigned_abs());
        samples.max().unwrap_or_default()
    }
}
