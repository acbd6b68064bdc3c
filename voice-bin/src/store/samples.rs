//! One of every event, for tests of whatever reads events.

use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::audio::quality::{Rating, Reading};
use voice_core::carrier::{CarrierEnd, Digit, Oddity};
use voice_core::consent::{Consent, Given, Method, Revocation, Scope};
use voice_core::conversation::ToolCall;
use voice_core::failure::Failure;
use voice_core::id::{AttachmentId, CarrierId, CorrelationId, ProviderId, ReplyId, ToolCallId, UtteranceId};
use voice_core::provider::Usage;
use voice_core::record::{
    Away, CallEvent, CoverKind, EndReason, Loss, Party, Sound, Switch, SwitchRefusal, Totals, VoiceToVoice,
    Why,
};
use voice_core::recording::{RecordStep, RecordingEnd, RecordingPlace, RecordingRefusal, SavedRecording};
use voice_core::sensitive::Pii;
use voice_core::time::UnixMillis;
use voice_core::transfer::{TransferFailure, TransferId, TransferKind};
use voice_core::wire::{LineEnd, Unreachable};

/// What must not show up in logs or metrics.
pub(crate) const PRIVATE: [&str; 7] = [
    "+15550100",
    "+15550199",
    "my card is",
    "surely not",
    "41#1",
    "the balance is",
    "https://recordings.example/RE0123.wav?key=abc",
];

/// Every kind of event at least once, and every variant of what they hold.
pub(crate) fn events() -> Vec<CallEvent> {
    let mut events = call();
    events.extend(kinds());
    events.extend(recordings());
    events.extend(conversation());
    events.extend(
        failures().into_iter().map(|failure| CallEvent::Problem { attachment: AttachmentId(1), failure }),
    );
    events.extend(ends().into_iter().map(|reason| CallEvent::Ended { reason, totals: totals() }));
    events
}

const ODDITIES: [Oddity; 9] = [
    Oddity::Binary,
    Oddity::Unreadable,
    Oddity::BadAudio,
    Oddity::WrongStream,
    Oddity::UnknownEvent,
    Oddity::OutOfPlace,
    Oddity::BadDigit,
    Oddity::TooManyKeys,
    Oddity::BadMark,
];

fn call() -> Vec<CallEvent> {
    let attachment = AttachmentId(1);
    vec![
        CallEvent::Started {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: "CA0123".to_owned(),
            format: AudioFormat::MULAW_8K,
            from: PRIVATE[0].into(),
            to: PRIVATE[1].into(),
            correlation: CorrelationId::from_static("c-1"),
        },
        CallEvent::Assigned { attachment, provider: ProviderId::from_static("openai") },
        CallEvent::Ready { attachment, session: Some("sess_1".to_owned()), took: Duration::from_millis(310) },
        CallEvent::Ready { attachment, session: None, took: Duration::ZERO },
        CallEvent::Live { attachment, gap: Duration::from_millis(320) },
        CallEvent::Detached { attachment },
        CallEvent::Retrying { round: 1, wait: Duration::from_millis(940) },
        CallEvent::Switched(Switch {
            from: ProviderId::from_static("openai"),
            to: ProviderId::from_static("gemini"),
            attachment,
            why: Why::Failure,
            gap: Duration::from_millis(320),
            lost: Duration::from_millis(20),
            turns: 12,
            bytes: 2_048,
        }),
        CallEvent::ProviderOddity { attachment, kind: "response.new".to_owned(), count: 10 },
        CallEvent::Used {
            attachment,
            usage: Usage { text_in: 1, audio_in: 2, cached_in: 3, text_out: 4, audio_out: 5 },
        },
    ]
}

/// Events of which there is one for each kind of something.
fn kinds() -> Vec<CallEvent> {
    let attachment = AttachmentId(1);
    let mut events = Vec::new();
    for kind in [CoverKind::Moment, CoverKind::Still, CoverKind::Unavailable, CoverKind::Music] {
        events.push(CallEvent::Covered { kind });
    }
    for why in
        [Why::CallStart, Why::Failure, Why::Wish, Why::SessionLimit, Why::Standby, Why::Drain, Why::Return]
    {
        events.push(CallEvent::Attaching { attachment, why });
    }
    for why in [Away::Restart, Away::HandOver, Away::LineDown, Away::Transfer] {
        let after = Duration::from_millis(1_700);
        events.push(CallEvent::Returned { leg: 2, format: AudioFormat::MULAW_8K, after, why });
    }
    for why in [
        SwitchRefusal::NotTalking,
        SwitchRefusal::UnderWay,
        SwitchRefusal::Nobody,
        SwitchRefusal::Same,
        SwitchRefusal::NoneBefore,
        SwitchRefusal::Withdrawn,
    ] {
        events.push(CallEvent::SwitchRefused { why });
    }
    for what in [Loss::Carrier, Loss::Held, Loss::Unheard, Loss::Playout, Loss::Withheld, Loss::Recording] {
        events.push(CallEvent::AudioLost { what, duration: Duration::from_millis(40) });
    }
    for oddity in ODDITIES {
        events.push(CallEvent::CarrierOddity { oddity, count: 1 });
    }
    events
}

fn recordings() -> Vec<CallEvent> {
    let consents = Method::ALL.map(|how| {
        let region = Some("US-CA".parse().unwrap());
        let given = Given { by: PRIVATE[0].into(), how, at: UnixMillis(1_795_000_000_000), region };
        Consent::given(given, Scope::BOTH)
    });
    let basis = "everybody is told before".parse().unwrap();
    let mut revoked = Consent::not_required(basis, Scope::RECORDING);
    revoked.revoke(Revocation { at: UnixMillis(7), reason: Some(PRIVATE[3].into()) });
    let mut events = vec![CallEvent::RecordingPaused, CallEvent::RecordingResumed, CallEvent::RecordingEnded];
    events.extend(consents.into_iter().chain([revoked]).flat_map(|consent| {
        RecordingPlace::ALL.map(|place| CallEvent::RecordingStarted { consent: consent.clone(), place })
    }));
    for recording in [None, Some("RE0123".to_owned())] {
        events.push(CallEvent::RecordingBegun { recording });
    }
    for step in RecordStep::ALL {
        events.extend(RecordingRefusal::ALL.map(|why| CallEvent::RecordingRefused { step, why }));
    }
    let saved = |length, url| {
        CallEvent::RecordingSaved(SavedRecording { recording: "RE0123".to_owned(), length, url })
    };
    events.push(saved(None, None));
    events.push(saved(Some(Duration::from_secs(12)), Some(PRIVATE[6].into())));
    events.push(CallEvent::RecordingAbsent { recording: "RE0124".to_owned() });
    for reason in [
        RecordingEnd::Ordered,
        RecordingEnd::Revoked,
        RecordingEnd::CallOver,
        RecordingEnd::Failed,
        RecordingEnd::Interrupted,
        RecordingEnd::Carrier,
        RecordingEnd::Transfer,
    ] {
        events.push(CallEvent::RecordingStopped { reason, length: Duration::from_secs(30) });
    }
    events
}

fn conversation() -> Vec<CallEvent> {
    let attachment = AttachmentId(1);
    let (reply, utterance) = (ReplyId::new(attachment, 2), UtteranceId::new(attachment, 1));
    let id = ToolCallId::new(attachment, 1);
    let (heard, unheard) = (Duration::from_millis(1_240), Duration::from_secs(3));
    vec![
        CallEvent::Held { music: true },
        CallEvent::Resumed { after: Duration::from_secs(40), timed_out: false },
        CallEvent::Transferring {
            id: TransferId(1),
            kind: TransferKind::Warm,
            name: "support".to_owned(),
            to: PRIVATE[1].into(),
        },
        CallEvent::TransferAnswered { id: TransferId(1) },
        CallEvent::TransferFailed { id: TransferId(1), why: TransferFailure::NoAnswer },
        CallEvent::DigitsSent { digits: PRIVATE[5].into() },
        CallEvent::Muted { on: true },
        CallEvent::Silence { of: Party::Caller, over: None },
        CallEvent::Silence { of: Party::Provider, over: Some(Duration::from_secs(2)) },
        CallEvent::Noted { text: PRIVATE[2].into() },
        CallEvent::Summarised { text: PRIVATE[3].into() },
        CallEvent::Cued { cue: PRIVATE[3].into() },
        CallEvent::GoodbyeWanted,
        CallEvent::CallerSpoke { utterance },
        CallEvent::CallerPaused { utterance },
        CallEvent::CallerSaid { utterance, text: PRIVATE[2].into() },
        CallEvent::ReplyStarted { reply, latency: Some(Duration::from_millis(420)) },
        CallEvent::ReplyStarted { reply, latency: None },
        CallEvent::ReplyProgress { reply, more: PRIVATE[3].into(), heard },
        CallEvent::FirstSound(VoiceToVoice {
            reply,
            detection: Duration::from_millis(500),
            provider: Duration::from_millis(380),
            pacing: Duration::from_millis(20),
            network: Duration::from_millis(140),
        }),
        sound(Some(Rating::of(0.01, 1.0, heard))),
        sound(None),
        CallEvent::ReplyHeard { reply, text: PRIVATE[3].into(), heard, unheard, cut: true },
        CallEvent::BargeIn { reply, heard, unheard },
        CallEvent::ToolCalled(ToolCall { id, name: "balance".to_owned(), arguments: PRIVATE[4].into() }),
        CallEvent::ToolAnswered { id, output: PRIVATE[5].into(), failed: false, took: heard },
        CallEvent::ToolAnswered { id, output: PRIVATE[5].into(), failed: true, took: heard },
        CallEvent::ToolCancelled { id },
        CallEvent::Digit { digit: Pii::new(Digit::new('7').unwrap()) },
    ]
}

fn sound(rating: Option<Rating>) -> CallEvent {
    let line = Reading {
        received: Duration::from_secs(10),
        lost: Duration::from_millis(100),
        gaps: 2,
        jitter: Duration::from_micros(2_300),
    };
    CallEvent::Sound(Sound {
        attachment: Some(AttachmentId(1)),
        span: Duration::from_secs(10),
        line,
        way: Duration::from_millis(120),
        rating,
        to_provider: 500,
        from_provider: 240,
    })
}

fn failures() -> Vec<Failure> {
    let code = || "server_error".to_owned();
    let after = Duration::from_secs(8);
    let mut failures = vec![
        Failure::Refused { status: 503 },
        Failure::NotReady(after),
        Failure::Closed { code: 1011 },
        Failure::Cut,
        Failure::Stalled(after),
        Failure::Clogged,
        Failure::Unreadable("json"),
        Failure::Service { code: code() },
        Failure::Throttled { retry_after: Some(after) },
        Failure::Throttled { retry_after: None },
        Failure::Credentials,
        Failure::Quota,
        Failure::Settings { code: code() },
        Failure::SessionLimit,
        Failure::Harmless { code: code() },
    ];
    failures.extend(unreachable().map(Failure::Unreachable));
    failures
}

fn ends() -> Vec<EndReason> {
    let mut ends = vec![
        EndReason::Carrier(CarrierEnd::Stopped),
        EndReason::Carrier(CarrierEnd::Nonsense),
        EndReason::HungUp,
        EndReason::NoProvider,
        EndReason::Transfer { to: PRIVATE[1].into() },
        EndReason::Limit,
        EndReason::Shutdown,
    ];
    let lines = [
        LineEnd::Refused {
            status: 429,
            retry_after: Some(Duration::from_secs(1)),
            body: bytes::Bytes::new(),
        },
        LineEnd::Closed { code: 1001, reason: "bye".to_owned() },
        LineEnd::Ended,
        LineEnd::Cut,
        LineEnd::Broken,
        LineEnd::Clogged,
    ];
    let lines = lines.into_iter().chain(unreachable().map(LineEnd::Unreachable));
    ends.extend(lines.map(|end| EndReason::Carrier(CarrierEnd::LineDown(end))));
    ends
}

fn unreachable() -> impl Iterator<Item = Unreachable> {
    use Unreachable::{Address, Handshake, Tcp, Timeout, Tls};
    [Address, Tcp, Tls, Timeout, Handshake].into_iter()
}

fn totals() -> Totals {
    Totals {
        duration: Duration::from_secs(30),
        frames_in: 1_500,
        frames_heard: 1_490,
        frames_lost: 10,
        frames_out: 700,
        caller_turns: 4,
        replies: 5,
        barge_ins: 1,
        switches: 0,
    }
}
