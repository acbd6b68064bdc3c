//! Callers who are silent but for one marked frame every second, and an eye on what comes back.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use voice_core::driver::Clock;
use voice_core::time::MonoTime;

use super::report::CallFigures;
use super::stream::{FRAME, MediaStream, Target, Told};
use super::{marked, silence};

/// One frame in so many is marked.
const MARK_EVERY: u64 = 50;

/// The first seconds are not counted: connections are opened, caches are cold.
pub const WARM_UP: Duration = Duration::from_secs(3);

/// One call of that length, counted from its first frame.
///
/// # Errors
/// If it cannot be set up, or breaks.
pub async fn call(target: Target, number: u64, lasts: Duration, clock: Clock) -> io::Result<CallFigures> {
    let mut stream = MediaStream::open(&target, number).await?;
    let mut call = Call::new(clock);
    let ended = call.talk(&mut stream, lasts).await;
    call.figures.frames_sent = stream.frames();
    stream.hang_up().await;
    ended.map(|()| call.figures)
}

struct Call {
    clock: Clock,
    began: MonoTime,
    silence: String,
    marked: String,
    /// Marked frames on their way, oldest first.
    sent: VecDeque<MonoTime>,
    /// The last frame that came back was part of a mark.
    in_mark: bool,
    figures: CallFigures,
}

impl Call {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            began: clock.now(),
            silence: silence(),
            marked: marked(),
            sent: VecDeque::new(),
            in_mark: false,
            figures: CallFigures::default(),
        }
    }

    async fn talk(&mut self, stream: &mut MediaStream, lasts: Duration) -> io::Result<()> {
        let frames = lasts.as_millis() as u64 / FRAME.as_millis() as u64;
        let mut ticks = MediaStream::ticks();
        while stream.frames() < frames {
            tokio::select! {
                _ = ticks.tick() => self.speak(stream).await?,
                message = stream.read() => match Told::read(&message?) {
                    Told::Audio(payload) => {
                        self.figures.frames_received += 1;
                        self.listen(payload);
                    }
                    Told::Mark(name) => stream.played(name).await?,
                    Told::Clear | Told::Other => {}
                },
            }
        }
        Ok(())
    }

    async fn speak(&mut self, stream: &mut MediaStream) -> io::Result<()> {
        if (stream.frames() + 1).is_multiple_of(MARK_EVERY) {
            self.sent.push_back(self.clock.now());
            stream.speak(&self.marked).await
        } else {
            stream.speak(&self.silence).await
        }
    }

    /// A mark begins where a quiet frame is followed by one that is not.
    fn listen(&mut self, payload: &str) {
        let now = self.clock.now();
        let is_loud = super::socket::decode(payload).iter().filter(|code| **code & 0x7f < 0x78).count() > 16;
        let begins = is_loud && !std::mem::replace(&mut self.in_mark, is_loud);
        self.in_mark = is_loud;
        if !begins {
            return;
        }
        while self.sent.len() > 1 && now.since(self.sent[0]) > Duration::from_secs(1) {
            self.sent.pop_front();
            self.figures.marks_lost += 1;
        }
        if let Some(sent) = self.sent.pop_front()
            && now.since(self.began) > WARM_UP
        {
            self.figures.latencies.push(now.since(sent));
        }
    }
}
