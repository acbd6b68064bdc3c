//! One 20 ms frame each way through the bridge, with everything but the sockets: Twilio's media message
//! in, OpenAI's append out; OpenAI's audio delta in, Twilio's media message out. Mu-law on both sides,
//! so nothing is converted. And a whole second of such a call.

use std::time::Duration;

use benches::rig::{self, FRAME, Rig};
use criterion::{Criterion, criterion_group, criterion_main};
use voice_core::bridge::CARRIER_LINE;
use voice_core::wire::WireMessage;

/// A call of the bench lasts so long, because a carrier that is silent for half a minute is gone; then
/// the next begins, at a cost that so many frames hardly feel.
const FRAMES_MAX: u64 = Duration::from_secs(25).as_millis() as u64 / FRAME.as_millis() as u64;

/// A call, and the next one when it has lasted long enough.
struct Calls {
    rig: Rig,
    frames: u64,
    sent: u64,
}

impl Calls {
    fn new() -> Self {
        Self { rig: Rig::new(), frames: 0, sent: 0 }
    }

    fn step(&mut self) -> &mut Rig {
        if self.frames % FRAMES_MAX == 0 {
            self.sent += self.rig.sent();
            self.rig = Rig::new();
            self.rig.begin_reply();
        }
        self.frames += 1;
        self.rig.step();
        &mut self.rig
    }

    fn sent(&self) -> u64 {
        self.sent + self.rig.sent()
    }
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("bridge");
    // Messages are made beforehand: their making is the carrier's work.
    let messages: Vec<WireMessage> = (1..=20_000).map(rig::media).collect();
    let message = |frames: u64| &messages[frames as usize % messages.len()];
    let delta = rig::delta(1);

    let mut calls = Calls::new();
    group.bench_function("caller to provider", |b| {
        b.iter(|| {
            let message = message(calls.frames);
            calls.step().give(CARRIER_LINE, message);
        });
    });
    assert!(calls.sent() >= calls.frames, "every frame was passed on");

    let mut calls = Calls::new();
    group.bench_function("provider to caller", |b| b.iter(|| calls.step().answer(&delta)));
    assert!(calls.sent() >= calls.frames, "every frame was passed on");

    let mut calls = Calls::new();
    group.bench_function("one frame each way", |b| {
        b.iter(|| {
            let message = message(calls.frames);
            let rig = calls.step();
            rig.give(CARRIER_LINE, message);
            rig.answer(&delta);
        });
    });
    assert!(calls.sent() >= 2 * calls.frames, "every frame was passed on");

    let mut calls = Calls::new();
    group.bench_function("a second of a call", |b| {
        b.iter(|| {
            for _ in 0..50 {
                let rig = calls.step();
                rig.hear();
                rig.answer(&delta);
            }
        });
    });
    assert!(calls.sent() >= 2 * calls.frames, "every frame was passed on");
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
