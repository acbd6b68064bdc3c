//! Between mu-law at 8 kHz, which the fake's ears and clips have, and what was declared.

use voice_core::audio::g711::{alaw_to_mulaw, linear_to_mulaw, mulaw_to_linear};

use super::schema::Sound;

/// What the caller said, as the fake's ears take it. Simple decimation: they go by loudness.
pub(super) fn to_mulaw(sound: &Sound, bytes: &[u8], half: &mut Option<u8>) -> Vec<u8> {
    match sound.encoding.as_str() {
        "alaw" => {
            let mut mulaw = vec![0; bytes.len()];
            alaw_to_mulaw(bytes, &mut mulaw);
            mulaw
        }
        "linear16" => {
            let mut whole: Vec<u8> = half.take().into_iter().chain(bytes.iter().copied()).collect();
            if whole.len() % 2 == 1 {
                *half = whole.pop();
            }
            let every = sound.rate / 8_000;
            whole
                .chunks_exact(2)
                .step_by(every)
                .map(|sample| linear_to_mulaw(i16::from_le_bytes([sample[0], sample[1]])))
                .collect()
        }
        _ => bytes.to_vec(),
    }
}

/// A clip in the declared form.
pub(super) fn from_mulaw(sound: &Sound, mulaw: &[u8]) -> Vec<u8> {
    if sound.encoding != "linear16" {
        return mulaw.to_vec();
    }
    let times = sound.rate / 8_000;
    mulaw
        .iter()
        .flat_map(|code| std::iter::repeat_n(mulaw_to_linear(*code), times))
        .flat_map(i16::to_le_bytes)
        .collect()
}
