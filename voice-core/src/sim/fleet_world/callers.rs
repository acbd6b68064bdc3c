//! The rules for callers: nobody is dropped while somebody could talk with them, nobody is left in silence.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audio::FRAME;
use crate::carrier::CarrierCommand;
use crate::failure::Verdict;
use crate::id::{AttachmentId, ProviderId};
use crate::record::{CallEvent, CoverKind, EndReason};
use crate::sim::call_world::Stats;
use crate::time::MonoTime;

use super::shadow::Shadow;
use super::weather::{self, PROVIDERS, Sky};

/// No caller for whom nobody is there hears nothing for longer, until a prompt has said that they wait.
const SILENT_MAX: Duration = Duration::from_secs(2);

/// After a prompt, until the next, as configured.
const AGAIN: Duration = Duration::from_secs(8);

/// The ear is later than the carrier is given something by what its marks take, at most.
const EAR: Duration = Duration::from_millis(200);

/// One caller, from the record and what the carrier is given.
pub(super) struct Rules {
    /// Since when nobody hears them.
    gap: Option<MonoTime>,
    /// The last that they heard was a prompt.
    covered: bool,
    live: Option<AttachmentId>,
    /// When the carrier has nothing more to play.
    dry_at: MonoTime,
    who: BTreeMap<AttachmentId, ProviderId>,
    /// Those who have refused our key in this call are not asked again in it.
    barred: Vec<ProviderId>,
    pub(super) tally: Stats,
}

impl Rules {
    /// The call begins.
    pub(super) fn new(now: MonoTime) -> Self {
        let (who, barred, tally) = (BTreeMap::new(), Vec::new(), Stats::default());
        Self { gap: Some(now), covered: false, live: None, dry_at: now, who, barred, tally }
    }

    pub(super) fn hears(&mut self, now: MonoTime, command: &CarrierCommand) {
        match command {
            CarrierCommand::Play(_) => self.dry_at = self.dry_at.max(now) + FRAME,
            CarrierCommand::Clear => self.dry_at = now,
            CarrierCommand::Mark(_) | CarrierCommand::HangUp => {}
        }
    }

    pub(super) fn detached(&mut self, now: MonoTime, id: AttachmentId) {
        if self.live.take_if(|live| *live == id).is_some() {
            self.begin_gap(now);
        }
    }

    pub(super) fn entry(
        &mut self,
        now: MonoTime,
        event: &CallEvent,
        sky: &Sky,
        shadow: &Shadow,
    ) -> Result<(), String> {
        if let CallEvent::Assigned { attachment, provider } = event {
            self.who.insert(*attachment, provider.clone());
        } else if let CallEvent::Problem { attachment, failure } = event {
            if failure.verdict() == Verdict::NeverAgain {
                self.barred.extend(self.who.get(attachment).cloned());
            }
        } else if let CallEvent::Live { attachment, .. } = event {
            self.live = Some(*attachment);
            self.gap = None;
        } else if let CallEvent::ReplyStarted { .. } = event {
            self.covered = false;
        } else if let CallEvent::Covered { kind } = event {
            self.covered = true;
            if self.gap.is_some() && *kind != CoverKind::Unavailable {
                self.count("prompts in a gap");
            }
        } else if let CallEvent::Ended { reason, .. } = event {
            let gap = self.gap.take();
            if matches!(reason, EndReason::NoProvider | EndReason::Transfer { .. }) {
                let since = gap.unwrap_or(now);
                if let Some(name) = self.one_lives(since, now, sky, shadow) {
                    return Err(format!("gives up at {now} although {name} was well since {since}"));
                }
                self.count("dropped while nobody lived");
            }
        }
        Ok(())
    }

    /// The call waits: whoever hears nothing is told that they wait.
    pub(super) fn check(&self, now: MonoTime) -> Result<(), String> {
        let Some(gap) = self.gap else { return Ok(()) };
        let heard = self.dry_at + EAR;
        let (quiet, told) = (now.since(gap.max(heard)), now.since(heard));
        if quiet > SILENT_MAX && !(self.covered && told <= AGAIN) {
            return Err(format!(
                "leaves a caller in silence for {quiet:?}, told {told:?} ago: {}",
                self.covered
            ));
        }
        Ok(())
    }

    fn begin_gap(&mut self, now: MonoTime) {
        self.gap = Some(now);
        self.count("gaps");
    }

    /// Somebody who was well and in service all this time, and whom this call may ask.
    fn one_lives(&self, since: MonoTime, now: MonoTime, sky: &Sky, shadow: &Shadow) -> Option<&'static str> {
        let lives = |(number, _): &(usize, &&'static str)| {
            let barred = self.barred.iter().any(|id| weather::index(id) == Some(*number));
            !barred && sky.is_fine(*number, since, now) && shadow.serves(*number, since)
        };
        PROVIDERS.iter().enumerate().find(lives).map(|(_, name)| *name)
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.0.entry(what).or_default() += 1;
    }
}
