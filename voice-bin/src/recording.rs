//! Recordings on disk: a WAV file of two channels for each, written beside the calls; from there into a
//! bucket, where there is one.

mod bucket;
mod wav;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use voice_core::call::Control;
use voice_core::consent::{Basis, Consent, Scope};
use voice_core::driver::{CallHandle, CallTask, RecordSink};
use voice_core::recording::{RecordCommand, RecordingOrder, RecordingPlace};

pub(crate) use bucket::EXCHANGE_MAX;
pub use bucket::{BucketConfig, Uploads};
pub use writer::{Recordings, recover};

/// Where recordings go, and whether calls are recorded without a word.
#[derive(Clone, Debug)]
pub struct RecordingConfig {
    /// The directory for our own; without it only carriers can record.
    pub dir: Option<PathBuf>,
    /// Who records if nobody says.
    pub place: RecordingPlace,
    /// Why nobody need agree: every call is recorded from its beginning. Without it only those are of which
    /// the API says that somebody agreed.
    pub assumed: Option<Basis>,
    /// Where files go once they are whole; without it they stay in the directory.
    pub bucket: Option<BucketConfig>,
}

/// How calls are recorded.
#[derive(Clone)]
pub struct RecordingParts {
    /// Writes ours down; without it only carriers can record.
    pub sink: Option<Arc<dyn RecordSink>>,
    /// Who records if nobody says.
    pub place: RecordingPlace,
    /// Every call begins with this order.
    pub from_the_start: Option<RecordingOrder>,
}

impl RecordingParts {
    /// Written there; without a word only if that is assumed to be allowed.
    pub fn new(sink: Arc<dyn RecordSink>, assumed: Option<Basis>) -> Self {
        Self::at(RecordingPlace::Server, Some(sink), assumed)
    }

    /// By default there; by us only if there is somebody who writes.
    pub fn at(place: RecordingPlace, sink: Option<Arc<dyn RecordSink>>, assumed: Option<Basis>) -> Self {
        let consent = assumed.map(|basis| Consent::not_required(basis, Scope::RECORDING));
        let order = consent.and_then(|consent| RecordingOrder::new(consent).ok());
        Self { sink, place, from_the_start: order.map(|order| order.at(place)) }
    }

    /// Lets a call be recorded.
    pub(crate) fn follow(&self, (handle, task): (CallHandle, CallTask)) -> (CallHandle, CallTask) {
        if let Some(order) = &self.from_the_start {
            // The queue of a call that has not begun is empty.
            handle.control(Control::Record(RecordCommand::Start(order.clone())));
        }
        self.attach((handle, task))
    }

    /// Lets it be recorded if that is ordered.
    pub(crate) fn attach(&self, (handle, task): (CallHandle, CallTask)) -> (CallHandle, CallTask) {
        match &self.sink {
            Some(sink) => (handle, task.with_recorder(sink.clone())),
            None => (handle, task),
        }
    }
}
