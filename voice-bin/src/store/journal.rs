//! From the calls' tasks to the database: a bounded queue, one writer, many entries in a transaction.

mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use voice_core::driver::Clock;

use super::losses::{Loss, Reason};
use super::write::{Line, Portion, StatusLine};
use super::{Store, StoreError};
use crate::metrics_names as names;
use crate::telemetry::chain;
use crate::telemetry::database::timed;

pub use queue::JournalReader;
use queue::{Item, Shared};

/// Entries that may wait. A call makes about two a second, so 500 calls fill it in more than a minute: a
/// database that stands still for thirty seconds costs nothing. Bounded in bytes as well, see the queue.
const QUEUE_MAX: usize = 65_536;

/// Entries in one transaction: enough to make the cost of a commit small, few enough to be quick.
const BATCH_MAX: usize = 512;

/// Pauses between attempts to write a batch: the first, and the longest; each is twice the one before. There is
/// no last attempt: what cannot wait any longer is lost at the other end of the queue.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A database that needs longer for a batch is not waited for: the connection is given up, and the batch is
/// written again. What of it was done after all is found by its numbers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a shutdown waits for the last entries.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The journal of all calls of a process.
#[derive(Debug)]
pub struct Journal {
    reader: JournalReader,
    closing: CancellationToken,
    writer: JoinHandle<()>,
}

impl Journal {
    /// Starts the writer.
    pub fn start(store: Store, clock: Clock) -> Self {
        Self::with_queue(store, clock, QUEUE_MAX)
    }

    /// Follows calls.
    pub fn reader(&self) -> JournalReader {
        self.reader.clone()
    }

    /// Writes what waits, and ends. Entries that come later are lost.
    pub async fn close(mut self) {
        self.closing.cancel();
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut self.writer).await.is_err() {
            self.writer.abort();
            let entries = self.reader.shared.waiting.load(Ordering::Relaxed);
            counter!(names::JOURNAL_LOST, "reason" => "shutdown").increment(entries as u64);
            error!(entries, "the journal could not be written in time; its last entries are lost");
        }
    }

    pub(super) fn with_queue(store: Store, clock: Clock, queue_max: usize) -> Self {
        let (queue, items) = channel(queue_max);
        gauge!(names::JOURNAL_LIMIT).set(queue_max as f64);
        let shared = Arc::new(Shared::default());
        let reader = JournalReader { queue, shared: Arc::clone(&shared), clock };
        let closing = CancellationToken::new();
        let writer = Writer { store, clock, items, shared, told: 0 };
        // One task for the whole process, so that the entries of a call are written in their order.
        let writer = tokio::spawn(writer.run(closing.clone()));
        Self { reader, closing, writer }
    }
}

struct Writer {
    store: Store,
    clock: Clock,
    items: Receiver<Item>,
    shared: Arc<Shared>,
    /// Losses that the log already knows.
    told: u64,
}

impl Writer {
    async fn run(mut self, closing: CancellationToken) {
        let mut items = Vec::with_capacity(BATCH_MAX);
        loop {
            let count = tokio::select! {
                count = self.items.recv_many(&mut items, BATCH_MAX) => count,
                () = closing.cancelled(), if !self.items.is_closed() => {
                    self.items.close();
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            gauge!(names::JOURNAL_QUEUED).set(self.items.len() as f64);
            self.write(items.drain(..)).await;
            self.tell_losses();
        }
        self.store.close().await;
        info!("journal closed");
    }

    async fn write(&self, items: impl Iterator<Item = Item>) {
        let (mut lines, mut statuses, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Entry(line) => lines.push(line),
                Item::Status(status) => statuses.push(status),
                Item::Flush(done) => flushes.push(done),
            }
        }
        self.write_lines(&lines, &statuses).await;
        self.shared.written(&lines);
        // What could not be written and what was lost meanwhile goes into the same database, at once.
        while !self.shared.has_no_losses() {
            self.write_lines(&[], &[]).await;
        }
        for done in flushes {
            // Nobody may be waiting any more.
            let _answer = done.send(());
        }
    }

    /// Until it is written. What the database works without, but does not take, is lost; what stands beside it
    /// in the batch is not.
    async fn write_lines(&self, lines: &[Line], statuses: &[StatusLine]) {
        let mut todo = vec![(lines, statuses)];
        while let Some((lines, statuses)) = todo.pop() {
            let Err(refusal) = self.write_or_be_refused(lines, statuses).await else { continue };
            if lines.len() + statuses.len() > 1 {
                // The first half is written first.
                let (first, second) = lines.split_at(lines.len() / 2);
                if lines.len() > 1 {
                    todo.extend([(second, statuses), (first, &[][..])]);
                } else {
                    todo.extend([
                        (&[][..], &statuses[statuses.len() / 2..]),
                        (lines, &statuses[..statuses.len() / 2]),
                    ]);
                }
                continue;
            }
            let error = chain(&refusal);
            error!(error, "the database refuses an entry");
            for line in lines {
                self.shared.lose(line.call, line.entry.seq, Reason::Refused, line.unix);
            }
        }
    }

    async fn write_or_be_refused(&self, lines: &[Line], statuses: &[StatusLine]) -> Result<(), StoreError> {
        let mut pause = PAUSE_FIRST;
        loop {
            let losses = self.shared.take_losses();
            let error = match self.try_once(Portion { lines, statuses, losses: &losses }).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.is_refusal() && lines.is_empty() && statuses.is_empty() {
                // Nothing is to be gained by telling it once more.
                error!(error = chain(&error), "the database refuses to hear of losses");
                return Ok(());
            }
            self.shared.put_back(losses);
            counter!(names::UPDATE_FAILURES, "reason" => "write").increment(1);
            if error.is_refusal() {
                return Err(error);
            }
            let (error, entries) = (chain(&error), lines.len());
            warn!(error, entries, queued = self.items.len(), "the journal cannot be written; trying again");
            tokio::time::sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    async fn try_once(&self, portion: Portion<'_>) -> Result<(), StoreError> {
        let written =
            match tokio::time::timeout(WRITE_TIMEOUT, timed("journal", self.store.write(portion))).await {
                Ok(written) => written?,
                Err(_) => {
                    self.store.note_write(false);
                    return Err(StoreError::Slow);
                }
            };
        if let Some(oldest) = portion.lines.first() {
            let lag = self.clock.unix(self.clock.now()).0.saturating_sub(oldest.unix.0).max(0);
            histogram!(names::SYNC_LAG).record(lag as f64 / 1_000.0);
        }
        counter!(names::JOURNAL_WRITTEN).increment(written.entries);
        for loss in &written.lost {
            // It stands in the table already.
            self.shared.count(loss.reason, loss.entries);
            tell(loss);
            if loss.reason == Reason::Superseded {
                self.shared.tell_superseded(loss.call);
            }
        }
        portion.losses.iter().for_each(tell);
        Ok(())
    }

    fn tell_losses(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost > self.told {
            error!(
                error_type = "journal_lost",
                entries = lost - self.told,
                in_all = lost,
                "entries of the journal are lost; is the database slow or full?"
            );
            self.told = lost;
        }
    }
}

fn tell(loss: &Loss) {
    let Loss { call, first, last, entries, reason, .. } = loss;
    warn!(%call, first, last, entries, reason = reason.name(), "entries are missing in the journal");
}
