//! Services that say what they hear, a round trip later, and whose sockets die at will.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use voice_core::audio::g711;

use crate::load::echo::{Service, at_24_khz};
use crate::load::socket::{WebSocket, decode};
use crate::load::tls::Origin;
use crate::load::{between, encode};

/// TCP, TLS and the upgrade cost one round trip each.
const ROUND_TRIPS_TO_CONNECT: u32 = 3;

/// How a socket dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Closed under way, as by a crash.
    Cut,
    /// Closed with a close frame, as by a service that goes away.
    Close,
    /// Nothing is read or written any more, and nobody is told.
    HalfOpen,
}

/// One service.
#[derive(Debug)]
pub struct Echo {
    /// Where it is reached.
    pub origin: Origin,
    /// Whose protocol it speaks.
    pub service: Service,
    refuses: Arc<AtomicBool>,
    deaths: watch::Sender<Option<Fate>>,
}

impl Echo {
    /// Begins to serve.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(service: Service, round_trip: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let refuses = Arc::new(AtomicBool::new(false));
        let deaths = watch::Sender::new(None);
        let (refusing, dying) = (refuses.clone(), deaths.clone());
        // The harness goes on while it accepts.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if refusing.load(Ordering::Relaxed) {
                    continue;
                }
                let deaths = dying.subscribe();
                // One task for each connection; how it ended is the server's business to tell.
                tokio::spawn(async move {
                    let _ended = serve(service, stream, round_trip, deaths).await;
                });
            }
        });
        Ok(Self { origin: Origin { address, is_tls: false }, service, refuses, deaths })
    }

    /// The sockets of those who hear a caller die; whoever stands by lives on.
    pub fn kill(&self, fate: Fate) {
        self.deaths.send_replace(Some(fate));
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }
}

async fn serve(
    service: Service,
    stream: TcpStream,
    round_trip: Duration,
    mut deaths: watch::Receiver<Option<Fate>>,
) -> io::Result<()> {
    sleep(round_trip * ROUND_TRIPS_TO_CONNECT).await;
    let (mut socket, _) = WebSocket::accept(stream).await?;
    let mut voice =
        Voice { service, round_trip, out: VecDeque::new(), replies: 0, speaks: false, hears: false };
    if service == Service::OpenAi {
        voice.say(r#"{"type":"session.created","event_id":"e1","session":{"type":"realtime","object":"realtime.session","id":"sess_load"}}"#.to_owned());
    }
    loop {
        let due = voice.out.front().map_or_else(|| Instant::now() + Duration::from_secs(3_600), |out| out.0);
        tokio::select! {
            message = socket.read() => match message? {
                Some(message) => voice.hear(&message),
                None => return Ok(()),
            },
            () = sleep_until(due) => {
                if let Some((_, text)) = voice.out.pop_front() {
                    socket.write(&text).await?;
                }
            }
            Ok(()) = deaths.changed() => {
                let fate = *deaths.borrow_and_update();
                match fate.filter(|_| voice.hears) {
                    None => {}
                    Some(Fate::Cut) => return Ok(()),
                    Some(Fate::Close) => {
                        socket.close_with(1011).await;
                        return Ok(());
                    }
                    Some(Fate::HalfOpen) => {
                        sleep(Duration::from_secs(120)).await;
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// What a service says on one connection.
struct Voice {
    service: Service,
    round_trip: Duration,
    /// What is said when, in order.
    out: VecDeque<(Instant, String)>,
    replies: u32,
    /// A reply is under way.
    speaks: bool,
    /// A caller's audio has come: this is no standby.
    hears: bool,
}

impl Voice {
    fn say(&mut self, text: String) {
        self.out.push_back((Instant::now() + self.round_trip, text));
    }

    fn hear(&mut self, message: &str) {
        match self.service {
            Service::OpenAi => self.hear_openai(message),
            Service::Gemini => self.hear_gemini(message),
        }
    }

    fn hear_openai(&mut self, message: &str) {
        if message.starts_with(r#"{"type":"input_audio_buffer.append""#)
            && let Some(audio) = between(message, r#""audio":""#, "\"")
        {
            self.hears = true;
            let tone = is_tone(decode(audio).iter().map(|code| g711::mulaw_to_linear(*code)));
            let begins = tone && !self.speaks;
            self.replies += u32::from(begins);
            let number = self.replies;
            if begins {
                for event in opening(number) {
                    self.say(event);
                }
            }
            if tone {
                self.say(format!(
                    r#"{{"type":"response.output_audio.delta","event_id":"e9","response_id":"resp_{number}","item_id":"item_{number}","output_index":0,"content_index":0,"delta":"{audio}"}}"#
                ));
            } else if self.speaks {
                for event in closing(number) {
                    self.say(event);
                }
            }
            self.speaks = tone;
        } else if message.contains(r#""type":"session.update""#) {
            self.say(r#"{"type":"session.updated","event_id":"e2","session":{"type":"realtime","object":"realtime.session","id":"sess_load"}}"#.to_owned());
        }
    }

    fn hear_gemini(&mut self, message: &str) {
        if message.contains(r#""audio":{"mimeType""#) {
            self.hears = true;
            let rate = between(message, "rate=", "\"").and_then(|rate| rate.parse().ok()).unwrap_or(16_000);
            let Some(audio) = between(message, r#""data":""#, "\"") else { return };
            let pcm = decode(audio);
            let tone = is_tone(pcm.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)));
            if tone {
                let audio = encode(&at_24_khz(&pcm, rate));
                self.say(format!(
                    r#"{{"serverContent":{{"modelTurn":{{"role":"model","parts":[{{"inlineData":{{"mimeType":"audio/pcm;rate=24000","data":"{audio}"}}}}]}}}}}}"#
                ));
            } else if self.speaks {
                self.say(r#"{"serverContent":{"turnComplete":true}}"#.to_owned());
            }
            self.speaks = tone;
        } else if message.contains(r#""setup""#) {
            self.say(r#"{"setupComplete":{}}"#.to_owned());
        }
    }
}

/// Whether a twentieth of it is louder than silence: the tail that a resampler leaves counts, too.
fn is_tone(samples: impl Iterator<Item = i16>) -> bool {
    let (mut all, mut loud) = (0, 0);
    for sample in samples {
        all += 1;
        loud += u32::from(sample.unsigned_abs() > 30);
    }
    loud * 20 > all
}

fn opening(number: u32) -> [String; 3] {
    [
        format!(
            r#"{{"type":"response.created","event_id":"e3","response":{{"object":"realtime.response","id":"resp_{number}","status":"in_progress","status_details":null,"output":[],"usage":null}}}}"#
        ),
        format!(
            r#"{{"type":"response.output_item.added","event_id":"e4","response_id":"resp_{number}","output_index":0,"item":{{"id":"item_{number}","object":"realtime.item","type":"message","status":"in_progress","role":"assistant","content":[]}}}}"#
        ),
        format!(
            r#"{{"type":"response.content_part.added","event_id":"e5","response_id":"resp_{number}","item_id":"item_{number}","output_index":0,"content_index":0,"part":{{"type":"audio","transcript":""}}}}"#
        ),
    ]
}

fn closing(number: u32) -> [String; 2] {
    [
        format!(
            r#"{{"type":"response.output_audio.done","event_id":"e6","response_id":"resp_{number}","item_id":"item_{number}","output_index":0,"content_index":0}}"#
        ),
        format!(
            r#"{{"type":"response.done","event_id":"e7","response":{{"object":"realtime.response","id":"resp_{number}","status":"completed","status_details":null,"output":[],"usage":null}}}}"#
        ),
    ]
}
