//! What both uses of Deepgram share.

use voice_core::sensitive::Secret;
use voice_providers::deepgram::Credential;

use super::FakeAddresses;
use crate::config::settings::{self, Setting};
use crate::config::{Check, parse};

/// Where Deepgram is, who we are to it, who listens and who speaks.
pub(super) struct Deepgram {
    pub(super) key: Secret<String>,
    /// Scheme and host, instead of Deepgram's own.
    pub(super) url: Option<String>,
    pub(super) ears: String,
    pub(super) voice: String,
}

impl Deepgram {
    pub(super) fn read(check: &mut Check) -> Option<Self> {
        let key = check.parse(&settings::DEEPGRAM_API_KEY, |text| {
            parse::secret(text, "create a key at console.deepgram.com and paste it whole, or unset this")
        });
        let given = check.is_set(&settings::DEEPGRAM_URL);
        let url = check.parse(&settings::DEEPGRAM_URL, parse::web_socket_host);
        check.warn_of_plain_text(&settings::DEEPGRAM_URL, url.as_deref());
        let ears = check.parse(&settings::DEEPGRAM_LISTEN_MODEL, parse::name);
        let voice = check.parse(&settings::DEEPGRAM_VOICE, parse::name);
        if given && url.is_none() {
            return None;
        }
        let ears = match ears? {
            // The model of the default understands English only.
            model if model == "auto" => match check.language() {
                Some(language) if !language.starts_with("en") => "flux-general-multi".to_owned(),
                Some(_) | None => "flux-general-en".to_owned(),
            },
            model => model,
        };
        Some(Self { key: key?, url, ears, voice: voice? })
    }

    pub(super) fn credential(&self) -> Credential {
        Credential::ApiKey(self.key.clone())
    }

    pub(super) fn has_flux(&self) -> bool {
        self.ears.starts_with("flux")
    }
}

pub(super) fn pretend(fakes: &FakeAddresses) -> Vec<(&'static Setting, String)> {
    vec![
        (&settings::DEEPGRAM_API_KEY, "dg-demo".to_owned()),
        (&settings::DEEPGRAM_URL, format!("ws://{}", fakes.deepgram)),
    ]
}
