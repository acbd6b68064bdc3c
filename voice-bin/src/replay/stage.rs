//! The world of a replay: a clock that jumps, a caller who makes noise when they spoke, a carrier that plays
//! in real time, and the script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::{AudioFormat, AudioFrame, Encoding};
use voice_core::call::{Call, CallConfig, CallStart, Control, Input, Output};
use voice_core::carrier::{CarrierCommand, CarrierEvent};
use voice_core::id::{AttachmentId, MarkId, ProviderId, ReplyId};
use voice_core::provider::{ProviderEvent, ReplyEnd};
use voice_core::record::{CallEvent, Entry};
use voice_core::sensitive::Pii;
use voice_core::time::MonoTime;

use super::script::{self, Act};

/// From the end of a piece of audio at the carrier to the mark that says so.
const MARK_DELAY: Duration = Duration::from_millis(60);

const FRAME: Duration = Duration::from_millis(20);

/// How long after the last act a call may take to come to its end by itself.
const EPILOGUE: Duration = Duration::from_secs(60);

pub(super) struct Stage {
    now: MonoTime,
    call: Call,
    format: AudioFormat,
    acts: VecDeque<(MonoTime, Act)>,
    assigned: BTreeMap<AttachmentId, ProviderId>,
    speech: Vec<(MonoTime, MonoTime)>,
    next_frame: MonoTime,
    ear: Ear,
    wakes: Option<MonoTime>,
    told: Vec<Entry>,
    is_over: bool,
}

/// What the carrier plays.
struct Ear {
    /// When all that was sent is played.
    until: MonoTime,
    marks: VecDeque<(MonoTime, MarkId)>,
}

impl Stage {
    /// `None` if the record does not begin with a beginning.
    pub(super) fn new(entries: &[Entry], config: Arc<CallConfig>) -> Option<Self> {
        let first = entries.first()?;
        let CallEvent::Started { carrier, carrier_call, format, from, to, correlation } = first.event.clone()
        else {
            return None;
        };
        let start = CallStart { carrier, carrier_call, format, from, to, correlation };
        let mut stage = Self {
            now: first.at,
            call: Call::new(first.at, config, start),
            format,
            acts: script::acts(entries).into(),
            assigned: script::assigned(entries),
            speech: script::speech(entries),
            next_frame: first.at + FRAME,
            ear: Ear { until: first.at, marks: VecDeque::new() },
            wakes: None,
            told: Vec::new(),
            is_over: false,
        };
        stage.drain();
        Some(stage)
    }

    /// What the call told this time.
    pub(super) fn play(mut self) -> Vec<Entry> {
        let end = self.acts.back().map_or(self.now, |(at, _)| *at) + EPILOGUE;
        while !self.is_over && self.now < end {
            self.step();
        }
        if !self.is_over {
            self.tell(Input::Control(Control::HangUp));
        }
        self.told
    }

    fn step(&mut self) {
        let act = self.acts.front().map(|(at, _)| *at);
        let mark = self.ear.marks.front().map(|(at, _)| *at);
        let due = [act, mark, self.wakes, Some(self.next_frame)].into_iter().flatten().min();
        self.now = due.map_or(self.now, |due| due.max(self.now));
        // What the call does by itself at this moment comes before what was done to it.
        if self.wakes.is_some_and(|at| at <= self.now) {
            self.tell(Input::Tick);
        } else if mark.is_some_and(|at| at <= self.now) {
            if let Some((_, mark)) = self.ear.marks.pop_front() {
                self.tell(Input::Carrier(CarrierEvent::Played(mark)));
            }
        } else if self.next_frame <= self.now {
            self.next_frame += FRAME;
            let frame = self.caller();
            self.tell(Input::Carrier(CarrierEvent::Audio(frame)));
        } else if let Some((_, act)) = self.acts.pop_front() {
            self.act(act);
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Input(input) => self.tell(input),
            Act::Reply(reply, length, words) => self.reply(reply, length, words),
            Act::Wish(attachment, provider) => {
                let is_known = |event: &CallEvent| matches!(event, CallEvent::Attaching { attachment: one, .. } if *one == attachment);
                if !self.has_told(is_known) {
                    self.tell(Input::Control(Control::Switch(provider)));
                }
            }
            Act::Problem(attachment, failure) => {
                let is_known = |event: &CallEvent| {
                    matches!(event, CallEvent::Problem { attachment: one, failure: what }
                        if *one == attachment && *what == failure)
                };
                if !self.has_told(is_known) {
                    self.tell(Input::Provider(attachment, ProviderEvent::Failed(failure.clone())));
                }
            }
        }
    }

    fn has_told(&self, is_it: impl Fn(&CallEvent) -> bool) -> bool {
        self.told.iter().any(|entry| is_it(&entry.event))
    }

    /// All of it at once: services speak faster than people listen.
    fn reply(&mut self, reply: ReplyId, length: Duration, text: Pii<String>) {
        let attachment = reply.attachment();
        let frames = length.as_millis().div_ceil(FRAME.as_millis());
        self.tell(Input::Provider(attachment, ProviderEvent::Words { reply, text }));
        for _ in 0..frames {
            let audio = frame(self.format, false).data;
            self.tell(Input::Provider(attachment, ProviderEvent::Speech { reply, audio }));
        }
        let end = ReplyEnd::Completed;
        self.tell(Input::Provider(attachment, ProviderEvent::ReplyDone { reply, end }));
    }

    fn caller(&self) -> AudioFrame {
        let speaks = self.speech.iter().any(|(from, to)| *from <= self.now && self.now < *to);
        frame(self.format, speaks)
    }

    fn tell(&mut self, input: Input) {
        self.call.handle(self.now, input);
        self.drain();
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
    fn drain(&mut self) {
        loop {
            match self.call.poll() {
                Output::Attach { id, .. } => {
                    let found = self.assigned.get(&id).cloned();
                    self.call.handle(self.now, Input::Assigned(id, found));
                }
                Output::Carrier(command) => self.ear.take(self.now, self.format, command),
                Output::Report(entry) => self.told.push(entry),
                Output::WaitUntil(at) => {
                    self.wakes = at.map(|(at, _)| at);
                    return;
                }
                Output::Finished(_) => {
                    self.is_over = true;
                    return;
                }
                _nobody_is_there => {}
            }
        }
    }
}

impl Ear {
    fn take(&mut self, now: MonoTime, format: AudioFormat, command: CarrierCommand) {
        self.until = self.until.max(now);
        match command {
            CarrierCommand::Play(frame) => self.until += format.duration_of(frame.data.len()),
            CarrierCommand::Mark(mark) => self.marks.push_back((self.until + MARK_DELAY, mark)),
            CarrierCommand::Clear => {
                self.until = now;
                self.marks.clear();
            }
            CarrierCommand::HangUp => {}
            _newer => {}
        }
    }
}

/// Twenty milliseconds of noise, or of silence.
fn frame(format: AudioFormat, is_loud: bool) -> AudioFrame {
    // Two samples that are far apart, or the one that is nothing.
    let samples: [&[u8]; 2] = match (format.encoding, is_loud) {
        (Encoding::Mulaw, true) => [&[0x80], &[0x00]],
        (Encoding::Mulaw, false) => [&[0xff], &[0xff]],
        (Encoding::Alaw, true) => [&[0xaa], &[0x2a]],
        (Encoding::Alaw, false) => [&[0xd5], &[0xd5]],
        (Encoding::Pcm16, true) => [&[0x00, 0x40], &[0x00, 0xc0]],
        (Encoding::Pcm16, false) => [&[0, 0], &[0, 0]],
    };
    let data: Vec<u8> = samples.concat().into_iter().cycle().take(format.frame_bytes()).collect();
    AudioFrame::new(format, Bytes::from(data))
}
