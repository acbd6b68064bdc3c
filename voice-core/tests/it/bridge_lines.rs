//! The bridge turns lines into sessions and audio into the format each side takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use voice_core::audio::AudioFormat;
use voice_core::bridge::{Bridge, BridgeInput, BridgeOutput, CARRIER_LINE};
use voice_core::call::Control;
use voice_core::id::{AttachmentId, LineId, ProviderId};
use voice_core::record::{CallEvent, EndReason};
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::{LineEnd, WireMessage};

use crate::toys::{ToyCarrier, ToyProvider, settings, start};

struct Rig {
    bridge: Bridge,
    now: MonoTime,
    sent: Vec<(LineId, WireMessage)>,
    dialled: Vec<LineId>,
    hung_up: Vec<LineId>,
    assign: Vec<AttachmentId>,
    events: Vec<CallEvent>,
    wakes: Option<MonoTime>,
    finished: Option<EndReason>,
}

impl Rig {
    fn new() -> Self {
        let bridge = Bridge::new(MonoTime::ZERO, UnixMillis(0), settings(), start(), ToyCarrier::boxed());
        let mut rig = Self {
            bridge,
            now: MonoTime::ZERO,
            sent: vec![],
            dialled: vec![],
            hung_up: vec![],
            assign: vec![],
            events: vec![],
            wakes: None,
            finished: None,
        };
        rig.drain();
        rig
    }

    /// With this provider live on the line that is answered.
    fn talking(provider: Arc<ToyProvider>) -> (Self, LineId) {
        let mut rig = Self::new();
        let line = rig.attach(provider);
        (rig, line)
    }

    fn attach(&mut self, provider: Arc<ToyProvider>) -> LineId {
        let id = self.assign.pop().expect("somebody is wanted");
        self.give(BridgeInput::Assigned(id, Some((ProviderId::from_static("toy"), provider))));
        let line = self.dialled.pop().expect("a line is dialled");
        self.give(BridgeInput::LineUp(line));
        line
    }

    fn give(&mut self, input: BridgeInput<'_>) {
        self.bridge.handle(self.now, input);
        self.drain();
    }

    fn wire(&mut self, line: LineId, message: &WireMessage) {
        self.give(BridgeInput::Wire(line, message));
    }

    fn drain(&mut self) {
        loop {
            match self.bridge.poll() {
                BridgeOutput::Send(line, message) => self.sent.push((line, message)),
                BridgeOutput::Dial(line, _) => self.dialled.push(line),
                BridgeOutput::HangUp(line) => self.hung_up.push(line),
                BridgeOutput::Assign { id, .. } => self.assign.push(id),
                BridgeOutput::Report(entry) => self.events.push(entry.event),
                BridgeOutput::WaitUntil(at) => return self.wakes = at.map(|(at, _)| at),
                BridgeOutput::Finished(reason) => return self.finished = Some(reason),
                _ => {}
            }
        }
    }

    fn sent_to(&mut self, line: LineId) -> Vec<WireMessage> {
        std::mem::take(&mut self.sent).into_iter().filter(|(l, _)| *l == line).map(|(_, m)| m).collect()
    }
}

fn frame(byte: u8) -> WireMessage {
    WireMessage::Binary(Bytes::from(vec![byte; 160]))
}

#[test]
fn mu_law_passes_through_untouched() {
    let provider = Arc::new(ToyProvider::new(AudioFormat::MULAW_8K));
    let (mut rig, _) = Rig::talking(provider.clone());
    assert!(rig.bridge.is_passthrough());
    let message = frame(0x12);
    rig.wire(CARRIER_LINE, &message);
    let heard = provider.heard.lock().expect("nobody panicked");
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].as_ptr(), message.as_bytes().as_ptr(), "the very same bytes, not a copy of them");
}

#[test]
fn other_formats_are_converted_once_each_way() {
    let provider = Arc::new(ToyProvider::new(AudioFormat::PCM16_24K));
    let (mut rig, line) = Rig::talking(provider.clone());
    assert!(!rig.bridge.is_passthrough());
    for _ in 0..10 {
        rig.wire(CARRIER_LINE, &frame(0x12));
    }
    let bytes: usize = provider.heard.lock().expect("nobody panicked").iter().map(Bytes::len).sum();
    assert_eq!(bytes, 10 * 960);
    rig.sent.clear();
    rig.wire(line, &WireMessage::text("speech 9600"));
    let frames = rig.sent_to(CARRIER_LINE);
    assert_eq!(frames.len(), 10);
    assert!(frames.iter().all(|frame| frame.as_bytes().len() == 160));
}

#[test]
fn what_the_carrier_sends_in_any_size_is_heard_in_frames() {
    let provider = Arc::new(ToyProvider::new(AudioFormat::MULAW_8K));
    let (mut rig, _) = Rig::talking(provider.clone());
    for size in [320, 80, 80, 33, 127] {
        rig.wire(CARRIER_LINE, &WireMessage::Binary(Bytes::from(vec![1; size])));
    }
    let sizes: Vec<usize> = provider.heard.lock().expect("nobody panicked").iter().map(Bytes::len).collect();
    assert_eq!(sizes, [160; 4]);
}

#[test]
fn the_end_of_a_reply_is_made_up_to_a_frame() {
    let (mut rig, line) = Rig::talking(Arc::new(ToyProvider::new(AudioFormat::MULAW_8K)));
    rig.wire(line, &WireMessage::text("speech 200"));
    let frames = rig.sent_to(CARRIER_LINE);
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[1].as_bytes()[39], frames[1].as_bytes()[40]), (0x33, 0xff));
}

#[test]
fn a_voice_that_is_let_go_is_not_listened_to() {
    let provider = Arc::new(ToyProvider::new(AudioFormat::MULAW_8K));
    let (mut rig, first) = Rig::talking(provider.clone());
    rig.now = MonoTime::from_millis(60_000);
    rig.wire(first, &WireMessage::text("die"));
    assert_eq!(rig.hung_up, [first]);
    let second = rig.attach(provider);
    assert_ne!(first, second);
    rig.sent.clear();
    rig.wire(first, &WireMessage::text("speech 1600"));
    rig.give(BridgeInput::LineDown(first, LineEnd::Cut));
    assert!(rig.sent.is_empty());
    rig.wire(second, &WireMessage::text("speech 1600"));
    assert_eq!(rig.sent_to(CARRIER_LINE).len(), 10);
}

#[test]
fn a_barge_in_reaches_both_sides() {
    let (mut rig, line) = Rig::talking(Arc::new(ToyProvider::new(AudioFormat::MULAW_8K)));
    rig.wire(line, &WireMessage::text("speech 16000"));
    rig.sent.clear();
    rig.now = MonoTime::from_millis(500);
    rig.wire(line, &WireMessage::text("spoke"));
    assert_eq!(
        rig.sent,
        [(CARRIER_LINE, WireMessage::text("clear")), (line, WireMessage::text("interrupt"))]
    );
}

#[test]
fn a_session_is_woken_when_it_asked_to_be() {
    let (mut rig, line) = Rig::talking(Arc::new(ToyProvider::new(AudioFormat::MULAW_8K)));
    rig.wire(line, &WireMessage::text("nap"));
    assert_eq!(rig.wakes, Some(MonoTime::from_millis(3_000)));
    rig.sent.clear();
    rig.now = MonoTime::from_millis(3_000);
    // A busy line must not keep a timer waiting: any input wakes whoever is due.
    rig.wire(CARRIER_LINE, &frame(1));
    assert_eq!(rig.sent_to(line).len(), 2, "the frame, and the word that it is awake");
}

#[test]
fn a_session_may_make_a_line_for_each_request() {
    let (mut rig, line) = Rig::talking(Arc::new(ToyProvider::new(AudioFormat::MULAW_8K)));
    for _ in 0..1_000 {
        rig.wire(line, &WireMessage::text("ask"));
        let request = rig.dialled.pop().expect("it is dialled");
        rig.give(BridgeInput::LineDown(request, LineEnd::Ended));
    }
    assert_eq!(rig.finished, None);
}

#[test]
fn the_end_of_the_call_hangs_up_every_line() {
    let (mut rig, line) = Rig::talking(Arc::new(ToyProvider::new(AudioFormat::MULAW_8K)));
    rig.give(BridgeInput::Control(Control::HangUp));
    assert_eq!(rig.hung_up, [line, CARRIER_LINE]);
    assert_eq!(rig.finished, Some(EndReason::HungUp));
    rig.wire(CARRIER_LINE, &frame(1));
    rig.now += Duration::from_secs(60);
    rig.give(BridgeInput::Tick);
    assert!(matches!(rig.events.last(), Some(CallEvent::Ended { .. })));
}
