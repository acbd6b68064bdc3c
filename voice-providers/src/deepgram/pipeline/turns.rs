//! When the caller's turn begins and ends, and what they said in it: by Listen v1's endpointing, or by
//! Flux, which decides itself.

use std::collections::VecDeque;
use std::time::Duration;

use voice_core::limits::TURN_TEXT_BYTES_MAX;
use voice_core::time::MonoTime;

use super::wire::{Results, TurnEvent};

/// What became of the caller's turn.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Turning {
    /// It began: with words, or so far with mere sound.
    Began { words: bool },
    /// What began as mere sound has words.
    Words,
    /// It has probably ended, with these words; an answer may be thought of, but not spoken.
    Eager(String),
    /// It had not ended.
    Resumed,
    /// It has ended. Without words it was no more than a sound.
    Ended(String),
}

/// After so long without news of an open turn, Listen v1 is asked to finish; after once more so long
/// the turn is over with whatever is known. Interim results come about once a second while somebody
/// speaks.
const SILENCE_OF_SERVICE: Duration = Duration::from_millis(2_500);

/// Turns as Listen v1 tells them.
#[derive(Default)]
pub(super) struct ListenTurns {
    open: Option<Open>,
    news: VecDeque<Turning>,
}

struct Open {
    /// The pieces that will not change any more.
    finals: String,
    /// The piece that may; replaced by each next one, never added to.
    interim: String,
    /// Whether the words have been reported.
    words: bool,
    /// When the service has been silent about this turn for too long.
    overdue: MonoTime,
    /// It was asked to finish.
    finalizing: bool,
}

impl ListenTurns {
    /// The service heard a voice.
    pub(super) fn on_speech(&mut self, now: MonoTime) {
        if self.open.is_none() {
            self.begin(now, false);
        }
    }

    /// The service understood something. Interim results repeat a segment and grow; a final one
    /// freezes it; a turn may have several of those (protocol notes, Listen v1 §2.2).
    pub(super) fn on_results(&mut self, now: MonoTime, results: Results) {
        if !results.transcript.is_empty() {
            if self.open.is_none() {
                self.begin(now, true);
            }
            let Some(open) = &mut self.open else { return };
            open.overdue = now + SILENCE_OF_SERVICE;
            open.finalizing = false;
            if !open.words {
                open.words = true;
                self.news.push_back(Turning::Words);
            }
            if results.is_final {
                append(&mut open.finals, &results.transcript);
                open.interim.clear();
            } else {
                open.interim = results.transcript;
            }
        }
        if results.speech_final || results.from_finalize {
            self.end();
        }
    }

    /// No word has come for a while: the fallback where endpointing never fires on a noisy line. It may
    /// also follow the end that endpointing saw, and then means nothing.
    pub(super) fn on_utterance_end(&mut self) {
        self.end();
    }

    /// The next thing that happened.
    pub(super) fn next(&mut self) -> Option<Turning> {
        self.news.pop_front()
    }

    /// Looks at the clock. True if the service should be asked to finish.
    pub(super) fn tick(&mut self, now: MonoTime) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.overdue <= now) else { return false };
        if open.finalizing {
            self.end();
            return false;
        }
        open.finalizing = true;
        open.overdue = now + SILENCE_OF_SERVICE;
        true
    }

    pub(super) fn wakes_at(&self) -> Option<MonoTime> {
        self.open.as_ref().map(|open| open.overdue)
    }

    fn begin(&mut self, now: MonoTime, words: bool) {
        self.news.push_back(Turning::Began { words });
        self.open = Some(Open {
            finals: String::new(),
            interim: String::new(),
            words,
            overdue: now + SILENCE_OF_SERVICE,
            finalizing: false,
        });
    }

    fn end(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        append(&mut open.finals, &open.interim);
        self.news.push_back(Turning::Ended(open.finals));
    }
}

/// Turns as Flux tells them. Each message has the whole transcript of the turn so far.
#[derive(Default)]
pub(super) struct FluxTurns {
    open: bool,
    eager: bool,
    news: VecDeque<Turning>,
}

impl FluxTurns {
    pub(super) fn on_turn(&mut self, event: TurnEvent, transcript: String) {
        if !self.open && (event == TurnEvent::Start || !transcript.is_empty()) {
            self.open = true;
            self.news.push_back(Turning::Began { words: true });
        }
        if !self.open {
            return;
        }
        match event {
            TurnEvent::Start | TurnEvent::Update => {}
            TurnEvent::Eager if transcript.is_empty() => {}
            TurnEvent::Eager => {
                self.eager = true;
                self.news.push_back(Turning::Eager(bounded(transcript)));
            }
            TurnEvent::Resumed => {
                if std::mem::take(&mut self.eager) {
                    self.news.push_back(Turning::Resumed);
                }
            }
            TurnEvent::End => {
                self.open = false;
                self.eager = false;
                self.news.push_back(Turning::Ended(bounded(transcript)));
            }
        }
    }

    /// The next thing that happened.
    pub(super) fn next(&mut self) -> Option<Turning> {
        self.news.pop_front()
    }

    /// Whether the caller has the turn.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }
}

fn append(text: &mut String, more: &str) {
    if more.is_empty() || text.len() + more.len() > TURN_TEXT_BYTES_MAX {
        return;
    }
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}

fn bounded(mut text: String) -> String {
    let mut end = text.len().min(TURN_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(transcript: &str, marks: &str) -> Results {
        Results {
            transcript: transcript.to_owned(),
            is_final: marks.contains('f') || marks.contains('s'),
            speech_final: marks.contains('s'),
            from_finalize: marks.contains('z'),
        }
    }

    fn told(turns: &mut ListenTurns) -> Vec<Turning> {
        std::iter::from_fn(|| turns.next()).collect()
    }

    #[test]
    fn interims_are_replaced_and_finals_are_joined() {
        let mut turns = ListenTurns::default();
        turns.on_speech(MonoTime::ZERO);
        for (text, marks) in [("I", ""), ("I'd like", ""), ("I'd like to", "f"), ("bo", ""), ("book.", "s")] {
            turns.on_results(MonoTime::ZERO, result(text, marks));
        }
        turns.on_utterance_end();
        let ended = Turning::Ended("I'd like to book.".into());
        assert_eq!(told(&mut turns), [Turning::Began { words: false }, Turning::Words, ended]);
    }

    #[test]
    fn a_final_piece_is_no_end_of_turn() {
        let mut turns = ListenTurns::default();
        turns.on_results(MonoTime::ZERO, result("one", "f"));
        assert_eq!(told(&mut turns), [Turning::Began { words: true }]);
        turns.on_utterance_end();
        assert_eq!(told(&mut turns), [Turning::Ended("one".into())]);
    }

    #[test]
    fn silence_is_no_turn_and_a_cough_is_one_without_words() {
        let mut turns = ListenTurns::default();
        turns.on_results(MonoTime::ZERO, result("", "s"));
        turns.on_utterance_end();
        assert_eq!(told(&mut turns), []);
        turns.on_speech(MonoTime::ZERO);
        turns.on_results(MonoTime::ZERO, result("", "f"));
        turns.on_results(MonoTime::ZERO, result("", "s"));
        assert_eq!(told(&mut turns), [Turning::Began { words: false }, Turning::Ended(String::new())]);
    }

    #[test]
    fn a_service_that_falls_silent_is_asked_and_then_overruled() {
        let mut turns = ListenTurns::default();
        turns.on_results(MonoTime::ZERO, result("half a", ""));
        let due = turns.wakes_at().expect("a turn is open");
        assert!(!turns.tick(MonoTime::ZERO));
        assert!(turns.tick(due), "asks to finish");
        let due = turns.wakes_at().expect("a turn is open");
        assert!(!turns.tick(due));
        assert_eq!(told(&mut turns), [Turning::Began { words: true }, Turning::Ended("half a".into())]);
        assert_eq!(turns.wakes_at(), None);
    }

    #[test]
    fn flux_may_be_eager_and_change_its_mind() {
        let mut turns = FluxTurns::default();
        for (event, text) in [
            (TurnEvent::Update, ""),
            (TurnEvent::Resumed, ""),
            (TurnEvent::Start, "Book"),
            (TurnEvent::Resumed, "Book"),
            (TurnEvent::Eager, "Book me"),
            (TurnEvent::Resumed, "Book me for"),
            (TurnEvent::Eager, "Book me for Friday"),
            (TurnEvent::End, "Book me for Friday"),
            (TurnEvent::End, ""),
        ] {
            turns.on_turn(event, text.to_owned());
        }
        let told: Vec<Turning> = std::iter::from_fn(|| turns.next()).collect();
        assert_eq!(
            told,
            [
                Turning::Began { words: true },
                Turning::Eager("Book me".into()),
                Turning::Resumed,
                Turning::Eager("Book me for Friday".into()),
                Turning::Ended("Book me for Friday".into()),
            ]
        );
    }
}
