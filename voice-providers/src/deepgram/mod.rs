//! Deepgram: the Voice Agent, which hears, thinks and speaks behind one socket; and a pipeline, in which
//! Deepgram hears and speaks while any chat model thinks.

pub mod agent;
pub mod pipeline;
mod quirks;

use voice_core::sensitive::Secret;
use voice_core::wire::Endpoint;

use crate::probe::web_origin;

/// Who we are to Deepgram. It is looked at once, when a line is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A project's API key.
    ApiKey(Secret<String>),
    /// A temporary token of `/v1/auth/grant`.
    AccessToken(Secret<String>),
}

impl Credential {
    /// The value of the `authorization` header. The two kinds have different schemes, and mixing them
    /// up is refused like a wrong key (protocol notes, Deepgram §1).
    pub(crate) fn header(&self) -> String {
        match self {
            Self::ApiKey(key) => format!("Token {}", key.expose()),
            Self::AccessToken(token) => format!("Bearer {}", token.expose()),
        }
    }

    /// Whether it can be sent in a header at all.
    pub(crate) fn is_sendable(&self) -> bool {
        let (Self::ApiKey(word) | Self::AccessToken(word)) = self;
        !word.expose().is_empty() && word.expose().bytes().all(|b| b.is_ascii_graphic())
    }
}

/// The list of our projects; the Voice Agent's host does not have it, its neighbour `api` does.
fn probe(url: &str, authorization: String) -> Option<Endpoint> {
    let origin = web_origin(url)?;
    let host = origin.strip_prefix("https://agent.").filter(|host| host.ends_with("deepgram.com"));
    let api = host.map_or_else(|| origin.clone(), |host| format!("https://api.{host}"));
    Some(Endpoint::get(format!("{api}/v1/projects")).header("authorization", authorization))
}
