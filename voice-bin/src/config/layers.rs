//! Raw values from the file and the environment, each with the place it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::settings::{self, Setting};

/// Where named texts come from. Tests pass a map.
pub trait Strings {
    /// The text of that name, if there is one.
    fn read(&self, name: &str) -> Result<Option<String>, NotText>;
}

/// A variable that holds something else than text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText;

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Environment;

impl Strings for Environment {
    fn read(&self, name: &str) -> Result<Option<String>, NotText> {
        match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(NotText),
        }
    }
}

impl Strings for BTreeMap<&str, &str> {
    fn read(&self, name: &str) -> Result<Option<String>, NotText> {
        Ok(self.get(name).map(|value| (*value).to_owned()))
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file; line and column from one.
    File {
        /// As it was named.
        path: Arc<str>,
        /// From one.
        line: usize,
        /// From one, in characters.
        column: usize,
    },
    /// A configuration file as a whole.
    WholeFile(Arc<str>),
    /// The environment.
    Environment,
    /// A file named by a setting that ends in `_FILE` or `_file`.
    SecretFile(String),
    /// Several settings, each fine by itself, that do not go together.
    Together,
    /// Laid over the configuration by a demonstration.
    Demo,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::WholeFile(path) => f.write_str(path),
            Self::Environment => f.write_str("environment"),
            Self::SecretFile(path) => write!(f, "file {path}"),
            Self::Together => f.write_str("taken together"),
            Self::Demo => f.write_str("demo"),
        }
    }
}

/// A value nobody has looked at yet.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// All layers laid over each other.
#[derive(Clone, Default)]
pub(super) struct Layers {
    pub(super) values: BTreeMap<&'static str, Raw>,
    pub(super) errors: Vec<ConfigError>,
    /// Variables that are there and empty.
    pub(super) blank: Vec<&'static str>,
}

/// Says nothing: secrets lie bare in it.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layers")
    }
}

impl Layers {
    pub(super) fn replace(&mut self, setting: &'static Setting, text: Option<String>) {
        match text {
            Some(text) => self.values.insert(setting.env, Raw { text, origin: Origin::Demo }),
            None => self.values.remove(setting.env),
        };
    }

    pub(super) fn read_file(&mut self, path: &Path) {
        let name: Arc<str> = path.display().to_string().into();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let origin = Origin::WholeFile(name);
                self.error("configuration file", origin, error.to_string(), "name a file that can be read");
                return;
            }
        };
        self.read_toml(&name, &text);
    }

    pub(super) fn read_toml(&mut self, name: &Arc<str>, text: &str) {
        let at = |span: Range<usize>| position(name, text, span.start);
        let (document, broken) = DeTable::parse_recoverable(text);
        for error in &broken {
            let origin = at(error.span().unwrap_or_default());
            self.error(
                "configuration file",
                origin,
                error.message().to_owned(),
                "see toml.io for the syntax",
            );
        }
        for (table, content) in document.get_ref() {
            let (name, origin) = (table.get_ref(), at(table.span()));
            if !settings::ALL.iter().any(|setting| setting.table == name) {
                let known = listed(settings::ALL.iter().map(|setting| setting.table));
                self.error(name, origin, "there is no such table", &format!("the tables are {known}"));
            } else if let DeValue::Table(content) = content.get_ref() {
                for (key, value) in content {
                    self.read_key(name, key.get_ref(), at(key.span()), value, at(value.span()));
                }
            } else {
                self.error(name, origin, "this is a table", &format!("write [{name}] on a line of its own"));
            }
        }
    }

    pub(super) fn read_environment(&mut self, environment: &dyn Strings) {
        for &setting in settings::ALL {
            let plain = self.variable(environment, setting.env);
            let file_name = format!("{}_FILE", setting.env);
            let file = if setting.secret { self.variable(environment, &file_name) } else { None };
            match (plain, file) {
                (Some(_), Some(_)) => {
                    let fix = format!("unset one of {} and {file_name}", setting.env);
                    self.error(setting.env, Origin::Environment, "it is given twice", &fix);
                }
                (Some(text), None) => {
                    self.values.insert(setting.env, Raw { text, origin: Origin::Environment });
                }
                (None, Some(path)) => self.read_secret(setting, &file_name, path, Origin::Environment),
                (None, None) => {
                    if matches!(environment.read(setting.env), Ok(Some(_))) {
                        self.blank.push(setting.env);
                    }
                }
            }
        }
    }

    pub(super) fn error(&mut self, setting: &str, origin: Origin, problem: impl Into<String>, fix: &str) {
        self.errors.push(ConfigError {
            setting: setting.to_owned(),
            origin,
            problem: problem.into(),
            fix: fix.to_owned(),
        });
    }

    fn read_key(
        &mut self,
        table: &str,
        key: &str,
        key_at: Origin,
        value: &Spanned<DeValue<'_>>,
        value_at: Origin,
    ) {
        let named = |setting: &&&Setting| setting.table == table && setting.key == key;
        let from_file = |setting: &&&Setting| {
            setting.table == table && setting.secret && key.strip_suffix("_file") == Some(setting.key)
        };
        let full = format!("{table}.{key}");
        let Some(text) = scalar(value.get_ref()) else {
            self.error(&full, value_at, "this is a list, table or date", "write a text or a number");
            return;
        };
        if let Some(setting) = settings::ALL.iter().find(named) {
            if self.values.insert(setting.env, Raw { text, origin: value_at.clone() }).is_some() {
                self.error(&full, value_at, "it is given twice", &format!("remove {key} or {key}_file"));
            }
        } else if let Some(setting) = settings::ALL.iter().find(from_file) {
            if self.values.contains_key(setting.env) {
                let fix = format!("remove {} or {key}", setting.key);
                self.error(&full, value_at, "it is given twice", &fix);
            } else {
                self.read_secret(setting, &full, text, value_at);
            }
        } else {
            let keys =
                settings::ALL.iter().filter(|setting| setting.table == table).map(|setting| setting.key);
            let known = listed(keys);
            self.error(&full, key_at, "there is no such setting", &format!("[{table}] has {known}"));
        }
    }

    fn read_secret(&mut self, setting: &Setting, name: &str, path: String, origin: Origin) {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let raw = Raw { text: text.trim_end().to_owned(), origin: Origin::SecretFile(path) };
                self.values.insert(setting.env, raw);
            }
            Err(error) => {
                let problem = format!("cannot read {path}: {error}");
                self.error(name, origin, problem, "name a file that can be read and holds only the secret");
            }
        }
    }

    /// Empty counts as unset: that is how container files leave things out.
    fn variable(&mut self, environment: &dyn Strings, name: &str) -> Option<String> {
        match environment.read(name) {
            Ok(value) => value.filter(|value| !value.trim().is_empty()),
            Err(NotText) => {
                self.error(name, Origin::Environment, "it is not valid UTF-8", "set it to a text");
                None
            }
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn listed(names: impl Iterator<Item = &'static str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names.join(", ")
}

fn position(path: &Arc<str>, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Origin::File { path: Arc::clone(path), line, column }
}
