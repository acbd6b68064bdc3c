//! Audio as it travels: formats, and pieces of it.

pub mod convert;
pub mod dtmf;
pub mod framer;
pub mod g711;
pub mod quality;
pub mod reorder;
pub mod resample;
pub mod speech;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// How samples are written down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// G.711 mu-law, one byte a sample.
    Mulaw,
    /// G.711 A-law, one byte a sample.
    Alaw,
    /// Signed 16-bit, little endian, two bytes a sample.
    Pcm16,
}

impl Encoding {
    /// Bytes that one sample takes.
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Mulaw | Self::Alaw => 1,
            Self::Pcm16 => 2,
        }
    }

    /// The byte of which silence consists.
    pub const fn silence_byte(self) -> u8 {
        match self {
            Self::Mulaw => 0xff,
            Self::Alaw => 0xd5,
            Self::Pcm16 => 0,
        }
    }
}

/// Samples per second. Only the rates that telephones and speech services use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rate {
    /// 8 kHz, the telephone.
    Hz8000,
    /// 16 kHz.
    Hz16000,
    /// 24 kHz.
    Hz24000,
    /// 48 kHz.
    Hz48000,
}

impl Rate {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Hz8000, Self::Hz16000, Self::Hz24000, Self::Hz48000];

    /// The rate as a number.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
            Self::Hz48000 => 48_000,
        }
    }

    /// The rate with this number, if it is one of ours.
    pub const fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Hz8000),
            16_000 => Some(Self::Hz16000),
            24_000 => Some(Self::Hz24000),
            48_000 => Some(Self::Hz48000),
            _ => None,
        }
    }
}

/// Encoding and rate; always one channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioFormat {
    /// How a sample is written.
    pub encoding: Encoding,
    /// How many there are in a second.
    pub rate: Rate,
}

impl AudioFormat {
    /// What Twilio and most of the telephone network speak.
    pub const MULAW_8K: Self = Self::new(Encoding::Mulaw, Rate::Hz8000);
    /// What the European telephone network speaks.
    pub const ALAW_8K: Self = Self::new(Encoding::Alaw, Rate::Hz8000);
    /// 16-bit at 8 kHz.
    pub const PCM16_8K: Self = Self::new(Encoding::Pcm16, Rate::Hz8000);
    /// 16-bit at 16 kHz.
    pub const PCM16_16K: Self = Self::new(Encoding::Pcm16, Rate::Hz16000);
    /// 16-bit at 24 kHz.
    pub const PCM16_24K: Self = Self::new(Encoding::Pcm16, Rate::Hz24000);
    /// 16-bit at 48 kHz.
    pub const PCM16_48K: Self = Self::new(Encoding::Pcm16, Rate::Hz48000);

    /// Puts the two together.
    pub const fn new(encoding: Encoding, rate: Rate) -> Self {
        Self { encoding, rate }
    }

    /// Bytes in one millisecond; every rate here has a whole number of them.
    pub const fn bytes_per_ms(self) -> usize {
        self.rate.hz() as usize / 1_000 * self.encoding.bytes_per_sample()
    }

    /// Bytes in a frame of 20 ms.
    pub const fn frame_bytes(self) -> usize {
        self.bytes_per_ms() * FRAME_MS as usize
    }

    /// How long so many bytes last (an incomplete sample at the end does not count).
    pub const fn duration_of(self, bytes: usize) -> Duration {
        let samples = (bytes / self.encoding.bytes_per_sample()) as u64;
        Duration::from_micros(samples * 1_000_000 / self.rate.hz() as u64)
    }

    /// How many bytes last so long, rounded down to a whole sample.
    pub const fn bytes_in(self, duration: Duration) -> usize {
        let samples = duration.as_micros() * self.rate.hz() as u128 / 1_000_000;
        samples as usize * self.encoding.bytes_per_sample()
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.encoding {
            Encoding::Mulaw => "mu-law",
            Encoding::Alaw => "A-law",
            Encoding::Pcm16 => "pcm16",
        };
        write!(f, "{name} {} kHz", self.rate.hz() / 1_000)
    }
}

impl fmt::Debug for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The length of a frame in milliseconds, in every format.
pub const FRAME_MS: u64 = 20;

/// The length of a frame.
pub const FRAME: Duration = Duration::from_millis(FRAME_MS);

/// A piece of audio in a known format. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct AudioFrame {
    /// What the bytes mean.
    pub format: AudioFormat,
    /// The samples; whole ones only.
    pub data: Bytes,
}

impl AudioFrame {
    /// Puts format and bytes together.
    pub const fn new(format: AudioFormat, data: Bytes) -> Self {
        Self { format, data }
    }

    /// How long it lasts.
    pub const fn duration(&self) -> Duration {
        self.format.duration_of(self.data.len())
    }
}

impl fmt::Debug for AudioFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AudioFrame({}, {:?})", self.format, self.duration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_milliseconds_have_the_right_size() {
        assert_eq!(AudioFormat::MULAW_8K.frame_bytes(), 160);
        assert_eq!(AudioFormat::PCM16_24K.frame_bytes(), 960);
        for rate in Rate::ALL {
            for encoding in [Encoding::Mulaw, Encoding::Alaw, Encoding::Pcm16] {
                let format = AudioFormat::new(encoding, rate);
                assert_eq!(format.duration_of(format.frame_bytes()), FRAME);
                assert_eq!(format.bytes_in(FRAME), format.frame_bytes());
            }
            assert_eq!(Rate::from_hz(rate.hz()), Some(rate));
        }
    }
}
