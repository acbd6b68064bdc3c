//! Every bound in one place, with its arithmetic. What happens when a bound is reached stands beside it.

use std::time::Duration;

/// Largest message accepted from a provider. The largest that makes sense on a phone call is some
/// seconds of 24 kHz PCM in base64 (64 kB a second); a whole retrieved item can be some MB. Beyond it
/// the line is broken (`LineEnd::Broken`).
pub const PROVIDER_MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Largest message accepted from a carrier: 20 ms are 372 bytes, a `start` with 99 parameters of 500
/// characters 50 kB. Beyond it the line is broken.
pub const CARRIER_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Bytes that wait to be written to one line before the peer counts as clogged: two seconds of
/// base64 mu-law in JSON (50 × 300 bytes × 2) with room for a history being seeded.
pub const LINE_BACKLOG_BYTES_MAX: usize = 256 << 10;

/// The same for a line that we opened. Whoever takes a call over is given all that is held at once, over a
/// connection that has just begun: ten seconds of 24 kHz PCM in base64 are 690 kB with their JSON, and
/// what was said meanwhile comes before them.
pub const PROVIDER_BACKLOG_BYTES_MAX: usize = 1 << 20;

/// Of a foreign close reason or error body, this much is kept.
pub const FOREIGN_TEXT_BYTES_MAX: usize = 1 << 10;

/// Speech of the voice that waits to be played: providers send a reply several times faster than it
/// can be spoken, and nobody listens to a minute of monologue. What comes on top is dropped and
/// reported (`AudioLost`).
pub const PLAYOUT_MAX: Duration = Duration::from_secs(60);

/// Audio of the caller that is held while nobody hears it. The oldest is lost first and reported.
pub const HELD_MAX: Duration = Duration::from_secs(10);

/// Replies that the ledger follows at once. A new one beyond it pushes out the oldest.
pub const REPLIES_MAX: usize = 32;

/// Marks under way to the carrier. One each 200 ms with a lead of 400 ms makes two; marks that never
/// come back must not pile up.
pub const MARKS_MAX: usize = 64;

/// Bytes of text kept of one turn; ten minutes of fast speech.
pub const TURN_TEXT_BYTES_MAX: usize = 16 << 10;

/// Bytes of what the voice was asked to say and has not begun to say; as many as of a turn. The oldest words
/// are dropped first.
pub const CUE_BYTES_MAX: usize = TURN_TEXT_BYTES_MAX;

/// Turns kept in a transcript; at five seconds each, more than an hour. The oldest are dropped first.
pub const TURNS_MAX: usize = 1_000;

/// Bytes of text given to a provider that takes a call over, if not configured otherwise: some 8,000
/// tokens, twenty minutes of talk. Older turns are replaced by a summary, or counted.
pub const CONTEXT_BYTES: usize = 32 << 10;

/// The least that makes sense: a few sentences. A smaller setting is refused.
pub const CONTEXT_BYTES_MIN: usize = 1 << 10;

/// Switches kept for those who ask how a call stands; the record has all.
pub const SWITCHES_KEPT: usize = 16;

/// Tools that may run at once in a call; a call beyond it is answered with an error.
pub const TOOLS_RUNNING_MAX: usize = 16;

/// Bytes of a tool's arguments; longer ones are answered with an error.
pub const TOOL_ARGUMENTS_BYTES_MAX: usize = 64 << 10;

/// Bytes of a tool's output that are passed on; the rest is cut and the model is told so.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Keys that are pressed at once: a telephone number, its extension and some pauses. They take six
/// seconds.
pub const DIGITS_MAX: usize = 32;

/// The longest transfer: a minute of ringing, a minute of a summary, half a minute for a key, and the
/// requests to the carrier. Then the caller comes back to the voice.
pub const TRANSFER_MAX: Duration = Duration::from_secs(180);

/// How long the caller may still hear the voice before they are put on hold for a transfer.
pub const TRANSFER_HOLD_AFTER: Duration = Duration::from_secs(10);

/// From the end of a stream that may have ended because the caller was joined with somebody until that is
/// known for sure: a request to the carrier and its repetition.
pub const TRANSFER_VERDICT: Duration = Duration::from_secs(20);

/// How long a caller and somebody who has answered wait for the carrier to end its recording before they are
/// joined: a request and its answer.
pub const TRANSFER_WAY: Duration = Duration::from_secs(1);

/// Of the last turns, so much is told to whom the caller is led: a minute of speech.
pub const TRANSFER_SUMMARY_BYTES_MAX: usize = 900;

/// Messages of a carrier that make no sense before the stream is given up.
pub const ODDITIES_MAX: u32 = 500;

/// Messages of a provider that cannot be read before it counts as failed.
pub const UNREADABLE_MAX: u32 = 20;

/// Audio in one message of a carrier; ours send 20 ms.
pub const CARRIER_AUDIO_MAX: Duration = Duration::from_secs(1);

/// Attachments one call may ask for in a burst before it gives up. Candidates are tried once each; this
/// bounds a call whose providers flap.
pub const ATTACHMENTS_MAX: u32 = 200;

/// One more is granted so often: a call of hours may switch twelve times a minute and does not run dry.
pub const ATTACHMENT_EVERY: Duration = Duration::from_secs(5);

/// Stays of providers in calls that a roster follows at once: ten times the calls that one machine can
/// carry. Beyond it the oldest is given up as unproven.
pub const STAYS_MAX: usize = 100_000;

/// Choices that a roster remembers; the oldest are forgotten first.
pub const DECISIONS_MAX: usize = 1_000;

/// Callers or agents of whom a roster remembers who they were with; at 100 bytes each, a megabyte.
pub const STICKY_MAX: usize = 10_000;

/// A recording's blocks come out so late: the marks of a first sentence have come back by then (three of
/// 200 ms each, and a way there and back), and a network that held frames up has let them go.
pub const RECORDING_LOOKAHEAD: Duration = Duration::from_millis(1_500);

/// Frames of one channel that a recording holds: the lookahead, twice, with room for the carrier's lead.
/// No telephone sends more; what comes on top is left out.
pub const RECORDING_FRAMES_MAX: usize = 200;

/// Pauses of a recording within its lookahead. One more is made one with the last: silence in between.
pub const RECORDING_PAUSES_MAX: usize = 16;

/// Recordings of one call of which a carrier may say what it has. Each is ordered by somebody, so a call with
/// more is not one; what is told of further ones is passed over.
pub const RECORDINGS_FILED_MAX: usize = 64;

/// Blocks that a recording gives at once; the rest comes with the next look at the clock.
pub const RECORDING_BLOCKS_MAX: usize = 500;
