//! Deepgram hears and speaks; any OpenAI-compatible chat model thinks.

use std::sync::Arc;

use voice_core::provider::Provider;
use voice_core::sensitive::Secret;
use voice_providers::deepgram::pipeline::{EarsModel, Pipeline, PipelineSettings};
use voice_providers::llm::ChatEndpoint;

use super::deepgram::{self, Deepgram};
use super::{FakeAddresses, Kind};
use crate::config::settings::{self, Setting};
use crate::config::{Check, parse};

pub(super) static KIND: Kind = Kind {
    name: "deepgram-pipeline",
    title: "Deepgram pipeline with a chat model",
    key: &settings::DEEPGRAM_API_KEY,
    missing,
    configure,
    pretend,
};

fn missing(check: &Check) -> Option<&'static str> {
    if !check.is_set(&settings::DEEPGRAM_API_KEY) {
        Some("DEEPGRAM_API_KEY")
    } else if !check.is_set(&settings::LLM_API_KEY) && !check.is_set(&settings::LLM_URL) {
        Some("LLM_API_KEY (or LLM_URL, for a server of your own that takes no key)")
    } else {
        None
    }
}

fn configure(check: &mut Check) -> Option<Arc<dyn Provider>> {
    let deepgram = Deepgram::read(check);
    let first = mind(check, &settings::LLM_URL, &settings::LLM_MODEL, &settings::LLM_API_KEY);
    let second = fallback(check);
    let deepgram = deepgram?;
    let ears =
        if deepgram.has_flux() { EarsModel::flux(&deepgram.ears) } else { EarsModel::listen(&deepgram.ears) };
    let mut settings =
        PipelineSettings::builder(deepgram.credential(), first?).ears(ears).voice(deepgram.voice);
    if let Some(url) = deepgram.url {
        settings = settings.url(url);
    }
    if let Some(second) = second? {
        settings = settings.fallback(second);
    }
    let settings = check.together(KIND.name, settings.build())?;
    Some(Arc::new(Pipeline::new(settings)))
}

/// The model that is asked when the first one fails; `Some(None)` where none is wanted, `None` where
/// what is said of it is wrong.
fn fallback(check: &mut Check) -> Option<Option<ChatEndpoint>> {
    let (url, model) = (&settings::LLM_FALLBACK_URL, &settings::LLM_FALLBACK_MODEL);
    let key = &settings::LLM_FALLBACK_API_KEY;
    if ![url, model, key].iter().any(|setting| check.is_set(setting)) {
        return Some(None);
    }
    for needed in [url, model] {
        if !check.is_set(needed) {
            check.error(
                needed,
                "it is needed for a second language model",
                "set it, or unset all of LLM_FALLBACK_*",
            );
            return None;
        }
    }
    mind(check, url, model, key).map(Some)
}

fn mind(
    check: &mut Check,
    url: &'static Setting,
    model: &'static Setting,
    key: &'static Setting,
) -> Option<ChatEndpoint> {
    let has_key = check.is_set(key);
    let parsed: Option<Secret<String>> = check.parse(key, |text| {
        parse::secret(text, "paste the language model's key whole, or unset this if it takes none")
    });
    let address = check.parse(url, parse::http_url);
    let name = check.parse(model, parse::name);
    check.warn_of_plain_text(url, address.as_deref());
    let endpoint = check.together(KIND.name, ChatEndpoint::new(address?, name?))?;
    match parsed {
        Some(key) => Some(endpoint.bearer(key)),
        None if has_key => None,
        None => Some(endpoint),
    }
}

fn pretend(fakes: &FakeAddresses) -> Vec<(&'static Setting, String)> {
    let mut settings = deepgram::pretend(fakes);
    settings.push((&settings::LLM_API_KEY, "llm-demo".to_owned()));
    settings.push((&settings::LLM_URL, format!("http://{}/v1", fakes.llm)));
    settings
}
