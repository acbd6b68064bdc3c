//! Recordings of calls over real sockets: what is in the file is what was said and heard, where it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use voice_bin::recording::{RecordingParts, Recordings, recover};
use voice_core::audio::{AudioFormat, FRAME};
use voice_core::driver::InOrder;
use voice_core::provider::{ProviderCommand, ProviderSession, SessionInput, SessionOutput};
use voice_core::sim::speech::{caller, voice};
use voice_core::time::MonoTime;
use voice_telephony::sim::{Script, Step};

use crate::voices::{self, Clips};
use crate::world::{Server, Silent};

const HEADER_BYTES: usize = 58;

/// An interrupted talker waits until the caller has had their say.
const POLITENESS: Duration = Duration::from_secs(4);

/// Says one thing at once, and another when it was interrupted.
struct Talker {
    clips: Clips,
    speaks_at: Option<MonoTime>,
}

impl ProviderSession for Talker {
    fn handle(&mut self, now: MonoTime, input: SessionInput<'_>) {
        if let SessionInput::Command(ProviderCommand::Speak { .. }) = input {
            self.clips.say("delivery");
        } else if let SessionInput::Command(ProviderCommand::Interrupt(_)) = input {
            self.speaks_at = Some(now + POLITENESS);
        }
        if self.speaks_at.is_some_and(|at| at <= now) {
            self.speaks_at = None;
            self.clips.say("welcome");
        }
    }

    fn poll(&mut self) -> SessionOutput {
        self.clips.poll(self.speaks_at)
    }
}

fn talker() -> Arc<InOrder> {
    voices::fleet("talker", |clips| Box::new(Talker { clips, speaks_at: None }))
}

/// Both channels of a file, caller and voice.
pub(crate) fn read(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let file = fs::read(path).unwrap();
    let sound = &file[HEADER_BYTES..];
    let told = u32::from_le_bytes(file[54..58].try_into().unwrap()) as usize;
    assert_eq!((&file[..4], &file[20..24], told), (&b"RIFF"[..], &[7, 0, 2, 0][..], sound.len()));
    (sound.iter().step_by(2).copied().collect(), sound.iter().skip(1).step_by(2).copied().collect())
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Where a clip begins, and how much of it is there without a break.
pub(crate) fn find(channel: &[u8], clip: &[u8]) -> (Duration, Duration) {
    let at =
        channel.windows(160).position(|window| window == &clip[..160]).expect("its first 20 ms are there");
    let same = channel[at..].iter().zip(clip).take_while(|(a, b)| a == b).count();
    (AudioFormat::MULAW_8K.duration_of(at), AudioFormat::MULAW_8K.duration_of(same))
}

async fn recorded(assumed: bool) -> (Server, Recordings, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut recordings = None;
    let server = Server::with(|parts| {
        let started = Recordings::start(dir.path(), parts.world.clock).unwrap();
        let basis = assumed.then(|| "everybody in a test has agreed".parse().unwrap());
        parts.recording = Some(RecordingParts::new(started.sink(), basis));
        parts.world.fleet = if assumed { talker() } else { Silent::fleet() };
        recordings = Some(started);
    })
    .await;
    (server, recordings.unwrap(), dir)
}

#[tokio::test]
async fn both_channels_line_up_with_what_was_said_and_heard() {
    let (server, recordings, dir) = recorded(true).await;
    let patience = Duration::from_secs(10);
    let script = Script::new(vec![
        Step::BargeIn { after: Duration::from_millis(1_500), patience, say: caller("price").unwrap().into() },
        Step::WaitForVoice { quiet: Duration::from_millis(700), patience },
        Step::HangUp,
    ]);
    let report = server.call_with(server.plan().with_script(script)).await;
    server.stop().await.settled(&["caller_hung_up"]);
    recordings.close().await;

    let files = files(dir.path());
    assert_eq!(files.len(), 1, "{files:?}");
    let (said, heard) = read(&files[0]);
    let price = caller("price").unwrap();
    let (said_at, said_whole) = find(&said, price.mulaw);
    assert!(said_whole + FRAME >= price.duration(), "{said_whole:?} of {:?}", price.duration());
    let truth = [&report.heard[0], &report.heard[1]];
    let found = ["delivery", "welcome"].map(|clip| find(&heard, voice(clip).unwrap().mulaw));
    let off = |found: Duration, truth: Duration| (found + report.said_at[0]).abs_diff(said_at + truth);
    for (truth, (at, _)) in truth.iter().zip(found) {
        assert!(off(at, truth.from) <= FRAME, "at {at:?}, {said_at:?} in {report:#?}");
    }
    // What the barge-in cleared is not in it: the rest of the sentence lasts some ten seconds.
    let (at, lasted) = found[0];
    assert!(off(at + lasted, truth[0].to) <= FRAME * 2, "{lasted:?}, {said_at:?} in {report:#?}");
    assert_eq!(report.heard[1].clip, Some("welcome"));
    assert!(found[1].1 + FRAME >= voice("welcome").unwrap().duration(), "{found:?}");
}

#[tokio::test]
async fn a_recording_is_ordered_with_a_consent_and_survives_a_kill() {
    let (server, recordings, dir) = recorded(false).await;
    let script = Script::new(vec![
        Step::Say(caller("delivery").unwrap().into()),
        Step::Pause(Duration::from_secs(3_600)),
    ]);
    let call = tokio::spawn(server.place(server.plan().with_script(script)));
    server.record.wait_for_live().await;
    let id = server.record.calls().remove(0);
    let order = async |body: &str| {
        let length = body.len();
        let answer = server
            .exchange(&format!(
                "POST /api/v1/sessions/{id}/recording HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            ))
            .await;
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(order(r#"{"action":"start"}"#).await, 422, "nobody agreed");
    assert_eq!(order(r#"{"action":"start","consent":{"by":"x","method":"telepathy"}}"#).await, 422);
    assert_eq!(order(r#"{"action":"pause"}"#).await, 409, "nothing runs");
    assert!(files(dir.path()).is_empty());
    let start = r#"{"action":"start","consent":{"by":"+15550100","method":"verbal","region":"US-CA"}}"#;
    assert_eq!(order(start).await, 202);
    let part = loop {
        // A second of sound, and then some.
        let found = files(dir.path()).into_iter().find(|path| fs::metadata(path).unwrap().len() > 16_000);
        match found {
            Some(path) => break path,
            None => tokio::time::sleep(FRAME).await,
        }
    };
    assert_eq!(order(start).await, 409, "it runs");
    assert!(part.to_string_lossy().ends_with(".wav.part"), "{part:?}");
    // What a kill would leave at this moment.
    let left = tempfile::tempdir().unwrap();
    fs::copy(&part, left.path().join("left.wav.part")).unwrap();
    assert_eq!(recover(left.path()).unwrap(), 1);
    let (said, _) = read(&left.path().join("left.wav"));
    assert!(said.len() >= 8_000 && said.iter().any(|byte| *byte != 0xff));

    assert_eq!(order(r#"{"action":"pause"}"#).await, 202);
    assert_eq!(order(r#"{"action":"resume"}"#).await, 202);
    assert_eq!(order(r#"{"action":"revoke","reason":"changed their mind"}"#).await, 202);
    while files(dir.path()).iter().any(|path| path.extension().is_some_and(|end| end == "part")) {
        tokio::time::sleep(FRAME).await;
    }
    assert_eq!(files(dir.path()).len(), 1, "it has ended, and the call goes on");
    call.abort();
    let _cancelled = call.await;
    server.stop().await.settled(&["carrier_line_down"]);
    recordings.close().await;
}
