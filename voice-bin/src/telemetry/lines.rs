//! Log lines as they are written: one JSON object each, or for people.
//!
//! Names of fields are those of the table in `docs/monitoring/logs.md`, whatever the code calls them. Spans
//! lend their fields to the lines within, so that a line is found by the call it belongs to.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use voice_core::time::UnixMillis;

use super::event_types::of_module;
use crate::config::LogFormat;
use crate::routes::sessions::time::rfc3339;

const MESSAGE: &str = "message";
const EVENT_TYPE: &str = "event_type";

/// Fields that tie a line to its call. People at a terminal see the call's id only.
const TIES: [&str; 4] = ["correlation_id", "session_id", "carrier", EVENT_TYPE];

/// A layer of the log that writes each event as one line.
pub(super) struct Lines<W> {
    format: LogFormat,
    colours: bool,
    writer: W,
}

impl<W> Lines<W> {
    pub(super) fn new(format: LogFormat, colours: bool, writer: W) -> Self {
        Self { format, colours, writer }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let fields = Fields::of(event, &context);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = UnixMillis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        let line = Line { at, level: *metadata.level(), target: metadata.target(), fields };
        let text = match self.format {
            LogFormat::Json => line.json(),
            LogFormat::Text => line.text(self.colours),
        };
        // A log that cannot be written has nobody to tell.
        let _written_or_not = self.writer.make_writer_for(metadata).write_all(text.as_bytes());
    }
}

/// Named values, as they came.
#[derive(Default)]
pub(super) struct Fields(Vec<(&'static str, Told)>);

enum Told {
    Text(String),
    /// A number or a truth value, as JSON writes it.
    Plain(String),
}

impl Fields {
    /// What an event says, and what its spans lend to it.
    pub(super) fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Self::default();
        event.record(&mut fields);
        if let Some(scope) = context.event_scope(event) {
            // The innermost span first: what it says is nearest to the truth.
            scope.for_each(|span| {
                if let Some(lent) = span.extensions().get::<Self>() {
                    fields.borrow(lent);
                }
            });
        }
        fields
    }

    fn put(&mut self, field: &Field, told: Told) {
        let name = public_name(field.name());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, value)) => *value = told,
            None => self.0.push((name, told)),
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let (_, told) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(match told {
            Told::Text(text) | Told::Plain(text) => text,
        })
    }

    /// Takes over what is not yet said.
    fn borrow(&mut self, lent: &Self) {
        for (name, told) in &lent.0 {
            if self.find(name).is_none() {
                let told = match told {
                    Told::Text(text) => Told::Text(text.clone()),
                    Told::Plain(text) => Told::Plain(text.clone()),
                };
                self.0.push((name, told));
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Told::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Told::Text(format!("{value:?}")));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Told::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Told::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Told::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let told = if value.is_finite() { value.to_string() } else { "null".to_owned() };
        self.put(field, Told::Plain(told));
    }
}

/// What the code calls `call` is `call_id` for everybody else.
fn public_name(name: &'static str) -> &'static str {
    match name {
        "call" => "call_id",
        "correlation" => "correlation_id",
        "session" => "session_id",
        other => other.strip_prefix("log.").unwrap_or(other),
    }
}

struct Line {
    at: UnixMillis,
    level: Level,
    target: &'static str,
    fields: Fields,
}

impl Line {
    fn json(&self) -> String {
        let mut out = String::with_capacity(384);
        let kind = self.fields.find(EVENT_TYPE).unwrap_or_else(|| of_module(self.target));
        let level = self.level.as_str();
        out.push_str("{\"timestamp\":");
        quote(&rfc3339(self.at), &mut out);
        for (name, text) in [
            ("level", level),
            (EVENT_TYPE, kind),
            (MESSAGE, self.fields.find(MESSAGE).unwrap_or_default()),
            ("target", self.target),
        ] {
            member(name, &mut out);
            quote(text, &mut out);
        }
        for (name, told) in self.fields.0.iter().filter(|(name, _)| ![MESSAGE, EVENT_TYPE].contains(name)) {
            member(name, &mut out);
            match told {
                Told::Text(text) => quote(text, &mut out),
                Told::Plain(text) => out.push_str(text),
            }
        }
        out.push_str("}\n");
        out
    }

    /// `14:03:07.512  INFO call ended reason=hung_up`, in UTC: who reads along knows the day.
    fn text(&self, colours: bool) -> String {
        let of_day = self.at.0.rem_euclid(86_400_000);
        let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let (dim, colour, plain) =
            if colours { ("\x1b[2m", colour(self.level), "\x1b[0m") } else { ("", "", "") };
        let message = printable(self.fields.find(MESSAGE).unwrap_or_default());
        let level = self.level.as_str();
        let mut out = format!(
            "{dim}{hour:02}:{minute:02}:{second:02}.{millis:03}{plain} {colour}{level:>5}{plain} {message}"
        );
        let is_call = self.fields.find("call_id").is_some();
        for (name, told) in &self.fields.0 {
            let is_tie = TIES.contains(name) && (is_call || *name == EVENT_TYPE);
            if *name == MESSAGE || is_tie {
                continue;
            }
            let (Told::Text(value) | Told::Plain(value)) = told;
            let value = printable(value);
            let quotes = if value.contains(' ') { "\"" } else { "" };
            // A string takes whatever is written into it.
            let _always = write!(out, " {dim}{name}={plain}{quotes}{value}{quotes}");
        }
        out.push('\n');
        out
    }
}

fn member(name: &str, out: &mut String) {
    out.push(',');
    quote(name, out);
    out.push(':');
}

/// As a JSON string (RFC 8259, section 7).
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // A string takes whatever is written into it.
                let _always = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Nothing that a peer sends may move the cursor of a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>().into()
    } else {
        text.into()
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::log::tests::Kept;

    fn told(format: LogFormat, say: impl FnOnce()) -> String {
        let kept = Kept::default();
        let layer = Lines::new(format, false, kept.writer());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        kept.text()
    }

    #[test]
    fn a_line_is_one_object_with_the_names_of_the_table_and_what_its_spans_lend() {
        let text = told(LogFormat::Json, || {
            let span = tracing::error_span!("call", correlation = "c-1", call = "outer");
            let _in = span.enter();
            tracing::warn!(
                call = "inner",
                count = 7_u32,
                share = f64::NAN,
                ok = true,
                error = "a\"b\n\u{1b}",
                "gone"
            );
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        for (name, value) in [
            ("level", "WARN"),
            ("event_type", "server"),
            ("message", "gone"),
            ("correlation_id", "c-1"),
            ("call_id", "inner"),
            ("error", "a\"b\n\u{1b}"),
        ] {
            assert_eq!(line[name], value, "{name} in {text}");
        }
        assert_eq!((&line["count"], &line["share"], &line["ok"]), (&7.into(), &Value::Null, &true.into()));
        assert_eq!(text.matches("call_id").count(), 1, "{text}");
    }

    #[test]
    fn people_see_what_happened_and_no_tricks_of_a_peer() {
        let text = told(LogFormat::Text, || {
            tracing::error_span!("call", correlation = "c-1").in_scope(|| {
                tracing::info!(event_type = "call.ended", call = "x", error = "two words\u{1b}[2J\n", "over");
                tracing::info!("no call yet");
            });
        });
        let mut lines = text.lines();
        let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(first.ends_with("  INFO over call_id=x error=\"two words\u{fffd}[2J\u{fffd}\""), "{first}");
        assert!(second.ends_with("  INFO no call yet correlation_id=c-1"), "{second}");
        assert_eq!(lines.next(), None);
    }
}
