//! A fake caller over real lines, in real time.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use voice_core::driver::{Clock, Dial, Line};
use voice_core::id::LineId;
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller};
use voice_core::wire::{Endpoint, LineEnd, WireMessage};

type Dialling = Pin<Box<dyn Future<Output = Result<Box<dyn Line>, LineEnd>> + Send>>;

/// Runs a caller until it is done, and gives it back so that it can be asked what happened.
pub async fn run_caller<C: FakeCaller>(mut caller: C, dial: Arc<dyn Dial>, clock: Clock) -> C {
    let mut lines = Lines { dial, open: Vec::new() };
    loop {
        let waits_until = loop {
            match caller.poll() {
                CallerOutput::Dial(id, endpoint) => lines.dial(id, endpoint),
                CallerOutput::Send(id, message) => lines.offer(id, message),
                CallerOutput::HangUp(id) => lines.hang_up(id),
                CallerOutput::Cut(id) => lines.cut(id),
                CallerOutput::WaitUntil(at) => break at,
                CallerOutput::Done => {
                    lines.hang_up_all();
                    return caller;
                }
            }
        };
        let alarm = async {
            match waits_until {
                Some(at) => tokio::time::sleep_until(clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        let told = tokio::select! {
            told = poll_fn(|cx| lines.poll(cx)) => Some(told),
            () = alarm => None,
        };
        let now = clock.now();
        match &told {
            None => caller.handle(now, CallerInput::Tick),
            Some((id, Told::Up)) => caller.handle(now, CallerInput::LineUp(*id)),
            Some((id, Told::Message(message))) => caller.handle(now, CallerInput::Wire(*id, message)),
            Some((id, Told::Down(end))) => caller.handle(now, CallerInput::LineDown(*id, end.clone())),
        }
    }
}

/// The lines of one caller: at most a handful.
struct Lines {
    dial: Arc<dyn Dial>,
    open: Vec<(LineId, State)>,
}

enum State {
    Dialling(Dialling),
    Open(Box<dyn Line>),
    Ending(LineEnd),
}

enum Told {
    Up,
    Message(WireMessage),
    Down(LineEnd),
}

impl Lines {
    fn dial(&mut self, id: LineId, endpoint: Endpoint) {
        let dial = self.dial.clone();
        self.open.push((id, State::Dialling(Box::pin(async move { dial.dial(endpoint).await }))));
    }

    fn offer(&mut self, id: LineId, message: WireMessage) {
        if let Some((_, state)) = self.open.iter_mut().find(|(other, _)| *other == id)
            && let State::Open(line) = state
            && let Err(end) = line.offer(message)
        {
            *state = State::Ending(end);
        }
    }

    fn hang_up(&mut self, id: LineId) {
        if let Some(State::Open(line)) = self.take(id) {
            line.close();
        }
    }

    fn cut(&mut self, id: LineId) {
        drop(self.take(id));
    }

    fn hang_up_all(&mut self) {
        for (_, state) in self.open.drain(..) {
            if let State::Open(line) = state {
                line.close();
            }
        }
    }

    fn take(&mut self, id: LineId) -> Option<State> {
        let at = self.open.iter().position(|(other, _)| *other == id)?;
        Some(self.open.swap_remove(at).1)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(LineId, Told)> {
        for at in 0..self.open.len() {
            let (id, state) = &mut self.open[at];
            let id = *id;
            let told = match state {
                State::Dialling(dialling) => match dialling.as_mut().poll(cx) {
                    Poll::Pending => continue,
                    Poll::Ready(Ok(line)) => {
                        *state = State::Open(line);
                        Told::Up
                    }
                    Poll::Ready(Err(end)) => Told::Down(end),
                },
                State::Open(line) => match line.poll(cx) {
                    Poll::Pending => continue,
                    Poll::Ready(Ok(message)) => Told::Message(message),
                    Poll::Ready(Err(end)) => Told::Down(end),
                },
                State::Ending(end) => Told::Down(end.clone()),
            };
            if matches!(told, Told::Down(_)) {
                self.open.swap_remove(at);
            }
            return Poll::Ready((id, told));
        }
        Poll::Pending
    }
}
