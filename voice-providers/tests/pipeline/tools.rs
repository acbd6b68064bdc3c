//! Tools in the mind: one, several, none in time, and calls that cannot be read.

use std::time::Duration;

use voice_core::conversation::{ToolCall, ToolDefinition, ToolResult, Turn};
use voice_core::id::{AttachmentId, ToolCallId};
use voice_core::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use voice_providers::sim::llm::{LlmProfile, LlmRudeness};

use crate::world::{World, polite, settings};

fn ids(world: &World) -> Vec<ToolCallId> {
    let id = |event: &ProviderEvent| {
        if let ProviderEvent::ToolCall(call) = event { Some(call.id) } else { None }
    };
    world.events.iter().filter_map(|(_, event)| id(event)).collect()
}

#[test]
fn a_tool_is_called_and_its_answer_spoken_on_every_server() {
    for profile in
        [LlmProfile::OpenAi, LlmProfile::Gemini, LlmProfile::Ollama, LlmProfile::Vllm, LlmProfile::OpenRouter]
    {
        let mut manners = polite();
        manners.profile = profile;
        let mut world = World::connected(settings(), manners);
        world.exchange("order");
        assert_eq!(world.tool_calls, [("lookup_order".into(), r#"{"number":"427"}"#.into())], "{profile:?}");
        assert_eq!(world.clips(), ["check", "order"], "{profile:?}");
        let request = world.requests().pop().expect("it was asked");
        assert!(request.contains(r#""content":"One moment, let me look that up.","tool_calls":[{"id":"#));
        assert!(request.contains("Friday"), "{request}");
        assert!(world.replies.iter().all(|(_, reply)| reply.end == Some(ReplyEnd::Completed)));
    }
}

#[test]
fn calls_that_come_at_once_are_answered_at_once() {
    for profile in [LlmProfile::OpenAi, LlmProfile::Gemini, LlmProfile::Ollama] {
        let mut manners = polite();
        manners.profile = profile;
        manners.mind = vec![vec![LlmRudeness::TwoCalls]];
        let mut world = World::connected(settings(), manners);
        world.exchange("order");
        let numbers: Vec<&str> = world.tool_calls.iter().map(|(_, arguments)| arguments.as_str()).collect();
        assert_eq!(numbers, [r#"{"number":"427"}"#, r#"{"number":"428"}"#], "{profile:?}");
        assert_eq!(world.requests().len(), 2, "one request for both answers");
        assert_eq!(world.clips(), ["check", "order"]);
        assert_ne!(ids(&world)[0], ids(&world)[1]);
    }
}

#[test]
fn arguments_that_are_no_json_are_answered_to_the_model() {
    let mut manners = polite();
    manners.mind = vec![vec![LlmRudeness::BadArguments], vec![]];
    let mut world = World::connected(settings(), manners);
    world.exchange("order");
    assert!(world.tool_calls.is_empty(), "nobody is asked to run it");
    let request = world.requests().pop().expect("it was asked");
    assert!(request.contains("valid JSON object") && request.contains(r#""arguments":"{}""#), "{request}");
    assert_eq!(world.clips(), ["check", "sorry"]);
}

#[test]
fn a_model_that_only_calls_is_made_to_stop() {
    let mut manners = polite();
    manners.mind = vec![vec![LlmRudeness::AlwaysCalls]];
    let mut world = World::connected(settings().tool_rounds_max(3), manners);
    world.say("order");
    world.run(Duration::from_secs(30));
    assert_eq!(world.tool_calls.len(), 3);
    assert_eq!(world.requests().len(), 4);
    assert!(world.requests()[3].contains(r#""tool_choice":"none""#));
    let last = &world.replies.last().expect("its end was told").1;
    assert_eq!(last.end, Some(ReplyEnd::Incomplete));
    assert_eq!(world.failure, None);
}

#[test]
fn a_tool_that_never_answers_blocks_nothing() {
    let mut manners = polite();
    manners.tool_takes = None;
    let mut world = World::connected(settings(), manners);
    world.exchange("order");
    assert_eq!(world.clips(), ["check"]);
    world.exchange("hours");
    assert_eq!(world.clips(), ["check", "hours"]);
    let request = world.requests().pop().expect("it was asked");
    assert!(request.contains("Still running"), "{request}");
    // It answers after all: that is told, once, when nobody speaks.
    let id = ids(&world)[0];
    let answer = ToolResult { output: "late but here".into(), failed: false };
    world.command(ProviderCommand::Answer { id, result: answer });
    world.settle();
    assert!(world.requests().pop().is_some_and(|request| request.contains("late but here")));
    assert_eq!(world.requests().len(), 3);
}

#[test]
fn a_failure_is_told_to_the_model() {
    let mut manners = polite();
    manners.tool_takes = None;
    let mut world = World::connected(settings(), manners);
    world.exchange("order");
    let id = ids(&world)[0];
    let answer = ToolResult { output: "the tool did not answer in time".into(), failed: true };
    world.command(ProviderCommand::Answer { id, result: answer.clone() });
    world.settle();
    assert_eq!(world.clips(), ["check", "sorry"]);
    let before = world.requests().len();
    let unknown = ToolCallId::new(AttachmentId(9), 9);
    world.command(ProviderCommand::Answer { id: unknown, result: answer });
    world.settle();
    assert_eq!(world.requests().len(), before, "an answer that nobody asked for");
}

#[test]
fn an_answer_while_the_caller_speaks_waits_for_them() {
    let mut manners = polite();
    manners.tool_takes = Some(Duration::from_secs(4));
    let mut world = World::connected(settings(), manners);
    world.say("order");
    while world.tool_calls.is_empty() {
        world.run(Duration::from_millis(100));
    }
    world.run(Duration::from_millis(2_500));
    world.say("delivery");
    world.run(Duration::from_secs(12));
    let requests = world.requests();
    assert_eq!(requests.len(), 2, "both are answered together");
    assert!(requests[1].contains("Friday") && requests[1].contains("delivery service"));
}

#[test]
fn a_tool_that_runs_during_a_switch_is_told_when_it_answers() {
    let call = ToolCall {
        id: ToolCallId::new(AttachmentId(1), 1),
        name: "lookup_order".into(),
        arguments: "{\"number\":\"427\"}".into(),
    };
    let mut manners = polite();
    manners.history = vec![
        Turn::Caller { text: "Where is my order, number four two seven?".into() },
        Turn::Tool { call: call.clone(), result: None },
    ];
    let mut world = World::connected(settings(), manners);
    let result = ToolResult { output: "It comes on Friday.".into(), failed: false };
    world.command(ProviderCommand::CatchUp(vec![Turn::Tool { call, result: Some(result) }]));
    world.command(ProviderCommand::Speak { cue: None });
    world.settle();
    assert_eq!(world.clips(), ["order"]);
    assert_eq!(world.requests()[0].matches("\"tool_call_id\"").count(), 1);
}

#[test]
fn tools_without_a_schema_are_our_mistake() {
    use voice_core::audio::AudioFormat;
    use voice_core::failure::Failure;
    use voice_core::id::CorrelationId;
    use voice_core::provider::{Provider, SessionOutput, Setup};
    let pipeline =
        voice_providers::deepgram::pipeline::Pipeline::new(settings().build().expect("good settings"));
    let tool =
        ToolDefinition { name: "look".into(), description: String::new(), parameters: "no schema".into() };
    let mut session = pipeline.open(Setup {
        attachment: AttachmentId(1),
        correlation: CorrelationId::from_static("test"),
        instructions: "i".into(),
        tools: [tool].into(),
        history: vec![],
        hears: AudioFormat::MULAW_8K,
        speaks: AudioFormat::MULAW_8K,
        language: None,
        unix: voice_core::time::UnixMillis(0),
    });
    let first = session.poll();
    let expected = Failure::Settings { code: "tools.look.parameters".into() };
    assert!(matches!(first, SessionOutput::Event(ProviderEvent::Failed(f)) if f == expected));
    assert!(matches!(session.poll(), SessionOutput::WaitUntil(None)));
}
