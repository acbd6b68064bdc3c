//! The reader that writes calls into the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{debug, error, info, warn};
use voice_core::failure::{Failure, Verdict};
use voice_core::id::{AttachmentId, CallId, ProviderId};
use voice_core::record::{CallEvent, EndReason, Entry, Loss, Reader, Totals, VoiceToVoice, Why};
use voice_core::recording::{RecordingEnd, RecordingRefusal, SavedRecording};

use super::event_types as kinds;

/// Attachments of a call that lines can still be about.
const STAYS_MAX: usize = 8;

/// Turns the record of calls into log lines. Never a number, a key that was pressed, or what was said.
#[derive(Debug, Default)]
pub struct LogReader {
    /// Held for microseconds by whichever call tells something; lines are written outside.
    calls: Mutex<BTreeMap<CallId, VecDeque<Stay>>>,
}

/// What lines about a provider's part say about the provider.
#[derive(Clone, Debug)]
struct Stay {
    attachment: AttachmentId,
    why: Why,
    provider: Option<ProviderId>,
    /// The provider's own name for its session, cleaned.
    session: Option<String>,
    ready: bool,
}

/// Who an event is about, as far as is known.
struct About {
    call: CallId,
    stay: Option<Stay>,
}

impl Reader for LogReader {
    fn read(&self, call: CallId, entry: &Entry) {
        let about = About { call, stay: self.note(call, &entry.event) };
        match &entry.event {
            CallEvent::Started { carrier, carrier_call, format, correlation, from: _, to: _ } => {
                info!(event_type = kinds::CALL_STARTED, %call, %carrier, carrier_call, %format, %correlation, "call started");
            }
            CallEvent::Ended { reason, totals } => ended(call, reason, totals),
            CallEvent::Attaching { .. }
            | CallEvent::Assigned { .. }
            | CallEvent::Ready { .. }
            | CallEvent::Live { .. }
            | CallEvent::Detached { .. }
            | CallEvent::Problem { .. }
            | CallEvent::SwitchRefused { .. }
            | CallEvent::ProviderOddity { .. }
            | CallEvent::Used { .. } => about.provider(&entry.event),
            CallEvent::CallerSpoke { .. }
            | CallEvent::CallerPaused { .. }
            | CallEvent::CallerSaid { .. }
            | CallEvent::ReplyStarted { .. }
            | CallEvent::FirstSound(_)
            | CallEvent::Sound(_)
            | CallEvent::ReplyHeard { .. }
            | CallEvent::BargeIn { .. }
            | CallEvent::Digit { .. } => about.conversation(&entry.event),
            CallEvent::ToolCalled(_) | CallEvent::ToolAnswered { .. } | CallEvent::ToolCancelled { .. } => {
                about.tool(&entry.event);
            }
            CallEvent::RecordingStarted { .. }
            | CallEvent::RecordingPaused
            | CallEvent::RecordingResumed
            | CallEvent::RecordingStopped { .. } => recording(call, &entry.event),
            CallEvent::RecordingBegun { .. }
            | CallEvent::RecordingRefused { .. }
            | CallEvent::RecordingSaved(_)
            | CallEvent::RecordingAbsent { .. }
            | CallEvent::RecordingEnded => at_carrier(call, &entry.event),
            // The network's losses are everyday; our own mean that something is too slow.
            CallEvent::AudioLost { what: Loss::Withheld, duration } => {
                info!(event_type = kinds::AUDIO_LOST, %call, ?duration, "audio withheld by order")
            }
            CallEvent::AudioLost { what: Loss::Carrier, duration } => {
                info!(event_type = kinds::AUDIO_LOST, %call, ?duration, "audio lost by the carrier")
            }
            CallEvent::AudioLost { what, duration } => {
                warn!(event_type = kinds::AUDIO_LOST, %call, place = ?what, ?duration, "audio lost")
            }
            CallEvent::CarrierOddity { oddity, count } => {
                let (event_type, oddity) = (kinds::CARRIER_ODDITY, oddity.name());
                warn!(event_type, %call, oddity, count, "the carrier sent something that makes no sense");
            }
            CallEvent::Retrying { .. }
            | CallEvent::Covered { .. }
            | CallEvent::Switched(_)
            | CallEvent::Silence { .. }
            | CallEvent::Held { .. }
            | CallEvent::Resumed { .. }
            | CallEvent::Muted { .. }
            | CallEvent::Noted { .. }
            | CallEvent::Summarised { .. }
            | _ => course(call, &entry.event),
        }
    }
}

impl LogReader {
    /// Takes note of who is attached, and says who the event is about.
    fn note(&self, call: CallId, event: &CallEvent) -> Option<Stay> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let CallEvent::Ended { .. } = event {
            calls.remove(&call);
            return None;
        }
        let attachment = attachment(event)?;
        if let CallEvent::Attaching { why, .. } = event {
            let stays = calls.entry(call).or_default();
            if stays.len() >= STAYS_MAX {
                stays.pop_front();
            }
            stays.push_back(Stay { attachment, why: *why, provider: None, session: None, ready: false });
        }
        let told = find(&mut calls, call, attachment)?;
        // What is told is how it stood before; only then does it change.
        let before = told.clone();
        if let CallEvent::Assigned { provider, .. } = event {
            told.provider = Some(provider.clone());
        } else if let CallEvent::Ready { session, .. } = event {
            (told.ready, told.session) = (true, session.as_deref().map(Failure::clean_code));
        } else {
            return Some(before);
        }
        Some(told.clone())
    }
}

fn find<'a>(
    calls: &'a mut MutexGuard<'_, BTreeMap<CallId, VecDeque<Stay>>>,
    call: CallId,
    attachment: AttachmentId,
) -> Option<&'a mut Stay> {
    calls.get_mut(&call)?.iter_mut().find(|stay| stay.attachment == attachment)
}

/// Whose doing an event is.
fn attachment(event: &CallEvent) -> Option<AttachmentId> {
    if let CallEvent::Attaching { attachment, .. }
    | CallEvent::Assigned { attachment, .. }
    | CallEvent::Ready { attachment, .. }
    | CallEvent::Live { attachment, .. }
    | CallEvent::Detached { attachment }
    | CallEvent::Problem { attachment, .. }
    | CallEvent::ProviderOddity { attachment, .. }
    | CallEvent::Used { attachment, .. } = event
    {
        Some(*attachment)
    } else if let CallEvent::ReplyStarted { reply, .. }
    | CallEvent::ReplyHeard { reply, .. }
    | CallEvent::BargeIn { reply, .. }
    | CallEvent::FirstSound(VoiceToVoice { reply, .. }) = event
    {
        Some(reply.attachment())
    } else if let CallEvent::CallerSpoke { utterance }
    | CallEvent::CallerPaused { utterance }
    | CallEvent::CallerSaid { utterance, .. } = event
    {
        Some(utterance.attachment())
    } else if let CallEvent::ToolCalled(tool) = event {
        Some(tool.id.attachment())
    } else if let CallEvent::ToolAnswered { id, .. } | CallEvent::ToolCancelled { id } = event {
        Some(id.attachment())
    } else {
        None
    }
}

/// How the call goes on: gaps, switches, holds.
fn course(call: CallId, event: &CallEvent) {
    if let CallEvent::Retrying { round, wait } = event {
        warn!(event_type = kinds::RECONNECTION_WAITING, %call, round, ?wait, "nobody can take the call; all are asked again");
    } else if let CallEvent::Switched(switch) = event {
        info!(event_type = kinds::PROVIDER_SWITCHED, %call, from = %switch.from, to = %switch.to, why = ?switch.why, gap = ?switch.gap, "another voice talks");
    } else if let CallEvent::Returned { leg, after, why, .. } = event {
        warn!(event_type = kinds::SESSION_RESTORED, %call, leg, ?after, why = why.name(), "the call has come back");
    } else if let CallEvent::Transferring { id, kind, name, .. } = event {
        info!(event_type = kinds::TRANSFER, %call, transfer = id.0, kind = kind.name(), to = name, "the caller is being led to somebody else");
    } else if let CallEvent::TransferFailed { id, why } = event {
        warn!(event_type = kinds::TRANSFER, %call, transfer = id.0, why = why.name(), "the caller was not led to somebody else");
    } else if let CallEvent::Silence { of, over: None } = event {
        info!(event_type = kinds::CALL_SILENCE, %call, ?of, "nothing comes from somebody who should be heard");
    } else {
        // What private text there is does not print itself.
        debug!(event_type = kinds::CALL_COURSE, %call, ?event, "call event");
    }
}

fn ended(call: CallId, reason: &EndReason, totals: &Totals) {
    if matches!(reason, EndReason::NoProvider) {
        warn!(event_type = kinds::RECONNECTION_FAILED, %call, "nobody could take the call");
    }
    info!(
        event_type = kinds::CALL_ENDED,
        %call,
        reason = reason.kind(),
        duration = ?totals.duration,
        caller_turns = totals.caller_turns,
        replies = totals.replies,
        barge_ins = totals.barge_ins,
        switches = totals.switches,
        frames_in = totals.frames_in,
        frames_lost = totals.frames_lost,
        frames_out = totals.frames_out,
        "call ended"
    );
}

fn recording(call: CallId, event: &CallEvent) {
    if let CallEvent::RecordingStarted { place, .. } = event {
        info!(event_type = kinds::RECORDING, %call, place = place.name(), "recording started");
    } else if let CallEvent::RecordingPaused = event {
        info!(event_type = kinds::RECORDING, %call, "recording paused");
    } else if let CallEvent::RecordingResumed = event {
        info!(event_type = kinds::RECORDING, %call, "recording resumed");
    } else if let CallEvent::RecordingStopped { reason: RecordingEnd::Failed, length } = event {
        error!(event_type = kinds::RECORDING_FAILED, error_type = "recording_failed", %call, ?length, "recording failed");
    } else if let CallEvent::RecordingStopped { reason, length } = event {
        info!(event_type = kinds::RECORDING, %call, reason = reason.name(), ?length, "recording stopped");
    }
}

/// What a carrier makes of what it was asked to record.
fn at_carrier(call: CallId, event: &CallEvent) {
    let (event_type, failed) = (kinds::RECORDING, kinds::RECORDING_FAILED);
    if let CallEvent::RecordingBegun { recording } = event {
        info!(event_type, %call, recording, "the carrier records");
    } else if let CallEvent::RecordingEnded = event {
        info!(event_type, %call, "the carrier has ended its recording");
    } else if let CallEvent::RecordingRefused { why: RecordingRefusal::Ending, .. } = event {
        info!(event_type, %call, "a recording is not begun while the carrier is ending another one");
    } else if let CallEvent::RecordingRefused { step, why } = event {
        let (step, why) = (step.name(), why.name());
        error!(event_type = failed, error_type = "recording_failed", %call, step, why, "the carrier did not do what it was asked of a recording");
    } else if let CallEvent::RecordingSaved(SavedRecording { recording, length, url: _ }) = event {
        info!(event_type, %call, recording, ?length, "the carrier has a recording");
    } else if let CallEvent::RecordingAbsent { recording } = event {
        error!(event_type = failed, error_type = "recording_failed", %call, recording, "the carrier has nothing of a recording");
    }
}

impl About {
    fn names(&self) -> (CallId, Option<&str>, Option<&str>) {
        let stay = self.stay.as_ref();
        let provider = stay.and_then(|stay| stay.provider.as_ref()).map(ProviderId::as_str);
        (self.call, provider, stay.and_then(|stay| stay.session.as_deref()))
    }

    /// Whether somebody is being sought because the one before failed.
    fn is_rescue(&self) -> bool {
        self.stay.as_ref().is_some_and(|stay| matches!(stay.why, Why::Failure | Why::Return))
    }

    fn provider(&self, event: &CallEvent) {
        let (call, provider, session) = self.names();
        if let CallEvent::Problem { attachment, failure } = event {
            self.problem(*attachment, failure);
        } else if let CallEvent::Attaching { attachment, why } = event {
            let why = why.name();
            if self.is_rescue() {
                warn!(event_type = kinds::RECONNECTION_ATTEMPT, %call, %attachment, why, "somebody else is sought");
            } else {
                debug!(event_type = kinds::CONNECTION_ATTEMPT, %call, %attachment, why, "looking for a provider");
            }
        } else if let CallEvent::Assigned { attachment, .. } = event {
            info!(event_type = kinds::CONNECTION_ATTEMPT, %call, %attachment, provider, "connecting a provider");
        } else if let CallEvent::Ready { attachment, took, .. } = event {
            let event_type = kinds::CONNECTION_ESTABLISHED;
            info!(event_type, %call, %attachment, provider, session, ?took, "provider is ready");
        } else if let CallEvent::Live { attachment, gap } = event {
            let is_rescue = self.is_rescue();
            let event_type = if is_rescue { kinds::RECONNECTION_SUCCESS } else { kinds::PROVIDER_LIVE };
            info!(event_type, %call, %attachment, provider, session, ?gap, "the provider hears the caller");
        } else if let CallEvent::Detached { attachment } = event {
            let event_type = kinds::CONNECTION_ENDED;
            debug!(event_type, %call, %attachment, provider, session, "provider let go");
        } else if let CallEvent::SwitchRefused { why } = event {
            info!(event_type = kinds::PROVIDER_SWITCH_REFUSED, %call, why = why.name(), "switch refused");
        } else if let CallEvent::ProviderOddity { attachment, kind, count } = event {
            let event_type = kinds::PROVIDER_ODDITY;
            info!(event_type, %call, %attachment, provider, session, kind, count, "the provider sent something unknown");
        } else if let CallEvent::Used { attachment, usage } = event {
            debug!(event_type = kinds::PROVIDER_USAGE, %call, %attachment, provider, session, ?usage, "tokens used");
        }
    }

    fn problem(&self, attachment: AttachmentId, failure: &Failure) {
        let (call, provider, session) = self.names();
        let (blame, verdict) = failure.judge();
        if verdict == Verdict::Ignore {
            let event_type = kinds::PROVIDER_ODDITY;
            return debug!(event_type, %call, %attachment, provider, session, %failure, "harmless problem with the provider");
        }
        let was_ready = self.stay.as_ref().is_some_and(|stay| stay.ready);
        let event_type = if was_ready { kinds::CONNECTION_LOST } else { kinds::CONNECTION_FAILED };
        let kind = failure.kind();
        warn!(event_type, %call, %attachment, provider, session, kind, ?blame, ?verdict, %failure, "problem with the provider");
        if !was_ready && self.is_rescue() {
            let event_type = kinds::RECONNECTION_ATTEMPT_FAILED;
            warn!(event_type, %call, %attachment, provider, kind, "who was to take over failed as well");
        }
    }

    fn tool(&self, event: &CallEvent) {
        let (call, provider, session) = self.names();
        if let CallEvent::ToolCalled(tool) = event {
            let (name, id) = (Failure::clean_code(&tool.name), tool.id);
            info!(event_type = kinds::TOOL_CALLED, %call, provider, session, tool = name, %id, "tool called");
        } else if let CallEvent::ToolAnswered { id, failed: false, took, .. } = event {
            info!(event_type = kinds::TOOL_ANSWERED, %call, provider, session, %id, ?took, "tool answered");
        } else if let CallEvent::ToolAnswered { id, took, .. } = event {
            warn!(event_type = kinds::TOOL_FAILED, %call, provider, session, %id, ?took, "tool failed");
        } else if let CallEvent::ToolCancelled { id } = event {
            info!(event_type = kinds::TOOL_CALLED, %call, provider, session, %id, "tool no longer wanted");
        }
    }

    fn conversation(&self, event: &CallEvent) {
        let (call, provider, session) = self.names();
        if let CallEvent::CallerSpoke { utterance } = event {
            debug!(event_type = kinds::TURN_CALLER, %call, %utterance, provider, session, "caller speaks");
        } else if let CallEvent::CallerPaused { utterance } = event {
            debug!(event_type = kinds::TURN_CALLER, %call, %utterance, provider, session, "caller paused");
        } else if let CallEvent::CallerSaid { utterance, text } = event {
            let (event_type, bytes) = (kinds::TURN_CALLER, text.expose().len());
            debug!(event_type, %call, %utterance, provider, session, bytes, "caller's words are known");
        } else if let CallEvent::ReplyStarted { reply, latency } = event {
            info!(event_type = kinds::TURN_REPLY, %call, %reply, provider, session, ?latency, "reply begins");
        } else if let CallEvent::FirstSound(told) = event {
            self.answered(told);
        } else if let CallEvent::Sound(sound) = event {
            let (mos, loss) = (sound.rating.map(|rating| rating.mos()), sound.line.loss());
            let (event_type, jitter, way) = (kinds::AUDIO_QUALITY, sound.line.jitter, sound.way);
            debug!(event_type, %call, mos, loss, ?jitter, ?way, "how it sounds");
        } else if let CallEvent::ReplyHeard { reply, heard, unheard, cut, text: _ } = event {
            let event_type = kinds::TURN_REPLY;
            debug!(event_type, %call, %reply, provider, session, ?heard, ?unheard, cut, "reply is over");
        } else if let CallEvent::BargeIn { reply, heard, unheard } = event {
            let event_type = kinds::TURN_BARGE_IN;
            info!(event_type, %call, %reply, provider, session, ?heard, ?unheard, "caller interrupted the reply");
        } else if let CallEvent::Digit { .. } = event {
            debug!(event_type = kinds::TURN_CALLER, %call, "caller pressed a key");
        }
    }

    fn answered(&self, told: &VoiceToVoice) {
        let (call, name, session) = self.names();
        let VoiceToVoice { reply, detection, provider, pacing, network } = told;
        info!(
            event_type = kinds::TURN_ANSWERED,
            %call,
            %reply,
            provider = name,
            session,
            total = ?told.total(),
            ?detection,
            thinking = ?provider,
            ?pacing,
            ?network,
            "the answer is heard"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing_subscriber::layer::SubscriberExt;
    use voice_core::time::MonoTime;

    use super::*;
    use crate::config::LogFormat;
    use crate::store::samples;
    use crate::telemetry::lines::Lines;
    use crate::telemetry::log::tests::Kept;

    fn written(format: LogFormat, events: Vec<CallEvent>) -> String {
        let kept = Kept::default();
        let lines = Lines::new(format, false, kept.writer());
        let reader = LogReader::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            for (seq, event) in (1..).zip(events) {
                reader.read(CallId::from_u128(7), &Entry { seq, at: MonoTime::ZERO, event });
            }
        });
        kept.text()
    }

    #[test]
    fn nothing_private_reaches_the_log() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = written(format, samples::events());
            assert!(text.lines().count() >= samples::events().len(), "{text}");
            for private in samples::PRIVATE {
                assert!(!text.contains(private), "{private:?} in {text}");
            }
        }
    }

    #[test]
    fn a_failure_and_the_way_out_of_it_have_the_names_that_alerts_look_for() {
        let (one, two, three) = (AttachmentId(1), AttachmentId(2), AttachmentId(3));
        let of = |attachment| CallEvent::Assigned { attachment, provider: ProviderId::from_static("openai") };
        let ready = |attachment| CallEvent::Ready {
            attachment,
            session: Some("sess 1".to_owned()),
            took: Duration::from_millis(5),
        };
        let fails = |attachment| CallEvent::Problem { attachment, failure: Failure::Cut };
        let seeks = |attachment| CallEvent::Attaching { attachment, why: Why::Failure };
        let text = written(
            LogFormat::Json,
            vec![
                CallEvent::Attaching { attachment: one, why: Why::CallStart },
                of(one),
                ready(one),
                fails(one),
                seeks(two),
                of(two),
                fails(two),
                seeks(three),
                of(three),
                ready(three),
                CallEvent::Live { attachment: three, gap: Duration::ZERO },
                CallEvent::Ended { reason: EndReason::NoProvider, totals: Totals::default() },
            ],
        );
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<&str> = lines.iter().map(|line| line["event_type"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            [
                "connection.attempt",
                "connection.attempt",
                "connection.established",
                "connection.lost",
                "reconnection.attempt",
                "connection.attempt",
                "connection.failed",
                "reconnection.attempt_failed",
                "reconnection.attempt",
                "connection.attempt",
                "connection.established",
                "reconnection.success",
                "reconnection.failed",
                "call.ended",
            ]
        );
        let lost = &lines[3];
        assert_eq!((&lost["provider"], &lost["session_id"]), (&"openai".into(), &"sess1".into()), "{lost}");
    }
}
