//! Calls over Twilio that do not end with their socket: those that are meant to end do, and once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::net::TcpListener;
use voice_bin::server::{OutboundParts, TwilioLine, TwilioRest};
use voice_bin::sim_net::serve_twilio_api;
use voice_core::call::{CallConfig, CallLimits, Greeting};
use voice_core::driver::Clock;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::rest::{HttpSend, Rest};
use voice_telephony::sim::{Script, Step, TwilioApiPlan};
use voice_telephony::twilio::rest::{Credentials, TwilioApi};

use crate::world::{Server, Silent, TOKEN};

const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";

fn listens(duration: Duration) -> Script {
    Script::new(vec![Step::Pause(duration), Step::HangUp])
}

/// A server whose calls have somewhere to go, a provider who says nothing, and a Twilio that can be asked.
async fn server(longest: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = Clock::start();
    let mut plan = TwilioApiPlan::new(ACCOUNT, Secret::new(TOKEN.to_owned()));
    plan.script = listens(Duration::from_secs(60));
    plan.unix = clock.unix(MonoTime::ZERO);
    let dial = Arc::new(Dialer::plain());
    tokio::spawn(serve_twilio_api(listener, clock, plan, dial, std::future::pending()));
    let token = || Secret::new(TOKEN.to_owned());
    let api = TwilioApi::new(ACCOUNT.parse().unwrap(), Credentials::AuthToken(token()));
    Server::with(|parts| {
        parts.world.fleet = Silent::fleet();
        let limits = CallLimits { call: longest, ..CallLimits::default() };
        let agent = CallConfig::builder("You are a test.").greeting(Greeting::Caller).limits(limits);
        parts.agent = Arc::new(agent.build().unwrap());
        parts.outbound = OutboundParts {
            http: Some(Arc::new(Rest::plain())),
            twilio: Some(TwilioLine {
                api: api.with_url(&url).unwrap(),
                from: "+15005550009".parse().unwrap(),
            }),
            ..OutboundParts::default()
        };
        parts.twilio.rest = Some(TwilioRest { token: token(), api_url: url });
    })
    .await
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_come_back() {
    let server = server(Duration::from_secs(60)).await;
    let report = server.call_with(server.plan().with_script(listens(Duration::from_millis(300)))).await;
    assert_eq!((report.streams, report.streams_refused), (1, 0), "{report:?}");
    assert!(report.completed, "{report:?}");
    server.stop().await.settled(&["caller_hung_up"]);
}

/// Its socket closes, and Twilio would go on; but it is told, too.
#[tokio::test]
async fn an_end_of_ours_is_told_over_rest() {
    let server = server(Duration::from_secs(1)).await;
    let place = Request::post(format!("http://{}/api/v1/telephony/outbound", server.address))
        .header("content-type", "application/json")
        .body(Bytes::from_static(br#"{"to_number":"+15005550006"}"#))
        .unwrap();
    let placed = Rest::plain().send(place).await.unwrap();
    let placed: serde_json::Value = serde_json::from_slice(placed.body()).unwrap();
    let page = format!(
        "http://{}/api/v1/telephony/outbound/{}",
        server.address,
        placed["call_id"].as_str().unwrap()
    );
    let shown = loop {
        let asked = Rest::plain().send(Request::get(&page).body(Bytes::new()).unwrap()).await.unwrap();
        let shown: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
        if shown["end"].is_string() {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(shown["status"], "completed", "{shown}");
    assert_eq!(server.record.calls().len(), 1);
    server.stop().await.settled(&["call_limit"]);
}
