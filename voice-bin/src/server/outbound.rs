//! Calls that the server places: who places them, what became of each, and the end of them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use voice_core::breaker::{Breaker, BreakerConfig, BreakerSnapshot};
use voice_core::driver::Clock;
use voice_core::id::{CallId, CarrierId, CorrelationId};
use voice_core::sensitive::Secret;
use voice_telephony::carrier_error::CarrierError;
use voice_telephony::number::E164;
use voice_telephony::outbound::{AnsweredBy, AttemptKey, End, Gate, Order, Progress, Route, Told};
use voice_telephony::rest::{Desk, DeskFull, HttpSend};
use voice_telephony::status::CallStatus;
use voice_telephony::telnyx::outbound::TelnyxOutbound;
use voice_telephony::telnyx::{self};
use voice_telephony::twilio::outbound::TwilioOutbound;
use voice_telephony::twilio::rest::TwilioApi;
use voice_telephony::twilio::{self};

use super::on_behalf::on_behalf;
use super::telnyx::{CALLS_PER_SECOND, TelnyxLine};
use super::{Statuses, TELNYX_WEBHOOK, TWILIO_WEBHOOK, as_carrier};
use crate::config::{PublicUrl, Targets};
use crate::metrics_names as names;
use crate::telemetry::Traces;
use crate::tools::BuiltIn;

/// What it takes to place calls; without a carrier none are placed.
#[derive(Default)]
pub struct OutboundParts {
    /// Sends requests to the carriers.
    pub http: Option<Arc<dyn HttpSend>>,
    /// Twilio, and our number there.
    pub twilio: Option<TwilioLine>,
    /// Telnyx, and our number there.
    pub telnyx: Option<TelnyxLine>,
    /// Asked of everybody who uses the API; without it only this machine may.
    pub api_token: Option<Secret<String>>,
    /// To whom callers can be led, by name.
    pub targets: Targets,
    /// What the voice may do itself.
    pub tools: Vec<BuiltIn>,
}

/// Twilio, and our number there.
#[derive(Clone, Debug)]
pub struct TwilioLine {
    /// The account.
    pub api: TwilioApi,
    /// What people see when we call.
    pub from: E164,
}

/// Twilio starts one call a second for an account, unless it was raised (protocol notes, Twilio §6).
const TWILIO_CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// Calls that are remembered after their end, each of about 1 kB.
const REMEMBERED_MAX: usize = 10_000;

/// How long calls that were told to end may take, when the server stops.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The calls that a server places.
pub(crate) struct Outbound {
    desk: Arc<Desk>,
    routes: Vec<Route>,
    api_token: Option<Secret<String>>,
    book: Arc<Book>,
    tasks: TaskTracker,
    traces: Option<Traces>,
}

/// What became of each call, for whoever asks.
struct Book {
    /// A lock, because tasks of calls write and requests read: held to copy one page, never over an await.
    pages: Mutex<BTreeMap<CallId, Page>>,
    statuses: Arc<Statuses>,
}

/// What became of one call.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) correlation: CorrelationId,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) status: CallStatus,
    pub(crate) carrier: Option<CarrierId>,
    pub(crate) carrier_call: Option<String>,
    pub(crate) answered_by: Option<AnsweredBy>,
    pub(crate) end: Option<End>,
    /// Why the last carrier that refused it did.
    pub(crate) refusal: Option<CarrierError>,
}

/// Why no call is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPlaced {
    /// There is no carrier of that name, or none at all.
    NoCarrier,
    /// Too many are under way.
    Full,
}

impl Outbound {
    /// Told of everything under this address.
    pub(crate) fn new(
        parts: &OutboundParts,
        base: &PublicUrl,
        clock: Clock,
        statuses: Arc<Statuses>,
    ) -> Self {
        let book = Arc::new(Book { pages: Mutex::default(), statuses });
        let observer = book.clone();
        let http = parts.http.clone().unwrap_or_else(|| Arc::new(NoHttp));
        let mut desk = Desk::new(http, clock, Arc::new(move |call, progress| observer.note(call, progress)));
        let mut routes = Vec::new();
        if let Some(line) = &parts.twilio {
            let id = CarrierId::from_static(twilio::CARRIER);
            let port = TwilioOutbound::new(line.api.clone(), base.of(TWILIO_WEBHOOK));
            let gate =
                Gate::new(Breaker::new(BreakerConfig::default(), seed(&clock)), TWILIO_CALLS_PER_SECOND);
            desk = desk.with_carrier(id.clone(), Arc::new(port), gate);
            routes.push(Route { carrier: id, from: line.from.clone() });
        }
        if let Some(line) = &parts.telnyx {
            let id = CarrierId::from_static(telnyx::CARRIER);
            let webhook = base.of(TELNYX_WEBHOOK);
            let port = TelnyxOutbound::new(line.api.clone(), line.connection.clone(), webhook);
            let breaker = Breaker::new(BreakerConfig::default(), seed(&clock));
            desk = desk.with_carrier(id.clone(), Arc::new(port), Gate::new(breaker, CALLS_PER_SECOND));
            routes.push(Route { carrier: id, from: line.from.clone() });
        }
        let api_token = parts.api_token.clone();
        Self { desk: Arc::new(desk), routes, api_token, book, tasks: TaskTracker::new(), traces: None }
    }

    /// What is asked of carriers is told there.
    pub(crate) fn traced(self, traces: Option<Traces>) -> Self {
        Self { traces, ..self }
    }

    pub(crate) fn api_token(&self) -> Option<&Secret<String>> {
        self.api_token.as_ref()
    }

    /// Each carrier in order, its breaker, and how many calls of ours it has.
    pub(crate) fn carriers(&self) -> Vec<(Route, BreakerSnapshot, usize)> {
        let at = |carrier: &CarrierId| {
            let is_there = |page: &&Page| page.end.is_none() && page.carrier.as_ref() == Some(carrier);
            self.book.pages().values().filter(is_there).count()
        };
        let routes = self.routes.iter();
        routes
            .filter_map(|route| {
                let breaker = self.desk.breaker(&route.carrier)?;
                Some((route.clone(), breaker, at(&route.carrier)))
            })
            .collect()
    }

    /// The carriers in order, the wished one first; a wished number is shown by the first one only, for
    /// it is not the others'.
    pub(crate) fn routes(&self, wished: Option<&str>, from: Option<E164>) -> Result<Vec<Route>, NotPlaced> {
        let mut routes = self.routes.clone();
        if let Some(name) = wished {
            let at = routes.iter().position(|route| route.carrier.as_str() == name);
            routes[..=at.ok_or(NotPlaced::NoCarrier)?].rotate_right(1);
        }
        let first = routes.first_mut().ok_or(NotPlaced::NoCarrier)?;
        if let Some(from) = from {
            first.from = from;
        }
        Ok(routes)
    }

    /// Places a call; how it goes is found in the book.
    pub(crate) fn place(
        &self,
        order: Order,
        correlation: CorrelationId,
        metadata: BTreeMap<String, String>,
    ) -> Result<(), NotPlaced> {
        let call = order.call;
        let page = Page {
            correlation,
            metadata,
            status: CallStatus::Initiated,
            carrier: None,
            carrier_call: None,
            answered_by: None,
            end: None,
            refusal: None,
        };
        let placing = self.desk.place(order).map_err(|DeskFull| NotPlaced::Full)?;
        let correlation = page.correlation.clone();
        self.book.open(call, page);
        self.book.statuses.tell(call, as_carrier(CallStatus::Initiated), "ordered");
        // A call outlives the request that ordered it.
        self.tasks.spawn(on_behalf((correlation, call), self.traces.clone(), placing.run()));
        Ok(())
    }

    pub(crate) fn page(&self, call: CallId) -> Option<Page> {
        self.book.pages().get(&call).cloned()
    }

    /// Brings what a carrier told. The answer is whether an answered call is to be given the voice.
    pub(crate) fn tell(&self, key: AttemptKey, told: Told) -> bool {
        self.desk.tell(key, told)
    }

    pub(crate) fn media_over(&self, call: CallId) {
        self.desk.media_over(call);
    }

    /// Ends a call. Answers whether it was under way.
    pub(crate) fn hang_up(&self, call: CallId) -> bool {
        self.desk.hang_up(call)
    }

    /// Ends what nobody has answered: the server stops, and will not hear of it.
    pub(crate) fn drain(&self) {
        self.desk.hang_up_unanswered();
    }

    /// Waits a little for calls that were told to end.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        if tokio::time::timeout(END_TIMEOUT, self.tasks.wait()).await.is_err() {
            info!(calls = self.tasks.len(), "calls of ours are left to their carriers");
        }
    }
}

impl Book {
    fn open(&self, call: CallId, page: Page) {
        let mut pages = self.pages();
        if pages.len() >= REMEMBERED_MAX {
            // Ids rise with time, so the first is the oldest.
            pages.pop_first();
        }
        pages.insert(call, page);
    }

    fn note(&self, call: CallId, progress: &Progress) {
        let mut pages = self.pages();
        let Some(page) = pages.get_mut(&call) else { return };
        page.note(progress);
        let correlation = page.correlation.clone();
        drop(pages);
        self.tell_status(call, progress);
        tell_log(call, &correlation, progress);
    }

    fn tell_status(&self, call: CallId, progress: &Progress) {
        if let Progress::Accepted(_, name) = progress {
            self.statuses.name(call, name);
        } else if let Progress::Status(status) = progress {
            // The end is told with its reason, by the desk.
            if !status.is_final() {
                self.statuses.carrier_says(call, *status, None);
            }
        } else if let Progress::Ended(end) = progress {
            self.statuses.tell(call, as_carrier(end.status()), end.name());
        }
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<CallId, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    fn note(&mut self, progress: &Progress) {
        match progress {
            Progress::Placing(carrier) => self.carrier = Some(carrier.clone()),
            Progress::NotPlaced(_, error) => self.refusal = Some(error.clone()),
            Progress::Accepted(carrier, name) => {
                self.carrier = Some(carrier.clone());
                self.carrier_call = Some(name.clone());
                self.refusal = None;
            }
            Progress::Status(status) => self.status = *status,
            Progress::Machine(by) => self.answered_by = Some(*by),
            Progress::Ended(end) => {
                self.status = end.status();
                self.end = Some(end.clone());
            }
            Progress::Uncertain(_)
            | Progress::LeavingMessage
            | Progress::Stray(_)
            | Progress::LeftBehind(_) => {}
            _newer => {}
        }
    }
}

fn tell_log(call: CallId, correlation: &CorrelationId, progress: &Progress) {
    let count = |carrier: &CarrierId, outcome: &'static str| {
        counter!(names::OUTBOUND_ATTEMPTS, "carrier" => carrier.to_string(), "outcome" => outcome)
            .increment(1);
    };
    match progress {
        Progress::NotPlaced(carrier, error) => {
            count(carrier, error.cause.name());
            warn!(%correlation, %call, %carrier, %error, "a carrier did not place the call");
        }
        Progress::Uncertain(carrier) => {
            counter!(names::DISCREPANCIES, "kind" => "uncertain").increment(1);
            warn!(%correlation, %call, %carrier, "the carrier may have placed the call; looking for it");
        }
        Progress::Accepted(carrier, name) => {
            count(carrier, "accepted");
            info!(%correlation, %call, %carrier, carrier_call = name, "call is being placed");
        }
        Progress::Stray(carrier) => {
            count(carrier, "stray");
            counter!(names::DISCREPANCIES, "kind" => "stray").increment(1);
            warn!(%correlation, %call, %carrier, "a call that was given up turned up, and is hung up");
        }
        Progress::LeftBehind(carrier) => {
            count(carrier, "left_behind");
            warn!(%correlation, %call, %carrier, "the call could not be hung up; the carrier's limits end it");
        }
        Progress::Ended(end) => {
            counter!(names::OUTBOUND_ENDED, "end" => end.name()).increment(1);
            info!(%correlation, %call, end = end.name(), "call of ours is over");
        }
        Progress::Placing(_) | Progress::Status(_) | Progress::Machine(_) | Progress::LeavingMessage => {}
        _newer => {}
    }
}

/// Spreads the times at which the breakers of several servers try again.
fn seed(clock: &Clock) -> u64 {
    clock.unix(clock.now()).0.unsigned_abs()
}

/// Where nothing can be sent.
pub(super) struct NoHttp;

#[async_trait::async_trait]
impl HttpSend for NoHttp {
    async fn send(
        &self,
        _: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, voice_telephony::rest::RestError> {
        use voice_telephony::carrier_error::Reach;
        use voice_telephony::rest::{RestError, Why};
        Err(RestError { reach: Reach::NeverSent, why: Why::Connect })
    }
}
