//! Everything that is done in a call, on every line: a call over each carrier, to us and from us, is answered,
//! put on hold and taken back, presses keys and hears them, is recorded, and is led to somebody who was told
//! what it is about. Then both channels of its recording are held against what the caller said and heard.

use std::sync::Arc;
use std::time::Duration;

use voice_bin::recording::{RecordingParts, Recordings};
use voice_bin::server::Parts;
use voice_core::audio::FRAME;
use voice_core::call::Prompts;
use voice_core::driver::InOrder;
use voice_core::provider::{ProviderCommand, ProviderSession, SessionInput, SessionOutput};
use voice_core::record::CallEvent;
use voice_core::sim::speech::{Hearing, Listener, caller, recognise, voice};
use voice_core::time::MonoTime;
use voice_telephony::sim::{CallReport, Script, Step};

use crate::recording::{files, find, read};
use crate::telnyx::{self, pause};
use crate::twilio;
use crate::voices::{self, Clips};
use crate::world::Server;

pub(crate) const PLACE: &str = r#"{"to_number":"+15005550007","telephony_provider":"CARRIER"}"#;
const LEAD: &str = r#"{"to":"+15005550008","summary":"A cat is ill."}"#;
const SUMMARY: &str = "A caller is being put through to you. A cat is ill.";

/// What the caller says, with an answer of the same name to each.
const SAID: [&str; 2] = ["hours", "person"];

/// What the voice says.
const ANSWERED: [&str; 3] = ["welcome", "hours", "person"];

/// Greets, and answers what it knows with the clip of the same name.
struct Knowing {
    clips: Clips,
    ear: Listener,
}

impl ProviderSession for Knowing {
    fn handle(&mut self, _: MonoTime, input: SessionInput<'_>) {
        if let SessionInput::Command(ProviderCommand::Speak { .. }) = input {
            self.clips.say("welcome");
        } else if let SessionInput::Command(ProviderCommand::Hear(frame)) = input {
            let mut noticed = Vec::new();
            self.ear.push(&frame.data, &mut noticed);
            for noticed in noticed {
                if let Hearing::Ended { audio, .. } = noticed
                    && let Some(clip) = recognise(&audio)
                {
                    self.clips.say(clip.name);
                }
            }
        }
    }

    fn poll(&mut self) -> SessionOutput {
        self.clips.poll(None)
    }
}

fn knowing() -> Arc<InOrder> {
    voices::fleet("knowing", |clips| {
        Box::new(Knowing { clips, ear: Listener::new(Duration::from_millis(500)) })
    })
}

/// Asks, presses a key, is put on hold and taken back meanwhile, asks again, and stays.
fn script() -> Script {
    let wait = || Step::WaitForVoice { quiet: Duration::from_millis(700), patience: Duration::from_secs(30) };
    let say = |clip: &str| Step::Say(caller(clip).unwrap().into());
    Script::new(vec![
        wait(),
        say(SAID[0]),
        wait(),
        Step::Press('7'),
        Step::Pause(Duration::from_secs(9)),
        say(SAID[1]),
        wait(),
        Step::Pause(Duration::from_secs(120)),
        Step::HangUp,
    ])
}

fn stays(length: Duration) -> Script {
    Script::new(vec![Step::Pause(length), Step::HangUp])
}

/// Where the call is recorded.
struct Tape {
    dir: tempfile::TempDir,
    recordings: Recordings,
}

impl Tape {
    fn of(parts: &mut Parts) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recordings = Recordings::start(dir.path(), parts.world.clock).unwrap();
        let basis = "everybody in a test has agreed".parse().unwrap();
        parts.recording = Some(RecordingParts::new(recordings.sink(), Some(basis)));
        parts.world.fleet = knowing();
        Self { dir, recordings }
    }

    /// What the caller said and heard is in the file, in its channel, and where it was.
    async fn lines_up(self, report: &CallReport) {
        self.recordings.close().await;
        let files = files(self.dir.path());
        assert_eq!(files.len(), 1, "{files:?}");
        let (said, heard) = read(&files[0]);
        assert_eq!(report.said, SAID, "{report:#?}");
        let of_said = SAID.iter().zip(&report.said_at).map(|(clip, at)| {
            let clip = caller(clip).unwrap();
            (*at, find(&said, clip.mulaw), clip.duration())
        });
        let of_heard = ANSWERED.iter().map(|name| {
            let is_it = |heard: &&voice_telephony::sim::Heard| heard.clip == Some(*name);
            let truth = report.heard.iter().find(is_it).unwrap_or_else(|| panic!("{name}: {report:#?}"));
            let clip = voice(name).unwrap();
            (truth.from, find(&heard, clip.mulaw), clip.duration())
        });
        let (_, music) = find(&heard, &Prompts::bundled(None).music);
        assert!(music > Duration::from_millis(500), "they hear music on hold: {music:?}");
        let mut begin = None;
        for (truth, (at, whole), length) in of_said.chain(of_heard) {
            // The recording began some time after the caller's own clock did; the same time for everything.
            let (first_truth, first_at) = *begin.get_or_insert((truth, at));
            assert!(
                (at + first_truth).abs_diff(truth + first_at) <= FRAME,
                "{truth:?} at {at:?}: {report:#?}"
            );
            assert!(whole + FRAME >= length, "{whole:?} of {length:?}");
        }
    }
}

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        pause().await;
    }
    panic!("{what}: not within a minute");
}

async fn a_second() {
    for _ in 0..100 {
        pause().await;
    }
}

pub(crate) async fn post(server: &Server, path: &str, body: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close");
    server.exchange(&format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await
}

/// Does everything to the one call of this server. The caller plays along by [`script`].
async fn through_everything(server: &Server, is_ours: bool) -> String {
    let record = &server.record;
    until("a key is pressed", || record.count(|event| matches!(event, CallEvent::Digit { .. })) > 0).await;
    let call = record.calls().remove(0);
    let order = async |what: &str, body: &str| {
        let answer = post(server, &format!("/api/v1/sessions/{call}/{what}"), body).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{what}: {answer}");
    };
    let is_held = |event: &CallEvent| matches!(event, CallEvent::Held { music: true });
    let is_resumed = |event: &CallEvent| matches!(event, CallEvent::Resumed { timed_out: false, .. });
    order("hold", "").await;
    until("they are on hold", || record.count(is_held) == 1).await;
    // Long enough to hear what is played; the recording shows it.
    a_second().await;
    order("resume", "").await;
    until("the hold is over", || record.count(is_resumed) == 1).await;
    order("dtmf", r##"{"digits":"4#"}"##).await;
    let is_heard = |event: &CallEvent| matches!(event, CallEvent::ReplyHeard { cut: false, .. });
    until("all was answered", || record.count(is_heard) == ANSWERED.len()).await;
    // The music that follows is not part of what was said.
    a_second().await;
    order("transfer", LEAD).await;
    until("the caller is led on", || !record.ends().is_empty()).await;
    assert_eq!((record.transfers(), record.ends()), (vec!["answered"], vec!["transfer"]));
    assert_eq!(record.count(|event| matches!(event, CallEvent::Digit { .. })), 1, "a key counts once");
    let shown = server.ask(&format!("/api/v1/sessions/{call}/statuses")).await;
    let shown: serde_json::Value = serde_json::from_str(shown.split_once("\r\n\r\n").unwrap().1).unwrap();
    let transitions = shown["transitions"].as_array().unwrap();
    let statuses: Vec<&str> = transitions.iter().map(|change| change["to"].as_str().unwrap()).collect();
    let from_us = ["initiated"].into_iter().filter(|_| is_ours);
    let all = ["ringing", "answered", "on_hold", "answered", "transferring", "completed"];
    assert_eq!(statuses, from_us.chain(all).collect::<Vec<_>>(), "{shown:#}");
    call
}

async fn over_telnyx(is_ours: bool) {
    let mut tape = None;
    let world = telnyx::world(|parts| tape = Some(Tape::of(parts))).await;
    let plan = world.plan(1).with_script(script());
    let (caller, run) = world.connect(if is_ours { plan.waits_for_dial() } else { plan });
    let running = tokio::spawn(run);
    let order = PLACE.replace("CARRIER", "telnyx");
    let ordered = if is_ours { Some(world.order(&order).await) } else { None };
    if is_ours {
        // Whoever waits first is dialled first.
        world.server.record.wait_for_live().await;
    }
    let (other, run) =
        world.connect(world.plan(2).waits_for_dial().with_script(stays(Duration::from_secs(5))));
    let other_running = tokio::spawn(run);
    let call = through_everything(&world.server, is_ours).await;
    assert!(ordered.is_none_or(|ordered| ordered == call));
    // They talk without us, until one of them hangs up.
    other_running.await.unwrap();
    let report = running.await.unwrap();
    assert_eq!(report.keys_heard, "4#");
    assert_eq!(other.report().announced, [SUMMARY]);
    assert_eq!(other.commands(), ["speak", "bridge"]);
    let commands: &[&str] = if is_ours { &["streaming_start"] } else { &["answer", "streaming_start"] };
    assert_eq!(caller.commands(), commands);
    world.server.stop().await.settled(&["transfer"]);
    tape.unwrap().lines_up(&report).await;
}

async fn over_twilio(is_ours: bool) {
    let mut tape = None;
    let mut world = twilio::world(|plan| plan.script = script(), |parts| tape = Some(Tape::of(parts))).await;
    let (mut report, rooms) = (None, world.rooms.clone());
    if is_ours {
        let order = PLACE.replace("CARRIER", "twilio");
        let answer = post(&world.server, "/api/v1/telephony/outbound", &order).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    } else {
        // Longer than everything here takes; they hang up in the end.
        let leaves = Some(Duration::from_secs(40));
        report = Some(world.call(|plan| plan.with_script(script()).leaves_after(leaves)).await);
    }
    let server = world.server;
    let call = through_everything(&server, is_ours).await;
    let room = || rooms.names().first().cloned().unwrap_or_default();
    until("both are in the room", || rooms.most(&room()) == 2).await;
    if is_ours {
        let path = format!("/api/v1/telephony/outbound/{call}");
        let head = format!("DELETE {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert!(server.exchange(&head).await.starts_with("HTTP/1.1 202"));
    }
    // Whoever leaves ends it for both.
    let mut reports = vec![world.over.recv().await.unwrap()];
    reports.push(match report {
        Some(report) => report.await.unwrap(),
        None => world.over.recv().await.unwrap(),
    });
    reports.sort_by_key(|report| report.said.len());
    assert_eq!(reports[0].announced, [SUMMARY]);
    assert_eq!(reports[1].keys_heard, "4#");
    server.stop().await.settled(&["transfer"]);
    tape.unwrap().lines_up(&reports[1]).await;
}

#[tokio::test]
async fn a_call_to_us_over_telnyx() {
    over_telnyx(false).await;
}

#[tokio::test]
async fn a_call_from_us_over_telnyx() {
    over_telnyx(true).await;
}

#[tokio::test]
async fn a_call_to_us_over_twilio() {
    over_twilio(false).await;
}

#[tokio::test]
async fn a_call_from_us_over_twilio() {
    over_twilio(true).await;
}
