//! The smallest provider keeps the contract of every provider.

use std::sync::Arc;

use voice_core::provider::Provider;
use voice_core::sim::contract::{self, Scene, Subject, Wish};
use voice_core::sim::harness::Answerer;
use voice_examples::echo::Echo;
use voice_examples::echo::fake::FakeEcho;

struct OnEcho;

impl Subject for OnEcho {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Echo::new("wss://echo.example"))
    }

    fn service(&self, seed: u64, scene: Scene) -> Option<Answerer> {
        (scene == Scene::Polite).then(|| -> Answerer { Box::new(move |_, _| Box::new(FakeEcho::new(seed))) })
    }

    fn sentence(&self, wish: Wish) -> &'static str {
        match wish {
            Wish::LongAnswer => "delivery",
            // It calls no tools, and to be told to stop it is enough to hear anything.
            Wish::Answer | Wish::Stop | Wish::Tool => "hello",
        }
    }
}

#[test]
fn the_echo_keeps_the_contract() {
    for seed in 0..6 {
        contract::run(&OnEcho, seed);
    }
    for seed in 100..200 {
        assert_eq!(contract::run_one(&OnEcho, seed, "survives anything"), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_provider_is_small() {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines = include_str!("../src/echo.rs").lines().filter(code).count();
    assert!(lines < 200, "{lines} lines of code");
}
