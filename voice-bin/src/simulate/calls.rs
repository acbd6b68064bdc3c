//! Many simulated callers at once, and what they say about it afterwards.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::task::JoinSet;
use voice_core::driver::{Clock, Dial};
use voice_core::sensitive::Secret;
use voice_providers::dial::Dialer;
use voice_telephony::sim::{CallReport, FakeTwilioCall, Script, TwilioCallPlan, Utterance, read_wav};

use super::TwilioCall;
use crate::output::figures::Figures;
use crate::random::new_names;
use crate::{fakes, output};

pub(super) async fn place(options: TwilioCall) -> anyhow::Result<ExitCode> {
    let plan = plan(&options)?;
    let (clock, dial): (_, Arc<dyn Dial>) = (Clock::start(), Arc::new(Dialer::new()?));
    let mut callers = JoinSet::new();
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
    tell(callers, options.json).await
}

/// Waits for all callers, and shows what they say.
pub(super) async fn tell(mut callers: JoinSet<CallReport>, as_json: bool) -> anyhow::Result<ExitCode> {
    let calls = callers.len();
    let mut reports: Vec<CallReport> = Vec::new();
    while let Some(report) = callers.join_next().await {
        reports.push(report.context("a caller broke")?);
        let failed = reports.iter().filter(|report| !report.completed).count();
        output::progress(format_args!("{} of {calls} calls over, {failed} failed", reports.len()));
    }
    output::progress("");
    let figures = Figures::of(&reports);
    if as_json {
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
    let plan = plan.with_rudeness(fakes::rudeness(&options.rude)?);
    Ok(match script(options.speech.as_deref())? {
        Some(script) => plan.with_script(script),
        None => plan,
    })
}

/// The script that says a recording, where there is one.
pub(super) fn script(speech: Option<&Path>) -> anyhow::Result<Option<Script>> {
    let Some(path) = speech else { return Ok(None) };
    let shown = path.display();
    let file = std::fs::read(path).with_context(|| format!("--speech: cannot read {shown}"))?;
    let mulaw = read_wav(&file).with_context(|| format!("--speech: {shown}"))?;
    Ok(Some(Script::speech(Utterance::new(shown.to_string(), mulaw))))
}
