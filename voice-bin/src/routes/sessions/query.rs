//! What may stand behind the question mark of an address: each name at most once, and none that is unknown.

use std::str::FromStr;

use url::form_urlencoded;

use super::super::problem::Problem;

/// Reads parameters, and keeps all that is wrong with them.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    problem: Problem,
}

impl Query {
    pub(super) fn of(query: Option<&str>) -> Self {
        let mut problem = Problem::invalid();
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned() {
            if pairs.iter().any(|(other, _)| *other == name) {
                problem.add(name, "given more than once");
            } else {
                pairs.push((name, value));
            }
        }
        Self { pairs, problem }
    }

    /// A parameter that is read as this says; `wanted` tells what it should have been.
    pub(super) fn take<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let at = self.pairs.iter().position(|(other, _)| other == name)?;
        let (_, value) = self.pairs.swap_remove(at);
        let read = read(&value);
        if read.is_none() {
            self.problem.add(name, wanted);
        }
        read
    }

    /// A whole number between these, or the usual one.
    pub(super) fn number<T>(&mut self, name: &'static str, least: T, most: T, usual: T) -> T
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let wanted = format!("use a whole number from {least} to {most}");
        let read = |text: &str| text.parse().ok().filter(|number| (least..=most).contains(number));
        self.take(name, &wanted, read).unwrap_or(usual)
    }

    /// Whatever is left is unknown.
    pub(super) fn end(self) -> Result<(), Problem> {
        let Self { pairs, mut problem } = self;
        for (name, _) in pairs {
            problem.add(name, "there is no such parameter");
        }
        if problem.has_fields() { Err(problem) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let mut query = Query::of(Some("limit=7&status=odd&more=1&limit=8"));
        assert_eq!(query.number("limit", 1, 100, 20), 7);
        assert_eq!(query.take("status", "say it right", |_| None::<()>), None);
        assert_eq!(query.number("after", 0_u64, u64::MAX, 3), 3);
        let problem = format!("{:?}", query.end().expect_err("much is wrong"));
        for wrong in ["\"limit\"", "\"status\"", "say it right", "\"more\""] {
            assert!(problem.contains(wrong), "{problem}");
        }
        let mut fine = Query::of(Some("limit=100"));
        assert_eq!(fine.number("limit", 1, 100, 20), 100);
        assert!(fine.end().is_ok() && Query::of(None).end().is_ok());
        let mut wild = Query::of(Some("limit=101&after=-1"));
        assert_eq!((wild.number("limit", 1, 100, 20), wild.number("after", 0_u64, 9, 0)), (20, 0));
        assert!(wild.end().is_err());
    }
}
