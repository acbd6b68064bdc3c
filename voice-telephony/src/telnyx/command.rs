//! What can be asked of a call, as data (protocol notes, Telnyx §3).
//!
//! Nothing is sent here. An [`Order`] is a command for one call under a [`CommandId`], which is the same
//! whenever the order is repeated: Telnyx ignores a second one within 60 seconds, so a repetition after
//! an unknown outcome does no harm.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use voice_core::sensitive::{Pii, Secret};

use super::id::{CallControlId, ConferenceId, ConnectionId};
use super::media::Codec;
use crate::ticket::StreamTicket;

/// The name under which the ticket comes back in `start`, and in the query of the socket's address.
pub const TICKET_PARAMETER: &str = "ticket";

/// A command for one call, with what makes a repetition recognisable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which call.
    pub call: CallControlId,
    /// Which order of that call.
    pub id: CommandId,
    /// What to do.
    pub command: Command,
    /// Comes back with every later event of this leg; nothing leaves what was there.
    pub client_state: Option<Vec<u8>>,
}

/// Tells one order of a call from all others: a UUID made of the call and the order's number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(String);

impl CommandId {
    /// The same call and number always give the same id. `call` is whatever names the call for good.
    pub fn new(call: &str, number: u32) -> Self {
        let mut digest = Sha256::new();
        digest.update(call.as_bytes());
        digest.update([0]);
        digest.update(number.to_be_bytes());
        let digest = digest.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        // RFC 9562 §5.8: version 8 is for ids that somebody makes in a way of their own.
        let value = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | (8 << 76) | (0b10 << 62);
        Self(format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            value >> 96,
            (value >> 80) & 0xffff,
            (value >> 64) & 0xffff,
            (value >> 48) & 0xffff,
            value & 0xffff_ffff_ffff
        ))
    }

    /// The UUID's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can be asked of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Take an incoming call. Streaming begins with a command of its own, which can say more.
    Answer,
    /// Do not take it.
    Reject(RejectCause),
    /// End it.
    Hangup,
    /// Open a media socket to us.
    StreamingStart(Box<Streaming>),
    /// Close all media sockets of the call.
    StreamingStop,
    /// Press keys: `0`–`9`, `A`–`D`, `*`, `#`; `w` and `W` wait half a second and a second.
    SendDtmf(Pii<String>),
    /// Call somebody and connect them with this leg.
    Transfer(Box<Transfer>),
    /// Connect this leg with another one.
    Bridge {
        /// The other leg.
        with: CallControlId,
        /// Whether this leg is parked when the other leaves, and not hung up.
        park_after: bool,
    },
    /// Play a sound.
    PlaybackStart {
        /// Where Telnyx fetches it.
        audio_url: String,
        /// Until it is stopped.
        repeats: bool,
    },
    /// Stop all sounds.
    PlaybackStop,
    /// Say something.
    Speak {
        /// At most 3,000 characters.
        text: Pii<String>,
        /// `Provider.Model.Id`, as Telnyx names its voices.
        voice: String,
        /// Where the voice speaks several.
        language: Option<String>,
    },
    /// Record, caller and callee each on a channel.
    RecordStart {
        /// Whether both hear a beep first.
        beep: bool,
    },
    /// Record silence for a while.
    RecordPause,
    /// Go on recording.
    RecordResume,
    /// End the recording.
    RecordStop,
    /// Open a conference with this leg in it.
    ConferenceCreate {
        /// Unique among the conferences that run.
        name: String,
    },
    /// Bring this leg into a conference.
    ConferenceJoin(ConferenceId),
    /// Take it out.
    ConferenceLeave(ConferenceId),
    /// Change what comes back with every event.
    ClientStateUpdate,
}

impl Command {
    /// Telnyx's name for it, which is also the last part of its path.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Reject(_) => "reject",
            Self::Hangup => "hangup",
            Self::StreamingStart(_) => "streaming_start",
            Self::StreamingStop => "streaming_stop",
            Self::SendDtmf(_) => "send_dtmf",
            Self::Transfer(_) => "transfer",
            Self::Bridge { .. } => "bridge",
            Self::PlaybackStart { .. } => "playback_start",
            Self::PlaybackStop => "playback_stop",
            Self::Speak { .. } => "speak",
            Self::RecordStart { .. } => "record_start",
            Self::RecordPause => "record_pause",
            Self::RecordResume => "record_resume",
            Self::RecordStop => "record_stop",
            Self::ConferenceCreate { .. } => "create",
            Self::ConferenceJoin(_) => "join",
            Self::ConferenceLeave(_) => "leave",
            Self::ClientStateUpdate => "client_state_update",
        }
    }
}

/// Why a call is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectCause {
    /// SIP 486.
    UserBusy,
    /// SIP 603.
    CallRejected,
    /// SIP 404.
    NotFound,
    /// SIP 480.
    Unavailable,
}

impl RejectCause {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::UserBusy => "USER_BUSY",
            Self::CallRejected => "CALL_REJECTED",
            Self::NotFound => "NOT_FOUND",
            Self::Unavailable => "TEMPORARILY_UNAVAILABLE",
        }
    }
}

/// A media socket: the caller's audio only, ours in the same codec, both as bare RTP payload.
///
/// The ticket travels three ways, because only the query is known to arrive (protocol notes, Telnyx
/// §3.1): in the query of the address, as a custom parameter of `start`, and as the token that Telnyx
/// promises to send "as part of the connection".
#[derive(Clone, PartialEq, Eq)]
pub struct Streaming {
    url: Secret<String>,
    ticket: StreamTicket,
    codec: Codec,
}

impl Streaming {
    /// A stream to this address, which has no query of its own.
    ///
    /// # Errors
    /// If the address is no `wss://` one (`ws://` is for tests), or has a query or fragment already.
    pub fn new(url: &str, ticket: &StreamTicket, codec: Codec) -> Result<Self, StreamUrlError> {
        Self::check(url)?;
        let url = format!("{url}?{TICKET_PARAMETER}={}", ticket.expose());
        Ok(Self { url: Secret::new(url), ticket: ticket.clone(), codec })
    }

    pub(super) fn check(url: &str) -> Result<(), StreamUrlError> {
        let has_scheme = ["wss://", "ws://"].iter().any(|scheme| url.starts_with(scheme));
        let is_bare = url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
        if has_scheme && is_bare { Ok(()) } else { Err(StreamUrlError) }
    }

    /// The whole address, by which later events name this stream.
    pub const fn url(&self) -> &Secret<String> {
        &self.url
    }

    pub(super) const fn ticket(&self) -> &StreamTicket {
        &self.ticket
    }

    pub(super) const fn codec(&self) -> Codec {
        self.codec
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Streaming({})", self.codec.name())
    }
}

/// An address that no media socket can be opened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a wss:// address without a query")]
pub struct StreamUrlError;

/// Whom to connect a leg with, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// A number or SIP address.
    pub to: Pii<String>,
    /// Shown to them; the number that was called, if nothing is said.
    pub from: Option<Pii<String>>,
    /// How long it may ring.
    pub ring: Option<Duration>,
    /// What events of the new leg carry.
    pub client_state: Option<Vec<u8>>,
    /// Whether this leg is parked when the other leaves, so that the voice can have the caller back.
    pub park_after: bool,
}

/// A call of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The application that the call belongs to.
    pub connection: ConnectionId,
    /// A number of ours, in E.164.
    pub from: Pii<String>,
    /// A number in E.164 or a SIP address.
    pub to: Pii<String>,
    /// How long it may ring; Telnyx takes 5 to 600 seconds.
    pub ring: Duration,
    /// The longest call; Telnyx's own limit is four hours.
    pub longest: Option<Duration>,
    /// Whether to find out who answers.
    pub detection: Detection,
    /// Where events go, instead of the application's own address.
    pub webhook_url: Option<String>,
    /// The name shown beside the number, where the network shows one.
    pub display_name: Option<Pii<String>>,
}

/// Whether to find out if a machine answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detection {
    /// No.
    #[default]
    Disabled,
    /// Person or machine.
    Detect,
    /// And wait for the end of a machine's announcement.
    DetectBeep,
    /// The better and dearer kind.
    Premium,
}

impl Detection {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Detect => "detect",
            Self::DetectBeep => "detect_beep",
            Self::Premium => "premium",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_call_and_number() {
        let id = CommandId::new("v3:abc", 1);
        assert_eq!(id, CommandId::new("v3:abc", 1));
        assert_ne!(id, CommandId::new("v3:abc", 2));
        assert_ne!(id, CommandId::new("v3:abd", 1));
        let groups: Vec<usize> = id.as_str().split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_str().as_bytes()[14], b'8');
        assert!(b"89ab".contains(&id.as_str().as_bytes()[19]));
    }
}
