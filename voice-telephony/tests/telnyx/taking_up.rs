//! A call whose stream another server asked for, and whose media came here.

use voice_core::sensitive::Secret;
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::telnyx::{CallControl, Codec, ControlInput, ControlOutput, ControlSettings};

use crate::webhooks::CALL;

const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

fn taken_up() -> CallControl {
    let settings = ControlSettings::new("wss://voice.example/media/telnyx", Codec::Pcmu).expect("an address");
    let ticket = Secret::new("a.b".to_owned());
    let now = (AT(0), UnixMillis(1_795_219_200_000));
    CallControl::taken_up(now, settings, CALL.parse().expect("a name"), &ticket)
}

/// Whether a ticket for another stream is wanted by then.
fn wants_a_ticket(control: &mut CallControl, at: u64) -> bool {
    control.handle(AT(at), ControlInput::Tick);
    let due = |output: &ControlOutput| !matches!(output, ControlOutput::WaitUntil(_));
    std::iter::from_fn(|| Some(control.poll()).filter(due))
        .any(|output| matches!(output, ControlOutput::NeedTicket(_)))
}

#[test]
fn it_streams_already_and_a_stream_that_breaks_is_asked_for_anew() {
    let mut control = taken_up();
    assert!(matches!(control.poll(), ControlOutput::WaitUntil(Some(_))), "nothing is to be said");
    control.handle(AT(10), ControlInput::MediaUp);
    assert!(!wants_a_ticket(&mut control, 60_000));
    control.handle(AT(60_000), ControlInput::MediaDown);
    assert!(!wants_a_ticket(&mut control, 60_500) && wants_a_ticket(&mut control, 62_000));
}

#[test]
fn nobody_is_waited_for_in_vain() {
    let mut control = taken_up();
    assert!(!wants_a_ticket(&mut control, 14_000) && wants_a_ticket(&mut control, 16_000));
}
