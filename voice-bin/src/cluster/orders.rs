//! Orders for a call that another server holds, and their answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, oneshot};
use tracing::{debug, warn};
use uuid::Uuid;
use voice_core::id::CallId;

use super::link::Link;
use super::wire::{Message, News};
use crate::store::Node;
use crate::telemetry::chain;

/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Before a connection that broke is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Orders of others that are carried out at the same time. One more is not heard.
const ORDERS_MAX: usize = 64;

/// The channel of all servers.
const NEWS: &str = "voice:news";

/// Longest message: a note for a voice, with room to spare.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Carries out orders of other servers, and hears their news.
#[async_trait]
pub trait Obey: Send + Sync {
    /// Does what `order` says, with this call if it is about one, and answers what the other server is to know;
    /// `None` if the call is not here. An order has the form that the two sides agree on.
    async fn obey(&self, call: Option<CallId>, order: &str) -> Option<String>;

    /// What another server tells all of them. Called in between two messages: be quick.
    fn hear(&self, from: &Node, news: News);
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Whoever holds the call says this.
    Answered(String),
    /// The call is here; whoever asks can see to it themselves.
    Here,
    /// No such call goes on.
    NoCall,
    /// This server holds the call and cannot be reached: nothing was done. One can ask it directly.
    Unreachable(Node),
    /// This server got the order and did not answer in time: it may be done or not.
    NoAnswer(Node),
}

/// The channel of one server.
#[derive(Debug)]
pub(super) struct Post {
    link: Link,
    node: Node,
    /// Orders that are waited for. Locked when one is sent and answered, for microseconds, never over an await.
    waiting: Mutex<HashMap<String, oneshot::Sender<Option<String>>>>,
}

impl Post {
    pub(super) fn new(link: Link, node: Node) -> Self {
        // See the field: senders and the listener meet here.
        Self { link, node, waiting: Mutex::default() }
    }

    pub(super) async fn send(&self, to: &Node, call: Option<CallId>, order: &str) -> Delivery {
        let id = Uuid::now_v7().to_string();
        let call = call.map(|call| call.to_string());
        let message =
            Message::Order { id: id.clone(), from: self.node.to_string(), call, order: order.to_owned() };
        let (answer, answered) = oneshot::channel();
        self.with_waiting(|waiting| waiting.insert(id.clone(), answer));
        let delivery = match self.publish(to, &message).await {
            Some(1..) => match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
                Ok(Ok(Some(answer))) => Delivery::Answered(answer),
                Ok(Ok(None)) => Delivery::NoCall,
                Ok(Err(_)) | Err(_) => Delivery::NoAnswer(to.clone()),
            },
            Some(0) => Delivery::Unreachable(to.clone()),
            // Redis got it, perhaps.
            None => Delivery::NoAnswer(to.clone()),
        };
        self.with_waiting(|waiting| waiting.remove(&id));
        delivery
    }

    /// Tells all others.
    pub(super) async fn tell(&self, news: News) {
        let message = Message::News { from: self.node.to_string(), news };
        if let Ok(message) = serde_json::to_string(&message) {
            self.link.publish(NEWS, &message).await;
        }
    }

    pub(super) async fn listen(self: &Arc<Self>, obey: Arc<dyn Obey>) {
        let places = Arc::new(Semaphore::new(ORDERS_MAX));
        loop {
            match self.link.subscribe(&[&channel(&self.node), NEWS]).await {
                Ok(heard) => {
                    let mut messages = heard.into_on_message();
                    while let Some(message) = messages.next().await {
                        self.hear(message.get_payload_bytes(), &obey, &places);
                    }
                }
                Err(error) => debug!(error = chain(&error), "cannot hear other servers"),
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    fn hear(self: &Arc<Self>, message: &[u8], obey: &Arc<dyn Obey>, places: &Arc<Semaphore>) {
        if message.len() > MESSAGE_BYTES_MAX {
            warn!(bytes = message.len(), "a message of another server is too long");
            return;
        }
        match serde_json::from_slice(message) {
            Ok(Message::Order { id, from, call, order }) => {
                let call = call.map(|call| call.parse()).transpose();
                let (Ok(call), Ok(place)) = (call, places.clone().try_acquire_owned()) else {
                    warn!("an order of another server cannot be carried out");
                    return;
                };
                let (post, obey) = (self.clone(), obey.clone());
                // An order may wait for its call; the next one must not.
                tokio::spawn(async move {
                    let answer = Message::Answer { id, answer: obey.obey(call, &order).await };
                    post.publish(&Node::new(&from), &answer).await;
                    drop(place);
                });
            }
            Ok(Message::Answer { id, answer }) => {
                if let Some(waiting) = self.with_waiting(|waiting| waiting.remove(&id)) {
                    // It may have been given up in this moment.
                    let _too_late = waiting.send(answer);
                }
            }
            Ok(Message::News { from, news }) => {
                let from = Node::new(&from);
                if from != self.node {
                    obey.hear(&from, news);
                }
            }
            Ok(Message::Unknown) => debug!("another server says something that this version does not know"),
            Err(_) => warn!("a message of another server cannot be read"),
        }
    }

    async fn publish(&self, to: &Node, message: &Message) -> Option<u64> {
        let message = serde_json::to_string(message).ok()?;
        self.link.publish(&channel(to), &message).await
    }

    fn with_waiting<T>(
        &self,
        act: impl FnOnce(&mut HashMap<String, oneshot::Sender<Option<String>>>) -> T,
    ) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn channel(node: &Node) -> String {
    format!("voice:orders:{node}")
}
