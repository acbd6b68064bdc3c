//! The AI services this server can use: one file each, one line each in [`KINDS`].

mod deepgram;
mod deepgram_agent;
mod deepgram_pipeline;
mod gemini;
pub(crate) mod look;
mod openai;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use voice_core::id::ProviderId;
use voice_core::provider::Provider;

use crate::config::{Check, Setting};

/// All services, in the order of preference where nobody says otherwise.
pub(crate) static KINDS: &[&Kind] =
    &[&openai::KIND, &gemini::KIND, &deepgram_agent::KIND, &deepgram_pipeline::KIND];

/// One service: how it is set up.
pub(crate) struct Kind {
    /// In `VOICE_PROVIDERS`, in records and in metrics.
    pub(crate) name: &'static str,
    /// In words, for people.
    pub(crate) title: &'static str,
    /// What holds its key.
    pub(crate) key: &'static Setting,
    /// What must be set for it to be used, besides what has a default; none of it missing, no text.
    pub(crate) missing: fn(&Check) -> Option<&'static str>,
    /// Its settings, checked. `None` where one is wrong, which the check has noted.
    pub(crate) configure: fn(&mut Check) -> Option<Arc<dyn Provider>>,
    /// Settings that lead to the fakes instead.
    pub(crate) pretend: fn(&FakeAddresses) -> Vec<(&'static Setting, String)>,
}

/// Where the fakes of the services listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FakeAddresses {
    pub(crate) openai: SocketAddr,
    pub(crate) gemini: SocketAddr,
    pub(crate) deepgram: SocketAddr,
    pub(crate) llm: SocketAddr,
}

/// A service that is set up.
#[derive(Clone)]
pub struct Configured {
    /// Its name.
    pub id: ProviderId,
    /// Opens sessions.
    pub provider: Arc<dyn Provider>,
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl Kind {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name).copied()
    }

    /// Every name, for messages.
    pub(crate) fn names() -> String {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        names.join(", ")
    }

    /// Sets it up; `None` where something is missing or wrong.
    pub(crate) fn set_up(&self, check: &mut Check) -> Option<Configured> {
        let provider = (self.configure)(check)?;
        Some(Configured { id: ProviderId::from_static(self.name), provider })
    }
}
