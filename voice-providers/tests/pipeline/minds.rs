//! Language models that are slow, rude or gone, and the one that is asked instead.

use std::time::Duration;

use voice_core::failure::Failure;
use voice_core::provider::{ProviderEvent, ReplyEnd, Usage};
use voice_providers::sim::llm::{LlmProfile, LlmRudeness};

use crate::network::Manners;
use crate::world::{World, polite, settings, spare};

fn rude(rudeness: &[LlmRudeness]) -> Manners {
    let mut manners = polite();
    manners.mind = vec![rudeness.to_vec()];
    manners
}

#[test]
fn another_mind_answers_when_the_first_fails_before_its_first_word() {
    for (rudeness, code) in [
        (LlmRudeness::Refuse401, "mind.1.failed.credentials"),
        (LlmRudeness::NoModel, "mind.1.failed.settings"),
        (LlmRudeness::Refuse422, "mind.1.failed.settings"),
        (LlmRudeness::ToolUseFailed, "mind.1.failed.service"),
        (LlmRudeness::Throttle, "mind.1.failed.throttled"),
        (LlmRudeness::NoQuota, "mind.1.failed.quota"),
        (LlmRudeness::Refuse500, "mind.1.failed.service"),
        (LlmRudeness::Overloaded, "mind.1.failed.service"),
        (LlmRudeness::NoAnswer, "mind.1.failed.stalled"),
        (LlmRudeness::NoFirstWord, "mind.1.failed.stalled"),
        (LlmRudeness::SlowFirstWord, "mind.1.failed.stalled"),
        (LlmRudeness::ErrorFirst, "mind.1.failed.service"),
        (LlmRudeness::Html, "mind.1.failed.cut"),
        (LlmRudeness::Gzip, "mind.1.failed.cut"),
    ] {
        let mut world = World::connected(settings().fallback(spare()), rude(&[rudeness]));
        world.say("hours");
        world.run(Duration::from_secs(15));
        assert_eq!(world.clips(), ["hours"], "{rudeness}");
        assert_eq!(world.harmless(), [code], "a fallback is never silent to those who watch");
        assert_eq!(world.minds_asked(), (1, 1), "{rudeness}");
        assert_eq!(world.failure, None);
        // The one that failed is not asked again at every turn.
        world.exchange("thanks");
        assert_eq!(world.minds_asked(), (1, 2), "{rudeness}");
    }
}

#[test]
fn a_mind_that_cannot_be_reached_is_replaced() {
    let mut manners = polite();
    manners.mind_unreachable = true;
    let mut world = World::connected(settings().fallback(spare()), manners);
    world.exchange("hours");
    assert_eq!((world.clips(), world.minds_asked()), (vec!["hours"], (1, 1)));
}

#[test]
fn the_first_mind_is_asked_again_after_a_rest() {
    let mut world = World::connected(settings().fallback(spare()), rude(&[LlmRudeness::Refuse500]));
    world.exchange("hours");
    world.behave(polite());
    world.run(Duration::from_secs(60));
    world.exchange("thanks");
    assert_eq!(world.minds_asked(), (1, 0));
}

#[test]
fn the_only_mind_gets_one_more_chance() {
    let mut manners = polite();
    manners.mind = vec![vec![LlmRudeness::Refuse500], vec![]];
    let mut world = World::connected(settings(), manners);
    world.exchange("hours");
    assert_eq!((world.clips(), world.minds_asked()), (vec!["hours"], (2, 0)));
}

#[test]
fn when_no_mind_is_left_the_session_has_failed() {
    for (rudeness, failure, asked) in [
        (LlmRudeness::Refuse401, Failure::Credentials, 1),
        (LlmRudeness::NoQuota, Failure::Quota, 1),
        (LlmRudeness::NoModel, Failure::Settings { code: "model_not_found".into() }, 1),
        (LlmRudeness::Throttle, Failure::Throttled { retry_after: Some(Duration::from_secs(20)) }, 1),
        (LlmRudeness::Refuse500, Failure::Service { code: "server_error".into() }, 2),
        (LlmRudeness::NoAnswer, Failure::Stalled(Duration::from_secs(5)), 2),
    ] {
        let mut world = World::connected(settings(), rude(&[rudeness]));
        world.say("hours");
        world.run(Duration::from_secs(20));
        assert_eq!(world.failure, Some(failure), "{rudeness}");
        assert_eq!(world.minds_asked(), (asked, 0), "{rudeness}");
    }
}

#[test]
fn what_both_did_wrong_is_told_as_theirs_if_it_was() {
    let mut manners = rude(&[LlmRudeness::Refuse401]);
    manners.spare = vec![vec![LlmRudeness::Refuse500]];
    let mut world = World::connected(settings().fallback(spare()), manners);
    world.exchange("hours");
    assert_eq!(world.failure, Some(Failure::Service { code: "server_error".into() }));
}

#[test]
fn what_was_said_stands_when_the_stream_breaks_off() {
    for (rudeness, why) in [
        (LlmRudeness::CutMidway, "cut"),
        (LlmRudeness::EndMidway, "cut"),
        (LlmRudeness::ErrorMidway, "service"),
        (LlmRudeness::StallMidway, "stalled"),
    ] {
        let mut world = World::connected(settings().fallback(spare()), rude(&[rudeness]));
        world.say("delivery");
        world.run(Duration::from_secs(20));
        assert_eq!(world.harmless(), [format!("mind.1.broke_off.{why}")]);
        assert_eq!(world.minds_asked(), (1, 0), "to ask again would say it twice");
        let (_, reply) = &world.replies[0];
        assert_eq!(reply.end, Some(ReplyEnd::Failed), "{rudeness}");
        assert!(reply.words.starts_with("We deliver to every town") && reply.words.len() > 60);
        assert_eq!(world.failure, None);
        world.behave(polite());
        world.exchange("hours");
        assert!(world.clips().contains(&"hours"), "{rudeness}");
    }
}

#[test]
fn what_is_odd_but_legal_is_understood() {
    for rudeness in [
        LlmRudeness::SplitBytes,
        LlmRudeness::CarriageReturns,
        LlmRudeness::Comments,
        LlmRudeness::NoDone,
        LlmRudeness::NoReason,
        LlmRudeness::OddFields,
        LlmRudeness::Thoughts,
        LlmRudeness::Malformed,
    ] {
        let mut world = World::connected(settings(), rude(&[rudeness]));
        world.exchange("order");
        assert_eq!(world.clips(), ["check", "order"], "{rudeness}");
        assert_eq!((world.harmless(), world.minds_asked().0), (vec![], 2), "{rudeness}");
        let words: String = world.replies.iter().map(|(_, reply)| reply.words.as_str()).collect();
        assert!(!words.contains("They want"), "thoughts are not spoken: {words}");
    }
}

#[test]
fn both_ends_missing_is_a_break() {
    let mut world = World::connected(settings(), rude(&[LlmRudeness::NoDone, LlmRudeness::NoReason]));
    world.exchange("hours");
    assert_eq!(world.clips(), ["hours"], "all of it came, and all of it is spoken");
    assert_eq!(world.replies[0].1.end, Some(ReplyEnd::Failed));
}

#[test]
fn an_answer_of_nothing_is_an_answer() {
    let mut world = World::connected(settings(), rude(&[LlmRudeness::Nothing]));
    world.exchange("hours");
    let ends: Vec<_> = world.replies.iter().map(|(_, reply)| reply.end).collect();
    assert_eq!((ends, world.failure.clone()), (vec![Some(ReplyEnd::Completed)], None));
}

#[test]
fn a_chunk_of_a_hundred_kilobytes_is_no_monologue() {
    let mut world = World::connected(settings(), rude(&[LlmRudeness::Huge]));
    world.exchange("hours");
    assert_eq!(world.failure, None);
    assert!(world.replies.iter().all(|(_, reply)| reply.words.len() < 20_000));
}

#[test]
fn a_conversation_that_is_too_long_is_shortened_once() {
    let mut manners = polite();
    manners.mind = vec![vec![], vec![], vec![LlmRudeness::ContextLength], vec![]];
    let mut world = World::connected(settings(), manners);
    world.exchange("hello");
    world.exchange("order");
    world.run(Duration::from_secs(5));
    let requests = world.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests[3].len() < requests[2].len());
    assert!(!requests[3].contains("can you hear me"), "{}", requests[3]);
    assert_eq!(world.failure, None);
}

#[test]
fn consumption_is_told_once_for_each_request() {
    for profile in [LlmProfile::OpenAi, LlmProfile::Groq] {
        let mut manners = polite();
        manners.profile = profile;
        let mind = voice_providers::llm::ChatEndpoint::new("https://mind.example/v1/", "fake");
        let mind = mind.expect("a good address").bearer(voice_core::sensitive::Secret::new("sk".into()));
        let builder = voice_providers::deepgram::pipeline::PipelineSettings::builder(
            voice_providers::deepgram::Credential::ApiKey(voice_core::sensitive::Secret::new("dg".into())),
            mind.usage(profile == LlmProfile::OpenAi),
        );
        let mut world = World::connected(builder, manners);
        world.exchange("hours");
        let used: Vec<Usage> = world
            .events
            .iter()
            .filter_map(|(_, event)| if let ProviderEvent::Used(usage) = event { Some(*usage) } else { None })
            .collect();
        let expected = Usage { text_in: 20, cached_in: 11, text_out: 9, ..Usage::default() };
        assert_eq!(used, [expected], "{profile:?}");
    }
}
