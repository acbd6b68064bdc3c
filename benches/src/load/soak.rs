//! Calls that come and go through one server for hours, and whether it keeps anything of them.
//!
//! Callers speak, are answered, interrupt, and hang up after 10 to 30 seconds; one in eight is cut off. How
//! many calls there are follows from the hours that they are to last in all, so that a run ends.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use super::echo::Service;
use super::report::at;
use super::stream::Target;
use super::system::{self, Usage};
use super::talk::{self, Talker};
use super::tls::Authority;
use super::under_test::{Surroundings, System, UnderTest};

mod caller;

pub use caller::Heard;
use caller::Speech;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// Which service talks.
    pub service: Service,
    /// Calls at the same time.
    pub calls: u64,
    /// Short calls before, which are not judged.
    pub before: u64,
    /// How long all of them last, one after the other.
    pub lasts: Duration,
    /// How long each lasts: whole seconds, from and to.
    pub each: (u64, u64),
    /// The service speaks TLS.
    pub is_tls: bool,
    /// By how much memory may grow, in percent of what it was.
    pub growth: f64,
}

impl Soak {
    /// How long a call lasts. All lengths come equally often, in no order that a caller would notice.
    fn length(&self, number: u64) -> Duration {
        let (from, to) = self.each;
        // A prime, so that it has no factor in common with the number of lengths.
        Duration::from_secs(from + number.wrapping_mul(12_361) % (to.saturating_sub(from) + 1))
    }

    /// How many calls it takes.
    fn count(&self) -> u64 {
        let (mut count, mut left) = (0, self.lasts);
        while !left.is_zero() {
            left = left.saturating_sub(self.length(count).max(Duration::from_secs(1)));
            count += 1;
        }
        count
    }
}

/// How the server stands.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// How much of all that is to be spoken has been, in percent.
    pub percent: f64,
    /// Calls that are over.
    pub done: u64,
    /// Calls at this moment.
    pub live: u64,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// Open files and sockets.
    pub files: u64,
    /// Tasks of calls, as its metrics have them; where they can be had.
    pub tasks: Option<u64>,
}

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// That much of a run is not judged: pools and tables grow to the size that they keep.
const WARM_UP_PERCENT: f64 = 20.0;

/// After the last call, the server has so long to let go of all.
const SETTLES: Duration = Duration::from_secs(10);

/// Files that a server may open in its life besides those of calls.
const FILES_MORE: u64 = 8;

/// What callers have in common.
struct Callers {
    soak: Soak,
    target: Target,
    speech: Speech,
    /// The next call's number, and the first that is not called any more.
    next: AtomicU64,
    end: u64,
    frames: AtomicU64,
    done: AtomicU64,
}

/// Runs it, and tells how it goes each tenth of the way.
///
/// # Errors
/// If nothing can be started, or the server dies.
pub async fn run(soak: Soak, mut tell: impl FnMut(&Sample)) -> io::Result<SoakReport> {
    let authority = soak.is_tls.then(Authority::new).transpose()?;
    let talker = Talker { service: soak.service, is_forward: false, notes: None };
    let origin = talk::start(talker, authority.as_ref()).await?;
    let around = Surroundings { service: soak.service, origin, authority: authority.as_ref(), greets: true };
    let under_test = UnderTest::start(System::Voice, around).await?;
    let target = under_test.target();
    // What a process takes for its first call it takes once, and of calls that are over a server shows the last.
    let numbers = EARLY + 1..EARLY + 1 + soak.before;
    let early = Callers::new(Soak { each: (2, 2), ..soak }, target.clone(), numbers);
    caller::call(&early.target, &early.speech, EARLY, Duration::from_secs(2), &AtomicU64::new(0)).await?;
    for (_, failed) in start(&early).join_all().await {
        failed.into_iter().next().map_or(Ok(()), |failure| Err(io::Error::other(failure)))?;
    }
    settle(&early, &under_test, u64::MAX).await?;
    let callers = Callers::new(soak, target, 0..soak.count());
    let mut slots = start(&callers);
    let files_before = system::open_files(under_test.id());
    let (mut heard, mut failures, mut samples, mut told) = (Heard::default(), Vec::new(), Vec::new(), 0);
    let mut looks = interval(LOOK);
    while !slots.is_empty() {
        tokio::select! {
            Some(slot) = slots.join_next() => {
                let (of_slot, failed) = slot.map_err(io::Error::other)?;
                heard.add(&of_slot);
                failures.extend(failed);
            }
            _ = looks.tick() => {
                let mut sample = callers.sample(&under_test, slots.len() as u64)?;
                let tenth = (sample.percent / 10.0) as u64;
                if tenth > told {
                    told = tenth;
                    sample.tasks = system::metric(under_test.address(), TASKS).await;
                    tell(&sample);
                }
                samples.push(sample);
            }
        }
    }
    let last = settle(&callers, &under_test, files_before + FILES_MORE).await?;
    tell(&last);
    Ok(SoakReport::new(&soak, &samples, files_before, last, (heard, failures)))
}

/// All begin to call.
fn start(callers: &Arc<Callers>) -> JoinSet<(Heard, Vec<String>)> {
    let (mut slots, calls) = (JoinSet::new(), callers.soak.calls);
    for slot in 0..calls {
        let callers = callers.clone();
        // One task for each call at a time; the first ones begin within two seconds.
        slots.spawn(async move {
            sleep(Duration::from_millis(2_000 * slot / calls)).await;
            callers.one_after_another().await
        });
    }
    slots
}

/// The number of the first call before those that count.
const EARLY: u64 = 1 << 32;

/// Tasks of calls in the server's metrics.
const TASKS: &str = "voice_calls_active";

/// The server after its last call, once it has let go of it or has had time enough.
async fn settle(callers: &Callers, under_test: &UnderTest, files_most: u64) -> io::Result<Sample> {
    let begun = Instant::now();
    loop {
        let mut sample = callers.sample(under_test, 0)?;
        sample.tasks = system::metric(under_test.address(), TASKS).await;
        let is_settled = sample.tasks == Some(0) && sample.files <= files_most;
        if is_settled || begun.elapsed() > SETTLES {
            return Ok(sample);
        }
        sleep(LOOK).await;
    }
}

impl Callers {
    fn new(soak: Soak, target: Target, numbers: Range<u64>) -> Arc<Self> {
        Arc::new(Self {
            soak,
            target,
            speech: Speech::new(),
            next: AtomicU64::new(numbers.start),
            end: numbers.end,
            frames: AtomicU64::new(0),
            done: AtomicU64::new(0),
        })
    }

    /// Calls until all calls have been made. What was heard, and what went wrong.
    async fn one_after_another(&self) -> (Heard, Vec<String>) {
        let (mut heard, mut failures) = (Heard::default(), Vec::new());
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.end {
                return (heard, failures);
            }
            let lasts = self.soak.length(number);
            match caller::call(&self.target, &self.speech, number, lasts, &self.frames).await {
                Ok(of_call) => heard.add(&of_call),
                Err(error) => {
                    failures.push(error.to_string());
                    // A server that refuses is not asked as fast as it can refuse.
                    sleep(Duration::from_secs(1)).await;
                }
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sample(&self, under_test: &UnderTest, live: u64) -> io::Result<Sample> {
        let gone = || io::Error::other("the system under test is gone");
        let spoken = self.frames.load(Ordering::Relaxed) as f64 * super::stream::FRAME.as_secs_f64();
        Ok(Sample {
            percent: 100.0 * spoken / self.soak.lasts.as_secs_f64(),
            done: self.done.load(Ordering::Relaxed),
            live,
            resident_kib: Usage::of(under_test.id()).ok_or_else(gone)?.resident >> 10,
            files: system::open_files(under_test.id()),
            tasks: None,
        })
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct SoakReport {
    /// Which protocol the service spoke.
    pub service: &'static str,
    /// Calls in all.
    pub calls: u64,
    /// How long they were, all together.
    pub hours: f64,
    /// Calls that could not be set up or broke.
    pub failed: usize,
    /// What callers heard.
    #[serde(flatten)]
    pub heard: Heard,
    /// Resident KiB with all calls running, median: in the first half after the warm-up.
    pub first_kib: f64,
    /// In the second half.
    pub second_kib: f64,
    /// By how much that is more, in percent.
    pub growth_percent: f64,
    /// Open files before the first of the calls, and after the last.
    pub files: (u64, u64),
    /// Tasks of calls after the last.
    pub tasks_left: Option<u64>,
    /// Memory grew by no more than it may, and nothing is left open.
    pub is_flat: bool,
    /// Why calls failed, the first few.
    pub failures: Vec<String>,
}

impl SoakReport {
    fn new(
        soak: &Soak,
        samples: &[Sample],
        files_before: u64,
        last: Sample,
        (heard, failures): (Heard, Vec<String>),
    ) -> Self {
        let (first_kib, second_kib) = halves(samples, soak.calls);
        let growth_percent = 100.0 * (second_kib / first_kib - 1.0);
        let lets_go = last.tasks == Some(0) && last.files <= files_before + FILES_MORE;
        Self {
            service: soak.service.name(),
            calls: last.done,
            hours: soak.lasts.as_secs_f64() / 3_600.0,
            failed: failures.len(),
            heard,
            first_kib,
            second_kib,
            growth_percent,
            files: (files_before, last.files),
            tasks_left: last.tasks,
            // A run without samples in both halves says nothing, and is not flat.
            is_flat: lets_go && growth_percent <= soak.growth,
            failures: failures.into_iter().take(3).collect(),
        }
    }
}

/// The medians of memory in both halves of the time in which all calls were running, without the warm-up. No
/// number if there was no such time.
fn halves(samples: &[Sample], calls: u64) -> (f64, f64) {
    let judged: Vec<&Sample> =
        samples.iter().filter(|sample| sample.percent >= WARM_UP_PERCENT && sample.live == calls).collect();
    let middle = |samples: &[&Sample]| {
        let mut resident: Vec<f64> = samples.iter().map(|sample| sample.resident_kib as f64).collect();
        resident.sort_by(f64::total_cmp);
        if resident.is_empty() { f64::NAN } else { at(&resident, 0.5) }
    };
    let (first, second) = judged.split_at(judged.len() / 2);
    (middle(first), middle(second))
}

impl Sample {
    /// The heads of the columns of [`Self`]'s lines.
    pub fn heads() -> String {
        format!(
            "{:>6} {:>7} {:>6} {:>12} {:>7} {:>6}",
            "spoken", "done", "live", "resident KiB", "files", "tasks"
        )
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.tasks.map_or_else(|| "-".to_owned(), |tasks| tasks.to_string());
        write!(
            f,
            "{:>5.0}% {:>7} {:>6} {:>12} {:>7} {tasks:>6}",
            self.percent, self.done, self.live, self.resident_kib, self.files
        )
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, hours, failed, heard, .. } = self;
        let Heard { replies, interruptions, marks, cut } = heard;
        writeln!(
            f,
            "{calls} calls, {hours:.2} hours ({}): {failed} failed; {replies} replies, {interruptions} \
             interruptions, {marks} marks, {cut} cut off",
            self.service
        )?;
        writeln!(
            f,
            "resident memory, medians of both halves after the warm-up: {:.0} and {:.0} KiB ({:+.1} %)",
            self.first_kib, self.second_kib, self.growth_percent
        )?;
        let tasks =
            self.tasks_left.map_or_else(|| "an unknown number of".to_owned(), |left| left.to_string());
        writeln!(
            f,
            "files before and after: {} and {}; {tasks} tasks of calls left",
            self.files.0, self.files.1
        )?;
        write!(f, "{}", if self.is_flat { "flat" } else { "NOT FLAT" })?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n    failed: {failure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soak() -> Soak {
        Soak {
            service: Service::OpenAi,
            calls: 4,
            before: 0,
            lasts: Duration::from_secs(600),
            each: (10, 30),
            is_tls: false,
            growth: 5.0,
        }
    }

    fn samples(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        (0..100)
            .map(|at| Sample {
                percent: at as f64,
                done: at,
                live: if at < 95 { 4 } else { 1 },
                resident_kib: resident(at),
                files: 20,
                tasks: None,
            })
            .collect()
    }

    fn report(resident: impl Fn(u64) -> u64, files: u64, tasks: u64) -> SoakReport {
        let last = Sample { files, tasks: Some(tasks), ..samples(&resident)[99] };
        SoakReport::new(&soak(), &samples(resident), 20, last, (Heard::default(), Vec::new()))
    }

    #[test]
    fn calls_add_up_to_the_hours_and_no_more() {
        let soak = soak();
        let spoken = |count| (0..count).map(|number| soak.length(number)).sum::<Duration>();
        let count = soak.count();
        assert!(spoken(count) >= soak.lasts && spoken(count - 1) < soak.lasts, "{count}");
        let mut lengths: Vec<u64> = (0..21).map(|number| soak.length(number).as_secs()).collect();
        lengths.sort_unstable();
        assert_eq!(lengths, (10..=30).collect::<Vec<_>>());
    }

    #[test]
    fn memory_that_grows_is_found_and_a_warm_up_is_not() {
        assert!(report(|_| 20_000, 22, 0).is_flat);
        assert!(report(|at| 20_000 + 1_000 * at.min(20), 22, 0).is_flat, "it grew only at the beginning");
        assert!(!report(|at| 20_000 + 100 * at, 22, 0).is_flat, "it grows all the time");
        assert!(report(|at| if at < 95 { 20_000 } else { 90_000 }, 22, 0).is_flat, "the end is not judged");
    }

    #[test]
    fn what_is_left_open_is_found() {
        assert!(!report(|_| 20_000, 60, 0).is_flat);
        assert!(!report(|_| 20_000, 22, 1).is_flat);
        let nothing = SoakReport::new(&soak(), &[], 20, samples(|_| 0)[0], (Heard::default(), Vec::new()));
        assert!(!nothing.is_flat, "nothing was seen");
    }
}
