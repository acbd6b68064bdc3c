//! The server's configuration: `voice.toml`, then the environment, which wins; checked whole, once.

mod calls;
mod check;
mod choice;
mod door;
mod layers;
mod mask;
mod money;
mod operations;
mod providers;
mod recording;
pub(crate) mod settings;
mod storage;
mod telnyx;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use voice_core::roster::{Sticky, Strategy};
use voice_core::sensitive::Secret;
use voice_telephony::number::E164;

use crate::store::Node;

pub use crate::providers::Configured;
pub use crate::recording::RecordingConfig;
pub use calls::CallsConfig;
pub(crate) use check::{Check, parse};
pub use door::DoorConfig;
pub use layers::{Environment, NotText, Origin, Strings};
pub(crate) use mask::masked;
pub use money::MoneyConfig;
pub use operations::{OperationsConfig, Targets};
pub use settings::Setting;
pub use telnyx::TelnyxConfig;

/// Where settings are looked for when no file is named.
pub const DEFAULT_FILE: &str = "voice.toml";

/// Everything the server needs to know, checked. Immutable.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// How the carrier reaches this server; part of what it signs.
    pub public_url: Option<PublicUrl>,
    /// Where the journal is kept.
    pub database_url: String,
    /// Where servers that share a database meet; without it they find each other by the database alone.
    pub redis_url: Option<String>,
    /// In whose name this server writes there.
    pub node: Node,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written, in the syntax of `RUST_LOG`.
    pub log_level: String,
    /// The AI services, best first; without any the server runs in demo mode.
    pub providers: Vec<Configured>,
    /// How one of them is chosen for a call.
    pub choice: ChoiceConfig,
    /// A carrier.
    pub twilio: TwilioConfig,
    /// Another one.
    pub telnyx: TelnyxConfig,
    /// Asked of everybody who uses the API; without it only this machine may.
    pub api_token: Option<Secret<String>>,
    /// What the voice is and does.
    pub agent: AgentConfig,
    /// How calls get over gaps.
    pub calls: CallsConfig,
    /// How much at once, and how long to wait for the end.
    pub limits: LimitsConfig,
    /// Where recordings go; without it nothing is recorded.
    pub recording: Option<RecordingConfig>,
    /// What calls cost and may cost.
    pub money: MoneyConfig,
    /// Where this server stands, for metrics: `production`, `staging`.
    pub environment: String,
    /// Who may ask, and how often.
    pub door: DoorConfig,
    /// All settings as they came out, for people.
    settings: Vec<Effective>,
    /// What is allowed but probably not meant.
    notices: Vec<Notice>,
    /// What it was made of, so that a demonstration can lay its fakes over it.
    layers: layers::Layers,
}

/// How to know Twilio.
#[derive(Clone, Debug, Default)]
pub struct TwilioConfig {
    /// Requests for another account are refused.
    pub account_sid: Option<String>,
    /// Verifies signatures; without it every webhook is refused.
    pub auth_token: Option<Secret<String>>,
    /// What people see when we call them; without it no calls are placed.
    pub from_number: Option<E164>,
    /// Where its REST API is.
    pub api_url: Option<String>,
}

/// What the voice is and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// For the model.
    pub instructions: String,
    /// How the voice opens the call, in words for the model; `None` waits for the caller to speak.
    pub greeting: Option<String>,
    /// Language the caller speaks, BCP 47.
    pub language: Option<String>,
}

/// How a provider is chosen for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChoiceConfig {
    /// Among those who can.
    pub strategy: Strategy,
    /// Whether callers return to who they talked with last.
    pub sticky: Sticky,
    /// How often each is looked at without a call; `None`: never.
    pub probe_every: Option<Duration>,
}

/// How much at once, and how long to wait for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Calls at the same time; one more is answered with a busy signal.
    pub calls_max: usize,
    /// How long a shutdown waits for calls to end by themselves.
    pub drain: Duration,
    /// A shutdown does not wait, but gives calls to whoever their carriers find next.
    pub hand_over: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The address under which the world reaches this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// From an address already checked: `http(s)://host[:port][/path]`, without a slash at the end.
    pub(crate) fn new(base: impl Into<String>) -> Self {
        Self(base.into())
    }

    /// The address of a path of ours, as the carrier calls it.
    pub fn of(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The same with the WebSocket scheme (`http` becomes `ws`, `https` becomes `wss`).
    pub fn web_socket(&self, path: &str) -> String {
        self.of(path).replacen("http", "ws", 1)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One setting as it came out.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Which.
    pub setting: &'static Setting,
    /// Its value; secrets are masked.
    pub shown: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Something allowed that is probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which setting.
    pub setting: &'static str,
    /// What about it, and what to do.
    pub text: String,
}

impl Config {
    /// Reads and checks everything. `file` names a file that must exist; without it
    /// [`DEFAULT_FILE`] is read if it is there.
    pub fn load(file: Option<&Path>, environment: &dyn Strings) -> Result<Self, ConfigErrors> {
        let mut layers = layers::Layers::default();
        match file {
            Some(path) => layers.read_file(path),
            None if Path::new(DEFAULT_FILE).exists() => layers.read_file(Path::new(DEFAULT_FILE)),
            None => {}
        }
        layers.read_environment(environment);
        check::check(layers)
    }

    /// How log lines are to look, as far as it is known of a configuration that does not load.
    pub fn log_format(file: Option<&Path>, environment: &dyn Strings) -> LogFormat {
        let mut layers = layers::Layers::default();
        if let Some(path) = file.or_else(|| Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists())) {
            layers.read_file(path);
        }
        layers.read_environment(environment);
        check::log_format_of(&layers)
    }

    /// The same with these settings instead; `None` unsets one.
    pub(crate) fn with(
        &self,
        instead: impl IntoIterator<Item = (&'static Setting, Option<String>)>,
    ) -> Result<Self, ConfigErrors> {
        let mut layers = self.layers.clone();
        for (setting, text) in instead {
            layers.replace(setting, text);
        }
        check::check(layers)
    }

    /// All settings as they came out, secrets masked.
    pub fn settings(&self) -> &[Effective] {
        &self.settings
    }

    /// Whether nobody set it, by its name in the environment.
    pub fn is_default(&self, env: &str) -> bool {
        self.settings.iter().any(|line| line.setting.env == env && line.origin == Origin::Default)
    }

    /// What is allowed but probably not meant.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

/// The configuration for people: one setting a line, secrets masked.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.settings {
            let first_line = line.shown.lines().next().unwrap_or_default();
            let more = if line.shown.lines().count() > 1 { " …" } else { "" };
            writeln!(f, "{:<20} {first_line}{more}  ({})", line.setting.env, line.origin)?;
        }
        for notice in &self.notices {
            writeln!(f, "note: {}: {}", notice.setting, notice.text)?;
        }
        Ok(())
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Which setting, or which file.
    pub setting: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong. Never contains a secret.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}; {}", self.setting, self.origin, self.problem, self.fix)
    }
}

/// Everything that is wrong with the configuration, not just the first thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} in the configuration", if count == 1 { "error" } else { "errors" })?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests;
