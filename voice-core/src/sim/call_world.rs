//! A seeded world around one [`Call`], in virtual time: a carrier that plays, a caller who talks,
//! providers that come and go, and all of them rude. After every step the rules are checked.
//!
//! [`run`] plays one call to its end. The same seed gives the same call for ever.

mod aside;
mod checks;
mod comeback;
mod line;
mod recording;
mod search;
mod silence;
mod switching;
mod transfers;
mod voices;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::audio::{AudioFormat, AudioFrame, FRAME};
use crate::call::{
    Call, CallConfig, CallLimits, CallStart, Control, Greeting, Input, Output, Patience, Prompts, Standby,
    WhenNobody,
};
use crate::carrier::{CarrierCommand, CarrierEnd, CarrierEvent, Digit, Oddity};
use crate::conversation::{ToolDefinition, ToolResult};
use crate::id::{AttachmentId, CarrierId, CorrelationId, ProviderId, ToolCallId};
use crate::limits;
use crate::provider::ProviderEvent;
use crate::sim::rng::Rng;
use crate::time::MonoTime;
use crate::wire::LineEnd;

pub use checks::{Stats, Violation};

use checks::Checks;
use comeback::Comebacks;
use line::CarrierModel;
use voices::Voice;

/// The providers of this world, all of which may fail.
const PROVIDERS: [&str; 3] = ["amber", "birch", "cedar"];

/// A call that goes on without anything happening is a bug; so many ticks at one instant are enough.
const TICKS_AT_ONCE_MAX: u32 = 1_000;

/// Plays the call of this seed and tells what happened in it, or which rule was broken.
pub fn run(seed: u64) -> Result<Stats, Violation> {
    World::new(seed).play().map_err(|rule| Violation { seed, rule })
}

/// Something that will happen.
#[derive(Debug)]
enum What {
    CallerFrame,
    /// The carrier's stream is half open for so long.
    CarrierPauses(Duration),
    Carrier(CarrierEvent),
    AtCarrier(line::Arrival),
    Assigned(AttachmentId, Option<ProviderId>),
    Provider(AttachmentId, ProviderEvent),
    Tool(ToolCallId),
    Control(Control),
    /// The server dies, and another goes on.
    Killed,
}

struct World {
    rng: Rng,
    now: MonoTime,
    call: Call,
    schedule: BTreeMap<(MonoTime, u64), What>,
    scheduled: u64,
    frames: u64,
    caller: Caller,
    carrier_back: MonoTime,
    line: CarrierModel,
    voices: BTreeMap<AttachmentId, Voice>,
    /// How many of the providers this call may use.
    providers: usize,
    /// From when until when no provider can be had.
    outage: Option<(MonoTime, MonoTime)>,
    checks: Checks,
    comebacks: Comebacks,
}

/// Speaks and falls silent, whatever the providers believe.
struct Caller {
    rng: Rng,
    voiced: bool,
    turns_at: MonoTime,
}

impl Caller {
    fn is_voiced(&mut self, now: MonoTime) -> bool {
        if now >= self.turns_at {
            self.voiced = !self.voiced;
            self.turns_at = now + self.rng.millis(100..3_000);
        }
        self.voiced
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = settings(&mut rng);
        let now = MonoTime::from_millis(rng.range(0..5_000));
        let start = CallStart {
            carrier: CarrierId::from_static("sim"),
            carrier_call: format!("sim-{seed}"),
            format: AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550101".into(),
            correlation: CorrelationId::from_static("sim"),
        };
        let config = Arc::new(config);
        let call = Call::new(now, config.clone(), start.clone());
        let mut world = Self {
            line: CarrierModel::new(rng.fork()),
            checks: Checks::new(config.clone()),
            comebacks: Comebacks::new(seed, config.clone(), start.clone()),
            rng,
            now,
            call,
            schedule: BTreeMap::new(),
            scheduled: 0,
            frames: 0,
            caller: Caller { rng: Rng::new(!seed), voiced: false, turns_at: now },
            carrier_back: now,
            voices: BTreeMap::new(),
            providers: PROVIDERS.len(),
            outage: None,
        };
        if world.rng.percent(20) {
            world.providers = world.rng.range(1..3) as usize;
        }
        world.plan_an_outage();
        world.after(Duration::ZERO, What::CallerFrame);
        world.plan_the_end();
        world.plan_meddling();
        world.plan_recording(seed);
        world.plan_transfers(seed);
        world.plan_recording_at_carrier(seed);
        world.plan_kills();
        world
    }

    fn play(mut self) -> Result<Stats, String> {
        let mut ticks = 0;
        let mut wakes = self.drain()?;
        while !self.checks.finished() {
            let next = self.schedule.keys().next().map(|(at, _)| *at);
            let tick = wakes.filter(|wake| next.is_none_or(|next| *wake <= next));
            let input = match (tick, next) {
                (Some(wake), _) => {
                    ticks = if wake > self.now { 0 } else { ticks + 1 };
                    if ticks > TICKS_AT_ONCE_MAX {
                        return Err(format!("asks to be woken at {wake} again and again"));
                    }
                    self.now = self.now.max(wake);
                    Some(Input::Tick)
                }
                (None, Some(_)) => {
                    let Some(((at, _), what)) = self.schedule.pop_first() else { break };
                    self.now = self.now.max(at);
                    self.happens(what)?
                }
                (None, None) => return Err("waits for nothing, for ever".to_owned()),
            };
            if let Some(input) = input {
                self.call.handle(self.now, input);
                wakes = self.drain()?;
            }
            self.compare()?;
            if self.comes_back() {
                ticks = 0;
                wakes = self.drain()?;
            }
        }
        self.checks.at_the_end(self.frames, &self.line)
    }

    fn happens(&mut self, what: What) -> Result<Option<Input>, String> {
        Ok(Some(match what {
            What::CarrierPauses(duration) => {
                self.carrier_back = self.now + duration;
                return Ok(None);
            }
            What::CallerFrame => {
                self.after(FRAME, What::CallerFrame);
                if self.now < self.carrier_back {
                    return Ok(None);
                }
                self.frames += 1;
                self.checks.caller_says(self.now, self.frames);
                let voiced = self.caller.is_voiced(self.now);
                Input::Carrier(CarrierEvent::Audio(caller_frame(self.frames, voiced)))
            }
            What::Carrier(event) => Input::Carrier(event),
            What::AtCarrier(arrival) => {
                for (delay, echo) in self.line.arrives(self.now, arrival) {
                    self.after(delay, What::Carrier(CarrierEvent::Played(echo)));
                }
                return Ok(None);
            }
            What::Assigned(id, provider) => {
                if provider.is_some() {
                    self.checks.assigned(id);
                }
                Input::Assigned(id, provider)
            }
            What::Provider(id, event) => {
                let Some(voice) = self.voices.get_mut(&id) else { return Ok(None) };
                let Some(event) = voice.says(event, &mut self.rng) else { return Ok(None) };
                self.checks.provider_says(id, &event);
                Input::Provider(id, event)
            }
            What::Tool(id) => {
                let result = ToolResult { output: "42".into(), failed: self.rng.percent(10) };
                Input::Control(Control::ToolAnswered { id, result })
            }
            What::Control(control) => Input::Control(control),
            What::Killed => {
                self.comebacks.kill();
                return Ok(None);
            }
        }))
    }

    fn drain(&mut self) -> Result<Option<MonoTime>, String> {
        loop {
            let output = self.call.poll();
            self.checks.output(self.now, &output, &self.line)?;
            match output {
                Output::Carrier(command) => self.send_to_carrier(command),
                Output::Attach { id, wish, tried, last_resort } => self.choose(id, wish, &tried, last_resort),
                Output::Open { id, .. } => self.open(id),
                Output::Provider(id, command) => self.send_to_provider(id, &command),
                Output::RunTool(call) => {
                    if !self.rng.percent(15) {
                        let delay = self.rng.millis(10..25_000);
                        self.after(delay, What::Tool(call.id));
                    }
                }
                Output::Detach(id) => {
                    // It does not know yet: what it has said is still under way to us.
                    if !self.rng.percent(30) {
                        self.voices.remove(&id);
                    }
                }
                Output::Report(entry) => {
                    self.comebacks.read(&entry);
                    if let crate::record::CallEvent::Live { attachment, .. } = entry.event {
                        self.begin_to_talk(attachment);
                    }
                }
                Output::Operate(operation) => {
                    for (delay, tells) in transfers::operate(&operation, &mut self.rng) {
                        self.after(delay, what_is_told(tells));
                    }
                    for (delay, control) in recording::operate(&operation, &mut self.rng) {
                        self.after(delay, What::Control(control));
                    }
                }
                Output::Outcome(..) | Output::Doubt(_) | Output::AbandonTool(_) | Output::Record(_) => {}
                Output::WaitUntil(at) => return Ok(at.map(|(at, _)| at)),
                Output::Finished(_) => return Ok(None),
            }
        }
    }

    fn send_to_carrier(&mut self, command: CarrierCommand) {
        let arrival = match command {
            CarrierCommand::Play(frame) => line::Arrival::Frame(voices::reply_of(&frame.data)),
            CarrierCommand::Mark(mark) => line::Arrival::Mark(mark),
            CarrierCommand::Clear => line::Arrival::Clear,
            CarrierCommand::HangUp => return,
        };
        let at = self.line.arrives_at(self.now);
        self.at(at, What::AtCarrier(arrival));
    }

    fn choose(
        &mut self,
        id: AttachmentId,
        wish: Option<ProviderId>,
        tried: &[ProviderId],
        last_resort: Option<ProviderId>,
    ) {
        let free = |id: &ProviderId| !tried.contains(id);
        let mut can: Vec<ProviderId> = PROVIDERS[..self.providers]
            .iter()
            .map(|name| ProviderId::from_static(name))
            .filter(free)
            .collect();
        if let Some(wish) = wish {
            can.retain(|id| *id == wish);
        } else if can.len() > 1 {
            can.retain(|id| Some(id) != last_resort.as_ref());
        }
        let nobody = can.is_empty() || self.rng.percent(3) || self.is_out();
        let chosen = (!nobody).then(|| self.rng.pick(&can).clone());
        let delay = self.rng.millis(0..5);
        self.after(delay, What::Assigned(id, chosen.clone()));
        // An answer that comes twice must not matter.
        if self.rng.percent(3) {
            self.after(delay, What::Assigned(id, None));
        }
    }

    fn open(&mut self, id: AttachmentId) {
        let (voice, says) = Voice::open(self.now, id, self.is_out(), &mut self.rng);
        self.voices.insert(id, voice);
        self.plan(id, says);
    }

    fn begin_to_talk(&mut self, id: AttachmentId) {
        let Some(voice) = self.voices.get_mut(&id) else { return };
        let says = voice.begin(&mut self.rng);
        self.plan(id, says);
    }

    fn send_to_provider(&mut self, id: AttachmentId, command: &crate::provider::ProviderCommand) {
        let Some(voice) = self.voices.get_mut(&id) else { return };
        let says = voice.hears(command, &mut self.rng);
        self.plan(id, says);
    }

    fn plan(&mut self, id: AttachmentId, says: Vec<(Duration, ProviderEvent)>) {
        for (delay, event) in says {
            self.after(delay, What::Provider(id, event));
        }
    }

    fn plan_the_end(&mut self) {
        let end = if self.rng.percent(80) { CarrierEnd::Stopped } else { CarrierEnd::LineDown(LineEnd::Cut) };
        let at = self.rng.millis(500..45_000);
        self.after(at, What::Carrier(CarrierEvent::Ended(end.clone())));
        if self.rng.percent(10) {
            self.after(at, What::Carrier(CarrierEvent::Ended(end)));
        }
    }

    /// In some calls all providers are gone for a while, at the beginning or in the middle.
    fn plan_an_outage(&mut self) {
        if self.rng.percent(25) {
            let from = self.now + self.rng.millis(0..15_000);
            self.outage = Some((from, from + self.rng.millis(300..30_000)));
        }
    }

    fn is_out(&mut self) -> bool {
        let out = self.outage.is_some_and(|(from, until)| self.now >= from && self.now < until);
        // Some answer the roster, and only then fail.
        out && self.rng.percent(70)
    }

    /// Operators, keys, nonsense.
    fn plan_meddling(&mut self) {
        for number in 0..self.rng.range(0..10) {
            let at = self.rng.millis(0..40_000);
            let name = ProviderId::from_static(self.rng.pick::<&'static str>(&PROVIDERS));
            let what = match self.rng.range(0..24) {
                0..=3 => What::Control(Control::Switch(None)),
                4 => What::Control(Control::Switch(Some(name))),
                5 => What::Control(Control::Say { cue: "go on".into() }),
                6 | 12 => What::Control(Control::Note(format!("note {number}").into())),
                13 => What::Control(Control::Summary(format!("summary {number}").into())),
                14 | 15 => What::Control(Control::SwitchBack),
                16 | 17 => What::Control(Control::FailOver { force: self.rng.percent(60) }),
                18 => What::Control(Control::LeaveProvider(name)),
                19 | 20 => What::Control(Control::Hold { music: self.rng.percent(70) }),
                21 => What::Control(Control::Resume),
                22 => What::Control(Control::Mute(self.rng.percent(60))),
                23 => What::CarrierPauses(self.rng.millis(300..6_000)),
                7 if self.rng.percent(30) => What::Control(Control::HangUpAfterReply),
                8 if self.rng.percent(10) => What::Control(Control::HangUp),
                9 => What::Carrier(CarrierEvent::Lost(FRAME * 3)),
                10 => What::Carrier(CarrierEvent::Oddity(Oddity::UnknownEvent)),
                _ => Digit::new('7').map_or(What::CallerFrame, |key| What::Carrier(CarrierEvent::Digit(key))),
            };
            self.after(at, what);
        }
    }

    /// Draws from numbers of its own, so that calls with a seed stay what they were.
    fn plan_recording(&mut self, seed: u64) {
        let mut rng = Rng::new(!seed);
        for (delay, control) in recording::plan(&mut rng) {
            self.after(delay, What::Control(control));
        }
        if rng.percent(30) {
            self.line.make_perfect();
        }
    }

    /// From numbers of its own, too; so does what comes next.
    fn plan_recording_at_carrier(&mut self, seed: u64) {
        let mut rng = Rng::new(!seed.rotate_left(29));
        for (delay, control) in recording::plan_at_carrier(&mut rng) {
            self.after(delay, What::Control(control));
        }
    }

    fn plan_transfers(&mut self, seed: u64) {
        let mut rng = Rng::new(!seed.rotate_left(17));
        for (delay, control) in transfers::plan(&mut rng) {
            self.after(delay, What::Control(control));
        }
    }

    fn after(&mut self, delay: Duration, what: What) {
        self.at(self.now + delay, what);
    }

    fn at(&mut self, at: MonoTime, what: What) {
        self.scheduled += 1;
        self.schedule.insert((at, self.scheduled), what);
    }
}

fn what_is_told(tells: transfers::Tells) -> What {
    match tells {
        transfers::Tells::News(control) => What::Control(control),
        transfers::Tells::Stream => What::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped)),
    }
}

fn settings(rng: &mut Rng) -> CallConfig {
    let tool = ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() };
    let greeting = if rng.percent(50) { Greeting::Voice(None) } else { Greeting::Caller };
    let limits = CallLimits {
        attach: rng.millis(500..4_000),
        gap: if rng.percent(15) { Duration::ZERO } else { rng.millis(1_000..40_000) },
        stall: rng.millis(2_000..8_000),
        tool: rng.millis(1_000..20_000),
        lead: rng.millis(100..500),
        cut_over: rng.millis(2_000..20_000),
        rollover: rng.millis(1_000..10_000),
        call: rng.millis(20_000..60_000),
        goodbye: rng.millis(1_000..6_000),
        silence: rng.millis(300..2_000),
        hold: rng.millis(1_000..15_000),
    };
    let patience = Patience {
        gap: rng.millis(100..600),
        idle: rng.millis(500..3_000),
        opening: rng.millis(500..3_000),
        thinking: rng.millis(500..5_000),
        again: rng.millis(500..5_000),
    };
    let prompts = if rng.percent(85) { prompts() } else { Prompts::none() };
    let when_nobody =
        if rng.percent(50) { WhenNobody::HangUp } else { WhenNobody::Transfer("+15550102".into()) };
    let standby = *rng.pick(&[Standby::Off, Standby::Ready, Standby::Fed]);
    let context_bytes = if rng.percent(20) { limits::CONTEXT_BYTES_MIN } else { limits::CONTEXT_BYTES };
    CallConfig::builder("sim")
        .standby(standby)
        .context_bytes(context_bytes)
        .patience(patience)
        .prompts(prompts)
        .when_nobody(when_nobody)
        .greeting(greeting)
        .tools(vec![tool])
        .limits(limits)
        .build()
        .expect("the ranges above are within the rules")
}

/// Clips whose frames say that nobody spoke them.
pub(super) fn prompts() -> Prompts {
    let clip = |number: u8, frames: usize| {
        let mut frame = [0x44; 160];
        frame[..8].copy_from_slice(&u64::from(number).to_le_bytes());
        Bytes::from(frame.repeat(frames))
    };
    let mut prompts = Prompts::none();
    prompts.moment = clip(1, 40);
    prompts.still = clip(2, 70);
    prompts.unavailable = clip(3, 90);
    prompts.music = clip(4, 100);
    prompts
}

/// A frame that carries its number in its first samples, four bits each, which are too quiet to be heard,
/// and behind it what a recording is searched for.
fn caller_frame(number: u64, voiced: bool) -> AudioFrame {
    let mut data = vec![if voiced { 0x20 } else { 0xff }; 160];
    for (at, byte) in data[..16].iter_mut().enumerate() {
        *byte = 0xff - (number >> (4 * at)) as u8 % 16;
    }
    data[16..20].copy_from_slice(&recording::CALLER_MARK);
    AudioFrame::new(AudioFormat::MULAW_8K, Bytes::from(data))
}

/// The number that [`caller_frame`] has put into it; zero for silence.
fn number_of(frame: &AudioFrame) -> u64 {
    number_in(&frame.data[..16])
}

/// The same, from those samples alone.
fn number_in(samples: &[u8]) -> u64 {
    samples.iter().rev().fold(0, |number, byte| number.wrapping_mul(16).wrapping_add(u64::from(0xff - byte)))
}
