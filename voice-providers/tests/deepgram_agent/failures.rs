//! Every way in which the service refuses, fails or ends, and what is made of it.

use voice_core::failure::{Blame, Failure, Verdict};
use voice_core::provider::ProviderEvent;
use voice_core::wire::{LineEnd, Unreachable};
use voice_providers::sim::deepgram::agent::{Rudeness, Seen};

use crate::harness::{Rig, settings, setup};

/// The failure that a conversation with such a service comes to.
fn failure(rudeness: Rudeness) -> Failure {
    let mut rig = Rig::rude(rudeness);
    rig.run(500);
    if rig.failure().is_none() {
        rig = rig.ready();
        rig.ask("hours");
    }
    rig.failure().unwrap_or_else(|| panic!("{rudeness:?} is survived: {}", rig.script())).clone()
}

#[test]
fn refused_connections() {
    for (status, blame, kind) in [
        (400, Blame::Us, "settings"),
        (401, Blame::Us, "credentials"),
        (402, Blame::Us, "quota"),
        (403, Blame::Us, "credentials"),
        (429, Blame::Provider, "throttled"),
        (503, Blame::Provider, "refused"),
    ] {
        let failure = failure(Rudeness::Refuse(status));
        assert_eq!((failure.blame(), failure.kind()), (blame, kind), "{status}");
    }
}

#[test]
fn a_wrong_key_is_ours_to_mend() {
    let wrong = voice_core::sensitive::Secret::new("other".to_owned());
    let credential = voice_providers::deepgram::Credential::ApiKey(wrong);
    let builder = voice_providers::deepgram::agent::AgentSettings::new(credential);
    let mut rig = Rig::new(builder, setup(), None);
    rig.run(500);
    assert_eq!(rig.failure(), Some(&Failure::Credentials));
}

#[test]
fn errors_and_closes() {
    let mut tried = 0;
    for &rudeness in Rudeness::ALL {
        let (code, ours) = match rudeness {
            Rudeness::SettingsError("FAILED_TO_START_LISTENING") => ("FAILED_TO_START_LISTENING", false),
            Rudeness::SettingsError(code) => (code, true),
            Rudeness::TurnError(code) => {
                let ours = ["UNPARSABLE_CLIENT_MESSAGE", "SETTINGS_ALREADY_APPLIED", "USER_AUDIO_FORMAT"]
                    .contains(&code);
                (code, ours)
            }
            Rudeness::Close(1008, _) => ("DATA-0000", true),
            Rudeness::Close(1011, _) => ("NET-0000", false),
            Rudeness::Close(..) => ("1005", false),
            Rudeness::Cut => ("cut", false),
            _ => continue,
        };
        tried += 1;
        let failure = failure(rudeness);
        let judged =
            if ours { (Blame::Us, Verdict::NeverAgain) } else { (Blame::Provider, Verdict::SwitchNow) };
        assert_eq!(failure.judge(), judged, "{failure}");
        assert!(failure.to_string().contains(code), "{failure} does not tell {code}");
    }
    assert_eq!(tried, 22);
}

#[test]
fn a_session_ends_after_two_hours_and_says_so_beforehand() {
    let mut rig = Rig::polite();
    rig.run(7_300_000);
    let Some((_, ProviderEvent::Ready { expires: Some(expires), .. })) = rig.events.first() else {
        panic!("{}", rig.script());
    };
    let (ended, failed) = rig.events.last().expect("some");
    assert_eq!(*failed, ProviderEvent::Failed(Failure::SessionLimit));
    assert!(expires.since(*ended).as_millis() < 100 && ended.since(*expires).as_millis() < 100);
    assert!(rig.script().contains("harmless (SESSION_ENDS_SOON)"), "{}", rig.script());
}

#[test]
fn ends_of_the_line() {
    for (end, kind) in [
        (LineEnd::Unreachable(Unreachable::Tls), "unreachable"),
        (LineEnd::Cut, "cut"),
        (LineEnd::Broken, "unreadable"),
        (LineEnd::Clogged, "clogged"),
        (LineEnd::Closed { code: 1000, reason: String::new() }, "closed"),
        (LineEnd::Closed { code: 1009, reason: "BIG-0000".into() }, "closed"),
    ] {
        let mut rig = Rig::polite().ready();
        rig.line_down(end);
        assert_eq!(rig.failure().map(Failure::kind), Some(kind));
        // Nothing wakes what is over.
        rig.run(60_000);
    }
}

#[test]
fn a_service_that_says_nothing_is_left_to_the_calls_own_patience() {
    for rudeness in [Rudeness::NoWelcome, Rudeness::NeverApplied] {
        let mut rig = Rig::rude(rudeness);
        rig.run(9_000);
        assert!(!rig.is_ready() && rig.failure().is_none());
        // Not a word before the settings; and none but keep-alives before they are applied.
        let kept_alive = rig.seen().iter().all(|seen| **seen == Seen::KeepAlive);
        assert!(kept_alive && rig.seen().is_empty() == (rudeness == Rudeness::NoWelcome), "{:?}", rig.seen());
    }
}

#[test]
fn keys_never_show() {
    let builder = settings();
    assert!(!format!("{:?} {:?}", builder, setup()).contains(crate::harness::KEY));
}
