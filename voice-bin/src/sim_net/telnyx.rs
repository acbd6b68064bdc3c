//! A fake Telnyx behind a TCP listener: the API that commands calls, which their callers drive.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use voice_core::driver::Clock;
use voice_core::sim::peer::{
    CallerInput, CallerOutput, FakeCaller, FakeService, Request, ServiceInput, ServiceOutput,
};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;
use voice_telephony::sim::{ApiAnswer, CallReport, FakeTelnyxCall};

use super::service::{MakeService, serve};

/// One call, that a caller's task drives and the API's connections command.
#[derive(Clone)]
pub struct TelnyxCaller {
    // Locked for microseconds, never over an await; both sides must see the same call.
    call: Arc<Mutex<FakeTelnyxCall>>,
    clock: Clock,
}

impl TelnyxCaller {
    fn lock(&self) -> MutexGuard<'_, FakeTelnyxCall> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened; complete once the call is over.
    pub fn report(&self) -> CallReport {
        self.lock().report().clone()
    }

    /// The actions that were asked for, in order.
    pub fn commands(&self) -> Vec<String> {
        self.lock().commands().to_vec()
    }
}

impl FakeCaller for TelnyxCaller {
    fn handle(&mut self, now: MonoTime, input: CallerInput<'_>) {
        self.lock().handle(now, input);
    }

    /// A command may have given it something to do at any time; it looks each 20 ms, as it speaks.
    fn poll(&mut self) -> CallerOutput {
        let output = self.lock().poll();
        if let CallerOutput::WaitUntil(at) = output {
            let soon = self.clock.now() + Duration::from_millis(20);
            return CallerOutput::WaitUntil(Some(at.map_or(soon, |at| at.min(soon))));
        }
        output
    }
}

/// All calls of a run, and the API that commands them.
#[derive(Clone, Default)]
pub struct TelnyxExchange {
    // Locked to add a call or to find one, never over an await.
    calls: Arc<Mutex<Vec<TelnyxCaller>>>,
}

impl TelnyxExchange {
    /// A call that the API knows from now on. Drive it with [`super::run_caller`].
    pub fn connect(&self, call: FakeTelnyxCall, clock: Clock) -> TelnyxCaller {
        let shared = TelnyxCaller { call: Arc::new(Mutex::new(call)), clock };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(shared.clone());
        shared
    }

    /// Serves the API until `shutdown`.
    pub async fn serve(self, listener: TcpListener, clock: Clock, shutdown: impl Future<Output = ()>) {
        let make: MakeService =
            Arc::new(move || Box::new(Connection { exchange: self.clone(), answer: Answering::Nothing }));
        serve(listener, clock, make, shutdown).await;
    }

    /// What the call that the request is about makes of it.
    fn ask(&self, now: MonoTime, request: &Request) -> Option<ApiAnswer> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if request.target.ends_with("/active_calls") {
            let calls: Vec<_> = calls.iter().map(TelnyxCaller::lock).collect();
            return Some(FakeTelnyxCall::list(calls.iter().map(|call| &**call), request));
        }
        if request.target.contains("/conferences?") {
            let calls: Vec<_> = calls.iter().map(TelnyxCaller::lock).collect();
            return FakeTelnyxCall::conferences(calls.iter().map(|call| &**call), request);
        }
        let about = calls.iter().find(|call| call.lock().is_about(request))?;
        let Some(with) = FakeTelnyxCall::bridges_with(request) else {
            return Some(about.lock().api(now, request));
        };
        let is_other = |call: &&TelnyxCaller| !Arc::ptr_eq(&call.call, &about.call);
        let other = calls.iter().filter(is_other).find(|call| call.lock().call_control_id() == with);
        let mut other = other.map(TelnyxCaller::lock);
        Some(about.lock().bridge(now, other.as_deref_mut(), request))
    }
}

/// One connection to the API.
struct Connection {
    exchange: TelnyxExchange,
    answer: Answering,
}

enum Answering {
    Nothing,
    Head(MonoTime, ApiAnswer),
    Body(Bytes),
    End,
    Cut,
}

impl FakeService for Connection {
    fn handle(&mut self, now: MonoTime, input: ServiceInput<'_>) {
        match input {
            ServiceInput::Request(request) => {
                let unknown = || ApiAnswer {
                    status: Some(404),
                    headers: Vec::new(),
                    body: Bytes::from_static(
                        br#"{"errors":[{"code":"10005","title":"Resource not found"}]}"#,
                    ),
                    after: Duration::ZERO,
                };
                let answer = self.exchange.ask(now, request).unwrap_or_else(unknown);
                self.answer = Answering::Head(now + answer.after, answer);
            }
            ServiceInput::Tick => {
                if let Answering::Head(at, answer) = &mut self.answer
                    && now >= *at
                {
                    *at = MonoTime::ZERO;
                    if answer.status.is_none() {
                        self.answer = Answering::Cut;
                    }
                }
            }
            ServiceInput::Wire(_) | ServiceInput::Gone => {}
        }
    }

    fn poll(&mut self) -> ServiceOutput {
        match std::mem::replace(&mut self.answer, Answering::Nothing) {
            Answering::Head(at, answer) if at > MonoTime::ZERO => {
                self.answer = Answering::Head(at, answer);
                ServiceOutput::WaitUntil(Some(at))
            }
            Answering::Head(_, answer) => {
                let mut headers = answer.headers;
                headers.push(("content-type", "application/json".to_owned()));
                self.answer = Answering::Body(answer.body);
                ServiceOutput::Respond { status: answer.status.unwrap_or(500), headers }
            }
            Answering::Body(body) => {
                self.answer = Answering::End;
                ServiceOutput::Send(WireMessage::Binary(body))
            }
            Answering::End => ServiceOutput::Close { code: 1000, reason: String::new() },
            Answering::Cut => ServiceOutput::Cut,
            Answering::Nothing => ServiceOutput::WaitUntil(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use voice_core::driver::{Dial, Line};
    use voice_core::sensitive::Secret;
    use voice_core::wire::{Endpoint, LineEnd};
    use voice_providers::dial::Dialer;
    use voice_telephony::sim::TelnyxCallPlan;

    /// Asks the API over a real socket; the status and the body.
    async fn ask(dial: &Dialer, url: String, body: &'static str) -> (u16, String) {
        exchange_with(dial, Endpoint::post(url, body.as_bytes())).await
    }

    async fn get(dial: &Dialer, url: String) -> (u16, String) {
        exchange_with(dial, Endpoint::get(url)).await
    }

    async fn exchange_with(dial: &Dialer, request: Endpoint) -> (u16, String) {
        let request = request.header("authorization", "Bearer KEY");
        let mut line: Box<dyn Line> = match dial.dial(request).await {
            Ok(line) => line,
            Err(LineEnd::Refused { status, body, .. }) => {
                return (status, String::from_utf8_lossy(&body).into_owned());
            }
            Err(other) => panic!("not an answer: {other:?}"),
        };
        let mut text = String::new();
        while let Ok(piece) = poll_fn(|cx| line.poll(cx)).await {
            text.push_str(&String::from_utf8_lossy(piece.as_bytes()));
        }
        (200, text)
    }

    #[tokio::test]
    async fn the_api_finds_the_call_that_it_is_asked_about() {
        let _somebody_was_first = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (clock, exchange) = (Clock::start(), TelnyxExchange::default());
        let plan = TelnyxCallPlan::new("http://127.0.0.1:1/", [7; 32], Secret::new("KEY".to_owned()));
        let call = exchange.connect(FakeTelnyxCall::new(clock.now(), plan.waits_for_dial()), clock);
        // Ends with the test.
        let api = tokio::spawn(exchange.serve(listener, clock, std::future::pending()));
        let dial = Dialer::new().expect("a dialler");
        let base = format!("http://{address}/v2");
        let numbers = r#"{"command_id":"1","connection_id":"2","from":"+15005550006","to":"+15005550009"}"#;
        let (status, body) = ask(&dial, format!("{base}/calls"), numbers).await;
        let name = call.lock().call_control_id().replace(':', "%3A");
        assert!(status == 200 && body.contains("is_alive"), "{status} {body}");
        let (status, body) = ask(&dial, format!("{base}/calls"), numbers).await;
        assert_eq!(status, 404, "nobody is left to be dialled: {body}");
        let (status, body) = get(&dial, format!("{base}/connections/2/active_calls")).await;
        assert!(status == 200 && body.contains(call.lock().call_control_id()), "{status} {body}");
        let hangup = format!("{base}/calls/{name}/actions/hangup");
        let (status, body) = ask(&dial, hangup, r#"{"command_id":"2"}"#).await;
        assert!(status == 200 && body.contains("ok"), "{status} {body}");
        let other = format!("{base}/calls/v3%3Aother/actions/hangup");
        let (status, body) = ask(&dial, other, r#"{"command_id":"3"}"#).await;
        assert!(status == 404 && body.contains("10005"), "{status} {body}");
        assert_eq!(call.lock().commands(), ["hangup"]);
        api.abort();
    }
}
