//! OpenAI Realtime.

use std::sync::Arc;

use voice_core::provider::Provider;
use voice_providers::openai::{OpenAi, OpenAiSettings};

use super::{FakeAddresses, Kind};
use crate::config::settings::{self, Setting};
use crate::config::{Check, parse};

pub(super) static KIND: Kind = Kind {
    name: "openai",
    title: "OpenAI Realtime",
    key: &settings::OPENAI_API_KEY,
    missing,
    configure,
    pretend,
};

fn missing(check: &Check) -> Option<&'static str> {
    (!check.is_set(&settings::OPENAI_API_KEY)).then_some("OPENAI_API_KEY")
}

fn configure(check: &mut Check) -> Option<Arc<dyn Provider>> {
    let key = check.parse(&settings::OPENAI_API_KEY, |text| {
        parse::secret(text, "create a key at platform.openai.com and paste it whole, or unset this")
    });
    let url = check.parse(&settings::OPENAI_REALTIME_URL, parse::openai_url);
    let model = check.parse(&settings::OPENAI_MODEL, parse::name);
    let voice = check.parse(&settings::OPENAI_VOICE, parse::name);
    check.warn_of_plain_text(&settings::OPENAI_REALTIME_URL, url.as_deref());
    let settings = OpenAiSettings::new(key?).url(url?).model(model?).voice(voice?).build();
    let settings = check.together(KIND.name, settings)?;
    Some(Arc::new(OpenAi::new(settings)))
}

fn pretend(fakes: &FakeAddresses) -> Vec<(&'static Setting, String)> {
    vec![
        (&settings::OPENAI_API_KEY, "sk-demo".to_owned()),
        (&settings::OPENAI_REALTIME_URL, format!("ws://{}/v1/realtime", fakes.openai)),
    ]
}
