//! Whose turn it is to ask for a response: only one may run at a time.

/// The response that runs, the one we asked for, and the one we want when that is over.
#[derive(Debug, Default)]
pub(super) struct Responses {
    running: Option<Running>,
    asked: Option<Cue>,
    wanted: Option<Cue>,
    /// We were told that one is running, and know of none: wait until the service says more.
    blocked: bool,
}

#[derive(Debug)]
struct Running {
    id: String,
    /// It is being cancelled, by us or by the service itself.
    stopping: bool,
}

/// What the voice is to say; `None` leaves it to the instructions.
pub(super) type Cue = Option<String>;

impl Responses {
    pub(super) fn created(&mut self, id: &str) {
        self.running = Some(Running { id: id.to_owned(), stopping: false });
        self.blocked = false;
    }

    /// Whether this was the one that ran.
    pub(super) fn done(&mut self, id: &str) -> bool {
        let was_running = self.running.take_if(|running| running.id == id).is_some();
        if self.running.is_none() {
            self.asked = None;
        }
        self.blocked = false;
        was_running
    }

    /// The service cancels by itself because the caller speaks.
    pub(super) fn stops_itself(&mut self) {
        if let Some(running) = &mut self.running {
            running.stopping = true;
        }
    }

    /// The response to cancel, if one runs that nobody has stopped yet.
    pub(super) fn stop(&mut self) -> Option<&str> {
        let running = self.running.as_mut().filter(|running| !running.stopping)?;
        running.stopping = true;
        Some(&running.id)
    }

    pub(super) fn running(&self) -> Option<&str> {
        self.running.as_ref().map(|running| running.id.as_str())
    }

    /// A response is wanted as soon as none runs. Two wishes become one, with both cues.
    pub(super) fn want(&mut self, cue: Cue) {
        self.wanted = Some(match (self.wanted.take().flatten(), cue) {
            (Some(before), Some(cue)) => Some(before + "\n" + &cue),
            (before, cue) => before.or(cue),
        });
    }

    /// What to ask for now. It counts as asked until a response is done or the service refuses.
    pub(super) fn next(&mut self) -> Option<Cue> {
        if self.running.is_some() || self.asked.is_some() || self.blocked {
            return None;
        }
        let cue = self.wanted.take()?;
        self.asked = Some(cue.clone());
        Some(cue)
    }

    /// What we asked for was refused because another one runs: wanted again.
    pub(super) fn lost_race(&mut self) {
        if let Some(cue) = self.asked.take() {
            let later = self.wanted.take();
            self.want(cue);
            if let Some(later) = later {
                self.want(later);
            }
            self.blocked = self.running.is_none();
        }
    }

    /// What we asked for was refused for good.
    pub(super) fn refused(&mut self) {
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let mut responses = Responses::default();
        assert_eq!(responses.next(), None);
        responses.want(Some("a".into()));
        assert_eq!(responses.next(), Some(Some("a".into())));
        responses.want(None);
        assert_eq!(responses.next(), None);
        responses.created("r1");
        responses.want(Some("b".into()));
        assert!(!responses.done("r0"));
        assert_eq!(responses.next(), None);
        assert!(responses.done("r1"));
        assert_eq!(responses.next(), Some(Some("b".into())));
    }

    #[test]
    fn a_lost_race_is_run_again_when_the_winner_is_done() {
        let mut responses = Responses::default();
        responses.want(Some("a".into()));
        responses.next();
        responses.created("theirs");
        responses.lost_race();
        assert_eq!(responses.next(), None);
        responses.done("theirs");
        assert_eq!(responses.next(), Some(Some("a".into())));
        // A service that claims one to be running when none is does not get us to ask for ever.
        responses.lost_race();
        assert_eq!(responses.next(), None);
    }

    #[test]
    fn a_response_is_stopped_once() {
        let mut responses = Responses::default();
        assert_eq!(responses.stop(), None);
        responses.created("r1");
        assert_eq!(responses.stop(), Some("r1"));
        assert_eq!(responses.stop(), None);
        responses.created("r2");
        responses.stops_itself();
        assert_eq!(responses.stop(), None);
    }
}
