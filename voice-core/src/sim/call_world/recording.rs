//! The rules of recordings: what was written down is what the caller said and heard, where they did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::audio::{AudioFormat, FRAME};
use crate::call::Control;
use crate::consent::{Consent, Given, Method, Revocation, Scope};
use crate::record::CallEvent;
use crate::recording::{
    Filed, RecordCommand, RecordNews, RecordStep, Recorded, RecordingOrder, RecordingPlace, RecordingRefusal,
    SavedRecording,
};
use crate::sim::rng::Rng;
use crate::time::{MonoTime, UnixMillis};
use crate::transfer::Operation;

use super::checks::require;
use super::line::CarrierModel;
use super::number_in;

const FORMAT: AudioFormat = AudioFormat::MULAW_8K;

/// Bytes that no other sound of this world has, behind a caller's frame's number; too quiet to be heard.
pub(super) const CALLER_MARK: [u8; 4] = [0x7e, 0x71, 0x7e, 0x71];

/// A perfect line leaves no room for more.
const EXACT: Duration = FRAME;

/// A frame of the voice: its reply and its number in it.
type Key = [u8; 12];

/// What the world knows of sound, and what was written down of it.
#[derive(Default)]
pub(super) struct Tapes {
    /// Frames handed to the carrier, in order, with the time.
    handed: Vec<(MonoTime, Key)>,
    /// Frames of the caller, in order, with the time of arrival.
    said: Vec<(MonoTime, u64)>,
    tapes: Vec<Tape>,
    /// The recording that runs is the carrier's.
    is_carriers: bool,
    /// The carrier was asked to end one, and the record does not tell yet what came of that.
    is_ending: bool,
    /// Recordings of the carrier's of which the record tells that they are there.
    filed: BTreeSet<String>,
}

#[derive(Default)]
struct Tape {
    origin: MonoTime,
    end: Option<MonoTime>,
    pauses: Vec<(MonoTime, Option<MonoTime>)>,
    caller: Vec<u8>,
    voice: Vec<u8>,
}

/// When somebody wants something of a recording, from the call's beginning.
pub(super) fn plan(rng: &mut Rng) -> Vec<(Duration, Control)> {
    let mut plan = Vec::new();
    if rng.percent(60) {
        let at = if rng.percent(60) { Duration::ZERO } else { rng.millis(0..8_000) };
        plan.push((at, RecordCommand::Start(order())));
    }
    for _ in 0..rng.range(0..4) {
        let pause = rng.millis(0..15_000);
        plan.push((pause, RecordCommand::Pause));
        plan.push((pause + rng.millis(0..4_000), RecordCommand::Resume));
    }
    if rng.percent(20) {
        let revoked = Revocation { at: UnixMillis(0), reason: None };
        let end = if rng.percent(70) { RecordCommand::Stop } else { RecordCommand::Revoke(revoked) };
        let at = rng.millis(2_000..15_000);
        plan.push((at, end));
        plan.push((at + rng.millis(0..4_000), RecordCommand::Start(order())));
    }
    plan.into_iter().map(|(at, command)| (at, Control::Record(command))).collect()
}

/// The same for a recording that the carrier makes, in some calls.
pub(super) fn plan_at_carrier(rng: &mut Rng) -> Vec<(Duration, Control)> {
    if !rng.percent(25) {
        return Vec::new();
    }
    let mut plan = Vec::new();
    for _ in 0..rng.range(1..4) {
        let at = rng.millis(0..12_000);
        plan.push((at, RecordCommand::Start(order().at(RecordingPlace::Carrier))));
        plan.push((at + rng.millis(0..3_000), RecordCommand::Pause));
        if rng.percent(60) {
            plan.push((at + rng.millis(0..6_000), RecordCommand::Resume));
        }
        if rng.percent(60) {
            plan.push((at + rng.millis(0..9_000), RecordCommand::Stop));
        }
        if rng.percent(20) {
            let name = format!("RE{}", rng.range(0..3));
            plan.push((at + rng.millis(0..20_000), RecordCommand::Filed(filed(name, rng))));
        }
    }
    plan.into_iter().map(|(at, command)| (at, Control::Record(command))).collect()
}

/// What a carrier makes of an order: done, refused, or never heard of again; and in the end it has it, or not.
pub(super) fn operate(operation: &Operation, rng: &mut Rng) -> Vec<(Duration, Control)> {
    let Operation::Record { order, step } = operation else { return Vec::new() };
    let told = |news| RecordCommand::Ordered { order: *order, news };
    let mut tells = Vec::new();
    let name = format!("RE{order}");
    if rng.percent(30) {
        let why = *rng.pick(&RecordingRefusal::ALL);
        tells.push((rng.millis(10..4_000), told(RecordNews::Refused(*step, why))));
    } else if *step == RecordStep::Start && rng.percent(90) {
        let known = rng.percent(70).then(|| name.clone());
        tells.push((rng.millis(10..4_000), told(RecordNews::Begun(known))));
    } else if *step == RecordStep::Stop && rng.percent(90) {
        tells.push((rng.millis(10..4_000), told(RecordNews::Ended)));
    }
    if *step == RecordStep::Start && rng.percent(50) {
        let at = rng.millis(1_000..20_000);
        let times = if rng.percent(30) { 2 } else { 1 };
        let is_named = rng.percent(70);
        let news = if is_named { RecordCommand::Filed } else { RecordCommand::FiledUnnamed };
        tells.extend((0..times).map(|_| (at, news(filed(name.clone(), rng)))));
    }
    tells.into_iter().map(|(at, command)| (at, Control::Record(command))).collect()
}

fn filed(recording: String, rng: &mut Rng) -> Filed {
    if rng.percent(20) {
        return Filed::Absent { recording };
    }
    Filed::Saved(SavedRecording { recording, length: Some(Duration::from_secs(7)), url: None })
}

fn order() -> RecordingOrder {
    let given = Given { by: "+15550100".into(), how: Method::Verbal, at: UnixMillis(0), region: None };
    RecordingOrder::new(Consent::given(given, Scope::RECORDING)).expect("this consent covers recording")
}

impl Tapes {
    /// What we wrote ended with the server; what the carrier does goes on.
    pub(super) fn returned(&mut self) {
        let (is_carriers, filed) = (self.is_carriers, std::mem::take(&mut self.filed));
        *self = Self { is_carriers, filed, ..Self::default() };
    }

    pub(super) fn hand(&mut self, now: MonoTime, frame: &[u8]) {
        self.handed.push((now, key(frame)));
    }

    pub(super) fn caller_says(&mut self, now: MonoTime, number: u64) {
        self.said.push((now, number));
    }

    /// One more entry; something to be counted, if it is of interest.
    pub(super) fn entry(&mut self, now: MonoTime, event: &CallEvent) -> Result<Option<&'static str>, String> {
        if let CallEvent::RecordingSaved(SavedRecording { recording, .. })
        | CallEvent::RecordingAbsent { recording } = event
        {
            require(self.filed.insert(recording.clone()), || format!("{recording} is told of twice"))?;
            return Ok(Some("recordings filed"));
        }
        if let CallEvent::RecordingRefused { step, .. } = event {
            self.is_ending &= *step != RecordStep::Stop;
            return Ok(Some("recordings refused"));
        }
        if let CallEvent::RecordingEnded = event {
            self.is_ending = false;
            return Ok(Some("recordings ended by the carrier"));
        }
        if let CallEvent::RecordingStarted { place, .. } = event {
            require(!self.is_ending, || "begins one while another is being ended".to_owned())?;
            self.is_carriers = *place == RecordingPlace::Carrier;
            return Ok(Some(if self.is_carriers { "recordings at the carrier" } else { "recordings" }));
        }
        if self.is_carriers {
            return Ok(None);
        }
        let Some(tape) = self.tapes.last_mut() else { return Ok(None) };
        if let CallEvent::RecordingPaused = event {
            tape.pauses.push((now, None));
        } else if let (CallEvent::RecordingResumed, Some(pause)) = (event, tape.pauses.last_mut()) {
            pause.1 = Some(now);
            return Ok(Some("recordings resumed"));
        }
        Ok(None)
    }

    /// What is asked of a carrier was told just before.
    pub(super) fn asked(&mut self, entries: u64, operation: &Operation) -> Result<(), String> {
        let Operation::Record { order, step } = operation else { return Ok(()) };
        self.is_ending |= *step == RecordStep::Stop;
        require(self.is_carriers, || format!("asks the carrier for {step:?} of our own recording"))?;
        require(*order == entries, || format!("{step:?} is order {order}, after entry {entries}"))
    }

    /// Blocks come whole, in order, without a gap, and only while there is a recording.
    pub(super) fn take(&mut self, now: MonoTime, recorded: &Recorded) -> Result<(), String> {
        if let Recorded::Began(start) = recorded {
            self.is_carriers = false;
            require(self.tapes.last().is_none_or(|tape| tape.end.is_some()), || "records twice".to_owned())?;
            self.tapes.push(Tape { origin: start.at, ..Tape::default() });
            return Ok(());
        }
        let tape = self.tapes.last_mut().filter(|tape| tape.end.is_none());
        let tape = tape.ok_or("gives sound of no recording")?;
        match recorded {
            Recorded::Began(_) => {}
            Recorded::Block(block) => {
                let at = FORMAT.duration_of(tape.caller.len());
                let whole = block.caller.len() == 160 && block.voice.len() == 160;
                require(block.at == at && whole, || format!("gives a block of {:?} at {at:?}", block.at))?;
                require(tape.origin + block.at <= now, || "records the future".to_owned())?;
                tape.caller.extend_from_slice(&block.caller);
                tape.voice.extend_from_slice(&block.voice);
            }
            Recorded::Ended { length, .. } => {
                tape.end = Some(now);
                let written = FORMAT.duration_of(tape.caller.len());
                require(*length == written, || format!("says {length:?} of {written:?}"))?;
                let off = written.abs_diff(now.since(tape.origin));
                require(off <= FRAME, || format!("lasts {written:?}, which is {off:?} off"))?;
            }
        }
        Ok(())
    }

    /// All is over: what was written down is what was said and heard. Answers how much was compared.
    pub(super) fn check(&self, line: &CarrierModel) -> Result<(u64, u64), String> {
        let mut compared = (0, 0);
        for tape in &self.tapes {
            require(tape.end.is_some(), || "a recording has no end".to_owned())?;
            tape.check_pauses()?;
            compared.0 += tape.check_caller(&self.said)?;
            compared.1 += tape.check_voice(&self.handed, line)?;
        }
        Ok(compared)
    }
}

impl Tape {
    fn check_pauses(&self) -> Result<(), String> {
        for (from, until) in &self.pauses {
            let until = until.or(self.end).unwrap_or(*from);
            let place = |at: MonoTime| FORMAT.bytes_in(at.since(self.origin)).min(self.caller.len());
            for channel in [&self.caller, &self.voice] {
                let silent = channel[place(*from)..place(until)].iter().all(|byte| *byte == 0xff);
                require(silent, || format!("keeps what was said in the pause from {from} to {until}"))?;
            }
        }
        Ok(())
    }

    fn check_caller(&self, said: &[(MonoTime, u64)]) -> Result<u64, String> {
        let mut written = BTreeMap::new();
        for at in positions(&self.caller, &CALLER_MARK).filter(|at| *at >= 16) {
            let begins = self.origin + FORMAT.duration_of(at - 16);
            let twice = written.insert(number_in(&self.caller[at - 16..at]), at - 16);
            // On the edge of a pause the number itself may be silenced in part.
            require(twice.is_none() || !self.holds(begins, Duration::ZERO), || {
                "keeps a frame of the caller twice".to_owned()
            })?;
        }
        for (arrived, number) in said {
            let begins = arrived.saturating_sub(FRAME);
            if !self.holds(begins, Duration::ZERO) {
                continue;
            }
            let at = written.get(number).ok_or_else(|| format!("frame {number} of the caller is missing"))?;
            let off = (self.origin + FORMAT.duration_of(*at)).as_micros().abs_diff(begins.as_micros());
            require(Duration::from_micros(off) <= EXACT, || {
                format!("frame {number} of the caller is {off} µs off")
            })?;
        }
        Ok(written.len() as u64)
    }

    fn check_voice(&self, handed: &[(MonoTime, Key)], line: &CarrierModel) -> Result<u64, String> {
        let tolerance = if line.is_perfect() { EXACT } else { line.tolerance() };
        let written = frames(&self.voice);
        let mut truths = BTreeMap::<Key, Vec<(MonoTime, Duration)>>::new();
        for ((sent, key), (begins, heard)) in handed.iter().zip(line.truth()) {
            let heard_here = *begins + line.back();
            truths.entry(*key).or_default().push((heard_here, *heard));
            let due = *sent > self.origin && *heard == FRAME && self.holds(heard_here, tolerance);
            // At a cut the ledger may be wrong by a way there and back.
            if due && !line.was_cleared_near(*begins, tolerance) {
                require(written.contains_key(key), || format!("{key:?}, heard at {heard_here}, is missing"))?;
            }
        }
        for (key, places) in &written {
            // Of a frame on the edge of a pause its beginning may be silenced, and with it what it is.
            let places = places.iter().map(|at| self.origin + FORMAT.duration_of(*at));
            for at in places.filter(|at| self.holds(*at, Duration::ZERO)) {
                let near = |(truth, heard): &(MonoTime, Duration)| {
                    let off = at.as_micros().abs_diff(truth.as_micros());
                    let was_heard = !heard.is_zero() || !line.is_perfect();
                    was_heard && Duration::from_micros(off) <= tolerance
                };
                // What was under way when all ended arrived nowhere.
                let at_the_end = at + FRAME + tolerance >= self.end.unwrap_or(at);
                let known = at_the_end || truths.get(key).is_some_and(|truths| truths.iter().any(near));
                require(known, || {
                    format!("{key:?} is written down at {at}, but was heard at {:?}", truths.get(key))
                })?;
            }
        }
        Ok(written.values().map(|places| places.len() as u64).sum())
    }

    /// A whole frame that begins here is within the recording and far enough from its pauses and ends.
    fn holds(&self, begins: MonoTime, margin: Duration) -> bool {
        let margin = margin + FRAME;
        let end = self.end.unwrap_or(self.origin);
        let within = begins > self.origin + margin && begins + FRAME + margin < end;
        let apart = |(from, until): &(MonoTime, Option<MonoTime>)| {
            begins + FRAME + margin < *from || until.is_some_and(|until| begins > until + margin)
        };
        within && self.pauses.iter().all(apart)
    }
}

fn key(frame: &[u8]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&frame[..12]);
    key
}

fn positions<'a>(channel: &'a [u8], mark: &'a [u8; 4]) -> impl Iterator<Item = usize> + 'a {
    channel.windows(4).enumerate().filter(move |(_, window)| window == mark).map(|(at, _)| at)
}

/// The voice's frames that were written down, with their places. What is filled in tells them from noise.
fn frames(channel: &[u8]) -> BTreeMap<Key, Vec<usize>> {
    let mut found = BTreeMap::<Key, Vec<usize>>::new();
    let mut at = 0;
    while at + 20 <= channel.len() {
        let filler = channel[at + 19];
        let is_filled = |part: std::ops::Range<usize>| channel[part].iter().all(|byte| *byte == filler);
        // Replies have a number before what they are filled up with, clips have none.
        let begins = match filler {
            0x55 => !is_filled(at + 8..at + 12),
            0x44 => is_filled(at + 8..at + 12) && !is_filled(at..at + 8),
            _ => false,
        };
        let is_frame = begins && is_filled(at + 12..at + 20);
        if !is_frame {
            at += 1;
            continue;
        }
        found.entry(key(&channel[at..])).or_default().push(at);
        at += 12;
        while channel.get(at) == Some(&filler) {
            at += 1;
        }
    }
    found
}
