//! Making the voice speak first. The service takes words to say, or words to answer; both at its own time.

use std::collections::VecDeque;

use super::wire::ToAgent;

/// What the call wanted to be said, until the service has taken it.
#[derive(Debug)]
pub(super) struct Cues {
    /// Whether cues are spoken word for word.
    verbatim: bool,
    /// Whether the service greets by itself, which takes the place of the first cue.
    greets: bool,
    /// For when the voice is silent.
    waiting: VecDeque<Cue>,
    /// Sent last; the service may refuse it.
    sent: Option<Cue>,
    /// Words put into the caller's mouth, which the service will report as said by the caller.
    echoes: VecDeque<String>,
}

#[derive(Debug)]
struct Cue {
    text: Option<String>,
    /// Whether it was refused before: nothing is tried three times.
    again: bool,
}

impl Cues {
    pub(super) fn new(verbatim: bool, greets: bool) -> Self {
        Self { verbatim, greets, waiting: VecDeque::new(), sent: None, echoes: VecDeque::new() }
    }

    /// The call wants something to be said.
    pub(super) fn wanted(&mut self, text: Option<String>) {
        if std::mem::replace(&mut self.greets, false) {
            return;
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Cue { text, again: false });
    }

    /// The next message to send, given whether the voice is speaking.
    pub(super) fn next(&mut self, is_speaking: bool) -> Option<String> {
        let queues = self.verbatim && self.waiting.front().is_some_and(|cue| cue.text.is_some());
        if is_speaking && !queues {
            return None;
        }
        let cue = self.waiting.pop_front()?;
        let message = match &cue.text {
            Some(words) if self.verbatim => {
                ToAgent::InjectAgentMessage { message: words, behavior: "queue" }.to_json()
            }
            text => {
                let content = text.as_deref().map_or_else(|| GO_ON.to_owned(), instruction);
                let message = ToAgent::InjectUserMessage { content: &content }.to_json();
                if self.echoes.len() == WAITING_MAX {
                    self.echoes.pop_front();
                }
                self.echoes.push_back(content);
                message
            }
        };
        self.sent = Some(cue);
        Some(message)
    }

    /// The service refused what was sent last: it is tried once more when the voice has finished.
    pub(super) fn refused(&mut self) {
        if let Some(cue) = self.sent.take().filter(|cue| !cue.again) {
            self.waiting.push_front(Cue { again: true, ..cue });
        }
    }

    /// The caller or the voice said something, so that a greeting would come too late.
    pub(super) fn begun(&mut self) {
        self.greets = false;
    }

    /// Whether these words of the caller are our own.
    pub(super) fn is_echo(&mut self, words: &str) -> bool {
        let at = self.echoes.iter().position(|echo| echo == words);
        at.and_then(|at| self.echoes.remove(at)).is_some()
    }
}

fn instruction(cue: &str) -> String {
    format!("[Not said by the caller, an instruction for you: {cue}]")
}

/// The voice's turn, and nothing more to say about it.
const GO_ON: &str = "[Not said by the caller: it is your turn to speak. If the caller asked something, \
    answer it; if you were interrupted, go on; if nothing was said yet, greet the caller.]";

const WAITING_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cue_waits_for_the_voice_and_is_tried_twice() {
        let mut cues = Cues::new(false, false);
        cues.wanted(Some("Say hello.".into()));
        assert_eq!(cues.next(true), None);
        let first = cues.next(false).expect("the voice is silent");
        assert!(first.contains("InjectUserMessage") && first.contains("Say hello."), "{first}");
        assert_eq!(cues.next(false), None);
        cues.refused();
        assert_eq!(cues.next(false).as_ref(), Some(&first));
        cues.refused();
        assert_eq!(cues.next(false), None);
    }

    #[test]
    fn our_own_words_are_not_the_callers() {
        let mut cues = Cues::new(false, false);
        cues.wanted(None);
        assert!(cues.next(false).is_some());
        assert!(!cues.is_echo("Hello"));
        assert!(cues.is_echo(GO_ON));
        assert!(!cues.is_echo(GO_ON));
    }

    #[test]
    fn words_to_say_join_the_queue_of_the_service() {
        let mut cues = Cues::new(true, false);
        cues.wanted(Some("One moment.".into()));
        cues.wanted(None);
        let wanted = r#"{"type":"InjectAgentMessage","message":"One moment.","behavior":"queue"}"#;
        assert_eq!(cues.next(true).as_deref(), Some(wanted));
        assert_eq!(cues.next(true), None);
        assert!(cues.next(false).is_some_and(|message| message.contains("InjectUserMessage")));
    }

    #[test]
    fn a_greeting_of_the_service_takes_the_place_of_the_first_cue() {
        let mut cues = Cues::new(false, true);
        cues.wanted(Some("Greet.".into()));
        assert_eq!(cues.next(false), None);
        cues.wanted(Some("Go on.".into()));
        assert!(cues.next(false).is_some());
    }
}
