//! Being ready, hearing, speaking, and being interrupted.

use std::time::Duration;

use super::{Conversation, Scene, Subject, Wish};
use crate::capabilities::CallerSpeech;
use crate::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use crate::sim::speech;

const SOON: Duration = Duration::from_secs(20);

pub(super) fn becomes_ready(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else {
        panic!("every service can be polite");
    };
    assert!(!conversation.harness.dialled().is_empty(), "somebody was dialled");
    conversation.listens(Duration::from_secs(10));
    assert_eq!(conversation.failure(), None, "silence is no reason to give up");
}

pub(super) fn hears_and_speaks(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else {
        return;
    };
    for round in 0..3 {
        assert!(conversation.is_answered(Wish::Answer), "round {round}: {:?}", conversation.events());
    }
    conversation.passes(SOON, |c| c.is_quiet() && c.said().len() >= 3);
    assert_eq!(conversation.failure(), None);
    let clip = speech::caller(subject.sentence(Wish::Answer)).expect("a sentence that is recorded");
    assert_eq!(conversation.said(), [clip.text; 3], "what the caller said is told, once");
    for reply in conversation.replies() {
        assert!(!reply.words.trim().is_empty(), "what the voice says is told: {reply:?}");
        assert_eq!(reply.end, Some(ReplyEnd::Completed), "{reply:?}");
    }
    told_in_order(subject, &conversation);
}

/// A turn begins before it ends, where the service tells of it.
fn told_in_order(subject: &dyn Subject, conversation: &Conversation) {
    if subject.provider().capabilities().caller_speech == CallerSpeech::Detected {
        return;
    }
    let place = |wanted: &dyn Fn(&ProviderEvent) -> bool| conversation.events().iter().position(wanted);
    let spoke = place(&|event| matches!(event, ProviderEvent::CallerSpoke(_)));
    let paused = place(&|event| matches!(event, ProviderEvent::CallerPaused(_)));
    assert!(spoke.is_some() && spoke < paused, "{spoke:?} {paused:?}");
}

pub(super) fn speaks_when_asked(subject: &dyn Subject, seed: u64) {
    for cue in [None, Some("Greet the caller.".to_owned())] {
        let Some(mut conversation) = Conversation::ready(subject, seed, Scene::Polite, Vec::new()) else {
            return;
        };
        conversation.command(ProviderCommand::Speak { cue });
        let spoke = conversation.passes(SOON, |c| c.replies().iter().any(|reply| !reply.sound.is_zero()));
        assert!(spoke, "it speaks first: {:?}", conversation.events());
        assert!(conversation.is_answered(Wish::Answer), "{:?}", conversation.events());
    }
}

pub(super) fn stops_when_interrupted(subject: &dyn Subject, seed: u64) {
    interrupted(subject, seed, Scene::Polite);
}

pub(super) fn late_tail(subject: &dyn Subject, seed: u64) {
    interrupted(subject, seed, Scene::LateTail);
}

fn interrupted(subject: &dyn Subject, seed: u64, scene: Scene) {
    let Some(mut conversation) = Conversation::ready(subject, seed, scene, Vec::new()) else { return };
    assert!(conversation.is_answered(Wish::LongAnswer), "{:?}", conversation.events());
    conversation.listens(Duration::from_millis(1_000 + seed % 7 * 400));
    let long = conversation.replies().last().map(|reply| reply.id);
    conversation.says(Wish::Stop);
    let answer = speech::voice(subject.sentence(Wish::Stop)).map_or("", |clip| clip.text);
    let is_answer = |c: &Conversation| {
        let mut later = c.replies().iter().filter(|reply| Some(reply.id) > long);
        later.any(|reply| reply.words.contains(answer) && reply.end == Some(ReplyEnd::Completed))
    };
    let came = conversation.passes(Duration::from_secs(30), is_answer);
    assert!(came, "what was said into the reply is answered: {:?}", conversation.replies());
    let cut: Vec<_> = conversation.replies().iter().filter(|reply| reply.cut).collect();
    assert!(!cut.is_empty(), "something was cut: {:?}", conversation.replies());
    assert!(cut.iter().all(|reply| reply.end.is_some()), "a reply that was cut is over: {cut:?}");
    // Old words under a new name would be heard after all.
    let old = speech::voice(subject.sentence(Wish::LongAnswer)).map_or("", |clip| clip.text);
    let leaked = conversation.replies().iter().filter(|reply| Some(reply.id) > long && !reply.cut);
    let tail = old.get(old.len().saturating_sub(30)..).unwrap_or_default();
    for reply in leaked {
        assert!(tail.is_empty() || !reply.words.contains(tail), "old words in a new reply: {reply:?}");
    }
}
