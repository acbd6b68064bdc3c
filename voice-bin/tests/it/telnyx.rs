//! Calls over Telnyx, over sockets: a fake Telnyx with its API, callers and callees, and the real server
//! between.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpListener;
use voice_bin::server::{OutboundParts, Parts, TELNYX_WEBHOOK, TelnyxLine, TelnyxParts, TwilioLine};
use voice_bin::sim_net::{TelnyxCaller, TelnyxExchange, run_caller, serve_twilio_api};
use voice_core::driver::{Clock, Dial};
use voice_core::sensitive::Secret;
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};
use voice_providers::dial::Dialer;
use voice_telephony::rest::{HttpSend, Rest, RestError};
use voice_telephony::sim::{
    ApiRudeness, CallReport, FakeTelnyxCall, Script, Step, TelnyxCallPlan, TelnyxRooms, TelnyxRudeness,
    TwilioApiPlan,
};
use voice_telephony::telnyx::{Api, PublicKeys};
use voice_telephony::twilio::rest::{Credentials, TwilioApi};

use crate::world::{Record, Server, Silent, TOKEN};

pub(crate) const KEY: &str = "KEY0123456789";
const SEED: [u8; 32] = [9; 32];
const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";
const OUTBOUND: &str = "/api/v1/telephony/outbound";

/// A server that Telnyx calls, and a Telnyx that it commands.
pub(crate) struct World {
    pub(crate) server: Server,
    carrier: Exchange,
}

/// Somebody who hangs up soon, and not before their audio is led to us, which may take a second.
fn short() -> Script {
    Script::new(vec![Step::Pause(Duration::from_secs(2)), Step::HangUp])
}

/// Somebody who stays.
pub(crate) fn long() -> Script {
    Script::new(vec![Step::Pause(Duration::from_secs(60)), Step::HangUp])
}

fn plan(webhook: &str, names: u64) -> TelnyxCallPlan {
    TelnyxCallPlan::new(webhook, SEED, Secret::new(KEY.to_owned())).with_names(names).with_script(short())
}

/// A Telnyx, before there is a server.
pub(crate) struct Exchange {
    pub(crate) url: String,
    /// The account's conferences.
    pub(crate) rooms: TelnyxRooms,
    exchange: TelnyxExchange,
    clock: Clock,
}

pub(crate) async fn exchange() -> Exchange {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2", listener.local_addr().unwrap());
    let (clock, exchange) = (Clock::start(), TelnyxExchange::default());
    // Ends with the test.
    tokio::spawn(exchange.clone().serve(listener, clock, std::future::pending()));
    Exchange { url, rooms: TelnyxRooms::default(), exchange, clock }
}

pub(crate) async fn world(change: impl FnOnce(&mut Parts)) -> World {
    world_at(exchange().await, change).await
}

pub(crate) async fn world_at(carrier: Exchange, change: impl FnOnce(&mut Parts)) -> World {
    let api = Api::new(&carrier.url, &Secret::new(KEY.to_owned())).unwrap();
    let server = Server::with(|parts| {
        parts.world.fleet = Silent::fleet();
        let keys = PublicKeys::new(plan("", 0).public_key().parse().unwrap());
        parts.telnyx = TelnyxParts { keys, api: Some(api.clone()) };
        let from = "+15005550006".parse().unwrap();
        let line = TelnyxLine { api, connection: "2811212257810187875".parse().unwrap(), from };
        parts.outbound = OutboundParts {
            http: Some(Arc::new(Rest::plain())),
            telnyx: Some(line),
            ..OutboundParts::default()
        };
        change(parts);
    })
    .await;
    World { server, carrier }
}

impl Exchange {
    /// A call whose webhooks go there.
    pub(crate) fn plan(&self, webhook: &str, names: u64) -> TelnyxCallPlan {
        plan(webhook, names).with_epoch(self.clock.unix(MonoTime::ZERO)).in_rooms(self.rooms.clone())
    }

    /// A call that the API knows, run to its end by the future.
    pub(crate) fn connect(
        &self,
        plan: TelnyxCallPlan,
    ) -> (TelnyxCaller, impl Future<Output = CallReport> + Send + use<>) {
        let clock = self.clock;
        let caller = self.exchange.connect(FakeTelnyxCall::new(clock.now(), plan), clock);
        let running = caller.clone();
        let run = async move { run_caller(running, Arc::new(Dialer::plain()), clock).await.report() };
        (caller, run)
    }
}

impl World {
    fn webhook(&self) -> String {
        format!("http://{}{TELNYX_WEBHOOK}", self.server.address)
    }

    pub(crate) fn rooms(&self) -> &TelnyxRooms {
        &self.carrier.rooms
    }

    pub(crate) fn plan(&self, names: u64) -> TelnyxCallPlan {
        self.carrier.plan(&self.webhook(), names)
    }

    /// A call that the API knows, run to its end by the future.
    pub(crate) fn connect(
        &self,
        plan: TelnyxCallPlan,
    ) -> (TelnyxCaller, impl Future<Output = CallReport> + Send + use<>) {
        self.carrier.connect(plan)
    }

    pub(crate) async fn call(&self, plan: TelnyxCallPlan) -> (CallReport, Vec<String>) {
        let (caller, run) = self.connect(plan);
        let report = run.await;
        (report, caller.commands())
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Response<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server.address))
            .header("content-type", "application/json")
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        Rest::plain().send(request).await.unwrap()
    }

    pub(crate) async fn order(&self, body: &str) -> String {
        let response = self.ask("POST", OUTBOUND, body).await;
        assert_eq!(response.status(), 202, "{:?}", response.body());
        json(&response)["call_id"].as_str().unwrap().to_owned()
    }

    /// What is told of a call of ours once it is over.
    async fn outcome(&self, call: &str) -> serde_json::Value {
        loop {
            let shown = json(&self.ask("GET", &format!("{OUTBOUND}/{call}"), "").await);
            if shown["end"].is_string() {
                return shown;
            }
            pause().await;
        }
    }
}

/// Between two looks, so that a test that waits for long leaves the processor to the others.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

pub(crate) fn json(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn a_caller_is_answered_heard_and_hangs_up() {
    let world = world(|_| {}).await;
    for (names, alaw) in [(1, false), (2, true)] {
        let plan = world.plan(names);
        let plan = if alaw { plan.speaks_alaw() } else { plan };
        let (report, commands) = world.call(plan).await;
        assert!(report.completed, "{report:?}");
        // The caller hung up: nobody does it again.
        assert_eq!(commands, ["answer", "streaming_start"]);
        assert_eq!(report.callbacks_refused, 0);
        assert!(report.traffic.frames_sent > 10 && report.traffic.invalid_messages == 0, "{report:?}");
    }
    world.server.stop().await.settled(&["caller_hung_up", "caller_hung_up"]);
}

#[tokio::test]
async fn what_a_carrier_may_do_does_no_harm() {
    let world = world(|_| {}).await;
    for (names, rudeness) in [
        vec![TelnyxRudeness::DoubledWebhooks, TelnyxRudeness::UnknownEvents],
        vec![TelnyxRudeness::DisorderedWebhooks, TelnyxRudeness::TitleCaseHeaders],
        vec![TelnyxRudeness::ApiSilent, TelnyxRudeness::BearerTicket],
        vec![TelnyxRudeness::ApiFails, TelnyxRudeness::ParameterTicket],
        vec![TelnyxRudeness::ApiThrottles],
    ]
    .into_iter()
    .enumerate()
    {
        let (report, commands) =
            world.call(world.plan(names as u64).with_rudeness(rudeness.iter().copied())).await;
        assert!(report.completed, "{rudeness:?}: {report:?}");
        assert_eq!(commands, ["answer", "streaming_start"], "{rudeness:?}");
    }
    world.server.stop().await.settled(&["caller_hung_up"; 5]);
}

#[tokio::test]
async fn when_we_hang_up_the_leg_is_hung_up_once() {
    let world = world(|_| {}).await;
    let (caller, run) = world.connect(world.plan(1).with_script(long()));
    let running = tokio::spawn(run);
    world.server.record.wait_for_live().await;
    let call = world.server.record.calls().remove(0);
    let ended = world.ask("POST", &format!("/api/v1/sessions/{call}/end"), "").await;
    assert!(ended.status().is_success(), "{ended:?}");
    let report = running.await.unwrap();
    assert_eq!(caller.commands(), ["answer", "streaming_start", "hangup"], "{report:?}");
    world.server.stop().await.settled(&["hung_up"]);
}

/// A call whose sockets stay open after it is over, until the server has ended the conversation.
struct LeftOpen {
    call: TelnyxCaller,
    clock: Clock,
    record: Arc<Record>,
}

impl FakeCaller for LeftOpen {
    fn handle(&mut self, now: MonoTime, input: CallerInput<'_>) {
        self.call.handle(now, input);
    }

    fn poll(&mut self) -> CallerOutput {
        let output = self.call.poll();
        if matches!(output, CallerOutput::Done) && self.record.ends().is_empty() {
            return CallerOutput::WaitUntil(Some(self.clock.now() + Duration::from_millis(20)));
        }
        output
    }
}

#[tokio::test]
async fn a_hang_up_ends_the_conversation_whatever_the_socket_does() {
    let world = world(|_| {}).await;
    let (call, _) = world.connect(world.plan(1).with_rudeness([TelnyxRudeness::LeftOpen]));
    let (clock, record) = (world.carrier.clock, world.server.record.clone());
    let caller = LeftOpen { call: call.clone(), clock, record };
    run_caller(caller, Arc::new(Dialer::plain()), clock).await;
    assert_eq!((call.report().completed, call.commands().len()), (true, 2), "{:?}", call.report());
    world.server.stop().await.settled(&["hung_up"]);
}

#[tokio::test]
async fn a_stream_that_fails_is_started_again_with_a_ticket_of_its_own() {
    let world = world(|_| {}).await;
    let (report, commands) = world.call(world.plan(1).with_rudeness([TelnyxRudeness::StreamFails])).await;
    assert!(report.completed, "{report:?}");
    assert_eq!(commands, ["answer", "streaming_start", "streaming_start"]);
    world.server.stop().await.settled(&["caller_hung_up"]);
}

#[tokio::test]
async fn a_socket_that_breaks_in_the_middle_costs_neither_the_call_nor_the_conversation() {
    let world = world(|_| {}).await;
    let stays = Script::new(vec![Step::Pause(Duration::from_secs(6)), Step::HangUp]);
    let plan = world.plan(1).with_script(stays).with_rudeness([TelnyxRudeness::Cut]);
    let (report, commands) = world.call(plan).await;
    assert!(report.completed, "{report:?}");
    assert_eq!(commands, ["answer", "streaming_start", "streaming_start"]);
    assert_eq!(world.server.record.calls().len(), 1, "the conversation goes on in its record");
    world.server.stop().await.settled(&["carrier_line_down", "caller_hung_up"]);
}

#[tokio::test]
async fn what_is_not_signed_now_and_by_telnyx_is_refused() {
    let world = world(|_| {}).await;
    for (names, (rudeness, status)) in [
        (TelnyxRudeness::Unsigned, 403),
        (TelnyxRudeness::WrongSignature, 403),
        (TelnyxRudeness::StaleSignature, 403),
        (TelnyxRudeness::OversizedWebhook, 413),
    ]
    .into_iter()
    .enumerate()
    {
        let (caller, run) = world.connect(world.plan(names as u64).with_rudeness([rudeness]));
        let waiting = tokio::spawn(run);
        while caller.report().callbacks_refused == 0 && !waiting.is_finished() {
            pause().await;
        }
        assert_eq!(caller.report().webhook_status, Some(status), "{rudeness:?}");
        assert!(caller.commands().is_empty(), "{rudeness:?}: nobody answers");
        waiting.abort();
    }
    world.server.stop().await.settled(&[]);
}

#[tokio::test]
async fn without_a_public_key_nobody_gets_in() {
    let world = world(|parts| parts.telnyx.keys = PublicKeys::default()).await;
    let (caller, run) = world.connect(world.plan(1));
    let waiting = tokio::spawn(run);
    while caller.report().callbacks_refused == 0 && !waiting.is_finished() {
        pause().await;
    }
    assert_eq!((caller.report().webhook_status, caller.commands().len()), (Some(403), 0));
    waiting.abort();
    world.server.stop().await.settled(&[]);
}

#[tokio::test]
async fn a_webhook_that_is_sent_again_does_nothing_again() {
    let world = world(|_| {}).await;
    let caught = FakeTelnyxCall::new(world.carrier.clock.now(), world.plan(1)).first_webhook().unwrap();
    let send = || async {
        match Dialer::plain().dial(caught.clone()).await {
            Ok(_answered) => 200,
            Err(LineEnd::Refused { status, .. }) => status,
            Err(other) => panic!("no answer: {other:?}"),
        }
    };
    // The call is told of by whoever caught its first webhook, twice.
    let (caller, _never_run) = world.connect(world.plan(1));
    assert_eq!((send().await, send().await), (200, 200));
    while caller.commands().is_empty() {
        pause().await;
    }
    assert_eq!(send().await, 200);
    assert_eq!(caller.commands(), ["answer"]);
}

#[tokio::test]
async fn a_media_socket_needs_the_ticket_of_its_call() {
    let world = world(|_| {}).await;
    for (names, (rudeness, reason)) in
        [(TelnyxRudeness::MissingTicket, "ticket_missing"), (TelnyxRudeness::UnknownTicket, "ticket_unknown")]
            .into_iter()
            .enumerate()
    {
        let (caller, run) = world.connect(world.plan(names as u64).with_rudeness([rudeness]));
        let waiting = tokio::spawn(run);
        while caller.report().closed.is_empty() && !waiting.is_finished() {
            pause().await;
        }
        assert_eq!(caller.report().closed.first(), Some(&(1008, reason.to_owned())), "{rudeness:?}");
        waiting.abort();
    }
    let (report, _) = world.call(world.plan(7).with_rudeness([TelnyxRudeness::UsedTicket])).await;
    assert_eq!((report.completed, report.closed), (true, vec![(1008, "ticket_used".to_owned())]));
    // A stranger, without anything.
    let url = format!("ws://{}/api/v1/telephony/media/telnyx", world.server.address);
    let mut line = Dialer::plain().dial(Endpoint::web_socket(url)).await.unwrap();
    line.offer(WireMessage::text(r#"{"event":"media","media":{"payload":""}}"#)).unwrap();
    let end = std::future::poll_fn(|cx| line.poll(cx)).await.unwrap_err();
    assert_eq!(end, LineEnd::Closed { code: 1008, reason: "before_start".to_owned() });
    assert_eq!(world.server.record.ends(), ["caller_hung_up"], "of all of them one became a call");
}

#[tokio::test]
async fn one_call_too_many_is_busy() {
    let world = world(|parts| parts.limits.calls_max = 0).await;
    let (report, commands) = world.call(world.plan(1)).await;
    assert_eq!(
        (report.failure.as_deref(), commands),
        (Some("hung up: user_busy"), vec!["reject".to_owned()])
    );
    world.server.stop().await.settled(&[]);
}

#[tokio::test]
async fn a_server_that_stops_hangs_up() {
    let world = world(|parts| parts.limits.drain = Duration::ZERO).await;
    let (caller, run) = world.connect(world.plan(1).with_script(long()));
    let running = tokio::spawn(run);
    world.server.record.wait_for_live().await;
    world.server.stop().await.settled(&["shutdown"]);
    running.await.unwrap();
    assert_eq!(caller.commands(), ["answer", "streaming_start", "hangup"]);
}

#[tokio::test]
async fn a_call_of_ours_is_answered_and_talked() {
    let world = world(|_| {}).await;
    let (caller, run) = world.connect(world.plan(1).waits_for_dial());
    let running = tokio::spawn(run);
    let call = world.order(r#"{"to_number":"+15005550009","telephony_provider":"telnyx"}"#).await;
    let shown = world.outcome(&call).await;
    assert_eq!(
        (&shown["end"], &shown["telephony_provider"]),
        (&"completed".into(), &"telnyx".into()),
        "{shown}"
    );
    assert_eq!(caller.commands(), ["streaming_start"]);
    assert!(running.await.unwrap().completed);
    // The call that was talked is the one that was ordered.
    assert_eq!(world.server.record.calls(), [call]);
    world.server.stop().await;
}

#[tokio::test]
async fn a_call_of_ours_can_be_ended_and_its_audio_ends_with_it() {
    let world = world(|_| {}).await;
    let (_, run) = world.connect(world.plan(1).waits_for_dial().with_script(long()));
    let running = tokio::spawn(run);
    let call = world.order(r#"{"to_number":"+15005550009"}"#).await;
    world.server.record.wait_for_live().await;
    let ended = world.ask("DELETE", &format!("{OUTBOUND}/{call}"), "").await;
    assert_eq!(ended.status(), 202);
    assert_eq!(world.outcome(&call).await["end"], "completed");
    running.await.unwrap();
    assert_eq!(world.server.stop().await.ends().len(), 1);
}

#[tokio::test]
async fn who_is_busy_at_telnyx_is_not_called_again() {
    let world = world(|_| {}).await;
    let (_, run) = world.connect(world.plan(1).waits_for_dial().is_busy());
    let running = tokio::spawn(run);
    let call = world.order(r#"{"to_number":"+15005550009","voicemail":"hang_up"}"#).await;
    assert_eq!(world.outcome(&call).await["end"], "busy");
    running.await.unwrap();
    world.server.stop().await.settled(&[]);
}

#[tokio::test]
async fn a_message_is_left_after_the_beep_and_nobody_talks_over_it() {
    let world = world(|_| {}).await;
    let (caller, run) = world.connect(world.plan(1).waits_for_dial().is_machine().with_script(long()));
    let running = tokio::spawn(run);
    let order = r#"{"to_number":"+15005550009","voicemail":"leave_message","voicemail_message":"Call us."}"#;
    let call = world.order(order).await;
    let shown = world.outcome(&call).await;
    assert_eq!(
        (&shown["end"], &shown["answered_by"]),
        (&"message_left".into(), &"machine".into()),
        "{shown}"
    );
    assert_eq!(running.await.unwrap().announced, ["Call us."]);
    assert_eq!(caller.commands(), ["streaming_start", "speak", "hangup"]);
    world.server.stop().await.settled(&["hung_up"]);
}

/// Both carriers, Twilio first.
async fn both(twilio: &[ApiRudeness]) -> World {
    both_with(twilio, |_| {}).await
}

async fn both_with(twilio: &[ApiRudeness], change: impl FnOnce(&mut Parts)) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = Clock::start();
    let mut plan = TwilioApiPlan::new(ACCOUNT, Secret::new(TOKEN.to_owned()));
    plan.rudeness = twilio.to_vec();
    plan.script = short();
    plan.unix = clock.unix(MonoTime::ZERO);
    tokio::spawn(serve_twilio_api(listener, clock, plan, Arc::new(Dialer::plain()), std::future::pending()));
    world(|parts| {
        parts.outbound.twilio = Some(twilio_at(&url));
        change(parts);
    })
    .await
}

fn twilio_at(url: &str) -> TwilioLine {
    let credentials = Credentials::AuthToken(Secret::new(TOKEN.to_owned()));
    let api = TwilioApi::new(ACCOUNT.parse().unwrap(), credentials).with_url(url).unwrap();
    TwilioLine { api, from: "+15005550006".parse().unwrap() }
}

/// The call is placed by Telnyx, rings there once, and is talked.
async fn is_taken_by_telnyx(world: World) {
    let (caller, run) = world.connect(world.plan(1).waits_for_dial());
    let running = tokio::spawn(run);
    let call = world.order(r#"{"to_number":"+15005550009"}"#).await;
    let shown = world.outcome(&call).await;
    assert_eq!(
        (&shown["end"], &shown["telephony_provider"]),
        (&"completed".into(), &"telnyx".into()),
        "{shown}"
    );
    assert!(running.await.unwrap().completed);
    assert_eq!(caller.commands(), ["streaming_start"]);
    assert_eq!(world.server.record.calls(), [call]);
    world.server.stop().await;
}

#[tokio::test]
async fn the_other_carrier_is_asked_when_the_first_refuses_the_number() {
    is_taken_by_telnyx(both(&[ApiRudeness::NumberRefused]).await).await;
}

#[tokio::test]
async fn the_other_carrier_is_asked_when_the_first_cannot_be_reached() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let world = world(|parts| parts.outbound.twilio = Some(twilio_at(&format!("http://{nobody}")))).await;
    is_taken_by_telnyx(world).await;
}

/// Twilio fails inside whenever it is asked for a call; whatever else it is asked it answers.
struct Fails(Rest);

#[async_trait::async_trait]
impl HttpSend for Fails {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
        if request.method() == "POST" && request.uri().path().ends_with("/Calls.json") {
            return Ok(Response::builder().status(503).body(Bytes::new()).unwrap());
        }
        self.0.send(request).await
    }
}

/// Takes half a minute: a server error proves nothing, so the call is looked for four times first.
#[tokio::test]
async fn the_other_carrier_is_asked_when_the_first_failed_and_has_no_such_call() {
    let fails = |parts: &mut Parts| parts.outbound.http = Some(Arc::new(Fails(Rest::plain())));
    is_taken_by_telnyx(both_with(&[], fails).await).await;
}

/// And where it does not even answer that, nobody else is asked at all.
#[tokio::test]
async fn nobody_else_is_asked_while_nobody_knows() {
    let world = both(&[ApiRudeness::ServerError]).await;
    let (caller, run) = world.connect(world.plan(1).waits_for_dial());
    let waiting = tokio::spawn(run);
    let call = world.order(r#"{"to_number":"+15005550009"}"#).await;
    assert_eq!(world.outcome(&call).await["end"], "uncertain");
    assert_eq!(caller.report().callbacks_taken, 0, "it never rang");
    waiting.abort();
    world.server.stop().await.settled(&[]);
}

#[tokio::test]
async fn nobody_else_is_asked_once_a_carrier_may_have_accepted() {
    for rudeness in [ApiRudeness::ServerErrorAfter, ApiRudeness::AcceptsThenCuts] {
        let world = both(&[rudeness]).await;
        let (caller, run) = world.connect(world.plan(1).waits_for_dial());
        let waiting = tokio::spawn(run);
        let call = world.order(r#"{"to_number":"+15005550009"}"#).await;
        let shown = world.outcome(&call).await;
        assert_eq!(
            (&shown["end"], &shown["telephony_provider"]),
            (&"completed".into(), &"twilio".into()),
            "{shown}"
        );
        assert_eq!(
            (caller.report().callbacks_taken, caller.commands().len()),
            (0, 0),
            "{rudeness:?}: it never rang"
        );
        waiting.abort();
        world.server.stop().await;
    }
}

#[tokio::test]
async fn telnyx_hands_over_too_and_keeps_what_it_may_have_accepted() {
    // Its key is refused: nothing was done.
    let world = both(&[]).await;
    let refusing = world.plan(1).waits_for_dial().with_rudeness([TelnyxRudeness::ApiRefuses]);
    let (_, run) = world.connect(refusing);
    let waiting = tokio::spawn(run);
    let wish = r#"{"to_number":"+15005550009","telephony_provider":"telnyx"}"#;
    let call = world.order(wish).await;
    let shown = world.outcome(&call).await;
    assert_eq!(
        (&shown["end"], &shown["telephony_provider"]),
        (&"completed".into(), &"twilio".into()),
        "{shown}"
    );
    waiting.abort();
    world.server.stop().await;
    // It dials, and says that it failed, or nothing.
    for rudeness in [TelnyxRudeness::ApiFails, TelnyxRudeness::ApiSilent] {
        let world = both(&[]).await;
        let (_, run) = world.connect(world.plan(1).waits_for_dial().with_rudeness([rudeness]));
        let running = tokio::spawn(run);
        let call = world.order(wish).await;
        let shown = world.outcome(&call).await;
        assert_eq!(
            (&shown["end"], &shown["telephony_provider"]),
            (&"completed".into(), &"telnyx".into()),
            "{shown}"
        );
        assert!(running.await.unwrap().completed);
        assert_eq!(world.server.record.calls(), [call]);
        world.server.stop().await;
    }
}
