//! Everything at once, in an order drawn from the seed.

use std::time::Duration;

use super::garbage::nonsense;
use super::{Conversation, Scene, Subject, Tools, Wish};
use crate::conversation::{Heard, ToolResult, Turn};
use crate::id::{AttachmentId, ReplyId, ToolCallId};
use crate::provider::ProviderCommand;
use crate::sim::rng::Rng;
use crate::wire::LineEnd;

/// Steps of one conversation.
const STEPS: u64 = 60;

/// A call, a network and a service that have all lost their minds. What always holds still holds.
pub(super) fn anything(subject: &dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    let scenes =
        [Scene::Polite, Scene::LateTail, Scene::ParallelTools, Scene::BadArguments, Scene::CancelledTool];
    let history = if rng.percent(30) { vec![Turn::Caller { text: "Hello?".into() }] } else { Vec::new() };
    let scene = *rng.pick(&scenes);
    let Some(mut conversation) = Conversation::begin(subject, seed, scene, history) else { return };
    for _ in 0..STEPS {
        if conversation.is_over() {
            break;
        }
        step(&mut conversation, &mut rng);
    }
    if !conversation.is_over() {
        conversation.command(ProviderCommand::Close);
        assert!(conversation.harness.held().is_empty(), "all lines are hung up");
        conversation.harness.run_for(Duration::from_secs(30));
        assert!(conversation.harness.is_asleep(), "nobody waits for anything");
    }
}

fn step(conversation: &mut Conversation, rng: &mut Rng) {
    match rng.range(0..100) {
        0..=24 => conversation.listens(rng.millis(0..1_500)),
        25..=34 => conversation.says(*rng.pick(&[Wish::Answer, Wish::LongAnswer, Wish::Stop, Wish::Tool])),
        35..=44 => conversation.interrupts(),
        45..=49 => {
            let cue = rng.percent(50).then(|| "Say something.".to_owned());
            conversation.command(ProviderCommand::Speak { cue });
        }
        50..=54 => conversation.command(ProviderCommand::Note("The caller pressed 5.".into())),
        55..=58 => {
            let said = Turn::Voice { text: "As I said.".into(), cut: rng.percent(50) };
            conversation.command(ProviderCommand::CatchUp(vec![said]));
        }
        59..=63 => {
            // Of a reply that never was, or was long ago.
            let reply = ReplyId::new(AttachmentId(1), rng.range(0..9) as u32);
            let heard = Heard { reply, heard: rng.millis(0..9_000), unheard: rng.millis(0..9_000) };
            conversation.command(ProviderCommand::Interrupt(vec![heard]));
        }
        64..=68 => {
            let id = ToolCallId::new(AttachmentId(1), rng.range(0..5) as u32);
            let result = ToolResult { output: "out of the blue".into(), failed: rng.percent(50) };
            conversation.command(ProviderCommand::Answer { id, result });
        }
        69..=72 => conversation.tools(*rng.pick(&[Tools::Answer, Tools::Ignore])),
        73..=86 => conversation.inject(&nonsense(rng)),
        87..=95 => {
            conversation.harness.wake();
            conversation.look();
        }
        _ => {
            let held = conversation.harness.held();
            if !held.is_empty() {
                let reason = "chaos".to_owned();
                let end =
                    rng.pick(&[LineEnd::Cut, LineEnd::Closed { code: 1011, reason }, LineEnd::Ended]).clone();
                conversation.harness.end(*rng.pick(&held), end);
                conversation.look();
            }
        }
    }
}
