//! The contract of a provider, run against every provider of this crate; and what they say of themselves.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

mod subjects;
mod table;

use voice_core::sim::contract::{self, Subject};

use subjects::{OnAgent, OnGemini, OnOpenAi, OnPipeline};

/// Every check from a few seeds, and the wildest of them from many.
fn keeps_the_contract(subject: &dyn Subject) {
    for seed in 0..4 {
        contract::run(subject, seed);
    }
    for seed in 100..300 {
        if let Err(broken) = contract::run_one(subject, seed, "survives anything") {
            panic!("with seed {seed}, {broken}");
        }
    }
}

#[test]
fn openai() {
    keeps_the_contract(&OnOpenAi);
}

#[test]
fn gemini_3_8() {
    keeps_the_contract(&OnGemini("gemini-3.8-live"));
}

#[test]
fn gemini_3_1() {
    keeps_the_contract(&OnGemini("gemini-3.1-flash-live-preview"));
}

#[test]
fn gemini_2_5() {
    keeps_the_contract(&OnGemini("gemini-2.5-flash-native-audio-preview-12-2025"));
}

#[test]
fn deepgram_agent() {
    keeps_the_contract(&OnAgent);
}

#[test]
fn deepgram_pipeline_with_flux() {
    keeps_the_contract(&OnPipeline { flux: true });
}

#[test]
fn deepgram_pipeline_with_listen() {
    keeps_the_contract(&OnPipeline { flux: false });
}
