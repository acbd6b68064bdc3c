//! What can be set about Gemini Live, with defaults for the telephone.

use std::time::Duration;

use voice_core::sensitive::Secret;
use voice_core::wire::Endpoint;

use super::quirks::{DoorQuirks, Family, Quirks, Thinks};
use crate::probe::web_origin;

/// The model where none is named.
pub const DEFAULT_MODEL: &str = "gemini-3.8-live";

/// The voice where none is named.
pub const DEFAULT_VOICE: &str = "Kore";

/// Checked settings, made by [`GeminiSettingsBuilder::build`].
#[derive(Clone, Debug)]
pub struct GeminiSettings {
    pub(super) place: Place,
    pub(super) model: String,
    pub(super) family: Family,
    pub(super) voice: String,
    pub(super) generation: Generation,
    pub(super) detection: Detection,
    pub(super) tools: ToolRules,
    pub(super) transcripts: Transcripts,
    /// Whether a connection that ends is resumed on another.
    pub(super) resumes: bool,
    /// At how many tokens the oldest part of the conversation is dropped; `None`: the session ends instead.
    pub(super) compression: Option<Compression>,
}

/// Where the service is, and who we are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) platform: Platform,
    pub(super) key: Secret<String>,
    /// Instead of the platform's own address.
    pub(super) url: Option<String>,
}

/// The two doors to the same models.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platform {
    /// The Gemini API; the key is an API key, or an ephemeral token (`auth_tokens/…`).
    GeminiApi,
    /// Vertex AI; the key is an OAuth access token. It is read when a connection opens only, and
    /// lives for an hour: a call that resumes later than that needs a provider with a fresh one.
    Vertex {
        /// The Google Cloud project.
        project: String,
        /// The region, or `global`.
        location: String,
    },
}

/// How the model makes its answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Generation {
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) output_tokens_max: Option<u32>,
    pub(super) thinking: Option<Thinking>,
    pub(super) affective: bool,
    pub(super) proactive: Option<bool>,
}

/// How much the model thinks before it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Thinking {
    /// So many tokens; 0 is none, −1 leaves it to the model. Generation 2.5.
    Budget(i32),
    /// As little as possible. Generation 3.1.
    Minimal,
    /// A little. Generation 3.1 and the extended thinking model.
    Low,
    /// Some. As [`Thinking::Low`].
    Medium,
    /// Much. As [`Thinking::Low`].
    High,
}

/// How the service notices that the caller's turn begins and ends.
///
/// Detection by the service cannot be switched off: a session does not know when the caller speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detection {
    /// How easily it takes a sound for speech. Default: the platform's (high; on Vertex low).
    pub start: Option<Sensitivity>,
    /// How easily it takes a pause for the end of a turn. Default: as for `start`.
    pub end: Option<Sensitivity>,
    /// Speech needed before a turn counts as begun: more makes it *less* sensitive.
    pub speech_needed: Option<Duration>,
    /// Silence that ends a turn.
    pub silence: Option<Duration>,
}

/// How easily the service is convinced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sensitivity {
    /// Not easily.
    Low,
    /// Easily.
    High,
}

/// How tools are declared and answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ToolRules {
    pub(super) behaviour: Option<ToolBehaviour>,
    pub(super) scheduling: Option<Scheduling>,
}

/// Whether the model waits for a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolBehaviour {
    /// It says nothing until every call is answered.
    Blocking,
    /// It goes on talking meanwhile.
    NonBlocking,
}

/// What the model does with the answer of a tool it did not wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduling {
    /// Knows it and says nothing.
    Silent,
    /// Speaks of it when it has finished what it says.
    WhenIdle,
    /// Speaks of it at once.
    Interrupt,
}

/// Which words are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transcripts {
    pub(super) caller: bool,
    pub(super) voice: bool,
}

/// When the oldest part of a conversation is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compression {
    /// `None` leaves both numbers to the service.
    pub(super) tokens: Option<(u32, u32)>,
}

/// What is wrong with settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// There is no key.
    #[error("no key is set")]
    KeyMissing,
    /// The key is an example from a manual.
    #[error("the key looks like a placeholder, not like a key")]
    KeyPlaceholder,
    /// The address is none.
    #[error("the address must begin with wss:// or ws://")]
    Url,
    /// A name that goes into an address or a message has characters that no such name has.
    #[error("the {0} has characters that no such name has, or none")]
    Name(&'static str),
    /// The model refuses this setting.
    #[error("{family:?} models do not take {setting}")]
    NotTaken {
        /// The setting.
        setting: &'static str,
        /// The family of the model that was chosen.
        family: Family,
    },
    /// A number is out of range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

impl GeminiSettings {
    /// Begins with a key: an API key, an ephemeral token, or for Vertex an OAuth access token.
    ///
    /// ```
    /// use voice_core::sensitive::Secret;
    /// use voice_providers::gemini::{Gemini, GeminiSettings};
    ///
    /// let key = Secret::new("AIza-not-a-real-one".to_owned());
    /// let settings = GeminiSettings::new(key).voice("Puck").build()?;
    /// let provider = Gemini::new(settings);
    /// # Ok::<(), voice_providers::gemini::SettingsError>(())
    /// ```
    #[expect(clippy::new_ret_no_self, reason = "settings without a check are none")]
    pub fn new(key: Secret<String>) -> GeminiSettingsBuilder {
        GeminiSettingsBuilder {
            settings: Self {
                place: Place {
                    platform: Platform::GeminiApi,
                    key: Secret::new(key.expose().trim().to_owned()),
                    url: None,
                },
                model: DEFAULT_MODEL.to_owned(),
                family: Family::V3_8,
                voice: DEFAULT_VOICE.to_owned(),
                generation: Generation::default(),
                detection: Detection::default(),
                tools: ToolRules::default(),
                transcripts: Transcripts { caller: true, voice: true },
                resumes: true,
                compression: Some(Compression { tokens: None }),
            },
            family: None,
        }
    }

    /// The family whose rules are followed.
    pub fn family(&self) -> Family {
        self.family
    }

    pub(super) fn quirks(&self) -> Quirks {
        self.family.quirks()
    }

    /// What the door takes.
    pub(super) fn door(&self) -> DoorQuirks {
        match &self.place.platform {
            Platform::GeminiApi => DoorQuirks::GEMINI_API,
            Platform::Vertex { .. } => DoorQuirks::VERTEX,
        }
    }

    /// Whether the model says nothing, and hears nothing, while a tool runs.
    pub(super) fn tools_block(&self) -> bool {
        match self.tools.behaviour {
            Some(ToolBehaviour::Blocking) => true,
            Some(ToolBehaviour::NonBlocking) => false,
            None => self.quirks().tools_block,
        }
    }

    /// How long a session may last, as far as is known: a connection of ten minutes where nothing is
    /// resumed, a quarter of an hour where nothing is compressed, else what was seen.
    pub(super) fn session_max(&self) -> Option<Duration> {
        if !self.resumes {
            Some(CONNECTION_MAX)
        } else if self.compression.is_none() {
            Some(UNCOMPRESSED_MAX)
        } else {
            self.quirks().session_max
        }
    }

    /// The model as the service wants it named.
    pub(super) fn model_path(&self) -> String {
        match &self.place.platform {
            Platform::GeminiApi => format!("models/{}", self.model),
            Platform::Vertex { project, location } => {
                format!("projects/{project}/locations/{location}/publishers/google/models/{}", self.model)
            }
        }
    }

    /// A request that only looks at the model; `None` where our key gives no leave to that.
    pub(super) fn probe(&self) -> Option<Endpoint> {
        if self.platform_is_vertex() || self.is_ephemeral() {
            return None;
        }
        let url = format!("{}/v1beta/{}", web_origin(&self.endpoint().url)?, self.model_path());
        Some(Endpoint::get(url).header("x-goog-api-key", self.place.key.expose()))
    }

    fn platform_is_vertex(&self) -> bool {
        matches!(self.place.platform, Platform::Vertex { .. })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let key = self.place.key.expose();
        let token = self.is_ephemeral();
        let url = match &self.place.url {
            Some(url) => with_path(url, self.path()),
            None => format!("wss://{}{}", self.host(), self.path()),
        };
        let endpoint = Endpoint::web_socket(url);
        match &self.place.platform {
            Platform::Vertex { .. } => endpoint.header("authorization", format!("Bearer {key}")),
            Platform::GeminiApi if token => endpoint.header("authorization", format!("Token {key}")),
            Platform::GeminiApi => endpoint.header("x-goog-api-key", key),
        }
    }

    fn is_ephemeral(&self) -> bool {
        self.door().ephemeral_tokens && self.place.key.expose().starts_with("auth_tokens/")
    }

    fn host(&self) -> String {
        match &self.place.platform {
            Platform::GeminiApi => "generativelanguage.googleapis.com".to_owned(),
            Platform::Vertex { location, .. } if location == "global" => {
                "aiplatform.googleapis.com".to_owned()
            }
            Platform::Vertex { location, .. } => format!("{location}-aiplatform.googleapis.com"),
        }
    }

    fn path(&self) -> &'static str {
        let alpha = self.generation.affective || self.generation.proactive.is_some();
        match &self.place.platform {
            Platform::Vertex { .. } => {
                "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
            }
            Platform::GeminiApi if self.is_ephemeral() => concat!(
                "/ws/google.ai.generativelanguage.v1alpha.GenerativeService",
                ".BidiGenerateContentConstrained"
            ),
            Platform::GeminiApi if alpha => {
                "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContent"
            }
            Platform::GeminiApi => {
                "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
            }
        }
    }
}

/// One connection lives about so long (protocol notes, Gemini Live §10).
pub(super) const CONNECTION_MAX: Duration = Duration::from_secs(10 * 60);

/// A session of audio that is not compressed lives so long.
const UNCOMPRESSED_MAX: Duration = Duration::from_secs(15 * 60);

/// Collects settings.
#[derive(Clone, Debug)]
#[must_use]
pub struct GeminiSettingsBuilder {
    settings: GeminiSettings,
    family: Option<Family>,
}

impl GeminiSettingsBuilder {
    /// The model, without `models/` before it. Default: [`DEFAULT_MODEL`].
    pub fn model(mut self, model: impl Into<String>) -> Self {
        let model = model.into();
        self.settings.model = model.strip_prefix("models/").unwrap_or(&model).to_owned();
        self
    }

    /// Whose rules the model follows. Default: as its name says.
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Which door. Default: the Gemini API.
    pub fn platform(mut self, platform: Platform) -> Self {
        self.settings.place.platform = platform;
        self
    }

    /// Another address: a whole one, or only scheme, host and port. Default: Google's.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.settings.place.url = Some(url.into());
        self
    }

    /// One of the prebuilt voices (`Kore`, `Puck`, `Charon`…). Default: [`DEFAULT_VOICE`].
    pub fn voice(mut self, voice: impl Into<String>) -> Self {
        self.settings.voice = voice.into();
        self
    }

    /// Randomness, 0 to 2. Default: the model's.
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.settings.generation.temperature = Some(temperature);
        self
    }

    /// Nucleus sampling, 0 to 1. Default: the model's.
    pub fn top_p(mut self, top_p: f32) -> Self {
        self.settings.generation.top_p = Some(top_p);
        self
    }

    /// Most tokens of one answer; audio has 25 to 32 a second. Default: the model's.
    pub fn output_tokens_max(mut self, tokens: u32) -> Self {
        self.settings.generation.output_tokens_max = Some(tokens);
        self
    }

    /// How much it thinks. Default: the model's; `gemini-3.8-live` takes none.
    pub fn thinking(mut self, thinking: Thinking) -> Self {
        self.settings.generation.thinking = Some(thinking);
        self
    }

    /// Whether it answers to the caller's mood. Generation 2.5 only. Default: no.
    pub fn affective_dialog(mut self, on: bool) -> Self {
        self.settings.generation.affective = on;
        self
    }

    /// Whether it may decide not to answer. Generation 2.5 only; 3.8 always may. Default: the model's.
    pub fn proactive_audio(mut self, on: bool) -> Self {
        self.settings.generation.proactive = Some(on);
        self
    }

    /// How the caller's turns are detected. Default: as the platform does.
    pub fn detection(mut self, detection: Detection) -> Self {
        self.settings.detection = detection;
        self
    }

    /// Whether the model waits for tools. Default: the model's way (3.8 does not wait).
    pub fn tool_behaviour(mut self, behaviour: ToolBehaviour) -> Self {
        self.settings.tools.behaviour = Some(behaviour);
        self
    }

    /// What it does with answers it did not wait for. Default: the service's, [`Scheduling::WhenIdle`].
    pub fn scheduling(mut self, scheduling: Scheduling) -> Self {
        self.settings.tools.scheduling = Some(scheduling);
        self
    }

    /// Whether the words of the caller and of the voice are asked for. Default: both. Without them a
    /// conversation cannot be handed over to another provider.
    pub fn transcripts(mut self, caller: bool, voice: bool) -> Self {
        self.settings.transcripts = Transcripts { caller, voice };
        self
    }

    /// Whether a connection that ends is resumed on another. Default: yes.
    pub fn resume(mut self, on: bool) -> Self {
        self.settings.resumes = on;
        self
    }

    /// Whether the oldest part of a long conversation is dropped; without it a session lasts a
    /// quarter of an hour. Default: yes.
    pub fn compress(mut self, on: bool) -> Self {
        self.settings.compression = on.then_some(Compression { tokens: None });
        self
    }

    /// At so many tokens the conversation is cut down to so many. Default: the service's numbers.
    pub fn compress_at(mut self, trigger_tokens: u32, target_tokens: u32) -> Self {
        self.settings.compression = Some(Compression { tokens: Some((trigger_tokens, target_tokens)) });
        self
    }

    /// Checks them, each for itself and against what the model takes.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting.
    pub fn build(mut self) -> Result<GeminiSettings, SettingsError> {
        self.settings.family = self.family.unwrap_or_else(|| Family::of(&self.settings.model));
        check_place(&self.settings.place)?;
        check_name("model", &self.settings.model)?;
        check_name("voice", &self.settings.voice)?;
        check_numbers(&self.settings)?;
        check_quirks(&self.settings)?;
        Ok(self.settings)
    }
}

fn check_place(place: &Place) -> Result<(), SettingsError> {
    let key = place.key.expose();
    if key.is_empty() {
        return Err(SettingsError::KeyMissing);
    }
    let lower = key.to_ascii_lowercase();
    let placeholder = ["your", "xxxx", "changeme", "placeholder", "<", "..."];
    let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !printable || placeholder.iter().any(|word| lower.contains(word)) {
        return Err(SettingsError::KeyPlaceholder);
    }
    if let Some(url) = &place.url {
        let rest = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
            return Err(SettingsError::Url);
        }
    }
    if let Platform::Vertex { project, location } = &place.platform {
        check_name("project", project)?;
        check_name("location", location)?;
    }
    Ok(())
}

fn check_name(what: &'static str, name: &str) -> Result<(), SettingsError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if name.is_empty() || name.len() > 128 || !name.bytes().all(fits) {
        return Err(SettingsError::Name(what));
    }
    Ok(())
}

fn check_numbers(settings: &GeminiSettings) -> Result<(), SettingsError> {
    let generation = &settings.generation;
    let within = |value: Option<f32>, max: f32| value.is_none_or(|value| (0.0..=max).contains(&value));
    let short = |value: Option<Duration>| value.is_none_or(|value| value <= Duration::from_secs(10));
    let tokens = settings.compression.and_then(|compression| compression.tokens);
    for (what, fine) in [
        ("temperature", within(generation.temperature, 2.0)),
        ("top_p", within(generation.top_p, 1.0)),
        ("output_tokens_max", generation.output_tokens_max != Some(0)),
        ("detection.speech_needed", short(settings.detection.speech_needed)),
        ("detection.silence", short(settings.detection.silence)),
        ("compress_at", tokens.is_none_or(|(trigger, target)| 0 < target && target < trigger)),
    ] {
        if !fine {
            return Err(SettingsError::OutOfRange(what));
        }
    }
    Ok(())
}

fn check_quirks(settings: &GeminiSettings) -> Result<(), SettingsError> {
    let (quirks, generation) = (settings.quirks(), &settings.generation);
    let thinking = match (generation.thinking, quirks.thinking) {
        (None, _) => true,
        (Some(Thinking::Budget(tokens)), Thinks::Budget) => tokens >= -1,
        (Some(Thinking::Minimal), Thinks::Level) => true,
        (Some(Thinking::Low | Thinking::Medium | Thinking::High), Thinks::Level | Thinks::LevelFromLow) => {
            true
        }
        (Some(_), Thinks::Budget | Thinks::Level | Thinks::LevelFromLow | Thinks::No) => false,
    };
    let aside = settings.tools.behaviour != Some(ToolBehaviour::NonBlocking) || quirks.tools_may_run_aside;
    for (setting, taken) in [
        ("this thinking", thinking),
        ("affective_dialog", quirks.moods || !generation.affective),
        ("proactive_audio", quirks.moods || generation.proactive.is_none()),
        ("tools that do not block", aside),
        ("scheduling of tools that block", settings.tools.scheduling.is_none() || !settings.tools_block()),
    ] {
        if !taken {
            return Err(SettingsError::NotTaken { setting, family: settings.family });
        }
    }
    Ok(())
}

/// An address with a path of its own is taken as it is.
fn with_path(url: &str, path: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("wss", url));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('/') { format!("{scheme}://{rest}") } else { format!("{scheme}://{rest}{path}") }
}
