//! From the record of a call to what happened to it, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use voice_core::call::{Control, Input};
use voice_core::carrier::CarrierEvent;
use voice_core::consent::Revocation;
use voice_core::conversation::ToolResult;
use voice_core::id::{AttachmentId, ProviderId, ReplyId};
use voice_core::provider::ProviderEvent;
use voice_core::record::{CallEvent, EndReason, Entry, Why};
use voice_core::recording::{RecordCommand, RecordingEnd, RecordingOrder};
use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, UnixMillis};

/// Something that happens to a call.
#[derive(Debug)]
pub(super) enum Act {
    /// The call is told this.
    Input(Input),
    /// A voice says something: so much sound, and these words.
    Reply(ReplyId, Duration, Pii<String>),
    /// Somebody wished for this switch, unless the call came upon it by itself.
    Wish(AttachmentId, Option<ProviderId>),
    /// A provider failed, unless the call found out by itself.
    Problem(AttachmentId, voice_core::failure::Failure),
}

/// What happened, in order.
pub(super) fn acts(entries: &[Entry]) -> Vec<(MonoTime, Act)> {
    let heard = replies(entries);
    let assigned = assigned(entries);
    entries.iter().flat_map(|entry| act(entry, &heard, &assigned).map(|act| (entry.at, act))).collect()
}

/// Who was found for which stay.
#[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
pub(super) fn assigned(entries: &[Entry]) -> BTreeMap<AttachmentId, ProviderId> {
    let pairs = entries.iter().filter_map(|entry| match &entry.event {
        CallEvent::Assigned { attachment, provider } => Some((*attachment, provider.clone())),
        _another => None,
    });
    pairs.collect()
}

/// From when to when the caller spoke.
pub(super) fn speech(entries: &[Entry]) -> Vec<(MonoTime, MonoTime)> {
    let (mut spoke, mut found) = (None, Vec::new());
    for entry in entries {
        if matches!(entry.event, CallEvent::CallerSpoke { .. }) {
            spoke = spoke.or(Some(entry.at));
        } else if matches!(entry.event, CallEvent::CallerPaused { .. } | CallEvent::Ended { .. }) {
            found.extend(spoke.take().map(|from| (from, entry.at)));
        }
    }
    found
}

/// What of this record cannot be done again.
#[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
pub(super) fn left_out(entries: &[Entry]) -> Vec<&'static str> {
    let mut found = BTreeSet::new();
    for entry in entries {
        match &entry.event {
            CallEvent::Transferring { .. } => {
                found.insert("transfers: orders to the carrier are not in the record")
            }
            CallEvent::Attaching { why: Why::SessionLimit, .. } => {
                found.insert("ends of sessions that a service announced")
            }
            CallEvent::RecordingStopped { reason: RecordingEnd::Failed, .. } => {
                found.insert("recordings that could not be written")
            }
            CallEvent::RecordingBegun { .. }
            | CallEvent::RecordingEnded
            | CallEvent::RecordingRefused { .. }
            | CallEvent::RecordingSaved(_)
            | CallEvent::RecordingAbsent { .. } => {
                found.insert("recordings of the carrier's: what it said is not told again")
            }
            _another => false,
        };
    }
    found.into_iter().collect()
}

/// How much sound each reply had, and what was heard of its words.
#[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
fn replies(entries: &[Entry]) -> BTreeMap<ReplyId, (Duration, Pii<String>)> {
    let pairs = entries.iter().filter_map(|entry| match &entry.event {
        CallEvent::ReplyHeard { reply, text, heard, unheard, .. } => {
            Some((*reply, (*heard + *unheard, text.clone())))
        }
        _another => None,
    });
    pairs.collect()
}

#[allow(clippy::too_many_lines, reason = "a table: one row for each kind of event")]
#[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
fn act(
    entry: &Entry,
    heard: &BTreeMap<ReplyId, (Duration, Pii<String>)>,
    assigned: &BTreeMap<AttachmentId, ProviderId>,
) -> Option<Act> {
    let provider = |id, event| Some(Act::Input(Input::Provider(id, event)));
    let control = |control| Some(Act::Input(Input::Control(control)));
    match entry.event.clone() {
        CallEvent::Ready { attachment, session, .. } => {
            provider(attachment, ProviderEvent::Ready { session, expires: None })
        }
        CallEvent::CallerSpoke { utterance } => {
            provider(utterance.attachment(), ProviderEvent::CallerSpoke(utterance))
        }
        CallEvent::CallerPaused { utterance } => {
            provider(utterance.attachment(), ProviderEvent::CallerPaused(utterance))
        }
        CallEvent::CallerSaid { utterance, text } => {
            provider(utterance.attachment(), ProviderEvent::CallerSaid { utterance, text })
        }
        CallEvent::ReplyStarted { reply, .. } => {
            let (length, words) = heard.get(&reply)?.clone();
            Some(Act::Reply(reply, length, words))
        }
        CallEvent::ToolCalled(call) => provider(call.id.attachment(), ProviderEvent::ToolCall(call)),
        CallEvent::ToolCancelled { id } => provider(id.attachment(), ProviderEvent::ToolCancelled(id)),
        CallEvent::ToolAnswered { id, output, failed, .. } => {
            control(Control::ToolAnswered { id, result: ToolResult { output, failed } })
        }
        CallEvent::Used { attachment, usage } => provider(attachment, ProviderEvent::Used(usage)),
        CallEvent::Problem { attachment, failure } => Some(Act::Problem(attachment, failure)),
        CallEvent::Attaching { attachment, why: Why::Wish | Why::Drain } => {
            Some(Act::Wish(attachment, assigned.get(&attachment).cloned()))
        }
        CallEvent::Digit { digit } => {
            Some(Act::Input(Input::Carrier(CarrierEvent::Digit(digit.into_inner()))))
        }
        CallEvent::Noted { text } => control(Control::Note(text)),
        CallEvent::Summarised { text } => control(Control::Summary(text)),
        CallEvent::Cued { cue } => control(Control::Say { cue: cue.into_inner() }),
        CallEvent::GoodbyeWanted => control(Control::HangUpAfterReply),
        CallEvent::Held { music } => control(Control::Hold { music }),
        CallEvent::Resumed { timed_out: false, .. } => control(Control::Resume),
        CallEvent::Muted { on } => control(Control::Mute(on)),
        CallEvent::RecordingStarted { consent, place } => {
            let order = RecordingOrder::new(consent).ok()?.at(place);
            control(Control::Record(RecordCommand::Start(order)))
        }
        CallEvent::RecordingPaused => control(Control::Record(RecordCommand::Pause)),
        CallEvent::RecordingResumed => control(Control::Record(RecordCommand::Resume)),
        CallEvent::RecordingStopped { reason: RecordingEnd::Ordered, .. } => {
            control(Control::Record(RecordCommand::Stop))
        }
        CallEvent::RecordingStopped { reason: RecordingEnd::Revoked, .. } => {
            let revocation = Revocation { at: UnixMillis::default(), reason: None };
            control(Control::Record(RecordCommand::Revoke(revocation)))
        }
        CallEvent::Ended { reason, .. } => end(reason).map(Act::Input),
        _follows_from_the_others => None,
    }
}

/// Who ended it, where that was not the call itself.
#[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
fn end(reason: EndReason) -> Option<Input> {
    match reason {
        EndReason::Carrier(end) => Some(Input::Carrier(CarrierEvent::Ended(end))),
        EndReason::HungUp => Some(Input::Control(Control::HangUp)),
        EndReason::Shutdown => Some(Input::Control(Control::Shutdown)),
        _by_itself => None,
    }
}
