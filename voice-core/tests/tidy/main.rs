//! House rules that no compiler knows, kept as tests over the source of the whole workspace.
//!
//! Each rule is a function of paths and texts, and carries sources that it must catch and sources that
//! it must allow: a rule that cannot fire fails. What the rules mean and why stands in CONTRIBUTING.md.

mod layers;
mod places;
mod shape;
mod source;
mod words;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use source::{Source, find, line_at};

/// A line that breaks a rule.
pub(crate) struct Offence(String);

impl Offence {
    pub(crate) fn new(file: &Source, line: usize, what: &str) -> Self {
        Self(format!("{}:{line}: {what}", file.path))
    }
}

/// A rule under test. Its last word is [`Rule::holds`].
pub(crate) struct Rule(fn(&[Source]) -> Vec<Offence>);

impl Rule {
    /// Asserts that the rule finds something wrong with these files.
    pub(crate) fn catches(self, planted: &[(&str, &str)]) -> Self {
        assert!(
            !(self.0)(&sources(planted)).is_empty(),
            "the rule does not see what is wrong with {planted:?}"
        );
        self
    }

    /// Asserts that the rule finds nothing wrong with these files.
    pub(crate) fn allows(self, innocent: &[(&str, &str)]) -> Self {
        let offences = (self.0)(&sources(innocent));
        assert!(offences.is_empty(), "the rule accuses the innocent:\n{}", listed(&offences));
        self
    }

    /// Asserts that the workspace keeps the rule.
    pub(crate) fn holds(self) {
        let offences = (self.0)(&WORKSPACE);
        assert!(offences.is_empty(), "{} offence(s):\n{}\n", offences.len(), listed(&offences));
    }
}

/// Offences of the files that a rule is about, judged one by one.
pub(crate) fn each<'s>(
    files: impl IntoIterator<Item = &'s Source>,
    judge: impl Fn(&Source, &mut Vec<Offence>),
) -> Vec<Offence> {
    let mut offences = Vec::new();
    files.into_iter().for_each(|file| judge(file, &mut offences));
    offences
}

/// Accuses every place in `text` (one of the file's own) where one of the patterns stands as a word.
pub(crate) fn ban(file: &Source, text: &str, patterns: &[&str], why: &str, offences: &mut Vec<Offence>) {
    for pattern in patterns {
        for at in find(text, pattern) {
            offences.push(Offence::new(file, line_at(text, at), &format!("`{pattern}`: {why}")));
        }
    }
}

static WORKSPACE: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let mut files = Vec::new();
    walk(root, "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
});

/// Collects the text files below a folder; what is no text (recorded speech, databases) is left out.
fn walk(folder: &Path, prefix: &str, files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("folders of the workspace can be read") {
        let entry = entry.expect("folders of the workspace can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if matches!(name.as_str(), "target" | ".git" | ".venv" | "node_modules") {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(Source::new(&path, &text));
        }
    }
}

fn sources(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

fn listed(offences: &[Offence]) -> String {
    offences.iter().map(|offence| offence.0.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_rules_see_the_whole_workspace() {
    for path in
        ["Cargo.toml", "voice-core/src/lib.rs", "voice-core/src/driver/clock.rs", "voice-bin/src/lib.rs"]
    {
        assert!(WORKSPACE.iter().any(|file| file.path == path), "{path} was not read");
    }
    assert!(WORKSPACE.iter().all(|file| !file.path.contains("target/")), "build products are not source");
}
