//! Messages that a call gets in numbers: read by the real sessions, and written by them.
//!
//! Made by hand, as the services send them; what they carry has the length that they are known to send.

use std::sync::Arc;
use std::time::Duration;

use benches::load::encode;
use benches::rig::{self, FRAME};
use benches::wires::{Answer, Given, Script, Talk};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use voice_core::audio::{AudioFormat, AudioFrame};
use voice_core::carrier::{CarrierCommand, CarrierEvent, CarrierOutput};
use voice_core::id::{AttachmentId, CorrelationId, LineId, MarkId};
use voice_core::provider::{Provider, ProviderCommand, ProviderEvent, SessionOutput, Setup};
use voice_core::sensitive::Secret;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::WireMessage;
use voice_providers::deepgram::Credential;
use voice_providers::deepgram::agent::{Agent, AgentSettings};
use voice_providers::deepgram::pipeline::{EarsModel, Pipeline, PipelineSettings};
use voice_providers::gemini::{Gemini, GeminiSettings};
use voice_providers::llm::ChatEndpoint;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_telephony::opening::Step;
use voice_telephony::telnyx;

/// Messages for one session: ten seconds of frames.
const ROUND: usize = 500;

fn reading(c: &mut Criterion) {
    let scripts = carriers_heard().into_iter().chain(voices_heard()).chain(pipeline_heard());
    run(c, "read", scripts.collect());
}

fn writing(c: &mut Criterion) {
    let played = |name, open: fn() -> Talk| Script {
        name,
        open: Box::new(open),
        given: repeated(|| Given::Carrier(CarrierCommand::Play(frame(AudioFormat::MULAW_8K)))),
        step: FRAME,
        shows: |answer| matches!(answer, Answer::Carrier(CarrierOutput::Send(_))),
        each: 1,
    };
    let hears = |name, open: fn() -> Talk, format, each| Script {
        name,
        open: Box::new(open),
        given: repeated(|| Given::Provider(ProviderCommand::Hear(frame(format)))),
        step: FRAME,
        shows: |answer| matches!(answer, Answer::Provider(SessionOutput::Send(..))),
        each,
    };
    let scripts = vec![
        played("twilio: 20 ms of the voice", twilio),
        played("telnyx: 20 ms of the voice", telnyx),
        hears("openai: 20 ms of the caller", openai, AudioFormat::MULAW_8K, 1),
        hears("gemini: 20 ms of the caller", gemini, AudioFormat::PCM16_8K, 1),
        hears("deepgram agent: 20 ms of the caller", agent, AudioFormat::MULAW_8K, 1),
        hears("pipeline, listen: 20 ms of the caller", || pipeline(listen()), AudioFormat::MULAW_8K, 1),
        // Flux is given four frames at once.
        hears("pipeline, flux: 20 ms of the caller", || pipeline(flux()), AudioFormat::MULAW_8K, 4),
    ];
    run(c, "write", scripts);
}

fn run(c: &mut Criterion, group: &str, scripts: Vec<Script>) {
    let mut group = c.benchmark_group(group);
    for script in scripts {
        // Once to the end, that no message is measured which is not understood, however short the bench.
        script.run(script.given.len() as u64);
        group.bench_function(script.name, |b| b.iter_custom(|count| script.run(count)));
    }
    group.finish();
}

// ---- Carriers ----

fn carriers_heard() -> Vec<Script> {
    let audio: fn(&Answer) -> bool =
        |a| matches!(a, Answer::Carrier(CarrierOutput::Event(CarrierEvent::Audio(_))));
    let played: fn(&Answer) -> bool =
        |a| matches!(a, Answer::Carrier(CarrierOutput::Event(CarrierEvent::Played(_))));
    let digit: fn(&Answer) -> bool =
        |a| matches!(a, Answer::Carrier(CarrierOutput::Event(CarrierEvent::Digit(_))));
    let script = |name, open: fn() -> Talk, given, step, shows| Script {
        name,
        open: Box::new(open),
        given,
        step: Duration::from_millis(step),
        shows,
        each: 1,
    };
    let twilio_mark = |number| {
        format!(
            r#"{{"event":"mark","sequenceNumber":"{number}","streamSid":"MZ00112233445566778899aabbccddeeff","mark":{{"name":"0.{number}"}}}}"#
        )
    };
    let twilio_key = |number| {
        format!(
            r#"{{"event":"dtmf","streamSid":"MZ00112233445566778899aabbccddeeff","sequenceNumber":"{number}","dtmf":{{"track":"inbound_track","digit":"5"}}}}"#
        )
    };
    let telnyx_mark = |number| {
        format!(
            r#"{{"event":"mark","stream_id":"{STREAM}","sequence_number":"{number}","mark":{{"name":"0.{number}"}}}}"#
        )
    };
    let telnyx_media = |number: u64| {
        let payload = encode(&rig::sound(160));
        format!(
            r#"{{"event":"media","sequence_number":"{}","stream_id":"{STREAM}","media":{{"track":"inbound","chunk":"{number}","timestamp":"{}","payload":"{payload}"}}}}"#,
            number + 1,
            number * 20
        )
    };
    let twilio_media = (1..=ROUND as u64).map(|n| Given::Wire(LineId(0), rig::media(n))).collect();
    vec![
        script("twilio: media, 20 ms", twilio, twilio_media, 20, audio),
        script("twilio: mark", || with_marks(twilio()), numbered(MARKS, twilio_mark), 200, played),
        script("twilio: dtmf", twilio, numbered(100, twilio_key), 200, digit),
        script("telnyx: media, 20 ms", telnyx, numbered(ROUND as u64, telnyx_media), 20, audio),
        script("telnyx: mark", || with_marks(telnyx()), numbered(MARKS, telnyx_mark), 200, played),
    ]
}

/// Fewer than a session waits for at once.
const MARKS: u64 = 60;

const STREAM: &str = "32de0dea-0f4b-4a44-9a6a-a37c3c15a1b2";

fn twilio() -> Talk {
    Talk::with_carrier(rig::twilio(MonoTime::ZERO))
}

fn telnyx() -> Talk {
    let start = format!(
        r#"{{"event":"start","sequence_number":"1","stream_id":"{STREAM}","start":{{"call_control_id":"v3:bench","from":"+15550100","to":"+15550101","custom_parameters":{{}},"media_format":{{"encoding":"PCMU","sample_rate":8000,"channels":1}}}}}}"#
    );
    let expected = telnyx::Expected::new(telnyx::Codec::Pcmu);
    let opening = telnyx::Opening::new(MonoTime::ZERO, expected, Some(Secret::new("ticket".to_owned())));
    let step = opening.read(MonoTime::ZERO, &WireMessage::text(start));
    let Step::Opened(opened) = step else { panic!("the start message opens the stream: {step:?}") };
    Talk::with_carrier(opened.session)
}

/// After marks that wait to come back.
fn with_marks(talk: Talk) -> Talk {
    (1..=MARKS).fold(talk, |talk, n| talk.then(&Given::Carrier(CarrierCommand::Mark(MarkId(n)))))
}

fn numbered(count: u64, message: impl Fn(u64) -> String) -> Vec<Given> {
    (1..=count).map(|number| Given::Wire(LineId(0), WireMessage::text(message(number)))).collect()
}

fn repeated(given: impl Fn() -> Given) -> Vec<Given> {
    (0..ROUND).map(|_| given()).collect()
}

/// Twenty milliseconds of the caller or the voice.
fn frame(format: AudioFormat) -> AudioFrame {
    AudioFrame::new(format, Bytes::from(rig::sound(format.bytes_in(FRAME))))
}

// ---- Services that hear and speak ----

const SPEECH: fn(&Answer) -> bool = |answer| is_event(answer, |e| matches!(e, ProviderEvent::Speech { .. }));
const WORDS: fn(&Answer) -> bool = |answer| is_event(answer, |e| matches!(e, ProviderEvent::Words { .. }));
const SAID: fn(&Answer) -> bool =
    |answer| is_event(answer, |e| matches!(e, ProviderEvent::CallerSaid { .. }));
const UNKNOWN: fn(&Answer) -> bool =
    |answer| is_event(answer, |e| matches!(e, ProviderEvent::Unknown { .. }));

fn is_event(answer: &Answer, is_it: impl Fn(&ProviderEvent) -> bool) -> bool {
    matches!(answer, Answer::Provider(SessionOutput::Event(event)) if is_it(event))
}

fn voices_heard() -> Vec<Script> {
    const WORDS_OF_OPENAI: &str = r#"{"type":"response.output_audio_transcript.delta","event_id":"event_C","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":" delivered"}"#;
    const NEWS_OF_OPENAI: &str = r#"{"type":"response.weather.delta","event_id":"event_D","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":"sunny"}"#;
    const WORDS_OF_GEMINI: &str =
        r#"{"serverContent":{"outputTranscription":{"text":" It ships on Friday"}}}"#;
    const CALLER_OF_GEMINI: &str =
        r#"{"serverContent":{"inputTranscription":{"text":" Where is my order?","finished":true}}}"#;
    const WORDS_OF_AGENT: &str = r#"{"type":"ConversationText","role":"assistant","content":"Your order ships on Friday and will be with you on Monday."}"#;
    let gemini_audio = format!(
        r#"{{"serverContent":{{"modelTurn":{{"parts":[{{"inlineData":{{"mimeType":"audio/pcm;rate=24000","data":"{}"}}}}]}}}}}}"#,
        encode(&rig::sound(24 * 2 * 40))
    );
    let script = |name, open: fn() -> Talk, message: WireMessage, shows| {
        let line = open().line("");
        let given = repeated(|| Given::Wire(line, message.clone()));
        Script { name, open: Box::new(open), given, step: Duration::ZERO, shows, each: 1 }
    };
    let text = |text: &str| WireMessage::text(text);
    vec![
        script("openai: audio, 20 ms", openai_speaking, rig::delta(1), SPEECH),
        script("openai: audio, 200 ms", openai_speaking, rig::delta_of(1, 1_600), SPEECH),
        script("openai: words", openai_speaking, text(WORDS_OF_OPENAI), WORDS),
        script("openai: an unknown event", openai_speaking, text(NEWS_OF_OPENAI), UNKNOWN),
        script("gemini: audio, 40 ms", gemini, WireMessage::text(gemini_audio), SPEECH),
        script("gemini: words", gemini, text(WORDS_OF_GEMINI), WORDS),
        script("gemini: words of the caller", gemini, text(CALLER_OF_GEMINI), SAID),
        script("deepgram agent: audio, 20 ms", agent, WireMessage::Binary(rig::sound(160).into()), SPEECH),
        script("deepgram agent: words", agent, text(WORDS_OF_AGENT), WORDS),
    ]
}

fn setup(format: AudioFormat) -> Setup {
    Setup {
        attachment: AttachmentId(1),
        correlation: CorrelationId::from_static("bench"),
        instructions: "Be brief.".into(),
        tools: Arc::from([]),
        history: Vec::new(),
        hears: format,
        speaks: format,
        language: None,
        unix: UnixMillis(1_795_000_000_000),
    }
}

fn key() -> Secret<String> {
    Secret::new("sk-bench-0123456789".to_owned())
}

fn openai() -> Talk {
    let provider = OpenAi::new(OpenAiSettings::new(key()).build().expect("settings fit"));
    let of = |kind| {
        format!(r#"{{"type":"{kind}","event_id":"e1","session":{{"type":"realtime","id":"sess_1"}}}}"#)
    };
    Talk::with_provider(provider.open(setup(AudioFormat::MULAW_8K)))
        .then_hears("", of("session.created"))
        .then_hears("", of("session.updated"))
}

/// In the middle of a reply.
fn openai_speaking() -> Talk {
    let talk = openai();
    let line = talk.line("");
    rig::begins(1).into_iter().fold(talk, |talk, message| talk.then(&Given::Wire(line, message)))
}

fn gemini() -> Talk {
    let provider = Gemini::new(GeminiSettings::new(key()).build().expect("settings fit"));
    let setup = Setup { speaks: AudioFormat::PCM16_24K, ..setup(AudioFormat::PCM16_8K) };
    Talk::with_provider(provider.open(setup)).then_hears("", r#"{"setupComplete":{}}"#)
}

fn agent() -> Talk {
    let settings = AgentSettings::new(Credential::ApiKey(key())).build().expect("settings fit");
    Talk::with_provider(Agent::new(settings).open(setup(AudioFormat::MULAW_8K)))
        .then_hears("", r#"{"type":"Welcome","request_id":"a1"}"#)
        .then_hears("", r#"{"type":"SettingsApplied"}"#)
}

// ---- A pipeline of three services ----

fn pipeline_heard() -> Vec<Script> {
    // About four a second while the caller speaks. They say nothing new to a call that knows that.
    const FLUX_UPDATE: &str = r#"{"type":"TurnInfo","request_id":"a1","sequence_id":11,"event":"Update","turn_index":0,"audio_window_start":0.0,"audio_window_end":2.4,"transcript":"Book me for","words":[{"word":"Book","confidence":0.99},{"word":"me","confidence":0.98},{"word":"for","confidence":0.91}],"end_of_turn_confidence":0.03,"languages":["en"]}"#;
    const LISTEN_INTERIM: &str = r#"{"type":"Results","channel_index":[0,1],"start":1.02,"duration":1.98,"is_final":false,"speech_final":false,"from_finalize":false,"channel":{"alternatives":[{"transcript":"book me for","confidence":0.98,"words":[{"word":"book","start":1.1,"end":1.4,"confidence":0.99}]}]}}"#;
    let begins: fn(&Answer) -> bool = |a| is_event(a, |e| matches!(e, ProviderEvent::CallerSpoke(_)));
    let speaks: fn(&Answer) -> bool = |a| matches!(a, Answer::Provider(SessionOutput::Send(..)));
    let script = |name, open: fn() -> Talk, line: &str, messages: Vec<WireMessage>, shows, each| {
        let line = open().line(line);
        let given = messages.into_iter().map(|message| Given::Wire(line, message)).collect();
        Script { name, open: Box::new(open), given, step: Duration::ZERO, shows, each }
    };
    let again = |message: WireMessage| vec![message; ROUND];
    let sound = WireMessage::Binary(rig::sound(480).into());
    vec![
        script(
            "flux: update",
            || pipeline(flux()),
            "listen",
            again(WireMessage::text(FLUX_UPDATE)),
            begins,
            ROUND,
        ),
        script(
            "listen: interim result",
            || pipeline(listen()),
            "listen",
            again(WireMessage::text(LISTEN_INTERIM)),
            begins,
            ROUND,
        ),
        script("chat model: a word", thinking, "chat", words(), speaks, WORDS_OF_ANSWER),
        script("aura: audio, 60 ms", speaking, "speak", again(sound), SPEECH, 1),
    ]
}

/// Words of an answer, of which a session is given no more: speech is asked for in few pieces.
const WORDS_OF_ANSWER: usize = 100;

fn words() -> Vec<WireMessage> {
    (1..=WORDS_OF_ANSWER).map(|n| chunk(if n % 10 == 0 { " Friday." } else { " ships" })).collect()
}

/// One event of the stream in which a chat model answers.
fn chunk(text: &str) -> WireMessage {
    let event = format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1795230000,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
    );
    WireMessage::Binary(event.into())
}

fn listen() -> EarsModel {
    EarsModel::listen("nova-3")
}

fn flux() -> EarsModel {
    EarsModel::flux("flux-general-en")
}

/// Whose three services are ready.
fn pipeline(ears: EarsModel) -> Talk {
    let mind = ChatEndpoint::new("https://llm.example/v1", "m").expect("a good address");
    let settings = PipelineSettings::builder(Credential::ApiKey(key()), mind).ears(ears).build();
    let provider = Pipeline::new(settings.expect("settings fit"));
    Talk::with_provider(provider.open(setup(AudioFormat::MULAW_8K)))
        .then_hears("listen", r#"{"type":"Connected","request_id":"a1","sequence_id":0}"#)
}

/// Which was asked to say something.
fn thinking() -> Talk {
    let cue = Some("Say when it ships.".to_owned());
    pipeline(flux()).then(&Given::Provider(ProviderCommand::Speak { cue }))
}

/// Whose voice has something to say.
fn speaking() -> Talk {
    let talk = thinking();
    let line = talk.line("chat");
    words().into_iter().fold(talk, |talk, word| talk.then(&Given::Wire(line, word)))
}

criterion_group!(benches, reading, writing);
criterion_main!(benches);
