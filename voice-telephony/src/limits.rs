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

/// Calls of which the highest leg is remembered, at 100 bytes each. Beyond it the oldest call is forgotten,
/// whose record knows it still.
pub const LEGS_SEEN_MAX: usize = 65_536;

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

/// Name, TCP and TLS to a carrier's API. They are a few network round trips away; longer means that
/// nobody is there, and the caller of this is a person waiting for a telephone to ring.
pub const REST_CONNECT_MAX: Duration = Duration::from_secs(5);

/// From the first byte to the last of one request to a carrier. A call is accepted within a second or
/// two; after this the other carrier is the better bet, once it is known that this one did nothing.
pub const REST_WHOLE_MAX: Duration = Duration::from_secs(15);

/// Largest answer of a carrier's API: a page of fifty calls has about 100 kB. A larger one is refused.
pub const REST_ANSWER_BYTES_MAX: usize = 1 << 20;

/// Idle connections kept to one carrier, of some 20 kB each. One more is closed.
pub const REST_IDLE_CONNECTIONS_MAX: usize = 8;

/// How long an idle connection is kept; carriers close theirs after a minute or so.
pub const REST_IDLE_MAX: Duration = Duration::from_secs(45);

/// How long an idle connection is trusted with a request that must not be sent twice: if the peer
/// closes it just then, nobody knows whether the request was read.
pub const REST_IDLE_SURE: Duration = Duration::from_secs(5);

/// Carriers that one call may be tried at.
pub const ROUTES_MAX: usize = 4;

/// Calls that may wait for a carrier's pace. At one call a second the last one waits half a minute;
/// the next goes to another carrier, or is told so.
pub const PACED_CALLS_MAX: u32 = 30;

/// Times that all routes are asked again where the last one only asked to wait.
pub const ROUNDS_MAX: u32 = 3;

/// The longest wait between two rounds: a person waits for this call.
pub const ROUND_WAIT_MAX: Duration = Duration::from_secs(20);

/// A request to place a call whose answer is not given by then counts as unanswered. The pace may hold
/// it back for half a minute, and the request itself has 15 s.
pub const PLACE_WAIT_MAX: Duration = Duration::from_secs(60);

/// How often it is looked for a call that may have been accepted, before another carrier is asked, and
/// how long after the one before: a list may be some seconds behind, and a carrier that was slow to
/// answer is slow to call. 26 s in all.
pub const LOOKS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(8), Duration::from_secs(13)];

/// How often it is looked for a call in vain because the carrier does not answer, before that is given
/// up; with the pauses above and 15 s each, a minute and a half.
pub const LOOKS_UNANSWERED_MAX: u32 = 6;

/// Before this much past the ring time of an order the carrier should have told how it went. Carriers
/// add some seconds of their own, and webhooks take time.
pub const RING_SLACK: Duration = Duration::from_secs(15);

/// A call whose audio is over is hung up after this long, if the carrier does not say that it is over.
pub const MEDIA_OVER_MAX: Duration = Duration::from_secs(10);

/// Leaving a message ends after this long.
pub const MESSAGE_MAX: Duration = Duration::from_secs(120);

/// How often a hang-up is tried, doubling a pause of one second in between.
pub const HANG_UPS_MAX: u32 = 5;

/// How long a call that is over waits for a stray: a call that it gave up and that begins to ring.
pub const STRAY_WAIT: Duration = Duration::from_secs(120);

/// Calls of ours that one desk follows at once, of some 2 kB each. One more is refused.
pub const OUTBOUND_CALLS_MAX: usize = 10_000;

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

/// From when a telephone should have stopped ringing until that counts as unanswered: Twilio alone adds five
/// seconds (protocol notes, Twilio §6), and webhooks take their time.
pub const LEG_RING_SLACK: Duration = Duration::from_secs(15);

/// A leg whose request was not answered is told of by webhook within seconds, if there is one.
pub const LEG_LOST_WAIT: Duration = Duration::from_secs(15);

/// A leg that nobody wants any more is ended when it turns up; after so long it was never called.
pub const LEG_STRAY_WAIT: Duration = Duration::from_secs(60);

/// A minute of summary, and the word that it was said. Then it counts as said.
pub const LEG_SPEECH_MAX: Duration = Duration::from_secs(75);

/// How long somebody may think about a call before they did not want it.
pub const LEG_KEY_WAIT: Duration = Duration::from_secs(20);

/// How long it may take to join two legs that are there: a request, or its event.
pub const LEG_JOIN_WAIT: Duration = Duration::from_secs(20);

/// How long somebody who has answered waits for the call to make way, before they are joined with the caller. More
/// than the call itself takes ([`voice_core::limits::TRANSFER_WAY`]).
pub const LEG_WAY_WAIT: Duration = Duration::from_secs(2);

/// How often a leg is ended, or joined, before it is left to the carrier's own limits.
pub const LEG_ENDS_MAX: u32 = 4;

/// Transfers at once; each is some kB and has a leg that costs money. One more fails.
pub const TRANSFERS_MAX: usize = 1_000;

/// How often a carrier is asked for one step of its recording of a call. A pause that is wanted waits as long,
/// and whoever ordered it is told after some seconds that it is none.
pub const RECORD_TRIES_MAX: u32 = 4;

/// The longest pause between two of those.
pub const RECORD_PAUSE_MAX: Duration = Duration::from_secs(5);
