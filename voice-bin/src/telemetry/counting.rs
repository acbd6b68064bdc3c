//! The reader that counts what the records of calls tell.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{info, warn};
use voice_core::call::Control;
use voice_core::failure::{Blame, Failure, Verdict};
use voice_core::id::{AttachmentId, CallId};
use voice_core::provider::Usage;
use voice_core::record::{
    CallEvent, CoverKind, Entry, Loss, Party, Reader, Sound, SwitchRefusal, Totals, VoiceToVoice, Why,
};
use voice_core::recording::{RecordStep, RecordingRefusal};
use voice_core::time::MonoTime;

use super::event_types as kinds;
use super::figures::{CallFigures, Stay};
use super::metrics::Shared;
use super::money::BudgetAction;
use crate::metrics_names as names;

/// What a label says where nobody knows.
const UNKNOWN: &str = "unknown";

/// What the voice is told when a call has spent its budget.
const GOODBYE: &str = "This call has to end now. In one short sentence, tell the caller politely that the time for this \
                       call is over, and say goodbye. Ask nothing.";

/// Counts what the records of calls tell, and keeps the figures of each.
#[derive(Clone)]
pub struct MetricsReader {
    shared: Arc<Shared>,
}

impl MetricsReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Warns, and acts, once each.
    fn mind_budget(&self, id: CallId, call: &mut CallFigures) {
        let Some(budget) = self.shared.budget else { return };
        let (spent, is_incomplete) = call.bills.total();
        let (before, reached) = (call.budget, budget.reached(spent));
        if reached <= before {
            return;
        }
        call.budget = reached;
        let dollars = spent.0 as f64 / 1e6;
        if reached < 2 {
            count_budget("warned");
            return warn!(event_type = kinds::CALL_BUDGET, call = %id, dollars, is_incomplete, "the call has spent most of its budget");
        }
        let live = call.stays.iter().find(|stay| stay.live.is_some()).and_then(|stay| stay.provider.clone());
        let cheaper = || live.as_ref().and_then(|live| self.shared.prices.cheaper_than(live));
        let done = match budget.action {
            BudgetAction::Warn => "warned",
            BudgetAction::Downgrade => match cheaper() {
                Some(to) if self.shared.order(id, Control::Switch(Some(to.clone()))) => "downgraded",
                Some(_) | None => "warned",
            },
            BudgetAction::End => {
                let is_told = self.shared.order(id, Control::Say { cue: GOODBYE.to_owned() });
                if is_told && self.shared.order(id, Control::HangUpAfterReply) { "ended" } else { "warned" }
            }
        };
        count_budget(done);
        warn!(event_type = kinds::CALL_BUDGET, call = %id, dollars, is_incomplete, done, "the call has spent its budget");
    }
}

impl fmt::Debug for MetricsReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsReader")
    }
}

impl Reader for MetricsReader {
    fn read(&self, id: CallId, entry: &Entry) {
        if entry.event.is_afterthought() {
            // Its call may be over, and forgotten.
            return count_plain(&entry.event);
        }
        let mut figures = self.shared.figures();
        let call = figures.of(id, entry.at);
        call.fold(entry, &self.shared.prices);
        count(call, entry);
        for (provider, dollars, unpriced) in call.bills.news() {
            gauge!(names::AI_COST, "provider" => provider.to_string()).increment(dollars);
            counter!(names::AI_UNPRICED, "provider" => provider.to_string()).increment(unpriced.into());
        }
        self.mind_budget(id, call);
        if let CallEvent::Ended { .. } = entry.event {
            figures.close(id);
        }
    }
}

fn count(call: &mut CallFigures, entry: &Entry) {
    let event = &entry.event;
    if let CallEvent::Started { .. } = event {
        let labels = [("provider", call.carrier.clone()), ("direction", call.direction.to_owned())];
        counter!(names::CALLS_STARTED, &labels).increment(1);
    } else if let CallEvent::Ended { totals, .. } = event {
        ended(call, entry.at, totals);
    } else if let CallEvent::Ready { attachment, took, .. } = event {
        ready(call, *attachment, *took);
    } else if let CallEvent::ReplyStarted { reply, latency: Some(latency) } = event {
        histogram!(names::REPLY_LATENCY, "provider" => provider(call, reply.attachment()))
            .record(latency.as_secs_f64());
    } else if let CallEvent::ReplyHeard { reply, heard, .. } = event {
        if !heard.is_zero() {
            asked(provider(call, reply.attachment()), "success");
        }
    } else if let CallEvent::FirstSound(told) = event {
        answered(call, told);
    } else if let CallEvent::Sound(sound) = event {
        sounds(call, sound);
    } else if let CallEvent::Problem { attachment, failure } = event {
        failed(call, *attachment, failure, entry.at);
    } else if let CallEvent::Detached { attachment } = event {
        if let Some(stay) = call.leave(*attachment) {
            left(&stay, entry.at);
        }
    } else if let CallEvent::Used { attachment, usage } = event {
        count_tokens(&provider(call, *attachment), usage);
    } else {
        count_plain(event);
        count_gaps(event);
    }
}

fn provider(call: &CallFigures, attachment: AttachmentId) -> String {
    call.provider(attachment).map_or_else(|| UNKNOWN.to_owned(), |id| id.to_string())
}

fn asked(provider: String, status: &'static str) {
    counter!(names::AI_REQUESTS, "provider" => provider, "status" => status).increment(1);
}

fn ready(call: &CallFigures, attachment: AttachmentId, took: Duration) {
    let provider = provider(call, attachment);
    histogram!(names::ATTACH_DURATION, "provider" => provider.clone()).record(took.as_secs_f64());
    breaker("connect", &provider, "success", took);
    if call.stay(attachment).is_some_and(is_reconnection) {
        reconnected(&provider, "true");
    }
    asked(provider, "success");
}

/// Whether somebody is wanted because a session ended or failed.
fn is_reconnection(stay: &Stay) -> bool {
    matches!(stay.why, Why::Failure | Why::SessionLimit)
}

fn reconnected(provider: &str, success: &'static str) {
    counter!(names::AI_RECONNECTIONS, "provider" => provider.to_owned(), "success" => success).increment(1);
}

fn breaker(name: &'static str, provider: &str, status: &'static str, took: Duration) {
    histogram!(names::BREAKER_DURATION, "name" => name, "provider" => provider.to_owned(), "status" => status)
        .record(took.as_secs_f64());
}

fn answered(call: &CallFigures, told: &VoiceToVoice) {
    let provider = provider(call, told.reply.attachment());
    histogram!(names::AI_LATENCY, "provider" => provider.clone()).record(told.provider.as_secs_f64());
    histogram!(names::VOICE_TO_VOICE, "provider" => provider).record(told.total().as_secs_f64());
    for (part, took) in [
        ("detection", told.detection),
        ("provider", told.provider),
        ("pacing", told.pacing),
        ("network", told.network),
    ] {
        histogram!(names::VOICE_TO_VOICE_PART, "part" => part).record(took.as_secs_f64());
    }
}

fn sounds(call: &CallFigures, sound: &Sound) {
    let provider = sound.attachment.map_or_else(|| UNKNOWN.to_owned(), |id| provider(call, id));
    counter!(names::AI_CHUNKS_SENT, "provider" => provider.clone()).increment(sound.to_provider.into());
    counter!(names::AI_CHUNKS_RECEIVED, "provider" => provider.clone()).increment(sound.from_provider.into());
    let labels = [("provider", provider), ("carrier", call.carrier.clone())];
    histogram!(names::LOSS, &labels).record(sound.line.loss() * 100.0);
    histogram!(names::JITTER, &labels).record(sound.line.jitter.as_secs_f64() * 1_000.0);
    if let Some(rating) = sound.rating {
        histogram!(names::MOS, &labels).record(rating.mos());
        histogram!(names::R_FACTOR, &labels).record(rating.r());
    }
}

fn failed(call: &CallFigures, attachment: AttachmentId, failure: &Failure, at: MonoTime) {
    let (provider, (blame, verdict)) = (provider(call, attachment), failure.judge());
    counter!(names::PROVIDER_PROBLEMS, "kind" => failure.kind(), "blame" => blame_name(blame)).increment(1);
    counter!(names::AI_ERRORS, "provider" => provider.clone(), "error_type" => failure.kind()).increment(1);
    if verdict == Verdict::Ignore {
        return;
    }
    if matches!(failure, Failure::Cut | Failure::Closed { .. } | Failure::Clogged) {
        counter!(names::WS_DISCONNECTIONS, "peer" => "provider", "reason" => failure.kind()).increment(1);
    }
    let stay = call.stay(attachment);
    if let Some(stay) = stay.filter(|stay| stay.ready.is_none()) {
        breaker("connect", &provider, "failure", at.since(stay.since));
        if is_reconnection(stay) {
            reconnected(&provider, "false");
        }
    }
    asked(provider, "error");
}

/// A provider's stay in a call is over.
fn left(stay: &Stay, at: MonoTime) {
    let (Some(provider), Some(ready)) = (&stay.provider, stay.ready) else { return };
    let status = match (stay.failed, stay.live) {
        (true, _) => "failed",
        (false, Some(_)) => "completed",
        (false, None) => "unused",
    };
    let provider = provider.to_string();
    counter!(names::SESSIONS, "provider_type" => provider.clone(), "status" => status).increment(1);
    if let Some(live) = stay.live {
        let status = if stay.failed { "failure" } else { "success" };
        breaker("converse", &provider, status, at.since(live));
    }
    histogram!(names::SESSION_DURATION, "provider_type" => provider).record(at.since(ready).as_secs_f64());
}

fn ended(call: &mut CallFigures, at: MonoTime, totals: &Totals) {
    for stay in std::mem::take(&mut call.stays) {
        left(&stay, at);
    }
    let reason = call.end.unwrap_or(UNKNOWN);
    let carrier = || call.carrier.clone();
    counter!(names::CALLS_ENDED, "provider" => carrier(), "reason" => reason).increment(1);
    counter!(names::CALLS, "provider" => carrier(), "status" => status(reason), "direction" => call.direction)
        .increment(1);
    histogram!(names::CALL_DURATION, "provider" => carrier(), "direction" => call.direction)
        .record(totals.duration.as_secs_f64());
    if matches!(reason, "carrier_line_down" | "carrier_nonsense") {
        counter!(names::WS_DISCONNECTIONS, "peer" => "carrier", "reason" => reason).increment(1);
    }
    for (provider, bill) in call.bills() {
        histogram!(names::CALL_COST, "provider" => provider.to_string()).record(bill.dollars());
    }
    let directions = [
        ("in", totals.frames_in),
        ("heard", totals.frames_heard),
        ("lost", totals.frames_lost),
        ("out", totals.frames_out),
    ];
    for (direction, frames) in directions {
        counter!(names::FRAMES, "direction" => direction).increment(frames);
    }
}

/// What the reason of a call's end means to whoever looks at all of them.
fn status(reason: &str) -> &'static str {
    match reason {
        "caller_hung_up" | "hung_up" | "transfer" => "completed",
        "carrier_line_down" | "carrier_nonsense" => "dropped",
        "call_limit" => "limited",
        _ => "failed",
    }
}

fn count_plain(event: &CallEvent) {
    if let CallEvent::BargeIn { .. } = event {
        counter!(names::BARGE_INS).increment(1);
    } else if let CallEvent::AudioLost { what, duration } = event {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        counter!(names::AUDIO_LOST, "place" => place(*what)).increment(millis);
    } else if let CallEvent::CarrierOddity { oddity, .. } = event {
        counter!(names::ODDITIES, "peer" => "carrier", "kind" => oddity.name()).increment(1);
    } else if let CallEvent::ProviderOddity { .. } = event {
        // The kind is the peer's own word: no label, or a peer could fill our memory.
        counter!(names::ODDITIES, "peer" => "provider", "kind" => UNKNOWN).increment(1);
    } else if let CallEvent::ToolAnswered { failed, took, .. } = event {
        let outcome = if *failed { "failed" } else { "answered" };
        counter!(names::TOOLS, "outcome" => outcome).increment(1);
        histogram!(names::TOOL_DURATION, "outcome" => outcome).record(took.as_secs_f64());
    } else if let CallEvent::Live { gap, .. } = event {
        histogram!(names::HELD_AUDIO).record(gap.as_secs_f64());
    } else if let CallEvent::SwitchRefused { why } = event {
        counter!(names::SWITCHES_REFUSED, "why" => refusal(*why)).increment(1);
    } else if let CallEvent::TransferFailed { why, .. } = event {
        counter!(names::TRANSFERS, "outcome" => why.name()).increment(1);
    } else if let Some(outcome) = at_carrier(event) {
        counter!(names::RECORDINGS, "outcome" => outcome).increment(1);
    }
}

/// What became of a recording that a carrier was to make.
const fn at_carrier(event: &CallEvent) -> Option<&'static str> {
    if let CallEvent::RecordingSaved(_) = event {
        return Some("saved");
    }
    if let CallEvent::RecordingAbsent { .. } = event {
        return Some("absent");
    }
    if let CallEvent::RecordingRefused { why: RecordingRefusal::Ending, .. } = event {
        // The carrier was not even asked.
        return None;
    }
    if let CallEvent::RecordingRefused { step: RecordStep::Start, .. } = event {
        return Some("refused");
    }
    if let CallEvent::RecordingRefused { step: RecordStep::Stop | RecordStep::Pause, .. } = event {
        return Some("not_stopped");
    }
    None
}

/// What is done so that callers are not left alone.
fn count_gaps(event: &CallEvent) {
    if let CallEvent::Switched(switch) = event {
        counter!(names::SWITCHES, "why" => switch.why.name()).increment(1);
        histogram!(names::SWITCH_GAP, "why" => switch.why.name()).record(switch.gap.as_secs_f64());
    } else if let CallEvent::Covered { kind } = event {
        counter!(names::COVERS, "kind" => cover(*kind)).increment(1);
    } else if let CallEvent::Retrying { .. } = event {
        counter!(names::RETRIES).increment(1);
    } else if let CallEvent::Silence { of, over: None } = event {
        let of = match of {
            Party::Caller => "caller",
            Party::Provider => "provider",
        };
        counter!(names::SILENCES, "of" => of).increment(1);
    }
}

fn count_tokens(provider: &str, usage: &Usage) {
    let kinds = [
        ("text_in", usage.text_in),
        ("audio_in", usage.audio_in),
        ("cached_in", usage.cached_in),
        ("text_out", usage.text_out),
        ("audio_out", usage.audio_out),
    ];
    for (kind, tokens) in kinds {
        counter!(names::AI_TOKENS, "provider" => provider.to_owned(), "kind" => kind)
            .increment(tokens.into());
    }
}

fn count_budget(action: &'static str) {
    counter!(names::BUDGET, "action" => action).increment(1);
    info!(event_type = kinds::CALL_BUDGET, action, "a budget was reached");
}

const fn cover(kind: CoverKind) -> &'static str {
    match kind {
        CoverKind::Moment => "moment",
        CoverKind::Still => "still",
        CoverKind::Unavailable => "unavailable",
        CoverKind::Music => "music",
    }
}

const fn refusal(why: SwitchRefusal) -> &'static str {
    match why {
        SwitchRefusal::NotTalking => "not_talking",
        SwitchRefusal::UnderWay => "under_way",
        SwitchRefusal::Nobody => "nobody",
        SwitchRefusal::Same => "same",
        SwitchRefusal::NoneBefore => "none_before",
        SwitchRefusal::Withdrawn => "withdrawn",
    }
}

const fn blame_name(blame: Blame) -> &'static str {
    match blame {
        Blame::Provider => "provider",
        Blame::Us => "us",
        Blame::Nobody => "nobody",
    }
}

const fn place(loss: Loss) -> &'static str {
    match loss {
        Loss::Carrier => "carrier",
        Loss::Held => "held",
        Loss::Unheard => "unheard",
        Loss::Playout => "playout",
        Loss::Withheld => "withheld",
        Loss::Recording => "recording",
    }
}
