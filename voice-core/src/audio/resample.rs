//! Changing the rate of a stream between 8, 16, 24 and 48 kHz, for calls: short delay, no clicks.
//!
//! A polyphase filter. With linear phase, which is the default, it is 26 samples of the lower rate long, and its delay
//! half of that: 1.63 ms where 8 kHz is involved, 0.81 ms between 16 kHz and above, 0.54 ms between 24 and 48 kHz.
//! With [`Phase::Minimum`] it is a fifth of that. With the lower rate at 8 kHz it is flat within 0.05 dB to 3.4 kHz
//! and down by more than 80 dB from 4.6 kHz on, so that the hiss of a wide-band voice does not fold into a lisp
//! (protocol notes, G.711 and resampling §5). At other rates these edges scale.

mod prototype;

use std::time::Duration;

use super::Rate;

pub use prototype::Phase;

/// Resamples one stream. State is kept between calls, so pieces may have any length.
///
/// ```
/// use voice_core::audio::Rate;
/// use voice_core::audio::resample::Resampler;
///
/// let mut up = Resampler::new(Rate::Hz8000, Rate::Hz24000);
/// let mut output = Vec::new();
/// up.process(&[0; 160], &mut output);
/// assert_eq!(output.len(), 480);
/// ```
#[derive(Clone, Debug)]
pub struct Resampler {
    /// In one cycle `down` samples come in…
    down: usize,
    /// …and `up` go out, each through a filter of its own.
    filters: Vec<Filter>,
    /// Cycles that the filters look back.
    past: usize,
    /// The last input: `down` streams side by side, of which stream `r` has sample `r` of each cycle.
    streams: Vec<f32>,
    /// Samples in there which are not history yet.
    filled: usize,
    delay: Duration,
}

impl Resampler {
    /// A resampler of linear phase, for a stream that was silent so far. With equal rates it copies.
    pub fn new(from: Rate, to: Rate) -> Self {
        Self::with_phase(from, to, Phase::Linear)
    }

    /// The same, with the phase that is wanted.
    pub fn with_phase(from: Rate, to: Rate, phase: Phase) -> Self {
        let common = gcd(from.hz(), to.hz());
        let (up, down) = ((to.hz() / common) as usize, (from.hz() / common) as usize);
        // The filter lives at the lowest common multiple of the rates.
        let (taps, delay) = if up == down {
            (vec![1.0], 0.0)
        } else {
            (phase.taps(up.max(down)), phase.delay() / f64::from(from.min(to).hz()))
        };
        let past = ((taps.len() - 1) / up).div_ceil(down);
        let filters = (0..up).map(|output| Filter::new(&taps, up, down, output, past)).collect();
        Self {
            down,
            filters,
            past,
            streams: vec![0.0; down * stride(past)],
            filled: 0,
            delay: Duration::from_secs_f64(delay),
        }
    }

    /// Takes a piece and appends what can be told of it. In total, `n` samples in make
    /// `n / down * up` out: of frames of 20 ms nothing is ever left over.
    ///
    /// Allocates nothing but room in `output`.
    pub fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        let mut rest = input;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BATCH * self.down - self.filled));
            rest = later;
            self.take(now);
            self.run(output);
        }
    }

    /// Forgets the stream, so that nothing of it is heard in the next.
    pub fn reset(&mut self) {
        self.streams.fill(0.0);
        self.filled = 0;
    }

    /// How much later a voice comes out than it went in.
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    fn take(&mut self, input: &[i16]) {
        // One by one to the end of a cycle that was begun, then whole cycles, then what is left.
        let begun = self.filled % self.down;
        let (head, whole) = input.split_at(if begun == 0 { 0 } else { (self.down - begun).min(input.len()) });
        head.iter().for_each(|sample| self.take_one(*sample));
        let rest = match self.down {
            1 => self.take_cycles::<1>(whole),
            2 => self.take_cycles::<2>(whole),
            3 => self.take_cycles::<3>(whole),
            6 => self.take_cycles::<6>(whole),
            _ => whole,
        };
        rest.iter().for_each(|sample| self.take_one(*sample));
    }

    fn take_one(&mut self, sample: i16) {
        let stream = self.filled % self.down * stride(self.past);
        self.streams[stream + self.past + self.filled / self.down] = f32::from(sample);
        self.filled += 1;
    }

    /// Deals out whole cycles to the streams, and gives back what is not one. Knowing the number of
    /// streams makes this four times as fast.
    fn take_cycles<'a, const DOWN: usize>(&mut self, input: &'a [i16]) -> &'a [i16] {
        let (cycles, rest) = input.as_chunks::<DOWN>();
        let start = self.past + self.filled / DOWN;
        for (r, stream) in self.streams.chunks_exact_mut(stride(self.past)).enumerate() {
            for (slot, cycle) in stream[start..].iter_mut().zip(cycles) {
                *slot = f32::from(cycle[r]);
            }
        }
        self.filled += cycles.len() * DOWN;
        rest
    }

    fn run(&mut self, output: &mut Vec<i16>) {
        let cycles = self.filled / self.down;
        let before = output.len();
        output.resize(before + cycles * self.filters.len(), 0);
        let produced = &mut output[before..];
        let lanes = cycles - cycles % LANES;
        for cycle in (0..lanes).step_by(LANES) {
            self.cycles::<LANES>(cycle, produced);
        }
        for cycle in lanes..cycles {
            self.cycles::<1>(cycle, produced);
        }
        for stream in self.streams.chunks_exact_mut(stride(self.past)) {
            stream.copy_within(cycles..(cycles + self.past + 1).min(stream.len()), 0);
        }
        self.filled -= cycles * self.down;
    }

    /// So many cycles side by side, from this one on.
    fn cycles<const N: usize>(&self, cycle: usize, produced: &mut [i16]) {
        let up = self.filters.len();
        let produced = &mut produced[cycle * up..][..N * up];
        for (nth, filter) in self.filters.iter().enumerate() {
            let samples = filter.apply::<N>(&self.streams[cycle..]).map(to_sample);
            for (slot, sample) in produced.chunks_exact_mut(up).zip(samples) {
                slot[nth] = sample;
            }
        }
    }
}

/// The taps that make one of the outputs of a cycle. Places count from the beginning of the streams, for
/// the first cycle; for the next ones they move on by one each.
#[derive(Clone, Debug)]
struct Filter {
    /// Taps with the same coefficient, where the filter is symmetric: one multiplication for two.
    pairs: Vec<(f32, usize, usize)>,
    /// All other taps.
    singles: Vec<(f32, usize)>,
}

impl Filter {
    fn new(prototype: &[f64], up: usize, down: usize, output: usize, past: usize) -> Self {
        // At the common rate, this output stands `output * down` after the cycle's first sample.
        let newest = past * down + output * down / up;
        let coefficients: Vec<f64> = prototype.iter().skip(output * down % up).step_by(up).copied().collect();
        // Each output alone leaves a constant as it is.
        let sum: f64 = coefficients.iter().sum();
        let mut taps: Vec<(f32, usize)> = coefficients
            .iter()
            .enumerate()
            .map(|(age, coefficient)| {
                let sample = newest - age;
                ((coefficient / sum) as f32, sample % down * stride(past) + sample / down)
            })
            .collect();
        let mut pairs = Vec::new();
        if taps.iter().zip(taps.iter().rev()).all(|(a, b)| a.0 == b.0) {
            let middle = taps.len() / 2;
            let second = taps.split_off(taps.len() - middle);
            let first = taps.drain(..middle);
            pairs = first.zip(second.iter().rev()).map(|(a, b)| (a.0, a.1, b.1)).collect();
        }
        Self { pairs, singles: taps }
    }

    /// The output of so many cycles. Every lane adds in the same order, whatever their number, so the
    /// result does not depend on how the stream was cut.
    fn apply<const N: usize>(&self, streams: &[f32]) -> [f32; N] {
        let mut sums = [0.0; N];
        for &(coefficient, a, b) in &self.pairs {
            let (a, b) = (&streams[a..a + N], &streams[b..b + N]);
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += coefficient * (a + b);
            }
        }
        for &(coefficient, a) in &self.singles {
            for (sum, a) in sums.iter_mut().zip(&streams[a..a + N]) {
                *sum += coefficient * a;
            }
        }
        sums
    }
}

/// Rounds to the nearest sample, and clips what is louder than a sample can be.
fn to_sample(value: f32) -> i16 {
    // Added to this, a number of 16 bits has its rounded value in the lowest bits of the mantissa.
    // Unlike `round` and `as` it needs no call and no check for each sample.
    const ROUND: f32 = 12_582_912.0;
    (value.clamp(-32_768.0, 32_767.0) + ROUND).to_bits() as i16
}

/// Length of one stream: history, a batch, and an incomplete cycle.
const fn stride(past: usize) -> usize {
    past + BATCH + 1
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Cycles at once: 20 ms of anything whose rate is a multiple of 8 kHz by a cycle of its own.
const BATCH: usize = 160;

/// Outputs computed side by side: in ten of the sixteen registers of every x86-64, so that the time to fetch a
/// coefficient is shared by many; and a part of [`BATCH`], and of half of it. (With 16 lanes it takes half as
/// long again, with 48 twice as long, for then they do not fit.)
const LANES: usize = 40;
