//! Every metric of the server, in one table: name, kind, unit, labels, meaning, buckets.
//!
//! No label ever names a call or a person, or takes a value that a peer can choose: each stands for something
//! of which there are few (a carrier, a configured provider, a name of ours).

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in `/metrics`.
    pub name: &'static str,
    /// How it is counted.
    pub kind: Kind,
    /// Its labels, all of which every series has.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// How a metric is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "there are no other kinds that Prometheus and this server share")]
pub enum Kind {
    /// Rises, from zero at each start.
    Counter(Of),
    /// Goes up and down.
    Gauge(Of),
    /// Counts by size; the upper bounds of its buckets.
    Histogram(Of, &'static [f64]),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a new unit comes with a new row of the table")]
pub enum Of {
    /// Things.
    Things,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Bytes.
    Bytes,
    /// Parts of a hundred.
    Percent,
    /// US dollars.
    Dollars,
    /// A number that stands for something.
    Code,
}

macro_rules! table {
    ($($konst:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub(crate) const $konst: &str = $name;)*

        /// All of them.
        pub static TABLE: &[Metric] =
            &[$(Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help }),*];
    };
}

const fn counter(of: Of) -> Kind {
    Kind::Counter(of)
}
const fn gauge(of: Of) -> Kind {
    Kind::Gauge(of)
}
const COUNT: Kind = counter(Of::Things);
const NUMBER: Kind = gauge(Of::Things);
const CODE: Kind = gauge(Of::Code);
const LATENCY: Kind = Kind::Histogram(Of::Seconds, &LATENCY_BUCKETS);
const QUICK: Kind = Kind::Histogram(Of::Seconds, &QUICK_BUCKETS);
const LENGTH: Kind = Kind::Histogram(Of::Seconds, &DURATION_BUCKETS);

/// Bounds in seconds. A reply feels late beyond one second.
const LATENCY_BUCKETS: [f64; 13] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];
/// For what should take milliseconds.
const QUICK_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// For the length of calls.
const DURATION_BUCKETS: [f64; 9] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
const MOS_BUCKETS: [f64; 10] = [1.5, 2.0, 2.5, 3.0, 3.3, 3.5, 3.8, 4.0, 4.2, 4.4];
const R_BUCKETS: [f64; 8] = [20.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 93.0];
const LOSS_BUCKETS: [f64; 9] = [0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 25.0];
const JITTER_BUCKETS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 250.0];
const MONEY_BUCKETS: [f64; 10] = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const DRIFT_BUCKETS: [f64; 8] = [0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0];

table! {
    APP_INFO = "app_info", CODE, ["name", "version", "environment"], "1, with what runs here";

    HTTP_REQUESTS = "http_requests_total", COUNT, ["method", "endpoint", "status"], "HTTP requests that were answered";
    HTTP_DURATION = "http_request_duration_seconds", QUICK, ["method", "endpoint"], "From the head of a request to the head of its answer";
    HTTP_CONNECTIONS = "voice_http_connections", NUMBER, [], "HTTP connections open now; media sockets are calls and not counted";
    HTTP_REFUSED = "voice_http_connections_refused_total", COUNT, ["reason"], "Connections closed at once because there were too many";
    AUTH_FAILURES = "authentication_failures_total", COUNT, ["reason"], "Requests to the API without the right token";

    DB_POOL = "db_connections_total", NUMBER, [], "Connections that the pools of the database hold";
    DB_CHECKED_OUT = "db_connections_checked_out", NUMBER, [], "Connections to the database in use";
    DB_AVAILABLE = "db_connections_available", NUMBER, [], "Connections to the database that could be taken at once";
    DB_OVERFLOW = "db_connections_overflow", NUMBER, [], "Requests to the database beyond its connections: they wait for one";
    DB_QUERY = "db_query_duration_seconds", QUICK, ["operation"], "Time taken by the database";
    DB_UP = "database_up", CODE, [], "1 if the database answers";
    DB_WRITABLE = "database_writable", CODE, [], "1 if entries of calls can be written";

    REDIS_UP = "redis_up", CODE, [], "1 if Redis answers; absent where none is set up";
    SERVERS = "voice_servers", NUMBER, [], "Servers on this database that live, this one included";
    LED = "voice_requests_led_total", COUNT, ["kind", "outcome"], "Requests led to the server that holds their call: answered, no_call, unreachable or no_answer";
    ADOPTED = "voice_calls_adopted_total", COUNT, ["why"], "Calls taken over from another server because it died, left, or could not be reached";

    WS_ACTIVE = "websocket_connections_active", NUMBER, [], "Media sockets of carriers open now";
    WS_MESSAGES = "websocket_messages_total", COUNT, ["direction", "message_type"], "Messages on media sockets";
    WS_DISCONNECTIONS = "websocket_disconnections_total", COUNT, ["peer", "reason"], "Sockets of carriers and providers that ended without a goodbye";

    AI_REQUESTS = "ai_provider_requests_total", COUNT, ["provider", "status"], "Sessions that became ready and replies that were given (success), and failures (error)";
    AI_LATENCY = "ai_provider_latency_seconds", LATENCY, ["provider"], "The provider's part of an answer: from the end of the caller's turn to the first sound that came";
    AI_ERRORS = "ai_provider_errors_total", COUNT, ["provider", "error_type"], "Failures of providers by kind, harmless ones too";
    AI_SESSIONS = "ai_provider_active_sessions", NUMBER, ["provider"], "Sessions with a provider now: live, warming up and standing by";
    AI_RECONNECTIONS = "ai_provider_reconnections_total", COUNT, ["provider", "success"], "Sessions opened in mid-call because another one failed or ended";
    AI_CHUNKS_SENT = "ai_provider_audio_chunks_sent_total", COUNT, ["provider"], "Frames of 20 ms of callers given to a provider";
    AI_CHUNKS_RECEIVED = "ai_provider_audio_chunks_received_total", COUNT, ["provider"], "Frames of 20 ms that came from a provider";
    AI_TRANSITIONS = "ai_provider_circuit_breaker_transitions_total", COUNT, ["provider", "from_state", "to_state"], "Changes of state of a provider's breakers";
    AI_UPTIME = "ai_provider_uptime_seconds", gauge(Of::Seconds), ["provider"], "Since when a provider's breakers are both closed; 0 while one is not";
    AI_TOKENS = "ai_token_usage_total", COUNT, ["provider", "kind"], "Tokens billed by providers";
    AI_COST = "ai_cost_estimate_dollars", gauge(Of::Dollars), ["provider"], "Money spent since the start, by the table of prices; what has no price is not in it, see ai_cost_unknown_total";
    AI_UNPRICED = "ai_cost_unknown_total", COUNT, ["provider"], "Bills of providers for something whose price is not known: not free";
    CALL_COST = "call_cost_dollars", Kind::Histogram(Of::Dollars, &MONEY_BUCKETS), ["provider"], "Money spent on a call with a provider, told when the call is over";
    BUDGET = "call_budget_reached_total", COUNT, ["action"], "Calls that reached their budget, by what was done: warned, downgraded or ended";
    PROVIDER_PROBLEMS = "voice_provider_problems_total", COUNT, ["kind", "blame"], "Failures on the provider's side, and whose fault they are";
    PROVIDER_CALLS = "voice_provider_calls", NUMBER, ["provider"], "Calls that a provider is in, by the roster's books";
    PROVIDER_CONFIDENCE = "voice_provider_confidence", gauge(Of::Percent), ["provider"], "How much confidence a provider deserves";
    ATTACH_DURATION = "voice_provider_attach_seconds", LATENCY, ["provider"], "From choosing a provider until it is ready";

    MOS = "audio_quality_mos_score", Kind::Histogram(Of::Things, &MOS_BUCKETS), ["provider", "carrier"], "Mean opinion score of ten seconds of a caller's line, by the E-model";
    R_FACTOR = "audio_quality_r_factor", Kind::Histogram(Of::Things, &R_BUCKETS), ["provider", "carrier"], "R of the E-model of ten seconds of a caller's line";
    LOSS = "audio_quality_packet_loss_percentage", Kind::Histogram(Of::Percent, &LOSS_BUCKETS), ["provider", "carrier"], "Of ten seconds of a caller's sound, what was lost on the way to us";
    JITTER = "audio_quality_jitter_ms", Kind::Histogram(Of::Millis, &JITTER_BUCKETS), ["provider", "carrier"], "Jitter of a caller's sound (RFC 3550)";

    HEALTH_STATUS = "provider_health_status", CODE, ["provider_id", "provider_type"], "0 offline, 1 unhealthy, 2 degraded, 3 healthy";
    HEALTH_FAILURES = "provider_health_consecutive_failures", NUMBER, ["provider_id"], "Failed checks in a row";
    HEALTH_SUCCESS = "provider_health_success_rate", gauge(Of::Percent), ["provider_id"], "Checks of the last quarter of an hour that passed";

    CALLS = "telephony_calls_total", COUNT, ["provider", "status", "direction"], "Calls that are over, by carrier and how: completed, dropped, failed or limited";
    CALL_DURATION = "telephony_call_duration_seconds", LENGTH, ["provider", "direction"], "Length of calls, by carrier";
    CALLS_RUNNING = "telephony_active_calls", NUMBER, ["provider"], "Calls running now, by carrier";
    CALLS_ACTIVE = "voice_calls_active", NUMBER, [], "Tasks of calls running now";
    CALLS_LIMIT = "voice_calls_limit", NUMBER, [], "Calls that may run at once (MAX_CALLS)";
    CALLS_STARTED = "call_started_total", COUNT, ["provider", "direction"], "Calls whose media arrived, by carrier";
    CALLS_ENDED = "call_ended_total", COUNT, ["provider", "reason"], "Calls that are over, by carrier and reason";
    CALL_STATES = "calls_by_status", NUMBER, ["status"], "Calls running now, by how they stand";
    CALL_TRANSITIONS = "call_state_transitions_total", COUNT, ["from_state", "to_state"], "Changes of the statuses of calls, as GET /api/v1/sessions/{id}/statuses tells them";
    OUTBOUND_ATTEMPTS = "voice_outbound_attempts_total", COUNT, ["carrier", "outcome"], "Calls that carriers were asked to place";
    TRANSFERS = "voice_transfers_total", COUNT, ["outcome"], "Callers who were to be led to somebody else: done, or why not";
    OUTBOUND_ENDED = "voice_outbound_ended_total", COUNT, ["end"], "Calls of ours that are over";

    SESSIONS_ACTIVE = "sessions_active", NUMBER, ["provider_type"], "Conversations that a provider hears now";
    SESSIONS = "sessions_total", COUNT, ["provider_type", "status"], "Sessions with providers that are over: completed, failed or unused";
    SESSION_DURATION = "session_duration_seconds", LENGTH, ["provider_type"], "How long a provider was connected with a call";

    BREAKER_STATE = "circuit_breaker_state", CODE, ["name", "provider"], "Where a breaker stands: 0 closed, 1 half-open, 2 open";
    BREAKER_CALLS = "circuit_breaker_calls_total", COUNT, ["name", "provider", "status"], "What breakers let through and turned away";
    BREAKER_TRANSITIONS = "circuit_breaker_state_transitions_total", COUNT, ["name", "provider", "from_state", "to_state"], "Changes of the state of breakers";
    BREAKER_DURATION = "circuit_breaker_call_duration_seconds", LATENCY, ["name", "provider", "status"], "How long what a breaker let through took: connecting (connect), conversing (converse)";

    TRACE_SPANS = "voice_trace_spans_total", COUNT, ["outcome"], "Spans of traces: sent, failed, or dropped because too many waited";
    LOG_EVENTS = "log_events_total", COUNT, ["level", "service", "module"], "Lines of the log, written or not, by level and module";
    LOG_ERRORS = "log_errors_total", COUNT, ["service", "module", "error_type"], "Errors told to the log";

    WEBHOOK_REQUESTS = "webhook_requests_total", COUNT, ["provider", "kind"], "Webhook requests that were believed, by carrier and kind";
    WEBHOOK_REJECTIONS = "webhook_rejections_total", COUNT, ["provider", "reason", "layer"], "Webhook requests that were refused, by carrier, reason and layer of the door";
    WEBHOOK_DURATION = "webhook_processing_duration_seconds", QUICK, ["provider"], "From the head of a webhook to its answer";
    WEBHOOK_DRIFT = "webhook_clock_drift_seconds", Kind::Histogram(Of::Seconds, &DRIFT_BUCKETS), ["provider"], "How far the time that a carrier signed is from ours; the way here is in it";
    MEDIA_REFUSALS = "voice_media_refusals_total", COUNT, ["carrier", "reason"], "Media sockets that were refused";

    VOICE_TO_VOICE = "voice_to_voice_latency_seconds", LATENCY, ["provider"], "From a caller's last word to the first sound of the answer at their ear, by the carrier's mark";
    VOICE_TO_VOICE_PART = "voice_to_voice_part_seconds", LATENCY, ["part"], "The same in parts: detection, provider, pacing, network";
    REPLY_LATENCY = "voice_reply_latency_seconds", LATENCY, ["provider"], "From a caller's last voiced frame to the reply's first sound being sent";
    SWITCHES = "voice_switches_total", COUNT, ["why"], "Providers that took over in the middle of a call";
    SWITCHES_REFUSED = "voice_switches_refused_total", COUNT, ["why"], "Wishes to switch that were not carried out";
    SWITCH_GAP = "voice_switch_gap_seconds", LATENCY, ["why"], "How long nobody heard the caller at a switch; zero if planned";
    HELD_AUDIO = "voice_held_audio_seconds", LATENCY, [], "How much of a caller's sound was kept until somebody heard it";
    COVERS = "voice_cover_prompts_total", COUNT, ["kind"], "Prompts that covered a silence";
    RETRIES = "voice_provider_retries_total", COUNT, [], "Times that all providers were asked again because none could take a call";
    SILENCES = "voice_silences_total", COUNT, ["of"], "Times that nothing came from somebody who should be heard";
    BARGE_INS = "voice_barge_ins_total", COUNT, [], "Replies that the caller interrupted";
    FRAMES = "voice_frames_total", COUNT, ["direction"], "Frames of 20 ms of calls that are over";
    AUDIO_LOST = "voice_audio_lost_milliseconds_total", counter(Of::Millis), ["place"], "Sound that was lost";
    ODDITIES = "voice_oddity_reports_total", COUNT, ["peer", "kind"], "Reports of messages that make no sense; a call reports the 1st, 10th, 100th";
    TOOLS = "voice_tools_total", COUNT, ["outcome"], "Tools that ran";
    TOOL_DURATION = "voice_tool_duration_seconds", LATENCY, ["outcome"], "How long tools ran";

    RECORDINGS = "voice_recordings_total", COUNT, ["outcome"], "Recordings that are over: ours written or failed; a carrier's saved, absent, refused when it was to begin, or not_stopped when it was to pause or end";
    RECORDING_UPLOADS = "voice_recording_uploads_total", COUNT, ["outcome"], "Attempts to put a finished recording into the bucket: stored or failed";
    RECORDING_LOST = "voice_recording_lost_blocks_total", COUNT, [], "Blocks of 20 ms that recordings lost because the disk did not keep up";
    JOURNAL_QUEUED = "voice_journal_queued_entries", NUMBER, [], "Entries waiting to be written to the journal";
    JOURNAL_LIMIT = "voice_journal_queue_limit", NUMBER, [], "Entries that may wait";
    JOURNAL_WRITTEN = "voice_journal_written_total", COUNT, [], "Entries written to the journal";
    JOURNAL_LOST = "voice_journal_lost_total", COUNT, ["reason"], "Entries the journal lost";
    SYNC_LAG = "state_sync_lag_seconds", LATENCY, [], "From something happening in a call to its being in the database";
    UPDATE_FAILURES = "state_update_failures_total", COUNT, ["reason"], "Attempts to write entries of calls that failed";
    DISCREPANCIES = "state_discrepancies_total", COUNT, ["kind"], "Times that a carrier's view of a call and ours differed";
    RECOVERY = "recovery_duration_seconds", LATENCY, ["what"], "How long it took to pick up what the process before left";

    STARTED_AT = "process_start_time_seconds", gauge(Of::Seconds), [], "When the process began, in seconds since 1970";
    CPU = "process_cpu_milliseconds_total", counter(Of::Millis), [], "Time of processors that the process took";
    MEMORY = "process_resident_memory_bytes", gauge(Of::Bytes), [], "Memory that the process has";
    OPEN_FILES = "process_open_fds", NUMBER, [], "Files and sockets that are open";
    FILES_LIMIT = "process_max_fds", NUMBER, [], "Files and sockets that may be open";
    LATENESS = "voice_timer_lateness_seconds", QUICK, [], "How late timers fire: over 20 ms, and sound stutters";
}

impl Of {
    const fn unit(self) -> Unit {
        match self {
            Self::Things | Self::Dollars | Self::Code => Unit::Count,
            Self::Seconds => Unit::Seconds,
            Self::Millis => Unit::Milliseconds,
            Self::Bytes => Unit::Bytes,
            Self::Percent => Unit::Percent,
        }
    }
}

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    for Metric { name, kind, help, .. } in TABLE {
        match kind {
            Kind::Counter(of) => describe_counter!(*name, of.unit(), *help),
            Kind::Gauge(of) => describe_gauge!(*name, of.unit(), *help),
            Kind::Histogram(of, _) => describe_histogram!(*name, of.unit(), *help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names that were promised; what exporters of other languages append is in them.
    const PROMISED: [&str; 36] = [
        "http_requests_total",
        "http_request_duration_seconds",
        "db_connections_total",
        "db_connections_checked_out",
        "db_connections_overflow",
        "db_query_duration_seconds",
        "websocket_connections_active",
        "websocket_messages_total",
        "ai_provider_requests_total",
        "ai_provider_latency_seconds",
        "ai_provider_errors_total",
        "ai_provider_active_sessions",
        "ai_provider_reconnections_total",
        "ai_provider_audio_chunks_sent_total",
        "ai_provider_audio_chunks_received_total",
        "ai_provider_circuit_breaker_transitions_total",
        "ai_provider_uptime_seconds",
        "audio_quality_mos_score",
        "audio_quality_packet_loss_percentage",
        "audio_quality_jitter_ms",
        "provider_health_status",
        "provider_health_consecutive_failures",
        "provider_health_success_rate",
        "telephony_calls_total",
        "telephony_call_duration_seconds",
        "telephony_active_calls",
        "sessions_active",
        "sessions_total",
        "session_duration_seconds",
        "app_info",
        "circuit_breaker_state",
        "circuit_breaker_calls_total",
        "circuit_breaker_state_transitions_total",
        "circuit_breaker_call_duration_seconds",
        "log_events_total",
        "log_errors_total",
    ];

    #[test]
    fn all_promised_names_are_there_and_none_twice() {
        let names: BTreeSet<&str> = TABLE.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for promised in PROMISED {
            assert!(names.contains(promised), "{promised}");
        }
    }

    #[test]
    fn counters_and_only_they_end_as_prometheus_wants() {
        for Metric { name, kind, labels, .. } in TABLE {
            // The pool's size has this name by tradition, though it goes up and down.
            let is_total = name.ends_with("_total") && *name != DB_POOL;
            assert_eq!(is_total, matches!(kind, Kind::Counter(_)), "{name}");
            assert!(
                !labels.iter().any(|label| label.contains("session") || label.contains("call")),
                "{name}"
            );
            if let Kind::Histogram(_, bounds) = kind {
                assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{name}");
            }
        }
    }
}
