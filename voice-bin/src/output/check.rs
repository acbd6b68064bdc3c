//! `voice-server check`: the configuration as it comes out, or everything that is wrong with it.

use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use voice_providers::dial::Dialer;

use crate::config::{Config, ConfigErrors};
use crate::output;
use crate::providers::look::look;

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    valid: bool,
    settings: Vec<Setting<'a>>,
    notes: Vec<Note<'a>>,
    errors: Vec<Error<'a>>,
    /// What the services said, where they were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    providers: Vec<Asked>,
}

#[derive(Serialize)]
struct Asked {
    name: String,
    ok: bool,
    answer: String,
}

#[derive(Serialize)]
struct Setting<'a> {
    name: &'a str,
    value: &'a str,
    origin: String,
}

#[derive(Serialize)]
struct Note<'a> {
    setting: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Error<'a> {
    setting: &'a str,
    origin: String,
    problem: &'a str,
    fix: &'a str,
}

/// Prints it.
pub(crate) async fn check(loaded: &Result<Config, ConfigErrors>, json: bool, online: bool) -> ExitCode {
    let asked = match loaded {
        Ok(config) if online => ask(config).await,
        Ok(_) | Err(_) => Vec::new(),
    };
    let all_answer = asked.iter().all(|asked| asked.ok);
    match loaded {
        Ok(config) if json => output::say_json(&valid(config, asked)),
        Ok(config) => {
            output::say(format_args!("{config}The configuration is valid."));
            asked.iter().for_each(|asked| output::say(&asked.answer));
        }
        Err(errors) if json => output::say_json(&invalid(errors)),
        Err(errors) => output::say(errors),
    }
    if loaded.is_ok() && all_answer { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn ask(config: &Config) -> Vec<Asked> {
    let dial = match Dialer::new() {
        Ok(dial) => Arc::new(dial),
        Err(error) => {
            let answer = format!("no service can be asked: {error}");
            return vec![Asked { name: String::new(), ok: false, answer }];
        }
    };
    let seen = look(&config.providers, dial).await.into_iter();
    seen.map(|seen| Asked { answer: seen.to_string(), ok: seen.answer.is_ok(), name: seen.name }).collect()
}

fn valid(config: &Config, providers: Vec<Asked>) -> Answer<'_> {
    let setting = |effective: &'_ crate::config::Effective| effective.origin.to_string();
    let settings = config
        .settings()
        .iter()
        .map(|effective| Setting {
            name: effective.setting.env,
            value: &effective.shown,
            origin: setting(effective),
        })
        .collect();
    let notes =
        config.notices().iter().map(|notice| Note { setting: notice.setting, text: &notice.text }).collect();
    Answer { valid: true, settings, notes, errors: Vec::new(), providers }
}

fn invalid(errors: &ConfigErrors) -> Answer<'_> {
    let error = |error: &'_ crate::config::ConfigError| error.origin.to_string();
    let errors = errors
        .0
        .iter()
        .map(|wrong| Error {
            setting: &wrong.setting,
            origin: error(wrong),
            problem: &wrong.problem,
            fix: &wrong.fix,
        })
        .collect();
    Answer { valid: false, settings: Vec::new(), notes: Vec::new(), errors, providers: Vec::new() }
}
