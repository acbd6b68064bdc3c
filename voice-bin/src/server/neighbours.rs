//! The other servers on the same database: heard, told, watched, and taken over from when they die or leave.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use voice_core::breaker::TripReason;
use voice_core::call::Control;
use voice_core::id::CallId;
use voice_core::roster::{MemberSnapshot, Order};
use voice_core::time::MonoTime;

use super::App;
use crate::cluster::{Cluster, News, OpenBreaker, ProviderOrder};
use crate::output::millis;
use crate::recovery;
use crate::routes::Answers;
use crate::store::Node;

/// How often open breakers are told: a server that begins hears of them as soon.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Servers that may die or leave at the same moment.
const GONE_MAX: usize = 64;

/// What goes on between this server and the others.
pub(super) struct Neighbours {
    cluster: Option<Cluster>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Neighbours {
    /// Gives signs of life from here on.
    pub(super) fn meet(app: &Arc<App>) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let cluster = app.parts.cluster.clone();
        if let Some(cluster) = &cluster {
            let (left, leaving) = channel(GONE_MAX);
            let (dead, dying) = channel(GONE_MAX);
            let answers = Answers::new(app, left);
            // Tasks beside the calls: what another server wants may take its time.
            let beside = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
                tasks.spawn(stop.clone().run_until_cancelled_owned(task));
            };
            let (listener, watcher) = (cluster.clone(), cluster.clone());
            beside(Box::pin(async move { listener.listen(answers).await }));
            beside(Box::pin(async move { watcher.watch(dead).await }));
            beside(Box::pin(take_up(app.clone(), leaving, dying)));
            beside(Box::pin(tell_breakers(app.clone(), cluster.clone())));
            if let Some(taken) = cluster.taken_away() {
                beside(Box::pin(let_go_of(app.clone(), taken)));
            }
        }
        Self { cluster, tasks, stop }
    }

    /// No calls are left here, or they are there for others to take up.
    pub(super) async fn part(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
    }
}

/// Something that concerns this server as well.
pub(crate) fn take_note_of(app: &App, news: News) {
    let Some(roster) = app.parts.world.fleet.roster() else { return };
    let now = app.parts.world.clock.now();
    match news {
        News::Open { breakers } => roster.with(|roster| {
            for OpenBreaker { provider, breaker, ago_ms, left_ms } in &breakers {
                let Ok(provider) = provider.parse() else { continue };
                let times = (Duration::from_millis(*ago_ms), Duration::from_millis(*left_ms));
                roster.told_open(now, &provider, breaker, times);
            }
        }),
        News::Provider { provider, order } => {
            let (Ok(provider), Some(wanted)) = (provider.parse(), wanted(order)) else { return };
            if roster.with(|roster| roster.order(now, &provider, wanted)).is_err() {
                return;
            }
            info!(%provider, order = ?wanted, "ordered at another server");
            if wanted == Order::Drain {
                app.leave_provider(&provider);
            }
        }
        News::Leaves | News::Unknown => {}
    }
}

/// The same order, for the others.
pub(crate) fn provider_news(provider: &str, order: Order) -> News {
    let order = match order {
        Order::Reset => ProviderOrder::Reset,
        Order::ForceOpen => ProviderOrder::ForceOpen,
        Order::ForceClosed => ProviderOrder::ForceClosed,
        Order::Drain => ProviderOrder::Drain,
        Order::Resume => ProviderOrder::Resume,
    };
    News::Provider { provider: provider.to_owned(), order }
}

const fn wanted(order: ProviderOrder) -> Option<Order> {
    match order {
        ProviderOrder::Reset => Some(Order::Reset),
        ProviderOrder::ForceOpen => Some(Order::ForceOpen),
        ProviderOrder::ForceClosed => Some(Order::ForceClosed),
        ProviderOrder::Drain => Some(Order::Drain),
        ProviderOrder::Resume => Some(Order::Resume),
        ProviderOrder::Unknown => None,
    }
}

/// Takes up the calls of servers that are gone.
async fn take_up(app: Arc<App>, mut leaving: Receiver<Node>, mut dying: Receiver<Node>) {
    // The calls of before that nobody took up, because the last server went before this one came.
    recovery::adopt_orphans(&app).await;
    loop {
        let (node, why) = tokio::select! {
            Some(node) = leaving.recv() => (node, "left"),
            Some(node) = dying.recv() => (node, "died"),
            else => return,
        };
        let app = app.clone();
        // One task each: some are waited for, and the next server may die meanwhile.
        tokio::spawn(async move { recovery::adopt(&app, &node, why).await });
    }
}

/// Another server writes the record of these calls now: whatever still runs here is nobody's.
async fn let_go_of(app: Arc<App>, mut taken: Receiver<CallId>) {
    while let Some(call) = taken.recv().await {
        if app.calls.find(call).is_some() {
            warn!(%call, "another server has taken a call over; it ends here");
            recovery::let_go(&app, call).await;
        }
    }
}

async fn tell_breakers(app: Arc<App>, cluster: Cluster) {
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = app.parts.world.clock.now();
        let roster = app.parts.world.fleet.roster();
        let members = roster.map(|roster| roster.with(|roster| roster.snapshot(now))).unwrap_or_default();
        let breakers: Vec<_> = members.iter().flat_map(|member| open(now, member)).collect();
        if !breakers.is_empty() {
            cluster.tell(News::Open { breakers }).await;
        }
    }
}

/// What this server found out by itself, and what time alone mends: a key that is refused here may be good
/// elsewhere, and what it was told it does not tell again.
fn open(now: MonoTime, member: &MemberSnapshot) -> Vec<OpenBreaker> {
    let is_own = |reason: TripReason| {
        !matches!(reason, TripReason::Elsewhere | TripReason::Held(_) | TripReason::Forced)
    };
    let breakers = member.breakers().into_iter();
    let open = breakers.filter(|(_, breaker)| breaker.reason.is_some_and(is_own));
    open.filter_map(|(name, breaker)| {
        Some(OpenBreaker {
            provider: member.id.to_string(),
            breaker: name.to_owned(),
            ago_ms: millis(now.since(breaker.times.change?)),
            left_ms: millis(breaker.retry_after?),
        })
    })
    .collect()
}

impl App {
    /// Every call that has this provider is led to another one.
    pub(crate) fn leave_provider(&self, provider: &voice_core::id::ProviderId) {
        for call in self.calls.all() {
            call.control(Control::LeaveProvider(provider.clone()));
        }
    }

    /// What is remembered of a call that another server holds.
    pub(crate) fn forget(&self, call: CallId) {
        if self.calls.find(call).is_none() {
            self.pasts.forget(call);
            self.feed.forget(call);
        }
    }
}
