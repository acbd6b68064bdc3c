//! A model's text, word by word, into pieces that a voice can speak: first a clause, then sentences.

/// The first piece may end at a comma, so that the voice can begin early, but not before this.
const FIRST_CHARS_MIN: usize = 12;

/// A shorter sentence waits for the next: "Yes." alone costs a request and sounds clipped.
const SENTENCE_CHARS_MIN: usize = 24;

/// Text without any end is cut between two words here. The voice takes 2000 characters at once
/// (protocol notes, Speak v1), but nobody should wait for so many.
const PIECE_CHARS_MAX: usize = 300;

/// Words with a dot that end no sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "st", "ave", "no", "nr", "vs", "etc", "e.g", "i.e", "approx", "dept",
    "est", "inc", "ltd", "co", "corp", "jr", "sr", "fig", "vol", "ext", "tel", "a.m", "p.m", "u.s", "z.b",
];

/// Takes text as it is written, gives pieces as soon as they are whole.
#[derive(Default)]
pub(super) struct Sentences {
    text: String,
    /// Up to here no end was found, so it is not looked at again.
    searched: usize,
    /// Whether a piece was given already.
    begun: bool,
}

impl Sentences {
    /// Takes more text.
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The next piece in the form to be spoken, if one is whole.
    pub(super) fn next(&mut self) -> Option<String> {
        while let Some(end) = self.end() {
            let rest = self.text.split_off(end);
            let piece = std::mem::replace(&mut self.text, rest);
            self.searched = 0;
            if let Some(piece) = spoken_form(&piece) {
                self.begun = true;
                return Some(piece);
            }
        }
        None
    }

    /// What is left, when nothing more will be written.
    pub(super) fn finish(&mut self) -> Option<String> {
        self.searched = 0;
        let piece = std::mem::take(&mut self.text);
        self.begun = true;
        spoken_form(&piece)
    }

    /// Where the first whole piece ends, in bytes.
    fn end(&mut self) -> Option<usize> {
        let mut chars = 0;
        let mut last_gap = None;
        for (at, c) in self.text.char_indices() {
            chars += 1;
            if c.is_whitespace() {
                last_gap = Some(at);
            }
            let after = at + c.len_utf8();
            if after <= self.searched {
                continue;
            }
            if self.is_end(at, c, chars) {
                return Some(self.with_closing(after));
            }
            if chars >= PIECE_CHARS_MAX {
                return Some(last_gap.filter(|gap| *gap > 0).unwrap_or(after));
            }
        }
        // The last character is looked at again: what it is depends on what follows.
        self.searched = self.text.char_indices().next_back().map_or(0, |(at, _)| at);
        None
    }

    fn is_end(&self, at: usize, c: char, chars: usize) -> bool {
        let enough = if self.begun { SENTENCE_CHARS_MIN } else { FIRST_CHARS_MIN };
        if chars < enough {
            return false;
        }
        match c {
            '\n' => true,
            '。' | '！' | '？' => true,
            '!' | '?' | '…' => self.is_followed_by_gap(at + c.len_utf8()),
            '.' => self.is_followed_by_gap(at + 1) && !self.is_abbreviation(at),
            ',' | ';' | ':' | '–' | '—' => !self.begun && self.is_followed_by_gap(at + c.len_utf8()),
            _ => false,
        }
    }

    /// Whether white space follows, perhaps after closing quotes and brackets. Not known yet at the end
    /// of the text, so then it does not: more may come, as in "3.14".
    fn is_followed_by_gap(&self, at: usize) -> bool {
        let rest = self.text[at..].trim_start_matches(is_closing);
        rest.starts_with(char::is_whitespace)
    }

    /// Whether the dot at this place ends an abbreviation, an initial or the number of a list.
    fn is_abbreviation(&self, dot: usize) -> bool {
        let before = &self.text[..dot];
        let start = before.rfind(char::is_whitespace).map_or(0, |gap| gap + 1);
        let line = before.rfind('\n').map_or(0, |gap| gap + 1);
        let word = before[start.min(before.len())..].trim_start_matches(|c: char| !c.is_alphanumeric());
        let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I";
        let item = before[line..].trim_start() == word && word.chars().all(|c| c.is_ascii_digit());
        let lower = word.to_lowercase();
        initial || item || ABBREVIATIONS.contains(&lower.as_str())
    }

    fn with_closing(&self, after: usize) -> usize {
        let rest = &self.text[after..];
        after + (rest.len() - rest.trim_start_matches(is_closing).len())
    }
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '*' | '_')
}

/// The text without what is written only for the eye (Markdown, emoji); `None` if nothing can be spoken.
pub(super) fn spoken_form(text: &str) -> Option<String> {
    let mut spoken = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_start().trim_start_matches(['#', '>']).trim_start();
        let line = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).unwrap_or(line);
        for word in without_links(line).split_whitespace() {
            let word: String = word.chars().filter(|c| is_spoken(*c)).collect();
            if word.is_empty() {
                continue;
            }
            if !spoken.is_empty() {
                spoken.push(' ');
            }
            spoken.push_str(&word);
        }
    }
    spoken.chars().any(char::is_alphanumeric).then_some(spoken)
}

fn is_spoken(c: char) -> bool {
    let emoji = matches!(u32::from(c), 0x2190..=0x2bff | 0x1f000..=0x1faff | 0xfe00..=0xfe0f | 0x200d);
    !emoji && !c.is_control() && !matches!(c, '*' | '`' | '#' | '~' | '|')
}

/// `[words](address)` becomes its words.
fn without_links(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, words, after)) = link(rest) {
        text.push_str(before);
        text.push_str(words);
        rest = after;
    }
    text.push_str(rest);
    text
}

fn link(text: &str) -> Option<(&str, &str, &str)> {
    let middle = text.find("](")?;
    let open = text[..middle].rfind('[')?;
    let close = middle + text[middle..].find(')')?;
    Some((&text[..open], &text[open + 1..middle], &text[close + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a text that is written in steps of so many characters.
    fn pieces(text: &str, step: usize) -> Vec<String> {
        let mut sentences = Sentences::default();
        let mut pieces = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(step) {
            sentences.push(&part.iter().collect::<String>());
            while let Some(piece) = sentences.next() {
                pieces.push(piece);
            }
        }
        pieces.extend(sentences.finish());
        pieces
    }

    fn check(text: &str, expected: &[&str]) {
        for step in [1, 3, 8, 1_000] {
            assert_eq!(pieces(text, step), expected, "in steps of {step}");
        }
    }

    #[test]
    fn the_first_clause_comes_before_its_sentence_is_whole() {
        check(
            "Of course I can, let me have a look at that for you, please. It is here. It is blue.",
            &["Of course I can,", "let me have a look at that for you, please.", "It is here. It is blue."],
        );
    }

    #[test]
    fn numbers_and_abbreviations_end_nothing() {
        check(
            "It costs about 3.14 or 1,000 euros. Dr. A. Smith, e.g. at 5 p.m. today, knows. Version 2.0 is out.",
            &[
                "It costs about 3.14 or 1,000 euros.",
                "Dr. A. Smith, e.g. at 5 p.m. today, knows.",
                "Version 2.0 is out.",
            ],
        );
        check(
            "We have these books here:\n1. One of red\n2. One of blue",
            &["We have these books here:", "1. One of red 2. One of blue"],
        );
    }

    #[test]
    fn short_sentences_wait_for_the_next() {
        check("Yes. No. I am not sure about it. Why?", &["Yes. No. I am not sure about it.", "Why?"]);
    }

    #[test]
    fn quotes_stay_with_their_sentence() {
        check(
            "She told me: \"I shall come.\" Then she left the house and never came back.",
            &["She told me:", "\"I shall come.\" Then she left the house and never came back."],
        );
    }

    #[test]
    fn what_is_for_the_eye_is_not_spoken() {
        check(
            "**Yes**, we have `one` 😀. See [our page](https://a.example/b) ok?",
            &["Yes, we have one .", "See our page ok?"],
        );
        assert_eq!(spoken_form("# Title\n- *one*\n- two"), Some("Title one two".into()));
        assert_eq!(spoken_form(" … ** \n--- 😀"), None);
        assert_eq!(spoken_form("a](b [c"), Some("a](b [c".into()));
    }

    #[test]
    fn endless_text_is_cut_between_words() {
        let text = "word ".repeat(200);
        let parts = pieces(&text, 7);
        assert!(parts.len() >= 3 && parts.iter().all(|p| p.len() <= PIECE_CHARS_MAX), "{parts:?}");
        assert_eq!(parts.join(" "), text.trim_end());
        let solid = "x".repeat(1_000);
        assert_eq!(pieces(&solid, 1).concat(), solid);
    }

    #[test]
    fn no_text_is_lost_or_doubled() {
        let text =
            "Well, hello there! How are you… fine? Good。我很好。谢谢你 a; b – c: d, e. (Yes.) 1. x 2) y";
        let squeezed = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        for step in 1..20 {
            assert_eq!(squeezed(&pieces(text, step).concat()), squeezed(text), "in steps of {step}");
        }
    }
}
