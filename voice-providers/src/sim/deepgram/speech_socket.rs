//! What the fakes of Listen, Flux and Speak have in common: the door, the agenda, and bad manners.

use std::time::Duration;

use serde_json::{Value, json};
use voice_core::sim::peer::{Request, ServiceOutput};
use voice_core::sim::rudeness;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

rudeness! {
    /// One way in which a fake speech service can misbehave. Any number of them can be combined;
    /// those that mean nothing to a service do nothing.
    #[non_exhaustive]
    pub enum SpeechRudeness {
        /// Refuses the upgrade: a bad parameter.
        Refuse400 = "refuse-400",
        /// Refuses the upgrade: the key.
        Refuse401 = "refuse-401",
        /// Refuses the upgrade: no money.
        Refuse402 = "refuse-402",
        /// Refuses the upgrade: no permission.
        Refuse403 = "refuse-403",
        /// Refuses the upgrade: too many sockets.
        Refuse429 = "refuse-429",
        /// Refuses the upgrade: broken inside.
        Refuse500 = "refuse-500",
        /// Never answers the upgrade.
        NoAnswer = "no-answer",
        /// Accepts, and never says anything.
        HalfOpen = "half-open",
        /// Cuts the connection in the middle of speech.
        Cut = "cut",
        /// Closes with 1011 NET-0000 in the middle of speech.
        Net0000 = "net-0000",
        /// Closes with 1008 DATA-0000 in the middle of speech.
        Data0000 = "data-0000",
        /// Closes with 1011 NET-0003 in the middle of speech.
        Net0003 = "net-0003",
        /// Says `Error` and closes in the middle of speech.
        ErrorMessage = "error-message",
        /// Messages of kinds that nobody knows, and fields that nobody knows; legal.
        UnknownMessages = "unknown-messages",
        /// Text that is no JSON, JSON cut short, JSON of the wrong shape.
        Garbage = "garbage",
        /// Binary messages from a service that has nothing binary to say.
        StrayBinary = "stray-binary",
        /// Listen: no `speech_final`, only `UtteranceEnd`; legal on a noisy line.
        NoSpeechFinal = "no-speech-final",
        /// Listen: neither end of speech, only interim results. Flux: no `EndOfTurn`.
        NoEnd = "no-end",
        /// Flux: `EagerEndOfTurn`, `TurnResumed`, and only then the end.
        Resumed = "resumed",
        /// A `Warning` now and then; legal.
        Warnings = "warnings",
        /// Speak: nothing ever follows a flush.
        Mute = "mute",
        /// Speak: audio, but never `Flushed`.
        NoFlushed = "no-flushed",
        /// Speak: `Clear` is never answered, and the audio goes on.
        NotCleared = "not-cleared",
        /// Speak: `Flushed` twice.
        DoubledFlushed = "doubled-flushed",
    }
}

/// Outputs with the time at which each is due, in order.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: Vec<(MonoTime, ServiceOutput)>,
    now: MonoTime,
    closed: bool,
    /// Nonsense was talked; once is enough.
    raved: bool,
}

impl Agenda {
    /// Time has come so far.
    pub(super) fn at(&mut self, now: MonoTime) {
        self.now = now;
    }

    /// To be done after so long.
    pub(super) fn after(&mut self, delay: Duration, output: ServiceOutput) {
        let at = self.now + delay;
        let place = self.due.partition_point(|(due, _)| *due <= at);
        self.due.insert(place, (at, output));
    }

    /// A message to be sent after so long.
    pub(super) fn say(&mut self, delay: Duration, message: &Value) {
        self.after(delay, ServiceOutput::Send(WireMessage::text(message.to_string())));
    }

    /// The end, at once, of everything.
    pub(super) fn close(&mut self, code: u16, reason: &str) {
        self.due.clear();
        self.after(Duration::ZERO, ServiceOutput::Close { code, reason: reason.to_owned() });
        self.closed = true;
    }

    /// The end without a word.
    pub(super) fn cut(&mut self) {
        self.due.clear();
        self.after(Duration::ZERO, ServiceOutput::Cut);
        self.closed = true;
    }

    /// Whether nothing is of interest any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The peer is gone.
    pub(super) fn abandon(&mut self) {
        self.due.clear();
        self.closed = true;
    }

    /// Forgets what is due and satisfies this.
    pub(super) fn forget(&mut self, what: impl Fn(&ServiceOutput) -> bool) {
        self.due.retain(|(_, output)| !what(output));
    }

    pub(super) fn poll(&mut self, wakes: Option<MonoTime>) -> ServiceOutput {
        match self.due.first() {
            Some((at, _)) if *at <= self.now => self.due.remove(0).1,
            first => {
                let next = first.map(|(at, _)| *at);
                let wakes = wakes.filter(|_| !self.closed);
                ServiceOutput::WaitUntil([next, wakes].into_iter().flatten().min())
            }
        }
    }
}

/// One parameter of a request's query, decoded.
pub(super) fn parameter(request: &Request, name: &str) -> Option<String> {
    let (_, query) = request.target.split_once('?')?;
    let raw = query.split('&').find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name))?.1;
    let mut bytes = Vec::new();
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match byte {
            b'%' => bytes.push((hex(rest.next())? * 16 + hex(rest.next())?) as u8),
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Lets the peer in, or says why not. `formats` are the pairs of encoding and rate that are taken.
pub(super) fn door(
    agenda: &mut Agenda,
    request: &Request,
    path: &str,
    formats: &[(&str, &str)],
    rude: &[SpeechRudeness],
) -> bool {
    let has = |rudeness| rude.contains(&rudeness);
    let authorized = request.header("authorization").is_some_and(|value| {
        ["Token ", "Bearer "].iter().any(|s| value.strip_prefix(s).is_some_and(|key| !key.is_empty()))
    });
    let given = (parameter(request, "encoding"), parameter(request, "sample_rate"));
    let (encoding, rate) = (given.0.unwrap_or_default(), given.1.unwrap_or_default());
    let refusal = if has(SpeechRudeness::Refuse429) {
        Some((429, "TOO_MANY_REQUESTS"))
    } else if has(SpeechRudeness::Refuse500) {
        Some((500, "INTERNAL_SERVER_ERROR"))
    } else if !authorized || has(SpeechRudeness::Refuse401) {
        Some((401, "INVALID_AUTH"))
    } else if has(SpeechRudeness::Refuse402) {
        Some((402, "ASR_PAYMENT_REQUIRED"))
    } else if has(SpeechRudeness::Refuse403) {
        Some((403, "INSUFFICIENT_PERMISSIONS"))
    } else if request.target.split('?').next() != Some(path) {
        Some((404, "NOT_FOUND"))
    } else if parameter(request, "model").is_none_or(|model| model.is_empty())
        || !formats.contains(&(encoding.as_str(), rate.as_str()))
        || has(SpeechRudeness::Refuse400)
    {
        Some((400, "INVALID_QUERY_PARAMETER"))
    } else {
        None
    };
    match refusal {
        Some((status, code)) => {
            let headers = vec![("dg-request-id", "fake-1".to_owned()), ("dg-error", code.to_owned())];
            agenda.after(Duration::ZERO, ServiceOutput::Respond { status, headers });
            let body = json!({"err_code": code, "err_msg": "refused", "request_id": "fake-1"}).to_string();
            let body = ServiceOutput::Send(WireMessage::Binary(body.into_bytes().into()));
            agenda.after(Duration::ZERO, body);
            agenda.after(Duration::ZERO, ServiceOutput::Close { code: 1000, reason: String::new() });
            agenda.closed = true;
        }
        None if has(SpeechRudeness::NoAnswer) => agenda.closed = true,
        None => agenda.after(Duration::ZERO, ServiceOutput::Accept { subprotocol: None }),
    }
    refusal.is_none()
}

/// What a rude service does in the middle of speech. True if that was the end.
pub(super) fn misbehave(agenda: &mut Agenda, rude: &[SpeechRudeness]) -> bool {
    let has = |rudeness| rude.contains(&rudeness);
    if has(SpeechRudeness::UnknownMessages) {
        agenda.say(Duration::ZERO, &json!({"type": "Horoscope", "sign": "crab"}));
    }
    if has(SpeechRudeness::Garbage) && !std::mem::replace(&mut agenda.raved, true) {
        for text in ["", "{", "[]", "nonsense", "{\"type\":7}", "{\"type\":\"Results\",\"channel\":3}"] {
            agenda.after(Duration::ZERO, ServiceOutput::Send(WireMessage::text(text)));
        }
    }
    if has(SpeechRudeness::StrayBinary) {
        let bytes = WireMessage::Binary(vec![0xfe, 0xed].into());
        agenda.after(Duration::ZERO, ServiceOutput::Send(bytes));
    }
    if has(SpeechRudeness::Warnings) {
        let warning = json!({"type": "Warning", "code": "SLOW_DAY", "description": "it is hot"});
        agenda.say(Duration::ZERO, &warning);
    }
    if has(SpeechRudeness::ErrorMessage) {
        let error = json!({"type": "Error", "sequence_id": 15, "code": "INTERNAL_SERVER_ERROR",
            "description": "broken inside", "message": "broken inside"});
        agenda.say(Duration::ZERO, &error);
        let close = ServiceOutput::Close { code: 1011, reason: String::new() };
        agenda.after(Duration::from_millis(1), close);
    }
    let ends = [
        (SpeechRudeness::Net0000, 1011, "NET-0000"),
        (SpeechRudeness::Data0000, 1008, "DATA-0000"),
        (SpeechRudeness::Net0003, 1011, "NET-0003"),
    ];
    if let Some((_, code, reason)) = ends.into_iter().find(|(rudeness, ..)| has(*rudeness)) {
        agenda.close(code, reason);
    } else if has(SpeechRudeness::Cut) {
        agenda.cut();
    }
    agenda.is_closed()
}
