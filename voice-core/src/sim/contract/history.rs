//! What was said before, elsewhere or meanwhile: every kind of turn reaches the service.

use std::time::Duration;

use super::{Conversation, Scene, Subject, Wish};
use crate::conversation::{ToolCall, ToolResult, Turn};
use crate::id::{AttachmentId, ToolCallId};
use crate::provider::ProviderCommand;

/// Words by which each turn is found again.
const MARKS: [&str; 8] = ["zebra", "okapi", "walrus", "lemur", "gnu", "ibis", "tapir", "newt"];

/// A turn of each kind and state, with its mark; some have none, because there is nothing to be told.
fn every_kind() -> Vec<Turn> {
    let call = |number, name: &str, arguments: &str| ToolCall {
        id: ToolCallId::new(AttachmentId(77), number),
        name: name.to_owned(),
        arguments: arguments.into(),
    };
    let result = |output: &str, failed| Some(ToolResult { output: output.into(), failed });
    vec![
        Turn::Voice { text: "Good morning, zebra.".into(), cut: false },
        Turn::Caller { text: "I want an okapi.".into() },
        Turn::Caller { text: "".into() },
        Turn::Voice { text: "We have a walrus".into(), cut: true },
        Turn::Voice { text: "".into(), cut: true },
        Turn::Tool {
            call: call(1, "lookup_order", r#"{"number":"lemur"}"#),
            result: result("the gnu came", false),
        },
        Turn::Tool { call: call(2, "no such/tool", "not json"), result: result("no ibis", true) },
        Turn::Tool { call: call(3, "lookup_order", "{}"), result: None },
        Turn::Note { text: "The caller pressed tapir.".into() },
        Turn::Caller { text: "And a newt?".into() },
    ]
}

fn all_told(conversation: &Conversation) {
    for mark in MARKS {
        assert!(conversation.has_told(mark), "{mark} was never told");
    }
}

pub(super) fn every_kind_at_the_beginning(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, every_kind()) else {
        return;
    };
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    all_told(&conversation);
}

pub(super) fn every_kind_later(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else {
        return;
    };
    if seed % 2 == 1 {
        assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    }
    conversation.command(ProviderCommand::CatchUp(every_kind()));
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    conversation.listens(Duration::from_secs(10));
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    all_told(&conversation);
}

pub(super) fn a_note_is_not_answered(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else {
        return;
    };
    if seed % 2 == 1 {
        assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
        conversation.passes(Duration::from_secs(20), Conversation::is_quiet);
    }
    let before = conversation.replies().len();
    conversation.command(ProviderCommand::Note("The caller pressed tapir.".into()));
    conversation.listens(Duration::from_secs(15));
    assert_eq!(conversation.replies().len(), before, "nobody asked: {:?}", conversation.replies());
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    conversation.passes(Duration::from_secs(20), Conversation::is_quiet);
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    assert!(conversation.has_told("tapir"), "the note was never told");
}

pub(super) fn too_long(subject: &dyn Subject, seed: u64) {
    let turn = |n: usize| {
        let text = format!("{n} {}", "so many words ".repeat(60));
        if n.is_multiple_of(2) {
            Turn::Caller { text: text.into() }
        } else {
            Turn::Voice { text: text.into(), cut: false }
        }
    };
    let mut turns: Vec<Turn> = (0..1_000).map(turn).collect();
    turns.push(Turn::Voice { text: "And finally the walrus.".into(), cut: false });
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, turns.clone()) else {
        return;
    };
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    assert!(conversation.has_told("walrus"), "the latest is kept");
    conversation.command(ProviderCommand::CatchUp(turns));
    assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
}
