//! What the three parts of a pipeline have in common: lines of their own, and how they tell things.

use voice_core::failure::Failure;
use voice_core::id::LineId;
use voice_core::limits;
use voice_core::provider::{ProviderEvent, SessionOutput};
use voice_core::wire::WireMessage;

/// Which part a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Ears,
    Mind,
    Voice,
}

/// Gives a part its lines. Each dial gets a number of its own, so that nothing late is taken for new.
#[derive(Debug)]
pub(super) struct LineIds {
    next: u32,
}

impl LineIds {
    pub(super) fn of(part: Part) -> Self {
        Self { next: part as u32 }
    }

    pub(super) fn next(&mut self) -> LineId {
        let line = LineId(self.next);
        self.next = self.next.wrapping_add(PARTS);
        line
    }
}

impl Part {
    /// Whose line this is.
    pub(super) fn owner(line: LineId) -> Self {
        match line.0 % PARTS {
            0 => Self::Ears,
            1 => Self::Mind,
            _ => Self::Voice,
        }
    }
}

const PARTS: u32 = 3;

/// What a part has to tell: something for the world as it is, or something of its own.
pub(super) enum Told<E> {
    Out(SessionOutput),
    Own(E),
}

impl<E> Told<E> {
    /// What is sent or hung up; nothing else.
    pub(super) fn into_wire(self) -> Option<SessionOutput> {
        match self {
            Self::Out(output @ (SessionOutput::Send(..) | SessionOutput::HangUp(_))) => Some(output),
            Self::Out(_) | Self::Own(_) => None,
        }
    }

    pub(super) fn text(line: LineId, text: impl Into<String>) -> Self {
        Self::Out(SessionOutput::Send(line, WireMessage::text(text)))
    }

    pub(super) fn failed(failure: Failure) -> Self {
        Self::Out(SessionOutput::Event(ProviderEvent::Failed(failure)))
    }

    /// Something that somebody should know and that changes nothing.
    pub(super) fn harmless(code: &str) -> Self {
        Self::failed(Failure::Harmless { code: Failure::clean_code(code) })
    }

    pub(super) fn unknown(kind: &str) -> Self {
        Self::Out(SessionOutput::Event(ProviderEvent::Unknown { kind: Failure::clean_code(kind) }))
    }
}

/// Counts what cannot be read; a peer that sends nothing else has failed.
#[derive(Debug, Default)]
pub(super) struct Unreadable(u32);

impl Unreadable {
    /// One more.
    pub(super) fn count<E>(&mut self, what: &'static str) -> Told<E> {
        self.0 += 1;
        if self.0 >= limits::UNREADABLE_MAX {
            return Told::failed(Failure::Unreadable(what));
        }
        Told::unknown("unreadable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_knows_its_owner() {
        for part in [Part::Ears, Part::Mind, Part::Voice] {
            let mut ids = LineIds::of(part);
            let lines: Vec<LineId> = (0..4).map(|_| ids.next()).collect();
            assert!(lines.iter().all(|line| Part::owner(*line) == part), "{lines:?}");
            assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "{lines:?}");
        }
    }
}
