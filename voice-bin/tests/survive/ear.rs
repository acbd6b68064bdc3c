//! What reaches a caller's ear: lines that note when the voice was heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use voice_core::driver::{Clock, Dial, Line};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, LineEnd, WireMessage};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A frame of the voice: nobody else says this.
const VOICE: [u8; 160] = [0x9a; 160];

/// The voice's frame as it travels.
pub(crate) fn voice(frames: usize) -> String {
    STANDARD.encode(VOICE.repeat(frames))
}

/// One caller's.
#[derive(Debug, Default)]
pub(crate) struct Ear(AtomicU64);

impl Ear {
    /// What was heard so far does not count.
    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// When the voice was first heard since then.
    pub(crate) fn heard(&self) -> Option<MonoTime> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at > 0).map(MonoTime::from_micros)
    }

    fn note(&self, now: MonoTime) {
        let _heard_before = self.0.compare_exchange(0, now.as_micros(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Dials for a caller, and listens along.
pub(crate) struct Listening {
    /// Who dials in truth.
    pub(crate) dial: Arc<dyn Dial>,
    /// Where it is noted.
    pub(crate) ear: Arc<Ear>,
    /// When.
    pub(crate) clock: Clock,
}

#[async_trait]
impl Dial for Listening {
    async fn dial(&self, endpoint: Endpoint) -> Result<Box<dyn Line>, LineEnd> {
        let line = self.dial.dial(endpoint).await?;
        // The middle of a payload: its ends may share a letter with what stands around it.
        let wanted = voice(1)[4..200].to_owned();
        Ok(Box::new(Tapped { line, ear: self.ear.clone(), clock: self.clock, wanted }))
    }
}

struct Tapped {
    line: Box<dyn Line>,
    ear: Arc<Ear>,
    clock: Clock,
    wanted: String,
}

impl Line for Tapped {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>> {
        let polled = self.line.poll(cx);
        if let Poll::Ready(Ok(WireMessage::Text(text))) = &polled
            && text.as_str().contains(&self.wanted)
        {
            self.ear.note(self.clock.now());
        }
        polled
    }

    fn offer(&mut self, message: WireMessage) -> Result<(), LineEnd> {
        self.line.offer(message)
    }

    fn close(self: Box<Self>) {
        self.line.close();
    }
}
