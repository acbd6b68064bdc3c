//! The speech detector on recorded speech: it hears each sentence as one, soon, on clean and noisy lines.

use std::time::Duration;

use voice_core::audio::g711::{linear_to_mulaw, mulaw_to_linear};
use voice_core::audio::speech::{SpeechChange, SpeechDetector};
use voice_core::audio::{AudioFormat, FRAME};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::{CALLER, VOICE};

#[test]
fn every_sentence_is_heard_as_one_and_soon() {
    for noise in [0, 60, 200] {
        let mut rng = Rng::new(noise);
        for clip in CALLER.iter().chain(VOICE) {
            let before = if noise == 200 { 80_000 } else { 8_000 };
            let mut stream = vec![0xff; before];
            stream.extend_from_slice(clip.mulaw);
            stream.extend_from_slice(&[0xff; 8_000]);
            for code in &mut stream {
                let hiss = rng.range(0..2 * noise + 1) as i16 - noise as i16;
                *code = linear_to_mulaw(mulaw_to_linear(*code).saturating_add(hiss));
            }

            let begins = AudioFormat::MULAW_8K.duration_of(before);
            let ends = begins + clip.duration();
            let heard = utterances(&stream);
            let sentence = heard.iter().find(|(began, _, _)| *began + Duration::from_millis(20) >= begins);
            let Some((began, told, ended)) = sentence else {
                panic!("{clip:?} in noise of {noise}: {heard:?}")
            };
            assert!(*began <= begins + Duration::from_millis(120), "{clip:?} in {noise}: {began:?}");
            assert!(*told <= begins + Duration::from_millis(220), "{clip:?} in {noise}: told at {told:?}");
            assert!(
                ended.abs_diff(ends) <= Duration::from_millis(260),
                "{clip:?} in {noise}: {ended:?}, {ends:?}"
            );
        }
    }
}

/// Where each utterance began, when that was noticed, and where it ended.
fn utterances(stream: &[u8]) -> Vec<(Duration, Duration, Duration)> {
    let mut detector = SpeechDetector::new(AudioFormat::MULAW_8K, Duration::from_millis(600));
    let mut changes = Vec::new();
    let mut begun = (Duration::ZERO, Duration::ZERO);
    let mut utterances = Vec::new();
    let mut now = Duration::ZERO;
    for frame in stream.chunks(160) {
        now += FRAME;
        detector.push(frame, &mut changes);
        for change in changes.drain(..) {
            match change {
                SpeechChange::Began { at } => begun = (at, now),
                SpeechChange::Ended { at } => utterances.push((begun.0, begun.1, at)),
            }
        }
    }
    utterances
}
