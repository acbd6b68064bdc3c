//! A voice made of three services: Deepgram's ears, any language model as the mind, Deepgram's voice.
//!
//! Each does one thing and can be chosen by itself: Listen v1 or Flux hears and tells when the caller has
//! finished, an OpenAI-compatible endpoint (and others when it fails) thinks, Aura speaks. Telephone audio
//! passes through unchanged in both directions. The first clause of an answer is spoken while the rest is
//! being written.
//!
//! ```
//! use voice_core::provider::Provider;
//! use voice_core::sensitive::Secret;
//! use voice_providers::deepgram::Credential;
//! use voice_providers::deepgram::pipeline::{EarsModel, Pipeline, PipelineSettings};
//! use voice_providers::llm::ChatEndpoint;
//!
//! let key = Credential::ApiKey(Secret::new("speech-key".to_owned()));
//! let mind = ChatEndpoint::new("https://llm.example/v1", "small-and-fast")?
//!     .bearer(Secret::new("llm-key".to_owned()));
//! let spare = ChatEndpoint::new("https://spare.example/v1", "another")?;
//! let settings = PipelineSettings::builder(key, mind)
//!     .ears(EarsModel::listen("nova-3"))
//!     .voice("aura-2-thalia-en")
//!     .fallback(spare)
//!     .build()?;
//! let pipeline = Pipeline::new(settings);
//! assert!(pipeline.capabilities().tools.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ears;
mod failures;
mod memory;
mod mind;
mod part;
mod sentence;
mod session;
mod settings;
mod turns;
mod voice;
mod wire;

use std::sync::Arc;

use voice_core::audio::AudioFormat;
use voice_core::capabilities::{Capabilities, CutReport, HistoryForm, HistoryForms, Lifetime, ToolUse};
use voice_core::provider::{Provider, ProviderSession, Setup};
use voice_core::wire::Endpoint;

use crate::llm::ChatEndpoint;

pub use settings::{EarsModel, PipelineBuilder, PipelineError, PipelineSettings};

/// The pipeline as a provider. One value serves every call.
#[derive(Debug)]
pub struct Pipeline {
    settings: Arc<PipelineSettings>,
    capabilities: Capabilities,
}

impl Pipeline {
    /// A provider with these settings.
    pub fn new(settings: PipelineSettings) -> Self {
        let formats = vec![
            AudioFormat::MULAW_8K,
            AudioFormat::ALAW_8K,
            AudioFormat::PCM16_8K,
            AudioFormat::PCM16_16K,
            AudioFormat::PCM16_24K,
        ];
        let mut capabilities = Capabilities::new(formats.clone(), formats);
        capabilities.cut = CutReport::Words;
        capabilities.history =
            HistoryForms { note: HistoryForm::Words, ..HistoryForms::same(HistoryForm::Item) };
        // No limit of the whole: the ears have none that is documented, and the voice's line is renewed in
        // a pause before its hour is over.
        capabilities.lifetime = Lifetime {
            line_max: Some(voice::RECYCLE_AFTER),
            resumes: true,
            answers_pings: true,
            ..Lifetime::default()
        };
        capabilities.tools = Some(ToolUse { parallel: true, cancels: false, blocks: false });
        capabilities.languages = settings.languages();
        Self { settings: Arc::new(settings), capabilities }
    }
}

impl Provider for Pipeline {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        Box::new(session::Session::new(&self.settings, setup))
    }

    /// Deepgram's list of projects, which is free.
    fn probe(&self) -> Option<Endpoint> {
        super::probe(&self.settings.url, self.settings.authorization())
    }

    /// And the list of models of whoever thinks, which is free, too. The fallback is asked only when it is needed.
    fn probes(&self) -> Vec<Endpoint> {
        let mind = self.settings.minds.first().and_then(ChatEndpoint::probe);
        self.probe().into_iter().chain(mind).collect()
    }
}
