//! Whole calls in virtual time with each of the four providers, and from each to each other in mid-call.

use std::time::Duration;

use voice_core::record::CallEvent;
use voice_examples::any::{Midway, PROVIDERS, call_any};
use voice_examples::transcript;

/// What the caller says in every call.
const CALLER: [&str; 6] = [
    "c: Hello, can you hear me?",
    "c: Where is my order, number four two seven?",
    "c: Please tell me about your delivery service.",
    "c: Sorry, stop. How much does it cost?",
    "c: Thank you very much.",
    "c: That is all. Goodbye.",
];

/// What the voice says, but for what is interrupted.
const VOICE: [&str; 4] = [
    "Good morning, this is Ada from the book shop. How can I help you?",
    "Your order left our house this morning and will reach you on Friday.",
    "A delivery costs three euros. Above thirty euros it is free.",
    "Thank you for calling. Goodbye.",
];

#[test]
fn each_provider_greets_calls_a_tool_stops_when_interrupted_and_is_written_down() {
    for name in PROVIDERS {
        for seed in 1..=5 {
            let played = call_any(seed, &[name], Midway::Nothing);
            let report = played.caller.report();
            assert!(report.completed, "{name} {seed}: {:?}", report.failure);
            let lines = transcript(&played.entries);
            let caller: Vec<&String> = lines.iter().filter(|line| line.starts_with("c: ")).collect();
            assert_eq!(caller, CALLER, "{name} {seed}: {lines:#?}");
            for words in VOICE {
                assert!(lines.iter().any(|line| line.contains(words)), "{name} {seed}: {words} {lines:#?}");
            }
            assert_eq!(report.barge_ins.len(), 1, "{name} {seed}");
            assert_eq!(report.barge_ins[0].residue, Duration::ZERO, "{name} {seed}: old speech leaked out");
            let cut = lines.iter().filter(|line| line.ends_with('…')).count();
            assert_eq!(cut, 1, "{name} {seed}: {lines:#?}");
            let tools = played.entries.iter().filter(|e| matches!(e.event, CallEvent::ToolAnswered { .. }));
            assert_eq!(tools.count(), 1, "{name} {seed}");
        }
    }
}

fn pairs() -> impl Iterator<Item = [&'static str; 2]> {
    let to = |from| PROVIDERS.into_iter().filter(move |to| *to != from).map(move |to| [from, to]);
    PROVIDERS.into_iter().flat_map(to)
}

#[test]
fn a_planned_switch_between_any_two_loses_no_turn() {
    for pair in pairs() {
        for seed in 1..=3 {
            let at = Duration::from_secs(6 + seed * 5);
            let played = call_any(seed, &pair, Midway::Switch(at));
            let report = played.caller.report();
            assert!(report.completed, "{pair:?} {seed}: {:?}", report.failure);
            let live = played.entries.iter().filter(|e| matches!(e.event, CallEvent::Live { .. })).count();
            assert_eq!(live, 2, "{pair:?} {seed}: somebody took over");
            let lines = transcript(&played.entries);
            let caller: Vec<&String> = lines.iter().filter(|line| line.starts_with("c: ")).collect();
            assert_eq!(caller, CALLER, "{pair:?} {seed}: {lines:#?}");
        }
    }
}

#[test]
fn a_forced_switch_between_any_two_serves_the_caller_to_the_end() {
    for pair in pairs() {
        for seed in 1..=3 {
            let at = Duration::from_secs(8 + seed * 5);
            let played = call_any(seed, &pair, Midway::Cut(at));
            let report = played.caller.report();
            assert!(report.completed, "{pair:?} {seed}: {:?}", report.failure);
            let live = played.entries.iter().filter(|e| matches!(e.event, CallEvent::Live { .. })).count();
            assert!(live >= 2, "{pair:?} {seed}: somebody took over");
            let clips = report.clips_heard();
            assert!(clips.contains(&"goodbye"), "{pair:?} {seed}: {clips:?}");
        }
    }
}
