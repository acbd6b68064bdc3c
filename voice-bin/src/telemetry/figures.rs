//! What is known of each call, folded from its record: who is attached, how long answers took, how it sounds, what
//! it cost. Metrics and the API read it; without it nothing changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use voice_core::failure::Verdict;
use voice_core::id::{AttachmentId, CallId, CarrierId, ProviderId};
use voice_core::record::{CallEvent, Entry, Sound, VoiceToVoice, Why};
use voice_core::time::MonoTime;

use super::money::{Bill, Bills, Prices};

/// Calls that are over and can still be asked about.
const OVER_MAX: usize = 1_000;

/// Calls of ours that have not begun; each is forgotten when it begins, and those that never do, one by one.
const PLACED_MAX: usize = 10_000;

/// Attachments of a call of which it is known whose they were.
const MET_MAX: usize = 16;

/// All calls of a process.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    running: BTreeMap<CallId, CallFigures>,
    over: VecDeque<(CallId, CallFigures)>,
    placed: BTreeSet<CallId>,
    /// Over which carrier calls come back that began elsewhere.
    returning: BTreeMap<CallId, String>,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct CallFigures {
    pub(crate) carrier: String,
    pub(crate) direction: &'static str,
    pub(crate) status: &'static str,
    pub(crate) end: Option<&'static str>,
    pub(crate) started: MonoTime,
    pub(crate) last: MonoTime,
    pub(crate) stays: Vec<Stay>,
    /// Who was behind the last attachments: what they said may be heard after they are let go.
    met: VecDeque<(AttachmentId, ProviderId)>,
    pub(crate) answers: Answers,
    pub(crate) sound: Option<Sound>,
    pub(crate) lost: Duration,
    pub(crate) bills: Bills,
    /// How much of its budget has been told: nothing, the warning, or all.
    pub(crate) budget: u8,
}

/// A provider's time in a call.
#[derive(Clone, Debug)]
pub(crate) struct Stay {
    pub(crate) attachment: AttachmentId,
    pub(crate) provider: Option<ProviderId>,
    pub(crate) why: Why,
    pub(crate) since: MonoTime,
    pub(crate) ready: Option<MonoTime>,
    pub(crate) live: Option<MonoTime>,
    pub(crate) failed: bool,
    /// Until when its minutes are on the bill.
    pub(super) billed: MonoTime,
}

/// How long answers took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) count: u32,
    pub(crate) last: Option<VoiceToVoice>,
    pub(crate) sum: Duration,
    pub(crate) longest: Duration,
}

impl Figures {
    /// This call, which begins later, is one that we place.
    pub(crate) fn placed(&mut self, call: CallId) {
        if self.placed.len() >= PLACED_MAX {
            self.placed.pop_first();
        }
        self.placed.insert(call);
    }

    /// A call of another server, or of this one before it died, is about to go on.
    pub(crate) fn returning(&mut self, call: CallId, carrier: &CarrierId) {
        self.returning.insert(call, carrier.to_string());
        if self.returning.len() > PLACED_MAX {
            self.returning.pop_first();
        }
    }

    /// The call that an entry is about; a new one if it is the first.
    pub(crate) fn of(&mut self, call: CallId, at: MonoTime) -> &mut CallFigures {
        let direction = if self.placed.remove(&call) { "outbound" } else { "inbound" };
        let carrier = self.returning.remove(&call);
        self.running.entry(call).or_insert_with(|| CallFigures::new(direction, carrier, at))
    }

    /// It is over. What is left of it is what it was; `None` if nobody knew it.
    pub(crate) fn close(&mut self, call: CallId) -> Option<&CallFigures> {
        let figures = self.running.remove(&call)?;
        if self.over.len() >= OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back((call, figures));
        self.over.back().map(|(_, figures)| figures)
    }

    /// One call, running or over.
    pub(crate) fn find(&self, call: CallId) -> Option<&CallFigures> {
        let over = || self.over.iter().rev().find(|(id, _)| *id == call).map(|(_, figures)| figures);
        self.running.get(&call).or_else(over)
    }

    /// Those that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &CallFigures> {
        self.running.values()
    }
}

impl CallFigures {
    fn new(direction: &'static str, carrier: Option<String>, started: MonoTime) -> Self {
        Self {
            carrier: carrier.unwrap_or_else(|| "unknown".to_owned()),
            direction,
            status: "none",
            end: None,
            started,
            last: started,
            stays: Vec::new(),
            met: VecDeque::new(),
            answers: Answers::default(),
            sound: None,
            lost: Duration::ZERO,
            bills: Bills::default(),
            budget: 0,
        }
    }

    /// Takes one more entry.
    pub(crate) fn fold(&mut self, entry: &Entry, prices: &Prices) {
        self.last = entry.at;
        self.fold_stays(entry, prices);
        if let CallEvent::Started { carrier, .. } = &entry.event {
            self.carrier = carrier.to_string();
            self.status = "attaching";
        } else if let CallEvent::Attaching { why: Why::Failure, .. } | CallEvent::Returned { .. } =
            &entry.event
        {
            self.status = "attaching";
        } else if let CallEvent::Live { .. } | CallEvent::Resumed { .. } = &entry.event {
            self.status = "talking";
        } else if let CallEvent::Held { .. } = &entry.event {
            self.status = "on_hold";
        } else if let CallEvent::FirstSound(told) = &entry.event {
            self.answers.note(*told);
        } else if let CallEvent::Sound(sound) = &entry.event {
            self.sound = Some(*sound);
            self.lost += sound.line.lost;
        } else if let CallEvent::Ended { reason, .. } = &entry.event {
            (self.end, self.status) = (Some(reason.kind()), "ended");
        }
    }

    /// Who is attached, and what they bill.
    fn fold_stays(&mut self, entry: &Entry, prices: &Prices) {
        let at = entry.at;
        if let CallEvent::Attaching { attachment, why } = &entry.event {
            self.stays.push(Stay::new(*attachment, *why, at));
        } else if let CallEvent::Assigned { attachment, provider } = &entry.event {
            if let Some(stay) = self.stay_mut(*attachment) {
                stay.provider = Some(provider.clone());
            }
            if self.met.len() >= MET_MAX {
                self.met.pop_front();
            }
            self.met.push_back((*attachment, provider.clone()));
        } else if let CallEvent::Ready { attachment, .. } = &entry.event {
            if let Some(stay) = self.stay_mut(*attachment) {
                (stay.ready, stay.billed) = (Some(at), at);
            }
        } else if let CallEvent::Live { attachment, .. } = &entry.event {
            if let Some(stay) = self.stay_mut(*attachment) {
                stay.live = Some(at);
            }
        } else if let CallEvent::Problem { attachment, failure } = &entry.event {
            let is_grave = failure.verdict() != Verdict::Ignore;
            if let Some(stay) = self.stay_mut(*attachment) {
                stay.failed |= is_grave;
            }
        } else if let CallEvent::Used { attachment, usage } = &entry.event {
            if let Some(provider) = self.provider(*attachment) {
                self.bills.tokens(&provider, usage, prices);
            }
        } else if let CallEvent::Sound(_) | CallEvent::Detached { .. } | CallEvent::Ended { .. } =
            &entry.event
        {
            self.bill_minutes(at, prices);
        }
    }

    /// Takes out the stay that is over.
    pub(crate) fn leave(&mut self, attachment: AttachmentId) -> Option<Stay> {
        let at = self.stays.iter().position(|stay| stay.attachment == attachment)?;
        Some(self.stays.swap_remove(at))
    }

    pub(crate) fn stay(&self, attachment: AttachmentId) -> Option<&Stay> {
        self.stays.iter().find(|stay| stay.attachment == attachment)
    }

    /// Who is or was behind an attachment.
    pub(crate) fn provider(&self, attachment: AttachmentId) -> Option<ProviderId> {
        self.met.iter().rev().find(|(met, _)| *met == attachment).map(|(_, provider)| provider.clone())
    }

    fn stay_mut(&mut self, attachment: AttachmentId) -> Option<&mut Stay> {
        self.stays.iter_mut().find(|stay| stay.attachment == attachment)
    }

    fn bill_minutes(&mut self, now: MonoTime, prices: &Prices) {
        for stay in &mut self.stays {
            if let (Some(provider), Some(_)) = (&stay.provider, stay.ready) {
                self.bills.time(provider, now.since(stay.billed), prices);
                stay.billed = now;
            }
        }
    }

    /// What it has cost so far, by provider.
    pub(crate) fn bills(&self) -> impl Iterator<Item = (&ProviderId, &Bill)> {
        self.bills.iter()
    }
}

impl Stay {
    fn new(attachment: AttachmentId, why: Why, since: MonoTime) -> Self {
        Self { attachment, provider: None, why, since, ready: None, live: None, failed: false, billed: since }
    }
}

impl Answers {
    fn note(&mut self, told: VoiceToVoice) {
        self.count += 1;
        self.last = Some(told);
        self.sum += told.total();
        self.longest = self.longest.max(told.total());
    }

    pub(crate) fn mean(&self) -> Option<Duration> {
        self.sum.checked_div(self.count)
    }
}
