//! A call's record, folded: all that is needed to go on with it after its server died.
//!
//! The fold is pure and takes one entry after the other, so it can be done at once from a store, or beside a
//! call that is under way. What it yields is what the call itself held when the last of those entries was
//! told, with these differences, all of them on the side of caution: of a reply under way only those words
//! count that were told to have been heard (see [`CallEvent::ReplyProgress`], half a second at most is
//! missing); an answer counts as owed until its first sound; and frames are counted anew.

#[cfg(any(test, feature = "sim"))]
mod agree;
mod people;

use std::time::Duration;

use crate::consent::Consent;
use crate::conversation::{ToolResult, Turn};
use crate::id::{AttachmentId, ProviderId, ReplyId, ToolCallId, UtteranceId};
use crate::record::{CallEvent, EndReason, Entry, Party, Totals};
use crate::recording::{Filed, RecordingEnd, RecordingPlace};
use crate::sensitive::Pii;
use crate::time::MonoTime;
use crate::transfer::TransferId;

use super::CallStart;
use super::tape::{Filing, told};
use super::tools;
use super::transcript::{Transcript, pressed};

pub(super) use people::People;

/// See the module.
///
/// ```
/// use voice_core::call::Past;
/// use voice_core::record::Entry;
///
/// fn last_words(record: &[Entry]) -> Option<String> {
///     let past = Past::fold(record)?;
///     Some(format!("{} turns, {:?} so far, with {:?}", past.turns().len(), past.elapsed(), past.provider()))
/// }
/// assert_eq!(last_words(&[]), None);
/// ```
#[derive(Clone, Debug)]
pub struct Past {
    pub(super) start: CallStart,
    pub(super) place: Place,
    pub(super) transcript: Transcript,
    /// Replies of which the caller has not heard the end.
    pub(super) open: Vec<OpenReply>,
    /// Tools under way, and since when in the call's own time.
    pub(super) tools: Vec<(ToolCallId, Duration)>,
    pub(super) due: Due,
    pub(super) people: People,
    pub(super) aside: PastAside,
    pub(super) tape: Option<PastTape>,
    /// What the carrier has told of its recordings.
    pub(super) filing: Filing,
    pub(super) totals: Totals,
    ended: Option<EndReason>,
}

/// Where the record stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) leg: u32,
    /// The first and the last entry of this stay.
    began: MonoTime,
    last: MonoTime,
    /// How long the call had been when this stay began.
    spent: Duration,
}

/// A reply that goes on, as far as it was heard.
#[derive(Clone, Debug)]
pub(super) struct OpenReply {
    pub(super) reply: ReplyId,
    pub(super) text: String,
    pub(super) heard: Duration,
}

/// What the voice is to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    pub(super) owed: bool,
    pub(super) cue: Option<Pii<String>>,
    pub(super) goodbye: bool,
    /// The caller is speaking.
    speaking: Option<UtteranceId>,
    /// What is told now was cut by the caller.
    interrupting: bool,
}

/// The caller on hold (since when in the call's own time, with music), or muted.
#[derive(Clone, Debug, Default)]
pub(super) struct PastAside {
    pub(super) hold: Option<(Duration, bool)>,
    pub(super) muted: bool,
    /// Transfers so far, and the one that is under way.
    pub(super) transfers: u32,
    pub(super) transferring: Option<TransferId>,
}

impl PastAside {
    fn take_transfer(&mut self, event: &CallEvent) {
        if let CallEvent::Transferring { id, .. } = event {
            self.transfers = id.0;
            self.transferring = self.transferring.or(Some(*id));
        } else if let CallEvent::TransferFailed { id, .. } = event {
            self.transferring = self.transferring.filter(|open| open != id);
        }
    }
}

/// A recording that is to go on.
#[derive(Clone, Debug)]
pub(super) struct PastTape {
    pub(super) consent: Consent,
    pub(super) place: RecordingPlace,
    pub(super) paused: bool,
    pub(super) since: Duration,
    /// Its end was told: the call's end was its end.
    pub(super) closed: bool,
    /// The carrier was to end it; whether it was asked is not in the record.
    pub(super) ending: bool,
    /// The carrier's name for it.
    pub(super) recording: Option<String>,
}

impl Past {
    /// Folds a record, oldest entry first. `None` if it does not begin with [`CallEvent::Started`].
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut entries = entries.into_iter();
        let mut past = Self::begin(entries.next()?)?;
        entries.for_each(|entry| past.apply(entry));
        Some(past)
    }

    /// From the first entry of a record. `None` if it is not [`CallEvent::Started`].
    pub fn begin(first: &Entry) -> Option<Self> {
        let CallEvent::Started { carrier, carrier_call, format, from, to, correlation } = &first.event else {
            return None;
        };
        let start = CallStart {
            carrier: carrier.clone(),
            carrier_call: carrier_call.clone(),
            format: *format,
            from: from.clone(),
            to: to.clone(),
            correlation: correlation.clone(),
        };
        let (seq, began) = (first.seq, first.at);
        Some(Self {
            start,
            place: Place { seq, leg: 1, began, last: began, spent: Duration::ZERO },
            transcript: Transcript::default(),
            open: Vec::new(),
            tools: Vec::new(),
            due: Due::default(),
            people: People::default(),
            aside: PastAside::default(),
            tape: None,
            filing: Filing::default(),
            totals: Totals::default(),
            ended: None,
        })
    }

    /// One more entry. One that is known already changes nothing; a gap in the numbers is what a store lost.
    pub fn apply(&mut self, entry: &Entry) {
        if entry.seq <= self.place.seq {
            return;
        }
        self.place.seq = entry.seq;
        if entry.event.is_afterthought() {
            // Perhaps by another clock, of a call that is long over: it takes no time.
            return self.take(&entry.event);
        }
        if let CallEvent::Returned { after, .. } = &entry.event {
            self.place.spent = self.elapsed() + *after;
            self.place.began = entry.at;
        }
        self.place.last = self.place.last.max(entry.at);
        if let CallEvent::Returned { .. } = &entry.event {
            // Another process may have a younger clock.
            self.place.last = entry.at;
        }
        self.take(&entry.event);
        let cut_by_caller = matches!(
            entry.event,
            CallEvent::BargeIn { .. } | CallEvent::ReplyHeard { .. } | CallEvent::AudioLost { .. }
        );
        self.due.interrupting &= cut_by_caller;
    }

    /// An entry that nobody can read: its number is taken.
    pub fn skip(&mut self, seq: u64) {
        self.place.seq = self.place.seq.max(seq);
    }

    /// The last entry of a call that did not come back, so long after the one before.
    pub fn close(&self, at: MonoTime, after: Duration, reason: EndReason) -> Entry {
        let totals = Totals { duration: self.elapsed() + after, ..self.totals };
        Entry { seq: self.place.seq + 1, at, event: CallEvent::Ended { reason, totals } }
    }

    /// The next entry of a call that does not run here, by which its carrier says what it has of a recording.
    /// `None` if that is known.
    pub fn file(&self, at: MonoTime, filed: Filed) -> Option<Entry> {
        let seq = self.place.seq + 1;
        self.filing.is_new(filed.recording()).then(|| Entry { seq, at, event: told(filed) })
    }

    /// Whether the record does not tell yet what the carrier has of the recording of this name, and would.
    pub fn awaits_recording(&self, name: &str) -> bool {
        self.filing.is_new(name)
    }

    /// The next entry of a call that does not run here and may come back: nobody may record it any more. `None` if
    /// nothing would be recorded anyway.
    pub fn revoke_recording(&self) -> Option<Entry> {
        let tape = self.tape.as_ref().filter(|tape| !tape.ending && self.may_return())?;
        Some(self.stopped(tape, RecordingEnd::Revoked))
    }

    /// The next entry of a call that does not run here and will not come back: what was recorded of it is over.
    /// `None` if nothing was.
    pub fn end_recording(&self) -> Option<Entry> {
        let tape = self.tape.as_ref().filter(|tape| !tape.ending && !tape.closed)?;
        let reason = match tape.place {
            // Its server died.
            RecordingPlace::Server => RecordingEnd::Interrupted,
            RecordingPlace::Carrier => RecordingEnd::CallOver,
        };
        Some(self.stopped(tape, reason))
    }

    /// The next entry: this is recorded no more.
    fn stopped(&self, tape: &PastTape, reason: RecordingEnd) -> Entry {
        let length = self.elapsed().saturating_sub(tape.since);
        let event = CallEvent::RecordingStopped { reason, length };
        Entry { seq: self.place.seq + 1, at: self.place.last, event }
    }

    /// How it began.
    pub fn start(&self) -> &CallStart {
        &self.start
    }

    /// Number of the last entry.
    pub fn seq(&self) -> u64 {
        self.place.seq
    }

    /// Which of the call's media sockets was there last, from 1.
    pub fn leg(&self) -> u32 {
        self.place.leg
    }

    /// From the first to the last entry, times away included.
    pub fn elapsed(&self) -> Duration {
        self.place.spent + self.place.last.since(self.place.began)
    }

    /// When the last entry was told, by the clock of whoever told it.
    pub fn last_at(&self) -> MonoTime {
        self.place.last
    }

    /// Why it ended, if it has.
    pub fn ended(&self) -> Option<&EndReason> {
        self.ended.as_ref()
    }

    /// The transfer that was under way.
    pub fn transfer(&self) -> Option<TransferId> {
        self.aside.transferring
    }

    /// Whether the call may go on, if its carrier says that the line still stands.
    pub fn may_return(&self) -> bool {
        self.ended.as_ref().is_none_or(EndReason::may_return)
    }

    /// Who talks, or talked last.
    pub fn provider(&self) -> Option<&ProviderId> {
        self.people.last.as_ref()
    }

    /// Whether the caller waits for an answer.
    pub fn is_owed(&self) -> bool {
        self.due.owed || self.due.speaking.is_some() || !self.open.is_empty() || !self.tools.is_empty()
    }

    /// The conversation, as whoever takes over would be given it.
    pub fn turns(&self) -> Vec<Turn> {
        let mut transcript = self.transcript.clone();
        for reply in &self.open {
            transcript.voice_said(reply.reply, reply.text.clone(), true, true);
        }
        for (id, _) in &self.tools {
            transcript.tool_answered(*id, restarted());
        }
        transcript.all().0
    }

    /// The conversation in short, as somebody put it last.
    pub fn summary(&self) -> Option<&Pii<String>> {
        self.transcript.summary()
    }

    fn take(&mut self, event: &CallEvent) {
        self.people.take(event, &mut self.totals);
        self.filing.take(event);
        match event {
            CallEvent::Returned { leg, format, .. } => self.come_back(*leg, *format),
            CallEvent::CallerSpoke { .. }
            | CallEvent::CallerPaused { .. }
            | CallEvent::CallerSaid { .. }
            | CallEvent::BargeIn { .. }
            | CallEvent::Silence { .. } => self.take_caller(event),
            CallEvent::ReplyStarted { .. }
            | CallEvent::ReplyProgress { .. }
            | CallEvent::ReplyHeard { .. } => self.take_reply(event),
            CallEvent::ToolCalled(_) | CallEvent::ToolAnswered { .. } | CallEvent::ToolCancelled { .. } => {
                self.take_tool(event)
            }
            CallEvent::Noted { text } => self.transcript.note(text.clone()),
            CallEvent::Digit { digit } => self.transcript.note(pressed(*digit.expose())),
            CallEvent::Summarised { text } => self.transcript.summarise(text.clone()),
            CallEvent::Cued { cue } => {
                self.due.owed = true;
                self.due.cue = Some(cue.clone());
            }
            CallEvent::GoodbyeWanted => self.due.goodbye = true,
            CallEvent::Held { music } => self.aside.hold = Some((self.elapsed(), *music)),
            CallEvent::Resumed { .. } => self.aside.hold = None,
            CallEvent::Muted { on } => self.aside.muted = *on,
            CallEvent::Transferring { .. } | CallEvent::TransferFailed { .. } => {
                self.aside.take_transfer(event)
            }
            CallEvent::RecordingStarted { .. }
            | CallEvent::RecordingPaused
            | CallEvent::RecordingResumed
            | CallEvent::RecordingBegun { .. }
            | CallEvent::RecordingEnded
            | CallEvent::RecordingStopped { .. } => self.take_recording(event),
            CallEvent::Detached { .. } if self.people.live.is_none() => self.stop_waiting_for_the_caller(),
            CallEvent::Ended { reason, totals } => {
                self.totals = *totals;
                self.ended = Some(reason.clone());
                self.aside.transferring = None;
                if let EndReason::Transfer { .. } = reason {
                    // They were on hold only until somebody else had them.
                    self.aside.hold = None;
                }
                self.stop_waiting_for_the_caller();
            }
            CallEvent::Started { .. }
            | CallEvent::TransferAnswered { .. }
            | CallEvent::DigitsSent { .. }
            | CallEvent::RecordingRefused { .. }
            | CallEvent::RecordingSaved(_)
            | CallEvent::RecordingAbsent { .. }
            | CallEvent::Attaching { .. }
            | CallEvent::Assigned { .. }
            | CallEvent::Ready { .. }
            | CallEvent::Retrying { .. }
            | CallEvent::Covered { .. }
            | CallEvent::Live { .. }
            | CallEvent::Switched(_)
            | CallEvent::Detached { .. }
            | CallEvent::Problem { .. }
            | CallEvent::SwitchRefused { .. }
            | CallEvent::AudioLost { .. }
            | CallEvent::FirstSound(_)
            | CallEvent::Sound(_)
            | CallEvent::CarrierOddity { .. }
            | CallEvent::ProviderOddity { .. }
            | CallEvent::Used { .. } => {}
        }
    }

    fn come_back(&mut self, leg: u32, format: crate::audio::AudioFormat) {
        self.place.leg = leg;
        self.start.format = format;
        self.ended = None;
        self.due.goodbye = false;
        self.stop_waiting_for_the_caller();
    }

    /// Whoever heard them is gone: what they said so far is to be answered.
    fn stop_waiting_for_the_caller(&mut self) {
        self.due.owed |= self.due.speaking.take().is_some();
    }

    fn take_caller(&mut self, event: &CallEvent) {
        if let CallEvent::CallerSpoke { utterance } = event {
            self.totals.caller_turns += 1;
            self.due.speaking = Some(*utterance);
            self.transcript.caller_speaks(*utterance);
        } else if let CallEvent::CallerPaused { utterance } = event {
            if self.due.speaking == Some(*utterance) {
                self.due.speaking = None;
            }
            self.due.owed = true;
        } else if let CallEvent::CallerSaid { utterance, text } = event {
            self.transcript.caller_said(*utterance, text.clone());
        } else if let CallEvent::BargeIn { .. } = event {
            self.totals.barge_ins += 1;
            self.due.interrupting = true;
        } else if let CallEvent::Silence { of: Party::Provider, over: None } = event {
            // By our own ear the caller has spoken, whatever the provider heard.
            self.due.owed = true;
        }
    }

    fn take_reply(&mut self, event: &CallEvent) {
        if let CallEvent::ReplyStarted { reply, .. } = event {
            self.totals.replies += 1;
            self.due.owed = false;
            self.due.cue = None;
            self.transcript.voice_speaks(*reply);
            self.open.push(OpenReply { reply: *reply, text: String::new(), heard: Duration::ZERO });
        } else if let CallEvent::ReplyProgress { reply, more, heard } = event {
            self.transcript.voice_speaks(*reply);
            let Some(open) = self.open.iter_mut().find(|open| open.reply == *reply) else { return };
            open.text.push_str(more.expose());
            open.heard = *heard;
        } else if let CallEvent::ReplyHeard { reply, text, cut, .. } = event {
            self.open.retain(|open| open.reply != *reply);
            self.transcript.voice_said(*reply, text.expose().clone(), *cut, true);
            // Half a sentence is no answer, unless the caller wanted no more.
            self.due.owed |= *cut && !self.due.interrupting;
        }
    }

    fn take_tool(&mut self, event: &CallEvent) {
        if let CallEvent::ToolCalled(call) = event {
            self.due.owed = true;
            self.transcript.tool_called(call.clone());
            self.tools.push((call.id, self.elapsed()));
        } else if let CallEvent::ToolAnswered { id, output, failed, .. } = event {
            self.due.owed = true;
            // One that was asked for twice was refused the second time, and runs.
            if let Some(at) = self.tools.iter().rposition(|(running, _)| running == id) {
                self.tools.remove(at);
            }
            let answer = ToolResult { output: output.clone(), failed: *failed };
            self.transcript.tool_answered(*id, answer);
        } else if let CallEvent::ToolCancelled { id } = event {
            self.tools.retain(|(running, _)| running != id);
            self.transcript.tool_cancelled(*id);
        }
    }

    fn take_recording(&mut self, event: &CallEvent) {
        if let CallEvent::RecordingStarted { consent, place } = event {
            let (consent, place, since) = (consent.clone(), *place, self.elapsed());
            self.tape = Some(PastTape {
                consent,
                place,
                paused: false,
                since,
                closed: false,
                ending: false,
                recording: None,
            });
        } else if let CallEvent::RecordingBegun { recording } = event {
            self.tape.iter_mut().for_each(|tape| tape.recording.clone_from(recording));
        } else if let CallEvent::RecordingStopped { reason, .. } = event {
            match reason {
                RecordingEnd::CallOver | RecordingEnd::Interrupted | RecordingEnd::Transfer => {
                    self.tape.iter_mut().for_each(|tape| tape.closed = true);
                }
                // Whether the carrier was asked before the server died, nobody knows.
                RecordingEnd::Ordered | RecordingEnd::Revoked => {
                    self.tape.take_if(|tape| tape.place == RecordingPlace::Server);
                    self.tape.iter_mut().for_each(|tape| tape.ending = true);
                }
                RecordingEnd::Failed | RecordingEnd::Carrier => self.tape = None,
            }
        } else if let CallEvent::RecordingEnded = event {
            self.tape.take_if(|tape| tape.ending);
        } else if let Some(tape) = &mut self.tape {
            tape.paused = matches!(event, CallEvent::RecordingPaused);
        }
    }
}

/// What the model is told of a tool that ran when the server died.
pub(super) fn restarted() -> ToolResult {
    tools::failed("the server was restarted while the tool ran; it may or may not have done its work")
}

/// Who attached last: ids go on after it.
pub(super) fn later(a: u32, AttachmentId(b): AttachmentId) -> u32 {
    a.max(b)
}
