//! The service of the echo, which really listens: pure like the provider it tests, and without its types.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use voice_core::sim::peer::{FakeService, ServiceInput, ServiceOutput};
use voice_core::sim::rng::Rng;
use voice_core::sim::speech::{Hearing, Listener, recognise};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

/// One connection.
#[derive(Debug)]
pub struct FakeEcho {
    rng: Rng,
    ears: Listener,
    utterances: u32,
    replies: u32,
    now: MonoTime,
    due: VecDeque<(MonoTime, ServiceOutput)>,
}

/// What it repeats, it repeats so often.
const TIMES: usize = 3;

impl FakeEcho {
    /// One whose pauses are drawn from this seed.
    pub fn new(seed: u64) -> Self {
        let ears = Listener::new(Duration::from_millis(500));
        Self {
            rng: Rng::new(seed),
            ears,
            utterances: 0,
            replies: 0,
            now: MonoTime::ZERO,
            due: VecDeque::new(),
        }
    }

    fn say(&mut self, text: String) {
        self.due.push_back((self.now, ServiceOutput::Send(WireMessage::text(text))));
    }

    fn hear(&mut self, audio: &[u8]) {
        let mut noticed = Vec::new();
        self.ears.push(audio, &mut noticed);
        for hearing in noticed {
            match hearing {
                Hearing::Began { .. } => {
                    self.stop();
                    self.utterances += 1;
                    self.say(format!("began {}", self.utterances));
                }
                Hearing::Ended { audio, .. } => {
                    let words = recognise(&audio).map_or("(unclear)", |clip| clip.text);
                    self.say(format!("paused {}", self.utterances));
                    self.say(format!("said {} {words}", self.utterances));
                    self.repeat(words, &audio);
                }
            }
        }
    }

    fn repeat(&mut self, words: &str, audio: &[u8]) {
        self.replies += 1;
        let mut at = self.now + self.rng.millis(200..700);
        let message = |text: String| ServiceOutput::Send(WireMessage::text(text));
        for _ in 0..TIMES {
            self.due.push_back((at, message(format!("words {} {words} ", self.replies))));
            for piece in audio.chunks(1_600) {
                let piece = Bytes::copy_from_slice(piece);
                self.due.push_back((at, ServiceOutput::Send(WireMessage::Binary(piece))));
                at += Duration::from_millis(60);
            }
        }
        self.due.push_back((at, message(format!("done {}", self.replies))));
    }

    /// Nothing more of what it is saying.
    fn stop(&mut self) {
        let underway = self.due.iter().any(|(at, _)| *at > self.now);
        self.due.retain(|(at, _)| *at <= self.now);
        if underway {
            self.say(format!("words {} ", self.replies));
            self.say(format!("done {}", self.replies));
        }
    }
}

impl FakeService for FakeEcho {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        self.now = now;
        match input {
            ServiceInput::Request(_) => {
                self.due.push_back((now, ServiceOutput::Accept { subprotocol: None }));
                self.say("hello".to_owned());
            }
            ServiceInput::Wire(WireMessage::Binary(audio)) => self.hear(audio),
            ServiceInput::Wire(WireMessage::Text(text)) if text.as_str().starts_with("say ") => {
                self.stop();
                let clip = &voice_core::sim::speech::VOICE[0];
                self.repeat(clip.text, clip.mulaw);
            }
            ServiceInput::Wire(WireMessage::Text(text)) if text.as_str().starts_with("stop") => self.stop(),
            ServiceInput::Gone => self.due.clear(),
            // What it knows does not change what it repeats.
            ServiceInput::Wire(WireMessage::Text(_)) | ServiceInput::Tick => {}
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        match self.due.front() {
            Some((at, _)) if *at <= self.now => {
                let due = self.due.pop_front();
                due.map_or(ServiceOutput::WaitUntil(None), |(_, output)| output)
            }
            first => ServiceOutput::WaitUntil(first.map(|(at, _)| *at)),
        }
    }
}
