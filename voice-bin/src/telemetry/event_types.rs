//! What log lines are about: every value of `event_type`, in one table.

/// One kind of log line.
#[derive(Clone, Copy, Debug)]
pub struct EventType {
    /// Its value in the line.
    pub name: &'static str,
    /// When it is written.
    pub when: &'static str,
}

macro_rules! table {
    ($($konst:ident = $name:literal, $when:literal;)*) => {
        $(#[doc = $when] pub(crate) const $konst: &str = $name;)*

        /// All of them.
        pub static EVENT_TYPES: &[EventType] = &[$(EventType { name: $name, when: $when }),*];
    };
}

table! {
    SYSTEM_STARTED = "system.started", "The server listens";
    SYSTEM_STOPPING = "system.stopping", "The server was told to stop, and takes no more calls";
    SYSTEM_STOPPED = "system.stopped", "The server has stopped";
    CONFIGURATION = "configuration", "A setting is wrong, or probably not meant";

    AUTHENTICATION_FAILED = "authentication.failed", "A request to the API without the right token";
    WEBHOOK_REFUSED = "webhook.refused", "A webhook was not believed, or came too often";
    MEDIA_REFUSED = "media.refused", "A media socket was not let in";
    REQUEST = "request", "Something about a request; which one is told by the correlation id";

    CALL_STARTED = "call.started", "The caller's media is here";
    CALL_ENDED = "call.ended", "The call is over, and why";
    CALL_BUG = "call.bug", "A fault of ours ended a call";
    CALL_SILENCE = "call.silence", "Nothing comes from somebody who should be heard";
    CALL_BUDGET = "call.budget", "A call has spent its budget, or most of it";
    CALL_COURSE = "call.course", "How a call goes on: holds, mutes, prompts, notes";
    AUDIO_LOST = "audio.lost", "Sound was lost or withheld";
    AUDIO_QUALITY = "audio.quality", "How ten seconds of a call sounded";
    CARRIER_ODDITY = "carrier.oddity", "The carrier sent something that makes no sense";

    CONNECTION_ATTEMPT = "connection.attempt", "A provider was chosen and is being connected";
    CONNECTION_ESTABLISHED = "connection.established", "A provider is ready";
    CONNECTION_FAILED = "connection.failed", "A provider failed before it was ready";
    CONNECTION_LOST = "connection.lost", "A provider failed after it was ready";
    CONNECTION_ENDED = "connection.ended", "A provider is let go";
    PROVIDER_LIVE = "provider.live", "From now on this provider hears the caller";
    PROVIDER_ODDITY = "provider.oddity", "A provider sent something that is not known, or had a harmless problem";
    PROVIDER_USAGE = "provider.usage", "A provider billed tokens";
    PROVIDER_SWITCHED = "provider.switched", "Another voice talks than before";
    PROVIDER_SWITCH_REFUSED = "provider.switch_refused", "A wish to switch was not carried out";
    RECONNECTION_ATTEMPT = "reconnection.attempt", "Somebody is sought in mid-call, because the one before failed";
    RECONNECTION_ATTEMPT_FAILED = "reconnection.attempt_failed", "One who was to take over failed before being ready";
    RECONNECTION_WAITING = "reconnection.waiting", "Nobody can take the call; all are asked again later";
    RECONNECTION_SUCCESS = "reconnection.success", "After a failure somebody hears the caller again";
    RECONNECTION_FAILED = "reconnection.failed", "Nobody could take the call, which ends";
    SESSION_RESTORED = "session.restored", "A call has come back, from another server or after its line broke";
    BREAKER_OPEN = "circuit_breaker.open", "A breaker lets nobody through any more";
    BREAKER_HALF_OPEN = "circuit_breaker.half_open", "A breaker lets some through, to try";
    BREAKER_CLOSED = "circuit_breaker.closed", "A breaker lets everybody through again";
    PROVIDER_CHECK = "provider.check", "What was seen of a provider without a call";
    PROVIDER_LINE = "provider.line", "A connection to a provider, below the conversation";

    TURN_CALLER = "turn.caller", "The caller speaks or pauses, their words are known, or they press a key";
    TURN_REPLY = "turn.reply", "A reply begins, or is over";
    TURN_ANSWERED = "turn.answered", "The answer is heard: its latency in parts";
    TURN_BARGE_IN = "turn.barge_in", "The caller interrupted a reply";
    TOOL_CALLED = "tool.called", "The voice calls a tool, or wants it no more";
    TOOL_ANSWERED = "tool.answered", "A tool has answered";
    TOOL_FAILED = "tool.failed", "A tool failed or took too long";
    RECORDING = "recording", "A call's recording begins, pauses, goes on, ends, is stored";
    RECORDING_FAILED = "recording.failed", "A recording could not be kept";
    TRANSFER = "transfer", "A caller is led to somebody else, or is not";

    CARRIER_CALL = "carrier.call", "What a carrier's webhook led to";
    CARRIER_REQUEST = "carrier.request", "A request to a carrier's API";
    OUTBOUND = "outbound", "A call that we place";
    DATABASE = "database", "The database and the journal of calls";
    JOURNAL_LOST = "journal.lost", "Entries of calls are missing in the database";
    RECOVERY = "recovery", "Calls of before are looked for";
    CLUSTER = "cluster", "Other servers, and what they say";
    SERVER = "server", "Anything else of the server";
    LIBRARY = "library", "A library of somebody else's";
}

/// What a line is about that does not say so, by the module that wrote it.
pub(super) fn of_module(target: &str) -> &'static str {
    let modules = [
        ("voice_bin::routes::twilio", CARRIER_CALL),
        ("voice_bin::routes::telnyx", CARRIER_CALL),
        ("voice_bin::routes::media", CARRIER_CALL),
        ("voice_bin::server::telnyx", CARRIER_CALL),
        ("voice_bin::routes::outbound", OUTBOUND),
        ("voice_bin::server::outbound", OUTBOUND),
        ("voice_bin::server::transfers", TRANSFER),
        ("voice_bin::server::http", REQUEST),
        ("voice_bin::routes", REQUEST),
        ("voice_bin::store", DATABASE),
        ("voice_bin::recording", RECORDING),
        ("voice_bin::recovery", RECOVERY),
        ("voice_bin::cluster", CLUSTER),
        ("voice_bin::providers", PROVIDER_CHECK),
        ("voice_providers", PROVIDER_LINE),
        ("voice_telephony", CARRIER_REQUEST),
        ("voice_core", CALL_COURSE),
        ("voice_", SERVER),
    ];
    modules.iter().find(|(module, _)| target.starts_with(module)).map_or(LIBRARY, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_says_nothing_is_about_what_its_module_is_about() {
        assert_eq!(of_module("voice_bin::routes::twilio"), CARRIER_CALL);
        assert_eq!(of_module("voice_bin::routes::problem"), REQUEST);
        assert_eq!(of_module("voice_bin::signals"), SERVER);
        assert_eq!(of_module("sqlx::query"), LIBRARY);
    }

    #[test]
    fn no_name_stands_twice() {
        let names: std::collections::BTreeSet<_> = EVENT_TYPES.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), EVENT_TYPES.len());
    }
}
