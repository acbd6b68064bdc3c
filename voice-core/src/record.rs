//! The record of a call: everything worth telling about it, numbered. All else is a reader of it.
//!
//! Journal, metrics, log, console and the embedder's own code read the same [`Entry`]s. Folding them
//! rebuilds the call. Text and numbers of people are [`Pii`], so that a reader must say so when it
//! prints them.

mod measured;

use std::time::Duration;

use crate::audio::AudioFormat;
use crate::carrier::{CarrierEnd, Digit, Oddity};
use crate::consent::Consent;
use crate::conversation::ToolCall;
use crate::failure::Failure;
use crate::id::{AttachmentId, CarrierId, CorrelationId, ProviderId, ReplyId, ToolCallId, UtteranceId};
use crate::provider::Usage;
use crate::recording::{RecordStep, RecordingEnd, RecordingPlace, RecordingRefusal, SavedRecording};
use crate::sensitive::Pii;
use crate::time::MonoTime;
use crate::transfer::{TransferFailure, TransferId, TransferKind};

pub use measured::{Sound, VoiceToVoice};

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Rises by one from 1, without a gap, within a call.
    pub seq: u64,
    /// When, in the call's own time.
    pub at: MonoTime,
    /// What.
    pub event: CallEvent,
}

/// What can happen in a call that is worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEvent {
    /// The caller's media is here. Always the first entry.
    Started {
        /// Who carries the call.
        carrier: CarrierId,
        /// The carrier's own name for the call, for support requests and reconciliation.
        carrier_call: String,
        /// Format of the caller's line.
        format: AudioFormat,
        /// Who calls, as the carrier tells it.
        from: Pii<String>,
        /// The number that was called.
        to: Pii<String>,
        /// Finds the call in everybody's logs.
        correlation: CorrelationId,
    },
    /// The caller's media is here again: the server had died, another one takes over, the media socket
    /// broke, or a transfer came to nothing. Follows whatever was told last, even [`Self::Ended`], and begins
    /// a new stay: times of entries from here on may be of another process's clock.
    Returned {
        /// Which of the call's media sockets, as the carrier was given them; rises.
        leg: u32,
        /// Format of the caller's line now.
        format: AudioFormat,
        /// From the entry before until now, as far as clocks can tell.
        after: Duration,
        /// Why it was away.
        why: Away,
    },
    /// Somebody is wanted to talk with the caller.
    Attaching {
        /// Which attempt.
        attachment: AttachmentId,
        /// Why.
        why: Why,
    },
    /// A provider was chosen and is being connected.
    Assigned {
        /// Which attempt.
        attachment: AttachmentId,
        /// Who.
        provider: ProviderId,
    },
    /// The provider accepted instructions, tools and history.
    Ready {
        /// Which attempt.
        attachment: AttachmentId,
        /// The service's own name for the session.
        session: Option<String>,
        /// From the attempt's beginning until now.
        took: Duration,
    },
    /// Nobody could take the call. All are asked again after this wait; the caller's audio is held.
    Retrying {
        /// The how manieth time, from 1.
        round: u32,
        /// How long from now.
        wait: Duration,
    },
    /// The caller would have heard nothing: the first sound of a prompt is about to reach them.
    Covered {
        /// Which.
        kind: CoverKind,
    },
    /// From now on this one hears the caller.
    Live {
        /// Which attachment.
        attachment: AttachmentId,
        /// How long nobody heard the caller before; their audio was held meanwhile.
        gap: Duration,
    },
    /// Another voice talks than before. Follows the `Live` of the new one.
    Switched(Switch),
    /// Somebody told the voice something about the caller or the conversation.
    Noted {
        /// What.
        text: Pii<String>,
    },
    /// Somebody asked the voice to say something.
    Cued {
        /// In words for the model.
        cue: Pii<String>,
    },
    /// The call is to end once the caller has heard what is being said.
    GoodbyeWanted,
    /// The conversation so far was put in short, for whoever takes over when it has grown too long.
    Summarised {
        /// The summary.
        text: Pii<String>,
    },
    /// This one is let go.
    Detached {
        /// Which attachment.
        attachment: AttachmentId,
    },
    /// Something went wrong with a provider. The verdict says what was done.
    Problem {
        /// Whose.
        attachment: AttachmentId,
        /// What.
        failure: Failure,
    },
    /// A request to switch was not carried out.
    SwitchRefused {
        /// Why not.
        why: SwitchRefusal,
    },
    /// The caller began to speak.
    CallerSpoke {
        /// Which turn.
        utterance: UtteranceId,
    },
    /// The caller fell silent and it is the voice's turn.
    CallerPaused {
        /// Which turn.
        utterance: UtteranceId,
    },
    /// What the caller said.
    CallerSaid {
        /// Which turn.
        utterance: UtteranceId,
        /// The transcription; empty if it failed.
        text: Pii<String>,
    },
    /// The first sound of a reply is about to reach the caller.
    ReplyStarted {
        /// Which reply.
        reply: ReplyId,
        /// From the caller's last voiced frame until now, where the caller spoke before.
        latency: Option<Duration>,
    },
    /// More of a reply has surely reached the caller, while it goes on. Told each half second in which words
    /// were heard, so that not more than that is lost with the server.
    ReplyProgress {
        /// Which reply.
        reply: ReplyId,
        /// The words since the last time.
        more: Pii<String>,
        /// How much sound of it has reached the caller by now.
        heard: Duration,
    },
    /// The first sound of an answer has reached the caller, by the word of the carrier's marks.
    FirstSound(VoiceToVoice),
    /// How well sound got through since the last such entry: every ten seconds, when another voice talks, and
    /// at the end.
    Sound(Sound),
    /// A reply is over, as far as the caller is concerned.
    ReplyHeard {
        /// Which reply.
        reply: ReplyId,
        /// The words that reached the caller.
        text: Pii<String>,
        /// How much sound of it reached the caller.
        heard: Duration,
        /// How much was received but never played.
        unheard: Duration,
        /// Whether it was cut short.
        cut: bool,
    },
    /// The caller interrupted; `ReplyHeard` with `cut` follows for each reply that was cut.
    BargeIn {
        /// The reply that was being heard.
        reply: ReplyId,
        /// How much of it was heard.
        heard: Duration,
        /// How much of it was thrown away.
        unheard: Duration,
    },
    /// The voice called a tool.
    ToolCalled(ToolCall),
    /// The tool answered, failed, or took too long.
    ToolAnswered {
        /// Which call of a tool.
        id: ToolCallId,
        /// Output for the model.
        output: Pii<String>,
        /// Whether it failed.
        failed: bool,
        /// How long it ran.
        took: Duration,
    },
    /// The voice did not want the result any more.
    ToolCancelled {
        /// Which call of a tool.
        id: ToolCallId,
    },
    /// The caller pressed a key.
    Digit {
        /// Which; private, because people type card numbers.
        digit: Pii<Digit>,
    },
    /// The caller was put on hold: neither hears the other.
    Held {
        /// Whether they hear music.
        music: bool,
    },
    /// The caller is off hold.
    Resumed {
        /// How long they were on hold.
        after: Duration,
        /// Whether that was because it took too long.
        timed_out: bool,
    },
    /// The caller is to be led to somebody else. [`CallEvent::TransferFailed`] of the same id follows, or the
    /// call ends with [`EndReason::Transfer`].
    Transferring {
        /// Which transfer of this call.
        id: TransferId,
        /// With how much ceremony.
        kind: TransferKind,
        /// What they are called.
        name: String,
        /// Where they are.
        to: Pii<String>,
    },
    /// Somebody has answered, to whom the caller is to be led.
    TransferAnswered {
        /// Which transfer.
        id: TransferId,
    },
    /// The caller was not led to somebody else, and is still here.
    TransferFailed {
        /// Which transfer.
        id: TransferId,
        /// Why.
        why: TransferFailure,
    },
    /// Keys are pressed for the caller's side of the line to hear.
    DigitsSent {
        /// Which; private, because people type card numbers.
        digits: Pii<String>,
    },
    /// The voice hears silence instead of the caller, or hears the caller again.
    Muted {
        /// Which.
        on: bool,
    },
    /// From now on what is said is kept. Where the carrier does that, it is asked for it now, as for the other
    /// steps: what it does not do, [`CallEvent::RecordingRefused`] tells, and what follows from that.
    RecordingStarted {
        /// On what that stands.
        consent: Consent,
        /// Who keeps it.
        place: RecordingPlace,
    },
    /// The carrier records.
    RecordingBegun {
        /// Its name for the recording, where it told one.
        recording: Option<String>,
    },
    /// The carrier did not do what it was asked. How it stands now is told next, if it stands as before.
    RecordingRefused {
        /// What it did not do.
        step: RecordStep,
        /// Why.
        why: RecordingRefusal,
    },
    /// The carrier has a recording. May come after the call's end, and changes nothing about that.
    RecordingSaved(SavedRecording),
    /// The carrier has nothing of a recording: it was empty, or failed. May come after the call's end.
    RecordingAbsent {
        /// The carrier's name for it.
        recording: String,
    },
    /// The carrier has ended its recording, as it was asked: another one may begin.
    RecordingEnded,
    /// What is said is not kept until further notice: silence is written instead.
    RecordingPaused,
    /// It is kept again.
    RecordingResumed,
    /// What is said is no longer kept.
    RecordingStopped {
        /// Why.
        reason: RecordingEnd,
        /// From beginning to end, pauses included.
        length: Duration,
    },
    /// Nothing comes from somebody from whom something should come.
    Silence {
        /// From whom.
        of: Party,
        /// `None` when it is noticed; how long it was when it is over.
        over: Option<Duration>,
    },
    /// Audio was lost.
    AudioLost {
        /// Where.
        what: Loss,
        /// How much.
        duration: Duration,
    },
    /// The carrier sent something that makes no sense. Told once for the first and then for each tenfold.
    CarrierOddity {
        /// What.
        oddity: Oddity,
        /// How many of all kinds so far.
        count: u32,
    },
    /// The provider sent something we do not know. Told as for the carrier.
    ProviderOddity {
        /// Whose.
        attachment: AttachmentId,
        /// What, cleaned.
        kind: String,
        /// How many of all kinds so far.
        count: u32,
    },
    /// Tokens were consumed.
    Used {
        /// By whom.
        attachment: AttachmentId,
        /// How many.
        usage: Usage,
    },
    /// The call is over. The last entry, unless the carrier brings the caller back: then
    /// [`Self::Returned`] follows.
    Ended {
        /// Why.
        reason: EndReason,
        /// Figures of the whole call. Frames are those since it was last picked up after a crash.
        totals: Totals,
    },
}

impl CallEvent {
    /// Whether it is told of a call whether that goes on or not: it neither ends one nor brings one back.
    pub const fn is_afterthought(&self) -> bool {
        matches!(self, Self::RecordingSaved(_) | Self::RecordingAbsent { .. } | Self::RecordingStopped { .. })
    }
}

/// One switch from one voice to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Who talked before.
    pub from: ProviderId,
    /// Who talks now; the same, if it was a new session with the same service.
    pub to: ProviderId,
    /// The stay of the one who talks now.
    pub attachment: AttachmentId,
    /// What it was for.
    pub why: Why,
    /// How long nobody heard the caller. Zero for a planned switch.
    pub gap: Duration,
    /// Audio of the caller that was lost in it.
    pub lost: Duration,
    /// Turns of the conversation that were carried over.
    pub turns: u32,
    /// Bytes of text in them.
    pub bytes: u64,
}

/// Why somebody is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The call begins.
    CallStart,
    /// The one before failed.
    Failure,
    /// Somebody asked for a switch.
    Wish,
    /// The provider's session comes to its end.
    SessionLimit,
    /// In case the one who talks fails.
    Standby,
    /// A provider is to be left, for all its calls.
    Drain,
    /// The call has come back.
    Return,
}

impl Why {
    /// A short, stable name for the API, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallStart => "call_start",
            Self::Failure => "failure",
            Self::Wish => "wish",
            Self::SessionLimit => "session_limit",
            Self::Standby => "standby",
            Self::Drain => "drain",
            Self::Return => "return",
        }
    }
}

/// Why nobody of ours had the caller's media for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// The server that had the call died.
    Restart,
    /// The server that had the call gave it away, because it was to end.
    HandOver,
    /// The media socket broke; the carrier kept the line.
    LineDown,
    /// The caller was led to somebody else, who did not answer.
    Transfer,
}

impl Away {
    /// A short, stable name for the API, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::HandOver => "hand_over",
            Self::LineDown => "line_down",
            Self::Transfer => "transfer",
        }
    }
}

/// One of the two between whom we stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The caller, that is, their carrier: it sends audio without a pause, or its stream is half open.
    Caller,
    /// The provider that talks.
    Provider,
}

/// What the caller hears when nobody has anything to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CoverKind {
    /// "One moment, please."
    Moment,
    /// "I am still here."
    Still,
    /// "Please call again later": before a call is given up.
    Unavailable,
    /// Music, on hold. Told by the hold, not as a cover of its own.
    Music,
}

/// Why a wish to switch was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchRefusal {
    /// Nobody talks yet, or the call is over.
    NotTalking,
    /// Another switch is under way.
    UnderWay,
    /// Nobody could be found; the one who talks goes on.
    Nobody,
    /// That one talks already.
    Same,
    /// There was nobody before to switch back to.
    NoneBefore,
    /// It was taken back before it was done; the one who talks goes on.
    Withdrawn,
}

impl SwitchRefusal {
    /// A short, stable name for the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotTalking => "not_talking",
            Self::UnderWay => "switch_running",
            Self::Nobody => "nobody",
            Self::Same => "same_provider",
            Self::NoneBefore => "none_before",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Where audio was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// By the carrier, before it reached us.
    Carrier,
    /// By us, because nobody heard the caller for too long.
    Held,
    /// By a provider's session, whose connection was lost while the caller spoke.
    Unheard,
    /// By us, because a reply was longer than we queue.
    Playout,
    /// By us, by order: the caller was on hold or muted.
    Withheld,
    /// In the recording only, because it could not be written in time; there is silence in its place.
    Recording,
}

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The caller hung up, or the carrier ended the stream.
    Carrier(CarrierEnd),
    /// We hung up, on somebody's order.
    HungUp,
    /// No provider could take the call.
    NoProvider,
    /// Our part is over and the carrier is to lead the caller to somebody else. The carrier's leg was not
    /// hung up.
    Transfer {
        /// Where to, in the carrier's form.
        to: Pii<String>,
    },
    /// The longest call we allow.
    Limit,
    /// The server shuts down.
    Shutdown,
}

impl EndReason {
    /// A short, stable name for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Carrier(CarrierEnd::Stopped) => "caller_hung_up",
            Self::Carrier(CarrierEnd::LineDown(_)) => "carrier_line_down",
            Self::Carrier(CarrierEnd::Nonsense) => "carrier_nonsense",
            Self::HungUp => "hung_up",
            Self::NoProvider => "no_provider",
            Self::Transfer { .. } => "transfer",
            Self::Limit => "call_limit",
            Self::Shutdown => "shutdown",
        }
    }

    /// Whether the caller may come back after it, if their carrier says that the line still stands. After
    /// an end that was ours, and meant, nobody does.
    pub const fn may_return(&self) -> bool {
        match self {
            Self::Carrier(_) | Self::Transfer { .. } | Self::Shutdown => true,
            Self::HungUp | Self::NoProvider | Self::Limit => false,
        }
    }
}

/// Figures of a whole call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// From the first to the last entry.
    pub duration: Duration,
    /// Frames of the caller that came in.
    pub frames_in: u64,
    /// Frames given to providers.
    pub frames_heard: u64,
    /// Frames of the caller that nobody heard.
    pub frames_lost: u64,
    /// Frames sent to the carrier.
    pub frames_out: u64,
    /// Turns of the caller.
    pub caller_turns: u32,
    /// Replies of which the caller heard something.
    pub replies: u32,
    /// Replies the caller interrupted.
    pub barge_ins: u32,
    /// Times that another provider took over.
    pub switches: u32,
}

/// Somebody who follows calls: a journal, metrics, a log, a console.
///
/// Called on the call's own task: it must return at once, and must not wait, lock for long, or panic.
pub trait Reader: Send + Sync {
    /// One more entry of this call.
    fn read(&self, call: crate::id::CallId, entry: &Entry);
}
