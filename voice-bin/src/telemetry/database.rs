//! What the database takes: time of each kind of question, and connections.

use std::sync::atomic::{AtomicU32, Ordering};

use metrics::{gauge, histogram};
use tokio::time::Instant;

use crate::metrics_names as names;

/// Questions under way in this process, waiting for a connection or for an answer.
static UNDER_WAY: AtomicU32 = AtomicU32::new(0);

/// Connections of a store at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pool {
    /// Open, in use or not.
    pub(crate) open: u32,
    /// Open and not in use.
    pub(crate) idle: u32,
    /// How many there may be.
    pub(crate) most: u32,
}

impl Pool {
    /// All connections of some pools together.
    pub(crate) fn of<D: sqlx::Database>(pools: &[&sqlx::Pool<D>]) -> Self {
        pools.iter().fold(Self::default(), |sum, pool| Self {
            open: sum.open + pool.size(),
            idle: sum.idle.saturating_add(u32::try_from(pool.num_idle()).unwrap_or(u32::MAX)),
            most: sum.most + pool.options().get_max_connections(),
        })
    }
}

/// Measures a question to the database. `operation` is a name of ours.
pub(crate) async fn timed<T>(operation: &'static str, question: impl Future<Output = T>) -> T {
    let (_counted, began) = (UnderWay::begin(), Instant::now());
    let answer = question.await;
    histogram!(names::DB_QUERY, "operation" => operation).record(began.elapsed().as_secs_f64());
    answer
}

/// Something that the process before left has been picked up.
pub(crate) fn tell_recovery(what: &'static str, began: Instant) {
    histogram!(names::RECOVERY, "what" => what).record(began.elapsed().as_secs_f64());
}

/// Shows how the connections are used.
pub(crate) fn publish_pool(pool: Pool) {
    let in_use = pool.open.saturating_sub(pool.idle);
    let beyond = UNDER_WAY.load(Ordering::Relaxed).saturating_sub(pool.most);
    gauge!(names::DB_POOL).set(f64::from(pool.open));
    gauge!(names::DB_CHECKED_OUT).set(f64::from(in_use));
    gauge!(names::DB_AVAILABLE).set(f64::from(pool.most.saturating_sub(in_use)));
    gauge!(names::DB_OVERFLOW).set(f64::from(beyond));
}

/// Shows whether it answers, and takes what is to be written.
pub(crate) fn publish_health(is_up: bool, is_writable: bool) {
    gauge!(names::DB_UP).set(f64::from(u8::from(is_up)));
    gauge!(names::DB_WRITABLE).set(f64::from(u8::from(is_writable)));
}

/// Counted until it is dropped, so that a question that was given up is not counted for ever.
struct UnderWay(());

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}
