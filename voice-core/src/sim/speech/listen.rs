//! Listening: where speech begins and ends, and which clip it was.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use super::{CALLER, Clip, VOICE};
use crate::audio::g711::mulaw_to_linear;
use crate::audio::speech::{VOICED_MEAN_SQUARE, is_voiced};
use crate::audio::{AudioFormat, Encoding};

/// What a [`Listener`] noticed. Positions count audio since its beginning, not wall-clock time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Speech began at this position.
    Began {
        /// Position of the first voiced audio.
        at: Duration,
    },
    /// Speech ended: so much silence has passed.
    Ended {
        /// Position at which the speech (not the silence after it) ended.
        at: Duration,
        /// The speech, mu-law 8 kHz; of very long speech only the first minute.
        audio: Vec<u8>,
    },
}

/// Finds speech in a stream of mu-law at 8 kHz by its energy.
///
/// Its only clock is the audio itself, in blocks of 20 ms whatever the length of the pieces. Speech
/// begins with the third voiced block out of four, so that a click is no speech.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Blocks of silence after which speech has ended.
    hangover: usize,
    /// The beginning of a block that is not complete yet.
    partial: Vec<u8>,
    /// Complete blocks so far.
    blocks: usize,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Nobody speaks; these are the last blocks, and whether each was voiced.
    Waiting { recent: VecDeque<(bool, Vec<u8>)> },
    /// Somebody speaks.
    Speaking { speech: Vec<u8>, silent: usize },
}

impl State {
    const fn waiting() -> Self {
        Self::Waiting { recent: VecDeque::new() }
    }
}

impl Listener {
    /// Speech counts as ended after so much silence, rounded up to 20 ms.
    pub fn new(silence: Duration) -> Self {
        let hangover = AudioFormat::MULAW_8K.bytes_in(silence).div_ceil(BLOCK).max(1);
        Self { hangover, partial: Vec::with_capacity(BLOCK), blocks: 0, state: State::waiting() }
    }

    /// Takes more audio, of any length, and appends what was noticed.
    pub fn push(&mut self, mulaw: &[u8], noticed: &mut Vec<Hearing>) {
        let mut rest = mulaw;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.partial.len()));
            self.partial.extend_from_slice(now);
            rest = later;
            if self.partial.len() == BLOCK {
                let block = std::mem::replace(&mut self.partial, Vec::with_capacity(BLOCK));
                self.block(block, noticed);
            }
        }
    }

    /// Ends speech at once, as if silence had followed, because nothing more will be said.
    pub fn finish(&mut self, noticed: &mut Vec<Hearing>) {
        if let State::Speaking { speech, silent } = std::mem::replace(&mut self.state, State::waiting()) {
            noticed.push(self.ended(speech, silent));
        }
    }

    /// Whether somebody is speaking right now.
    pub fn is_speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    /// How much audio has come so far.
    pub fn position(&self) -> Duration {
        AudioFormat::MULAW_8K.duration_of(self.blocks * BLOCK + self.partial.len())
    }

    fn block(&mut self, block: Vec<u8>, noticed: &mut Vec<Hearing>) {
        self.blocks += 1;
        let voiced = is_voiced(Encoding::Mulaw, &block);
        match &mut self.state {
            State::Waiting { recent } => {
                recent.push_back((voiced, block));
                while recent.len() > ONSET_WINDOW || recent.front().is_some_and(|(voiced, _)| !voiced) {
                    recent.pop_front();
                }
                if recent.iter().filter(|(voiced, _)| *voiced).count() == ONSET {
                    noticed.push(Hearing::Began { at: position(self.blocks - recent.len()) });
                    let speech = recent.drain(..).flat_map(|(_, block)| block).collect();
                    self.state = State::Speaking { speech, silent: 0 };
                }
            }
            State::Speaking { speech, silent } => {
                *silent = if voiced { 0 } else { *silent + 1 };
                if speech.len() < SPEECH_MAX {
                    speech.extend_from_slice(&block);
                }
                if *silent >= self.hangover {
                    self.finish(noticed);
                }
            }
        }
    }

    fn ended(&self, mut speech: Vec<u8>, silent: usize) -> Hearing {
        // What was cut off at the limit was the end, and with it the silence.
        if speech.len() < SPEECH_MAX {
            speech.truncate(speech.len() - silent * BLOCK);
        }
        Hearing::Ended { at: position(self.blocks - silent), audio: speech }
    }
}

/// Which known clip this speech is, if it resembles one closely enough. The whole clip or nearly the
/// whole of it must have been heard; a clip cut in the middle is not recognised.
///
/// Compares how loudness goes up and down, so that neither a codec, nor a resampler, nor a lost frame
/// here and there matters. Silence at both ends is ignored.
pub fn recognise(mulaw: &[u8]) -> Option<&'static Clip> {
    let heard = envelope(mulaw);
    let mut best = None;
    let mut limit = DISTANCE_MAX;
    for (clip, known) in KNOWN.iter() {
        if let Some(distance) = distance(&heard, known, limit) {
            limit = distance;
            best = Some(*clip);
        }
    }
    best
}

/// 20 ms.
const BLOCK: usize = AudioFormat::MULAW_8K.frame_bytes();

/// So many voiced blocks…
const ONSET: usize = 3;
/// …among so many are the beginning of speech.
const ONSET_WINDOW: usize = 4;

/// A minute.
const SPEECH_MAX: usize = 60 * 8_000;

fn position(blocks: usize) -> Duration {
    AudioFormat::MULAW_8K.duration_of(blocks * BLOCK)
}

/// Every clip with its envelope.
static KNOWN: LazyLock<Vec<(&'static Clip, Vec<Point>)>> =
    LazyLock::new(|| CALLER.iter().chain(VOICE).map(|clip| (clip, envelope(clip.mulaw))).collect());

/// What is kept of 20 ms of sound, in dB over a mean square of 1.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// How loud it is.
    level: f32,
    /// How loud the change from sample to sample is: high for hissing sounds, low for vowels.
    treble: f32,
}

/// Points of the envelope are 10 ms apart, and each looks at 20 ms.
const HOP: usize = BLOCK / 2;

/// Below this level all is equally silent.
const FLOOR_DB: f32 = 36.0;

/// How much a single point can count: a lost frame must not outweigh all that was heard.
const POINT_MAX_DB: f32 = 15.0;

/// What it costs to assume that a point is missing in one of the two.
const SKIP_DB: f32 = 4.0;

/// Mean difference per point, in dB, up to which it is the same speech. Measured on the clips: the same
/// one with 5 % of its frames lost stays below 1.8, another one is at 2.9 or more.
const DISTANCE_MAX: f32 = 2.2;

/// Loudness at each hop, without the silence at both ends.
fn envelope(mulaw: &[u8]) -> Vec<Point> {
    let mut before = 0.0;
    let hops: Vec<(f32, f32)> = mulaw
        .chunks(HOP)
        .map(|hop| {
            hop.iter().fold((0.0, 0.0), |(level, treble), code| {
                let sample = f32::from(mulaw_to_linear(*code));
                let change = sample - std::mem::replace(&mut before, sample);
                (level + sample * sample, treble + change * change)
            })
        })
        .collect();
    let points: Vec<Point> = hops
        .windows(2)
        .map(|pair| Point { level: decibels(pair[0].0 + pair[1].0), treble: decibels(pair[0].1 + pair[1].1) })
        .collect();
    let loud = |point: &Point| point.level >= 10.0 * (VOICED_MEAN_SQUARE as f32).log10();
    let Some(first) = points.iter().position(loud) else { return Vec::new() };
    let last = points.iter().rposition(loud).unwrap_or(first);
    points[first..=last].to_vec()
}

fn decibels(energy: f32) -> f32 {
    (10.0 * (energy / BLOCK as f32).max(1.0).log10()).max(FLOOR_DB)
}

/// Mean difference of two envelopes under the best alignment, if it is below the limit. Points may be
/// skipped on either side (that is what lost frames look like), but not many.
fn distance(heard: &[Point], known: &[Point], limit: f32) -> Option<f32> {
    let slack = known.len() / 12 + 8;
    if heard.is_empty() || heard.len().abs_diff(known.len()) > slack {
        return None;
    }
    let total_max = limit * known.len() as f32;
    // One row of the usual dynamic programme for each point heard, kept to a band along the diagonal.
    let mut above = vec![f32::INFINITY; known.len() + 1];
    let mut row = above.clone();
    for (k, cost) in above.iter_mut().enumerate().take(slack + 1) {
        *cost = k as f32 * SKIP_DB;
    }
    for (h, point) in heard.iter().enumerate() {
        let from = h.saturating_sub(slack);
        let to = (h + slack + 1).min(known.len());
        row.fill(f32::INFINITY);
        if from == 0 {
            row[0] = (h + 1) as f32 * SKIP_DB;
        }
        let mut least = f32::INFINITY;
        for k in from..to {
            let cost =
                (above[k] + difference(point, &known[k])).min(above[k + 1] + SKIP_DB).min(row[k] + SKIP_DB);
            row[k + 1] = cost;
            least = least.min(cost);
        }
        if least >= total_max {
            return None;
        }
        std::mem::swap(&mut above, &mut row);
    }
    let total = above[known.len()];
    (total < total_max).then(|| total / known.len() as f32)
}

fn difference(a: &Point, b: &Point) -> f32 {
    (a.level - b.level).abs().min(POINT_MAX_DB) / 2.0 + (a.treble - b.treble).abs().min(POINT_MAX_DB) / 2.0
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::audio::convert::Converter;
    use crate::audio::g711::linear_to_mulaw;
    use crate::sim::rng::Rng;

    #[test]
    fn every_clip_is_recognised_wherever_it_begins() {
        for clip in all() {
            for offset_ms in 0..20 {
                let audio = padded(offset_ms * 8, clip.mulaw, 4_000);
                assert_known(&audio, clip);
            }
        }
    }

    #[test]
    fn every_clip_is_heard_and_recognised() {
        for clip in all() {
            for offset in [0, 77, 8_000] {
                let audio = padded(offset, clip.mulaw, 4_800);
                let [Hearing::Began { at }, Hearing::Ended { at: end, audio: speech }] =
                    &listen(&audio, 160)[..]
                else {
                    panic!("{clip:?} is one utterance");
                };
                assert!(near(*at, position_of(offset)), "{clip:?} begins at {at:?}, not {offset}");
                assert!(near(*end, position_of(offset + clip.mulaw.len())), "{clip:?} ends at {end:?}");
                assert_known(speech, clip);
            }
        }
    }

    #[test]
    fn the_length_of_the_pieces_makes_no_difference() {
        let audio = padded(100, CALLER[4].mulaw, 5_000);
        let expected = listen(&audio, 160);
        for piece in [1, 7, 159, 161, 4_000, audio.len()] {
            assert_eq!(listen(&audio, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn lost_frames_and_noise_do_not_matter() {
        let mut rng = Rng::new(7);
        for clip in all() {
            for _ in 0..20 {
                let audio = padded(rng.range(0..160) as usize, clip.mulaw, 160);
                let spared: Vec<bool> = audio.chunks(BLOCK).map(|_| !rng.percent(5)).collect();
                let frames = || audio.chunks(BLOCK).zip(&spared);
                let gone: Vec<u8> = frames().filter(|(_, ok)| **ok).flat_map(|(f, _)| f.to_vec()).collect();
                let blank: Vec<u8> =
                    frames().flat_map(|(f, ok)| if *ok { f.to_vec() } else { vec![0xff; f.len()] }).collect();
                let lost = spared.iter().filter(|ok| !**ok).count();
                if lost * 100 <= spared.len() * 6 {
                    assert_known(&gone, clip);
                    assert_known(&blank, clip);
                }
                assert_known(&noisy(&audio, 80, &mut rng), clip);
            }
        }
    }

    #[test]
    fn resampling_does_not_matter() {
        let mut up = Converter::new(AudioFormat::MULAW_8K, AudioFormat::PCM16_24K);
        let mut down = Converter::new(AudioFormat::PCM16_24K, AudioFormat::MULAW_8K);
        for clip in all() {
            let audio = Bytes::from(padded(33, clip.mulaw, 800));
            assert_known(&down.convert(up.convert(audio)), clip);
        }
    }

    #[test]
    fn half_a_clip_is_not_that_clip() {
        for clip in all() {
            let (first, second) = clip.mulaw.split_at(clip.mulaw.len() / 2);
            for part in [first, second, &clip.mulaw[..clip.mulaw.len() * 4 / 5]] {
                assert!(recognise(&padded(40, part, 800)).is_none(), "a part of {clip:?}");
            }
        }
    }

    #[test]
    fn what_nobody_said_is_not_recognised() {
        let mut rng = Rng::new(3);
        assert!(recognise(&[]).is_none());
        for seconds in [1, 2, 3, 4, 14] {
            let silence = vec![0xff; seconds * 8_000];
            let backwards = |clip: &Clip| clip.mulaw.iter().rev().copied().collect::<Vec<u8>>();
            assert!(recognise(&silence).is_none());
            for amplitude in [80, 800, 8_000] {
                assert!(recognise(&noisy(&silence, amplitude, &mut rng)).is_none());
            }
            assert!(all().all(|clip| recognise(&backwards(clip)).is_none()));
        }
        for pair in all().collect::<Vec<_>>().windows(2) {
            assert!(recognise(&[pair[0].mulaw, pair[1].mulaw].concat()).is_none(), "{pair:?} in a row");
        }
    }

    #[test]
    fn silence_noise_and_clicks_are_not_speech() {
        let mut rng = Rng::new(1);
        let silence = [[0xff_u8; 80], [0x7f; 80]].concat().repeat(500);
        assert_eq!(listen(&silence, 160), []);
        assert_eq!(listen(&noisy(&silence, 120, &mut rng), 160), []);
        let mut clicks = silence;
        for second in clicks.chunks_mut(8_000) {
            second[100..260].fill(0x10);
        }
        assert_eq!(listen(&clicks, 160), []);
    }

    #[test]
    fn endless_speech_does_not_grow() {
        let mut listener = Listener::new(Duration::from_millis(500));
        let mut noticed = Vec::new();
        for _ in 0..70 {
            listener.push(&[0x20; 8_000], &mut noticed);
        }
        assert!(listener.is_speaking());
        listener.finish(&mut noticed);
        let [Hearing::Began { .. }, Hearing::Ended { at, audio }] = &noticed[..] else {
            panic!("one utterance, not {}", noticed.len());
        };
        assert_eq!((*at, audio.len()), (Duration::from_secs(70), SPEECH_MAX));
        assert!(!listener.is_speaking());
    }

    fn all() -> impl Iterator<Item = &'static Clip> {
        CALLER.iter().chain(VOICE)
    }

    #[track_caller]
    fn assert_known(audio: &[u8], clip: &Clip) {
        let found = recognise(audio);
        assert_eq!(found.map(|found| found.text), Some(clip.text), "{clip:?}");
    }

    fn padded(before: usize, speech: &[u8], after: usize) -> Vec<u8> {
        [&vec![0xff; before], speech, &vec![0xff; after]].concat()
    }

    fn noisy(audio: &[u8], amplitude: u64, rng: &mut Rng) -> Vec<u8> {
        let mut noise = || rng.range(0..2 * amplitude + 1) as i16 - amplitude as i16;
        audio.iter().map(|code| linear_to_mulaw(mulaw_to_linear(*code).saturating_add(noise()))).collect()
    }

    fn listen(audio: &[u8], piece: usize) -> Vec<Hearing> {
        let mut listener = Listener::new(Duration::from_millis(500));
        let mut noticed = Vec::new();
        for piece in audio.chunks(piece) {
            listener.push(piece, &mut noticed);
        }
        assert_eq!(listener.position(), position_of(audio.len()));
        noticed
    }

    fn position_of(bytes: usize) -> Duration {
        AudioFormat::MULAW_8K.duration_of(bytes)
    }

    /// Within 100 ms: the last sounds of a sentence may be too soft to count.
    fn near(a: Duration, b: Duration) -> bool {
        a.abs_diff(b) <= Duration::from_millis(100)
    }
}
