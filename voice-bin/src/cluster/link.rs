//! The way to Redis: short limits, and no question at all for a moment after one has failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{Client, Cmd, FromRedisValue, RedisError, cmd};
use tracing::{debug, info, warn};
use voice_core::driver::Clock;

use crate::telemetry::chain;

/// An answer that takes longer is not waited for: the database knows as well.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);

const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// After a failure nobody asks for so long, so that a Redis that hangs costs one question in many its time.
const PAUSE: Duration = Duration::from_millis(500);

/// Why there is no way to Redis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The address is none.
    #[error("not the address of a Redis")]
    Address(#[source] RedisError),
}

/// Asks Redis, and takes silence for an answer. Clones share the connection.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    connection: ConnectionManager,
    clock: Clock,
    /// When it may be asked again, in microseconds of the clock; 0 while it answers.
    paused_until: Arc<AtomicU64>,
}

impl Link {
    pub(super) fn new(url: &str, clock: Clock) -> Result<Self, ClusterError> {
        let client = Client::open(url).map_err(ClusterError::Address)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_response_timeout(Some(ANSWER_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT));
        let connection =
            ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(ClusterError::Address)?;
        Ok(Self { client, connection, clock, paused_until: Arc::default() })
    }

    /// The text behind a key; `None` if there is none or Redis does not say.
    pub(super) async fn text(&self, key: &str) -> Option<String> {
        self.ask::<Option<String>>(cmd("GET").arg(key)).await.flatten()
    }

    /// Whether there is such a key; `None` if Redis does not say.
    pub(super) async fn exists(&self, key: &str) -> Option<bool> {
        self.ask(cmd("EXISTS").arg(key)).await
    }

    pub(super) async fn set(&self, key: &str, text: &str, lifetime: Duration) {
        let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        self.ask::<()>(cmd("SET").arg(key).arg(text).arg("PX").arg(lifetime)).await;
    }

    pub(super) async fn remove(&self, key: &str) {
        self.ask::<u64>(cmd("DEL").arg(key)).await;
    }

    /// Answers how many heard it; `None` if Redis does not say.
    pub(super) async fn publish(&self, channel: &str, message: &str) -> Option<u64> {
        self.ask(cmd("PUBLISH").arg(channel).arg(message)).await
    }

    /// Sets what is not set, and answers who was first: whose text it is now. `None` if Redis does not say.
    pub(super) async fn claim(&self, key: &str, text: &str, lifetime: Duration) -> Option<String> {
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let set: Option<String> =
            self.ask(cmd("SET").arg(key).arg(text).arg("NX").arg("PX").arg(millis)).await?;
        if set.is_some() { Some(text.to_owned()) } else { self.text(key).await }
    }

    /// Whether it answered the last time.
    pub(super) fn is_up(&self) -> bool {
        self.paused_until.load(Ordering::Relaxed) == 0
    }

    /// A connection that hears what is published.
    pub(super) async fn subscribe(&self, channels: &[&str]) -> Result<PubSub, RedisError> {
        let mut heard = self.client.get_async_pubsub().await?;
        for channel in channels {
            heard.subscribe(*channel).await?;
        }
        Ok(heard)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let until = self.paused_until.load(Ordering::Relaxed);
        let now = self.clock.now().as_micros();
        if now < until {
            return None;
        }
        let mut connection = self.connection.clone();
        match command.query_async(&mut connection).await {
            Ok(answer) => {
                if until != 0 && self.paused_until.swap(0, Ordering::Relaxed) != 0 {
                    info!("Redis answers again");
                }
                Some(answer)
            }
            Err(error) => {
                let pause = u64::try_from(PAUSE.as_micros()).unwrap_or(u64::MAX);
                let error = chain(&error);
                if self.paused_until.swap(now.saturating_add(pause), Ordering::Relaxed) == 0 {
                    warn!(error, "Redis does not answer; the database is asked instead");
                } else {
                    debug!(error, "Redis still does not answer");
                }
                None
            }
        }
    }
}

/// The address may hold a password.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
