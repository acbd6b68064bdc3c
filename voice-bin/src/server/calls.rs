//! The calls that run: how many there may be, how to reach them, when all have ended.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::error;
use voice_core::call::Control;
use voice_core::driver::{CallHandle, CallTask};
use voice_core::id::CallId;

use crate::metrics_names as names;

/// The calls of one server.
#[derive(Debug)]
pub(crate) struct Calls {
    slots: Arc<Semaphore>,
    /// Taken when a call begins or ends and by operators, never on a call's way.
    handles: Arc<Mutex<BTreeMap<CallId, CallHandle>>>,
    sockets: TaskTracker,
}

/// Leave to run one call. Free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
    call: CallId,
    /// The same table as in [`Calls`], to leave it in the end.
    handles: Arc<Mutex<BTreeMap<CallId, CallHandle>>>,
}

impl Calls {
    /// Room for so many.
    pub(crate) fn new(calls_max: usize) -> Self {
        let slots = Arc::new(Semaphore::new(calls_max.min(Semaphore::MAX_PERMITS)));
        Self { slots, handles: Arc::default(), sockets: TaskTracker::new() }
    }

    /// Whether one more could run now.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.available_permits() > 0
    }

    /// How many run now.
    pub(crate) fn running(&self) -> usize {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A running call.
    pub(crate) fn find(&self, call: CallId) -> Option<CallHandle> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(&call).cloned()
    }

    /// Every running call, oldest first.
    pub(crate) fn all(&self) -> Vec<CallHandle> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes a place; `None` when all are taken.
    pub(crate) fn take_slot(&self, call: CallId) -> Option<Slot> {
        let permit = self.slots.clone().try_acquire_owned().ok()?;
        Some(Slot { _permit: permit, call, handles: self.handles.clone() })
    }

    /// Spawns a media socket's task, which [`Self::all_ended`] waits for.
    pub(crate) fn spawn(&self, socket: impl Future<Output = ()> + Send + 'static) {
        self.sockets.spawn(socket);
    }

    /// Tells every call to end at once.
    pub(crate) fn shut_down(&self) {
        for handle in self.handles.lock().unwrap_or_else(PoisonError::into_inner).values() {
            handle.control(Control::Shutdown);
        }
    }

    /// Returns when no media socket is open. More may still be opened.
    pub(crate) async fn all_ended(&self) {
        self.sockets.close();
        self.sockets.wait().await;
    }
}

impl Slot {
    /// Runs a call to its end. A bug in it costs this call only.
    pub(crate) async fn run(self, handle: CallHandle, task: CallTask) {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).insert(self.call, handle);
        gauge!(names::CALLS_ACTIVE).increment(1);
        if AssertUnwindSafe(task.run()).catch_unwind().await.is_err() {
            error!(call = %self.call, "a bug ended this call");
        }
        gauge!(names::CALLS_ACTIVE).decrement(1);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call);
    }
}
