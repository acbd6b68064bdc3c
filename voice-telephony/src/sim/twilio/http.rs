//! Requests as Twilio makes them: form-encoded and signed. Written apart from the validator it tests.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use voice_core::wire::Endpoint;

use crate::sim::rudeness::Rudeness;

/// Everything that requests of one call have in common.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) token: voice_core::sensitive::Secret<String>,
    pub(super) rudeness: Vec<Rudeness>,
}

impl Signer {
    /// A form POST with these parameters.
    pub(super) fn post(&self, url: &str, parameters: &[(&str, String)]) -> Endpoint {
        let body: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let signature = self.signature(url, parameters);
        let is_unsigned = self.has(Rudeness::Unsigned);
        let is_wrong = self.has(Rudeness::WrongSignature);
        // The fragment holds connection settings; it is neither sent nor signed.
        let sent_to = url.split('#').next().unwrap_or(url);
        let endpoint = Endpoint::post(sent_to, body.join("&").into_bytes())
            .header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
            .header("User-Agent", "TwilioProxy/1.1")
            .header("I-Twilio-Idempotency-Token", "5a0c8e10-0f5e-4d2a-9a57-6c1d2e3f4a5b");
        self.signed(endpoint, signature, is_unsigned, is_wrong)
    }

    /// The upgrade of a media socket. Twilio sends no `Origin`, and strips the query.
    pub(super) fn upgrade(&self, url: &str) -> Endpoint {
        let url = url.split(['?', '#']).next().unwrap_or(url);
        let signature = self.signature(url, &[]);
        let is_unsigned = self.has(Rudeness::UnsignedUpgrade);
        let is_wrong = self.has(Rudeness::WrongUpgradeSignature);
        self.signed(Endpoint::web_socket(url), signature, is_unsigned, is_wrong)
    }

    fn signed(&self, endpoint: Endpoint, signature: String, is_unsigned: bool, is_wrong: bool) -> Endpoint {
        let name =
            if self.has(Rudeness::LowerCaseHeader) { "x-twilio-signature" } else { "X-Twilio-Signature" };
        match (is_unsigned, is_wrong) {
            (true, _) => endpoint,
            (false, true) => endpoint.header(name, self.signature("https://elsewhere.example/", &[])),
            (false, false) => endpoint.header(name, signature),
        }
    }

    fn has(&self, rudeness: Rudeness) -> bool {
        self.rudeness.contains(&rudeness)
    }

    fn signature(&self, url: &str, parameters: &[(&str, String)]) -> String {
        let mut text = url.split('#').next().unwrap_or(url).to_owned();
        let mut sorted: Vec<&(&str, String)> = parameters.iter().collect();
        sorted.sort();
        for (name, value) in sorted {
            text.push_str(name);
            text.push_str(value);
        }
        let mut mac = Hmac::<Sha1>::new_from_slice(self.token.expose().as_bytes()).expect("any key length");
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            other => write!(encoded, "%{other:02X}").expect("writing to a string cannot fail"),
        }
    }
    encoded
}
