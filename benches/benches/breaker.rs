//! What it costs to ask a breaker and to tell it: alone, shared, and with sixteen threads at once.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use voice_core::breaker::{Breaker, BreakerConfig, Sample, SharedBreaker};
use voice_core::failure::Failure;
use voice_core::time::MonoTime;

fn alone(c: &mut Criterion) {
    let mut breaker = Breaker::new(BreakerConfig::default(), 1);
    let mut now = MonoTime::ZERO;
    c.bench_function("breaker: admit and settle, owned", |b| {
        b.iter(|| {
            now += Duration::from_micros(100);
            if let Ok(permit) = breaker.admit(black_box(now)) {
                breaker.settle(now, permit, Sample::Success);
            }
        });
    });
    c.bench_function("breaker: refused, owned", |b| {
        breaker.force_open(now);
        b.iter(|| black_box(breaker.admit(black_box(now)).is_err()));
    });
}

fn shared(c: &mut Criterion) {
    let breaker = SharedBreaker::new(BreakerConfig::default(), 1);
    let mut now = MonoTime::ZERO;
    c.bench_function("breaker: admit and settle, shared", |b| {
        b.iter(|| {
            now += Duration::from_micros(100);
            if let Ok(permit) = breaker.admit(black_box(now)) {
                breaker.settle(now, permit, Sample::Success);
            }
        });
    });
    let breaker =
        SharedBreaker::new(BreakerConfig { failures_in_row: u32::MAX, ..BreakerConfig::default() }, 1);
    breaker.with(now, |breaker| breaker.force_closed(now));
    c.bench_function("breaker: admit and fail, shared (takes the lock)", |b| {
        b.iter(|| {
            now += Duration::from_micros(100);
            if let Ok(permit) = breaker.admit(black_box(now)) {
                breaker.settle(now, permit, Sample::Failure(&Failure::Cut));
            }
        });
    });
}

/// The same while fifteen other threads do it, too: the cost to the one that is measured.
fn contended(c: &mut Criterion) {
    let breaker = Arc::new(SharedBreaker::new(BreakerConfig::default(), 1));
    let stop = Arc::new(AtomicBool::new(false));
    let clock = Arc::new(AtomicU64::new(0));
    let others: Vec<_> = (0..15)
        .map(|_| {
            let (breaker, stop, clock) = (breaker.clone(), stop.clone(), clock.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let now = MonoTime::from_micros(clock.load(Ordering::Relaxed));
                    if let Ok(permit) = breaker.admit(now) {
                        breaker.settle(now, permit, Sample::Success);
                    }
                }
            })
        })
        .collect();
    c.bench_function("breaker: admit and settle, sixteen threads", |b| {
        b.iter_custom(|rounds| {
            let begun = Instant::now();
            for round in 0..rounds {
                if round % 1_000 == 0 {
                    clock.fetch_add(100_000, Ordering::Relaxed);
                }
                let now = MonoTime::from_micros(clock.load(Ordering::Relaxed));
                if let Ok(permit) = breaker.admit(black_box(now)) {
                    breaker.settle(now, permit, Sample::Success);
                }
            }
            begun.elapsed()
        });
    });
    stop.store(true, Ordering::Relaxed);
    for other in others {
        other.join().expect("a bench thread does not panic");
    }
}

criterion_group!(benches, alone, shared, contended);
criterion_main!(benches);
