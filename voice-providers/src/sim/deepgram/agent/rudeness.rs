//! The ways in which a fake Voice Agent can misbehave.

use voice_core::sim::rudeness;

/// One way to misbehave; by its name from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rudeness {
    /// Refuses the upgrade with this status.
    Refuse(u16),
    /// Accepts, and says nothing.
    NoWelcome,
    /// Never applies the settings.
    NeverApplied,
    /// Answers the settings with this error.
    SettingsError(&'static str),
    /// Answers the first turn of the caller with this error.
    TurnError(&'static str),
    /// Closes with this code and reason in the middle of the first reply.
    Close(u16, &'static str),
    /// Cuts the connection in the middle of the first reply.
    Cut,
    /// Goes on in silence after the first reply, with the connection open.
    HalfOpen,
    /// Takes five to ten seconds to think.
    SlowThink,
    /// Warns that the first mind failed, and answers with the second.
    ThinkFallsBack,
    /// Never says that a reply is over.
    NoAudioDone,
    /// Sends pieces of a reply after the caller has interrupted it.
    AudioAfterStart,
    /// Sends the words of a reply without its sound.
    WordsWithoutAudio,
    /// Says everything about the caller twice.
    SaysTwice,
    /// Sends messages of unknown kinds.
    UnknownKinds,
    /// Sends cut JSON, random text and empty sound.
    Garbage,
    /// Sends nothing but what cannot be read.
    Gibberish,
    /// Calls two of our tools and one of its own in one message.
    ParallelTools,
    /// Cancels the call of a tool at once.
    CancelledTool,
    /// Calls a tool with arguments that are no JSON, and again when it is told so.
    BadArguments,
    /// Calls a tool that nobody offered.
    UnknownTool,
    /// Refuses what it is asked to say, once.
    RefusesInjection,
}

rudeness! {
    impl Rudeness {
        /// Refuses the upgrade with status 400.
        Self::Refuse(400) = "refuse-400",
        /// Refuses the upgrade with status 401.
        Self::Refuse(401) = "refuse-401",
        /// Refuses the upgrade with status 402.
        Self::Refuse(402) = "refuse-402",
        /// Refuses the upgrade with status 403.
        Self::Refuse(403) = "refuse-403",
        /// Refuses the upgrade with status 429.
        Self::Refuse(429) = "refuse-429",
        /// Refuses the upgrade with status 503.
        Self::Refuse(503) = "refuse-503",
        /// Accepts, and says nothing.
        Self::NoWelcome = "no-welcome",
        /// Never applies the settings.
        Self::NeverApplied = "never-applied",
        /// Answers the settings with `INVALID_SETTINGS`.
        Self::SettingsError("INVALID_SETTINGS") = "invalid-settings",
        /// Answers the settings with `INVALID_AGENT_ID`.
        Self::SettingsError("INVALID_AGENT_ID") = "invalid-agent-id",
        /// Answers the settings with `AGENT_ID_NOT_SUPPORTED`.
        Self::SettingsError("AGENT_ID_NOT_SUPPORTED") = "agent-id-not-supported",
        /// Answers the settings with `FAILED_TO_START_LISTENING`.
        Self::SettingsError("FAILED_TO_START_LISTENING") = "failed-to-start-listening",
        /// Answers the settings with `NON_SETTINGS_MESSAGE_BEFORE_SETTINGS`.
        Self::SettingsError("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS") = "non-settings-first",
        /// Answers the first turn of the caller with `INTERNAL_SERVER_ERROR`.
        Self::TurnError("INTERNAL_SERVER_ERROR") = "internal-server-error",
        /// Answers the first turn of the caller with `CLIENT_MESSAGE_TIMEOUT`.
        Self::TurnError("CLIENT_MESSAGE_TIMEOUT") = "client-message-timeout",
        /// Answers the first turn of the caller with `UNPARSABLE_CLIENT_MESSAGE`.
        Self::TurnError("UNPARSABLE_CLIENT_MESSAGE") = "unparsable-client-message",
        /// Answers the first turn of the caller with `SETTINGS_ALREADY_APPLIED`.
        Self::TurnError("SETTINGS_ALREADY_APPLIED") = "settings-already-applied",
        /// Answers the first turn of the caller with `FAILED_TO_LISTEN`.
        Self::TurnError("FAILED_TO_LISTEN") = "failed-to-listen",
        /// Answers the first turn of the caller with `ASR_CONNECTION_CLOSED`.
        Self::TurnError("ASR_CONNECTION_CLOSED") = "asr-connection-closed",
        /// Answers the first turn of the caller with `ASR_DRIVER_TIMEOUT`.
        Self::TurnError("ASR_DRIVER_TIMEOUT") = "asr-driver-timeout",
        /// Answers the first turn of the caller with `USER_AUDIO_FORMAT`.
        Self::TurnError("USER_AUDIO_FORMAT") = "user-audio-format",
        /// Answers the first turn of the caller with `FAILED_TO_THINK`.
        Self::TurnError("FAILED_TO_THINK") = "failed-to-think",
        /// Answers the first turn of the caller with `FAILED_TO_SPEAK`.
        Self::TurnError("FAILED_TO_SPEAK") = "failed-to-speak",
        /// Answers the first turn of the caller with `SERVER_GOING_AWAY`.
        Self::TurnError("SERVER_GOING_AWAY") = "server-going-away",
        /// Answers the first turn of the caller with `NON_EXISTENT_FUNCTION_CALLED`.
        Self::TurnError("NON_EXISTENT_FUNCTION_CALLED") = "non-existent-function",
        /// Answers the first turn of the caller with `AN_ERROR_NOBODY_KNOWS`.
        Self::TurnError("AN_ERROR_NOBODY_KNOWS") = "new-error",
        /// Closes with 1005 in the middle of the first reply.
        Self::Close(1005, "") = "close-1005",
        /// Closes with 1008 in the middle of the first reply.
        Self::Close(1008, "DATA-0000: the payload cannot be decoded as audio") = "close-1008",
        /// Closes with 1011 in the middle of the first reply.
        Self::Close(1011, "NET-0000: the service sent no text frame in time") = "close-1011",
        /// Cuts the connection in the middle of the first reply.
        Self::Cut = "cut",
        /// Goes on in silence after the first reply, with the connection open.
        Self::HalfOpen = "half-open",
        /// Takes five to ten seconds to think.
        Self::SlowThink = "slow-think",
        /// Warns that the first mind failed, and answers with the second.
        Self::ThinkFallsBack = "think-falls-back",
        /// Never says that a reply is over.
        Self::NoAudioDone = "no-audio-done",
        /// Sends pieces of a reply after the caller has interrupted it.
        Self::AudioAfterStart = "audio-after-start",
        /// Sends the words of a reply without its sound.
        Self::WordsWithoutAudio = "words-without-audio",
        /// Says everything about the caller twice.
        Self::SaysTwice = "says-twice",
        /// Sends messages of unknown kinds.
        Self::UnknownKinds = "unknown-kinds",
        /// Sends cut JSON, random text and empty sound.
        Self::Garbage = "garbage",
        /// Sends nothing but what cannot be read.
        Self::Gibberish = "gibberish",
        /// Calls two of our tools and one of its own in one message.
        Self::ParallelTools = "parallel-tools",
        /// Cancels the call of a tool at once.
        Self::CancelledTool = "cancelled-tool",
        /// Calls a tool with arguments that are no JSON, and again when it is told so.
        Self::BadArguments = "bad-arguments",
        /// Calls a tool that nobody offered.
        Self::UnknownTool = "unknown-tool",
        /// Refuses what it is asked to say, once.
        Self::RefusesInjection = "refuses-injection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_understood() {
        for (name, rudeness) in Rudeness::NAMES.iter().zip(Rudeness::ALL) {
            assert_eq!(name.parse(), Ok(*rudeness));
        }
        assert!("polite".parse::<Rudeness>().is_err());
    }
}
