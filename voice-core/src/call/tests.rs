//! The call, input by input. What holds for every call is tried by the simulator; here stands what must
//! happen in a given situation, in which order.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks at what it is about")]

mod aside;
mod carrier_recording;
mod covers;
mod measured;
mod returning;
mod searching;
mod silence;
mod standby;
mod switching;
mod transfers;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::audio::FRAME;
use crate::carrier::{CarrierEnd, Digit};
use crate::conversation::{Heard, ToolCall, ToolDefinition, ToolResult, Turn};
use crate::failure::Failure;
use crate::id::{ReplyId, ToolCallId};
use crate::provider::{ProviderEvent, ReplyEnd};
use crate::record::Switch;
use crate::record::VoiceToVoice;
use crate::transfer::{Operation, TransferOrder};

const A1: AttachmentId = AttachmentId(1);
const A2: AttachmentId = AttachmentId(2);

fn at(ms: u64) -> MonoTime {
    MonoTime::from_millis(ms)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn reply(attachment: AttachmentId, n: u32) -> ReplyId {
    ReplyId::new(attachment, n)
}

fn utterance(n: u32) -> UtteranceId {
    UtteranceId::new(A1, n)
}

/// A call, and everything it wanted, as short words.
struct Rig {
    call: Call,
    now: MonoTime,
    said: Vec<String>,
    record: Vec<Entry>,
    measured: Vec<VoiceToVoice>,
    finished: Option<EndReason>,
}

impl Rig {
    fn new() -> Self {
        Self::with(CallConfig::builder("be kind").greeting(Greeting::Caller))
    }

    fn with(config: CallConfigBuilder) -> Self {
        let start = CallStart {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: "CA1".into(),
            format: AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550101".into(),
            correlation: CorrelationId::from_static("c-1"),
        };
        // What covers a gap has tests of its own; elsewhere it would only be in the way.
        let mut config = config.build().expect("settings fit");
        if !config.prompts.moment.starts_with(&[0x33; 160]) {
            config.prompts = Prompts::none();
        }
        let call = Call::new(at(0), Arc::new(config), start);
        let mut rig = Self {
            call,
            now: at(0),
            said: Vec::new(),
            record: Vec::new(),
            measured: Vec::new(),
            finished: None,
        };
        rig.drain();
        rig
    }

    /// A call in which `openai` is live as `A1`.
    fn talking() -> Self {
        let mut rig = Self::new();
        rig.assign(A1, "openai");
        rig.provider(A1, ProviderEvent::Ready { session: None, expires: None });
        rig.said.clear();
        rig
    }

    /// Nobody can take the call, nor a round later. `next` is the attachment that is asked for now.
    fn nobody(&mut self, next: u32) -> &mut Self {
        self.give(Input::Assigned(AttachmentId(next), None)).pass(ms(1_000)).said.clear();
        self.give(Input::Assigned(AttachmentId(next + 1), None))
    }

    fn give(&mut self, input: Input) -> &mut Self {
        self.call.handle(self.now, input);
        self.drain();
        self
    }

    fn provider(&mut self, id: AttachmentId, event: ProviderEvent) -> &mut Self {
        self.give(Input::Provider(id, event))
    }

    fn assign(&mut self, id: AttachmentId, provider: &'static str) -> &mut Self {
        self.give(Input::Assigned(id, Some(ProviderId::from_static(provider))))
    }

    fn frame(&mut self, byte: u8) -> &mut Self {
        let data = Bytes::from(vec![byte; 160]);
        self.give(Input::Carrier(CarrierEvent::Audio(AudioFrame::new(AudioFormat::MULAW_8K, data))))
    }

    fn speech(&mut self, reply: ReplyId, frames: usize) -> &mut Self {
        for _ in 0..frames {
            let audio = Bytes::from_static(&[0x22; 160]);
            self.provider(reply.attachment(), ProviderEvent::Speech { reply, audio });
        }
        self
    }

    /// Lets time pass in steps of a frame.
    fn pass(&mut self, duration: Duration) -> &mut Self {
        let until = self.now + duration;
        while self.now < until {
            self.now += FRAME;
            self.give(Input::Tick);
        }
        self
    }

    /// Lets time pass on a line on which nobody says anything.
    fn listen(&mut self, duration: Duration) -> &mut Self {
        let until = self.now + duration;
        while self.now < until {
            self.now += FRAME;
            self.frame(0xff);
        }
        self.said.retain(|word| !word.starts_with("hear ") || !word.ends_with(" 255"));
        self
    }

    fn drain(&mut self) {
        loop {
            let word = match self.call.poll() {
                Output::Carrier(CarrierCommand::Play(_)) => "play".to_owned(),
                Output::Carrier(CarrierCommand::Mark(_)) => continue,
                Output::Carrier(command) => format!("carrier {command:?}"),
                Output::Attach { id, wish, tried, last_resort } => {
                    format!("attach {id} wish={wish:?} tried={tried:?} last={last_resort:?}")
                }
                Output::Open { id, history } => format!("open {id} with {} turns", history.len()),
                Output::Provider(id, ProviderCommand::Hear(frame)) => format!("hear {id} {}", frame.data[0]),
                Output::Provider(id, ProviderCommand::CatchUp(turns)) => {
                    format!("catch up {id} {}", turns.len())
                }
                Output::Provider(id, ProviderCommand::Interrupt(heard)) => {
                    let all: Vec<String> = heard.iter().map(words).collect();
                    format!("interrupt {id} {}", all.join(" "))
                }
                Output::Provider(id, ProviderCommand::Answer { id: tool, result }) => {
                    format!("answer {id} {tool} {}", result.output.expose())
                }
                Output::Provider(id, command) => format!("tell {id} {command:?}"),
                Output::Detach(id) => format!("detach {id}"),
                Output::Outcome(id, outcome) => format!("outcome {id} {outcome:?}"),
                Output::RunTool(call) => format!("run {}", call.name),
                Output::Doubt(id) => format!("doubt {id}"),
                Output::AbandonTool(id) => format!("abandon {id}"),
                Output::Report(entry) => {
                    self.record.push(entry.clone());
                    match entry.event {
                        // Told all the time; what they are for has tests of its own.
                        CallEvent::ReplyProgress { .. } | CallEvent::Sound(_) => continue,
                        CallEvent::FirstSound(told) => {
                            self.measured.push(told);
                            continue;
                        }
                        event => format!("· {}", short(&event)),
                    }
                }
                Output::Operate(Operation::Transfer(id, order)) => {
                    format!("operate {} {} {}", id.0, order.kind.name(), summary_of(&order))
                }
                Output::Operate(operation) => format!("{operation:?}"),
                Output::Record(recorded) => format!("tape {recorded:?}"),
                Output::WaitUntil(_) => return,
                Output::Finished(reason) => {
                    self.finished = Some(reason);
                    return;
                }
            };
            self.said.push(word);
        }
    }

    /// What the call wanted since the last look, without the playing of frames, silences that are told, and doubts.
    fn wanted(&mut self) -> Vec<String> {
        let is_aside = |word: &str| word.starts_with("· silence") || word.starts_with("doubt ");
        let told = |word: &String| word != "play" && !is_aside(word);
        std::mem::take(&mut self.said).into_iter().filter(told).collect()
    }

    /// Only the silences since the last look.
    fn silences(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said).into_iter().filter(|word| word.starts_with("· silence")).collect()
    }
}

fn summary_of(order: &TransferOrder) -> &str {
    order.summary.as_ref().map_or("-", |summary| summary.expose())
}

fn words(heard: &Heard) -> String {
    format!("{} {}+{}", heard.reply, heard.heard.as_millis(), heard.unheard.as_millis())
}

fn short(event: &CallEvent) -> String {
    match event {
        CallEvent::Live { attachment, gap } => format!("live {attachment} after {} ms", gap.as_millis()),
        CallEvent::ReplyHeard { reply, text, heard, unheard, cut } => format!(
            "heard {reply} {:?} {}+{}{}",
            text.expose(),
            heard.as_millis(),
            unheard.as_millis(),
            if *cut { " cut" } else { "" }
        ),
        CallEvent::ReplyStarted { reply, latency } => {
            format!("starts {reply} after {:?}", latency.map(|l| l.as_millis()))
        }
        CallEvent::BargeIn { reply, .. } => format!("barge-in {reply}"),
        CallEvent::AudioLost { what, duration } => format!("lost {what:?} {}", duration.as_millis()),
        CallEvent::Ended { reason, .. } => format!("ended {}", reason.kind()),
        CallEvent::Problem { attachment, failure } => format!("problem {attachment} {}", failure.kind()),
        CallEvent::Switched(Switch { from, to, why, gap, lost, turns, .. }) => {
            format!("switched {from} {to} {why:?} {}-{} {turns}", gap.as_millis(), lost.as_millis())
        }
        CallEvent::Silence { of, over } => format!("silence {of:?} {:?}", over.map(|over| over.as_millis())),
        CallEvent::Resumed { after, timed_out } => format!("resumed {} {timed_out}", after.as_millis()),
        CallEvent::Covered { kind } => format!("covered {kind:?}"),
        CallEvent::Retrying { round, .. } => format!("retrying {round}"),
        CallEvent::TransferFailed { id, why } => format!("transfer {} failed {why:?}", id.0),
        CallEvent::SwitchRefused { why } => format!("refused {why:?}"),
        other => format!("{other:?}").split([' ', '(']).next().unwrap_or_default().to_lowercase(),
    }
}

#[test]
fn answering_holds_what_the_caller_says_until_somebody_hears() {
    let mut rig =
        Rig::with(CallConfig::builder("be kind").greeting(Greeting::Voice(Some("say hello".into()))));
    assert_eq!(rig.wanted(), ["· started", "· attaching", "attach a1 wish=None tried=[] last=None"]);
    rig.frame(1).frame(2).assign(A1, "openai");
    rig.now = at(40);
    rig.provider(A1, ProviderEvent::Ready { session: None, expires: None }).frame(3);
    assert_eq!(
        rig.wanted(),
        [
            "· assigned",
            "open a1 with 0 turns",
            "· ready",
            "· live a1 after 40 ms",
            "hear a1 1",
            "hear a1 2",
            "tell a1 Speak { cue: Some(\"say hello\") }",
            "hear a1 3",
        ]
    );
}

#[test]
fn a_barge_in_clears_tells_and_reports_in_this_order() {
    let mut rig = Rig::talking();
    let text = "one two three four five six seven eight nine ten".into();
    rig.provider(A1, ProviderEvent::Words { reply: reply(A1, 1), text });
    rig.speech(reply(A1, 1), 100).pass(ms(1_000)).said.clear();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    assert_eq!(
        rig.wanted(),
        [
            "· callerspoke",
            "carrier Clear",
            "interrupt a1 r1.1 1000+1000",
            "· barge-in r1.1",
            "· heard r1.1 \"one two three four\" 1000+1000 cut",
        ]
    );
    // What was under way of that reply is not played.
    rig.speech(reply(A1, 1), 10).pass(ms(500));
    assert!(rig.said.is_empty(), "{:?}", rig.said);
    rig.speech(reply(A1, 2), 1);
    assert_eq!(rig.said, ["· starts r1.2 after None", "play"]);
}

#[test]
fn who_has_heard_everything_interrupts_nothing() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 10)
        .provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(300)).said.clear();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    assert_eq!(rig.wanted(), ["· callerspoke"]);
}

#[test]
fn latency_runs_from_the_last_voiced_frame() {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1))).frame(0x10);
    rig.now = at(500);
    rig.frame(0xff).provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    rig.now = at(700);
    rig.said.clear();
    rig.speech(reply(A1, 1), 1);
    assert_eq!(rig.said[0], "· starts r1.1 after Some(700)");
}

#[test]
fn a_dead_provider_is_replaced_and_what_the_caller_said_is_not_lost() {
    let mut rig = Rig::talking();
    rig.now = at(10_000);
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).frame(7).frame(8);
    assert_eq!(
        rig.wanted(),
        [
            "· problem a1 cut",
            "outcome a1 Failure(Cut)",
            "detach a1",
            "· detached",
            "· attaching",
            "attach a2 wish=None tried=[] last=Some(openai)",
        ]
    );
    rig.assign(A2, "gemini");
    rig.now = at(10_300);
    rig.provider(A2, ProviderEvent::Ready { session: None, expires: None });
    let wanted = rig.wanted();
    assert_eq!(
        wanted[3..],
        ["· live a2 after 300 ms", "· switched openai gemini Failure 300-0 0", "hear a2 7", "hear a2 8",]
    );
    // The one that was let go may say what it likes.
    rig.speech(reply(A1, 9), 5).provider(A1, ProviderEvent::Failed(Failure::Cut));
    assert!(rig.said.is_empty());
}

#[test]
fn a_sentence_that_was_received_is_finished_by_a_dead_provider() {
    let mut rig = Rig::talking();
    rig.now = at(10_000);
    rig.speech(reply(A1, 1), 50).provider(A1, ProviderEvent::Failed(Failure::Closed { code: 1011 }));
    rig.said.clear();
    rig.pass(ms(1_200));
    assert_eq!(rig.said.iter().filter(|word| *word == "play").count(), 50 - 15);
    assert!(rig.said.contains(&"· heard r1.1 \"\" 1000+0 cut".to_owned()), "{:?}", rig.said);
    // And whoever comes next owes the caller the rest.
    rig.assign(A2, "gemini").said.clear();
    rig.provider(A2, ProviderEvent::Ready { session: None, expires: None });
    assert_eq!(rig.wanted().last().map(String::as_str), Some("tell a2 Speak { cue: None }"));
}

#[test]
fn who_fails_for_good_is_not_asked_again() {
    let mut rig = Rig::talking();
    rig.now = at(60_000);
    rig.provider(A1, ProviderEvent::Failed(Failure::Credentials));
    assert_eq!(rig.wanted().pop().as_deref(), Some("attach a2 wish=None tried=[openai] last=Some(openai)"));
    rig.assign(A2, "gemini").provider(A2, ProviderEvent::Ready { session: None, expires: None });
    rig.now = at(120_000);
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.wanted().pop().as_deref(), Some("attach a3 wish=None tried=[openai] last=Some(gemini)"));
}

#[test]
fn bad_luck_is_forgiven_twice() {
    let mut rig = Rig::talking();
    for (failing, next) in [(A1, A2), (A2, AttachmentId(3))] {
        rig.provider(failing, ProviderEvent::Failed(Failure::Cut));
        let wanted = rig.wanted().pop();
        assert_eq!(wanted, Some(format!("attach {next} wish=None tried=[] last=Some(openai)")));
        rig.assign(next, "openai").provider(next, ProviderEvent::Ready { session: None, expires: None });
    }
    rig.provider(AttachmentId(3), ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.wanted().pop().as_deref(), Some("attach a4 wish=None tried=[openai] last=Some(openai)"));
}

#[test]
fn a_candidate_that_is_late_makes_room_for_the_next() {
    let mut rig = Rig::new();
    rig.assign(A1, "openai").frame(1).said.clear();
    rig.pass(ms(8_000));
    assert_eq!(
        rig.wanted(),
        [
            "· problem a1 not_ready",
            "outcome a1 Failure(NotReady(8s))",
            "detach a1",
            "· detached",
            "· attaching",
            "attach a2 wish=None tried=[openai] last=None",
        ]
    );
    rig.give(Input::Assigned(A2, None));
    assert_eq!(rig.wanted(), ["· retrying 1"]);
}

#[test]
fn a_planned_switch_waits_for_a_pause_and_tells_what_was_said_meanwhile() {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)))
        .provider(A1, ProviderEvent::CallerPaused(utterance(1)))
        .provider(A1, ProviderEvent::CallerSaid { utterance: utterance(1), text: "hello".into() });
    rig.said.clear();
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini");
    assert_eq!(
        rig.wanted(),
        ["· attaching", "attach a2 wish=None tried=[openai] last=None", "· assigned", "open a2 with 1 turns"]
    );
    rig.speech(reply(A1, 1), 5).provider(A2, ProviderEvent::Ready { session: None, expires: None });
    rig.give(Input::Control(Control::Switch(None)));
    assert_eq!(rig.wanted(), ["· starts r1.1 after None", "· ready", "· refused UnderWay"]);
    rig.provider(A1, ProviderEvent::Words { reply: reply(A1, 1), text: "hi".into() });
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(200));
    assert_eq!(
        rig.wanted(),
        [
            "· heard r1.1 \"hi\" 100+0",
            "outcome a1 Success",
            "detach a1",
            "· detached",
            "· live a2 after 0 ms",
            "catch up a2 1",
            "· switched openai gemini Wish 0-0 2",
        ]
    );
    assert_eq!(rig.call.live(), Some(A2));
}

#[test]
fn a_successor_that_fails_changes_nothing() {
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini").said.clear();
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut)).frame(5);
    assert_eq!(
        rig.wanted(),
        ["· problem a2 cut", "outcome a2 Failure(Cut)", "detach a2", "· detached", "hear a1 5"]
    );
}

#[test]
fn a_tool_that_does_not_answer_is_answered_for() {
    let tool = ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() };
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).tools(vec![tool]));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None }).said.clear();
    let id = ToolCallId::new(A1, 1);
    let call =
        |name: &str, n| ToolCall { id: ToolCallId::new(A1, n), name: name.into(), arguments: "{}".into() };
    rig.provider(A1, ProviderEvent::ToolCall(call("look", 1)));
    rig.provider(A1, ProviderEvent::ToolCall(call("luck", 2)));
    assert_eq!(
        rig.wanted(),
        [
            "· toolcalled",
            "run look",
            "· toolcalled",
            "· toolanswered",
            "answer a1 t1.2 there is no such tool; there are: look"
        ]
    );
    rig.pass(ms(20_000));
    assert_eq!(
        rig.wanted(),
        ["abandon t1.1", "· toolanswered", "answer a1 t1.1 the tool did not answer in time"]
    );
    let late = ToolResult { output: "late".into(), failed: false };
    rig.give(Input::Control(Control::ToolAnswered { id, result: late }));
    assert!(rig.said.is_empty());
}

#[test]
fn a_tool_answers_whoever_talks_now() {
    let tool = ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() };
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).tools(vec![tool]));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    let id = ToolCallId::new(A1, 1);
    let call = ToolCall { id, name: "look".into(), arguments: "{}".into() };
    rig.provider(A1, ProviderEvent::ToolCall(call)).provider(A1, ProviderEvent::Failed(Failure::Cut));
    rig.assign(A2, "gemini").provider(A2, ProviderEvent::Ready { session: None, expires: None }).said.clear();
    let result = ToolResult { output: "friday".into(), failed: false };
    rig.give(Input::Control(Control::ToolAnswered { id, result }));
    assert_eq!(rig.wanted(), ["· toolanswered", "catch up a2 1", "tell a2 Speak { cue: None }"]);
}

#[test]
fn hanging_up_waits_for_the_goodbye_to_be_heard() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 50);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.give(Input::Control(Control::HangUpAfterReply)).pass(ms(980));
    assert_eq!(rig.finished, None);
    rig.pass(ms(40));
    assert_eq!(rig.finished, Some(EndReason::HungUp));
    let wanted = rig.wanted();
    assert!(wanted.contains(&"carrier HangUp".to_owned()));
    assert_eq!(wanted.last().map(String::as_str), Some("· ended hung_up"));
}

#[test]
fn hanging_up_does_not_wait_for_ever() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 1_500);
    rig.give(Input::Control(Control::HangUpAfterReply)).pass(ms(15_000));
    assert_eq!(rig.finished, Some(EndReason::HungUp));
}

#[test]
fn the_end_closes_the_books() {
    let mut rig = Rig::talking();
    rig.speech(reply(A1, 1), 50).pass(ms(100)).said.clear();
    rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::Stopped)));
    assert_eq!(
        rig.wanted(),
        [
            "· heard r1.1 \"\" 100+900 cut",
            "outcome a1 Success",
            "detach a1",
            "· detached",
            "· ended caller_hung_up",
        ]
    );
    rig.frame(1).provider(A1, ProviderEvent::Failed(Failure::Cut)).pass(ms(100));
    assert!(rig.said.is_empty());
}

#[test]
fn a_session_that_ends_is_rolled_over_before() {
    let mut rig = Rig::new();
    rig.assign(A1, "openai");
    rig.provider(A1, ProviderEvent::Ready { session: None, expires: Some(at(3_600_000)) }).said.clear();
    rig.now = at(3_540_000);
    rig.give(Input::Tick);
    assert_eq!(rig.wanted(), ["· attaching", "attach a2 wish=None tried=[] last=None"]);
    // Nobody else: the same again, which starts a new session.
    rig.assign(A2, "openai").provider(A2, ProviderEvent::Ready { session: None, expires: None });
    assert_eq!(rig.call.live(), Some(A2));
}

#[test]
fn keys_reach_the_voice_and_the_record() {
    let mut rig = Rig::talking();
    let five = Digit::new('5').expect("a key");
    rig.give(Input::Carrier(CarrierEvent::Digit(five)));
    assert_eq!(rig.wanted(), ["· digit", "tell a1 Note([private])"]);
    let (turns, _) = rig.call.transcript.all();
    assert!(matches!(&turns[0], Turn::Note { text } if text.expose().contains('5')));
}

#[test]
fn nonsense_is_told_in_powers_of_ten() {
    let told = (0..=1_000).filter(|count| is_worth_telling(*count)).collect::<Vec<u32>>();
    assert_eq!(told, [1, 10, 100, 1_000]);
}
