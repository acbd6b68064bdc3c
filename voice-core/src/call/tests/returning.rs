//! Calls that come back.

use super::*;
use crate::call::{Past, Return};
use crate::consent::{Consent, Given, Method, Scope};
use crate::record::Away;
use crate::recording::{RecordCommand, RecordingOrder};
use crate::time::UnixMillis;

impl Rig {
    /// The server dies; another one, whose clock has just begun, goes on after so long.
    fn come_back(&mut self, after: Duration) -> &mut Self {
        let past = Past::fold(&self.record).expect("a record begins with its start");
        let start = past.start().clone();
        let after = self.now.since(past.last_at()) + after;
        let config = self.call.config.clone();
        let back = Return { leg: past.leg() + 1, past, after, why: Away::Restart };
        self.now = at(50);
        self.call = Call::resume(self.now, config, &start, back);
        (self.finished, self.said) = (None, Vec::new());
        self.drain();
        self
    }

    fn history(&mut self, id: AttachmentId) -> Vec<String> {
        let assigned = Input::Assigned(id, Some(ProviderId::from_static("openai")));
        self.call.handle(self.now, assigned);
        loop {
            let output = self.call.poll();
            if let Output::Report(entry) = &output {
                self.record.push(entry.clone());
            } else if let Output::Open { history, .. } = output {
                return history.iter().map(told).collect();
            }
        }
    }
}

fn told(turn: &Turn) -> String {
    match turn {
        Turn::Caller { text } => format!("caller: {}", text.expose()),
        Turn::Voice { text, cut } => format!("voice: {}{}", text.expose(), if *cut { " –" } else { "" }),
        Turn::Tool { call, result } => {
            let result = result.as_ref().map_or("", |result| result.output.expose().as_str());
            format!("{}: {result}", call.name)
        }
        Turn::Note { text } => format!("note: {}", text.expose()),
    }
}

fn in_a_sentence() -> Rig {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerSaid { utterance: utterance(1), text: "count to ten".into() });
    let text = "one two three four five six seven eight nine ten".into();
    rig.provider(A1, ProviderEvent::Words { reply: reply(A1, 1), text });
    rig.speech(reply(A1, 1), 250);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(2_600));
    rig
}

#[test]
fn half_a_sentence_is_known_and_the_answer_is_owed() {
    let mut rig = in_a_sentence();
    rig.come_back(ms(1_500));
    assert_eq!(
        rig.wanted(),
        [
            "· returned",
            "· heard r1.1 \"one two three four five\" 2500+0 cut",
            "· attaching",
            "attach a2 wish=Some(openai) tried=[] last=None",
        ]
    );
    assert_eq!(rig.history(A2), ["caller: count to ten", "voice: one two three four five –"]);
    rig.drain();
    rig.frame(5).provider(A2, ProviderEvent::Ready { session: None, expires: None });
    let wanted = rig.wanted();
    assert_eq!(wanted.last().map(String::as_str), Some("tell a2 Speak { cue: None }"), "{wanted:?}");
    assert!(wanted.contains(&"hear a2 5".to_owned()), "what was said meanwhile is heard: {wanted:?}");
    let seqs: Vec<u64> = rig.record.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn whoever_had_it_is_asked_first_and_anybody_else_will_do() {
    let mut rig = in_a_sentence();
    rig.come_back(ms(1_500)).said.clear();
    rig.give(Input::Assigned(A2, None));
    assert_eq!(rig.wanted(), ["· attaching", "attach a3 wish=None tried=[] last=None"], "at once");
}

#[test]
fn nobody_is_greeted_twice_and_nobody_goes_without() {
    let greeting = || CallConfig::builder("be kind").greeting(Greeting::Voice(Some("say hello".into())));
    let ready = ProviderEvent::Ready { session: None, expires: None };
    let mut rig = Rig::with(greeting());
    rig.assign(A1, "openai").come_back(ms(700)).assign(A2, "openai").said.clear();
    rig.provider(A2, ready.clone());
    let wanted = rig.wanted();
    assert!(wanted.iter().any(|word| word.contains("say hello")), "it was never said: {wanted:?}");

    rig.speech(reply(A2, 1), 20);
    rig.provider(A2, ProviderEvent::ReplyDone { reply: reply(A2, 1), end: ReplyEnd::Completed });
    rig.pass(ms(1_000)).come_back(ms(700)).assign(AttachmentId(3), "openai").said.clear();
    rig.provider(AttachmentId(3), ready);
    assert!(!rig.wanted().iter().any(|word| word.contains("Speak")), "all was said");
}

#[test]
fn a_tool_that_ran_has_failed_and_a_hold_goes_on() {
    let tool = ToolDefinition { name: "look".into(), description: String::new(), parameters: "{}".into() };
    let mut rig = Rig::with(
        CallConfig::builder("x")
            .greeting(Greeting::Caller)
            .tools(vec![tool])
            .limits(CallLimits { hold: Duration::from_secs(60), ..CallLimits::default() }),
    );
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    let id = ToolCallId::new(A1, 1);
    let call = ToolCall { id, name: "look".into(), arguments: "{}".into() };
    rig.provider(A1, ProviderEvent::ToolCall(call));
    rig.give(Input::Control(Control::Hold { music: false })).pass(Duration::from_secs(15));
    rig.come_back(Duration::from_secs(15));
    assert_eq!(rig.wanted()[..2], ["· returned", "· toolanswered"]);
    let history = rig.history(A2);
    assert!(history[0].starts_with("look: the server was restarted"), "{history:?}");
    assert!(rig.call.status().on_hold);
    rig.drain();
    rig.said.clear();
    rig.pass(Duration::from_secs(31));
    let wanted = rig.wanted();
    assert!(wanted.contains(&"· resumed 60000 true".to_owned()), "{wanted:?}");
}

#[test]
fn the_longest_call_is_no_longer_for_having_been_away() {
    let limits = CallLimits { call: Duration::from_secs(30), ..CallLimits::default() };
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).limits(limits));
    rig.pass(ms(10_000)).come_back(ms(5_000)).pass(ms(10_000)).come_back(ms(2_000));
    rig.pass(ms(3_000));
    assert_eq!(rig.finished, Some(EndReason::Limit));
    let Some(CallEvent::Ended { totals, .. }) = rig.record.last().map(|entry| &entry.event) else {
        panic!("{:?}", rig.record.last())
    };
    assert_eq!(totals.duration, Duration::from_secs(30));
}

#[test]
fn a_recording_goes_on_as_another_one_and_a_pause_stays_a_pause() {
    let given = Given { by: "+15550100".into(), how: Method::Verbal, at: UnixMillis(0), region: None };
    let order = RecordingOrder::new(Consent::given(given, Scope::RECORDING)).expect("it covers recording");
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::Record(RecordCommand::Start(order))));
    rig.give(Input::Control(Control::Record(RecordCommand::Pause))).pass(ms(3_000));
    rig.come_back(ms(1_000));
    assert_eq!(rig.call.status().recording, Recording::Paused);
    let words: Vec<String> =
        rig.wanted().into_iter().filter(|word| word.starts_with("· recording")).collect();
    assert_eq!(words, ["· recordingstopped", "· recordingstarted", "· recordingpaused"]);
}

#[test]
fn an_end_that_was_ours_is_one() {
    let mut rig = in_a_sentence();
    rig.give(Input::Control(Control::HangUp));
    assert!(!Past::fold(&rig.record).expect("a record").may_return());
    let mut rig = in_a_sentence();
    rig.give(Input::Carrier(CarrierEvent::Ended(CarrierEnd::LineDown(crate::wire::LineEnd::Cut))));
    let past = Past::fold(&rig.record).expect("a record");
    assert!(past.may_return() && past.is_owed() && past.ended().is_some());
    assert_eq!(past.turns().len(), 2);
}

#[test]
fn what_is_no_record_folds_to_nothing() {
    assert!(Past::fold(&[]).is_none());
    let rig = in_a_sentence();
    assert!(Past::fold(&rig.record[1..]).is_none());
    // An entry that comes twice counts once.
    let twice: Vec<Entry> = rig.record.iter().chain(&rig.record).cloned().collect();
    let (once, twice) = (Past::fold(&rig.record), Past::fold(&twice));
    assert_eq!(once.map(|past| past.turns()), twice.map(|past| past.turns()));
}
