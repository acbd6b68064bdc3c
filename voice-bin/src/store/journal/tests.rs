//! What the journal promises, with SQLite in memory and in files.

use voice_core::id::CallId;
use voice_core::record::{Entry, Reader};
use voice_core::time::MonoTime;

use super::*;
use crate::store::samples;

const CALL: CallId = CallId::from_u128(7);

fn entries() -> Vec<Entry> {
    (1..)
        .zip(samples::events())
        .map(|(seq, event)| Entry { seq, at: MonoTime::from_millis(seq * 20), event })
        .collect()
}

/// What is in memory would be gone with the connection that failed.
async fn file() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("voice.db").display());
    (directory, Store::open(&url).await.unwrap())
}

#[tokio::test]
async fn what_was_read_is_in_the_file_after_closing() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("voice.db").display());

    let journal = Journal::start(Store::open(&url).await.unwrap(), Clock::start());
    let reader = journal.reader();
    for entry in entries() {
        reader.read(CALL, &entry);
    }
    journal.close().await;

    let store = Store::open(&url).await.unwrap();
    let stored = store.entries(CALL).await.unwrap();
    assert_eq!(stored.len(), entries().len());
    for (stored, entry) in stored.into_iter().zip(entries()) {
        let event = stored.event.unwrap();
        assert_eq!((stored.seq, stored.at, event), (entry.seq, entry.at, entry.event));
    }
    let calls = store.calls(10).await.unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].call, calls[0].carrier.as_str(), calls[0].carrier_call.as_str()),
        (CALL, "twilio", "CA0123")
    );
    assert!(calls[0].reason.is_some() && calls[0].ended >= Some(calls[0].started));
    assert!(store.is_up().await);
}

#[tokio::test]
async fn a_full_queue_costs_entries_and_no_time_and_they_are_named() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let journal = Journal::with_queue(store.clone(), Clock::start(), 3);
    let reader = journal.reader();
    // Nobody else runs on this thread before the first await, so the writer cannot help.
    for entry in entries() {
        reader.read(CALL, &entry);
    }
    let all = entries().len() as u64;
    assert_eq!(reader.shared.lost.load(Ordering::Relaxed), all - 3);
    assert!(reader.flush().await);
    let losses = store.losses(CALL).await.unwrap();
    let told: Vec<_> =
        losses.iter().map(|loss| (loss.first, loss.last, loss.entries, loss.reason.as_str())).collect();
    assert_eq!(told, [(4, all, all - 3, "queue_full")]);
    journal.close().await;
}

#[tokio::test]
async fn the_last_places_are_for_beginnings_and_ends() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let journal = Journal::with_queue(store.clone(), Clock::start(), 32);
    let reader = journal.reader();
    let noise = entries()
        .into_iter()
        .find(|entry| matches!(entry.event, voice_core::record::CallEvent::Muted { .. }))
        .unwrap();
    for seq in 1..=100 {
        reader.read(CALL, &Entry { seq, ..noise.clone() });
    }
    let other = CallId::from_u128(8);
    reader.read(other, &entries()[0]);
    assert!(reader.flush().await);
    assert_eq!(store.entries(CALL).await.unwrap().len(), 30);
    assert!(store.call(other).await.unwrap().is_some());
    journal.close().await;
}

#[tokio::test]
async fn huge_entries_are_bounded_by_their_bytes() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let journal = Journal::start(store, Clock::start());
    let reader = journal.reader();
    let text = "x".repeat(1 << 20);
    for seq in 1..=100 {
        let event = voice_core::record::CallEvent::Noted { text: text.as_str().into() };
        reader.read(CALL, &Entry { seq, at: MonoTime::ZERO, event });
    }
    assert_eq!(reader.shared.lost.load(Ordering::Relaxed), 37);
    assert!(reader.flush().await);
    assert_eq!(reader.shared.waiting.load(Ordering::Relaxed), 0);
    journal.close().await;
}

#[tokio::test]
async fn a_database_that_comes_back_has_everything() {
    let (_directory, store) = file().await;
    store.break_tables().await;
    let journal = Journal::start(store.clone(), Clock::start());
    let reader = journal.reader();
    for entry in entries() {
        reader.read(CALL, &entry);
    }
    while !store.has_failed() {
        tokio::task::yield_now().await;
    }
    store.mend_tables().await;
    assert!(reader.flush().await);
    assert!(store.can_write().await);
    assert_eq!(store.entries(CALL).await.unwrap().len(), entries().len());
    assert_eq!(reader.shared.lost.load(Ordering::Relaxed), 0);
    journal.close().await;
}

#[tokio::test]
async fn closing_does_not_wait_for_ever_for_a_database_that_is_gone() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    store.close().await;
    tokio::time::pause();
    let watched = store.clone();
    let journal = Journal::start(store, Clock::start());
    let reader = journal.reader();
    reader.read(CALL, &entries()[0]);
    assert!(watched.can_write().await, "nothing has failed yet");
    journal.close().await;
    assert_eq!(reader.shared.waiting.load(Ordering::Relaxed), 1);
    assert!(!watched.can_write().await, "and it still cannot be written");
    assert!(!reader.flush().await, "nobody writes any more");
}

#[tokio::test]
async fn once_the_disk_works_again_that_is_found_without_a_call() {
    let (_directory, store) = file().await;
    let line = Line { call: CALL, unix: voice_core::time::UnixMillis(0), entry: entries()[0].clone() };
    store.break_tables().await;
    assert!(store.write(Portion { lines: &[line], ..Portion::default() }).await.is_err());
    assert!(store.has_failed(), "until somebody asks");
    assert!(store.can_write().await && !store.has_failed());
}

/// Two entries a second of each of 500 calls, for thirty seconds.
#[tokio::test]
async fn a_database_that_stands_still_for_thirty_seconds_costs_500_calls_nothing() {
    let (_directory, store) = file().await;
    store.break_tables().await;
    let journal = Journal::start(store.clone(), Clock::start());
    let reader = journal.reader();
    for seq in 1..=60 {
        for call in 0..500 {
            let text = "I should like to know when my parcel will arrive, please.".into();
            let event = voice_core::record::CallEvent::Noted { text };
            reader.read(CallId::from_u128(call), &Entry { seq, at: MonoTime::from_millis(seq * 500), event });
        }
    }
    assert_eq!(reader.shared.lost.load(Ordering::Relaxed), 0);
    store.mend_tables().await;
    assert!(reader.flush().await);
    for call in [0, 250, 499] {
        assert_eq!(store.entries(CallId::from_u128(call)).await.unwrap().len(), 60);
    }
    assert_eq!(reader.shared.waiting.load(Ordering::Relaxed), 0);
    journal.close().await;
}
