//! Tools: the round trip, several at once, cancelled, wrong, late.

use expect_test::expect;
use voice_core::conversation::ToolResult;
use voice_core::id::{AttachmentId, ToolCallId};
use voice_core::provider::ProviderEvent;
use voice_core::wire::WireMessage;
use voice_providers::sim::deepgram::agent::{Rudeness, Seen};

use crate::harness::{Rig, settings, setup};

fn answers(rig: &Rig) -> Vec<&str> {
    rig.seen()
        .into_iter()
        .filter_map(
            |seen| if let Seen::Answer { content, .. } = seen { Some(content.as_str()) } else { None },
        )
        .collect()
}

#[test]
fn a_tool_is_called_and_its_answer_spoken() {
    let mut rig = Rig::polite().ready();
    rig.ask("order");
    expect![[r#"
        ready, until Some(7200.050000s)
        u1.1 spoke
        u1.1 paused
        u1.1 said "Where is my order, number four two seven?"
        r1.1 words "One moment, let me look that up."
        r1.1 sound of 15131 bytes
        r1.1 Completed
        t1.1 lookup_order {"number":"427"}
        r1.2 words "Your order left our house this morning and will reach you on Friday."
        r1.2 sound of 29729 bytes
        r1.2 Completed
    "#]]
    .assert_eq(&rig.script());
    assert_eq!(answers(&rig), [r#"{"status":"sent"}"#]);
}

#[test]
fn several_tools_at_once_are_answered_one_by_one() {
    let mut rig = Rig::rude(Rudeness::ParallelTools).ready();
    rig.ask("order");
    expect![[r#"
        ready, until Some(7200.050000s)
        u1.1 spoke
        u1.1 paused
        u1.1 said "Where is my order, number four two seven?"
        r1.1 words "One moment, let me look that up."
        r1.1 sound of 15131 bytes
        r1.1 Completed
        t1.1 lookup_order {"number":"427"}
        t1.2 lookup_order {"number":"428"}
        r1.2 words "Your order left our house this morning and will reach you on Friday."
        r1.2 sound of 29729 bytes
        r1.2 Completed
    "#]]
    .assert_eq(&rig.script());
    assert_eq!(answers(&rig).len(), 2);
}

#[test]
fn a_failed_tool_is_told_as_such() {
    let mut rig = Rig::polite().ready();
    rig.tools = Some(ToolResult { output: "the \"shop\" is closed".into(), failed: true });
    rig.ask("order");
    assert_eq!(answers(&rig), [r#"{"error":"the \"shop\" is closed"}"#]);
    assert!(rig.script().contains("I am sorry"), "{}", rig.script());
}

#[test]
fn a_cancelled_call_is_not_answered() {
    let mut rig = Rig::rude(Rudeness::CancelledTool).ready();
    rig.tools = None;
    rig.ask("order");
    let id = ToolCallId::new(AttachmentId(1), 1);
    assert!(rig.events.iter().any(|(_, event)| *event == ProviderEvent::ToolCancelled(id)));
    let sent = rig.sent.len();
    rig.answer(id, ToolResult { output: "late".into(), failed: false });
    assert_eq!(rig.sent.len(), sent);
    rig.run(1_000);
    assert!(!rig.seen().iter().any(|seen| matches!(seen, Seen::Answer { .. } | Seen::NeedlessAnswer(_))));
}

#[test]
fn arguments_that_are_no_json_go_back_to_the_model() {
    let mut rig = Rig::rude(Rudeness::BadArguments).ready();
    rig.ask("order");
    rig.run(3_000);
    expect![[r#"
        ready, until Some(7200.050000s)
        u1.1 spoke
        u1.1 paused
        u1.1 said "Where is my order, number four two seven?"
        r1.1 words "One moment, let me look that up."
        r1.1 sound of 15131 bytes
        r1.1 Completed
        harmless (tool_arguments_not_json), Ignore
        t1.2 lookup_order {"number":"427"}
        r1.2 words "Your order left our house this morning and will reach you on Friday."
        r1.2 sound of 29729 bytes
        r1.2 Completed
    "#]]
    .assert_eq(&rig.script());
    assert!(answers(&rig)[0].contains("not a JSON object"), "{:?}", answers(&rig));
}

#[test]
fn an_unknown_tool_is_for_the_call_to_refuse() {
    let mut rig = Rig::rude(Rudeness::UnknownTool).ready();
    rig.ask("order");
    assert!(rig.script().contains("t1.1 launch_rocket"), "{}", rig.script());
}

#[test]
fn a_tool_that_never_answers_does_not_block_the_conversation() {
    let mut rig = Rig::polite().ready();
    rig.tools = None;
    rig.ask("order");
    rig.ask("hours");
    assert!(rig.script().contains("We are open"), "{}", rig.script());
    rig.run(20_000);
    assert!(rig.script().contains("I am sorry"), "{}", rig.script());
    assert_eq!(rig.failure(), None);
}

#[test]
fn a_flood_of_calls_is_bounded() {
    let mut rig = Rig::new(settings(), setup(), None).ready();
    rig.tools = None;
    for n in 0..1_000 {
        let function =
            format!(r#"{{"id":"f{n}","name":"lookup_order","arguments":"{{}}","client_side":true}}"#);
        rig.wire(&WireMessage::text(format!(r#"{{"type":"FunctionCallRequest","functions":[{function}]}}"#)));
    }
    let calls = rig.events.iter().filter(|(_, event)| matches!(event, ProviderEvent::ToolCall(_))).count();
    assert_eq!(calls, 64);
    // All others are answered at once: the model waits for every call.
    let refused =
        rig.sent.iter().filter(|sent| sent.as_bytes().starts_with(b"{\"type\":\"FunctionCallResponse\""));
    assert_eq!(refused.count(), 936);
}
