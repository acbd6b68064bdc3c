//! From the calls' tasks to the disk: a bounded queue, one writer, many entries in a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use voice_core::driver::Clock;
use voice_core::id::CallId;
use voice_core::record::{Entry, Reader};

use super::sqlite::{Line, Store};
use crate::metrics_names as names;
use crate::telemetry::chain;
use crate::telemetry::database::timed;

/// Entries that may wait. A call makes about two a second, so this is 16 seconds of 500 calls; a disk
/// that stalls longer loses entries.
const QUEUE_MAX: usize = 16_384;

/// Entries in one transaction: enough to make the cost of a commit small, few enough to be quick.
const BATCH_MAX: usize = 512;

/// Attempts to write a batch, and the pause before each further one.
const ATTEMPTS: u32 = 4;
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How long a shutdown waits for the last entries.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The journal of all calls of a process.
#[derive(Debug)]
pub struct Journal {
    reader: JournalReader,
    closing: CancellationToken,
    writer: JoinHandle<()>,
}

/// Puts entries of calls into the journal's queue. Never waits; what does not fit is lost and counted.
#[derive(Clone, Debug)]
pub struct JournalReader {
    queue: Sender<Line>,
    lost: Arc<AtomicU64>,
    clock: Clock,
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
    pub async fn close(self) {
        self.closing.cancel();
        if tokio::time::timeout(CLOSE_TIMEOUT, self.writer).await.is_err() {
            error!("the journal could not be written in time; its last entries are lost");
        }
    }

    fn with_queue(store: Store, clock: Clock, queue_max: usize) -> Self {
        let (queue, lines) = channel(queue_max);
        gauge!(names::JOURNAL_LIMIT).set(queue_max as f64);
        let reader = JournalReader { queue, lost: Arc::default(), clock };
        let closing = CancellationToken::new();
        let writer = Writer { store, lines, lost: Arc::clone(&reader.lost), told: 0, clock };
        // One task for the whole process, because SQLite takes one writer at a time.
        let writer = tokio::spawn(writer.run(closing.clone()));
        Self { reader, closing, writer }
    }
}

impl Reader for JournalReader {
    fn read(&self, call: CallId, entry: &Entry) {
        let line = Line { call, unix: self.clock.unix(entry.at), entry: entry.clone() };
        if self.queue.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            counter!(names::JOURNAL_LOST, "reason" => "queue_full").increment(1);
        }
    }
}

struct Writer {
    store: Store,
    lines: Receiver<Line>,
    lost: Arc<AtomicU64>,
    /// Losses that the log already knows.
    told: u64,
    clock: Clock,
}

impl Writer {
    async fn run(mut self, closing: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let count = tokio::select! {
                count = self.lines.recv_many(&mut batch, BATCH_MAX) => count,
                () = closing.cancelled(), if !self.lines.is_closed() => {
                    self.lines.close();
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            gauge!(names::JOURNAL_QUEUED).set(self.lines.len() as f64);
            self.write(&batch).await;
            batch.clear();
            self.tell_losses();
        }
        self.store.close().await;
        info!("journal closed");
    }

    async fn write(&self, batch: &[Line]) {
        for attempt in 1..=ATTEMPTS {
            match timed("journal", self.store.write(batch)).await {
                Ok(unwritable) => {
                    if let Some(oldest) = batch.first() {
                        let lag = self.clock.unix(self.clock.now()).0.saturating_sub(oldest.unix.0).max(0);
                        histogram!(names::SYNC_LAG).record(lag as f64 / 1_000.0);
                    }
                    counter!(names::JOURNAL_WRITTEN).increment(batch.len() as u64 - unwritable);
                    counter!(names::JOURNAL_LOST, "reason" => "format").increment(unwritable);
                    self.lost.fetch_add(unwritable, Ordering::Relaxed);
                    return;
                }
                Err(error) => {
                    counter!(names::UPDATE_FAILURES, "reason" => "write").increment(1);
                    let error = chain(&error);
                    warn!(error, attempt, entries = batch.len(), "the journal cannot be written");
                    if attempt < ATTEMPTS {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
            }
        }
        counter!(names::JOURNAL_LOST, "reason" => "disk").increment(batch.len() as u64);
        self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    fn tell_losses(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.told {
            error!(
                error_type = "journal_lost",
                entries = lost - self.told,
                in_all = lost,
                "entries of the journal are lost; is the disk slow or full?"
            );
            self.told = lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use voice_core::time::MonoTime;

    use super::*;
    use crate::store::samples;

    fn entries() -> Vec<Entry> {
        (1..)
            .zip(samples::events())
            .map(|(seq, event)| Entry { seq, at: MonoTime::from_millis(seq * 20), event })
            .collect()
    }

    #[tokio::test]
    async fn what_was_read_is_in_the_file_after_closing() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("voice.db").display());
        let call = CallId::from_u128(7);

        let journal = Journal::start(Store::open(&url).await.unwrap(), Clock::start());
        let reader = journal.reader();
        for entry in entries() {
            reader.read(call, &entry);
        }
        journal.close().await;

        let store = Store::open(&url).await.unwrap();
        let stored = store.entries(call).await.unwrap();
        assert_eq!(stored.len(), entries().len());
        for (stored, entry) in stored.into_iter().zip(entries()) {
            let event = stored.event.unwrap();
            assert_eq!((stored.seq, stored.at, event), (entry.seq, entry.at, entry.event));
        }
        let calls = store.calls(10).await.unwrap();
        assert_eq!(calls.len(), 1);
        assert_eq!(
            (calls[0].call, calls[0].carrier.as_str(), calls[0].carrier_call.as_str()),
            (call, "twilio", "CA0123")
        );
        assert!(calls[0].reason.is_some() && calls[0].ended >= Some(calls[0].started));
        assert!(store.is_up().await);
    }

    #[tokio::test]
    async fn a_full_queue_costs_entries_and_no_time() {
        let journal = Journal::with_queue(Store::open("sqlite::memory:").await.unwrap(), Clock::start(), 3);
        let reader = journal.reader();
        // Nobody else runs on this thread before the first await, so the writer cannot help.
        for entry in entries() {
            reader.read(CallId::from_u128(7), &entry);
        }
        assert_eq!(reader.lost.load(Ordering::Relaxed), entries().len() as u64 - 3);
        journal.close().await;
    }

    #[tokio::test]
    async fn a_broken_disk_costs_the_batch_and_the_journal_goes_on() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        store.close().await;
        tokio::time::pause();
        let watched = store.clone();
        let journal = Journal::start(store, Clock::start());
        let reader = journal.reader();
        reader.read(CallId::from_u128(7), &entries()[0]);
        assert!(watched.can_write().await, "nothing has failed yet");
        journal.close().await;
        assert_eq!(reader.lost.load(Ordering::Relaxed), 1);
        assert!(!watched.can_write().await, "and it still cannot be written");
    }

    #[tokio::test]
    async fn once_the_disk_works_again_that_is_found_without_a_call() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let line = |at: usize| Line {
            call: CallId::from_u128(7),
            unix: voice_core::time::UnixMillis(0),
            entry: entries()[at].clone(),
        };
        store.break_tables().await;
        assert!(store.write(&[line(0)]).await.is_err());
        assert!(store.has_failed(), "until somebody asks");
        assert!(store.can_write().await && !store.has_failed());
    }
}
