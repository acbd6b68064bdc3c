//! The media stream of one call, from after `start` until it is over.

use std::collections::VecDeque;
use std::time::Duration;

use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::carrier::{
    CarrierCommand, CarrierEnd, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession, Digit, Oddity,
};
use voice_core::id::MarkId;
use voice_core::limits::{CARRIER_AUDIO_MAX, ODDITIES_MAX};
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};

use super::sid::StreamSid;
use super::wire::{FromTwilio, Media, Writer};
use crate::keys::Keys;
use crate::limits::{LOSS_MAX, STREAM_SILENT_MAX};
use crate::marks::{Echo, Marks};
use crate::wire::{Counter, decode_audio};

/// Translates between Twilio's messages and the call's events. Made by [`super::Opening`].
#[derive(Debug)]
pub struct TwilioSession {
    stream_sid: StreamSid,
    format: AudioFormat,
    phase: Phase,
    outbox: VecDeque<CarrierOutput>,
}

#[derive(Debug)]
enum Phase {
    /// Audio flows. Boxed, because the others have nothing.
    Live(Box<Live>),
    /// We asked for the end, and wait for the line to go.
    HangingUp,
    /// The end was reported; nothing more is.
    Ended,
}

#[derive(Debug)]
struct Live {
    writer: Writer,
    marks: Marks,
    position: Position,
    keys: Keys,
    oddities: u32,
    /// When Twilio last said anything.
    heard_at: MonoTime,
}

/// Where the caller's audio stands, by Twilio's own counting.
#[derive(Debug, Default)]
struct Position {
    /// The last chunk's number.
    chunk: Option<u64>,
    /// Where the last chunk ended, in milliseconds of the stream.
    end_ms: Option<u64>,
    /// How long the last chunk was.
    length: Duration,
}

impl CarrierSession for TwilioSession {
    fn handle(&mut self, now: MonoTime, input: CarrierInput<'_>) {
        match input {
            CarrierInput::Command(command) => self.command(command),
            CarrierInput::Wire(message) => self.wire(now, message),
            CarrierInput::LineDown(end) => self.end(CarrierEnd::LineDown(end)),
            CarrierInput::Tick => self.tick(now),
        }
    }

    fn poll(&mut self) -> CarrierOutput {
        self.outbox.pop_front().unwrap_or_else(|| CarrierOutput::WaitUntil(self.silence_deadline()))
    }

    fn format(&self) -> AudioFormat {
        self.format
    }
}

impl TwilioSession {
    pub(super) fn new(now: MonoTime, stream_sid: StreamSid, format: AudioFormat) -> Self {
        let live = Live {
            writer: Writer::new(stream_sid.clone()),
            marks: Marks::default(),
            position: Position::default(),
            keys: Keys::default(),
            oddities: 0,
            heard_at: now,
        };
        Self { stream_sid, format, phase: Phase::Live(Box::new(live)), outbox: VecDeque::new() }
    }

    /// The stream this session translates for.
    pub const fn stream_sid(&self) -> &StreamSid {
        &self.stream_sid
    }

    fn command(&mut self, command: CarrierCommand) {
        let Phase::Live(live) = &mut self.phase else { return };
        match command {
            CarrierCommand::Play(frame) => {
                debug_assert_eq!(frame.format, self.format, "the bridge converts before it plays");
                if frame.format == self.format && !frame.data.is_empty() {
                    self.outbox.push_back(CarrierOutput::Send(live.writer.media(&frame.data)));
                }
            }
            CarrierCommand::Mark(mark) => {
                self.outbox.push_back(CarrierOutput::Send(live.mark(mark)));
            }
            CarrierCommand::Clear => {
                self.outbox.push_back(CarrierOutput::Send(live.clear()));
            }
            CarrierCommand::HangUp => {
                // The TwiML has no verb after `<Connect>` unless somebody wants the call to go on, so
                // the end of the stream is the end of the call.
                self.phase = Phase::HangingUp;
                self.outbox.push_back(CarrierOutput::HangUp);
            }
            // A command that is newer than this session asks for nothing that Twilio's stream can do.
            _ => {}
        }
    }

    fn wire(&mut self, now: MonoTime, message: &WireMessage) {
        let live = match &mut self.phase {
            Phase::Live(live) => live,
            Phase::HangingUp => return self.stop_while_hanging_up(message),
            Phase::Ended => return,
        };
        live.heard_at = now;
        let heard = match message {
            WireMessage::Binary(_) => Heard::Odd(Oddity::Binary),
            WireMessage::Text(text) => live.hear(text.as_bytes(), &self.stream_sid, self.format),
        };
        match heard {
            Heard::Nothing => {}
            Heard::Event(event) => self.report(event),
            Heard::Audio { lost, audio } => {
                if let Some(lost) = lost {
                    self.report(CarrierEvent::Lost(lost));
                }
                self.report(CarrierEvent::Audio(audio));
            }
            Heard::Stop => self.end(CarrierEnd::Stopped),
            Heard::Odd(oddity) => {
                // A kind of message that is new today is no reason to give up a call tomorrow.
                live.oddities += u32::from(oddity != Oddity::UnknownEvent);
                let is_enough = live.oddities >= ODDITIES_MAX;
                self.report(CarrierEvent::Oddity(oddity));
                if is_enough {
                    self.give_up(CarrierEnd::Nonsense);
                }
            }
        }
    }

    /// Of a stream that we are leaving only its end is of interest.
    fn stop_while_hanging_up(&mut self, message: &WireMessage) {
        let read = FromTwilio::read(message.as_bytes());
        if read.is_some_and(|message| message.event.as_str() == "stop") {
            self.end(CarrierEnd::Stopped);
        }
    }

    /// A stream that says nothing is a socket that nobody told that the call is over.
    fn tick(&mut self, now: MonoTime) {
        if self.silence_deadline().is_some_and(|deadline| now >= deadline) {
            self.give_up(CarrierEnd::LineDown(LineEnd::Cut));
        }
    }

    fn silence_deadline(&self) -> Option<MonoTime> {
        match &self.phase {
            Phase::Live(live) => Some(live.heard_at + STREAM_SILENT_MAX),
            Phase::HangingUp | Phase::Ended => None,
        }
    }

    fn give_up(&mut self, end: CarrierEnd) {
        self.outbox.push_back(CarrierOutput::HangUp);
        self.end(end);
    }

    fn end(&mut self, end: CarrierEnd) {
        if !matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Ended;
            self.report(CarrierEvent::Ended(end));
        }
    }

    fn report(&mut self, event: CarrierEvent) {
        self.outbox.push_back(CarrierOutput::Event(event));
    }
}

/// What one message came to.
enum Heard {
    Nothing,
    Event(CarrierEvent),
    Audio { lost: Option<Duration>, audio: AudioFrame },
    Stop,
    Odd(Oddity),
}

impl Live {
    fn hear(&mut self, message: &[u8], stream_sid: &StreamSid, format: AudioFormat) -> Heard {
        let Some(message) = FromTwilio::read(message) else { return Heard::Odd(Oddity::Unreadable) };
        if message.stream_sid.as_ref().is_some_and(|sid| sid.as_str() != stream_sid.as_str()) {
            return Heard::Odd(Oddity::WrongStream);
        }
        match (message.event.as_str(), message.media, message.mark, message.dtmf) {
            ("media", Some(media), _, _) => self.audio(&media, format),
            ("mark", _, Some(mark), _) => self.echo(mark.name.as_str()),
            ("dtmf", _, _, Some(dtmf)) => self.press(dtmf.digit.as_str()),
            ("stop", ..) => Heard::Stop,
            ("media" | "mark" | "dtmf", ..) => Heard::Odd(Oddity::Unreadable),
            ("connected" | "start", ..) => Heard::Odd(Oddity::OutOfPlace),
            _ => Heard::Odd(Oddity::UnknownEvent),
        }
    }

    fn audio(&mut self, media: &Media<'_>, format: AudioFormat) -> Heard {
        if media.track.as_ref().is_some_and(|track| track.as_str() != "inbound") {
            return Heard::Odd(Oddity::OutOfPlace);
        }
        let data = decode_audio(media.payload.as_str(), format.bytes_in(CARRIER_AUDIO_MAX));
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return Heard::Odd(Oddity::BadAudio);
        };
        let audio = AudioFrame::new(format, data);
        match self.position.advance(media.chunk, media.timestamp, audio.duration()) {
            Advance::Next { lost } => Heard::Audio { lost, audio },
            Advance::Again => Heard::Odd(Oddity::OutOfPlace),
        }
    }

    fn press(&mut self, key: &str) -> Heard {
        let heard = digit(key);
        let is_too_much = matches!(heard, Heard::Event(_)) && !self.keys.press(self.heard_at);
        if is_too_much { Heard::Odd(Oddity::TooManyKeys) } else { heard }
    }

    fn mark(&mut self, mark: MarkId) -> WireMessage {
        let generation = self.marks.sent(mark);
        self.writer.mark(generation, mark.0)
    }

    /// Twilio echoes the marks that it throws away as well; their generation tells them apart.
    fn clear(&mut self) -> WireMessage {
        self.marks.cleared();
        self.writer.clear()
    }

    fn echo(&mut self, name: &str) -> Heard {
        match self.marks.echoed(name) {
            Echo::Played(mark) => Heard::Event(CarrierEvent::Played(mark)),
            Echo::Stale => Heard::Nothing,
            Echo::Unknown => Heard::Odd(Oddity::BadMark),
        }
    }
}

fn digit(key: &str) -> Heard {
    let mut keys = key.chars();
    match (keys.next().and_then(Digit::new), keys.next()) {
        (Some(digit), None) => Heard::Event(CarrierEvent::Digit(digit)),
        _ => Heard::Odd(Oddity::BadDigit),
    }
}

enum Advance {
    Next {
        lost: Option<Duration>,
    },
    /// The same chunk a second time.
    Again,
}

impl Position {
    /// Takes the counters of the next chunk. TCP keeps the order, so what is missing was dropped by
    /// Twilio before it was sent (its warning 31930: we read too slowly).
    fn advance(&mut self, chunk: Counter, timestamp: Counter, length: Duration) -> Advance {
        if chunk.0.is_some() && chunk.0 == self.chunk {
            return Advance::Again;
        }
        // Counters that fall begin anew: nothing can be said about what lies between.
        let missing = match (self.chunk, chunk.0) {
            (Some(last), Some(this)) => this.saturating_sub(last).saturating_sub(1),
            _ => 0,
        };
        let silent_ms = match (self.end_ms, timestamp.0) {
            (Some(end), Some(this)) => this.saturating_sub(end),
            _ => 0,
        };
        let by_count = self.length.saturating_mul(u32::try_from(missing).unwrap_or(u32::MAX));
        let by_time = Duration::from_millis(silent_ms);
        let lost = match (self.chunk, chunk.0) {
            // The count says whether; the clock says how much, where it says more than nothing.
            (Some(_), Some(_)) if missing == 0 => Duration::ZERO,
            (Some(_), Some(_)) if by_time > Duration::ZERO => by_time,
            (Some(_), Some(_)) => by_count,
            // Without a count only a gap of a whole chunk is believed: timestamps are rounded.
            _ if by_time >= length => by_time,
            _ => Duration::ZERO,
        };
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        *self =
            Self { chunk: chunk.0, end_ms: timestamp.0.map(|start| start.saturating_add(length_ms)), length };
        Advance::Next { lost: (lost > Duration::ZERO).then_some(lost.min(LOSS_MAX)) }
    }
}
