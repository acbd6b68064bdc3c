//! A fake of Twilio's REST API behind a TCP listener, whose calls come true: they ring, are answered by
//! callers who speak, and tell their webhooks.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use voice_core::driver::{Clock, Dial};
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller};
use voice_core::time::MonoTime;
use voice_core::wire::Endpoint;
use voice_telephony::sim::{
    ApiEffect, CallReport, FakeTwilioApi, FakeTwilioCall, TwilioApiPlan, TwilioCallPlan,
};

use super::run_caller;

/// Of a request's body this much is read.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Requests that may wait for the fake; then their connections wait too.
const WAITING_MAX: usize = 64;

/// Serves the API until `shutdown`; calls that are under way are then cut.
pub async fn serve_twilio_api(
    listener: TcpListener,
    clock: Clock,
    plan: TwilioApiPlan,
    dial: Arc<dyn Dial>,
    shutdown: impl Future<Output = ()>,
) {
    let (_nobody, incoming) = mpsc::channel(1);
    let (nobody_cares, _) = mpsc::channel(1);
    serve_twilio(listener, clock, (plan, incoming, nobody_cares), dial, shutdown).await;
}

/// Somebody who calls, and where to tell what happened.
pub type CallsIn = (TwilioCallPlan, oneshot::Sender<CallReport>);

/// What became of the calls that the API placed, each once it is over; told to whoever keeps up.
pub type CallsOut = mpsc::Sender<CallReport>;

/// The same, with calls that come in: the API can lead them elsewhere.
pub async fn serve_twilio(
    listener: TcpListener,
    clock: Clock,
    (plan, incoming, outgoing): (TwilioApiPlan, mpsc::Receiver<CallsIn>, CallsOut),
    dial: Arc<dyn Dial>,
    shutdown: impl Future<Output = ()>,
) {
    let (wishes, waiting) = mpsc::channel(WAITING_MAX);
    let exchange = Exchange {
        api: FakeTwilioApi::new(plan),
        clock,
        dial,
        answers: BTreeMap::new(),
        next: 0,
        steering: BTreeMap::new(),
        outgoing,
        tasks: JoinSet::new(),
    };
    tokio::select! {
        () = accept(listener, wishes) => {}
        () = exchange.run(waiting, incoming) => {}
        () = shutdown => {}
    }
}

type Wish = (Request<Bytes>, oneshot::Sender<Response<Bytes>>);

async fn accept(listener: TcpListener, wishes: mpsc::Sender<Wish>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    // A task for each connection, so that a slow one holds up nobody.
                    connections.spawn(connection(stream, wishes.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, wishes: mpsc::Sender<Wish>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let wishes = wishes.clone();
        async move { answer(request, wishes).await }
    });
    let _cut_or_closed = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An error cuts the connection, which is what a rude fake wants.
async fn answer(
    request: Request<Incoming>,
    wishes: mpsc::Sender<Wish>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(io::Error::other)?.to_bytes();
    let (told, answer) = oneshot::channel();
    let cut = || io::Error::from(io::ErrorKind::ConnectionReset);
    wishes.send((Request::from_parts(head, body), told)).await.map_err(|_| cut())?;
    Ok(answer.await.map_err(|_| cut())?.map(Full::new))
}

/// The fake, and what is under way around it.
struct Exchange {
    api: FakeTwilioApi,
    clock: Clock,
    dial: Arc<dyn Dial>,
    answers: BTreeMap<u64, oneshot::Sender<Response<Bytes>>>,
    next: u64,
    steering: BTreeMap<String, Orders>,
    outgoing: CallsOut,
    /// Calls and webhooks; each answers the call that is over, if it was one.
    tasks: JoinSet<Option<String>>,
}

impl Exchange {
    async fn run(mut self, mut waiting: mpsc::Receiver<Wish>, mut incoming: mpsc::Receiver<CallsIn>) {
        loop {
            let until = self.drain();
            let alarm = async {
                match until {
                    Some(at) => tokio::time::sleep_until(self.clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((request, told)) = waiting.recv() => {
                    self.answers.insert(self.next, told);
                    self.api.request(self.clock.now(), self.next, &request);
                    self.next += 1;
                }
                Some((plan, told)) = incoming.recv() => {
                    let call = FakeTwilioCall::new(self.clock.now(), plan);
                    let name = call.call_sid().to_owned();
                    self.api.adopt(self.clock.now(), &name);
                    self.connect(name, call, Some(told));
                }
                Some(done) = self.tasks.join_next() => {
                    if let Ok(Some(call)) = done {
                        self.steering.remove(&call);
                        self.api.call_over(self.clock.now(), &call);
                    }
                }
                () = alarm => self.api.advance(self.clock.now()),
            }
        }
    }

    fn drain(&mut self) -> Option<MonoTime> {
        loop {
            match self.api.poll() {
                ApiEffect::WaitUntil(at) => return at,
                ApiEffect::Answer(exchange, answer) => {
                    if let Some(told) = self.answers.remove(&exchange) {
                        let _gone_or_told = told.send(answer);
                    }
                }
                ApiEffect::Cut(exchange) => drop(self.answers.remove(&exchange)),
                ApiEffect::Post(endpoint) => {
                    let dial = self.dial.clone();
                    // A webhook is not waited for.
                    self.tasks.spawn(async move {
                        post(dial, endpoint).await;
                        None
                    });
                }
                ApiEffect::Connect(call, plan) => {
                    let caller = FakeTwilioCall::new(self.clock.now(), *plan);
                    self.connect(call, caller, None);
                }
                ApiEffect::Redirect(call, document) => self.steer(&call, Steer::Redirect(document)),
                ApiEffect::End(call) => self.steer(&call, Steer::End),
            }
        }
    }

    fn connect(&mut self, name: String, caller: FakeTwilioCall, told: Option<oneshot::Sender<CallReport>>) {
        let orders = Orders::default();
        self.steering.insert(name.clone(), orders.clone());
        let (dial, clock, outgoing) = (self.dial.clone(), self.clock, self.outgoing.clone());
        // Everybody speaks in their own time.
        self.tasks.spawn(async move {
            let over = run_caller(Steered { caller, orders, now: clock.now() }, dial, clock).await;
            let report = over.caller.report().clone();
            match told {
                Some(told) => drop(told.send(report)),
                None => drop(outgoing.try_send(report)),
            }
            Some(name)
        });
    }

    fn steer(&self, call: &str, steer: Steer) {
        if let Some(orders) = self.steering.get(call) {
            orders.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(steer);
        }
    }
}

async fn post(dial: Arc<dyn Dial>, endpoint: Endpoint) {
    if let Ok(mut line) = dial.dial(endpoint).await {
        while poll_fn(|cx| line.poll(cx)).await.is_ok() {}
    }
}

enum Steer {
    Redirect(String),
    End,
}

/// What was said over REST to a call that runs.
#[derive(Clone, Default)]
struct Orders(
    /// A lock, because the API's task writes what the call's task reads.
    Arc<Mutex<VecDeque<Steer>>>,
);

/// A call that also listens to what is said over REST.
struct Steered {
    caller: FakeTwilioCall,
    orders: Orders,
    now: MonoTime,
}

impl FakeCaller for Steered {
    fn handle(&mut self, now: MonoTime, input: CallerInput<'_>) {
        self.now = now;
        let orders: Vec<Steer> =
            self.orders.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for order in orders {
            match order {
                Steer::Redirect(document) => self.caller.redirect(now, &document),
                Steer::End => self.caller.hang_up(now),
            }
        }
        self.caller.handle(now, input);
    }

    /// What is said over REST comes at any time; they look each 20 ms, as they speak.
    fn poll(&mut self) -> CallerOutput {
        let output = self.caller.poll();
        if let CallerOutput::WaitUntil(at) = output {
            let soon = self.now + Duration::from_millis(20);
            return CallerOutput::WaitUntil(Some(at.map_or(soon, |at| at.min(soon))));
        }
        output
    }
}
