//! A naive model of a breaker steps beside the real one through random histories.
//!
//! The model keeps every sample it ever saw and counts them afresh each time; it is slow, and too simple
//! to be wrong in the same way. Only the jitter is taken from the real one, after its bounds are checked.

use std::time::Duration;

use proptest::prelude::*;
use voice_core::breaker::{Breaker, BreakerConfig, Permit, Sample, State};
use voice_core::failure::Failure;
use voice_core::time::MonoTime;

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Admit,
    Insist,
    Settle(usize, Told),
    Reset,
    ForceOpen,
    ForceClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Success,
    Slow,
    Cut,
    Stalled,
    Throttled(u64),
    Credentials,
    SessionLimit,
    Unproven,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shut {
    ForAWhile(u64),
    ByKey,
    ByOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed { forced: bool },
    Half { since: u64, good: u32 },
    Open(Shut),
}

/// Everything in milliseconds.
struct Model {
    now: u64,
    gate: Gate,
    period: u32,
    /// All samples of this period: when, failed, slow.
    samples: Vec<(u64, bool, bool)>,
    row: u32,
    /// Per permit out there: its period, and what it occupies ('-', 'p' or 'i').
    out: Vec<(u32, char)>,
    openings: u32,
    closed_at: Option<u64>,
}

impl Model {
    fn new() -> Self {
        Self {
            now: 0,
            gate: Gate::Closed { forced: false },
            period: 0,
            samples: vec![],
            row: 0,
            out: vec![],
            openings: 0,
            closed_at: None,
        }
    }

    fn go(&mut self, gate: Gate) {
        self.period += 1;
        self.gate = gate;
        if matches!(gate, Gate::Closed { .. }) {
            self.samples.clear();
            self.row = 0;
            self.closed_at = Some(self.now);
        }
    }

    fn busy(&self, what: char) -> usize {
        self.out.iter().filter(|out| **out == (self.period, what)).count()
    }

    /// What it is granted, if anything.
    fn ask(&mut self, insist: bool) -> Option<char> {
        match self.gate {
            Gate::Open(Shut::ForAWhile(until)) if self.now >= until => {
                self.go(Gate::Half { since: self.now, good: 0 });
            }
            Gate::Half { since, good } if self.now >= since + 60_000 => {
                self.go(Gate::Half { since: self.now, good });
            }
            Gate::Open(_) | Gate::Half { .. } | Gate::Closed { .. } => {}
        }
        let granted = match self.gate {
            Gate::Closed { .. } => Some('-'),
            Gate::Half { .. } if self.busy('p') < 3 => Some('p'),
            _ if !insist => None,
            Gate::Half { .. } | Gate::Open(Shut::ForAWhile(_)) => (self.busy('i') < 32).then_some('i'),
            Gate::Open(Shut::ByKey) => (self.busy('i') < 1).then_some('i'),
            Gate::Open(Shut::ByOrder) => None,
        };
        self.out.extend(granted.map(|what| (self.period, what)));
        granted
    }

    /// What it learns; `length` tells how long the real one stays open, given the shortest allowed.
    fn told(&mut self, which: usize, told: Told, mut length: impl FnMut(u64) -> u64) {
        let (period, _) = self.out.remove(which);
        if period != self.period {
            return;
        }
        match told {
            Told::SessionLimit | Told::Unproven => return,
            Told::Success | Told::Slow => self.row = 0,
            Told::Cut | Told::Stalled | Told::Throttled(_) | Told::Credentials => self.row += 1,
        }
        let slow = matches!(told, Told::Slow | Told::Stalled);
        let failed = !matches!(told, Told::Success | Told::Slow);
        self.samples.push((self.now, failed, slow));
        match (self.gate, told) {
            (Gate::Closed { forced: true }, _) => {}
            (Gate::Open(Shut::ByOrder | Shut::ByKey), Told::Throttled(_) | Told::Credentials) => {}
            (Gate::Open(_), Told::Credentials) => self.gate = Gate::Open(Shut::ByKey),
            (_, Told::Credentials) => self.go(Gate::Open(Shut::ByKey)),
            (Gate::Open(Shut::ForAWhile(old)), Told::Throttled(wait)) => {
                let until = self.now + length(wait.clamp(1_000, 600_000));
                self.gate = Gate::Open(Shut::ForAWhile(old.max(until)));
            }
            (_, Told::Throttled(wait)) => {
                let until = self.now + length(wait.clamp(1_000, 600_000));
                self.go(Gate::Open(Shut::ForAWhile(until)));
            }
            (Gate::Half { since, good }, Told::Success) => match good + 1 {
                2.. => self.go(Gate::Closed { forced: false }),
                good => self.gate = Gate::Half { since, good },
            },
            (Gate::Open(_), Told::Success) => self.go(Gate::Half { since: self.now, good: 1 }),
            (Gate::Half { .. }, Told::Cut | Told::Stalled) => self.trip(length),
            (Gate::Closed { forced: false }, Told::Slow | Told::Cut | Told::Stalled) if self.bad() => {
                self.trip(length);
            }
            _ => {}
        }
    }

    fn bad(&self) -> bool {
        // The window is made of slices of six seconds, of which it remembers ten.
        let recent: Vec<_> = self.samples.iter().filter(|s| s.0 / 6_000 + 10 > self.now / 6_000).collect();
        let many = recent.len() >= 10;
        let failed = recent.iter().filter(|s| s.1).count();
        let slow = recent.iter().filter(|s| s.2).count();
        self.row >= 5 || many && (failed * 2 >= recent.len() || slow * 5 >= recent.len() * 4)
    }

    fn trip(&mut self, mut length: impl FnMut(u64) -> u64) {
        let well = self.closed_at.is_none_or(|closed| self.now > closed + 300_000);
        if matches!(self.gate, Gate::Closed { .. }) && well {
            self.openings = 0;
        }
        let least = [60_000, 120_000, 240_000, 300_000][self.openings.min(3) as usize];
        self.openings += 1;
        let until = self.now + length(least);
        self.go(Gate::Open(Shut::ForAWhile(until)));
    }

    fn state(&self) -> State {
        match self.gate {
            Gate::Closed { .. } => State::Closed,
            Gate::Half { .. } => State::HalfOpen,
            Gate::Open(_) => State::Open,
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let told = prop_oneof![
        10 => Just(Told::Success),
        3 => Just(Told::Slow),
        10 => Just(Told::Cut),
        2 => Just(Told::Stalled),
        1 => (0_u64..700_000).prop_map(Told::Throttled),
        1 => Just(Told::Credentials),
        1 => Just(Told::SessionLimit),
        1 => Just(Told::Unproven),
    ];
    let step = prop_oneof![
        4 => prop_oneof![0_u64..2_000, 0_u64..20_000, 50_000_u64..90_000].prop_map(Step::Pass),
        1 => (100_000_u64..700_000).prop_map(Step::Pass),
        12 => Just(Step::Admit),
        2 => Just(Step::Insist),
        14 => (any::<usize>(), told).prop_map(|(which, told)| Step::Settle(which, told)),
        1 => Just(Step::Reset),
        1 => prop_oneof![Just(Step::ForceOpen), Just(Step::ForceClosed)],
    ];
    proptest::collection::vec(step, 1..200)
}

/// How long it stays open, after checking that it is at least and not much more than that; or as long as it
/// would have anyway. (A wait that is shorter than what is left may end later all the same, by its jitter.)
fn open_for(real: &Breaker, now: u64, least: u64, left: u64) -> Result<u64, TestCaseError> {
    let wait = real.snapshot(MonoTime::from_millis(now)).retry_after.unwrap_or_default();
    // What is left was rounded up.
    let shortest = Duration::from_millis(least.max(left.saturating_sub(1)));
    let longest = Duration::from_millis((least * 11 / 10 + 1).max(left));
    prop_assert!(wait >= shortest && wait <= longest, "open for {wait:?}, where {shortest:?} is due");
    // Rounded up, so that both let the first probe in at the same whole millisecond.
    Ok(u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
}

fn step_both(
    real: &mut Breaker,
    model: &mut Model,
    permits: &mut Vec<Permit>,
    step: Step,
) -> Result<(), TestCaseError> {
    let at = |model: &Model| MonoTime::from_millis(model.now);
    match step {
        Step::Pass(millis) => model.now += millis,
        Step::Admit | Step::Insist => {
            let insist = matches!(step, Step::Insist);
            let now = at(model);
            let would = real.would_admit(now).is_ok();
            let granted = if insist { real.insist(now) } else { real.admit(now) };
            prop_assert_eq!(granted.is_ok(), model.ask(insist).is_some());
            prop_assert!(insist || would == granted.is_ok(), "asking and being told differ");
            permits.extend(granted);
        }
        Step::Settle(which, told) if !permits.is_empty() => {
            let which = which % permits.len();
            let throttled;
            let stalled = Failure::Stalled(Duration::from_secs(10));
            let sample = match told {
                Told::Success => Sample::Success,
                Told::Slow => Sample::Slow,
                Told::Cut => Sample::Failure(&Failure::Cut),
                Told::Stalled => Sample::Failure(&stalled),
                Told::Throttled(wait) => {
                    throttled = Failure::Throttled { retry_after: Some(Duration::from_millis(wait)) };
                    Sample::Failure(&throttled)
                }
                Told::Credentials => Sample::Failure(&Failure::Credentials),
                Told::SessionLimit => Sample::Failure(&Failure::SessionLimit),
                Told::Unproven => Sample::Unproven,
            };
            let was_open_until = match model.gate {
                Gate::Open(Shut::ForAWhile(until)) => until,
                Gate::Open(_) | Gate::Closed { .. } | Gate::Half { .. } => 0,
            };
            real.settle(at(model), permits.remove(which), sample);
            let now = model.now;
            let mut wrong = None;
            model.told(which, told, |least| {
                open_for(real, now, least, was_open_until.saturating_sub(now)).unwrap_or_else(|error| {
                    wrong = Some(error);
                    least
                })
            });
            if let Some(error) = wrong {
                return Err(error);
            }
        }
        Step::Settle(..) => {}
        Step::Reset => {
            real.reset(at(model));
            model.openings = 0;
            model.go(Gate::Closed { forced: false });
        }
        Step::ForceOpen => {
            real.force_open(at(model));
            model.go(Gate::Open(Shut::ByOrder));
        }
        Step::ForceClosed => {
            real.force_closed(at(model));
            model.go(Gate::Closed { forced: true });
        }
    }
    let snapshot = real.snapshot(at(model));
    prop_assert_eq!(snapshot.state, model.state());
    prop_assert_eq!(snapshot.under_way as usize, model.busy('p') + model.busy('i'));
    let totals = snapshot.totals;
    let settled = totals.successful + totals.failed + totals.unproven + totals.late;
    prop_assert_eq!(totals.granted, settled + permits.len() as u64);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_breaker_does_what_the_model_does(seed: u64, steps in steps()) {
        let mut real = Breaker::new(BreakerConfig::default(), seed);
        let mut model = Model::new();
        let mut permits = vec![];
        for step in steps {
            step_both(&mut real, &mut model, &mut permits, step)?;
        }
    }
}
