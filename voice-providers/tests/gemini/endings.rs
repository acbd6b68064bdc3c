//! Refused at the door or at the setup: whose fault it is, and what now.

use voice_core::failure::{Blame, Verdict};
use voice_providers::sim::gemini::{FakeGeminiConfig, Rudeness};

use crate::world::World;

#[test]
fn every_refusal_has_a_verdict() {
    use Blame::{Provider, Us};
    let later = Verdict::SwitchAndRetryAfter(std::time::Duration::from_secs(10));
    for (rudeness, kind, blame, verdict) in [
        (Rudeness::Refuse403, "credentials", Us, Verdict::NeverAgain),
        (Rudeness::Refuse400, "credentials", Us, Verdict::NeverAgain),
        (Rudeness::CloseKey, "credentials", Us, Verdict::NeverAgain),
        (Rudeness::Refuse429, "throttled", Provider, later),
        (Rudeness::NoQuota, "throttled", Provider, later),
        (Rudeness::BadSetup, "settings", Us, Verdict::NeverAgain),
        (Rudeness::NoModel, "settings", Us, Verdict::NeverAgain),
    ] {
        let mut world = World::new(FakeGeminiConfig::new(1).rude(rudeness));
        world.until(|world| world.failure().is_some(), 5);
        let failure = world.failure().expect("it has failed");
        assert_eq!((failure.kind(), failure.judge()), (kind, (blame, verdict)), "{rudeness}");
        world.run(20_000);
        assert_eq!(world.lines.len(), 1, "{rudeness}: the same setup is not tried again");
    }
}

#[test]
fn a_wrong_key_is_refused_at_the_door() {
    let mut world = World::new(FakeGeminiConfig::new(1).key("another"));
    world.until(|world| world.failure().is_some(), 5);
    assert_eq!(world.failure().map(|failure| failure.kind()), Some("credentials"));
}

#[test]
fn a_mute_service_is_left_to_the_calls_own_deadline() {
    let mut world = World::new(FakeGeminiConfig::new(1).rude(Rudeness::Mute));
    world.run(30_000);
    assert!(!world.is_ready() && world.failure().is_none());
}
