//! Messages that make no sense.

use std::time::Duration;

use bytes::Bytes;

use super::{Conversation, Scene, Subject, Wish};
use crate::limits::UNREADABLE_MAX;
use crate::provider::ProviderEvent;
use crate::sim::rng::Rng;
use crate::wire::{Text, WireMessage};

/// Nonsense of all kinds.
pub(super) fn nonsense(rng: &mut Rng) -> WireMessage {
    let texts = [
        "",
        " ",
        "{",
        "[]",
        "null",
        "7",
        "\"type\"",
        "nonsense",
        "{\"type\":7}",
        "{\"type\":null}",
        "{\"type\":\"\"}",
        "{\"type\":\"something.new\",\"of\":{\"next\":[\"year\"]}}",
        "{\"type\":\"error\"}",
        "{\"error\":{}}",
        "{\"a\":1e999}",
        "{\"a\":\"\\ud800\"}",
        "data: {\n\n",
        "event: x\ndata: [DONE",
    ];
    match rng.range(0..6) {
        0 | 1 => WireMessage::text(*rng.pick(&texts)),
        2 => WireMessage::Binary(Bytes::from_static(rng.pick(&texts).as_bytes())),
        3 => WireMessage::Binary((0..rng.range(0..400)).map(|_| rng.bits() as u8).collect()),
        4 => WireMessage::text("[".repeat(rng.range(1..20_000) as usize)),
        _ => WireMessage::text(format!("{{\"type\":\"{}\"}}", "x".repeat(rng.range(1..300_000) as usize))),
    }
}

/// Now and then some nonsense, and less of it than anybody gives up on.
pub(super) fn survives(subject: &dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else {
        return;
    };
    for wish in [Wish::Answer, Wish::Tool, Wish::Answer] {
        // Text only: what is binary may be somebody's idea of speech, and garbled speech is speech.
        let mut message = nonsense(&mut rng);
        while matches!(message, WireMessage::Binary(_)) {
            message = nonsense(&mut rng);
        }
        conversation.inject(&message);
        assert_eq!(conversation.failure(), None, "{message:?}");
        assert!(conversation.is_answered(wish), "{message:?}: {:?}", conversation.events());
    }
    let counted = conversation.events().iter().any(|event| matches!(event, ProviderEvent::Unknown { .. }));
    assert!(counted, "what is not understood is counted");
}

/// Nothing but what cannot be read, for ever: somebody says so, and little is said about it.
pub(super) fn nothing_else(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else {
        return;
    };
    for _ in 0..UNREADABLE_MAX * 10 {
        conversation.inject(&WireMessage::text("{\"type\":"));
    }
    assert!(conversation.is_over(), "it gives up: {:?}", conversation.events().len());
    assert!(
        conversation.events().len() < 10 + UNREADABLE_MAX as usize * 4,
        "{}",
        conversation.events().len()
    );
}

/// What the service really says, in halves, doubled, with bytes turned over, as text and as bytes.
pub(super) fn mutilated(subject: &dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    let Some(mut model) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else { return };
    model.says(Wish::Tool);
    model.listens(Duration::from_secs(8));
    let real: Vec<WireMessage> =
        model.harness.received().iter().map(|(_, message)| message.clone()).collect();
    for _ in 0..6 {
        let Some(mut conversation) = Conversation::begin(subject, rng.bits(), Scene::Polite, Vec::new())
        else {
            return;
        };
        for _ in 0..40 {
            conversation.listens(rng.millis(0..120));
            let chosen = rng.pick(&real).clone();
            let message = mutilate(&mut rng, &chosen);
            conversation.inject(&message);
        }
        // It may have given up, or be confused by orders that nobody gave; but it stands.
        conversation.says(Wish::Answer);
        conversation.listens(Duration::from_secs(5));
    }
}

fn mutilate(rng: &mut Rng, message: &WireMessage) -> WireMessage {
    let mut bytes = message.as_bytes().to_vec();
    match rng.range(0..4) {
        0 => bytes.truncate(rng.range(0..bytes.len() as u64 + 1) as usize),
        1 => bytes.extend_from_within(..),
        2 => {
            for _ in 0..3 {
                let at = rng.range(0..bytes.len() as u64 + 1) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.range(0..8);
                }
            }
        }
        _ => {}
    }
    let bytes = Bytes::from(bytes);
    match Text::from_utf8(bytes.clone()) {
        Ok(text) if rng.percent(50) => WireMessage::Text(text),
        Ok(_) | Err(_) => WireMessage::Binary(bytes),
    }
}
