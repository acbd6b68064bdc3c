//! The settings of Telnyx: who it is, who we are there, and what is missing.

use voice_core::sensitive::Secret;
use voice_telephony::number::E164;
use voice_telephony::telnyx::{ConnectionId, PublicKey};

use super::check::{Check, Wrong, is_local, number, parse};
use super::settings::{self, Setting};

/// How to know Telnyx, and how to be known there.
#[derive(Clone, Debug, Default)]
pub struct TelnyxConfig {
    /// Commands calls; without it none can be answered or placed.
    pub api_key: Option<Secret<String>>,
    /// Verifies signatures; without it every webhook is refused.
    pub public_key: Option<PublicKey>,
    /// The application that calls of ours belong to; without it none are placed.
    pub connection: Option<ConnectionId>,
    /// What people see when we call them; without it no calls are placed.
    pub from_number: Option<E164>,
    /// Where its REST API is.
    pub api_url: Option<String>,
}

impl TelnyxConfig {
    pub(super) fn check(check: &mut Check) -> Self {
        Self {
            api_key: check.parse(&settings::TELNYX_API_KEY, api_key),
            public_key: check.parse(&settings::TELNYX_PUBLIC_KEY, public_key),
            connection: check.parse(&settings::TELNYX_CONNECTION_ID, connection),
            from_number: check.parse(&settings::TELNYX_FROM_NUMBER, number),
            api_url: check.parse(&settings::TELNYX_API_URL, api_url),
        }
    }

    /// What is allowed but probably not meant.
    pub(super) fn notices(&self, mut note: impl FnMut(&Setting, &str)) {
        let has_key = self.api_key.is_some();
        if has_key && self.public_key.is_none() {
            note(
                &settings::TELNYX_PUBLIC_KEY,
                "not set, so every webhook of Telnyx is refused; take it from the portal, beside the API keys",
            );
        }
        if self.public_key.is_some() && !has_key {
            note(&settings::TELNYX_API_KEY, "not set, so no call that comes over Telnyx can be answered");
        }
        if self.from_number.is_some() && !(has_key && self.connection.is_some()) {
            let missing = if has_key { &settings::TELNYX_CONNECTION_ID } else { &settings::TELNYX_API_KEY };
            note(missing, "not set, so no calls can be placed from TELNYX_FROM_NUMBER");
        }
    }
}

fn api_key(text: &str) -> Result<Secret<String>, Wrong> {
    parse::secret(text, "copy an API key (v2, it begins with KEY) from the Telnyx portal, or unset this")
}

fn public_key(text: &str) -> Result<PublicKey, Wrong> {
    let problem =
        |_| Wrong("it is not an Ed25519 public key of 32 bytes in base64".to_owned(), PUBLIC_KEY_FIX);
    text.parse().map_err(problem)
}

const PUBLIC_KEY_FIX: &str = "copy the public key from the Telnyx portal, where the API keys are";

fn connection(text: &str) -> Result<ConnectionId, Wrong> {
    const FIX: &str = "copy the number of the Voice API application from the Telnyx portal";
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong(format!("{text:?} is not the number of an application"), FIX));
    }
    text.parse().map_err(|_| Wrong("it is too long".to_owned(), FIX))
}

fn api_url(text: &str) -> Result<String, Wrong> {
    const FIX: &str = "leave it out, or write an address like https://api.telnyx.com/v2";
    let url = parse::address(text, &["http", "https"], FIX)?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(Wrong("it has more than scheme, host, port and path".to_owned(), FIX));
    }
    if url.scheme() == "http" && !is_local(text) {
        return Err(Wrong("http:// would send the API key unencrypted".to_owned(), "use https://"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
