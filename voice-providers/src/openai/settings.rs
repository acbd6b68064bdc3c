//! What can be set about OpenAI Realtime, with defaults for the telephone.

use std::time::Duration;

use voice_core::sensitive::Secret;

use super::quirks::{Quirks, TranscriptionQuirks};

/// Checked settings, made by [`OpenAiSettingsBuilder::build`].
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    pub(super) endpoint: Address,
    pub(super) model: String,
    pub(super) voice: String,
    pub(super) speed: f32,
    pub(super) turn_detection: TurnDetection,
    pub(super) interrupts: bool,
    pub(super) transcription: Option<Transcription>,
    pub(super) noise_reduction: Option<NoiseReduction>,
    pub(super) limits: Limits,
}

/// Where the service is, and who we are.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) key: Secret<String>,
    pub(super) organization: Option<String>,
    pub(super) project: Option<String>,
}

/// How much the model may think, say and remember.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) output_tokens_max: Option<u32>,
    pub(super) effort: Option<Effort>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) truncation: Truncation,
}

/// How the service notices that the caller's turn is over.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TurnDetection {
    /// By silence.
    ServerVad {
        /// Loudness needed to count as speech, 0 to 1.
        threshold: f32,
        /// Audio before the detected beginning that belongs to the turn.
        prefix_padding: Duration,
        /// Silence that ends the turn.
        silence: Duration,
        /// If nobody speaks for so long after a reply, the voice asks whether the caller is still
        /// there; 5 to 30 s.
        idle_timeout: Option<Duration>,
    },
    /// By what was said.
    SemanticVad {
        /// How soon it answers.
        eagerness: Eagerness,
    },
}

impl Default for TurnDetection {
    /// Half of full loudness, 300 ms of padding, 500 ms of silence, no idle timeout. The silence is
    /// always sent, because the service's own default is not what its documentation says.
    fn default() -> Self {
        Self::ServerVad {
            threshold: 0.5,
            prefix_padding: Duration::from_millis(300),
            silence: Duration::from_millis(500),
            idle_timeout: None,
        }
    }
}

/// How soon semantic turn detection lets the voice answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Eagerness {
    /// Waits up to 8 s.
    Low,
    /// Waits up to 4 s.
    Medium,
    /// Waits up to 2 s.
    High,
    /// As the service sees fit; at present the same as medium.
    Auto,
}

/// How the caller's words are written down. Beside the model: not what the model heard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transcription {
    /// The model that transcribes.
    pub model: String,
    /// Language, ISO 639-1. The language of the call, where known, takes precedence.
    pub language: Option<String>,
    /// Names and words to expect.
    pub prompt: Option<String>,
}

impl Transcription {
    /// Transcription by this model, in any language.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), language: None, prompt: None }
    }
}

impl Default for Transcription {
    /// `gpt-live-transcribe`.
    fn default() -> Self {
        Self::new("gpt-live-transcribe")
    }
}

/// What is filtered out before anything listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoiseReduction {
    /// For a microphone close to the mouth: a handset.
    NearField,
    /// For a microphone further away: a hands-free set.
    FarField,
}

/// How hard a reasoning model thinks before it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// Hardly.
    Minimal,
    /// A little; the service's own default.
    Low,
    /// More.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    ExtraHigh,
}

/// What happens when the conversation outgrows the model's memory.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Truncation {
    /// The service forgets the oldest items as needed.
    Auto,
    /// Nothing is forgotten; the service fails instead.
    Disabled,
    /// When full, it forgets so much that this share stays, so that the prompt's cache is lost less often.
    Retain {
        /// 0 to 1.
        ratio: f32,
    },
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Keys are visible ASCII without spaces.
    #[error("the api key is empty or holds characters that cannot be sent in a header")]
    Key,
    /// An organization or project id that cannot be sent in a header.
    #[error("{field} is empty or holds characters that cannot be sent in a header")]
    Header {
        /// `organization` or `project`.
        field: &'static str,
    },
    /// The address must be `ws://` or `wss://` without query or fragment.
    #[error("the url is not ws:// or wss://, or has a query or fragment")]
    Url,
    /// Model and voice are letters, digits, `-`, `_`, `.`, `:` or `/`.
    #[error("{field} is empty or holds unusual characters")]
    Name {
        /// `model`, `voice` or `transcription.model`.
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
    /// The chosen model has no such setting.
    #[error("the model does not take {field}")]
    NotForModel {
        /// Which setting.
        field: &'static str,
    },
}

/// Settings being made; see the default on each setter.
#[derive(Clone, Debug)]
#[must_use]
pub struct OpenAiSettingsBuilder(OpenAiSettings);

impl OpenAiSettings {
    /// What every use needs; all else has a default that is documented on its setter.
    #[expect(clippy::new_ret_no_self, reason = "settings exist only once they are checked")]
    pub fn new(key: Secret<String>) -> OpenAiSettingsBuilder {
        OpenAiSettingsBuilder(Self {
            endpoint: Address {
                url: "wss://api.openai.com/v1/realtime".to_owned(),
                key,
                organization: None,
                project: None,
            },
            model: "gpt-realtime-2.1".to_owned(),
            voice: "marin".to_owned(),
            speed: 1.0,
            turn_detection: TurnDetection::default(),
            interrupts: true,
            transcription: Some(Transcription::default()),
            noise_reduction: None,
            limits: Limits {
                output_tokens_max: None,
                effort: None,
                parallel_tool_calls: None,
                truncation: Truncation::Auto,
            },
        })
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether a response may call several tools: models that reason do unless they are told otherwise.
    pub(super) fn calls_in_parallel(&self) -> bool {
        self.limits.parallel_tool_calls.unwrap_or(self.quirks().reasons)
    }

    pub(super) fn quirks(&self) -> &'static Quirks {
        Quirks::of(&self.model)
    }
}

impl OpenAiSettingsBuilder {
    /// Where the service is, without `?model=`: the public address, unless a proxy or a fake is meant.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.0.endpoint.url = url.into();
        self
    }

    /// The organization that pays; by default the key's own.
    pub fn organization(mut self, id: impl Into<String>) -> Self {
        self.0.endpoint.organization = Some(id.into());
        self
    }

    /// The project that pays; by default the key's own.
    pub fn project(mut self, id: impl Into<String>) -> Self {
        self.0.endpoint.project = Some(id.into());
        self
    }

    /// The model, `gpt-realtime-2.1` by default.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.0.model = model.into();
        self
    }

    /// The voice, `marin` by default; an id that begins with `voice_` is a custom voice.
    pub fn voice(mut self, voice: impl Into<String>) -> Self {
        self.0.voice = voice.into();
        self
    }

    /// How fast it speaks, 0.25 to 1.5; 1 by default.
    pub fn speed(mut self, speed: f32) -> Self {
        self.0.speed = speed;
        self
    }

    /// How the end of the caller's turn is found; [`TurnDetection::default`].
    pub fn turn_detection(mut self, detection: TurnDetection) -> Self {
        self.0.turn_detection = detection;
        self
    }

    /// Whether the service itself cancels its reply when the caller speaks. Yes by default; otherwise
    /// it is cancelled when the call says so, one network round later.
    pub fn interrupts(mut self, yes: bool) -> Self {
        self.0.interrupts = yes;
        self
    }

    /// How the caller's words are written down; [`Transcription::default`]. With `None` there is no
    /// transcript of the caller, and a successor in mid-call knows only one side of the conversation.
    pub fn transcription(mut self, transcription: Option<Transcription>) -> Self {
        self.0.transcription = transcription;
        self
    }

    /// What is filtered out first; nothing by default, because telephones filter already.
    pub fn noise_reduction(mut self, reduction: Option<NoiseReduction>) -> Self {
        self.0.noise_reduction = reduction;
        self
    }

    /// The longest reply in tokens, speech included (about 20 a second); no limit by default.
    pub fn output_tokens_max(mut self, tokens: Option<u32>) -> Self {
        self.0.limits.output_tokens_max = tokens;
        self
    }

    /// How hard it thinks. Left to the service by default; only for models of the 2 series.
    pub fn effort(mut self, effort: Option<Effort>) -> Self {
        self.0.limits.effort = effort;
        self
    }

    /// Whether several tools may be called at once. Left to the service by default; only for models
    /// of the 2 series.
    pub fn parallel_tool_calls(mut self, yes: Option<bool>) -> Self {
        self.0.limits.parallel_tool_calls = yes;
        self
    }

    /// What happens when the conversation outgrows the model's memory; [`Truncation::Auto`] by default.
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.0.limits.truncation = truncation;
        self
    }

    /// Checks the values and how they go together.
    pub fn build(self) -> Result<OpenAiSettings, SettingsError> {
        let settings = self.0;
        check_address(&settings.endpoint)?;
        check_name("model", &settings.model)?;
        check_name("voice", &settings.voice)?;
        in_range("speed", settings.speed, 0.25, 1.5, "0.25 to 1.5")?;
        check_turn_detection(&settings.turn_detection)?;
        if let Some(transcription) = &settings.transcription {
            check_name("transcription.model", &transcription.model)?;
            let quirks = TranscriptionQuirks::of(&transcription.model);
            if !quirks.turn_detection {
                return Err(SettingsError::NotForModel { field: "transcription beside turn detection" });
            }
        }
        check_limits(&settings.limits, &settings.model)?;
        Ok(settings)
    }
}

fn check_address(address: &Address) -> Result<(), SettingsError> {
    if !is_header_word(address.key.expose()) {
        return Err(SettingsError::Key);
    }
    for (field, value) in [("organization", &address.organization), ("project", &address.project)] {
        if value.as_ref().is_some_and(|value| !is_header_word(value)) {
            return Err(SettingsError::Header { field });
        }
    }
    let url = &address.url;
    let host = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://")).unwrap_or_default();
    let fine = !host.is_empty() && !host.starts_with('/') && host.bytes().all(|b| b.is_ascii_graphic());
    if !fine || host.contains(['?', '#', '@']) {
        return Err(SettingsError::Url);
    }
    Ok(())
}

fn is_header_word(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic())
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
    value: f32,
    low: f32,
    high: f32,
    range: &'static str,
) -> Result<(), SettingsError> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(SettingsError::Range { field, range }) }
}

fn check_turn_detection(detection: &TurnDetection) -> Result<(), SettingsError> {
    let TurnDetection::ServerVad { threshold, prefix_padding, silence, idle_timeout } = detection else {
        return Ok(());
    };
    in_range("threshold", *threshold, 0.0, 1.0, "0 to 1")?;
    in_range("prefix_padding", prefix_padding.as_secs_f32(), 0.0, 5.0, "at most 5 s")?;
    in_range("silence", silence.as_secs_f32(), 0.02, 10.0, "20 ms to 10 s")?;
    if let Some(idle) = idle_timeout {
        in_range("idle_timeout", idle.as_secs_f32(), 5.0, 30.0, "5 to 30 s")?;
    }
    Ok(())
}

fn check_limits(limits: &Limits, model: &str) -> Result<(), SettingsError> {
    let quirks = Quirks::of(model);
    if limits.output_tokens_max.is_some_and(|tokens| !(1..=quirks.output_tokens_max).contains(&tokens)) {
        return Err(SettingsError::Range { field: "output_tokens_max", range: OUTPUT_TOKENS });
    }
    if let Truncation::Retain { ratio } = limits.truncation {
        in_range("truncation.ratio", ratio, 0.0, 1.0, "0 to 1")?;
    }
    if !quirks.reasons {
        let given = [
            ("effort", limits.effort.is_some()),
            ("parallel_tool_calls", limits.parallel_tool_calls.is_some()),
        ];
        if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(SettingsError::NotForModel { field });
        }
    }
    Ok(())
}

const OUTPUT_TOKENS: &str = "1 to 32768, to 4096 for models that do not reason";

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> OpenAiSettingsBuilder {
        OpenAiSettings::new(Secret::new("sk-test".to_owned()))
    }

    #[test]
    fn the_defaults_are_fine_and_print_no_key() {
        let built = settings().build().expect("the defaults are fine");
        assert_eq!(built.model(), "gpt-realtime-2.1");
        assert!(!format!("{built:?}").contains("sk-test"));
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_here() {
        let vad = |threshold, silence_ms, idle| TurnDetection::ServerVad {
            threshold,
            prefix_padding: Duration::ZERO,
            silence: Duration::from_millis(silence_ms),
            idle_timeout: idle,
        };
        let range = |field, range| SettingsError::Range { field, range };
        for (builder, error) in [
            (OpenAiSettings::new(Secret::new("sk\r\nx: y".to_owned())), SettingsError::Key),
            (settings().organization("a b"), SettingsError::Header { field: "organization" }),
            (settings().url("https://api.example"), SettingsError::Url),
            (settings().url("wss:///x"), SettingsError::Url),
            (settings().url("wss://api.example/?model=x"), SettingsError::Url),
            (settings().model(""), SettingsError::Name { field: "model" }),
            (settings().model("a&b=c"), SettingsError::Name { field: "model" }),
            (settings().voice("two words"), SettingsError::Name { field: "voice" }),
            (settings().speed(f32::NAN), range("speed", "0.25 to 1.5")),
            (settings().turn_detection(vad(1.1, 500, None)), range("threshold", "0 to 1")),
            (settings().turn_detection(vad(0.5, 0, None)), range("silence", "20 ms to 10 s")),
            (
                settings().turn_detection(vad(0.5, 500, Some(Duration::from_secs(31)))),
                range("idle_timeout", "5 to 30 s"),
            ),
            (settings().output_tokens_max(Some(0)), range("output_tokens_max", OUTPUT_TOKENS)),
            (
                settings().model("gpt-realtime-1.5").output_tokens_max(Some(4_097)),
                range("output_tokens_max", OUTPUT_TOKENS),
            ),
            (
                settings().transcription(Some(Transcription::new("gpt-realtime-whisper"))),
                SettingsError::NotForModel { field: "transcription beside turn detection" },
            ),
            (settings().truncation(Truncation::Retain { ratio: 2.0 }), range("truncation.ratio", "0 to 1")),
            (
                settings().model("gpt-realtime-1.5").effort(Some(Effort::Low)),
                SettingsError::NotForModel { field: "effort" },
            ),
            (
                settings().model("gpt-realtime-2025-08-28").parallel_tool_calls(Some(true)),
                SettingsError::NotForModel { field: "parallel_tool_calls" },
            ),
        ] {
            assert_eq!(builder.build().expect_err("refused"), error);
        }
        assert!(settings().effort(Some(Effort::High)).build().is_ok());
        assert!(settings().url("ws://127.0.0.1:9/v1/realtime").build().is_ok());
    }
}
