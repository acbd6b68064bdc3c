//! Rules about words that must not stand in the workspace, or not without a reason.

use crate::source::{Source, find, line_at};
use crate::{Offence, Rule, ban, each};

const PURE: &[&str] = &["voice-core", "voice-providers", "voice-telephony"];

#[test]
fn nothing_is_left_for_later() {
    // Written in pieces, so that the rule does not accuse itself.
    const WORDS: &[&str] = &[
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("#[ign", "ore"),
    ];
    let planted: Vec<_> = WORDS.iter().map(|word| format!("fn a() {{}} // {word}]\n")).collect();
    let rule = Rule(|tree| {
        let code = tree.iter().filter(|file| !file.path.ends_with(".md"));
        each(code, |file, offences| ban(file, &file.text, WORDS, "now, or an issue", offences))
    });
    planted
        .iter()
        .fold(rule, |rule, text| rule.catches(&[("voice-core/src/a.rs", text)]))
        .allows(&[("a/tests/a.rs", "const SID: &str = \"ACXXXX\"; fn to_do() {}\n")])
        .holds();
}

#[test]
fn clocks_and_chance_stay_in_the_driver() {
    Rule(|tree| {
        let free = |file: &Source| {
            file.path == "voice-core/src/driver/clock.rs" || file.path.starts_with("voice-providers/src/dial")
        };
        each(tree.iter().filter(|file| PURE.contains(&file.member()) && !free(file)), |file, offences| {
            let words = ["Instant::now", "SystemTime::now", "sleep(", "rand::", "thread_rng", "getrandom"];
            ban(file, &file.shipped, &words, "time is an argument, randomness is a seed", offences);
        })
    })
    .catches(&[("voice-core/src/call/mod.rs", "let now = std::time::Instant::now();\n")])
    .catches(&[("voice-core/src/driver/run.rs", "tokio::time::sleep(wait).await;\n")])
    .catches(&[("voice-telephony/src/ticket.rs", "let now = SystemTime::now();\n")])
    .catches(&[("voice-providers/src/openai/mod.rs", "rand::random::<u64>();\n")])
    .allows(&[
        (
            "voice-core/src/driver/run.rs",
            "// never sleep(\ntokio::time::sleep_until(at).await; operand::a();\n",
        ),
        ("voice-core/src/driver/clock.rs", "Instant::now();\n"),
        ("voice-core/tests/a.rs", "Instant::now();\n"),
        ("voice-bin/src/server.rs", "SystemTime::now();\n"),
    ])
    .holds();
}

#[test]
fn no_channel_is_without_a_bound() {
    Rule(|tree| {
        each(tree, |file, offences| {
            let words =
                ["unbounded", "unbounded_channel", "UnboundedSender", "UnboundedReceiver", "mpsc::channel()"];
            ban(file, &file.code, &words, "every queue has its bound in limits.rs", offences);
        })
    })
    .catches(&[("voice-bin/src/a.rs", "let (a, b) = mpsc::unbounded_channel();\n")])
    .catches(&[("voice-bin/src/a.rs", "let (a, b) = std::sync::mpsc::channel();\n")])
    .allows(&[("voice-bin/src/a.rs", "// not unbounded\nlet (a, b) = mpsc::channel(8);\n")])
    .holds();
}

#[test]
fn every_lock_and_every_task_has_its_reason_beside_it() {
    Rule(|tree| {
        each(tree, |file, offences| {
            let lines: Vec<_> = file.text.lines().collect();
            for word in ["Mutex", "RwLock", "spawn(", "spawn_blocking(", "spawn_local("] {
                let places: Vec<_> =
                    find(&file.shipped, word).map(|at| (at, line_at(&file.shipped, at))).collect();
                // A reason stands where the lock is declared; making it needs none, unless that is all there is.
                let made = |at: usize| file.shipped[at + word.len()..].starts_with("::new");
                let declared = places.iter().any(|&(at, line)| !made(at) && !imported(lines[line - 1]));
                for (at, line) in places {
                    let exempt = imported(lines[line - 1]) || declared && made(at);
                    let near = &lines[line.saturating_sub(4)..line];
                    if !exempt && !near.iter().any(|line| line.contains("//")) {
                        offences.push(Offence::new(
                            file,
                            line,
                            &format!("`{word}` without a comment that says why"),
                        ));
                    }
                }
            }
        })
    })
    .catches(&[("voice-bin/src/a.rs", "struct A {\n    b: Mutex<u8>,\n}\n")])
    .catches(&[("voice-bin/src/a.rs", "// Far away.\n\n\n\nfn a() { tokio::spawn(b()); }\n")])
    .catches(&[("voice-bin/src/a.rs", "use c::Mutex;\nfn a() { let b = Arc::new(Mutex::new(0)); }\n")])
    .allows(&[
        (
            "voice-bin/src/a.rs",
            "use c::Mutex;\n\n\n\nstruct A {\n    /// One writer.\n    b: Mutex<u8>,\n}\n",
        ),
        (
            "voice-bin/src/b.rs",
            "// One per call.\ntokio::spawn(b());\n\n\n\nrespawn();\nfn c(d: MutexGuard<u8>) {}\n",
        ),
        ("voice-bin/tests/a.rs", "fn a() { tokio::spawn(b()); }\n"),
    ])
    .holds();
}

fn imported(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use ")
}

#[test]
fn only_phase_rs_changes_the_phase() {
    Rule(|tree| {
        let others = tree.iter().filter(|file| {
            file.path.starts_with("voice-core/src/")
                && file.path != "voice-core/src/call/phase.rs"
                && !file.path.starts_with("voice-core/src/call/phase/")
        });
        each(others, |file, offences| {
            for at in find(&file.shipped, "self.phase") {
                let rest = file.shipped[at + "self.phase".len()..].trim_start();
                let assigned = rest.starts_with('=') && !rest.starts_with("==") && !rest.starts_with("=>");
                let swapped = ["replace(&mut ", "take(&mut ", "swap(&mut "]
                    .iter()
                    .any(|w| file.shipped[..at].ends_with(w));
                if assigned || swapped {
                    let line = line_at(&file.shipped, at);
                    offences.push(Offence::new(
                        file,
                        line,
                        "transitions live in call/phase.rs and call/phase/, and nowhere else",
                    ));
                }
            }
        })
    })
    .catches(&[("voice-core/src/call/mod.rs", "self.phase = Phase::Ended;\n")])
    .catches(&[("voice-core/src/call/mod.rs", "let old = mem::replace(&mut self.phase, Phase::Ended);\n")])
    .allows(&[
        ("voice-core/src/call/mod.rs", "if self.phase == Phase::Ended { match self.phase { _ => {} } }\n"),
        ("voice-core/src/call/phase.rs", "self.phase = Phase::Ended;\n"),
        ("voice-core/src/call/phase/talking.rs", "self.phase = Phase::Ended;\n"),
    ])
    .holds();
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    const PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    const HOSTS: &[&str] = &[
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("npm", "js.org"),
        concat!("npm", "js.com"),
        concat!("deb.", "debian.org"),
    ];
    let path = format!("# built in {}voice\n", PATHS[0]);
    let scratch = concat!("cd /t", "mp/voice/target\n");
    let host = format!("curl index.{}\n", HOSTS[0]);
    Rule(|tree| {
        // The lock file names the registry in a form of cargo's own.
        each(tree.iter().filter(|file| !file.path.ends_with("Cargo.lock")), |file, offences| {
            for word in PATHS.iter().chain(HOSTS) {
                for (at, _) in file.text.match_indices(word) {
                    let what = format!("`{word}`: no paths of machines, no hosts of registries");
                    offences.push(Offence::new(file, line_at(&file.text, at), &what));
                }
            }
            for (at, root) in file.text.match_indices(concat!("/t", "mp/")) {
                let rest = file.text[at + root.len()..].split(char::is_whitespace).next().unwrap_or("");
                if rest.contains('/') {
                    offences.push(Offence::new(file, line_at(&file.text, at), "a path of one machine"));
                }
            }
        })
    })
    .catches(&[("scripts/a", &path)])
    .catches(&[("scripts/a", scratch)])
    .catches(&[("docs/a.md", &host)])
    .allows(&[("docs/a.md", "sqlite:/tmp/voice.db and homework/\n"), ("Cargo.lock", &host)])
    .holds();
}
