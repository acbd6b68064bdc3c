//! A server whose wall clock is set under its calls: by an hour, forth and back.
//!
//! The server runs under Debian's faketime, which reads how far the clock is off from a file; the clock by which
//! time passes is left alone, as it is when somebody sets a clock.

use std::path::PathBuf;
use std::time::Duration;

use crate::stage::Stage;

/// Nothing that is waited for takes longer.
const LONGEST: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_drops_no_call() {
    let Some(library) = faketime() else {
        println!("SKIPPED: there is no faketime (Debian: faketime)");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let offset = directory.path().join("offset");
    let set = |by: &str| std::fs::write(&offset, by).unwrap();
    // It begins an hour fast. What Telnyx signs, with the time at which it does, is taken once that is put right.
    set("+3600");
    let settings = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let mut stage = Stage::open(&settings).await.unwrap();
    stage.call_over_twilio(1);
    assert!(stage.is_heard_by_all(LONGEST).await, "Twilio signs no time");
    set("+0");
    stage.call_over_telnyx(1);
    assert!(stage.is_heard_by_all(LONGEST).await, "the clock is right, and nobody was dropped");
    for step in ["+3600", "-3600", "+0"] {
        set(step);
        assert!(stage.is_heard_by_all(LONGEST).await, "somebody was dropped at {step}");
    }
    let round = stage.kill(Duration::from_millis(200), LONGEST).await.unwrap();
    assert_eq!(round.silent.len(), 2, "both are talked with again");
    let records = stage.records().await.unwrap();
    assert_eq!((records.calls, records.torn), (2, 0), "two calls, whole");
}

fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?;
    let under = libraries.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    under.into_iter().find(|library| library.exists())
}
