//! The REST API of one fake call: checks what it is asked, and answers as Telnyx does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use voice_core::sim::peer::Request;
use voice_core::time::MonoTime;

use super::rudeness::TelnyxRudeness;
use super::stream::Sends;
use super::{Effect, FakeTelnyxCall, Leg, Tie, WantedStream};

/// What the API answers, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAnswer {
    /// The HTTP status; `None` where the connection is cut without an answer.
    pub status: Option<u16>,
    /// Beyond the content type.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Bytes,
    /// The answer takes so long.
    pub after: Duration,
}

/// Telnyx knows an id for so long.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Whom a request is about, and what it wants.
enum Wanted<'a> {
    Dial,
    Action(String, &'a str),
    LookUp(String),
    ActiveCalls,
    Conferences,
    /// What is wanted of one conference.
    Conference(String, &'a str),
}

impl FakeTelnyxCall {
    /// Whether a request is about this call: it names it, or it dials and this one waits for that.
    pub fn is_about(&self, request: &Request) -> bool {
        match wanted(&request.target) {
            Some(Wanted::LookUp(call) | Wanted::Action(call, _)) => call == self.names.call_control_id,
            Some(Wanted::Dial) => matches!(self.leg, Leg::Waiting),
            Some(Wanted::Conferences | Wanted::Conference(..)) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                body["call_control_id"] == self.names.call_control_id.as_str()
            }
            Some(Wanted::ActiveCalls) | None => false,
        }
    }

    /// With which other call a request wants to join this one.
    pub fn bridges_with(request: &Request) -> Option<String> {
        let Some(Wanted::Action(_, "bridge")) = wanted(&request.target) else { return None };
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        body["call_control_id"].as_str().map(str::to_owned)
    }

    /// The two hear each other from now on, if both are there; else as Telnyx says it.
    pub fn bridge(&mut self, now: MonoTime, other: Option<&mut Self>, request: &Request) -> ApiAnswer {
        let Some(other) = other.filter(|other| matches!(other.leg, Leg::Talking { .. })) else {
            return refuse(422, 90_018, "Call has already ended");
        };
        let answer = self.api(now, request);
        if answer.status == Some(200) && self.tie.is_none() {
            let tie = Tie::default();
            (self.tie, other.tie) = (Some(tie.clone()), Some(tie));
            let pause = self.rng.millis(50..300);
            for leg in [self, other] {
                leg.later(now + pause, Effect::Bridged);
            }
        }
        answer
    }

    /// The answer to who asks for all calls that are alive (`/connections/…/active_calls`), of all that
    /// the fakes of a run have. A call that refuses the key is in no list.
    pub fn list<'a>(calls: impl Iterator<Item = &'a Self>, request: &Request) -> ApiAnswer {
        let alive = calls.filter(|call| call.knows(request) && !matches!(call.leg, Leg::Waiting | Leg::Over));
        ok(alive.map(Self::ids).collect())
    }

    /// The answer to who asks for conferences of a name, of all that the account has; `None` if that was not asked.
    pub fn conferences<'a>(
        mut calls: impl Iterator<Item = &'a Self>,
        request: &Request,
    ) -> Option<ApiAnswer> {
        let (path, query) = request.target.split_once('?')?;
        let filter = query.split('&').find_map(|pair| pair.strip_prefix("filter%5Bname%5D="))?;
        if !path.ends_with("/conferences") {
            return None;
        }
        let known = calls.find(|call| call.knows(request));
        let refused = || refuse(401, 10_009, "Authentication failed");
        Some(known.map_or_else(refused, |call| ok(call.plan.rooms.list(&decoded(filter)))))
    }

    fn knows(&self, request: &Request) -> bool {
        let key = format!("Bearer {}", self.plan.api_key.expose());
        request.header("authorization") == Some(&key) && !self.is(TelnyxRudeness::ApiRefuses)
    }

    /// Asks the API something. The effect of a command comes later, by webhooks and on the socket.
    pub fn api(&mut self, now: MonoTime, request: &Request) -> ApiAnswer {
        self.advance(now);
        let mut answer = self.judge(now, request);
        if self.is(TelnyxRudeness::SlowApi) {
            answer.after += Duration::from_secs(1);
        }
        answer.after += self.rng.millis(5..60);
        self.advance(now);
        answer
    }

    fn judge(&mut self, now: MonoTime, request: &Request) -> ApiAnswer {
        if !self.knows(request) {
            return refuse(401, 10_009, "Authentication failed");
        }
        let Some(wanted) = wanted(&request.target) else { return refuse(404, 10_005, "Resource not found") };
        let is_reading = matches!(wanted, Wanted::LookUp(_) | Wanted::ActiveCalls);
        let body: Value = match serde_json::from_slice(&request.body) {
            Ok(body) => body,
            Err(_) if is_reading => Value::Null,
            Err(_) => return refuse(400, 10_015, "Invalid JSON"),
        };
        if body["client_state"].as_str().is_some_and(|state| STANDARD.decode(state).is_err()) {
            return refuse(422, 90_017, "Invalid client state");
        }
        if is_reading {
            return self.carry_out(now, &wanted, &body);
        }
        let Some(id) = body["command_id"].as_str().map(str::to_owned) else {
            return refuse(422, 10_004, "This fake wants a command_id");
        };
        let is_known = self.commands.iter().any(|(known, at)| *known == id && now.since(*at) < KNOWN_FOR);
        let is_first = !self.tried.contains(&id);
        self.tried.push(id.clone());
        if is_first && self.is(TelnyxRudeness::ApiThrottles) {
            let mut answer = refuse(429, 10_011, "Too many requests");
            answer.headers.push(("x-ratelimit-reset", "1".to_owned()));
            return answer;
        }
        let answer = if is_known { ok(json!({"result": "ok"})) } else { self.carry_out(now, &wanted, &body) };
        if !is_known && answer.status == Some(200) {
            self.commands.push((id, now));
        }
        if is_first && self.is(TelnyxRudeness::ApiFails) {
            return refuse(500, 10_007, "Unexpected error");
        }
        if is_first && self.is(TelnyxRudeness::ApiSilent) {
            return ApiAnswer { status: None, ..answer };
        }
        answer
    }

    fn carry_out(&mut self, now: MonoTime, wanted: &Wanted<'_>, body: &Value) -> ApiAnswer {
        match wanted {
            Wanted::Dial => self.dial(now, body),
            Wanted::ActiveCalls => {
                let is_alive = !matches!(self.leg, Leg::Waiting | Leg::Over);
                let calls: Vec<Value> = is_alive.then(|| self.ids()).into_iter().collect();
                ok(Value::from(calls))
            }
            Wanted::LookUp(call) if *call == self.names.call_control_id => {
                let mut data = self.ids();
                data["record_type"] = json!("call");
                data["is_alive"] = json!(!matches!(self.leg, Leg::Waiting | Leg::Over));
                ok(data)
            }
            Wanted::Conferences | Wanted::Conference(..) if matches!(self.leg, Leg::Over | Leg::Waiting) => {
                refuse(422, 90_018, "Call has already ended")
            }
            Wanted::Conferences => self.begin_conference(now, body),
            Wanted::Conference(room, action) => self.confer(now, room, action),
            Wanted::Action(call, action) if *call == self.names.call_control_id => {
                self.report_command(action);
                if matches!(self.leg, Leg::Over | Leg::Waiting) {
                    return refuse(422, 90_018, "Call has already ended");
                }
                if let Some(state) = body["client_state"].as_str() {
                    self.client_state = Some(state.to_owned());
                }
                let is_answered = matches!(self.leg, Leg::Talking { .. });
                let recorded = if is_answered { self.record(now, action, body) } else { None };
                recorded.unwrap_or_else(|| self.act(now, action, body))
            }
            Wanted::LookUp(_) | Wanted::Action(..) => refuse(404, 10_005, "Resource not found"),
        }
    }

    fn act(&mut self, now: MonoTime, action: &str, body: &Value) -> ApiAnswer {
        let pause = self.rng.millis(50..500);
        match (action, &self.leg) {
            ("answer", Leg::Ringing) if !self.plan.is_outgoing => self.later(now + pause, Effect::Answered),
            ("answer", _) => return refuse(422, 90_102, "Cannot answer this call"),
            ("reject", Leg::Ringing) => {
                let is_busy = body["cause"] == "USER_BUSY";
                let (cause, sip) = if is_busy { ("user_busy", "486") } else { ("call_rejected", "603") };
                self.later(now + pause, Effect::HungUp { cause, sip, source: "callee" });
            }
            ("hangup", Leg::Ringing) => {
                let effect = Effect::HungUp { cause: "originator_cancel", sip: "487", source: "caller" };
                self.later(now + pause, effect);
            }
            ("hangup", _) => {
                let effect = Effect::HungUp { cause: "normal_clearing", sip: "200", source: "callee" };
                self.later(now + pause, effect);
            }
            ("streaming_start", Leg::Ringing) => return refuse(422, 90_034, "Call not answered yet"),
            ("streaming_start", _) if self.streams() => return refuse(422, 90_045, "Media streaming is on"),
            ("streaming_start", _) => match self.stream_wanted(body) {
                Ok(()) => self.later(now + pause, Effect::OpenSocket),
                Err(why) => return refuse(422, 10_004, why),
            },
            ("speak", Leg::Talking { .. }) => {
                self.report.announced.push(body["payload"].as_str().unwrap_or_default().to_owned());
                self.later(now + pause, Effect::SpeakStarted);
                self.later(now + pause + Duration::from_secs(1), Effect::SpeakEnded);
            }
            ("streaming_stop", _) if !self.streams() => return refuse(422, 90_048, "No streaming"),
            ("streaming_stop", _) => self.later(now + pause, Effect::CloseSocket),
            (_, Leg::Ringing) if action != "client_state_update" => {
                return refuse(422, 90_034, "Call not answered yet");
            }
            _ => {}
        }
        ok(json!({"result": "ok"}))
    }

    fn stream_wanted(&mut self, body: &Value) -> Result<(), &'static str> {
        let url = body["stream_url"].as_str().ok_or("stream_url is missing")?.to_owned();
        let is_rtp = body["stream_bidirectional_mode"] == "rtp";
        let sends = match body["stream_bidirectional_codec"].as_str() {
            Some("PCMA") => Sends::Alaw,
            Some("PCMU") | None => Sends::Mulaw,
            Some(_) => return Err("this fake speaks G.711 only"),
        };
        // The form in which parameters come back is not documented.
        let listed = &body["custom_parameters"];
        let parameters = if self.rng.percent(50) {
            listed.clone()
        } else {
            let pairs = listed.as_array().into_iter().flatten();
            let name_of = |pair: &Value| pair["name"].as_str().unwrap_or_default().to_owned();
            Value::Object(pairs.map(|pair| (name_of(pair), pair["value"].clone())).collect())
        };
        let token = body["stream_auth_token"].as_str().unwrap_or_default().to_owned();
        self.wanted = Some(WantedStream { url, token, parameters, sends: is_rtp.then_some(sends) });
        Ok(())
    }

    fn dial(&mut self, now: MonoTime, body: &Value) -> ApiAnswer {
        let is_number = |name: &str| body[name].as_str().is_some_and(|number| number.starts_with('+'));
        if !is_number("to") || !is_number("from") {
            return refuse(422, 10_016, "Phone number must be in +E164 format");
        }
        if !matches!(self.leg, Leg::Waiting) || body["connection_id"].as_str().is_none() {
            return refuse(403, 90_041, "User channel limit exceeded");
        }
        for (name, field) in [(&mut self.plan.from, "from"), (&mut self.plan.to, "to")] {
            *name = body[field].as_str().unwrap_or_default().to_owned();
        }
        self.client_state = body["client_state"].as_str().map(str::to_owned);
        let detects = body["answering_machine_detection"].as_str().is_some_and(|how| how != "disabled");
        let ring = Duration::from_secs(body["timeout_secs"].as_u64().unwrap_or(30));
        self.dialled(now, ring, detects);
        let mut data = self.ids();
        data["record_type"] = json!("call");
        data["is_alive"] = json!(false);
        ok(data)
    }

    fn ids(&self) -> Value {
        json!({"call_control_id": self.names.call_control_id, "call_leg_id": self.names.leg_id,
            "call_session_id": self.names.session_id, "client_state": self.client_state})
    }
}

fn wanted(target: &str) -> Option<Wanted<'_>> {
    let path = target.split('?').next()?;
    let path = &path[path.find("/v2/")? + 4..];
    let mut parts = path.split('/');
    Some(match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        ("calls", None, ..) => Wanted::Dial,
        ("calls", Some(call), None, _) => Wanted::LookUp(decoded(call)),
        ("calls", Some(call), Some("actions"), Some(action)) => Wanted::Action(decoded(call), action),
        ("connections", Some(_), Some("active_calls"), None) => Wanted::ActiveCalls,
        ("conferences", None, ..) => Wanted::Conferences,
        ("conferences", Some(room), Some("actions"), Some(action)) => {
            Wanted::Conference(decoded(room), action)
        }
        _ => return None,
    })
}

fn decoded(part: &str) -> String {
    let mut pieces = part.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        text.push(code.map_or('%', char::from));
        text.push_str(piece.get(2..).unwrap_or_default());
    }
    text
}

pub(super) fn ok(data: Value) -> ApiAnswer {
    answer(200, &json!({"data": data}))
}

pub(super) fn refuse(status: u16, code: u32, title: &str) -> ApiAnswer {
    let error = json!({"code": code.to_string(), "title": title, "detail": title});
    answer(status, &json!({"errors": [error]}))
}

fn answer(status: u16, body: &Value) -> ApiAnswer {
    let body = Bytes::from(body.to_string());
    ApiAnswer { status: Some(status), headers: Vec::new(), body, after: Duration::ZERO }
}
