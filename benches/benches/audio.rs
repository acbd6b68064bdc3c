//! Audio of one frame of 20 ms: codec, resampler, converter, framer.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use voice_core::audio::convert::Converter;
use voice_core::audio::g711;
use voice_core::audio::resample::{Phase, Resampler};
use voice_core::audio::{AudioFormat, Rate};
use voice_core::sim::speech::CALLER;

fn codec(criterion: &mut Criterion) {
    let codes = &CALLER[0].mulaw[800..960];
    let mut samples = [0_i16; 160];
    let mut out = [0_u8; 160];
    g711::mulaw_decode(codes, &mut samples);
    let mut group = criterion.benchmark_group("g711 frame");
    let mut decoded = samples;
    group.bench_function("mulaw decode", |b| b.iter(|| g711::mulaw_decode(black_box(codes), &mut decoded)));
    group.bench_function("mulaw encode", |b| b.iter(|| g711::mulaw_encode(black_box(&samples), &mut out)));
    group.bench_function("alaw encode", |b| b.iter(|| g711::alaw_encode(black_box(&samples), &mut out)));
    group.bench_function("mulaw to alaw", |b| b.iter(|| g711::mulaw_to_alaw(black_box(codes), &mut out)));
    group.bench_function("mulaw energy", |b| b.iter(|| g711::mulaw_energy(black_box(codes))));
    group.finish();
}

fn resampler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resample frame");
    for from in Rate::ALL {
        for to in Rate::ALL.into_iter().filter(|to| *to != from) {
            for phase in [Phase::Linear, Phase::Minimum] {
                let input = vec![1_000_i16; from.hz() as usize / 50];
                let mut output = Vec::with_capacity(960);
                let mut resampler = Resampler::with_phase(from, to, phase);
                let name = format!("{} to {} kHz, {phase:?}", from.hz() / 1_000, to.hz() / 1_000);
                group.bench_function(name, |b| {
                    b.iter(|| {
                        output.clear();
                        resampler.process(black_box(&input), &mut output);
                    });
                });
            }
        }
    }
    group.finish();
    criterion.bench_function("resampler made", |b| b.iter(|| Resampler::new(Rate::Hz8000, Rate::Hz24000)));
}

fn converter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convert frame");
    let (line, wide) = (AudioFormat::MULAW_8K, AudioFormat::PCM16_24K);
    for (from, to) in [(line, wide), (wide, line)] {
        let frame = Bytes::from(vec![0x55; from.frame_bytes()]);
        let mut converter = Converter::new(from, to);
        group.bench_function(format!("{from} to {to}"), |b| {
            b.iter(|| converter.convert(black_box(frame.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, codec, resampler, converter);
criterion_main!(benches);
