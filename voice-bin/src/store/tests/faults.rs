//! Databases that are restarted, full, or read a clock that jumps: no entry is lost without its name.

use std::path::{Path, PathBuf};
use std::process::Command;

use voice_core::driver::Clock;
use voice_core::record::Reader as _;

use super::*;

const CALLS: u128 = 50;

/// A PostgreSQL of its own, which a test may kill. Ends with the value.
struct Private(tempfile::TempDir);

impl Private {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Self(directory);
        server.order("start");
        server
    }

    fn command(&self, what: &str) -> Command {
        let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let mut command = Command::new(script);
        command.arg(what).arg(self.0.path());
        if what != "env" {
            command.arg("postgres");
        }
        command
    }

    fn order(&self, what: &str) -> String {
        let output = self.command(what).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn url(&self) -> String {
        let shown = self.order("env");
        format!("{}/postgres", shown.trim().split_once('=').unwrap().1)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.order("kill");
    }
}

fn read_round(reader: &JournalReader, seq: u64) {
    for call in 0..CALLS {
        let event = if seq == 1 { talk(CallId::from_u128(call), 0).remove(0).entry.event } else { note(seq) };
        let entry = Entry { seq, at: MonoTime::from_millis(seq), event };
        reader.read(CallId::from_u128(call), &entry);
    }
}

fn note(seq: u64) -> CallEvent {
    CallEvent::Noted { text: format!("the {seq}th thing that was said in this call, of some length").into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_and_started_again_under_load_loses_nothing() {
    let name = "postgres_killed_and_started_again_under_load_loses_nothing";
    if crate::services::postgres(name).await.is_none() {
        return;
    }
    let server = Private::start();
    let store = Store::open(&server.url()).await.unwrap();
    let journal = Journal::start(store.clone(), Clock::start());
    let reader = journal.reader();
    let mut seq = 0;
    for orders in [&["kill", "start"][..], &["stop", "start"]] {
        for _ in 0..40 {
            seq += 1;
            read_round(&reader, seq);
            tokio::task::yield_now().await;
        }
        for order in orders {
            let mut command = server.command(order);
            let begun = tokio::task::spawn_blocking(move || command.output());
            while !begun.is_finished() {
                seq += 1;
                read_round(&reader, seq);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(begun.await.unwrap().unwrap().status.success());
        }
    }
    assert!(reader.flush().await);
    for call in 0..CALLS {
        let call = CallId::from_u128(call);
        let seqs: Vec<_> = store.entries(call).await.unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (1..=seq).collect::<Vec<_>>());
        assert!(store.losses(call).await.unwrap().is_empty());
    }
    journal.close().await;
}

#[tokio::test]
async fn a_full_disk_costs_what_does_not_fit_in_memory_and_that_is_named() {
    let Some(disk) = SmallDisk::mount() else {
        crate::services::skip("a_full_disk_costs_what_does_not_fit", "nothing can be mounted here");
        return;
    };
    let url = format!("sqlite:{}", disk.0.path().join("voice.db").display());
    let store = Store::open(&url).await.unwrap();
    let journal = Journal::with_queue(store.clone(), Clock::start(), 4_096);
    let reader = journal.reader();
    let mut seq = 0;
    while !store.has_failed() {
        seq += 1;
        read_round(&reader, seq);
        tokio::task::yield_now().await;
    }
    assert!(store.is_up().await, "it can be read all day");
    // Far more than the queue holds.
    for _ in 0..200 {
        seq += 1;
        read_round(&reader, seq);
    }
    disk.enlarge();
    assert!(reader.flush().await);
    let mut lost = 0;
    for call in 0..CALLS {
        let call = CallId::from_u128(call);
        let mut known: Vec<_> = store.entries(call).await.unwrap().iter().map(|entry| entry.seq).collect();
        for loss in store.losses(call).await.unwrap() {
            assert_eq!(loss.reason, "queue_full");
            lost += loss.entries;
            known.extend(loss.first..=loss.last);
        }
        known.sort_unstable();
        assert_eq!(known, (1..=seq).collect::<Vec<_>>(), "each entry is there, or its loss");
    }
    assert!(lost > 1_000, "{lost}");
    assert!(store.can_write().await);
    journal.close().await;
}

/// A file system in memory, small enough to fill. Only root may have one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(disk.0.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(disk)
    }

    fn enlarge(&self) {
        let status = Command::new("mount").args(["-o", "remount,size=256m"]).arg(self.0.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: SQLite's threads may need another moment to let go.
        let _nothing_was_mounted = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// A machine's clock was set back by an hour, and the server started again.
#[tokio::test]
async fn a_clock_that_jumps_changes_no_order() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let mut lines = talk(CALL, 3_600_000);
    for line in &mut lines[4..] {
        line.unix = UnixMillis(line.entry.seq.cast_signed());
        line.entry.at = MonoTime::from_millis(1);
    }
    write(&store, &lines).await;
    let entries = store.entries(CALL).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    let call = store.call(CALL).await.unwrap().unwrap();
    assert!(call.ended < Some(call.started) && call.reason.is_some(), "told as it was, and over");
}
