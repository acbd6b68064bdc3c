//! What calls cost: a dated table of prices, the bill of a call, and what is done when a budget is reached.
//!
//! A price that is not known is never taken for nothing: what it would have been for is counted, and a bill that
//! lacks it says so.

use std::collections::BTreeMap;
use std::time::Duration;

use voice_core::capabilities::{MicroUsd, Price, Rate, TokenRates};
use voice_core::id::ProviderId;
use voice_core::provider::Usage;

/// Speech is about so many tokens a minute (protocol notes, OpenAI Realtime §2): a caller's 600, a voice's
/// 1,200. Half a minute of each makes the minute by which providers are compared.
const TYPICAL: Usage = Usage { text_in: 200, audio_in: 300, cached_in: 3_000, text_out: 100, audio_out: 600 };

/// What providers ask.
#[derive(Clone, Debug, Default)]
pub struct Prices(BTreeMap<ProviderId, Price>);

/// How much a call may cost, and what is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// No more than this.
    pub limit: MicroUsd,
    /// From this part of it on, in percent, the log is warned.
    pub warn_percent: u8,
    /// What is done when all of it is spent.
    pub action: BudgetAction,
}

/// What is done with a call that has spent its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetAction {
    /// The log is told.
    Warn,
    /// The cheapest provider takes over, if there is a cheaper one.
    Downgrade,
    /// The voice says goodbye, and the call ends.
    End,
}

/// What a call owes each provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bills(BTreeMap<ProviderId, Bill>);

/// What a call owes one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bill {
    pub(crate) tokens: Usage,
    pub(crate) connected: Duration,
    /// Money, as far as prices are known; in millionths of a millionth of a dollar, so that nothing is lost by
    /// rounding many small sums.
    picos: u128,
    /// What of it the metrics know.
    told: u128,
    /// How often something was used whose price is not known, and how often the metrics were told.
    unpriced: u32,
    unpriced_told: u32,
}

impl Prices {
    /// These, by provider. Those that are missing are not known.
    pub fn new(prices: impl IntoIterator<Item = (ProviderId, Price)>) -> Self {
        Self(prices.into_iter().collect())
    }

    /// What this one asks.
    pub(crate) fn of(&self, provider: &ProviderId) -> Option<&Price> {
        self.0.get(provider)
    }

    /// Whoever asks least for a minute, if that is less than this one asks and both are known.
    pub(crate) fn cheaper_than(&self, provider: &ProviderId) -> Option<&ProviderId> {
        let ours = minute(self.of(provider)?)?;
        let of = |(id, price)| Some((minute(price)?, id));
        let (least, id) = self.0.iter().filter_map(of).min()?;
        (least < ours).then_some(id)
    }
}

/// What a minute of talking costs, about. `None` if some price of it is not known.
fn minute(price: &Price) -> Option<MicroUsd> {
    match price.rate {
        Rate::PerMinute(minute) => Some(minute),
        Rate::PerToken(rates) => TYPICAL.cost(&rates),
        _newer => None,
    }
}

impl Bills {
    pub(super) fn tokens(&mut self, provider: &ProviderId, usage: &Usage, prices: &Prices) {
        let bill = self.0.entry(provider.clone()).or_default();
        bill.tokens = sum(&bill.tokens, usage);
        match prices.of(provider).map(|price| price.rate) {
            Some(Rate::PerToken(rates)) => bill.add(usage, &rates),
            // Its tokens are in the price of its minutes.
            Some(Rate::PerMinute(_)) => {}
            Some(_) | None => bill.unpriced += u32::from(*usage != Usage::default()),
        }
    }

    pub(super) fn time(&mut self, provider: &ProviderId, connected: Duration, prices: &Prices) {
        let bill = self.0.entry(provider.clone()).or_default();
        bill.connected += connected;
        match prices.of(provider).map(|price| price.rate) {
            Some(Rate::PerMinute(MicroUsd(minute))) => {
                bill.picos += connected.as_micros() * u128::from(minute) / 60;
            }
            Some(Rate::PerToken(_)) => {}
            Some(_) | None => bill.unpriced += u32::from(!connected.is_zero()),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ProviderId, &Bill)> {
        self.0.iter()
    }

    /// What has been added since the last time: to whom, how many dollars, and how often no price was known.
    pub(super) fn news(&mut self) -> impl Iterator<Item = (&ProviderId, f64, u32)> {
        self.0
            .iter_mut()
            .filter(|(_, bill)| bill.told != bill.picos || bill.unpriced_told != bill.unpriced)
            .map(|(provider, bill)| {
                let more = bill.picos - std::mem::replace(&mut bill.told, bill.picos);
                let unpriced = bill.unpriced - std::mem::replace(&mut bill.unpriced_told, bill.unpriced);
                (provider, more as f64 / 1e12, unpriced)
            })
    }

    /// All that is known of, and whether something is missing.
    pub(crate) fn total(&self) -> (MicroUsd, bool) {
        let picos: u128 = self.0.values().map(|bill| bill.picos).sum();
        let micros = u64::try_from(picos / 1_000_000).unwrap_or(u64::MAX);
        (MicroUsd(micros), self.0.values().any(Bill::is_incomplete))
    }
}

impl Bill {
    /// Something was used whose price is not known.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.unpriced > 0
    }

    /// What is known of it.
    pub(crate) fn dollars(&self) -> f64 {
        self.picos as f64 / 1e12
    }

    fn add(&mut self, usage: &Usage, rates: &TokenRates) {
        for (tokens, rate) in [
            (usage.text_in, rates.text_in),
            (usage.audio_in, rates.audio_in),
            (usage.cached_in, rates.cached_in),
            (usage.text_out, rates.text_out),
            (usage.audio_out, rates.audio_out),
        ] {
            match rate {
                // Rates are for a million tokens, in millionths of a dollar.
                Some(MicroUsd(rate)) => self.picos += u128::from(tokens) * u128::from(rate),
                None => self.unpriced += u32::from(tokens > 0),
            }
        }
    }
}

impl Budget {
    /// How far a bill has come: 0 below the warning, 1 from there on, 2 when all is spent.
    pub(crate) fn reached(&self, spent: MicroUsd) -> u8 {
        let warning = u128::from(self.limit.0) * u128::from(self.warn_percent) / 100;
        u8::from(u128::from(spent.0) >= warning) + u8::from(spent >= self.limit)
    }
}

fn sum(a: &Usage, b: &Usage) -> Usage {
    Usage {
        text_in: a.text_in.saturating_add(b.text_in),
        audio_in: a.audio_in.saturating_add(b.audio_in),
        cached_in: a.cached_in.saturating_add(b.cached_in),
        text_out: a.text_out.saturating_add(b.text_out),
        audio_out: a.audio_out.saturating_add(b.audio_out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &'static str) -> ProviderId {
        ProviderId::from_static(name)
    }

    fn prices() -> Prices {
        let price = |rate| Price { rate, as_of: "2026-11-21", source: "a test" };
        let usd = |micros| Some(MicroUsd(micros));
        Prices::new([
            (id("minutes"), price(Rate::PerMinute(MicroUsd(75_000)))),
            (
                id("tokens"),
                price(Rate::PerToken(TokenRates {
                    text_in: usd(4_000_000),
                    audio_in: usd(32_000_000),
                    cached_in: usd(400_000),
                    text_out: usd(24_000_000),
                    audio_out: usd(64_000_000),
                })),
            ),
            (
                id("half"),
                price(Rate::PerToken(TokenRates { text_in: usd(750_000), ..TokenRates::default() })),
            ),
        ])
    }

    #[test]
    fn a_bill_is_the_sum_of_tokens_and_minutes_to_the_last_bit() {
        let (prices, mut bills) = (prices(), Bills::default());
        // A spoken minute of a voice: 1,200 tokens at 64 dollars a million.
        bills.tokens(&id("tokens"), &Usage { audio_out: 1_200, ..Usage::default() }, &prices);
        assert_eq!(bills.total(), (MicroUsd(76_800), false));
        for _ in 0..600 {
            bills.time(&id("minutes"), Duration::from_millis(100), &prices);
        }
        assert_eq!(bills.total(), (MicroUsd(76_800 + 75_000), false));
        // A token so cheap that it costs less than a millionth is not lost, a thousand times.
        for _ in 0..1_000 {
            bills.tokens(&id("tokens"), &Usage { cached_in: 1, ..Usage::default() }, &prices);
        }
        assert_eq!(bills.total(), (MicroUsd(76_800 + 75_000 + 400), false));
    }

    #[test]
    fn what_has_no_price_is_unknown_and_not_free() {
        let (prices, mut bills) = (prices(), Bills::default());
        bills.tokens(&id("half"), &Usage { text_in: 1_000_000, ..Usage::default() }, &prices);
        assert_eq!(bills.total(), (MicroUsd(750_000), false));
        bills.tokens(&id("half"), &Usage { audio_in: 1, ..Usage::default() }, &prices);
        assert_eq!(bills.total(), (MicroUsd(750_000), true));
        let mut bills = Bills::default();
        bills.time(&id("nobody-knows"), Duration::from_secs(1), &prices);
        assert_eq!(bills.total(), (MicroUsd(0), true));
    }

    #[test]
    fn the_cheaper_one_is_found_among_those_whose_price_is_known() {
        let prices = prices();
        assert_eq!(prices.cheaper_than(&id("minutes")), Some(&id("tokens")));
        assert_eq!(prices.cheaper_than(&id("tokens")), None);
        assert_eq!(prices.cheaper_than(&id("half")), None);
        assert_eq!(prices.cheaper_than(&id("nobody-knows")), None);
    }

    #[test]
    fn a_budget_is_reached_in_two_steps() {
        let budget = Budget { limit: MicroUsd(1_000), warn_percent: 80, action: BudgetAction::Warn };
        let reached = [0, 799, 800, 999, 1_000, 9_999].map(|spent| budget.reached(MicroUsd(spent)));
        assert_eq!(reached, [0, 0, 1, 1, 2, 2]);
    }
}
