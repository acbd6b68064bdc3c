//! A caller, a session and a fake service, ready to talk.

use std::sync::Arc;
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::conversation::{Heard, ToolDefinition};
use voice_core::failure::Failure;
use voice_core::id::{AttachmentId, CorrelationId, ReplyId};
use voice_core::provider::{Provider, ProviderCommand, ProviderEvent, ReplyEnd, Setup};
use voice_core::sensitive::Secret;
use voice_core::sim::speech;
use voice_core::time::UnixMillis;
use voice_providers::openai::{OpenAi, OpenAiSettings, OpenAiSettingsBuilder};
use voice_providers::sim::harness::Harness;
use voice_providers::sim::openai::{FakeOpenAi, FakeOpenAiConfig, FakeOpenAiLog, Rudeness, Seen};

pub(crate) const KEY: &str = "sk-very-secret";

/// One session and its fake.
pub(crate) struct World {
    pub(crate) harness: Harness,
    log: FakeOpenAiLog,
    pub(crate) format: AudioFormat,
}

pub(crate) fn setup() -> Setup {
    let lookup = ToolDefinition {
        name: "lookup_order".into(),
        description: "Finds an order by its number.".into(),
        parameters: r#"{"type":"object","properties":{"number":{"type":"string"}},"required":["number"]}"#
            .into(),
    };
    Setup {
        attachment: AttachmentId(1),
        correlation: CorrelationId::from_static("test-1"),
        instructions: "You answer the phone of a book shop.".into(),
        tools: Arc::new([lookup]),
        history: Vec::new(),
        hears: AudioFormat::MULAW_8K,
        speaks: AudioFormat::MULAW_8K,
        language: Some("en-GB".into()),
        unix: UnixMillis(1_795_230_000_000),
    }
}

pub(crate) fn settings() -> OpenAiSettingsBuilder {
    OpenAiSettings::new(Secret::new(KEY.to_owned())).url("ws://fake/v1/realtime")
}

impl World {
    /// Everything as it comes.
    pub(crate) fn polite(seed: u64) -> Self {
        Self::new(FakeOpenAiConfig::new(seed))
    }

    pub(crate) fn rude(seed: u64, rudeness: Rudeness) -> Self {
        Self::new(FakeOpenAiConfig::new(seed).rude(rudeness))
    }

    pub(crate) fn new(config: FakeOpenAiConfig) -> Self {
        Self::with(config, settings(), setup())
    }

    pub(crate) fn with(config: FakeOpenAiConfig, settings: OpenAiSettingsBuilder, setup: Setup) -> Self {
        let (attachment, format) = (setup.attachment, setup.hears);
        let provider = OpenAi::new(settings.build().expect("settings of a test are fine"));
        let mut fake = Some(FakeOpenAi::new(config.key(KEY)));
        let log = fake.as_ref().expect("there is one").log();
        let harness =
            Harness::new(attachment, provider.open(setup), Duration::from_millis(30), move |_, _| {
                Box::new(fake.take().expect("one line is dialled"))
            });
        Self { harness, log, format }
    }

    /// Until it is ready, or so much time has passed that it never will be.
    pub(crate) fn ready(mut self) -> Self {
        let ready = self.wait(|event| matches!(event, ProviderEvent::Ready { .. }));
        assert!(ready, "it becomes ready; events: {:?}", self.harness.take_events());
        self
    }

    pub(crate) fn wait(&mut self, wanted: impl Fn(&ProviderEvent) -> bool) -> bool {
        self.harness.run_until(Duration::from_secs(15), wanted)
    }

    /// The caller says this sentence and then listens for so long.
    pub(crate) fn says(&mut self, name: &str, then: Duration) {
        self.begins_to_say(name);
        self.harness.hear_silence(self.format, then);
    }

    /// The caller says this sentence.
    pub(crate) fn begins_to_say(&mut self, name: &str) {
        let mulaw = speech::caller(name).expect("a sentence that is recorded").mulaw;
        let audio = convert(self.format, mulaw);
        self.harness.hear(self.format, &audio);
    }

    pub(crate) fn interrupt(&mut self, heard: &[(u32, u64)]) {
        let heard = heard.iter().map(|(number, ms)| Heard {
            reply: reply(*number),
            heard: Duration::from_millis(*ms),
            unheard: Duration::from_millis(1),
        });
        self.harness.command(ProviderCommand::Interrupt(heard.collect()));
    }

    pub(crate) fn seen(&self) -> Seen {
        self.log.seen()
    }

    /// The errors the fake sent.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.seen().errors.into_iter().map(|(code, _)| code).collect()
    }
}

pub(crate) fn reply(number: u32) -> ReplyId {
    ReplyId::new(AttachmentId(1), number)
}

/// Mu-law in the format of the test, as plainly as possible.
fn convert(format: AudioFormat, mulaw: &[u8]) -> Vec<u8> {
    use voice_core::audio::g711;
    if format == AudioFormat::MULAW_8K {
        return mulaw.to_vec();
    }
    if format == AudioFormat::ALAW_8K {
        let mut alaw = vec![0; mulaw.len()];
        g711::mulaw_to_alaw(mulaw, &mut alaw);
        return alaw;
    }
    let samples = mulaw.iter().map(|code| g711::mulaw_to_linear(*code).to_le_bytes());
    samples.flat_map(|sample| [sample, sample, sample].concat()).collect()
}

/// The words of all replies, each with how it ended.
pub(crate) fn said(events: &[ProviderEvent]) -> Vec<(String, Option<ReplyEnd>)> {
    let mut replies: Vec<(ReplyId, String, Option<ReplyEnd>)> = Vec::new();
    for event in events {
        if let ProviderEvent::Words { reply, text } = event {
            match replies.iter_mut().find(|(id, ..)| id == reply) {
                Some((_, words, _)) => words.push_str(text.expose()),
                None => replies.push((*reply, text.expose().clone(), None)),
            }
        } else if let ProviderEvent::ReplyDone { reply, end } = event {
            match replies.iter_mut().find(|(id, ..)| id == reply) {
                Some((_, _, ended)) => *ended = Some(*end),
                None => replies.push((*reply, String::new(), Some(*end))),
            }
        }
    }
    replies.into_iter().map(|(_, words, end)| (words, end)).collect()
}

/// Milliseconds of speech of this reply.
pub(crate) fn speech_ms(events: &[ProviderEvent], number: u32, format: AudioFormat) -> u64 {
    let bytes: usize = events
        .iter()
        .map(|event| match event {
            ProviderEvent::Speech { reply: id, audio } if *id == reply(number) => audio.len(),
            _ => 0,
        })
        .sum();
    format.duration_of(bytes).as_millis() as u64
}

/// What the caller is known to have said.
pub(crate) fn heard(events: &[ProviderEvent]) -> Vec<String> {
    let text = |event: &ProviderEvent| match event {
        ProviderEvent::CallerSaid { text, .. } => Some(text.expose().clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// All failures.
pub(crate) fn failures(events: &[ProviderEvent]) -> Vec<Failure> {
    let failure = |event: &ProviderEvent| match event {
        ProviderEvent::Failed(failure) => Some(failure.clone()),
        _ => None,
    };
    events.iter().filter_map(failure).collect()
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
