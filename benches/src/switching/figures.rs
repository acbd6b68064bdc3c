//! What came of a run, and whether it is what was promised.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use voice_core::time::MonoTime;

use super::FRAME;
use super::caller::{Notes, Sound};

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was done.
    pub scenario: &'static str,
    /// What was measured.
    pub what: &'static str,
    /// How often.
    pub samples: usize,
    /// Milliseconds: median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// The worst.
    pub max_ms: f64,
    /// The 99th percentile must be below this; nothing was promised of the others.
    pub target_ms: Option<f64>,
    /// Whether it is; a sample that never came to its end is not.
    pub held: bool,
}

impl Figure {
    /// From samples, `None` for one that never came to its end.
    pub fn new(
        scenario: &'static str,
        what: &'static str,
        samples: &[Option<Duration>],
        target: Option<Duration>,
    ) -> Self {
        let mut sorted: Vec<Duration> =
            samples.iter().map(|sample| sample.unwrap_or(Duration::MAX)).collect();
        sorted.sort_unstable();
        let at = |share: f64| {
            let index = (sorted.len().saturating_sub(1) as f64 * share).ceil() as usize;
            sorted.get(index).copied().unwrap_or_default()
        };
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let held = !sorted.is_empty() && target.is_none_or(|target| at(0.99) <= target);
        Self {
            scenario,
            what,
            samples: sorted.len(),
            p50_ms: ms(at(0.5)),
            p99_ms: ms(at(0.99)),
            max_ms: ms(at(1.0)),
            target_ms: target.map(ms),
            held,
        }
    }

    /// A count that must be zero.
    pub fn none(scenario: &'static str, what: &'static str, of: usize, count: usize) -> Self {
        let mut samples = vec![Some(Duration::ZERO); of.saturating_sub(count)];
        samples.extend(vec![Some(Duration::from_millis(1)); count]);
        let mut figure = Self::new(scenario, what, &samples, Some(Duration::ZERO));
        figure.held = count == 0 && of > 0;
        (figure.p50_ms, figure.p99_ms, figure.max_ms) = (0.0, 0.0, count as f64);
        figure
    }

    /// The heads of the columns of [`Self`]'s lines.
    pub fn heads() -> String {
        format!(
            "{:<10} {:<42} {:>7} {:>9} {:>9} {:>9} {:>9}",
            "scenario", "what (ms; counts under max)", "samples", "p50", "p99", "max", "target"
        )
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target_ms.map_or_else(String::new, |target| format!("{target:.0}"));
        write!(
            f,
            "{:<10} {:<42} {:>7} {:>9.1} {:>9.1} {:>9.1} {:>9}{}",
            self.scenario,
            self.what,
            self.samples,
            self.p50_ms,
            self.p99_ms,
            self.max_ms,
            target,
            if self.held { "" } else { "  MISSED" }
        )
    }
}

/// The longest time in which the caller should have heard tone and heard none, of the silences that
/// touch this time. `None` if nothing comes afterwards.
pub fn hole(notes: &Notes, from: MonoTime, until: MonoTime) -> Option<Duration> {
    let tones: Vec<&Sound> = notes.heard.iter().filter(|sound| !sound.prompt).collect();
    tones.iter().find(|sound| sound.plays >= until)?;
    let silences = tones.windows(2).filter(|pair| pair[1].plays > from && pair[0].plays < until);
    silences.map(|pair| pair[1].plays.since(pair[0].plays + FRAME)).max()
}

/// When the first prompt after this is heard, from then on.
pub fn prompt_after(notes: &Notes, at: MonoTime) -> Option<Duration> {
    notes.heard.iter().find(|sound| sound.prompt && sound.plays > at).map(|sound| sound.plays.since(at))
}

/// When the caller's own tone comes back after this: five frames in a row, for a prompt has soft places.
pub fn tone_after(notes: &Notes, at: MonoTime) -> Option<Duration> {
    let from = notes.heard.iter().position(|sound| sound.plays > at)?;
    let steady = |sound: &Sound| !sound.prompt && sound.tone == FRAME;
    let five = notes.heard[from..].windows(5).find(|five| five.iter().all(steady))?;
    Some(five[0].plays.since(at))
}

/// Bursts of tone that were sent, and how much of each did not come back.
///
/// What comes back belongs to the last burst that was begun by then, however many pieces it comes in: counting
/// bursts on both sides would take one that a busy machine held up in its middle for two, and find both torn. A
/// resampler leaves or takes a few milliseconds at the edges; they are no loss.
pub fn missing(notes: &Notes) -> Vec<Option<Duration>> {
    const APART: Duration = Duration::from_millis(100);
    const EDGES: Duration = Duration::from_millis(5);
    let mut bursts: Vec<Burst> = Vec::new();
    for at in &notes.sent {
        match bursts.last_mut().filter(|burst| at.since(burst.last) < APART) {
            Some(burst) => {
                burst.last = *at;
                burst.sent += FRAME;
            }
            None => bursts.push(Burst { began: *at, last: *at, sent: FRAME, back: Duration::ZERO }),
        }
    }
    for sound in notes.heard.iter().filter(|sound| !sound.prompt) {
        let begun = bursts.partition_point(|burst| burst.began <= sound.came);
        if let Some(burst) = begun.checked_sub(1).and_then(|at| bursts.get_mut(at)) {
            burst.back += sound.tone;
        }
    }
    let lost = bursts.iter().map(|burst| burst.sent.saturating_sub(burst.back));
    lost.map(|lost| Some(if lost <= EDGES { Duration::ZERO } else { lost })).collect()
}

/// Tone without a pause.
struct Burst {
    began: MonoTime,
    last: MonoTime,
    sent: Duration,
    back: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sounds(at: impl IntoIterator<Item = u64>) -> Vec<Sound> {
        let sound = |at| {
            let at = MonoTime::from_millis(at);
            Sound { came: at, plays: at, prompt: false, tone: FRAME }
        };
        at.into_iter().map(sound).collect()
    }

    #[test]
    fn a_hole_is_what_is_missing_between_two_frames() {
        let notes = Notes { heard: sounds([0, 20, 40, 130, 150, 400]), ..Notes::default() };
        let hole = |from, until| hole(&notes, MonoTime::from_millis(from), MonoTime::from_millis(until));
        assert_eq!(hole(50, 200), Some(Duration::from_millis(230)), "the silence in which it ends counts");
        assert_eq!(hole(50, 150), Some(Duration::from_millis(70)));
        assert_eq!(hole(50, 500), None, "nothing came back");
    }

    #[test]
    fn a_frame_that_is_lost_is_missed() {
        let sent = (0..80).filter(|n| n % 40 < 30).map(|n| MonoTime::from_millis(n * 20)).collect();
        let heard = sounds((0..80).filter(|n| n % 40 < 30 && *n != 40).map(|n| n * 20 + 60));
        let lost = missing(&Notes { sent, heard });
        assert_eq!(lost, [Some(Duration::ZERO), Some(FRAME)]);
    }

    #[test]
    fn a_burst_that_comes_back_in_pieces_is_whole() {
        let sent = (0..80).filter(|n| n % 40 < 30).map(|n| MonoTime::from_millis(n * 20)).collect();
        // The machine was busy for 200 ms in the middle of the first one; what waited came at once.
        let late = |n: u64| if (10..20).contains(&n) { 460 } else { n * 20 + 60 };
        let heard = sounds((0..80).filter(|n| n % 40 < 30).map(late));
        assert_eq!(missing(&Notes { sent, heard }), [Some(Duration::ZERO); 2]);
    }

    #[test]
    fn the_end_of_a_burst_that_is_cut_off_is_missed_and_nothing_else() {
        let sent = (0..120).filter(|n| n % 40 < 30).map(|n| MonoTime::from_millis(n * 20)).collect();
        let heard = (0..120).filter(|n| n % 40 < 30 && !(52..70).contains(n)).map(|n| n * 20 + 60);
        let lost = missing(&Notes { sent, heard: sounds(heard) });
        assert_eq!(lost, [Some(Duration::ZERO), Some(FRAME * 18), Some(Duration::ZERO)]);
    }

    #[test]
    fn what_never_ended_misses_every_target() {
        let samples = vec![Some(FRAME); 10];
        assert!(Figure::new("s", "w", &samples, Some(FRAME)).held);
        let with_one = [samples, vec![None]].concat();
        assert!(!Figure::new("s", "w", &with_one, Some(FRAME)).held);
        assert!(!Figure::new("s", "w", &[], Some(FRAME)).held, "nothing was measured");
        assert!(!Figure::none("s", "w", 10, 1).held);
    }
}
