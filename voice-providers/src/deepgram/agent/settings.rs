//! What can be set about the Voice Agent, with defaults for the telephone.

use super::super::Credential;
use super::stages::{Flux, Listen, Speak, Think};
use crate::deepgram::quirks::EarQuirks;

/// Checked settings, made by [`AgentSettingsBuilder::build`].
#[derive(Clone, Debug)]
pub struct AgentSettings {
    pub(super) url: String,
    pub(super) credential: Credential,
    pub(super) listen: Listen,
    pub(super) think: Vec<Think>,
    pub(super) speak: Vec<Speak>,
    pub(super) greeting: Option<String>,
    pub(super) verbatim_cues: bool,
    pub(super) tags: Vec<String>,
    pub(super) mip_opt_out: bool,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Keys and tokens are visible ASCII without spaces.
    #[error("the key is empty or holds characters that cannot be sent in a header")]
    Credential,
    /// An address that cannot be meant.
    #[error("{field} is not an address of the kind {wanted}")]
    Url {
        /// `url`, `think.endpoint` or `speak.endpoint`.
        field: &'static str,
        /// What it takes.
        wanted: &'static str,
    },
    /// A list that needs at least one entry.
    #[error("{field} is empty")]
    Empty {
        /// `think`, `speak`, `greeting` or `tags`.
        field: &'static str,
    },
    /// Models, voices and languages are letters, digits, `-`, `_`, `.`, `:` or `/`.
    #[error("{field} is empty or holds unusual characters")]
    Name {
        /// Which setting.
        field: &'static str,
    },
    /// A header of an endpoint that cannot be sent.
    #[error("a header of {field} cannot be sent")]
    Header {
        /// `think.endpoint` or `speak.endpoint`.
        field: &'static str,
    },
    /// A number outside what the service takes.
    #[error("{field} is out of range ({range})")]
    Range {
        /// Which setting.
        field: &'static str,
        /// What it takes.
        range: &'static str,
    },
    /// The chosen model or service has no such setting, or not together with another.
    #[error("{model} does not take {field}")]
    NotForModel {
        /// Which setting.
        field: &'static str,
        /// The model or service.
        model: &'static str,
    },
    /// Voices of third parties are reached at an address that must be given.
    #[error("{service} needs an endpoint")]
    EndpointMissing {
        /// Which service.
        service: &'static str,
    },
}

/// Settings being made; see the default on each setter.
#[derive(Clone, Debug)]
#[must_use]
pub struct AgentSettingsBuilder(AgentSettings);

impl AgentSettings {
    /// What every use needs; all else has a default that is documented on its setter.
    #[expect(clippy::new_ret_no_self, reason = "settings exist only once they are checked")]
    pub fn new(credential: Credential) -> AgentSettingsBuilder {
        AgentSettingsBuilder(Self {
            url: "wss://agent.deepgram.com/v1/agent/converse".to_owned(),
            credential,
            listen: Listen::Flux(Flux::default()),
            think: vec![Think::open_ai("gpt-4.1-mini")],
            speak: vec![Speak::deepgram("aura-2-thalia-en")],
            greeting: None,
            verbatim_cues: false,
            tags: Vec::new(),
            mip_opt_out: false,
        })
    }
}

impl AgentSettings {
    /// What ears and voices have in common, where they are not made for many languages.
    pub(super) fn languages(&self) -> Option<Vec<String>> {
        let heard = match &self.listen {
            Listen::Nova(nova) => nova.language.as_deref().filter(|language| *language != "multi"),
            Listen::Flux(flux) => EarQuirks::of(&flux.model).only,
        };
        heard.map(|language| vec![language.to_owned()])
    }

    /// Whether nobody else has a bill to send: no stage is elsewhere, or of another maker's voices.
    pub(super) fn is_all_inclusive(&self) -> bool {
        let thinks = self.think.iter().all(|think| think.endpoint.is_none() && think.credentials.is_none());
        thinks && self.speak.iter().all(|speak| speak.endpoint.is_none() && speak.quirks().is_some())
    }
}

impl AgentSettingsBuilder {
    /// Where the service is: the public address, unless a region, a proxy or a fake is meant.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.0.url = url.into();
        self
    }

    /// The ears; Flux for English by default, which finds the end of a turn by what was said.
    pub fn listen(mut self, listen: Listen) -> Self {
        self.0.listen = listen;
        self
    }

    /// The mind, and those on which the service falls back in this order; `gpt-4.1-mini` by default.
    pub fn think(mut self, think: impl IntoIterator<Item = Think>) -> Self {
        self.0.think = think.into_iter().collect();
        self
    }

    /// The voice, and those on which the service falls back in this order; `aura-2-thalia-en` by default.
    pub fn speak(mut self, speak: impl IntoIterator<Item = Speak>) -> Self {
        self.0.speak = speak.into_iter().collect();
        self
    }

    /// What the service says by itself, word for word, as soon as it is ready and nothing has been said
    /// yet; none by default. It takes the place of the first cue of the call: the caller hears it
    /// without waiting for a model.
    pub fn greeting(mut self, words: impl Into<String>) -> Self {
        self.0.greeting = Some(words.into());
        self
    }

    /// Whether a cue is spoken word for word. By default it is an instruction for the model.
    pub fn verbatim_cues(mut self, yes: bool) -> Self {
        self.0.verbatim_cues = yes;
        self
    }

    /// Labels for Deepgram's usage reports; none by default.
    pub fn tags(mut self, tags: impl IntoIterator<Item = String>) -> Self {
        self.0.tags = tags.into_iter().collect();
        self
    }

    /// Whether calls are kept out of the training of models, which affects the price; no by default.
    pub fn mip_opt_out(mut self, yes: bool) -> Self {
        self.0.mip_opt_out = yes;
        self
    }

    /// Checks the values and how they go together.
    pub fn build(self) -> Result<AgentSettings, SettingsError> {
        let settings = self.0;
        if !settings.credential.is_sendable() {
            return Err(SettingsError::Credential);
        }
        check_url("url", &settings.url, &["wss://", "ws://"], "wss://")?;
        settings.listen.check()?;
        not_empty("think", settings.think.is_empty())?;
        for think in &settings.think {
            think.check(settings.mip_opt_out)?;
        }
        not_empty("speak", settings.speak.is_empty())?;
        for speak in &settings.speak {
            speak.check()?;
        }
        not_empty("greeting", settings.greeting.as_ref().is_some_and(|words| words.trim().is_empty()))?;
        not_empty("tags", settings.tags.iter().any(|tag| tag.is_empty()))?;
        Ok(settings)
    }
}

fn not_empty(field: &'static str, empty: bool) -> Result<(), SettingsError> {
    if empty { Err(SettingsError::Empty { field }) } else { Ok(()) }
}

/// An address with one of these schemes, a host, and neither credentials nor a fragment in it.
pub(super) fn check_url(
    field: &'static str,
    url: &str,
    schemes: &[&str],
    wanted: &'static str,
) -> Result<(), SettingsError> {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)).unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let fine = !host.is_empty() && !host.contains('@') && rest.bytes().all(|b| b.is_ascii_graphic());
    if fine && !rest.contains('#') { Ok(()) } else { Err(SettingsError::Url { field, wanted }) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use voice_core::sensitive::Secret;

    use super::super::stages::{Nova, StageEndpoint};
    use super::*;

    fn settings() -> AgentSettingsBuilder {
        AgentSettings::new(Credential::ApiKey(Secret::new("dg-test".to_owned())))
    }

    #[test]
    fn the_defaults_are_fine_and_print_no_key() {
        let built = settings().build().expect("the defaults are fine");
        assert!(!format!("{built:?}").contains("dg-test"));
        assert!(settings().url("ws://127.0.0.1:9/v1/agent/converse").build().is_ok());
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_here() {
        let url = |field, wanted| SettingsError::Url { field, wanted };
        let range = |field, range| SettingsError::Range { field, range };
        let flux = |flux: Flux| settings().listen(Listen::Flux(flux));
        let token = Credential::AccessToken(Secret::new("a b".to_owned()));
        let (https, socket) =
            (StageEndpoint::new("https://tts.example/v1"), StageEndpoint::new("wss://tts.example/v1"));
        for (builder, error) in [
            (AgentSettings::new(token), SettingsError::Credential),
            (settings().url("https://agent.example"), url("url", "wss://")),
            (settings().url("wss://user@agent.example/"), url("url", "wss://")),
            (settings().think([]), SettingsError::Empty { field: "think" }),
            (settings().speak([]), SettingsError::Empty { field: "speak" }),
            (settings().greeting(" "), SettingsError::Empty { field: "greeting" }),
            (settings().think([Think::open_ai("")]), SettingsError::Name { field: "think.model" }),
            (settings().think([Think::google("g").temperature(2.5)]), range("think.temperature", "0 to 2")),
            (
                settings().think([Think::anthropic("claude").temperature(1.5)]),
                range("think.temperature", "0 to 1"),
            ),
            (
                settings().think([Think::open_ai("m").endpoint(socket.clone())]),
                url("think.endpoint", "https://"),
            ),
            (
                settings().think([Think::open_ai("m").context_length(10)]),
                SettingsError::NotForModel { field: "context_length", model: "a model without endpoint" },
            ),
            (
                settings().think([Think::deepgram("think-fast")]).mip_opt_out(true),
                SettingsError::NotForModel { field: "mip_opt_out", model: "think-fast" },
            ),
            (
                settings().speak([Speak::eleven_labs("eleven_turbo_v2_5")]),
                SettingsError::EndpointMissing { service: "eleven_labs" },
            ),
            (
                settings().speak([Speak::cartesia("sonic-2", "id").endpoint(socket.clone())]),
                url("speak.endpoint", "https://"),
            ),
            (
                settings()
                    .speak([Speak::eleven_labs("m")
                        .endpoint(StageEndpoint::new("wss://tts.example/v1?model_id=m"))]),
                url("speak.endpoint", "https:// or wss://, without model_id and output_format"),
            ),
            (
                settings().speak([Speak::eleven_labs("m").endpoint(https.header("x-key", "a\r\nb"))]),
                SettingsError::Header { field: "speak.endpoint" },
            ),
            (
                settings().speak([Speak::deepgram("aura-2-thalia-en").speed(0.5)]),
                range("speak.speed", "0.7 to 1.5"),
            ),
            (
                settings().speak([Speak::deepgram("aura-2-thalia-en").expressivity(1)]),
                SettingsError::NotForModel { field: "expressivity", model: "aura" },
            ),
            (
                settings().speak([Speak::deepgram("flux-alexis-en").expressivity(3)]),
                range("speak.expressivity", "-2 to 2"),
            ),
            (flux(Flux { eot_threshold: Some(0.4), ..Flux::default() }), range("eot_threshold", "0.5 to 1")),
            (
                flux(Flux { eager_eot_threshold: Some(0.8), ..Flux::default() }),
                range("eager_eot_threshold", "0.3 to 0.9, at most eot_threshold"),
            ),
            (
                flux(Flux { eot_timeout: Some(Duration::from_millis(499)), ..Flux::default() }),
                range("eot_timeout", "500 ms to 60 s"),
            ),
            (
                flux(Flux { language_hints: vec!["de".into()], ..Flux::default() }),
                SettingsError::NotForModel { field: "language_hints", model: "flux-general-en" },
            ),
            (
                settings().listen(Listen::Nova(Nova { model: "nova 3".into(), ..Nova::default() })),
                SettingsError::Name { field: "listen.model" },
            ),
        ] {
            assert_eq!(builder.build().expect_err("refused"), error);
        }
    }

    #[test]
    fn unusual_but_right_settings_pass() {
        let wss = StageEndpoint::new("wss://tts.example/v1").header("xi-api-key", "k");
        let third = Speak::eleven_labs("eleven_turbo_v2_5").endpoint(wss);
        let flux =
            Flux { model: "flux-general-multi".into(), language_hints: vec!["de".into()], ..Flux::default() };
        let built = settings()
            .listen(Listen::Flux(flux))
            .speak([Speak::deepgram("flux-alexis-en").speed(0.5).expressivity(-2), third])
            .think([Think::open_ai("m")
                .endpoint(StageEndpoint::new("https://llm.example/v1"))
                .context_length(9_000)])
            .tags(["pilot".to_owned()])
            .build();
        assert!(built.is_ok(), "{built:?}");
    }
}
