//! What is done to calls, and what is made of what their callers noted.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::sleep;
use voice_core::time::MonoTime;

use super::FRAME;
use super::api::Switched;
use super::caller::{Notes, Signal};
use super::echo::Fate;
use super::figures::{Figure, hole, missing, prompt_after, tone_after};
use super::stage::{Setting, Stage};

/// A failure after a stay shorter than five seconds says something about the service; these shall not.
const BETWEEN: Duration = Duration::from_secs(6);

/// A forced takeover with somebody standing by: less than this.
const WARM: Duration = Duration::from_millis(100);

/// Without: less than this.
const COLD: Duration = Duration::from_secs(1);

/// A prompt comes within 300 ms of the moment at which the caller's patience (300 ms by default) ends.
const COVERED: Duration = Duration::from_millis(600);

/// How long both services are down.
const OUTAGE: Duration = Duration::from_secs(3);

type Figures = io::Result<Vec<Figure>>;

/// Switches by the API, while callers speak in bursts: nothing of them may be missing.
///
/// # Errors
/// If the run cannot be carried out.
pub async fn planned(setting: Setting, rounds: u32) -> Figures {
    const NAME: &str = "planned";
    let mut stage = Stage::set(Setting { standby: "off", ..setting }).await?;
    let mut switches = Vec::new();
    stage.order(Signal::Bursts);
    sleep(Duration::from_secs(1)).await;
    for _ in 0..rounds {
        let mut wanted = BTreeMap::new();
        for session in stage.api.sessions().await? {
            let other = if session.provider.as_deref() == Some("openai") { "gemini" } else { "openai" };
            stage.api.switch(&session.session_id, other).await?;
            wanted.insert(session.session_id, other);
        }
        stage
            .all("planned switches", |session| {
                session.provider.as_deref() == wanted.get(&session.session_id).copied()
            })
            .await?;
        switches.extend(stage.last_switches().await?);
    }
    sleep(Duration::from_secs(2)).await;
    stage.order(Signal::Quiet);
    sleep(Duration::from_secs(2)).await;
    let (notes, broken) = stage.end().await;
    let bursts: Vec<Option<Duration>> = notes.iter().flat_map(missing).collect();
    let torn = bursts.iter().filter(|lost| **lost != Some(Duration::ZERO)).count();
    let wishes = switches.iter().filter(|switch| switch.reason == "wish").count();
    Ok(vec![
        Figure::new(NAME, "gap, by the record", &gaps(&switches), Some(Duration::ZERO)),
        Figure::none(NAME, "switches that came of something else", switches.len(), switches.len() - wishes),
        Figure::none(NAME, "bursts of the caller not wholly back", bursts.len(), torn),
        Figure::new(NAME, "what is missing of a burst", &bursts, None),
        Figure::none(NAME, "calls broken", setting.calls, broken),
    ])
}

/// The sockets of whoever talks die while callers speak.
///
/// # Errors
/// If the run cannot be carried out.
pub async fn forced(setting: Setting, rounds: u32) -> Figures {
    let warm = setting.standby != "off";
    let (name, target) = if warm { ("warm", WARM) } else { ("cold", COLD) };
    let mut stage = Stage::set(setting).await?;
    let (mut kills, mut switches) = (Vec::new(), Vec::new());
    sleep(BETWEEN).await;
    for round in 0..rounds {
        if warm {
            stage.all("standbys", |session| session.standby.is_some()).await?;
            sleep(setting.round_trip * 5 + Duration::from_millis(300)).await;
        }
        stage.order(Signal::Tone);
        sleep(Duration::from_millis(1_200)).await;
        kills.push(stage.kill(if round % 2 == 0 { Fate::Cut } else { Fate::Close }));
        sleep(Duration::from_millis(2_500)).await;
        stage.order(Signal::Quiet);
        stage.reset().await?;
        stage.all("voices", |session| session.status == "active").await?;
        switches.extend(stage.last_switches().await?);
        sleep(BETWEEN).await;
    }
    let (notes, broken) = stage.end().await;
    let around = |window: fn(MonoTime) -> (MonoTime, MonoTime)| -> Vec<Option<Duration>> {
        let of = |notes| {
            kills.iter().map(move |kill| {
                let (from, until) = window(*kill);
                hole(notes, from, until)
            })
        };
        notes.iter().flat_map(of).collect()
    };
    let after = around(|kill| (kill, kill + Duration::from_secs(2)));
    let before = around(|kill| {
        (kill.saturating_sub(Duration::from_millis(900)), kill.saturating_sub(Duration::from_millis(60)))
    });
    let failures = switches.iter().filter(|switch| switch.reason == "failure").count();
    let expected = setting.calls * kills.len();
    Ok(vec![
        Figure::new(name, "silence the caller hears", &after, Some(target)),
        Figure::new(name, "the same in the second before", &before, None),
        Figure::new(name, "gap, by the record", &gaps(&switches), Some(target)),
        Figure::new(name, "caller's audio nobody heard, by the record", &lost(&switches), None),
        Figure::new(name, "caller's audio that never came back", &unreturned(&notes, rounds), None),
        Figure::none(name, "kills without a switch by failure", expected, expected.abs_diff(failures)),
        Figure::none(name, "calls broken", setting.calls, broken),
    ])
}

/// Both services go down while callers speak, and come back.
///
/// # Errors
/// If the run cannot be carried out, or a call is lost.
pub async fn outage(setting: Setting, rounds: u32) -> Figures {
    const NAME: &str = "outage";
    let mut stage = Stage::set(setting).await?;
    let mut times = Vec::new();
    sleep(BETWEEN).await;
    for _ in 0..rounds {
        stage.order(Signal::Tone);
        sleep(Duration::from_millis(1_200)).await;
        stage.refuse(true);
        let down = stage.kill(Fate::Cut);
        sleep(OUTAGE).await;
        times.push((down, stage.refuse(false)));
        stage.all("voices after an outage", |session| session.status == "active").await?;
        sleep(Duration::from_secs(2)).await;
        stage.order(Signal::Quiet);
        stage.reset().await?;
        // What was held is played first.
        sleep(BETWEEN + OUTAGE).await;
    }
    let (notes, broken) = stage.end().await;
    let each = |measure: fn(&Notes, MonoTime, MonoTime) -> Option<Duration>| -> Vec<Option<Duration>> {
        let of = |notes| times.iter().map(move |(down, back)| measure(notes, *down, *back));
        notes.iter().flat_map(of).collect()
    };
    let prompts = each(|notes, down, _| prompt_after(notes, down));
    let again = each(|notes, _, back| tone_after(notes, back));
    Ok(vec![
        Figure::new(NAME, "until a prompt is heard", &prompts, Some(COVERED)),
        Figure::new(NAME, "from the services' return to the voice's", &again, None),
        Figure::none(NAME, "calls broken", setting.calls, broken),
    ])
}

/// The sockets of whoever talks fall silent and stay open.
///
/// # Errors
/// If the run cannot be carried out.
pub async fn half_open(setting: Setting) -> Figures {
    const NAME: &str = "half-open";
    let mut stage = Stage::set(setting).await?;
    sleep(BETWEEN).await;
    let before = stage.api.sessions().await?;
    let who: BTreeMap<_, _> = before.into_iter().map(|call| (call.session_id, call.provider)).collect();
    stage.order(Signal::Tone);
    sleep(Duration::from_millis(1_200)).await;
    let dead = stage.kill(Fate::HalfOpen);
    stage
        .all("takeovers from silent services", |call| {
            call.status == "active" && who.get(&call.session_id) != Some(&call.provider)
        })
        .await?;
    sleep(Duration::from_secs(5)).await;
    let (notes, broken) = stage.end().await;
    let settled = FRAME * 20;
    let prompts: Vec<_> = notes.iter().map(|notes| prompt_after(notes, dead)).collect();
    let again: Vec<_> =
        notes.iter().map(|notes| tone_after(notes, dead + settled).map(|after| after + settled)).collect();
    Ok(vec![
        Figure::new(NAME, "until a prompt is heard", &prompts, None),
        Figure::new(NAME, "until somebody else talks", &again, None),
        Figure::none(NAME, "calls broken", setting.calls, broken),
    ])
}

fn gaps(switches: &[Switched]) -> Vec<Option<Duration>> {
    switches.iter().map(|switch| Some(Duration::from_millis(switch.gap_ms))).collect()
}

fn lost(switches: &[Switched]) -> Vec<Option<Duration>> {
    switches.iter().map(|switch| Some(Duration::from_millis(switch.audio_lost_ms))).collect()
}

/// What each caller said and did not hear again, for each kill.
fn unreturned(notes: &[Notes], kills: u32) -> Vec<Option<Duration>> {
    let of = |notes: &Notes| {
        let sent = FRAME * notes.sent.len() as u32;
        let heard: Duration = notes.heard.iter().map(|sound| sound.tone).sum();
        Some(sent.saturating_sub(heard) / kills.max(1))
    };
    notes.iter().map(of).collect()
}
