//! The rules of looking for somebody: who may be asked, how often, and when a call may be given up.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::call::CallLimits;
use crate::failure::Verdict;
use crate::id::{AttachmentId, ProviderId};
use crate::limits::ATTACHMENTS_MAX;
use crate::record::{CallEvent, EndReason};
use crate::time::MonoTime;

use super::checks::require;

/// A wait that would be shorter than this is not worth it.
const SHORTEST: Duration = Duration::from_millis(250);

/// What is known of the search, from the record alone.
#[derive(Default)]
pub(super) struct Search {
    who: BTreeMap<AttachmentId, ProviderId>,
    barred: Vec<ProviderId>,
    asked: u32,
    /// Since when nobody hears the caller.
    gap_since: Option<MonoTime>,
    live_since: MonoTime,
    live: Option<AttachmentId>,
    /// Whoever is live has been heard to the end of a reply.
    heard_out: bool,
    /// Times that all were asked again since somebody talked for a while.
    rounds: u32,
    /// When all are to be asked again.
    again_at: Option<MonoTime>,
}

impl Search {
    /// The call wants somebody.
    pub(super) fn asks(&mut self, tried: &[ProviderId], wish: Option<&ProviderId>) -> Result<(), String> {
        self.asked += 1;
        require(wish.is_none_or(|wish| !tried.contains(wish)), || {
            "wishes for somebody it has tried".to_owned()
        })?;
        self.barred.retain(|barred| Some(barred) != wish);
        for barred in &self.barred {
            require(tried.contains(barred), || {
                format!("would ask {barred} again, who will never be able to")
            })?;
        }
        if self.again_at.take().is_some() {
            let fresh = tried.iter().all(|tried| self.barred.contains(tried));
            require(fresh, || format!("asks all again, but not {tried:?}"))?;
        }
        Ok(())
    }

    /// One more entry; something to be counted, if it is of interest.
    pub(super) fn entry(
        &mut self,
        now: MonoTime,
        event: &CallEvent,
        limits: &CallLimits,
    ) -> Result<Option<&'static str>, String> {
        let late = |at: MonoTime| now > at && !matches!(event, CallEvent::Attaching { .. });
        require(!self.again_at.is_some_and(late), || "all should have been asked again".to_owned())?;
        if let CallEvent::Started { .. } = event {
            self.gap_since = Some(now);
        } else if let CallEvent::Attaching { .. } = event {
            // Somebody did not want to wait so long: the round has not been.
            self.rounds -= u32::from(self.again_at.is_some_and(|at| now < at));
        } else if let CallEvent::Assigned { attachment, provider } = event {
            self.who.insert(*attachment, provider.clone());
        } else if let CallEvent::ReplyHeard { reply, cut: false, heard, .. } = event {
            self.heard_out |= self.live == Some(reply.attachment()) && !heard.is_zero();
        } else if let CallEvent::Live { attachment, .. } = event {
            (self.live, self.heard_out) = (Some(*attachment), false);
            let again = self.rounds > 0 && self.gap_since.is_some();
            self.gap_since = None;
            self.live_since = now;
            return Ok(again.then_some("found after waiting"));
        } else if let CallEvent::Retrying { round, wait } = event {
            self.rounds += 1;
            self.again_at = Some(now + *wait);
            let gap = self.gap_since.map_or(Duration::MAX, |since| (now + *wait).since(since));
            require(gap <= limits.gap, || format!("would wait for {gap:?}"))?;
            require(*round == self.rounds && *round <= 5, || format!("asks a {round}th time"))?;
            return Ok(Some("waits"));
        } else if let CallEvent::Problem { attachment, failure } = event {
            if failure.verdict() == Verdict::NeverAgain {
                self.barred.extend(self.who.get(attachment).cloned());
            }
        } else if let CallEvent::Ended { reason: EndReason::NoProvider, .. } = event {
            return self.gives_up(now, limits).map(Some);
        } else if let CallEvent::Transferring { name, .. } = event
            && name == "last_resort"
        {
            return self.gives_up(now, limits).map(Some);
        }
        Ok(None)
    }

    /// This one was let go.
    /// A new place, new luck; but who will never be able to stays out.
    pub(super) fn returned(&mut self, now: MonoTime) {
        let who = std::mem::take(&mut self.who);
        let barred = std::mem::take(&mut self.barred);
        *self = Self { who, barred, asked: self.asked, gap_since: Some(now), ..Self::default() };
    }

    pub(super) fn lost_the_voice(&mut self, now: MonoTime) {
        self.gap_since = Some(now);
        if now.since(self.live_since) >= Duration::from_secs(5) || self.heard_out {
            self.rounds = 0;
        }
    }

    fn gives_up(&self, now: MonoTime, limits: &CallLimits) -> Result<&'static str, String> {
        let hopeless = !self.barred.is_empty() && self.who.values().all(|who| self.barred.contains(who));
        let gap = self.gap_since.map_or(Duration::ZERO, |since| now.since(since));
        let tried_enough = self.rounds >= 5 || gap + SHORTEST > limits.gap || self.asked >= ATTACHMENTS_MAX;
        require(hopeless || tried_enough, || format!("gives up after {gap:?} and {} rounds", self.rounds))?;
        Ok(if tried_enough { "given up after waiting" } else { "given up at once" })
    }
}
