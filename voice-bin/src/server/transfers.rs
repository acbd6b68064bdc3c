//! Callers who are led to somebody else: who drives that, and who tells the call how it goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use voice_core::call::Control;
use voice_core::driver::{CallHandle, Clock, Operate};
use voice_core::id::{CallId, CarrierId};
use voice_core::transfer::{Operation, TransferFailure, TransferId, TransferNews, TransferOrder};
use voice_telephony::number::E164;
use voice_telephony::rest::{HttpSend, Leading, TransferDesk};
use voice_telephony::telnyx::transfer::TelnyxLead;
use voice_telephony::transfer::{LegNews, Plan, Scene, TransferKey};
use voice_telephony::twilio::Twiml;
use voice_telephony::twilio::transfer::TwilioLead;
use voice_telephony::{telnyx, twilio};

use super::on_behalf::inherited;
use super::outbound::OutboundParts;
use super::recordings::RecordLine;
use super::{TELNYX_WEBHOOK, TWILIO_WEBHOOK};
use crate::config::{PublicUrl, Targets};
use crate::metrics_names as names;

/// How long legs that nobody wants any more may take to be ended, when the server stops.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// All transfers of a server.
pub(crate) struct Transfers {
    desk: Arc<TransferDesk>,
    /// Our number at each carrier, which is shown to whoever is called.
    lines: BTreeMap<CarrierId, E164>,
    twilio: Option<TwilioLead>,
    telnyx: Option<TelnyxLead>,
    targets: Targets,
    tasks: TaskTracker,
}

/// Operates the carrier of one call: leads its caller elsewhere, and has it recorded there.
struct Operator {
    desk: Arc<TransferDesk>,
    tasks: TaskTracker,
    call: CallHandle,
    carrier: CarrierId,
    carrier_call: String,
    from: Option<E164>,
    recordings: RecordLine,
}

impl Transfers {
    /// Told of everything under this address.
    pub(crate) fn new(
        parts: &OutboundParts,
        http: Arc<dyn HttpSend>,
        base: &PublicUrl,
        clock: Clock,
    ) -> Self {
        let mut desk = TransferDesk::new(http, clock);
        let mut lines = BTreeMap::new();
        let twilio =
            parts.twilio.as_ref().map(|line| TwilioLead::new(line.api.clone(), base.of(TWILIO_WEBHOOK)));
        if let (Some(line), Some(lead)) = (&parts.twilio, &twilio) {
            let id = CarrierId::from_static(twilio::CARRIER);
            desk = desk.with_carrier(id.clone(), Arc::new(lead.clone()));
            lines.insert(id, line.from.clone());
        }
        let telnyx = parts
            .telnyx
            .as_ref()
            .map(|line| TelnyxLead::new(line.api.clone(), line.connection.clone(), base.of(TELNYX_WEBHOOK)));
        if let (Some(line), Some(lead)) = (&parts.telnyx, &telnyx) {
            let id = CarrierId::from_static(telnyx::CARRIER);
            desk = desk.with_carrier(id.clone(), Arc::new(lead.clone()));
            lines.insert(id, line.from.clone());
        }
        let targets = parts.targets.clone();
        Self { desk: Arc::new(desk), lines, twilio, telnyx, targets, tasks: TaskTracker::new() }
    }

    /// To whom callers can be led, by name.
    pub(crate) fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Whoever leads this call's caller elsewhere, and has the carrier record.
    pub(crate) fn operator(
        &self,
        call: CallHandle,
        carrier: CarrierId,
        carrier_call: String,
        recordings: RecordLine,
    ) -> Arc<dyn Operate> {
        let from = self.lines.get(&carrier).cloned();
        let (desk, tasks) = (self.desk.clone(), self.tasks.clone());
        Arc::new(Operator { desk, tasks, call, carrier, carrier_call, from, recordings })
    }

    /// Brings what a carrier told of a leg. What the leg should do, if there is such a transfer.
    pub(crate) fn told(&self, key: TransferKey, leg: String, news: LegNews) -> Option<(Scene, Plan)> {
        self.desk.told(key, leg, news)
    }

    /// What a leg at Twilio is answered that asks what to do.
    pub(crate) fn document(&self, scene: Option<(Scene, Plan)>) -> Twiml {
        let document = |(scene, plan): &(Scene, Plan)| Some(self.twilio.as_ref()?.document(plan, *scene));
        scene.as_ref().and_then(document).unwrap_or_else(|| Twiml::of(&[twilio::Verb::Hangup]))
    }

    /// How legs over Telnyx are found and ended of which nobody knows any more. Twilio's ask what to do, and are
    /// told to hang up.
    pub(crate) fn telnyx(&self) -> Option<&TelnyxLead> {
        self.telnyx.as_ref()
    }

    /// Waits a little for legs that are to be ended.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        if tokio::time::timeout(END_TIMEOUT, self.tasks.wait()).await.is_err() {
            info!(transfers = self.tasks.len(), "transfers are left to their carriers");
        }
    }
}

impl Operator {
    fn begin(&self, id: TransferId, order: TransferOrder, from: E164) -> Leading {
        let key = TransferKey { call: self.call.id(), transfer: id };
        let plan = Plan { key, caller: self.carrier_call.clone(), from, order };
        let call = self.call.clone();
        let listen = Arc::new(move |news| {
            note(call.id(), id, news);
            call.control(Control::Transferred(id, news));
        });
        self.desk.begin(&self.carrier, plan, listen)
    }
}

impl Operate for Operator {
    fn operate(&self, _call: CallId, operation: Operation) {
        match (operation, self.from.clone()) {
            (Operation::Transfer(id, order), Some(from)) => {
                // A transfer outlives the call that wanted it: its leg is to be ended.
                self.tasks.spawn(inherited(self.begin(id, order, from).run()));
            }
            (Operation::Transfer(id, _), None) => {
                let news = TransferNews::Failed(TransferFailure::Unsupported);
                self.call.control(Control::Transferred(id, news));
            }
            (Operation::Proceed(transfer), _) => {
                self.desk.proceed(TransferKey { call: self.call.id(), transfer });
            }
            (Operation::Withdraw(transfer), _) => {
                self.desk.withdraw(TransferKey { call: self.call.id(), transfer });
            }
            (Operation::Record { order, step }, _) => self.recordings.ask(order, step),
            (_newer, _) => {}
        }
    }
}

fn note(call: CallId, id: TransferId, news: TransferNews) {
    if let TransferNews::Failed(why) = news {
        // Counted from the record: a call may also give a transfer up by itself.
        warn!(%call, transfer = id.0, why = why.name(), "a caller could not be led to somebody else");
    } else if news == TransferNews::Done {
        counter!(names::TRANSFERS, "outcome" => "done").increment(1);
        info!(%call, transfer = id.0, "a caller was led to somebody else");
    } else {
        info!(%call, transfer = id.0, ?news, "a transfer goes on");
    }
}
