//! Gemini Live (`BidiGenerateContent`) over one WebSocket, on the Gemini API or Vertex AI.
//!
//! What a call sees of it:
//!
//! * the caller's audio goes out as PCM at 16 or 8 kHz, whichever is nearer to the caller's line, with
//!   the true rate declared; speech comes back as PCM at 24 kHz;
//! * the service does not say that the caller began to speak ([`CallerSpeech::Detected`]). Where it cuts
//!   a reply of its own accord, and the call has not done so, the session says so with
//!   `CallerSpoke` and `CallerPaused`, so that the call cuts it, too; then the reply ends with
//!   `ReplyEnd::Cancelled`;
//! * a reply ends with `generationComplete`; `turnComplete` comes only after the estimated time of
//!   playing it and ends what the former did not;
//! * connections of about ten minutes are left before they are cut, in a pause if there is one, and
//!   resumed. What the caller says meanwhile is held and given in order. The call does not notice;
//! * what cannot be resumed ends with `Failure::SessionLimit`: nobody's fault, and whoever takes over
//!   is given the conversation as text.
//!
//! [`CallerSpeech::Detected`]: voice_core::capabilities::CallerSpeech::Detected

mod calls;
mod content;
mod ear;
mod failure;
mod history;
mod link;
mod mouth;
mod quirks;
mod session;
mod settings;
mod setup;
mod wire;

pub use quirks::Family;
pub use settings::{
    DEFAULT_MODEL, DEFAULT_VOICE, Detection, GeminiSettings, GeminiSettingsBuilder, Platform, Scheduling,
    Sensitivity, SettingsError, Thinking, ToolBehaviour,
};

use std::sync::Arc;

use voice_core::audio::AudioFormat;
use voice_core::capabilities::{
    CallerSpeech, Capabilities, HistoryForm, HistoryForms, Lifetime, Price, Rate, TokenRates, ToolUse,
};
use voice_core::provider::{Provider, ProviderSession, Setup};
use voice_core::wire::Endpoint;

use quirks::Quirks;
use settings::CONNECTION_MAX;

/// Gemini Live as configured. One value serves every call.
#[derive(Clone, Debug)]
pub struct Gemini {
    settings: Arc<GeminiSettings>,
    capabilities: Capabilities,
}

impl Gemini {
    /// A provider with these settings.
    pub fn new(settings: GeminiSettings) -> Self {
        let hears = vec![AudioFormat::PCM16_16K, AudioFormat::PCM16_8K];
        let quirks = settings.quirks();
        let mut capabilities = Capabilities::new(hears, vec![AudioFormat::PCM16_24K]);
        capabilities.caller_speech = CallerSpeech::Detected;
        capabilities.caller_pause = CallerSpeech::Detected;
        capabilities.history = history_forms(quirks);
        capabilities.lifetime = Lifetime {
            session_max: settings.session_max(),
            line_max: Some(CONNECTION_MAX),
            resumes: settings.resumes,
            announced: settings.session_max().is_some(),
            // Under load a pong was seen to take half a minute (protocol notes, Gemini Live §13).
            answers_pings: false,
        };
        capabilities.tools = Some(ToolUse { parallel: true, cancels: true, blocks: settings.tools_block() });
        capabilities.images = true;
        capabilities.price = quirks.rates.map(price);
        Self { settings: Arc::new(settings), capabilities }
    }

    /// What it was made with.
    pub fn settings(&self) -> &GeminiSettings {
        &self.settings
    }
}

impl Provider for Gemini {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        Box::new(session::GeminiSession::new(self.settings.clone(), setup))
    }

    /// The description of the model, which is free. Vertex has no such thing for a plain key.
    fn probe(&self) -> Option<Endpoint> {
        self.settings.probe()
    }
}

/// Calls of tools are told in words, because the service takes calls of its own only.
fn history_forms(quirks: Quirks) -> HistoryForms {
    HistoryForms {
        caller: HistoryForm::Item,
        voice: HistoryForm::Item,
        tool: HistoryForm::Words,
        note: HistoryForm::Words,
        later: if quirks.adds_turns { HistoryForm::Item } else { HistoryForm::Words },
    }
}

fn price(rates: TokenRates) -> Price {
    let source = "price list of a gateway; rates of audio could not be confirmed";
    Price { rate: Rate::PerToken(rates), as_of: "2026-11-21", source }
}
