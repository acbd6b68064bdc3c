//! Twilio's REST API as a value: requests in, answers out, and calls whose callees answer or do not.
//!
//! Written from Twilio's documentation (protocol notes, Twilio §4, §6 and §8), apart from the requests
//! that it tests. Parameters that Twilio does not know are refused here, so that a misspelt one is seen.

mod answers;
mod line;
mod manners;
mod tapes;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response};
use voice_core::sensitive::Secret;
use voice_core::sim::rng::Rng;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::Endpoint;

use super::http::Signer;
use super::plan::TwilioCallPlan;
use super::rooms::Rooms;
use crate::sim::script::Script;
use answers::{Fields, calls_page, refuse, show_call};
use line::{Line, Step};
pub use manners::{ApiRudeness, UnknownApiRudeness};
use tapes::Tape;

/// What the fake is to be like.
#[derive(Clone, Debug)]
pub struct TwilioApiPlan {
    /// The account, `AC…`.
    pub account: String,
    /// Its auth token, which is asked for and signs webhooks.
    pub token: Secret<String>,
    /// Ways to misbehave.
    pub rudeness: Vec<ApiRudeness>,
    /// How many requests or calls of a hundred each way befalls.
    pub chance: u64,
    /// All chance follows from this number.
    pub seed: u64,
    /// What callees say; [`Script::shop`] unless it is said.
    pub script: Script,
    /// Wall-clock time at the origin of the other one.
    pub unix: UnixMillis,
    /// What callees press when a key is asked for.
    pub presses: Option<char>,
    /// How long callees stay at the longest.
    pub leaves_after: Option<Duration>,
    /// The account's conferences.
    pub rooms: Rooms,
}

impl TwilioApiPlan {
    /// A polite API, whose callees answer.
    pub fn new(account: impl Into<String>, token: Secret<String>) -> Self {
        Self {
            account: account.into(),
            token,
            rudeness: Vec::new(),
            chance: 100,
            seed: 1,
            script: Script::shop(),
            unix: UnixMillis(1_795_255_200_000),
            presses: None,
            leaves_after: None,
            rooms: Rooms::default(),
        }
    }
}

/// What the fake does.
#[derive(Debug)]
pub enum ApiEffect {
    /// Answers the request of this number.
    Answer(u64, Response<Bytes>),
    /// Closes the connection of this request without an answer.
    Cut(u64),
    /// Makes this request, a webhook.
    Post(Endpoint),
    /// The callee answers: from here on this is a call like any other, to be run by its plan. When it is
    /// over, say so with [`FakeTwilioApi::call_over`].
    Connect(String, Box<TwilioCallPlan>),
    /// This call, which was connected, is told to do this document instead.
    Redirect(String, String),
    /// This call, which was connected, is ended.
    End(String),
    /// Nothing until then.
    WaitUntil(Option<MonoTime>),
}

/// The API of one account.
#[derive(Debug)]
pub struct FakeTwilioApi {
    plan: TwilioApiPlan,
    signer: Signer,
    rng: Rng,
    lines: BTreeMap<String, Line>,
    /// All recordings, in the order in which they were begun.
    tapes: Vec<Tape>,
    /// What happens later, and when.
    later: Vec<(MonoTime, Later)>,
    outbox: VecDeque<ApiEffect>,
}

#[derive(Debug)]
enum Later {
    Answer(u64, Response<Bytes>),
    Cut(u64),
    Callback { url: String, parameters: Vec<(&'static str, String)> },
    Line(String, Step),
    Edit(u64, String, Fields),
}

impl FakeTwilioApi {
    /// An API without calls.
    pub fn new(plan: TwilioApiPlan) -> Self {
        let signer = Signer { token: plan.token.clone(), rudeness: Vec::new() };
        let rng = Rng::new(plan.seed);
        Self {
            signer,
            rng,
            lines: BTreeMap::new(),
            tapes: Vec::new(),
            later: Vec::new(),
            outbox: VecDeque::new(),
            plan,
        }
    }

    /// A request with a number by which its answer can be known.
    pub fn request(&mut self, now: MonoTime, exchange: u64, request: &Request<Bytes>) {
        let answer = self.answer(now, exchange, request);
        if let Some(answer) = answer {
            let is_post = request.method() == Method::POST;
            let delay = self.rng.millis(if is_post { 80..900 } else { 40..200 });
            self.later.push((now + delay, Later::Answer(exchange, answer)));
        }
        self.advance(now);
    }

    /// Somebody calls the account: from here on their call, of that name, can be led by requests.
    pub fn adopt(&mut self, now: MonoTime, call: &str) {
        let created = self.plan.unix + now.since(MonoTime::ZERO);
        let line = Line::incoming(call.to_owned(), self.plan.account.clone(), now, created);
        self.lines.insert(call.to_owned(), line);
    }

    /// A call that was connected is over.
    pub fn call_over(&mut self, now: MonoTime, call: &str) {
        self.end(now, call, "completed");
        self.advance(now);
    }

    /// Does what is due by now.
    pub fn advance(&mut self, now: MonoTime) {
        while let Some(at) = self.first_due(now) {
            let (at, due) = self.later.remove(at);
            match due {
                Later::Answer(exchange, answer) => {
                    self.outbox.push_back(ApiEffect::Answer(exchange, answer));
                }
                Later::Cut(exchange) => self.outbox.push_back(ApiEffect::Cut(exchange)),
                Later::Callback { url, parameters } => {
                    self.outbox.push_back(ApiEffect::Post(self.signer.post(&url, &parameters)));
                }
                Later::Line(call, step) => self.step(at, &call, step),
                Later::Edit(exchange, call, fields) => {
                    let answer = self.edit(at, &call, &fields);
                    self.outbox.push_back(ApiEffect::Answer(exchange, answer));
                }
            }
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> ApiEffect {
        let next = || self.later.iter().map(|(at, _)| *at).min();
        self.outbox.pop_front().unwrap_or_else(|| ApiEffect::WaitUntil(next()))
    }

    /// How often each telephone rang, by number; for tests.
    pub fn rang(&self) -> BTreeMap<String, usize> {
        let mut rang = BTreeMap::new();
        for line in self.lines.values().filter(|line| line.has_rung) {
            *rang.entry(line.to.clone()).or_default() += 1;
        }
        rang
    }

    /// Calls that exist and are not over, by their sids; for tests.
    pub fn live(&self) -> Vec<String> {
        self.lines.iter().filter(|(_, line)| !line.is_over()).map(|(sid, _)| sid.clone()).collect()
    }

    fn first_due(&self, now: MonoTime) -> Option<usize> {
        let due = self.later.iter().enumerate().filter(|(_, (at, _))| *at <= now);
        due.min_by_key(|(_, (at, _))| *at).map(|(index, _)| index)
    }

    /// The answer, or `None` where there is none.
    fn answer(&mut self, now: MonoTime, exchange: u64, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if !self.is_authorised(request) {
            return Some(refuse(401, 20003));
        }
        let prefix = format!("/2010-04-01/Accounts/{}/", self.plan.account);
        let Some(path) = request.uri().path().strip_prefix(&prefix).map(str::to_owned) else {
            return Some(refuse(404, 20404));
        };
        if self.has(ApiRudeness::Throttled) {
            return Some(refuse(429, 20429));
        }
        if self.has(ApiRudeness::ThrottledWithTime) {
            let mut answer = refuse(429, 20429);
            answer.headers_mut().insert("retry-after", http::HeaderValue::from_static("2"));
            return Some(answer);
        }
        if self.has(ApiRudeness::ServerError) {
            return Some(refuse(503, 20503));
        }
        if self.has(ApiRudeness::CutsBefore) {
            self.later.push((now, Later::Cut(exchange)));
            return None;
        }
        let segments: Vec<&str> = path.trim_end_matches(".json").split('/').collect();
        let fields = Fields::of(request);
        let is_creation = request.method() == Method::POST && segments == ["Calls"];
        if let (&Method::POST, ["Calls", call], true) =
            (request.method(), segments.as_slice(), self.has(ApiRudeness::SlowEdits))
        {
            let at = now + self.rng.millis(2_500..4_000);
            self.later.push((at, Later::Edit(exchange, (*call).to_owned(), fields)));
            return None;
        }
        let answer = match (request.method(), segments.as_slice()) {
            (&Method::POST, ["Calls"]) => self.create(now, &fields),
            (&Method::GET, ["Calls"]) => self.list(now, &fields),
            (&Method::GET, ["Calls", call]) => self.fetch(call),
            (&Method::POST, ["Calls", call]) => self.edit(now, call, &fields),
            (&Method::POST, ["Calls", call, "Recordings"]) => self.record(now, call, &fields),
            (&Method::GET, ["Calls", call, "Recordings"]) => self.list_recordings(call),
            (&Method::POST, ["Calls", call, "Recordings", which]) => {
                self.edit_recording(now, (call, which), &fields)
            }
            _ => refuse(404, 20404),
        };
        if is_creation && answer.status().is_success() {
            return self.after_creation(now, exchange, answer);
        }
        Some(answer)
    }

    /// The call exists; whether anybody is told so is another matter.
    fn after_creation(
        &mut self,
        now: MonoTime,
        exchange: u64,
        answer: Response<Bytes>,
    ) -> Option<Response<Bytes>> {
        if self.has(ApiRudeness::ServerErrorAfter) {
            return Some(refuse(500, 20500));
        }
        if self.has(ApiRudeness::AcceptsThenCuts) {
            self.later.push((now + Duration::from_millis(200), Later::Cut(exchange)));
            return None;
        }
        if self.has(ApiRudeness::AcceptsThenStalls) {
            return None;
        }
        if self.has(ApiRudeness::SlowAnswers) {
            let delay = self.rng.millis(2_000..9_000);
            self.later.push((now + delay, Later::Answer(exchange, answer)));
            return None;
        }
        Some(answer)
    }

    fn is_authorised(&self, request: &Request<Bytes>) -> bool {
        let pair = format!("{}:{}", self.plan.account, self.plan.token.expose());
        let expected = format!("Basic {}", STANDARD.encode(pair));
        request.headers().get("authorization").is_some_and(|given| given.as_bytes() == expected.as_bytes())
    }

    fn create(&mut self, now: MonoTime, fields: &Fields) -> Response<Bytes> {
        if let Some(unknown) = fields.unknown(&answers::CREATE_PARAMETERS) {
            return answers::refuse_with(400, 20001, &format!("unknown parameter {unknown}"));
        }
        let (Some(to), Some(from)) = (fields.get("To"), fields.get("From")) else {
            return refuse(400, 21201);
        };
        let is_number = |text: &str| text.len() > 7 && text.starts_with('+');
        if !is_number(to) || self.has(ApiRudeness::NumberRefused) {
            return refuse(400, 21211);
        }
        if !is_number(from) {
            return refuse(400, 21212);
        }
        if fields.get("Url").is_none() && fields.get("Twiml").is_none() {
            return refuse(400, 21205);
        }
        let sid = format!("CA{:016x}{:016x}", self.rng.bits(), self.rng.bits());
        let created = self.plan.unix + now.since(MonoTime::ZERO);
        let line = Line::new(sid.clone(), self.plan.account.clone(), fields, now, created);
        let answer = show_call(201, &line);
        self.lines.insert(sid.clone(), line);
        let delay = self.rng.millis(50..800);
        self.later.push((now + delay, Later::Line(sid, Step::Dial)));
        answer
    }

    fn list(&mut self, now: MonoTime, fields: &Fields) -> Response<Bytes> {
        // A list may be some seconds behind the truth.
        let behind = Duration::from_secs(if self.has(ApiRudeness::SlowList) { 6 } else { 0 });
        let fits = |line: &&Line| {
            fields.get("To").is_none_or(|to| to == line.to)
                && fields.get("From").is_none_or(|from| from == line.from)
                && now.since(line.since) >= behind
        };
        let mut found: Vec<&Line> = self.lines.values().filter(fits).collect();
        found.sort_by_key(|line| std::cmp::Reverse(line.since));
        calls_page(&found)
    }

    fn fetch(&self, call: &str) -> Response<Bytes> {
        self.lines.get(call).map_or_else(|| refuse(404, 20404), |line| show_call(200, line))
    }

    fn edit(&mut self, now: MonoTime, call: &str, fields: &Fields) -> Response<Bytes> {
        let Some(line) = self.lines.get(call) else { return refuse(404, 20404) };
        let is_connected = line.is_connected();
        match (fields.get("Status"), fields.get("Twiml").or(fields.get("Url"))) {
            (Some("completed" | "canceled"), None) if line.is_over() => refuse(404, 20404),
            (Some("completed"), None) => {
                let status = if is_connected { "completed" } else { "canceled" };
                if is_connected {
                    self.outbox.push_back(ApiEffect::End(call.to_owned()));
                }
                self.end(now, call, status);
                self.fetch(call)
            }
            (Some("canceled"), None) if !is_connected => {
                self.end(now, call, "canceled");
                self.fetch(call)
            }
            (None, Some(document)) if is_connected => {
                self.outbox.push_back(ApiEffect::Redirect(call.to_owned(), document.to_owned()));
                self.fetch(call)
            }
            (None, Some(_)) => refuse(400, 21220),
            (Some(_) | None, _) => refuse(400, 20001),
        }
    }

    /// Whether this way to misbehave befalls what is under way.
    fn has(&mut self, rudeness: ApiRudeness) -> bool {
        self.plan.rudeness.contains(&rudeness) && self.rng.percent(self.plan.chance)
    }
}
