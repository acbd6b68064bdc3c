//! The end of lines and sessions, in every way and at any moment.

use std::time::Duration;

use bytes::Bytes;

use super::{Conversation, Scene, Subject, Wish};
use crate::failure::{Blame, Verdict};
use crate::provider::{ProviderCommand, ProviderEvent};
use crate::sim::rng::Rng;
use crate::wire::{LineEnd, Unreachable};

/// A conversation that was left at some moment: while dialling, in silence, while the caller speaks, while
/// the voice does, while a tool runs.
fn at_some_moment(subject: &dyn Subject, rng: &mut Rng) -> Option<Conversation> {
    let mut conversation = Conversation::begin(subject, rng.bits(), Scene::Polite, Vec::new())?;
    conversation.listens(rng.millis(0..600));
    if rng.percent(25) {
        return Some(conversation);
    }
    conversation.passes(Duration::from_secs(20), Conversation::is_ready);
    let wish = *rng.pick(&[Wish::Answer, Wish::LongAnswer, Wish::Tool]);
    if rng.percent(70) {
        conversation.says(wish);
        conversation.listens(rng.millis(0..6_000));
    }
    if rng.percent(30) {
        conversation.says(Wish::Stop);
    }
    Some(conversation)
}

/// After the worst there is an end that is told, or the conversation goes on. There is no third.
fn ends_or_goes_on(conversation: &mut Conversation, what: &dyn std::fmt::Debug) {
    conversation.passes(Duration::from_secs(60), |c| c.is_over() || (c.is_ready() && c.is_quiet()));
    if conversation.is_over() {
        return;
    }
    // The first question may be lost with what was cut; the second is answered.
    let answered = conversation.is_answered(Wish::Answer) || conversation.is_answered(Wish::Answer);
    assert!(answered || conversation.is_over(), "silence after {what:?}: {:?}", conversation.events());
}

pub(super) fn close_at_any_moment(subject: &dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..8 {
        let Some(mut conversation) = at_some_moment(subject, &mut rng) else { return };
        if conversation.is_over() {
            continue;
        }
        conversation.command(ProviderCommand::Close);
        assert!(conversation.harness.held().is_empty(), "all lines are hung up");
        let before = conversation.events().len();
        conversation.harness.wake();
        conversation.harness.run_for(Duration::from_secs(60));
        conversation.look();
        assert_eq!(conversation.events().len(), before, "nothing follows the goodbye");
        assert!(conversation.harness.is_asleep(), "nobody waits for anything");
    }
}

pub(super) fn session_limit(subject: &dyn Subject, seed: u64) {
    let Some(mut conversation) = Conversation::ready(subject, seed, Scene::SessionEnds, Vec::new()) else {
        return;
    };
    conversation.says(Wish::LongAnswer);
    conversation.passes(Duration::from_secs(60), Conversation::is_over);
    ends_or_goes_on(&mut conversation, &"the end of the session");
    if let Some(failure) = conversation.failure() {
        let judged = (failure.blame(), failure.verdict());
        assert_eq!(judged, (Blame::Nobody, Verdict::SwitchNow), "a limit is nobody's fault: {failure}");
    } else {
        let resumes = subject.provider().capabilities().lifetime.resumes;
        assert!(resumes, "what goes on has been resumed");
    }
}

/// Every code that a peer may send or a library make up, the private ones by examples.
const CODES: &[u16] = &[
    1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3008, 4000, 4001,
    4008, 4999,
];

pub(super) fn every_close_code(subject: &dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    for &code in CODES {
        let Some(mut conversation) = at_some_moment(subject, &mut rng) else { return };
        let reason = (*rng.pick(&["", "going away", "\u{1F4A5} {\"a\":", "internal error"])).to_owned();
        let end = LineEnd::Closed { code, reason };
        end_one(&mut conversation, &mut rng, &end);
        ends_or_goes_on(&mut conversation, &end);
    }
}

pub(super) fn cut_at_any_moment(subject: &dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..8 {
        let Some(mut conversation) = at_some_moment(subject, &mut rng) else { return };
        let end = rng.pick(&[LineEnd::Cut, LineEnd::Broken, LineEnd::Clogged, LineEnd::Ended]).clone();
        end_one(&mut conversation, &mut rng, &end);
        ends_or_goes_on(&mut conversation, &end);
    }
}

fn end_one(conversation: &mut Conversation, rng: &mut Rng, end: &LineEnd) {
    let held = conversation.harness.held();
    if !held.is_empty() && !conversation.is_over() {
        conversation.harness.end(*rng.pick(&held), end.clone());
        conversation.look();
    }
}

pub(super) fn never_up(subject: &dyn Subject, seed: u64) {
    let mut rng = Rng::new(seed);
    let kinds = [
        Unreachable::Address,
        Unreachable::Tcp,
        Unreachable::Tls,
        Unreachable::Timeout,
        Unreachable::Handshake,
    ];
    for end in kinds.map(LineEnd::Unreachable) {
        let Some(conversation) = refused(subject, &mut rng, &end) else { return };
        let failure = conversation.failure().expect("refused");
        assert_eq!(failure.blame(), Blame::Provider, "{end:?}: {failure}");
    }
    let bodies = ["", "<html>", "{\"error\":{\"code\":7}}", "{"].map(Bytes::from);
    for status in [400, 401, 402, 403, 404, 408, 413, 422, 426, 429, 500, 502, 503, 504, 529] {
        let retry_after = rng.percent(50).then(|| Duration::from_secs(4));
        let end = LineEnd::Refused { status, retry_after, body: rng.pick(&bodies).clone() };
        let Some(conversation) = refused(subject, &mut rng, &end) else { return };
        let failure = conversation.failure().expect("refused");
        match status {
            401 | 403 => assert_eq!(failure.blame(), Blame::Us, "{end:?}: {failure}"),
            429 | 500.. => assert_eq!(failure.blame(), Blame::Provider, "{end:?}: {failure}"),
            _ => {}
        }
    }
}

/// Nobody is reached, however often the session tries.
fn refused(subject: &dyn Subject, rng: &mut Rng, end: &LineEnd) -> Option<Conversation> {
    let mut conversation = Conversation::begin(subject, rng.bits(), Scene::Polite, Vec::new())?;
    for _ in 0..60 {
        for line in conversation.harness.held() {
            if !conversation.is_over() {
                conversation.harness.end(line, end.clone());
                conversation.look();
            }
        }
        if conversation.is_over() {
            let failures = |event: &&ProviderEvent| matches!(event, ProviderEvent::Ready { .. });
            assert_eq!(conversation.events().iter().filter(failures).count(), 0);
            return Some(conversation);
        }
        conversation.listens(Duration::from_millis(500));
    }
    panic!("a service that cannot be reached is a failure: {end:?}, {:?}", conversation.events());
}
