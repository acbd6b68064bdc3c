//! One telephone call behind the fake API: dialled, ringing, answered by somebody or not.

use std::time::Duration;

use voice_core::time::{MonoTime, UnixMillis};

use super::answers::Fields;
use super::{ApiEffect, ApiRudeness, FakeTwilioApi, Later};
use crate::sim::twilio::plan::TwilioCallPlan;

/// A call of the account.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sid: String,
    pub(super) account: String,
    pub(super) to: String,
    pub(super) from: String,
    pub(super) status: &'static str,
    pub(super) created: UnixMillis,
    pub(super) since: MonoTime,
    pub(super) answered_by: Option<&'static str>,
    pub(super) has_rung: bool,
    way: Way,
    sequence: u32,
}

/// What was wished for a call.
#[derive(Debug)]
struct Way {
    url: Option<String>,
    status_callback: Option<String>,
    events: Vec<String>,
    ring: Duration,
    /// Where to tell who answered, and whether only after a machine's greeting.
    detection: Option<(String, bool)>,
}

/// What happens to a call next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Dial,
    Ring,
    PickUp,
    Verdict(&'static str),
    End(&'static str),
}

impl Line {
    pub(super) fn new(
        sid: String,
        account: String,
        fields: &Fields,
        now: MonoTime,
        created: UnixMillis,
    ) -> Self {
        let owned = |name| fields.get(name).map(str::to_owned);
        let detection = owned("AsyncAmdStatusCallback")
            .filter(|_| fields.get("AsyncAmd") == Some("true"))
            .map(|url| (url, fields.get("MachineDetection") == Some("DetectMessageEnd")));
        let ring = fields.get("Timeout").and_then(|text| text.parse().ok()).unwrap_or(60);
        Self {
            sid,
            account,
            to: owned("To").unwrap_or_default(),
            from: owned("From").unwrap_or_default(),
            status: "queued",
            created,
            since: now,
            answered_by: None,
            has_rung: false,
            way: Way {
                url: owned("Url"),
                status_callback: owned("StatusCallback"),
                events: fields.all("StatusCallbackEvent"),
                ring: Duration::from_secs(ring) + Duration::from_secs(5),
                detection,
            },
            sequence: 0,
        }
    }

    /// One that somebody else placed, and that is answered.
    pub(super) fn incoming(sid: String, account: String, now: MonoTime, created: UnixMillis) -> Self {
        let line = Self::new(sid, account, &Fields::none(), now, created);
        Self { status: "in-progress", ..line }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.status, "completed" | "busy" | "no-answer" | "canceled" | "failed")
    }

    pub(super) fn is_connected(&self) -> bool {
        self.status == "in-progress"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AccountSid", self.account.clone()),
            ("ApiVersion", "2010-04-01".to_owned()),
            ("CallSid", self.sid.clone()),
            ("CallStatus", self.status.to_owned()),
            ("Direction", "outbound-api".to_owned()),
            ("From", self.from.clone()),
            ("To", self.to.clone()),
        ]
    }
}

impl FakeTwilioApi {
    pub(super) fn step(&mut self, now: MonoTime, call: &str, step: Step) {
        let Some(line) = self.lines.get_mut(call) else { return };
        if line.is_over() {
            return;
        }
        match step {
            Step::Dial => {
                line.status = "initiated";
                self.tell(now, call);
                let failed = self.has(ApiRudeness::Failed);
                let next = if failed { Step::End("failed") } else { Step::Ring };
                let delay = self.rng.millis(100..1_500);
                self.later.push((now + delay, Later::Line(call.to_owned(), next)));
            }
            Step::Ring => {
                line.status = "ringing";
                line.has_rung = true;
                let ring = line.way.ring;
                self.tell(now, call);
                let (delay, next) = if self.has(ApiRudeness::Busy) {
                    (Duration::from_secs(1), Step::End("busy"))
                } else if self.has(ApiRudeness::NoAnswer) {
                    (ring, Step::End("no-answer"))
                } else {
                    (self.rng.millis(300..4_000), Step::PickUp)
                };
                self.later.push((now + delay, Later::Line(call.to_owned(), next)));
            }
            Step::PickUp => self.pick_up(now, call),
            Step::Verdict(who) => {
                line.answered_by = Some(who);
                if let Some((url, _)) = line.way.detection.clone() {
                    let parameters = vec![
                        ("AccountSid", line.account.clone()),
                        ("CallSid", line.sid.clone()),
                        ("AnsweredBy", who.to_owned()),
                        ("MachineDetectionDuration", "2500".to_owned()),
                    ];
                    self.later.push((now, Later::Callback { url, parameters }));
                }
            }
            Step::End(status) => self.end(now, call, status),
        }
    }

    fn pick_up(&mut self, now: MonoTime, call: &str) {
        let who = self.who_answers();
        let Some(line) = self.lines.get_mut(call) else { return };
        line.status = "in-progress";
        let (to, from, url) = (line.to.clone(), line.from.clone(), line.way.url.clone().unwrap_or_default());
        let account = line.account.clone();
        let until_end = line.way.detection.as_ref().map(|(_, until_end)| *until_end);
        self.tell(now, call);
        let plan = TwilioCallPlan::new(url, self.plan.token.clone())
            .with_numbers(from, to)
            .with_status_callback(None)
            .with_script(self.plan.script.clone())
            .with_seed(self.rng.bits())
            .presses(self.plan.presses)
            .leaves_after(self.plan.leaves_after)
            .in_rooms(self.plan.rooms.clone())
            .placed_by_us(call, account);
        self.outbox.push_back(ApiEffect::Connect(call.to_owned(), Box::new(plan)));
        if let Some(until_end) = until_end {
            let word = match (who, until_end) {
                ("machine", true) => *self.rng.pick(&["machine_end_beep", "machine_end_silence"]),
                ("machine", false) => "machine_start",
                (who, _) => who,
            };
            let delay = self.rng.millis(2_000..5_000);
            self.later.push((now + delay, Later::Line(call.to_owned(), Step::Verdict(word))));
        }
    }

    fn who_answers(&mut self) -> &'static str {
        if self.has(ApiRudeness::Machine) {
            "machine"
        } else if self.has(ApiRudeness::Fax) {
            "fax"
        } else if self.has(ApiRudeness::NobodyKnows) {
            "unknown"
        } else {
            "human"
        }
    }

    pub(super) fn end(&mut self, now: MonoTime, call: &str, status: &'static str) {
        let Some(line) = self.lines.get_mut(call).filter(|line| !line.is_over()) else { return };
        line.status = status;
        self.tell(now, call);
        self.end_recordings(now, call);
    }

    /// Posts where the call is, as rudely as planned.
    fn tell(&mut self, now: MonoTime, call: &str) {
        let Some(line) = self.lines.get_mut(call) else { return };
        let event = match line.status {
            "initiated" | "ringing" => line.status,
            "in-progress" => "answered",
            _ => "completed",
        };
        let is_last = line.is_over();
        let Some(url) = line.way.status_callback.clone() else { return };
        if !line.way.events.iter().any(|wanted| wanted == event) {
            return;
        }
        let mut parameters = line.parameters();
        parameters.push(("CallbackSource", "call-progress-events".to_owned()));
        parameters.push(("SequenceNumber", line.sequence.to_string()));
        parameters.push(("Timestamp", "Sat, 21 Nov 2026 10:00:00 +0000".to_owned()));
        if is_last {
            parameters.push(("CallDuration", "42".to_owned()));
        }
        line.sequence += 1;
        if self.has(ApiRudeness::NoCallbacks) || (!is_last && self.has(ApiRudeness::LostCallbacks)) {
            return;
        }
        let times = if self.has(ApiRudeness::DuplicateCallbacks) { 2 } else { 1 };
        for _ in 0..times {
            let spread = if self.has(ApiRudeness::ShuffledCallbacks) { 20..4_000 } else { 20..60 };
            let at = now + self.rng.millis(spread);
            let callback = Later::Callback { url: url.clone(), parameters: parameters.clone() };
            self.later.push((at, callback));
        }
    }
}
