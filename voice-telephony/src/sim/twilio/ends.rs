//! Where requests go, how they ended, and what is pressed when a key is asked for.

use voice_core::time::MonoTime;
use voice_core::wire::LineEnd;

use super::FakeTwilioCall;
use super::retry::Retry;

impl FakeTwilioCall {
    /// Presses what was planned, or nothing.
    pub(super) fn answer_gather(&mut self, now: MonoTime, action: Option<String>) {
        match (self.plan.manners.presses, action) {
            (Some(key), Some(url)) => {
                let mut parameters = self.parameters("in-progress");
                parameters.push(("Digits", key.to_string()));
                self.fetch_with(now, &url, parameters, Retry::of(&url, "in-progress"));
            }
            (None, _) | (_, None) => self.next_verb(now),
        }
    }
}

/// A URL of a document; one without a host is on the host of the webhook.
pub(super) fn resolve(webhook: &str, url: &str) -> String {
    if !url.starts_with('/') {
        return url.to_owned();
    }
    let host_at = webhook.find("://").map_or(0, |at| at + 3);
    let host_end = webhook[host_at..].find('/').map_or(webhook.len(), |length| host_at + length);
    format!("{}{url}", &webhook[..host_end])
}

pub(super) fn status_of(end: &LineEnd) -> Option<u16> {
    if let LineEnd::Refused { status, .. } = end {
        return Some(*status);
    }
    (*end == LineEnd::Ended).then_some(200)
}

pub(super) fn code_of(end: &LineEnd) -> (u16, String) {
    if let LineEnd::Closed { code, reason } = end {
        return (*code, reason.clone());
    }
    (status_of(end).unwrap_or(1006), String::new())
}
