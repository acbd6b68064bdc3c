//! What Telnyx's media sockets carry: the codec, and the byte order that nobody documents.

use bytes::Bytes;
use voice_core::audio::AudioFormat;

/// How audio travels (protocol notes, Telnyx §3.1). The two directions of a call can differ: what we
/// receive is what the leg negotiated, what we send is what we asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 mu-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz; usual outside North America.
    Pcma,
    /// 16-bit samples, 16 kHz.
    L16,
}

impl Codec {
    /// Telnyx's name for it, capitals included.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::L16 => "L16",
        }
    }

    /// The codec of that name; none for those that we do not speak.
    pub fn read(name: &str) -> Option<Self> {
        [Self::Pcmu, Self::Pcma, Self::L16].into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// The same as the rest of the workspace calls it.
    pub const fn format(self) -> AudioFormat {
        match self {
            Self::Pcmu => AudioFormat::MULAW_8K,
            Self::Pcma => AudioFormat::ALAW_8K,
            Self::L16 => AudioFormat::PCM16_16K,
        }
    }
}

/// Which byte of an L16 sample comes first. RTP says the higher one (RFC 3551), and Telnyx says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Big endian.
    HighFirst,
    /// Little endian.
    LowFirst,
    /// Listen, and find out: read the wrong way round, speech is noise. Until there was something to
    /// listen to, the higher byte comes first.
    #[default]
    Detect,
}

/// Turns L16 of either order into ours (lower byte first), and back.
#[derive(Debug)]
pub(super) struct Swapper {
    is_high_first: bool,
    /// What was heard so far, while nothing is decided.
    listening: Option<Evidence>,
}

/// How rough the sound is, read either way.
#[derive(Debug, Default)]
struct Evidence {
    high_first: u64,
    low_first: u64,
    samples: u32,
}

impl Swapper {
    pub(super) fn new(order: ByteOrder) -> Self {
        Self {
            is_high_first: order != ByteOrder::LowFirst,
            listening: (order == ByteOrder::Detect).then(Evidence::default),
        }
    }

    /// What arrived, lower byte first.
    pub(super) fn read(&mut self, audio: Bytes) -> Bytes {
        if let Some(evidence) = &mut self.listening {
            evidence.hear(&audio);
            if let Some(is_high_first) = evidence.verdict() {
                self.is_high_first = is_high_first;
                self.listening = None;
            }
        }
        self.write(audio)
    }

    /// What we send, in the carrier's order; the same operation.
    pub(super) fn write(&self, audio: Bytes) -> Bytes {
        if !self.is_high_first {
            return audio;
        }
        let mut swapped = audio.to_vec();
        for sample in swapped.chunks_exact_mut(2) {
            sample.swap(0, 1);
        }
        Bytes::from(swapped)
    }
}

impl Evidence {
    /// Adjacent samples of sound differ little; with the bytes exchanged they differ wildly. Near silence
    /// says nothing: `00 01` is as quiet as `01 00` is loud, either way.
    fn hear(&mut self, audio: &[u8]) {
        let samples = |read: fn([u8; 2]) -> i16| {
            audio.chunks_exact(2).map(move |pair| i64::from(read([pair[0], pair[1]])))
        };
        let roughness = |read| -> u64 {
            let next = samples(read).skip(1);
            samples(read).zip(next).map(|(this, next)| this.abs_diff(next)).sum()
        };
        let (high_first, low_first) = (roughness(i16::from_be_bytes), roughness(i16::from_le_bytes));
        let samples = u32::try_from(audio.len() / 2).unwrap_or(u32::MAX);
        if high_first.min(low_first) > u64::from(samples) * SILENCE {
            self.high_first = self.high_first.saturating_add(high_first);
            self.low_first = self.low_first.saturating_add(low_first);
            self.samples = self.samples.saturating_add(samples);
        }
    }

    fn verdict(&self) -> Option<bool> {
        if self.samples < SAMPLES_MIN {
            return None;
        }
        let (smooth, rough) = (self.high_first.min(self.low_first), self.high_first.max(self.low_first));
        // Noise is as rough both ways, and decides nothing.
        (rough > smooth.saturating_mul(2)).then_some(self.high_first < self.low_first)
    }
}

/// Less than this between adjacent samples, on average, is no sound.
const SILENCE: u64 = 8;

/// A tenth of a second of sound.
const SAMPLES_MIN: u32 = 1_600;

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 400 Hz at 16 kHz, lower byte first.
    fn tone(samples: u16) -> Vec<u8> {
        (0..samples)
            .flat_map(|at| {
                let phase = f64::from(at) * std::f64::consts::TAU * 400.0 / 16_000.0;
                ((phase.sin() * 8_000.0) as i16).to_le_bytes()
            })
            .collect()
    }

    fn swapped(audio: &[u8]) -> Vec<u8> {
        audio.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect()
    }

    #[test]
    fn the_order_of_bytes_is_heard() {
        let tone = tone(3_200);
        for (wire, order) in [(swapped(&tone), true), (tone.clone(), false)] {
            let mut swapper = Swapper::new(ByteOrder::Detect);
            for piece in wire.chunks(640) {
                swapper.read(Bytes::copy_from_slice(piece));
            }
            assert_eq!((swapper.is_high_first, swapper.listening.is_none()), (order, true));
            assert_eq!(swapper.read(Bytes::from(wire)), tone);
        }
    }

    #[test]
    fn silence_and_noise_decide_nothing() {
        let mut swapper = Swapper::new(ByteOrder::Detect);
        swapper.read(Bytes::from(vec![0; 64_000]));
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        swapper.read((0..64_000).map(|_| noise()).collect());
        assert!(swapper.listening.is_some() && swapper.is_high_first);
    }

    #[test]
    fn what_is_known_is_not_guessed() {
        let tone = tone(3_200);
        let mut swapper = Swapper::new(ByteOrder::LowFirst);
        assert_eq!(swapper.read(Bytes::from(tone.clone())), tone);
        let mut swapper = Swapper::new(ByteOrder::HighFirst);
        assert_eq!(swapper.read(Bytes::from(tone.clone())), swapped(&tone));
        assert_eq!(swapper.write(Bytes::from(swapped(&tone))), tone);
    }

    #[test]
    fn codecs_have_their_names() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::L16] {
            assert_eq!(Codec::read(codec.name()), Some(codec));
        }
        assert_eq!(Codec::read("OPUS"), None);
    }
}
