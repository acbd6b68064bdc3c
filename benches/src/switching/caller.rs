//! Callers who speak a tone, alone or in bursts, and note when what comes back comes back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use voice_core::audio::g711;
use voice_core::driver::Clock;
use voice_core::time::MonoTime;

use super::FRAME;
use crate::load::caller::{Target, connect};
use crate::load::socket::{WebSocket, decode};
use crate::load::{between, encode, marked, silence};

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
    let call_sid = format!("CA{number:032x}");
    let (mut socket, parameters) = connect(&target, &call_sid).await?;
    let stream_sid = format!("MZ{number:032x}");
    socket.write(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#).await?;
    socket
        .write(&format!(
            r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC00000000000000000000000000000000","streamSid":"{stream_sid}","callSid":"{call_sid}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{{parameters}}}}},"streamSid":"{stream_sid}"}}"#
        ))
        .await?;
    let mut caller = Caller {
        stream_sid,
        clock,
        offset: number * 7,
        dry_at: MonoTime::ZERO,
        silence: silence(),
        tone: marked(),
        loud: loud(),
        notes: Notes::default(),
    };
    caller.talk(&mut socket, &conductor).await?;
    socket.close().await;
    Ok(caller.notes)
}

struct Caller {
    stream_sid: String,
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
    async fn talk(&mut self, socket: &mut WebSocket, conductor: &Conductor) -> io::Result<()> {
        let mut ticks = interval_at(Instant::now(), FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut number, mut bursting) = (0_u64, false);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let place = (number + self.offset) % BURST.1;
                    // A burst that has begun is sent to its end, and none is begun in the middle.
                    let signal = conductor.signal();
                    bursting = place < BURST.0 && (bursting || (signal == Signal::Bursts && place == 0));
                    if signal == Signal::HangUp {
                        return Ok(());
                    }
                    number += 1;
                    let loud = bursting && place.is_multiple_of(LOUD_EVERY);
                    self.speak(socket, number, signal == Signal::Tone || bursting, loud).await?;
                }
                message = socket.read() => match message? {
                    Some(message) => self.hear(socket, &message).await?,
                    None => return Err(io::Error::other("the server closed the media socket")),
                },
            }
        }
    }

    async fn speak(&mut self, socket: &mut WebSocket, number: u64, tone: bool, loud: bool) -> io::Result<()> {
        let payload = match (tone, loud) {
            (true, true) => &self.loud,
            (true, false) => &self.tone,
            (false, _) => &self.silence,
        };
        if tone {
            self.notes.sent.push(self.clock.now());
        }
        let message = format!(
            r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{number}","timestamp":"{}","payload":"{payload}"}},"streamSid":"{}"}}"#,
            number + 1,
            number * 20,
            self.stream_sid
        );
        socket.write(&message).await
    }

    async fn hear(&mut self, socket: &mut WebSocket, message: &str) -> io::Result<()> {
        if let Some(payload) = between(message, r#""payload":""#, "\"") {
            self.listen(payload);
        } else if message.contains(r#""event":"clear""#) {
            self.dry_at = self.clock.now();
        } else if message.contains(r#""event":"mark""#)
            && let Some(name) = between(message, r#""name":""#, "\"")
        {
            let mark = format!(
                r#"{{"event":"mark","sequenceNumber":"1","streamSid":"{}","mark":{{"name":"{name}"}}}}"#,
                self.stream_sid
            );
            socket.write(&mark).await?;
        }
        Ok(())
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
