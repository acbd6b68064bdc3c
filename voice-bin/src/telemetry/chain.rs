//! An error with all its causes, each said once.

use std::error::Error;

/// The error and its causes, from the outermost to the innermost, with a colon between.
///
/// Libraries differ on whether an error repeats its cause in its own words; what has been said is not said
/// again.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn told(text: &'static str, source: Option<Told>) -> Told {
        Told { text, source: source.map(Box::new) }
    }

    #[test]
    fn causes_are_said_once() {
        let innermost = told("unable to open", None);
        let driver = told("from the database: unable to open", Some(innermost));
        let ours = told("the database does not work", Some(driver));
        let all = told("cannot open", Some(ours));
        assert_eq!(chain(&all), "cannot open: the database does not work: from the database: unable to open");
    }
}
