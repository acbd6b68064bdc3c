//! How calls get over gaps: who stands by, what covers a silence, how long somebody is sought.

use std::time::Duration;

use voice_core::audio::resample::Phase;
use voice_core::call::Standby;

use super::check::{Check, Wrong, calls_max, drain, in_range, parse};
use super::settings;
use super::{LimitsConfig, OperationsConfig};

/// How calls get over gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallsConfig {
    /// Whether a second provider is connected early.
    pub standby: Standby,
    /// Whether prompts cover gaps.
    pub covers: bool,
    /// How long somebody is sought for a call that nobody can take.
    pub gap: Duration,
    /// The longest call.
    pub longest: Duration,
    /// What resampling does to the phases of a voice.
    pub phase: Phase,
    /// What can be done with a call while it runs.
    pub operations: OperationsConfig,
}

impl Check {
    pub(super) fn limits(&mut self) -> Option<LimitsConfig> {
        let calls_max = self.parse(&settings::MAX_CALLS, calls_max);
        let drain = self.parse(&settings::DRAIN_SECONDS, drain);
        let hand_over = self.parse(&settings::DRAIN_MODE, drain_mode);
        Some(LimitsConfig { calls_max: calls_max?, drain: drain?, hand_over: hand_over? })
    }

    pub(super) fn calls(&mut self) -> Option<CallsConfig> {
        let standby = self.parse(&settings::VOICE_STANDBY, standby);
        let covers = self.parse(&settings::COVER_PROMPTS, parse::on_or_off);
        let gap = self.parse(&settings::GAP_SECONDS, gap);
        let longest = self.parse(&settings::CALL_SECONDS_MAX, longest);
        let phase = self.parse(&settings::RESAMPLER_PHASE, phase);
        let operations = self.operations();
        Some(CallsConfig {
            standby: standby?,
            covers: covers?,
            gap: gap?,
            longest: longest?,
            phase: phase?,
            operations: operations?,
        })
    }
}

fn drain_mode(text: &str) -> Result<bool, Wrong> {
    match text {
        "wait" => Ok(false),
        "handover" => Ok(true),
        other => Err(Wrong(
            format!("{other:?} is no way to shut down"),
            "use wait (for calls to end) or handover (to the next server)",
        )),
    }
}

fn standby(text: &str) -> Result<Standby, Wrong> {
    match text {
        "off" => Ok(Standby::Off),
        "ready" => Ok(Standby::Ready),
        "fed" => Ok(Standby::Fed),
        other => Err(Wrong(
            format!("{other:?} is no way to stand by"),
            "use off, ready (connected) or fed (connected and told every turn)",
        )),
    }
}

fn phase(text: &str) -> Result<Phase, Wrong> {
    match text {
        "linear" => Ok(Phase::Linear),
        "minimum" => Ok(Phase::Minimum),
        other => Err(Wrong(
            format!("{other:?} is no phase of a resampler"),
            "use linear (all tones equally late) or minimum (1.3 ms less delay each way)",
        )),
    }
}

fn gap(text: &str) -> Result<Duration, Wrong> {
    in_range(text, 0, 120, "use whole seconds from 0 (give up at once) to 120").map(Duration::from_secs)
}

fn longest(text: &str) -> Result<Duration, Wrong> {
    in_range(text, 10, 24 * 3_600, "use whole seconds from 10 to 86400").map(Duration::from_secs)
}
