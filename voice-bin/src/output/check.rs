//! `voice-server check`: the configuration as it comes out, or everything that is wrong with it.

use std::process::ExitCode;

use serde::Serialize;

use crate::config::{Config, ConfigErrors};
use crate::output;

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    valid: bool,
    settings: Vec<Setting<'a>>,
    notes: Vec<Note<'a>>,
    errors: Vec<Error<'a>>,
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
pub(crate) fn check(loaded: &Result<Config, ConfigErrors>, json: bool) -> ExitCode {
    match loaded {
        Ok(config) if json => output::say_json(&valid(config)),
        Ok(config) => output::say(format_args!("{config}The configuration is valid.")),
        Err(errors) if json => output::say_json(&invalid(errors)),
        Err(errors) => output::say(errors),
    }
    if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn valid(config: &Config) -> Answer<'_> {
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
    Answer { valid: true, settings, notes, errors: Vec::new() }
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
    Answer { valid: false, settings: Vec::new(), notes: Vec::new(), errors }
}
