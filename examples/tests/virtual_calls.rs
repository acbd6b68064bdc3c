//! Whole calls in virtual time: fake Twilio, real webhook, media socket, bridge and OpenAI session, fake
//! OpenAI. Polite and rude ones, from many seeds.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

use std::time::Duration;

use voice_core::record::{CallEvent, Entry};
use voice_examples::{call, transcript};
use voice_providers::sim::openai::Rudeness as OpenAiRudeness;
use voice_telephony::sim::Rudeness as TwilioRudeness;

const SHOP: [&str; 14] = [
    "v: Good morning, this is Ada from the book shop. How can I help you?",
    "c: Hello, can you hear me?",
    "v: Yes, I can hear you well. What can I do for you?",
    "c: Where is my order, number four two seven?",
    "v: One moment, let me look that up.",
    "v: Your order left our house this morning and will reach you on Friday.",
    "c: Please tell me about your delivery service.",
    "v: We deliver to every town",
    "c: Sorry, stop. How much does it cost?",
    "v: A delivery costs three euros. Above thirty euros it is free.",
    "c: Thank you very much.",
    "v: You are welcome. Is there anything else?",
    "c: That is all. Goodbye.",
    "v: Thank you for calling. Goodbye.",
];

#[test]
fn a_call_to_the_book_shop() {
    for seed in 1..=40 {
        let played = call(seed, |plan| plan, &[]);
        let report = played.caller.report();
        assert!(report.completed, "seed {seed}: {:?}", report.failure);
        let said = transcript(&played.entries);
        assert_eq!(said.len(), SHOP.len(), "seed {seed}: {said:#?}");
        for (line, expected) in said.iter().zip(SHOP) {
            let fine = if expected.ends_with("town") {
                line.starts_with("v: We deliver") && line.ends_with('…')
            } else {
                line == expected
            };
            assert!(fine, "seed {seed}: {line:?} instead of {expected:?}");
        }
        assert_eq!(report.traffic.gap_ticks, 0, "seed {seed}: the voice stuttered");
        assert_eq!(report.traffic.invalid_messages, 0, "seed {seed}");
        assert!(played.passthrough, "seed {seed}: mu-law passes as it is");
        every_frame_was_heard(seed, &played.entries, report.traffic.frames_sent);
    }
}

/// All the caller's frames reached the provider, but for those under way when they hung up.
fn every_frame_was_heard(seed: u64, entries: &[Entry], sent: u64) {
    let Some(CallEvent::Ended { totals, .. }) = entries.last().map(|entry| &entry.event) else {
        panic!("seed {seed}: the record is not closed");
    };
    assert_eq!(totals.frames_heard + totals.frames_lost, totals.frames_in, "seed {seed}");
    assert_eq!(totals.frames_lost, 0, "seed {seed}");
    assert!(sent - totals.frames_in <= 5, "seed {seed}: {sent} sent, {} came in", totals.frames_in);
}

#[test]
fn a_barge_in_is_told_to_everybody_as_it_was() {
    for seed in 1..=40 {
        let played = call(seed, |plan| plan, &[]);
        let report = played.caller.report();
        let [barge_in] = &report.barge_ins[..] else { panic!("seed {seed}: {:?}", report.barge_ins) };
        let reaction = barge_in.reaction.expect("the voice stopped");
        // The service's own detection takes some of it: it waits for voiced audio.
        assert!(reaction < Duration::from_millis(500), "seed {seed}: silent after {reaction:?}");
        assert_eq!(barge_in.residue, Duration::ZERO, "seed {seed}: old speech leaked out");
        let (heard, unheard) = played
            .entries
            .iter()
            .find_map(|entry| match entry.event {
                CallEvent::BargeIn { heard, unheard, .. } => Some((heard, unheard)),
                _ => None,
            })
            .expect("it stands in the record");
        let seen = played.services[0].log().seen();
        let [cut] = &seen.truncated[..] else { panic!("seed {seed}: {:?}", seen.truncated) };
        assert_eq!(u128::from(cut.audio_end_ms), heard.as_millis(), "seed {seed}");
        assert!(!unheard.is_zero(), "seed {seed}");
        // The ledger against the caller's own ear: one of the stretches that were no whole clip.
        let stretches: Vec<Duration> =
            report.heard.iter().filter(|h| h.clip.is_none()).map(|h| h.to - h.from).collect();
        let told = stretches.iter().any(|truth| truth.abs_diff(heard) < Duration::from_millis(250));
        assert!(told, "seed {seed}: {heard:?}, in truth one of {stretches:?}");
    }
}

#[test]
fn a_provider_that_misbehaves_costs_no_call() {
    for rude in OpenAiRudeness::ALL {
        for seed in 1..=6 {
            let played = call(seed, |plan| plan, &[*rude]);
            let ended = played.entries.last().map(|entry| &entry.event);
            assert!(matches!(ended, Some(CallEvent::Ended { .. })), "{} {seed}: {ended:?}", rude.name());
            let seqs: Vec<u64> = played.entries.iter().map(|entry| entry.seq).collect();
            assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<u64>>(), "{} {seed}", rude.name());
        }
    }
}

#[test]
fn a_provider_that_dies_in_mid_call_is_replaced_and_the_caller_is_served() {
    for rude in [OpenAiRudeness::Cut, OpenAiRudeness::Close1011, OpenAiRudeness::Expire] {
        for seed in 1..=10 {
            let played = call(seed, |plan| plan, &[rude]);
            assert!(played.services.len() > 1, "{} {seed}: nobody took over", rude.name());
            let report = played.caller.report();
            assert!(report.completed, "{} {seed}: {:?}", rude.name(), report.failure);
            let clips = report.clips_heard();
            assert!(clips.contains(&"goodbye"), "{} {seed}: {clips:?}", rude.name());
        }
    }
}

#[test]
fn a_carrier_that_misbehaves_is_refused_or_served_but_never_hangs() {
    for rude in TwilioRudeness::ALL {
        for seed in 1..=3 {
            let played = call(seed, |plan| plan.with_rudeness([*rude]), &[]);
            let ended = played.entries.last().map(|entry| &entry.event);
            let closed = matches!(ended, None | Some(CallEvent::Ended { .. }));
            assert!(closed, "{rude:?} {seed}: {ended:?}");
            assert!(
                !played.entries.is_empty()
                    || !played.refusals.is_empty()
                    || played.caller.report().failure.is_some(),
                "{rude:?} {seed}: neither served nor refused"
            );
        }
    }
}
