//! Recordings of calls behind the fake API: begun, edited, over with the call, and told of (protocol notes,
//! Twilio §4.2 and §6).

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use voice_core::time::MonoTime;

use super::answers::{Fields, refuse, refuse_with, show_recording, show_recordings};
use super::line::Line;
use super::{ApiRudeness, FakeTwilioApi, Later};

/// What a recording can be begun with.
const PARAMETERS: [&str; 7] = [
    "RecordingStatusCallback",
    "RecordingStatusCallbackEvent",
    "RecordingStatusCallbackMethod",
    "RecordingChannels",
    "RecordingTrack",
    "Trim",
    "PlayBeep",
];

/// A recording of the account.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    pub(super) sid: String,
    pub(super) call: String,
    pub(super) status: &'static str,
    pub(super) channels: u32,
    callback: Option<String>,
    events: Vec<String>,
    began: MonoTime,
}

impl Tape {
    fn is_live(&self) -> bool {
        matches!(self.status, "in-progress" | "paused")
    }
}

impl FakeTwilioApi {
    pub(super) fn record(&mut self, now: MonoTime, call: &str, fields: &Fields) -> Response<Bytes> {
        if let Some(unknown) = fields.unknown(&PARAMETERS) {
            return refuse_with(400, 20001, &format!("unknown parameter {unknown}"));
        }
        if !self.lines.get(call).is_some_and(Line::is_connected) {
            return refuse(400, 21220);
        }
        if self.has(ApiRudeness::RecordsNothing) {
            return refuse_with(400, 20001, "this account does not record");
        }
        let tape = Tape {
            sid: format!("RE{:016x}{:016x}", self.rng.bits(), self.rng.bits()),
            call: call.to_owned(),
            status: "in-progress",
            channels: if fields.get("RecordingChannels") == Some("dual") { 2 } else { 1 },
            callback: fields.get("RecordingStatusCallback").map(str::to_owned),
            events: fields.all("RecordingStatusCallbackEvent"),
            began: now,
        };
        let answer = show_recording(201, &tape);
        self.tapes.push(tape);
        answer
    }

    pub(super) fn list_recordings(&self, call: &str) -> Response<Bytes> {
        let of_call: Vec<&Tape> = self.tapes.iter().filter(|tape| tape.call == call).collect();
        show_recordings(&of_call)
    }

    pub(super) fn edit_recording(
        &mut self,
        now: MonoTime,
        (call, which): (&str, &str),
        fields: &Fields,
    ) -> Response<Bytes> {
        let live = |tape: &Tape| tape.call == call && tape.is_live();
        let found: Vec<usize> = (0..self.tapes.len()).filter(|at| live(&self.tapes[*at])).collect();
        let at = match (which, found.as_slice()) {
            ("Twilio.CURRENT", [only]) => *only,
            ("Twilio.CURRENT", [_, _, ..]) => return refuse(400, 16108),
            (sid, live) => match live.iter().find(|at| self.tapes[**at].sid == sid) {
                Some(at) => *at,
                None => return refuse(404, 20404),
            },
        };
        let status = match fields.get("Status") {
            Some("paused") => "paused",
            Some("in-progress") => "in-progress",
            Some("stopped") => "stopped",
            Some(_) | None => return refuse(400, 20001),
        };
        self.tapes[at].status = status;
        let answer = show_recording(200, &self.tapes[at]);
        if status == "stopped" {
            self.file(now, at);
        }
        answer
    }

    /// The call is over, and with it what was recorded of it.
    pub(super) fn end_recordings(&mut self, now: MonoTime, call: &str) {
        for at in 0..self.tapes.len() {
            if self.tapes[at].call == call && self.tapes[at].is_live() {
                self.file(now, at);
            }
        }
    }

    /// All recordings that were ever begun, with how they stand; for tests.
    pub fn recordings(&self) -> Vec<(String, &'static str)> {
        self.tapes.iter().map(|tape| (tape.sid.clone(), tape.status)).collect()
    }

    /// It is put away, which takes a while, and then that is told.
    fn file(&mut self, now: MonoTime, at: usize) {
        let is_empty = self.has(ApiRudeness::EmptyRecordings);
        let state = if is_empty { "absent" } else { "completed" };
        let times = if self.has(ApiRudeness::DuplicateCallbacks) { 2 } else { 1 };
        let tape = &mut self.tapes[at];
        tape.status = state;
        let length = now.since(tape.began).as_secs();
        let account = self.plan.account.clone();
        let url = format!("https://api.twilio.com/2010-04-01/Accounts/{account}/Recordings/{}", tape.sid);
        let mut parameters = vec![
            ("AccountSid", account),
            ("CallSid", tape.call.clone()),
            ("RecordingSid", tape.sid.clone()),
            ("RecordingStatus", state.to_owned()),
            ("RecordingChannels", tape.channels.to_string()),
            ("RecordingStartTime", "Sat, 21 Nov 2026 10:00:00 +0000".to_owned()),
            ("RecordingSource", "StartCallRecordingAPI".to_owned()),
            ("RecordingTrack", "both".to_owned()),
            ("ErrorCode", "0".to_owned()),
        ];
        if !is_empty {
            parameters.push(("RecordingDuration", length.to_string()));
            parameters.push(("RecordingUrl", url));
        }
        let (callback, events) = (tape.callback.clone(), tape.events.clone());
        let Some(url) = callback.filter(|_| wants(&events, state)) else { return };
        for _ in 0..times {
            let pause = Duration::from_secs(1) + self.rng.millis(0..1_000);
            let parameters = parameters.clone();
            self.later.push((now + pause, Later::Callback { url: url.clone(), parameters }));
        }
    }
}

/// Whether somebody subscribed to it; to what is ready, everybody did who did not say otherwise.
fn wants(events: &[String], state: &str) -> bool {
    if events.is_empty() { state == "completed" } else { events.iter().any(|event| event == state) }
}
