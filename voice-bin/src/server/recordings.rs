//! Recordings that carriers make: who asks for each step, and who tells the call what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::counter;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use voice_core::call::{Control, Past};
use voice_core::driver::{CallHandle, Clock};
use voice_core::id::{CallId, CarrierId};
use voice_core::recording::{Filed, RecordCommand, RecordNews, RecordStep, RecordingRefusal};
use voice_telephony::recording::{RecordCalls, RecordOrder, Whose};
use voice_telephony::rest::{HttpSend, record};
use voice_telephony::telnyx::recording::TelnyxRecord;
use voice_telephony::twilio::recording::TwilioRecord;
use voice_telephony::twilio::rest::{Credentials, TwilioApi};
use voice_telephony::{telnyx, twilio};

use super::on_behalf::inherited;
use super::{App, Parts, TWILIO_WEBHOOK};
use crate::config::PublicUrl;
use crate::metrics_names as names;
use crate::recovery::{self, Known};
use crate::telemetry::event_types as kinds;

/// Steps that may wait for the ones before. Whoever orders more in a few seconds is shouting.
const STEPS_MAX: usize = 32;

/// How long steps under way may take when the server stops.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Whom the carrier's word about a recording reaches: at once, or after so many seconds, when a call that was
/// just over is written down, or somebody has taken up the call of a server that died.
const TRIES: [u64; 7] = [0, 1, 2, 5, 10, 30, 60];

/// How long a carrier waits for its answer: much less than it would (protocol notes, Twilio §2.1).
const FILE_TIMEOUT: Duration = Duration::from_secs(5);

/// Words about recordings that are being brought to their calls. Whoever has more of them has a database that
/// stands still.
const FILING_MAX: usize = 1_024;

/// A call that runs tells at once what it is told.
const TOLD_TIMEOUT: Duration = Duration::from_secs(1);
const TOLD_EVERY: Duration = Duration::from_millis(20);

/// The recordings of all carriers.
pub(crate) struct CarrierRecordings {
    ports: BTreeMap<CarrierId, Arc<dyn RecordCalls>>,
    http: Arc<dyn HttpSend>,
    clock: Clock,
    tasks: TaskTracker,
    /// Places for words that are being brought to their calls.
    filing: Arc<Semaphore>,
    /// Nobody waits any more for calls that are not known yet.
    closing: CancellationToken,
}

/// What a carrier says it has of a recording, and whose that is.
#[derive(Clone, Debug)]
pub(crate) struct RecordingWord {
    pub(crate) carrier: &'static str,
    pub(crate) whose: Whose,
    pub(crate) filed: Filed,
    /// Whether it names the recording; else the name is that of its word.
    pub(crate) is_named: bool,
}

/// The carrier's recordings of one call: steps are asked for one after the other.
pub(crate) struct RecordLine {
    call: CallHandle,
    carrier_call: String,
    port: Option<Arc<dyn RecordCalls>>,
    http: Arc<dyn HttpSend>,
    clock: Clock,
    tasks: TaskTracker,
    /// Made with the first step: most calls have none.
    steps: OnceLock<mpsc::Sender<(u64, RecordStep)>>,
}

impl CarrierRecordings {
    /// Over the accounts of these parts, told under this address.
    pub(super) fn new(parts: &Parts, http: Arc<dyn HttpSend>, base: &PublicUrl) -> Self {
        let mut ports: BTreeMap<CarrierId, Arc<dyn RecordCalls>> = BTreeMap::new();
        if let Some(api) = twilio_api(parts) {
            let port = TwilioRecord::new(api, base.of(TWILIO_WEBHOOK));
            ports.insert(CarrierId::from_static(twilio::CARRIER), Arc::new(port));
        }
        if let Some(api) = &parts.telnyx.api {
            ports.insert(CarrierId::from_static(telnyx::CARRIER), Arc::new(TelnyxRecord::new(api.clone())));
        }
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let filing = Arc::new(Semaphore::new(FILING_MAX));
        Self { ports, http, clock: parts.world.clock, tasks, filing, closing }
    }

    /// Whether this carrier can be asked to record.
    pub(crate) fn can(&self, carrier: &CarrierId) -> bool {
        self.ports.contains_key(carrier)
    }

    /// The carrier's recordings of a call that is about to run.
    pub(super) fn line(&self, call: CallHandle, carrier: &CarrierId, carrier_call: &str) -> RecordLine {
        RecordLine {
            call,
            carrier_call: carrier_call.to_owned(),
            port: self.ports.get(carrier).cloned(),
            http: self.http.clone(),
            clock: self.clock,
            tasks: self.tasks.clone(),
            steps: OnceLock::new(),
        }
    }

    /// Brings what a carrier says it has of a recording into the record of the call, wherever that is by now, and
    /// waits until it is written. False if that took too long, and the carrier should tell it again; it is tried on
    /// meanwhile.
    pub(crate) async fn file(app: &Arc<App>, word: RecordingWord) -> bool {
        let Ok(place) = app.recordings.filing.clone().try_acquire_owned() else { return false };
        let (written, is_written) = oneshot::channel();
        let task = file(app.clone(), word);
        let closing = app.recordings.closing.clone();
        // The carrier does not wait so long; a call that is over may have to be looked for.
        app.recordings.tasks.spawn(async move {
            let done = closing.run_until_cancelled(task).await;
            drop(place);
            if let Some(true) = done {
                // The carrier may have gone.
                let _answered = written.send(());
            }
        });
        matches!(tokio::time::timeout(FILE_TIMEOUT, is_written).await, Ok(Ok(())))
    }

    /// A call has left here, and perhaps for good: then what its carrier recorded has ended, and the record says so.
    pub(crate) fn mind(&self, app: &Arc<App>, call: CallId) {
        let is_open = |past: &Past| past.ended().is_some() && past.end_recording().is_some();
        if let Some(Known { past, .. }) = app.pasts.look(call).filter(|known| is_open(&known.past)) {
            let leg = past.leg();
            let (app, closing) = (app.clone(), self.closing.clone());
            // Whoever left may come back within a minute or so; who starts after us looks as well.
            self.tasks.spawn(async move {
                closing.run_until_cancelled(recovery::end_recording_unless_back(&app, call, leg)).await
            });
        }
    }

    /// Waits a little for steps that are under way.
    pub(crate) async fn finish(&self) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(END_TIMEOUT, self.tasks.wait()).await.is_err() {
            info!(steps = self.tasks.len(), "recordings are left to their carriers");
        }
    }
}

/// The account that places calls, or else the one that ends them.
fn twilio_api(parts: &Parts) -> Option<TwilioApi> {
    if let Some(line) = &parts.outbound.twilio {
        return Some(line.api.clone());
    }
    let rest = parts.twilio.rest.as_ref()?;
    let account = parts.twilio.account_sid.as_ref()?.parse().ok()?;
    TwilioApi::new(account, Credentials::AuthToken(rest.token.clone())).with_url(&rest.api_url).ok()
}

impl RecordLine {
    /// Asks for one step after those before.
    pub(super) fn ask(&self, order: u64, step: RecordStep) {
        let steps = self.steps.get_or_init(|| self.begin());
        if steps.try_send((order, step)).is_err() {
            let why =
                if self.port.is_some() { RecordingRefusal::NoAnswer } else { RecordingRefusal::Unsupported };
            tell(&self.call, order, RecordNews::Refused(step, why));
        }
    }

    fn begin(&self) -> mpsc::Sender<(u64, RecordStep)> {
        let (steps, waiting) = mpsc::channel(STEPS_MAX);
        let Some(port) = self.port.clone() else { return steps };
        let (call, carrier_call) = (self.call.clone(), self.carrier_call.clone());
        let (http, clock) = (self.http.clone(), self.clock);
        // The last step may be wanted because the call ends.
        self.tasks.spawn(inherited(carry_out(call, carrier_call, (port, http, clock), waiting)));
        steps
    }
}

async fn carry_out(
    call: CallHandle,
    carrier_call: String,
    (port, http, clock): (Arc<dyn RecordCalls>, Arc<dyn HttpSend>, Clock),
    mut waiting: mpsc::Receiver<(u64, RecordStep)>,
) {
    while let Some((order, step)) = waiting.recv().await {
        let wanted = RecordOrder { call: call.id(), carrier_call: carrier_call.clone(), order, step };
        if let Some(news) = record(http.as_ref(), clock, port.as_ref(), &wanted).await {
            let not_stopped = matches!(news, RecordNews::Refused(RecordStep::Stop, _));
            if !tell(&call, order, news) && not_stopped {
                // The call would have told it.
                counter!(names::RECORDINGS, "outcome" => "not_stopped").increment(1);
                error!(
                    event_type = kinds::RECORDING_FAILED,
                    error_type = "recording_not_stopped",
                    "the carrier did not end a recording that was to be over; end it there by hand"
                );
            }
        }
    }
}

/// False if the call is over: it has said so, and needs no more.
fn tell(call: &CallHandle, order: u64, news: RecordNews) -> bool {
    call.control(Control::Record(RecordCommand::Ordered { order, news }))
}

async fn file(app: Arc<App>, word: RecordingWord) -> bool {
    let RecordingWord { carrier, whose, filed, .. } = &word;
    for pause in TRIES {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let Some(call) = recovery::call_of(&app, carrier, whose).await else { continue };
        if is_told(&app, call, &word).await || recovery::file(&app, call, filed).await {
            return is_written(&app).await;
        }
    }
    let recording = filed.recording();
    warn!(carrier, recording, "a carrier told of a recording of a call that nobody knows");
    false
}

/// Whether the call runs here and has it in its record.
async fn is_told(app: &App, call: CallId, word: &RecordingWord) -> bool {
    let Some(running) = app.calls.find(call) else { return false };
    let RecordingWord { filed, is_named, .. } = word.clone();
    let name = filed.recording().to_owned();
    let command = if is_named { RecordCommand::Filed(filed) } else { RecordCommand::FiledUnnamed(filed) };
    running.control(Control::Record(command));
    let told = async {
        while app.pasts.awaits_recording(call, &name) && app.calls.find(call).is_some() {
            tokio::time::sleep(TOLD_EVERY).await;
        }
        !app.pasts.awaits_recording(call, &name)
    };
    tokio::time::timeout(TOLD_TIMEOUT, told).await.unwrap_or_default()
}

/// Whether what the record says by now is in the database, where there is one.
async fn is_written(app: &App) -> bool {
    match &app.parts.journal {
        Some(journal) => journal.flush().await,
        None => true,
    }
}
