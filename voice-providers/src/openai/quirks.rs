//! What one model takes and another refuses, as a table.
//!
//! Source: protocol notes, OpenAI Realtime §2, §3. A quirk is a field here, never an `if` on a model's name
//! somewhere else.

use voice_core::capabilities::{MicroUsd, Price, Rate, TokenRates};

/// What a model takes, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quirks {
    /// Whether it reasons: only then it takes `reasoning` and `parallel_tool_calls`.
    pub(super) reasons: bool,
    /// The longest reply in tokens that may be asked for.
    pub(super) output_tokens_max: u32,
    /// Whether it looks at pictures.
    pub(super) images: bool,
    /// What a million tokens cost.
    pub(super) rates: Option<TokenRates>,
}

impl Quirks {
    /// The row of this model. A snapshot, `…-2025-08-28`, behaves as the model it was taken of. Of a name
    /// that nobody knows, of an imitator or of next year, nothing is presumed but that it does not reason.
    pub(super) fn of(model: &str) -> &'static Self {
        let is = |row: &Row| match row.name.strip_suffix('*') {
            Some(family) => model.starts_with(family),
            None => model.strip_prefix(row.name).is_some_and(|rest| rest.is_empty() || is_date(rest)),
        };
        ROWS.iter().find(|row| is(row)).map_or(&UNKNOWN, |row| &row.quirks)
    }

    pub(super) fn price(&self) -> Option<Price> {
        let source = "pricing page of developers.openai.com";
        self.rates.map(|rates| Price { rate: Rate::PerToken(rates), as_of: "2026-11-21", source })
    }
}

struct Row {
    /// The model's name; with `*` at the end, the beginning of the names of a family.
    name: &'static str,
    quirks: Quirks,
}

/// The first that fits counts.
const ROWS: &[Row] = &[
    Row { name: "gpt-realtime-2.1-mini", quirks: Quirks { rates: Some(MINI), ..REASONING } },
    Row { name: "gpt-realtime-2.1", quirks: REASONING },
    Row { name: "gpt-realtime-2", quirks: REASONING },
    // Later ones of the series, whose prices nobody has seen yet.
    Row { name: "gpt-realtime-2.*", quirks: Quirks { rates: None, ..REASONING } },
    Row { name: "gpt-realtime-1.5", quirks: PLAIN },
    // Shut down on 2027-01-20; its price is no longer listed.
    Row { name: "gpt-realtime", quirks: Quirks { rates: None, ..PLAIN } },
    Row { name: "gpt-realtime-mini", quirks: Quirks { rates: None, ..PLAIN } },
    // Audio and text only, unlike its successors.
    Row { name: "gpt-4o-realtime-preview*", quirks: Quirks { output_tokens_max: 4_096, ..UNKNOWN } },
];

const REASONING: Quirks =
    Quirks { reasons: true, output_tokens_max: 32_768, images: true, rates: Some(REASONING_RATES) };

const PLAIN: Quirks = Quirks {
    reasons: false,
    output_tokens_max: 4_096,
    images: true,
    rates: Some(TokenRates { text_out: usd(16_000_000), ..REASONING_RATES }),
};

const UNKNOWN: Quirks = Quirks { reasons: false, output_tokens_max: 32_768, images: false, rates: None };

const REASONING_RATES: TokenRates = TokenRates {
    text_in: usd(4_000_000),
    audio_in: usd(32_000_000),
    cached_in: usd(400_000),
    text_out: usd(24_000_000),
    audio_out: usd(64_000_000),
};

const MINI: TokenRates = TokenRates {
    text_in: usd(600_000),
    audio_in: usd(10_000_000),
    cached_in: usd(300_000),
    text_out: usd(2_400_000),
    audio_out: usd(20_000_000),
};

const fn usd(millionths: u64) -> Option<MicroUsd> {
    Some(MicroUsd(millionths))
}

/// What a model that writes down the caller's words refuses (protocol notes, OpenAI Realtime §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TranscriptionQuirks {
    /// Whether it works beside the service's own turn detection, which a call cannot do without.
    pub(super) turn_detection: bool,
}

impl TranscriptionQuirks {
    pub(super) fn of(model: &str) -> Self {
        match model {
            "gpt-realtime-whisper" => Self { turn_detection: false },
            _ => Self { turn_detection: true },
        }
    }
}

/// `-2025-08-28`, and nothing more.
fn is_date(rest: &str) -> bool {
    let shape = |(at, byte): (usize, u8)| match at {
        0 | 5 | 8 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    rest.len() == 11 && rest.bytes().enumerate().all(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line for each row; a row that is dropped or changed is missed here.
    #[test]
    fn every_row_has_its_rules() {
        let price = |quirks: &Quirks| quirks.rates.and_then(|rates| rates.audio_out).map(|usd| usd.0);
        for (model, reasons, tokens, images, audio_out) in [
            ("gpt-realtime-2.1-mini", true, 32_768, true, Some(20_000_000)),
            ("gpt-realtime-2.1", true, 32_768, true, Some(64_000_000)),
            ("gpt-realtime-2", true, 32_768, true, Some(64_000_000)),
            ("gpt-realtime-2-2026-05-07", true, 32_768, true, Some(64_000_000)),
            ("gpt-realtime-2.2", true, 32_768, true, None),
            ("gpt-realtime-1.5", false, 4_096, true, Some(64_000_000)),
            ("gpt-realtime", false, 4_096, true, None),
            ("gpt-realtime-2025-08-28", false, 4_096, true, None),
            ("gpt-realtime-mini", false, 4_096, true, None),
            ("gpt-realtime-mini-2025-12-15", false, 4_096, true, None),
            ("gpt-4o-realtime-preview-2024-12-17", false, 4_096, false, None),
            ("somebody/elses-model", false, 32_768, false, None),
        ] {
            let quirks = Quirks::of(model);
            let found = (quirks.reasons, quirks.output_tokens_max, quirks.images, price(quirks));
            assert_eq!(found, (reasons, tokens, images, audio_out), "{model}");
        }
        let text_out = |model| Quirks::of(model).rates.and_then(|rates| rates.text_out);
        assert_eq!(
            (text_out("gpt-realtime-1.5"), text_out("gpt-realtime-2.1")),
            (usd(16_000_000), usd(24_000_000))
        );
    }

    #[test]
    fn no_row_hides_another() {
        for (at, row) in ROWS.iter().enumerate() {
            let name = row.name.trim_end_matches('*');
            let first = ROWS.iter().position(|other| {
                other.name.strip_suffix('*').map_or(other.name == name, |family| name.starts_with(family))
            });
            assert_eq!(first, Some(at), "{}", row.name);
        }
    }
}
