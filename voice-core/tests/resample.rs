//! The resampler, measured: what it keeps, what it lets through that it should not, and when.

use std::f64::consts::TAU;

use proptest::prelude::*;
use voice_core::audio::Rate;
use voice_core::audio::resample::{Phase, Resampler};

#[test]
fn a_tone_of_the_voice_band_stays_a_clean_tone() {
    for (from, to, phase) in all() {
        for hz in [300.0, 1_004.0, 2_000.0, 3_000.0, 3_400.0] {
            let hz = hz * scale(from, to);
            let tone = Tone::of(&settled(from, to, phase, |t| 29_000.0 * (TAU * hz * t).sin()), to, hz);
            let gain = 20.0 * (tone.amplitude / 29_000.0).log10();
            assert!(gain.abs() <= 0.05, "{from:?} to {to:?}, {phase:?}: {gain} dB at {hz} Hz");
            assert!(tone.sinad >= 82.0, "{from:?} to {to:?}, {phase:?}: SINAD {} dB at {hz} Hz", tone.sinad);
        }
    }
}

#[test]
fn what_the_lower_rate_cannot_carry_is_gone() {
    for (from, to, phase) in all().filter(|(from, to, _)| from > to) {
        for step in 0..40 {
            let hz = 4_600.0 * scale(from, to) + f64::from(step) * 500.0;
            if hz < f64::from(from.hz()) / 2.0 {
                let output = settled(from, to, phase, |t| 29_000.0 * (TAU * hz * t).sin());
                let alias = 20.0 * (rms(&output) * 2.0_f64.sqrt() / 29_000.0).log10();
                assert!(alias <= -80.0, "{from:?} to {to:?}, {phase:?}: {alias} dB of {hz} Hz");
            }
        }
    }
}

#[test]
fn the_hiss_of_a_wide_band_voice_does_not_fold_into_the_telephone_band() {
    let hiss = |t: f64| 12_000.0 * ((TAU * 5_000.0 * t).sin() + (TAU * 7_000.0 * t).sin());
    let output = settled(Rate::Hz24000, Rate::Hz8000, Phase::Linear, hiss);
    assert!(20.0 * (rms(&output) / 12_000.0).log10() <= -70.0);
}

#[test]
fn the_signal_comes_out_as_it_is_only_later() {
    // Many tones at once, so that amplitudes and phases of all of them must fit.
    let parts =
        [(310.0, 4_000.0), (777.0, 5_000.0), (1_630.0, 6_000.0), (2_480.0, 4_500.0), (3_350.0, 5_500.0)];
    let signal = |t: f64| parts.iter().map(|(hz, level)| level * (TAU * hz * t + hz).cos()).sum::<f64>();
    for (from, to) in pairs() {
        let mut resampler = Resampler::new(from, to);
        let delay = resampler.delay().as_secs_f64();
        assert!(delay <= 0.002, "{from:?} to {to:?}: {delay} s");
        let output = through(&mut resampler, &sampled(from, signal));
        let skip = to.hz() as usize / 10;
        let errors = output
            .iter()
            .enumerate()
            .skip(skip)
            .map(|(n, sample)| f64::from(*sample) - signal(n as f64 / f64::from(to.hz()) - delay));
        let error = errors.map(f64::abs).fold(0.0, f64::max);
        // A ripple of 0.05 dB is 144 of these 25,000; a delay that is off by a tenth of a sample is more.
        assert!(error <= 144.0, "{from:?} to {to:?}: off by {error}");
    }
}

#[test]
fn an_impulse_is_late_by_the_stated_delay_and_symmetric() {
    for (from, to) in pairs() {
        let mut input = vec![0; from.hz() as usize / 10];
        // Both rates have a sample at this very moment.
        let at = input.len() / 2;
        input[at] = 30_000;
        let mut resampler = Resampler::new(from, to);
        let output = through(&mut resampler, &input);
        // Twice, because between 16 and 24 kHz the middle lies between two samples.
        let twice =
            output.len() + (2.0 * resampler.delay().as_secs_f64() * f64::from(to.hz())).round() as usize;
        let loudest = (0..output.len()).max_by_key(|n| output[*n].unsigned_abs()).expect("there is output");
        assert!((2 * loudest).abs_diff(twice) <= 1, "{from:?} to {to:?}: {loudest} instead of {twice} / 2");
        for n in twice.div_ceil(2)..output.len() {
            assert_eq!(output[twice - n], output[n], "{from:?} to {to:?}, {n} of {twice} / 2");
        }
    }
}

#[test]
fn the_least_phase_is_late_by_less_than_a_millisecond_and_never_early() {
    for (from, to) in pairs() {
        let resampler = Resampler::with_phase(from, to, Phase::Minimum);
        let unit = 0.001 / scale(from, to);
        assert!(resampler.delay().as_secs_f64() <= 0.35 * unit, "{from:?} to {to:?}");
        for hz in (300..=3_300).step_by(100).map(f64::from) {
            // The slope of the phase between two near tones is the delay of what lies between them.
            let [low, high] = [hz, hz + 50.0].map(|hz| {
                let hz = hz * scale(from, to);
                let tone = settled(from, to, Phase::Minimum, |t| 20_000.0 * (TAU * hz * t).sin());
                (Tone::of(&tone, to, hz).phase, hz)
            });
            let turned = (low.0 - high.0).rem_euclid(TAU);
            let delay = turned / TAU / (high.1 - low.1);
            assert!((0.2 * unit..0.7 * unit).contains(&delay), "{from:?} to {to:?}: {delay} s at {hz} Hz");
        }
    }
}

#[test]
fn a_constant_stays_that_constant() {
    for (from, to, phase) in all() {
        for level in [1, -1, 1_000, -32_768, 32_767] {
            let output = settled(from, to, phase, |_| f64::from(level));
            assert!(
                output.iter().all(|sample| i32::from(*sample) == level),
                "{from:?} to {to:?}, {phase:?}: {level}"
            );
        }
    }
}

#[test]
fn full_scale_clips_instead_of_wrapping() {
    for (from, to, phase) in all() {
        let square = |t: f64| if (t * 50.0).fract() < 0.5 { 32_767.0 } else { -32_768.0 };
        let output = settled(from, to, phase, square);
        let ends = (output.iter().max(), output.iter().min());
        assert_eq!(ends, (Some(&i16::MAX), Some(&i16::MIN)), "{from:?} to {to:?}, {phase:?}: overshoots");
        // Where it wrapped, there were more changes of sign than the square has.
        let flanks = output.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        assert!(
            (99..=101).contains(&flanks),
            "{from:?} to {to:?}, {phase:?}: {flanks} changes of sign in a second"
        );
    }
}

#[test]
fn a_frame_in_is_a_frame_out_for_ever() {
    for (from, to, phase) in all() {
        let mut resampler = Resampler::with_phase(from, to, phase);
        let frame = vec![99; from.hz() as usize / 50];
        let mut output = Vec::new();
        for _ in 0..3_000 {
            output.clear();
            resampler.process(&frame, &mut output);
            assert_eq!(output.len(), to.hz() as usize / 50);
        }
    }
}

#[test]
fn nothing_is_left_after_a_reset() {
    for (from, to, phase) in all() {
        let mut resampler = Resampler::with_phase(from, to, phase);
        through(&mut resampler, &[30_000; 1_001]);
        resampler.reset();
        let output = through(&mut resampler, &vec![0; from.hz() as usize / 50]);
        assert_eq!(output, vec![0; to.hz() as usize / 50]);
    }
}

#[test]
fn equal_rates_copy() {
    let input: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    for rate in Rate::ALL {
        let mut resampler = Resampler::new(rate, rate);
        assert_eq!(through(&mut resampler, &input), input);
        assert!(resampler.delay().is_zero());
    }
}

proptest! {
    #[test]
    fn how_the_stream_is_cut_makes_no_difference(
        which in 0..24_usize,
        pieces in prop::collection::vec(0..700_usize, 1..20),
        seed in any::<u32>(),
    ) {
        let (from, to, phase) = all().nth(which).expect("there are twenty-four");
        let total = pieces.iter().sum::<usize>();
        let mut state = seed;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        });
        let input: Vec<i16> = noise.take(total).collect();

        let expected = through(&mut Resampler::with_phase(from, to, phase), &input);
        let mut resampler = Resampler::with_phase(from, to, phase);
        let mut output = Vec::new();
        let mut rest = &input[..];
        for piece in pieces {
            let (now, later) = rest.split_at(piece);
            resampler.process(now, &mut output);
            rest = later;
        }
        let cycle = cycle(from, to);
        prop_assert_eq!(output.len(), total / cycle.0 * cycle.1);
        prop_assert_eq!(output, expected);
    }
}

/// Every two different rates, in both phases.
fn all() -> impl Iterator<Item = (Rate, Rate, Phase)> {
    pairs().flat_map(|(from, to)| [Phase::Linear, Phase::Minimum].map(|phase| (from, to, phase)))
}

/// Every two different rates.
fn pairs() -> impl Iterator<Item = (Rate, Rate)> {
    let all = Rate::ALL.into_iter().flat_map(|from| Rate::ALL.into_iter().map(move |to| (from, to)));
    all.filter(|(from, to)| from != to)
}

/// How many times wider than the telephone's the band of the lower rate is.
fn scale(from: Rate, to: Rate) -> f64 {
    f64::from(from.min(to).hz()) / 8_000.0
}

/// The smallest number of samples in that makes a whole number of samples out, and that number.
fn cycle(from: Rate, to: Rate) -> (usize, usize) {
    let (from, to) = (from.hz() as usize, to.hz() as usize);
    let n = (1..).find(|n| n * to % from == 0).expect("the rate itself is one");
    (n, n * to / from)
}

fn sampled(rate: Rate, signal: impl Fn(f64) -> f64) -> Vec<i16> {
    let hz = rate.hz();
    (0..2 * hz).map(|n| signal(f64::from(n) / f64::from(hz)).round() as i16).collect()
}

fn through(resampler: &mut Resampler, input: &[i16]) -> Vec<i16> {
    let mut output = Vec::new();
    resampler.process(input, &mut output);
    output
}

/// The second second of a signal, when the filter no longer sees the beginning.
fn settled(from: Rate, to: Rate, phase: Phase, signal: impl Fn(f64) -> f64) -> Vec<i16> {
    through(&mut Resampler::with_phase(from, to, phase), &sampled(from, signal)).split_off(to.hz() as usize)
}

fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

struct Tone {
    amplitude: f64,
    /// Of the sine, at the beginning of the samples.
    phase: f64,
    /// The tone over everything else, in dB.
    sinad: f64,
}

impl Tone {
    /// Fits a sine to one second, of which a whole number of hertz has whole periods.
    fn of(samples: &[i16], rate: Rate, hz: f64) -> Self {
        let angle = |n: usize| TAU * hz * n as f64 / f64::from(rate.hz());
        let count = samples.len() as f64;
        let project = |f: fn(f64) -> f64| {
            samples.iter().enumerate().map(|(n, s)| f64::from(*s) * f(angle(n))).sum::<f64>() * 2.0 / count
        };
        let (sine, cosine) = (project(f64::sin), project(f64::cos));
        let rest = samples
            .iter()
            .enumerate()
            .map(|(n, s)| (f64::from(*s) - sine * angle(n).sin() - cosine * angle(n).cos()).powi(2));
        let amplitude = sine.hypot(cosine);
        let phase = cosine.atan2(sine);
        Self {
            amplitude,
            phase,
            sinad: 10.0 * (amplitude.powi(2) / 2.0 / (rest.sum::<f64>() / count)).log10(),
        }
    }
}
