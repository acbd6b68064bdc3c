//! What one generation of models takes and another refuses, as a table.
//!
//! Source: protocol notes, Gemini Live §3, §6, §7, §11. A quirk is a field here, never an `if` on a
//! model's name somewhere else.

use std::time::Duration;

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

    #[test]
    fn only_the_oldest_take_moods_and_only_one_refuses_to_add_turns() {
        let all = [Family::V2_5, Family::V3_1, Family::V3_8, Family::V3_8Thinking];
        assert_eq!(all.map(|family| family.quirks().moods), [true, false, false, false]);
        assert_eq!(all.map(|family| family.quirks().adds_turns), [true, false, true, true]);
        assert_eq!(all.map(|family| family.quirks().tools_block), [true, true, false, false]);
    }
}
