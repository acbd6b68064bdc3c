//! A roster at work: calls that fail over in the driver, and looks at providers without a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use voice_core::audio::AudioFormat;
use voice_core::breaker::State;
use voice_core::call::Control;
use voice_core::driver::{Clock, Dial, Line, LoadMeter, NoTools, Prober, SharedRoster, World, place};
use voice_core::id::{CallId, ProviderId};
use voice_core::provider::{Capabilities, Provider, ProviderSession, Setup};
use voice_core::record::EndReason;
use voice_core::roster::{Candidate, Load, Obstacle, Order, Reason, RosterConfig, Status, Strategy};
use voice_core::wire::{Endpoint, LineEnd, Unreachable};

use crate::toys::{Mute, ToyCarrier, ToyProvider, settings, start};

/// A toy whose service can be looked at.
struct Known(ToyProvider, &'static str);

impl Provider for Known {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        self.0.open(setup)
    }

    fn probe(&self) -> Option<Endpoint> {
        Some(Endpoint::get(self.1))
    }
}

/// Calls are refused; looks are answered by the name of the host.
#[derive(Default)]
struct Looks(AtomicU32);

#[async_trait]
impl Dial for Looks {
    async fn dial(&self, endpoint: Endpoint) -> Result<Box<dyn Line>, LineEnd> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match endpoint.url.as_str() {
            "http://well.example" => Ok(Box::new(Mute)),
            "http://hung.example" => std::future::pending().await,
            _ => Err(LineEnd::Unreachable(Unreachable::Tcp)),
        }
    }
}

fn roster(hosts: &[(&'static str, &'static str)]) -> Arc<SharedRoster> {
    let candidate = |(name, host): &(&'static str, &'static str)| {
        let toy: Arc<dyn Provider> = Arc::new(Known(ToyProvider::new(AudioFormat::MULAW_8K), host));
        let capabilities = toy.capabilities().clone();
        Candidate::new(ProviderId::from_static(name), toy).with_capabilities(&capabilities)
    };
    Arc::new(SharedRoster::new(RosterConfig::default(), hosts.iter().map(candidate).collect()))
}

#[tokio::test(start_paused = true)]
async fn providers_are_looked_at_without_a_call() {
    let roster = roster(&[
        ("well", "http://well.example"),
        ("down", "http://down.example"),
        ("hung", "http://hung.example"),
    ]);
    let clock = Clock::start();
    let dial = Arc::new(Looks::default());
    let prober = Prober::new(roster.clone(), dial.clone(), clock, 7);
    let _stopped = tokio::time::timeout(Duration::from_secs(140), prober.run()).await;
    let snapshot = roster.with(|roster| roster.snapshot(clock.now()));
    let status: Vec<_> = snapshot.iter().map(|member| member.health.status).collect();
    assert_eq!(status, [Status::Healthy, Status::Offline, Status::Offline]);
    let kinds: Vec<_> =
        snapshot.iter().map(|member| member.health.last_failure.map(|(_, kind)| kind)).collect();
    assert_eq!(kinds, [None, Some("unreachable"), Some("not_ready")]);
    assert!(snapshot.iter().all(|member| member.state() == State::Closed), "looking opens no breaker");
    let looks = dial.0.load(Ordering::Relaxed);
    assert!((11..=15).contains(&looks), "{looks} looks in 140 s");
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_open_the_breaker_for_all_calls() {
    let roster = roster(&[("first", "http://a.example"), ("second", "http://b.example")]);
    let clock = Clock::start();
    let world = World {
        dial: Arc::new(Looks::default()),
        fleet: roster.clone(),
        tools: Arc::new(NoTools),
        readers: Arc::from([roster.clone() as Arc<dyn voice_core::record::Reader>]),
        clock,
    };
    for call in 0..5 {
        let id = CallId::from_u128(call);
        let (handle, task) =
            place(id, world.clone(), settings(), start(), ToyCarrier::boxed(), Box::new(Mute));
        let run = tokio::spawn(task.run());
        tokio::time::sleep(Duration::from_secs(1)).await;
        handle.control(Control::HangUp);
        let reason = run.await.expect("a call does not panic");
        assert!(matches!(reason, EndReason::NoProvider | EndReason::HungUp), "{reason:?}");
    }
    let now = clock.now();
    roster.with(|roster| {
        let first = &roster.snapshot(now)[0];
        assert_eq!((first.connect.state, first.live, roster.stays()), (State::Open, 0, 0));
        let first_choice = roster.decisions().next().expect("there was one");
        assert_eq!(first_choice.reason, Reason::Strategy(Strategy::Priority));
        // By the end the first one comes last.
        let last = roster.decisions().next_back().expect("there was one");
        assert!(last.others.iter().any(|(_, why)| matches!(why, Obstacle::Refused(_) | Obstacle::Tried)));
        roster.order(now, &ProviderId::from_static("first"), Order::ForceOpen).expect("it is on the list");
        roster.order(now, &ProviderId::from_static("second"), Order::Drain).expect("it is on the list");
        assert!(!roster.can_serve(now));
    });
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_keeps_up_lets_calls_in() {
    let meter = LoadMeter::default();
    let _stopped =
        tokio::time::timeout(Duration::from_secs(5), meter.watch(Clock::start(), Load::default())).await;
    assert!(!meter.is_over() && meter.lateness() < Duration::from_millis(20));
}
