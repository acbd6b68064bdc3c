//! The store is cut at every boundary of a write, and what is left is folded: never a hole, never half a batch,
//! nothing that was acknowledged is gone, and every derived row agrees with the events.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;

use super::*;
use crate::store::engine::{Batch, Pooled, Row};
use crate::telemetry::database::Pool;

/// A database that dies at the n-th step: a statement, a commit, or the answer to a commit that was carried out.
#[derive(Debug)]
struct Cut {
    inner: Arc<dyn Engine>,
    /// Steps until it dies; below zero it is dead.
    steps: Arc<AtomicI64>,
}

struct CutBatch {
    inner: Box<dyn Batch>,
    steps: Arc<AtomicI64>,
}

fn step(steps: &AtomicI64) -> Result<(), StoreError> {
    if steps.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(sqlx::Error::PoolClosed.into()) }
}

impl Pooled for Cut {
    fn pool(&self) -> Pool {
        Pool::default()
    }
}

#[async_trait]
impl Engine for Cut {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        self.inner.read(statement).await
    }

    async fn begin(&self) -> Result<Box<dyn Batch>, StoreError> {
        step(&self.steps)?;
        Ok(Box::new(CutBatch { inner: self.inner.begin().await?, steps: self.steps.clone() }))
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl Batch for CutBatch {
    async fn run(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        step(&self.steps)?;
        self.inner.run(statement).await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        step(&self.steps)?;
        self.inner.commit().await?;
        step(&self.steps)
    }
}

/// Three calls side by side, in batches in which they are mixed.
fn batches(first: u128) -> Vec<Vec<Line>> {
    let mut lines: Vec<Line> = (first..first + 3).flat_map(|call| talk(CallId::from_u128(call), 0)).collect();
    // Everybody's first entry, everybody's second, and so on, as it is in life.
    lines.sort_by_key(|line| (line.entry.seq, line.call));
    lines.chunks(5).map(<[Line]>::to_vec).collect()
}

/// How many whole batches the database has. Fails if what it has is anything else.
async fn whole_batches(store: &Store, batches: &[Vec<Line>]) -> usize {
    let mut found: BTreeMap<CallId, Vec<u64>> = BTreeMap::new();
    let calls: std::collections::BTreeSet<CallId> = batches.iter().flatten().map(|line| line.call).collect();
    for call in &calls {
        let seqs = store.entries(*call).await.unwrap().iter().map(|entry| entry.seq).collect();
        found.insert(*call, seqs);
        agrees(store, *call).await;
    }
    let count = (0..=batches.len()).find(|count| {
        let mut expected: BTreeMap<CallId, Vec<u64>> = calls.iter().map(|call| (*call, Vec::new())).collect();
        for line in batches[..*count].iter().flatten() {
            expected.entry(line.call).or_default().push(line.entry.seq);
        }
        expected == found
    });
    count.unwrap_or_else(|| panic!("these are no whole batches: {found:?}"))
}

/// Every row that follows from the events is there, and no other.
async fn agrees(store: &Store, call: CallId) {
    let entries = store.entries(call).await.unwrap();
    for (at, entry) in (1..).zip(&entries) {
        assert_eq!(entry.seq, at, "a hole in {call}");
    }
    let row = store.call(call).await.unwrap();
    assert_eq!(row.is_some(), !entries.is_empty(), "{call}");
    let events: Vec<_> = entries.iter().map(|entry| entry.event.as_ref().unwrap()).collect();
    let is_over = events.last().is_some_and(|event| matches!(event, CallEvent::Ended { .. }));
    assert_eq!(row.is_some_and(|row| row.ended.is_some()), is_over, "{call}");
    let of = |wanted: fn(&CallEvent) -> bool| -> Vec<u64> {
        entries.iter().zip(&events).filter(|(_, event)| wanted(event)).map(|(entry, _)| entry.seq).collect()
    };
    let turns = of(|event| match event {
        CallEvent::CallerSaid { text, .. } | CallEvent::ReplyHeard { text, .. } => !text.expose().is_empty(),
        #[allow(clippy::wildcard_enum_match_arm, reason = "two kinds of many are turns")]
        _ => false,
    });
    let stored = store.turns(call).await.unwrap();
    assert_eq!(stored.iter().map(|turn| turn.seq).collect::<Vec<_>>(), turns, "{call}");
    let switches = of(|event| matches!(event, CallEvent::Switched(_)));
    let stored = store.switches(call).await.unwrap();
    assert_eq!(stored.iter().map(|switch| switch.seq).collect::<Vec<_>>(), switches, "{call}");
}

on_every_database! {
    cut_at_every_step_it_holds_whole_batches(store) {
        let mut cuts = 0;
        let mut doubtful = 0;
        for steps in 0.. {
            let batches = batches(1_000 * (steps + 1));
            let alive = Arc::new(AtomicI64::new(i64::try_from(steps).unwrap()));
            let cut = Store {
                engine: Arc::new(Cut { inner: store.engine.clone(), steps: alive.clone() }),
                ..store.clone()
            };
            let mut acknowledged = 0;
            for lines in &batches {
                match cut.write(Portion { lines, ..Portion::default() }).await {
                    Ok(_) => acknowledged += 1,
                    Err(_) => break,
                }
            }
            let kept = whole_batches(&store, &batches).await;
            assert!(kept == acknowledged || kept == acknowledged + 1, "{kept} of {acknowledged}");
            doubtful += u32::from(kept > acknowledged);
            if acknowledged == batches.len() {
                break;
            }
            cuts += 1;
            // Whoever comes back writes again what was not acknowledged.
            for lines in &batches[acknowledged..] {
                let written = write(&store, lines).await;
                assert!(written.lost.is_empty(), "our own lines are nobody else's");
            }
            assert_eq!(whole_batches(&store, &batches).await, batches.len());
        }
        assert!(cuts > 30, "only {cuts} boundaries were tried");
        assert_eq!(doubtful, 5, "each commit was cut between the act and its answer");
    }
}

/// A machine that loses its power keeps the beginning of the write-ahead log, and perhaps half a page more.
#[tokio::test]
async fn whatever_is_left_of_the_log_of_sqlite_it_holds_whole_batches() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("voice.db");
    let store = Store::open(&format!("sqlite:{}", file.display())).await.unwrap();
    let batches = batches(1);
    for lines in &batches {
        write(&store, lines).await;
    }
    let (main, log) = (std::fs::read(&file).unwrap(), std::fs::read(with_suffix(&file, "-wal")).unwrap());
    // From the format's description: a header of 32 bytes, then frames of 24 bytes and a page.
    let page = usize::try_from(u32::from_be_bytes(log[8..12].try_into().unwrap())).unwrap();
    let frames = (log.len() - 32) / (24 + page);
    assert!(frames > 30, "{frames} frames");

    let mut seen = std::collections::BTreeSet::new();
    for frame in 0..=frames {
        for more in [0, 24 + page / 2] {
            let kept = (32 + frame * (24 + page) + more).min(log.len());
            let copy = tempfile::tempdir().unwrap();
            let file = copy.path().join("voice.db");
            std::fs::write(&file, &main).unwrap();
            std::fs::write(with_suffix(&file, "-wal"), &log[..kept]).unwrap();
            // What is left of the tables is made whole as well.
            let cut = Store::open(&format!("sqlite:{}", file.display())).await.unwrap();
            seen.insert(whole_batches(&cut, &batches).await);
            cut.close().await;
        }
    }
    assert_eq!(seen, (0..=batches.len()).collect());
}

fn with_suffix(file: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
