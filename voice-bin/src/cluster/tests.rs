//! Two servers on one database, with a real Redis between them, without one, and with one that dies.

use async_trait::async_trait;
use tokio::task::JoinHandle;
use voice_core::record::{Entry, Reader as _};
use voice_core::time::MonoTime;

use super::*;
use crate::services::{self, Private};
use crate::store::{Journal, samples};

const CALL: CallId = CallId::from_u128(7);

/// Answers with its name and what it was told; has the calls that it has.
struct Echo(&'static str, Vec<CallId>);

#[async_trait]
impl Obey for Echo {
    async fn obey(&self, call: Option<CallId>, order: &str) -> Option<String> {
        call.filter(|call| self.1.contains(call)).map(|_| format!("{} did {order}", self.0))
    }

    fn hear(&self, _from: &Node, _news: News) {}
}

/// A database with one call, held by `a`.
async fn database() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("voice.db").display());
    let store = Store::open(&url).await.unwrap().with_node(Node::new("a"));
    let journal = Journal::start(store, Clock::start());
    let started = samples::events().remove(0);
    journal.reader().read(CALL, &Entry { seq: 1, at: MonoTime::ZERO, event: started });
    // It takes the connections along.
    journal.close().await;
    let store = Store::open(&url).await.unwrap();
    (directory, store)
}

fn server(store: &Store, name: &'static str, redis: Option<&str>) -> Cluster {
    // Names in Redis are shared by all tests; a name of a database is not.
    Cluster::new(store.clone().with_node(Node::new(name)), Clock::start(), redis).unwrap()
}

/// Listens, once that can be relied upon.
async fn listening(of: &Cluster, asked_by: &Cluster, calls: &[CallId]) -> JoinHandle<()> {
    let name = if of.store.node().as_str() == "a" { "a" } else { "b" };
    let obey = Arc::new(Echo(name, calls.to_vec()));
    let listener = of.clone();
    let listening = tokio::spawn(async move { listener.listen(obey).await });
    while asked_by.send(of.store.node(), Some(CallId::from_u128(0)), "hello").await != Delivery::NoCall {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    listening
}

#[tokio::test]
async fn without_redis_the_database_knows_and_others_cannot_be_reached() {
    let (_directory, store) = database().await;
    let b = server(&store, "b", None);
    assert_eq!(b.holder(CALL).await.unwrap(), Some(Node::new("a")));
    assert_eq!(b.holder(CallId::from_u128(8)).await.unwrap(), None);
    assert_eq!(b.call_of("twilio", "CA0123").await.unwrap(), Some(CALL));
    assert_eq!(b.call_of("telnyx", "CA0123").await.unwrap(), None);
    assert_eq!(b.order(CALL, "hold").await.unwrap(), Delivery::Unreachable(Node::new("a")));
    assert_eq!(server(&store, "a", None).order(CALL, "hold").await.unwrap(), Delivery::Here);
    assert_eq!(b.order(CallId::from_u128(8), "hold").await.unwrap(), Delivery::NoCall);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    assert!(Cluster::new(store, Clock::start(), Some("nonsense")).is_err());
}

#[tokio::test]
async fn an_order_reaches_whoever_holds_the_call_also_after_redis_missed_a_take_over() {
    if services::redis("an_order_reaches_whoever_holds_the_call").is_none() {
        return;
    }
    let redis = Private::start("redis");
    let url = redis.url();
    let (_directory, store) = database().await;
    let (a, b, c) =
        (server(&store, "a", Some(&url)), server(&store, "b", Some(&url)), server(&store, "c", Some(&url)));
    let hears_answers = {
        let c = c.clone();
        tokio::spawn(async move { c.listen(Arc::new(Echo("c", vec![]))).await })
    };
    let listens = (listening(&a, &c, &[CALL]).await, listening(&b, &c, &[]).await);
    a.hold(CALL, "twilio", "CA0123").await;
    assert_eq!(c.order(CALL, "hold").await.unwrap(), Delivery::Answered("a did hold".to_owned()));

    // `b` takes over, and Redis hears nothing of it: `a` says that the call is not there.
    let taken = b.store.take_over(CALL, &Node::new("a")).await.unwrap();
    listens.0.abort();
    listens.1.abort();
    let (gone, _) = (listens.0.await, listens.1.await);
    assert!(taken && gone.is_err());
    let listens = (listening(&a, &c, &[]).await, listening(&b, &c, &[CALL]).await);
    assert_eq!(c.holder(CALL).await.unwrap(), Some(Node::new("a")), "as Redis has it");
    assert_eq!(c.order(CALL, "mute").await.unwrap(), Delivery::Answered("b did mute".to_owned()));
    assert_eq!(c.holder(CALL).await.unwrap(), Some(Node::new("b")), "and it was told");

    b.let_go(CALL).await;
    assert_eq!(c.holder(CALL).await.unwrap(), Some(Node::new("b")), "the database says that it goes on");
    listens.0.abort();
    listens.1.abort();
    hears_answers.abort();
}

#[tokio::test]
async fn redis_killed_and_brought_back_is_only_slower_meanwhile() {
    if services::redis("redis_killed_and_brought_back_is_only_slower_meanwhile").is_none() {
        return;
    }
    let redis = Private::start("redis");
    let url = redis.url();
    let (_directory, store) = database().await;
    let (a, b) = (server(&store, "a", Some(&url)), server(&store, "b", Some(&url)));
    let answers = {
        let b = b.clone();
        tokio::spawn(async move { b.listen(Arc::new(Echo("b", vec![]))).await })
    };
    let listens = listening(&a, &b, &[CALL]).await;
    assert_eq!(b.order(CALL, "hold").await.unwrap(), Delivery::Answered("a did hold".to_owned()));

    redis.order("kill");
    for _ in 0..20 {
        assert_eq!(b.holder(CALL).await.unwrap(), Some(Node::new("a")));
        assert_eq!(b.call_of("twilio", "CA0123").await.unwrap(), Some(CALL));
    }
    b.hold(CALL, "twilio", "CA0123").await;
    assert_eq!(b.order(CALL, "hold").await.unwrap(), Delivery::NoAnswer(Node::new("a")));
    let mut watch = Watch::default();
    assert!(b.look(&mut watch).await.unwrap().is_empty(), "nobody is dead because Redis is");

    redis.order("start");
    while b.order(CALL, "hold").await.unwrap() != Delivery::Answered("a did hold".to_owned()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    listens.abort();
    answers.abort();
}

#[tokio::test]
async fn signs_of_life_are_seen_by_the_others() {
    let Some(url) = services::redis("signs_of_life_are_seen_by_the_others") else { return };
    let (_directory, store) = database().await;
    let (a, b) = (server(&store, "a", Some(&url)), server(&store, "b", Some(&url)));
    let (mut of_a, mut of_b) = (Watch::default(), Watch::default());
    for _ in 0..3 {
        assert!(a.look(&mut of_a).await.unwrap().is_empty());
        assert!(b.look(&mut of_b).await.unwrap().is_empty());
    }
    assert_eq!(store.beats().await.unwrap(), [(Node::new("a"), 3), (Node::new("b"), 3)]);
}

#[tokio::test]
async fn what_is_done_once_is_done_once_at_all_servers_and_who_came_first_is_known() {
    let Some(url) = services::redis("what_is_done_once_is_done_once_at_all_servers") else { return };
    let (_directory, store) = database().await;
    let (a, b) = (server(&store, "a", Some(&url)), server(&store, "b", Some(&url)));
    // Names in Redis are shared by all tests.
    let name = uuid::Uuid::now_v7().to_string();
    let soon = Duration::from_secs(60);
    assert!(a.is_first(&name, soon).await);
    assert!(!b.is_first(&name, soon).await && !a.is_first(&name, soon).await);
    assert_eq!(b.claim_leg(&name).await, Some(Node::new("b")));
    assert_eq!(a.claim_leg(&name).await, Some(Node::new("b")));
    a.take_leg(&name).await;
    assert_eq!(b.leg(&name).await, Some(Node::new("a")));
    a.drop_leg(&name).await;
    assert_eq!(b.leg(&name).await, None);
    let alone = server(&store, "c", None);
    assert!(alone.is_first(&name, soon).await && alone.is_first(&name, soon).await, "nobody says otherwise");
}

#[tokio::test]
async fn whoever_leaves_is_seen_no_more_and_is_not_taken_for_dead() {
    let (_directory, store) = database().await;
    let (a, b) = (server(&store, "a", None), server(&store, "b", None));
    let (mut of_a, mut of_b) = (Watch::default(), Watch::default());
    assert!(b.look(&mut of_b).await.unwrap().is_empty());
    assert!(a.look(&mut of_a).await.unwrap().is_empty());
    assert_eq!((a.living(), b.living()), (2, 1));
    b.leave().await;
    assert!(a.look(&mut of_a).await.unwrap().is_empty());
    assert_eq!(a.living(), 1);
}
