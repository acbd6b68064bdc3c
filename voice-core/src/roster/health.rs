//! How a provider fares, from live calls and from probes, now and over a day.

use std::time::Duration;

use crate::time::MonoTime;

/// A check slower than this is not what it should be.
const SLOW: Duration = Duration::from_millis(1_000);

/// A check slower than this is as good as none.
const TOO_SLOW: Duration = Duration::from_millis(3_000);

/// So many failed checks in a row mean that nobody is there.
const OFFLINE_AFTER: u32 = 3;

/// What was seen longer ago than this says nothing about now: two rounds of probes.
const STALE: Duration = Duration::from_secs(75);

/// The history: 288 slices of five minutes are a day.
const SLICE: Duration = Duration::from_secs(300);
const SLICES: usize = 288;

/// The slices that make up the present: the last quarter of an hour.
const RECENT: usize = 3;

/// The slices of an hour.
const HOUR: usize = 12;

/// Less confidence than this, of 100, and others are asked first.
const CONFIDENCE_MIN: u8 = 70;

/// Confidence on fewer recent checks than this is nobody's loss.
const EVIDENCE_MIN: u32 = 10;

/// Latencies of replies that are remembered, and for how long.
const PACES: usize = 64;
const PACE_STALE: Duration = Duration::from_secs(600);

/// How a provider fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Three checks in a row have failed.
    Offline,
    /// The last check failed or took more than 3 s, and fewer than 70 of 100 lately did well.
    Unhealthy,
    /// It works, but slowly or not always.
    Degraded,
    /// The last check took less than a second, and 95 of 100 lately did well.
    Healthy,
    /// Nobody has looked yet.
    Unknown,
}

impl Status {
    /// 0 offline, 1 unhealthy, 2 degraded, 3 healthy; nothing if unknown.
    pub const fn code(self) -> Option<u8> {
        match self {
            Self::Offline => Some(0),
            Self::Unhealthy => Some(1),
            Self::Degraded => Some(2),
            Self::Healthy => Some(3),
            Self::Unknown => None,
        }
    }

    /// A stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unhealthy => "unhealthy",
            Self::Degraded => "degraded",
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
        }
    }
}

/// One look at a provider: a connection of a live call, or a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It worked, and took this long.
    Passed(Duration),
    /// It did not; the kind of failure.
    Failed(&'static str),
}

/// Five minutes of checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthSlice {
    /// All checks.
    pub checks: u32,
    /// Those that failed.
    pub failed: u32,
    /// Time taken by those that passed, all together.
    pub latency_sum: Duration,
    /// The longest of them.
    pub latency_max: Duration,
}

/// How a provider fares, at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthSnapshot {
    /// In one word.
    pub status: Status,
    /// The last quarter of an hour.
    pub recent: HealthSlice,
    /// The last day.
    pub day: HealthSlice,
    /// Failed checks in a row.
    pub failures_in_row: u32,
    /// The last check that passed, that failed, and any.
    pub last_success: Option<MonoTime>,
    /// When it failed last, and how.
    pub last_failure: Option<(MonoTime, &'static str)>,
    /// When anybody looked last.
    pub last_check: Option<MonoTime>,
    /// From the caller's last word to the first sound: smoothed, and of a hundred the fiftieth and the
    /// ninety-fifth; where measured in the last ten minutes.
    pub reply_latency: Option<Latency>,
}

/// How quickly a provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Smoothed; the last ten or so replies count most.
    pub smoothed: Duration,
    /// Half of the remembered replies were quicker.
    pub p50: Duration,
    /// Nineteen of twenty were.
    pub p95: Duration,
}

impl HealthSlice {
    /// Of a hundred checks, how many passed; a hundred if there were none.
    pub fn success_percent(&self) -> f64 {
        if self.checks == 0 {
            return 100.0;
        }
        f64::from(self.checks - self.failed) * 100.0 / f64::from(self.checks)
    }

    /// What a check that passed took on average.
    pub fn latency_mean(&self) -> Option<Duration> {
        self.latency_sum.checked_div(self.checks - self.failed)
    }

    fn note(&mut self, check: Check) {
        self.checks = self.checks.saturating_add(1);
        match check {
            Check::Passed(latency) => {
                self.latency_sum = self.latency_sum.saturating_add(latency);
                self.latency_max = self.latency_max.max(latency);
            }
            Check::Failed(_) => self.failed = self.failed.saturating_add(1),
        }
    }

    fn add(&mut self, other: &Self) {
        self.checks = self.checks.saturating_add(other.checks);
        self.failed = self.failed.saturating_add(other.failed);
        self.latency_sum = self.latency_sum.saturating_add(other.latency_sum);
        self.latency_max = self.latency_max.max(other.latency_max);
    }
}

/// What is known about how a provider fares.
#[derive(Clone, Debug)]
pub(super) struct Health {
    ring: Vec<HealthSlice>,
    newest: u64,
    failures_in_row: u32,
    last: Option<(MonoTime, Check)>,
    last_success: Option<MonoTime>,
    last_failure: Option<(MonoTime, &'static str)>,
    paces: Vec<Duration>,
    pace: Option<(MonoTime, Duration)>,
    replies: usize,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            ring: vec![HealthSlice::default(); SLICES],
            newest: 0,
            failures_in_row: 0,
            last: None,
            last_success: None,
            last_failure: None,
            paces: Vec::new(),
            pace: None,
            replies: 0,
        }
    }

    pub(super) fn note(&mut self, now: MonoTime, check: Check) {
        let slice = slice(now).max(self.newest);
        self.advance(slice);
        self.ring[(slice % SLICES as u64) as usize].note(check);
        self.last = Some((now, check));
        match check {
            Check::Passed(_) => {
                self.failures_in_row = 0;
                self.last_success = Some(now);
            }
            Check::Failed(kind) => {
                self.failures_in_row = self.failures_in_row.saturating_add(1);
                self.last_failure = Some((now, kind));
            }
        }
    }

    /// It answered a caller after this long.
    pub(super) fn replied(&mut self, now: MonoTime, latency: Duration) {
        let fresh = self.pace.filter(|(at, _)| now.since(*at) < PACE_STALE);
        if fresh.is_none() {
            self.paces.clear();
        }
        let smoothed = fresh.map_or(latency, |(_, old)| old - old / 5 + latency / 5);
        self.pace = Some((now, smoothed));
        if self.paces.len() < PACES {
            self.paces.push(latency);
        } else {
            self.paces[self.replies % PACES] = latency;
        }
        self.replies = self.replies.wrapping_add(1);
    }

    /// Smoothed time to an answer, if it was measured lately.
    pub(super) fn pace(&self, now: MonoTime) -> Option<Duration> {
        self.pace.filter(|(at, _)| now.since(*at) < PACE_STALE).map(|(_, pace)| pace)
    }

    pub(super) fn status(&self, now: MonoTime) -> Status {
        let Some((_, last)) = self.last else { return Status::Unknown };
        let success = self.sum(now, RECENT).success_percent();
        let well = matches!(last, Check::Passed(latency) if latency <= SLOW);
        let poorly = matches!(last, Check::Passed(latency) if latency > TOO_SLOW);
        if self.failures_in_row >= OFFLINE_AFTER {
            Status::Offline
        } else if well && success >= 95.0 {
            Status::Healthy
        } else if success >= 70.0 && !poorly {
            Status::Degraded
        } else {
            Status::Unhealthy
        }
    }

    /// Whether somebody has just seen that it fares badly. What was seen long ago does not count:
    /// otherwise a provider that nobody asks could never recover.
    pub(super) fn ails(&self, now: MonoTime) -> bool {
        let bad = self.last.is_some_and(|(at, check)| {
            now.since(at) < STALE && !matches!(check, Check::Passed(latency) if latency <= TOO_SLOW)
        });
        bad && matches!(self.status(now), Status::Offline | Status::Unhealthy)
    }

    /// Whether there is too little confidence in it to ask it before others. Likewise only while
    /// somebody looks, and only on some evidence; and a quarter of an hour without trouble is enough,
    /// however long the trouble was.
    pub(super) fn is_doubtful(&self, now: MonoTime) -> bool {
        let fresh = self.last.is_some_and(|(at, _)| now.since(at) < STALE);
        let evidence = self.sum(now, RECENT).checks >= EVIDENCE_MIN;
        fresh && evidence && self.confidence(now) < CONFIDENCE_MIN && self.status(now) != Status::Healthy
    }

    /// 0 to 100: four tenths for an hour's checks, three for quick answers, three for the present.
    pub(super) fn confidence(&self, now: MonoTime) -> u8 {
        let pace = self
            .pace(now)
            .map_or(0.5, |pace| (1.0 - pace.as_secs_f64() / TOO_SLOW.as_secs_f64()).clamp(0.0, 1.0));
        let hour = self.sum(now, HOUR).success_percent();
        let recent = self.sum(now, RECENT).success_percent();
        let whole = (0.4 * hour + 30.0 * pace + 0.3 * recent).round().clamp(0.0, 100.0);
        // A float between 0 and 100 that was rounded fits.
        whole as u8
    }

    pub(super) fn snapshot(&self, now: MonoTime) -> HealthSnapshot {
        HealthSnapshot {
            status: self.status(now),
            recent: self.sum(now, RECENT),
            day: self.sum(now, SLICES),
            failures_in_row: self.failures_in_row,
            last_success: self.last_success,
            last_failure: self.last_failure,
            last_check: self.last.map(|(at, _)| at),
            reply_latency: self.pace(now).map(|smoothed| {
                let mut sorted = self.paces.clone();
                sorted.sort_unstable();
                let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
                Latency { smoothed, p50: at(50), p95: at(95) }
            }),
        }
    }

    /// Slices of five minutes, oldest first; the last one is still running. At most a day.
    pub(super) fn history(&self, now: MonoTime) -> Vec<HealthSlice> {
        let current = slice(now).max(self.newest);
        let first = current.saturating_sub(SLICES as u64 - 1);
        (first..=current).map(|slice| self.at(slice)).collect()
    }

    fn sum(&self, now: MonoTime, slices: usize) -> HealthSlice {
        let current = slice(now).max(self.newest);
        let mut sum = HealthSlice::default();
        for back in 0..(slices as u64).min(current + 1) {
            sum.add(&self.at(current - back));
        }
        sum
    }

    fn at(&self, slice: u64) -> HealthSlice {
        let kept = slice <= self.newest && slice + SLICES as u64 > self.newest;
        if kept { self.ring[(slice % SLICES as u64) as usize] } else { HealthSlice::default() }
    }

    fn advance(&mut self, slice: u64) {
        for step in 1..=(slice - self.newest).min(SLICES as u64) {
            self.ring[((self.newest + step) % SLICES as u64) as usize] = HealthSlice::default();
        }
        self.newest = slice;
    }
}

const fn slice(now: MonoTime) -> u64 {
    now.as_micros() / SLICE.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> MonoTime {
        MonoTime::from_millis(secs * 1_000)
    }

    fn passed(millis: u64) -> Check {
        Check::Passed(Duration::from_millis(millis))
    }

    fn after(checks: &[Check]) -> Status {
        let mut health = Health::new();
        checks.iter().for_each(|check| health.note(at(1), *check));
        health.status(at(1))
    }

    #[test]
    fn the_table() {
        let failed = Check::Failed("cut");
        let good = passed(300);
        let mut mostly = vec![good; 30];
        mostly.push(failed);
        let after_failure = mostly.clone();
        mostly.push(good);
        for (checks, status) in [
            (vec![], Status::Unknown),
            (vec![good], Status::Healthy),
            (vec![passed(1_001)], Status::Degraded),
            (vec![passed(3_001)], Status::Unhealthy),
            (after_failure, Status::Degraded),
            (mostly, Status::Healthy),
            (vec![good, good, good, failed], Status::Degraded),
            (vec![good, failed], Status::Unhealthy),
            (vec![good, good, good, failed, good], Status::Degraded),
            (vec![good, failed, failed, failed], Status::Offline),
            (vec![failed, failed, failed, good], Status::Unhealthy),
        ] {
            assert_eq!(after(&checks), status, "{checks:?}");
        }
    }

    #[test]
    fn bad_news_grows_old() {
        let mut health = Health::new();
        (0..3).for_each(|_| health.note(at(0), Check::Failed("cut")));
        assert!(health.ails(at(74)));
        assert!(!health.ails(at(75)));
        assert_eq!(health.status(at(75)), Status::Offline);
    }

    #[test]
    fn a_day_is_remembered_and_no_more() {
        let mut health = Health::new();
        health.note(at(0), Check::Failed("cut"));
        health.note(at(600), passed(100));
        let day = 24 * 3_600;
        assert_eq!(health.snapshot(at(day - 1)).day.checks, 2);
        assert_eq!(health.snapshot(at(day)).day, HealthSlice { failed: 0, ..health.at(2) });
        assert_eq!(health.snapshot(at(day + 600)).day.checks, 0);
        assert_eq!(health.snapshot(at(800)).recent.checks, 2);
        assert_eq!(health.snapshot(at(900)).recent.checks, 1);
        assert_eq!(health.history(at(600)).len(), 3);
        for days in [2, 3, 9] {
            health.note(at(days * day), passed(1));
            assert_eq!(health.history(at(days * day)).len(), SLICES);
            assert_eq!(health.snapshot(at(days * day)).day.checks, 1);
        }
    }

    #[test]
    fn answers_are_smoothed_and_grow_old() {
        let mut health = Health::new();
        for n in 1..=100 {
            health.replied(at(n), Duration::from_millis(if n % 10 == 0 { 2_000 } else { 500 }));
        }
        let latency = health.snapshot(at(100)).reply_latency.expect("it was measured");
        assert_eq!((latency.p50, latency.p95), (Duration::from_millis(500), Duration::from_millis(2_000)));
        assert!(latency.smoothed > latency.p50 && latency.smoothed < Duration::from_millis(900));
        assert_eq!(health.pace(at(700)), None);
        assert_eq!(health.paces.len(), PACES);
        health.replied(at(800), Duration::from_millis(100));
        assert_eq!(health.pace(at(800)), Some(Duration::from_millis(100)));
    }

    #[test]
    fn confidence_has_three_parts() {
        let mut health = Health::new();
        assert_eq!(health.confidence(at(0)), 85);
        health.replied(at(1), Duration::from_millis(600));
        assert_eq!(health.confidence(at(1)), 94);
        health.note(at(1), passed(1));
        health.note(at(1), Check::Failed("cut"));
        assert_eq!(health.confidence(at(1)), 59);
    }
}
