//! What one generation of models takes and another refuses, as a table.
//!
//! Source: protocol notes, Gemini Live §3, §6, §7, §11. A quirk is a field here, never an `if` on a
//! model's name somewhere else.

use std::time::Duration;

use voice_core::capabilities::{MicroUsd, TokenRates};

/// Generations of models that behave alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// `gemini-2.5-…native-audio…` and `gemini-live-2.5-…`.
    V2_5,
    /// `gemini-3.1-flash-live-preview`.
    V3_1,
    /// `gemini-3.8-live`.
    V3_8,
    /// `gemini-3.8-live-extended-thinking`.
    V3_8Thinking,
}

/// What a family takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quirks {
    /// How the conversation so far is given.
    pub(super) history: History,
    /// Whether turns may be added while the conversation goes on, without an answer being due.
    pub(super) adds_turns: bool,
    /// How the model is made to speak.
    pub(super) prompt: Prompt,
    /// How it may be told to think.
    pub(super) thinking: Thinks,
    /// Whether affective dialogue and proactive audio can be asked for. Later models refuse the fields.
    pub(super) moods: bool,
    /// Whether the model says nothing until its tool calls are answered, unless told otherwise.
    pub(super) tools_block: bool,
    /// Whether tools may be declared as not blocking.
    pub(super) tools_may_run_aside: bool,
    /// The longest session that was seen, even when resumed.
    pub(super) session_max: Option<Duration>,
    /// What a million tokens cost, as far as it could be confirmed.
    pub(super) rates: Option<TokenRates>,
}

/// What one of the two doors takes and the other refuses (protocol notes, Gemini Live §14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DoorQuirks {
    /// Whether it wants to be told that the caller's audio pauses.
    pub(super) audio_stream_end: bool,
    /// Whether it takes tokens that were made for one session.
    pub(super) ephemeral_tokens: bool,
}

impl DoorQuirks {
    pub(super) const GEMINI_API: Self = Self { audio_stream_end: true, ephemeral_tokens: true };
    pub(super) const VERTEX: Self = Self { audio_stream_end: false, ephemeral_tokens: false };
}

/// How the conversation so far is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    /// The list must end with the caller's turn, and the model answers it.
    EndsWithCaller,
    /// Announced in the setup; may end with either turn; nothing is answered.
    Announced,
}

/// How the model is made to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// By a turn that is complete.
    Turn,
    /// By text that counts as input of the caller.
    Text,
}

/// How a model may be told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinks {
    /// By a number of tokens.
    Budget,
    /// By a level.
    Level,
    /// By a level, but not by the least of them.
    LevelFromLow,
    /// Not at all: the field is refused.
    No,
}

impl Family {
    /// The family of a model, by its name; the newest where the name says nothing.
    ///
    /// ```
    /// use voice_providers::gemini::Family;
    ///
    /// assert_eq!(Family::of("gemini-3.1-flash-live-preview"), Family::V3_1);
    /// assert_eq!(Family::of("gemini-9-live"), Family::V3_8);
    /// ```
    pub fn of(model: &str) -> Self {
        if model.contains("2.5") {
            Self::V2_5
        } else if model.contains("3.1") {
            Self::V3_1
        } else if model.contains("extended-thinking") {
            Self::V3_8Thinking
        } else {
            Self::V3_8
        }
    }

    /// Every family.
    pub const ALL: &[Self] = &[Self::V2_5, Self::V3_1, Self::V3_8, Self::V3_8Thinking];

    pub(super) const fn quirks(self) -> Quirks {
        match self {
            Self::V2_5 => Quirks {
                history: History::EndsWithCaller,
                adds_turns: true,
                prompt: Prompt::Turn,
                thinking: Thinks::Budget,
                moods: true,
                tools_block: true,
                tools_may_run_aside: true,
                session_max: None,
                rates: None,
            },
            Self::V3_1 => Quirks {
                history: History::Announced,
                adds_turns: false,
                prompt: Prompt::Text,
                thinking: Thinks::Level,
                moods: false,
                tools_block: true,
                tools_may_run_aside: false,
                session_max: None,
                rates: None,
            },
            Self::V3_8 => V3_8,
            Self::V3_8Thinking => Quirks { thinking: Thinks::LevelFromLow, ..V3_8 },
        }
    }
}

const V3_8: Quirks = Quirks {
    history: History::Announced,
    adds_turns: true,
    prompt: Prompt::Text,
    thinking: Thinks::No,
    moods: false,
    tools_block: false,
    tools_may_run_aside: true,
    session_max: Some(Duration::from_secs(58 * 60)),
    // Only the rates of text could be confirmed (protocol notes, Gemini Live §11).
    rates: Some(TokenRates {
        text_in: Some(MicroUsd(750_000)),
        audio_in: None,
        cached_in: None,
        text_out: Some(MicroUsd(4_500_000)),
        audio_out: None,
    }),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_family() {
        for (model, family) in [
            ("gemini-2.5-flash-native-audio-preview-12-2025", Family::V2_5),
            ("gemini-live-2.5-flash-native-audio", Family::V2_5),
            ("gemini-3.1-flash-live-preview", Family::V3_1),
            ("gemini-3.8-live", Family::V3_8),
            ("gemini-3.8-live-extended-thinking", Family::V3_8Thinking),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }

    /// Every field of every row; a row that is dropped or changed is missed here.
    #[test]
    fn every_row_has_its_rules() {
        let of = |family: Family| {
            let quirks = family.quirks();
            (
                (quirks.history, quirks.adds_turns, quirks.prompt),
                (quirks.thinking, quirks.moods),
                (quirks.tools_block, quirks.tools_may_run_aside),
                (quirks.session_max.map(|max| max.as_secs() / 60), quirks.rates.is_some()),
            )
        };
        let (told, text) = (History::Announced, Prompt::Text);
        for (family, rules) in [
            (
                Family::V2_5,
                (
                    (History::EndsWithCaller, true, Prompt::Turn),
                    (Thinks::Budget, true),
                    (true, true),
                    (None, false),
                ),
            ),
            (Family::V3_1, ((told, false, text), (Thinks::Level, false), (true, false), (None, false))),
            (Family::V3_8, ((told, true, text), (Thinks::No, false), (false, true), (Some(58), true))),
            (
                Family::V3_8Thinking,
                ((told, true, text), (Thinks::LevelFromLow, false), (false, true), (Some(58), true)),
            ),
        ] {
            assert_eq!(of(family), rules, "{family:?}");
        }
    }

    #[test]
    fn the_doors_differ() {
        let (api, vertex) = (DoorQuirks::GEMINI_API, DoorQuirks::VERTEX);
        assert!(api.audio_stream_end && !vertex.audio_stream_end);
        assert!(api.ephemeral_tokens && !vertex.ephemeral_tokens);
    }
}
