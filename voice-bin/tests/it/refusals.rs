//! What is wrong gets a defined answer, and honest calls go on.

use std::time::Duration;

use voice_core::sensitive::Secret;
use voice_telephony::sim::{Rudeness, Script, Step, TwilioCallPlan};

use crate::world::{Server, Silent, TOKEN};

#[tokio::test]
async fn webhooks_that_are_not_the_carriers_are_refused_by_status() {
    let server = Server::start().await;
    for (rudeness, status) in
        [(Rudeness::Unsigned, 403), (Rudeness::WrongSignature, 403), (Rudeness::OversizedWebhook, 413)]
    {
        let report = server.call(&[rudeness]).await;
        assert_eq!((report.webhook_status, report.completed), (Some(status), false), "{rudeness:?}");
    }
    assert_eq!(server.record.ends(), Vec::<&str>::new());
    server.stop().await;
}

#[tokio::test]
async fn without_a_token_nobody_gets_in() {
    let server = Server::with(|parts| parts.twilio.tokens = voice_telephony::twilio::Tokens::default()).await;
    assert_eq!(server.call(&[]).await.webhook_status, Some(403));
    server.stop().await;
}

#[tokio::test]
async fn another_account_is_refused() {
    let server = Server::with(|parts| parts.twilio.account_sid = Some(format!("AC{}", "f".repeat(32)))).await;
    assert_eq!(server.call(&[]).await.webhook_status, Some(403));
    server.stop().await;
}

#[tokio::test]
async fn media_sockets_that_do_not_belong_to_a_call_are_closed_with_a_reason() {
    let server = Server::start().await;
    for (rudeness, code, reason) in [
        (Rudeness::UnknownTicket, 1008, "ticket_unknown"),
        (Rudeness::MissingTicket, 1008, "ticket_missing"),
        (Rudeness::EarlyMedia, 1008, "before_start"),
        (Rudeness::WrongFormat, 1003, "wrong_format"),
        (Rudeness::MalformedStart, 1007, "unreadable"),
    ] {
        let report = server.call(&[rudeness]).await;
        assert_eq!(report.closed, [(code, reason.to_owned())], "{rudeness:?}: {:?}", report.failure);
    }
    for rudeness in [Rudeness::UnsignedUpgrade, Rudeness::WrongUpgradeSignature] {
        let report = server.call(&[rudeness]).await;
        assert!(!report.completed && report.closed.is_empty(), "{rudeness:?}");
    }
    assert_eq!(server.record.ends(), Vec::<&str>::new(), "none of them became a call");
    server.stop().await;
}

#[tokio::test]
async fn a_ticket_opens_one_socket_only_and_the_call_goes_on() {
    let server = Server::with(|parts| parts.world.fleet = Silent::fleet()).await;
    let script = Script::new(vec![Step::Pause(Duration::from_millis(400)), Step::HangUp]);
    let plan = TwilioCallPlan::new(server.webhook(), Secret::new(TOKEN.to_owned()));
    let report = server.call_with(plan.with_script(script).with_rudeness([Rudeness::UsedTicket])).await;
    assert_eq!(report.closed, [(1008, "ticket_used".to_owned())]);
    server.stop().await.settled(&["caller_hung_up"]);
}

#[tokio::test]
async fn shutting_down_ends_the_calls_that_are_left_and_says_so() {
    let server = Server::with(|parts| {
        parts.world.fleet = Silent::fleet();
        parts.limits.drain = Duration::ZERO;
    })
    .await;
    let plan = TwilioCallPlan::new(server.webhook(), Secret::new(TOKEN.to_owned()));
    let script = Script::new(vec![Step::Pause(Duration::from_secs(3_600))]);
    let call = tokio::spawn(server.place(plan.with_script(script)));
    server.record.wait_for_live().await;
    server.stop().await.settled(&["shutdown"]);
    assert!(!call.await.unwrap().closed.is_empty());
}

#[tokio::test]
async fn an_honest_call_gets_in_and_its_end_is_told() {
    let server = Server::start().await;
    let report = server.call(&[]).await;
    assert_eq!(report.webhook_status, Some(200));
    assert_eq!(server.record.ends(), ["no_provider"]);
    server.stop().await;
}

#[tokio::test]
async fn one_call_too_many_hears_the_busy_tone() {
    let server = Server::with(|parts| parts.limits.calls_max = 0).await;
    let report = server.call(&[]).await;
    assert_eq!((report.webhook_status, report.completed), (Some(200), false));
    assert!(server.record.ends().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_webhook_under_another_address_than_the_signed_one_is_refused() {
    let public = voice_bin::config::Config::load(
        None,
        &std::collections::BTreeMap::from([("PUBLIC_URL", "https://voice.test")]),
    );
    let server = Server::with(|parts| parts.public_url = public.unwrap().public_url).await;
    let plan = TwilioCallPlan::new(server.webhook(), Secret::new(TOKEN.to_owned()));
    assert_eq!(server.call_with(plan).await.webhook_status, Some(403));
    server.stop().await;
}
