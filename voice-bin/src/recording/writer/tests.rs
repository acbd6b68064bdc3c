//! Tests of the writer, on a real directory.

use bytes::Bytes;
use voice_core::consent::{Consent, Scope};
use voice_core::time::MonoTime;

use super::*;

const MULAW: AudioFormat = AudioFormat::MULAW_8K;

fn start() -> RecordingStart {
    let basis = "a test".parse().unwrap();
    RecordingStart {
        format: MULAW,
        at: MonoTime::ZERO,
        consent: Consent::not_required(basis, Scope::RECORDING),
    }
}

fn block(number: u32, caller: u8) -> Block {
    let frame = |byte| Bytes::from(vec![byte; 160]);
    Block { at: FRAME * number, caller: frame(caller), voice: frame(0x7e) }
}

fn only_file(dir: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[tokio::test]
async fn a_hole_is_silence_and_the_end_always_gets_through() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = Recordings::start(dir.path(), Clock::start()).unwrap();
    let mut tape = recordings.sink().begin(CallId::from_u128(7), &start()).unwrap();
    assert_eq!(tape.write(block(0, 1)), Written::Taken);
    assert_eq!(tape.write(block(3, 2)), Written::Taken);
    tape.end(RecordingEnd::Ordered, FRAME * 5);
    recordings.close().await;
    let path = only_file(dir.path());
    assert!(path.to_string_lossy().ends_with(".wav"), "{path:?}");
    let file = fs::read(&path).unwrap();
    assert_eq!(file[..HEADER_BYTES], wav::header(MULAW, 5 * 320));
    let caller: Vec<u8> = file[HEADER_BYTES..].iter().step_by(2).copied().collect();
    let expected = [[1; 160], [0xff; 160], [0xff; 160], [2; 160], [0xff; 160]].concat();
    assert_eq!(caller, expected);
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_full_queue_costs_blocks_and_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let (queue, mut jobs) = channel(4);
    let sink = Sink { queue, next: Arc::default(), clock };
    // Nobody writes: of four places the last word and the first have two.
    let mut tape = sink.begin(CallId::from_u128(7), &start()).unwrap();
    let written: Vec<_> = (0..4).map(|number| tape.write(block(number, 1))).collect();
    assert_eq!(written, [Written::Taken, Written::Taken, Written::NoRoom, Written::NoRoom]);
    tape.end(RecordingEnd::CallOver, FRAME * 4);
    let mut last = None;
    while let Ok(job) = jobs.try_recv() {
        last = Some(job);
    }
    assert!(matches!(last, Some(Job::End(_, Some(length))) if length == FRAME * 4));
    drop((jobs, dir));
    assert!(sink.begin(CallId::from_u128(8), &start()).is_none(), "nobody writes any more");
}

#[tokio::test]
async fn a_directory_that_is_gone_breaks_the_recording_only() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("recordings");
    let recordings = Recordings::start(&place, Clock::start()).unwrap();
    fs::remove_dir(&place).unwrap();
    let mut tape = recordings.sink().begin(CallId::from_u128(7), &start()).unwrap();
    while tape.write(block(0, 1)) != Written::Broken {
        tokio::task::yield_now().await;
    }
    drop(tape);
    recordings.close().await;
}

#[tokio::test]
async fn what_a_killed_server_left_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = Recordings::start(dir.path(), Clock::start()).unwrap();
    let mut tape = recordings.sink().begin(CallId::from_u128(7), &start()).unwrap();
    for number in 0..BLOCKS_PER_WRITE {
        tape.write(block(number, 1));
    }
    let written = HEADER_BYTES as u64 + u64::from(BLOCKS_PER_WRITE) * 320;
    let path = loop {
        let found = fs::read_dir(dir.path()).unwrap().next().map(|entry| entry.unwrap().path());
        if let Some(path) = found.filter(|path| fs::metadata(path).unwrap().len() >= written) {
            break path;
        }
        tokio::task::yield_now().await;
    };
    // As if the machine had stopped here, in the middle of a sample of the next write.
    let left = tempfile::tempdir().unwrap();
    let mut file = fs::read(&path).unwrap();
    file.push(1);
    fs::write(left.path().join("a.wav.part"), &file).unwrap();
    fs::write(
        left.path().join("b.part"),
        "something else of more than fifty-eight bytes, which is none of ours",
    )
    .unwrap();
    assert_eq!(recover(left.path()).unwrap(), 1);
    let saved = fs::read(left.path().join("a.wav")).unwrap();
    assert_eq!(saved[..HEADER_BYTES], wav::header(MULAW, u64::from(BLOCKS_PER_WRITE) * 320));
    assert_eq!(saved.len() as u64, written);
    assert!(left.path().join("b.part").exists());
    drop(tape);
    recordings.close().await;
}
