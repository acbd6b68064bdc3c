//! From the configuration to the parts of a server.

use std::sync::Arc;

use anyhow::Context;
use tracing::info;
use voice_core::call::{CallConfig, CallLimits, Greeting, Prompts};
use voice_core::conversation::ToolDefinition;
use voice_core::driver::{Clock, Fleet, InOrder, NoTools, RunTool, World};
use voice_core::record::Reader;
use voice_providers::dial::Dialer;
use voice_telephony::twilio::Tokens;

use crate::config::{Config, TwilioConfig, masked};
use crate::server::{Parts, TwilioParts};
use crate::store::{Journal, Store};
use crate::telemetry::{LogReader, Metrics, MetricsReader};

/// What outlives a server's run: the journal must be closed after the last call.
pub(crate) struct Assembly {
    store: Store,
    journal: Journal,
    metrics: Metrics,
    dial: Dialer,
    clock: Clock,
    readers: Vec<Arc<dyn Reader>>,
    /// What the voice may call, and who runs it.
    tools: (Vec<ToolDefinition>, Arc<dyn RunTool>),
}

impl Assembly {
    pub(crate) async fn new(config: &Config) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let metrics = Metrics::install()?;
        let store = Store::open(&config.database_url)
            .await
            .with_context(|| format!("DATABASE_URL: cannot open {}", masked(&config.database_url)))?;
        let journal = Journal::start(store.clone(), clock);
        info!(database = masked(&config.database_url), "journal open");
        let readers: Vec<Arc<dyn Reader>> =
            vec![Arc::new(journal.reader()), Arc::new(MetricsReader), Arc::new(LogReader)];
        let tools: (_, Arc<dyn RunTool>) = (Vec::new(), Arc::new(NoTools));
        Ok(Self { store, journal, metrics, dial: Dialer::new()?, clock, readers, tools })
    }

    /// One more follows every call.
    pub(crate) fn follow(&mut self, reader: Arc<dyn Reader>) {
        self.readers.push(reader);
    }

    /// The voice may call these.
    pub(crate) fn offer(&mut self, tools: Vec<ToolDefinition>, run: Arc<dyn RunTool>) {
        self.tools = (tools, run);
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn parts(&self, config: &Config) -> anyhow::Result<Parts> {
        Ok(Parts {
            world: World {
                dial: Arc::new(self.dial.clone()),
                fleet: fleet(config),
                tools: self.tools.1.clone(),
                readers: self.readers.clone().into(),
                clock: self.clock,
            },
            agent: Arc::new(agent(config, self.tools.0.clone())?),
            twilio: twilio(&config.twilio),
            public_url: config.public_url.clone(),
            limits: config.limits,
            door: config.door.clone(),
            store: Some(self.store.clone()),
            metrics: self.metrics.clone(),
        })
    }

    /// Writes the rest of the journal.
    pub(crate) async fn close(self) {
        self.journal.close().await;
    }
}

fn fleet(config: &Config) -> Arc<dyn Fleet> {
    let providers = config.providers.iter().map(|one| (one.id.clone(), one.provider.clone()));
    Arc::new(InOrder::new(providers.collect()))
}

fn agent(config: &Config, tools: Vec<ToolDefinition>) -> anyhow::Result<CallConfig> {
    let Config { agent, calls, .. } = config;
    let greeting = match &agent.greeting {
        Some(cue) => Greeting::Voice(Some(cue.clone())),
        None => Greeting::Caller,
    };
    let limits = CallLimits { gap: calls.gap, call: calls.longest, ..CallLimits::default() };
    let mut call = CallConfig::builder(agent.instructions.as_str())
        .greeting(greeting)
        .tools(tools)
        .standby(calls.standby)
        .limits(limits);
    if !calls.covers {
        call = call.prompts(Prompts::none());
    }
    if let Some(language) = &agent.language {
        call = call.language(language);
    }
    Ok(call.build()?)
}

fn twilio(config: &TwilioConfig) -> TwilioParts {
    let tokens = config.auth_token.clone().map(Tokens::new).unwrap_or_default();
    TwilioParts { tokens, account_sid: config.account_sid.clone() }
}
