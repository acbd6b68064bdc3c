//! Message by message: what the fake never says, in an order in which it never says it.

use voice_core::id::LineId;
use voice_core::limits;
use voice_core::provider::{Provider, ProviderEvent, ProviderSession, SessionInput, SessionOutput};
use voice_core::sim::rng::Rng;
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;
use voice_providers::gemini::Gemini;

use crate::world::{settings, setup};

/// A session on a line that this test speaks on.
struct Wire {
    session: Box<dyn ProviderSession>,
    now: MonoTime,
    line: LineId,
}

impl Wire {
    fn new() -> Self {
        let provider = Gemini::new(settings().build().expect("these settings are valid"));
        let mut wire =
            Self { session: provider.open(setup(Vec::new())), now: MonoTime::ZERO, line: LineId(0) };
        wire.drain();
        wire.handle(SessionInput::LineUp(LineId(0)));
        wire.drain();
        wire
    }

    fn ready() -> Self {
        let mut wire = Self::new();
        wire.says(r#"{"setupComplete":{}}"#);
        wire
    }

    fn handle(&mut self, input: SessionInput<'_>) {
        self.session.handle(self.now, input);
    }

    /// The service says this in a binary frame; the answer is what the call is told.
    fn says(&mut self, json: &str) -> Vec<String> {
        self.gives(&WireMessage::Binary(json.as_bytes().to_vec().into()))
    }

    fn gives(&mut self, message: &WireMessage) -> Vec<String> {
        let line = self.line;
        self.handle(SessionInput::Wire(line, message));
        self.drain()
    }

    fn waits(&mut self, millis: u64) -> Vec<String> {
        self.now += std::time::Duration::from_millis(millis);
        self.handle(SessionInput::Tick);
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            match self.session.poll() {
                SessionOutput::Event(event) => told.push(printed(&event)),
                SessionOutput::Dial(line, _) => self.line = line,
                SessionOutput::WaitUntil(_) => return told,
                SessionOutput::Send(..) | SessionOutput::HangUp(_) => {}
            }
        }
    }
}

fn printed(event: &ProviderEvent) -> String {
    match event {
        ProviderEvent::Speech { reply, audio } => format!("{reply} {} bytes", audio.len()),
        ProviderEvent::Words { reply, text } => format!("{reply} {:?}", text.expose()),
        ProviderEvent::CallerSaid { utterance, text } => format!("{utterance} {:?}", text.expose()),
        ProviderEvent::ReplyDone { reply, end } => format!("{reply} {end:?}"),
        ProviderEvent::Unknown { kind } => format!("unknown {kind}"),
        ProviderEvent::Failed(failure) => format!("failed {}", failure.kind()),
        ProviderEvent::ToolCall(call) => format!("{} {} {}", call.id, call.name, call.arguments.expose()),
        ProviderEvent::Used(usage) => format!("{usage:?}"),
        ProviderEvent::Ready { session, .. } => format!("ready {session:?}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_key_of_a_packed_message_counts() {
    let mut wire = Wire::ready();
    let told = wire.says(
        r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"AAAA"}},
        {"text":"hm","thought":true},{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"AAAAAAA="}}]},
        "outputTranscription":{"text":"Yes."},"inputTranscription":{"text":" Hello"},"generationComplete":true,
        "turnComplete":true},"usageMetadata":{"promptTokenCount":5,"cachedContentTokenCount":2},
        "sessionResumptionUpdate":{"newHandle":"h","resumable":true,"lastConsumedClientMessageIndex":"9"},
        "goAway":{"timeLeft":"50s"}}"#,
    );
    // The first part ends in the middle of a sample; the second begins with its other half.
    assert_eq!(
        told,
        [
            "r3.1 2 bytes",
            "r3.1 6 bytes",
            "r3.1 \"Yes.\"",
            "u3.1 \"Hello\"",
            "r3.1 Completed",
            "Usage { text_in: 3, audio_in: 0, cached_in: 2, text_out: 0, audio_out: 0 }",
        ]
    );
}

#[test]
fn the_first_audio_may_share_a_message_with_the_setup() {
    let mut wire = Wire::new();
    let told = wire.says(
        r#"{"setupComplete":{"sessionId":"s 1"},
        "serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"AAA="}}]}}}"#,
    );
    assert_eq!(told, ["ready Some(\"s1\")", "r3.1 2 bytes"]);
}

#[test]
fn defaults_nulls_and_empty_objects_are_nothing_special() {
    let mut wire = Wire::ready();
    for json in [
        r#"{"serverContent":{}}"#,
        r#"{"serverContent":null,"usageMetadata":{}}"#,
        r#"{"serverContent":{"modelTurn":{}}}"#,
        r#"{"serverContent":{"modelTurn":{"parts":null},"turnComplete":null,"interrupted":false}}"#,
        r#"{"toolCall":{}}"#,
        r#"{"toolCallCancellation":{"ids":["nobody"]}}"#,
        r#"{"sessionResumptionUpdate":{}}"#,
        r#"{"voiceActivity":{"voiceActivityType":"ACTIVITY_START"}}"#,
        r#"{"serverContent":{"interimInputTranscription":{"text":"He"}}}"#,
        r#"{"setupComplete":{}}"#,
    ] {
        let told: Vec<String> =
            wire.says(json).into_iter().filter(|line| !line.starts_with("Usage")).collect();
        assert!(told.is_empty(), "{json}: {told:?}");
    }
}

#[test]
fn odd_usage_does_not_cost_the_speech_beside_it() {
    let mut wire = Wire::ready();
    let told = wire.says(
        r#"{"usageMetadata":{"promptTokenCount":"many"},
        "serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"AAA="}}]}}}"#,
    );
    assert_eq!(told, ["r3.1 2 bytes", "unknown usageMetadata"]);
}

#[test]
fn words_that_come_late_are_waited_for_and_later_ones_dropped() {
    let mut wire = Wire::ready();
    wire.says(r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"AAA="}}]}}}"#);
    assert!(wire.says(r#"{"serverContent":{"generationComplete":true}}"#).is_empty());
    assert_eq!(wire.says(r#"{"serverContent":{"outputTranscription":{"text":"a"}}}"#), ["r3.1 \"a\""]);
    assert_eq!(wire.waits(400), ["r3.1 Completed"]);
    assert!(wire.says(r#"{"serverContent":{"outputTranscription":{"text":"b"}}}"#).is_empty());
    assert!(wire.says(r#"{"serverContent":{"turnComplete":true}}"#).is_empty());
}

#[test]
fn audio_after_an_interruption_is_the_next_reply_and_outlives_the_old_turn() {
    let mut wire = Wire::ready();
    let speech = r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"AAA="}}]}}}"#;
    wire.says(speech);
    let told = wire.says(r#"{"serverContent":{"interrupted":true}}"#);
    assert_eq!(told.last().map(String::as_str), Some("r3.1 Cancelled"));
    assert_eq!(wire.says(speech), ["r3.2 2 bytes"]);
    assert!(wire.says(r#"{"serverContent":{"turnComplete":true}}"#).is_empty(), "that was the first turn's");
    assert_eq!(wire.says(speech), ["r3.2 2 bytes"]);
    assert_eq!(wire.says(r#"{"serverContent":{"turnComplete":true}}"#), ["r3.2 Completed"]);
}

#[test]
fn a_turn_that_is_completed_late_does_not_end_the_next_reply() {
    let mut wire = Wire::ready();
    let speech = r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"AAA="}}]}}}"#;
    wire.says(speech);
    wire.says(r#"{"serverContent":{"generationComplete":true}}"#);
    wire.waits(400);
    assert_eq!(wire.says(speech), ["r3.2 2 bytes"]);
    assert!(wire.says(r#"{"serverContent":{"turnComplete":true}}"#).is_empty(), "that was the first turn's");
    assert_eq!(wire.says(r#"{"serverContent":{"turnComplete":true}}"#), ["r3.2 Completed"]);
}

#[test]
fn an_interruption_of_nothing_is_nothing() {
    let mut wire = Wire::ready();
    assert!(wire.says(r#"{"serverContent":{"interrupted":true}}"#).is_empty());
}

#[test]
fn a_connection_is_not_left_in_the_middle_of_a_reply() {
    let mut wire = Wire::ready();
    wire.waits(5_000);
    wire.says(r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"AAA="}}]}}}"#);
    wire.says(
        r#"{"sessionResumptionUpdate":{"newHandle":"h","resumable":true},"goAway":{"timeLeft":"50s"}}"#,
    );
    assert_eq!(wire.line, LineId(0));
    wire.says(r#"{"serverContent":{"turnComplete":true}}"#);
    assert_eq!(wire.line, LineId(1), "but right after it");
}

#[test]
fn more_that_will_come_is_no_empty_answer() {
    let mut wire = Wire::ready();
    let told = wire.says(r#"{"serverContent":{"turnComplete":true,"interactionStatus":"IN_PROGRESS"}}"#);
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_tool_call_without_arguments_or_name_is_passed_on() {
    let mut wire = Wire::ready();
    let told =
        wire.says(r#"{"toolCall":{"functionCalls":[{"id":"a"},{"id":"b","name":"x","args":{"n":1}}]}}"#);
    assert_eq!(told, ["t3.1  {}", "t3.2 x {\"n\":1}"]);
}

#[test]
fn a_finished_transcription_is_told_at_once() {
    let mut wire = Wire::ready();
    assert!(wire.says(r#"{"serverContent":{"inputTranscription":{"text":" Good "}}}"#).is_empty());
    let told = wire.says(r#"{"serverContent":{"inputTranscription":{"text":"day.","finished":true}}}"#);
    assert_eq!(told, ["u3.1 \"Good day.\""]);
}

#[test]
fn too_much_nonsense_is_a_failure() {
    let mut wire = Wire::ready();
    let nonsense = WireMessage::Binary(vec![0xff, 0xfe, 0x00].into());
    for _ in 0..limits::UNREADABLE_MAX {
        assert_eq!(wire.gives(&nonsense), ["unknown unreadable"]);
    }
    assert_eq!(wire.gives(&nonsense), ["unknown unreadable", "failed unreadable"]);
    assert!(wire.gives(&nonsense).is_empty());
}

#[test]
fn speech_before_the_setup_is_accepted_is_counted() {
    let mut wire = Wire::new();
    let told = wire.says(r#"{"serverContent":{"turnComplete":true}}"#);
    assert_eq!(told, ["unknown before.setupComplete"]);
}

#[test]
fn messages_torn_anywhere_never_panic() {
    let whole = concat!(
        r#"{"setupComplete":{},"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"#,
        r#""audio/pcm;rate=24000","data":"AAAA\/\u0041=="}}]},"interrupted":true,"turnComplete":true},"#,
        r#""toolCall":{"functionCalls":[{"id":"a","name":"ä","args":{}}]},"goAway":{"timeLeft":"1.5s"}}"#
    );
    for cut in 0..=whole.len() {
        let mut wire = Wire::new();
        wire.gives(&WireMessage::Binary(whole.as_bytes()[..cut].to_vec().into()));
    }
    let mut rng = Rng::new(11);
    for _ in 0..2_000 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..rng.range(1..6) {
            let at = rng.range(0..bytes.len() as u64) as usize;
            bytes[at] = rng.bits() as u8;
        }
        let mut wire = Wire::new();
        wire.gives(&WireMessage::Binary(bytes.into()));
        wire.waits(60_000);
    }
}

#[test]
fn a_message_as_large_as_they_come_is_bounded_by_its_own_size() {
    let mut wire = Wire::ready();
    let data = "AAAA".repeat(1 << 20);
    let json =
        format!(r#"{{"serverContent":{{"modelTurn":{{"parts":[{{"inlineData":{{"data":"{data}"}}}}]}}}}}}"#);
    assert_eq!(wire.says(&json), ["r3.1 3145728 bytes"]);
    let calls: Vec<String> = (0..5_000).map(|n| format!(r#"{{"id":"{n}","name":"t{n}"}}"#)).collect();
    let told = wire.says(&format!(r#"{{"toolCall":{{"functionCalls":[{}]}}}}"#, calls.join(",")));
    assert_eq!(told.iter().filter(|line| line.starts_with('t')).count(), 64);
}

#[test]
fn other_lines_are_not_listened_to() {
    let mut wire = Wire::ready();
    let message =
        WireMessage::text(r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"data":"AAA="}}]}}}"#);
    wire.handle(SessionInput::Wire(LineId(7), &message));
    assert!(wire.drain().is_empty());
    wire.handle(SessionInput::LineDown(LineId(7), voice_core::wire::LineEnd::Cut));
    assert!(wire.drain().is_empty());
}
