//! The port to whoever writes recordings down.

use std::sync::Arc;
use std::time::Duration;

use crate::audio::FRAME;
use crate::call::Control;
use crate::id::CallId;
use crate::recording::{Block, RecordCommand, Recorded, RecordingEnd, RecordingStart};

/// Losses are told when there is room again, or when they have grown to this.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// Takes the recordings of all calls. Asked on the calls' own tasks, so it must answer at once: what takes
/// time belongs behind a bounded queue.
pub trait RecordSink: Send + Sync {
    /// A recording begins. `None` if it cannot be written: then the call goes on without.
    fn begin(&self, call: CallId, start: &RecordingStart) -> Option<Box<dyn RecordWriter>>;
}

/// One recording. Dropping it without a word ends it, too: the call was cut.
pub trait RecordWriter: Send {
    /// Takes the next block. Must not wait. Where there is no room the block is lost; whoever writes sees
    /// the hole by the next block's `at`, and puts silence there.
    fn write(&mut self, block: Block) -> Written;

    /// It is over, and so long from beginning to end.
    fn end(self: Box<Self>, reason: RecordingEnd, length: Duration);
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It will be written.
    Taken,
    /// There is no room for it; there may be for the next.
    NoRoom,
    /// Nothing more can be written.
    Broken,
}

/// The recordings of one call, one after the other.
pub(super) struct Recording {
    call: CallId,
    sink: Option<Arc<dyn RecordSink>>,
    writer: Option<Box<dyn RecordWriter>>,
    /// Lost, and not told yet.
    lost: Duration,
}

impl Recording {
    pub(super) fn new(call: CallId, sink: Option<Arc<dyn RecordSink>>) -> Self {
        Self { call, sink, writer: None, lost: Duration::ZERO }
    }

    /// Passes it on. What the call must know of it.
    pub(super) fn take(&mut self, recorded: Recorded) -> Option<Control> {
        match recorded {
            Recorded::Began(start) => {
                self.lost = Duration::ZERO;
                self.writer = self.sink.as_ref().and_then(|sink| sink.begin(self.call, &start));
                self.writer.is_none().then_some(Control::Record(RecordCommand::Failed))
            }
            Recorded::Block(block) => self.write(block),
            Recorded::Ended { reason, length } => {
                if let Some(writer) = self.writer.take() {
                    writer.end(reason, length);
                }
                None
            }
        }
    }

    fn write(&mut self, block: Block) -> Option<Control> {
        match self.writer.as_mut()?.write(block) {
            Written::Taken if self.lost.is_zero() => None,
            Written::Taken => Some(self.tell_loss()),
            Written::NoRoom => {
                self.lost += FRAME;
                (self.lost >= TELL_AFTER).then(|| self.tell_loss())
            }
            Written::Broken => {
                self.writer = None;
                Some(Control::Record(RecordCommand::Failed))
            }
        }
    }

    fn tell_loss(&mut self) -> Control {
        Control::Record(RecordCommand::Lost(std::mem::take(&mut self.lost)))
    }
}
