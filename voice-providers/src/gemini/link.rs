//! The connection of the moment: how far it has come, and with what it can be resumed.

use std::time::Duration;

use voice_core::id::LineId;
use voice_core::time::MonoTime;

use super::failure::Stage;

/// Handles were seen with some hundred bytes. One beyond this is not kept.
const HANDLE_BYTES_MAX: usize = 16 << 10;

/// How often a connection that was lost is tried again…
const ATTEMPTS_MAX: u32 = 4;

/// …and how long each attempt waits, the first not at all.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(750), Duration::from_millis(2_000)];

/// A connection that stood so long starts the count of attempts afresh.
const STEADY: Duration = Duration::from_secs(20);

/// A connection is left so long before the service says that it will cut it.
const LEAVE_BEFORE: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    number: u32,
    state: State,
    /// What the session is resumed with, and whether it knows everything that was said.
    handle: Option<String>,
    fresh: bool,
    attempts: u32,
    talking_since: MonoTime,
    /// By when this connection must be left, if the service has said so.
    leave_by: Option<MonoTime>,
    unreadable: u32,
    /// The line of the moment is no more.
    gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Dialled, or waiting for `setupComplete`.
    Opening {
        up: bool,
        resuming: bool,
    },
    /// Between two attempts to resume.
    Pausing,
    Talking,
    Over,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            number: 0,
            state: State::Opening { up: false, resuming: false },
            handle: None,
            fresh: false,
            attempts: 0,
            talking_since: MonoTime::ZERO,
            leave_by: None,
            unreadable: 0,
            gone: false,
        }
    }

    pub(super) fn line(&self) -> LineId {
        LineId(self.number)
    }

    /// Whether a message or an end of this line is of the connection of the moment.
    pub(super) fn is_current(&self, line: LineId) -> bool {
        self.line() == line && self.is_dialled()
    }

    pub(super) fn is_talking(&self) -> bool {
        self.state == State::Talking
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether there is a line, so that it has to be hung up.
    pub(super) fn is_dialled(&self) -> bool {
        !self.gone && matches!(self.state, State::Opening { .. } | State::Talking)
    }

    pub(super) fn stage(&self) -> Stage {
        match self.state {
            State::Opening { resuming: false, .. } | State::Over => Stage::Opening,
            State::Opening { resuming: true, .. } | State::Pausing => Stage::Resuming,
            State::Talking => Stage::Talking,
        }
    }

    /// The line is up. Whether that is news.
    pub(super) fn up(&mut self) -> bool {
        match &mut self.state {
            State::Opening { up, .. } => !std::mem::replace(up, true),
            State::Pausing | State::Talking | State::Over => false,
        }
    }

    /// The setup was accepted. `None` if none was under way, else whether it resumed.
    pub(super) fn accepted(&mut self, now: MonoTime) -> Option<bool> {
        let State::Opening { up: true, resuming } = self.state else { return None };
        self.state = State::Talking;
        self.talking_since = now;
        self.leave_by = None;
        Some(resuming)
    }

    /// Whether it can be tried again, and after how long. `None`: it has been tried often enough, or
    /// there is nothing to resume with.
    pub(super) fn again(&mut self, now: MonoTime) -> Option<Duration> {
        self.handle.as_ref()?;
        if self.state == State::Talking && now.since(self.talking_since) >= STEADY {
            self.attempts = 0;
        }
        let pause = match self.attempts.checked_sub(1) {
            None => Duration::ZERO,
            Some(_) if self.attempts >= ATTEMPTS_MAX => return None,
            Some(before) => PAUSES.get(before as usize).copied().unwrap_or(PAUSES[2]),
        };
        self.attempts += 1;
        self.state = State::Pausing;
        Some(pause)
    }

    /// Another line is dialled.
    pub(super) fn redial(&mut self) -> LineId {
        self.number = self.number.wrapping_add(1);
        self.gone = false;
        self.state = State::Opening { up: false, resuming: true };
        self.line()
    }

    pub(super) fn close(&mut self) {
        self.state = State::Over;
    }

    /// What a setup is to resume.
    pub(super) fn handle(&self) -> Option<&str> {
        match self.state {
            State::Opening { resuming: true, .. } => self.handle.as_deref(),
            State::Opening { resuming: false, .. } | State::Pausing | State::Talking | State::Over => None,
        }
    }

    /// The service gives another handle, or says that there is none for now; then the last one stands.
    /// Whether it was taken.
    pub(super) fn offered(&mut self, handle: &str, resumable: bool) -> bool {
        let taken = resumable && !handle.is_empty() && handle.len() <= HANDLE_BYTES_MAX;
        if taken {
            self.handle = Some(handle.to_owned());
            self.fresh = true;
        }
        taken
    }

    /// A message could not be read. How many there were.
    pub(super) fn count_unreadable(&mut self) -> u32 {
        self.unreadable += 1;
        self.unreadable
    }

    /// The line is gone; there is nothing to hang up.
    pub(super) fn down(&mut self) {
        self.gone = true;
    }

    /// Something was said that the handle does not know.
    pub(super) fn outdate(&mut self) {
        self.fresh = false;
    }

    /// Whether a handle is there to resume with.
    pub(super) fn is_resumable(&self) -> bool {
        self.handle.is_some()
    }

    /// Whether nothing is lost if it is resumed now.
    pub(super) fn is_fresh(&self) -> bool {
        self.handle.is_some() && self.fresh
    }

    /// The service will cut the connection in so long. When it is to be left at the latest.
    pub(super) fn leaves(&mut self, now: MonoTime, time_left: Duration) -> MonoTime {
        let at = now + time_left.saturating_sub(LEAVE_BEFORE);
        let at = self.leave_by.map_or(at, |before| before.min(at));
        self.leave_by = Some(at);
        at
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leave_by.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_stands_until_a_better_one_comes() {
        let mut link = Link::new();
        link.offered("a", true);
        link.offered("", false);
        link.offered("b", false);
        link.offered(&"x".repeat(HANDLE_BYTES_MAX + 1), true);
        assert!(link.is_fresh());
        link.outdate();
        assert!(link.is_resumable() && !link.is_fresh());
        assert_eq!(link.again(MonoTime::ZERO), Some(Duration::ZERO));
        assert_eq!(link.redial(), LineId(1));
        assert_eq!(link.handle(), Some("a"));
    }

    #[test]
    fn attempts_are_few_and_further_and_further_apart() {
        let mut link = Link::new();
        assert_eq!(link.again(MonoTime::ZERO), None, "there is no handle");
        link.offered("a", true);
        let pauses: Vec<_> =
            std::iter::from_fn(|| link.again(MonoTime::ZERO)).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [0, 250, 750, 2_000]);
    }
    #[test]
    fn a_connection_that_stood_for_a_while_starts_the_count_afresh() {
        let resumed = |stood: Duration| {
            let mut link = Link::new();
            let mut now = MonoTime::ZERO;
            link.offered("a", true);
            link.up();
            link.accepted(now);
            let mut count = 0;
            while count < 20 && link.again(now).is_some() {
                link.redial();
                link.up();
                link.accepted(now);
                now += stood;
                count += 1;
            }
            count
        };
        assert_eq!(resumed(Duration::from_secs(1)), ATTEMPTS_MAX, "it flaps");
        assert_eq!(resumed(Duration::from_secs(600)), 20, "it is a long call");
    }
}
