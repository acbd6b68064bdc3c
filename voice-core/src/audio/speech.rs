//! Is somebody speaking? For services that do not say, and for measuring how fast the voice answers.

use std::time::Duration;

use super::{AudioFormat, Encoding, FRAME_MS, g711};

/// Mean square from which 20 ms count as voiced on a quiet line: 150 squared, −47 dBov. Speech on the
/// telephone is around −26 dBov, the noise of a good line below −60.
pub const VOICED_MEAN_SQUARE: u64 = 150 * 150;

/// Sum of the squares of all samples, on the scale of 16 bits. An incomplete sample does not count.
pub fn energy(encoding: Encoding, data: &[u8]) -> u64 {
    match encoding {
        Encoding::Mulaw => g711::mulaw_energy(data),
        Encoding::Alaw => g711::alaw_energy(data),
        Encoding::Pcm16 => data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| i64::from(i16::from_le_bytes(*bytes)))
            .map(|sample| (sample * sample).cast_unsigned())
            .sum(),
    }
}

/// Whether a frame is loud enough to be speech on a quiet line; about 40 ns for a frame of mu-law. One
/// voiced frame proves nothing, see [`SpeechDetector`].
pub fn is_voiced(encoding: Encoding, data: &[u8]) -> bool {
    let samples = (data.len() / encoding.bytes_per_sample()) as u64;
    samples > 0 && energy(encoding, data) >= VOICED_MEAN_SQUARE * samples
}

/// What a [`SpeechDetector`] noticed. Positions count audio since its beginning or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechChange {
    /// Somebody began to speak.
    Began {
        /// Where the first voiced audio was, about 80 ms ago.
        at: Duration,
    },
    /// Nobody has spoken for as long as was asked for.
    Ended {
        /// Where the last voiced audio ended.
        at: Duration,
    },
}

/// Finds the beginning and the end of the caller's speech by loudness against the noise of the line.
///
/// Made for barge-in: it says so after 80 ms of voiced audio, gaps of single frames allowed, so that
/// clicks and most coughs do not stop the voice. Its clock is the audio itself.
///
/// It knows loud from quiet, not speech from other sounds. Music on hold, a television and keys of the
/// telephone count as speech; noise that begins suddenly does until the estimate of the noise has
/// followed, up to ten seconds; a whisper on a noisy line is missed.
///
/// ```
/// use std::time::Duration;
/// use voice_core::audio::AudioFormat;
/// use voice_core::audio::speech::{SpeechChange, SpeechDetector};
///
/// let mut detector = SpeechDetector::new(AudioFormat::MULAW_8K, Duration::from_millis(500));
/// let mut changes = Vec::new();
/// detector.push(&[0xff; 1_600], &mut changes);
/// detector.push(&[0x20; 1_600], &mut changes);
/// assert_eq!(changes, [SpeechChange::Began { at: Duration::from_millis(200) }]);
/// ```
#[derive(Clone, Debug)]
pub struct SpeechDetector {
    format: AudioFormat,
    /// Blocks of silence that end speech.
    hangover: u64,
    /// Complete blocks so far.
    blocks: u64,
    /// Energy and bytes of the block that is not complete.
    partial: (u64, usize),
    noise: Noise,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nobody speaks. Voiced blocks count up, others down; at [`ONSET`] it is speech.
    Quiet { score: u64, first_voiced: u64 },
    /// Somebody speaks.
    Speaking { last_voiced: u64 },
}

impl SpeechDetector {
    /// A detector for a stream in this format. Speech has ended after so much silence.
    pub fn new(format: AudioFormat, silence: Duration) -> Self {
        let hangover = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX).div_ceil(FRAME_MS).max(1);
        Self { format, hangover, blocks: 0, partial: (0, 0), noise: Noise::default(), state: QUIET }
    }

    /// Takes more audio, whole samples of any number, and appends what was noticed.
    pub fn push(&mut self, data: &[u8], changes: &mut Vec<SpeechChange>) {
        let block = self.format.frame_bytes();
        let mut rest = data;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(block - self.partial.1));
            rest = later;
            self.partial.0 += energy(self.format.encoding, now);
            self.partial.1 += now.len();
            if self.partial.1 == block {
                let samples = (block / self.format.encoding.bytes_per_sample()) as u64;
                let level = self.partial.0 / samples;
                self.partial = (0, 0);
                changes.extend(self.block(level));
            }
        }
    }

    /// Begins anew, but remembers the noise of the line.
    pub fn reset(&mut self) {
        self.blocks = 0;
        self.partial = (0, 0);
        self.state = QUIET;
    }

    /// Whether somebody is speaking right now.
    pub const fn is_speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    fn block(&mut self, level: u64) -> Option<SpeechChange> {
        let voiced = self.noise.hear(level);
        self.blocks += 1;
        match &mut self.state {
            State::Quiet { score, first_voiced } => {
                if voiced && *score == 0 {
                    *first_voiced = self.blocks - 1;
                }
                *score = if voiced { *score + 1 } else { score.saturating_sub(1) };
                if *score < ONSET {
                    return None;
                }
                let at = position(*first_voiced);
                self.state = State::Speaking { last_voiced: self.blocks };
                Some(SpeechChange::Began { at })
            }
            State::Speaking { last_voiced } => {
                if voiced {
                    *last_voiced = self.blocks;
                }
                if self.blocks - *last_voiced < self.hangover {
                    return None;
                }
                let at = position(*last_voiced);
                self.state = QUIET;
                Some(SpeechChange::Ended { at })
            }
        }
    }
}

/// What the line sounds like when nobody speaks: follows the quietest of what is heard, down at once
/// and up slowly, so that the pauses between words count and the words do not.
#[derive(Clone, Copy, Debug, Default)]
struct Noise {
    /// Mean square.
    floor: u64,
}

impl Noise {
    /// Takes the level of a block and says whether it stands out.
    const fn hear(&mut self, level: u64) -> bool {
        let stands_out = self.floor * ABOVE_NOISE;
        let voiced = level >= if stands_out > VOICED_MEAN_SQUARE { stands_out } else { VOICED_MEAN_SQUARE };
        if level <= self.floor {
            self.floor = level;
        } else {
            // 1 % a block is 2 dB a second; the constant lets it leave zero.
            let up = self.floor + self.floor / 100 + 5;
            self.floor = if up < level { up } else { level };
        }
        if self.floor > NOISE_MAX {
            self.floor = NOISE_MAX;
        }
        voiced
    }
}

const fn position(blocks: u64) -> Duration {
    Duration::from_millis(blocks * FRAME_MS)
}

const QUIET: State = State::Quiet { score: 0, first_voiced: 0 };

/// Blocks that make speech: 80 ms.
const ONSET: u64 = 4;

/// How much speech must be above the noise: a factor of 8 in power is 9 dB.
const ABOVE_NOISE: u64 = 8;

/// However loud the line, speech at −26 dBov must be able to stand out: 9 dB below that.
const NOISE_MAX: u64 = 1_642 * 1_642 / ABOVE_NOISE;

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_millis(500);

    #[test]
    fn speech_begins_and_ends() {
        let stream = [(0, 50), (3_000, 20), (0, 10), (3_000, 30), (0, 40)];
        let expected = [began(1_000), ended(2_200)];
        for format in [AudioFormat::MULAW_8K, AudioFormat::ALAW_8K, AudioFormat::PCM16_24K] {
            assert_eq!(changes(format, &stream, format.frame_bytes()), expected, "{format}");
        }
        assert_eq!(changes(AudioFormat::MULAW_8K, &stream, 33), expected, "in small pieces");
        assert_eq!(changes(AudioFormat::MULAW_8K, &stream, 20_000), expected, "in large pieces");
    }

    #[test]
    fn clicks_and_coughs_do_not_stop_the_voice() {
        let stream = [(0, 20), (9_000, 2), (0, 20), (9_000, 3), (0, 10), (9_000, 1), (0, 20)];
        assert_eq!(changes(AudioFormat::MULAW_8K, &stream, 160), []);
    }

    #[test]
    fn it_gets_used_to_noise_and_hears_speech_above_it() {
        let noise = [(400, 1_000)];
        let got_used = changes(AudioFormat::MULAW_8K, &noise, 160);
        let [SpeechChange::Began { .. }, SpeechChange::Ended { at }] = got_used[..] else {
            panic!("noise is taken for speech at first, not {got_used:?}");
        };
        assert!(at < Duration::from_secs(10), "{at:?}");

        let stream = [(400, 1_000), (4_000, 25), (400, 50)];
        let later = &changes(AudioFormat::MULAW_8K, &stream, 160)[2..];
        assert_eq!(later, [began(20_000), ended(20_500)]);
    }

    #[test]
    fn long_speech_with_pauses_does_not_become_noise() {
        // A minute of words of 400 ms with pauses of 100 ms.
        let words = [(3_000, 20), (0, 5)].repeat(120);
        let stream = [&[(0, 50)][..], &words, &[(0, 50)]].concat();
        let expected = [began(1_000), ended(1_000 + 120 * 500 - 100)];
        assert_eq!(changes(AudioFormat::MULAW_8K, &stream, 160), expected);
    }

    #[test]
    fn a_reset_forgets_that_somebody_spoke() {
        let mut detector = SpeechDetector::new(AudioFormat::MULAW_8K, SILENCE);
        let mut changes = Vec::new();
        detector.push(&[0x20; 1_000], &mut changes);
        assert!(detector.is_speaking());
        detector.reset();
        assert!(!detector.is_speaking());
        changes.clear();
        detector.push(&[0xff; 8_000], &mut changes);
        assert_eq!(changes, []);
    }

    #[test]
    fn energy_is_the_same_in_every_encoding() {
        let samples: Vec<i16> = (0..160).map(|n| if n % 2 == 0 { 1_000 } else { -1_000 }).collect();
        let mean = |encoding, data: &[u8]| energy(encoding, data) / 160;
        let mut codes = vec![0; 160];
        let pcm: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(mean(Encoding::Pcm16, &pcm), 1_000_000);
        g711::mulaw_encode(&samples, &mut codes);
        assert!(mean(Encoding::Mulaw, &codes).abs_diff(1_000_000) < 50_000);
        g711::alaw_encode(&samples, &mut codes);
        assert!(mean(Encoding::Alaw, &codes).abs_diff(1_000_000) < 50_000);
        assert!(is_voiced(Encoding::Pcm16, &pcm) && !is_voiced(Encoding::Pcm16, &[0; 320]));
        assert!(!is_voiced(Encoding::Mulaw, &[]));
    }

    const fn began(ms: u64) -> SpeechChange {
        SpeechChange::Began { at: Duration::from_millis(ms) }
    }

    const fn ended(ms: u64) -> SpeechChange {
        SpeechChange::Ended { at: Duration::from_millis(ms) }
    }

    /// What is noticed in a stream of square waves, given as amplitude and number of frames.
    fn changes(format: AudioFormat, stream: &[(i16, usize)], piece: usize) -> Vec<SpeechChange> {
        let frame = format.frame_bytes() / format.encoding.bytes_per_sample();
        let samples: Vec<i16> = stream
            .iter()
            .flat_map(|(level, frames)| {
                (0..frames * frame).map(|n| if n / 8 % 2 == 0 { *level } else { -*level })
            })
            .collect();
        let data: Vec<u8> = match format.encoding {
            Encoding::Mulaw => samples.iter().map(|sample| g711::linear_to_mulaw(*sample)).collect(),
            Encoding::Alaw => samples.iter().map(|sample| g711::linear_to_alaw(*sample)).collect(),
            Encoding::Pcm16 => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        };
        let mut detector = SpeechDetector::new(format, SILENCE);
        let mut changes = Vec::new();
        for piece in data.chunks(piece) {
            detector.push(piece, &mut changes);
        }
        changes
    }
}
