//! Demo mode: the real server between a fake carrier and a fake voice, all on this machine.

mod carrier;
mod shop;
mod transcript;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;
use voice_core::driver::Clock;
use voice_providers::sim::llm::LlmProfile;

use crate::assemble::Assembly;
use crate::config::{Config, Setting, settings};
use crate::fakes::Manners;
use crate::providers::{FakeAddresses, Kind};
use crate::server;
use crate::sim_net::{MakeService, serve};
use crate::{fakes, output, signals};

use crate::output::summary::{Collector, Summary};
use carrier::Carrier;
pub(crate) use carrier::CarrierKind;
use transcript::Transcript;

/// How a demonstration runs.
#[derive(Clone, Copy)]
pub(crate) struct DemoOptions {
    /// Ends after the calls.
    pub(crate) once: bool,
    /// One JSON summary instead of a transcript.
    pub(crate) json: bool,
    /// Calls at the same time.
    pub(crate) calls: u32,
    /// Which AI service is simulated.
    pub(crate) kind: &'static Kind,
    /// Over which carrier the callers come.
    pub(crate) carrier: CarrierKind,
}

/// Places the calls, shows what comes of them, and goes on serving unless told otherwise.
pub(crate) async fn demo(config: Config, options: DemoOptions) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    let listener = listen(&config, options.once).await?;
    let address = reachable(listener.local_addr()?);
    let carrier = Carrier::start(options.carrier, &config, &stop).await?;
    let fakes = fake_services(&stop).await?;
    let config = pretend(&config, options.kind, &fakes, &carrier)?;

    let mut assembly = Assembly::new(&config).await?;
    assembly.offer(shop::tools(), Arc::new(shop::Shop));
    let collector = Arc::new(Collector::default());
    assembly.follow(collector.clone());
    let transcript = (!options.json).then(|| Arc::new(Transcript::start(options.calls > 1)));
    if let Some(transcript) = &transcript {
        assembly.follow(transcript.clone());
        output::say(format_args!(
            "Demo: a simulated caller, the real server, a simulated {}. Nothing leaves this machine.",
            options.kind.title
        ));
    }
    let clock = assembly.clock();
    let mut parts = assembly.parts(&config)?;
    parts.door = parts.door.without_rates();
    let running = server::run(listener, parts, stop.clone().cancelled_owned());
    // The server runs beside the callers, as it would on another machine.
    let serving = tokio::spawn(running);

    let reports = carrier.call(address, options.calls, clock).await;
    collector.all_ended(reports.iter().filter(|report| report.webhook_status == Some(200)).count()).await;
    if let Some(transcript) = &transcript {
        transcript.flush().await;
    }
    let summary = collector.conclude(&reports);
    show(&summary, options.json);
    if !options.once {
        invite(carrier.invitation(address).as_deref(), address, options.json);
        signals::listen().stop.cancelled().await;
    }
    stop.cancel();
    serving.await.context("the server broke")??;
    assembly.close().await;
    Ok(if summary.ok || !options.once { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn listen(config: &Config, once: bool) -> anyhow::Result<TcpListener> {
    if once {
        // Nobody else needs to find it, and the configured port may be taken by a real server.
        return Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?);
    }
    let (host, port) = (config.host, config.port);
    TcpListener::bind((host, port))
        .await
        .with_context(|| format!("cannot listen on {host}:{port}; set HOST or PORT"))
}

/// The same address as this machine reaches it.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        });
    }
    address
}

/// The fakes run beside the server, as the services would.
async fn fake_services(stop: &CancellationToken) -> anyhow::Result<FakeAddresses> {
    let clock = Clock::start();
    let manners = || Manners::new(1, clock);
    Ok(FakeAddresses {
        openai: fake_service(fakes::openai(&[], manners()), clock, stop).await?,
        gemini: fake_service(fakes::gemini(&[], manners()), clock, stop).await?,
        deepgram: fake_service(fakes::deepgram(&[], manners()), clock, stop).await?,
        llm: fake_service(fakes::llm(LlmProfile::OpenAi, &[], manners()), clock, stop).await?,
    })
}

async fn fake_service(
    make: MakeService,
    clock: Clock,
    stop: &CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // One task for each, as they are strangers to each other.
    tokio::spawn(serve(listener, clock, make, stop.clone().cancelled_owned()));
    Ok(address)
}

/// Leads the configuration to the fakes. Everything else is as configured.
fn pretend(config: &Config, kind: &Kind, fakes: &FakeAddresses, carrier: &Carrier) -> anyhow::Result<Config> {
    let mut instead: Vec<(&'static Setting, Option<String>)> = vec![
        (&settings::VOICE_PROVIDERS, Some(kind.name.to_owned())),
        // The fake carrier reaches us under our own address, and signs that.
        (&settings::PUBLIC_URL, None),
    ];
    // Simulated calls are no business of a real server's journal.
    if config.is_default("DATABASE_URL") {
        instead.push((&settings::DATABASE_URL, Some("sqlite::memory:".to_owned())));
    }
    instead.extend(carrier.pretend());
    instead.extend((kind.pretend)(fakes).into_iter().map(|(setting, text)| (setting, Some(text))));
    Ok(config.with(instead)?)
}

fn show(summary: &Summary, json: bool) {
    if json {
        return output::say_json(summary);
    }
    if summary.ok {
        return output::say("Demo: all went well.");
    }
    for failure in &summary.failures {
        output::say(format_args!("Demo: {failure}"));
    }
}

fn invite(command: Option<&str>, address: SocketAddr, json: bool) {
    info!(%address, "demo mode: serving simulated calls until stopped");
    if !json {
        output::say(format_args!("The server is up: http://{address}/health  (Ctrl-C stops it)"));
        if let Some(command) = command {
            output::say(format_args!("Place another call:\n  {command}"));
        }
        output::say(
            "For real calls set OPENAI_API_KEY (or GEMINI_API_KEY, DEEPGRAM_API_KEY), the keys of a carrier (TWILIO_AUTH_TOKEN, or TELNYX_API_KEY and \
             TELNYX_PUBLIC_KEY) and PUBLIC_URL; \
             see `voice-server check`.",
        );
    }
}
