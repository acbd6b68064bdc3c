//! The first message, which says everything at once: audio, ears, mind, voice, history and tools.

use voice_core::audio::{AudioFormat, Encoding};
use voice_core::conversation::ToolDefinition;
use voice_core::provider::Setup;
use voice_core::sensitive::Secret;

use super::history::{self, Seed};
use super::settings::AgentSettings;
use super::stages::{AwsCredentials, Effort, Listen, Speak, StageEndpoint, Think};
use super::wire::{
    AgentPart, Audio, Credentials, EndpointPart, Flags, Function, ListenPart, ListenProvider, OneOrMore,
    Past, Settings, Sound, SpeakPart, SpeakProvider, ThinkPart, ThinkProvider, ToAgent, VoicePart, object,
};

/// The `Settings` message for this conversation.
pub(super) fn message(settings: &AgentSettings, setup: &Setup) -> String {
    let Seed { messages, notes } = history::seed(&setup.history);
    let prompt = history::prompt(&setup.instructions, &notes);
    let language = setup.language.as_deref();
    let think = settings.think.iter().map(|think| self::think(think, &prompt, &setup.tools)).collect();
    let agent = AgentPart {
        context: (!messages.is_empty()).then_some(Past { messages }),
        listen: ListenPart { provider: listen(&settings.listen, language) },
        think: OneOrMore::new(think),
        speak: OneOrMore::new(settings.speak.iter().map(speak).collect()),
        greeting: settings.greeting.as_deref().filter(|_| greets(settings, setup)),
    };
    let audio = Audio {
        input: sound(setup.hears, None),
        // Said although it is the default, because a container's header is noise on a phone.
        output: sound(setup.speaks, Some("none")),
    };
    let flags = Flags { history: false };
    let (tags, mip_opt_out) = (settings.tags.as_slice(), settings.mip_opt_out);
    ToAgent::Settings(Box::new(Settings { tags, mip_opt_out, flags, audio, agent })).to_json()
}

/// Whether the service greets the caller by itself: only where nothing has been said yet.
pub(super) fn greets(settings: &AgentSettings, setup: &Setup) -> bool {
    settings.greeting.is_some() && setup.history.is_empty()
}

fn sound(format: AudioFormat, container: Option<&'static str>) -> Sound {
    let encoding = match format.encoding {
        Encoding::Mulaw => "mulaw",
        Encoding::Alaw => "alaw",
        Encoding::Pcm16 => "linear16",
    };
    Sound { encoding, sample_rate: format.rate.hz(), container }
}

fn listen<'a>(listen: &'a Listen, language: Option<&'a str>) -> ListenProvider<'a> {
    let mut provider = ListenProvider {
        service: "deepgram",
        version: "v1",
        model: "",
        language: None,
        smart_format: false,
        language_hints: Vec::new(),
        eot_threshold: None,
        eager_eot_threshold: None,
        eot_timeout_ms: None,
        keyterms: &[],
    };
    match listen {
        Listen::Nova(nova) => {
            provider.model = &nova.model;
            provider.language = nova.language.as_deref().or(language);
            provider.smart_format = nova.smart_format;
            provider.keyterms = &nova.keyterms;
        }
        Listen::Flux(flux) => {
            provider.version = "v2";
            provider.model = &flux.model;
            provider.eot_threshold = flux.eot_threshold;
            provider.eager_eot_threshold = flux.eager_eot_threshold;
            provider.eot_timeout_ms =
                flux.eot_timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
            provider.keyterms = &flux.keyterms;
            // The model for one language refuses hints.
            if flux.is_multilingual() {
                provider.language_hints = flux.language_hints.iter().map(String::as_str).collect();
                if provider.language_hints.is_empty() {
                    provider.language_hints.extend(language);
                }
            }
        }
    }
    provider
}

fn think<'a>(think: &'a Think, prompt: &'a str, tools: &'a [ToolDefinition]) -> ThinkPart<'a> {
    let offered = if think.takes_tools() { tools } else { &[] };
    ThinkPart {
        provider: ThinkProvider {
            service: think.service,
            model: &think.model,
            temperature: think.temperature,
            reasoning_mode: think.effort.map(effort),
            credentials: think.credentials.as_ref().map(credentials),
        },
        endpoint: think.endpoint.as_ref().map(endpoint),
        prompt,
        functions: offered.iter().filter_map(function).collect(),
        context_length: think.context_length,
    }
}

/// A tool whose parameters are no JSON object cannot be offered without losing the whole session.
fn function(tool: &ToolDefinition) -> Option<Function<'_>> {
    let parameters = object(&tool.parameters)?;
    Some(Function { name: &tool.name, description: &tool.description, parameters })
}

fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
    }
}

fn speak(speak: &Speak) -> SpeakPart<'_> {
    let mut provider = SpeakProvider {
        service: speak.service,
        language: speak.language.as_deref(),
        speed: speak.speed,
        expressivity: speak.expressivity,
        credentials: speak.credentials.as_ref().map(credentials),
        ..SpeakProvider::default()
    };
    let (model, voice) = (speak.model.as_str(), speak.voice.as_deref());
    // Every maker has names of their own for the same two things.
    match speak.service {
        "deepgram" => {
            provider.version = speak.quirks().map(|quirks| quirks.version);
            provider.model = Some(model);
        }
        "eleven_labs" => provider.model_id = Some(model),
        "cartesia" => {
            provider.model_id = Some(model);
            provider.voice = voice.map(|id| VoicePart::Id { mode: "id", id });
        }
        "aws_polly" => {
            provider.engine = Some(model);
            provider.voice = voice.map(VoicePart::Name);
        }
        _ => {
            provider.model = Some(model);
            provider.voice = voice.map(VoicePart::Name);
        }
    }
    SpeakPart { provider, endpoint: speak.endpoint.as_ref().map(endpoint) }
}

fn endpoint(endpoint: &StageEndpoint) -> EndpointPart<'_> {
    let headers =
        endpoint.headers.iter().map(|header| (header.name.as_str(), header.value.expose().as_str()));
    EndpointPart { url: &endpoint.url, headers: headers.collect() }
}

fn credentials(credentials: &AwsCredentials) -> Credentials<'_> {
    let token = credentials.session_token.as_ref().map(Secret::expose);
    Credentials {
        kind: if token.is_some() { "sts" } else { "iam" },
        region: &credentials.region,
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose(),
        session_token: token.map(String::as_str),
    }
}
