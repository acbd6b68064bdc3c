//! Events as they are stored, one variant for each, and the way there and back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use voice_core::audio::quality::{Rating, Reading};
use voice_core::carrier::Digit as Key;
use voice_core::conversation::ToolCall;
use voice_core::id::{AttachmentId, ReplyId, ToolCallId, UtteranceId};
use voice_core::provider::Usage;
use voice_core::record::{CallEvent, Sound, Switch, Totals, VoiceToVoice};
use voice_core::recording::SavedRecording;
use voice_core::sensitive::Pii;
use voice_core::transfer::TransferId;

use super::FormatError;
use super::consent::StoredConsent;
use super::parts::{
    StoredAway, StoredCover, StoredEnd, StoredFailure, StoredFormat, StoredLoss, StoredOddity, StoredParty,
    StoredRecordStep, StoredRecordingEnd, StoredRecordingPlace, StoredRecordingRefusal, StoredRefusal,
    StoredTransferFailure, StoredTransferKind, StoredWhy, micros, time,
};

macro_rules! bodies {
    ($($(#[$doc:meta])* $variant:ident = $kind:literal { $($field:ident: $type:ty),* $(,)? })*) => {
        /// One event. Durations are whole microseconds; ids are the numbers behind them.
        #[derive(Serialize, Deserialize, ToSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub(super) enum Body {
            $($(#[$doc])* #[serde(rename = $kind)] $variant { $($field: $type),* },)*
        }

        impl Body {
            pub(super) const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $kind,)*
                }
            }
        }

        /// All kinds, in alphabetical order.
        #[cfg(test)]
        pub(super) const KINDS: &[&str] = &[$($kind),*];
    };
}

bodies! {
    Assigned = "assigned" { attachment: u32, provider: String }
    Attaching = "attaching" { attachment: u32, why: StoredWhy }
    AudioLost = "audio_lost" { place: StoredLoss, duration_us: u64 }
    BargeIn = "barge_in" { reply: u64, heard_us: u64, unheard_us: u64 }
    CallerPaused = "caller_paused" { utterance: u64 }
    CallerSaid = "caller_said" { utterance: u64, text: String }
    CallerSpoke = "caller_spoke" { utterance: u64 }
    CarrierOddity = "carrier_oddity" { oddity: StoredOddity, count: u32 }
    Covered = "covered" { cover: StoredCover }
    Cued = "cued" { cue: String }
    Detached = "detached" { attachment: u32 }
    Digit = "digit" { digit: char }
    DigitsSent = "digits_sent" { digits: String }
    Ended = "ended" { reason: StoredEnd, totals: StoredTotals }
    FirstSound = "first_sound" {
        reply: u64,
        detection_us: u64,
        provider_us: u64,
        pacing_us: u64,
        network_us: u64,
    }
    GoodbyeWanted = "goodbye_wanted" {}
    Held = "held" { music: bool }
    Live = "live" { attachment: u32, gap_us: u64 }
    Muted = "muted" { on: bool }
    Noted = "noted" { text: String }
    Problem = "problem" { attachment: u32, failure: StoredFailure }
    ProviderOddity = "provider_oddity" { attachment: u32, oddity: String, count: u32 }
    Ready = "ready" { attachment: u32, session: Option<String>, took_us: u64 }
    RecordingAbsent = "recording_absent" { recording: String }
    RecordingBegun = "recording_begun" { recording: Option<String> }
    RecordingEnded = "recording_ended" {}
    RecordingPaused = "recording_paused" {}
    RecordingRefused = "recording_refused" { step: StoredRecordStep, why: StoredRecordingRefusal }
    RecordingResumed = "recording_resumed" {}
    RecordingSaved = "recording_saved" { recording: String, length_us: Option<u64>, url: Option<String> }
    /// Without a place it is the server.
    RecordingStarted = "recording_started" { consent: StoredConsent, place: Option<StoredRecordingPlace> }
    RecordingStopped = "recording_stopped" { reason: StoredRecordingEnd, length_us: u64 }
    ReplyHeard = "reply_heard" { reply: u64, text: String, heard_us: u64, unheard_us: u64, cut: bool }
    ReplyProgress = "reply_progress" { reply: u64, more: String, heard_us: u64 }
    ReplyStarted = "reply_started" { reply: u64, latency_us: Option<u64> }
    Resumed = "resumed" { after_us: u64, timed_out: bool }
    Retrying = "retrying" { round: u32, wait_us: u64 }
    Returned = "returned" { leg: u32, format: StoredFormat, after_us: u64, why: StoredAway }
    Silence = "silence" { of: StoredParty, over_us: Option<u64> }
    Sound = "sound" { sound: StoredSound }
    Started = "started" {
        carrier: String,
        carrier_call: String,
        format: StoredFormat,
        from: String,
        to: String,
        correlation: String,
    }
    Summarised = "summarised" { text: String }
    SwitchRefused = "switch_refused" { why: StoredRefusal }
    Switched = "switched" {
        attachment: u32,
        from: String,
        to: String,
        why: StoredWhy,
        gap_us: u64,
        lost_us: u64,
        turns: u32,
        bytes: u64,
    }
    ToolAnswered = "tool_answered" { id: u64, output: String, failed: bool, took_us: u64 }
    ToolCalled = "tool_called" { id: u64, name: String, arguments: String }
    ToolCancelled = "tool_cancelled" { id: u64 }
    TransferAnswered = "transfer_answered" { transfer: u32 }
    TransferFailed = "transfer_failed" { transfer: u32, why: StoredTransferFailure }
    Transferring = "transferring" { transfer: u32, way: StoredTransferKind, name: String, to: String }
    Used = "used" { attachment: u32, usage: StoredUsage }
}

/// Figures of a whole call.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct StoredTotals {
    duration_us: u64,
    frames_in: u64,
    frames_heard: u64,
    frames_lost: u64,
    frames_out: u64,
    caller_turns: u32,
    replies: u32,
    barge_ins: u32,
    switches: u32,
}

/// How well sound got through.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct StoredSound {
    attachment: Option<u32>,
    span_us: u64,
    received_us: u64,
    lost_us: u64,
    gaps: u32,
    jitter_us: u64,
    way_us: u64,
    /// Tenths of R, hundredths of MOS.
    rating: Option<(u16, u16)>,
    to_provider: u32,
    from_provider: u32,
}

/// Consumption.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct StoredUsage {
    text_in: u32,
    audio_in: u32,
    cached_in: u32,
    text_out: u32,
    audio_out: u32,
}

impl TryFrom<&CallEvent> for Body {
    type Error = FormatError;

    #[allow(clippy::too_many_lines, reason = "a table: one row for each kind of event")]
    fn try_from(event: &CallEvent) -> Result<Self, FormatError> {
        Ok(match event {
            CallEvent::Started { carrier, carrier_call, format, from, to, correlation } => Self::Started {
                carrier: carrier.to_string(),
                carrier_call: carrier_call.clone(),
                format: (*format).into(),
                from: from.expose().clone(),
                to: to.expose().clone(),
                correlation: correlation.to_string(),
            },
            CallEvent::Attaching { attachment, why } => {
                Self::Attaching { attachment: attachment.0, why: (*why).into() }
            }
            CallEvent::Assigned { attachment, provider } => {
                Self::Assigned { attachment: attachment.0, provider: provider.to_string() }
            }
            CallEvent::Ready { attachment, session, took } => {
                Self::Ready { attachment: attachment.0, session: session.clone(), took_us: micros(*took) }
            }
            CallEvent::Live { attachment, gap } => {
                Self::Live { attachment: attachment.0, gap_us: micros(*gap) }
            }
            CallEvent::Retrying { round, wait } => Self::Retrying { round: *round, wait_us: micros(*wait) },
            CallEvent::Covered { kind } => Self::Covered { cover: (*kind).into() },
            CallEvent::Switched(switch) => Self::Switched {
                attachment: switch.attachment.0,
                from: switch.from.to_string(),
                to: switch.to.to_string(),
                why: switch.why.into(),
                gap_us: micros(switch.gap),
                lost_us: micros(switch.lost),
                turns: switch.turns,
                bytes: switch.bytes,
            },
            CallEvent::Noted { text } => Self::Noted { text: text.expose().clone() },
            CallEvent::Summarised { text } => Self::Summarised { text: text.expose().clone() },
            CallEvent::Returned { leg, format, after, why } => Self::Returned {
                leg: *leg,
                format: (*format).into(),
                after_us: micros(*after),
                why: (*why).into(),
            },
            CallEvent::Cued { cue } => Self::Cued { cue: cue.expose().clone() },
            CallEvent::GoodbyeWanted => Self::GoodbyeWanted {},
            CallEvent::ReplyProgress { reply, more, heard } => Self::ReplyProgress {
                reply: reply.as_u64(),
                more: more.expose().clone(),
                heard_us: micros(*heard),
            },
            CallEvent::Held { music } => Self::Held { music: *music },
            CallEvent::Resumed { after, timed_out } => {
                Self::Resumed { after_us: micros(*after), timed_out: *timed_out }
            }
            CallEvent::Transferring { id, kind, name, to } => Self::Transferring {
                transfer: id.0,
                way: (*kind).into(),
                name: name.clone(),
                to: to.expose().clone(),
            },
            CallEvent::TransferAnswered { id } => Self::TransferAnswered { transfer: id.0 },
            CallEvent::TransferFailed { id, why } => {
                Self::TransferFailed { transfer: id.0, why: (*why).try_into()? }
            }
            CallEvent::DigitsSent { digits } => Self::DigitsSent { digits: digits.expose().clone() },
            CallEvent::Muted { on } => Self::Muted { on: *on },
            CallEvent::RecordingStarted { consent, place } => {
                Self::RecordingStarted { consent: consent.into(), place: Some((*place).into()) }
            }
            CallEvent::RecordingBegun { recording } => Self::RecordingBegun { recording: recording.clone() },
            CallEvent::RecordingRefused { step, why } => {
                Self::RecordingRefused { step: (*step).into(), why: (*why).try_into()? }
            }
            CallEvent::RecordingSaved(SavedRecording { recording, length, url }) => Self::RecordingSaved {
                recording: recording.clone(),
                length_us: length.map(micros),
                url: url.as_ref().map(|url| url.expose().clone()),
            },
            CallEvent::RecordingAbsent { recording } => {
                Self::RecordingAbsent { recording: recording.clone() }
            }
            CallEvent::RecordingEnded => Self::RecordingEnded {},
            CallEvent::RecordingPaused => Self::RecordingPaused {},
            CallEvent::RecordingResumed => Self::RecordingResumed {},
            CallEvent::RecordingStopped { reason, length } => {
                Self::RecordingStopped { reason: (*reason).into(), length_us: micros(*length) }
            }
            CallEvent::Silence { of, over } => Self::Silence { of: (*of).into(), over_us: over.map(micros) },
            CallEvent::Detached { attachment } => Self::Detached { attachment: attachment.0 },
            CallEvent::Problem { attachment, failure } => {
                Self::Problem { attachment: attachment.0, failure: failure.try_into()? }
            }
            CallEvent::SwitchRefused { why } => Self::SwitchRefused { why: (*why).into() },
            CallEvent::CallerSpoke { utterance } => Self::CallerSpoke { utterance: utterance.as_u64() },
            CallEvent::CallerPaused { utterance } => Self::CallerPaused { utterance: utterance.as_u64() },
            CallEvent::CallerSaid { utterance, text } => {
                Self::CallerSaid { utterance: utterance.as_u64(), text: text.expose().clone() }
            }
            CallEvent::ReplyStarted { reply, latency } => {
                Self::ReplyStarted { reply: reply.as_u64(), latency_us: latency.map(micros) }
            }
            CallEvent::FirstSound(told) => Self::FirstSound {
                reply: told.reply.as_u64(),
                detection_us: micros(told.detection),
                provider_us: micros(told.provider),
                pacing_us: micros(told.pacing),
                network_us: micros(told.network),
            },
            CallEvent::Sound(sound) => Self::Sound { sound: sound.into() },
            CallEvent::ReplyHeard { reply, text, heard, unheard, cut } => Self::ReplyHeard {
                reply: reply.as_u64(),
                text: text.expose().clone(),
                heard_us: micros(*heard),
                unheard_us: micros(*unheard),
                cut: *cut,
            },
            CallEvent::BargeIn { reply, heard, unheard } => Self::BargeIn {
                reply: reply.as_u64(),
                heard_us: micros(*heard),
                unheard_us: micros(*unheard),
            },
            CallEvent::ToolCalled(ToolCall { id, name, arguments }) => Self::ToolCalled {
                id: id.as_u64(),
                name: name.clone(),
                arguments: arguments.expose().clone(),
            },
            CallEvent::ToolAnswered { id, output, failed, took } => Self::ToolAnswered {
                id: id.as_u64(),
                output: output.expose().clone(),
                failed: *failed,
                took_us: micros(*took),
            },
            CallEvent::ToolCancelled { id } => Self::ToolCancelled { id: id.as_u64() },
            CallEvent::Digit { digit } => Self::Digit { digit: digit.expose().as_char() },
            CallEvent::AudioLost { what, duration } => {
                Self::AudioLost { place: (*what).into(), duration_us: micros(*duration) }
            }
            CallEvent::CarrierOddity { oddity, count } => {
                Self::CarrierOddity { oddity: (*oddity).try_into()?, count: *count }
            }
            CallEvent::ProviderOddity { attachment, kind, count } => {
                Self::ProviderOddity { attachment: attachment.0, oddity: kind.clone(), count: *count }
            }
            CallEvent::Used { attachment, usage } => {
                Self::Used { attachment: attachment.0, usage: StoredUsage::from(*usage) }
            }
            CallEvent::Ended { reason, totals } => {
                Self::Ended { reason: reason.try_into()?, totals: StoredTotals::from(*totals) }
            }
            _newer => return Err(FormatError::Unwritable),
        })
    }
}

impl TryFrom<Body> for CallEvent {
    type Error = FormatError;

    #[allow(clippy::too_many_lines, reason = "a table: one row for each kind of event")]
    fn try_from(body: Body) -> Result<Self, FormatError> {
        let reply = ReplyId::from_u64;
        let utterance = UtteranceId::from_u64;
        let tool = ToolCallId::from_u64;
        let text = Pii::<String>::from;
        Ok(match body {
            Body::Started { carrier, carrier_call, format, from, to, correlation } => Self::Started {
                carrier: carrier.parse().map_err(|_| FormatError::Field("carrier"))?,
                carrier_call,
                format: format.try_into()?,
                from: text(from),
                to: text(to),
                correlation: correlation.parse().map_err(|_| FormatError::Field("correlation"))?,
            },
            Body::Attaching { attachment, why } => {
                Self::Attaching { attachment: AttachmentId(attachment), why: why.into() }
            }
            Body::Assigned { attachment, provider } => Self::Assigned {
                attachment: AttachmentId(attachment),
                provider: provider.parse().map_err(|_| FormatError::Field("provider"))?,
            },
            Body::Ready { attachment, session, took_us } => {
                Self::Ready { attachment: AttachmentId(attachment), session, took: time(took_us) }
            }
            Body::Live { attachment, gap_us } => {
                Self::Live { attachment: AttachmentId(attachment), gap: time(gap_us) }
            }
            Body::Retrying { round, wait_us } => Self::Retrying { round, wait: time(wait_us) },
            Body::Covered { cover } => Self::Covered { kind: cover.into() },
            Body::Switched { attachment, from, to, why, gap_us, lost_us, turns, bytes } => {
                Self::Switched(Switch {
                    from: from.parse().map_err(|_| FormatError::Field("from"))?,
                    to: to.parse().map_err(|_| FormatError::Field("to"))?,
                    attachment: AttachmentId(attachment),
                    why: why.into(),
                    gap: time(gap_us),
                    lost: time(lost_us),
                    turns,
                    bytes,
                })
            }
            Body::Noted { text: words } => Self::Noted { text: text(words) },
            Body::Summarised { text: words } => Self::Summarised { text: text(words) },
            Body::Returned { leg, format, after_us, why } => {
                Self::Returned { leg, format: format.try_into()?, after: time(after_us), why: why.into() }
            }
            Body::Cued { cue } => Self::Cued { cue: text(cue) },
            Body::GoodbyeWanted {} => Self::GoodbyeWanted,
            Body::ReplyProgress { reply: id, more, heard_us } => {
                Self::ReplyProgress { reply: reply(id), more: text(more), heard: time(heard_us) }
            }
            Body::Held { music } => Self::Held { music },
            Body::Resumed { after_us, timed_out } => Self::Resumed { after: time(after_us), timed_out },
            Body::Transferring { transfer, way, name, to } => {
                Self::Transferring { id: TransferId(transfer), kind: way.into(), name, to: text(to) }
            }
            Body::TransferAnswered { transfer } => Self::TransferAnswered { id: TransferId(transfer) },
            Body::TransferFailed { transfer, why } => {
                Self::TransferFailed { id: TransferId(transfer), why: why.into() }
            }
            Body::DigitsSent { digits } => Self::DigitsSent { digits: text(digits) },
            Body::Muted { on } => Self::Muted { on },
            Body::RecordingStarted { consent, place } => Self::RecordingStarted {
                consent: consent.try_into()?,
                place: place.map(Into::into).unwrap_or_default(),
            },
            Body::RecordingBegun { recording } => Self::RecordingBegun { recording },
            Body::RecordingRefused { step, why } => {
                Self::RecordingRefused { step: step.into(), why: why.into() }
            }
            Body::RecordingSaved { recording, length_us, url } => Self::RecordingSaved(SavedRecording {
                recording,
                length: length_us.map(time),
                url: url.map(text),
            }),
            Body::RecordingAbsent { recording } => Self::RecordingAbsent { recording },
            Body::RecordingEnded {} => Self::RecordingEnded,
            Body::RecordingPaused {} => Self::RecordingPaused,
            Body::RecordingResumed {} => Self::RecordingResumed,
            Body::RecordingStopped { reason, length_us } => {
                Self::RecordingStopped { reason: reason.into(), length: time(length_us) }
            }
            Body::Silence { of, over_us } => Self::Silence { of: of.into(), over: over_us.map(time) },
            Body::Detached { attachment } => Self::Detached { attachment: AttachmentId(attachment) },
            Body::Problem { attachment, failure } => {
                Self::Problem { attachment: AttachmentId(attachment), failure: failure.into() }
            }
            Body::SwitchRefused { why } => Self::SwitchRefused { why: why.into() },
            Body::CallerSpoke { utterance: id } => Self::CallerSpoke { utterance: utterance(id) },
            Body::CallerPaused { utterance: id } => Self::CallerPaused { utterance: utterance(id) },
            Body::CallerSaid { utterance: id, text: words } => {
                Self::CallerSaid { utterance: utterance(id), text: text(words) }
            }
            Body::ReplyStarted { reply: id, latency_us } => {
                Self::ReplyStarted { reply: reply(id), latency: latency_us.map(time) }
            }
            Body::FirstSound { reply: id, detection_us, provider_us, pacing_us, network_us } => {
                Self::FirstSound(VoiceToVoice {
                    reply: reply(id),
                    detection: time(detection_us),
                    provider: time(provider_us),
                    pacing: time(pacing_us),
                    network: time(network_us),
                })
            }
            Body::Sound { sound } => Self::Sound(sound.into()),
            Body::ReplyHeard { reply: id, text: words, heard_us, unheard_us, cut } => Self::ReplyHeard {
                reply: reply(id),
                text: text(words),
                heard: time(heard_us),
                unheard: time(unheard_us),
                cut,
            },
            Body::BargeIn { reply: id, heard_us, unheard_us } => {
                Self::BargeIn { reply: reply(id), heard: time(heard_us), unheard: time(unheard_us) }
            }
            Body::ToolCalled { id, name, arguments } => {
                Self::ToolCalled(ToolCall { id: tool(id), name, arguments: text(arguments) })
            }
            Body::ToolAnswered { id, output, failed, took_us } => {
                Self::ToolAnswered { id: tool(id), output: text(output), failed, took: time(took_us) }
            }
            Body::ToolCancelled { id } => Self::ToolCancelled { id: tool(id) },
            Body::Digit { digit } => {
                Self::Digit { digit: Pii::new(Key::new(digit).ok_or(FormatError::Field("digit"))?) }
            }
            Body::AudioLost { place, duration_us } => {
                Self::AudioLost { what: place.into(), duration: time(duration_us) }
            }
            Body::CarrierOddity { oddity, count } => Self::CarrierOddity { oddity: oddity.into(), count },
            Body::ProviderOddity { attachment, oddity, count } => {
                Self::ProviderOddity { attachment: AttachmentId(attachment), kind: oddity, count }
            }
            Body::Used { attachment, usage } => {
                Self::Used { attachment: AttachmentId(attachment), usage: usage.into() }
            }
            Body::Ended { reason, totals } => Self::Ended { reason: reason.into(), totals: totals.into() },
        })
    }
}

impl From<Totals> for StoredTotals {
    fn from(totals: Totals) -> Self {
        let Totals { duration, frames_in, frames_heard, frames_lost, frames_out, .. } = totals;
        let Totals { caller_turns, replies, barge_ins, switches, .. } = totals;
        let duration_us = micros(duration);
        Self {
            duration_us,
            frames_in,
            frames_heard,
            frames_lost,
            frames_out,
            caller_turns,
            replies,
            barge_ins,
            switches,
        }
    }
}

impl From<StoredTotals> for Totals {
    fn from(stored: StoredTotals) -> Self {
        let StoredTotals { duration_us, frames_in, frames_heard, frames_lost, frames_out, .. } = stored;
        let StoredTotals { caller_turns, replies, barge_ins, switches, .. } = stored;
        let duration = time(duration_us);
        Self {
            duration,
            frames_in,
            frames_heard,
            frames_lost,
            frames_out,
            caller_turns,
            replies,
            barge_ins,
            switches,
        }
    }
}

impl From<&Sound> for StoredSound {
    fn from(sound: &Sound) -> Self {
        let Reading { received, lost, gaps, jitter } = sound.line;
        Self {
            attachment: sound.attachment.map(|id| id.0),
            span_us: micros(sound.span),
            received_us: micros(received),
            lost_us: micros(lost),
            gaps,
            jitter_us: micros(jitter),
            way_us: micros(sound.way),
            rating: sound.rating.map(|rating| rating.stored()),
            to_provider: sound.to_provider,
            from_provider: sound.from_provider,
        }
    }
}

impl From<StoredSound> for Sound {
    fn from(stored: StoredSound) -> Self {
        Self {
            attachment: stored.attachment.map(AttachmentId),
            span: time(stored.span_us),
            line: Reading {
                received: time(stored.received_us),
                lost: time(stored.lost_us),
                gaps: stored.gaps,
                jitter: time(stored.jitter_us),
            },
            way: time(stored.way_us),
            rating: stored.rating.map(Rating::from_stored),
            to_provider: stored.to_provider,
            from_provider: stored.from_provider,
        }
    }
}

impl From<Usage> for StoredUsage {
    fn from(usage: Usage) -> Self {
        let Usage { text_in, audio_in, cached_in, text_out, audio_out } = usage;
        Self { text_in, audio_in, cached_in, text_out, audio_out }
    }
}

impl From<StoredUsage> for Usage {
    fn from(stored: StoredUsage) -> Self {
        let StoredUsage { text_in, audio_in, cached_in, text_out, audio_out } = stored;
        Self { text_in, audio_in, cached_in, text_out, audio_out }
    }
}
