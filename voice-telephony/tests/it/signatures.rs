//! Signatures of Twilio: every case of the vectors, and that no byte of a request can change.

use proptest::prelude::*;
use serde_json::Value;
use voice_core::sensitive::Secret;
use voice_core::time::UnixMillis;
use voice_telephony::twilio::{Tokens, TwilioWebhook, verify_upgrade};
use voice_telephony::webhook::{RawRequest, Rejection, verify};

const VECTORS: &str = include_str!("../fixtures/twilio-signatures.json");

/// The verdict on a request's signature alone, whatever its content.
fn verdict(tokens: &Tokens, request: &RawRequest<'_>) -> bool {
    match verify::<TwilioWebhook>(tokens, request, UnixMillis(0)) {
        // What was read after the signature was found right does not matter here.
        Ok(_) | Err(Rejection::Malformed { .. } | Rejection::ContentType) => true,
        Err(_) => false,
    }
}

/// The body as a client would send it: percent-encoded, spaces as `+`.
fn encode_form(params: &Value) -> String {
    let encode = |text: &Value| -> String {
        let text = text.as_str().expect("a string");
        text.bytes()
            .map(|b| match b {
                b' ' => "+".to_owned(),
                b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
                b => format!("%{b:02X}"),
            })
            .collect()
    };
    let pairs = params.as_array().expect("pairs");
    pairs
        .iter()
        .map(|pair| format!("{}={}", encode(&pair[0]), encode(&pair[1])))
        .collect::<Vec<_>>()
        .join("&")
}

fn check_vector(case: &Value) {
    let text = |name: &str| case[name].as_str();
    let secret = Secret::new(text("token").expect("a token").to_owned());
    let signature = text("signature").expect("a signature");
    let mut headers = vec![("X-Twilio-Signature", signature)];
    let settings =
        text("algorithm").map(|algorithm| format!("key=webhooks_sharedkey_1,algorithm={algorithm}"));
    let tokens = match &settings {
        Some(settings) => {
            headers.push(("X-Twilio-Webhooks-Signature-Settings", settings));
            Tokens::default().with_shared_key("webhooks_sharedkey_1", secret)
        }
        None => Tokens::new(secret),
    };
    let body = if case["params"].is_array() {
        headers.push(("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"));
        encode_form(&case["params"])
    } else if let Some(body) = text("body") {
        headers.push(("Content-Type", "application/json"));
        body.to_owned()
    } else {
        String::new()
    };
    let url = text("url").expect("a url");
    let method = text("method").expect("a method");
    let request = RawRequest { method, url, headers: &headers, body: body.as_bytes() };
    let valid = case["valid"].as_bool().expect("a verdict");
    assert_eq!(verdict(&tokens, &request), valid, "{}", case["id"]);
    if url.starts_with("wss:") {
        assert_eq!(verify_upgrade(&tokens, url, &headers).is_ok(), valid, "{}", case["id"]);
    }
}

#[test]
fn every_vector_has_its_verdict() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let cases = vectors["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 102);
    cases.iter().for_each(check_vector);
}

/// A signed request that all is right with.
struct Good {
    url: String,
    body: String,
    signature: String,
}

fn good() -> Good {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let cases = vectors["cases"].as_array().expect("cases");
    let case = cases.iter().find(|case| case["id"] == "voice-inbound-full").expect("that case");
    let text = |name: &str| case[name].as_str().expect("text").to_owned();
    assert_eq!(text("token"), TOKEN);
    Good { url: text("url"), body: encode_form(&case["params"]), signature: text("signature") }
}

const TOKEN: &str = "5a1c0de5a1c0de5a1c0de5a1c0de5a1c";

fn verdict_of(good: &Good, token: &str) -> Result<(), Rejection> {
    let headers = [
        ("x-twilio-signature", good.signature.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let request =
        RawRequest { method: "POST", url: &good.url, headers: &headers, body: good.body.as_bytes() };
    let tokens = Tokens::new(Secret::new(token.to_owned()));
    verify::<TwilioWebhook>(&tokens, &request, UnixMillis(0)).map(|_| ())
}

/// Another character in the place of one; never one that decodes to the same.
fn change(text: &str, at: usize, step: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    let others: Vec<u8> =
        (b'!'..=b'~').filter(|b| !b.eq_ignore_ascii_case(&bytes[at]) && !b"%+&=?".contains(b)).collect();
    bytes[at] = others[usize::from(step) % others.len()];
    String::from_utf8(bytes).expect("ASCII")
}

proptest! {
    #[test]
    fn one_changed_byte_never_verifies(part in 0_u8..4, at in 0_usize..4_096, step in any::<u8>()) {
        let mut request = good();
        prop_assert_eq!(verdict_of(&request, TOKEN), Ok(()));
        let mut token = TOKEN.to_owned();
        match part {
            0 => request.url = change(&request.url, at, step),
            1 => request.signature = change(&request.signature, at, step),
            2 => token = change(&token, at, step),
            _ => {
                // Moving a boundary between two parameters, or a name from one end to the other, signs
                // alike by design; so only a byte of a value changes here.
                let start = request.body.find("CallSid=").expect("a CallSid") + "CallSid=".len();
                let value = change(&request.body[start..start + 34], at, step);
                request.body.replace_range(start..start + 34, &value);
            }
        }
        prop_assert_eq!(verdict_of(&request, &token), Err(Rejection::BadSignature));
    }
}

#[test]
fn an_unsigned_request_is_told_apart_from_a_forged_one() {
    let Good { url, body, .. } = good();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let request = RawRequest { method: "POST", url: &url, headers: &headers, body: body.as_bytes() };
    let refused = |tokens: Tokens| verify::<TwilioWebhook>(&tokens, &request, UnixMillis(0)).map(|_| ());
    assert_eq!(refused(Tokens::new(Secret::new(TOKEN.to_owned()))), Err(Rejection::MissingSignature));
    assert_eq!(refused(Tokens::default()), Err(Rejection::NoKey));
}
