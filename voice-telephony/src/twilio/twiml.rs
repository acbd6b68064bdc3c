//! TwiML: what Twilio is answered when it asks what to do with a call.

use std::fmt::{self, Write as _};
use std::time::Duration;

use quick_xml::escape::escape;
use voice_core::sensitive::Pii;

use crate::ticket::StreamTicket;

/// The name of the `<Parameter>` that carries the ticket.
pub const TICKET_PARAMETER: &str = "ticket";

/// A TwiML document, ready to be sent with [`Twiml::CONTENT_TYPE`].
///
/// ```
/// use voice_telephony::twilio::{RejectReason, Twiml};
///
/// let busy = Twiml::reject(RejectReason::Busy);
/// assert!(busy.as_str().ends_with("<Response><Reject reason=\"busy\"/></Response>"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Twiml(String);

/// Prints the size only: a document carries a ticket.
impl fmt::Debug for Twiml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Twiml({} bytes)", self.0.len())
    }
}

impl Twiml {
    /// The media type of the answer.
    pub const CONTENT_TYPE: &'static str = "text/xml";

    /// Connects the call to a media stream. When the stream ends, so does the call.
    pub fn connect(stream: &ConnectStream) -> Self {
        Self::of(&[Verb::Connect(stream.clone())])
    }

    /// Refuses the call before it is answered; it is not billed.
    pub fn reject(reason: RejectReason) -> Self {
        Self::of(&[Verb::Reject(reason)])
    }

    /// Says a sentence, then hangs up.
    pub fn say_and_hang_up(text: &str) -> Self {
        Self::of(&[Verb::Say(text.into()), Verb::Hangup])
    }

    /// Presses keys (`0`–`9`, `*`, `#`, `A`–`D`, and `w` for half a second), then asks this URL what is
    /// next. `None` for other keys, for none, and for more than 32.
    pub fn play_digits(digits: &str, then: &str) -> Option<Self> {
        let is_key = |b: u8| b.is_ascii_digit() || b"*#ABCDw".contains(&b);
        let is_sane = !digits.is_empty() && digits.len() <= 32 && digits.bytes().all(is_key);
        is_sane.then(|| Self::of(&[Verb::PlayDigits(digits.to_owned()), Verb::Redirect(then.to_owned())]))
    }

    /// A document of verbs, which run in order. At its end the call is hung up.
    ///
    /// Verbs after a [`Verb::Connect`] run when its stream is over, however it ended: that is how a call
    /// survives the server that carried it.
    pub fn of(verbs: &[Verb]) -> Self {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>");
        for verb in verbs {
            verb.write(&mut xml);
        }
        xml.push_str("</Response>");
        Self(xml)
    }

    /// The document. It may hold a ticket: for the answer, not for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The document without a copy.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// Connects the call to a media stream, and waits for its end.
    Connect(ConnectStream),
    /// Says a text. Characters that XML cannot carry become spaces; Twilio reads at most 4,096
    /// characters, the rest is cut.
    Say(Pii<String>),
    /// Waits, in whole seconds, at least one.
    Pause(Duration),
    /// Presses these keys; see [`Twiml::play_digits`].
    PlayDigits(String),
    /// Says a text and waits for one key, which is told to this absolute URL; without one the next verb
    /// runs.
    GatherKey {
        /// What is said; as [`Self::Say`].
        say: Pii<String>,
        /// Where the key is told, as `Digits`.
        then: String,
    },
    /// Joins the conference of this name, without a beep. Whoever leaves it ends it, and with it this call,
    /// unless there is somewhere to go on.
    Conference {
        /// Its name within the account.
        name: String,
        /// What to do when it is over, by absolute URL.
        then: Option<String>,
        /// Whether it is over when this call leaves.
        ends: bool,
    },
    /// Fetches further instructions from this absolute URL.
    Redirect(String),
    /// Refuses the call. Only means something as the first verb.
    Reject(RejectReason),
    /// Ends the call.
    Hangup,
}

/// What a refused caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// That the number is not in service.
    Rejected,
    /// The busy tone.
    Busy,
}

/// A media stream to connect a call to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectStream {
    url: StreamUrl,
    status_callback: Option<String>,
    parameters: Vec<(String, Pii<String>)>,
}

impl ConnectStream {
    /// A stream to this URL, with the ticket that opens it.
    pub fn new(url: StreamUrl, ticket: &StreamTicket) -> Self {
        let ticket = (TICKET_PARAMETER.to_owned(), Pii::from(ticket.expose()));
        Self { url, status_callback: None, parameters: vec![ticket] }
    }

    /// Twilio tells this absolute `https` URL (`http` only to this machine) when the stream begins,
    /// ends or fails.
    ///
    /// # Errors
    /// [`TwimlError::Url`] where it is no such URL.
    pub fn with_status_callback(mut self, url: impl Into<String>) -> Result<Self, TwimlError> {
        let url = url.into();
        Address::of(&url, "https", "http")?;
        self.status_callback = Some(url);
        Ok(self)
    }

    /// Adds a parameter that arrives with the stream's `start`. Name and value together stay below 500
    /// characters, at most 98 of them beside the ticket.
    ///
    /// # Errors
    /// [`TwimlError::Parameter`] where Twilio would not take it.
    pub fn with_parameter(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, TwimlError> {
        let (name, value) = (name.into(), value.into());
        let characters = name.chars().count() + value.chars().count();
        let is_clean = !name.chars().chain(value.chars()).any(char::is_control);
        let is_new = self.parameters.iter().all(|(other, _)| *other != name);
        if name.is_empty() || characters >= 500 || !is_clean || !is_new || self.parameters.len() >= 99 {
            return Err(TwimlError::Parameter);
        }
        self.parameters.push((name, value.into()));
        Ok(self)
    }
}

/// The URL of a media stream: `wss://`, or `ws://` to this very machine, without query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamUrl(String);

impl StreamUrl {
    /// Checks the URL.
    ///
    /// # Errors
    /// [`TwimlError::Query`] if it has a query string: Twilio strips it without a word before it
    /// connects. [`TwimlError::Url`] if it is not a WebSocket URL that Twilio would dial.
    pub fn new(url: impl Into<String>) -> Result<Self, TwimlError> {
        let url = url.into();
        if url.contains(['?', '#']) {
            return Err(TwimlError::Query);
        }
        Address::of(&url, "wss", "ws")?;
        Ok(Self(url))
    }

    /// The URL, which is also what the upgrade's signature is about.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What cannot be said in TwiML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TwimlError {
    /// A stream URL with a query string or fragment.
    #[error("a stream url must not have a query string or fragment; use parameters or the path")]
    Query,
    /// Not an absolute URL with the right scheme.
    #[error("not an absolute url over tls (without tls only to this machine)")]
    Url,
    /// A parameter that is empty, too long, doubled, one too many, or has control characters.
    #[error("not a parameter that a stream can have")]
    Parameter,
}

/// What of a URL has to be right before a carrier is told to go there.
struct Address;

impl Address {
    fn of(url: &str, secure: &str, plain: &str) -> Result<Self, TwimlError> {
        let is_clean = url.is_ascii() && url.bytes().all(|b| b.is_ascii_graphic());
        let (scheme, rest) = url.split_once("://").ok_or(TwimlError::Url)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_here = LOOPBACK.iter().any(|host| {
            authority.strip_prefix(host).is_some_and(|after| after.is_empty() || after.starts_with(':'))
        });
        let is_dialable = scheme == secure || (scheme == plain && is_here);
        if is_clean && is_dialable && !authority.is_empty() && !authority.contains('@') {
            Ok(Self)
        } else {
            Err(TwimlError::Url)
        }
    }
}

const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Characters of `<Say>` that Twilio takes with its basic voices.
const SAY_CHARACTERS_MAX: usize = 4_096;

impl Verb {
    fn write(&self, xml: &mut String) {
        match self {
            Self::Connect(stream) => stream.write(xml),
            Self::Say(text) => {
                let clean: String = text
                    .expose()
                    .chars()
                    .take(SAY_CHARACTERS_MAX)
                    .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
                    .collect();
                push(xml, format_args!("<Say>{}</Say>", escape(clean.as_str())));
            }
            Self::GatherKey { say, then } => {
                let then = escape(then.as_str());
                push(
                    xml,
                    format_args!("<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"10\" action=\"{then}\">"),
                );
                Self::Say(say.clone()).write(xml);
                xml.push_str("</Gather>");
            }
            Self::Conference { name, then, ends } => {
                xml.push_str("<Dial");
                if let Some(url) = then {
                    push(xml, format_args!(" action=\"{}\"", escape(url.as_str())));
                }
                let name = escape(name.as_str());
                push(
                    xml,
                    format_args!(
                        "><Conference beep=\"false\" endConferenceOnExit=\"{ends}\">{name}</Conference></Dial>"
                    ),
                );
            }
            Self::Pause(length) => {
                push(xml, format_args!("<Pause length=\"{}\"/>", length.as_secs().max(1)));
            }
            Self::PlayDigits(digits) => {
                push(xml, format_args!("<Play digits=\"{}\"/>", escape(digits.as_str())));
            }
            Self::Redirect(url) => {
                push(xml, format_args!("<Redirect method=\"POST\">{}</Redirect>", escape(url.as_str())));
            }
            Self::Reject(RejectReason::Rejected) => xml.push_str("<Reject reason=\"rejected\"/>"),
            Self::Reject(RejectReason::Busy) => xml.push_str("<Reject reason=\"busy\"/>"),
            Self::Hangup => xml.push_str("<Hangup/>"),
        }
    }
}

impl ConnectStream {
    fn write(&self, xml: &mut String) {
        push(xml, format_args!("<Connect><Stream url=\"{}\"", escape(self.url.as_str())));
        if let Some(url) = &self.status_callback {
            push(xml, format_args!(" statusCallback=\"{}\"", escape(url.as_str())));
        }
        xml.push('>');
        for (name, value) in &self.parameters {
            let (name, value) = (escape(name.as_str()), escape(value.expose().as_str()));
            push(xml, format_args!("<Parameter name=\"{name}\" value=\"{value}\"/>"));
        }
        xml.push_str("</Stream></Connect>");
    }
}

fn push(xml: &mut String, text: fmt::Arguments<'_>) {
    xml.write_fmt(text).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::Tickets;
    use voice_core::time::MonoTime;

    fn stream() -> ConnectStream {
        let ticket = Tickets::default().issue(MonoTime::ZERO, [1; 32], "CA1", ());
        ConnectStream::new(StreamUrl::new("wss://a.example/s").expect("a good url"), &ticket)
    }

    #[test]
    fn a_stream_has_its_ticket_parameters_and_callback() {
        let stream = stream()
            .with_parameter("tenant", "<7> & \"co\"")
            .and_then(|s| s.with_status_callback("https://a.example/status?a=1&b=2"))
            .expect("all good");
        expect_test::expect![[r#"<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://a.example/s" statusCallback="https://a.example/status?a=1&amp;b=2"><Parameter name="ticket" value="AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"/><Parameter name="tenant" value="&lt;7&gt; &amp; &quot;co&quot;"/></Stream></Connect></Response>"#]]
        .assert_eq(Twiml::connect(&stream).as_str());
    }

    #[test]
    fn verbs_run_in_order() {
        let verbs = [
            Verb::Say("Tom & \u{7}\"Jerry\"".into()),
            Verb::Pause(Duration::from_millis(300)),
            Verb::Redirect("https://a.example/x?a=1&b=2".into()),
            Verb::Hangup,
        ];
        expect_test::expect![[r#"<?xml version="1.0" encoding="UTF-8"?><Response><Say>Tom &amp;  &quot;Jerry&quot;</Say><Pause length="1"/><Redirect method="POST">https://a.example/x?a=1&amp;b=2</Redirect><Hangup/></Response>"#]]
        .assert_eq(Twiml::of(&verbs).as_str());
    }

    #[test]
    fn a_url_that_twilio_would_change_or_not_dial_is_refused() {
        for (url, expected) in [
            ("wss://a.example/s", Ok(())),
            ("wss://a.example:8443", Ok(())),
            ("ws://127.0.0.1:8080/s", Ok(())),
            ("ws://localhost/s", Ok(())),
            ("ws://[::1]:80/s", Ok(())),
            ("wss://a.example/s?ticket=1", Err(TwimlError::Query)),
            ("wss://a.example/s#x", Err(TwimlError::Query)),
            ("ws://a.example/s", Err(TwimlError::Url)),
            ("ws://127.0.0.1.example/s", Err(TwimlError::Url)),
            ("ws://localhost@a.example/s", Err(TwimlError::Url)),
            ("wss://u:p@a.example/s", Err(TwimlError::Url)),
            ("https://a.example/s", Err(TwimlError::Url)),
            ("wss:///s", Err(TwimlError::Url)),
            ("wss://a.example/ s", Err(TwimlError::Url)),
            ("a.example", Err(TwimlError::Url)),
        ] {
            assert_eq!(StreamUrl::new(url).map(|_| ()), expected, "{url}");
        }
    }

    #[test]
    fn parameters_have_limits() {
        let long = "x".repeat(495);
        assert!(stream().with_parameter("name", long.clone()).is_ok());
        assert!(stream().with_parameter("name5", long).is_err());
        for (name, value) in [("", "1"), ("ticket", "again"), ("a", "b\nc")] {
            assert_eq!(stream().with_parameter(name, value), Err(TwimlError::Parameter), "{name}");
        }
    }

    #[test]
    fn a_document_is_never_printed() {
        let stream = stream();
        let printed = format!("{:?} {stream:?}", Twiml::connect(&stream));
        assert!(!printed.contains("AQEB"), "{printed}");
    }
}
