//! A document that gives a call somewhere to go while none of our servers lives (protocol notes, Twilio
//! §1.7, the first pattern).
//!
//! Twilio never opens a media stream again; it goes on with the next verb. So the document has many: a
//! stream, a pause, the next stream, and so on for half a minute, and at last a redirect to the webhook,
//! which Twilio tries several times by itself. Whichever server answers next finds the call by its ticket.
//!
//! Where such a document is given out, closing the socket does not end the call any more: whoever means to
//! end it must say so over REST ([`super::rest::TwilioApi::hang_up`]). That a failed handshake ends
//! `<Connect>` like a closed socket is inferred from the documented order of verbs.

use std::time::Duration;

use voice_core::id::CallId;
use voice_core::time::UnixMillis;

use super::CARRIER;
use super::twiml::{ConnectStream, StreamUrl, Twiml, TwimlError, Verb};
use crate::legs::{Leg, LegKey};

/// A caller hears nothing in a pause: so it is as short as Twilio can count. Never longer: where a call
/// stands in its document tells how often it was lost, not how long.
const PAUSE: Duration = Duration::from_secs(1);

/// Streams of one document: half a minute. At 700 bytes each that is a third of what Twilio takes.
const STREAMS: u32 = 31;

/// A call that needs more legs than twenty documents have is beyond help: nobody serves it.
const LEGS_MAX: u32 = 20 * STREAMS;

/// Twilio asks again by itself when our webhook cannot be reached, or answers an error: five times, whatever
/// went wrong (protocol notes, Twilio §2.1). A fragment is neither sent nor signed.
const TRY_AGAIN: &str = "#rc=5&rp=all";

/// Where a server's calls go, and what they show there.
#[derive(Clone, Debug)]
pub struct Lifeline {
    /// Signs tickets.
    pub key: LegKey,
    /// Where media streams come.
    pub media: StreamUrl,
    /// Where streams tell how they go, and where calls that have tried all streams ask again: the webhook.
    pub webhook: String,
}

/// A call that has tried all streams of its document and asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// Which call.
    pub call: CallId,
    /// The first leg that it has no ticket for yet.
    pub leg: u32,
}

impl Lifeline {
    /// A document for this call, whose first stream is this leg. Its tickets are good until `expires`.
    ///
    /// # Errors
    /// [`TwimlError::Url`] if the webhook is no address that Twilio could call back.
    pub fn document(
        &self,
        carrier_call: &str,
        first: &Leg,
        expires: UnixMillis,
    ) -> Result<Twiml, TwimlError> {
        let mut verbs = Vec::with_capacity(2 * STREAMS as usize);
        let mut leg = first.clone();
        for number in 1..=STREAMS {
            let ticket = self.key.sign(CARRIER, carrier_call, expires, &leg);
            let stream = ConnectStream::new(self.media.clone(), &ticket);
            verbs.push(Verb::Connect(stream.with_status_callback(self.webhook.clone())?));
            if number < STREAMS {
                verbs.push(Verb::Pause(PAUSE));
            }
            leg.number = leg.number.saturating_add(1);
        }
        let (webhook, call, next) = (&self.webhook, leg.call, leg.number);
        verbs.push(Verb::Redirect(format!("{webhook}?again={call}&leg={next}{TRY_AGAIN}")));
        Ok(Twiml::of(&verbs))
    }
}

impl Again {
    /// From the query of a webhook's URL, which the signature covers. `None` if the call asks for the first
    /// time.
    pub fn read(query: &str) -> Option<Self> {
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let leg = value("leg")?.parse().ok().filter(|leg| *leg > 0)?;
        Some(Self { call: value("again")?.parse().ok()?, leg })
    }

    /// Whether it is worth another document.
    pub const fn is_hopeful(&self) -> bool {
        self.leg <= LEGS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(number: u32) -> Leg {
        Leg {
            call: CallId::from_u128(7),
            number,
            correlation: voice_core::id::CorrelationId::from_static("c-1"),
            from: "+15005550009".into(),
            to: "+15005550006".into(),
        }
    }

    fn lifeline() -> Lifeline {
        Lifeline {
            key: LegKey::derive(b"secret"),
            media: StreamUrl::new("wss://a.example/s").expect("a good url"),
            webhook: "https://a.example/hook".to_owned(),
        }
    }

    #[test]
    fn each_stream_has_a_ticket_of_its_own_and_the_end_asks_again() {
        let document = lifeline().document("CA1", &leg(22), UnixMillis(9)).expect("good urls");
        let text = document.as_str();
        let tickets: Vec<&str> = text.split("value=\"").skip(1).filter_map(|s| s.split('"').next()).collect();
        let key = LegKey::derive(b"secret");
        let numbers: Vec<u32> = tickets
            .iter()
            .filter_map(|ticket| key.open(CARRIER, "CA1", UnixMillis(1), ticket).ok())
            .map(|leg| leg.number)
            .collect();
        assert_eq!(numbers, (22..53).collect::<Vec<u32>>());
        let end = "<Redirect method=\"POST\">https://a.example/hook?again=00000000-0000-0000-0000-000000000007&amp;leg=53#rc=5&amp;rp=all</Redirect></Response>";
        assert!(text.ends_with(end), "{}", &text[text.len() - 200..]);
        // Twilio takes 64 kB.
        assert!(text.len() < 22_000, "{}", text.len());
        let pauses: u64 = text
            .split("<Pause length=\"")
            .skip(1)
            .filter_map(|s| s.split('"').next()?.parse::<u64>().ok())
            .sum();
        assert_eq!(pauses, 30);
    }

    #[test]
    fn who_asks_again_says_who_it_is() {
        let again = Again::read("again=00000000-0000-0000-0000-000000000007&leg=43");
        assert_eq!(again, Some(Again { call: CallId::from_u128(7), leg: 43 }));
        assert!(again.is_some_and(|again| again.is_hopeful()));
        for first in ["", "again=7&leg=2", "leg=2", "again=00000000-0000-0000-0000-000000000007&leg=0"] {
            assert_eq!(Again::read(first), None, "{first}");
        }
        assert!(!Again { call: CallId::from_u128(7), leg: 10_000 }.is_hopeful());
    }
}
