//! Tests of the recorder, with frames that say who they are.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::audio::FRAME;
use crate::consent::{Given, Method, Scope};
use crate::limits;
use crate::time::UnixMillis;

const MULAW: AudioFormat = AudioFormat::MULAW_8K;
const NO_LAG: Duration = Duration::ZERO;

fn at(millis: u64) -> MonoTime {
    MonoTime::from_millis(millis)
}

fn frame(byte: u8) -> Bytes {
    vec![byte; 160].into()
}

/// Ends it there, and gives both channels.
fn channels(mut recorder: Recorder, now: MonoTime, lag: Duration) -> (Vec<u8>, Vec<u8>) {
    recorder.finish(now);
    let mut both = (Vec::new(), Vec::new());
    while let Some(block) = recorder.poll(now, lag) {
        assert_eq!(block.at, MULAW.duration_of(both.0.len()), "without a gap");
        both.0.extend_from_slice(&block.caller);
        both.1.extend_from_slice(&block.voice);
    }
    assert_eq!(recorder.length(), MULAW.duration_of(both.0.len()));
    both
}

/// What is not silence, as (milliseconds, byte, bytes).
fn runs(channel: &[u8]) -> Vec<(usize, u8, usize)> {
    let mut runs = Vec::new();
    let mut from = 0;
    for n in 1..=channel.len() {
        if n == channel.len() || channel[n] != channel[from] {
            if channel[from] != 0xff {
                runs.push((from / 8, channel[from], n - from));
            }
            from = n;
        }
    }
    runs
}

#[test]
fn there_is_no_order_without_a_consent_that_covers_it() {
    let given = || Given { by: "x".into(), how: Method::Keypad, at: UnixMillis(0), region: None };
    assert!(RecordingOrder::new(Consent::given(given(), Scope::BOTH)).is_ok());
    let words_only = Consent::given(given(), Scope::TRANSCRIPTION);
    assert_eq!(RecordingOrder::new(words_only), Err(ConsentError::NotCovered));
    let mut revoked = Consent::given(given(), Scope::BOTH);
    revoked.revoke(Revocation { at: UnixMillis(1), reason: None });
    assert_eq!(RecordingOrder::new(revoked), Err(ConsentError::Revoked));
}

#[test]
fn both_stand_where_they_were_said_and_heard() {
    let mut recorder = Recorder::new(at(1_000), MULAW);
    recorder.caller(at(1_060), frame(1));
    recorder.caller(at(1_080), frame(2));
    recorder.voice(at(1_100), frame(3));
    recorder.voice(at(1_120), frame(4));
    let (caller, voice) = channels(recorder, at(1_300), Duration::from_millis(50));
    assert_eq!(caller.len(), 2_400);
    assert_eq!(runs(&caller), [(40, 1, 160), (60, 2, 160)]);
    assert_eq!(runs(&voice), [(150, 3, 160), (170, 4, 160)]);
}

#[test]
fn what_came_late_was_not_said_late() {
    let mut recorder = Recorder::new(at(0), MULAW);
    for (n, late) in (1..=20).zip([9, 0, 40, 80, 60, 40, 20, 0, 3, 7, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0]) {
        recorder.caller(at(20 * n + late), frame(n as u8));
    }
    let (caller, _) = channels(recorder, at(500), NO_LAG);
    let expected: Vec<_> = (1..=20).map(|n| (20 * (n - 1), n as u8, 160)).collect();
    assert_eq!(runs(&caller), expected);
}

#[test]
fn a_hole_stays_a_hole() {
    let mut recorder = Recorder::new(at(0), MULAW);
    for n in [1, 2, 3, 30, 31] {
        recorder.caller(at(20 * n), frame(n as u8));
    }
    let (caller, _) = channels(recorder, at(800), NO_LAG);
    let expected = [(0, 1, 160), (20, 2, 160), (40, 3, 160), (580, 30, 160), (600, 31, 160)];
    assert_eq!(runs(&caller), expected);
}

#[test]
fn a_clock_that_runs_fast_or_slow_is_followed() {
    for step in [19_960, 20_040] {
        let mut recorder = Recorder::new(at(0), MULAW);
        let mut caller = Vec::new();
        let mut now = MonoTime::ZERO;
        for n in 0..10_000_u64 {
            now += Duration::from_micros(step);
            let mut data = vec![0xff; 160];
            data[..8].copy_from_slice(&n.to_le_bytes());
            data[8..12].copy_from_slice(&[0x21; 4]);
            recorder.caller(now, data.into());
            while let Some(block) = recorder.poll(now, NO_LAG) {
                caller.extend_from_slice(&block.caller);
            }
        }
        let places: Vec<_> = caller.windows(4).enumerate().filter(|(_, w)| *w == [0x21; 4]).collect();
        assert!(places.len() > 9_800, "of 10000 frames {} are left", places.len());
        for (place, _) in places {
            let mut number = [0; 8];
            number.copy_from_slice(&caller[place - 8..place]);
            let said = u64::from_le_bytes(number) * step / 125;
            assert!(said.abs_diff(place as u64 - 8) <= 160, "{said} is at {place} with steps of {step}");
        }
    }
}

#[test]
fn what_was_cleared_is_not_in_it() {
    let mut recorder = Recorder::new(at(0), MULAW);
    for n in 0..10 {
        recorder.voice(at(20 * n), frame(n as u8 + 1));
    }
    recorder.cut(at(50));
    recorder.voice(at(90), frame(77));
    let (_, voice) = channels(recorder, at(200), NO_LAG);
    assert_eq!(runs(&voice), [(0, 1, 160), (20, 2, 160), (40, 3, 80), (90, 77, 160)]);
}

#[test]
fn a_sentence_is_not_torn_apart_by_a_better_estimate() {
    let mut recorder = Recorder::new(at(0), MULAW);
    for n in 0..200 {
        recorder.voice(at(20 * n), frame(1));
    }
    let mut voice = Vec::new();
    for (now, lag) in [(2_000, 100), (3_000, 115), (4_000, 85)] {
        while let Some(block) = recorder.poll(at(now), Duration::from_millis(lag)) {
            voice.extend_from_slice(&block.voice);
        }
    }
    assert_eq!(runs(&voice), [(100, 1, 2_400 * 8)]);
}

#[test]
fn a_pause_is_silence_and_moves_nothing() {
    let mut recorder = Recorder::new(at(0), MULAW);
    for n in 1..=50 {
        match n {
            11 => recorder.pause(at(203)),
            31 => recorder.resume(at(603)),
            _ => {}
        }
        recorder.voice(at(20 * n), frame(2));
        recorder.caller(at(20 * n), frame(1));
    }
    let (caller, voice) = channels(recorder, at(1_000), NO_LAG);
    assert_eq!(runs(&caller), [(0, 1, 200 * 8), (603, 1, 397 * 8)]);
    assert_eq!(runs(&voice), [(20, 2, 183 * 8), (603, 2, 397 * 8)]);
}

#[test]
fn nothing_of_a_pause_is_kept_however_often() {
    let mut recorder = Recorder::new(at(0), MULAW);
    for n in 0..100 {
        recorder.resume(at(10 * n));
        recorder.caller(at(10 * n + 1), frame(1));
        recorder.pause(at(10 * n + 2));
    }
    let (caller, _) = channels(recorder, at(1_000), NO_LAG);
    let kept: usize = runs(&caller).iter().map(|(_, _, bytes)| bytes).sum();
    assert!(kept <= 200 * 8, "{kept}");
}

#[test]
fn nothing_grows_however_much_comes() {
    let mut recorder = Recorder::new(at(0), MULAW);
    for _ in 0..100_000 {
        recorder.caller(at(100), frame(1));
        recorder.voice(at(100), frame(1));
    }
    let (caller, voice) = channels(recorder, at(200), NO_LAG);
    assert_eq!((caller.len(), voice.len()), (1_600, 1_600));
    let mut sleeper = Recorder::new(at(0), MULAW);
    assert_eq!(sleeper.poll(at(1_519), NO_LAG), None);
    assert!(sleeper.poll(at(1_520), NO_LAG).is_some());
    assert_eq!(sleeper.wakes_at(), at(20 + 200) + limits::RECORDING_LOOKAHEAD);
}

#[test]
fn every_format_of_a_line_can_be_recorded() {
    for format in [MULAW, AudioFormat::ALAW_8K, AudioFormat::PCM16_8K, AudioFormat::PCM16_16K] {
        let mut recorder = Recorder::new(at(0), format);
        recorder.caller(at(31), vec![1; format.frame_bytes()].into());
        recorder.finish(at(60));
        let blocks: Vec<_> = std::iter::from_fn(|| recorder.poll(at(60), NO_LAG)).collect();
        assert_eq!(blocks.len(), 3, "{format}");
        let caller: Vec<u8> = blocks.iter().flat_map(|block| block.caller.to_vec()).collect();
        let voice: Vec<u8> = blocks.iter().flat_map(|block| block.voice.to_vec()).collect();
        let silence = format.encoding.silence_byte();
        assert!(voice.iter().all(|byte| *byte == silence));
        let begins = format.bytes_in(Duration::from_millis(11));
        assert_eq!(caller.iter().position(|byte| *byte == 1), Some(begins), "{format}");
        assert_eq!(caller.iter().filter(|byte| **byte == 1).count(), format.frame_bytes(), "{format}");
    }
}

proptest! {
    /// With any network that keeps order, each frame lies within 20 ms of where it was said, or was left
    /// out because another had to be moved; the blocks are whole and follow each other.
    #[test]
    fn any_jitter_is_smoothed(
        jitters in prop::collection::vec(0..30_u64, 100..300),
        stall in (0..100_usize, 0..1_200_u64),
        offset in 0..5_000_u64,
    ) {
        let mut recorder = Recorder::new(at(offset), MULAW);
        let mut arrives = at(offset);
        let mut caller: Vec<u8> = Vec::new();
        // What comes last has nothing behind it that could tell a late frame from a hole.
        let mut jitters: Vec<u64> = jitters.into_iter().chain([0; 80]).collect();
        jitters[stall.0] = stall.1;
        for (n, jitter) in (1_u64..).zip(&jitters) {
            arrives = arrives.max(at(offset + 20 * n + jitter));
            let mut data = vec![0xff; 160];
            data[..8].copy_from_slice(&n.to_le_bytes());
            data[8..12].copy_from_slice(&[0x21; 4]);
            recorder.caller(arrives, data.into());
            while let Some(block) = recorder.poll(arrives, NO_LAG) {
                prop_assert_eq!(block.caller.len(), 160);
                prop_assert_eq!(block.at, MULAW.duration_of(caller.len()));
                caller.extend_from_slice(&block.caller);
            }
        }
        let end = arrives + FRAME * 2;
        recorder.finish(end);
        while let Some(block) = recorder.poll(end, NO_LAG) {
            caller.extend_from_slice(&block.caller);
        }
        let mut found = 0;
        for (place, _) in caller.windows(4).enumerate().filter(|(_, w)| *w == [0x21; 4]) {
            let mut number = [0; 8];
            number.copy_from_slice(&caller[place - 8..place]);
            let said = (u64::from_le_bytes(number) - 1) * 160;
            // The earliest of some frames tells the truth: thirty milliseconds of jitter hide in it.
            prop_assert!(said.abs_diff(place as u64 - 8) <= 50 * 8, "{} is at {}", said, place - 8);
            found += 1;
        }
        prop_assert!(found + 5 >= jitters.len(), "of {} frames {} are left", jitters.len(), found);
    }
}
