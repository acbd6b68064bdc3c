//! The fake runs TwiML as Twilio does: verbs in order, redirects, a second leg when a stream is gone.

use std::collections::VecDeque;

use bytes::Bytes;
use voice_core::id::LineId;
use voice_core::sim::peer::{CallerInput, CallerOutput, FakeCaller};
use voice_core::time::MonoTime;
use voice_core::wire::{Endpoint, EndpointKind, LineEnd, WireMessage};
use voice_telephony::sim::{CallReport, FakeTwilioCall, Script, Step};

use crate::exchange::plan;

/// A server that answers requests with these documents in turn, then with nothing, and closes every
/// media socket after the first message. Returns where requests and sockets went, and the report.
fn run(documents: &[&str]) -> (Vec<String>, CallReport) {
    let mut documents: VecDeque<&str> = documents.iter().copied().collect();
    let mut now = MonoTime::ZERO;
    let script = Script::new(vec![Step::Pause(std::time::Duration::from_secs(60))]);
    let mut call = FakeTwilioCall::new(now, plan(&[]).with_script(script));
    let mut dialled = Vec::new();
    let mut inputs: VecDeque<(LineId, Option<LineEnd>, Option<WireMessage>)> = VecDeque::new();
    loop {
        match call.poll() {
            CallerOutput::Dial(line, endpoint) => {
                inputs.push_back((line, None, None));
                if let EndpointKind::Http { body, .. } = &endpoint.kind {
                    let is_callback = body.windows(14).any(|word| word == b"CallbackSource");
                    let document = if is_callback { "" } else { documents.pop_front().unwrap_or_default() };
                    let piece = WireMessage::Binary(Bytes::from(document.to_owned()));
                    inputs.push_back((line, None, Some(piece)));
                    inputs.push_back((line, Some(LineEnd::Ended), None));
                    dialled.push(describe(&endpoint, is_callback));
                } else {
                    dialled.push(describe(&endpoint, false));
                }
            }
            CallerOutput::Send(line, _) => {
                let end = LineEnd::Closed { code: 1012, reason: "restart".to_owned() };
                inputs.push_back((line, Some(end), None));
            }
            CallerOutput::HangUp(_) | CallerOutput::Cut(_) => {}
            CallerOutput::WaitUntil(at) => match inputs.pop_front() {
                Some((line, Some(end), _)) => call.handle(now, CallerInput::LineDown(line, end)),
                Some((line, None, Some(message))) => call.handle(now, CallerInput::Wire(line, &message)),
                Some((line, None, None)) => call.handle(now, CallerInput::LineUp(line)),
                None => {
                    now = at.expect("something is waited for");
                    call.handle(now, CallerInput::Tick);
                }
            },
            CallerOutput::Done => return (dialled, call.report().clone()),
        }
        assert!(now < MonoTime::from_millis(120_000), "the call does not end");
    }
}

fn describe(endpoint: &Endpoint, is_callback: bool) -> String {
    let origin = "https://voice.example.test";
    let url = endpoint.url.strip_prefix(origin).unwrap_or(&endpoint.url);
    format!("{url}{}", if is_callback { " (status)" } else { "" })
}

#[test]
fn a_text_is_said_before_the_hang_up() {
    let (dialled, report) =
        run(&["<Response><Say>Closed &amp; gone</Say><Hangup/><Say>never</Say></Response>"]);
    assert_eq!(report.announced, ["Closed & gone"]);
    assert_eq!(dialled, ["/hooks/twilio", "/hooks/twilio (status)"]);
    assert_eq!((report.completed, report.callbacks_taken), (true, 1));
}

#[test]
fn a_rejected_call_is_no_call() {
    let (_, report) = run(&["<Response><Reject reason=\"busy\"/></Response>"]);
    assert_eq!((report.completed, report.failure.as_deref()), (false, Some("rejected")));
}

#[test]
fn a_redirect_fetches_another_document() {
    let first = "<Response><Pause length=\"2\"/><Redirect>/next#rc=3</Redirect><Say>never</Say></Response>";
    let (dialled, report) = run(&[first, "<Response><Say>here</Say></Response>"]);
    assert_eq!(dialled, ["/hooks/twilio", "/next", "/hooks/twilio (status)"]);
    assert_eq!(report.announced, ["here"]);
}

#[test]
fn a_call_survives_its_stream_where_the_document_goes_on() {
    let leg = |n: u8| format!("<Connect><Stream url=\"wss://a.example/{n}?stripped=1\"/></Connect>");
    let (dialled, report) = run(&[&format!("<Response>{}{}<Say>sorry</Say></Response>", leg(1), leg(2))]);
    assert_eq!(
        dialled,
        ["/hooks/twilio", "wss://a.example/1", "wss://a.example/2", "/hooks/twilio (status)"]
    );
    assert_eq!(report.closed, [(1012, "restart".to_owned()), (1012, "restart".to_owned())]);
    assert_eq!(report.announced, ["sorry"]);
}

#[test]
fn an_action_goes_before_the_next_verb() {
    let first = "<Response><Connect action=\"/after\"><Stream url=\"wss://a.example/1\"/></Connect><Say>never</Say></Response>";
    let (dialled, report) = run(&[first, "<Response><Say>after</Say></Response>"]);
    assert_eq!(dialled, ["/hooks/twilio", "wss://a.example/1", "/after", "/hooks/twilio (status)"]);
    assert_eq!(report.announced, ["after"]);
}

#[test]
fn an_answer_that_is_no_document_fails_the_call() {
    for answer in ["", "hello", "{}", "<Answer><Hangup/></Answer>"] {
        let (_, report) = run(&[answer]);
        assert!(!report.completed && report.failure.is_some(), "{answer}");
    }
}
