//! What happened in a fake call, as the caller and the carrier saw it.

use std::time::Duration;

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
    /// Texts of `<Say>`, in order.
    pub announced: Vec<String>,
    /// What the caller heard, in order.
    pub heard: Vec<Heard>,
    /// From the end of each thing said until the first sound of the answer.
    pub latencies: Vec<Duration>,
    /// Each time the caller spoke over the voice.
    pub barge_ins: Vec<BargeIn>,
    /// Counts of what went over the line.
    pub traffic: Traffic,
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
