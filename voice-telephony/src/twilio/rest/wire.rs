//! What Twilio's API answers, and nothing else knows its fields. Numbers may come as strings.

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use voice_core::time::UnixMillis;

use super::refusal;
use crate::carrier_error::CarrierError;
use crate::twilio::sid::CallSid;
use crate::twilio::webhook::TwilioStatus;

/// A call as Twilio has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub sid: CallSid,
    /// Where it is.
    pub status: TwilioStatus,
    /// When it was asked for, to the second, by Twilio's clock.
    pub created: Option<UnixMillis>,
    /// Seconds that it lasted, once it is over.
    pub duration_secs: Option<u64>,
    /// Who answered, in Twilio's word, where that was asked.
    pub answered_by: Option<String>,
}

/// A conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conference {
    /// Its sid, `CF…`.
    pub sid: String,
    /// Its name.
    pub name: String,
}

/// Somebody in a conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Their call.
    pub call: CallSid,
    /// The conference, `CF…`.
    pub conference: String,
    /// Whether they are on hold.
    pub on_hold: bool,
    /// Whether nobody hears them.
    pub is_muted: bool,
}

/// A recording of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its sid, `RE…`.
    pub sid: String,
    /// Twilio's word for where it is: `in-progress`, `paused`, `stopped`, `completed`.
    pub status: String,
}

/// 2xx is what was asked for; anything else is a refusal.
fn read<T: DeserializeOwned>(answer: &Response<Bytes>) -> Result<T, CarrierError> {
    if !answer.status().is_success() {
        return Err(refusal(answer));
    }
    serde_json::from_slice(answer.body()).map_err(|_| unreadable(answer))
}

/// A success that cannot be read is one all the same.
fn unreadable(answer: &Response<Bytes>) -> CarrierError {
    CarrierError::of_status(answer.status().as_u16(), answer.headers(), None)
}

pub(super) fn call(answer: &Response<Bytes>) -> Result<Call, CarrierError> {
    read::<CallBody>(answer)?.known().ok_or_else(|| unreadable(answer))
}

/// As [`call`]; but a 404 is about our account, for there is no call yet that could be gone.
pub(super) fn created(answer: &Response<Bytes>) -> Result<Call, CarrierError> {
    call(answer).map_err(about_account)
}

pub(super) fn calls(answer: &Response<Bytes>) -> Result<Vec<Call>, CarrierError> {
    let page: CallPage = read(answer).map_err(about_account)?;
    page.calls.into_iter().map(|call| call.known().ok_or_else(|| unreadable(answer))).collect()
}

pub(super) fn conferences(answer: &Response<Bytes>) -> Result<Vec<Conference>, CarrierError> {
    let page: ConferencePage = read(answer)?;
    Ok(page.conferences.into_iter().map(|c| Conference { sid: c.sid, name: c.friendly_name }).collect())
}

pub(super) fn participant(answer: &Response<Bytes>) -> Result<Participant, CarrierError> {
    read::<ParticipantBody>(answer)?.known().ok_or_else(|| unreadable(answer))
}

pub(super) fn participant_added(answer: &Response<Bytes>) -> Result<Participant, CarrierError> {
    participant(answer).map_err(about_account)
}

pub(super) fn participants(answer: &Response<Bytes>) -> Result<Vec<Participant>, CarrierError> {
    let page: ParticipantPage = read(answer)?;
    page.participants.into_iter().map(|who| who.known().ok_or_else(|| unreadable(answer))).collect()
}

pub(super) fn recording(answer: &Response<Bytes>) -> Result<Recording, CarrierError> {
    let body: RecordingBody = read(answer)?;
    Ok(Recording { sid: body.sid, status: body.status })
}

pub(super) fn recordings(answer: &Response<Bytes>) -> Result<Vec<Recording>, CarrierError> {
    let page: RecordingPage = read(answer)?;
    let recordings = page.recordings.into_iter();
    Ok(recordings.map(|body| Recording { sid: body.sid, status: body.status }).collect())
}

pub(super) fn nothing(answer: &Response<Bytes>) -> Result<(), CarrierError> {
    if answer.status().is_success() { Ok(()) } else { Err(refusal(answer)) }
}

/// Twilio's code of an error, if the body is one of Twilio's.
pub(super) fn error_code(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<ErrorBody>(body).ok()?.code
}

fn about_account(mut error: CarrierError) -> CarrierError {
    if error.cause == crate::carrier_error::Cause::CallGone {
        error.cause = crate::carrier_error::Cause::Credentials;
    }
    error
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<u64>,
}

#[derive(Deserialize)]
struct CallPage {
    calls: Vec<CallBody>,
}

#[derive(Deserialize)]
struct CallBody {
    sid: String,
    status: String,
    date_created: Option<String>,
    duration: Option<Number>,
    answered_by: Option<String>,
}

impl CallBody {
    fn known(self) -> Option<Call> {
        Some(Call {
            sid: self.sid.parse().ok()?,
            status: TwilioStatus::read(&self.status),
            created: self.date_created.as_deref().and_then(rfc_2822),
            duration_secs: self.duration.and_then(Number::value),
            answered_by: self.answered_by,
        })
    }
}

#[derive(Deserialize)]
struct ConferencePage {
    conferences: Vec<ConferenceBody>,
}

#[derive(Deserialize)]
struct ConferenceBody {
    sid: String,
    friendly_name: String,
}

#[derive(Deserialize)]
struct ParticipantPage {
    participants: Vec<ParticipantBody>,
}

#[derive(Deserialize)]
struct ParticipantBody {
    call_sid: String,
    conference_sid: String,
    #[serde(default)]
    hold: bool,
    #[serde(default)]
    muted: bool,
}

impl ParticipantBody {
    fn known(self) -> Option<Participant> {
        Some(Participant {
            call: self.call_sid.parse().ok()?,
            conference: self.conference_sid,
            on_hold: self.hold,
            is_muted: self.muted,
        })
    }
}

#[derive(Deserialize)]
struct RecordingPage {
    recordings: Vec<RecordingBody>,
}

#[derive(Deserialize)]
struct RecordingBody {
    sid: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn value(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const DAY_SECONDS: i64 = 86_400;

/// `Sat, 21 Nov 2026 10:00:00 +0000`. Twilio writes UTC only, so another zone is not read.
fn rfc_2822(text: &str) -> Option<UnixMillis> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next().and_then(|name| MONTHS.iter().position(|month| *month == name))?;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_utc = matches!(words.next(), Some("+0000" | "GMT"));
    let is_sane = (1..=31).contains(&day) && (1970..10_000).contains(&year);
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    let days = days_since_epoch(year, i64::try_from(month).ok()? + 1, day);
    let seconds = days * DAY_SECONDS + hour * 3_600 + minute * 60 + second;
    (is_utc && is_sane && is_time).then_some(UnixMillis::from_secs(seconds))
}

/// `2026-11-21T10:00:00Z`.
pub(super) fn iso_8601(at: UnixMillis) -> String {
    let (days, second) = (at.as_secs().div_euclid(DAY_SECONDS), at.as_secs().rem_euclid(DAY_SECONDS));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days from 1970-01-01 in the Gregorian calendar. Years begin in March here, so that a leap day is the
/// last day of its year and months have lengths that a line can draw.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - EPOCH_FROM_MARCH_0
}

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_FROM_MARCH_0: i64 = 719_468;

/// The way back, by the whole cycles of 400, 100, 4 years and one.
const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH_0;
    let (cycle, rest) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (rest - rest / 1_460 + rest / 36_524 - rest / 146_096) / 365;
    let day_of_year = rest - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_as_twilio_writes_them() {
        assert_eq!(rfc_2822("Sat, 21 Nov 2026 10:00:00 +0000"), Some(UnixMillis::from_secs(1_795_255_200)));
        assert_eq!(rfc_2822("Thu, 01 Jan 1970 00:00:01 +0000"), Some(UnixMillis::from_secs(1)));
        for bad in ["", "2026-11-21", "Sat, 21 Nov 2026 10:00:00 +0100", "Sat, 41 Nov 2026 10:00:00 +0000"] {
            assert_eq!(rfc_2822(bad), None, "{bad}");
        }
        assert_eq!(iso_8601(UnixMillis::from_secs(1_795_255_200)), "2026-11-21T10:00:00Z");
        assert_eq!(iso_8601(UnixMillis::from_secs(951_782_400)), "2000-02-29T00:00:00Z");
    }

    proptest! {
        #[test]
        fn a_date_survives_both_ways(days in 0_i64..2_900_000) {
            let (year, month, day) = date_of(days);
            prop_assert_eq!(days_since_epoch(year, month, day), days);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
            let _ = rfc_2822(&text);
        }
    }
}
