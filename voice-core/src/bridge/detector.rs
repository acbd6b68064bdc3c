//! When the caller speaks, where the service does not say so by itself.
//!
//! The bridge's ear knows better than the session when the caller speaks; the session knows better what
//! they said, and what the service made of it. Here the two become one row of utterances.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::speech::{SpeechChange, SpeechDetector};
use crate::audio::{AudioFormat, AudioFrame};
use crate::id::{AttachmentId, UtteranceId};
use crate::provider::ProviderEvent;

/// A pause as long as services take for the end of a turn.
const TURN_SILENCE: Duration = Duration::from_millis(500);

/// Words without an utterance have numbers of their own, which none that is detected will reach.
const STRAY: u32 = 1 << 31;

/// See the module.
pub(super) struct Detector {
    id: AttachmentId,
    ear: SpeechDetector,
    /// What was noticed in one frame; reused.
    changes: Vec<SpeechChange>,
    utterances: u32,
    speaking: bool,
    /// The last utterance for which there are words.
    said: u32,
    /// Words for which there was no utterance.
    strays: u32,
}

impl Detector {
    pub(super) fn new(id: AttachmentId, line_format: AudioFormat) -> Self {
        Self {
            id,
            ear: SpeechDetector::new(line_format, TURN_SILENCE),
            changes: Vec::new(),
            utterances: 0,
            speaking: false,
            said: 0,
            strays: 0,
        }
    }

    /// Listens to a frame of the caller.
    pub(super) fn hear(&mut self, frame: &AudioFrame, events: &mut VecDeque<ProviderEvent>) {
        self.ear.push(&frame.data, &mut self.changes);
        let mut changes = std::mem::take(&mut self.changes);
        for change in changes.drain(..) {
            self.speaking = matches!(change, SpeechChange::Began { .. });
            self.utterances += u32::from(self.speaking);
            let utterance = self.utterance();
            events.push_back(if self.speaking {
                ProviderEvent::CallerSpoke(utterance)
            } else {
                ProviderEvent::CallerPaused(utterance)
            });
        }
        self.changes = changes;
    }

    /// Gives what the session says of the caller its place among the utterances that were detected.
    ///
    /// That the caller spoke is told unless it is known, and so is that they paused. Words belong to the
    /// utterance of the moment, or to one of their own if that has words already.
    pub(super) fn place(&mut self, event: ProviderEvent) -> Option<ProviderEvent> {
        if let ProviderEvent::CallerSpoke(_) = event {
            if self.speaking {
                return None;
            }
            self.utterances += 1;
            Some(ProviderEvent::CallerSpoke(self.utterance()))
        } else if let ProviderEvent::CallerPaused(_) = event {
            (!self.speaking).then(|| ProviderEvent::CallerPaused(self.utterance()))
        } else if let ProviderEvent::CallerSaid { text, .. } = event {
            let told = self.said == self.utterances;
            if told && self.speaking {
                // The number of the utterance that is under way has to stay.
                self.strays += 1;
                let utterance = UtteranceId::new(self.id, STRAY | self.strays);
                return Some(ProviderEvent::CallerSaid { utterance, text });
            }
            self.utterances += u32::from(told);
            self.said = self.utterances;
            Some(ProviderEvent::CallerSaid { utterance: self.utterance(), text })
        } else {
            Some(event)
        }
    }

    fn utterance(&self) -> UtteranceId {
        UtteranceId::new(self.id, self.utterances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_find_the_utterance_that_was_detected() {
        let id = AttachmentId(1);
        let own = UtteranceId::new(id, 99);
        let at = |number| UtteranceId::new(id, number);
        let said = |utterance| ProviderEvent::CallerSaid { utterance, text: "yes".into() };
        let mut detector = Detector::new(id, AudioFormat::MULAW_8K);
        (detector.utterances, detector.speaking) = (1, true);
        assert_eq!(detector.place(ProviderEvent::CallerSpoke(own)), None);
        assert_eq!(detector.place(ProviderEvent::CallerPaused(own)), None);
        detector.speaking = false;
        assert_eq!(detector.place(said(own)), Some(said(at(1))));
        assert_eq!(detector.place(said(own)), Some(said(at(2))), "the first has its words");
        let spoke = detector.place(ProviderEvent::CallerSpoke(own));
        assert_eq!(spoke, Some(ProviderEvent::CallerSpoke(at(3))), "only the service noticed");
        assert_eq!(detector.place(said(own)), Some(said(at(3))));
        detector.speaking = true;
        assert_eq!(detector.place(said(own)), Some(said(at(STRAY | 1))), "the third has its words");
    }

    #[test]
    fn a_voice_on_the_line_is_an_utterance() {
        let mut detector = Detector::new(AttachmentId(1), AudioFormat::MULAW_8K);
        let mut events = VecDeque::new();
        for byte in [0xff_u8, 0x20, 0xff] {
            for _ in 0..40 {
                let frame = AudioFrame::new(AudioFormat::MULAW_8K, vec![byte; 160].into());
                detector.hear(&frame, &mut events);
            }
        }
        let one = UtteranceId::new(AttachmentId(1), 1);
        assert_eq!(events, [ProviderEvent::CallerSpoke(one), ProviderEvent::CallerPaused(one)]);
    }
}
