//! How Twilio asks for a document, and how often again (protocol notes, Twilio §2.1).

use voice_core::time::MonoTime;

use super::ends::resolve;
use super::{CallerOutput, DOCUMENT_WAIT, FakeTwilioCall, Rudeness, Stage};

/// What is asked again if it fails, and how often.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) url: String,
    pub(super) status: String,
    pub(super) left: u32,
    /// Whatever went wrong, and not only a connection that failed.
    pub(super) whatever: bool,
}

impl Retry {
    /// By the settings in the URL's fragment; without them, once, if the connection failed.
    pub(super) fn of(url: &str, status: &str) -> Self {
        let settings = url.split_once('#').map_or("", |(_, settings)| settings);
        let value = |name: &str| settings.split('&').find_map(|pair| pair.strip_prefix(name));
        let left = value("rc=").and_then(|count| count.parse().ok()).unwrap_or(1).min(5);
        let whatever = value("rp=").is_some_and(|what| what == "all");
        Self { url: url.to_owned(), status: status.to_owned(), left, whatever }
    }
}

impl FakeTwilioCall {
    /// Asks for a document.
    pub(super) fn fetch(&mut self, now: MonoTime, url: &str, status: &str) {
        self.ask(now, Retry::of(url, status));
    }

    pub(super) fn ask(&mut self, now: MonoTime, retry: Retry) {
        let (url, parameters) = (retry.url.clone(), self.parameters(&retry.status));
        self.fetch_with(now, &url, parameters, retry);
    }

    pub(super) fn fetch_with(
        &mut self,
        now: MonoTime,
        url: &str,
        parameters: Vec<(&'static str, String)>,
        retry: Retry,
    ) {
        let line = self.next_line();
        let endpoint = self.signer.post(&resolve(&self.plan.webhook, url), &parameters);
        self.outbox.push_back(CallerOutput::Dial(line, endpoint));
        self.stage = Stage::Fetching { line, body: Vec::new(), deadline: now + DOCUMENT_WAIT, retry };
    }

    /// What comes with every request.
    pub(super) fn parameters(&self, status: &str) -> Vec<(&'static str, String)> {
        let (from, to) = (self.plan.from.clone(), self.plan.to.clone());
        let direction = if self.plan.names.is_some() { "outbound-api" } else { "inbound" };
        let mut parameters = vec![
            ("AccountSid", self.names.account_sid.clone()),
            ("ApiVersion", "2010-04-01".to_owned()),
            ("CallSid", self.names.call_sid.clone()),
            ("CallStatus", status.to_owned()),
            ("Called", to.clone()),
            ("CalledCity", String::new()),
            ("CalledCountry", "US".to_owned()),
            ("Caller", from.clone()),
            ("CallerCity", "SAN FRANCISCO".to_owned()),
            ("Direction", direction.to_owned()),
            ("From", from),
            ("FromCountry", "US".to_owned()),
            ("StirVerstat", "TN-Validation-Passed-A".to_owned()),
            ("To", to),
        ];
        if self.is(Rudeness::ExtraParameters) {
            parameters.push(("SipHeader_X-Größe", "été & \u{1f4de} = 1+1%".to_owned()));
            parameters.push(("Zebra", String::new()));
        }
        if self.is(Rudeness::OversizedWebhook) {
            parameters.push(("Junk", "x".repeat(200_000)));
        }
        parameters
    }
}
