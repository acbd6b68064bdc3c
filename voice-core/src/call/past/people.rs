//! Who talked in a call, and who will not: as the record tells it.

use std::collections::BTreeMap;

use crate::failure::Verdict;
use crate::id::{AttachmentId, ProviderId};
use crate::record::{CallEvent, Totals};

use super::super::status::{Attempt, Switches};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct People {
    /// The highest number of an attachment so far.
    pub(in crate::call) attachments: u32,
    pub(in crate::call) met: Vec<ProviderId>,
    pub(in crate::call) barred: Vec<ProviderId>,
    pub(in crate::call) last: Option<ProviderId>,
    pub(in crate::call) before: Option<ProviderId>,
    /// Of attempts that came to nothing the record does not tell all that a status does.
    pub(in crate::call) switches: Switches,
    pub(super) live: Option<AttachmentId>,
    /// Who is attached or warms up.
    who: BTreeMap<AttachmentId, ProviderId>,
}

impl People {
    pub(super) fn take(&mut self, event: &CallEvent, totals: &mut Totals) {
        if let CallEvent::Attaching { attachment, .. } = event {
            self.attachments = super::later(self.attachments, *attachment);
        } else if let CallEvent::Assigned { attachment, provider } = event {
            self.who.insert(*attachment, provider.clone());
            // Whoever is asked for by name is not barred any more.
            self.barred.retain(|barred| barred != provider);
            if !self.met.contains(provider) {
                self.met.push(provider.clone());
            }
        } else if let CallEvent::Problem { attachment, failure } = event {
            let provider = self.who.get(attachment).filter(|_| failure.verdict() == Verdict::NeverAgain);
            if let Some(provider) = provider.filter(|provider| !self.barred.contains(provider)) {
                self.barred.push(provider.clone());
            }
        } else if let CallEvent::Live { attachment, .. } = event {
            self.live = Some(*attachment);
            if self.last.is_none() {
                self.last = self.who.get(attachment).cloned();
            }
        } else if let CallEvent::Switched(switch) = event {
            if switch.from != switch.to {
                self.before = Some(switch.from.clone());
            }
            self.last = Some(switch.to.clone());
            self.switches.note(Attempt::Done(switch.clone()));
        } else if let CallEvent::Detached { attachment } = event {
            self.who.remove(attachment);
            if self.live == Some(*attachment) {
                self.live = None;
                totals.switches += 1;
            }
        } else if let CallEvent::Returned { .. } = event {
            // They were with a server that is no more.
            self.live = None;
            self.who.clear();
        }
    }
}
