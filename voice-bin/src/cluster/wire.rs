//! What servers tell each other over Redis.

use serde::{Deserialize, Serialize};

/// One message, to the channel of one server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub(super) enum Message {
    /// Do this.
    Order {
        /// Which order; the answer has the same.
        id: String,
        /// Whose channel the answer goes to.
        from: String,
        /// The call it is about, if it is about one that has a name of ours.
        call: Option<String>,
        order: String,
    },
    /// What came of it; `None` if the call is not there.
    Answer { id: String, answer: Option<String> },
    /// Something that all servers hear.
    News {
        from: String,
        #[serde(flatten)]
        news: News,
    },
    /// Something a later version says.
    #[serde(other)]
    Unknown,
}

/// What a server tells all others. Nobody answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
#[non_exhaustive]
pub enum News {
    /// It goes, in good order: its calls are there for whoever takes them up.
    Leaves,
    /// Breakers of its that are open for a while, and that it opened by itself.
    Open {
        /// Those.
        breakers: Vec<OpenBreaker>,
    },
    /// An operator's order about a provider, which is meant for all servers.
    Provider {
        /// Which provider.
        provider: String,
        /// What is to be done.
        order: ProviderOrder,
    },
    /// Something a later version says.
    #[serde(other)]
    Unknown,
}

/// A breaker that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBreaker {
    /// Whose.
    pub provider: String,
    /// Which of its two, by the name that metrics have.
    pub breaker: String,
    /// When it opened, in milliseconds before this was told.
    pub ago_ms: u64,
    /// For how long it stays open, in milliseconds.
    pub left_ms: u64,
}

/// As `voice_core::roster::Order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is documented where it is carried out")]
#[non_exhaustive]
pub enum ProviderOrder {
    Reset,
    ForceOpen,
    ForceClosed,
    Drain,
    Resume,
    /// Something a later version says.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_says_is_not_understood_and_no_harm() {
        for text in [r#"{"message":"dance","step":1}"#, r#"{"message":"news","from":"a","news":"rain"}"#] {
            let heard: Message = serde_json::from_str(text).expect("it can be read");
            let is_new = matches!(heard, Message::Unknown | Message::News { news: News::Unknown, .. });
            assert!(is_new, "{heard:?}");
        }
        let news = News::Open {
            breakers: vec![OpenBreaker {
                provider: "openai".into(),
                breaker: "connect".into(),
                ago_ms: 5,
                left_ms: 60_000,
            }],
        };
        let text =
            serde_json::to_string(&Message::News { from: "a".into(), news: news.clone() }).expect("text");
        assert!(
            matches!(serde_json::from_str(&text), Ok(Message::News { news: heard, .. }) if heard == news)
        );
    }
}
