//! G.711 against tables made by other implementations: every sample and every code.

use voice_core::audio::g711;

#[test]
fn all_codes_decode_to_the_sample_everybody_gives() {
    let mut samples = [0; 256];
    let codes: Vec<u8> = (0..=u8::MAX).collect();
    g711::mulaw_decode(&codes, &mut samples);
    assert_eq!(samples.to_vec(), decoded("mulaw decode"));
    g711::alaw_decode(&codes, &mut samples);
    assert_eq!(samples.to_vec(), decoded("alaw decode"));
}

#[test]
fn all_samples_encode_as_the_chosen_encoder_does() {
    assert_eq!(ours(g711::mulaw_encode), encoded("mulaw encode classic16"));
    assert_eq!(ours(g711::alaw_encode), encoded("alaw encode itu"));
}

#[test]
fn other_encoders_are_at_most_one_step_away() {
    let laws: [(&str, Encode, &[&str]); 2] = [
        ("mulaw", g711::mulaw_encode, &["audioop", "ffmpeg", "sox", "itu_stl"]),
        ("alaw", g711::alaw_encode, &["ffmpeg", "sox"]),
    ];
    for (law, encode, others) in laws {
        let steps = steps(&decoded(&format!("{law} decode")));
        for other in others {
            let theirs = encoded(&format!("{law} encode {other}"));
            let mut different = 0;
            for (mine, theirs) in ours(encode).iter().zip(&theirs) {
                let apart = steps[*mine as usize].abs_diff(steps[*theirs as usize]);
                assert!(apart <= 1, "{law} {other}: {mine:#x} and {theirs:#x}");
                different += usize::from(mine != theirs);
            }
            assert!((1..1_100).contains(&different), "{law} {other} differs on {different} samples");
        }
    }
}

type Encode = fn(&[i16], &mut [u8]);

fn ours(encode: Encode) -> Vec<u8> {
    let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let mut codes = vec![0; samples.len()];
    encode(&samples, &mut codes);
    codes
}

/// The place of each code when they are ordered by their samples; both zeros of mu-law share one.
fn steps(decoded: &[i16]) -> Vec<usize> {
    let mut levels = decoded.to_vec();
    levels.sort_unstable();
    levels.dedup();
    decoded.iter().map(|sample| levels.binary_search(sample).expect("it is one of them")).collect()
}

fn decoded(name: &str) -> Vec<i16> {
    line(name).map(|sample| sample.parse().expect("a sample")).collect()
}

fn encoded(name: &str) -> Vec<u8> {
    let runs = line(name).map(|run| run.split_once('*').expect("code and length"));
    runs.flat_map(|(code, length)| {
        let code = u8::from_str_radix(code, 16).expect("a code");
        vec![code; length.parse().expect("a length")]
    })
    .collect()
}

fn line(name: &str) -> impl Iterator<Item = &'static str> {
    let lines = include_str!("fixtures/g711.txt").lines().filter_map(|line| line.split_once(": "));
    let (_, values) = lines.into_iter().find(|(n, _)| *n == name).expect("the fixture has this line");
    values.split(' ')
}
