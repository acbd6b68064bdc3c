//! The ears: one line to Listen v1 or Flux, the caller's audio into it, turns out of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use voice_core::audio::AudioFormat;
use voice_core::failure::Failure;
use voice_core::id::LineId;
use voice_core::provider::SessionOutput;
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};

use super::failures;
use super::part::{LineIds, Part, Told, Unreadable};
use super::settings::{EarsModel, PipelineSettings};
use super::turns::{FluxTurns, ListenTurns, Turning};
use super::wire::{self, FromFlux, FromListen};

/// What the ears tell the rest.
pub(super) enum EarsEvent {
    /// They hear; the service's own name for the session.
    Ready(Option<String>),
    Turn(Turning),
}

/// See the module.
pub(super) struct Ears {
    settings: Arc<PipelineSettings>,
    format: AudioFormat,
    line: LineId,
    service: Service,
    state: State,
    flow: Flow,
    unreadable: Unreadable,
    outbox: VecDeque<Told<EarsEvent>>,
}

enum Service {
    Listen(ListenTurns),
    Flux(FluxTurns),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Dialling,
    /// Flux is up, but has not said so itself.
    Greeting,
    Hearing,
    Gone,
}

/// The caller's audio on its way out.
#[derive(Debug, Default)]
struct Flow {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// When all that was sent would have been sent at twice the speed of speech.
    paced_until: MonoTime,
    last_sent: MonoTime,
    last_heard: MonoTime,
    /// Silence made up since the caller's audio stopped, in bytes.
    made_up: usize,
    /// Sent since the service last said anything, in bytes.
    unanswered: usize,
}

/// Flux wants about 80 ms at once (protocol notes, Flux §3).
const FLUX_CHUNK: Duration = Duration::from_millis(80);

/// What was held while nobody heard is sent at twice the speed of speech, this much at once; the
/// service asks not to be flooded (protocol notes, Listen v1 §2.3).
const BURST: Duration = Duration::from_millis(500);

/// More than the ten seconds that a call holds is not kept.
const WAITING_MAX: Duration = Duration::from_secs(12);

/// Listen v1 gives up after 10 s without anything and advises 3–5 s.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(4);

/// Where the caller's audio stops within a turn, Flux never ends it; silence is made up after this…
const AUDIO_STOPPED: Duration = Duration::from_millis(300);
/// …for no longer than this: Flux ends a turn by itself after at most so long.
const MADE_UP_MAX: Duration = Duration::from_secs(60);

/// So much audio without any answer means that nobody is there. Both services report at least every few
/// seconds of audio, even of silence.
const UNANSWERED_MAX: Duration = Duration::from_secs(15);

impl Ears {
    pub(super) fn new(settings: Arc<PipelineSettings>, format: AudioFormat, language: Option<&str>) -> Self {
        let line = LineIds::of(Part::Ears).next();
        let service = match settings.ears.model {
            EarsModel::Listen { .. } => Service::Listen(ListenTurns::default()),
            EarsModel::Flux { .. } => Service::Flux(FluxTurns::default()),
        };
        let url = settings.ears_url(format, language);
        let endpoint = Endpoint::web_socket(url).header("authorization", settings.authorization());
        let outbox = VecDeque::from([Told::Out(SessionOutput::Dial(line, endpoint))]);
        let (state, flow, unreadable) = (State::Dialling, Flow::default(), Unreadable::default());
        Self { settings, format, line, service, state, flow, unreadable, outbox }
    }

    /// Takes the caller's audio.
    pub(super) fn hear(&mut self, now: MonoTime, audio: Bytes) {
        // An empty message would end the stream (protocol notes, Listen v1 §2.3).
        if audio.is_empty() || self.state == State::Gone {
            return;
        }
        self.flow.last_heard = now;
        self.flow.made_up = 0;
        self.flow.waiting_bytes += audio.len();
        self.flow.waiting.push_back(audio);
        let most = self.format.bytes_in(WAITING_MAX);
        while self.flow.waiting_bytes > most
            && let Some(oldest) = self.flow.waiting.pop_front()
        {
            self.flow.waiting_bytes -= oldest.len();
        }
        self.send_waiting(now);
    }

    pub(super) fn on_up(&mut self, now: MonoTime) {
        if self.state != State::Dialling {
            return;
        }
        // A socket that never had audio is closed whatever else it is sent.
        self.send(now, self.silence(FLUX_CHUNK));
        self.flow.unanswered = 0;
        match &self.service {
            Service::Listen(_) => self.become_ready(None),
            Service::Flux(_) => self.state = State::Greeting,
        }
    }

    pub(super) fn on_wire(&mut self, now: MonoTime, message: &WireMessage) {
        if self.state == State::Gone {
            return;
        }
        self.flow.unanswered = 0;
        let WireMessage::Text(text) = message else {
            let told = self.unreadable.count("binary message of the ears");
            return self.outbox.push_back(told);
        };
        let read = match &mut self.service {
            Service::Listen(_) => wire::from_listen(text.as_bytes()).map(|said| self.on_listen(now, said)),
            Service::Flux(_) => wire::from_flux(text.as_bytes()).map(|said| self.on_flux(said)),
        };
        if read.is_err() {
            let told = self.unreadable.count("message of the ears");
            self.outbox.push_back(told);
        }
    }

    pub(super) fn on_down(&mut self, end: &LineEnd) {
        if self.state != State::Gone {
            self.fail(failures::of_line(end));
        }
    }

    pub(super) fn tick(&mut self, now: MonoTime) {
        if self.state != State::Hearing {
            return;
        }
        self.send_waiting(now);
        let idle = now.since(self.flow.last_sent) >= KEEP_ALIVE_EVERY;
        match &mut self.service {
            Service::Listen(turns) => {
                if turns.tick(now) {
                    self.outbox.push_back(Told::text(self.line, wire::FINALIZE));
                } else if idle {
                    self.flow.last_sent = now;
                    self.outbox.push_back(Told::text(self.line, wire::KEEP_ALIVE));
                }
            }
            Service::Flux(turns) => {
                let stopped = now.since(self.flow.last_heard) >= AUDIO_STOPPED
                    && now.since(self.flow.last_sent) >= FLUX_CHUNK
                    && self.flow.made_up < self.format.bytes_in(MADE_UP_MAX);
                if idle || (turns.is_open() && stopped) {
                    self.make_up_silence(now);
                }
            }
        }
        self.report();
    }

    /// Says goodbye.
    pub(super) fn close(&mut self) {
        if matches!(self.state, State::Hearing | State::Greeting) {
            self.outbox.push_back(Told::text(self.line, wire::CLOSE_STREAM));
        }
        if self.state != State::Gone {
            self.outbox.push_back(Told::Out(SessionOutput::HangUp(self.line)));
        }
        self.state = State::Gone;
    }

    pub(super) fn poll(&mut self) -> Option<Told<EarsEvent>> {
        self.outbox.pop_front()
    }

    /// What is left for the lines themselves, when nothing else is of interest any more.
    pub(super) fn poll_wires(&mut self) -> Vec<SessionOutput> {
        self.outbox.drain(..).filter_map(Told::into_wire).collect()
    }

    pub(super) fn wakes_at(&self) -> Option<MonoTime> {
        if self.state != State::Hearing {
            return None;
        }
        let alive = Some(self.flow.last_sent + KEEP_ALIVE_EVERY);
        let backlog = self.next_chunk().map(|_| self.flow.paced_until.saturating_sub(BURST));
        let turn = match &self.service {
            Service::Listen(turns) => turns.wakes_at(),
            Service::Flux(turns) => {
                let more = self.flow.made_up < self.format.bytes_in(MADE_UP_MAX);
                (turns.is_open() && more)
                    .then(|| (self.flow.last_heard + AUDIO_STOPPED).max(self.flow.last_sent + FLUX_CHUNK))
            }
        };
        [alive, backlog, turn].into_iter().flatten().min()
    }

    fn on_listen(&mut self, now: MonoTime, said: FromListen) {
        let Service::Listen(turns) = &mut self.service else { return };
        match said {
            FromListen::Results(results) => turns.on_results(now, results),
            FromListen::SpeechStarted if self.settings.ears.barge_in_on_sound => turns.on_speech(now),
            FromListen::SpeechStarted | FromListen::Metadata => {}
            FromListen::UtteranceEnd => turns.on_utterance_end(),
            FromListen::Error { code } => self.fail(failures::of_message(&code)),
            FromListen::Unknown(kind) => self.outbox.push_back(Told::unknown(&kind)),
        }
        self.report();
    }

    fn on_flux(&mut self, said: FromFlux) {
        let Service::Flux(turns) = &mut self.service else { return };
        match said {
            FromFlux::Connected { request } => {
                if self.state == State::Greeting {
                    self.become_ready(request);
                }
            }
            FromFlux::Turn { event, transcript } => turns.on_turn(event, transcript),
            FromFlux::Warning { code } => self.outbox.push_back(Told::harmless(&code)),
            FromFlux::Error { code } => self.fail(failures::of_message(&code)),
            FromFlux::Unknown(kind) => self.outbox.push_back(Told::unknown(&kind)),
        }
        self.report();
    }

    /// Passes on what the turns have to tell.
    fn report(&mut self) {
        if self.state == State::Gone {
            return;
        }
        loop {
            let next = match &mut self.service {
                Service::Listen(turns) => turns.next(),
                Service::Flux(turns) => turns.next(),
            };
            let Some(turning) = next else { return };
            self.outbox.push_back(Told::Own(EarsEvent::Turn(turning)));
        }
    }

    fn become_ready(&mut self, session: Option<String>) {
        self.state = State::Hearing;
        self.outbox.push_back(Told::Own(EarsEvent::Ready(session)));
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Gone;
        self.outbox.push_back(Told::failed(failure));
    }

    fn send_waiting(&mut self, now: MonoTime) {
        while self.state == State::Hearing && self.flow.paced_until <= now + BURST {
            let Some(frames) = self.next_chunk() else { return };
            let chunk = self.take(frames);
            self.send(now, chunk);
        }
    }

    /// How many of the waiting frames go out together; `None` while there are too few.
    fn next_chunk(&self) -> Option<usize> {
        let wanted = match &self.service {
            Service::Listen(_) => 1,
            Service::Flux(_) => self.format.bytes_in(FLUX_CHUNK),
        };
        let mut bytes = 0;
        let enough = self.flow.waiting.iter().position(|frame| {
            bytes += frame.len();
            bytes >= wanted
        });
        enough.map(|last| last + 1)
    }

    fn take(&mut self, frames: usize) -> Bytes {
        let chunk = if frames == 1 {
            // One frame goes out as it came in, without a copy.
            self.flow.waiting.pop_front().unwrap_or_default()
        } else {
            let mut joined = BytesMut::new();
            self.flow.waiting.drain(..frames).for_each(|frame| joined.extend_from_slice(&frame));
            joined.freeze()
        };
        self.flow.waiting_bytes -= chunk.len();
        chunk
    }

    fn make_up_silence(&mut self, now: MonoTime) {
        let mut chunk = BytesMut::from(self.take(self.flow.waiting.len()));
        let silence = self.silence(FLUX_CHUNK);
        self.flow.made_up += silence.len();
        chunk.extend_from_slice(&silence);
        self.send(now, chunk.freeze());
    }

    fn send(&mut self, now: MonoTime, audio: Bytes) {
        let duration = self.format.duration_of(audio.len());
        self.flow.paced_until = self.flow.paced_until.max(now) + duration / 2;
        self.flow.last_sent = now;
        self.flow.unanswered += audio.len();
        self.outbox.push_back(Told::Out(SessionOutput::Send(self.line, WireMessage::Binary(audio))));
        if self.flow.unanswered > self.format.bytes_in(UNANSWERED_MAX) {
            self.fail(Failure::Stalled(UNANSWERED_MAX));
        }
    }

    fn silence(&self, duration: Duration) -> Bytes {
        Bytes::from(vec![self.format.encoding.silence_byte(); self.format.bytes_in(duration)])
    }
}
