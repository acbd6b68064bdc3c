//! From raw texts to a checked configuration: every error at once, each with its fix.

mod door;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use url::{Host, Url};
use voice_core::sensitive::Secret;
use voice_telephony::number::{E164, NumberError};

use super::choice::{sticky, strategy};
use super::layers::{Layers, Origin, Raw};
use super::mask::masked as masked_address;
use super::settings::{self, Setting};
use super::storage::{self, database_url, node_name, own_name, redis_url};
use super::{
    AgentConfig, ChoiceConfig, Config, ConfigErrors, Effective, LogFormat, Notice, PublicUrl, TelnyxConfig,
    TwilioConfig,
};

/// Longest time a shutdown may wait; orchestrators kill long before.
const DRAIN_SECONDS_MAX: u64 = 3_600;

/// Calls on one machine; each is a task and two sockets.
const CALLS_MAX: u64 = 100_000;

/// Values that people leave in copied examples. Compared in lower case.
const PLACEHOLDERS: [&str; 9] =
    ["changeme", "change-me", "change_me", "placeholder", "secret", "todo", "none", "null", "..."];

/// Beginnings and parts that give a placeholder away. Compared in lower case.
const PLACEHOLDER_PARTS: [&str; 8] =
    ["your-", "your_", "<", "sk-...", "xxxxxx", "example", "replace-", "insert-"];

pub(super) fn check(layers: Layers) -> Result<Config, ConfigErrors> {
    let mut check = Check { layers, notices: Vec::new() };
    let host = check.parse(&settings::HOST, host);
    let port = check.parse(&settings::PORT, port);
    let public_url = check.parse(&settings::PUBLIC_URL, public_url);
    let database_url = check.parse(&settings::DATABASE_URL, database_url);
    let redis_url = check.parse(&settings::REDIS_URL, redis_url);
    let node = check.parse(&settings::NODE_NAME, node_name);
    let log_format = check.parse(&settings::LOG_FORMAT, log_format);
    let log = log_format.zip(check.parse(&settings::LOG_LEVEL, log_level));
    let providers = check.providers();
    let choice = check.choice();
    let twilio = check.twilio();
    let telnyx = TelnyxConfig::check(&mut check);
    let api_token = check.parse(&settings::API_TOKEN, api_token);
    let agent = check.agent();
    let calls = check.calls();
    let limits = check.limits();
    let door = check.door();
    let recording = check.recording();
    let money = check.money();
    let observe = check.observe();
    let environment = check.parse(&settings::ENVIRONMENT, environment).unwrap_or_default();
    let all = (host, port, database_url, log, agent, calls, limits, choice);
    let (
        Some(host),
        Some(port),
        Some(database_url),
        Some((log_format, log_level)),
        Some(agent),
        Some(calls),
        Some(limits),
        Some(choice),
    ) = all
    else {
        return Err(check.errors());
    };
    if !check.layers.errors.is_empty() {
        return Err(check.errors());
    }
    let settings = check.shown();
    let mut config = Config {
        host,
        port,
        public_url,
        database_url,
        redis_url,
        node: node.unwrap_or_else(|| own_name(port)),
        log_format,
        log_level,
        providers,
        choice,
        twilio,
        telnyx,
        api_token,
        agent,
        calls,
        limits,
        recording,
        money,
        observe,
        environment,
        door,
        settings,
        notices: check.notices,
        layers: check.layers,
    };
    relations(&mut config);
    Ok(config)
}

/// What is wrong with a value, and what to do about it.
pub(crate) struct Wrong(pub(super) String, pub(super) &'static str);

/// A configuration while it is checked.
pub(crate) struct Check {
    pub(super) layers: Layers,
    notices: Vec<Notice>,
}

impl Check {
    /// The checked value; `None` where it is not set or wrong, the latter noted.
    pub(crate) fn parse<T>(
        &mut self,
        setting: &'static Setting,
        parse: fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let raw = self.raw(setting)?;
        match parse(raw.text.trim()) {
            Ok(value) => Some(value),
            Err(Wrong(problem, fix)) => {
                self.layers.error(setting.env, raw.origin, problem, fix);
                None
            }
        }
    }

    /// Whether somebody gave it a value.
    pub(crate) fn is_set(&self, setting: &Setting) -> bool {
        self.layers.values.contains_key(setting.env)
    }

    /// The callers' language, where it is set.
    pub(crate) fn language(&self) -> Option<String> {
        Some(self.raw(&settings::AGENT_LANGUAGE)?.text.trim().to_lowercase())
    }

    /// What a library makes of settings that are fine each by itself; a refusal is noted.
    pub(crate) fn together<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        settings: Result<T, E>,
    ) -> Option<T> {
        let refuse = |error: E| {
            self.layers.error(name, Origin::Together, error.to_string(), "see docs/configuration.md");
        };
        settings.map_err(refuse).ok()
    }

    pub(crate) fn error(&mut self, setting: &Setting, problem: impl Into<String>, fix: &str) {
        let origin = self.raw(setting).map_or(Origin::Default, |raw| raw.origin);
        self.layers.error(setting.env, origin, problem, fix);
    }

    /// Keys and calls over an address without TLS, unless it is this machine.
    pub(crate) fn warn_of_plain_text(&mut self, setting: &'static Setting, url: Option<&str>) {
        if let Some((scheme, _)) = url.and_then(|url| url.split_once("://"))
            && matches!(scheme, "ws" | "http")
            && !url.is_some_and(is_local)
        {
            let text = format!("{scheme}:// sends the key and the call unencrypted; use {scheme}s://");
            self.notice(setting, &text);
        }
    }

    fn twilio(&mut self) -> TwilioConfig {
        TwilioConfig {
            account_sid: self.parse(&settings::TWILIO_ACCOUNT_SID, account_sid),
            auth_token: self.parse(&settings::TWILIO_AUTH_TOKEN, twilio_token),
            from_number: self.parse(&settings::TWILIO_FROM_NUMBER, number),
            api_url: self.parse(&settings::TWILIO_API_URL, api_url),
        }
    }

    fn agent(&mut self) -> Option<AgentConfig> {
        Some(AgentConfig {
            instructions: self.parse(&settings::AGENT_INSTRUCTIONS, text)?,
            greeting: self.greeting(),
            language: self.parse(&settings::AGENT_LANGUAGE, language),
        })
    }

    fn greeting(&mut self) -> Option<String> {
        if self.layers.blank.contains(&settings::AGENT_GREETING.env) {
            self.notice(
                &settings::AGENT_GREETING,
                "empty, which counts as not set: the voice greets the caller; `off` lets the caller speak first",
            );
        }
        self.parse(&settings::AGENT_GREETING, greeting).flatten()
    }

    fn choice(&mut self) -> Option<ChoiceConfig> {
        let strategy = self.parse(&settings::VOICE_STRATEGY, strategy);
        let sticky = self.parse(&settings::VOICE_STICKY, sticky);
        let probe_every = self.parse(&settings::VOICE_PROBE_SECONDS, probe_every);
        Some(ChoiceConfig { strategy: strategy?, sticky: sticky?, probe_every: probe_every? })
    }

    fn shown(&self) -> Vec<Effective> {
        let show = |setting: &&'static Setting| {
            let (shown, origin) = match self.raw(setting) {
                None => ("(not set)".to_owned(), Origin::Default),
                Some(raw) if setting.secret => (masked(raw.text.trim()), raw.origin),
                Some(raw) if setting.env.ends_with("_URL") => (masked_address(raw.text.trim()), raw.origin),
                Some(raw) => (raw.text.trim().to_owned(), raw.origin),
            };
            Effective { setting, shown, origin }
        };
        settings::ALL.iter().map(show).collect()
    }

    /// A setting that several services share is told of once.
    fn errors(self) -> ConfigErrors {
        let mut errors = Vec::new();
        for error in self.layers.errors {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        ConfigErrors(errors)
    }

    pub(super) fn raw(&self, setting: &Setting) -> Option<Raw> {
        let default = || setting.default.map(|text| Raw { text: text.to_owned(), origin: Origin::Default });
        self.layers.values.get(setting.env).cloned().or_else(default)
    }

    pub(super) fn notice(&mut self, setting: &Setting, text: &str) {
        let notice = Notice { setting: setting.env, text: text.to_owned() };
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}

/// What no value alone can tell.
fn relations(config: &mut Config) {
    let mut notices = std::mem::take(&mut config.notices);
    notices_of(config, |setting, text| notices.push(Notice { setting: setting.env, text: text.to_owned() }));
    config.notices = notices;
}

fn notices_of(config: &Config, mut note: impl FnMut(&Setting, &str)) {
    if config.providers.is_empty() {
        note(
            &settings::VOICE_PROVIDERS,
            "no key of any AI service is set, so the server runs in demo mode: a simulated voice, no network",
        );
        return;
    }
    let Config { twilio, telnyx, .. } = config;
    storage::notices(config, &mut note);
    telnyx.notices(&mut note);
    if twilio.auth_token.is_none() && telnyx.public_key.is_none() {
        note(
            &settings::TWILIO_AUTH_TOKEN,
            "not set, so every webhook is refused; take it from the Twilio console",
        );
    }
    if twilio.from_number.is_some() && twilio.account_sid.is_none() {
        note(&settings::TWILIO_ACCOUNT_SID, "not set, so no calls can be placed from TWILIO_FROM_NUMBER");
    }
    let has_number = twilio.from_number.is_some() || telnyx.from_number.is_some();
    if has_number && config.public_url.is_some() && config.api_token.is_none() {
        note(&settings::API_TOKEN, "not set, so only this machine itself can order calls");
    }
    if config.public_url.is_none() {
        note(
            &settings::PUBLIC_URL,
            "not set, so only requests to this machine itself can be verified; set it to the address that the carrier calls",
        );
    }
    if config.public_url.is_some() && config.host.is_loopback() && !config.settings.iter().any(is_proxied) {
        note(
            &settings::TRUSTED_PROXIES,
            "not set, though PUBLIC_URL leads to this machine by way of a proxy (HOST is a loopback address): all \
             callers look like the proxy and share its limits; set it to the proxy's address, like 127.0.0.1",
        );
    }
    if let Some(folder) = missing_folder(&config.database_url) {
        note(
            &settings::DATABASE_URL,
            &format!("there is no folder {folder}, so the database cannot be made"),
        );
    }
}

/// Whether somebody said which proxies to believe.
fn is_proxied(line: &Effective) -> bool {
    line.setting.env == settings::TRUSTED_PROXIES.env && line.origin != Origin::Default
}

/// Of a database in a file whose folder does not exist.
fn missing_folder(url: &str) -> Option<String> {
    let file = url.strip_prefix("sqlite:")?.trim_start_matches("//").split('?').next()?;
    let folder = Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!file.starts_with(':') && !folder.is_dir()).then(|| folder.display().to_string())
}

/// Values of which services have many.
pub(crate) mod parse {
    use super::*;

    /// A switch.
    pub(crate) fn on_or_off(text: &str) -> Result<bool, Wrong> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(Wrong(format!("{text:?} is neither on nor off"), "use true or false")),
        }
    }

    /// Up to the path, which the service's own name follows: `?model=` is not part of it.
    pub(crate) fn openai_url(text: &str) -> Result<String, Wrong> {
        const FIX: &str =
            "leave it out for OpenAI itself, or write a ws:// or wss:// address without ?model=";
        let url = address(text, &["ws", "wss"], FIX)?;
        if url.query_pairs().any(|(name, _)| name == "model") {
            let problem = format!("{} names a model, which OPENAI_MODEL does", masked_address(text));
            return Err(Wrong(problem, FIX));
        }
        Ok(text.to_owned())
    }

    /// A WebSocket address, with or without a path.
    pub(crate) fn web_socket_url(text: &str) -> Result<String, Wrong> {
        address(
            text,
            &["ws", "wss"],
            "leave it out for the service itself, or write a ws:// or wss:// address",
        )?;
        Ok(text.to_owned())
    }

    /// A WebSocket address of which only scheme, host and port count.
    pub(crate) fn web_socket_host(text: &str) -> Result<String, Wrong> {
        const FIX: &str =
            "leave it out for the service itself, or write scheme and host, like wss://api.eu.deepgram.com";
        let url = address(text, &["ws", "wss"], FIX)?;
        if url.path() != "/" || url.query().is_some() {
            return Err(Wrong(format!("{} has more than scheme, host and port", masked_address(text)), FIX));
        }
        Ok(text.trim_end_matches('/').to_owned())
    }

    /// The base address of a chat model, up to and with `/v1` as a rule.
    pub(crate) fn http_url(text: &str) -> Result<String, Wrong> {
        const FIX: &str = "write the base address up to /v1, like https://api.openai.com/v1";
        address(text, &["http", "https"], FIX)?;
        if text.trim_end_matches('/').ends_with("/chat/completions") {
            return Err(Wrong(format!("{} goes on beyond the base address", masked_address(text)), FIX));
        }
        Ok(text.trim_end_matches('/').to_owned())
    }

    /// A model, a voice.
    pub(crate) fn name(text: &str) -> Result<String, Wrong> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
        if text.is_empty() || text.len() > 128 || !text.chars().all(fine) {
            return Err(Wrong(
                format!("{text:?} is not a name"),
                "copy the name from the service's documentation",
            ));
        }
        Ok(text.to_owned())
    }

    /// A key or token, whole.
    pub(crate) fn secret(text: &str, fix: &'static str) -> Result<Secret<String>, Wrong> {
        let lower = text.to_lowercase();
        let is_placeholder = lower.len() < 4
            || PLACEHOLDERS.contains(&lower.as_str())
            || PLACEHOLDER_PARTS.iter().any(|part| lower.contains(part));
        if is_placeholder {
            return Err(Wrong("this is a placeholder, not a secret".to_owned(), fix));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Wrong("it contains a space, a line break or a letter beyond ASCII".to_owned(), fix));
        }
        Ok(Secret::new(text.to_owned()))
    }

    pub(crate) fn address(text: &str, schemes: &[&str], fix: &'static str) -> Result<Url, Wrong> {
        let wrong = |problem: &str| Wrong(format!("{} {problem}", masked_address(text)), fix);
        let url = Url::parse(text).map_err(|_| wrong("is not an address"))?;
        if !schemes.contains(&url.scheme()) || url.host().is_none() {
            return Err(wrong(&format!("is not an address that begins with {}://", schemes.join(":// or "))));
        }
        Ok(url)
    }
}

fn host(text: &str) -> Result<IpAddr, Wrong> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| {
        Wrong(
            format!("{text:?} is not an address"),
            "use 127.0.0.1 for this machine only, 0.0.0.0 for all interfaces",
        )
    })
}

fn port(text: &str) -> Result<u16, Wrong> {
    text.parse().map_err(|_| {
        Wrong(format!("{text:?} is not a port"), "use a number from 1 to 65535, or 0 for any free one")
    })
}

fn public_url(text: &str) -> Result<PublicUrl, Wrong> {
    const FIX: &str = "write https:// and the host name as Twilio calls it, like https://voice.example.com";
    let wrong = |problem: &str| Wrong(format!("{} {problem}", masked_address(text)), FIX);
    let url = Url::parse(text).map_err(|_| wrong("is not an address"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("is not an http(s) address"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(wrong("has more than scheme, host, port and path"));
    }
    if url.scheme() == "http" && !is_local(text) {
        return Err(Wrong(
            format!("{} is not encrypted", masked_address(text)),
            "write https://; carriers stream to wss:// only, and calls must not cross a network in the open",
        ));
    }
    Ok(PublicUrl::new(url.as_str().trim_end_matches('/')))
}

fn log_format(text: &str) -> Result<LogFormat, Wrong> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(Wrong(format!("{other:?} is no format"), "use text or json")),
    }
}

fn probe_every(text: &str) -> Result<Option<Duration>, Wrong> {
    let secs = in_range(text, 0, 3_600, "use whole seconds up to 3600; 0 never looks")?;
    Ok((secs > 0).then(|| Duration::from_secs(secs)))
}

/// The format alone, of settings that are wrong elsewhere.
pub(super) fn log_format_of(layers: &Layers) -> LogFormat {
    let raw = layers.values.get(settings::LOG_FORMAT.env);
    raw.and_then(|raw| log_format(raw.text.trim()).ok()).unwrap_or(LogFormat::Text)
}

/// Stricter than the filter itself, which takes `inof` for the name of a module and shows nothing else.
fn log_level(text: &str) -> Result<String, Wrong> {
    const FIX: &str = "use error, warn, info, debug, trace or off, or info,voice_bin=debug";
    let is_level = |word: &str| !word.trim().is_empty() && word.trim().parse::<LevelFilter>().is_ok();
    for part in text.split(',') {
        let (name, level) = match part.split_once('=') {
            Some((module, level)) => (Some(module.trim()), level),
            None => (None, part),
        };
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-');
        if name.is_some_and(|name| name.is_empty() || !name.chars().all(fine)) || !is_level(level) {
            return Err(Wrong(format!("{part:?} is no level"), FIX));
        }
    }
    match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Wrong(error.to_string(), FIX)),
    }
}

fn account_sid(text: &str) -> Result<String, Wrong> {
    let hex = text.strip_prefix("AC").filter(|rest| rest.len() == 32);
    if hex.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Ok(text.to_owned());
    }
    Err(Wrong(
        format!("{text:?} is not an account SID"),
        "copy the one that begins with AC from the Twilio console",
    ))
}

fn twilio_token(text: &str) -> Result<Secret<String>, Wrong> {
    parse::secret(text, "copy the auth token from the Twilio console, or unset this")
}

pub(super) fn number(text: &str) -> Result<E164, Wrong> {
    text.parse().map_err(|error: NumberError| {
        Wrong(error.to_string(), "copy one of your numbers from the carrier's console")
    })
}

fn api_url(text: &str) -> Result<String, Wrong> {
    const FIX: &str =
        "leave it out, or write an address without a path, like https://api.dublin.ie1.twilio.com";
    let url = parse::address(text, &["http", "https"], FIX)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(Wrong("it has more than scheme, host and port".to_owned(), FIX));
    }
    if url.scheme() == "http" && !is_local(text) {
        return Err(Wrong("http:// would send the auth token unencrypted".to_owned(), "use https://"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn api_token(text: &str) -> Result<Secret<String>, Wrong> {
    const FIX: &str = "make one with: openssl rand -hex 32";
    let token = parse::secret(text, FIX)?;
    if text.len() < 16 {
        return Err(Wrong("it is shorter than 16 characters".to_owned(), FIX));
    }
    Ok(token)
}

fn environment(text: &str) -> Result<String, Wrong> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(is_word) {
        return Err(Wrong(format!("{text:?} is no name"), "use 1 to 40 letters, digits, - and _"));
    }
    Ok(text.to_owned())
}

fn text(text: &str) -> Result<String, Wrong> {
    const FIX: &str = "write what the voice should do, in at most 16,000 bytes, or leave it out";
    if text.is_empty() || text.len() > 16_000 {
        return Err(Wrong(format!("it has {} bytes", text.len()), FIX));
    }
    Ok(text.to_owned())
}

/// `off` is the word for none. Empty is no word: in the environment it counts as not set.
fn greeting(cue: &str) -> Result<Option<String>, Wrong> {
    if cue.is_empty() {
        return Err(Wrong(
            "it is empty".to_owned(),
            "write off to let the caller speak first, or leave it out for a greeting",
        ));
    }
    text(cue).map(|cue| (cue != "off").then_some(cue))
}

fn language(text: &str) -> Result<String, Wrong> {
    let fine = text
        .split('-')
        .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if fine && text.len() <= 35 {
        return Ok(text.to_owned());
    }
    Err(Wrong(format!("{text:?} is not a language"), "use a tag like en, de or pt-BR"))
}

pub(super) fn calls_max(text: &str) -> Result<usize, Wrong> {
    let number = in_range(text, 1, CALLS_MAX, "use a number from 1 to 100000")?;
    usize::try_from(number).map_err(|_| Wrong(format!("{number} is too large"), "use a smaller number"))
}

pub(super) fn drain(text: &str) -> Result<Duration, Wrong> {
    in_range(text, 0, DRAIN_SECONDS_MAX, "use whole seconds from 0 to 3600").map(Duration::from_secs)
}

pub(super) fn in_range(text: &str, least: u64, most: u64, fix: &'static str) -> Result<u64, Wrong> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| Wrong(format!("{text:?} is out of range"), fix))
}

pub(super) fn is_local(url: &str) -> bool {
    match Url::parse(url).ok().and_then(|url| url.host().map(|host| host.to_owned())) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Enough to tell two keys apart, too little to use one.
fn masked(secret: &str) -> String {
    let count = secret.chars().count();
    if count < 16 {
        return "[secret]".to_owned();
    }
    let tail: String = secret.chars().skip(count - 4).collect();
    format!("[secret …{tail}]")
}
