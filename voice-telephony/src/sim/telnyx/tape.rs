//! Recordings of one fake call: begun, paused, over with the call, and told of (protocol notes, Telnyx §1.2 and §7).

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::time::MonoTime;

use super::api::{ApiAnswer, ok, refuse};
use super::hooks::timestamp;
use super::rudeness::TelnyxRudeness;
use super::{Effect, FakeTelnyxCall};

/// All recordings of a call.
#[derive(Debug, Default)]
pub(super) struct Tapes {
    tapes: Vec<Tape>,
}

#[derive(Debug)]
struct Tape {
    began: MonoTime,
    /// When it was over.
    ended: Option<MonoTime>,
    channels: String,
    is_paused: bool,
}

impl FakeTelnyxCall {
    /// What is wanted of a recording, if the action is about one.
    pub(super) fn record(&mut self, now: MonoTime, action: &str, body: &Value) -> Option<ApiAnswer> {
        if action == "record_start" {
            return Some(self.start_recording(now, body));
        }
        if !matches!(action, "record_pause" | "record_resume" | "record_stop") {
            return None;
        }
        // The code is not published.
        let none = || refuse(422, 10_015, "Call is not being recorded");
        let Some(tape) = self.tapes.tapes.iter_mut().find(|tape| tape.ended.is_none()) else {
            return Some(none());
        };
        match action {
            "record_pause" if !tape.is_paused => tape.is_paused = true,
            "record_resume" if tape.is_paused => tape.is_paused = false,
            "record_stop" => self.end_recording(now),
            _ => return Some(none()),
        }
        Some(ok(json!({"result": "ok"})))
    }

    /// It is over, with the call or before, and put away.
    pub(super) fn end_recording(&mut self, now: MonoTime) {
        let Some(at) = self.tapes.tapes.iter().position(|tape| tape.ended.is_none()) else { return };
        self.tapes.tapes[at].ended = Some(now);
        let pause = Duration::from_secs(1) + self.rng.millis(0..1_000);
        self.later(now + pause, Effect::RecordingSaved(at));
    }

    /// Without the name by which calls are commanded.
    pub(super) fn recording_saved(&mut self, now: MonoTime, at: usize) {
        let Some(tape) = self.tapes.tapes.get(at) else { return };
        let time = |at| timestamp(self.plan.epoch, at);
        let mut payload = json!({"call_leg_id": self.names.leg_id, "call_session_id": self.names.session_id,
            "connection_id": "2811212257810187875", "client_state": self.client_state});
        if self.is(TelnyxRudeness::RecordingFails) {
            payload["reason"] = json!("failed_to_save");
            return self.hooks.tell(now, "call.recording.error", payload);
        }
        let url = format!("https://recordings.telnyx.test/{}-{at}.wav?X-Amz-Expires=600", self.names.leg_id);
        payload["channels"] = json!(tape.channels);
        payload["recording_started_at"] = json!(time(tape.began));
        payload["recording_ended_at"] = json!(time(tape.ended.unwrap_or(now)));
        payload["recording_urls"] = json!({"wav": url});
        payload["public_recording_urls"] = json!({});
        self.hooks.tell(now, "call.recording.saved", payload);
    }

    fn start_recording(&mut self, now: MonoTime, body: &Value) -> ApiAnswer {
        let is_known =
            |name: &str, words: [&str; 2]| body[name].as_str().is_some_and(|word| words.contains(&word));
        if !is_known("channels", ["single", "dual"]) || !is_known("format", ["wav", "mp3"]) {
            return refuse(422, 10_004, "channels and format are wanted");
        }
        if self.is(TelnyxRudeness::RecordsNothing) {
            return refuse(422, 10_015, "Recording is not available");
        }
        if self.tapes.tapes.iter().any(|tape| tape.ended.is_none()) {
            return refuse(422, 10_015, "Call is already being recorded");
        }
        let channels = body["channels"].as_str().unwrap_or_default().to_owned();
        self.tapes.tapes.push(Tape { began: now, ended: None, channels, is_paused: false });
        let id = format!("{}-{}", self.names.leg_id, self.tapes.tapes.len());
        ok(json!({"result": "ok", "recording_id": id}))
    }
}
