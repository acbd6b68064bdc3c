//! G.711, the codec of the telephone: mu-law and A-law, one byte a sample.
//!
//! All decoders in the world agree. Encoders do not: they round the low bits in different ways, by one
//! code step at most. Ours is, for mu-law, the symmetric 16-bit encoder (bias 132, clip 32635), because
//! the ones that floor turn a hair of negative noise (−1…−3) into −8, an audible hiss in what should be
//! silence; for A-law, the encoder of the ITU's software tools, which Sun's and CPython's equal.
//! (Protocol notes, G.711 §3, where they are compared sample by sample.)
//!
//! One code does not survive decoding and encoding: mu-law `0x7f` (−0) comes back as `0xff` (+0). Both
//! sound the same.

/// Decodes one mu-law code to a 16-bit sample.
pub const fn mulaw_to_linear(code: u8) -> i16 {
    MULAW_LINEAR[code as usize]
}

/// Decodes one A-law code to a 16-bit sample.
pub const fn alaw_to_linear(code: u8) -> i16 {
    ALAW_LINEAR[code as usize]
}

/// Encodes one 16-bit sample in mu-law.
///
/// A code is a floating-point number: three bits of exponent, four of mantissa. So the sample is made one, and the
/// bits are taken out of it, which compilers do for many samples at once; a table they must ask for one by one.
pub const fn linear_to_mulaw(sample: i16) -> u8 {
    let magnitude = sample.unsigned_abs() as i32;
    let clipped = if magnitude < MULAW_CLIP { magnitude } else { MULAW_CLIP };
    !(segment_and_step(clipped + MULAW_BIAS) as u8) ^ sign_bit(sample)
}

/// Encodes one 16-bit sample in A-law.
pub const fn linear_to_alaw(sample: i16) -> u8 {
    let magnitude = (sample ^ (sample >> 15)) as i32;
    // The first two segments share a step, so there the code is the number itself.
    let linear = magnitude >> 4;
    let linear = if linear < 16 { linear } else { 16 };
    let code = segment_and_step(magnitude);
    let code = if code > linear { code } else { linear };
    (code as u8 | 0x80) ^ ALAW_FLIP ^ sign_bit(sample)
}

/// Of a number from 128 on: how many times 128 is to be doubled for it, and the sixteenths above that, as a float
/// has them in the lowest bit of its exponent and the highest four of its mantissa. Of smaller numbers: less than 0.
const fn segment_and_step(number: i32) -> i32 {
    const BITS_BELOW: u32 = 23 - 4;
    const OF_128: i32 = (127 + 7) << 4;
    ((number as f32).to_bits() >> BITS_BELOW) as i32 - OF_128
}

/// Decodes mu-law.
///
/// # Panics
///
/// If the slices differ in length, as `copy_from_slice` does. So do all functions here that take two.
pub fn mulaw_decode(codes: &[u8], samples: &mut [i16]) {
    map(codes, samples, mulaw_to_linear);
}

/// Decodes A-law.
pub fn alaw_decode(codes: &[u8], samples: &mut [i16]) {
    map(codes, samples, alaw_to_linear);
}

/// Encodes mu-law.
pub fn mulaw_encode(samples: &[i16], codes: &mut [u8]) {
    map(samples, codes, linear_to_mulaw);
}

/// Encodes A-law.
pub fn alaw_encode(samples: &[i16], codes: &mut [u8]) {
    map(samples, codes, linear_to_alaw);
}

/// Turns mu-law into A-law, as if decoded and encoded.
pub fn mulaw_to_alaw(mulaw: &[u8], alaw: &mut [u8]) {
    map(mulaw, alaw, |code| ALAW_OF_MULAW[code as usize]);
}

/// Turns A-law into mu-law, as if decoded and encoded.
pub fn alaw_to_mulaw(alaw: &[u8], mulaw: &mut [u8]) {
    map(alaw, mulaw, |code| MULAW_OF_ALAW[code as usize]);
}

/// Sum of the squares of mu-law samples (16-bit scale). Divided by their number it is the mean square.
pub fn mulaw_energy(codes: &[u8]) -> u64 {
    energy(codes, &MULAW_SQUARE)
}

/// Sum of the squares of A-law samples (16-bit scale).
pub fn alaw_energy(codes: &[u8]) -> u64 {
    energy(codes, &ALAW_SQUARE)
}

fn map<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) {
    assert_eq!(from.len(), to.len(), "a sample for every code");
    for (a, b) in from.iter().zip(to) {
        *b = f(*a);
    }
}

fn energy(codes: &[u8], squares: &[u32; 256]) -> u64 {
    // Four sums, so that no addition waits for the one before it.
    let mut sums = [0_u64; 4];
    let mut quads = codes.chunks_exact(4);
    for quad in &mut quads {
        for (sum, code) in sums.iter_mut().zip(quad) {
            *sum += u64::from(squares[*code as usize]);
        }
    }
    let rest: u64 = quads.remainder().iter().map(|code| u64::from(squares[*code as usize])).sum();
    sums.iter().sum::<u64>() + rest
}

/// Both laws send the sign as the highest bit, set for positive samples.
const fn sign_bit(sample: i16) -> u8 {
    (sample.cast_unsigned() >> 8) as u8 & 0x80
}

const MULAW_BIAS: i32 = 132;
const MULAW_CLIP: i32 = 32_635;
/// A-law sends every other bit inverted, which kept the old lines' clocks alive.
const ALAW_FLIP: u8 = 0x55;

static MULAW_LINEAR: [i16; 256] = mulaw_linear();
static ALAW_LINEAR: [i16; 256] = alaw_linear();
static ALAW_OF_MULAW: [u8; 256] = alaw_of_mulaw();
static MULAW_OF_ALAW: [u8; 256] = mulaw_of_alaw();
static MULAW_SQUARE: [u32; 256] = squares(&mulaw_linear());
static ALAW_SQUARE: [u32; 256] = squares(&alaw_linear());

const fn mulaw_linear() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !(code as u8);
        let magnitude = ((((bits & 0x0f) as i32) << 3) + MULAW_BIAS) << ((bits >> 4) & 7);
        let value = magnitude - MULAW_BIAS;
        table[code] = if bits & 0x80 == 0 { value as i16 } else { -value as i16 };
        code += 1;
    }
    table
}

const fn alaw_linear() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = code as u8 ^ ALAW_FLIP;
        let segment = (bits >> 4) & 7;
        let step = (((bits & 0x0f) as i32) << 4) + 8;
        let value = if segment == 0 { step } else { (step + 256) << (segment - 1) };
        table[code] = if bits & 0x80 == 0 { -value as i16 } else { value as i16 };
        code += 1;
    }
    table
}

const fn alaw_of_mulaw() -> [u8; 256] {
    let linear = mulaw_linear();
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = linear_to_alaw(linear[code]);
        code += 1;
    }
    table
}

const fn mulaw_of_alaw() -> [u8; 256] {
    let linear = alaw_linear();
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = linear_to_mulaw(linear[code]);
        code += 1;
    }
    table
}

const fn squares(linear: &[i16; 256]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let value = linear[code] as i32;
        table[code] = (value * value) as u32;
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_silent() {
        assert_eq!((mulaw_to_linear(0xff), mulaw_to_linear(0x7f)), (0, 0));
        assert_eq!((alaw_to_linear(0xd5), alaw_to_linear(0x55)), (8, -8));
        assert_eq!((linear_to_mulaw(0), linear_to_mulaw(-1)), (0xff, 0x7f));
        assert_eq!((linear_to_alaw(0), linear_to_alaw(-1)), (0xd5, 0x55));
        assert_eq!(mulaw_energy(&[0xff, 0x7f, 0xff, 0x7f, 0xff]), 0);
        assert_eq!(alaw_energy(&[0xd5; 5]), 5 * 64);
    }

    #[test]
    fn full_scale_clips_instead_of_wrapping() {
        assert_eq!((linear_to_mulaw(i16::MAX), linear_to_mulaw(i16::MIN)), (0x80, 0x00));
        assert_eq!((linear_to_alaw(i16::MAX), linear_to_alaw(i16::MIN)), (0xaa, 0x2a));
        assert_eq!((mulaw_to_linear(0x80), mulaw_to_linear(0x00)), (32_124, -32_124));
        assert_eq!((alaw_to_linear(0xaa), alaw_to_linear(0x2a)), (32_256, -32_256));
    }

    #[test]
    fn tandem_coding_loses_nothing_but_the_negative_zero() {
        for code in 0..=u8::MAX {
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(linear_to_mulaw(mulaw_to_linear(code)), expected);
            assert_eq!(linear_to_alaw(alaw_to_linear(code)), code);
        }
    }

    #[test]
    fn laws_are_exchanged_as_if_decoded_and_encoded() {
        let codes: Vec<u8> = (0..=u8::MAX).collect();
        let mut samples = vec![0; 256];
        let mut expected = vec![0; 256];
        let mut direct = vec![0; 256];

        mulaw_decode(&codes, &mut samples);
        alaw_encode(&samples, &mut expected);
        mulaw_to_alaw(&codes, &mut direct);
        assert_eq!(direct, expected);

        alaw_decode(&codes, &mut samples);
        mulaw_encode(&samples, &mut expected);
        alaw_to_mulaw(&codes, &mut direct);
        assert_eq!(direct, expected);
    }

    #[test]
    fn energy_is_the_sum_of_squares() {
        let codes: Vec<u8> = (0..=u8::MAX).chain(0..99).collect();
        let sum = |f: fn(u8) -> i16| codes.iter().map(|c| i64::from(f(*c)).pow(2) as u64).sum::<u64>();
        assert_eq!(mulaw_energy(&codes), sum(mulaw_to_linear));
        assert_eq!(alaw_energy(&codes), sum(alaw_to_linear));
    }
}
