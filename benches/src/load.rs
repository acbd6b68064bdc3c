//! Many calls through one server: carriers that call it, a service that echoes, and what it costs.
//!
//! The harness is one process, the system under test another, each on a core of its own. Both the
//! carrier and the service are as cheap as sockets allow ([`socket::WebSocket`]), so that the harness
//! can drive more calls than a server can take, and neither shares code with what it measures.
//!
//! A caller sends a frame every 20 ms, silence but for one marked frame every second. The service sends
//! back what it hears. The time from a marked frame's way out to its way back in is the latency that the
//! system adds, plus a little of the harness's own; the bare relay in the same run says how much.

pub mod caller;
pub mod echo;
pub mod first;
pub mod relay;
pub mod report;
pub mod soak;
pub mod socket;
pub mod stream;
pub mod system;
pub mod talk;
pub mod tls;
pub mod under_test;

/// A frame as it stands in messages: 160 bytes of mu-law silence in base64.
pub(crate) fn silence() -> String {
    encode(&[0xff; 160])
}

/// The marked frame: a quiet tone, which no detector takes for speech.
pub(crate) fn marked() -> String {
    // Mu-law of about ±100, which is −50 dBFS.
    let tone: Vec<u8> = (0..160).map(|at| if at % 8 < 4 { 0xf2 } else { 0x72 }).collect();
    encode(&tone)
}

/// Bytes as base64.
pub fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What stands between two texts.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let length = text[start..].find(after)?;
    Some(&text[start..start + length])
}
