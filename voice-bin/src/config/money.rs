//! Settings of what calls cost, and of what they may cost.

use voice_core::capabilities::{MicroUsd, Price, Rate, TokenRates};
use voice_core::id::ProviderId;

use super::check::{Check, Wrong, in_range};
use super::settings;
use crate::telemetry::{Budget, BudgetAction};

const AMOUNT: &str = "write dollars, such as 0.50, more than 0 and at most 10000";
const PRICES: &str = "write name minute 0.05, or name text_in 4 audio_in 32 cached_in 0.4 text_out 24 audio_out 64 \
                      (dollars for a million tokens), and a semicolon between providers";

/// What calls cost and may cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoneyConfig {
    /// How much a call may cost, and what is done then; without it nobody looks.
    pub budget: Option<Budget>,
    /// Prices that are known better than the built-in table knows them.
    pub prices: Vec<(ProviderId, Price)>,
}

impl Check {
    pub(super) fn money(&mut self) -> MoneyConfig {
        let limit = self.parse(&settings::CALL_BUDGET_USD, dollars);
        let warn_percent = self.parse(&settings::CALL_BUDGET_WARN_PERCENT, percent);
        let action = self.parse(&settings::CALL_BUDGET_ACTION, action);
        let prices = self.parse(&settings::PROVIDER_PRICES, prices).unwrap_or_default();
        let budget = limit.zip(warn_percent).zip(action);
        let budget = budget.map(|((limit, warn_percent), action)| Budget { limit, warn_percent, action });
        MoneyConfig { budget, prices }
    }
}

fn dollars(text: &str) -> Result<MicroUsd, Wrong> {
    let amount = amount(text).filter(|amount| *amount > MicroUsd(0));
    amount.ok_or_else(|| Wrong(format!("{text:?} is no amount"), AMOUNT))
}

/// Dollars with at most six digits behind the point, without passing through binary fractions.
fn amount(text: &str) -> Option<MicroUsd> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 6 || !is_number(whole) || !is_number(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|whole| *whole <= 10_000)?;
    let micros: u64 = format!("{part:0<6}").parse().ok()?;
    Some(MicroUsd(whole * 1_000_000 + micros))
}

fn percent(text: &str) -> Result<u8, Wrong> {
    in_range(text, 1, 100, "use a whole number from 1 to 100").map(|percent| percent as u8)
}

fn action(text: &str) -> Result<BudgetAction, Wrong> {
    match text {
        "warn" => Ok(BudgetAction::Warn),
        "downgrade" => Ok(BudgetAction::Downgrade),
        "end" => Ok(BudgetAction::End),
        other => Err(Wrong(
            format!("{other:?} is not what can be done"),
            "use warn, downgrade (the cheapest provider takes over) or end (the voice says goodbye)",
        )),
    }
}

fn prices(text: &str) -> Result<Vec<(ProviderId, Price)>, Wrong> {
    let one = |text: &str| {
        let mut words = text.split_ascii_whitespace();
        let provider = words.next()?.parse().ok()?;
        let rest: Vec<&str> = words.collect();
        let rate =
            if let ["minute", minute] = rest[..] { Rate::PerMinute(amount(minute)?) } else { tokens(&rest)? };
        Some((provider, Price { rate, as_of: "as configured", source: settings::PROVIDER_PRICES.env }))
    };
    let all = text.split(';').map(str::trim).filter(|text| !text.is_empty());
    all.map(|text| one(text).ok_or_else(|| Wrong(format!("{text:?} is no price"), PRICES))).collect()
}

fn tokens(words: &[&str]) -> Option<Rate> {
    let mut rates = TokenRates::default();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return None;
    }
    for pair in words.chunks_exact(2) {
        let rate = match pair[0] {
            "text_in" => &mut rates.text_in,
            "audio_in" => &mut rates.audio_in,
            "cached_in" => &mut rates.cached_in,
            "text_out" => &mut rates.text_out,
            "audio_out" => &mut rates.audio_out,
            _ => return None,
        };
        if rate.replace(amount(pair[1])?).is_some() {
            return None;
        }
    }
    Some(Rate::PerToken(rates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, micros) in [("0.5", 500_000), ("12", 12_000_000), ("0.000001", 1), ("3.141592", 3_141_592)]
        {
            assert_eq!(amount(text), Some(MicroUsd(micros)), "{text}");
        }
        for text in ["", ".5", "-1", "1e3", "0.0000001", "10001", "1,5", "0.5.5"] {
            assert_eq!(amount(text), None, "{text}");
        }
        assert!(dollars("0").is_err() && dollars("0.000001").is_ok());
    }

    #[test]
    fn prices_are_read_by_provider() {
        let read =
            prices("deepgram-pipeline minute 0.02; gemini audio_in 3 audio_out 12.5;").unwrap_or_default();
        let rates = TokenRates {
            audio_in: Some(MicroUsd(3_000_000)),
            audio_out: Some(MicroUsd(12_500_000)),
            ..TokenRates::default()
        };
        let found: Vec<_> = read.iter().map(|(id, price)| (id.as_str(), price.rate)).collect();
        let minute = Rate::PerMinute(MicroUsd(20_000));
        assert_eq!(found, [("deepgram-pipeline", minute), ("gemini", Rate::PerToken(rates))]);
        for wrong in
            ["gemini", "gemini minute", "gemini audio 3", "gemini audio_in 3 audio_in 4", "gemini minute x"]
        {
            assert!(prices(wrong).is_err(), "{wrong}");
        }
    }
}
