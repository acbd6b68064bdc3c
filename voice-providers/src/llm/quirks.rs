//! What one server of chat completions takes and another refuses, as a table.
//!
//! Source: protocol notes, chat completions §A1, §A3. A quirk is a field here, never an `if` on a server's
//! name somewhere else.

use super::TokenLimit;

/// How a server wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quirks {
    /// The name under which it takes the limit on an answer's length.
    pub(super) limit: TokenLimit,
    /// Whether it tells consumption when asked by `stream_options`; some refuse the field.
    pub(super) usage: bool,
    /// Whether it takes a temperature.
    pub(super) temperature: bool,
    /// Whether it takes the key as `api-key` instead of `Authorization: Bearer`.
    pub(super) api_key: bool,
}

/// Which requests a row is for. An empty part fits everything.
struct Row {
    /// The end of the host's name.
    host: &'static str,
    /// The beginning of the model's name.
    model: &'static str,
    quirks: Quirks,
}

/// The first that fits counts.
const ROWS: &[Row] = &[
    Row { host: "api.openai.com", model: "gpt-5", quirks: REASONING },
    Row { host: "api.openai.com", model: "o1", quirks: REASONING },
    Row { host: "api.openai.com", model: "o3", quirks: REASONING },
    Row { host: "api.openai.com", model: "o4", quirks: REASONING },
    Row { host: "api.openai.com", model: "", quirks: Quirks { temperature: true, ..REASONING } },
    Row { host: ".openai.azure.com", model: "", quirks: AZURE },
    // It tells consumption in a place of its own, unasked.
    Row { host: "api.groq.com", model: "", quirks: Quirks { usage: false, ..OTHERS } },
    Row { host: "", model: "", quirks: OTHERS },
];

const REASONING: Quirks =
    Quirks { limit: TokenLimit::MaxCompletionTokens, usage: true, temperature: false, api_key: false };

/// The model's name is that of a deployment there and says nothing.
const AZURE: Quirks = Quirks { temperature: true, api_key: true, ..REASONING };

const OTHERS: Quirks =
    Quirks { limit: TokenLimit::MaxTokens, usage: true, temperature: true, api_key: false };

impl Quirks {
    /// The row of this model at this address.
    pub(super) fn of(url: &str, model: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
        let fits = |row: &&Row| host.ends_with(row.host) && model.starts_with(row.model);
        ROWS.iter().find(fits).map_or(OTHERS, |row| row.quirks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_rules() {
        use TokenLimit::{MaxCompletionTokens, MaxTokens};
        let openai = "https://api.openai.com/v1";
        for (url, model, limit, usage, temperature, api_key) in [
            (openai, "gpt-5-mini", MaxCompletionTokens, true, false, false),
            (openai, "o1", MaxCompletionTokens, true, false, false),
            (openai, "o3-mini", MaxCompletionTokens, true, false, false),
            (openai, "o4-mini", MaxCompletionTokens, true, false, false),
            (openai, "gpt-4.1-mini", MaxCompletionTokens, true, true, false),
            ("https://eu.openai.azure.com/openai/v1/", "mine", MaxCompletionTokens, true, true, true),
            ("https://api.groq.com/openai/v1", "llama-4", MaxTokens, false, true, false),
            ("http://localhost:11434/v1", "gpt-5-at-home", MaxTokens, true, true, false),
            ("https://api.openai.com.example/v1", "gpt-5", MaxTokens, true, true, false),
        ] {
            let quirks = Quirks { limit, usage, temperature, api_key };
            assert_eq!(Quirks::of(url, model), quirks, "{url} {model}");
        }
    }
}
