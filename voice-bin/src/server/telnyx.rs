//! The calls that Telnyx has with us: a task for each, which is told what happened and says what to do.
//!
//! A call over Twilio is over when its media socket is. A call over Telnyx is not: so whoever hangs up, the
//! task of the call brings it to the other side, once.

mod leg;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use voice_core::id::{CallId, CorrelationId};
use voice_core::record::EndReason;
use voice_core::sensitive::{Pii, Secret};
use voice_telephony::legs::LegKey;
use voice_telephony::number::E164;
use voice_telephony::telnyx::{
    Api, CallControl, CallControlId, Codec, ConnectionId, ControlSettings, PublicKeys, RejectCause,
    TelnyxWebhook,
};
use voice_telephony::webhook::Verified;

use self::leg::Leg;
use super::App;
use super::on_behalf::on_behalf;
use crate::config::PublicUrl;
use crate::routes::TELNYX_MEDIA;

/// How to know Telnyx, and how to command it.
#[derive(Clone, Debug, Default)]
pub struct TelnyxParts {
    /// Check signatures; without one every webhook is refused.
    pub keys: PublicKeys,
    /// Commands calls; without it none are answered.
    pub api: Option<Api>,
}

/// Telnyx, and our number there.
#[derive(Clone, Debug)]
pub struct TelnyxLine {
    /// The account.
    pub api: Api,
    /// The application that calls of ours belong to.
    pub connection: ConnectionId,
    /// What people see when we call.
    pub from: E164,
}

/// What we send and ask for; a leg that speaks A-law all the same is understood.
pub(crate) const CODEC: Codec = Codec::Pcmu;

/// Telnyx publishes no pace for calls (protocol notes, Telnyx §3); what is too much it refuses, and says so.
pub(crate) const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");

/// Calls that are told of at once, ringing and ending ones included. Each has some kB; an event of one more
/// is refused, and comes again.
const LEGS_MAX: usize = 20_000;

/// What may wait for a call's task, which only ever waits itself: a call has some dozens of events in all.
const WORDS_MAX: usize = 64;

/// How long calls may take to be hung up when the server stops.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// All calls that Telnyx has with us.
#[derive(Debug)]
pub(crate) struct Legs {
    table: Table,
    tasks: TaskTracker,
    closing: CancellationToken,
    settings: Option<ControlSettings>,
    /// Signs tickets, where other servers are to take them as well.
    key: Option<LegKey>,
}

/// A way to reach one call's task.
#[derive(Clone, Debug)]
pub(crate) struct LegLine(mpsc::Sender<Word>);

/// What a call's task is told.
#[derive(Debug)]
enum Word {
    Event(Box<Verified<TelnyxWebhook>>),
    /// The media socket has shown its ticket, and this conversation begins.
    MediaUp(CallId),
    /// It is over, for this reason; without one, because of a bug.
    MediaOver(Option<EndReason>),
    /// The media socket came, and there is no place for the call.
    NoPlace,
    /// Somebody else leads the call from here.
    Release,
}

/// What is known of a call, for its conversations.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) call: CallId,
    pub(crate) correlation: CorrelationId,
    pub(crate) from: Pii<String>,
    pub(crate) to: Pii<String>,
    /// Whether we placed it.
    pub(crate) is_ours: bool,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Taken,
    /// There is no such call.
    Nobody,
    /// Nobody can take it now; it should come again.
    Full,
}

/// What is done with a call that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It rings; take it.
    Answer,
    /// It rings; do not take it.
    Busy,
    /// It is answered; lead its audio to us.
    Stream,
    /// It is answered; end it.
    Dismiss,
}

impl Legs {
    /// Media sockets come to this server's address.
    pub(crate) fn new(base: &PublicUrl, api: Option<&Api>) -> Self {
        Self {
            key: api.map(Api::leg_key),
            table: Table::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            settings: ControlSettings::new(&base.web_socket(TELNYX_MEDIA), CODEC).ok(),
        }
    }

    pub(crate) fn has(&self, name: &CallControlId) -> bool {
        self.knows(name.as_str())
    }

    /// The same for what may be a name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.table.lines().contains_key(name)
    }

    pub(crate) const fn key(&self) -> Option<&LegKey> {
        self.key.as_ref()
    }

    /// How a call is reached that is commanded here.
    pub(crate) fn line(&self, name: &str) -> Option<LegLine> {
        self.table.lines().get(name).map(|seat| seat.line.clone())
    }

    /// Another server has the call's media and commands it from here. Answers the numbers of both sides.
    pub(crate) fn give_away(&self, name: &str) -> Option<(String, String)> {
        let lines = self.table.lines();
        let Seat { line, numbers: (from, to) } = lines.get(name)?;
        line.say(Word::Release);
        Some((from.expose().clone(), to.expose().clone()))
    }

    /// Begins to command a call whose media came here under a ticket that another server gave out.
    pub(crate) fn take_up(
        app: &Arc<App>,
        name: CallControlId,
        facts: Facts,
        ticket: &Secret<String>,
    ) -> Option<LegLine> {
        let settings = app.telnyx.settings.clone()?;
        let clock = app.parts.world.clock;
        let now = (clock.now(), clock.unix(clock.now()));
        let control = CallControl::taken_up(now, settings, name.clone(), ticket);
        Self::command(app, name, facts, control).ok()
    }

    /// Begins to command a call. Needs [`TelnyxParts::api`].
    pub(crate) fn begin(app: &Arc<App>, name: CallControlId, facts: Facts, begin: Begin) -> Heard {
        let legs = &app.telnyx;
        let clock = app.parts.world.clock;
        let now = (clock.now(), clock.unix(clock.now()));
        let control = match (begin, &legs.settings) {
            (Begin::Answer, Some(settings)) => {
                CallControl::answer(now, settings.clone(), name.clone(), name.as_str().as_bytes())
            }
            (Begin::Stream, Some(settings)) => CallControl::resume(now, settings.clone(), name.clone(), b""),
            (Begin::Answer | Begin::Busy, _) => CallControl::reject(now, name.clone(), RejectCause::UserBusy),
            (Begin::Stream | Begin::Dismiss, _) => CallControl::dismiss(now, name.clone()),
        };
        Self::command(app, name, facts, control).map_or_else(|why| why, |_line| Heard::Taken)
    }

    fn command(
        app: &Arc<App>,
        name: CallControlId,
        facts: Facts,
        control: CallControl,
    ) -> Result<LegLine, Heard> {
        let legs = &app.telnyx;
        let (Some(api), Some(http)) = (&app.parts.telnyx.api, &app.parts.outbound.http) else {
            return Err(Heard::Nobody);
        };
        let (line, words) = mpsc::channel(WORDS_MAX);
        let line = LegLine(line);
        {
            let mut lines = legs.table.lines();
            if lines.len() >= LEGS_MAX || lines.contains_key(name.as_str()) {
                return Err(Heard::Full);
            }
            let seat = Seat { line: line.clone(), numbers: (facts.from.clone(), facts.to.clone()) };
            lines.insert(name.as_str().to_owned(), seat);
        }
        let place = Entry { table: legs.table.clone(), name: name.as_str().to_owned() };
        let rest = (api.clone(), http.clone());
        let correlation = facts.correlation.clone();
        let leg = Leg::new(app.clone(), place, (control, name, facts), (line.clone(), words), rest);
        // A call outlives the webhook that told of it.
        legs.tasks.spawn(on_behalf(correlation, leg.run(legs.closing.clone())));
        Ok(line)
    }

    /// Brings an event to its call.
    pub(crate) fn tell(&self, name: &CallControlId, webhook: Verified<TelnyxWebhook>) -> Heard {
        let lines = self.table.lines();
        let Some(seat) = lines.get(name.as_str()) else { return Heard::Nobody };
        match seat.line.0.try_send(Word::Event(Box::new(webhook))) {
            Ok(()) => Heard::Taken,
            Err(TrySendError::Full(_)) => Heard::Full,
            Err(TrySendError::Closed(_)) => Heard::Nobody,
        }
    }

    /// The call is led by somebody else from here; its conversation ends.
    pub(crate) fn release(&self, name: &CallControlId) {
        if let Some(seat) = self.table.lines().get(name.as_str()) {
            seat.line.say(Word::Release);
        }
    }

    /// Hangs up what is left, and waits a little for that.
    pub(crate) async fn finish(&self) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(END_TIMEOUT, self.tasks.wait()).await.is_err() {
            info!(calls = self.tasks.len(), "calls over Telnyx are left to their limits");
        }
    }
}

impl LegLine {
    /// The call's media socket has shown its ticket. False if the call is over.
    pub(crate) fn media_up(&self, call: CallId) -> bool {
        self.say(Word::MediaUp(call))
    }

    /// And is gone.
    pub(crate) async fn media_over(&self, end: Option<EndReason>) {
        let _the_call_is_over = self.0.send(Word::MediaOver(end)).await;
    }

    /// It cannot be served after all.
    pub(crate) fn no_place(&self) {
        self.say(Word::NoPlace);
    }

    fn say(&self, word: Word) -> bool {
        self.0.try_send(word).is_ok()
    }
}

/// How each call is reached, by Telnyx's name for it.
#[derive(Clone, Debug, Default)]
struct Table(
    /// A lock, because webhooks look up what tasks remove: held to find, add or remove one, never over an
    /// await.
    Arc<Mutex<BTreeMap<String, Seat>>>,
);

/// How one call is reached, and whose numbers it has.
#[derive(Debug)]
struct Seat {
    line: LegLine,
    numbers: (Pii<String>, Pii<String>),
}

impl Table {
    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's entry in the table. Out of it when dropped.
#[derive(Debug)]
struct Entry {
    table: Table,
    name: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.lines().remove(&self.name);
    }
}
