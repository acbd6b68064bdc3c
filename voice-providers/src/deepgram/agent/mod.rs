//! Deepgram's Voice Agent: ears, mind and voice behind one WebSocket.
//!
//! Mu-law passes as it is both ways, in binary messages without base64. The service hears by itself
//! when the caller speaks and stops its own voice then; it cannot be told how much of it was heard.
//! Turns of history, instructions and tools go into one `Settings` message, before which nothing else
//! may be said; what happens later is added to the prompt. Of mind and voice there may be several, in
//! the order in which the service falls back on them.
//!
//! ```
//! use voice_core::provider::Provider;
//! use voice_core::sensitive::Secret;
//! use voice_providers::deepgram::Credential;
//! use voice_providers::deepgram::agent::{Agent, AgentSettings, Speak, Think};
//!
//! let key = Credential::ApiKey(Secret::new("0123abcd".to_owned()));
//! let settings = AgentSettings::new(key)
//!     .think([Think::open_ai("gpt-4.1-mini"), Think::google("gemini-2.5-flash")])
//!     .speak([Speak::deepgram("aura-2-thalia-en")])
//!     .build()?;
//! let agent = Agent::new(settings);
//! assert!(agent.capabilities().tools.is_some());
//! # Ok::<(), voice_providers::deepgram::agent::SettingsError>(())
//! ```

mod caller;
mod calls;
mod cues;
mod errors;
mod history;
mod mouth;
mod opening;
mod session;
mod settings;
mod stages;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::capabilities::{
    Capabilities, HistoryForm, HistoryForms, Lifetime, MicroUsd, Price, Rate, ToolUse,
};
use voice_core::provider::{Provider, ProviderSession, Setup};
use voice_core::wire::Endpoint;

pub use settings::{AgentSettings, AgentSettingsBuilder, SettingsError};
pub use stages::{AwsCredentials, Effort, Flux, Header, Listen, Nova, Speak, StageEndpoint, Think};

/// The Voice Agent as configured. One value serves every call.
#[derive(Clone, Debug)]
pub struct Agent {
    settings: Arc<AgentSettings>,
    capabilities: Capabilities,
}

impl Agent {
    /// The service with these settings.
    pub fn new(settings: AgentSettings) -> Self {
        let pcm =
            [AudioFormat::PCM16_8K, AudioFormat::PCM16_16K, AudioFormat::PCM16_24K, AudioFormat::PCM16_48K];
        let hears = [AudioFormat::MULAW_8K, AudioFormat::ALAW_8K].into_iter().chain(pcm).collect();
        // It takes A-law but does not speak it (protocol notes, Deepgram §5.2).
        let speaks = [AudioFormat::MULAW_8K].into_iter().chain(pcm).collect();
        let mut capabilities = Capabilities::new(hears, speaks);
        capabilities.history = HistoryForms {
            note: HistoryForm::Instructions,
            later: HistoryForm::Instructions,
            ..HistoryForms::same(HistoryForm::Settings)
        };
        capabilities.lifetime =
            Lifetime { session_max: Some(SESSION_MAX), answers_pings: true, ..Lifetime::default() };
        let tools = ToolUse { parallel: true, cancels: true, blocks: false };
        capabilities.tools = settings.think.iter().any(Think::takes_tools).then_some(tools);
        capabilities.languages = settings.languages();
        capabilities.price = settings.is_all_inclusive().then_some(PRICE);
        Self { settings: Arc::new(settings), capabilities }
    }
}

impl Provider for Agent {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        Box::new(session::Session::new(Arc::clone(&self.settings), setup))
    }

    /// The list of projects, which is free.
    fn probe(&self) -> Option<Endpoint> {
        super::probe(&self.settings.url, self.settings.credential.header())
    }
}

/// The longest session, counted from the connection; keep-alives do not extend it (protocol notes,
/// Deepgram §5.6).
const SESSION_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// About 4.50 USD an hour where ears, mind and voice are all Deepgram's to provide (protocol notes,
/// Deepgram §7).
const PRICE: Price = Price {
    rate: Rate::PerMinute(MicroUsd(75_000)),
    as_of: "2026-11-21",
    source: "pricing page of deepgram.com, pay as you go",
};
