//! What was said, as it is said, for people. Only simulated calls are shown: what real callers say is
//! theirs.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry, Reader};
use voice_core::time::MonoTime;

use crate::output;

/// Lines that may wait for a slow terminal; what comes on top is not shown.
const LINES_MAX: usize = 4_096;

/// Shows calls on standard output.
pub(crate) struct Transcript {
    lines: Sender<Item>,
    /// When each call began, in the order in which they did. Behind a lock because calls run on many
    /// threads; taken for each entry, for an instant.
    calls: Mutex<Vec<(CallId, MonoTime)>>,
    /// With several calls at once, each line says which one it belongs to; later ones say so anyway.
    numbered: bool,
}

/// What the printing task is given.
enum Item {
    Line(String),
    /// Everything before this has been printed.
    Reached(oneshot::Sender<()>),
}

impl Transcript {
    /// A reader of calls. What it reads is printed by a task of its own, because a terminal may be slow
    /// and calls must not wait for it.
    pub(crate) fn start(numbered: bool) -> Self {
        let (lines, queue) = channel(LINES_MAX);
        // The terminal's own pace.
        tokio::spawn(print(queue));
        Self { lines, calls: Mutex::default(), numbered }
    }

    /// Until everything so far has been printed.
    pub(crate) async fn flush(&self) {
        let (reached, flushed) = oneshot::channel();
        if self.lines.send(Item::Reached(reached)).await.is_ok() {
            let _printer_may_be_gone = flushed.await;
        }
    }

    fn place(&self, call: CallId, at: MonoTime) -> (usize, Duration) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let number = calls.iter().position(|(known, _)| *known == call).unwrap_or_else(|| {
            calls.push((call, at));
            calls.len() - 1
        });
        (number + 1, at.since(calls[number].1))
    }
}

impl Reader for Transcript {
    fn read(&self, call: CallId, entry: &Entry) {
        let (number, since) = self.place(call, entry.at);
        let Some(said) = told(&entry.event) else { return };
        let mut line = String::new();
        if self.numbered || number > 1 {
            let _always_fits = write!(line, "#{number:<4}");
        }
        let _always_fits = write!(line, "{:>7.2} s  {said}", since.as_secs_f64());
        let _a_slow_terminal_misses_lines = self.lines.try_send(Item::Line(line));
    }
}

async fn print(mut items: Receiver<Item>) {
    while let Some(item) = items.recv().await {
        match item {
            Item::Line(line) => output::say(line),
            Item::Reached(reached) => {
                let _nobody_may_wait = reached.send(());
            }
        }
    }
}

fn told(event: &CallEvent) -> Option<String> {
    let seconds = |duration: &Duration| format!("{:.1} s", duration.as_secs_f64());
    if let CallEvent::Started { carrier, format, .. } = event {
        Some(format!("call      connected ({carrier}, {format})"))
    } else if let CallEvent::Assigned { provider, .. } = event {
        Some(format!("call      answered by {provider}"))
    } else if let CallEvent::CallerSaid { text, .. } = event {
        let text = text.expose();
        Some(format!("caller    {}", if text.is_empty() { "(not understood)" } else { text }))
    } else if let CallEvent::ReplyStarted { latency: Some(latency), .. } = event {
        Some(format!("          … the voice answers after {} ms", latency.as_millis()))
    } else if let CallEvent::ReplyHeard { text, heard, cut: false, .. } = event {
        Some(format!("voice     {}  [{}]", text.expose(), seconds(heard)))
    } else if let CallEvent::ReplyHeard { text, heard, unheard, cut: true, .. } = event {
        let (heard, unheard) = (seconds(heard), seconds(unheard));
        Some(format!("voice     {} —  [heard {heard}, {unheard} thrown away]", text.expose()))
    } else if let CallEvent::BargeIn { heard, .. } = event {
        Some(format!("          ✂ the caller interrupts after {} of the reply", seconds(heard)))
    } else if let CallEvent::ToolCalled(tool) = event {
        Some(format!("tool      {}({})", tool.name, tool.arguments.expose()))
    } else if let CallEvent::ToolAnswered { output, .. } = event {
        Some(format!("tool      → {}", output.expose()))
    } else if let CallEvent::Problem { failure, .. } = event {
        Some(format!("call      problem: {failure}"))
    } else if let CallEvent::Ended { reason, totals } = event {
        Some(format!(
            "call      ended ({}): {} turns of the caller, {} replies, {} interrupted, {} frames lost",
            reason.kind(),
            totals.caller_turns,
            totals.replies,
            totals.barge_ins,
            totals.frames_lost
        ))
    } else {
        None
    }
}
