//! How the fake API reads parameters and writes answers.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use voice_core::time::UnixMillis;

use super::line::Line;
use super::tapes::Tape;

/// What a call can be created with, of what is used here.
pub(super) const CREATE_PARAMETERS: [&str; 20] = [
    "To",
    "From",
    "Url",
    "Method",
    "Twiml",
    "FallbackUrl",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "Timeout",
    "TimeLimit",
    "SendDigits",
    "Record",
    "RecordingChannels",
    "RecordingStatusCallback",
    "MachineDetection",
    "MachineDetectionTimeout",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
    "CallerId",
];

/// The parameters of a request, from its body or query.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of(request: &Request<Bytes>) -> Self {
        let text = match *request.method() {
            Method::GET => request.uri().query().unwrap_or_default().to_owned(),
            _ => String::from_utf8_lossy(request.body()).into_owned(),
        };
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (unescape(name), unescape(value))).collect())
    }

    /// No parameters.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }

    /// The first parameter that is not in the list.
    pub(super) fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !known.contains(name))
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let digits = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, digits.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn show_call(status: u16, line: &Line) -> Response<Bytes> {
    answer(status, &call(line))
}

pub(super) fn calls_page(lines: &[&Line]) -> Response<Bytes> {
    let calls: Vec<Value> = lines.iter().map(|line| call(line)).collect();
    answer(200, &json!({"calls": calls, "page": 0, "page_size": 50, "next_page_uri": null}))
}

pub(super) fn show_recording(status: u16, tape: &Tape) -> Response<Bytes> {
    answer(status, &recording(tape))
}

pub(super) fn show_recordings(tapes: &[&Tape]) -> Response<Bytes> {
    let recordings: Vec<Value> = tapes.iter().map(|tape| recording(tape)).collect();
    answer(200, &json!({"recordings": recordings, "page": 0, "page_size": 50, "next_page_uri": null}))
}

pub(super) fn refuse(status: u16, code: u32) -> Response<Bytes> {
    refuse_with(status, code, "as this fake was asked to")
}

pub(super) fn refuse_with(status: u16, code: u32, message: &str) -> Response<Bytes> {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    answer(status, &json!({"code": code, "message": message, "more_info": more, "status": status}))
}

fn recording(tape: &Tape) -> Value {
    json!({"sid": tape.sid, "call_sid": tape.call, "status": tape.status, "channels": tape.channels,
        "duration": null, "source": "StartCallRecordingAPI", "track": "both", "error_code": null})
}

fn call(line: &Line) -> Value {
    json!({
        "sid": line.sid, "account_sid": line.account, "parent_call_sid": null, "to": line.to,
        "from": line.from, "status": line.status, "direction": "outbound-api",
        "date_created": rfc_2822(line.created), "date_updated": rfc_2822(line.created),
        "start_time": null, "end_time": null, "duration": if line.is_over() { json!("42") } else { Value::Null },
        "answered_by": line.answered_by, "api_version": "2010-04-01", "price": null, "price_unit": "USD",
        "queue_time": "0",
        "uri": format!("/2010-04-01/Accounts/{}/Calls/{}.json", line.account, line.sid),
    })
}

fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    answer
}

/// Counts day by day, so as to have nothing in common with the reader that it tests.
fn rfc_2822(at: UnixMillis) -> String {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut days, second) = (at.as_secs().div_euclid(86_400), at.as_secs().rem_euclid(86_400));
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days.rem_euclid(7) as usize];
    let mut year = 1970;
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{weekday}, {:02} {} {year} {hour:02}:{minute:02}:{second:02} +0000", days + 1, NAMES[month])
}
