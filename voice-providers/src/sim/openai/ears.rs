//! The fake's ears and throat: formats as declared, turned from and into mu-law at 8 kHz.

use serde_json::Value;
use voice_core::audio::{AudioFormat, g711};

/// The format with this declaration.
pub(super) fn format_of(declared: &Value) -> Option<AudioFormat> {
    match declared["type"].as_str()? {
        "audio/pcmu" => Some(AudioFormat::MULAW_8K),
        "audio/pcma" => Some(AudioFormat::ALAW_8K),
        "audio/pcm" => Some(AudioFormat::PCM16_24K),
        _ => None,
    }
}

/// Whatever it is, as mu-law at 8 kHz. Three samples of PCM become one; good enough for ears that
/// only listen to how loud it is.
pub(super) fn to_mulaw(format: AudioFormat, audio: &[u8]) -> Vec<u8> {
    if format == AudioFormat::ALAW_8K {
        let mut mulaw = vec![0; audio.len()];
        g711::alaw_to_mulaw(audio, &mut mulaw);
        return mulaw;
    }
    if format == AudioFormat::MULAW_8K {
        return audio.to_vec();
    }
    let samples: Vec<i32> =
        audio.chunks_exact(2).map(|s| i32::from(i16::from_le_bytes([s[0], s[1]]))).collect();
    samples
        .chunks(3)
        .map(|three| {
            let mean = three.iter().sum::<i32>() / three.len() as i32;
            g711::linear_to_mulaw(mean.clamp(-32_768, 32_767) as i16)
        })
        .collect()
}

/// Mu-law at 8 kHz in the wanted format. One sample becomes three, in a straight line to the next.
pub(super) fn from_mulaw(format: AudioFormat, mulaw: &[u8]) -> Vec<u8> {
    if format == AudioFormat::ALAW_8K {
        let mut alaw = vec![0; mulaw.len()];
        g711::mulaw_to_alaw(mulaw, &mut alaw);
        return alaw;
    }
    if format == AudioFormat::MULAW_8K {
        return mulaw.to_vec();
    }
    let mut pcm = Vec::with_capacity(mulaw.len() * 6);
    for (at, code) in mulaw.iter().enumerate() {
        let here = i32::from(g711::mulaw_to_linear(*code));
        let next = i32::from(g711::mulaw_to_linear(*mulaw.get(at + 1).unwrap_or(code)));
        for third in 0..3 {
            let sample = here + (next - here) * third / 3;
            pcm.extend_from_slice(&(sample as i16).to_le_bytes());
        }
    }
    pcm
}

#[cfg(test)]
mod tests {
    use super::*;
    use voice_core::sim::speech;

    #[test]
    fn a_sentence_is_recognised_in_every_format() {
        for format in [AudioFormat::MULAW_8K, AudioFormat::ALAW_8K, AudioFormat::PCM16_24K] {
            for clip in speech::CALLER {
                let there = from_mulaw(format, clip.mulaw);
                assert_eq!(there.len(), clip.mulaw.len() * format.bytes_per_ms() / 8);
                let back = to_mulaw(format, &there);
                let heard = speech::recognise(&back).map(|clip| clip.name);
                assert_eq!(heard, Some(clip.name), "{format}");
            }
        }
    }
}
