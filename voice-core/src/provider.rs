//! The port to an AI service: what it can do as data, a session that translates, and nothing async.
//!
//! Implementing a provider means implementing [`Provider`] (settings and capabilities) and
//! [`ProviderSession`] (a translator between that service's wires and our events). The contract of a
//! session, which `sim::contract` tests:
//!
//! * after every `handle`, `poll` is called until it answers [`SessionOutput::WaitUntil`];
//! * [`SessionOutput::Dial`] asks for a line; the answer is [`SessionInput::LineUp`] or
//!   [`SessionInput::LineDown`], and after `LineDown` that line never speaks again;
//! * [`ProviderEvent::Ready`] comes once, when instructions, tools and history have been accepted;
//! * replies carry ids made with `ReplyId::new(setup.attachment, n)`, `n` rising; nothing of a reply
//!   follows its `ReplyDone`;
//! * after [`ProviderEvent::Failed`] with a verdict other than `Ignore`, nothing more comes;
//! * nothing a peer sends makes it panic or grow without a bound.

use std::time::Duration;

use std::sync::Arc;

use crate::audio::{AudioFormat, AudioFrame};
pub use crate::capabilities::{CallerSpeech, Capabilities};
use crate::capabilities::{MicroUsd, TokenRates};
use crate::conversation::{Heard, ToolCall, ToolDefinition, ToolResult, Turn};
use crate::failure::Failure;
use crate::id::{AttachmentId, CorrelationId, LineId, ReplyId, ToolCallId, UtteranceId};
use crate::sensitive::Pii;
use crate::time::{MonoTime, UnixMillis};
use crate::wire::{Endpoint, LineEnd, WireMessage};

use bytes::Bytes;

/// An AI service as configured: address, key, model, voice. One value serves every call.
pub trait Provider: Send + Sync {
    /// What it can do and how it behaves.
    fn capabilities(&self) -> &Capabilities;

    /// Starts one conversation. Nothing is dialled before the first `poll`.
    fn open(&self, setup: Setup) -> Box<dyn ProviderSession>;

    /// A request that tells whether the service is there and takes our key, without costing anything:
    /// the name of a model, a list of projects. A success status means yes. `None` if there is none.
    fn probe(&self) -> Option<Endpoint> {
        None
    }

    /// That, and the same of every other service without which this one cannot talk. Of those others not all know
    /// the question: one that answers 404 or 405 is there, and its key was not refused. A fourth method with
    /// an answer of its own, because most providers are one service.
    fn probes(&self) -> Vec<Endpoint> {
        self.probe().into_iter().collect()
    }
}

/// One conversation with the service: a translator between its wires and our events.
pub trait ProviderSession: Send {
    /// The only way in. Cannot fail and must not block.
    fn handle(&mut self, now: MonoTime, input: SessionInput<'_>);

    /// The only way out.
    fn poll(&mut self) -> SessionOutput;
}

/// Everything a session needs to take a call, at its beginning or in the middle.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which stay this is; makes the session's ids unique within the call.
    pub attachment: AttachmentId,
    /// For peers' headers and logs.
    pub correlation: CorrelationId,
    /// What the voice is and does.
    pub instructions: Arc<str>,
    /// Tools it may call.
    pub tools: Arc<[ToolDefinition]>,
    /// The conversation so far, oldest first; empty at the beginning of a call.
    pub history: Vec<Turn>,
    /// Format of [`ProviderCommand::Hear`], one of [`Capabilities::hears`].
    pub hears: AudioFormat,
    /// Format wanted in [`ProviderEvent::Speech`], one of [`Capabilities::speaks`].
    pub speaks: AudioFormat,
    /// Language the caller speaks, BCP 47, where known.
    pub language: Option<String>,
    /// Wall-clock time that belongs to the `now` of the first `handle`.
    pub unix: UnixMillis,
}

/// What a session is told.
#[derive(Debug)]
pub enum SessionInput<'a> {
    /// The call wants something.
    Command(ProviderCommand),
    /// A dialled line is up (for HTTP: a success status has arrived).
    LineUp(LineId),
    /// A message arrived.
    Wire(LineId, &'a WireMessage),
    /// A line is gone, or never came up.
    LineDown(LineId, LineEnd),
    /// The time asked for has come (or something else woke us: check the timers).
    Tick,
}

/// What a session wants.
#[derive(Debug)]
pub enum SessionOutput {
    /// Open this line.
    Dial(LineId, Endpoint),
    /// Send this message.
    Send(LineId, WireMessage),
    /// Close this line politely.
    HangUp(LineId),
    /// Tell the call.
    Event(ProviderEvent),
    /// Nothing more for now; wake me then with [`SessionInput::Tick`], if at all.
    WaitUntil(Option<MonoTime>),
}

/// What a call asks of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderCommand {
    /// The caller's audio, in the format of [`Setup::hears`]; 20 ms as a rule, never an empty frame.
    Hear(AudioFrame),
    /// The caller interrupted. What they heard of each reply that was cut, oldest first. Nothing of
    /// those replies will be played any more, whatever still arrives.
    Interrupt(Vec<Heard>),
    /// Say something now, without waiting for the caller.
    Speak {
        /// What to say, in words for the model; `None` leaves it to the instructions.
        cue: Option<String>,
    },
    /// A tool has answered.
    Answer {
        /// Which call of a tool.
        id: ToolCallId,
        /// What came of it.
        result: ToolResult,
    },
    /// What was said since [`Setup::history`] was made; comes before the first `Hear` after a warm-up.
    CatchUp(Vec<Turn>),
    /// Something the model should know, without an answer being due.
    Note(Pii<String>),
    /// The conversation is over: say goodbye to the service and hang up all lines.
    Close,
}

/// What a session reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderEvent {
    /// Instructions, tools and history are accepted; from now on it hears.
    Ready {
        /// The service's own name for the session, for support requests.
        session: Option<String>,
        /// When the service will end it, where it says so.
        expires: Option<MonoTime>,
    },
    /// The caller began to speak.
    CallerSpoke(UtteranceId),
    /// The caller fell silent and the turn is theirs no more.
    CallerPaused(UtteranceId),
    /// What the caller said, whole. May come long after, even after the reply to it.
    CallerSaid {
        /// Which turn.
        utterance: UtteranceId,
        /// The transcription; empty if it failed.
        text: Pii<String>,
    },
    /// A piece of a reply, in the format of [`Setup::speaks`]; any length, faster than real time.
    Speech {
        /// Which reply.
        reply: ReplyId,
        /// Whole samples.
        audio: Bytes,
    },
    /// A piece of the words of a reply; runs ahead of the audio.
    Words {
        /// Which reply.
        reply: ReplyId,
        /// To be appended to what came before.
        text: Pii<String>,
    },
    /// Nothing more of this reply will come.
    ReplyDone {
        /// Which reply.
        reply: ReplyId,
        /// How it ended.
        end: ReplyEnd,
    },
    /// The voice wants a tool to be run; answered with [`ProviderCommand::Answer`].
    ToolCall(ToolCall),
    /// The voice is no longer interested.
    ToolCancelled(ToolCallId),
    /// So much audio of the caller was taken and never reached the service: its connection was lost, and what
    /// can be held meanwhile is bounded.
    Unheard(Duration),
    /// What was consumed since the last such event.
    Used(Usage),
    /// A message of a kind we do not know, or that we cannot read. Counted, never fatal by itself.
    Unknown {
        /// The kind, cleaned by [`Failure::clean_code`].
        kind: String,
    },
    /// Something went wrong. The verdict says whether the session is over.
    Failed(Failure),
}

/// How a reply ended on the provider's side. Says nothing about what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyEnd {
    /// Said all it wanted.
    Completed,
    /// Cancelled, by us or because the caller spoke.
    Cancelled,
    /// Cut off by a limit or filter of the service.
    Incomplete,
    /// The service failed while speaking.
    Failed,
}

/// Consumption as services bill it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Text tokens read afresh.
    pub text_in: u32,
    /// Audio tokens read afresh.
    pub audio_in: u32,
    /// Tokens of either kind read from a cache; not contained in the two above.
    pub cached_in: u32,
    /// Text tokens written.
    pub text_out: u32,
    /// Audio tokens spoken.
    pub audio_out: u32,
}

impl Usage {
    /// What it costs at these rates, rounded up; `None` if something was used whose price is not known.
    ///
    /// ```
    /// use voice_core::capabilities::{MicroUsd, TokenRates};
    /// use voice_core::provider::Usage;
    ///
    /// let rates = TokenRates { text_out: Some(MicroUsd(24_000_000)), ..TokenRates::default() };
    /// let written = Usage { text_out: 500, ..Usage::default() };
    /// assert_eq!(written.cost(&rates), Some(MicroUsd(12_000)));
    /// assert_eq!(Usage { audio_in: 1, ..written }.cost(&rates), None);
    /// ```
    pub fn cost(&self, rates: &TokenRates) -> Option<MicroUsd> {
        let mut millionths: u128 = 0;
        for (tokens, rate) in [
            (self.text_in, rates.text_in),
            (self.audio_in, rates.audio_in),
            (self.cached_in, rates.cached_in),
            (self.text_out, rates.text_out),
            (self.audio_out, rates.audio_out),
        ] {
            if tokens > 0 {
                millionths += u128::from(tokens) * u128::from(rate?.0);
            }
        }
        Some(MicroUsd(u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX)))
    }
}
