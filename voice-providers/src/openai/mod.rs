//! OpenAI Realtime, general availability, over a WebSocket.
//!
//! Mu-law, A-law and 24 kHz PCM pass as they are. The service hears by itself when the caller speaks,
//! cancels its own reply then, and is told with `conversation.item.truncate` how much of it was heard.
//! A session lasts as long as `expires_at` in `session.created` says (an hour, at the time of writing).
//!
//! Servers that imitate it are spoken to in the general-availability shape; of what they answer, the
//! names of the beta are understood as well.

mod calls;
mod errors;
mod history;
mod quirks;
mod replies;
mod responses;
mod session;
mod settings;
mod shape;
mod utterances;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use voice_core::audio::AudioFormat;
use voice_core::capabilities::{Capabilities, CutReport, HistoryForm, HistoryForms, Lifetime, ToolUse};
use voice_core::provider::{Provider, ProviderSession, Setup};
use voice_core::wire::Endpoint;

use crate::probe::web_address;
use settings::Address;

pub use settings::{
    Eagerness, Effort, NoiseReduction, OpenAiSettings, OpenAiSettingsBuilder, SettingsError, Transcription,
    Truncation, TurnDetection,
};

/// OpenAI Realtime as configured. One value serves every call.
#[derive(Clone, Debug)]
pub struct OpenAi {
    settings: Arc<OpenAiSettings>,
    capabilities: Capabilities,
}

impl OpenAi {
    /// The service with these settings.
    pub fn new(settings: OpenAiSettings) -> Self {
        let formats = vec![AudioFormat::MULAW_8K, AudioFormat::ALAW_8K, AudioFormat::PCM16_24K];
        let quirks = settings.quirks();
        let mut capabilities = Capabilities::new(formats.clone(), formats);
        capabilities.cut = CutReport::Milliseconds;
        capabilities.history = HistoryForms::same(HistoryForm::Item);
        capabilities.lifetime = Lifetime {
            session_max: Some(SESSION_MAX),
            announced: true,
            answers_pings: true,
            ..Lifetime::default()
        };
        capabilities.tools =
            Some(ToolUse { parallel: settings.calls_in_parallel(), cancels: true, blocks: false });
        capabilities.images = quirks.images;
        capabilities.price = quirks.price();
        Self { settings: Arc::new(settings), capabilities }
    }
}

impl Provider for OpenAi {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        Box::new(session::Session::new(Arc::clone(&self.settings), setup))
    }

    /// The description of the model, which is free. Needs a key that may read models.
    fn probe(&self) -> Option<Endpoint> {
        let Address { url, key, organization, project } = &self.settings.endpoint;
        let base = web_address(url)?.strip_suffix("/realtime")?.to_owned();
        let mut probe = Endpoint::get(format!("{base}/models/{}", self.settings.model))
            .header("authorization", format!("Bearer {}", key.expose()));
        if let Some(organization) = organization {
            probe = probe.header("openai-organization", organization.as_str());
        }
        if let Some(project) = project {
            probe = probe.header("openai-project", project.as_str());
        }
        Some(probe)
    }
}

/// The longest session (protocol notes, OpenAI Realtime §13). Used where `expires_at` cannot be true.
const SESSION_MAX: Duration = Duration::from_secs(60 * 60);
