//! Messages as the service writes them, and what is made of each.

use expect_test::expect;
use voice_core::wire::WireMessage;

use crate::harness::Rig;

/// Each message of a log, then the events it led to. `# 500` is a pause of so many milliseconds.
fn played(log: &str) -> String {
    let mut rig = Rig::polite().ready();
    rig.mute();
    rig.tools = None;
    let mut played = String::new();
    for message in log.lines() {
        if let Some(pause) = message.strip_prefix("# ") {
            rig.run(pause.parse().expect("milliseconds"));
            continue;
        }
        let before = rig.script().len();
        rig.wire(&WireMessage::text(message));
        let kind: serde_json::Value = serde_json::from_str(message).expect("the log is JSON");
        played.push_str(&format!("{}\n", kind["type"].as_str().expect("a type")));
        for line in rig.script()[before..].lines() {
            played.push_str(&format!("    {line}\n"));
        }
    }
    played
}

#[test]
fn every_documented_message() {
    expect![[r#"
        UserStartedSpeaking
            u1.1 spoke
        ConversationText
            u1.1 paused
            u1.1 said "Where is my order?"
        History
        AgentThinking
        EndOfThought
        ConversationText
            r1.1 words "One moment."
        AgentStartedSpeaking
        FunctionCallRequest
            t1.1 lookup_order {"number":"427"}
        FunctionCallResponse
        FunctionCallResponse
        LatencyReport
        AgentAudioDone
            r1.1 Completed
        FunctionCallCancelled
            t1.1 cancelled
        FunctionCallCancelled
        History
        ConversationText
            r1.2 words "It left this morning."
        UserStartedSpeaking
            u1.2 spoke
            r1.2 Cancelled
        ConversationText
        AgentAudioDone
        ConversationText
            u1.2 paused
            u1.2 said "Thank you."
        InjectionRefused
            harmless (InjectionRefused), Ignore
        PromptUpdated
        SpeakUpdated
        ThinkUpdated
        ListenUpdated
        ThinkLiveUpdated
        FrustrationDetected
        Warning
            harmless (INJECT_AGENT_MESSAGE_DURING_USER_SPEECH), Ignore
        Warning
            harmless (INJECT_AGENT_MESSAGE_DURING_AGENT_SPEECH), Ignore
        Warning
            harmless (PROMPT_TOO_LONG), Ignore
        Warning
            harmless (THINK_REQUEST_FAILED), Ignore
        Warning
            harmless (SPEAK_REQUEST_FAILED), Ignore
        Warning
            harmless (FUNCTION_CALL_FAILED), Ignore
        Warning
            harmless (POOR_AUDIO_QUALITY), Ignore
        Warning
            harmless (VOICE_PROMPT_ADDED), Ignore
        Warning
            harmless (unspecified), Ignore
        SettingsApplied
            unknown late_settings_applied
        Welcome
            unknown late_welcome
        Error
            reports an internal failure (FAILED_TO_SPEAK), SwitchNow
    "#]]
    .assert_eq(&played(include_str!("every_message.jsonl")));
}
