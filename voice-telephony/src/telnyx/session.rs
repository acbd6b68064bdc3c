//! The media stream of one call, from after `start` until it is over.

use std::collections::VecDeque;

use bytes::Bytes;
use voice_core::audio::convert::Converter;
use voice_core::audio::{AudioFormat, AudioFrame, Encoding};
use voice_core::carrier::{
    CarrierCommand, CarrierEnd, CarrierEvent, CarrierInput, CarrierOutput, CarrierSession, Digit, Oddity,
};
use voice_core::limits::{CARRIER_AUDIO_MAX, ODDITIES_MAX};
use voice_core::time::MonoTime;
use voice_core::wire::{LineEnd, WireMessage};

use super::hearing::{Hearing, Keys, Took};
use super::id::StreamId;
use super::media::{Codec, Swapper};
use super::opening::Expected;
use super::time::unix_micros;
use super::wire::{FromTelnyx, Media, clear, mark, media};
use crate::limits::STREAM_SILENT_MAX;
use crate::marks::{Echo, Marks};
use crate::wire::decode_audio;

/// Translates between Telnyx's messages and the call's events. Made by [`super::Opening`].
///
/// Its format is what we send. Where the leg speaks something else the caller's audio is converted here
/// (a table from A-law to mu-law), so that the rest sees one format. Frames and keys arrive out of order
/// and are put in order; the price is a wait of at most [`crate::limits::REORDER_WAIT`], and only where
/// something is missing.
///
/// Closing the socket does not end the call: [`super::CallControl`] does that.
#[derive(Debug)]
pub struct TelnyxSession {
    stream_id: StreamId,
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
    marks: Marks,
    /// What the caller's audio arrives in.
    received: AudioFormat,
    /// What it leaves in.
    format: AudioFormat,
    /// Where L16 is spoken.
    swapper: Option<Swapper>,
    converter: Converter,
    hearing: Hearing,
    keys: Keys,
    /// How many of them, lately.
    presses: crate::keys::Keys,
    oddities: u32,
    /// When Telnyx last said anything.
    heard_at: MonoTime,
}

impl CarrierSession for TelnyxSession {
    fn handle(&mut self, now: MonoTime, input: CarrierInput<'_>) {
        match input {
            CarrierInput::Command(command) => self.command(command),
            CarrierInput::Wire(message) => self.wire(now, message),
            CarrierInput::LineDown(end) => self.end(CarrierEnd::LineDown(end)),
            CarrierInput::Tick => {}
        }
        self.pass_on(now);
    }

    fn poll(&mut self) -> CarrierOutput {
        self.outbox.pop_front().unwrap_or_else(|| CarrierOutput::WaitUntil(self.wakes_at()))
    }

    fn format(&self) -> AudioFormat {
        self.format
    }
}

impl TelnyxSession {
    pub(super) fn new(
        now: MonoTime,
        stream_id: StreamId,
        (codec, received): (Codec, AudioFormat),
        expected: Expected,
    ) -> Self {
        let format = expected.codec.format();
        let speaks_l16 = codec == Codec::L16 || expected.codec == Codec::L16;
        let live = Live {
            marks: Marks::default(),
            received,
            format,
            swapper: speaks_l16.then(|| Swapper::new(expected.byte_order)),
            converter: Converter::new(received, format),
            hearing: Hearing::new(),
            keys: Keys::default(),
            presses: crate::keys::Keys::default(),
            oddities: 0,
            heard_at: now,
        };
        Self { stream_id, format, phase: Phase::Live(Box::new(live)), outbox: VecDeque::new() }
    }

    /// The stream this session translates for.
    pub const fn stream_id(&self) -> &StreamId {
        &self.stream_id
    }

    fn command(&mut self, command: CarrierCommand) {
        let Phase::Live(live) = &mut self.phase else { return };
        match command {
            CarrierCommand::Play(frame) => {
                debug_assert_eq!(frame.format, self.format, "the bridge converts before it plays");
                if frame.format == self.format && !frame.data.is_empty() {
                    let audio = live.outgoing(frame);
                    self.outbox.push_back(CarrierOutput::Send(media(&audio)));
                }
            }
            CarrierCommand::Mark(number) => {
                let generation = live.marks.sent(number);
                self.outbox.push_back(CarrierOutput::Send(mark(generation, number.0)));
            }
            CarrierCommand::Clear => {
                live.marks.cleared();
                self.outbox.push_back(CarrierOutput::Send(clear()));
            }
            CarrierCommand::HangUp => {
                self.phase = Phase::HangingUp;
                self.outbox.push_back(CarrierOutput::HangUp);
            }
            // A command that is newer than this session asks for nothing that the stream can do.
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
            WireMessage::Text(text) => live.hear(now, text.as_bytes(), &self.stream_id),
        };
        match heard {
            Heard::Nothing => {}
            Heard::Event(event) => self.report(event),
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
        let read = FromTelnyx::read(message.as_bytes());
        if read.is_some_and(|message| message.event.as_str() == "stop") {
            self.end(CarrierEnd::Stopped);
        }
    }

    /// What is in order by now, and the end of a stream that says nothing: a socket that nobody told
    /// that the call is over.
    fn pass_on(&mut self, now: MonoTime) {
        let Phase::Live(live) = &mut self.phase else { return };
        let is_silent = now >= live.heard_at + STREAM_SILENT_MAX;
        live.take(now, &mut self.outbox);
        if is_silent {
            self.give_up(CarrierEnd::LineDown(LineEnd::Cut));
        }
    }

    fn wakes_at(&self) -> Option<MonoTime> {
        match &self.phase {
            Phase::Live(live) => {
                let waits = [live.hearing.gives_up_at(), live.keys.due()];
                waits.into_iter().flatten().chain([live.heard_at + STREAM_SILENT_MAX]).min()
            }
            Phase::HangingUp | Phase::Ended => None,
        }
    }

    fn give_up(&mut self, end: CarrierEnd) {
        self.outbox.push_back(CarrierOutput::HangUp);
        self.end(end);
    }

    /// What still waited for something missing comes before the end.
    fn end(&mut self, end: CarrierEnd) {
        if let Phase::Live(live) = &mut self.phase {
            live.take_rest(&mut self.outbox);
        }
        if !matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Ended;
            self.report(CarrierEvent::Ended(end));
        }
    }

    fn report(&mut self, event: CarrierEvent) {
        self.outbox.push_back(CarrierOutput::Event(event));
    }
}

/// What one message came to, beyond audio and keys, which may have to wait.
enum Heard {
    Nothing,
    Event(CarrierEvent),
    Stop,
    Odd(Oddity),
}

impl Live {
    fn hear(&mut self, now: MonoTime, message: &[u8], stream_id: &StreamId) -> Heard {
        let Some(message) = FromTelnyx::read(message) else { return Heard::Odd(Oddity::Unreadable) };
        if message.stream_id.as_ref().is_some_and(|id| id.as_str() != stream_id.as_str()) {
            return Heard::Odd(Oddity::WrongStream);
        }
        match (message.event.as_str(), message.media, message.mark, message.dtmf) {
            ("media", Some(media), _, _) => self.audio(now, &media),
            ("mark", _, Some(mark), _) => match self.marks.echoed(mark.name.as_str()) {
                Echo::Played(mark) => Heard::Event(CarrierEvent::Played(mark)),
                Echo::Stale => Heard::Nothing,
                Echo::Unknown => Heard::Odd(Oddity::BadMark),
            },
            ("dtmf", _, _, Some(dtmf)) => {
                let pressed_at = message.occurred_at.as_ref().and_then(|at| unix_micros(at.as_str()));
                self.key(now, dtmf.digit.as_str(), pressed_at)
            }
            ("stop", ..) => Heard::Stop,
            ("media" | "mark" | "dtmf", ..) => Heard::Odd(Oddity::Unreadable),
            ("connected" | "start", ..) => Heard::Odd(Oddity::OutOfPlace),
            ("error", ..) => Heard::Odd(Oddity::Complaint),
            _ => Heard::Odd(Oddity::UnknownEvent),
        }
    }

    fn audio(&mut self, now: MonoTime, media: &Media<'_>) -> Heard {
        match media.track.as_ref().map(|track| track.as_str()) {
            None | Some("inbound" | "inbound_track") => {}
            // Our own voice, if somebody asked for both tracks.
            Some("outbound" | "outbound_track") => return Heard::Nothing,
            Some(_) => return Heard::Odd(Oddity::OutOfPlace),
        }
        let data = decode_audio(media.payload.as_str(), self.received.bytes_in(CARRIER_AUDIO_MAX));
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return Heard::Odd(Oddity::BadAudio);
        };
        match self.hearing.push(now, media.chunk.0, data) {
            Took::Kept | Took::Late => Heard::Nothing,
            Took::Stray => Heard::Odd(Oddity::OutOfPlace),
        }
    }

    fn key(&mut self, now: MonoTime, key: &str, pressed_at: Option<u64>) -> Heard {
        let mut keys = key.chars();
        match (keys.next().and_then(Digit::new), keys.next()) {
            (Some(_), None) if !self.presses.press(now) => Heard::Odd(Oddity::TooManyKeys),
            (Some(digit), None) => {
                self.keys.push(now, digit, pressed_at);
                Heard::Nothing
            }
            _ => Heard::Odd(Oddity::BadDigit),
        }
    }

    fn take(&mut self, now: MonoTime, out: &mut VecDeque<CarrierOutput>) {
        self.hearing.look_at(now);
        self.take_audio(out);
        while let Some(digit) = self.keys.next(now) {
            out.push_back(CarrierOutput::Event(CarrierEvent::Digit(digit)));
        }
    }

    fn take_rest(&mut self, out: &mut VecDeque<CarrierOutput>) {
        self.hearing.wait_no_longer();
        self.take_audio(out);
        for digit in self.keys.rest() {
            out.push_back(CarrierOutput::Event(CarrierEvent::Digit(digit)));
        }
    }

    fn take_audio(&mut self, out: &mut VecDeque<CarrierOutput>) {
        while let Some((lost, data)) = self.hearing.next(self.received) {
            if let Some(lost) = lost {
                out.push_back(CarrierOutput::Event(CarrierEvent::Lost(lost)));
            }
            let audio = self.incoming(data);
            if !audio.data.is_empty() {
                out.push_back(CarrierOutput::Event(CarrierEvent::Audio(audio)));
            }
        }
    }

    fn incoming(&mut self, data: Bytes) -> AudioFrame {
        let is_l16 = self.received.encoding == Encoding::Pcm16;
        let data = match &mut self.swapper {
            Some(swapper) if is_l16 => swapper.read(data),
            Some(_) | None => data,
        };
        AudioFrame::new(self.format, self.converter.convert(data))
    }

    /// At least 20 ms, because Telnyx drops what is shorter (protocol notes, Telnyx §4), in its order of
    /// bytes.
    fn outgoing(&self, frame: AudioFrame) -> Bytes {
        let mut data = frame.data;
        if data.len() < frame.format.frame_bytes() {
            let mut padded = data.to_vec();
            padded.resize(frame.format.frame_bytes(), frame.format.encoding.silence_byte());
            data = Bytes::from(padded);
        }
        let is_l16 = frame.format.encoding == Encoding::Pcm16;
        match &self.swapper {
            Some(swapper) if is_l16 => swapper.write(data),
            Some(_) | None => data,
        }
    }
}
