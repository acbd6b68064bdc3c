//! The ways in which a fake Voice Agent can misbehave.

use std::str::FromStr;

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

impl Rudeness {
    /// The names that [`FromStr`] understands.
    pub const NAMES: [&'static str; TABLE.len()] = {
        let mut names = [""; TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            names[at] = TABLE[at].0;
            at += 1;
        }
        names
    };

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(_, rudeness)| *rudeness)
    }
}

/// Not the name of a rudeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a way to be rude")]
pub struct NoSuchRudeness;

impl FromStr for Rudeness {
    type Err = NoSuchRudeness;

    fn from_str(name: &str) -> Result<Self, NoSuchRudeness> {
        TABLE.iter().find(|(known, _)| *known == name).map(|(_, rudeness)| *rudeness).ok_or(NoSuchRudeness)
    }
}

const TABLE: [(&str, Rudeness); 45] = [
    ("refuse-400", Rudeness::Refuse(400)),
    ("refuse-401", Rudeness::Refuse(401)),
    ("refuse-402", Rudeness::Refuse(402)),
    ("refuse-403", Rudeness::Refuse(403)),
    ("refuse-429", Rudeness::Refuse(429)),
    ("refuse-503", Rudeness::Refuse(503)),
    ("no-welcome", Rudeness::NoWelcome),
    ("never-applied", Rudeness::NeverApplied),
    ("invalid-settings", Rudeness::SettingsError("INVALID_SETTINGS")),
    ("invalid-agent-id", Rudeness::SettingsError("INVALID_AGENT_ID")),
    ("agent-id-not-supported", Rudeness::SettingsError("AGENT_ID_NOT_SUPPORTED")),
    ("failed-to-start-listening", Rudeness::SettingsError("FAILED_TO_START_LISTENING")),
    ("non-settings-first", Rudeness::SettingsError("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS")),
    ("internal-server-error", Rudeness::TurnError("INTERNAL_SERVER_ERROR")),
    ("client-message-timeout", Rudeness::TurnError("CLIENT_MESSAGE_TIMEOUT")),
    ("unparsable-client-message", Rudeness::TurnError("UNPARSABLE_CLIENT_MESSAGE")),
    ("settings-already-applied", Rudeness::TurnError("SETTINGS_ALREADY_APPLIED")),
    ("failed-to-listen", Rudeness::TurnError("FAILED_TO_LISTEN")),
    ("asr-connection-closed", Rudeness::TurnError("ASR_CONNECTION_CLOSED")),
    ("asr-driver-timeout", Rudeness::TurnError("ASR_DRIVER_TIMEOUT")),
    ("user-audio-format", Rudeness::TurnError("USER_AUDIO_FORMAT")),
    ("failed-to-think", Rudeness::TurnError("FAILED_TO_THINK")),
    ("failed-to-speak", Rudeness::TurnError("FAILED_TO_SPEAK")),
    ("server-going-away", Rudeness::TurnError("SERVER_GOING_AWAY")),
    ("non-existent-function", Rudeness::TurnError("NON_EXISTENT_FUNCTION_CALLED")),
    ("new-error", Rudeness::TurnError("AN_ERROR_NOBODY_KNOWS")),
    ("close-1005", Rudeness::Close(1005, "")),
    ("close-1008", Rudeness::Close(1008, "DATA-0000: the payload cannot be decoded as audio")),
    ("close-1011", Rudeness::Close(1011, "NET-0000: the service sent no text frame in time")),
    ("cut", Rudeness::Cut),
    ("half-open", Rudeness::HalfOpen),
    ("slow-think", Rudeness::SlowThink),
    ("think-falls-back", Rudeness::ThinkFallsBack),
    ("no-audio-done", Rudeness::NoAudioDone),
    ("audio-after-start", Rudeness::AudioAfterStart),
    ("words-without-audio", Rudeness::WordsWithoutAudio),
    ("says-twice", Rudeness::SaysTwice),
    ("unknown-kinds", Rudeness::UnknownKinds),
    ("garbage", Rudeness::Garbage),
    ("gibberish", Rudeness::Gibberish),
    ("parallel-tools", Rudeness::ParallelTools),
    ("cancelled-tool", Rudeness::CancelledTool),
    ("bad-arguments", Rudeness::BadArguments),
    ("unknown-tool", Rudeness::UnknownTool),
    ("refuses-injection", Rudeness::RefusesInjection),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_understood() {
        for (name, rudeness) in Rudeness::NAMES.iter().zip(Rudeness::all()) {
            assert_eq!(name.parse(), Ok(rudeness));
        }
        assert_eq!("polite".parse::<Rudeness>(), Err(NoSuchRudeness));
    }
}
