//! What a server that died leaves to the next one, over sockets.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use voice_bin::store::{Journal, Store};
use voice_core::audio::AudioFormat;
use voice_core::consent::{Consent, Scope};
use voice_core::driver::Clock;
use voice_core::id::{CallId, CarrierId, CorrelationId};
use voice_core::record::{CallEvent, EndReason, Entry, Reader, Totals};
use voice_core::recording::{RecordingEnd, RecordingPlace};
use voice_core::time::MonoTime;
use voice_core::transfer::{TransferId, TransferKind};
use voice_telephony::rest::{HttpSend, Rest};
use voice_telephony::sim::{Script, Step};
use voice_telephony::transfer::TransferKey;

use crate::telnyx::{self, pause};

const CALL: CallId = CallId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0007);

/// A call over Telnyx in the middle of a transfer, and then nothing more.
fn cut_short() -> [CallEvent; 2] {
    let carrier_call = "v3:nobody-knows-this-one".to_owned();
    let (from, to) = ("+15005550009".into(), "+15005550006".into());
    let correlation = CorrelationId::from_static("c-7");
    let (carrier, format) = (CarrierId::from_static("telnyx"), AudioFormat::MULAW_8K);
    let (kind, name) = (TransferKind::Warm, "support".to_owned());
    [
        CallEvent::Started { carrier, carrier_call, format, from, to, correlation },
        CallEvent::Transferring { id: TransferId(1), kind, name, to: "+15005550008".into() },
    ]
}

/// A call over Telnyx that its carrier records, and then its server is no more: killed, or gone with a word.
fn recorded(goes: bool) -> Vec<CallEvent> {
    let [started, _] = cut_short();
    let consent = Consent::not_required("told before".parse().unwrap(), Scope::RECORDING);
    let recorded = CallEvent::RecordingStarted { consent, place: RecordingPlace::Carrier };
    let ended = CallEvent::Ended { reason: EndReason::Shutdown, totals: Totals::default() };
    [started, recorded].into_iter().chain(goes.then_some(ended)).collect()
}

#[tokio::test]
async fn a_recording_of_a_call_that_does_not_come_back_has_an_end_in_its_record() {
    for goes in [false, true] {
        let (clock, store) = (Clock::start(), Store::open("sqlite::memory:").await.unwrap());
        let journal = Journal::start(store.clone(), clock).reader();
        for (seq, event) in (1..).zip(recorded(goes)) {
            journal.read(CALL, &Entry { seq, at: MonoTime::from_millis(seq), event });
        }
        assert!(journal.flush().await);
        // Telnyx knows of no such call any more, and says so.
        let world = telnyx::world(|parts| {
            let others = parts.world.readers.iter().cloned();
            parts.world.readers = others.chain([Arc::new(journal.clone()) as Arc<dyn Reader>]).collect();
            parts.store = Some(store.clone());
        })
        .await;
        let is_end = |event: &CallEvent| {
            let reason = RecordingEnd::CallOver;
            matches!(event, CallEvent::RecordingStopped { reason: told, .. } if *told == reason)
        };
        for _ in 0..1_000 {
            if world.server.record.count(is_end) > 0 {
                break;
            }
            pause().await;
        }
        assert_eq!(world.server.record.count(is_end), 1, "goes: {goes}");
        world.server.stop().await;
        assert!(journal.flush().await);
        let row = store.call(CALL).await.unwrap().unwrap();
        let reason = if goes { "shutdown" } else { "caller_hung_up" };
        assert_eq!(row.reason.as_deref(), Some(reason), "the call is over");
        assert_eq!(store.recordings(CALL).await.unwrap()[0].reason.as_deref(), Some("call_over"));
    }
}

#[tokio::test]
async fn somebody_to_whom_a_caller_was_to_be_led_is_let_go() {
    let (clock, store) = (Clock::start(), Store::open("sqlite::memory:").await.unwrap());
    let journal = Journal::start(store.clone(), clock).reader();
    for (seq, event) in (1..).zip(cut_short()) {
        journal.read(CALL, &Entry { seq, at: MonoTime::from_millis(seq), event });
    }
    assert!(journal.flush().await);
    let exchange = telnyx::exchange().await;
    // Nobody hears their webhooks: the server is dead.
    let stays = Script::new(vec![Step::Pause(Duration::from_secs(60)), Step::HangUp]);
    let (leg, run) =
        exchange.connect(exchange.plan("http://127.0.0.1:1/", 1).with_script(stays).waits_for_dial());
    let running = tokio::spawn(run);
    let key = TransferKey { call: CALL, transfer: TransferId(1) };
    let dial = serde_json::json!({
        "command_id": "1", "connection_id": "2811212257810187875", "from": "+15005550006",
        "to": "+15005550008", "client_state": STANDARD.encode(key.to_string()),
    });
    let request = Request::post(format!("{}/calls", exchange.url))
        .header("authorization", format!("Bearer {}", telnyx::KEY))
        .body(Bytes::from(dial.to_string()));
    assert_eq!(Rest::plain().send(request.unwrap()).await.unwrap().status(), 200);
    let world = telnyx::world_at(exchange, |parts| parts.store = Some(store)).await;
    for _ in 0..1_000 {
        if !leg.commands().is_empty() {
            break;
        }
        pause().await;
    }
    assert_eq!(leg.commands(), ["hangup"]);
    running.abort();
    // Their own leg is asked for, too, and is no more.
    for _ in 0..1_000 {
        if !world.server.record.ends().is_empty() {
            break;
        }
        pause().await;
    }
    world.server.stop().await.settled(&["caller_hung_up"]);
}
