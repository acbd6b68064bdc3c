//! What the programs beside this file share: an agent of a small book shop, and a call to it in virtual
//! time.

#![forbid(unsafe_code)]
#![allow(clippy::wildcard_enum_match_arm, reason = "it looks at what people want to know")]

pub mod any;
pub mod axum_app;
pub mod desk;
pub mod echo;
pub mod hyper_app;
pub mod settings;

use std::sync::Arc;

use voice_core::call::{CallConfig, ConfigError, Greeting};
use voice_core::conversation::ToolDefinition;
use voice_core::fleet::InOrder;
use voice_core::id::ProviderId;
use voice_core::record::{CallEvent, Entry};
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig, Rudeness};
use voice_telephony::sim::world::{Played, TOKEN, WEBHOOK, World};
use voice_telephony::sim::{FakeTwilioCall, TwilioCallPlan};

/// The agent: instructions, and a tool that looks up an order.
///
/// # Errors
/// If the settings did not fit together.
pub fn book_shop() -> Result<CallConfig, ConfigError> {
    let lookup = ToolDefinition {
        name: "lookup_order".into(),
        description: "Finds an order by its number and tells where it is.".into(),
        parameters: r#"{"type":"object","properties":{"number":{"type":"string"}},"required":["number"]}"#
            .into(),
    };
    CallConfig::builder("You are Ada and answer the phone of a small book shop. Be brief and kind.")
        .greeting(Greeting::Voice(Some("Greet the caller and ask how you can help.".into())))
        .tools(vec![lookup])
        .build()
}

/// What was said, as the caller heard it, in spoken order: `c` for the caller, `v` for the voice.
pub fn transcript(entries: &[Entry]) -> Vec<String> {
    // A transcription may come after the reply to it; the caller's turn stands where they began to speak.
    let mut lines: Vec<(u64, String)> = Vec::new();
    let mut begun = Vec::new();
    for entry in entries {
        if let CallEvent::CallerSpoke { utterance } = &entry.event {
            begun.push((*utterance, entry.seq));
        } else if let CallEvent::CallerSaid { utterance, text } = &entry.event {
            let at = begun.iter().find(|(u, _)| u == utterance).map_or(entry.seq, |(_, seq)| *seq);
            lines.push((at, format!("c: {}", text.expose())));
        } else if let CallEvent::ReplyStarted { reply, .. } = &entry.event {
            let heard = entries.iter().find_map(|e| match &e.event {
                CallEvent::ReplyHeard { reply: r, text, cut, .. } if r == reply => {
                    Some(format!("v: {}{}", text.expose(), if *cut { " …" } else { "" }))
                }
                _ => None,
            });
            lines.extend(heard.map(|line| (entry.seq, line)));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Calls the book shop: the real webhook, media socket, bridge and OpenAI session between a fake Twilio
/// whose caller follows the plan, and fakes of OpenAI (one for each connection) that are as rude as asked.
///
/// # Panics
/// If the settings of this example do not fit together.
pub fn call(
    seed: u64,
    plan: impl FnOnce(TwilioCallPlan) -> TwilioCallPlan,
    rude: &[Rudeness],
) -> Played<FakeTwilioCall, FakeOpenAi> {
    let key = Secret::new("sk-of-the-example".to_owned());
    let openai = OpenAi::new(OpenAiSettings::new(key).build().expect("the defaults are fine"));
    let fleet = InOrder::new(vec![(ProviderId::from_static("openai"), Arc::new(openai))]);
    let polite = TwilioCallPlan::new(WEBHOOK, Secret::new(TOKEN.to_owned())).with_seed(seed);
    let caller = FakeTwilioCall::new(MonoTime::ZERO, plan(polite));
    let rude = rude.to_vec();
    let mut connections = 0;
    let service = move |_: &_| {
        connections += 1;
        let mut config = FakeOpenAiConfig::new(seed + connections);
        // Who takes over behaves: one bad connection is enough for a story.
        config.rudeness = if connections == 1 { rude.clone() } else { Vec::new() };
        FakeOpenAi::new(config)
    };
    World::new(seed, caller, book_shop().expect("the settings fit"), fleet, Box::new(service)).play()
}
