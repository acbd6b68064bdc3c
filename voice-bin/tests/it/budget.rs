//! Calls that have spent their budget: led to a cheaper voice, or said goodbye to.

use std::sync::Arc;

use voice_bin::telemetry::{Budget, BudgetAction, Metrics, Prices};
use voice_core::call::{CallConfig, Greeting};
use voice_core::capabilities::{MicroUsd, Price, Rate, TokenRates};
use voice_core::driver::SharedRoster;
use voice_core::id::{AttachmentId, ProviderId};
use voice_core::provider::{ProviderEvent, Usage};
use voice_core::record::Reader;
use voice_core::roster::{Candidate, RosterConfig};
use voice_telephony::sim::{Script, Step};

use crate::every_metric::Scripted;
use crate::world::Server;

/// Ready at once, and bills a thousand tokens when it has heard half a second.
fn dear(_: AttachmentId) -> Vec<(u32, ProviderEvent)> {
    let usage = Usage { audio_out: 1_000, ..Usage::default() };
    vec![(0, ProviderEvent::Ready { session: None, expires: None }), (25, ProviderEvent::Used(usage))]
}

/// A server with a dear voice, a cheap one and one whose price nobody knows.
async fn server(action: BudgetAction) -> Server {
    let price = |micros| {
        let usd = Some(MicroUsd(micros));
        let rates = TokenRates { text_in: usd, audio_in: usd, cached_in: usd, text_out: usd, audio_out: usd };
        Price { rate: Rate::PerToken(rates), as_of: "2026-11-21", source: "a test" }
    };
    let id = ProviderId::from_static;
    let prices = Prices::new([(id("dear"), price(64_000_000)), (id("cheap"), price(1_000_000))]);
    // A thousand tokens at 64 dollars a million are 0.064 dollars.
    let budget = Budget { limit: MicroUsd(64_000), warn_percent: 80, action };
    Server::with(|parts| {
        let candidate = |name| Candidate::new(id(name), Scripted::provider(dear));
        let candidates = vec![candidate("dear"), candidate("unpriced"), candidate("cheap")];
        parts.world.fleet = Arc::new(SharedRoster::new(RosterConfig::default(), candidates));
        parts.metrics = Metrics::unfed().unwrap().with_budget(prices, Some(budget));
        let mut readers = parts.world.readers.to_vec();
        readers.push(Arc::new(parts.metrics.reader()) as Arc<dyn Reader>);
        parts.world.readers = readers.into();
        parts.agent =
            Arc::new(CallConfig::builder("You are a test.").greeting(Greeting::Caller).build().unwrap());
    })
    .await
}

fn quiet(seconds: u64) -> Script {
    Script::new(vec![Step::Pause(std::time::Duration::from_secs(seconds))])
}

#[tokio::test]
async fn a_call_that_has_spent_its_budget_is_ended_after_a_goodbye() {
    let server = server(BudgetAction::End).await;
    let report = server.call_with(server.plan().with_script(quiet(60))).await;
    assert!(!report.heard.is_empty(), "a goodbye is heard before: {report:?}");
    let session = format!("/api/v1/sessions/{}/metrics", server.record.calls()[0]);
    let shown = server.ask(&session).await;
    assert!(shown.contains(r#""end_reason":"hung_up""#) && shown.contains(r#""dollars":0.064"#), "{shown}");
    assert!(shown.contains(r#""is_complete":true"#), "{shown}");
    server.stop().await.settled(&["hung_up"]);
}

#[tokio::test]
async fn a_call_that_has_spent_its_budget_is_led_to_the_cheapest() {
    let server = server(BudgetAction::Downgrade).await;
    server.call_with(server.plan().with_script(quiet(4))).await;
    assert_eq!(server.record.voices(), ["dear", "cheap"]);
    server.stop().await.settled(&["caller_hung_up"]);
}

#[tokio::test]
async fn a_call_below_its_budget_or_with_a_warning_goes_on() {
    let server = server(BudgetAction::Warn).await;
    server.call_with(server.plan().with_script(quiet(2))).await;
    assert_eq!(server.record.voices(), ["dear"]);
    server.stop().await.settled(&["caller_hung_up"]);
}
