//! Webhooks as Telnyx delivers them: signed JSON, retried, in whatever order. Written apart from the
//! reader that it tests.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use voice_core::id::LineId;
use voice_core::sim::rng::Rng;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{Endpoint, LineEnd};

use super::plan::TelnyxCallPlan;
use super::rudeness::TelnyxRudeness;

/// All webhooks of one call.
#[derive(Debug)]
pub(super) struct Hooks {
    url: String,
    key: SigningKey,
    epoch: UnixMillis,
    rudeness: Vec<TelnyxRudeness>,
    rng: Rng,
    /// Makes the names of events others than those of the same seed.
    salt: u64,
    made: u64,
    /// By the time at which they leave.
    waiting: BTreeMap<(MonoTime, u64), Delivery>,
    /// One that waits to be overtaken.
    held_back: Option<Delivery>,
    under_way: BTreeMap<LineId, (Delivery, MonoTime)>,
    pub(super) taken: u32,
    pub(super) refused: u32,
    /// The status of the first answer.
    pub(super) first_status: Option<u16>,
}

#[derive(Clone, Debug)]
struct Delivery {
    data: Value,
    attempt: u32,
}

/// Telnyx waits so long for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// And tries so often.
const ATTEMPTS_MAX: u32 = 3;

pub(super) fn public_key(seed: &[u8; 32]) -> String {
    STANDARD.encode(SigningKey::from_bytes(seed).verifying_key().as_bytes())
}

impl Hooks {
    pub(super) fn new(plan: &TelnyxCallPlan, rng: Rng) -> Self {
        Self {
            url: plan.webhook.clone(),
            key: SigningKey::from_bytes(&plan.key_seed),
            epoch: plan.epoch,
            rudeness: plan.rudeness.clone(),
            rng,
            salt: plan.names.map_or(0, |names| Rng::new(names).bits()),
            made: 0,
            waiting: BTreeMap::new(),
            held_back: None,
            under_way: BTreeMap::new(),
            taken: 0,
            refused: 0,
            first_status: None,
        }
    }

    fn is(&self, rudeness: TelnyxRudeness) -> bool {
        self.rudeness.contains(&rudeness)
    }

    /// Something happened now.
    pub(super) fn tell(&mut self, now: MonoTime, kind: &str, payload: Value) {
        self.made += 1;
        let id = format!(
            "{:08x}-{:04x}-4000-8000-{:012x}",
            (self.rng.bits() ^ self.salt) >> 32,
            self.made,
            (self.rng.bits() ^ self.salt) >> 16
        );
        let data = json!({"record_type": "event", "event_type": kind, "id": id,
            "occurred_at": timestamp(self.epoch, now), "payload": payload});
        let delivery = Delivery { data, attempt: 1 };
        if self.is(TelnyxRudeness::UnknownEvents) {
            let mut other = delivery.clone();
            other.data["event_type"] = json!("call.weather");
            other.data["id"] = json!(format!("weather-{}", self.made));
            other.data["payload"]["sun"] = json!([1, {"a": null}]);
            self.send_at(now, other);
        }
        if self.is(TelnyxRudeness::DoubledWebhooks) {
            let again = Delivery { attempt: 2, ..delivery.clone() };
            self.send_at(now, again);
        }
        let late =
            if self.is(TelnyxRudeness::LateWebhooks) { self.rng.millis(0..4_000) } else { Duration::ZERO };
        if self.is(TelnyxRudeness::DisorderedWebhooks) {
            match self.held_back.take() {
                None => self.held_back = Some(delivery),
                Some(older) => {
                    self.send_at(now, delivery);
                    self.send_at(now + Duration::from_millis(40), older);
                }
            }
            return;
        }
        self.send_at(now + late, delivery);
    }

    /// What was held back has waited long enough, or nothing more comes.
    pub(super) fn let_go(&mut self, now: MonoTime) {
        if let Some(delivery) = self.held_back.take() {
            self.send_at(now, delivery);
        }
    }

    pub(super) const fn holds_back(&self) -> bool {
        self.held_back.is_some()
    }

    fn send_at(&mut self, at: MonoTime, delivery: Delivery) {
        self.made += 1;
        self.waiting.insert((at, self.made), delivery);
    }

    /// The next request that leaves by now.
    pub(super) fn due(&mut self, now: MonoTime, line: LineId) -> Option<Endpoint> {
        let late: Vec<LineId> = self
            .under_way
            .iter()
            .filter(|(_, (_, sent_at))| now >= *sent_at + ANSWER_WAIT)
            .map(|(line, _)| *line)
            .collect();
        for line in late {
            self.answered(now, line, &LineEnd::Cut);
        }
        if self.waiting.first_key_value().is_none_or(|((at, _), _)| *at > now) {
            return None;
        }
        let (_, delivery) = self.waiting.pop_first()?;
        let endpoint = self.request(now, &delivery);
        self.under_way.insert(line, (delivery, now));
        Some(endpoint)
    }

    /// Whether this line was a webhook, which is over.
    pub(super) fn answered(&mut self, now: MonoTime, line: LineId, end: &LineEnd) -> bool {
        let Some((delivery, _)) = self.under_way.remove(&line) else { return false };
        let status = if let LineEnd::Refused { status, .. } = end { Some(*status) } else { None };
        let is_taken = *end == LineEnd::Ended;
        self.first_status = self.first_status.or(if is_taken { Some(200) } else { status });
        let is_passing = status.is_none_or(|status| matches!(status, 408 | 429 | 500..));
        if is_taken {
            self.taken += 1;
        } else if is_passing && delivery.attempt < ATTEMPTS_MAX {
            let pause = Duration::from_millis(500) * delivery.attempt;
            self.send_at(now + pause, Delivery { attempt: delivery.attempt + 1, ..delivery });
        } else {
            self.refused += 1;
        }
        true
    }

    pub(super) fn next_due(&self) -> Option<MonoTime> {
        let waiting = self.waiting.keys().next().map(|(at, _)| *at);
        let late = self.under_way.values().map(|(_, sent_at)| *sent_at + ANSWER_WAIT).min();
        [waiting, late].into_iter().flatten().min()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty() && self.held_back.is_none()
    }

    fn request(&self, now: MonoTime, delivery: &Delivery) -> Endpoint {
        let mut body = json!({"data": delivery.data,
            "meta": {"attempt": delivery.attempt, "delivered_to": self.url}});
        if self.is(TelnyxRudeness::OversizedWebhook) {
            body["data"]["payload"]["junk"] = json!("x".repeat(200_000));
        }
        let body = body.to_string();
        let age = if self.is(TelnyxRudeness::StaleSignature) { 360 } else { 0 };
        let seconds = (self.epoch + now.since(MonoTime::ZERO)).as_secs() - age;
        let signed = if self.is(TelnyxRudeness::WrongSignature) { "{}" } else { body.as_str() };
        let signature = self.key.sign(format!("{seconds}|{signed}").as_bytes());
        let names = if self.is(TelnyxRudeness::TitleCaseHeaders) {
            ["Telnyx-Signature-Ed25519", "Telnyx-Timestamp"]
        } else {
            ["telnyx-signature-ed25519", "telnyx-timestamp"]
        };
        let endpoint = Endpoint::post(self.url.clone(), body.into_bytes())
            .header("Content-Type", "application/json")
            .header("User-Agent", "telnyx-webhooks");
        if self.is(TelnyxRudeness::Unsigned) {
            return endpoint;
        }
        endpoint.header(names[0], STANDARD.encode(signature.to_bytes())).header(names[1], seconds.to_string())
    }
}

/// `2026-11-21T00:00:00.076316Z`. Counts days one by one, which is slow and hard to get wrong.
pub(super) fn timestamp(epoch: UnixMillis, now: MonoTime) -> String {
    let micros = epoch.0 * 1_000 + i64::try_from(now.as_micros()).unwrap_or(0);
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (mut days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut months: VecDeque<i64> = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into();
    let mut month = 1;
    while let Some(length) = months.pop_front_if(|length| days >= *length) {
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_read_them() {
        let at = |secs| timestamp(UnixMillis::from_secs(secs), MonoTime::from_micros(76_316));
        assert_eq!(at(0), "1970-01-01T00:00:00.076316Z");
        assert_eq!(at(1_795_219_199), "2026-11-20T23:59:59.076316Z");
        assert_eq!(at(1_709_164_800), "2024-02-29T00:00:00.076316Z");
    }
}
