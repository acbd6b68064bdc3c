//! Which command is next: the way in, the way out, what fails, what is late, and that each step is made once.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::status::{CallStatus, FailReason};
use voice_telephony::telnyx::{
    Answer, CallControl, Cause, Codec, Command, CommandError, CommandId, ControlEvent, ControlInput,
    ControlOutput, ControlSettings, Detection, Dial, End, Order, RejectCause,
};
use voice_telephony::ticket::{StreamTicket, Tickets};

use crate::webhooks::{CALL, webhook};

const AT: fn(u64) -> MonoTime = MonoTime::from_millis;
const NAME: &[u8] = b"call 7";

fn settings() -> ControlSettings {
    ControlSettings::new("wss://voice.example/media/telnyx", Codec::Pcmu).expect("a good address")
}

fn start() -> (MonoTime, UnixMillis) {
    (AT(0), UnixMillis(1_795_219_200_000))
}

/// A call under control, and what it wanted so far.
struct Run {
    control: CallControl,
    now: u64,
    sent: Vec<Order>,
    dialled: Vec<CommandId>,
    tickets: u8,
    events: Vec<ControlEvent>,
    end: Option<End>,
    wakes: Option<MonoTime>,
}

impl Run {
    fn of(control: CallControl) -> Self {
        let mut run = Self {
            control,
            now: 0,
            sent: Vec::new(),
            dialled: Vec::new(),
            tickets: 0,
            events: Vec::new(),
            end: None,
            wakes: None,
        };
        run.drain();
        run
    }

    fn incoming() -> Self {
        Self::of(CallControl::answer(start(), settings(), CALL.parse().expect("a name"), NAME))
    }

    fn outgoing() -> Self {
        Self::of(CallControl::dial(start(), settings(), dial(), NAME))
    }

    /// An incoming call whose media flows.
    fn talking() -> Self {
        let mut run = Self::incoming();
        run.ok(0);
        run.tell("call.answered", "a");
        run.ok(1);
        run.give(ControlInput::MediaUp);
        run
    }

    fn drain(&mut self) {
        loop {
            match self.control.poll() {
                ControlOutput::Dial { id, client_state, .. } => {
                    assert_eq!(client_state, NAME);
                    self.dialled.push(id);
                }
                ControlOutput::Send(order) => self.sent.push(order),
                ControlOutput::NeedTicket(call) => {
                    assert_eq!(call.as_str(), CALL);
                    self.tickets += 1;
                    let ticket = ticket(self.tickets);
                    self.control.handle(AT(self.now), ControlInput::Ticket(&ticket));
                }
                ControlOutput::Event(event) => self.events.push(event),
                ControlOutput::Finished(end) => {
                    assert_eq!(self.end.replace(end), None, "an end comes once");
                }
                ControlOutput::WaitUntil(at) => return self.wakes = at,
            }
        }
    }

    fn give(&mut self, input: ControlInput<'_>) {
        self.control.handle(AT(self.now), input);
        self.drain();
    }

    fn tell(&mut self, kind: &str, id: &str) {
        self.tell_with(kind, id, &json!({}));
    }

    fn tell_with(&mut self, kind: &str, id: &str, fields: &serde_json::Value) {
        self.give(ControlInput::Webhook(&webhook(kind, id, fields)));
    }

    /// The order of this number succeeded.
    fn ok(&mut self, number: usize) {
        let id = self.sent[number].id.clone();
        self.give(ControlInput::Answer(id, Ok(Answer::default())));
    }

    fn fails(&mut self, number: usize, cause: Cause) {
        let id = self.sent[number].id.clone();
        self.give(ControlInput::Answer(id, Err(error(cause))));
    }

    fn waits(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(at) = self.wakes.filter(|at| *at <= AT(until)) {
            self.now = self.now.max(at.as_micros() / 1_000);
            self.give(ControlInput::Tick);
        }
        self.now = until;
        self.give(ControlInput::Tick);
    }

    fn names(&self) -> Vec<&'static str> {
        self.sent.iter().map(|order| order.command.name()).collect()
    }

    fn hang_up(&mut self) {
        self.tell_with("call.hangup", "h", &json!({"hangup_cause": "normal_clearing"}));
    }
}

fn ticket(number: u8) -> StreamTicket {
    Tickets::default().issue(AT(0), [number; 32], CALL, ())
}

fn error(cause: Cause) -> CommandError {
    CommandError { cause, ..CommandError::unreachable() }
}

fn dial() -> Dial {
    Dial {
        connection: "28".parse().expect("a name"),
        from: Pii::from("+15005550006"),
        to: Pii::from("+15005550009"),
        ring: Duration::from_secs(30),
        longest: None,
        detection: Detection::Detect,
        webhook_url: None,
        display_name: None,
    }
}

fn stream_url(run: &Run, number: usize) -> String {
    let Command::StreamingStart(streaming) = &run.sent[number].command else { panic!("another command") };
    streaming.url().expose().clone()
}

#[test]
fn a_call_that_comes_in_is_answered_streamed_and_hung_up() {
    let mut run = Run::incoming();
    assert_eq!(run.names(), ["answer"]);
    assert_eq!(run.sent[0].client_state.as_deref(), Some(NAME));
    run.ok(0);
    run.tell("call.answered", "a");
    assert_eq!(run.names(), ["answer", "streaming_start"]);
    run.ok(1);
    run.give(ControlInput::MediaUp);
    run.waits(60_000);
    assert_eq!(run.names(), ["answer", "streaming_start"], "nothing is due while it talks");
    run.give(ControlInput::HangUp);
    run.give(ControlInput::HangUp);
    assert_eq!(run.names(), ["answer", "streaming_start", "hangup"]);
    run.ok(2);
    run.hang_up();
    assert!(matches!(run.end, Some(End::HungUp(_))));
    assert_eq!(
        run.events,
        [ControlEvent::Status(CallStatus::Answered, None), ControlEvent::Status(CallStatus::Completed, None)]
    );
}

#[test]
fn the_other_side_hangs_up_and_nothing_is_sent() {
    let mut run = Run::talking();
    run.hang_up();
    run.give(ControlInput::MediaDown);
    run.give(ControlInput::HangUp);
    run.waits(60_000);
    assert_eq!(run.names(), ["answer", "streaming_start"]);
    assert!(run.end.is_some());
}

#[test]
fn answer_and_event_may_come_in_either_order_or_twice() {
    let mut run = Run::incoming();
    run.tell("call.answered", "a");
    run.ok(0);
    run.ok(0);
    run.tell("call.answered", "a");
    run.tell("call.answered", "told-under-another-id");
    run.tell("call.initiated", "i");
    assert_eq!((run.names(), run.tickets), (vec!["answer", "streaming_start"], 1));
}

#[test]
fn an_event_that_never_comes_is_not_waited_for() {
    let mut run = Run::incoming();
    run.waits(60_000);
    assert_eq!(run.names(), ["answer"], "no answer of the API either");
    run.ok(0);
    run.waits(2_999);
    assert_eq!(run.names(), ["answer"]);
    run.waits(1);
    assert_eq!(run.names(), ["answer", "streaming_start"]);
}

#[test]
fn an_unknown_outcome_is_repeated_under_the_same_id() {
    let mut run = Run::incoming();
    for (number, pause) in [500, 1_000, 2_000, 4_000].into_iter().enumerate() {
        run.fails(0, Cause::Server);
        run.waits(pause - 1);
        assert_eq!(run.sent.len(), number + 1);
        run.waits(1);
        assert_eq!(run.sent.len(), number + 2);
        assert_eq!(run.sent[number + 1], run.sent[0]);
    }
    run.fails(0, Cause::Network);
    assert_eq!(run.names().last(), Some(&"hangup"), "enough");
    run.fails(5, Cause::CallGone);
    assert_eq!(run.end, Some(End::Failed(Cause::Network)));
}

#[test]
fn a_throttled_order_waits_as_long_as_it_is_told() {
    let mut run = Run::incoming();
    let id = run.sent[0].id.clone();
    let error = CommandError { retry_after: Some(Duration::from_secs(3)), ..error(Cause::Throttled) };
    run.give(ControlInput::Answer(id, Err(error)));
    run.waits(2_999);
    assert_eq!(run.sent.len(), 1);
    run.waits(1);
    assert_eq!(run.sent.len(), 2);
}

#[test]
fn a_call_that_is_gone_is_over() {
    let mut run = Run::incoming();
    run.fails(0, Cause::CallGone);
    assert_eq!((run.end.clone(), run.sent.len()), (Some(End::Gone), 1));
    let mut run = Run::talking();
    run.give(ControlInput::HangUp);
    run.fails(2, Cause::CallGone);
    assert_eq!(run.end, Some(End::Gone));
    assert_eq!(run.control.status().status(), CallStatus::Completed);
}

#[test]
fn an_answer_that_is_refused_is_the_end() {
    let mut run = Run::incoming();
    run.fails(0, Cause::Auth);
    assert_eq!(run.names(), ["answer", "hangup"]);
    run.fails(1, Cause::Auth);
    assert_eq!(run.end, Some(End::Failed(Cause::Auth)));
    let last = run.events.last();
    assert_eq!(last, Some(&ControlEvent::Status(CallStatus::Failed, Some(FailReason::Carrier))));
}

#[test]
fn a_stream_before_the_answer_is_tried_again() {
    let mut run = Run::incoming();
    run.ok(0);
    run.waits(3_000);
    run.fails(1, Cause::NotAnswered);
    run.waits(500);
    assert_eq!(run.names(), ["answer", "streaming_start", "streaming_start"]);
    assert_eq!(run.sent[1], run.sent[2]);
}

#[test]
fn a_broken_stream_is_started_again_with_a_new_ticket_so_many_times() {
    let mut run = Run::talking();
    let mut url = stream_url(&run, 1);
    for restart in 1..=3 {
        run.give(ControlInput::MediaDown);
        run.tell_with("streaming.stopped", &format!("s{restart}"), &json!({"stream_url": url}));
        run.waits(1_000);
        assert_eq!(run.names().len(), 2 + restart);
        let next = stream_url(&run, 1 + restart);
        assert_ne!(next, url);
        url = next;
        run.ok(1 + restart);
        run.give(ControlInput::MediaUp);
    }
    run.give(ControlInput::MediaDown);
    run.waits(1_000);
    assert_eq!(run.names().last(), Some(&"hangup"));
    run.ok(5);
    run.waits(5_000);
    assert_eq!(run.end, Some(End::MediaLost), "the event never came");
    let restarts = run.events.iter().filter(|event| **event == ControlEvent::Restarting).count();
    assert_eq!(restarts, 3);
}

#[test]
fn a_late_word_about_an_earlier_stream_changes_nothing() {
    let mut run = Run::talking();
    let first = stream_url(&run, 1);
    run.give(ControlInput::MediaDown);
    run.waits(1_000);
    run.ok(2);
    run.give(ControlInput::MediaUp);
    run.tell_with("streaming.failed", "late", &json!({"stream_url": first}));
    run.tell("streaming.stopped", "nameless");
    run.waits(60_000);
    assert_eq!(run.names(), ["answer", "streaming_start", "streaming_start"]);
}

#[test]
fn a_stream_that_ends_with_its_call_is_not_started_again() {
    let mut run = Run::talking();
    run.give(ControlInput::MediaDown);
    run.waits(300);
    run.hang_up();
    run.waits(60_000);
    assert_eq!(run.names(), ["answer", "streaming_start"]);
    assert!(!run.events.contains(&ControlEvent::Restarting));
}

#[test]
fn a_socket_that_never_comes_is_asked_for_again() {
    let mut run = Run::incoming();
    run.tell("call.answered", "a");
    run.ok(1);
    run.waits(15_000);
    assert_eq!(run.names(), ["answer", "streaming_start", "streaming_start"]);
    run.fails(2, Cause::Streaming);
    assert_eq!(run.names(), ["answer", "streaming_start", "streaming_start", "streaming_stop"]);
    run.ok(3);
    assert_eq!(
        run.names(),
        ["answer", "streaming_start", "streaming_start", "streaming_stop", "streaming_start"]
    );
}

#[test]
fn streaming_already_after_a_repetition_means_that_the_first_try_was_heard() {
    let mut run = Run::incoming();
    run.tell("call.answered", "a");
    run.fails(1, Cause::Network);
    run.waits(500);
    run.fails(1, Cause::Streaming);
    run.give(ControlInput::MediaUp);
    run.waits(60_000);
    assert_eq!(run.names(), ["answer", "streaming_start", "streaming_start"]);
}

#[test]
fn a_call_can_be_refused() {
    let call = CALL.parse().expect("a name");
    let mut run = Run::of(CallControl::reject(start(), call, RejectCause::UserBusy));
    assert_eq!(run.names(), ["reject"]);
    run.ok(0);
    run.waits(5_000);
    assert_eq!(run.end, Some(End::Rejected));
}

#[test]
fn a_call_that_nobody_wants_is_hung_up_whoever_began_it() {
    let mut run = Run::of(CallControl::dismiss(start(), CALL.parse().expect("a name")));
    assert_eq!(run.names(), ["hangup"]);
    run.ok(0);
    run.waits(5_000);
    assert_eq!((run.names(), run.end.clone()), (vec!["hangup"], Some(End::Gone)));
}

#[test]
fn a_call_of_ours_is_dialled_answered_and_streamed() {
    let mut run = Run::outgoing();
    let answer = Answer { call: CALL.parse().ok(), is_alive: Some(false), ..Answer::default() };
    run.give(ControlInput::Answer(run.dialled[0].clone(), Ok(answer)));
    run.tell_with("call.initiated", "i", &json!({"direction": "outgoing", "state": "bridging"}));
    run.tell("call.answered", "a");
    run.tell_with("call.machine.detection.ended", "m", &json!({"result": "human"}));
    assert_eq!(run.names(), ["streaming_start"]);
    assert_eq!(
        run.events,
        [
            ControlEvent::Status(CallStatus::Ringing, None),
            ControlEvent::Status(CallStatus::Answered, None),
            ControlEvent::Answerer(voice_telephony::telnyx::Answerer::Human),
        ]
    );
}

#[test]
fn events_may_overtake_the_answer_to_dial() {
    let mut run = Run::outgoing();
    run.tell("call.answered", "a");
    assert_eq!(run.names(), ["streaming_start"]);
    let answer = Answer { call: CALL.parse().ok(), ..Answer::default() };
    run.give(ControlInput::Answer(run.dialled[0].clone(), Ok(answer)));
    run.tell("call.initiated", "i");
    assert_eq!((run.names(), run.dialled.len()), (vec!["streaming_start"], 1));
}

#[test]
fn a_call_that_may_exist_is_not_dialled_twice() {
    let mut run = Run::outgoing();
    run.give(ControlInput::Answer(run.dialled[0].clone(), Err(error(Cause::Server))));
    run.waits(9_999);
    assert_eq!((run.dialled.len(), run.end.clone()), (1, None));
    run.waits(1);
    assert_eq!(run.end, Some(End::Unknown));

    let mut run = Run::outgoing();
    run.give(ControlInput::Answer(run.dialled[0].clone(), Err(error(Cause::Network))));
    run.tell("call.initiated", "i");
    run.waits(60_000);
    assert_eq!((run.dialled.len(), run.end), (1, None), "it did exist");
}

#[test]
fn a_call_that_was_not_looked_at_is_dialled_again() {
    let mut run = Run::outgoing();
    run.give(ControlInput::Answer(run.dialled[0].clone(), Err(error(Cause::Throttled))));
    run.waits(500);
    assert_eq!((run.dialled.len(), run.dialled[0] == run.dialled[1]), (2, true));
    run.give(ControlInput::Answer(run.dialled[0].clone(), Err(error(Cause::Number))));
    assert_eq!(run.end, Some(End::Failed(Cause::Number)));
}

#[test]
fn a_call_hung_up_before_it_has_a_name_is_hung_up_as_soon_as_it_has() {
    let mut run = Run::outgoing();
    run.give(ControlInput::HangUp);
    assert!(run.sent.is_empty());
    let answer = Answer { call: CALL.parse().ok(), ..Answer::default() };
    run.give(ControlInput::Answer(run.dialled[0].clone(), Ok(answer)));
    assert_eq!(run.names(), ["hangup"]);
    run.tell_with("call.hangup", "h", &json!({"hangup_cause": "originator_cancel"}));
    assert_eq!(run.control.status().reason(), Some(FailReason::Canceled));
}

#[test]
fn somebody_elses_call_is_nobodys_business() {
    let mut run = Run::incoming();
    run.tell_with("call.hangup", "h", &json!({"call_control_id": "v3:other"}));
    run.tell_with("call.answered", "a", &json!({"call_control_id": "v3:other"}));
    assert_eq!((run.names(), run.end.clone()), (vec!["answer"], None));
    let mut run = Run::outgoing();
    run.tell_with("call.answered", "a", &json!({"client_state": "b3RoZXI="}));
    assert!(run.sent.is_empty());
}

#[test]
fn orders_in_a_call_are_numbered_and_told_about() {
    let mut run = Run::talking();
    run.give(ControlInput::Do(Command::SendDtmf(Pii::from("1"))));
    run.give(ControlInput::Do(Command::SendDtmf(Pii::from("1"))));
    assert_ne!(run.sent[2].id, run.sent[3].id);
    run.ok(2);
    run.fails(3, Cause::Refused);
    let done = |at: usize, answer| ControlEvent::Done(run.sent[at].id.clone(), answer);
    assert_eq!(run.events[1..], [done(2, Ok(Answer::default())), done(3, Err(error(Cause::Refused)))]);
    assert_eq!(run.end, None, "what somebody wanted may fail without harm");
}

#[test]
fn a_call_is_taken_up_again_after_a_restart() {
    let call: voice_telephony::telnyx::CallControlId = CALL.parse().expect("a name");
    let mut run = Run::of(CallControl::resume(start(), settings(), call, NAME));
    assert_eq!(run.names(), ["streaming_start"]);
    let before = Run::talking();
    assert!(before.sent.iter().all(|order| order.id != run.sent[0].id));
    run.fails(0, Cause::Streaming);
    run.ok(1);
    assert_eq!(run.names(), ["streaming_start", "streaming_stop", "streaming_start"]);
}

#[test]
fn a_stream_that_is_throttled_is_waited_for() {
    let mut run = Run::incoming();
    run.tell("call.answered", "a");
    let id = run.sent[1].id.clone();
    let error = CommandError { retry_after: Some(Duration::from_secs(20)), ..error(Cause::Throttled) };
    run.give(ControlInput::Answer(id, Err(error)));
    run.waits(30_000);
    assert_eq!(run.sent[1], run.sent[2]);
    run.waits(10_000);
    assert_eq!(run.names(), ["answer", "streaming_start", "streaming_start", "streaming_start"]);
    assert_ne!(run.sent[2].id, run.sent[3].id, "the socket had its time, and a new ticket is asked for");
    run.waits(60_000);
    assert_eq!(run.sent.iter().filter(|order| order.id == run.sent[1].id).count(), 2);
}

/// Something that may happen at any time.
#[derive(Clone, Debug)]
enum Happens {
    Told(&'static str, u8),
    Answered(usize, Option<Cause>),
    MediaUp,
    MediaDown,
    Do,
    HangUp,
    Waits(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let kinds = prop::sample::select(vec![
        "call.initiated",
        "call.answered",
        "streaming.started",
        "streaming.stopped",
        "streaming.failed",
        "call.dtmf.received",
        "call.bridged",
        "call.hangup",
    ]);
    let causes = prop::sample::select(vec![
        Cause::Network,
        Cause::Server,
        Cause::Throttled,
        Cause::NotAnswered,
        Cause::Streaming,
        Cause::NotStreaming,
        Cause::StreamFailed,
        Cause::Refused,
        Cause::CallGone,
    ]);
    prop_oneof![
        3 => (kinds, 0_u8..4).prop_map(|(kind, id)| Happens::Told(kind, id)),
        4 => (any::<usize>(), proptest::option::of(causes)).prop_map(|(at, cause)| Happens::Answered(at, cause)),
        2 => Just(Happens::MediaUp),
        2 => Just(Happens::MediaDown),
        1 => Just(Happens::Do),
        1 => Just(Happens::HangUp),
        4 => (0_u64..20_000).prop_map(Happens::Waits),
    ]
}

proptest! {
    /// Whatever happens in whatever order: each step is made once, streams are started so often at most,
    /// and after the end nothing is wanted any more.
    #[test]
    fn whatever_happens_each_step_is_made_once(story in proptest::collection::vec(happens(), 0..60)) {
        let mut run = Run::incoming();
        for what in story {
            let before = (run.sent.len(), run.events.len(), run.tickets);
            let was_over = run.end.is_some();
            match what {
                Happens::Told(kind, id) => {
                    let fields = json!({"digit": "1", "hangup_cause": "normal_clearing"});
                    run.tell_with(kind, &format!("{kind}-{id}"), &fields);
                }
                Happens::Answered(at, cause) => {
                    let at = at % run.sent.len();
                    match cause {
                        None => run.ok(at),
                        Some(cause) => run.fails(at, cause),
                    }
                }
                Happens::MediaUp => run.give(ControlInput::MediaUp),
                Happens::MediaDown => run.give(ControlInput::MediaDown),
                Happens::Do if was_over => {}
                Happens::Do => run.give(ControlInput::Do(Command::SendDtmf(Pii::from("1")))),
                Happens::HangUp => run.give(ControlInput::HangUp),
                Happens::Waits(millis) => run.waits(millis),
            }
            if was_over {
                prop_assert_eq!(before, (run.sent.len(), run.events.len(), run.tickets));
            }
        }
        let made = |name: &str| {
            let ids: BTreeSet<&CommandId> =
                run.sent.iter().filter(|order| order.command.name() == name).map(|order| &order.id).collect();
            ids.len()
        };
        prop_assert_eq!(made("answer"), 1);
        prop_assert!(made("hangup") <= 1);
        prop_assert!(made("streaming_start") <= 4, "{:?}", run.names());
        // An order is never changed under its id.
        for order in &run.sent {
            prop_assert!(run.sent.iter().filter(|other| other.id == order.id).all(|other| other == order));
        }
    }
}
