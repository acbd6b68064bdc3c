//! Connections that end: left before they are cut, resumed after they were, given up when they cannot be.

use std::time::Duration;

use voice_core::failure::{Blame, Failure};
use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_providers::sim::gemini::{FakeGeminiConfig, Profile, Rudeness};

use crate::world::{World, reply, settings, setup};

fn leaving(after: u64, left: u64) -> FakeGeminiConfig {
    FakeGeminiConfig::new(1).go_away(Duration::from_secs(after), Duration::from_secs(left))
}

/// A world in which one turn has been taken, so that there is a handle.
fn talked(config: FakeGeminiConfig) -> World {
    let mut world = World::ready(config);
    world.say("hello");
    world.until_replies(1);
    world.run(6_000);
    world
}

#[test]
fn a_connection_is_left_in_a_pause_before_it_is_cut() {
    let mut world = talked(leaving(20, 50));
    world.until(|world| world.lines.len() == 2, 40);
    let old = world.lines[0].closed.expect("it was hung up");
    assert!(old <= world.lines[1].dialled, "before the new one is dialled");
    assert!(world.now.as_micros() < 23_000_000, "at the first opportunity: {}", world.now);
    world.run(500);
    world.say("hours");
    world.until_replies(2);
    assert_eq!(world.seen().resumed.len(), 1);
    assert_eq!(world.seen().heard, [Some("hello"), Some("hours")]);
    assert_eq!(world.failure(), None);
    assert!(world.seen().closes.is_empty(), "{:?}", world.seen().closes);
}

#[test]
fn the_first_setup_has_no_handle_and_never_null() {
    let mut world = talked(leaving(20, 50));
    world.until(|world| world.seen().setups.len() == 2, 40);
    let setups = world.seen().setups;
    assert_eq!(setups[0]["sessionResumption"], serde_json::json!({}));
    assert!(setups[1]["sessionResumption"]["handle"].is_string());
    assert_eq!(setups[1].get("historyConfig"), None);
    assert_eq!(setups[0]["model"], setups[1]["model"]);
}

#[test]
fn what_the_caller_says_meanwhile_is_given_in_order() {
    // The caller begins to speak in the moment in which the connection is left.
    let mut world = talked(leaving(20, 50));
    world.until(|world| world.lines.len() == 2, 40);
    world.say("hours");
    world.until_replies(2);
    assert_eq!(world.seen().heard, [Some("hello"), Some("hours")]);
    assert_eq!(world.ends().last(), Some(&(reply(2), ReplyEnd::Completed)));
}

#[test]
fn it_is_not_left_while_somebody_speaks() {
    let mut world = talked(leaving(12, 50));
    world.run(1_000);
    world.say("delivery");
    world.run(2_000);
    world.until_replies(2);
    assert_eq!(world.lines.len(), 1, "it is in the middle of something");
    world.until(|world| world.lines.len() == 2, 30);
    world.run(1_000);
    assert_eq!(world.ends(), [(reply(1), ReplyEnd::Completed), (reply(2), ReplyEnd::Completed)]);
}

#[test]
fn a_connection_that_must_go_at_once_is_left_at_once() {
    let mut world = World::ready(FakeGeminiConfig::new(2).rude(Rudeness::GoAwayAtOnce));
    world.say("hello");
    world.until(|world| world.lines.len() == 2, 30);
    world.run(1_000);
    world.say("hours");
    world.until_replies(2);
    assert_eq!(world.failure(), None);
}

#[test]
fn without_a_handle_it_is_nobodys_fault() {
    let mut world = World::ready(leaving(10, 30).rude(Rudeness::NoHandle));
    world.until(|world| world.failure().is_some(), 60);
    let failure = world.failure().expect("it has");
    assert_eq!((failure.clone(), failure.blame()), (Failure::SessionLimit, Blame::Nobody));
    let at = world.now.as_micros() / 1_000_000;
    assert!((34..41).contains(&at), "shortly before the cut, at {at} s");
}

#[test]
fn a_cut_in_the_middle_of_a_reply_is_mended() {
    for rudeness in [Rudeness::Cut, Rudeness::Close1011, Rudeness::Abort, Rudeness::ErrorMessage] {
        let mut world = World::ready(FakeGeminiConfig::new(3).rude(rudeness));
        world.say("delivery");
        world.until_replies(2);
        assert_eq!(world.ends()[0], (reply(1), ReplyEnd::Failed), "{rudeness}");
        assert_eq!(world.ends()[1], (reply(2), ReplyEnd::Completed), "{rudeness}");
        assert_eq!(world.lines.len(), 2, "{rudeness}");
        assert_eq!(world.seen().texts, ["[Please go on.]"], "{rudeness}");
        // The handle is older than the last exchange, so the model is told of it.
        let told = world.seen().turns;
        assert_eq!(told[0], ("user".into(), "Please tell me about your delivery service.".into()));
        assert!(told[1].0 == "model" && told[1].1.starts_with("We deliver"), "{told:?}");
        assert_eq!(world.failure(), None, "{rudeness}");
    }
}

#[test]
fn a_model_that_takes_no_turns_is_told_in_one_text() {
    let config = FakeGeminiConfig::new(3).profile(Profile::V3_1).rude(Rudeness::Cut);
    let settings = settings().model("gemini-3.1-flash-live-preview");
    let mut world = World::with(config, settings, setup(Vec::new()));
    world.become_ready();
    world.say("delivery");
    world.until_replies(2);
    let texts = world.seen().texts;
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with("[Note: said meanwhile: caller: Please tell me"), "{texts:?}");
    assert!(texts[0].ends_with("[Please go on.]"));
    assert!(world.seen().closes.is_empty());
}

#[test]
fn a_busy_service_is_asked_again() {
    let mut world = World::ready(FakeGeminiConfig::new(4).rude(Rudeness::Cut).rude(Rudeness::BusyResume));
    world.say("delivery");
    world.until_replies(2);
    assert_eq!(world.lines.len(), 3);
    let pause = world.lines[2].dialled.since(world.lines[1].dialled);
    assert!(pause >= Duration::from_millis(250), "{pause:?}");
}

#[test]
fn a_handle_that_is_refused_ends_the_session_without_a_storm() {
    let mut world = World::ready(FakeGeminiConfig::new(5).rude(Rudeness::Cut).rude(Rudeness::RefuseResume));
    world.say("delivery");
    world.until(|world| world.failure().is_some(), 30);
    assert_eq!(world.failure(), Some(Failure::SessionLimit));
    assert_eq!(world.lines.len(), 2, "once and never again");
}

#[test]
fn it_is_given_up_after_a_few_attempts() {
    let mut world = World::ready(FakeGeminiConfig::new(6).rude(Rudeness::Cut).rude(Rudeness::NeverResume));
    world.say("delivery");
    world.until(|world| world.lines.len() == 2, 30);
    let begun = world.now;
    world.until(|world| world.failure().is_some(), 30);
    assert_eq!(world.failure().map(|failure| failure.blame()), Some(Blame::Provider));
    assert!(world.now.since(begun) <= Duration::from_secs(8));
    assert!(world.lines.len() <= 5);
}

#[test]
fn what_the_caller_says_to_a_connection_that_never_comes_back_is_reported_lost() {
    let mut world = World::ready(FakeGeminiConfig::new(6).rude(Rudeness::Cut).rude(Rudeness::NeverResume));
    world.say("delivery");
    world.until(|world| world.lines.len() == 2, 30);
    let begun = world.now;
    world.until(|world| world.failure().is_some(), 30);
    let lost: Vec<&ProviderEvent> = world.events.iter().rev().map(|(_, event)| event).take(2).collect();
    let [ProviderEvent::Failed(_), ProviderEvent::Unheard(lost)] = lost[..] else {
        panic!("before the end of it: {lost:?}");
    };
    let since = world.now.since(begun);
    assert!(
        *lost + Duration::from_millis(200) > since && *lost < since + Duration::from_millis(200),
        "{lost:?}"
    );
    assert!(since > Duration::from_secs(2), "there was something to lose: {since:?}");
}

#[test]
fn a_deadline_of_the_service_is_nobodys_fault() {
    let mut world = World::ready(FakeGeminiConfig::new(7).rude(Rudeness::Deadline));
    world.say("delivery");
    world.until(|world| world.failure().is_some(), 30);
    assert_eq!(world.failure(), Some(Failure::SessionLimit));
}

#[test]
fn a_tool_that_outlives_its_connection_is_answered_in_words() {
    let mut world = World::ready(leaving(600, 50));
    world.tool = None;
    world.say("order");
    world.until(|world| world.told().iter().any(|line| line.contains("lookup_order(")), 20);
    world.run(5_000);
    // Cut by the network, not by the fake.
    world.cut();
    world.run(2_000);
    let id = voice_core::id::ToolCallId::new(voice_core::id::AttachmentId(3), 1);
    let result = voice_core::conversation::ToolResult { output: "on Friday".into(), failed: false };
    world.command(ProviderCommand::Answer { id, result });
    world.run(3_000);
    let seen = world.seen();
    assert!(seen.answers.is_empty());
    let last = seen.texts.last().expect("it is told");
    assert_eq!(last, "[Note: the tool lookup_order has answered: on Friday]");
    assert!(seen.closes.is_empty(), "{:?}", seen.closes);
}

#[test]
fn commands_wait_for_the_connection() {
    let mut world = talked(leaving(600, 50));
    world.cut();
    world.run(30);
    world.speak(Some("Tell about the opening hours."));
    world.until_replies(2);
    assert_eq!(world.seen().texts.last().map(String::as_str), Some("Tell about the opening hours."));
}

#[test]
fn audio_that_cannot_be_held_is_reported_lost() {
    let mut world = talked(leaving(600, 50));
    // A tool for which the model waits would hold the audio for as long as it takes.
    let mut blocking = {
        let settings = settings().model("gemini-3.1-flash-live-preview");
        let mut world = World::with(leaving(600, 50), settings, setup(Vec::new()));
        world.become_ready();
        world
    };
    blocking.tool = None;
    blocking.say("order");
    blocking.until(|world| world.told().iter().any(|line| line.contains("lookup_order(")), 20);
    let before = blocking.seen().audio_ms;
    blocking.run(15_000);
    let id = voice_core::id::ToolCallId::new(voice_core::id::AttachmentId(3), 1);
    let result = voice_core::conversation::ToolResult { output: "on Friday".into(), failed: false };
    blocking.command(ProviderCommand::Answer { id, result });
    blocking.run(3_000);
    let lost = |world: &World| {
        let unheard = |event: &ProviderEvent| {
            if let ProviderEvent::Unheard(lost) = event { *lost } else { Duration::ZERO }
        };
        world.events.iter().map(|(_, event)| unheard(event)).sum::<Duration>().as_millis()
    };
    assert!((4_500..5_500).contains(&lost(&blocking)), "{}", lost(&blocking));
    let given = blocking.seen().audio_ms - before;
    assert!((12_500..13_300).contains(&given), "ten seconds of what was held, and what came since: {given}");
    world.run(100);
    assert_eq!(lost(&world), 0);
}

#[test]
fn closing_hangs_up_and_is_final() {
    let mut world = talked(leaving(600, 50));
    let events = world.events.len();
    world.command(ProviderCommand::Close);
    world.switch_mic(false);
    assert!(world.lines[0].closed.is_some());
    world.run(20_000);
    assert_eq!(world.events.len(), events);
    assert_eq!(world.lines.len(), 1);
}
