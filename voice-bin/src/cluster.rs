//! Several servers on one database: who holds which call, who lives, and orders to whoever holds a call.
//!
//! The database knows all of it; Redis, where there is one, answers sooner and carries orders. What is in Redis
//! is never the truth: a call's holder is whoever the row in the database names, and whoever lost a call writes
//! nothing more of it ([`Store::take_over`]). So Redis may be slow, empty or gone at any time, and no call ends:
//!
//! | without Redis | |
//! |---|---|
//! | who holds a call, which call a carrier means | asked of the database |
//! | which node lives | by its beats in the database alone, found after 15 s instead of 6 |
//! | orders to another node | refused, and the node is named, so that one can ask it |
//! | who placed a call, and who commands one that rings | not known elsewhere: a carrier's news that come to another node are asked for again |
//! | breakers that opened elsewhere | each node finds out by itself |

mod follow;
mod link;
mod orders;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::gauge;
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};
use voice_core::driver::Clock;
use voice_core::id::CallId;
use voice_core::record::Reader;

use crate::metrics_names as names;
use crate::store::{CallRow, JournalReader, Node, Store, StoreError};
use crate::telemetry::chain;
use follow::Follower;
use link::Link;
use orders::Post;

pub use link::ClusterError;
pub use orders::{Delivery, Obey};
pub use watch::Watch;
pub use wire::{News, OpenBreaker, ProviderOrder};

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(2);

/// How long a sign of life holds in Redis: two may be lost.
const LEASE: Duration = Duration::from_secs(6);

/// How long Redis says who holds a call before the database is asked again. After a take-over that Redis did not
/// hear of, orders go astray no longer than this, and are led right by whoever gets them.
const HOLDER_LIFETIME: Duration = Duration::from_secs(60);

/// How long Redis says which call a carrier means. That never changes.
const NAME_LIFETIME: Duration = Duration::from_secs(3_600);

/// How long Redis says who placed a call, or commands one: longer than any call lasts.
const DESK_LIFETIME: Duration = Duration::from_secs(6 * 3_600);

/// How long whoever goes waits for what its calls said to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// This server among the others. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cluster {
    store: Store,
    clock: Clock,
    link: Option<Link>,
    post: Option<Arc<Post>>,
    journal: Option<JournalReader>,
    /// How many servers lived when somebody looked last.
    living: Arc<AtomicUsize>,
}

impl Cluster {
    /// With the store's node as this server's name; `redis` is `redis://…` or `rediss://…`. Connects when it
    /// is first needed: a server starts without its Redis. Needs a runtime.
    ///
    /// # Errors
    /// If the address is none.
    pub fn new(store: Store, clock: Clock, redis: Option<&str>) -> Result<Self, ClusterError> {
        let link = redis.map(|url| Link::new(url, clock)).transpose()?;
        let post = link.as_ref().map(|link| Arc::new(Post::new(link.clone(), store.node().clone())));
        Ok(Self { store, clock, link, post, journal: None, living: Arc::new(AtomicUsize::new(1)) })
    }

    /// Whoever goes, or gives a call away, writes down first what was said.
    #[must_use]
    pub fn with_journal(self, journal: JournalReader) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// This server's name.
    pub fn node(&self) -> &Node {
        self.store.node()
    }

    /// What all of them write to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many servers live, this one included, as far as was seen.
    pub fn living(&self) -> usize {
        self.living.load(Ordering::Relaxed)
    }

    /// Whether Redis answers; `None` where there is none.
    pub fn redis_is_up(&self) -> Option<bool> {
        self.link.as_ref().map(Link::is_up)
    }

    /// Follows the calls of this server, to tell Redis which it holds. Needs a runtime.
    pub fn reader(&self) -> Arc<dyn Reader> {
        Follower::start(self.clone())
    }

    /// Who holds a call that goes on.
    ///
    /// # Errors
    /// If Redis does not know and the database does not work, here and below.
    pub async fn holder(&self, call: CallId) -> Result<Option<Node>, StoreError> {
        if let Some(link) = &self.link
            && let Some(node) = link.text(&holder_key(call)).await
        {
            return Ok(Some(Node::new(&node)));
        }
        self.holder_in_truth(call).await
    }

    /// Which call a carrier means, whether it goes on or not.
    pub async fn call_of(&self, carrier: &str, carrier_call: &str) -> Result<Option<CallId>, StoreError> {
        if let Some(link) = &self.link
            && let Some(call) = link.text(&name_key(carrier, carrier_call)).await
            && let Ok(call) = call.parse()
        {
            return Ok(Some(call));
        }
        let row = self.store.call_of(carrier, carrier_call).await?;
        if let Some(row) = &row {
            self.remember(row).await;
        }
        Ok(row.map(|row| row.call))
    }

    /// This server holds the call from now on, by beginning it or taking it over: tells Redis, so that others
    /// need not ask the database.
    pub async fn hold(&self, call: CallId, carrier: &str, carrier_call: &str) {
        if let Some(link) = &self.link {
            link.set(&holder_key(call), self.store.node().as_str(), HOLDER_LIFETIME).await;
            link.set(&name_key(carrier, carrier_call), &call.to_string(), NAME_LIFETIME).await;
        }
    }

    /// The same for a call whose carrier's name is known already.
    pub async fn hold_again(&self, call: CallId) {
        self.set(&holder_key(call), HOLDER_LIFETIME).await;
    }

    /// The call is over.
    pub async fn let_go(&self, call: CallId) {
        if let Some(link) = &self.link {
            link.remove(&holder_key(call)).await;
        }
    }

    /// The row of a call, as the database has it.
    pub async fn row(&self, call: CallId) -> Result<Option<CallRow>, StoreError> {
        self.store.call(call).await
    }

    /// This server has an order for a call, or a session that waits to be started: news of it belong here.
    pub async fn keep_desk(&self, call: CallId) {
        self.set(&desk_key(call), DESK_LIFETIME).await;
    }

    /// Who has the order for a call. Only Redis knows.
    pub async fn desk(&self, call: CallId) -> Option<Node> {
        self.link.as_ref()?.text(&desk_key(call)).await.map(|node| Node::new(&node))
    }

    /// This server commands a carrier's call from now on.
    pub async fn take_leg(&self, carrier_call: &str) {
        self.set(&leg_key(carrier_call), DESK_LIFETIME).await;
    }

    /// The same, unless somebody does already. Answers who does, if Redis says.
    pub async fn claim_leg(&self, carrier_call: &str) -> Option<Node> {
        let link = self.link.as_ref()?;
        let first = link.claim(&leg_key(carrier_call), self.node().as_str(), DESK_LIFETIME).await;
        first.map(|node| Node::new(&node))
    }

    /// Who commands a carrier's call.
    pub async fn leg(&self, carrier_call: &str) -> Option<Node> {
        self.link.as_ref()?.text(&leg_key(carrier_call)).await.map(|node| Node::new(&node))
    }

    /// That call is over.
    pub async fn drop_leg(&self, carrier_call: &str) {
        if let Some(link) = &self.link {
            link.remove(&leg_key(carrier_call)).await;
        }
    }

    /// Whether nobody has done this before, at any server. Where Redis does not say, nobody has.
    pub async fn is_first(&self, what: &str, lifetime: Duration) -> bool {
        let Some(link) = &self.link else { return true };
        let mark = format!("{}:{}", self.node(), uuid::Uuid::now_v7());
        link.claim(&format!("voice:once:{what}"), &mark, lifetime).await.is_none_or(|first| first == mark)
    }

    /// Has one server carry out an order, at most once.
    pub async fn send_to(&self, node: &Node, call: Option<CallId>, order: &str) -> Delivery {
        self.send(node, call, order).await
    }

    /// Tells all other servers something, as far as Redis reaches them.
    pub async fn tell(&self, news: News) {
        if let Some(post) = &self.post {
            post.tell(news).await;
        }
    }

    /// Waits a little until what calls said so far is in the database.
    pub async fn flush(&self) {
        if let Some(journal) = &self.journal {
            let _written_or_late = tokio::time::timeout(FLUSH_TIMEOUT, journal.flush()).await;
        }
    }

    /// Calls of this server that another one has taken over, as the journal is told when it writes of them.
    pub fn taken_away(&self) -> Option<tokio::sync::mpsc::Receiver<CallId>> {
        self.journal.as_ref().map(JournalReader::superseded)
    }

    /// This server goes, and gives no more signs of life: whoever lives may take up its calls at once.
    pub async fn leave(&self) {
        self.flush().await;
        let forgotten = tokio::time::timeout(FLUSH_TIMEOUT, self.store.forget(self.node())).await;
        if !matches!(forgotten, Ok(Ok(()))) {
            warn!("the others will have to find out that this server is gone");
        }
        if let Some(link) = &self.link {
            link.remove(&node_key(self.node())).await;
        }
        self.tell(News::Leaves).await;
    }

    /// Has whoever holds the call carry out an order, at most once. Whoever orders twice must not mind that
    /// it is done twice.
    pub async fn order(&self, call: CallId, order: &str) -> Result<Delivery, StoreError> {
        let Some(holder) = self.holder(call).await? else { return Ok(Delivery::NoCall) };
        let first = self.send(&holder, Some(call), order).await;
        if first != Delivery::NoCall {
            return Ok(first);
        }
        // Redis was wrong, or the call has just ended.
        match self.holder_in_truth(call).await? {
            Some(other) if other != holder => Ok(self.send(&other, Some(call), order).await),
            Some(_) | None => Ok(Delivery::NoCall),
        }
    }

    /// Hears orders for calls of this server until it is dropped.
    pub async fn listen(&self, obey: Arc<dyn Obey>) {
        if let Some(post) = &self.post {
            post.listen(obey).await;
        }
    }

    /// Gives signs of life, and tells which nodes have given none for too long; each once, until it lives again.
    /// Runs until it is dropped.
    pub async fn watch(&self, dead: Sender<Node>) {
        let mut watch = Watch::default();
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.look(&mut watch).await {
                Ok(nodes) => {
                    for node in nodes {
                        info!(%node, "a server gives no sign of life");
                        if dead.send(node).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    // Whoever cannot see does not know who died meanwhile.
                    watch.lose_sight();
                    warn!(error = chain(&error), "cannot see which servers live");
                }
            }
        }
    }

    /// One sign of life, and one look at the others. Answers those who died since the last look.
    pub async fn look(&self, watch: &mut Watch) -> Result<Vec<Node>, StoreError> {
        self.store.beat().await?;
        if let Some(link) = &self.link {
            link.set(&node_key(self.store.node()), "lives", LEASE).await;
        }
        let beats = self.store.beats().await?;
        let mut seen = Vec::with_capacity(beats.len());
        for (node, count) in beats {
            if node == *self.node() {
                continue;
            }
            let leased = match &self.link {
                Some(link) => link.exists(&node_key(&node)).await,
                None => None,
            };
            seen.push((node, count, leased));
        }
        let dead = watch.look(self.clock.now(), seen);
        self.living.store(watch.living() + 1, Ordering::Relaxed);
        Ok(dead)
    }

    /// Shows how it stands.
    pub(crate) fn publish(&self) {
        gauge!(names::SERVERS).set(self.living() as f64);
        if let Some(is_up) = self.redis_is_up() {
            gauge!(names::REDIS_UP).set(f64::from(u8::from(is_up)));
        }
    }

    async fn set(&self, key: &str, lifetime: Duration) {
        if let Some(link) = &self.link {
            link.set(key, self.node().as_str(), lifetime).await;
        }
    }

    /// The database's word, which Redis is told.
    async fn holder_in_truth(&self, call: CallId) -> Result<Option<Node>, StoreError> {
        let row = self.store.call(call).await?.filter(|row| row.ended.is_none());
        if let Some(row) = &row {
            self.remember(row).await;
        }
        Ok(row.map(|row| row.node))
    }

    async fn remember(&self, row: &CallRow) {
        let Some(link) = &self.link else { return };
        if row.ended.is_none() {
            link.set(&holder_key(row.call), row.node.as_str(), HOLDER_LIFETIME).await;
        }
        link.set(&name_key(&row.carrier, &row.carrier_call), &row.call.to_string(), NAME_LIFETIME).await;
    }

    async fn send(&self, node: &Node, call: Option<CallId>, order: &str) -> Delivery {
        if node == self.store.node() {
            return Delivery::Here;
        }
        match &self.post {
            Some(post) => post.send(node, call, order).await,
            None => Delivery::Unreachable(node.clone()),
        }
    }
}

fn holder_key(call: CallId) -> String {
    format!("voice:holder:{call}")
}

fn name_key(carrier: &str, carrier_call: &str) -> String {
    format!("voice:call:{carrier}:{carrier_call}")
}

fn desk_key(call: CallId) -> String {
    format!("voice:desk:{call}")
}

fn leg_key(carrier_call: &str) -> String {
    format!("voice:leg:{carrier_call}")
}

fn node_key(node: &Node) -> String {
    format!("voice:node:{node}")
}
