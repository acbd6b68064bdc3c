//! Writes `application/x-www-form-urlencoded`, and what stands in a path.

use std::fmt::Write as _;

/// Parameters in the order in which they were pushed. Names may repeat.
#[derive(Default)]
pub(super) struct Params(String);

impl Params {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        escape(&mut self.0, name);
        self.0.push('=');
        escape(&mut self.0, value);
    }

    pub(super) fn push_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    pub(super) fn push_flag(&mut self, name: &str, value: Option<bool>) {
        self.push_some(name, value.map(|flag| if flag { "true" } else { "false" }));
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One segment of a path, whatever it is made of.
pub(super) fn segment(text: &str) -> String {
    let mut escaped = String::new();
    escape(&mut escaped, text);
    escaped
}

/// `%xx` for everything that has a meaning somewhere; a space too, because `+` is one in forms only.
fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => write!(out, "%{other:02X}").expect("writing to a string cannot fail"),
        }
    }
}
