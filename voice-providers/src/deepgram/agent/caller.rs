//! The caller's turns as the service tells them: a beginning, later the words, and no end of their own.

use voice_core::id::{AttachmentId, UtteranceId};
use voice_core::provider::ProviderEvent;

/// Whose turn it is, as far as the caller is concerned.
#[derive(Debug)]
pub(super) struct Caller {
    attachment: AttachmentId,
    count: u32,
    turn: Turn,
}

#[derive(Debug)]
enum Turn {
    /// Nothing is open.
    None,
    /// The caller speaks.
    Speaking(UtteranceId),
    /// The caller's words are known; more may be added until the voice answers.
    Said(UtteranceId, String),
    /// The voice answered before the words were told.
    Unsaid(UtteranceId),
}

impl Caller {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self { attachment, count: 0, turn: Turn::None }
    }

    /// The service hears that the caller began to speak. It says so again when they go on after a
    /// breath, which is no new turn as long as nobody else said anything.
    pub(super) fn began(&mut self, mut tell: impl FnMut(ProviderEvent)) {
        match self.turn {
            Turn::Speaking(_) => return,
            // Nobody will transcribe it any more, and who waits for the words should know.
            Turn::Unsaid(utterance) => tell(said(utterance, String::new())),
            Turn::None | Turn::Said(..) => {}
        }
        let utterance = self.next();
        self.turn = Turn::Speaking(utterance);
        tell(ProviderEvent::CallerSpoke(utterance));
    }

    /// The words of the turn, which is thereby over.
    pub(super) fn said(&mut self, words: &str, mut tell: impl FnMut(ProviderEvent)) {
        let (utterance, text) = match std::mem::replace(&mut self.turn, Turn::None) {
            Turn::Unsaid(utterance) => return tell(said(utterance, words.to_owned())),
            Turn::Speaking(utterance) => {
                tell(ProviderEvent::CallerPaused(utterance));
                (utterance, words.to_owned())
            }
            Turn::Said(utterance, before) if before.len() + words.len() < TEXT_BYTES_MAX => {
                (utterance, format!("{before} {words}"))
            }
            Turn::None | Turn::Said(..) => {
                let utterance = self.next();
                tell(ProviderEvent::CallerSpoke(utterance));
                tell(ProviderEvent::CallerPaused(utterance));
                (utterance, words.to_owned())
            }
        };
        tell(said(utterance, text.clone()));
        self.turn = Turn::Said(utterance, text);
    }

    /// The voice says something: the turn is the caller's no more.
    pub(super) fn answered(&mut self, mut tell: impl FnMut(ProviderEvent)) {
        match self.turn {
            Turn::Speaking(utterance) => {
                self.turn = Turn::Unsaid(utterance);
                tell(ProviderEvent::CallerPaused(utterance));
            }
            Turn::Said(..) => self.turn = Turn::None,
            Turn::None | Turn::Unsaid(_) => {}
        }
    }

    fn next(&mut self) -> UtteranceId {
        self.count += 1;
        UtteranceId::new(self.attachment, self.count)
    }
}

fn said(utterance: UtteranceId, text: String) -> ProviderEvent {
    ProviderEvent::CallerSaid { utterance, text: text.into() }
}

/// Pieces beyond this begin another turn.
const TEXT_BYTES_MAX: usize = voice_core::limits::TURN_TEXT_BYTES_MAX;

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names what it wants")]
mod tests {
    use super::*;

    fn told(steps: &[&str]) -> String {
        let mut caller = Caller::new(AttachmentId(1));
        let mut log = Vec::new();
        for step in steps {
            let mut tell = |event| {
                log.push(match event {
                    ProviderEvent::CallerSpoke(u) => format!("spoke {}", u.number()),
                    ProviderEvent::CallerPaused(u) => format!("paused {}", u.number()),
                    ProviderEvent::CallerSaid { utterance, text } => {
                        format!("said {} {:?}", utterance.number(), text.expose())
                    }
                    other => panic!("{other:?}"),
                });
            };
            match *step {
                "began" => caller.began(&mut tell),
                "answered" => caller.answered(&mut tell),
                words => caller.said(words, &mut tell),
            }
        }
        log.join(", ")
    }

    #[test]
    fn turns_begin_once_and_end_with_words_or_an_answer() {
        assert_eq!(told(&["began", "a", "answered"]), r#"spoke 1, paused 1, said 1 "a""#);
        assert_eq!(told(&["began", "began", "a"]), r#"spoke 1, paused 1, said 1 "a""#);
        assert_eq!(told(&["began", "a", "b"]), r#"spoke 1, paused 1, said 1 "a", said 1 "a b""#);
        assert_eq!(told(&["began", "answered", "a"]), r#"spoke 1, paused 1, said 1 "a""#);
        assert_eq!(told(&["began", "answered", "began"]), r#"spoke 1, paused 1, said 1 "", spoke 2"#);
        assert_eq!(told(&["began", "a", "began"]), r#"spoke 1, paused 1, said 1 "a", spoke 2"#);
        assert_eq!(
            told(&["a", "answered", "b"]),
            r#"spoke 1, paused 1, said 1 "a", spoke 2, paused 2, said 2 "b""#
        );
    }
}
