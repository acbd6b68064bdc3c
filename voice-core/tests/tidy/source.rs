//! Rust source as the rules see it: comments, strings and tests told apart from code that ships.

/// One file of the workspace, by its path from the root.
pub(crate) struct Source {
    pub(crate) path: String,
    /// The file as it stands.
    pub(crate) text: String,
    /// Comments blanked, the insides of strings and characters replaced by `_`.
    pub(crate) code: String,
    /// As `code`, with tests blanked too: what runs in front of a caller.
    pub(crate) shipped: String,
    /// As `shipped`, with strings as they stand.
    pub(crate) spoken: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (mut code, mut spoken) = (String::new(), String::new());
        if path.ends_with(".rs") {
            (code, spoken) = mask(text);
        }
        let mut shipped = code.clone();
        let in_tests = path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"));
        let tests = if in_tests { vec![(0, code.len())] } else { test_items(&code) };
        for (from, to) in tests {
            shipped.replace_range(from..to, &blank(&code[from..to]));
            spoken.replace_range(from..to, &blank(&code[from..to]));
        }
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped, spoken }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The crate or folder at the root that the file belongs to.
    pub(crate) fn member(&self) -> &str {
        self.path.split_once('/').map_or("", |(member, _)| member)
    }
}

/// Line number of an offset, from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Where the pattern stands as a word of its own: `sleep(` is not found in `wait_asleep(`.
pub(crate) fn find<'t>(text: &'t str, pattern: &'t str) -> impl Iterator<Item = usize> + 't {
    let bounded_left = pattern.starts_with(is_word);
    let bounded_right = pattern.ends_with(is_word);
    text.match_indices(pattern).map(|(at, _)| at).filter(move |&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + pattern.len()..].chars().next();
        !(bounded_left && before.is_some_and(is_word) || bounded_right && after.is_some_and(is_word))
    })
}

/// The names that a path ending in `::` goes on with: one, or all of a group's first names.
pub(crate) fn names_after(rest: &str) -> Vec<&str> {
    let rest = rest.trim_start();
    let word = |text: &str| text.trim_start().find(|c| !is_word(c)).unwrap_or(text.trim_start().len());
    if !rest.starts_with('{') {
        return vec![&rest[..word(rest)]];
    }
    let group = &rest[1..closing(rest, 0).map_or(rest.len(), |end| end - 1)];
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = group[start..at].trim_start();
                names.push(&item[..word(item)]);
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The functions of masked code: name, offset of `fn`, offset after the closing brace.
pub(crate) fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    for at in find(code, "fn") {
        let rest = code[at + 2..].trim_start();
        let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let Some(open) = opening(code, at) else { continue };
        if !name.is_empty() && code.as_bytes()[open] == b'{' {
            found.push((name, at, closing(code, open).unwrap_or(code.len())));
        }
    }
    found
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Offset of the `{` or `;` at which an item's head ends.
fn opening(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    code.bytes().enumerate().skip(from).find_map(|(at, byte)| {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' | b';' if depth == 0 => return Some(at),
            _ => {}
        }
        None
    })
}

/// Offset after the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    code.bytes().enumerate().skip(open).find_map(|(at, byte)| {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        (depth == 0).then_some(at + 1)
    })
}

/// Ranges of items that exist in tests only.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test"] {
        for at in find(code, attribute) {
            let head = at + code[at..].find(']').map_or(0, |end| end + 1);
            let Some(open) = opening(code, head) else { continue };
            let end = if code.as_bytes()[open] == b'{' { closing(code, open) } else { Some(open + 1) };
            ranges.push((at, end.unwrap_or(code.len())));
        }
    }
    ranges
}

fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The text with comments blanked: once with the insides of literals masked, once with them left.
fn mask(text: &str) -> (String, String) {
    let (mut code, mut spoken) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let glued = text[..at].ends_with(is_word);
        let (length, kind) = token(rest, glued);
        let piece = &rest[..length];
        match kind {
            Kind::Comment => {
                code.push_str(&blank(piece));
                spoken.push_str(&blank(piece));
            }
            Kind::Literal => {
                let hidden = piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { '_' });
                code.extend(hidden);
                spoken.push_str(piece);
            }
            Kind::Code => {
                code.push_str(piece);
                spoken.push_str(piece);
            }
        }
        at += length;
    }
    (code, spoken)
}

enum Kind {
    Comment,
    Literal,
    Code,
}

/// Length in bytes and kind of what the text begins with. `glued`: a word runs up to here.
fn token(rest: &str, glued: bool) -> (usize, Kind) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Kind::Comment);
    }
    if let Some(length) = raw_string(rest).filter(|_| !glued) {
        return (length, Kind::Literal);
    }
    if rest.starts_with('"') {
        return (quoted(rest, '"'), Kind::Literal);
    }
    if let Some(after) = rest.strip_prefix('\'') {
        // A lifetime has no second quote after its first character.
        let mut chars = after.chars();
        if after.starts_with('\\') || (chars.next().is_some() && chars.next() == Some('\'')) {
            return (quoted(rest, '\''), Kind::Literal);
        }
    }
    (rest.chars().next().map_or(1, char::len_utf8), Kind::Code)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < rest.len() {
        if rest.as_bytes()[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.as_bytes()[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let head = ["br", "cr", "r"].into_iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let body = head.trim_start_matches('#');
    let hashes = head.len() - body.len();
    let inside = body.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(rest.len() - inside.len() + end)
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[test]
fn literals_and_comments_hide_their_braces() {
    let text = r####"fn a<'x>(b: &'x str) { let c = ['{', '\'', '\u{7b}']; /* } /* } */ } */
        let d = "}\"}"; let e = r#"}"}"#; // }
        let r#type = br"\"; }"####;
    let found =
        functions(&Source::new("a.rs", text).code).iter().map(|f| (f.0.to_owned(), f.2)).collect::<Vec<_>>();
    assert_eq!(found, [("a".to_owned(), text.len())]);
}

#[test]
fn tests_do_not_ship() {
    let source =
        Source::new("a.rs", "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests { fn b() {} }\nfn c() {}\n");
    let names: Vec<_> = functions(&source.shipped).into_iter().map(|f| f.0).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(Source::new("tests/a.rs", "fn a() {}").shipped.trim().is_empty());
}

#[test]
fn groups_name_all_they_import() {
    assert_eq!(names_after("{a::{B, C}, d::E, self}"), ["a", "d", "self"]);
    assert_eq!(names_after("call::Call;"), ["call"]);
}
