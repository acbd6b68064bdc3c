//! The rules of taking over: who takes over knows everything, and the books of it are right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::conversation::Turn;
use crate::failure::Failure;
use crate::id::{AttachmentId, ProviderId};
use crate::record::{CallEvent, Why};

use super::checks::require;

/// What was said and noted, and who was told.
#[derive(Default)]
pub(super) struct Switching {
    who: BTreeMap<AttachmentId, ProviderId>,
    ready: BTreeSet<AttachmentId>,
    live: Option<AttachmentId>,
    last: Option<ProviderId>,
    /// Words that whoever talks must know.
    said: Vec<String>,
    told: BTreeMap<AttachmentId, Told>,
    /// Somebody has just gone live: time to ask what they know.
    fresh: bool,
}

#[derive(Default)]
struct Told {
    words: BTreeSet<String>,
    turns: u32,
    /// It was told that something was left out.
    shortened: bool,
}

impl Switching {
    /// Somebody is told these turns. True if it is told that older ones were left out.
    pub(super) fn told(&mut self, id: AttachmentId, turns: &[Turn]) -> bool {
        let told = self.told.entry(id).or_default();
        told.turns += turns.len() as u32;
        told.words.extend(turns.iter().filter_map(words));
        let shortened = turns.first().and_then(words).is_some_and(|words| words.contains("are left out"));
        told.shortened |= shortened;
        shortened
    }

    pub(super) fn live(&mut self, id: AttachmentId) {
        self.live = Some(id);
        self.fresh = true;
    }

    pub(super) fn lost_the_voice(&mut self) {
        self.live = None;
    }

    /// Whoever is ready and not live may be told turns, and nothing else.
    pub(super) fn may_be_fed(&self, id: AttachmentId) -> bool {
        self.live.is_some() && self.ready.contains(&id)
    }

    /// The call waits: whoever has gone live knows all.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let Some(live) = self.live.filter(|_| std::mem::take(&mut self.fresh)) else { return Ok(()) };
        let told = self.told.entry(live).or_default();
        let missing = self.said.iter().find(|said| !told.words.contains(*said));
        require(told.shortened || missing.is_none(), || format!("{live} was not told {missing:?}"))
    }

    /// One more entry; something to be counted, if it is of interest.
    pub(super) fn entry(&mut self, event: &CallEvent) -> Result<Option<&'static str>, String> {
        let mut count = None;
        if let CallEvent::CallerSaid { text, .. } | CallEvent::Noted { text } = event {
            if let Some(live) = self.live {
                self.told.entry(live).or_default().words.insert(text.expose().clone());
            }
            self.said.push(text.expose().clone());
        } else if let CallEvent::Assigned { attachment, provider } = event {
            self.who.insert(*attachment, provider.clone());
        } else if let CallEvent::Ready { attachment, .. } = event {
            self.ready.insert(*attachment);
        } else if let CallEvent::Attaching { why: Why::Standby, .. } = event {
            require(self.live.is_some(), || "somebody stands by for nobody".to_owned())?;
            count = Some("standbys wanted");
        } else if let CallEvent::Attaching { why: Why::Drain, .. } = event {
            count = Some("providers left");
        } else if let CallEvent::Problem { failure: Failure::SessionLimit, .. } = event {
            count = Some("session limits hit");
        } else if let CallEvent::Live { attachment, .. } = event {
            if self.last.is_none() {
                self.last = self.who.get(attachment).cloned();
            }
        } else if let CallEvent::Switched(switch) = event {
            require(self.last.replace(switch.to.clone()).as_ref() == Some(&switch.from), || {
                format!("{} did not talk before", switch.from)
            })?;
            let who = self.who.get(&switch.attachment);
            require(self.live == Some(switch.attachment) && who == Some(&switch.to), || {
                format!("{} does not talk now", switch.to)
            })?;
            let told = self.told.get(&switch.attachment).map_or(0, |told| told.turns);
            require(told == switch.turns, || format!("was told {told} turns and not {}", switch.turns))?;
            require(switch.lost <= switch.gap, || format!("lost {:?} in {:?}", switch.lost, switch.gap))?;
            count = Some(match (switch.why, switch.gap) {
                (Why::SessionLimit, Duration::ZERO) => "rollovers without a gap",
                (Why::Failure, Duration::ZERO) => "failures without a gap",
                (Why::Wish, Duration::ZERO) => "wishes without a gap",
                (Why::Drain, Duration::ZERO) => "drains without a gap",
                (Why::Wish | Why::Drain | Why::SessionLimit, _) => "switches with a gap",
                (Why::Failure, _) => "failures with a gap",
                (Why::CallStart | Why::Standby, _) => return Err("switched for no reason".to_owned()),
            });
        }
        Ok(count)
    }
}

fn words(turn: &Turn) -> Option<String> {
    match turn {
        Turn::Caller { text } | Turn::Note { text } => Some(text.expose().clone()),
        Turn::Voice { .. } | Turn::Tool { .. } => None,
    }
}
