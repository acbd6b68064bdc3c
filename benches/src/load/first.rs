//! From a service's first sound to the caller's ear: what a server adds at the beginning of a call.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use voice_core::driver::Clock;
use voice_core::time::MonoTime;

use super::echo::Service;
use super::report::{at, failures, millis};
use super::silence;
use super::stream::{MediaStream, Told};
use super::talk::{self, Note, Notes, Talker};
use super::tls::Authority;
use super::under_test::{Surroundings, System, UnderTest};

/// A caller who has heard nothing for so long has been forgotten.
const LONGEST: Duration = Duration::from_secs(10);

/// Between two calls, so that the end of one costs the next nothing.
const BETWEEN: Duration = Duration::from_millis(50);

/// One call after another, of which the first is not counted.
///
/// # Errors
/// If nothing can be started.
pub async fn measure(system: System, service: Service, calls: u64, tls: bool) -> io::Result<FirstReport> {
    let clock = Clock::start();
    let authority = tls.then(Authority::new).transpose()?;
    // A call has two moments, and each call takes its own away.
    let (notes, mut noted) = mpsc::channel(64);
    // A relay asks for nothing.
    let is_forward = matches!(system, System::Relay(_));
    let talker = Talker { service, is_forward, notes: Some(Notes(clock, notes)) };
    let origin = talk::start(talker, authority.as_ref()).await?;
    let around = Surroundings { service, origin, authority: authority.as_ref(), greets: true };
    let under_test = UnderTest::start(system, around).await?;
    let mut all = Vec::new();
    for number in 0..=calls {
        while noted.try_recv().is_ok() {}
        let call = timeout(LONGEST, call(&under_test, number, clock, &mut noted));
        let call = call.await.unwrap_or_else(|_| Err(io::Error::other("nothing was heard")));
        if number > 0 {
            all.push(call);
        }
        sleep(BETWEEN).await;
    }
    Ok(FirstReport::new(system.name(service, tls), service, &all, under_test.is_pinned()))
}

/// The moments of one call.
#[derive(Clone, Copy, Debug)]
struct Moments {
    /// The caller's stream was open.
    opened: MonoTime,
    /// The service was reached.
    dialled: MonoTime,
    /// The service's first sound left.
    spoke: MonoTime,
    /// The first sound reached the caller.
    heard: MonoTime,
}

impl Moments {
    /// What came between the first sound and the caller, when both were there.
    fn added(&self) -> Duration {
        self.heard.since(self.spoke.max(self.opened))
    }
}

async fn call(
    under_test: &UnderTest,
    number: u64,
    clock: Clock,
    noted: &mut mpsc::Receiver<Note>,
) -> io::Result<Moments> {
    let mut stream = MediaStream::open(&under_test.target(), number).await?;
    let opened = clock.now();
    let silence = silence();
    let mut ticks = MediaStream::ticks();
    let heard = loop {
        tokio::select! {
            _ = ticks.tick() => stream.speak(&silence).await?,
            message = stream.read() => if let Told::Audio(_) = Told::read(&message?) {
                break clock.now();
            },
        }
    };
    stream.hang_up().await;
    let (mut dialled, mut spoke) = (None, None);
    while let Ok(note) = noted.try_recv() {
        match note {
            Note::Dialled(at) => dialled = Some(at),
            Note::Spoke(at) => spoke = Some(at),
        }
    }
    let (Some(dialled), Some(spoke)) = (dialled, spoke) else {
        return Err(io::Error::other("something was heard that the service did not say"));
    };
    Ok(Moments { opened, dialled, spoke, heard })
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct FirstReport {
    /// What was measured.
    pub system: String,
    /// Which protocol the service spoke.
    pub service: &'static str,
    /// Calls, one after another.
    pub calls: usize,
    /// Calls in which nothing was heard, or that broke.
    pub failed: usize,
    /// From the caller's open stream until the service was reached, in milliseconds: median. Less than nothing
    /// where it was reached before.
    pub dialled_ms: f64,
    /// Until its first sound left: median.
    pub spoke_ms: f64,
    /// From then until the caller had it: median.
    pub added_p50_ms: f64,
    /// 99th percentile.
    pub added_p99_ms: f64,
    /// The worst.
    pub added_max_ms: f64,
    /// Why calls failed, the first few.
    pub failures: Vec<String>,
}

impl FirstReport {
    fn new(system: String, service: Service, calls: &[io::Result<Moments>], is_pinned: bool) -> Self {
        let moments: Vec<&Moments> = calls.iter().filter_map(|call| call.as_ref().ok()).collect();
        let after = |moment: fn(&Moments) -> MonoTime| {
            let mut all: Vec<f64> = moments
                .iter()
                .map(|one| {
                    let (then, opened) = (moment(one), one.opened);
                    millis(then.since(opened)) - millis(opened.since(then))
                })
                .collect();
            all.sort_by(f64::total_cmp);
            at(&all, 0.5)
        };
        let mut added: Vec<f64> = moments.iter().map(|moments| millis(moments.added())).collect();
        added.sort_by(f64::total_cmp);
        Self {
            system: if is_pinned { system } else { format!("{system} unpinned") },
            service: service.name(),
            calls: calls.len(),
            failed: calls.len() - moments.len(),
            dialled_ms: after(|moments| moments.dialled),
            spoke_ms: after(|moments| moments.spoke),
            added_p50_ms: at(&added, 0.5),
            added_p99_ms: at(&added, 0.99),
            added_max_ms: at(&added, 1.0),
            failures: failures(calls),
        }
    }

    /// The heads of the columns of [`Self`]'s lines.
    pub fn heads() -> String {
        format!(
            "{:<30} {:>6} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "system", "calls", "failed", "dialled ms", "spoke ms", "added p50", "added p99", "added max"
        )
    }
}

impl fmt::Display for FirstReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<30} {:>6} {:>6} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
            self.system,
            self.calls,
            self.failed,
            self.dialled_ms,
            self.spoke_ms,
            self.added_p50_ms,
            self.added_p99_ms,
            self.added_max_ms
        )?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n    failed: {failure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_counts_from_whichever_came_last() {
        let at = MonoTime::from_millis;
        let moments = Moments { opened: at(10), dialled: at(12), spoke: at(30), heard: at(33) };
        assert_eq!(moments.added(), Duration::from_millis(3));
        assert_eq!(Moments { spoke: at(5), ..moments }.added(), Duration::from_millis(23));
        let report = FirstReport::new("x".to_owned(), Service::OpenAi, &[Ok(moments)], true);
        assert_eq!((report.dialled_ms, report.spoke_ms, report.added_p99_ms), (2.0, 20.0, 3.0));
        let early = Moments { dialled: at(7), ..moments };
        let report = FirstReport::new("x".to_owned(), Service::OpenAi, &[Ok(early)], true);
        assert_eq!(report.dialled_ms, -3.0, "dialled before the stream was open");
    }
}
