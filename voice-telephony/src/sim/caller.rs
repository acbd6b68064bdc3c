//! A caller: ears, a mouth and a script, stepped in ticks of 20 ms. Knows nothing of any carrier.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::g711::mulaw_energy;
use voice_core::audio::{AudioFormat, FRAME, FRAME_MS};
use voice_core::sim::speech::{Hearing, Listener, recognise};

use super::keypad::Keypad;
use super::report::{BargeIn, CallReport, Heard};
use super::script::{Script, Step, Utterance};

/// Bytes of one tick.
pub(super) const TICK_BYTES: usize = AudioFormat::MULAW_8K.frame_bytes();

/// A tick of silence.
pub(super) static SILENCE: [u8; TICK_BYTES] = [0xff; TICK_BYTES];

/// What the caller does in one tick.
#[derive(Debug)]
pub(super) struct Deed {
    /// 20 ms of the caller's voice, or of silence.
    pub(super) audio: Bytes,
    pub(super) digit: Option<char>,
    pub(super) hangs_up: bool,
}

/// Somebody on the telephone.
#[derive(Debug)]
pub(super) struct Caller {
    steps: VecDeque<Step>,
    longest: u64,
    tick: u64,
    /// When the current step began.
    step_began: u64,
    mouth: Option<Speaking>,
    ear: Ear,
    /// Since when an answer is awaited.
    awaiting: Option<u64>,
    /// Why the caller gave up.
    anger: Option<String>,
    notes: Notes,
}

/// For the report.
#[derive(Debug, Default)]
struct Notes {
    said: Vec<String>,
    said_at: Vec<Duration>,
    latencies: Vec<Duration>,
    barge_ins: Vec<BargeIn>,
}

#[derive(Debug)]
struct Speaking {
    utterance: Utterance,
    position: usize,
    barge_in: Option<Cutting>,
}

/// A barge-in that is being measured.
#[derive(Debug)]
struct Cutting {
    began: u64,
    silent_since: Option<u64>,
    residue_bytes: usize,
}

impl Caller {
    pub(super) fn new(script: Script) -> Self {
        Self {
            steps: script.steps.into(),
            longest: ticks(script.longest),
            tick: 0,
            step_began: 0,
            mouth: None,
            ear: Ear::new(),
            awaiting: None,
            anger: None,
            notes: Notes::default(),
        }
    }

    /// One tick: takes what reaches the ear (`None` where nothing was there to be played).
    pub(super) fn tick(&mut self, played: Option<&[u8]>) -> Deed {
        self.ear.hear(self.tick, played);
        self.measure(played.is_some());
        let (digit, mut hangs_up) = self.act();
        if self.tick >= self.longest && !hangs_up {
            self.anger = Some(format!("the call took longer than {} s", self.longest * FRAME_MS / 1_000));
            hangs_up = true;
        }
        let audio = self.speak();
        self.tick += 1;
        Deed { audio, digit, hangs_up }
    }

    /// The carrier was told to throw away what it had not played, and yet more of it came.
    pub(super) fn residue(&mut self, bytes: usize) {
        if let Some(cutting) = self.mouth.as_mut().and_then(|mouth| mouth.barge_in.as_mut()) {
            cutting.residue_bytes += bytes;
        }
    }

    /// Whether a barge-in is under way, so that what comes after a clear is residue.
    pub(super) fn is_barging_in(&self) -> bool {
        self.mouth.as_ref().is_some_and(|mouth| mouth.barge_in.is_some())
    }

    /// Whether all that is left is to listen and to hang up.
    pub(super) fn has_said_all(&self) -> bool {
        self.mouth.is_none()
            && self.steps.iter().all(|step| match step {
                Step::WaitForVoice { .. } | Step::Pause(_) | Step::HangUp => true,
                Step::Say(_) | Step::BargeIn { .. } | Step::Press(_) => false,
            })
    }

    /// Writes down what the caller noticed. Called once, at the end.
    pub(super) fn conclude(mut self, report: &mut CallReport) {
        self.finish_barge_in();
        report.said.append(&mut self.notes.said);
        report.said_at.append(&mut self.notes.said_at);
        report.latencies.append(&mut self.notes.latencies);
        report.barge_ins.append(&mut self.notes.barge_ins);
        report.traffic.gap_ticks += self.ear.gap_ticks;
        report.keys_heard.push_str(&std::mem::take(&mut self.ear.keypad).conclude());
        report.heard.extend(self.ear.conclude());
        if report.failure.is_none() {
            report.failure = self.anger;
        }
    }

    /// Takes the next step of the script as far as it goes in this tick.
    fn act(&mut self) -> (Option<char>, bool) {
        if self.mouth.is_some() {
            return (None, false);
        }
        let Some(step) = self.steps.front() else { return (None, true) };
        let waited = self.tick - self.step_began;
        let has_spoken = self.ear.began.is_some_and(|began| began >= self.step_began)
            || self.ear.voiced_at.is_some_and(|at| at >= self.step_began);
        match step {
            Step::WaitForVoice { quiet, patience } => {
                let is_quiet = self.ear.voiced_at.is_some_and(|at| self.tick - at >= ticks(*quiet));
                if has_spoken && is_quiet {
                    self.next_step();
                } else if !has_spoken && waited >= ticks(*patience) {
                    return self.give_up();
                }
            }
            Step::BargeIn { after, patience, say } => {
                let began = self.ear.began.filter(|_| has_spoken);
                if began.is_some_and(|began| self.tick - began.max(self.step_began) >= ticks(*after)) {
                    let cutting = Cutting { began: self.tick, silent_since: None, residue_bytes: 0 };
                    let is_speaking = self.ear.is_speaking(self.tick);
                    let utterance = say.clone();
                    self.begin(utterance, is_speaking.then_some(cutting));
                } else if began.is_none() && waited >= ticks(*patience) {
                    return self.give_up();
                }
            }
            Step::Say(utterance) => {
                let utterance = utterance.clone();
                self.begin(utterance, None);
            }
            Step::Press(key) => {
                let key = *key;
                self.next_step();
                return (Some(key), false);
            }
            Step::Pause(length) => {
                if waited >= ticks(*length) {
                    self.next_step();
                }
            }
            Step::HangUp => {
                self.steps.clear();
                return (None, true);
            }
        }
        (None, false)
    }

    fn give_up(&mut self) -> (Option<char>, bool) {
        let waited = Duration::from_millis((self.tick - self.step_began) * FRAME_MS);
        self.anger = Some(format!("heard nothing for {waited:?}"));
        (None, true)
    }

    fn next_step(&mut self) {
        self.steps.pop_front();
        self.step_began = self.tick;
    }

    fn begin(&mut self, utterance: Utterance, barge_in: Option<Cutting>) {
        self.awaiting = None;
        self.notes.said_at.push(span(self.tick.saturating_sub(1)));
        self.mouth = Some(Speaking { utterance, position: 0, barge_in });
    }

    /// The next 20 ms of what is being said.
    fn speak(&mut self) -> Bytes {
        let Some(mouth) = &mut self.mouth else { return Bytes::from_static(&SILENCE) };
        let rest = mouth.utterance.mulaw.slice(mouth.position..);
        if rest.len() > TICK_BYTES {
            mouth.position += TICK_BYTES;
            return rest.slice(..TICK_BYTES);
        }
        let mut last = rest.to_vec();
        last.resize(TICK_BYTES, 0xff);
        self.finish_barge_in();
        if let Some(mouth) = self.mouth.take() {
            self.notes.said.push(mouth.utterance.name);
        }
        self.tick += 1;
        self.next_step();
        self.tick -= 1;
        self.awaiting = Some(self.tick + 1);
        Bytes::from(last)
    }

    fn measure(&mut self, is_played: bool) {
        if let Some(since) = self.awaiting
            && self.ear.voiced_at == Some(self.tick)
        {
            self.awaiting = None;
            self.notes.latencies.push(span(self.tick - since));
        }
        if let Some(cutting) = self.mouth.as_mut().and_then(|mouth| mouth.barge_in.as_mut()) {
            cutting.silent_since = match cutting.silent_since {
                // Five ticks of silence are silence, whatever comes later.
                Some(since) if self.tick - since >= SILENT_TICKS => Some(since),
                Some(_) if is_played => None,
                None if !is_played => Some(self.tick),
                unchanged => unchanged,
            };
        }
    }

    fn finish_barge_in(&mut self) {
        let Some(mouth) = &mut self.mouth else { return };
        let Some(cutting) = mouth.barge_in.take() else { return };
        let silent = cutting.silent_since.filter(|since| self.tick - since >= SILENT_TICKS);
        self.notes.barge_ins.push(BargeIn {
            said: mouth.utterance.name.clone(),
            reaction: silent.map(|since| span(since - cutting.began)),
            residue: AudioFormat::MULAW_8K.duration_of(cutting.residue_bytes),
        });
    }
}

/// So many ticks with nothing to play count as silence, fewer as a hiccup.
const SILENT_TICKS: u64 = 5;

/// So many ticks with nothing to play, and then more, are a hole in the middle of speech.
const GAP_TICKS_MAX: u64 = 10;

/// A voice may pause for so many ticks and still be in the same breath.
const BREATH_TICKS: u64 = 25;

/// What the caller hears.
#[derive(Debug)]
struct Ear {
    listener: Listener,
    keypad: Keypad,
    noticed: Vec<Hearing>,
    heard: Vec<Heard>,
    /// When the current or last stretch of voice began.
    began: Option<u64>,
    /// The last tick with voice in it.
    voiced_at: Option<u64>,
    /// The last tick in which anything was played.
    played_at: Option<u64>,
    gap_ticks: u64,
}

impl Ear {
    fn new() -> Self {
        Self {
            listener: Listener::new(span(BREATH_TICKS)),
            keypad: Keypad::default(),
            noticed: Vec::new(),
            heard: Vec::new(),
            began: None,
            voiced_at: None,
            played_at: None,
            gap_ticks: 0,
        }
    }

    fn hear(&mut self, tick: u64, played: Option<&[u8]>) {
        let audio = played.unwrap_or(&SILENCE);
        self.listener.push(audio, &mut self.noticed);
        self.keypad.hear(audio);
        self.write_down();
        if played.is_some() {
            let hole = self.played_at.map_or(0, |at| tick - at - 1);
            self.gap_ticks += if hole <= GAP_TICKS_MAX { hole } else { 0 };
            self.played_at = Some(tick);
        }
        if is_voiced(audio) {
            if !self.is_speaking(tick) {
                self.began = Some(tick);
            }
            self.voiced_at = Some(tick);
        }
    }

    fn is_speaking(&self, tick: u64) -> bool {
        self.voiced_at.is_some_and(|at| tick - at < BREATH_TICKS)
    }

    fn write_down(&mut self) {
        for noticed in self.noticed.drain(..) {
            if let Hearing::Ended { at, audio } = noticed {
                let length = AudioFormat::MULAW_8K.duration_of(audio.len());
                let clip = recognise(&audio).map(|clip| clip.name);
                self.heard.push(Heard { clip, from: at.saturating_sub(length), to: at });
            }
        }
    }

    fn conclude(mut self) -> Vec<Heard> {
        self.listener.finish(&mut self.noticed);
        self.write_down();
        self.heard
    }
}

/// Whether 20 ms are louder than the noise of a line; the same measure as the listener's.
fn is_voiced(mulaw: &[u8]) -> bool {
    mulaw_energy(mulaw) >= 150 * 150 * mulaw.len() as u64
}

fn ticks(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(FRAME.as_micros())).unwrap_or(u64::MAX)
}

fn span(ticks: u64) -> Duration {
    Duration::from_millis(ticks * FRAME_MS)
}
