//! What happened in a fake call, as the caller and the carrier saw it.

use std::time::Duration;

use voice_core::wire::{LineEnd, Unreachable};

/// The result of one fake call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallReport {
    /// The caller did all that the script wanted, or the voice hung up when only listening was left.
    pub completed: bool,
    /// Why not, in words for people.
    pub failure: Option<String>,
    /// What the voice webhook was answered with; 200 stands for any success.
    pub webhook_status: Option<u16>,
    /// What the caller said, in order.
    pub said: Vec<String>,
    /// Where the first sound of each lies, from the stream's beginning. A carrier sends 20 ms once they were
    /// said, so what is sent with one tick began with the one before.
    pub said_at: Vec<Duration>,
    /// Texts of `<Say>`, in order.
    pub announced: Vec<String>,
    /// What the caller heard, in order.
    pub heard: Vec<Heard>,
    /// Keys whose tones the caller heard, in order.
    pub keys_heard: String,
    /// From the end of each thing said until the first sound of the answer.
    pub latencies: Vec<Duration>,
    /// Each time the caller spoke over the voice.
    pub barge_ins: Vec<BargeIn>,
    /// Counts of what went over the line.
    pub traffic: Traffic,
    /// Media sockets that came up, one after the other.
    pub streams: u32,
    /// And those that did not.
    pub streams_refused: u32,
    /// How each media socket ended that the other side closed: code and reason.
    pub closed: Vec<(u16, String)>,
    /// Status callbacks that were answered with success.
    pub callbacks_taken: u32,
    /// Status callbacks that were not.
    pub callbacks_refused: u32,
}

impl CallReport {
    /// The names of the clips that were heard whole, in order.
    pub fn clips_heard(&self) -> Vec<&'static str> {
        self.heard.iter().filter_map(|heard| heard.clip).collect()
    }
}

/// One stretch of speech that the caller heard. Positions count from the stream's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Which clip, if it was heard whole.
    pub clip: Option<&'static str>,
    /// Its first sound.
    pub from: Duration,
    /// Its last sound.
    pub to: Duration,
}

/// The caller spoke over the voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BargeIn {
    /// What the caller said.
    pub said: String,
    /// From the first sound of it until silence at the caller's ear; `None` if the voice did not stop.
    pub reaction: Option<Duration>,
    /// Audio that came after the queue was cleared, while the caller still spoke: a tail of what should
    /// have been thrown away.
    pub residue: Duration,
}

/// Counts of what went over the media socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Media messages sent.
    pub frames_sent: u64,
    /// Frames of the caller that the carrier dropped (on purpose).
    pub frames_dropped: u64,
    /// Media messages received.
    pub frames_received: u64,
    /// Audio received.
    pub received: Duration,
    /// Audio of it that the caller heard.
    pub played: Duration,
    /// Ticks of 20 ms in which nothing was there to be played in the middle of speech.
    pub gap_ticks: u64,
    /// Marks echoed.
    pub marks_echoed: u64,
    /// Times that the queue was cleared.
    pub clears: u64,
    /// Messages that the carrier could make nothing of (Twilio's warning 31951).
    pub invalid_messages: u64,
    /// The most audio that ever waited to be played.
    pub queue_max: Duration,
}

/// Why a request failed, in words for people.
pub(super) fn reason(end: &LineEnd) -> String {
    let unreachable = match end {
        LineEnd::Unreachable(why) => why,
        LineEnd::Refused { status, body, .. } => {
            let text = String::from_utf8_lossy(body);
            let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(no body)");
            let shown = line.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX);
            return format!("HTTP {status}: {}", shown.collect::<String>());
        }
        LineEnd::Closed { code, reason } => return format!("closed with {code} {reason}"),
        LineEnd::Ended => return "the answer ended".to_owned(),
        LineEnd::Cut => return "the connection was cut".to_owned(),
        LineEnd::Broken => return "the answer broke the protocol".to_owned(),
        LineEnd::Clogged => return "the other side does not read".to_owned(),
        _ => return "the connection ended".to_owned(),
    };
    let why = match unreachable {
        Unreachable::Address => "the address cannot be understood or found",
        Unreachable::Tcp => "nobody listens there, or the network is down",
        Unreachable::Tls => "no trustworthy TLS connection",
        Unreachable::Timeout => "no connection in time",
        Unreachable::Handshake => "the other side does not speak WebSocket",
        _ => "it cannot be reached",
    };
    why.to_owned()
}

/// Of what the other side wrote, so much is shown.
const TEXT_CHARS_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_request_is_told_with_status_and_first_line() {
        let body = "\n no signature\u{7}\nmore".into();
        let refused = LineEnd::Refused { status: 403, retry_after: None, body };
        assert_eq!(reason(&refused), "HTTP 403: no signature");
        assert!(reason(&LineEnd::Unreachable(Unreachable::Tcp)).contains("nobody listens"));
    }
}
