//! Callers who speak a tone, alone or in bursts, and note when what comes back comes back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use voice_core::audio::g711;
use voice_core::driver::Clock;
use voice_core::time::MonoTime;

use super::FRAME;
use crate::load::socket::decode;
use crate::load::stream::{MediaStream, Target, Told};
use crate::load::{encode, marked, silence};

/// Frames of tone in a burst, and from the beginning of one to the next.
const BURST: (u64, u64) = (30, 60);

/// In bursts one frame in so many is loud: often enough that an ear takes the tone for speech, and too
/// seldom for a detector of barge-ins, which would cut what comes back.
const LOUD_EVERY: u64 = 6;

/// Louder than this is a prompt; the tone has 100, and 400 at its loudest.
const PROMPT: u16 = 1_000;

/// What all callers do at present.
#[derive(Debug, Default)]
pub struct Conductor(AtomicU8);

/// What a caller sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// Silence.
    Quiet,
    /// The tone, all the time.
    Tone,
    /// 600 ms of tone, 600 ms of silence, each caller at a time of its own.
    Bursts,
    /// The call is over.
    HangUp,
}

impl Conductor {
    /// From the next frame on.
    pub fn order(&self, signal: Signal) {
        self.0.store(signal as u8, Ordering::Relaxed);
    }

    fn signal(&self) -> Signal {
        match self.0.load(Ordering::Relaxed) {
            0 => Signal::Quiet,
            1 => Signal::Tone,
            2 => Signal::Bursts,
            _ => Signal::HangUp,
        }
    }
}

/// What a caller noted.
#[derive(Debug, Default)]
pub struct Notes {
    /// When tone was sent, a frame each.
    pub sent: Vec<MonoTime>,
    /// What came back.
    pub heard: Vec<Sound>,
}

/// A frame that came back.
#[derive(Clone, Copy, Debug)]
pub struct Sound {
    /// When it came.
    pub came: MonoTime,
    /// When it begins to be played: what was sent ahead waits.
    pub plays: MonoTime,
    /// A prompt of the server, or the caller's own tone.
    pub prompt: bool,
    /// How much of the frame is tone; a resampler leaves a tail.
    pub tone: Duration,
}

/// One call, until it is hung up.
///
/// # Errors
/// If it cannot be set up, or breaks.
pub async fn call(target: Target, number: u64, conductor: Arc<Conductor>, clock: Clock) -> io::Result<Notes> {
    let mut stream = MediaStream::open(&target, number).await?;
    let mut caller = Caller {
        clock,
        offset: number * 7,
        dry_at: MonoTime::ZERO,
        silence: silence(),
        tone: marked(),
        loud: loud(),
        notes: Notes::default(),
    };
    caller.talk(&mut stream, &conductor).await?;
    stream.hang_up().await;
    Ok(caller.notes)
}

struct Caller {
    clock: Clock,
    /// Where in its bursts it begins.
    offset: u64,
    /// When the carrier has nothing more to play.
    dry_at: MonoTime,
    silence: String,
    tone: String,
    loud: String,
    notes: Notes,
}

impl Caller {
    async fn talk(&mut self, stream: &mut MediaStream, conductor: &Conductor) -> io::Result<()> {
        let mut ticks = MediaStream::ticks();
        let mut bursting = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let place = (stream.frames() + self.offset) % BURST.1;
                    // A burst that has begun is sent to its end, and none is begun in the middle.
                    let signal = conductor.signal();
                    bursting = place < BURST.0 && (bursting || (signal == Signal::Bursts && place == 0));
                    if signal == Signal::HangUp {
                        return Ok(());
                    }
                    let loud = bursting && place.is_multiple_of(LOUD_EVERY);
                    self.speak(stream, signal == Signal::Tone || bursting, loud).await?;
                }
                message = stream.read() => match Told::read(&message?) {
                    Told::Audio(payload) => self.listen(payload),
                    Told::Mark(name) => stream.played(name).await?,
                    Told::Clear => self.dry_at = self.clock.now(),
                    Told::Other => {}
                },
            }
        }
    }

    async fn speak(&mut self, stream: &mut MediaStream, tone: bool, loud: bool) -> io::Result<()> {
        let payload = match (tone, loud) {
            (true, true) => &self.loud,
            (true, false) => &self.tone,
            (false, _) => &self.silence,
        };
        if tone {
            self.notes.sent.push(self.clock.now());
        }
        stream.speak(payload).await
    }

    fn listen(&mut self, payload: &str) {
        let came = self.clock.now();
        let plays = self.dry_at.max(came);
        self.dry_at = plays + FRAME;
        let codes = decode(payload);
        let peak = |codes: &[u8]| {
            codes.iter().map(|code| g711::mulaw_to_linear(*code).unsigned_abs()).max().unwrap_or_default()
        };
        let prompt = peak(&codes) > PROMPT;
        // A millisecond is eight samples, one period of the tone.
        let blocks = codes.chunks(8).filter(|block| peak(block) > 30).count();
        if prompt || blocks > 0 {
            let tone = if prompt { Duration::ZERO } else { Duration::from_millis(blocks as u64) };
            self.notes.heard.push(Sound { came, plays, prompt, tone });
        }
    }
}

/// The same tone at ±400, −38 dBFS.
fn loud() -> String {
    let tone: Vec<u8> =
        (0..160).map(|at| g711::linear_to_mulaw(if at % 8 < 4 { 400 } else { -400 })).collect();
    encode(&tone)
}
