//! Many requests that are nearly right: none gets in a second time, none makes anything panic.
//!
//! 20,000 of them by default. A million:
//!
//! ```sh
//! VOICE_FUZZ_REQUESTS=1000000 cargo test --release -p voice-telephony --test it fuzzed_door
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use voice_core::sensitive::Secret;
use voice_core::sim::rng::Rng;
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::door::{Arrival, Door, DoorSettings, Fingerprint, Replays, TurnedAway};
use voice_telephony::twilio::{CARRIER, Tokens, TwilioWebhook, verify_upgrade};
use voice_telephony::webhook::{RawRequest, Rejection, verify};

const TOKEN: &str = "5a1c0de5a1c0de5a1c0de5a1c0de5a1c";
const HOOK: &str = "https://voice.example/api/v1/telephony/webhooks/twilio";

/// A request as it lies on the wire, which can be changed anywhere.
#[derive(Clone, Debug)]
struct Wire {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Wire {
    fn header(&mut self, name: &str) -> Option<&mut String> {
        self.headers.iter_mut().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    fn with<T>(&self, then: impl FnOnce(&RawRequest<'_>) -> T) -> T {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        then(&RawRequest { method: &self.method, url: &self.url, headers: &headers, body: &self.body })
    }
}

/// Signed by the book, of this file's own writing.
fn signed(url: &str, parameters: &[(&str, String)]) -> Wire {
    let mut text = url.to_owned();
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort();
    sorted.iter().for_each(|(name, value)| write!(text, "{name}{value}").expect("to a string"));
    let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    let body: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('+', "%2B").replace(' ', "+")))
        .collect();
    let headers = [
        ("x-twilio-signature", STANDARD.encode(mac.finalize().into_bytes())),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("i-twilio-idempotency-token", "5a0c8e10-0f5e".to_owned()),
    ];
    Wire {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        body: body.join("&").into_bytes(),
    }
}

/// A request that all is right with.
fn valid(rng: &mut Rng) -> Wire {
    let sid = |prefix: &str, rng: &mut Rng| format!("{prefix}{:016x}{:016x}", rng.bits(), rng.bits());
    let mut parameters = vec![
        ("CallSid", sid("CA", rng)),
        ("AccountSid", sid("AC", rng)),
        ("From", format!("+1500555{:04}", rng.bits() % 10_000)),
        ("To", "+15005550006".to_owned()),
        ("CallStatus", "ringing".to_owned()),
        ("Direction", "inbound".to_owned()),
        ("CallerName", "A Caller".to_owned()),
        ("FromCity", String::new()),
    ];
    match rng.bits() % 3 {
        0 => parameters.push(("SequenceNumber", "2".to_owned())),
        1 => parameters.extend([("StreamSid", sid("MZ", rng)), ("StreamEvent", "stream-started".to_owned())]),
        _ => {}
    }
    let url = if rng.bits().is_multiple_of(4) { format!("{HOOK}?tenant=7&x=%20a") } else { HOOK.to_owned() };
    signed(&url, &parameters)
}

fn pick(rng: &mut Rng, below: usize) -> usize {
    usize::try_from(rng.bits() % below.max(1) as u64).expect("below a usize")
}

/// Changes bytes: flips, cuts, doubles, moves, inserts.
fn mangle(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = pick(rng, bytes.len());
    match rng.bits() % 7 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << (rng.bits() % 8),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, (rng.bits() % 256) as u8),
        3 if !bytes.is_empty() => {
            bytes.remove(at);
        }
        4 => {
            let piece = bytes[at..(at + 1 + pick(rng, 20)).min(bytes.len())].to_vec();
            bytes.extend(piece);
        }
        5 => bytes.rotate_left(at),
        _ => {
            let other = pick(rng, bytes.len());
            if at < bytes.len() && other < bytes.len() {
                bytes.swap(at, other);
            }
        }
    }
}

fn mangle_text(rng: &mut Rng, text: &mut String) {
    let mut bytes = std::mem::take(text).into_bytes();
    mangle(rng, &mut bytes);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

/// One thing about a request is changed, in a way an attacker would try.
fn tamper(rng: &mut Rng, wire: &mut Wire, other: &Wire) {
    match rng.bits() % 16 {
        0..=3 => mangle(rng, &mut wire.body),
        4 | 5 => mangle_text(rng, &mut wire.url),
        6 | 7 => {
            if let Some(signature) = wire.header("x-twilio-signature") {
                mangle_text(rng, signature);
            }
        }
        8 => wire.method = ["GET", "PUT", "post", "", "OPTIONS"][pick(rng, 5)].to_owned(),
        9 => {
            let at = pick(rng, wire.headers.len());
            wire.headers.remove(at);
        }
        10 => {
            let kind = [
                "application/json",
                "text/plain",
                "multipart/form-data",
                "APPLICATION/X-WWW-FORM-URLENCODED ; a",
            ][pick(rng, 4)];
            wire.headers.retain(|(name, _)| name != "content-type");
            wire.headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        11 => wire.headers.push((
            "x-twilio-webhooks-signature-settings".to_owned(),
            ["key=,algorithm=HMAC_SHA1", "key=k,algorithm=NONE", "", "algorithm=HMAC_SHA256"][pick(rng, 4)]
                .to_owned(),
        )),
        12 => wire.body.extend_from_slice(b"&CallStatus=completed&To=%2B19005550000"),
        13 => wire.url.push_str(["?", "#a", "/", "?bodySHA256=00", ":443", "/../x"][pick(rng, 6)]),
        // The body of one request under the signature of another.
        14 => wire.body.clone_from(&other.body),
        // What is not signed, so that it is taken for a new one.
        _ => {
            if let Some(token) = wire.header("i-twilio-idempotency-token") {
                mangle_text(rng, token);
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    In,
    Again,
    Away(&'static str),
}

/// All layers, as a server would ask them.
struct House {
    door: Door,
    replays: Replays<()>,
    tokens: Tokens,
}

impl House {
    fn receive(&mut self, now: MonoTime, wire: &Wire) -> Outcome {
        match self.admit(now, wire) {
            Ok(true) => Outcome::In,
            Ok(false) => Outcome::Again,
            Err(away) => Outcome::Away(away.name()),
        }
    }

    fn admit(&mut self, now: MonoTime, wire: &Wire) -> Result<bool, TurnedAway> {
        let address = std::net::IpAddr::from([192, 0, 2, 1]);
        self.door.knock(now, CARRIER, address)?;
        wire.with(|request| {
            verify::<TwilioWebhook>(&self.tokens, request, UnixMillis(0))?;
            let signature = request.header("x-twilio-signature").unwrap_or_default();
            let print = Fingerprint::of(&[CARRIER.as_bytes(), signature.as_bytes()]);
            match self.replays.arrive(now, print, request.header("i-twilio-idempotency-token")) {
                Arrival::First => {
                    self.replays.answered(now, print, ());
                    Ok(true)
                }
                Arrival::Again(()) => Ok(false),
                Arrival::Underway | Arrival::Replayed => Err(TurnedAway::Replayed),
            }
        })
    }
}

fn requests() -> u64 {
    std::env::var("VOICE_FUZZ_REQUESTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

#[test]
fn no_tampered_request_gets_in() {
    let settings = DoorSettings { address: None, carrier: None, lists: None };
    let mut house = House {
        door: Door::new(settings),
        replays: Replays::default(),
        tokens: Tokens::new(Secret::new(TOKEN.to_owned())),
    };
    let mut rng = Rng::new(4);
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    let mut other = valid(&mut rng);
    let mut now = MonoTime::ZERO;
    for number in 0..requests().div_ceil(10) {
        let honest = valid(&mut rng);
        now = MonoTime::from_millis(number);
        assert_eq!(house.receive(now, &honest), Outcome::In, "{honest:?}");
        for _ in 0..10 {
            let mut wire = honest.clone();
            for _ in 0..=rng.bits() % 3 {
                tamper(&mut rng, &mut wire, &other);
            }
            let outcome = house.receive(now, &wire);
            assert_ne!(outcome, Outcome::In, "request {number}: {wire:?} after {honest:?}");
            *outcomes.entry(outcome).or_default() += 1;
        }
        other = honest;
    }
    // Refusals for every reason did happen, and so did harmless repetitions.
    let reasons = ["bad_signature", "missing_signature", "method", "malformed", "replayed"];
    for reason in reasons.map(Outcome::Away).iter().chain([&Outcome::Again]) {
        assert!(outcomes.contains_key(reason), "{reason:?} in {outcomes:?}");
    }
    // A print that was forgotten for want of room would be new again: not the newest ones.
    assert_eq!(house.receive(now, &other), Outcome::Again);
}

/// Requests that were never signed at all, of any shape, and upgrades.
#[test]
fn nothing_gets_in_without_the_key() {
    let stranger = Tokens::new(Secret::new("another token".to_owned()));
    let mut rng = Rng::new(5);
    for number in 0..requests().div_ceil(10) {
        let mut wire = valid(&mut rng);
        for _ in 0..rng.bits() % 4 {
            let other = wire.clone();
            tamper(&mut rng, &mut wire, &other);
        }
        wire.with(|request| {
            let read = verify::<TwilioWebhook>(&stranger, request, UnixMillis(0));
            assert!(
                matches!(read, Err(ref why) if !matches!(why, Rejection::NoKey)),
                "{number}: {wire:?} {read:?}"
            );
            let closed = verify::<TwilioWebhook>(&Tokens::default(), request, UnixMillis(0));
            assert!(closed.is_err(), "{number}");
            assert!(verify_upgrade(&stranger, request.url, request.headers).is_err(), "{number}");
        });
    }
}
