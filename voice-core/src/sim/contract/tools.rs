//! Tools: called, called together, called badly, taken back, never answered.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Conversation, Scene, Subject, Tools, Wish};
use crate::conversation::ToolResult;
use crate::provider::ProviderCommand;

const SOON: Duration = Duration::from_secs(30);

/// A conversation with a service that calls tools in this way, after its first calls.
fn called(subject: &dyn Subject, seed: u64, scene: Scene, tools: Tools) -> Option<Conversation> {
    subject.provider().capabilities().tools?;
    let mut conversation = Conversation::ready(subject, seed, scene, Vec::new())?;
    conversation.tools(tools);
    conversation.says(Wish::Tool);
    let came = conversation.passes(SOON, |c| !c.calls().is_empty());
    assert!(came, "a tool is called: {:?}", conversation.events());
    Some(conversation)
}

/// The voice goes on after its tools, and then answers the next question, too.
fn goes_on(conversation: &mut Conversation) {
    let before = conversation.replies().len();
    let spoke =
        conversation.passes(SOON, |c| c.replies().iter().skip(before).any(|reply| !reply.sound.is_zero()));
    assert!(spoke, "it goes on with the answers: {:?}", conversation.events());
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    assert_eq!(conversation.failure(), None);
}

pub(super) fn round_trip(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = called(subject, seed, Scene::Polite, Tools::Answer) else { return };
    let names: Vec<_> = conversation.calls().iter().map(|call| call.name.clone()).collect();
    assert_eq!(names, ["lookup_order"]);
    let arguments = conversation.calls()[0].arguments.expose().clone();
    assert!(arguments.trim().starts_with('{') && arguments.trim().ends_with('}'), "{arguments}");
    goes_on(&mut conversation);
    assert!(conversation.has_told("on its way"), "the answer reached the service");
}

pub(super) fn parallel(subject: &dyn Subject, seed: u64) {
    if subject.provider().capabilities().tools.is_none_or(|tools| !tools.parallel) {
        return;
    }
    let Some(mut conversation) = called(subject, seed, Scene::ParallelTools, Tools::Answer) else { return };
    conversation.listens(Duration::from_millis(200));
    let ids: BTreeSet<_> = conversation.calls().iter().map(|call| call.id).collect();
    assert!(ids.len() > 1, "several were called: {:?}", conversation.calls());
    goes_on(&mut conversation);
}

/// Whether such a call reaches the tool, which answers with an error, or is answered by the session itself.
pub(super) fn bad_arguments(subject: &dyn Subject, seed: u64) {
    if subject.provider().capabilities().tools.is_none() {
        return;
    }
    let begun = Conversation::ready(subject, seed, Scene::BadArguments, Vec::new());
    let Some(mut conversation) = begun else { return };
    conversation.says(Wish::Tool);
    goes_on(&mut conversation);
}

pub(super) fn cancelled(subject: &dyn Subject, seed: u64) {
    if subject.provider().capabilities().tools.is_none_or(|tools| !tools.cancels) {
        return;
    }
    let Some(mut conversation) = called(subject, seed, Scene::CancelledTool, Tools::Ignore) else { return };
    let taken_back = conversation.passes(SOON, |c| !c.cancelled().is_empty());
    assert!(taken_back, "the call is taken back: {:?}", conversation.events());
    // The tool had begun, and its answer comes too late: nobody is to stumble over it.
    for id in conversation.cancelled() {
        let result = ToolResult { output: "too late".into(), failed: false };
        conversation.command(ProviderCommand::Answer { id, result });
    }
    assert!(!conversation.has_told("too late"), "an answer that nobody wants is not sent");
    conversation.tools(Tools::Answer);
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
}

pub(super) fn never_answered(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = called(subject, seed, Scene::Polite, Tools::Ignore) else { return };
    conversation.listens(Duration::from_secs(10));
    assert_eq!(conversation.failure(), None, "patience");
    // A model that waits for its tools may be silent, but a call answers each of them in the end.
    if subject.provider().capabilities().tools.is_some_and(|tools| !tools.blocks) {
        assert!(conversation.is_answered(Wish::Answer), "it talks meanwhile: {:?}", conversation.events());
    }
    let ids: Vec<_> = conversation.calls().iter().map(|call| call.id).collect();
    for id in ids {
        let result = ToolResult { output: "it took too long".into(), failed: true };
        conversation.command(ProviderCommand::Answer { id, result });
    }
    conversation.tools(Tools::Answer);
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
}
