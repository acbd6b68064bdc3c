//! In which order those who can take a call are asked: functions from a snapshot to an order.

use std::time::Duration;

/// How the one who takes a call is chosen among those who can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// The first of the list that can.
    #[default]
    Priority,
    /// Each in turn.
    RoundRobin,
    /// In proportion to their weights, spread evenly.
    Weighted,
    /// The quickest to answer, measured in live calls from the caller's last word to the first sound.
    LeastLatency,
    /// Whoever has the fewest calls for their weight.
    LeastLoaded,
    /// Whoever costs least.
    Cheapest,
    /// Whoever deserves the most confidence.
    MostReliable,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Priority,
        Self::RoundRobin,
        Self::Weighted,
        Self::LeastLatency,
        Self::LeastLoaded,
        Self::Cheapest,
        Self::MostReliable,
    ];

    /// Its name in settings and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::LeastLatency => "least_latency",
            Self::LeastLoaded => "least_loaded",
            Self::Cheapest => "cheapest",
            Self::MostReliable => "most_reliable",
        }
    }

    /// The strategy of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// What a strategy may know of a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Its place in the list.
    pub(super) index: usize,
    pub(super) weight: u32,
    /// What it is owed under weighted turns.
    pub(super) credit: i64,
    /// Number of the decision that chose it last.
    pub(super) turn: u64,
    pub(super) live: u32,
    pub(super) latency: Option<Duration>,
    pub(super) cost: Option<u64>,
    /// 0 to 100.
    pub(super) confidence: u8,
}

/// Within a fifth and this much of the quickest, all are equally quick: a strict ranking would send
/// every call to one provider until it is the slowest.
const AS_QUICK: Duration = Duration::from_millis(50);

/// Best first. Who was not chosen for longest wins every tie.
pub(super) fn order(strategy: Strategy, views: &mut [View]) {
    let quickest = views.iter().filter_map(|view| view.latency).min();
    let fits = quickest.map_or(Duration::MAX, |quickest| quickest + quickest / 5 + AS_QUICK);
    match strategy {
        Strategy::Priority => views.sort_by_key(|view| view.index),
        Strategy::RoundRobin => views.sort_by_key(|view| (view.turn, view.index)),
        Strategy::Weighted => {
            views.sort_by_key(|view| (-(view.credit + i64::from(view.weight)), view.turn, view.index));
        }
        Strategy::LeastLatency => views.sort_by_key(|view| {
            // Who was never measured may be the quickest, and will be measured now.
            let latency = view.latency.filter(|latency| *latency > fits).unwrap_or_default();
            (latency, load(view), view.turn, view.index)
        }),
        Strategy::LeastLoaded => views.sort_by_key(|view| (load(view), view.turn, view.index)),
        Strategy::Cheapest => {
            views.sort_by_key(|view| (view.cost.unwrap_or(u64::MAX), view.turn, view.index));
        }
        // In steps of five, so that a single sample does not turn the order around.
        Strategy::MostReliable => {
            views.sort_by_key(|view| (100 - view.confidence / 5, view.turn, view.index))
        }
    }
}

/// Calls for a weight, in thousandths.
fn load(view: &View) -> u64 {
    u64::from(view.live) * 1_000 / u64::from(view.weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(index: usize) -> View {
        View { index, weight: 1, credit: 0, turn: 0, live: 0, latency: None, cost: None, confidence: 100 }
    }

    fn ordered(strategy: Strategy, mut views: Vec<View>) -> Vec<usize> {
        order(strategy, &mut views);
        views.iter().map(|view| view.index).collect()
    }

    #[test]
    fn each_strategy_has_its_own_idea() {
        let ms = Duration::from_millis;
        let a = View { turn: 9, live: 4, latency: Some(ms(900)), cost: Some(5), confidence: 70, ..view(0) };
        let b = View { turn: 7, live: 9, latency: Some(ms(600)), cost: Some(9), confidence: 99, ..view(1) };
        let c = View { turn: 8, live: 5, weight: 2, latency: Some(ms(1_400)), ..view(2) };
        for (strategy, order) in [
            (Strategy::Priority, [0, 1, 2]),
            (Strategy::RoundRobin, [1, 2, 0]),
            (Strategy::Weighted, [2, 1, 0]),
            (Strategy::LeastLatency, [1, 0, 2]),
            (Strategy::LeastLoaded, [2, 0, 1]),
            (Strategy::Cheapest, [0, 1, 2]),
            (Strategy::MostReliable, [2, 1, 0]),
        ] {
            assert_eq!(ordered(strategy, vec![c, a, b]), order, "{strategy:?}");
            assert_eq!(Strategy::named(strategy.name()), Some(strategy));
        }
        assert_eq!(Strategy::named("best"), None);
    }

    #[test]
    fn the_equally_quick_share_and_the_unknown_are_tried() {
        let ms = Duration::from_millis;
        let quick = View { latency: Some(ms(500)), live: 3, ..view(0) };
        let nearly = View { latency: Some(ms(640)), live: 2, ..view(1) };
        let slow = View { latency: Some(ms(660)), live: 0, ..view(2) };
        let unknown = View { live: 1, ..view(3) };
        assert_eq!(ordered(Strategy::LeastLatency, vec![quick, nearly, slow, unknown]), [3, 1, 0, 2]);
    }
}
