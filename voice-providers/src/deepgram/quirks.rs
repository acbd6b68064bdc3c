//! What one of Deepgram's models takes and another refuses, as tables: ears, voices, and the minds that its
//! agent reaches.
//!
//! Source: protocol notes, Deepgram §2, §3, §4, §5.2, §9. A quirk is a field here, never an `if` on a
//! model's name somewhere else.

/// What hears, and how it wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EarQuirks {
    /// The beginning of the models' names.
    name: &'static str,
    /// How it is told which language to expect.
    pub(super) language: LanguageHint,
    /// The name of the parameter for words to expect.
    pub(super) keyterms: &'static str,
    /// What it understands, where that is not many languages.
    pub(super) only: Option<&'static str>,
}

/// How ears are told which language to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LanguageHint {
    /// It understands one only, and takes no word about it.
    No,
    /// `language`, which it then keeps to.
    Language,
    /// `language_hint`, among several.
    Hint,
}

/// The first whose name is the beginning of the model's counts.
const EARS: &[EarQuirks] = &[
    EarQuirks { name: "flux-general-multi", language: LanguageHint::Hint, keyterms: "keyterm", only: None },
    EarQuirks { name: "flux-", language: LanguageHint::No, keyterms: "keyterm", only: Some("en") },
    EarQuirks { name: "nova-3", language: LanguageHint::Language, keyterms: "keyterm", only: None },
    // Everything older, and what nobody knows.
    EarQuirks { name: "", language: LanguageHint::Language, keyterms: "keywords", only: None },
];

impl EarQuirks {
    pub(super) fn of(model: &str) -> &'static Self {
        first(EARS, |row| model.starts_with(row.name))
    }
}

/// What one of Deepgram's own voices takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct VoiceQuirks {
    /// The beginning of the models' names.
    name: &'static str,
    /// Which version of the service speaks with it.
    pub(super) version: &'static str,
    /// The slowest it speaks, as a number and in words.
    pub(super) slowest: (f32, &'static str),
    /// Whether it can be made more or less lively.
    pub(super) expressivity: bool,
}

const VOICES: &[VoiceQuirks] = &[
    VoiceQuirks { name: "flux-", version: "v2", slowest: (0.5, "0.5 to 1.5"), expressivity: true },
    VoiceQuirks { name: "", version: "v1", slowest: (0.7, "0.7 to 1.5"), expressivity: false },
];

impl VoiceQuirks {
    pub(super) fn of(model: &str) -> &'static Self {
        first(VOICES, |row| model.starts_with(row.name))
    }
}

/// The language that a voice of Deepgram's speaks, which is the end of its name: `aura-2-thalia-en`.
pub(super) fn language_of_voice(model: &str) -> Option<&str> {
    model.rsplit('-').next().filter(|tag| tag.len() == 2 && tag.bytes().all(|b| b.is_ascii_lowercase()))
}

/// What a mind takes, when the agent reaches it for us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MindQuirks {
    /// The agent's name of the service.
    service: &'static str,
    /// The beginning of the models' names.
    name: &'static str,
    /// Whether tools can be offered: some models fail then.
    pub(super) tools: bool,
    /// Whether it can be told how hard to think.
    pub(super) effort: bool,
    /// The highest temperature, as a number and in words.
    pub(super) warmest: (f32, &'static str),
    /// Whether calls can be kept out of the training of models.
    pub(super) mip_opt_out: bool,
}

const MINDS: &[MindQuirks] = &[
    MindQuirks { name: "gpt-5", tools: false, ..OPEN_AI },
    MindQuirks { name: "o1", tools: false, ..OPEN_AI },
    MindQuirks { name: "o3", tools: false, ..OPEN_AI },
    MindQuirks { name: "o4", tools: false, ..OPEN_AI },
    OPEN_AI,
    MindQuirks { service: "groq", ..OPEN_AI },
    MindQuirks { service: "deepgram", name: "think-fast", mip_opt_out: false, ..OPEN_AI },
    MindQuirks { service: "deepgram", ..OPEN_AI },
    MindQuirks { service: "anthropic", effort: false, warmest: (1.0, "0 to 1"), ..OPEN_AI },
    // Any other.
    MindQuirks { service: "", effort: false, ..OPEN_AI },
];

const OPEN_AI: MindQuirks = MindQuirks {
    service: "open_ai",
    name: "",
    tools: true,
    effort: true,
    warmest: (2.0, "0 to 2"),
    mip_opt_out: true,
};

impl MindQuirks {
    pub(super) fn of(service: &str, model: &str) -> &'static Self {
        let is = |row: &Self| row.service == service || row.service.is_empty();
        first(MINDS, |row| is(row) && model.starts_with(row.name))
    }
}

/// The first row that fits. The last of each table fits everything.
fn first<T>(rows: &'static [T], fits: impl Fn(&T) -> bool) -> &'static T {
    rows.iter().find(|row| fits(row)).unwrap_or(&rows[rows.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ear_has_its_rules() {
        use LanguageHint::{Hint, Language, No};
        for (model, language, keyterms, only) in [
            ("flux-general-multi", Hint, "keyterm", None),
            ("flux-general-en", No, "keyterm", Some("en")),
            ("nova-3", Language, "keyterm", None),
            ("nova-3-medical", Language, "keyterm", None),
            ("nova-2-phonecall", Language, "keywords", None),
            ("enhanced", Language, "keywords", None),
        ] {
            let row = EarQuirks::of(model);
            let found = (row.language, row.keyterms, row.only);
            assert_eq!(found, (language, keyterms, only), "{model}");
        }
    }

    #[test]
    fn every_voice_has_its_rules() {
        for (model, version, slowest, expressivity) in
            [("flux-alexis-en", "v2", 0.5, true), ("aura-2-thalia-en", "v1", 0.7, false)]
        {
            let row = VoiceQuirks::of(model);
            assert_eq!(
                (row.version, row.slowest.0, row.expressivity),
                (version, slowest, expressivity),
                "{model}"
            );
        }
        assert_eq!(language_of_voice("aura-2-thalia-en"), Some("en"));
        assert_eq!(language_of_voice("aura-2-thalia"), None);
    }

    #[test]
    fn every_mind_has_its_rules() {
        for (service, model, tools, effort, warmest, mip_opt_out) in [
            ("open_ai", "gpt-5-mini", false, true, 2.0, true),
            ("open_ai", "o1-preview", false, true, 2.0, true),
            ("open_ai", "o3", false, true, 2.0, true),
            ("open_ai", "o4-mini", false, true, 2.0, true),
            ("open_ai", "gpt-4.1-mini", true, true, 2.0, true),
            ("groq", "openai/gpt-oss-20b", true, true, 2.0, true),
            ("deepgram", "think-fast", true, true, 2.0, false),
            ("deepgram", "think-deep", true, true, 2.0, true),
            ("anthropic", "claude-sonnet-4-5", true, false, 1.0, true),
            ("google", "gemini-2.5-flash", true, false, 2.0, true),
        ] {
            let row = MindQuirks::of(service, model);
            let found = (row.tools, row.effort, row.warmest.0, row.mip_opt_out);
            assert_eq!(found, (tools, effort, warmest, mip_opt_out), "{service} {model}");
        }
    }
}
