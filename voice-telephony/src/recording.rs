//! Recordings that the carrier makes: what it is asked, and what is done until it has answered.
//!
//! A call says what it wants step by step ([`voice_core::transfer::Operation::Record`]). Each step is a
//! [`RecordOrder`]; a carrier's [`RecordCalls`] says it in requests, and [`Asking`] decides what to do with the
//! answers: a step that passes is asked for again, and what came of it is told once. With the feature `rest`,
//! `rest::record` drives it. What the carrier has in the end comes by webhook: `twilio::recording::filed`,
//! `telnyx::recording::filed`.

use std::time::Duration;

use voice_core::failure::Failure;
use voice_core::id::CallId;
use voice_core::recording::{RecordNews, RecordStep, RecordingRefusal};

use crate::ask::Ask;
use crate::carrier_error::{CarrierError, Cause};
use crate::limits::{RECORD_PAUSE_MAX, RECORD_TRIES_MAX};

/// One step, and of which call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOrder {
    /// The call.
    pub call: CallId,
    /// The carrier's name for it.
    pub carrier_call: String,
    /// Which order of that call; no other has this number.
    pub order: u64,
    /// What to do.
    pub step: RecordStep,
}

/// By what a carrier names the call of a recording that it tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// By our own name for it.
    Call(CallId),
    /// By the carrier's.
    Named(String),
}

/// What recordings need of a carrier: requests as data, each with the reader of its answer.
pub trait RecordCalls: Send + Sync {
    /// Asks for this step: of the recording of that name, or of the one that runs, whatever its name. The answer
    /// is the carrier's name for the recording, where it tells one. `None` where the call's name is none that
    /// this carrier gives.
    fn ask(&self, order: &RecordOrder, recording: Option<&str>) -> Option<Ask<Option<String>>>;

    /// Asks for the names of all recordings of the call that run: before a beginning of which nobody knows
    /// whether it took place is asked for again, and where a step for the one that runs was refused, for there
    /// may be several. `None` where asking again does no harm, and there are never several.
    fn look(&self, order: &RecordOrder) -> Option<Ask<Vec<String>>>;
}

/// One step, until it is known what came of it.
#[derive(Debug)]
pub struct Asking {
    step: RecordStep,
    can_look: bool,
    tries: u32,
    /// Those that are asked for by name, the first one now: the carrier did not say which one runs.
    names: Vec<String>,
    /// What was refused of one of them.
    refused: Option<RecordingRefusal>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask (once more) after this pause, for [`Asking::recording`].
    Ask(Duration),
    /// Look after this pause what runs.
    Look(Duration),
    /// It is known; this is to be told, if anything is.
    Over(Option<RecordNews>),
}

impl Asking {
    /// A step that is asked for now. `can_look`: whether [`RecordCalls::look`] answers anything.
    pub const fn new(step: RecordStep, can_look: bool) -> Self {
        Self { step, can_look, tries: 1, names: Vec::new(), refused: None }
    }

    /// Which recording is asked for; `None` for the one that runs.
    pub fn recording(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    /// What was answered to the request.
    pub fn answered(&mut self, answer: Result<Option<String>, CarrierError>) -> Next {
        let error = match answer {
            Ok(_) if !self.names.is_empty() => return self.next(),
            Ok(name) => return self.done(name),
            Err(error) => error,
        };
        let Some(pause) = self.pause(&error) else { return self.not_done(&error) };
        let is_in_doubt = self.step == RecordStep::Start && error.may_have_happened;
        if is_in_doubt && self.can_look { Next::Look(pause) } else { Next::Ask(pause) }
    }

    /// What was answered to the look: the names of the recordings that run, the latest first.
    pub fn looked(&mut self, answer: Result<Vec<String>, CarrierError>) -> Next {
        let names = match answer {
            Ok(names) => names,
            Err(error) => {
                return match self.pause(&error) {
                    Some(pause) => Next::Look(pause),
                    None if error.cause == Cause::CallGone && self.step != RecordStep::Start => {
                        self.none_runs()
                    }
                    None => self.refused(&error),
                };
            }
        };
        match names.first() {
            Some(name) if self.step == RecordStep::Start => self.done(Some(name.clone())),
            None if self.step == RecordStep::Start => Next::Ask(Duration::ZERO),
            None => self.none_runs(),
            Some(_) => {
                self.names = names;
                Next::Ask(Duration::ZERO)
            }
        }
    }

    fn done(&self, name: Option<String>) -> Next {
        Next::Over(match self.step {
            RecordStep::Start => Some(RecordNews::Begun(name.as_deref().map(Failure::clean_code))),
            RecordStep::Stop => Some(RecordNews::Ended),
            RecordStep::Pause | RecordStep::Resume => None,
        })
    }

    /// The one that was asked for by name is done with; what is told once all are.
    fn next(&mut self) -> Next {
        self.names.remove(0);
        match self.refused {
            _ if !self.names.is_empty() => Next::Ask(Duration::ZERO),
            Some(why) => Next::Over(Some(RecordNews::Refused(self.step, why))),
            None => self.done(None),
        }
    }

    /// What is to be over and is gone is over.
    fn none_runs(&self) -> Next {
        let gone = RecordNews::Refused(self.step, RecordingRefusal::NotRunning);
        if self.step == RecordStep::Stop { self.done(None) } else { Next::Over(Some(gone)) }
    }

    /// To ask once more makes no sense.
    fn not_done(&mut self, error: &CarrierError) -> Next {
        if !self.names.is_empty() {
            if error.cause != Cause::CallGone {
                self.refused.get_or_insert(refusal(error.cause));
            }
            return self.next();
        }
        let may_be_several = matches!(error.cause, Cause::CallGone | Cause::Invalid | Cause::Number);
        match self.step {
            RecordStep::Start => self.refused(error),
            RecordStep::Pause | RecordStep::Resume | RecordStep::Stop if may_be_several && self.can_look => {
                Next::Look(Duration::ZERO)
            }
            RecordStep::Stop if error.cause == Cause::CallGone => self.none_runs(),
            RecordStep::Pause | RecordStep::Resume | RecordStep::Stop => self.refused(error),
        }
    }

    /// How long to wait before it is tried again; `None` if that makes no sense.
    fn pause(&mut self, error: &CarrierError) -> Option<Duration> {
        if !error.is_passing() || self.tries >= RECORD_TRIES_MAX {
            return None;
        }
        // Half a second, one, two.
        let usual = Duration::from_millis(500) * (1 << (self.tries - 1));
        self.tries += 1;
        let wanted = if let Cause::Throttled { retry_after } = error.cause { retry_after } else { None };
        Some(wanted.unwrap_or(usual).min(RECORD_PAUSE_MAX))
    }

    fn refused(&self, error: &CarrierError) -> Next {
        Next::Over(Some(RecordNews::Refused(self.step, refusal(error.cause))))
    }
}

/// Why nothing was done, in the call's words.
const fn refusal(cause: Cause) -> RecordingRefusal {
    match cause {
        Cause::Network | Cause::Server { .. } | Cause::Throttled { .. } => RecordingRefusal::NoAnswer,
        Cause::Credentials | Cause::Balance => RecordingRefusal::NotAllowed,
        Cause::CallGone => RecordingRefusal::NotRunning,
        Cause::Number | Cause::Invalid => RecordingRefusal::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier_error::Reach;

    const LOST: CarrierError = CarrierError::unanswered(Reach::Unknown);

    fn refused_for(step: RecordStep, cause: Cause) -> Next {
        Asking::new(step, false).answered(Err(CarrierError::refused(cause, None)))
    }

    #[test]
    fn what_was_done_is_told_of_a_beginning_and_of_an_end() {
        let name = || Ok(Some("RE1".to_owned()));
        let begun = Next::Over(Some(RecordNews::Begun(Some("RE1".to_owned()))));
        assert_eq!(Asking::new(RecordStep::Start, true).answered(name()), begun);
        for step in [RecordStep::Pause, RecordStep::Resume] {
            assert_eq!(Asking::new(step, true).answered(name()), Next::Over(None));
        }
        let ended = Next::Over(Some(RecordNews::Ended));
        assert_eq!(Asking::new(RecordStep::Stop, true).answered(name()), ended);
    }

    #[test]
    fn a_refusal_says_whose_fault_it_is() {
        for (cause, why) in [
            (Cause::Credentials, RecordingRefusal::NotAllowed),
            (Cause::CallGone, RecordingRefusal::NotRunning),
            (Cause::Invalid, RecordingRefusal::Refused),
        ] {
            let told = Next::Over(Some(RecordNews::Refused(RecordStep::Pause, why)));
            assert_eq!(refused_for(RecordStep::Pause, cause), told);
        }
        let ended = Next::Over(Some(RecordNews::Ended));
        assert_eq!(refused_for(RecordStep::Stop, Cause::CallGone), ended, "it is over");
    }

    /// Twilio refuses what is asked of *the* recording while there are two (16108), or says that there is none
    /// (21220).
    #[test]
    fn where_several_run_each_is_asked_for_by_its_name_and_it_is_told_once() {
        for cause in [Cause::Invalid, Cause::CallGone] {
            let mut asking = Asking::new(RecordStep::Stop, true);
            let refused = asking.answered(Err(CarrierError::refused(cause, None)));
            assert_eq!((refused, asking.recording()), (Next::Look(Duration::ZERO), None));
            let both = || Ok(vec!["RE1".to_owned(), "RE2".to_owned()]);
            assert_eq!(asking.looked(both()), Next::Ask(Duration::ZERO));
            assert_eq!(asking.recording(), Some("RE1"));
            assert_eq!(asking.answered(Err(LOST)), Next::Ask(Duration::from_millis(500)), "once more");
            assert_eq!(asking.answered(Ok(Some("RE1".to_owned()))), Next::Ask(Duration::ZERO));
            assert_eq!(asking.recording(), Some("RE2"));
            let gone = Err(CarrierError::refused(Cause::CallGone, None));
            assert_eq!(asking.answered(gone), Next::Over(Some(RecordNews::Ended)), "it ended by itself");
        }
        let mut asking = Asking::new(RecordStep::Pause, true);
        asking.answered(Err(CarrierError::refused(Cause::Invalid, None)));
        asking.looked(Ok(vec!["RE1".to_owned(), "RE2".to_owned()]));
        let denied = Err(CarrierError::refused(Cause::Credentials, None));
        assert_eq!(asking.answered(denied), Next::Ask(Duration::ZERO), "the other one all the same");
        let told = Some(RecordNews::Refused(RecordStep::Pause, RecordingRefusal::NotAllowed));
        assert_eq!(asking.answered(Ok(None)), Next::Over(told));
        for (step, told) in [
            (RecordStep::Stop, RecordNews::Ended),
            (RecordStep::Resume, RecordNews::Refused(RecordStep::Resume, RecordingRefusal::NotRunning)),
        ] {
            let mut asking = Asking::new(step, true);
            asking.answered(Err(CarrierError::refused(Cause::CallGone, None)));
            assert_eq!(asking.looked(Ok(Vec::new())), Next::Over(Some(told)));
        }
    }

    /// Nobody may be recorded twice: a beginning that may have taken place is looked for before it is repeated.
    #[test]
    fn a_beginning_in_doubt_is_looked_for() {
        let mut asking = Asking::new(RecordStep::Start, true);
        assert_eq!(asking.answered(Err(LOST)), Next::Look(Duration::from_millis(500)));
        assert_eq!(asking.looked(Err(LOST)), Next::Look(Duration::from_secs(1)));
        assert_eq!(asking.looked(Ok(Vec::new())), Next::Ask(Duration::ZERO));
        assert_eq!(asking.answered(Err(LOST)), Next::Look(Duration::from_secs(2)));
        let found = Next::Over(Some(RecordNews::Begun(Some("RE7".to_owned()))));
        assert_eq!(asking.looked(Ok(vec!["RE7".to_owned()])), found);
        let mut repeats = Asking::new(RecordStep::Start, false);
        assert_eq!(
            repeats.answered(Err(LOST)),
            Next::Ask(Duration::from_millis(500)),
            "it knows the order's id"
        );
    }

    #[test]
    fn whoever_does_not_answer_is_not_asked_for_ever() {
        let mut asking = Asking::new(RecordStep::Pause, true);
        let (mut asked, mut next) = (1, asking.answered(Err(LOST)));
        while matches!(next, Next::Ask(_)) && asked < 10 {
            (asked, next) = (asked + 1, asking.answered(Err(LOST)));
        }
        assert_eq!(asked, RECORD_TRIES_MAX);
        let told = RecordNews::Refused(RecordStep::Pause, RecordingRefusal::NoAnswer);
        assert_eq!(next, Next::Over(Some(told)));
        let wait = Some(Duration::from_secs(3_600));
        let throttled = refused_for(RecordStep::Stop, Cause::Throttled { retry_after: wait });
        assert_eq!(throttled, Next::Ask(RECORD_PAUSE_MAX), "nobody waits for an hour");
    }
}
