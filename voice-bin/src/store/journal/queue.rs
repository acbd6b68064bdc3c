//! The calls' end of the queue: it never waits, and remembers what it could not take.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use voice_core::driver::Clock;
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry, Reader};
use voice_core::time::UnixMillis;

use crate::metrics_names as names;
use crate::store::StatusChange;
use crate::store::losses::{Loss, Losses, Reason};
use crate::store::write::{Line, StatusLine};

/// What may wait, in bytes. An entry without text is a quarter of a kilobyte, a spoken sentence as much again:
/// a full queue of usual entries is 16 to 32 MiB. This bound is for unusual ones, the outputs of tools above all.
const BYTES_MAX: usize = 64 << 20;

/// The part of the queue, one in so many, that is kept for what a list of calls and a recovery cannot do
/// without: that a call began, ended, or came back.
const KEPT: usize = 16;

/// Puts entries of calls into the journal's queue. Never waits; what does not fit is lost, counted, and named
/// in the database once it can be written again.
#[derive(Clone, Debug)]
pub struct JournalReader {
    pub(super) queue: Sender<Item>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
}

/// What goes to the writer.
#[derive(Debug)]
pub(super) enum Item {
    Entry(Line),
    Status(StatusLine),
    /// Answered when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// What both ends of the queue know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Entries that were lost, for any reason.
    pub(super) lost: AtomicU64,
    /// Entries in the queue and in the writer's hands.
    pub(super) waiting: AtomicUsize,
    /// What they take up.
    bytes: AtomicUsize,
    /// Locked when something is lost and when a batch is written, for microseconds, never over an await. A
    /// call that loses nothing never meets it.
    losses: Mutex<Losses>,
}

impl JournalReader {
    /// How a call stands. Kept with the calls, beside their entries.
    pub fn status(&self, call: CallId, change: StatusChange) {
        let line = StatusLine { call, change };
        if self.queue.try_send(Item::Status(line)).is_err() {
            self.shared.count(Reason::QueueFull, 1);
        }
    }

    /// Waits until everything that was read before is in the database, or lost. Answers whether the journal is
    /// still open. The caller says how long to wait.
    pub async fn flush(&self) -> bool {
        let (done, written) = oneshot::channel();
        self.queue.send(Item::Flush(done)).await.is_ok() && written.await.is_ok()
    }

    fn has_room_for(&self, event: &CallEvent, bytes: usize) -> bool {
        let is_needed =
            matches!(event, CallEvent::Started { .. } | CallEvent::Returned { .. } | CallEvent::Ended { .. });
        let kept = if is_needed { 0 } else { self.queue.max_capacity() / KEPT };
        self.queue.capacity() > kept && self.shared.bytes.load(Ordering::Relaxed) + bytes <= BYTES_MAX
    }
}

impl Reader for JournalReader {
    fn read(&self, call: CallId, entry: &Entry) {
        let (unix, bytes) = (self.clock.unix(entry.at), size(&entry.event));
        if self.has_room_for(&entry.event, bytes) {
            self.shared.waits(bytes);
            let line = Line { call, unix, entry: entry.clone() };
            if self.queue.try_send(Item::Entry(line)).is_ok() {
                return;
            }
            self.shared.waits_no_more(1, bytes);
        }
        self.shared.lose(call, entry.seq, Reason::QueueFull, unix);
    }
}

impl Shared {
    /// These are out of the queue, in whatever way.
    pub(super) fn written(&self, lines: &[Line]) {
        self.waits_no_more(lines.len(), lines.iter().map(|line| size(&line.entry.event)).sum());
    }

    pub(super) fn lose(&self, call: CallId, seq: u64, reason: Reason, unix: UnixMillis) {
        self.count(reason, 1);
        self.with_losses(|losses| losses.add(call, seq, reason, unix));
    }

    pub(super) fn count(&self, reason: Reason, entries: u64) {
        self.lost.fetch_add(entries, Ordering::Relaxed);
        counter!(names::JOURNAL_LOST, "reason" => reason.name()).increment(entries);
    }

    pub(super) fn take_losses(&self) -> Vec<Loss> {
        self.with_losses(Losses::take)
    }

    pub(super) fn put_back(&self, taken: Vec<Loss>) {
        self.with_losses(|losses| losses.extend(taken));
    }

    pub(super) fn has_no_losses(&self) -> bool {
        self.with_losses(|losses| losses.is_empty())
    }

    fn waits(&self, bytes: usize) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn waits_no_more(&self, entries: usize, bytes: usize) {
        self.waiting.fetch_sub(entries, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn with_losses<T>(&self, act: impl FnOnce(&mut Losses) -> T) -> T {
        act(&mut self.losses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What an entry takes up, its text included.
fn size(event: &CallEvent) -> usize {
    let text = if let CallEvent::CallerSaid { text, .. }
    | CallEvent::ReplyHeard { text, .. }
    | CallEvent::Noted { text }
    | CallEvent::Summarised { text }
    | CallEvent::ToolAnswered { output: text, .. } = event
    {
        text.expose().len()
    } else if let CallEvent::ToolCalled(tool) = event {
        tool.arguments.expose().len()
    } else {
        0
    };
    size_of::<Item>() + text
}
