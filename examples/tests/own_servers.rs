//! A fake Twilio calls the two servers that embed the library, over real sockets in real time.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure like any other")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use voice_bin::sim_net::{run_caller, serve};
use voice_core::driver::Clock;
use voice_core::sensitive::Secret;
use voice_core::sim::peer::FakeService;
use voice_examples::desk::{Desk, WEBHOOK};
use voice_examples::{axum_app, book_shop, hyper_app, settings};
use voice_providers::dial::Dialer;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig};
use voice_telephony::sim::{CallReport, FakeTwilioCall, Rudeness, Script, Step, TwilioCallPlan};
use voice_telephony::twilio::Tokens;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A listener, and a desk that is reached through it and asks a fake OpenAI.
async fn desk() -> (TcpListener, SocketAddr, Arc<Desk>) {
    let voice = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/realtime", voice.local_addr().unwrap());
    let make = Arc::new(|| Box::new(FakeOpenAi::new(FakeOpenAiConfig::new(1))) as Box<dyn FakeService>);
    tokio::spawn(serve(voice, Clock::start(), make, std::future::pending::<()>()));

    let openai =
        OpenAi::new(OpenAiSettings::new(Secret::new("sk-of-a-test".to_owned())).url(url).build().unwrap());
    let world = settings::world(openai, Arc::new(Dialer::plain()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tokens = Tokens::new(Secret::new(TOKEN.to_owned()));
    let desk = Desk::new(format!("http://{address}"), tokens, book_shop().unwrap(), world).unwrap();
    (listener, address, Arc::new(desk))
}

/// Listens to the greeting and hangs up.
async fn call(address: SocketAddr, names: u64, rude: &[Rudeness]) -> CallReport {
    let script = Script::new(vec![
        Step::WaitForVoice { quiet: Duration::from_millis(300), patience: Duration::from_secs(20) },
        Step::HangUp,
    ]);
    let plan = TwilioCallPlan::new(format!("http://{address}{WEBHOOK}"), Secret::new(TOKEN.to_owned()))
        .with_names(names)
        .with_script(script)
        .with_rudeness(rude.iter().copied());
    let clock = Clock::start();
    run_caller(FakeTwilioCall::new(clock.now(), plan), Arc::new(Dialer::plain()), clock)
        .await
        .report()
        .clone()
}

async fn check(address: SocketAddr) {
    let polite = call(address, 1, &[Rudeness::DuplicateWebhook]).await;
    assert!(polite.completed, "{:?}", polite.failure);
    assert_eq!(polite.clips_heard(), ["greeting"]);
    for (names, rude, status) in [(2, Rudeness::Unsigned, 403), (3, Rudeness::WrongSignature, 403)] {
        assert_eq!(call(address, names, &[rude]).await.webhook_status, Some(status), "{rude}");
    }
    for (names, rude, reason) in
        [(4, Rudeness::UnknownTicket, "ticket_unknown"), (5, Rudeness::MissingTicket, "ticket_missing")]
    {
        assert_eq!(call(address, names, &[rude]).await.closed, [(1008, reason.to_owned())], "{rude}");
    }
    let unsigned = call(address, 6, &[Rudeness::UnsignedUpgrade]).await;
    assert!(!unsigned.completed && unsigned.closed.is_empty());
}

#[tokio::test]
async fn an_axum_app_answers_the_phone() {
    let (listener, address, desk) = desk().await;
    let app = axum_app::router(desk).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    check(address).await;
}

#[tokio::test]
async fn a_hyper_app_answers_the_phone() {
    let (listener, address, desk) = desk().await;
    tokio::spawn(hyper_app::serve(listener, desk));
    check(address).await;
}
