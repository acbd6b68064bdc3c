//! Gemini Live.

use std::sync::Arc;

use voice_core::provider::Provider;
use voice_providers::gemini::{Gemini, GeminiSettings};

use super::{FakeAddresses, Kind};
use crate::config::settings::{self, Setting};
use crate::config::{Check, parse};

pub(super) static KIND: Kind = Kind {
    name: "gemini",
    title: "Gemini Live",
    key: &settings::GEMINI_API_KEY,
    missing,
    configure,
    pretend,
};

fn missing(check: &Check) -> Option<&'static str> {
    (!check.is_set(&settings::GEMINI_API_KEY)).then_some("GEMINI_API_KEY")
}

fn configure(check: &mut Check) -> Option<Arc<dyn Provider>> {
    let key = check.parse(&settings::GEMINI_API_KEY, |text| {
        parse::secret(text, "create a key at aistudio.google.com and paste it whole, or unset this")
    });
    let url = check.parse(&settings::GEMINI_LIVE_URL, parse::web_socket_url);
    let model = check.parse(&settings::GEMINI_MODEL, parse::name);
    let voice = check.parse(&settings::GEMINI_VOICE, parse::name);
    check.warn_of_plain_text(&settings::GEMINI_LIVE_URL, url.as_deref());
    let settings = GeminiSettings::new(key?).url(url?).model(model?).voice(voice?).build();
    let settings = check.together(KIND.name, settings)?;
    Some(Arc::new(Gemini::new(settings)))
}

fn pretend(fakes: &FakeAddresses) -> Vec<(&'static Setting, String)> {
    vec![
        (&settings::GEMINI_API_KEY, "AIza-demo".to_owned()),
        (&settings::GEMINI_LIVE_URL, format!("ws://{}", fakes.gemini)),
    ]
}
