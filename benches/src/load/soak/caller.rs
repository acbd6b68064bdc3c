//! Callers who speak in sentences, listen to answers, interrupt them, and hang up or are cut off.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use voice_core::sim::speech::CALLER;

use crate::load::encode;
use crate::load::silence;
use crate::load::stream::{FRAME, MediaStream, Target, Told};

/// When a caller speaks, in milliseconds: into the greeting, at leisure, and into the answer to that.
const SPEAKS: [(u64, u64); 3] = [(1_000, 2_200), (6_000, 7_200), (8_400, 9_200)];

/// Then it begins again.
const CYCLE: u64 = 12_000;

/// One call in so many is cut off.
const CUT_EVERY: u64 = 8;

/// What has come after so long without anything is another reply.
const PAUSE: Duration = Duration::from_millis(300);

/// What callers heard.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Heard {
    /// Replies of which they heard the beginning.
    pub replies: u64,
    /// Times that a buffer was emptied, because they interrupted.
    pub interruptions: u64,
    /// Marks that were sent back.
    pub marks: u64,
    /// Calls that were cut off without a goodbye.
    pub cut: u64,
}

impl Heard {
    pub(super) fn add(&mut self, other: &Self) {
        self.replies += other.replies;
        self.interruptions += other.interruptions;
        self.marks += other.marks;
        self.cut += other.cut;
    }
}

/// What callers say, as it stands in messages.
#[derive(Debug)]
pub(super) struct Speech {
    frames: Vec<String>,
    silence: String,
}

impl Speech {
    pub(super) fn new() -> Self {
        let speech = CALLER.iter().flat_map(|clip| clip.mulaw.as_chunks::<160>().0);
        Self { frames: speech.map(|frame| encode(frame)).collect(), silence: silence() }
    }

    /// Frame number so many of a call.
    fn frame(&self, number: u64) -> &str {
        let now = number * FRAME.as_millis() as u64 % CYCLE;
        let speaks = SPEAKS.iter().any(|(from, to)| (*from..*to).contains(&now));
        if speaks { &self.frames[number as usize % self.frames.len()] } else { &self.silence }
    }
}

/// One call. Each frame is counted as it is spoken.
///
/// # Errors
/// If it cannot be set up, breaks, or nothing is heard in it.
pub(super) async fn call(
    target: &Target,
    speech: &Speech,
    number: u64,
    lasts: Duration,
    spoken: &AtomicU64,
) -> io::Result<Heard> {
    let mut stream = MediaStream::open(target, number).await?;
    let mut call = Call { heard: Heard::default(), dry_at: None, marks: VecDeque::new() };
    let mut ticks = MediaStream::ticks();
    while FRAME * u32::try_from(stream.frames()).unwrap_or(u32::MAX) < lasts {
        tokio::select! {
            _ = ticks.tick() => {
                stream.speak(speech.frame(stream.frames())).await?;
                spoken.fetch_add(1, Ordering::Relaxed);
                call.play(&mut stream).await?;
            }
            message = stream.read() => call.hear(&message?),
        }
    }
    if call.heard.replies == 0 {
        return Err(io::Error::other("a caller heard nothing"));
    }
    if number % CUT_EVERY == CUT_EVERY - 1 {
        call.heard.cut += 1;
        drop(stream);
    } else {
        stream.hang_up().await;
    }
    Ok(call.heard)
}

/// A carrier's buffer, and what it saw.
struct Call {
    heard: Heard,
    /// When all that was sent has been played, if anything was.
    dry_at: Option<Instant>,
    /// Marks that are not yet reached, and when they are.
    marks: VecDeque<(Instant, String)>,
}

impl Call {
    fn hear(&mut self, message: &str) {
        let now = Instant::now();
        match Told::read(message) {
            Told::Audio(_) => {
                let begins = self.dry_at.is_none_or(|dry_at| now.duration_since(dry_at) >= PAUSE);
                self.heard.replies += u64::from(begins);
                self.dry_at = Some(self.dry_at.map_or(now, |dry_at| dry_at.max(now)) + FRAME);
            }
            Told::Mark(name) => self.marks.push_back((self.dry_at.unwrap_or(now), name.to_owned())),
            Told::Clear => {
                self.heard.interruptions += 1;
                // Carriers send the marks back that they throw away.
                self.marks.iter_mut().for_each(|mark| mark.0 = now);
                self.dry_at = Some(now);
            }
            Told::Other => {}
        }
    }

    /// Sends back the marks that were reached.
    async fn play(&mut self, stream: &mut MediaStream) -> io::Result<()> {
        let now = Instant::now();
        while let Some((_, name)) = self.marks.pop_front_if(|mark| mark.0 <= now) {
            self.heard.marks += 1;
            stream.played(&name).await?;
        }
        Ok(())
    }
}
