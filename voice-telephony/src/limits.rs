//! Every bound of this crate, with its arithmetic and what happens when it is reached.

use std::time::Duration;

/// Largest webhook body accepted. A voice webhook with caller names, STIR passport and forty SIP
/// headers has about 10 kB; beyond the bound the request is refused with 413 before it is hashed.
pub const WEBHOOK_BYTES_MAX: usize = 64 << 10;

/// Form parameters of one webhook; a real one has about forty. More are refused as malformed.
pub const FORM_PARAMETERS_MAX: usize = 500;

/// From the WebSocket upgrade until the carrier has said which call this is. Beyond it the socket is
/// closed; a carrier does it within milliseconds, so five seconds only ever cost a stranger.
pub const START_WAIT_MAX: Duration = Duration::from_secs(5);

/// Messages before `start`. The protocol has one; the rest is room for what it may grow.
pub const OPENING_MESSAGES_MAX: u32 = 8;

/// How long a stream may say nothing at all. A live one sends fifty messages a second, in silence
/// too; a socket that stays open after the carrier is gone sends none, ever. Then the line counts as
/// cut.
pub const STREAM_SILENT_MAX: Duration = Duration::from_secs(30);

/// Keys a second. The quickest dialling machine sends one in 80 ms; a stream that reports more has lost
/// its mind, and each is an entry in a record that is kept. Surplus ones are counted and dropped.
pub const KEYS_PER_SECOND_MAX: u32 = 16;

/// The longest loss that is believed. Counters that jump further are nonsense of a peer, and the
/// report is cut to this.
pub const LOSS_MAX: Duration = Duration::from_secs(60);

/// Lifetime of a ticket. Between TwiML and `start` lie a DNS lookup, a TLS handshake and whatever a
/// caller hears before; a carrier's own limit for the connection is far below a minute.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(60);

/// Tickets outstanding at once. At 100 bytes each a few MB; a hundred new calls a second for a minute
/// need 6,000. When full the oldest goes and is counted.
pub const TICKETS_MAX: usize = 16_384;

/// Shared keys beside the account's tokens.
pub const SHARED_KEYS_MAX: usize = 8;

/// Addresses whose requests are counted at once. At about 150 bytes each 10 MB; beyond it those who come
/// new share one place until others have been quiet for two minutes.
pub const VISITORS_MAX: usize = 65_536;

/// Addresses that proved to be a carrier's. Carriers have some hundreds; beyond it a new one counts as a
/// stranger's, which costs it no more than the smaller table.
pub const KNOWN_ADDRESSES_MAX: usize = 1_024;

/// How long an address counts as a carrier's after its last proven request, once room is needed.
pub const KNOWN_ADDRESS_KEPT: Duration = Duration::from_secs(3_600);

/// Proxies before us that are walked through. More than two or three are a mistake or a forgery.
pub const FORWARDED_HOPS_MAX: usize = 32;

/// Networks in one list; each request is compared with all of them.
pub const NETWORKS_MAX: usize = 1_024;

/// Webhooks remembered so that they are not acted upon twice. At about 200 bytes each 13 MB; at twenty
/// a second an hour, at one a second a day. When full the oldest goes and is counted.
pub const REPLAYS_MAX: usize = 65_536;

/// How long a webhook is remembered, as far as there is room.
pub const REPLAY_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// How long its answer is kept for a retry. Twilio gives up after 15 s, and a ticket is no good after a
/// minute.
pub const ANSWER_KEPT: Duration = Duration::from_secs(60);

/// Answers kept at once; about 1 kB each.
pub const ANSWERS_MAX: usize = 4_096;

/// The longest wait that a carrier's `Retry-After` can impose. A peer's word must not close a carrier
/// for a day; after ten minutes it is asked again, and may say so again.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// How far the signed time of a webhook may be from ours, either way; the carrier's own libraries use
/// the same. A retry is signed afresh, so lateness alone never costs an event.
pub const WEBHOOK_AGE_MAX: Duration = Duration::from_secs(300);

/// Names of events kept per call. A call has some dozens, and a retry follows within minutes.
pub const SEEN_EVENTS_MAX: usize = 64;

/// Chunks of audio that wait for a missing one where a carrier sends them out of order. Neighbours
/// overtake each other by one to three; at 20 ms each, sixty milliseconds.
pub const REORDER_CHUNKS: usize = 3;

/// How long a missing chunk or key is waited for; the same sixty milliseconds by the clock, because a
/// stream that stands still brings no later chunk.
pub const REORDER_WAIT: Duration = Duration::from_millis(60);

/// How far ahead a chunk's number may be: a minute of 20 ms chunks. Beyond it the number is nonsense and
/// the chunk is dropped, or else one wrong number would make all later audio too late.
pub const CHUNK_JUMP_MAX: u64 = 3_000;

/// Chunks in a row whose numbers do not belong, before it is believed that the carrier counts anew: a
/// second of 20 ms chunks.
pub const STRAY_CHUNKS_MAX: u32 = 50;

/// An order whose outcome is unknown is sent so often. With pauses of half a second, one, two and four
/// the last one leaves within eight seconds, far inside the minute in which the carrier knows its id.
pub const ORDER_TRIES_MAX: u32 = 5;

/// Orders of one call that wait for an answer.
pub const ORDERS_WAITING_MAX: usize = 32;

/// From the accepted answer to a call until its event; then the call counts as answered without it.
pub const ANSWERED_WAIT: Duration = Duration::from_secs(3);

/// From asking for a media stream until its socket is open and has shown its ticket. Below the lifetime
/// of a ticket.
pub const SOCKET_WAIT: Duration = Duration::from_secs(15);

/// From the loss of a media stream until it is started again: when a call ends, its stream ends first,
/// and the event that says so is on its way.
pub const STOPPED_GRACE: Duration = Duration::from_secs(1);

/// From the accepted end of a call until its event; then it is over without it.
pub const HANGUP_WAIT: Duration = Duration::from_secs(5);

/// How long the event of a call is waited for that may have been dialled, before it counts as lost.
pub const RECONCILE_WAIT: Duration = Duration::from_secs(10);
