//! The weather of providers: what they are like at any moment of a world.

use std::time::Duration;

use crate::id::ProviderId;
use crate::sim::rng::Rng;
use crate::time::MonoTime;

/// The providers of this world.
pub(super) const PROVIDERS: [&str; 3] = ["amber", "birch", "cedar"];

/// How long calls come in.
pub(super) const WORLD: Duration = Duration::from_secs(600);

/// What a provider is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    Fine,
    /// Sessions and answers take seconds.
    Slow,
    /// Half of everything fails.
    BrownOut,
    /// Nothing goes; what was up is closed.
    Outage,
    /// Sockets stand, and nothing comes.
    Hung,
    /// 429 for whoever comes; who is in may stay.
    Storm,
    /// Our key is refused; who is in may stay.
    BadKey,
}

/// The weather of a whole world.
pub(super) struct Sky {
    /// By provider: from when until when what.
    episodes: Vec<Vec<(MonoTime, MonoTime, Weather)>>,
}

impl Sky {
    pub(super) fn new(mut rng: Rng) -> Self {
        let mut sky = Self { episodes: vec![vec![]; PROVIDERS.len()] };
        for provider in 0..PROVIDERS.len() {
            let mut at = rng.millis(0..120_000);
            while at < WORLD {
                at = sky.episode(provider, at, &mut rng) + rng.millis(20_000..300_000);
            }
        }
        sky
    }

    pub(super) fn at(&self, now: MonoTime, provider: usize) -> Weather {
        let episode = self.episodes[provider].iter().find(|(from, until, _)| *from <= now && now < *until);
        episode.map_or(Weather::Fine, |(_, _, weather)| *weather)
    }

    /// Whether nothing was the matter from then until then.
    pub(super) fn is_fine(&self, provider: usize, since: MonoTime, until: MonoTime) -> bool {
        self.episodes[provider].iter().all(|(from, to, _)| *from > until || *to < since)
    }

    /// When somebody has mended a key and tells the roster.
    pub(super) fn mended_keys(&self) -> Vec<(MonoTime, usize)> {
        let all = self.episodes.iter().enumerate();
        all.flat_map(|(provider, episodes)| {
            let keys = episodes.iter().filter(|(_, _, weather)| *weather == Weather::BadKey);
            keys.map(move |(_, until, _)| (*until + Duration::from_secs(10), provider))
        })
        .collect()
    }

    /// One episode from then on; when it is over.
    fn episode(&mut self, provider: usize, from: Duration, rng: &mut Rng) -> Duration {
        let mut add = |from: Duration, until: Duration, weather| {
            self.episodes[provider].push((MonoTime::ZERO + from, MonoTime::ZERO + until, weather));
        };
        let weather = match rng.range(0..9) {
            0 | 8 => Weather::Slow,
            1 => Weather::BrownOut,
            2 | 3 => Weather::Outage,
            4 => Weather::Hung,
            5 => Weather::Storm,
            6 => Weather::BadKey,
            // It flaps: down and up every few seconds.
            _ => {
                let mut at = from;
                for _ in 0..rng.range(3..15) {
                    let until = at + rng.millis(500..6_000);
                    add(at, until, Weather::Outage);
                    at = until + rng.millis(500..6_000);
                }
                return at;
            }
        };
        let until = from + rng.millis(5_000..200_000);
        add(from, until, weather);
        until
    }
}

/// Whether it answers pings whatever it is doing; one of them lets them wait.
pub(super) const fn answers_pings(provider: usize) -> bool {
    provider != 2
}

/// Which of them has this name.
pub(super) fn index(id: &ProviderId) -> Option<usize> {
    PROVIDERS.iter().position(|name| *name == id.as_str())
}
