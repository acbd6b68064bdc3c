//! The rules of taking over: who takes over knows everything, and the books of it are right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::conversation::Turn;
use crate::failure::Failure;
use crate::id::{AttachmentId, ProviderId, ReplyId, ToolCallId};
use crate::record::{CallEvent, Why};

use super::checks::require;

/// What was said and noted, and who was told.
#[derive(Default)]
pub(super) struct Switching {
    who: BTreeMap<AttachmentId, ProviderId>,
    ready: BTreeSet<AttachmentId>,
    live: Option<AttachmentId>,
    last: Option<ProviderId>,
    /// Words of the caller, and notes, that whoever talks must know.
    said: Vec<String>,
    /// What the caller heard of whom; a text may be heard twice.
    heard: Vec<(ReplyId, String)>,
    /// Tools that have answered.
    answered: BTreeSet<ToolCallId>,
    told: BTreeMap<AttachmentId, Told>,
    /// Somebody has just gone live: time to ask what they know.
    fresh: bool,
    /// The first voice of a call takes over from nobody.
    taken_over: bool,
}

#[derive(Default)]
struct Told {
    words: BTreeSet<String>,
    replies: BTreeMap<String, u32>,
    results: BTreeSet<ToolCallId>,
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
        for turn in turns {
            if let Turn::Voice { text, .. } = turn {
                *told.replies.entry(text.expose().clone()).or_default() += 1;
            } else if let Turn::Tool { call, result: Some(_) } = turn {
                told.results.insert(call.id);
            }
        }
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

    /// All who were told anything are gone.
    pub(super) fn returned(&mut self) {
        self.told.clear();
        self.ready.clear();
        self.live = None;
        self.fresh = false;
    }

    /// The call waits: whoever has just gone live knows all. How many turns that were, if somebody else
    /// talked before and nothing had to be left out.
    pub(super) fn check(&mut self) -> Result<Option<u64>, String> {
        let Some(live) = self.live.filter(|_| std::mem::take(&mut self.fresh)) else { return Ok(None) };
        let told = self.told.entry(live).or_default();
        let others = self.heard.iter().filter(|(reply, _)| reply.attachment() != live);
        let known = (self.said.len() + others.clone().count() + self.answered.len()) as u64;
        let first = !std::mem::replace(&mut self.taken_over, true);
        if told.shortened {
            return Ok(None);
        }
        let missing = self.said.iter().find(|said| !told.words.contains(*said));
        require(missing.is_none(), || format!("{live} was not told {missing:?}"))?;
        let mut left = told.replies.clone();
        // What is still on its way to the ear is told as said; a hold may cut it even so. That is more than
        // was heard, never less.
        let knows = |heard: &&String, left: &mut BTreeMap<String, u32>| {
            let exactly = left.get_key_value(*heard).filter(|(_, count)| **count > 0).map(|(told, _)| told);
            let more = || left.iter().find(|(told, count)| told.starts_with(*heard) && **count > 0);
            let told = exactly.or_else(|| more().map(|(told, _)| told)).cloned();
            told.and_then(|told| left.get_mut(&told)).map(|count| *count -= 1).is_some()
        };
        let unheard = others.map(|(_, text)| text).find(|text| !knows(text, &mut left));
        require(unheard.is_none(), || format!("{live} was not told that the caller heard {unheard:?}"))?;
        let lost = self.answered.iter().find(|id| id.attachment() != live && !told.results.contains(id));
        require(lost.is_none(), || format!("{live} was not told the result of {lost:?}"))?;
        Ok((!first).then_some(known))
    }

    /// One more entry; something to be counted, if it is of interest.
    pub(super) fn entry(&mut self, event: &CallEvent) -> Result<Option<&'static str>, String> {
        let mut count = None;
        if let CallEvent::CallerSaid { text, .. } | CallEvent::Noted { text } = event {
            if let Some(live) = self.live {
                self.told.entry(live).or_default().words.insert(text.expose().clone());
            }
            self.said.push(text.expose().clone());
        } else if let CallEvent::ReplyHeard { reply, text, .. } = event {
            if !text.expose().is_empty() {
                self.heard.push((*reply, text.expose().clone()));
            }
        } else if let CallEvent::ToolAnswered { id, .. } = event {
            self.answered.insert(*id);
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
                (Why::Return, _) => "returns to a voice",
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
