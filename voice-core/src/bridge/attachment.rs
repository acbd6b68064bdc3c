//! One provider's session in a bridge, with its lines and the converters either way.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::audio::convert::Converter;
use crate::audio::framer::Framer;
use crate::audio::resample::Phase;
use crate::audio::{AudioFormat, AudioFrame, Encoding};
use crate::id::{AttachmentId, LineId, ReplyId};
use crate::provider::{
    CallerSpeech, Provider, ProviderCommand, ProviderEvent, ProviderSession, SessionInput, SessionOutput,
    Setup,
};
use crate::time::MonoTime;

use super::BridgeOutput;
use super::detector::Detector;

/// A session may have this many lines at once; more is a bug of the session, and refused.
const LINES_MAX: usize = 256;

/// See the module.
pub(super) struct Attachment {
    pub(super) id: AttachmentId,
    pub(super) session: Box<dyn ProviderSession>,
    /// When the session wants to be woken.
    pub(super) wakes: Option<MonoTime>,
    /// Caller's line to what the provider hears.
    to_provider: Converter,
    hears: AudioFormat,
    /// What the provider speaks to the caller's line, cut into frames.
    mouth: Mouth,
    /// Where the service does not say that the caller speaks.
    detector: Option<Detector>,
    answers_pings: bool,
    /// The session's own line numbers, at the place of the bridge's.
    lines: Vec<(LineId, LineId)>,
    /// Events made of one message, waiting for the call to take them.
    events: VecDeque<ProviderEvent>,
}

/// What an attachment has to tell.
pub(super) enum Told {
    Bridge(BridgeOutput),
    Call(ProviderEvent),
    Nothing,
}

struct Mouth {
    converter: Converter,
    framer: Framer,
    speaking: Option<ReplyId>,
}

impl Attachment {
    pub(super) fn open(
        line_format: AudioFormat,
        phase: Phase,
        provider: &dyn Provider,
        setup: Setup,
    ) -> Self {
        let (id, hears, speaks) = (setup.attachment, setup.hears, setup.speaks);
        let detector = match provider.capabilities().caller_speech {
            CallerSpeech::Told => None,
            CallerSpeech::Detected => Some(Detector::new(id, line_format)),
        };
        Self {
            id,
            session: provider.open(setup),
            answers_pings: provider.capabilities().lifetime.answers_pings,
            wakes: None,
            to_provider: Converter::with_phase(line_format, hears, phase),
            hears,
            mouth: Mouth {
                converter: Converter::with_phase(speaks, line_format, phase),
                framer: Framer::new(line_format),
                speaking: None,
            },
            detector,
            lines: Vec::new(),
            events: VecDeque::new(),
        }
    }

    pub(super) fn is_passthrough(&self) -> bool {
        self.to_provider.is_identity() && self.mouth.converter.is_identity()
    }

    /// The session's own number of one of the bridge's lines.
    pub(super) fn own_line(&self, line: LineId) -> Option<LineId> {
        self.lines.iter().find(|(_, bridge)| *bridge == line).map(|(own, _)| *own)
    }

    /// The lines whose peer is there if it answers a ping; none of a service that lets pings wait.
    pub(super) fn lines_to_doubt(&self) -> impl Iterator<Item = LineId> {
        self.lines.iter().filter(|_| self.answers_pings).map(|(_, line)| *line)
    }

    /// This line is no more. One that a session makes for each request must not count for ever.
    pub(super) fn forget_line(&mut self, line: LineId) {
        self.lines.retain(|(_, bridge)| *bridge != line);
    }

    pub(super) fn command(&mut self, now: MonoTime, command: ProviderCommand) {
        let command = if let ProviderCommand::Hear(frame) = command {
            if let Some(detector) = &mut self.detector {
                detector.hear(&frame, &mut self.events);
            }
            let data = self.to_provider.convert(frame.data);
            if data.is_empty() {
                return;
            }
            ProviderCommand::Hear(AudioFrame::new(self.hears, data))
        } else {
            command
        };
        if matches!(command, ProviderCommand::Interrupt(_)) {
            // Else a tail of old speech leaks into the next reply.
            self.mouth.clear();
        }
        self.session.handle(now, SessionInput::Command(command));
    }

    /// The next thing to tell. `Told::Nothing` once the session waits.
    pub(super) fn poll(&mut self, now: MonoTime, next_line: &mut u32) -> Told {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Told::Call(event);
            }
            match self.session.poll() {
                SessionOutput::Dial(own, endpoint) => match self.new_line(own, next_line) {
                    Some(line) => return Told::Bridge(BridgeOutput::Dial(line, endpoint)),
                    None => {
                        let end = crate::wire::LineEnd::Unreachable(crate::wire::Unreachable::Address);
                        self.session.handle(now, SessionInput::LineDown(own, end));
                    }
                },
                SessionOutput::Send(own, message) => {
                    if let Some(line) = self.line(own) {
                        return Told::Bridge(BridgeOutput::Send(line, message));
                    }
                }
                SessionOutput::HangUp(own) => {
                    if let Some(at) = self.lines.iter().position(|(o, _)| *o == own) {
                        let (_, line) = self.lines.swap_remove(at);
                        return Told::Bridge(BridgeOutput::HangUp(line));
                    }
                }
                SessionOutput::Event(ProviderEvent::Speech { reply, audio }) => {
                    self.mouth.speak(reply, audio, &mut self.events);
                }
                SessionOutput::Event(ProviderEvent::ReplyDone { reply, end }) => {
                    self.mouth.finish(reply, &mut self.events);
                    return Told::Call(self.then(ProviderEvent::ReplyDone { reply, end }));
                }
                SessionOutput::Event(event) => match &mut self.detector {
                    None => return Told::Call(event),
                    Some(detector) => {
                        if let Some(event) = detector.place(event) {
                            return Told::Call(event);
                        }
                    }
                },
                SessionOutput::WaitUntil(at) => {
                    self.wakes = at;
                    return Told::Nothing;
                }
            }
        }
    }

    /// Says goodbye and hangs up whatever the session leaves open.
    pub(super) fn close(mut self, now: MonoTime, next_line: &mut u32, outbox: &mut VecDeque<BridgeOutput>) {
        self.session.handle(now, SessionInput::Command(ProviderCommand::Close));
        loop {
            match self.poll(now, next_line) {
                // A session that is let go opens no new lines.
                Told::Bridge(BridgeOutput::Dial(..)) | Told::Call(_) => {}
                Told::Bridge(output) => outbox.push_back(output),
                Told::Nothing => break,
            }
        }
        outbox.extend(self.lines.into_iter().map(|(_, line)| BridgeOutput::HangUp(line)));
    }

    /// Puts the event behind those that are waiting, and answers with the first.
    fn then(&mut self, event: ProviderEvent) -> ProviderEvent {
        match self.events.pop_front() {
            Some(first) => {
                self.events.push_back(event);
                first
            }
            None => event,
        }
    }

    fn new_line(&mut self, own: LineId, next_line: &mut u32) -> Option<LineId> {
        if self.lines.len() >= LINES_MAX {
            return None;
        }
        self.lines.retain(|(o, _)| *o != own);
        let line = LineId(*next_line);
        *next_line = next_line.wrapping_add(1).max(1);
        self.lines.push((own, line));
        Some(line)
    }

    fn line(&self, own: LineId) -> Option<LineId> {
        self.lines.iter().find(|(o, _)| *o == own).map(|(_, line)| *line)
    }
}

impl Mouth {
    fn speak(&mut self, reply: ReplyId, audio: Bytes, events: &mut VecDeque<ProviderEvent>) {
        if let Some(before) = self.speaking.replace(reply)
            && before != reply
        {
            self.flush(before, events);
        }
        self.framer.push(self.converter.convert(audio));
        for audio in self.framer.by_ref() {
            events.push_back(ProviderEvent::Speech { reply, audio });
        }
    }

    fn finish(&mut self, reply: ReplyId, events: &mut VecDeque<ProviderEvent>) {
        if self.speaking == Some(reply) {
            self.speaking = None;
            self.flush(reply, events);
        }
    }

    /// What is left of a reply, made up to a whole frame with silence.
    fn flush(&mut self, reply: ReplyId, events: &mut VecDeque<ProviderEvent>) {
        if let Some(audio) = self.framer.flush() {
            events.push_back(ProviderEvent::Speech { reply, audio });
        }
        self.converter.reset();
    }

    fn clear(&mut self) {
        self.framer.clear();
        self.converter.reset();
        self.speaking = None;
    }
}

/// The format of those on offer that costs least to reach: the same, the same rate, the nearest rate.
pub(super) fn nearest(from: AudioFormat, offered: &[AudioFormat]) -> AudioFormat {
    let cost = |to: &AudioFormat| {
        let rate = from.rate.hz().abs_diff(to.rate.hz());
        let encoding = match (from.encoding, to.encoding) {
            (a, b) if a == b => 0,
            (Encoding::Mulaw, Encoding::Alaw) | (Encoding::Alaw, Encoding::Mulaw) => 2,
            _ => 1,
        };
        (rate, encoding)
    };
    offered.iter().copied().min_by_key(cost).unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_format_is_chosen() {
        let mulaw = AudioFormat::MULAW_8K;
        assert_eq!(nearest(mulaw, &[AudioFormat::PCM16_24K, mulaw]), mulaw);
        assert_eq!(nearest(mulaw, &[AudioFormat::PCM16_24K, AudioFormat::PCM16_16K]), AudioFormat::PCM16_16K);
        assert_eq!(nearest(mulaw, &[AudioFormat::ALAW_8K, AudioFormat::PCM16_8K]), AudioFormat::PCM16_8K);
        assert_eq!(nearest(mulaw, &[]), mulaw);
    }
}
