//! Callers who are led to somebody else, over sockets: the real server between fake carriers, callers and
//! whoever they are led to.

use std::time::Duration;

use tokio::sync::oneshot;
use voice_bin::sim_net::TelnyxCaller;
use voice_core::record::CallEvent;
use voice_telephony::sim::{ApiRudeness, CallReport, Script, Step, TelnyxRudeness, TwilioApiPlan};

use crate::telnyx::{self, json, long, pause};
use crate::twilio;

fn stays(length: Duration) -> Script {
    Script::new(vec![Step::Pause(length), Step::HangUp])
}

/// A caller over Telnyx, and somebody to whom they may be led.
struct OverTelnyx {
    world: telnyx::World,
    caller: TelnyxCaller,
    other: TelnyxCaller,
    call: String,
}

impl OverTelnyx {
    async fn with(
        other: impl FnOnce(voice_telephony::sim::TelnyxCallPlan) -> voice_telephony::sim::TelnyxCallPlan,
    ) -> Self {
        let world = telnyx::world(|_| {}).await;
        let (caller, run) = world.connect(world.plan(1).with_script(long()));
        // Both end with the test at the latest.
        tokio::spawn(run);
        world.server.record.wait_for_live().await;
        let call = world.server.record.calls().remove(0);
        let (other, run) = world.connect(other(world.plan(2)).waits_for_dial());
        tokio::spawn(run);
        Self { world, caller, other, call }
    }

    async fn transfer(&self, body: &str) -> u16 {
        let path = format!("/api/v1/sessions/{}/transfer", self.call);
        self.world.ask("POST", &path, body).await.status().as_u16()
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..4_000 {
            if is_so(self) {
                return;
            }
            pause().await;
        }
        let (told, ends) = (self.told(), self.world.server.record.ends());
        panic!("it never is so: {told:?}, {ends:?}, {:?}", self.caller.commands());
    }

    fn told(&self) -> Vec<&'static str> {
        self.world.server.record.transfers()
    }
}

const WISH: &str = r#"{"to":"+15005550008","summary":"A cat is ill."}"#;

#[tokio::test]
async fn over_telnyx_somebody_hears_the_summary_and_has_the_caller() {
    let over = OverTelnyx::with(|plan| plan.with_script(stays(Duration::from_secs(4)))).await;
    assert_eq!(over.transfer(WISH).await, 202);
    assert_eq!(over.transfer(WISH).await, 409, "one at a time");
    let shown = over.world.ask("GET", &format!("/api/v1/sessions/{}/transfer", over.call), "").await;
    assert_eq!(json(&shown)["in_progress"], true);
    over.until(|over| !over.world.server.record.ends().is_empty()).await;
    let announced = over.other.report().announced;
    assert_eq!(announced, ["A caller is being put through to you. A cat is ill."]);
    assert_eq!((over.told(), over.world.server.record.ends()), (vec!["answered"], vec!["transfer"]));
    // They talk without us, until one of them hangs up.
    over.until(|over| over.caller.report().completed && over.other.report().completed).await;
    assert_eq!(over.other.commands(), ["speak", "bridge"]);
    assert!(!over.caller.commands().contains(&"hangup".to_owned()), "{:?}", over.caller.commands());
    over.world.server.stop().await.settled(&["transfer"]);
}

#[tokio::test]
async fn over_telnyx_who_cannot_be_reached_gives_the_caller_back() {
    type Change = fn(voice_telephony::sim::TelnyxCallPlan) -> voice_telephony::sim::TelnyxCallPlan;
    let cases: [(Change, &str, &str); 3] = [
        (|plan| plan.is_busy(), WISH, "busy"),
        (|plan| plan.is_machine(), WISH, "machine"),
        (|plan| plan.with_script(stays(Duration::from_millis(300))), WISH, "hung_up"),
    ];
    for (other, wish, why) in cases {
        let over = OverTelnyx::with(other).await;
        assert_eq!(over.transfer(wish).await, 202);
        over.until(|over| over.told().last() == Some(&why)).await;
        assert_eq!(over.told().iter().filter(|told| **told != "answered").count(), 1, "{:?}", over.told());
        let shown = over.world.ask("GET", &format!("/api/v1/sessions/{}", over.call), "").await;
        assert_eq!(json(&shown)["on_hold"], false, "{why}: the caller is with the voice again");
        assert!(over.world.server.record.ends().is_empty(), "{why}");
        // Nothing is left of the other leg.
        over.until(|over| over.other.report().failure.is_some() || over.other.report().completed).await;
    }
}

#[tokio::test]
async fn over_telnyx_a_caller_who_hangs_up_ends_the_other_leg_once() {
    let over = OverTelnyx::with(|plan| plan.nobody_answers()).await;
    assert_eq!(over.transfer(WISH).await, 202);
    pause().await;
    let hung_up = over.world.ask("POST", &format!("/api/v1/sessions/{}/end", over.call), "").await;
    assert_eq!(hung_up.status(), 202);
    over.until(|over| over.other.commands() == ["hangup"]).await;
    assert_eq!(over.told(), ["call_over"]);
    over.world.server.stop().await.settled(&["hung_up"]);
}

impl OverTelnyx {
    async fn confer(&self) -> u16 {
        let path = format!("/api/v1/sessions/{}/conference", self.call);
        self.world.ask("POST", &path, r#"{"name":"board room"}"#).await.status().as_u16()
    }
}

/// A caller over Telnyx, alone with the voice.
async fn alone_over_telnyx(rudeness: &[TelnyxRudeness]) -> OverTelnyx {
    let world = telnyx::world(|_| {}).await;
    let plan = world.plan(1).with_script(long()).with_rudeness(rudeness.iter().copied());
    let (caller, run) = world.connect(plan);
    tokio::spawn(run);
    world.server.record.wait_for_live().await;
    let call = world.server.record.calls().remove(0);
    OverTelnyx { world, other: caller.clone(), caller, call }
}

#[tokio::test]
async fn over_telnyx_a_caller_begins_a_conference_or_joins_the_one_that_is_there() {
    for is_there in [false, true] {
        let over = alone_over_telnyx(&[]).await;
        let rooms = over.world.rooms().clone();
        if is_there {
            assert!(rooms.begin("board room", "somebody else").is_some());
        }
        assert_eq!(over.confer().await, 202);
        over.until(|over| !over.world.server.record.ends().is_empty()).await;
        assert_eq!(over.world.server.record.ends(), ["transfer"]);
        assert_eq!(rooms.most("board room"), if is_there { 2 } else { 1 });
        let last = if is_there { "join" } else { "create" };
        assert_eq!(over.caller.commands().last().map(String::as_str), Some(last), "their line stands");
        over.world.server.stop().await.settled(&["transfer"]);
    }
}

/// Telnyx parks a leg whose conference is over, and somebody must end it. Nobody here talks with it any more.
#[tokio::test]
async fn over_telnyx_a_caller_whose_conference_is_over_is_hung_up_and_so_is_one_who_is_to_go() {
    for ended_by in ["conference", "hangup", "end"] {
        let over = alone_over_telnyx(&[]).await;
        let rooms = over.world.rooms().clone();
        assert_eq!(over.confer().await, 202);
        over.until(|over| !over.world.server.record.ends().is_empty()).await;
        assert_eq!(rooms.most("board room"), 1);
        if ended_by == "conference" {
            rooms.end("board room");
        } else {
            let path = format!("/api/v1/sessions/{}/{ended_by}", over.call);
            assert_eq!(over.world.ask("POST", &path, "").await.status(), 202, "{ended_by}");
        }
        over.until(|over| over.caller.commands().last().is_some_and(|last| last == "hangup")).await;
        over.world.server.stop().await.settled(&["transfer"]);
    }
}

#[tokio::test]
async fn over_telnyx_a_conference_that_is_refused_gives_the_caller_back() {
    let over = alone_over_telnyx(&[TelnyxRudeness::NoConferences]).await;
    assert_eq!(over.confer().await, 202);
    over.until(|over| over.told() == ["carrier"]).await;
    let shown = over.world.ask("GET", &format!("/api/v1/sessions/{}", over.call), "").await;
    assert_eq!((&json(&shown)["on_hold"], &json(&shown)["status"]), (&false.into(), &"active".into()));
    assert!(over.world.server.record.ends().is_empty());
}

/// A caller over Twilio, and an account that can call somebody.
struct OverTwilio {
    world: twilio::World,
    call: String,
    report: oneshot::Receiver<CallReport>,
}

impl OverTwilio {
    async fn with(change: impl FnOnce(&mut TwilioApiPlan)) -> Self {
        let world = twilio::world(change, |_| {}).await;
        let report = world.call(|plan| plan.with_script(long())).await;
        world.server.record.wait_for_live().await;
        let call = world.server.record.calls().remove(0);
        Self { world, call, report }
    }

    async fn post(&self, what: &str, body: &str) -> String {
        let (path, length) = (format!("/api/v1/sessions/{}/{what}", self.call), body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}"
        );
        self.world.server.exchange(&format!("{head}\r\n\r\n{body}")).await
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            pause().await;
        }
    }

    fn told(&self) -> Vec<&'static str> {
        self.world.server.record.transfers()
    }
}

#[tokio::test]
async fn over_twilio_somebody_accepts_by_a_key_and_has_the_caller() {
    let over = OverTwilio::with(|plan| {
        plan.presses = Some('1');
        plan.leaves_after = Some(Duration::from_secs(12));
    })
    .await;
    let wish = r#"{"to":"+15005550008","summary":"A cat is ill.","accept":true}"#;
    let answer = over.post("transfer", wish).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    over.until(|over| !over.world.server.record.ends().is_empty()).await;
    assert_eq!((over.told(), over.world.server.record.ends()), (vec!["answered"], vec!["transfer"]));
    let room = || over.world.rooms.names().first().cloned().unwrap_or_default();
    over.until(|over| over.world.rooms.most(&room()) == 2).await;
    // The other hangs up, and the caller's leg ends with that.
    let OverTwilio { world, report, .. } = over;
    let report = report.await.unwrap();
    assert!(report.traffic.frames_received > 0, "they heard music meanwhile: {report:?}");
    world.server.stop().await.settled(&["transfer"]);
}

#[tokio::test]
async fn over_twilio_who_cannot_be_reached_gives_the_caller_back() {
    type Case = (fn(&mut TwilioApiPlan), &'static str, &'static str);
    let cases: [Case; 4] = [
        (|plan| plan.rudeness = vec![ApiRudeness::Busy], r#"{"to":"+15005550008"}"#, "busy"),
        (|plan| plan.rudeness = vec![ApiRudeness::ServerError], r#"{"to":"+15005550008"}"#, "carrier"),
        (|plan| plan.presses = Some('2'), r#"{"to":"+15005550008","accept":true}"#, "declined"),
        (
            |plan| plan.leaves_after = Some(Duration::from_secs(1)),
            r#"{"to":"+15005550008","summary":"This takes longer than anybody has patience for today."}"#,
            "hung_up",
        ),
    ];
    for (change, wish, why) in cases {
        let over = OverTwilio::with(change).await;
        let answer = over.post("transfer", wish).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        // An answer that may have come too late is waited for.
        over.until(|over| over.told().last() == Some(&why)).await;
        assert_eq!(over.told().iter().filter(|told| **told != "answered").count(), 1, "{:?}", over.told());
        assert!(over.world.server.record.ends().is_empty(), "{why}: the caller is with the voice again");
    }
}

/// Whoever has accepted is gone before the caller is there: the caller comes back, on a media socket of its own,
/// to the conversation that they had.
#[tokio::test]
async fn over_twilio_who_is_left_alone_goes_on_where_they_were() {
    let over = OverTwilio::with(|plan| {
        plan.rudeness = vec![ApiRudeness::SlowEdits];
        plan.presses = Some('1');
        plan.leaves_after = Some(Duration::from_millis(6_000));
    })
    .await;
    let answer = over.post("transfer", r#"{"to":"+15005550008","accept":true}"#).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let returned = |over: &OverTwilio| {
        over.world.server.record.count(|event| matches!(event, CallEvent::Returned { leg: 2, .. }))
    };
    over.until(|over| returned(over) == 1).await;
    assert_eq!(
        (over.told().last(), over.world.server.record.ends()),
        (Some(&"hung_up"), vec!["caller_hung_up"])
    );
    let ended = over.post("end", "").await;
    assert!(ended.starts_with("HTTP/1.1 202"), "{ended}");
    over.until(|over| over.world.server.record.ends().len() == 2).await;
    assert_eq!(over.world.server.record.calls(), std::slice::from_ref(&over.call), "it is one call");
    over.world.server.stop().await.settled(&["caller_hung_up", "hung_up"]);
}

#[tokio::test]
async fn over_twilio_a_caller_is_put_through_at_once_or_joins_a_conference() {
    for (what, wish) in
        [("transfer", r#"{"to":"+15005550008","kind":"blind"}"#), ("conference", r#"{"name":"board room"}"#)]
    {
        let over = OverTwilio::with(|plan| plan.leaves_after = Some(Duration::from_secs(5))).await;
        let answer = over.post(what, wish).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        over.until(|over| !over.world.server.record.ends().is_empty()).await;
        assert_eq!(over.world.server.record.ends(), ["transfer"], "{what}");
    }
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let over = OverTwilio::with(|_| {}).await;
    for (what, body, status) in [
        ("transfer", "{}", 422),
        ("transfer", r#"{"to":"123"}"#, 422),
        ("transfer", r#"{"target":"nobody"}"#, 422),
        ("transfer", r#"{"to":"+15005550008","kind":"blind","summary":"x"}"#, 422),
        ("conference", r#"{"name":"<a>"}"#, 422),
        ("dtmf", r#"{"digits":"12x"}"#, 422),
        ("dtmf", r#"{"digits":"12#"}"#, 202),
        ("hangup", "", 202),
    ] {
        let answer = over.post(what, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what} {body}: {answer}");
    }
    over.until(|over| !over.world.server.record.ends().is_empty()).await;
    over.world.server.stop().await.settled(&["hung_up"]);
}
