//! How calls stand, in the words of telephony: each change once, with its time and its reason, whoever knew of
//! it first. Webhooks of carriers tell, whoever places calls tells, and so does the record of what is talked; all
//! of them late, twice, or in any order. What cannot be is refused and counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::counter;
use voice_core::carrier::CarrierEnd;
use voice_core::driver::Clock;
use voice_core::id::CallId;
use voice_core::record::{CallEvent, EndReason, Entry, Reader};
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::transfer::{TransferFailure, TransferId};
use voice_telephony::status::{CallStatus, FailReason, Outcome, Report, StatusTracker};
use voice_telephony::telnyx;

use super::Calls;
use crate::metrics_names as names;
use crate::store::{JournalReader, StatusChange};

/// Calls that are remembered, over or not, each of about 1 kB.
const CALLS_MAX: usize = 20_000;

/// Changes that are remembered of one call. Only a caller who is put on hold all the time has more; the store
/// has them all.
const CHANGES_MAX: usize = 200;

/// Where a step was passed over that must have been, it is written down with this reason.
const IMPLIED: &str = "not_reported";

/// The statuses of a server's calls.
#[derive(Debug)]
pub(crate) struct Statuses {
    clock: Clock,
    journal: Option<JournalReader>,
    /// Whether a call over Twilio may come back once its media socket broke.
    has_lifeline: bool,
    calls: Calls,
    /// Taken when a call changes its status, some times in a call's life; never over an await.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    lives: BTreeMap<CallId, Life>,
    /// In the order in which they were first heard of.
    known: VecDeque<CallId>,
    /// By their carrier's name for them.
    named: BTreeMap<String, CallId>,
}

/// One call.
#[derive(Debug, Default)]
struct Life {
    tracker: Option<StatusTracker>,
    changes: VecDeque<StatusChange>,
    count: u32,
    name: Option<String>,
    comes_back: bool,
    /// The transfer that is under way.
    transfer: Option<TransferId>,
    /// When one failed at last.
    transfer_failed: Option<MonoTime>,
}

/// Somebody's word, and why it is so.
type Word = (Report, &'static str);

impl Statuses {
    pub(crate) fn new(
        clock: Clock,
        journal: Option<JournalReader>,
        has_lifeline: bool,
        calls: Calls,
    ) -> Self {
        Self { clock, journal, has_lifeline, calls, table: Default::default() }
    }

    /// Somebody calls, under this name of their carrier's.
    pub(crate) fn rings(&self, call: CallId, name: &str) {
        self.name(call, name);
        self.tell(call, carrier(CallStatus::Ringing), "called");
    }

    /// The carrier has this name for a call.
    pub(crate) fn name(&self, call: CallId, name: &str) {
        let mut table = self.table();
        table.named.insert(name.to_owned(), call);
        table.life(call).name = Some(name.to_owned());
    }

    /// A carrier tells of a call that it knows by this name.
    pub(crate) fn told(&self, name: &str, report: Report) {
        let call = self.table().named.get(name).copied();
        if let Some(call) = call {
            self.tell(call, report, report.reason.map_or("carrier", FailReason::name));
        }
    }

    /// A carrier tells of a call.
    pub(crate) fn carrier_says(&self, call: CallId, status: CallStatus, reason: Option<FailReason>) {
        let report = Report { reason, ..carrier(status) };
        self.tell(call, report, reason.map_or("carrier", FailReason::name));
    }

    /// Somebody tells of a call, and why it is so.
    pub(crate) fn tell(&self, call: CallId, report: Report, why: &'static str) {
        let at = self.clock.unix(self.clock.now());
        self.table().life(call).take(at, (report, why), &|change| self.written(call, change));
    }

    /// All changes of a call that is remembered, in order.
    pub(crate) fn of(&self, call: CallId) -> Option<Vec<StatusChange>> {
        let table = self.table();
        let life = table.lives.get(&call).filter(|life| life.tracker.is_some())?;
        Some(life.changes.iter().cloned().collect())
    }

    fn written(&self, call: CallId, change: &StatusChange) {
        let from = change.from.map_or("none", CallStatus::name);
        counter!(names::CALL_TRANSITIONS, "from_state" => from, "to_state" => change.to.name()).increment(1);
        if let Some(journal) = &self.journal {
            journal.status(call, change.clone());
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for Statuses {
    fn read(&self, call: CallId, entry: &Entry) {
        if entry.event.is_afterthought() {
            return;
        }
        let is_handed_over = matches!(entry.event, CallEvent::Ended { reason: EndReason::Shutdown, .. })
            && self.calls.is_handing_over();
        let mut table = self.table();
        let life = table.life(call);
        if let CallEvent::Started { carrier, .. } = &entry.event {
            life.comes_back = self.has_lifeline || carrier.as_str() == telnyx::CARRIER;
        }
        if let Some(word) = life.word(entry).filter(|_| !is_handed_over) {
            life.take(self.clock.unix(entry.at), word, &|change| self.written(call, change));
        }
    }
}

/// What a carrier says without a number: it never takes a call off hold.
pub(crate) const fn carrier(status: CallStatus) -> Report {
    Report { status, reason: None, sequence: Some(0) }
}

impl Table {
    fn life(&mut self, call: CallId) -> &mut Life {
        if !self.lives.contains_key(&call) {
            self.known.push_back(call);
            if self.known.len() > CALLS_MAX
                && let Some(oldest) = self.known.pop_front()
                && let Some(Life { name: Some(name), .. }) = self.lives.remove(&oldest)
            {
                self.named.remove(&name);
            }
        }
        self.lives.entry(call).or_default()
    }
}

impl Life {
    fn take(&mut self, at: UnixMillis, (report, why): Word, tell: &dyn Fn(&StatusChange)) {
        let Some(tracker) = &mut self.tracker else {
            self.tracker = Some(StatusTracker::new(at, report.status));
            return self.note(at, None, report.status, why, tell);
        };
        match tracker.report(at, report) {
            Outcome::Moved { from, .. } => {
                let way = from.way_to(report.status).unwrap_or_default();
                let mut before = from;
                for step in way {
                    let why = if step == report.status { why } else { IMPLIED };
                    self.note(at, Some(before), step, why, tell);
                    before = step;
                }
            }
            Outcome::Refused => counter!(names::DISCREPANCIES, "kind" => "impossible_status").increment(1),
            Outcome::Repeated | Outcome::Late => {}
        }
    }

    fn note(
        &mut self,
        unix: UnixMillis,
        from: Option<CallStatus>,
        to: CallStatus,
        why: &'static str,
        tell: &dyn Fn(&StatusChange),
    ) {
        self.count += 1;
        let change = StatusChange { number: self.count, from, to, reason: why.into(), unix };
        tell(&change);
        if self.changes.len() >= CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    /// What the record says of how the call stands, if anything.
    #[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
    fn word(&mut self, entry: &Entry) -> Option<Word> {
        let ours = |status, why| Some((Report::ours(status), why));
        match &entry.event {
            CallEvent::Started { .. } => Some((carrier(CallStatus::Answered), "media")),
            CallEvent::Returned { why, .. } => {
                // Who was led to somebody who did not answer was over, and is not: the story begins anew.
                self.tracker.take_if(|tracker| tracker.status().is_final());
                ours(CallStatus::Answered, why.name())
            }
            CallEvent::Transferring { id, kind, .. } if self.transfer.is_none() => {
                self.transfer = Some(*id);
                ours(CallStatus::Transferring, kind.name())
            }
            CallEvent::TransferFailed { id, why } if self.transfer == Some(*id) => {
                self.transfer = None;
                self.transfer_failed = Some(entry.at);
                // The end of the call is the next entry.
                if *why == TransferFailure::CallOver { None } else { ours(CallStatus::Answered, why.name()) }
            }
            // Whoever waits for somebody else hears music as well.
            CallEvent::Held { .. } | CallEvent::Resumed { .. } if self.transfer.is_some() => None,
            CallEvent::Held { .. } => ours(CallStatus::OnHold, "held"),
            CallEvent::Resumed { timed_out: true, .. } => ours(CallStatus::Answered, "hold_timed_out"),
            CallEvent::Resumed { .. } => ours(CallStatus::Answered, "resumed"),
            CallEvent::Ended { reason, .. } => self.end(reason, entry.at),
            _no_matter_here => None,
        }
    }

    fn end(&self, reason: &EndReason, at: MonoTime) -> Option<Word> {
        let is_lost = matches!(reason, EndReason::Carrier(CarrierEnd::LineDown(_) | CarrierEnd::Nonsense));
        // Their stream was ended on the way to somebody whom they never reached: they come back, or their
        // carrier tells that they hung up.
        let is_on_the_way = matches!(reason, EndReason::Carrier(_)) && self.transfer_failed == Some(at);
        match is_lost {
            _ if self.comes_back && (is_lost || is_on_the_way) => None,
            true => {
                let reason = Some(FailReason::MediaLost);
                let report = Report { reason, ..Report::ours(CallStatus::Failed) };
                Some((report, FailReason::MediaLost.name()))
            }
            false => Some((Report::ours(CallStatus::Completed), reason.kind())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use voice_core::audio::AudioFormat;
    use voice_core::record::{Away, Totals};
    use voice_core::transfer::TransferKind;
    use voice_core::wire::LineEnd;

    use super::*;

    const CALL: CallId = CallId::from_u128(7);

    fn statuses() -> Arc<Statuses> {
        Arc::new(Statuses::new(Clock::start(), None, true, Calls::new(1)))
    }

    fn read(statuses: &Statuses, seq: u64, event: CallEvent) {
        statuses.read(CALL, &Entry { seq, at: MonoTime::from_millis(seq), event });
    }

    fn told(statuses: &Statuses) -> Vec<String> {
        let changes = statuses.of(CALL).unwrap_or_default();
        changes.iter().map(|change| format!("{} {}", change.to.name(), change.reason)).collect()
    }

    fn ended(reason: EndReason) -> CallEvent {
        CallEvent::Ended { reason, totals: Totals::default() }
    }

    fn held() -> CallEvent {
        CallEvent::Held { music: true }
    }

    fn resumed() -> CallEvent {
        CallEvent::Resumed { after: Duration::ZERO, timed_out: false }
    }

    fn returned(why: Away) -> CallEvent {
        CallEvent::Returned { leg: 2, format: AudioFormat::MULAW_8K, after: Duration::ZERO, why }
    }

    fn transferring(id: u32) -> CallEvent {
        let (name, to) = ("support".to_owned(), "+15005550008".to_owned().into());
        CallEvent::Transferring { id: TransferId(id), kind: TransferKind::Warm, name, to }
    }

    fn failed(id: u32, why: TransferFailure) -> CallEvent {
        CallEvent::TransferFailed { id: TransferId(id), why }
    }

    #[test]
    fn carriers_and_record_tell_one_story() {
        let statuses = statuses();
        statuses.rings(CALL, "CA7");
        read(&statuses, 1, CallEvent::Muted { on: true });
        statuses.tell(CALL, Report::ours(CallStatus::Answered), "media");
        read(&statuses, 2, held());
        // The carrier's word comes late, and takes nobody off hold.
        statuses.carrier_says(CALL, CallStatus::Answered, None);
        statuses.told("CA7", Report { sequence: Some(1), ..carrier(CallStatus::Ringing) });
        read(&statuses, 3, resumed());
        for (seq, event) in [
            (4, transferring(1)),
            (5, held()),
            (6, transferring(2)),
            (6, failed(2, TransferFailure::UnderWay)),
            (7, failed(1, TransferFailure::Busy)),
            (7, resumed()),
            (8, ended(EndReason::HungUp)),
        ] {
            read(&statuses, seq, event);
        }
        // Twice, and then what cannot be.
        statuses.told("CA7", Report { sequence: Some(3), ..carrier(CallStatus::Completed) });
        statuses.told("CA7", Report { sequence: Some(4), ..carrier(CallStatus::Ringing) });
        let story = ["ringing called", "answered media", "on_hold held", "answered resumed"];
        let end = ["transferring warm", "answered busy", "completed hung_up"];
        assert_eq!(told(&statuses), [&story[..], &end[..]].concat());
    }

    #[test]
    fn what_nobody_reported_is_written_down_between_what_was() {
        let statuses = statuses();
        statuses.tell(CALL, carrier(CallStatus::Initiated), "ordered");
        statuses.carrier_says(CALL, CallStatus::Completed, None);
        statuses.carrier_says(CALL, CallStatus::Failed, Some(FailReason::Busy));
        let all = ["initiated ordered", "ringing not_reported", "answered not_reported", "completed carrier"];
        assert_eq!(told(&statuses), all);
        let changes = statuses.of(CALL).expect("they are known");
        let legal =
            |pair: &[StatusChange]| pair[0].to.may_become(pair[1].to) && pair[1].from == Some(pair[0].to);
        assert!(changes.windows(2).all(legal) && changes[0].from.is_none());
    }

    #[test]
    fn who_may_come_back_is_not_written_off() {
        let statuses = statuses();
        let started = || {
            let mut table = statuses.table();
            table.life(CALL).comes_back = true;
            drop(table);
            statuses.tell(CALL, carrier(CallStatus::Answered), "media");
        };
        started();
        let lost = || ended(EndReason::Carrier(CarrierEnd::LineDown(LineEnd::Cut)));
        read(&statuses, 1, lost());
        read(&statuses, 2, returned(Away::LineDown));
        read(&statuses, 3, transferring(1));
        read(&statuses, 4, failed(1, TransferFailure::NoAnswer));
        read(&statuses, 4, ended(EndReason::Carrier(CarrierEnd::Stopped)));
        assert_eq!(told(&statuses), ["answered media", "transferring warm", "answered no_answer"]);
        statuses.table().life(CALL).comes_back = false;
        read(&statuses, 5, lost());
        read(&statuses, 6, returned(Away::Restart));
        let changes = told(&statuses);
        assert_eq!(changes[3..], ["failed media_lost", "answered restart"]);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let statuses = statuses();
        for call in 0..=CALLS_MAX as u128 {
            statuses.rings(CallId::from_u128(call), &call.to_string());
        }
        assert!(statuses.of(CallId::from_u128(0)).is_none() && statuses.of(CallId::from_u128(1)).is_some());
        assert_eq!(statuses.table().named.len(), CALLS_MAX);
    }
}
