//! From the configuration to the parts of a server.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::info;
use voice_core::call::{CallConfig, CallLimits, Greeting, Prompts, WhenNobody};
use voice_core::conversation::ToolDefinition;
use voice_core::driver::{Clock, NoTools, Prober, RunTool, SharedRoster, World, watch_load};
use voice_core::record::Reader;
use voice_core::roster::{Candidate, Load, RosterConfig};
use voice_providers::dial::Dialer;
use voice_telephony::rest::{HttpSend, Rest};
use voice_telephony::telnyx::{API_URL, Api, PublicKeys};
use voice_telephony::twilio::Tokens;
use voice_telephony::twilio::rest::{API_URL as TWILIO_API_URL, Credentials, TwilioApi};

use crate::cluster::Cluster;
use crate::config::{Config, OperationsConfig, RecordingConfig, TelnyxConfig, TwilioConfig, masked};
use crate::providers::look::{Seen, look};
use crate::random;
use crate::recording::{EXCHANGE_MAX, RecordingParts, Recordings, Uploads, recover};
use crate::server::{OutboundParts, Parts, TelnyxLine, TelnyxParts, TwilioLine, TwilioParts, TwilioRest};
use crate::store::{Journal, Store};
#[cfg(feature = "otel")]
use crate::telemetry::Export;
use crate::telemetry::{LogReader, Metrics, Prices, Traces, tell_breakers};

/// What outlives a server's run: the journal must be closed after the last call.
pub(crate) struct Assembly {
    store: Store,
    journal: Journal,
    metrics: Metrics,
    dial: Dialer,
    clock: Clock,
    readers: Vec<Arc<dyn Reader>>,
    /// Writes recordings, where there is a place for them.
    recordings: Option<Recordings>,
    /// Sends them into a bucket, where there is one.
    uploads: Option<Uploads>,
    /// Sends traces, where somebody takes them.
    tracing: Tracing,
    /// Ends whatever watches beside the calls.
    stop: CancellationToken,
    /// The servers on the same database, where that can be shared.
    cluster: Option<Cluster>,
    /// What the voice may call, and who runs it.
    tools: (Vec<ToolDefinition>, Arc<dyn RunTool>),
}

impl Assembly {
    pub(crate) async fn new(config: &Config) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let metrics = if config.observe.metrics { Metrics::install()? } else { Metrics::off()? };
        let metrics = metrics.with_budget(prices(config), config.money.budget);
        metrics.name_server(&config.environment);
        let store = Store::open(&config.database_url)
            .await
            .with_context(|| format!("DATABASE_URL: cannot open {}", masked(&config.database_url)))?
            .with_node(config.node.clone());
        let journal = Journal::start(store.clone(), clock);
        info!(database = masked(&config.database_url), node = %config.node, "journal open");
        let mut readers: Vec<Arc<dyn Reader>> =
            vec![Arc::new(journal.reader()), Arc::new(metrics.reader()), Arc::new(LogReader::default())];
        let cluster = cluster(config, &store, &journal, clock)?;
        readers.extend(cluster.as_ref().map(Cluster::reader));
        let tools: (_, Arc<dyn RunTool>) = (Vec::new(), Arc::new(NoTools));
        let stop = CancellationToken::new();
        let place = config.recording.as_ref().and_then(|to| Some((to, to.dir.as_deref()?)));
        let recordings = place.map(|(_, dir)| recordings(dir, clock)).transpose()?;
        let uploads = place.map(|(to, dir)| uploads(to, dir)).transpose()?.flatten();
        let dial = Dialer::new()?;
        let tracing = Tracing::start(config, clock)?;
        Ok(Self {
            store,
            journal,
            metrics,
            dial,
            clock,
            readers,
            recordings,
            uploads,
            tracing,
            stop,
            cluster,
            tools,
        })
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

    /// The parts of a server, and the watchers beside it. Needs a runtime.
    pub(crate) fn parts(&self, config: &Config) -> anyhow::Result<Parts> {
        let roster = roster(config);
        self.watch(&roster, config);
        let mut readers = self.readers.clone();
        readers.push(roster.clone());
        Ok(Parts {
            world: World {
                dial: Arc::new(self.dial.clone()),
                fleet: roster,
                tools: self.tools.1.clone(),
                readers: readers.into(),
                clock: self.clock,
            },
            agent: Arc::new(agent(config, self.tools.0.clone())?),
            twilio: twilio(config),
            telnyx: telnyx(&config.telnyx)?,
            outbound: outbound(config)?,
            public_url: config.public_url.clone(),
            limits: config.limits,
            door: config.door.clone(),
            recording: config.recording.as_ref().map(|to| {
                let sink = self.recordings.as_ref().map(Recordings::sink);
                RecordingParts::at(to.place, sink, to.assumed.clone())
            }),
            store: Some(self.store.clone()),
            journal: Some(self.journal.reader()),
            cluster: self.cluster.clone(),
            metrics: self.metrics.clone(),
            traces: self.tracing.traces.clone(),
        })
    }

    fn watch(&self, roster: &Arc<SharedRoster>, config: &Config) {
        if config.choice.probe_every.is_some() {
            let (providers, dial, stop) =
                (config.providers.clone(), Arc::new(self.dial.clone()), self.stop.clone());
            // Beside the calls: nobody waits for a look.
            tokio::spawn(async move {
                if let Some(seen) = stop.run_until_cancelled(look(&providers, dial)).await {
                    seen.iter().for_each(Seen::log);
                }
            });
        }
        let (clock, stop, watched) = (self.clock, self.stop.clone(), roster.clone());
        // Beside the calls: whether the machine keeps up is measured by how late this task is woken.
        tokio::spawn(async move {
            stop.run_until_cancelled(watch_load(&watched, clock, Load::default())).await;
        });
        let (clock, stop, watched) = (self.clock, self.stop.clone(), roster.clone());
        // Beside the calls: breakers belong to all of them, and change in none's own time.
        tokio::spawn(async move { stop.run_until_cancelled(tell_breakers(&watched, clock)).await });
        if let Some(every) = config.choice.probe_every {
            let dial = Arc::new(self.dial.clone());
            let prober = Prober::new(roster.clone(), dial, clock, random::seed()).every(every);
            let stop = self.stop.clone();
            // Beside the calls: looks take seconds where a service hangs.
            tokio::spawn(async move { stop.run_until_cancelled(prober.run()).await });
        }
    }

    /// Writes the rest of the recordings and of the journal.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        if let Some(recordings) = self.recordings {
            recordings.close().await;
        }
        if let Some(uploads) = self.uploads {
            uploads.close().await;
        }
        self.tracing.close().await;
        self.journal.close().await;
    }
}

/// Where spans go, and whoever sends them.
struct Tracing {
    traces: Option<Traces>,
    #[cfg(feature = "otel")]
    export: Option<Export>,
}

impl Tracing {
    #[cfg(feature = "otel")]
    fn start(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let Some(endpoint) = &config.observe.otlp_endpoint else {
            return Ok(Self { traces: None, export: None });
        };
        let (traces, spans) = Traces::new(clock, config.observe.sampler);
        let export = Export::start(endpoint, Arc::new(Rest::new()?), &config.environment, spans)
            .context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        info!(endpoint = masked(endpoint), "traces are sent there");
        Ok(Self { traces: Some(traces), export: Some(export) })
    }

    #[cfg(not(feature = "otel"))]
    fn start(_: &Config, _: Clock) -> anyhow::Result<Self> {
        Ok(Self { traces: None })
    }

    async fn close(self) {
        #[cfg(feature = "otel")]
        if let Some(export) = self.export {
            export.close().await;
        }
    }
}

/// What the providers themselves say they cost, and over it what the configuration says.
fn prices(config: &Config) -> Prices {
    let known = config.providers.iter().filter_map(|one| {
        let price = one.provider.capabilities().price.clone()?;
        Some((one.id.clone(), price))
    });
    Prices::new(known.chain(config.money.prices.iter().cloned()))
}

/// Only a database of its own is no place to meet others.
fn cluster(
    config: &Config,
    store: &Store,
    journal: &Journal,
    clock: Clock,
) -> anyhow::Result<Option<Cluster>> {
    if !store.is_shared() {
        return Ok(None);
    }
    let redis = config.redis_url.as_deref();
    let cluster = Cluster::new(store.clone(), clock, redis).context("REDIS_URL")?;
    info!(node = %config.node, redis = redis.map(masked), "this server is one of those on its database");
    Ok(Some(cluster.with_journal(journal.reader())))
}

fn recordings(dir: &Path, clock: Clock) -> anyhow::Result<Recordings> {
    let recordings = Recordings::start(dir, clock)
        .and_then(|recordings| recover(dir).map(|_| recordings))
        .with_context(|| format!("RECORDING_DIR: cannot write to {}", dir.display()))?;
    info!(directory = %dir.display(), "recordings are written there");
    Ok(recordings)
}

fn uploads(config: &RecordingConfig, dir: &Path) -> anyhow::Result<Option<Uploads>> {
    let Some(bucket) = &config.bucket else { return Ok(None) };
    let http = Arc::new(Rest::new()?.whole_timeout(EXCHANGE_MAX));
    let uploads = Uploads::start(dir, bucket, http).context("RECORDING_BUCKET")?;
    info!(bucket = bucket.name, "finished recordings are sent there, and leave the directory");
    Ok(Some(uploads))
}

fn roster(config: &Config) -> Arc<SharedRoster> {
    let candidates = config.providers.iter().map(|one| {
        Candidate::new(one.id.clone(), one.provider.clone()).with_capabilities(one.provider.capabilities())
    });
    let choice = &config.choice;
    let seed = random::seed();
    let settings =
        RosterConfig { strategy: choice.strategy, sticky: choice.sticky, seed, ..RosterConfig::default() };
    Arc::new(SharedRoster::new(settings, candidates.collect()))
}

pub(crate) fn agent(config: &Config, mut tools: Vec<ToolDefinition>) -> anyhow::Result<CallConfig> {
    let Config { agent, calls, .. } = config;
    let OperationsConfig { targets, tools: built_in, when_nobody, when_recorded } = &calls.operations;
    tools.extend(built_in.iter().map(|tool| tool.definition(targets)));
    let greeting = match &agent.greeting {
        Some(cue) => Greeting::Voice(Some(cue.clone())),
        None => Greeting::Caller,
    };
    let limits = CallLimits { gap: calls.gap, call: calls.longest, ..CallLimits::default() };
    let mut call = CallConfig::builder(agent.instructions.as_str())
        .greeting(greeting)
        .tools(tools)
        .standby(calls.standby)
        .when_recorded(*when_recorded)
        .phase(calls.phase)
        .limits(limits);
    if let Some(to) = when_nobody {
        call = call.when_nobody(WhenNobody::Transfer(to.clone()));
    }
    if !calls.covers {
        call = call.prompts(Prompts::none());
    }
    if let Some(language) = &agent.language {
        call = call.language(language);
    }
    Ok(call.build()?)
}

fn outbound(config: &Config) -> anyhow::Result<OutboundParts> {
    let api_token = config.api_token.clone();
    let http: Arc<dyn HttpSend> = Arc::new(Rest::new()?);
    let (twilio, telnyx) = (twilio_line(&config.twilio)?, telnyx_line(&config.telnyx)?);
    let operations = &config.calls.operations;
    let (targets, tools) = (operations.targets.clone(), operations.tools.clone());
    Ok(OutboundParts { http: Some(http), twilio, telnyx, api_token, targets, tools })
}

fn twilio_line(config: &TwilioConfig) -> anyhow::Result<Option<TwilioLine>> {
    let TwilioConfig { account_sid, auth_token, from_number, api_url } = config;
    let (Some(account), Some(token), Some(from)) = (account_sid, auth_token, from_number) else {
        return Ok(None);
    };
    let account = account.parse().context("TWILIO_ACCOUNT_SID")?;
    let mut api = TwilioApi::new(account, Credentials::AuthToken(token.clone()));
    if let Some(url) = api_url {
        api = api.with_url(url).context("TWILIO_API_URL")?;
    }
    Ok(Some(TwilioLine { api, from: from.clone() }))
}

fn telnyx_line(config: &TelnyxConfig) -> anyhow::Result<Option<TelnyxLine>> {
    let (Some(api), Some(connection), Some(from)) =
        (telnyx_api(config)?, config.connection.clone(), config.from_number.clone())
    else {
        return Ok(None);
    };
    Ok(Some(TelnyxLine { api, connection, from }))
}

fn telnyx_api(config: &TelnyxConfig) -> anyhow::Result<Option<Api>> {
    let Some(key) = &config.api_key else { return Ok(None) };
    let url = config.api_url.as_deref().unwrap_or(API_URL);
    Ok(Some(Api::new(url, key).context("TELNYX_API_URL or TELNYX_API_KEY")?))
}

fn telnyx(config: &TelnyxConfig) -> anyhow::Result<TelnyxParts> {
    let keys = config.public_key.map(PublicKeys::new).unwrap_or_default();
    Ok(TelnyxParts { keys, api: telnyx_api(config)? })
}

fn twilio(config: &Config) -> TwilioParts {
    // Without an address of its own, and no other told, this server has only fakes to talk with, which may
    // have no API to end calls by.
    let api_url = config.twilio.api_url.as_deref().unwrap_or(TWILIO_API_URL);
    let is_for_show = config.public_url.is_none() && api_url == TWILIO_API_URL;
    let config = &config.twilio;
    let tokens = config.auth_token.clone().map(Tokens::new).unwrap_or_default();
    let rest = config.auth_token.clone().filter(|_| !is_for_show).map(|token| {
        let api_url = config.api_url.clone().unwrap_or_else(|| TWILIO_API_URL.to_owned());
        TwilioRest { token, api_url }
    });
    TwilioParts { tokens, account_sid: config.account_sid.clone(), rest }
}
