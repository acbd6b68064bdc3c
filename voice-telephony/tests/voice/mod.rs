//! Whoever talks in tests with any carrier: a script that listens, or a real call.

mod conversation;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::convert::Converter;
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::carrier::{CarrierCommand, CarrierEvent};
use voice_core::id::MarkId;
use voice_core::sim::speech::{Hearing, Listener, recognise, voice};
use voice_core::time::MonoTime;

pub(crate) use conversation::{Conversation, Story, Who, Wishes};

/// Whoever has a media socket.
pub(crate) trait Talks {
    fn due(&self) -> Option<MonoTime>;

    fn tick(&mut self, now: MonoTime) -> Vec<CarrierCommand>;

    fn hear(&mut self, now: MonoTime, event: &CarrierEvent) -> Vec<CarrierCommand>;
}

/// The book shop's voice: knows the clips, answers each, falls silent when it is interrupted. Sends each
/// reply at once, as providers do.
pub(crate) struct Voice {
    format: AudioFormat,
    to_ear: Converter,
    from_mouth: Converter,
    listener: Listener,
    /// Replies for later.
    later: VecDeque<(MonoTime, &'static str)>,
    marks: u64,
    played: u64,
}

impl Voice {
    /// Hears and speaks this.
    pub(crate) fn new(now: MonoTime, format: AudioFormat) -> Self {
        Self {
            format,
            to_ear: Converter::new(format, AudioFormat::MULAW_8K),
            from_mouth: Converter::new(AudioFormat::MULAW_8K, format),
            listener: Listener::new(Duration::from_millis(500)),
            later: VecDeque::from([(now + Duration::from_millis(200), "greeting")]),
            marks: 0,
            played: 0,
        }
    }

    fn say(&mut self, name: &'static str, commands: &mut Vec<CarrierCommand>) {
        for (number, piece) in voice(name).expect("a clip").mulaw.chunks(160).enumerate() {
            let audio = self.from_mouth.convert(Bytes::from_static(piece));
            let frame = AudioFrame::new(self.format, audio);
            commands.push(CarrierCommand::Play(frame));
            if number % 10 == 9 {
                self.mark(commands);
            }
        }
        self.mark(commands);
    }

    fn mark(&mut self, commands: &mut Vec<CarrierCommand>) {
        self.marks += 1;
        commands.push(CarrierCommand::Mark(MarkId(self.marks)));
    }
}

impl Talks for Voice {
    fn due(&self) -> Option<MonoTime> {
        self.later.front().map(|(at, _)| *at)
    }

    fn tick(&mut self, now: MonoTime) -> Vec<CarrierCommand> {
        let mut commands = Vec::new();
        while let Some((_, name)) = self.later.pop_front_if(|(at, _)| *at <= now) {
            self.say(name, &mut commands);
        }
        commands
    }

    fn hear(&mut self, now: MonoTime, event: &CarrierEvent) -> Vec<CarrierCommand> {
        let mut commands = Vec::new();
        if let CarrierEvent::Played(MarkId(number)) = event {
            assert!(*number > self.played, "marks come back once, in order");
            self.played = *number;
        }
        let CarrierEvent::Audio(frame) = event else { return commands };
        let mut noticed = Vec::new();
        self.listener.push(&self.to_ear.convert(frame.data.clone()), &mut noticed);
        for hearing in noticed {
            match hearing {
                Hearing::Began { .. } if self.played < self.marks => {
                    commands.push(CarrierCommand::Clear);
                    self.played = self.marks;
                }
                Hearing::Began { .. } => {}
                Hearing::Ended { audio, .. } => {
                    for (after_ms, reply) in answer(recognise(&audio).map(|clip| clip.name)) {
                        self.later.push_back((now + Duration::from_millis(*after_ms), reply));
                    }
                }
            }
        }
        commands
    }
}

fn answer(heard: Option<&str>) -> &'static [(u64, &'static str)] {
    match heard {
        Some("hello") => &[(300, "hear")],
        Some("order") => &[(300, "check"), (3_300, "order")],
        Some("delivery") => &[(300, "delivery")],
        Some("price") => &[(300, "price")],
        Some("thanks") => &[(300, "welcome")],
        Some("goodbye") => &[(300, "goodbye")],
        _ => &[(300, "sorry")],
    }
}
