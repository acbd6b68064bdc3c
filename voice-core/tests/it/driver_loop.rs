//! The loop that waits: lines, tools, controls and timers of one call, with tokio's time under control.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;
use voice_core::audio::AudioFormat;
use voice_core::call::{Control, Standing};
use voice_core::driver::{CallHandle, Clock, Dial, InOrder, Line, NoTools, World, place};
use voice_core::id::{CallId, ProviderId};
use voice_core::record::{CallEvent, EndReason, Entry, Reader};
use voice_core::wire::{Endpoint, LineEnd, Unreachable, WireMessage};

use crate::toys::{ToyCarrier, ToyProvider, settings, start};

/// A line whose other end is held by the test.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    incoming: VecDeque<Result<WireMessage, LineEnd>>,
    outgoing: Vec<WireMessage>,
    waker: Option<Waker>,
    clogged: bool,
    closed: bool,
}

impl Pipe {
    fn say(&self, message: WireMessage) {
        self.push(Ok(message));
    }

    fn push(&self, message: Result<WireMessage, LineEnd>) {
        let mut ends = self.0.lock().expect("nobody panicked");
        ends.incoming.push_back(message);
        if let Some(waker) = ends.waker.take() {
            waker.wake();
        }
    }

    fn sent(&self) -> usize {
        self.0.lock().expect("nobody panicked").outgoing.len()
    }

    fn closed(&self) -> bool {
        self.0.lock().expect("nobody panicked").closed
    }
}

impl Line for Pipe {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireMessage, LineEnd>> {
        let mut ends = self.0.lock().expect("nobody panicked");
        match ends.incoming.pop_front() {
            Some(message) => Poll::Ready(message),
            None => {
                ends.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn offer(&mut self, message: WireMessage) -> Result<(), LineEnd> {
        let mut ends = self.0.lock().expect("nobody panicked");
        if ends.clogged {
            return Err(LineEnd::Clogged);
        }
        ends.outgoing.push(message);
        Ok(())
    }

    fn close(self: Box<Self>) {
        self.0.lock().expect("nobody panicked").closed = true;
    }
}

/// Hands out pipes, and keeps their other ends.
#[derive(Clone, Default)]
struct Exchange {
    refuse: bool,
    dialled: Arc<Mutex<Vec<Pipe>>>,
}

#[async_trait]
impl Dial for Exchange {
    async fn dial(&self, _endpoint: Endpoint) -> Result<Box<dyn Line>, LineEnd> {
        if self.refuse {
            return Err(LineEnd::Unreachable(Unreachable::Tcp));
        }
        let pipe = Pipe::default();
        self.dialled.lock().expect("nobody panicked").push(pipe.clone());
        Ok(Box::new(pipe))
    }
}

#[derive(Default)]
struct Notebook(Mutex<Vec<CallEvent>>);

impl Reader for Notebook {
    fn read(&self, _call: CallId, entry: &Entry) {
        self.0.lock().expect("nobody panicked").push(entry.event.clone());
    }
}

fn world(exchange: &Exchange, notebook: &Arc<Notebook>) -> World {
    let provider = Arc::new(ToyProvider::new(AudioFormat::MULAW_8K));
    World {
        dial: Arc::new(exchange.clone()),
        fleet: Arc::new(InOrder::new(vec![(ProviderId::from_static("toy"), provider)])),
        tools: Arc::new(NoTools),
        readers: Arc::from([notebook.clone() as Arc<dyn Reader>]),
        clock: Clock::start(),
    }
}

/// A call whose media has just arrived, running.
fn ring(
    exchange: &Exchange,
    notebook: &Arc<Notebook>,
    carrier: &Pipe,
) -> (CallHandle, JoinHandle<EndReason>) {
    let (world, line) = (world(exchange, notebook), Box::new(carrier.clone()));
    let (handle, task) = place(CallId::from_u128(1), world, settings(), start(), ToyCarrier::boxed(), line);
    (handle, tokio::spawn(task.run()))
}

/// Lets every task that can run do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn frame() -> WireMessage {
    WireMessage::Binary(Bytes::from_static(&[0x10; 160]))
}

#[tokio::test(start_paused = true)]
async fn a_call_runs_from_its_media_to_its_end() {
    let (exchange, notebook, carrier) = (Exchange::default(), Arc::new(Notebook::default()), Pipe::default());
    let (_handle, running) = ring(&exchange, &notebook, &carrier);
    settle().await;
    let service = exchange.dialled.lock().expect("nobody panicked")[0].clone();
    for _ in 0..5 {
        carrier.say(frame());
    }
    settle().await;
    assert_eq!(service.sent(), 5);
    service.say(WireMessage::text("speech 8000"));
    settle().await;
    assert_eq!(carrier.sent(), 15, "300 ms ahead and no more");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(carrier.sent(), 50);
    carrier.say(WireMessage::text("bye"));
    assert_eq!(running.await.expect("no panic").kind(), "caller_hung_up");
    assert!(service.closed() && carrier.closed());
    let events = notebook.0.lock().expect("nobody panicked");
    assert!(matches!(events.first(), Some(CallEvent::Started { .. })));
    assert!(matches!(events.last(), Some(CallEvent::Ended { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_read_is_let_go() {
    let (exchange, notebook, carrier) = (Exchange::default(), Arc::new(Notebook::default()), Pipe::default());
    let (_handle, running) = ring(&exchange, &notebook, &carrier);
    settle().await;
    let dialled = || exchange.dialled.lock().expect("nobody panicked").clone();
    dialled()[0].0.lock().expect("nobody panicked").clogged = true;
    carrier.say(frame());
    settle().await;
    assert_eq!(dialled().len(), 2, "another line is opened");
    carrier.say(frame());
    settle().await;
    assert_eq!(dialled()[1].sent(), 1);
    carrier.say(WireMessage::text("bye"));
    assert_eq!(running.await.expect("no panic").kind(), "caller_hung_up");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_anybody_ends_and_says_so() {
    let exchange = Exchange { refuse: true, ..Exchange::default() };
    let (notebook, carrier) = (Arc::new(Notebook::default()), Pipe::default());
    let (_handle, running) = ring(&exchange, &notebook, &carrier);
    assert_eq!(running.await.expect("no panic"), EndReason::NoProvider);
    assert!(carrier.closed());
}

#[tokio::test(start_paused = true)]
async fn a_handle_reaches_the_call_and_outlives_it() {
    let (exchange, notebook, carrier) = (Exchange::default(), Arc::new(Notebook::default()), Pipe::default());
    let (handle, running) = ring(&exchange, &notebook, &carrier);
    settle().await;
    let status = handle.status();
    assert_eq!(status.standing, Standing::Talking);
    assert_eq!(status.live.and_then(|live| live.provider), Some(ProviderId::from_static("toy")));
    assert!(handle.control(Control::HangUp));
    assert_eq!(running.await.expect("no panic"), EndReason::HungUp);
    assert!(!handle.control(Control::HangUp));
    assert_eq!(handle.status().standing, Standing::Ended);
}
