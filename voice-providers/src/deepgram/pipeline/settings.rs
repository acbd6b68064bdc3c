//! How a pipeline is set up: ears, mind and voice, checked once and unchangeable after.

use std::time::Duration;

use crate::deepgram::Credential;
use crate::deepgram::quirks::{EarQuirks, LanguageHint, language_of_voice};
use crate::llm::ChatEndpoint;
use voice_core::audio::{AudioFormat, Encoding};

/// Everything that all calls of one pipeline share. Made by [`PipelineBuilder`].
#[derive(Debug)]
pub struct PipelineSettings {
    credential: Credential,
    pub(super) url: String,
    pub(super) ears: Ears,
    pub(super) voice: Voice,
    /// The first is asked first; the others when it fails.
    pub(super) minds: Vec<ChatEndpoint>,
    pub(super) tool_rounds_max: u32,
}

/// How the caller is understood.
#[derive(Debug)]
pub(super) struct Ears {
    pub(super) model: EarsModel,
    pub(super) keyterms: Vec<String>,
    pub(super) barge_in_on_sound: bool,
}

/// Which of the two services listens.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EarsModel {
    /// Listen v1: turns end after so much silence.
    Listen {
        /// `nova-3`, `nova-2-phonecall`…
        model: String,
        /// Silence that ends a turn. The service's own default of 10 ms would cut speech to pieces.
        endpointing: Duration,
        /// Without a word for so long, a turn ends even on a line so noisy that there is no silence;
        /// the service takes no less than a second.
        utterance_end: Duration,
    },
    /// Listen v2 (Flux): a model decides when the caller has finished.
    Flux {
        /// `flux-general-en` or `flux-general-multi`.
        model: String,
        /// How sure it must be, 0.5–1.0.
        eot_threshold: f32,
        /// From here on it is worth thinking of an answer before the turn has ended, 0.3–0.9. Saves about
        /// 0.2 s and costs half as many requests again to the language model.
        eager_eot_threshold: Option<f32>,
        /// Silence that ends a turn in any case, 0.5–60 s.
        eot_timeout: Duration,
    },
}

impl EarsModel {
    /// Listen v1 with 300 ms of silence, the usual for a voice that answers.
    pub fn listen(model: impl Into<String>) -> Self {
        Self::Listen {
            model: model.into(),
            endpointing: Duration::from_millis(300),
            utterance_end: Duration::from_secs(1),
        }
    }

    /// Flux with the service's own thresholds, and no eagerness.
    pub fn flux(model: impl Into<String>) -> Self {
        Self::Flux {
            model: model.into(),
            eot_threshold: 0.7,
            eager_eot_threshold: None,
            eot_timeout: Duration::from_secs(5),
        }
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        match self {
            Self::Listen { model, .. } | Self::Flux { model, .. } => model,
        }
    }
}

/// How the answer sounds.
#[derive(Debug)]
pub(super) struct Voice {
    pub(super) model: String,
    pub(super) speed: Option<f32>,
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The key or token is empty or has characters that no header can carry.
    #[error("the key of the speech service is missing or not a key")]
    Key,
    /// Only these two schemes are WebSockets.
    #[error("the address of the speech service begins with wss:// or ws://")]
    Scheme,
    /// A model is needed for the ears and for the voice.
    #[error("no model is named for the {0}")]
    Model(&'static str),
    /// A value is out of the range that the service takes.
    #[error("{name} is out of range ({range})")]
    Range {
        /// Which setting.
        name: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The eager threshold must not be above the one that ends a turn.
    #[error("eager_eot_threshold is above eot_threshold")]
    EagerAboveEnd,
}

/// Builds [`PipelineSettings`].
#[derive(Debug)]
#[must_use]
pub struct PipelineBuilder {
    settings: PipelineSettings,
}

impl PipelineSettings {
    /// A pipeline of Flux, this language model, and the voice `aura-2-thalia-en`.
    pub fn builder(credential: Credential, mind: ChatEndpoint) -> PipelineBuilder {
        PipelineBuilder {
            settings: Self {
                credential,
                url: "wss://api.deepgram.com".to_owned(),
                ears: Ears {
                    model: EarsModel::flux("flux-general-en"),
                    keyterms: Vec::new(),
                    barge_in_on_sound: true,
                },
                voice: Voice { model: "aura-2-thalia-en".to_owned(), speed: None },
                minds: vec![mind],
                tool_rounds_max: 6,
            },
        }
    }

    pub(super) fn authorization(&self) -> String {
        self.credential.header()
    }

    pub(super) fn ears_url(&self, format: AudioFormat, language: Option<&str>) -> String {
        let (version, model) = match &self.ears.model {
            EarsModel::Listen { model, .. } => ("v1", model),
            EarsModel::Flux { model, .. } => ("v2", model),
        };
        let mut query = Query::new(format!("{}/{version}/listen", self.url));
        query.add("model", model);
        query.add_format(format);
        match &self.ears.model {
            EarsModel::Listen { endpointing, utterance_end, .. } => {
                query.add("interim_results", "true");
                query.add("smart_format", "true");
                query.add("vad_events", "true");
                query.add("endpointing", &endpointing.as_millis().to_string());
                query.add("utterance_end_ms", &utterance_end.as_millis().to_string());
            }
            EarsModel::Flux { eot_threshold, eager_eot_threshold, eot_timeout, .. } => {
                query.add("eot_threshold", &eot_threshold.to_string());
                if let Some(eager) = eager_eot_threshold {
                    query.add("eager_eot_threshold", &eager.to_string());
                }
                query.add("eot_timeout_ms", &eot_timeout.as_millis().to_string());
            }
        }
        let quirks = EarQuirks::of(model);
        match (quirks.language, language) {
            (LanguageHint::Language, Some(language)) => query.add("language", language),
            (LanguageHint::Hint, Some(language)) => query.add("language_hint", language),
            (LanguageHint::No, _) | (_, None) => {}
        }
        for term in &self.ears.keyterms {
            query.add(quirks.keyterms, term);
        }
        query.url
    }

    /// What ears and voice have in common, where the ears are made for one language or the voice is.
    pub(super) fn languages(&self) -> Option<Vec<String>> {
        let heard = EarQuirks::of(self.ears.model.model()).only;
        let spoken = language_of_voice(&self.voice.model);
        match (heard, spoken) {
            (Some(heard), Some(spoken)) if heard != spoken => Some(Vec::new()),
            (heard, spoken) => heard.or(spoken).map(|language| vec![language.to_owned()]),
        }
    }

    pub(super) fn voice_url(&self, format: AudioFormat) -> String {
        let mut query = Query::new(format!("{}/v1/speak", self.url));
        query.add("model", &self.voice.model);
        query.add_format(format);
        if let Some(speed) = self.voice.speed {
            query.add("speed", &speed.to_string());
        }
        query.url
    }
}

impl PipelineBuilder {
    /// Another host, `wss://api.eu.deepgram.com` or a fake; a slash at the end does no harm.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.settings.url = url.into().trim_end_matches('/').to_owned();
        self
    }

    /// Who listens. Flux unless set.
    pub fn ears(mut self, model: EarsModel) -> Self {
        self.settings.ears.model = model;
        self
    }

    /// Words to listen for: names, products. At most 500 tokens together.
    pub fn keyterms(mut self, terms: impl IntoIterator<Item = String>) -> Self {
        self.settings.ears.keyterms = terms.into_iter().collect();
        self
    }

    /// Whether any voice of the caller interrupts, or words only. Any voice is faster by up to a second,
    /// but a cough interrupts too (the voice then goes on where it was). Means nothing to Flux, which
    /// waits for the first word.
    pub fn barge_in_on_sound(mut self, any: bool) -> Self {
        self.settings.ears.barge_in_on_sound = any;
        self
    }

    /// Who speaks: an Aura model.
    pub fn voice(mut self, model: impl Into<String>) -> Self {
        self.settings.voice.model = model.into();
        self
    }

    /// How fast it speaks, 0.7–1.5.
    pub fn speed(mut self, speed: f32) -> Self {
        self.settings.voice.speed = Some(speed);
        self
    }

    /// A language model that is asked when those before it fail before their first word.
    pub fn fallback(mut self, mind: ChatEndpoint) -> Self {
        self.settings.minds.push(mind);
        self
    }

    /// How often in a row the model may call tools before it must answer in words; 6 unless set.
    pub fn tool_rounds_max(mut self, rounds: u32) -> Self {
        self.settings.tool_rounds_max = rounds;
        self
    }

    /// Checks everything.
    pub fn build(self) -> Result<PipelineSettings, PipelineError> {
        let settings = self.settings;
        if !settings.credential.is_sendable() {
            return Err(PipelineError::Key);
        }
        if !settings.url.starts_with("wss://") && !settings.url.starts_with("ws://") {
            return Err(PipelineError::Scheme);
        }
        for (part, model) in [("ears", settings.ears.model.model()), ("voice", &settings.voice.model)] {
            if model.trim().is_empty() {
                return Err(PipelineError::Model(part));
            }
        }
        check_ears(&settings.ears.model)?;
        if let Some(speed) = settings.voice.speed {
            within("speed", "0.7–1.5", (0.7..=1.5).contains(&speed))?;
        }
        within("tool_rounds_max", "1 or more", settings.tool_rounds_max > 0)?;
        Ok(settings)
    }
}

fn check_ears(model: &EarsModel) -> Result<(), PipelineError> {
    match model {
        EarsModel::Listen { endpointing, utterance_end, .. } => {
            within("endpointing", "10 ms–5 s", (10..=5_000).contains(&endpointing.as_millis()))?;
            within("utterance_end", "1–5 s", (1_000..=5_000).contains(&utterance_end.as_millis()))
        }
        EarsModel::Flux { eot_threshold, eager_eot_threshold, eot_timeout, .. } => {
            within("eot_threshold", "0.5–1.0", (0.5..=1.0).contains(eot_threshold))?;
            within("eot_timeout", "0.5–60 s", (500..=60_000).contains(&eot_timeout.as_millis()))?;
            match eager_eot_threshold {
                Some(eager) if eager > eot_threshold => Err(PipelineError::EagerAboveEnd),
                Some(eager) => within("eager_eot_threshold", "0.3–0.9", (0.3..=0.9).contains(eager)),
                None => Ok(()),
            }
        }
    }
}

fn within(name: &'static str, range: &'static str, inside: bool) -> Result<(), PipelineError> {
    if inside { Ok(()) } else { Err(PipelineError::Range { name, range }) }
}

/// An address with parameters, each written so that it survives.
struct Query {
    pub(super) url: String,
    separator: char,
}

impl Query {
    fn new(url: String) -> Self {
        Self { url, separator: '?' }
    }

    fn add(&mut self, name: &str, value: &str) {
        self.url.push(std::mem::replace(&mut self.separator, '&'));
        self.url.push_str(name);
        self.url.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                self.url.push(char::from(byte));
            } else {
                self.url.push_str(&format!("%{byte:02X}"));
            }
        }
    }

    fn add_format(&mut self, format: AudioFormat) {
        let encoding = match format.encoding {
            Encoding::Mulaw => "mulaw",
            Encoding::Alaw => "alaw",
            Encoding::Pcm16 => "linear16",
        };
        self.add("encoding", encoding);
        self.add("sample_rate", &format.rate.hz().to_string());
    }
}

#[cfg(test)]
mod tests {
    use voice_core::sensitive::Secret;

    use super::*;

    fn builder() -> PipelineBuilder {
        let mind = ChatEndpoint::new("https://llm.example/v1", "m").expect("a good address");
        PipelineSettings::builder(Credential::ApiKey(Secret::new("dg-key".into())), mind)
    }

    #[test]
    fn addresses_carry_what_was_set() {
        let flux = builder().keyterms(["Ada & Co".to_owned()]).speed(1.2).build().expect("good settings");
        assert_eq!(
            flux.ears_url(AudioFormat::MULAW_8K, Some("en")),
            "wss://api.deepgram.com/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000\
             &eot_threshold=0.7&eot_timeout_ms=5000&keyterm=Ada%20%26%20Co"
        );
        assert_eq!(
            flux.voice_url(AudioFormat::MULAW_8K),
            "wss://api.deepgram.com/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000&speed=1.2"
        );
        let listen = builder().url("ws://fake/").ears(EarsModel::listen("nova-3")).build();
        assert_eq!(
            listen.expect("good settings").ears_url(AudioFormat::PCM16_16K, Some("en-GB")),
            "ws://fake/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000\
             &interim_results=true&smart_format=true&vad_events=true&endpointing=300&utterance_end_ms=1000\
             &language=en-GB"
        );
        let older = builder().ears(EarsModel::listen("nova-2-phonecall")).keyterms(["Ada".to_owned()]);
        let older = older.build().expect("good settings").ears_url(AudioFormat::MULAW_8K, None);
        assert!(older.ends_with("&keywords=Ada"), "{older}");
        let many = builder().ears(EarsModel::flux("flux-general-multi")).build().expect("good settings");
        let many = many.ears_url(AudioFormat::MULAW_8K, Some("de"));
        assert!(many.ends_with("&language_hint=de"), "{many}");
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let flux = |eot_threshold, eager_eot_threshold| EarsModel::Flux {
            model: "flux-general-en".into(),
            eot_threshold,
            eager_eot_threshold,
            eot_timeout: Duration::from_secs(5),
        };
        let range = |builder: PipelineBuilder| match builder.build() {
            Err(PipelineError::Range { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(range(builder().speed(9.0)), "speed");
        assert_eq!(range(builder().tool_rounds_max(0)), "tool_rounds_max");
        assert_eq!(range(builder().ears(flux(0.2, None))), "eot_threshold");
        assert_eq!(range(builder().ears(flux(0.7, Some(0.1)))), "eager_eot_threshold");
        assert_eq!(builder().ears(flux(0.7, Some(0.8))).build().err(), Some(PipelineError::EagerAboveEnd));
        assert_eq!(builder().url("https://a").build().err(), Some(PipelineError::Scheme));
        assert_eq!(builder().voice("").build().err(), Some(PipelineError::Model("voice")));
        let mind = ChatEndpoint::new("https://llm.example/v1", "m").expect("a good address");
        let keyless =
            PipelineSettings::builder(Credential::AccessToken(Secret::new("a\nb".into())), mind).build();
        assert_eq!(keyless.err(), Some(PipelineError::Key));
    }

    #[test]
    fn keys_are_not_printed() {
        let printed = format!("{:?}", builder());
        assert!(!printed.contains("dg-key"), "{printed}");
    }
}
