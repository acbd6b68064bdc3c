//! One session without a call: what it takes to read a message of its peer, and to write one to it.
//!
//! A [`Script`] is given to a session again and again, and each time to a new one, so that nothing in it
//! grows with the length of a measurement. What it makes of the messages is looked at outside the time that
//! is measured: a session that refuses is quick, too.

use std::hint::black_box;
use std::time::{Duration, Instant};

use voice_core::carrier::{CarrierCommand, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession};
use voice_core::id::LineId;
use voice_core::provider::{ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

/// What a session is given.
#[derive(Debug)]
pub enum Given {
    /// A message of its peer. Carriers have one line, and its number means nothing.
    Wire(LineId, WireMessage),
    /// A wish of the call to a carrier.
    Carrier(CarrierCommand),
    /// A wish of the call to a service.
    Provider(ProviderCommand),
}

/// What a session answers.
#[derive(Debug)]
pub enum Answer {
    /// A carrier's.
    Carrier(CarrierOutput),
    /// A service's.
    Provider(SessionOutput),
}

/// A session whose peer is ready, and its clock.
pub struct Talk {
    session: Session,
    now: MonoTime,
    /// The lines that it asked for, each with its address; all of them stand.
    lines: Vec<(LineId, String)>,
}

enum Session {
    Carrier(Box<dyn CarrierSession>),
    Provider(Box<dyn ProviderSession>),
}

impl Talk {
    /// With a carrier whose stream is open.
    pub fn with_carrier(session: impl CarrierSession + 'static) -> Self {
        Self { session: Session::Carrier(Box::new(session)), now: MonoTime::ZERO, lines: Vec::new() }
    }

    /// With a service, whose first lines come up at once.
    pub fn with_provider(session: Box<dyn ProviderSession>) -> Self {
        let mut talk = Self { session: Session::Provider(session), now: MonoTime::ZERO, lines: Vec::new() };
        talk.settle(&mut |_| {});
        talk
    }

    /// The newest line to an address that contains this.
    pub fn line(&self, address: &str) -> LineId {
        let found = self.lines.iter().rev().find(|(_, url)| url.contains(address));
        found.expect("the session asked for such a line").0
    }

    /// Gives it something, and looks away.
    #[must_use]
    pub fn then(mut self, given: &Given) -> Self {
        self.give(given, &mut |_| {});
        self
    }

    /// A message on the line to that address.
    #[must_use]
    pub fn then_hears(self, address: &str, message: impl Into<String>) -> Self {
        let given = Given::Wire(self.line(address), WireMessage::text(message));
        self.then(&given)
    }

    fn give(&mut self, given: &Given, seen: &mut impl FnMut(Answer)) {
        let now = self.now;
        match (&mut self.session, given) {
            (Session::Carrier(session), Given::Wire(_, message)) => {
                session.handle(now, CarrierInput::Wire(message));
            }
            (Session::Carrier(session), Given::Carrier(command)) => {
                session.handle(now, CarrierInput::Command(command.clone()));
            }
            (Session::Provider(session), Given::Wire(line, message)) => {
                session.handle(now, SessionInput::Wire(*line, message));
            }
            (Session::Provider(session), Given::Provider(command)) => {
                session.handle(now, SessionInput::Command(command.clone()));
            }
            (Session::Carrier(_), Given::Provider(_)) | (Session::Provider(_), Given::Carrier(_)) => {
                panic!("{given:?} is not for this session");
            }
        }
        self.settle(seen);
    }

    /// Takes all that the session has to say.
    fn settle(&mut self, seen: &mut impl FnMut(Answer)) {
        loop {
            match &mut self.session {
                Session::Carrier(session) => match session.poll() {
                    CarrierOutput::WaitUntil(at) => {
                        black_box(at);
                        return;
                    }
                    output @ (CarrierOutput::Send(_) | CarrierOutput::HangUp | CarrierOutput::Event(_)) => {
                        seen(Answer::Carrier(output));
                    }
                },
                Session::Provider(session) => match session.poll() {
                    SessionOutput::WaitUntil(at) => {
                        black_box(at);
                        return;
                    }
                    SessionOutput::Dial(line, endpoint) => {
                        self.lines.push((line, endpoint.url));
                        session.handle(self.now, SessionInput::LineUp(line));
                    }
                    output @ (SessionOutput::Send(..)
                    | SessionOutput::HangUp(_)
                    | SessionOutput::Event(_)) => {
                        seen(Answer::Provider(output));
                    }
                },
            }
        }
    }
}

/// What is measured: messages that a session is given one after another.
pub struct Script {
    /// As it stands in the table.
    pub name: &'static str,
    /// Makes the session that is given them.
    pub open: Box<dyn Fn() -> Talk>,
    /// All of them go to one session; the next session begins with the first.
    pub given: Vec<Given>,
    /// The time from one to the next.
    pub step: Duration,
    /// Whether an answer shows that what was given was understood.
    pub shows: fn(&Answer) -> bool,
    /// How many of them it takes to get such an answer.
    pub each: usize,
}

impl Script {
    /// Gives that many messages. How long the session took for them, and nothing else.
    ///
    /// # Panics
    /// If it did not understand them.
    pub fn run(&self, count: u64) -> Duration {
        let (mut left, mut spent) = (count, Duration::ZERO);
        while left > 0 {
            let round = self.given.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            spent += self.round(&self.given[..round]);
            left -= round as u64;
        }
        spent
    }

    fn round(&self, given: &[Given]) -> Duration {
        let mut talk = (self.open)();
        let (mut shown, mut complaint) = (0, None);
        let begun = Instant::now();
        for given in given {
            talk.now += self.step;
            talk.give(given, &mut |answer| {
                if (self.shows)(&answer) {
                    shown += 1;
                    black_box(answer);
                } else if is_complaint(&answer) {
                    complaint = Some(answer);
                }
            });
        }
        let spent = begun.elapsed();
        assert!(complaint.is_none(), "{}: {complaint:?}", self.name);
        let expected = given.len() / self.each;
        assert!(shown >= expected, "{}: {shown} answers of {expected}", self.name);
        spent
    }
}

/// The session could make nothing of what it was given.
fn is_complaint(answer: &Answer) -> bool {
    match answer {
        Answer::Carrier(CarrierOutput::Event(event)) => {
            matches!(event, CarrierEvent::Oddity(_) | CarrierEvent::Ended(_) | CarrierEvent::Lost(_))
        }
        Answer::Provider(SessionOutput::Event(event)) => {
            matches!(event, ProviderEvent::Unknown { .. } | ProviderEvent::Failed(_))
        }
        Answer::Carrier(_) | Answer::Provider(_) => false,
    }
}
