//! AI services that talk: they greet, answer what they are told, and fall silent when they are interrupted.
//!
//! A caller who makes sound has the turn until 400 ms after it. Then the service says all of its answer at
//! once, as services do, and knows how long it takes to hear it: sound within that time interrupts it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use voice_core::audio::{AudioFormat, g711};
use voice_core::driver::Clock;
use voice_core::sim::speech::VOICE;
use voice_core::time::MonoTime;

use super::echo::{Service, at_24_khz};
use super::socket::{WebSocket, decode};
use super::tls::{Authority, Origin, Stream, listen};
use super::{between, encode};

/// Who talks, and what is noted of it.
#[derive(Clone, Debug)]
pub struct Talker {
    /// Whose protocol is spoken.
    pub service: Service,
    /// It greets as soon as it is connected; else when it is asked to speak.
    pub is_forward: bool,
    /// Who wants to know when things happened.
    pub notes: Option<Notes>,
}

/// Where moments are told, by this clock.
#[derive(Clone, Debug)]
pub struct Notes(pub Clock, pub mpsc::Sender<Note>);

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A connection stands, before the upgrade.
    Dialled(MonoTime),
    /// The first sound on a connection is about to be written.
    Spoke(MonoTime),
}

/// How much is said at once.
const ANSWER: Duration = Duration::from_secs(2);

/// How much of it goes into a message.
const PIECE: Duration = Duration::from_millis(200);

/// Frames of silence after which it is the service's turn.
const PAUSE: u32 = 20;

/// Frames of sound that count as speech.
const SPEECH: u32 = 3;

/// Begins to serve.
///
/// # Errors
/// If no port can be had.
pub async fn start(talker: Talker, tls: Option<&Authority>) -> io::Result<Origin> {
    let pieces: Arc<[String]> = pieces(talker.service).into();
    listen(tls, move |stream| talk(talker.clone(), pieces.clone(), stream)).await
}

/// The sound of an answer, as messages carry it.
fn pieces(service: Service) -> Vec<String> {
    let format = AudioFormat::MULAW_8K;
    let mulaw: Vec<u8> =
        VOICE.iter().flat_map(|clip| clip.mulaw).copied().take(format.bytes_in(ANSWER)).collect();
    let of_service = |piece: &[u8]| match service {
        Service::OpenAi => encode(piece),
        Service::Gemini => {
            let pcm: Vec<u8> =
                piece.iter().flat_map(|code| g711::mulaw_to_linear(*code).to_le_bytes()).collect();
            encode(&at_24_khz(&pcm, 8_000))
        }
    };
    mulaw.chunks(format.bytes_in(PIECE)).map(of_service).collect()
}

async fn talk(talker: Talker, pieces: Arc<[String]>, stream: Stream) -> io::Result<()> {
    let dialled = talker.notes.as_ref().map(|notes| notes.0.now());
    note(&talker, dialled.map(Note::Dialled));
    let (socket, _) = WebSocket::accept(stream).await?;
    let is_forward = talker.is_forward;
    let mut voice =
        Voice { talker, pieces, socket, replies: 0, speaks_until: None, caller: Caller::default() };
    if voice.talker.service == Service::OpenAi {
        voice.say(&session("created")).await?;
    }
    if is_forward {
        voice.answer().await?;
    }
    while let Some(message) = voice.socket.read().await? {
        match voice.talker.service {
            Service::OpenAi => voice.hear_openai(&message).await?,
            Service::Gemini => voice.hear_gemini(&message).await?,
        }
    }
    Ok(())
}

/// Nobody waits for it: if the listener is gone or busy, the moment is lost.
fn note(talker: &Talker, note: Option<Note>) {
    if let (Some(notes), Some(note)) = (&talker.notes, note) {
        let _nobody_listens = notes.1.try_send(note);
    }
}

/// One connection.
struct Voice {
    talker: Talker,
    pieces: Arc<[String]>,
    socket: WebSocket,
    replies: u32,
    /// When what was said last has been heard.
    speaks_until: Option<Instant>,
    caller: Caller,
}

/// What the caller does.
#[derive(Debug, Default)]
struct Caller {
    /// They have the turn.
    speaks: bool,
    /// Frames of sound, or within a turn of silence, one after the other.
    frames: u32,
}

/// What has just changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Began,
    Ended,
}

impl Caller {
    fn hear(&mut self, samples: impl Iterator<Item = i16>) -> Option<Turn> {
        let is_loud = samples.filter(|sample| sample.unsigned_abs() > 500).count() > 8;
        if is_loud == self.speaks {
            self.frames = 0;
            return None;
        }
        self.frames += 1;
        if self.frames < if self.speaks { PAUSE } else { SPEECH } {
            return None;
        }
        *self = Self { speaks: is_loud, frames: 0 };
        Some(if is_loud { Turn::Began } else { Turn::Ended })
    }
}

impl Voice {
    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.socket.write(text).await
    }

    async fn hear_openai(&mut self, message: &str) -> io::Result<()> {
        if message.starts_with(r#"{"type":"input_audio_buffer.append""#) {
            let audio = decode(between(message, r#""audio":""#, "\"").unwrap_or_default());
            match self.caller.hear(audio.iter().map(|code| g711::mulaw_to_linear(*code))) {
                Some(Turn::Began) => {
                    self.caller_says("input_audio_buffer.speech_started", r#","audio_start_ms":1"#).await
                }
                Some(Turn::Ended) => {
                    self.caller_says("input_audio_buffer.speech_stopped", r#","audio_end_ms":1000"#).await?;
                    self.caller_says("input_audio_buffer.committed", "").await?;
                    let said = r#","content_index":0,"transcript":"Where is my order?""#;
                    self.caller_says("conversation.item.input_audio_transcription.completed", said).await?;
                    self.answer().await
                }
                None => Ok(()),
            }
        } else if message.contains(r#""type":"session.update""#) {
            self.say(&session("updated")).await
        } else if message.contains(r#""type":"response.create""#) {
            self.answer().await
        } else {
            Ok(())
        }
    }

    /// An event about the caller's turn, which is the one before the next answer.
    async fn caller_says(&mut self, kind: &str, more: &str) -> io::Result<()> {
        let number = self.replies;
        self.say(&format!(r#"{{"type":"{kind}","event_id":"e7","item_id":"said_{number}"{more}}}"#)).await
    }

    async fn hear_gemini(&mut self, message: &str) -> io::Result<()> {
        if message.contains(r#""audio":{"mimeType""#) {
            let audio = decode(between(message, r#""data":""#, "\"").unwrap_or_default());
            let turn =
                self.caller.hear(audio.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)));
            // A turn is complete once it has been heard, and an interruption ends it before.
            let heard = self.speaks_until.is_some_and(|until| Instant::now() >= until);
            if turn == Some(Turn::Began) && self.speaks_until.take().is_some() && !heard {
                self.say(r#"{"serverContent":{"interrupted":true}}"#).await?;
                self.say(r#"{"serverContent":{"turnComplete":true}}"#).await?;
            } else if heard {
                self.speaks_until = None;
                self.say(r#"{"serverContent":{"turnComplete":true}}"#).await?;
            }
            if turn == Some(Turn::Ended) {
                self.say(r#"{"serverContent":{"inputTranscription":{"text":"Where is my order?","finished":true}}}"#)
                    .await?;
                self.answer().await?;
            }
            Ok(())
        } else if message.contains(r#""setup""#) {
            self.say(r#"{"setupComplete":{}}"#).await
        } else if message.contains(r#""clientContent""#) || message.contains(r#"{"realtimeInput":{"text""#) {
            self.answer().await
        } else {
            Ok(())
        }
    }

    /// Says its answer, all at once.
    async fn answer(&mut self) -> io::Result<()> {
        self.replies += 1;
        let number = self.replies;
        for event in opening(self.talker.service, number) {
            self.say(&event).await?;
        }
        if number == 1 {
            let spoke = self.talker.notes.as_ref().map(|notes| notes.0.now());
            note(&self.talker, spoke.map(Note::Spoke));
        }
        self.speaks_until = Some(Instant::now() + ANSWER);
        let pieces = self.pieces.clone();
        for audio in &*pieces {
            let message = match self.talker.service {
                Service::OpenAi => format!(
                    r#"{{"type":"response.output_audio.delta","event_id":"e9","response_id":"resp_{number}","item_id":"item_{number}","output_index":0,"content_index":0,"delta":"{audio}"}}"#
                ),
                Service::Gemini => format!(
                    r#"{{"serverContent":{{"modelTurn":{{"role":"model","parts":[{{"inlineData":{{"mimeType":"audio/pcm;rate=24000","data":"{audio}"}}}}]}}}}}}"#
                ),
            };
            self.say(&message).await?;
        }
        for event in closing(self.talker.service, number) {
            self.say(&event).await?;
        }
        Ok(())
    }
}

fn session(what: &str) -> String {
    format!(
        r#"{{"type":"session.{what}","event_id":"e1","session":{{"type":"realtime","object":"realtime.session","id":"sess_load"}}}}"#
    )
}

fn opening(service: Service, number: u32) -> Vec<String> {
    match service {
        Service::OpenAi => vec![
            format!(
                r#"{{"type":"response.created","event_id":"e3","response":{{"object":"realtime.response","id":"resp_{number}","status":"in_progress","status_details":null,"output":[],"usage":null}}}}"#
            ),
            format!(
                r#"{{"type":"response.output_item.added","event_id":"e4","response_id":"resp_{number}","output_index":0,"item":{{"id":"item_{number}","object":"realtime.item","type":"message","status":"in_progress","role":"assistant","content":[]}}}}"#
            ),
        ],
        Service::Gemini => Vec::new(),
    }
}

fn closing(service: Service, number: u32) -> Vec<String> {
    match service {
        Service::OpenAi => vec![
            format!(
                r#"{{"type":"response.output_audio_transcript.delta","event_id":"e5","response_id":"resp_{number}","item_id":"item_{number}","output_index":0,"content_index":0,"delta":"Your order left our house this morning."}}"#
            ),
            format!(
                r#"{{"type":"response.done","event_id":"e6","response":{{"object":"realtime.response","id":"resp_{number}","status":"completed","output":[{{"id":"item_{number}","type":"message","role":"assistant","status":"completed","content":[]}}],"usage":{{"total_tokens":300,"input_tokens":200,"output_tokens":100}}}}}}"#
            ),
        ],
        Service::Gemini => vec![
            r#"{"serverContent":{"outputTranscription":{"text":"Your order left our house this morning."}}}"#
                .to_owned(),
            r#"{"serverContent":{"generationComplete":true}}"#.to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_sound_at_its_beginning_and_a_pause_at_its_end() {
        let mut caller = Caller::default();
        let mut frames = |level: i16, count: u32| -> Vec<Turn> {
            (0..count).filter_map(|_| caller.hear(std::iter::repeat_n(level, 160))).collect()
        };
        assert_eq!(frames(3_000, SPEECH - 1), []);
        assert_eq!(frames(0, 50), [], "a crackle");
        assert_eq!(frames(3_000, 50), [Turn::Began]);
        assert_eq!(frames(0, PAUSE - 1), []);
        assert_eq!(frames(3_000, 1), [], "a breath");
        assert_eq!(frames(0, 50), [Turn::Ended]);
    }

    #[test]
    fn an_answer_lasts_as_long_as_it_is_said_to() {
        for (service, bytes) in [(Service::OpenAi, 16_000), (Service::Gemini, 96_000)] {
            let pieces = pieces(service);
            assert_eq!(pieces.len(), 10, "{service:?}");
            assert_eq!(pieces.iter().map(|piece| decode(piece).len()).sum::<usize>(), bytes, "{service:?}");
        }
    }
}
