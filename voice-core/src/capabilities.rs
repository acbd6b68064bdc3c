//! What a voice service can do and how it behaves, as data; and what it costs.
//!
//! A difference between services is a value here, never another method of a port. The table in
//! `docs/providers.md` is checked against the values.

use std::time::Duration;

use crate::audio::AudioFormat;

/// What one service can do, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Formats in which it takes the caller's audio, best first.
    pub hears: Vec<AudioFormat>,
    /// Formats in which it can answer, best first.
    pub speaks: Vec<AudioFormat>,
    /// Who notices that the caller began to speak.
    pub caller_speech: CallerSpeech,
    /// Who notices that the caller has fallen silent.
    pub caller_pause: CallerSpeech,
    /// How the service learns what was heard of a reply that was cut.
    pub cut: CutReport,
    /// How it is told what was said before.
    pub history: HistoryForms,
    /// How long a conversation and its lines may last.
    pub lifetime: Lifetime,
    /// Whether and how it calls tools.
    pub tools: Option<ToolUse>,
    /// Whether the model can look at pictures. No call has any yet; it is told for those who choose.
    pub images: bool,
    /// Languages in which it can hear and speak, BCP 47; `None` where its makers list none or the list is
    /// not known.
    pub languages: Option<Vec<String>>,
    /// What it costs, where that is known.
    pub price: Option<Price>,
}

impl Capabilities {
    /// A provider of these formats that tells when the caller speaks, calls tools one at a time, and of
    /// which nothing else is known; all of it can be set on the fields.
    pub fn new(hears: Vec<AudioFormat>, speaks: Vec<AudioFormat>) -> Self {
        Self {
            hears,
            speaks,
            caller_speech: CallerSpeech::Told,
            caller_pause: CallerSpeech::Told,
            cut: CutReport::Nothing,
            history: HistoryForms::same(HistoryForm::Item),
            lifetime: Lifetime::default(),
            tools: Some(ToolUse::default()),
            images: false,
            languages: None,
            price: None,
        }
    }

    /// Whether it speaks this language, BCP 47, as far as is known: a primary subtag is enough.
    ///
    /// ```
    /// use voice_core::capabilities::Capabilities;
    ///
    /// let mut capabilities = Capabilities::new(vec![], vec![]);
    /// assert_eq!(capabilities.speaks_language("de-AT"), None);
    /// capabilities.languages = Some(vec!["en".to_owned()]);
    /// assert_eq!(capabilities.speaks_language("en-GB"), Some(true));
    /// assert_eq!(capabilities.speaks_language("de-AT"), Some(false));
    /// ```
    pub fn speaks_language(&self, tag: &str) -> Option<bool> {
        let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let languages = self.languages.as_ref()?;
        Some(languages.iter().any(|language| primary(language) == primary(tag)))
    }
}

/// Who notices when the caller begins or ceases to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerSpeech {
    /// The service says so.
    Told,
    /// It does not: the bridge's own detector makes the event.
    Detected,
}

/// How a service learns what was heard of a reply that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CutReport {
    /// By the time that was heard, in milliseconds; it forgets the words after it.
    Milliseconds,
    /// By the words that were heard: the conversation it is shown next ends with them.
    Words,
    /// Not at all: it keeps its own books of what it sent.
    Nothing,
}

/// The form in which a service is given something that was said elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryForm {
    /// As what it is: an item, turn or message of that kind.
    Item,
    /// As an entry of the settings with which a conversation begins.
    Settings,
    /// In words, within somebody's turn.
    Words,
    /// In words, added to the instructions.
    Instructions,
}

/// How a service is given each kind of [`Turn`](crate::conversation::Turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryForms {
    /// What the caller said.
    pub caller: HistoryForm,
    /// What the voice said.
    pub voice: HistoryForm,
    /// A tool that was called, and its answer.
    pub tool: HistoryForm,
    /// A note.
    pub note: HistoryForm,
    /// Turns that are added while the conversation goes on.
    pub later: HistoryForm,
}

impl HistoryForms {
    /// One form for all.
    pub const fn same(form: HistoryForm) -> Self {
        Self { caller: form, voice: form, tool: form, note: form, later: form }
    }
}

/// How long a conversation and its lines may last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// The longest conversation; `None` if there is no limit or none is known.
    pub session_max: Option<Duration>,
    /// The longest life of one line, where that differs from the conversation's.
    pub line_max: Option<Duration>,
    /// Whether a line that ends is replaced within the conversation, without the call noticing.
    pub resumes: bool,
    /// Whether the service says when a conversation will end.
    pub announced: bool,
    /// Whether it answers WebSocket pings within a second, whatever it is doing. Where it does, a connection that
    /// is half open is told from a service that thinks in less than two seconds.
    pub answers_pings: bool,
}

/// How a service calls tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolUse {
    /// Several at once.
    pub parallel: bool,
    /// It takes a call back when the caller changes their mind.
    pub cancels: bool,
    /// It neither speaks nor listens until all calls are answered.
    pub blocks: bool,
}

/// What a service costs, as its makers said at some day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// By what it is counted.
    pub rate: Rate,
    /// The day on which it was read, `YYYY-MM-DD`: prices change.
    pub as_of: &'static str,
    /// Where it was read.
    pub source: &'static str,
}

/// By what a service counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rate {
    /// By the time that it is connected.
    PerMinute(MicroUsd),
    /// By tokens.
    PerToken(TokenRates),
}

/// Money in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroUsd(pub u64);

/// The price of a million tokens of each kind, the kinds of [`Usage`](crate::provider::Usage); `None` where
/// it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenRates {
    /// Text read afresh.
    pub text_in: Option<MicroUsd>,
    /// Audio read afresh.
    pub audio_in: Option<MicroUsd>,
    /// Of either kind, read from a cache. The dearer of the two where they differ, so that no estimate is
    /// too low.
    pub cached_in: Option<MicroUsd>,
    /// Text written.
    pub text_out: Option<MicroUsd>,
    /// Audio spoken.
    pub audio_out: Option<MicroUsd>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_provider_claims_little() {
        let capabilities = Capabilities::new(vec![AudioFormat::MULAW_8K], vec![AudioFormat::MULAW_8K]);
        assert_eq!(capabilities.cut, CutReport::Nothing);
        assert_eq!(capabilities.tools, Some(ToolUse { parallel: false, cancels: false, blocks: false }));
        assert_eq!((capabilities.lifetime.session_max, capabilities.price), (None, None));
    }
}
