//! Rules about things that have one place: JSON, serialised forms, vendors' names, metric names.

use crate::source::{Source, find, line_at, names_after};
use crate::{Offence, Rule, ban, each};

/// Where values may have a serialised form.
fn is_edge(path: &str) -> bool {
    let folders = ["/sim/", "/store/", "/routes/", "/wire/", "/config/", "/output/"];
    let files = ["/wire.rs", "/ticket.rs", "/config.rs", "/store.rs", "/routes.rs", "/output.rs"];
    folders.iter().any(|folder| path.contains(folder)) || files.iter().any(|file| path.ends_with(file))
}

/// Where JSON may be handled without a type: fakes, and forms that others define.
fn is_loose(path: &str) -> bool {
    let server = ["voice-bin/src/store", "voice-bin/src/routes", "voice-bin/src/fakes"];
    path.contains("/sim/") || server.iter().any(|place| path.starts_with(place))
}

#[test]
fn untyped_json_is_for_tests_and_fakes() {
    Rule(|tree| {
        each(tree.iter().filter(|file| !is_loose(&file.path)), |file, offences| {
            let code = file.shipped.as_str();
            ban(file, code, &["json!"], "typed messages instead", offences);
            for at in find(code, "serde_json::") {
                if names_after(&code[at + "serde_json::".len()..])
                    .iter()
                    .any(|name| matches!(*name, "Value" | "json"))
                {
                    offences.push(Offence::new(
                        file,
                        line_at(code, at),
                        "untyped JSON: typed messages instead",
                    ));
                }
            }
        })
    })
    .catches(&[("voice-providers/src/openai/wire.rs", "send(json!({}));\n")])
    .catches(&[("voice-telephony/src/twilio/wire.rs", "let v: serde_json::Value = a;\n")])
    .catches(&[("voice-telephony/src/twilio/wire.rs", "use serde_json::{Map, Value};\n")])
    .allows(&[
        (
            "voice-providers/src/openai/wire.rs",
            "use serde_json::value::RawValue;\nserde_json::to_string(&a);\n",
        ),
        ("voice-providers/src/sim/openai.rs", "use serde_json::{Value, json};\n"),
        ("voice-providers/src/openai/session.rs", "#[cfg(test)]\nmod tests { use serde_json::json; }\n"),
    ])
    .holds();
}

#[test]
fn the_core_has_no_serialised_form() {
    Rule(|tree| {
        let core = tree.iter().filter(|file| file.path.starts_with("voice-core/src/"));
        each(core, |file, offences| {
            let why = "core values have no serialised form; the edge converts";
            ban(file, &file.shipped, &["serde", "serde_json", "Serialize", "Deserialize"], why, offences);
        })
    })
    .catches(&[("voice-core/src/sim/peer.rs", "#[derive(serde::Serialize)]\nstruct A;\n")])
    .allows(&[(
        "voice-core/src/record.rs",
        "// No serde.\n#[cfg(test)]\nmod tests { use serde_json::json; }\n",
    )])
    .holds();
}

#[test]
fn serialised_forms_stand_in_few_places() {
    Rule(|tree| {
        let shipped = tree.iter().filter(|file| file.member().starts_with("voice-") && !is_edge(&file.path));
        each(shipped, |file, offences| {
            let why =
                "serialised forms stand in wire.rs, sim/, store/, routes/, output/, ticket.rs and config.rs";
            ban(file, &file.shipped, &["Serialize", "Deserialize"], why, offences);
        })
    })
    .catches(&[("voice-telephony/src/twilio/session.rs", "#[derive(Debug, Deserialize)]\nstruct A;\n")])
    .catches(&[("voice-bin/src/server.rs", "impl serde::Serialize for A {}\n")])
    .allows(&[
        ("voice-telephony/src/twilio/wire.rs", "#[derive(Deserialize)]\nstruct A;\n"),
        ("voice-bin/src/store/format.rs", "#[derive(Serialize)]\nstruct A;\n"),
        ("voice-bin/src/server.rs", "/// Not Serialize.\nstruct A;\n"),
    ])
    .holds();
}

#[test]
fn the_call_knows_no_vendor() {
    Rule(|tree| {
        let inside = |file: &&Source| {
            file.path.starts_with("voice-core/src/call/") || file.path == "voice-core/src/bridge.rs"
        };
        each(tree.iter().filter(inside), |file, offences| {
            let text = file.spoken.to_lowercase();
            for word in ["twilio", "telnyx", "openai", "gemini", "deepgram", "json"] {
                for (at, _) in text.match_indices(word) {
                    let what =
                        format!("`{word}`: the call does not know who is on the line, or in which form");
                    offences.push(Offence::new(file, line_at(&text, at), &what));
                }
            }
        })
    })
    .catches(&[("voice-core/src/call/mod.rs", "enum A { OpenAi }\n")])
    .catches(&[("voice-core/src/call/mod.rs", "let a = \"twilio\";\n")])
    .catches(&[("voice-core/src/call/tools.rs", "fn to_json() {}\n")])
    .allows(&[
        ("voice-core/src/call/mod.rs", "#[cfg(test)]\nmod tests { const A: &str = \"openai\"; }\n"),
        ("voice-core/src/carrier.rs", "let a = \"twilio\";\n"),
    ])
    .holds();
}

#[test]
fn metric_names_stand_in_one_file() {
    Rule(|tree| {
        let mut named = tree.iter().filter_map(|file| Some((file, metric(file)?)));
        let Some((first, _)) = named.next() else { return Vec::new() };
        named
            .map(|(file, line)| {
                Offence::new(file, line, &format!("metrics are named in {} already", first.path))
            })
            .collect()
    })
    .catches(&[
        ("voice-core/src/driver/metrics.rs", "metrics::counter!(\"voice_calls_total\");\n"),
        ("voice-bin/src/server.rs", "gauge!(\n    \"voice_lines\"\n);\n"),
    ])
    .allows(&[
        ("voice-core/src/driver/metrics.rs", "counter!(\"voice_calls_total\"); gauge!(\"voice_lines\");\n"),
        (
            "voice-bin/src/server.rs",
            "// counter!(\"voice_a\")\ncounter!(names::REQUESTS); let a = \"voice_url\";\n",
        ),
    ])
    .holds();
}

/// The first line on which the file names a metric itself.
fn metric(file: &Source) -> Option<usize> {
    let macros = ["counter!(", "gauge!(", "histogram!("];
    let described = ["describe_counter!(", "describe_gauge!(", "describe_histogram!("];
    macros
        .iter()
        .chain(&described)
        .flat_map(|name| find(&file.spoken, name).map(|at| at + name.len()))
        .filter(|&at| file.spoken[at..].trim_start().starts_with('"'))
        .map(|at| line_at(&file.spoken, at))
        .min()
}
