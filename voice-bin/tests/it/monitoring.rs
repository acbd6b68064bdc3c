//! What is said about metrics under docs/monitoring is true: every rule, dashboard and runbook names metrics
//! and labels that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use voice_bin::telemetry::{EVENT_TYPES, Kind, Metric, TABLE};

/// Words of the query language, and what Prometheus itself adds.
const WORDS: [&str; 34] = [
    "sum",
    "by",
    "rate",
    "increase",
    "count",
    "max",
    "min",
    "avg",
    "and",
    "or",
    "unless",
    "on",
    "bool",
    "without",
    "histogram_quantile",
    "avg_over_time",
    "changes",
    "le",
    "topk",
    "label_replace",
    "time",
    "vector",
    "clamp_min",
    "ignoring",
    "group_left",
    "max_over_time",
    "irate",
    "delta",
    "job",
    "instance",
    "up",
    "e",
    "offset",
    "absent",
];

#[test]
fn every_rule_names_what_there_is_and_has_a_section_in_the_runbook() {
    let (rules, runbook) = (read("alerts.yml"), read("runbook.md"));
    let names: Vec<&str> = values(&rules, "- alert: ").collect();
    let exprs: Vec<String> = values(&rules, "expr: ").map(unquoted).collect();
    assert_eq!(names.len(), exprs.len());
    assert!(names.len() >= 40, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name stands twice");
    for (name, expr) in names.iter().zip(&exprs) {
        let used = check(expr).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(used > 0 || expr.contains("up{"), "{name} looks at nothing");
        assert!(runbook.contains(&format!("### {name}\n")), "{name} has no section in the runbook");
    }
    for key in ["severity: ", "summary: ", "description: ", "runbook_url: "] {
        assert_eq!(values(&rules, key).count(), names.len(), "{key}");
    }
    let tests: String = fs::read_dir(path("tests"))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    for name in &names {
        // Once that it fires, once that it clears.
        assert_eq!(tests.matches(&format!("alertname: {name}\n")).count(), 2, "{name} is not tested");
    }
}

#[test]
fn every_panel_of_the_dashboard_names_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut exprs = 0;
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id stands twice");
        let (title, place) = (panel["title"].as_str().unwrap(), &panel["gridPos"]);
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{title} is too wide");
        for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
            let expr = target["expr"].as_str().unwrap();
            let used = check(expr).unwrap_or_else(|problem| panic!("{title}: {problem}"));
            assert!(used > 0 || expr.contains("up{"), "{title} looks at nothing");
            exprs += 1;
        }
    }
    assert!(exprs >= 30, "{exprs}");
}

#[test]
fn the_manual_lists_every_metric_and_every_alert() {
    let (manual, rules) = (read("README.md"), read("alerts.yml"));
    for Metric { name, labels, help, .. } in TABLE {
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let row = manual.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {labels} | {help} |"))), "{name}: {row:?}");
    }
    for alert in values(&rules, "- alert: ") {
        assert!(manual.contains(&format!("[{alert}](runbook.md#{})", alert.to_lowercase())), "{alert}");
    }
}

#[test]
fn the_manual_of_the_log_has_every_event_type_and_no_other() {
    let manual = read("logs.md");
    let rows = manual.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 3);
    let told: Vec<&str> = rows.skip_while(|row| !row.contains(EVENT_TYPES[0].name)).collect();
    let expected: Vec<String> =
        EVENT_TYPES.iter().map(|kind| format!("| `{}` | {} |", kind.name, kind.when)).collect();
    assert_eq!(told, expected);
}

#[test]
fn every_event_type_is_written_by_somebody_and_none_is_made_up() {
    let table = source("telemetry/event_types.rs");
    let all: String = sources().into_iter().filter(|text| *text != table).collect();
    let constants: Vec<&str> =
        table.lines().filter_map(|line| line.trim().split_once(" = \"").map(|(name, _)| name)).collect();
    assert_eq!(constants.len(), EVENT_TYPES.len());
    let by_module = &table[table.find("fn of_module").unwrap()..];
    for constant in constants {
        let is_word =
            |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == constant);
        assert!(is_word(&all) || is_word(by_module), "nobody writes {constant}");
    }
    for text in sources() {
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        assert!(!shipped.contains("event_type = \""), "an event type that may have no row: {shipped}");
    }
}

#[test]
fn what_is_not_there_is_found_out() {
    for wrong in [
        "rate(no_such_total[5m])",
        "sum by (colour) (rate(call_started_total[5m]))",
        "call_started_total{colour=\"red\"}",
        "voice_calls_active_bucket",
        "rate(audio_quality_mos_score[5m])",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}

/// How many metrics an expression uses; the error names what does not exist.
fn check(expr: &str) -> Result<usize, String> {
    let text = without_strings(expr);
    let metrics: Vec<&Metric> = words(&text).iter().filter_map(|word| metric(word)).collect();
    let labels = |label: &str| label == "le" || metrics.iter().any(|metric| metric.labels.contains(&label));
    for word in words(&text) {
        let is_known = metric(&word).is_some() || labels(&word) || WORDS.contains(&word.as_str());
        if !is_known {
            return Err(format!("{word} in {expr}"));
        }
    }
    Ok(metrics.len())
}

/// The metric of a series; a histogram's series have endings.
fn metric(series: &str) -> Option<&'static Metric> {
    TABLE.iter().find(|metric| match metric.kind {
        Kind::Histogram(..) => {
            ["_bucket", "_sum", "_count"].iter().any(|end| series.strip_suffix(end) == Some(metric.name))
        }
        Kind::Counter(_) | Kind::Gauge(_) => series == metric.name,
    })
}

/// Names in an expression; durations and numbers are none.
fn words(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let words = text.split(|c: char| !is_part(c)).filter(|word| !word.is_empty());
    words
        .filter(|word| !word.starts_with(|c: char| c.is_ascii_digit() || c == '$'))
        .map(str::to_owned)
        .collect()
}

fn without_strings(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim().strip_prefix(key))
}

fn unquoted(text: &str) -> String {
    text.trim_matches('\'').replace("''", "'")
}

/// A file of the server's source.
fn source(name: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(name)).unwrap()
}

/// All of them.
fn sources() -> Vec<String> {
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring").join(name)
}
