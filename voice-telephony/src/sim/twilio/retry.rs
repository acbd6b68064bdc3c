//! How often Twilio asks again (protocol notes, Twilio §2.1).

/// What is asked again if it fails, and how often.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) url: String,
    pub(super) status: String,
    pub(super) left: u32,
    /// Whatever went wrong, and not only a connection that failed.
    pub(super) whatever: bool,
}

impl Retry {
    /// By the settings in the URL's fragment; without them, once, if the connection failed.
    pub(super) fn of(url: &str, status: &str) -> Self {
        let settings = url.split_once('#').map_or("", |(_, settings)| settings);
        let value = |name: &str| settings.split('&').find_map(|pair| pair.strip_prefix(name));
        let left = value("rc=").and_then(|count| count.parse().ok()).unwrap_or(1).min(5);
        let whatever = value("rp=").is_some_and(|what| what == "all");
        Self { url: url.to_owned(), status: status.to_owned(), left, whatever }
    }
}
