//! The rule that no caller is left in silence.

use std::time::Duration;

use crate::call::CallConfig;
use crate::record::{CallEvent, CoverKind, EndReason};
use crate::time::MonoTime;

use super::checks::require;

/// A caller who speaks is not talked over at once; and the ear is later than the clock by what the
/// network takes.
const SLACK: Duration = Duration::from_millis(3_200);

/// Since when nobody hears the caller, and what they were told.
#[derive(Default)]
pub(super) struct Silence {
    gap_since: Option<MonoTime>,
    told_why: bool,
    /// Somebody wanted them to be led elsewhere.
    is_left: bool,
    /// Whoever is on hold hears what was ordered.
    on_hold: bool,
    resumed: MonoTime,
}

impl Silence {
    pub(super) fn lost_the_voice(&mut self, now: MonoTime) {
        self.gap_since = Some(now);
    }

    /// The caller hears us again, and nobody is there yet.
    pub(super) fn returned(&mut self, now: MonoTime) {
        *self = Self { gap_since: Some(now), on_hold: self.on_hold, ..Self::default() };
    }

    /// One more entry; something to be counted, if it is of interest.
    pub(super) fn entry(
        &mut self,
        now: MonoTime,
        event: &CallEvent,
        config: &CallConfig,
    ) -> Result<Option<&'static str>, String> {
        if let CallEvent::Started { .. } = event {
            self.gap_since = Some(now);
        } else if let CallEvent::Transferring { name, .. } = event {
            self.is_left |= name != "last_resort";
        } else if let CallEvent::Live { .. } = event {
            self.gap_since = None;
        } else if let CallEvent::Held { .. } = event {
            self.on_hold = true;
        } else if let CallEvent::Resumed { .. } = event {
            (self.on_hold, self.resumed) = (false, now);
        } else if let CallEvent::Covered { kind } = event {
            self.told_why |= *kind == CoverKind::Unavailable;
            require(*kind != CoverKind::Music, || "music is no cover".to_owned())?;
            let thinking = self.gap_since.is_none();
            return Ok(Some(if thinking { "covers while thinking" } else { "covers in a gap" }));
        } else if let CallEvent::Ended { reason, .. } = event {
            let led = matches!(reason, EndReason::Transfer { .. }) && !self.is_left;
            let alone = *reason == EndReason::NoProvider || led;
            let should = alone && !config.prompts.unavailable.is_empty();
            require(!should || self.told_why, || "leaves without a word".to_owned())?;
            self.gap_since = None;
            return Ok(alone.then_some("left with a word"));
        }
        Ok(None)
    }

    /// The call waits, and the carrier has something to play until then.
    pub(super) fn check(&self, now: MonoTime, dry_at: MonoTime, config: &CallConfig) -> Result<(), String> {
        let Some(gap) = self.gap_since.filter(|_| config.prompts.can_cover() && !self.on_hold) else {
            return Ok(());
        };
        let patience = &config.patience;
        let longest = patience.gap.max(patience.idle).max(patience.opening).max(patience.again);
        let quiet = now.since(gap.max(dry_at).max(self.resumed));
        require(quiet <= longest + SLACK, || format!("leaves the caller in silence for {quiet:?}"))
    }
}
