//! The rules of the conversation that goes along: what the record says that was said, whoever takes over was told.

use std::collections::{BTreeMap, BTreeSet};

use crate::conversation::Turn;
use crate::id::AttachmentId;
use crate::record::CallEvent;
use crate::sim::call_world::Stats;

/// What was said in one call, by its record, and who was told what. Every text of a world is another.
#[derive(Default)]
pub(super) struct Context {
    /// Words of the caller, as they came.
    said: Vec<String>,
    /// Words that the caller heard, and whose they were.
    heard: Vec<(AttachmentId, String)>,
    told: BTreeMap<AttachmentId, BTreeSet<String>>,
    live: Option<AttachmentId>,
    /// Somebody has just gone live: time to ask what they know.
    fresh: bool,
    voices: u32,
    pub(super) tally: Stats,
}

impl Context {
    /// Somebody is given these turns.
    pub(super) fn told(&mut self, id: AttachmentId, turns: &[Turn]) {
        let told = self.told.entry(id).or_default();
        for turn in turns {
            if let Turn::Caller { text } | Turn::Voice { text, .. } | Turn::Note { text } = turn {
                told.insert(text.expose().clone());
            }
        }
    }

    pub(super) fn entry(&mut self, event: &CallEvent) -> Result<(), String> {
        if let CallEvent::CallerSaid { text, .. } = event {
            self.said.push(text.expose().clone());
            // Whoever talks has heard it themselves.
            let live = self.live.map(|live| self.told.entry(live).or_default());
            live.map(|told| told.insert(text.expose().clone()));
        } else if let CallEvent::ReplyHeard { reply, text, .. } = event {
            let (id, text) = (reply.attachment(), text.expose());
            if !text.is_empty() {
                self.heard.push((id, text.clone()));
                return self.knows_what_was_heard(id, text);
            }
        } else if let CallEvent::Live { attachment, .. } = event {
            self.live = Some(*attachment);
            self.fresh = true;
            self.voices += 1;
        } else if let CallEvent::Detached { attachment } = event {
            self.live.take_if(|live| live == attachment);
        }
        Ok(())
    }

    /// The call waits: whoever has just gone live knows everything.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let Some(live) = self.live.filter(|_| std::mem::take(&mut self.fresh)) else { return Ok(()) };
        if self.voices == 1 {
            return Ok(());
        }
        let told = self.told.entry(live).or_default();
        if let Some(lost) = self.said.iter().find(|said| !told.contains(*said)) {
            return Err(format!("{live} took over and was not told that the caller said {lost:?}"));
        }
        for (id, text) in &self.heard {
            self.knows_what_was_heard(*id, text)?;
        }
        let turns = (self.said.len() + self.heard.len()) as u64;
        *self.tally.0.entry("takeovers with all of the conversation").or_default() += 1;
        *self.tally.0.entry("turns carried over").or_default() += turns;
        Ok(())
    }

    /// What is still on its way to the ear at a takeover is told as said: more than was heard, never less.
    fn knows_what_was_heard(&self, of: AttachmentId, text: &str) -> Result<(), String> {
        let Some(live) = self.live.filter(|live| *live != of) else { return Ok(()) };
        let knows = self.told.get(&live).is_some_and(|told| told.iter().any(|told| told.starts_with(text)));
        if knows { Ok(()) } else { Err(format!("{live} was not told that the caller heard {text:?}")) }
    }
}
