//! Who may import whom: the order of the crates, and the layers inside `voice-core`.

use crate::source::{Source, find, line_at, names_after};
use crate::{Offence, Rule, ban, each};

/// The modules of `voice-core`, lowest layer first. A module imports from lower layers only, never from
/// its own. A new module gets its place here.
const LAYERS: &[&[&str]] = &[
    &["id", "limits", "sensitive", "time"],
    &["audio", "wire"],
    &["capabilities", "failure"],
    &["consent", "conversation"],
    &["recording"],
    &["carrier", "provider", "transfer"],
    &["record"],
    &["breaker"],
    &["keys", "roster"],
    &["call"],
    &["bridge", "fleet"],
    // Nobody imports these.
    &["driver", "manual", "sim"],
];

/// What each crate must not know of, in its code and in its manifest.
const STRANGERS: &[(&str, &[&str])] = &[
    ("voice-core", &["voice-providers", "voice-telephony", "voice-bin"]),
    ("voice-providers", &["voice-telephony", "voice-bin"]),
    ("voice-telephony", &["voice-providers", "voice-bin"]),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// A file of `voice-core` below its front page: its module and how deep it lies (`a.rs` and `a/mod.rs`: 1).
fn place(file: &Source) -> Option<(&str, usize)> {
    let inside = file.path.strip_prefix("voice-core/src/")?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let module = inside.split('/').next()?;
    (module != "lib").then(|| (module, inside.split('/').count()))
}

/// Every module of the crate that the file names, with the place where it does.
fn imports(file: &Source, depth: usize) -> Vec<(usize, &str)> {
    let code = &file.shipped;
    let roots = ["crate::".to_owned(), "super::".repeat(depth)];
    let mut found = Vec::new();
    for root in &roots {
        // A longer chain of `super::` contains a shorter one; only its beginning counts.
        let starts = find(code, root).filter(|&at| !code[..at].ends_with("::"));
        for at in starts {
            let rest = &code[at + root.len()..];
            found
                .extend(names_after(rest).into_iter().filter(|name| *name != "super").map(|name| (at, name)));
        }
    }
    found
}

#[test]
fn imports_inside_voice_core_go_down_only() {
    Rule(|tree| {
        each(tree, |file, offences| {
            let Some((module, depth)) = place(file) else { return };
            let Some(own) = layer(module) else {
                offences.push(Offence::new(
                    file,
                    1,
                    &format!("`{module}` has no place in the table of layers"),
                ));
                return;
            };
            for (at, name) in imports(file, depth) {
                if name != module && layer(name).is_none_or(|other| other >= own) {
                    let what = format!("`{module}` imports `{name}`, which is not below it");
                    offences.push(Offence::new(file, line_at(&file.shipped, at), &what));
                }
            }
        })
    })
    .catches(&[("voice-core/src/wire.rs", "use crate::call::Call;\n")])
    .catches(&[("voice-core/src/wire.rs", "use crate::{limits::A, sim};\n")])
    .catches(&[("voice-core/src/id.rs", "fn a(b: crate::time::MonoTime) {}\n")])
    .catches(&[("voice-core/src/call/phase.rs", "use super::super::bridge::Bridge;\n")])
    .catches(&[("voice-core/src/call/mod.rs", "use super::bridge::Bridge;\n")])
    .catches(&[("voice-core/src/driver/run.rs", "use crate::sim::Rng;\n")])
    .catches(&[("voice-core/src/wire.rs", "use crate::Call;\n")])
    .catches(&[("voice-core/src/misc.rs", "//! No place yet.\n")])
    .allows(&[
        ("voice-core/src/lib.rs", "pub use crate::bridge::Bridge;\n"),
        ("voice-core/src/call/phase.rs", "use super::input::Input;\nuse crate::call::held::Held;\n"),
        ("voice-core/src/bridge.rs", "use crate::{audio::{Frame, convert}, call::Call};\n"),
        (
            "voice-core/src/wire.rs",
            "/// See [`crate::bridge`].\n#[cfg(test)]\nmod tests { use crate::sim::Rng; }\n",
        ),
        ("voice-providers/src/dial.rs", "use crate::openai;\n"),
    ])
    .holds();
}

#[test]
fn crates_do_not_know_those_beside_and_above_them() {
    Rule(|tree| {
        each(tree, |file, offences| {
            let strangers = STRANGERS.iter().find(|(member, _)| *member == file.member());
            for stranger in strangers.map_or(&[][..], |(_, strangers)| strangers) {
                let why = "imports go voice-bin to providers and telephony to core, and these two never meet";
                if file.path.ends_with("/Cargo.toml") {
                    ban(file, &file.text, &[*stranger], why, offences);
                }
                let (crate_name, code) = (stranger.replace('-', "_"), file.code.as_str());
                ban(file, code, &[crate_name.as_str()], why, offences);
            }
        })
    })
    .catches(&[("voice-providers/Cargo.toml", "[dev-dependencies]\nvoice-telephony.workspace = true\n")])
    .catches(&[("voice-telephony/tests/a.rs", "use voice_providers::openai;\n")])
    .catches(&[("voice-core/src/a.rs", "use voice_bin::server;\n")])
    .allows(&[
        ("voice-bin/src/lib.rs", "use voice_telephony::twilio; use voice_providers::openai;\n"),
        ("voice-providers/src/lib.rs", "// Never voice_telephony.\nuse voice_core::wire;\n"),
    ])
    .holds();
}

#[test]
fn tasks_and_sockets_stay_at_the_edge() {
    Rule(|tree| {
        let edge = |file: &Source| {
            file.path.starts_with("voice-core/src/driver/")
                || file.path.starts_with("voice-providers/src/dial")
                || file.path.starts_with("voice-telephony/src/rest")
        };
        let pure = ["voice-core", "voice-providers", "voice-telephony"];
        each(tree.iter().filter(|file| pure.contains(&file.member()) && !edge(file)), |file, offences| {
            let words =
                ["tokio", "async", "await", "futures_util", "hyper", "metrics::", "std::net::Tcp", "std::fs"];
            ban(file, &file.shipped, &words, "the pure part waits for nothing and touches nothing", offences);
        })
    })
    .catches(&[("voice-core/src/call/mod.rs", "async fn a() {}\n")])
    .catches(&[("voice-providers/src/openai/mod.rs", "use tokio::sync::mpsc;\n")])
    .allows(&[
        ("voice-core/src/driver/run.rs", "async fn a() { tokio::select! {} }\n"),
        ("voice-core/src/call/mod.rs", "// No tokio here.\n#[cfg(test)]\nmod tests { async fn a() {} }\n"),
        ("voice-bin/src/lib.rs", "async fn a() {}\n"),
    ])
    .holds();
}
