//! The log: readable by people unless told otherwise, and the reader that writes calls into it.

use std::fmt;
use std::io::IsTerminal;
use std::time::SystemTime;

use tracing::{debug, error, info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};
use voice_core::failure::{Failure, Verdict};
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry, Loss, Reader, Totals, VoiceToVoice};
use voice_core::recording::RecordingEnd;

use super::log_counts::CountLines;
use crate::config::LogFormat;

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The level is not one.
    #[error("{0:?} is not a log level")]
    Level(String),
    /// Somebody else already takes the log lines of this process.
    #[error("the log was started before")]
    Started,
}

/// Sends log lines to standard error from now on. Standard output is left to commands' results.
pub fn start_log(format: LogFormat, level: &str) -> Result<(), LogError> {
    let filter: Targets = level.parse().map_err(|_| LogError::Level(level.to_owned()))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.compact().with_target(false).with_timer(TimeOfDay).with_ansi(colours).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Lines are counted from this level on whatever is written, but nothing finer: that would cost more than
    // it tells.
    let counted = CountLines.with_filter(LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .with(counted)
        .try_init()
        .map_err(|_| LogError::Started)
}

/// `14:03:07.512`, in UTC: who reads along knows the day. JSON lines carry the full time.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (seconds, millis) = (now.as_secs() % 86_400, now.subsec_millis());
        write!(w, "{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

/// Turns the record of calls into log lines. Never a number, a key that was pressed, or what was said.
#[derive(Clone, Copy, Debug)]
pub struct LogReader;

impl Reader for LogReader {
    fn read(&self, call: CallId, entry: &Entry) {
        match &entry.event {
            CallEvent::Started { carrier, carrier_call, format, correlation, from: _, to: _ } => {
                info!(%call, %carrier, carrier_call, %format, %correlation, "call started");
            }
            CallEvent::Ended { reason, totals } => ended(call, reason.kind(), totals),
            CallEvent::Attaching { .. }
            | CallEvent::Assigned { .. }
            | CallEvent::Ready { .. }
            | CallEvent::Live { .. }
            | CallEvent::Detached { .. }
            | CallEvent::Problem { .. }
            | CallEvent::SwitchRefused { .. }
            | CallEvent::ProviderOddity { .. }
            | CallEvent::Used { .. } => provider(call, &entry.event),
            CallEvent::CallerSpoke { .. }
            | CallEvent::CallerPaused { .. }
            | CallEvent::CallerSaid { .. }
            | CallEvent::ReplyStarted { .. }
            | CallEvent::FirstSound(_)
            | CallEvent::Sound(_)
            | CallEvent::ReplyHeard { .. }
            | CallEvent::BargeIn { .. }
            | CallEvent::Digit { .. } => conversation(call, &entry.event),
            CallEvent::ToolCalled(tool) => {
                info!(%call, tool = Failure::clean_code(&tool.name), id = %tool.id, "tool called");
            }
            CallEvent::ToolAnswered { id, failed: false, took, .. } => {
                info!(%call, %id, ?took, "tool answered")
            }
            CallEvent::ToolAnswered { id, took, .. } => warn!(%call, %id, ?took, "tool failed"),
            CallEvent::ToolCancelled { id } => info!(%call, %id, "tool no longer wanted"),
            CallEvent::RecordingStarted { .. }
            | CallEvent::RecordingPaused
            | CallEvent::RecordingResumed
            | CallEvent::RecordingStopped { .. } => recording(call, &entry.event),
            // The network's losses are everyday; our own mean that something is too slow.
            CallEvent::AudioLost { what: Loss::Withheld, duration } => {
                info!(%call, ?duration, "audio withheld by order")
            }
            CallEvent::AudioLost { what: Loss::Carrier, duration } => {
                info!(%call, ?duration, "audio lost by the carrier")
            }
            CallEvent::AudioLost { what, duration } => warn!(%call, place = ?what, ?duration, "audio lost"),
            CallEvent::CarrierOddity { oddity, count } => {
                warn!(%call, oddity = oddity.name(), count, "the carrier sent something that makes no sense");
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

/// How the call goes on: gaps, switches, holds.
fn course(call: CallId, event: &CallEvent) {
    if let CallEvent::Retrying { round, wait } = event {
        warn!(%call, round, ?wait, "nobody can take the call; all are asked again");
    } else if let CallEvent::Switched(switch) = event {
        info!(%call, from = %switch.from, to = %switch.to, why = ?switch.why, gap = ?switch.gap, "another voice talks");
    } else if let CallEvent::Returned { leg, after, why, .. } = event {
        warn!(%call, leg, ?after, why = why.name(), "the call has come back");
    } else if let CallEvent::Transferring { id, kind, name, .. } = event {
        info!(%call, transfer = id.0, kind = kind.name(), to = name, "the caller is being led to somebody else");
    } else if let CallEvent::TransferFailed { id, why } = event {
        warn!(%call, transfer = id.0, why = why.name(), "the caller was not led to somebody else");
    } else if let CallEvent::Silence { of, over: None } = event {
        info!(%call, ?of, "nothing comes from somebody who should be heard");
    } else {
        // What private text there is does not print itself.
        debug!(%call, ?event, "call event");
    }
}

fn ended(call: CallId, reason: &str, totals: &Totals) {
    info!(
        %call,
        reason,
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
    if let CallEvent::RecordingStarted { .. } = event {
        info!(%call, "recording started");
    } else if let CallEvent::RecordingPaused = event {
        info!(%call, "recording paused");
    } else if let CallEvent::RecordingResumed = event {
        info!(%call, "recording resumed");
    } else if let CallEvent::RecordingStopped { reason: RecordingEnd::Failed, length } = event {
        error!(%call, ?length, "recording failed");
    } else if let CallEvent::RecordingStopped { reason, length } = event {
        info!(%call, reason = reason.name(), ?length, "recording stopped");
    }
}

fn provider(call: CallId, event: &CallEvent) {
    if let CallEvent::Problem { attachment, failure } = event {
        let (blame, verdict) = failure.judge();
        if verdict == Verdict::Ignore {
            debug!(%call, %attachment, %failure, "harmless problem with the provider");
        } else {
            warn!(%call, %attachment, kind = failure.kind(), ?blame, ?verdict, %failure, "problem with the provider");
        }
    } else if let CallEvent::Attaching { attachment, why } = event {
        debug!(%call, %attachment, ?why, "looking for a provider");
    } else if let CallEvent::Assigned { attachment, provider } = event {
        info!(%call, %attachment, %provider, "connecting a provider");
    } else if let CallEvent::Ready { attachment, session, took } = event {
        debug!(%call, %attachment, session = session.as_deref().map(Failure::clean_code), ?took, "provider is ready");
    } else if let CallEvent::Live { attachment, gap } = event {
        info!(%call, %attachment, ?gap, "the provider hears the caller");
    } else if let CallEvent::Detached { attachment } = event {
        debug!(%call, %attachment, "provider let go");
    } else if let CallEvent::SwitchRefused { why } = event {
        info!(%call, ?why, "switch refused");
    } else if let CallEvent::ProviderOddity { attachment, kind, count } = event {
        info!(%call, %attachment, kind, count, "the provider sent something unknown");
    } else if let CallEvent::Used { attachment, usage } = event {
        debug!(%call, %attachment, ?usage, "tokens used");
    }
}

fn conversation(call: CallId, event: &CallEvent) {
    if let CallEvent::CallerSpoke { utterance } = event {
        debug!(%call, %utterance, "caller speaks");
    } else if let CallEvent::CallerPaused { utterance } = event {
        debug!(%call, %utterance, "caller paused");
    } else if let CallEvent::CallerSaid { utterance, text } = event {
        debug!(%call, %utterance, bytes = text.expose().len(), "caller's words are known");
    } else if let CallEvent::ReplyStarted { reply, latency } = event {
        info!(%call, %reply, ?latency, "reply begins");
    } else if let CallEvent::FirstSound(told) = event {
        let VoiceToVoice { reply, detection, provider, pacing, network } = told;
        let total = told.total();
        info!(%call, %reply, ?total, ?detection, ?provider, ?pacing, ?network, "the answer is heard");
    } else if let CallEvent::Sound(sound) = event {
        let (mos, loss) = (sound.rating.map(|rating| rating.mos()), sound.line.loss());
        debug!(%call, mos, loss, jitter = ?sound.line.jitter, way = ?sound.way, "how it sounds");
    } else if let CallEvent::ReplyHeard { reply, heard, unheard, cut, text: _ } = event {
        debug!(%call, %reply, ?heard, ?unheard, cut, "reply is over");
    } else if let CallEvent::BargeIn { reply, heard, unheard } = event {
        info!(%call, %reply, ?heard, ?unheard, "caller interrupted the reply");
    } else if let CallEvent::Digit { .. } = event {
        debug!(%call, "caller pressed a key");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::store::samples;

    #[test]
    fn nothing_private_reaches_the_log() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for (seq, event) in (1..).zip(samples::events()) {
                LogReader
                    .read(CallId::from_u128(7), &Entry { seq, at: voice_core::time::MonoTime::ZERO, event });
            }
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.lines().count() >= samples::events().len(), "{text}");
        for private in samples::PRIVATE {
            assert!(!text.contains(private), "{private:?} in {text}");
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
