//! Base64 of audio, with the vector instructions of the machine where there are any.

use std::sync::LazyLock;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::PAD;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use ::base64::engine::simd::Simd as Best;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use ::base64::{alphabet::STANDARD, engine::GeneralPurpose as Best};

/// Which instructions there are is asked once.
static ENGINE: LazyLock<Best> = LazyLock::new(engine);

/// Appends the encoded bytes. Allocates nothing if the string has [`encoded_len`] bytes to spare.
pub(crate) fn encode_into(bytes: &[u8], text: &mut String) {
    ENGINE.encode_string(bytes, text);
}

/// How many bytes of text so many bytes become.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// The bytes, if it is base64. White space at either end is tolerated, because it has been seen.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let encoded = text.trim_ascii().as_bytes();
    let padding = encoded.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let length = (encoded.len() / 4 * 3).checked_sub(padding)?;
    // Exactly as long as needed, so that `Bytes` takes the buffer over without a second allocation.
    let mut bytes = vec![0; length];
    let written = ENGINE.decode_slice(encoded, &mut bytes).ok()?;
    (written == length).then_some(bytes)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn engine() -> Best {
    Best::standard(PAD)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn engine() -> Best {
    Best::new(&STANDARD, PAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for length in [0, 1, 2, 3, 160, 161, 960, 5_000] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7 % 256) as u8).collect();
            let mut text = String::with_capacity(encoded_len(length));
            let room = text.capacity();
            encode_into(&bytes, &mut text);
            assert_eq!((text.len(), text.capacity()), (encoded_len(length), room));
            assert_eq!(decode(&format!("{text}\n")).as_deref(), Some(bytes.as_slice()));
        }
        assert_eq!(decode("AAA"), None);
        assert_eq!(decode("not base64!"), None);
    }
}
