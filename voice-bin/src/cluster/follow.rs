//! Tells Redis which calls this server holds, beside the calls.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use voice_core::id::CallId;
use voice_core::record::{CallEvent, Entry, Reader};

use super::Cluster;

/// Calls that may begin and end while Redis is slow. What does not fit is asked of the database.
const QUEUE_MAX: usize = 4_096;

/// Follows every call of this server.
#[derive(Debug)]
pub(super) struct Follower(Sender<News>);

#[derive(Debug)]
enum News {
    Begun { call: CallId, carrier: String, carrier_call: String },
    Back(CallId),
    Over(CallId),
}

impl Follower {
    /// Needs a runtime.
    pub(super) fn start(cluster: Cluster) -> Arc<Self> {
        let (queue, news) = channel(QUEUE_MAX);
        // Beside the calls: Redis may take its time.
        tokio::spawn(tell(cluster, news));
        Arc::new(Self(queue))
    }
}

impl Reader for Follower {
    fn read(&self, call: CallId, entry: &Entry) {
        let news = if let CallEvent::Started { carrier, carrier_call, .. } = &entry.event {
            News::Begun { call, carrier: carrier.to_string(), carrier_call: carrier_call.clone() }
        } else if matches!(entry.event, CallEvent::Returned { .. }) {
            News::Back(call)
        } else if matches!(entry.event, CallEvent::Ended { .. }) {
            News::Over(call)
        } else {
            return;
        };
        // Whoever is asked for the call looks into the database then.
        let _told_or_not = self.0.try_send(news);
    }
}

async fn tell(cluster: Cluster, mut news: Receiver<News>) {
    while let Some(news) = news.recv().await {
        match news {
            News::Begun { call, carrier, carrier_call } => cluster.hold(call, &carrier, &carrier_call).await,
            News::Back(call) => cluster.hold_again(call).await,
            News::Over(call) => cluster.let_go(call).await,
        }
    }
}
