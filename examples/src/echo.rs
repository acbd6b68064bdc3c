//! A whole provider in one small file: a voice that repeats what the caller says, as mountains do.
//!
//! The service (there is none but the fake beside this file) speaks mu-law in binary messages, and a few
//! words in text: it says `hello`, `began N`, `paused N`, `said N …`, `words N …`, `done N`; it is told
//! `say …`, `know …` and `stop`. What a real service adds to this is only more of the same: a longer list
//! of messages in `wire.rs`, and settings.

pub mod fake;

use std::collections::VecDeque;

use voice_core::audio::AudioFormat;
use voice_core::capabilities::{Capabilities, HistoryForm, HistoryForms};
use voice_core::conversation::Turn;
use voice_core::failure::Failure;
use voice_core::id::{LineId, ReplyId, UtteranceId};
use voice_core::limits::UNREADABLE_MAX;
use voice_core::provider::{
    Provider, ProviderCommand, ProviderEvent, ProviderSession, ReplyEnd, SessionInput, SessionOutput, Setup,
};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, WireMessage};

/// The service as configured.
#[derive(Clone, Debug)]
pub struct Echo {
    url: String,
    capabilities: Capabilities,
}

impl Echo {
    /// The service at this address, `wss://…`.
    pub fn new(url: impl Into<String>) -> Self {
        let formats = vec![AudioFormat::MULAW_8K];
        let mut capabilities = Capabilities::new(formats.clone(), formats);
        capabilities.tools = None;
        capabilities.history = HistoryForms::same(HistoryForm::Words);
        Self { url: url.into(), capabilities }
    }
}

impl Provider for Echo {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        let outbox = VecDeque::from([SessionOutput::Dial(LINE, Endpoint::web_socket(&self.url))]);
        Box::new(Session {
            setup,
            stage: Stage::Dialling,
            replies: Replies::default(),
            unreadable: 0,
            outbox,
        })
    }
}

/// The only line.
const LINE: LineId = LineId(0);

/// Of what was said before, the last so many bytes are told: a quarter of what may wait on a line.
const KNOW_BYTES_MAX: usize = 64 << 10;

struct Session {
    setup: Setup,
    stage: Stage,
    replies: Replies,
    unreadable: u32,
    outbox: VecDeque<SessionOutput>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Dialling,
    Greeting,
    Talking,
    Over,
}

/// The service's numbers of utterances and replies rise, and so do ours.
#[derive(Default)]
struct Replies {
    utterance: u32,
    paused: u32,
    begun: u32,
    done: u32,
}

impl ProviderSession for Session {
    fn handle(&mut self, _now: MonoTime, input: SessionInput<'_>) {
        match (input, &self.stage) {
            (_, Stage::Over) | (SessionInput::Tick, _) => {}
            (SessionInput::Command(ProviderCommand::Close), _) => {
                self.stage = Stage::Over;
                self.outbox.push_back(SessionOutput::HangUp(LINE));
            }
            (SessionInput::Command(command), Stage::Talking) => self.on_command(command),
            // Before it is ready nobody listens.
            (SessionInput::Command(_), Stage::Dialling | Stage::Greeting) => {}
            (SessionInput::LineUp(_), _) => self.stage = Stage::Greeting,
            (SessionInput::LineDown(_, end), _) => {
                self.stage = Stage::Over;
                self.event(ProviderEvent::Failed(Failure::from_line_end(&end)));
            }
            (SessionInput::Wire(_, WireMessage::Text(text)), _) => self.on_text(text.as_str()),
            (SessionInput::Wire(_, WireMessage::Binary(audio)), _) => {
                if self.replies.done < self.replies.begun && !audio.is_empty() {
                    let reply = ReplyId::new(self.setup.attachment, self.replies.begun);
                    self.event(ProviderEvent::Speech { reply, audio: audio.clone() });
                }
            }
        }
    }

    fn poll(&mut self) -> SessionOutput {
        self.outbox.pop_front().unwrap_or(SessionOutput::WaitUntil(None))
    }
}

impl Session {
    fn on_command(&mut self, command: ProviderCommand) {
        match command {
            ProviderCommand::Hear(frame) => {
                self.outbox.push_back(SessionOutput::Send(LINE, WireMessage::Binary(frame.data)));
            }
            ProviderCommand::Interrupt(_) => self.say("stop", ""),
            ProviderCommand::Speak { cue } => self.say("say", cue.as_deref().unwrap_or("something")),
            ProviderCommand::CatchUp(turns) => self.know(&turns),
            ProviderCommand::Note(text) => self.say("know", text.expose()),
            // It calls no tools; and a wish that is younger than this file means nothing to it.
            _ => {}
        }
    }

    fn on_text(&mut self, text: &str) {
        let mut words = text.splitn(3, ' ');
        let kind = words.next().unwrap_or_default();
        let number: u32 = words.next().and_then(|number| number.parse().ok()).unwrap_or_default();
        let rest = words.next().unwrap_or_default();
        let utterance = UtteranceId::new(self.setup.attachment, number);
        let reply = ReplyId::new(self.setup.attachment, number);
        let Replies { utterance: spoken, paused, begun, done } = &mut self.replies;
        let event = match kind {
            "hello" if self.stage == Stage::Greeting => return self.on_hello(),
            _ if self.stage != Stage::Talking => return self.on_unreadable(),
            "began" if number > *spoken => {
                *spoken = number;
                ProviderEvent::CallerSpoke(utterance)
            }
            "paused" if number == *spoken && number > *paused => {
                *paused = number;
                ProviderEvent::CallerPaused(utterance)
            }
            "said" if number == *spoken && number > 0 => {
                ProviderEvent::CallerSaid { utterance, text: rest.into() }
            }
            "words" if number > *done && number >= *begun => {
                *begun = number;
                ProviderEvent::Words { reply, text: rest.into() }
            }
            "done" if number == *begun && number > *done => {
                *done = number;
                ProviderEvent::ReplyDone { reply, end: ReplyEnd::Completed }
            }
            _ => return self.on_unreadable(),
        };
        self.event(event);
    }

    fn on_hello(&mut self) {
        self.stage = Stage::Talking;
        let history = std::mem::take(&mut self.setup.history);
        self.know(&history);
        self.event(ProviderEvent::Ready { session: None, expires: None });
    }

    fn on_unreadable(&mut self) {
        self.unreadable += 1;
        self.event(ProviderEvent::Unknown { kind: "unreadable".to_owned() });
        if self.unreadable >= UNREADABLE_MAX {
            self.stage = Stage::Over;
            self.outbox.push_back(SessionOutput::HangUp(LINE));
            self.event(ProviderEvent::Failed(Failure::Unreadable("message")));
        }
    }

    fn know(&mut self, turns: &[Turn]) {
        let mut room = KNOW_BYTES_MAX;
        let mut told: Vec<String> = Vec::new();
        for turn in turns.iter().rev() {
            let words = match turn {
                Turn::Caller { text } | Turn::Voice { text, .. } | Turn::Note { text } => {
                    text.expose().clone()
                }
                Turn::Tool { call, result } => {
                    let output = result.as_ref().map_or("running", |result| result.output.expose());
                    format!("{} {} {output}", call.name, call.arguments.expose())
                }
            };
            let Some(left) = room.checked_sub(words.len() + 8) else { break };
            room = left;
            told.push(words);
        }
        for words in told.iter().rev().filter(|words| !words.is_empty()) {
            self.say("know", words);
        }
    }

    fn say(&mut self, kind: &str, words: &str) {
        self.outbox.push_back(SessionOutput::Send(LINE, WireMessage::text(format!("{kind} {words}"))));
    }

    fn event(&mut self, event: ProviderEvent) {
        self.outbox.push_back(SessionOutput::Event(event));
    }
}
