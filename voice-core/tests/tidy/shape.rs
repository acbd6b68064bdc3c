//! Rules about the shape of files and functions.

use crate::source::{Source, functions, line_at};
use crate::{Offence, Rule, each};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

fn rust(tree: &[Source]) -> impl Iterator<Item = &Source> {
    tree.iter().filter(|file| file.is_rust())
}

#[test]
fn every_file_opens_with_its_subject() {
    Rule(|tree| {
        each(rust(tree), |file, offences| {
            let subject = file.text.strip_prefix("//!").and_then(|rest| rest.lines().next()).unwrap_or("");
            if subject.trim().is_empty() {
                offences.push(Offence::new(
                    file,
                    1,
                    "the first line is a `//!` sentence that names the subject",
                ));
            }
        })
    })
    .catches(&[("a.rs", "use b;\n")])
    .catches(&[("a.rs", "//!\n//! Late.\n")])
    .allows(&[("a.rs", "//! One thing.\n"), ("b.sh", "# not Rust")])
    .holds();
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let long = "//\n".repeat(FILE_LINES_MAX + 1);
    Rule(|tree| {
        each(rust(tree), |file, offences| {
            let lines = file.text.lines().count();
            if lines > FILE_LINES_MAX {
                offences.push(Offence::new(
                    file,
                    lines,
                    "more than 600 lines: which two subjects are in here?",
                ));
            }
        })
    })
    .catches(&[("a/tests/a.rs", &long)])
    .allows(&[("a.rs", &long[3..]), ("long.md", &long)])
    .holds();
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let of = |lines: usize| {
        format!("impl A {{\n    fn a() {{\n{}    }}\n}}\n", "        b();\n".repeat(lines - 2))
    };
    let excused = of(FUNCTION_LINES_MAX + 1).replacen(
        "    fn",
        "    #[allow(clippy::too_many_lines, reason = \"a table\")]\n    fn",
        1,
    );
    let commented = of(FUNCTION_LINES_MAX).replacen("b();", "b();\n\n // why", 9);
    let tested = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", of(FUNCTION_LINES_MAX + 1));
    Rule(|tree| {
        each(tree, |file, offences| {
            for (name, from, to) in functions(&file.shipped) {
                // Comments and blank lines are free: a limit must not be kept by deleting them.
                let lines = file.shipped[from..to].lines().filter(|line| !line.trim().is_empty()).count();
                // A table with a row for each variant is one thought; it says so to clippy, with a reason.
                let above = file.shipped[..from].trim_end();
                let excused = above[above.rfind("\n\n").unwrap_or(0)..].contains("clippy::too_many_lines");
                if lines > FUNCTION_LINES_MAX && !excused {
                    let what = format!("`{name}` has {lines} lines, more than {FUNCTION_LINES_MAX}");
                    offences.push(Offence::new(file, line_at(&file.shipped, from), &what));
                }
            }
        })
    })
    .catches(&[("a/src/a.rs", &of(FUNCTION_LINES_MAX + 1))])
    .allows(&[("a/src/a.rs", &of(FUNCTION_LINES_MAX)), ("a/src/b.rs", &commented), ("a/src/c.rs", &tested)])
    .allows(&[("a/src/d.rs", &excused)])
    .holds();
}

#[test]
fn every_crate_forbids_unsafe_code() {
    Rule(|tree| {
        let roots = tree.iter().filter(|file| {
            let member = file.member();
            member.starts_with("voice-") && file.path == format!("{member}/src/lib.rs")
        });
        each(roots, |file, offences| {
            if !file.shipped.contains("#![forbid(unsafe_code)]") {
                offences.push(Offence::new(file, 1, "the crate's root says `#![forbid(unsafe_code)]`"));
            }
        })
    })
    .catches(&[("voice-new/src/lib.rs", "//! New.\n// #![forbid(unsafe_code)]\n")])
    .allows(&[
        ("voice-new/src/lib.rs", "//! New.\n#![forbid(unsafe_code)]\n"),
        ("voice-new/src/a/lib.rs", ""),
    ])
    .holds();
}
