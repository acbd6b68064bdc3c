//! The filters behind the resampler, as formulas of time that can be sampled at any rate.
//!
//! Each is a sum of a few cosines (and sines) over a window. The coefficients are printed by
//! `scripts/make-filters`, which finds them by linear programs: the deepest stop band from 4.6 kHz on, for a
//! low rate of 8 kHz, that a given ripple up to 3.4 kHz allows. At other rates these edges scale.

use std::f64::consts::{PI, TAU};

/// What a resampler does to the phases of a voice.
///
/// | | ripple | from 4.6 kHz on | delay at a low rate of 8 kHz |
/// |---|---|---|---|
/// | [`Linear`](Self::Linear) | 0.04 dB | −86 dB | 1.63 ms, for all tones the same |
/// | [`Minimum`](Self::Minimum) | 0.03 dB | −82 dB | 0.26 ms at 300 Hz, 0.31 ms in the middle, 0.68 ms at 3.4 kHz |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// All tones are late by the same, so the form of the wave is kept.
    #[default]
    Linear,
    /// No filter of the same gains has less delay. Higher tones are later than lower ones by up to 0.4 ms, which
    /// no ear can tell; who compares samples can.
    Minimum,
}

impl Phase {
    /// How long the filter is, in samples of the lower rate.
    pub(super) const fn span(self) -> usize {
        match self {
            Self::Linear => LINEAR_SPAN,
            Self::Minimum => MINIMUM_SPAN,
        }
    }

    /// How late a voice is by it, in samples of the lower rate: the middle of the voice's band.
    pub(super) const fn delay(self) -> f64 {
        match self {
            Self::Linear => LINEAR_SPAN as f64 / 2.0,
            Self::Minimum => 2.5,
        }
    }

    /// The filter at `ratio` times the lower rate: `span() * ratio + 1` taps, the newest sample's first.
    pub(super) fn taps(self, ratio: usize) -> Vec<f64> {
        let last = self.span() * ratio;
        let tap = |n: usize| match self {
            // Counted from the middle in whole numbers, both halves are the same to the last bit.
            Self::Linear => linear((2 * n).abs_diff(last) as f64 / last as f64),
            Self::Minimum => minimum(n as f64 / last as f64),
        };
        (0..=last).map(tap).collect()
    }
}

/// At this part of the way from the middle to an end.
fn linear(place: f64) -> f64 {
    let angle = PI * place / STRETCH;
    sum(&LINEAR, |n| (angle * n).cos())
}

/// At this part of the way from the beginning to the end.
fn minimum(place: f64) -> f64 {
    let angle = TAU * place / STRETCH;
    sum(&MINIMUM_COSINES, |n| (angle * n).cos()) + sum(&MINIMUM_SINES, |n| (angle * (n + 1.0)).sin())
}

fn sum(coefficients: &[f64], wave: impl Fn(f64) -> f64) -> f64 {
    coefficients.iter().enumerate().map(|(n, coefficient)| coefficient * wave(n as f64)).sum()
}

const LINEAR_SPAN: usize = 26;
const MINIMUM_SPAN: usize = 25;

/// The waves' window is so much longer than the filter: its edges then need not fit together.
const STRETCH: f64 = 1.1;

#[rustfmt::skip]
const LINEAR: [f64; 17] = [
    0.034972324, 0.069603844, 0.070062124, 0.070042342, 0.069653428, 0.070232649, 0.069725797, 0.069964777,
    0.070068325, 0.069668687, 0.070248339, 0.069601219, 0.070087620, 0.058268165, 0.028217435, 0.005691295,
    0.000206678,
];

#[rustfmt::skip]
const MINIMUM_COSINES: [f64; 17] = [
    0.036373861, 0.064473776, 0.041204220, 0.007751330, -0.028378091, -0.058299346, -0.072494955, -0.064008521,
    -0.031031136, 0.018498250, 0.062853456, 0.066715794, -0.001892201, -0.056435874, 0.014877766, -0.000137494,
    0.000006623,
];

/// From the first harmonic on.
#[rustfmt::skip]
const MINIMUM_SINES: [f64; 16] = [
    0.033909695, 0.060197783, 0.072514485, 0.066921654, 0.043427015, 0.006296020, -0.034886023, -0.065746192,
    -0.070123456, -0.036166394, 0.028874103, 0.073361976, -0.012684961, -0.012997357, 0.001726861, 0.000008113,
];
