//! AI services that say what they hear, at once.

use std::io;
use std::str::FromStr;

use super::socket::{WebSocket, decode};
use super::tls::{Authority, Origin, Stream, listen};
use super::{between, encode};

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// OpenAI Realtime: mu-law both ways.
    OpenAi,
    /// Gemini Live: PCM at 16 kHz in, at 24 kHz out.
    Gemini,
}

impl Service {
    /// As the server names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
        }
    }

    /// What leads a server to whoever plays this service there.
    pub fn settings(self, origin: Origin) -> Vec<(&'static str, String)> {
        match self {
            Self::OpenAi => vec![
                ("OPENAI_API_KEY", "sk-load-test".to_owned()),
                ("OPENAI_REALTIME_URL", format!("{origin}/v1/realtime")),
            ],
            Self::Gemini => {
                vec![("GEMINI_API_KEY", "AIza-load-test".to_owned()), ("GEMINI_LIVE_URL", origin.to_string())]
            }
        }
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "openai" => Ok(Self::OpenAi),
            "gemini" => Ok(Self::Gemini),
            other => Err(format!("{other:?} has no echo; there are openai and gemini")),
        }
    }
}

/// Serves one echo for each connection.
///
/// # Errors
/// If no port can be had.
pub async fn start(service: Service, tls: Option<&Authority>) -> io::Result<Origin> {
    listen(tls, move |stream| async move {
        match service {
            Service::OpenAi => openai(stream).await,
            Service::Gemini => gemini(stream).await,
        }
    })
    .await
}

async fn openai(stream: Stream) -> io::Result<()> {
    let (mut socket, _) = WebSocket::accept(stream).await?;
    socket
        .write(r#"{"type":"session.created","event_id":"e1","session":{"type":"realtime","object":"realtime.session","id":"sess_load"}}"#)
        .await?;
    let mut speaks = false;
    while let Some(message) = socket.read().await? {
        if let Some(audio) = between(&message, r#""audio":""#, "\"")
            && message.starts_with(r#"{"type":"input_audio_buffer.append""#)
        {
            if !std::mem::replace(&mut speaks, true) {
                for event in OPENAI_OPENING {
                    socket.write(event).await?;
                }
            }
            let delta = format!(
                r#"{{"type":"response.output_audio.delta","event_id":"e9","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":"{audio}"}}"#
            );
            socket.write(&delta).await?;
        } else if message.contains(r#""type":"session.update""#) {
            socket.write(r#"{"type":"session.updated","event_id":"e2","session":{"type":"realtime","object":"realtime.session","id":"sess_load"}}"#).await?;
        }
    }
    Ok(())
}

/// One reply that never ends.
const OPENAI_OPENING: [&str; 3] = [
    r#"{"type":"response.created","event_id":"e3","response":{"object":"realtime.response","id":"resp_1","status":"in_progress","status_details":null,"output":[],"usage":null}}"#,
    r#"{"type":"response.output_item.added","event_id":"e4","response_id":"resp_1","output_index":0,"item":{"id":"item_1","object":"realtime.item","type":"message","status":"in_progress","role":"assistant","content":[]}}"#,
    r#"{"type":"response.content_part.added","event_id":"e5","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"part":{"type":"audio","transcript":""}}"#,
];

async fn gemini(stream: Stream) -> io::Result<()> {
    let (mut socket, _) = WebSocket::accept(stream).await?;
    while let Some(message) = socket.read().await? {
        if message.contains(r#""audio":{"mimeType""#) {
            let rate = between(&message, "rate=", "\"").and_then(|rate| rate.parse().ok()).unwrap_or(16_000);
            let Some(audio) = between(&message, r#""data":""#, "\"") else { continue };
            let audio = encode(&at_24_khz(&decode(audio), rate));
            let turn = format!(
                r#"{{"serverContent":{{"modelTurn":{{"role":"model","parts":[{{"inlineData":{{"mimeType":"audio/pcm;rate=24000","data":"{audio}"}}}}]}}}}}}"#
            );
            socket.write(&turn).await?;
        } else if message.contains(r#""setup""#) {
            socket.write(r#"{"setupComplete":{}}"#).await?;
        }
    }
    Ok(())
}

/// The nearest samples: an echo need not be beautiful.
pub(crate) fn at_24_khz(pcm: &[u8], rate: usize) -> Vec<u8> {
    let (samples, _half) = pcm.as_chunks::<2>();
    let wanted = samples.len() * 24_000 / rate.max(1);
    (0..wanted).flat_map(|at| samples[at * rate / 24_000]).collect()
}
