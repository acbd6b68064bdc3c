//! The three stages of the Voice Agent, ears, mind and voice: what can be chosen, and what goes together.

use std::time::Duration;

use voice_core::sensitive::Secret;

use super::settings::{SettingsError, check_url};
use crate::deepgram::quirks::{EarQuirks, LanguageHint, MindQuirks, VoiceQuirks};

/// The ears.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Listen {
    /// Finds the end of a turn by what was said.
    Flux(Flux),
    /// Finds the end of a turn by silence; knows more languages.
    Nova(Nova),
}

/// Ears of the second generation. What is `None` is left to the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Flux {
    /// `flux-general-en` or `flux-general-multi`.
    pub model: String,
    /// How sure it must be that the turn is over, 0.5 to 1; the service's own default is 0.7.
    pub eot_threshold: Option<f32>,
    /// How sure it must be to think ahead, 0.3 to 0.9; it does not unless this is set. Quicker answers
    /// for more calls of the model.
    pub eager_eot_threshold: Option<f32>,
    /// Silence after which the turn is over in any case, 500 ms to 60 s; the service's own default is 5 s.
    pub eot_timeout: Option<Duration>,
    /// Names and words to expect.
    pub keyterms: Vec<String>,
    /// Languages to expect, BCP 47; only for `flux-general-multi`. The call's language, where known, is
    /// used if there are none.
    pub language_hints: Vec<String>,
}

impl Default for Flux {
    fn default() -> Self {
        Self {
            model: "flux-general-en".to_owned(),
            eot_threshold: None,
            eager_eot_threshold: None,
            eot_timeout: None,
            keyterms: Vec::new(),
            language_hints: Vec::new(),
        }
    }
}

/// Ears of the first generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nova {
    /// `nova-3` and its kin.
    pub model: String,
    /// Language, BCP 47, or `multi`. The call's language, where known, is used if there is none.
    pub language: Option<String>,
    /// Names and words to expect.
    pub keyterms: Vec<String>,
    /// Whether numbers and dates are written as such.
    pub smart_format: bool,
}

impl Default for Nova {
    fn default() -> Self {
        Self { model: "nova-3".to_owned(), language: None, keyterms: Vec::new(), smart_format: false }
    }
}

/// An address of a third party's service, or of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageEndpoint {
    pub(super) url: String,
    pub(super) headers: Vec<Header>,
}

/// A header that the service sends to an endpoint; its value may be a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub(super) name: String,
    pub(super) value: Secret<String>,
}

impl StageEndpoint {
    /// This address, without headers.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(Header { name: name.into(), value: Secret::new(value.into()) });
        self
    }

    fn check(
        &self,
        field: &'static str,
        schemes: &[&str],
        wanted: &'static str,
    ) -> Result<(), SettingsError> {
        check_url(field, &self.url, schemes, wanted)?;
        let is_token = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let is_value = |value: &str| value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let fine = |header: &Header| is_token(&header.name) && is_value(header.value.expose());
        if self.headers.iter().all(fine) { Ok(()) } else { Err(SettingsError::Header { field }) }
    }
}

/// Credentials of an Amazon account, which Deepgram uses on our behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsCredentials {
    /// Region.
    pub region: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret<String>,
    /// Session token of short-lived credentials; long-lived ones have none.
    pub session_token: Option<Secret<String>>,
}

/// How hard a reasoning model thinks before it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// Not at all.
    None,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// More.
    Medium,
    /// Much.
    High,
}

/// The mind: a language model.
#[derive(Clone, Debug, PartialEq)]
pub struct Think {
    pub(super) service: &'static str,
    pub(super) model: String,
    pub(super) temperature: Option<f32>,
    pub(super) effort: Option<Effort>,
    pub(super) context_length: Option<u32>,
    pub(super) endpoint: Option<StageEndpoint>,
    pub(super) credentials: Option<AwsCredentials>,
}

impl Think {
    /// A model of OpenAI's, or with [`Self::endpoint`] of any service with the same interface.
    pub fn open_ai(model: impl Into<String>) -> Self {
        Self::of("open_ai", model)
    }

    /// A model of Anthropic's.
    pub fn anthropic(model: impl Into<String>) -> Self {
        Self::of("anthropic", model)
    }

    /// A model of Google's.
    pub fn google(model: impl Into<String>) -> Self {
        Self::of("google", model)
    }

    /// A model at Groq.
    pub fn groq(model: impl Into<String>) -> Self {
        Self::of("groq", model)
    }

    /// A model of Deepgram's own.
    pub fn deepgram(model: impl Into<String>) -> Self {
        Self::of("deepgram", model)
    }

    /// A model at Amazon Bedrock, used with these credentials.
    pub fn aws_bedrock(model: impl Into<String>, credentials: AwsCredentials) -> Self {
        Self { credentials: Some(credentials), ..Self::of("aws_bedrock", model) }
    }

    /// How freely it words its answers, 0 to 2 (Anthropic: to 1); the service's own default unless set.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// How hard it thinks; for reasoning models of OpenAI, Groq and Deepgram.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Another address than the service's usual one. The model's name is needed all the same.
    #[must_use]
    pub fn endpoint(mut self, endpoint: StageEndpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// How many characters of the conversation it is shown; only with an endpoint of one's own.
    #[must_use]
    pub fn context_length(mut self, characters: u32) -> Self {
        self.context_length = Some(characters);
        self
    }

    /// Reasoning models of OpenAI fail when tools are offered (protocol notes, Deepgram §9). Such a
    /// mind is offered none, so that as a fallback it can at least talk.
    pub(super) fn takes_tools(&self) -> bool {
        // Behind an address of one's own may be any model, whatever it is called.
        self.endpoint.is_some() || self.quirks().tools
    }

    pub(super) fn check(&self, mip_opt_out: bool) -> Result<(), SettingsError> {
        check_name("think.model", &self.model)?;
        let quirks = self.quirks();
        in_range("think.temperature", self.temperature, 0.0, quirks.warmest.0, quirks.warmest.1)?;
        if let Some(endpoint) = &self.endpoint {
            endpoint.check("think.endpoint", &["https://", "http://"], "https://")?;
        } else if self.context_length.is_some() {
            return Err(not_for("context_length", "a model without endpoint"));
        }
        if self.effort.is_some() && !quirks.effort {
            return Err(not_for("effort", self.service));
        }
        // Accepted only where its makers may learn from it (reference of the service's settings).
        if mip_opt_out && !quirks.mip_opt_out {
            return Err(not_for("mip_opt_out", "think-fast"));
        }
        Ok(())
    }

    fn quirks(&self) -> &'static MindQuirks {
        MindQuirks::of(self.service, &self.model)
    }

    fn of(service: &'static str, model: impl Into<String>) -> Self {
        Self {
            service,
            model: model.into(),
            temperature: None,
            effort: None,
            context_length: None,
            endpoint: None,
            credentials: None,
        }
    }
}

/// The voice.
#[derive(Clone, Debug, PartialEq)]
pub struct Speak {
    pub(super) service: &'static str,
    pub(super) model: String,
    pub(super) voice: Option<String>,
    pub(super) language: Option<String>,
    pub(super) speed: Option<f32>,
    pub(super) expressivity: Option<i8>,
    pub(super) endpoint: Option<StageEndpoint>,
    pub(super) credentials: Option<AwsCredentials>,
}

impl Speak {
    /// A voice of Deepgram's own: `aura-2-…` or `flux-…`.
    pub fn deepgram(model: impl Into<String>) -> Self {
        Self::of("deepgram", model)
    }

    /// A model of ElevenLabs'; the voice is part of the endpoint's address.
    pub fn eleven_labs(model: impl Into<String>) -> Self {
        Self::of("eleven_labs", model)
    }

    /// A model of Cartesia's with the id of one of its voices.
    pub fn cartesia(model: impl Into<String>, voice: impl Into<String>) -> Self {
        Self { voice: Some(voice.into()), ..Self::of("cartesia", model) }
    }

    /// A model of OpenAI's with the name of one of its voices.
    pub fn open_ai(model: impl Into<String>, voice: impl Into<String>) -> Self {
        Self { voice: Some(voice.into()), ..Self::of("open_ai", model) }
    }

    /// A voice of Amazon Polly with its engine and language, used with these credentials.
    pub fn aws_polly(
        voice: impl Into<String>,
        engine: impl Into<String>,
        language: impl Into<String>,
        credentials: AwsCredentials,
    ) -> Self {
        Self {
            voice: Some(voice.into()),
            language: Some(language.into()),
            credentials: Some(credentials),
            ..Self::of("aws_polly", engine)
        }
    }

    /// The language it speaks, where the service wants to be told; by default it is not.
    #[must_use]
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// How fast it speaks: 0.7 to 1.5 for Aura, 0.5 to 1.5 for Flux; only for Deepgram's own voices.
    #[must_use]
    pub fn speed(mut self, speed: f32) -> Self {
        self.speed = Some(speed);
        self
    }

    /// How lively it speaks, -2 to 2; only for Deepgram's Flux voices.
    #[must_use]
    pub fn expressivity(mut self, expressivity: i8) -> Self {
        self.expressivity = Some(expressivity);
        self
    }

    /// Where the service is; needed for all but Deepgram's own voices and Amazon's.
    #[must_use]
    pub fn endpoint(mut self, endpoint: StageEndpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// What it takes, if it is one of Deepgram's own voices.
    pub(super) fn quirks(&self) -> Option<&'static VoiceQuirks> {
        (self.service == "deepgram").then(|| VoiceQuirks::of(&self.model))
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        check_name("speak.model", &self.model)?;
        for (field, name) in [("speak.voice", &self.voice), ("speak.language", &self.language)] {
            name.as_ref().map_or(Ok(()), |name| check_name(field, name))?;
        }
        self.check_endpoint()?;
        let Some(quirks) = self.quirks() else {
            let own = [("speed", self.speed.is_some()), ("expressivity", self.expressivity.is_some())];
            let wrong = own.into_iter().find(|(_, given)| *given);
            return wrong.map_or(Ok(()), |(field, _)| Err(not_for(field, self.service)));
        };
        in_range("speak.speed", self.speed, quirks.slowest.0, 1.5, quirks.slowest.1)?;
        match self.expressivity {
            Some(_) if !quirks.expressivity => Err(not_for("expressivity", "aura")),
            Some(lively) if !(-2..=2).contains(&lively) => {
                Err(SettingsError::Range { field: "speak.expressivity", range: "-2 to 2" })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_endpoint(&self) -> Result<(), SettingsError> {
        const FIELD: &str = "speak.endpoint";
        let Some(endpoint) = &self.endpoint else {
            let at_home = ["deepgram", "aws_polly"].contains(&self.service);
            return if at_home {
                Ok(())
            } else {
                Err(SettingsError::EndpointMissing { service: self.service })
            };
        };
        if self.service != "eleven_labs" {
            return endpoint.check(FIELD, &["https://", "http://"], "https://");
        }
        let wanted = "https:// or wss://, without model_id and output_format";
        endpoint.check(FIELD, &["https://", "http://", "wss://", "ws://"], wanted)?;
        if ["model_id=", "output_format="].iter().any(|key| endpoint.url.contains(key)) {
            return Err(SettingsError::Url { field: FIELD, wanted });
        }
        Ok(())
    }

    fn of(service: &'static str, model: impl Into<String>) -> Self {
        Self {
            service,
            model: model.into(),
            voice: None,
            language: None,
            speed: None,
            expressivity: None,
            endpoint: None,
            credentials: None,
        }
    }
}

impl Listen {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        match self {
            Self::Nova(nova) => {
                check_name("listen.model", &nova.model)?;
                // The agent has no other way to tell them than the one of the latest ears.
                if !nova.keyterms.is_empty() && EarQuirks::of(&nova.model).keyterms != "keyterm" {
                    return Err(not_for("keyterms", "a model before nova-3"));
                }
                nova.language.as_ref().map_or(Ok(()), |language| check_name("listen.language", language))
            }
            Self::Flux(flux) => flux.check(),
        }
    }
}

impl Flux {
    /// Whether it knows more than one language.
    pub(super) fn is_multilingual(&self) -> bool {
        EarQuirks::of(&self.model).language == LanguageHint::Hint
    }

    fn check(&self) -> Result<(), SettingsError> {
        check_name("listen.model", &self.model)?;
        in_range("eot_threshold", self.eot_threshold, 0.5, 1.0, "0.5 to 1")?;
        let surest = self.eot_threshold.unwrap_or(EOT_THRESHOLD).min(0.9);
        let range = "0.3 to 0.9, at most eot_threshold";
        in_range("eager_eot_threshold", self.eager_eot_threshold, 0.3, surest, range)?;
        let timeout = self.eot_timeout.map(|timeout| timeout.as_secs_f32());
        in_range("eot_timeout", timeout, 0.5, 60.0, "500 ms to 60 s")?;
        if !self.is_multilingual() && !self.language_hints.is_empty() {
            return Err(not_for("language_hints", "flux-general-en"));
        }
        self.language_hints.iter().try_for_each(|language| check_name("listen.language_hints", language))
    }
}

fn not_for(field: &'static str, model: &'static str) -> SettingsError {
    SettingsError::NotForModel { field, model }
}

fn check_name(field: &'static str, name: &str) -> Result<(), SettingsError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
        return Err(SettingsError::Name { field });
    }
    Ok(())
}

fn in_range(
    field: &'static str,
    value: Option<f32>,
    low: f32,
    high: f32,
    range: &'static str,
) -> Result<(), SettingsError> {
    match value {
        Some(value) if !(low..=high).contains(&value) => Err(SettingsError::Range { field, range }),
        Some(_) | None => Ok(()),
    }
}

/// What the service takes as the end of a turn unless it is told otherwise (protocol notes, Deepgram §3).
const EOT_THRESHOLD: f32 = 0.7;
