//! What a call takes from the allocator, counted by one that counts: nothing for a frame but the messages
//! themselves, and after hours of talk no more than after the first.

use allocation_counter::{AllocationInfo, measure};
use benches::rig::{self, Rig};
use voice_core::bridge::CARRIER_LINE;
use voice_core::wire::WireMessage;

const FRAMES: u64 = 1_000;

fn per_frame(what: &str, info: &AllocationInfo) -> f64 {
    let per_frame = info.count_total as f64 / FRAMES as f64;
    println!("{what}: {per_frame:.3} allocations and {} bytes a frame", info.bytes_total / FRAMES);
    per_frame
}

/// A call in the middle of a reply, whose buffers have grown as far as they will.
fn warm() -> Rig {
    let mut rig = Rig::new();
    for _ in 0..10 {
        rig.exchange();
    }
    rig.begin_reply();
    rig
}

#[test]
fn a_frame_of_the_caller_takes_its_audio_and_one_message() {
    let mut rig = warm();
    let messages: Vec<WireMessage> = (0..FRAMES).map(|n| rig::media(2_000 + n)).collect();
    let sent = rig.sent();
    let info = measure(|| {
        for message in &messages {
            rig.step();
            rig.give(CARRIER_LINE, message);
        }
    });
    assert!(rig.sent() - sent >= FRAMES, "every frame was passed on");
    assert!(per_frame("caller to provider", &info) <= 2.1, "{info:?}");
}

#[test]
fn a_frame_of_the_voice_takes_its_audio_and_one_message() {
    let mut rig = warm();
    let delta = rig::delta(11);
    let sent = rig.sent();
    let info = measure(|| {
        for _ in 0..FRAMES {
            rig.step();
            rig.answer(&delta);
        }
    });
    assert!(rig.sent() - sent >= FRAMES, "every frame was passed on");
    assert!(per_frame("provider to caller", &info) <= 2.3, "{info:?}");
}

#[test]
fn memory_is_flat_over_hours() {
    let mut rig = Rig::new();
    let mut left = 0;
    let mut after_hour = [0; 4];
    for hour in &mut after_hour {
        // An exchange lasts four seconds.
        for _ in 0..900 {
            left += measure(|| rig.exchange()).bytes_current;
        }
        *hour = left;
    }
    println!("bytes that a call holds after each hour: {after_hour:?}; services: {}", rig.sessions());
    assert!(rig.sessions() >= 4, "a service talks for an hour at most: {}", rig.sessions());
    let [_, second, third, fourth] = after_hour;
    assert!(fourth <= second + second / 50, "it grows: {after_hour:?}");
    assert!(third <= second + second / 50, "it grows: {after_hour:?}");
}
