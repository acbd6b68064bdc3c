//! Every metric of the server: its name, unit and meaning. No label ever names a call or a person.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Calls whose media arrived, by `carrier`.
pub(crate) const CALLS_STARTED: &str = "voice_calls_started_total";
/// Calls that are over, by `reason`.
pub(crate) const CALLS_ENDED: &str = "voice_calls_ended_total";
/// Calls running now.
pub(crate) const CALLS_ACTIVE: &str = "voice_calls_active";
/// Length of calls.
pub(crate) const CALL_DURATION: &str = "voice_call_duration_seconds";
/// Frames of 20 ms of calls that are over, by `direction`: `in`, `heard`, `lost` (the caller's), `out`.
pub(crate) const FRAMES: &str = "voice_frames_total";
/// Audio lost, by `place`. In milliseconds, because counters are whole.
pub(crate) const AUDIO_LOST: &str = "voice_audio_lost_milliseconds_total";
/// Replies that the caller interrupted.
pub(crate) const BARGE_INS: &str = "voice_barge_ins_total";
/// From the caller's last voiced frame to the first sound of the reply.
pub(crate) const REPLY_LATENCY: &str = "voice_reply_latency_seconds";
/// From choosing a provider until it is ready.
pub(crate) const ATTACH_DURATION: &str = "voice_provider_attach_seconds";
/// Providers that took over from another in the middle of a call.
pub(crate) const SWITCHES: &str = "voice_switches_total";
/// Failures on the provider's side, by `kind` and `blame`.
pub(crate) const PROVIDER_PROBLEMS: &str = "voice_provider_problems_total";
/// Reports of messages that make no sense, by `peer` and `kind`; a call reports the 1st, 10th, 100th.
pub(crate) const ODDITIES: &str = "voice_oddity_reports_total";
/// Tokens billed by providers, by `kind`.
pub(crate) const TOKENS: &str = "voice_provider_tokens_total";
/// Tools that ran, by `outcome`.
pub(crate) const TOOLS: &str = "voice_tools_total";
/// Webhook requests that were answered, by `carrier` and `kind`.
pub(crate) const WEBHOOK_REQUESTS: &str = "voice_webhook_requests_total";
/// Webhook requests that were refused, by `carrier`, `reason` and `layer` of the door.
pub(crate) const WEBHOOK_REJECTIONS: &str = "voice_webhook_rejections_total";
/// Media sockets that were refused, by `carrier` and `reason`.
pub(crate) const MEDIA_REFUSALS: &str = "voice_media_refusals_total";
/// How long nobody heard the caller when another voice took over, by `why`; zero for planned switches.
pub(crate) const SWITCH_GAP: &str = "voice_switch_gap_seconds";
/// Prompts that covered a silence, by `kind`.
pub(crate) const COVERS: &str = "voice_cover_prompts_total";
/// Times that all providers were asked again because none could take a call.
pub(crate) const RETRIES: &str = "voice_provider_retries_total";
/// Times that nothing came from somebody who should be heard, by `of`: the caller's carrier, or the provider.
pub(crate) const SILENCES: &str = "voice_silences_total";
/// What carriers made of calls that we asked them to place, by `carrier` and `outcome`: `accepted`, or why not.
pub(crate) const OUTBOUND_ATTEMPTS: &str = "voice_outbound_attempts_total";
/// Calls of ours that are over, by `end`.
pub(crate) const OUTBOUND_ENDED: &str = "voice_outbound_ended_total";
/// Callers who were to be led to somebody else, by `outcome`: `done`, or why not.
pub(crate) const TRANSFERS: &str = "voice_transfers_total";
/// HTTP connections open now; media sockets are calls and not counted.
pub(crate) const HTTP_CONNECTIONS: &str = "voice_http_connections";
/// Connections closed at once because there were too many, by `reason`.
pub(crate) const HTTP_REFUSED: &str = "voice_http_connections_refused_total";
/// Recordings that are over, by `outcome`: `written` or `failed`.
pub(crate) const RECORDINGS: &str = "voice_recordings_total";
/// Attempts to put a finished recording into the bucket, by `outcome`: `stored` or `failed`.
pub(crate) const RECORDING_UPLOADS: &str = "voice_recording_uploads_total";
/// Blocks of 20 ms that recordings lost because the disk did not keep up; there is silence in their place.
pub(crate) const RECORDING_LOST: &str = "voice_recording_lost_blocks_total";
/// Entries waiting to be written to the journal.
pub(crate) const JOURNAL_QUEUED: &str = "voice_journal_queued_entries";
/// Entries written to the journal.
pub(crate) const JOURNAL_WRITTEN: &str = "voice_journal_written_total";
/// Entries the journal lost, by `reason`.
pub(crate) const JOURNAL_LOST: &str = "voice_journal_lost_total";

/// Where a breaker stands, by `name` (`connect`, `converse`) and `provider`: 0 closed, 1 half-open, 2 open.
pub(crate) const BREAKER_STATE: &str = "circuit_breaker_state";
/// What breakers let through and turned away, by `name`, `provider` and `status`.
pub(crate) const BREAKER_CALLS: &str = "circuit_breaker_calls_total";
/// Changes of state, by `name`, `provider`, `from_state` and `to_state`.
pub(crate) const BREAKER_TRANSITIONS: &str = "circuit_breaker_state_transitions_total";
/// How a provider fares, by `provider_id` and `provider_type`: 0 offline, 1 unhealthy, 2 degraded, 3 healthy.
pub(crate) const HEALTH_STATUS: &str = "provider_health_status";
/// Failed checks in a row, by `provider_id`.
pub(crate) const HEALTH_FAILURES: &str = "provider_health_consecutive_failures";
/// Of a hundred checks in the last quarter of an hour, those that passed, by `provider_id`.
pub(crate) const HEALTH_SUCCESS: &str = "provider_health_success_rate";
/// Calls that a provider is in, by `provider`.
pub(crate) const PROVIDER_CALLS: &str = "voice_provider_calls";
/// How much confidence a provider deserves, 0 to 100, by `provider`.
pub(crate) const PROVIDER_CONFIDENCE: &str = "voice_provider_confidence";

/// Bounds of the latency histograms in seconds. A reply feels late beyond one second.
pub(crate) const LATENCY_BUCKETS: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Bounds of the call length histogram in seconds.
pub(crate) const DURATION_BUCKETS: [f64; 9] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_counter!(CALLS_STARTED, Unit::Count, "Calls whose media arrived");
    describe_counter!(CALLS_ENDED, Unit::Count, "Calls that are over");
    describe_gauge!(CALLS_ACTIVE, Unit::Count, "Calls running now");
    describe_histogram!(CALL_DURATION, Unit::Seconds, "Length of calls");
    describe_counter!(FRAMES, Unit::Count, "Frames of 20 ms of calls that are over");
    describe_counter!(AUDIO_LOST, Unit::Milliseconds, "Audio lost");
    describe_counter!(BARGE_INS, Unit::Count, "Replies that the caller interrupted");
    describe_histogram!(
        REPLY_LATENCY,
        Unit::Seconds,
        "From the caller's last voiced frame to the reply's first sound"
    );
    describe_histogram!(ATTACH_DURATION, Unit::Seconds, "From choosing a provider until it is ready");
    describe_counter!(SWITCHES, Unit::Count, "Providers that took over in the middle of a call");
    describe_counter!(PROVIDER_PROBLEMS, Unit::Count, "Failures on the provider's side");
    describe_counter!(ODDITIES, Unit::Count, "Reports of messages that make no sense");
    describe_counter!(TOKENS, Unit::Count, "Tokens billed by providers");
    describe_counter!(TOOLS, Unit::Count, "Tools that ran");
    describe_counter!(WEBHOOK_REQUESTS, Unit::Count, "Webhook requests that were answered");
    describe_counter!(WEBHOOK_REJECTIONS, Unit::Count, "Webhook requests that were refused");
    describe_counter!(MEDIA_REFUSALS, Unit::Count, "Media sockets that were refused");
    describe_gauge!(BREAKER_STATE, Unit::Count, "Where a breaker stands: 0 closed, 1 half-open, 2 open");
    describe_counter!(BREAKER_CALLS, Unit::Count, "What breakers let through and turned away");
    describe_counter!(BREAKER_TRANSITIONS, Unit::Count, "Changes of the state of breakers");
    describe_gauge!(HEALTH_STATUS, Unit::Count, "0 offline, 1 unhealthy, 2 degraded, 3 healthy");
    describe_gauge!(HEALTH_FAILURES, Unit::Count, "Failed checks in a row");
    describe_gauge!(HEALTH_SUCCESS, Unit::Percent, "Checks of the last quarter of an hour that passed");
    describe_gauge!(PROVIDER_CALLS, Unit::Count, "Calls that a provider is in");
    describe_gauge!(PROVIDER_CONFIDENCE, Unit::Percent, "How much confidence a provider deserves");
    describe_histogram!(SWITCH_GAP, Unit::Seconds, "How long nobody heard the caller at a switch");
    describe_counter!(COVERS, Unit::Count, "Prompts that covered a silence");
    describe_counter!(RETRIES, Unit::Count, "Times that all providers were asked again");
    describe_counter!(SILENCES, Unit::Count, "Times that nothing came from somebody who should be heard");
    describe_counter!(OUTBOUND_ATTEMPTS, Unit::Count, "Calls that carriers were asked to place");
    describe_counter!(OUTBOUND_ENDED, Unit::Count, "Calls of ours that are over");
    describe_counter!(TRANSFERS, Unit::Count, "Callers who were to be led to somebody else");
    describe_gauge!(HTTP_CONNECTIONS, Unit::Count, "HTTP connections open now");
    describe_counter!(HTTP_REFUSED, Unit::Count, "Connections closed because there were too many");
    describe_counter!(RECORDINGS, Unit::Count, "Recordings that are over");
    describe_counter!(RECORDING_UPLOADS, Unit::Count, "Attempts to put a recording into the bucket");
    describe_counter!(RECORDING_LOST, Unit::Count, "Blocks of 20 ms that recordings lost");
    describe_gauge!(JOURNAL_QUEUED, Unit::Count, "Entries waiting to be written to the journal");
    describe_counter!(JOURNAL_WRITTEN, Unit::Count, "Entries written to the journal");
    describe_counter!(JOURNAL_LOST, Unit::Count, "Entries the journal lost");
}
