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

mod link;
mod orders;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tracing::{info, warn};
use voice_core::driver::Clock;
use voice_core::id::CallId;

use crate::store::{CallRow, Node, Store, StoreError};
use crate::telemetry::chain;
use link::Link;
use orders::Post;

pub use link::ClusterError;
pub use orders::{Delivery, Obey};
pub use watch::Watch;

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(2);

/// How long a sign of life holds in Redis: two may be lost.
const LEASE: Duration = Duration::from_secs(6);

/// How long Redis says who holds a call before the database is asked again. After a take-over that Redis did not
/// hear of, orders go astray no longer than this, and are led right by whoever gets them.
const HOLDER_LIFETIME: Duration = Duration::from_secs(60);

/// How long Redis says which call a carrier means. That never changes.
const NAME_LIFETIME: Duration = Duration::from_secs(3_600);

/// This server among the others. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cluster {
    store: Store,
    clock: Clock,
    link: Option<Link>,
    post: Option<Arc<Post>>,
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
        Ok(Self { store, clock, link, post })
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

    /// The call is over.
    pub async fn let_go(&self, call: CallId) {
        if let Some(link) = &self.link {
            link.remove(&holder_key(call)).await;
        }
    }

    /// Has whoever holds the call carry out an order, at most once. Whoever orders twice must not mind that
    /// it is done twice.
    pub async fn order(&self, call: CallId, order: &str) -> Result<Delivery, StoreError> {
        let Some(holder) = self.holder(call).await? else { return Ok(Delivery::NoCall) };
        let first = self.send(&holder, call, order).await;
        if first != Delivery::NoCall {
            return Ok(first);
        }
        // Redis was wrong, or the call has just ended.
        match self.holder_in_truth(call).await? {
            Some(other) if other != holder => Ok(self.send(&other, call, order).await),
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
            if node == *self.store.node() {
                continue;
            }
            let leased = match &self.link {
                Some(link) => link.exists(&node_key(&node)).await,
                None => None,
            };
            seen.push((node, count, leased));
        }
        Ok(watch.look(self.clock.now(), seen))
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

    async fn send(&self, node: &Node, call: CallId, order: &str) -> Delivery {
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

fn node_key(node: &Node) -> String {
    format!("voice:node:{node}")
}
