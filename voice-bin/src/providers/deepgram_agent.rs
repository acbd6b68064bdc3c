//! Deepgram's Voice Agent.

use std::sync::Arc;

use voice_core::provider::Provider;
use voice_providers::deepgram::agent::{Agent, AgentSettings, Flux, Listen, Nova, Speak, Think};

use super::Kind;
use super::deepgram::{self, Deepgram};
use crate::config::settings;
use crate::config::{Check, parse};

pub(super) static KIND: Kind = Kind {
    name: "deepgram-agent",
    title: "Deepgram Voice Agent",
    key: &settings::DEEPGRAM_API_KEY,
    missing,
    configure,
    pretend: deepgram::pretend,
};

fn missing(check: &Check) -> Option<&'static str> {
    (!check.is_set(&settings::DEEPGRAM_API_KEY)).then_some("DEEPGRAM_API_KEY")
}

fn configure(check: &mut Check) -> Option<Arc<dyn Provider>> {
    let deepgram = Deepgram::read(check);
    let mind = check.parse(&settings::DEEPGRAM_THINK_MODEL, parse::name);
    let (deepgram, mind) = (deepgram?, mind?);
    let listen = if deepgram.has_flux() {
        Listen::Flux(Flux { model: deepgram.ears.clone(), ..Flux::default() })
    } else {
        Listen::Nova(Nova { model: deepgram.ears.clone(), ..Nova::default() })
    };
    let mut settings = AgentSettings::new(deepgram.credential())
        .listen(listen)
        .think([Think::open_ai(mind)])
        .speak([Speak::deepgram(deepgram.voice)]);
    if let Some(url) = &deepgram.url {
        settings = settings.url(format!("{url}/v1/agent/converse"));
    }
    let settings = check.together(KIND.name, settings.build())?;
    Some(Arc::new(Agent::new(settings)))
}
