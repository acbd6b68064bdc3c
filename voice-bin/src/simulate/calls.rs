//! Many simulated callers at once, and what they say about it afterwards.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use voice_core::driver::{Clock, Dial};
use voice_core::sensitive::Secret;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{
    CallReport, FakeTwilioCall, Rudeness, Script, TwilioCallPlan, Utterance, read_wav,
};

use super::TwilioCall;
use crate::output;
use crate::output::figures::Figures;
use crate::random::new_names;

pub(super) async fn place(options: TwilioCall) -> anyhow::Result<ExitCode> {
    let plan = plan(&options)?;
    let (clock, dial): (_, Arc<dyn Dial>) = (Clock::start(), Arc::new(Dialer::new()?));
    let mut callers = JoinSet::new();
    let mut reports: Vec<CallReport> = Vec::new();
    for number in 0..u64::from(options.calls) {
        let plan = plan.clone().with_seed(options.seed.wrapping_add(number)).with_names(new_names());
        let dial = dial.clone();
        let wait = options.stagger() * u32::try_from(number).unwrap_or(u32::MAX);
        // One task for each caller, so that none waits for another.
        callers.spawn(async move {
            tokio::time::sleep(wait).await;
            run(plan, dial, clock).await
        });
    }
    while let Some(report) = callers.join_next().await {
        reports.push(report.context("a caller broke")?);
        let failed = reports.iter().filter(|report| !report.completed).count();
        output::progress(format_args!("{} of {} calls over, {failed} failed", reports.len(), options.calls));
    }
    output::progress("");
    let figures = Figures::of(&reports);
    if options.json {
        output::say_json(&figures);
    } else {
        output::say(&figures);
    }
    Ok(if figures.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(plan: TwilioCallPlan, dial: Arc<dyn Dial>, clock: Clock) -> CallReport {
    let call = FakeTwilioCall::new(clock.now(), plan);
    crate::sim_net::run_caller(call, dial, clock).await.report().clone()
}

fn plan(options: &TwilioCall) -> anyhow::Result<TwilioCallPlan> {
    let plan = TwilioCallPlan::new(&options.webhook, Secret::new(options.auth_token.clone()));
    let plan = plan.with_rudeness(rudeness(&options.rude)?);
    let Some(path) = &options.speech else { return Ok(plan) };
    let shown = path.display();
    let file = std::fs::read(path).with_context(|| format!("--speech: cannot read {shown}"))?;
    let mulaw = read_wav(&file).with_context(|| format!("--speech: {shown}"))?;
    Ok(plan.with_script(Script::speech(Utterance::new(shown.to_string(), mulaw))))
}

fn rudeness(names: &[String]) -> anyhow::Result<Vec<Rudeness>> {
    let mut rude = Vec::new();
    for name in names {
        let Some(found) = Rudeness::ALL.iter().find(|rudeness| rudeness.name() == name) else {
            bail!("--rude: there is no {name:?}; there are {}", Rudeness::NAMES.join(", "));
        };
        rude.push(*found);
    }
    Ok(rude)
}
