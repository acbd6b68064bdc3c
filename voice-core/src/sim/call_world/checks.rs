//! The rules that every call keeps, checked after every output, and a tally of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use crate::audio::FRAME;
use crate::call::{CallConfig, Output};
use crate::carrier::CarrierCommand;
use crate::conversation::Heard;
use crate::id::{AttachmentId, ReplyId, ToolCallId};
use crate::provider::{ProviderCommand, ProviderEvent};
use crate::record::{CallEvent, EndReason, Entry, Loss, Totals};
use crate::time::MonoTime;

use super::aside::Aside;
use super::line::CarrierModel;
use super::number_of;
use super::recording::Tapes;
use super::search::Search;
use super::silence::Silence;
use super::switching::Switching;
use super::transfers::Transfers;
use super::voices::reply_of;

/// Covers come from no attachment.
const NOBODY: AttachmentId = AttachmentId(0);

/// A rule was broken. The seed replays the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Give it to [`super::run`].
    pub seed: u64,
    /// Which rule, and how.
    pub rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.rule)
    }
}

/// How often things happened. Safety alone is too easy: a call that does nothing breaks no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(pub BTreeMap<&'static str, u64>);

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

/// See the module.
pub(super) struct Checks {
    config: Arc<CallConfig>,
    stats: Stats,
    entries: u64,
    last_entry: MonoTime,
    started: MonoTime,
    ended: Option<EndReason>,
    finished: bool,
    hung_up: bool,
    live: Option<AttachmentId>,
    attached: BTreeMap<AttachmentId, Stay>,
    ear: EarBooks,
    mouth: MouthBooks,
    tools: BTreeMap<ToolCallId, u32>,
    search: Search,
    silence: Silence,
    switching: Switching,
    aside: Aside,
    tapes: Tapes,
    transfers: Transfers,
    before: Before,
}

/// What there was before the call came back last.
struct Before {
    attachments: AttachmentId,
    given: BTreeMap<ReplyId, Duration>,
    frames: u64,
    /// Frames heard, as the last end told it.
    heard: u64,
}

/// What an attachment is due.
#[derive(Default)]
struct Stay {
    opened: bool,
    settled: bool,
    detached: bool,
}

/// The caller's frames.
#[derive(Default)]
struct EarBooks {
    last_heard: u64,
    heard: u64,
    lost: Duration,
}

/// The voice's frames.
#[derive(Default)]
struct MouthBooks {
    given: BTreeMap<ReplyId, Duration>,
    closed: BTreeSet<ReplyId>,
    cut: Option<ReplyId>,
    /// When the carrier would run dry on a perfect network.
    dry_at: MonoTime,
}

impl Checks {
    pub(super) fn new(config: Arc<CallConfig>) -> Self {
        Self {
            silence: Silence::default(),
            aside: Aside::default(),
            tapes: Tapes::default(),
            transfers: Transfers::default(),
            switching: Switching::default(),
            config,
            stats: Stats::default(),
            entries: 0,
            last_entry: MonoTime::ZERO,
            started: MonoTime::ZERO,
            ended: None,
            finished: false,
            hung_up: false,
            live: None,
            attached: BTreeMap::new(),
            ear: EarBooks::default(),
            mouth: MouthBooks::default(),
            tools: BTreeMap::new(),
            search: Search::default(),
            before: Before { attachments: NOBODY, given: BTreeMap::new(), frames: 0, heard: 0 },
        }
    }

    /// The server died, or let go of the call, after so many frames of the caller. What belongs to the call
    /// and not to the server is as it was.
    pub(super) fn returned(&mut self, now: MonoTime, frames: u64) {
        let attachments = self.attached.keys().next_back().copied().unwrap_or(self.before.attachments);
        let given = std::mem::take(&mut self.mouth.given);
        self.before = Before { attachments, given, frames, heard: self.before.heard };
        self.mouth = MouthBooks { dry_at: now, ..MouthBooks::default() };
        self.ear = EarBooks { last_heard: self.ear.last_heard, ..EarBooks::default() };
        self.attached.clear();
        (self.ended, self.finished, self.hung_up, self.live) = (None, false, false, None);
        self.tapes.returned();
        self.search.returned(now);
        self.silence.returned(now);
        self.switching.returned();
        self.aside.returned(now);
    }

    pub(super) fn finished(&self) -> bool {
        self.finished
    }

    pub(super) fn assigned(&mut self, id: AttachmentId) {
        self.attached.entry(id).or_default();
    }

    pub(super) fn caller_says(&mut self, now: MonoTime, frame: u64) {
        self.tapes.caller_says(now, frame);
        self.aside.caller_says(frame);
    }

    /// Something is about to be given to the call.
    pub(super) fn provider_says(&mut self, id: AttachmentId, event: &ProviderEvent) {
        if let ProviderEvent::Speech { reply, .. } = event
            && self.live == Some(id)
            && !self.mouth.closed.contains(reply)
        {
            *self.mouth.given.entry(*reply).or_default() += FRAME;
        }
    }

    pub(super) fn output(
        &mut self,
        now: MonoTime,
        output: &Output,
        line: &CarrierModel,
    ) -> Result<(), String> {
        let waits = matches!(output, Output::WaitUntil(_) | Output::Finished(_));
        if self.ended.is_some() && !waits {
            return Err(format!("wants {output:?} after its last entry"));
        }
        if waits {
            self.silence.check(now, self.mouth.dry_at, &self.config)?;
            if let Some(turns) = self.switching.check()? {
                self.count("takeovers with the whole context");
                *self.stats.0.entry("turns carried over").or_default() += turns;
            }
            let attached = self.attached.values().filter(|stay| stay.opened && !stay.detached).count();
            require(attached <= 2, || format!("{attached} are attached at once"))?;
        }
        match output {
            Output::Carrier(command) => self.carrier(now, command),
            Output::Provider(id, command) => self.provider(now, *id, command, line),
            Output::Attach { tried, wish, .. } => self.search.asks(tried, wish.as_ref()),
            Output::Open { id, history } => {
                if self.switching.told(*id, history) {
                    self.count("histories shortened");
                }
                let stay = self.attached.entry(*id).or_default();
                require(!stay.opened, || format!("opens {id} twice"))?;
                stay.opened = true;
                Ok(())
            }
            Output::Detach(id) => {
                if self.live.take_if(|live| live == id).is_some() {
                    self.switching.lost_the_voice();
                    self.silence.lost_the_voice(now);
                    self.search.lost_the_voice(now);
                }
                let stay = self.attached.entry(*id).or_default();
                require(!stay.detached, || format!("detaches {id} twice"))?;
                stay.detached = true;
                Ok(())
            }
            Output::Outcome(id, _) => {
                let stay = self.attached.entry(*id).or_default();
                require(!stay.settled, || format!("settles {id} twice"))?;
                stay.settled = true;
                Ok(())
            }
            Output::RunTool(call) => {
                let runs = self.tools.entry(call.id).or_default();
                *runs += 1;
                Ok(())
            }
            Output::Report(entry) => self.entry(now, entry),
            Output::Finished(reason) => {
                self.finished = true;
                require(self.ended.as_ref() == Some(reason), || "finishes without a last entry".to_owned())
            }
            Output::Record(recorded) => self.tapes.take(now, recorded),
            Output::Doubt(id) => {
                self.count("doubts");
                require(self.live == Some(*id), || format!("doubts {id}, which is not live"))
            }
            Output::Operate(asked) => self.tapes.asked(self.entries, asked).and(self.transfers.asked(asked)),
            Output::AbandonTool(_) | Output::WaitUntil(_) => Ok(()),
        }
    }

    pub(super) fn at_the_end(mut self, frames: u64, line: &CarrierModel) -> Result<Stats, String> {
        let (said, played) = self.tapes.check(line)?;
        *self.stats.0.entry("frames of the caller recorded").or_default() += said;
        *self.stats.0.entry("frames of the voice recorded").or_default() += played;
        for (id, stay) in &self.attached {
            require(!stay.opened || stay.detached, || format!("{id} was never detached"))?;
            require(!stay.opened || stay.settled, || format!("{id} was never settled"))?;
        }
        let lost = (self.ear.lost.as_micros() / FRAME.as_micros()) as u64;
        let frames = frames - self.before.frames;
        require(self.ear.heard + lost == frames, || {
            format!("of {frames} frames {} were heard and {lost} lost", self.ear.heard)
        })?;
        let by_carrier = matches!(self.ended, Some(EndReason::Carrier(_) | EndReason::Transfer { .. }));
        require(by_carrier != self.hung_up, || format!("hung up: {} after {:?}", self.hung_up, self.ended))?;
        for (reply, given) in &self.mouth.given {
            let known = self.mouth.closed.contains(reply);
            require(known || given.is_zero(), || {
                format!("{reply} was given {given:?} and never accounted for")
            })?;
        }
        self.count("calls");
        Ok(self.stats)
    }

    fn carrier(&mut self, now: MonoTime, command: &CarrierCommand) -> Result<(), String> {
        match command {
            CarrierCommand::Play(frame) => {
                self.tapes.hand(now, &frame.data);
                let reply = reply_of(&frame.data);
                let cover = reply.attachment() == NOBODY;
                require(cover || self.mouth.cut.is_none_or(|cut| reply > cut), || {
                    format!("plays {reply} after it was cut")
                })?;
                require(!self.mouth.closed.contains(&reply), || format!("plays {reply} after its end"))?;
                self.aside.plays(cover, reply)?;
                self.mouth.dry_at = self.mouth.dry_at.max(now) + FRAME;
                let ahead = self.mouth.dry_at.since(now);
                require(ahead <= self.config.limits.lead, || format!("is {ahead:?} ahead of the ear"))
            }
            CarrierCommand::Clear => {
                self.mouth.dry_at = now;
                self.count("clears");
                Ok(())
            }
            CarrierCommand::HangUp => {
                require(!self.hung_up, || "hangs up twice".to_owned())?;
                self.hung_up = true;
                Ok(())
            }
            CarrierCommand::Mark(_) => Ok(()),
        }
    }

    fn provider(
        &mut self,
        now: MonoTime,
        id: AttachmentId,
        command: &ProviderCommand,
        line: &CarrierModel,
    ) -> Result<(), String> {
        let stay = self.attached.get(&id).ok_or_else(|| format!("talks to {id}, who was never assigned"))?;
        require(stay.opened && !stay.detached, || format!("talks to {id}, who is not attached"))?;
        let fed = matches!(command, ProviderCommand::CatchUp(_)) && self.switching.may_be_fed(id);
        let standby = self.live != Some(id) && fed;
        require(self.live == Some(id) || standby, || format!("talks to {id} while {:?} is live", self.live))?;
        match command {
            ProviderCommand::Hear(frame) => {
                if self.aside.hears(now, frame)? {
                    self.count("silent frames");
                    return Ok(());
                }
                let number = number_of(frame);
                require(number > self.ear.last_heard, || {
                    format!("frame {number} after {}", self.ear.last_heard)
                })?;
                self.ear.last_heard = number;
                self.ear.heard += 1;
                Ok(())
            }
            ProviderCommand::Interrupt(heard) => self.interrupted(now, heard, line),
            ProviderCommand::Answer { id: tool, .. } => {
                require(tool.attachment() == id, || format!("answers {tool} to {id}, who never asked"))?;
                self.count("tool answers");
                Ok(())
            }
            ProviderCommand::CatchUp(turns) => {
                self.count(if standby { "catch-ups of a standby" } else { "catch-ups" });
                self.switching.told(id, turns);
                Ok(())
            }
            ProviderCommand::Speak { .. } | ProviderCommand::Note(_) | ProviderCommand::Close => Ok(()),
        }
    }

    fn interrupted(&mut self, now: MonoTime, heard: &[Heard], line: &CarrierModel) -> Result<(), String> {
        require(!heard.is_empty(), || "interrupts nothing".to_owned())?;
        for Heard { reply, heard, unheard } in heard {
            let given = self.mouth.given.get(reply).copied().unwrap_or_default();
            require(*heard + *unheard == given, || {
                format!("{reply}: heard {heard:?} and unheard {unheard:?} are not the {given:?} given")
            })?;
            let truth = line.heard(*reply, now);
            let off = truth.abs_diff(*heard);
            require(off <= line.tolerance(), || format!("{reply}: heard {heard:?}, in truth {truth:?}"))?;
            self.mouth.cut = self.mouth.cut.max(Some(*reply));
            if !unheard.is_zero() {
                self.count("cut replies");
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_lines, reason = "a table: one row for each kind of event")]
    fn entry(&mut self, now: MonoTime, entry: &Entry) -> Result<(), String> {
        self.in_order(now, entry)?;
        self.parts(now, &entry.event)?;
        let first = matches!(entry.event, CallEvent::Started { .. });
        require(first == (self.entries == 1), || "the first entry is not Started".to_owned())?;
        match &entry.event {
            CallEvent::Started { .. } => self.started = now,
            CallEvent::Live { attachment, .. } => self.goes_live(*attachment)?,
            CallEvent::AudioLost { what: what @ (Loss::Held | Loss::Withheld), duration } => {
                self.ear.lost += *duration;
                self.count(if *what == Loss::Held { "held frames lost" } else { "frames withheld" });
            }
            CallEvent::BargeIn { .. } => self.count("barge-ins"),
            CallEvent::ReplyProgress { .. } => self.count("progress of replies"),
            CallEvent::ReplyHeard { reply, heard, unheard, cut, .. } => {
                self.reply_heard(*reply, (*heard, *unheard), *cut)?;
            }
            CallEvent::Problem { .. } => self.count("problems"),
            CallEvent::SwitchRefused { .. } => self.count("switches refused"),
            CallEvent::ToolCancelled { .. } => self.count("tools cancelled"),
            CallEvent::ProviderOddity { .. } => self.count("provider oddities"),
            CallEvent::Ended { reason, totals } => self.ended(now, reason, totals)?,
            CallEvent::Returned { .. } => self.count("returns"),
            CallEvent::Attaching { .. }
            | CallEvent::Cued { .. }
            | CallEvent::GoodbyeWanted
            | CallEvent::Retrying { .. }
            | CallEvent::RecordingStarted { .. }
            | CallEvent::RecordingPaused
            | CallEvent::RecordingResumed
            | CallEvent::RecordingStopped { .. }
            | CallEvent::RecordingBegun { .. }
            | CallEvent::RecordingRefused { .. }
            | CallEvent::RecordingSaved(_)
            | CallEvent::RecordingAbsent { .. }
            | CallEvent::RecordingEnded
            | CallEvent::Switched(_)
            | CallEvent::Noted { .. }
            | CallEvent::Summarised { .. }
            | CallEvent::Held { .. }
            | CallEvent::Resumed { .. }
            | CallEvent::Transferring { .. }
            | CallEvent::TransferAnswered { .. }
            | CallEvent::TransferFailed { .. }
            | CallEvent::DigitsSent { .. }
            | CallEvent::Muted { .. }
            | CallEvent::Silence { .. }
            | CallEvent::Covered { .. }
            | CallEvent::Assigned { .. }
            | CallEvent::Ready { .. }
            | CallEvent::Detached { .. }
            | CallEvent::CallerSpoke { .. }
            | CallEvent::CallerPaused { .. }
            | CallEvent::CallerSaid { .. }
            | CallEvent::ReplyStarted { .. }
            | CallEvent::FirstSound(_)
            | CallEvent::Sound(_)
            | CallEvent::ToolCalled(_)
            | CallEvent::ToolAnswered { .. }
            | CallEvent::Digit { .. }
            | CallEvent::AudioLost {
                what: Loss::Carrier | Loss::Unheard | Loss::Playout | Loss::Recording,
                ..
            }
            | CallEvent::CarrierOddity { .. }
            | CallEvent::Used { .. } => {}
        }
        Ok(())
    }

    fn reply_heard(
        &mut self,
        reply: ReplyId,
        (heard, unheard): (Duration, Duration),
        cut: bool,
    ) -> Result<(), String> {
        if reply.attachment() > self.before.attachments {
            self.count(if cut { "replies cut" } else { "replies heard to the end" });
            return self.reply_over(reply, heard + unheard);
        }
        // Half of it was heard when the server died.
        let given = self.before.given.remove(&reply).unwrap_or_default();
        self.count("replies lost with a server");
        require(cut && heard <= given, || format!("{reply}: heard {heard:?} of {given:?}"))
    }

    fn goes_live(&mut self, attachment: AttachmentId) -> Result<(), String> {
        require(self.live.is_none(), || format!("{attachment} and {:?} are live at once", self.live))?;
        self.live = Some(attachment);
        self.switching.live(attachment);
        self.count("attachments");
        Ok(())
    }

    fn in_order(&mut self, now: MonoTime, entry: &Entry) -> Result<(), String> {
        self.entries += 1;
        require(entry.seq == self.entries, || {
            format!("entry {} comes as number {}", entry.seq, self.entries)
        })?;
        require(entry.at >= self.last_entry && entry.at == now, || {
            format!("entry {} has a wrong time", entry.seq)
        })?;
        self.last_entry = entry.at;
        Ok(())
    }

    /// The rules that stand in files of their own.
    fn parts(&mut self, now: MonoTime, event: &CallEvent) -> Result<(), String> {
        let searched = self.search.entry(now, event, &self.config.limits)?;
        let covered = self.silence.entry(now, event, &self.config)?;
        let switched = self.switching.entry(event)?;
        // A caller who is being joined with somebody stays on hold until that is done.
        let aside = self.aside.entry(now, event, &self.config, self.transfers.is_under_way())?;
        let transferred = self.transfers.entry(event)?;
        let taped = self.tapes.entry(now, event)?;
        let told =
            searched.into_iter().chain(covered).chain(switched).chain(aside).chain(taped).chain(transferred);
        told.for_each(|what| self.count(what));
        Ok(())
    }

    fn reply_over(&mut self, reply: ReplyId, told: Duration) -> Result<(), String> {
        let given = self.mouth.given.get(&reply).copied().unwrap_or_default();
        require(told == given, || format!("{reply}: {told:?} heard and unheard ≠ {given:?}"))?;
        require(self.mouth.closed.insert(reply), || format!("{reply} is over twice"))
    }

    fn ended(&mut self, now: MonoTime, reason: &EndReason, totals: &Totals) -> Result<(), String> {
        let heard = std::mem::replace(&mut self.before.heard, totals.frames_heard);
        require(totals.frames_heard == heard + self.ear.heard, || "the totals are wrong".to_owned())?;
        require(totals.duration == now.since(self.started), || "the duration is wrong".to_owned())?;
        *self.stats.0.entry("switches").or_default() += u64::from(totals.switches);
        self.count(reason.kind());
        self.ended = Some(reason.clone());
        Ok(())
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.stats.0.entry(what).or_default() += 1;
    }
}

pub(super) fn require(holds: bool, rule: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule()) }
}
