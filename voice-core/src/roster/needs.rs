//! What a call needs, and what a provider offers.

use std::time::Duration;

use crate::audio::AudioFormat;
use crate::capabilities::{Capabilities, Rate};
use crate::id::{AttachmentId, CallId, ProviderId};

/// One stay of one provider in one call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StayId {
    /// The call.
    pub call: CallId,
    /// The attachment within it.
    pub attachment: AttachmentId,
}

/// What a call asks for.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    /// By name.
    pub wish: Option<ProviderId>,
    /// Not these: they have failed for this call just now.
    pub tried: Vec<ProviderId>,
    /// Only if nobody else can.
    pub last_resort: Option<ProviderId>,
    /// What a provider must be able to do for this call.
    pub needs: Needs,
}

/// What a provider must be able to do, and where the call would like to return to.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Language of the caller, BCP 47; only its first part counts (`en-GB` is `en`).
    pub language: Option<String>,
    /// Whether tools are offered to the voice.
    pub tools: bool,
    /// Whether pictures are shown to it.
    pub images: bool,
    /// The audio it must take without conversion.
    pub format: Option<AudioFormat>,
    /// Only providers that carry this label: a tenant, a region.
    pub label: Option<String>,
    /// What a minute may cost, in millionths of the currency. Whoever costs more is asked only if
    /// nobody else can take the call.
    pub cost_max: Option<u64>,
    /// The caller, as a key that says nothing about them.
    pub caller: Option<StickyKey>,
    /// The agent, likewise.
    pub agent: Option<StickyKey>,
}

/// A number that stands for a caller or an agent: the same text gives the same key in every process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StickyKey(u64);

impl StickyKey {
    /// The key of a text (FNV-1a). It is kept in memory only.
    pub fn of(text: &str) -> Self {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }
}

/// A phone number has so few digits that its key gives it away: it is not printed either.
impl std::fmt::Debug for StickyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StickyKey")
    }
}

/// A provider that can be chosen.
#[derive(Clone, Debug)]
pub struct Candidate<T> {
    /// Its name.
    pub id: ProviderId,
    /// What is handed out when it is chosen.
    pub value: T,
    /// Its share under [`super::Strategy::Weighted`] and [`super::Strategy::LeastLoaded`]; at least 1.
    pub weight: u32,
    /// Calls it may have at once; beyond that it is asked only if nobody else can take the call.
    pub calls_max: Option<u32>,
    /// Tenants, regions: see [`Needs::label`].
    pub labels: Vec<String>,
    /// What it can do.
    pub skills: Skills,
}

/// What a provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skills {
    /// Languages it speaks, BCP 47; none named means all.
    pub languages: Vec<String>,
    /// Whether it can call tools.
    pub tools: bool,
    /// Whether it can see pictures.
    pub images: bool,
    /// Audio it takes without conversion.
    pub formats: Vec<AudioFormat>,
    /// What a minute costs, in millionths of a dollar, where known.
    pub cost_per_minute: Option<u64>,
    /// Longest session, where known.
    pub session_max: Option<Duration>,
}

impl<T> Candidate<T> {
    /// A candidate of weight 1 that can call tools and speaks every language.
    pub fn new(id: ProviderId, value: T) -> Self {
        let skills = Skills { tools: true, ..Skills::default() };
        Self { id, value, weight: 1, calls_max: None, labels: Vec::new(), skills }
    }

    /// Takes over what the provider says about itself.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: &Capabilities) -> Self {
        let both = |format: &&AudioFormat| capabilities.speaks.contains(format);
        self.skills.formats = capabilities.hears.iter().filter(both).copied().collect();
        self.skills.tools = capabilities.tools.is_some();
        self.skills.images = capabilities.images;
        self.skills.languages = capabilities.languages.clone().unwrap_or_default();
        self.skills.session_max = capabilities.lifetime.session_max;
        self.skills.cost_per_minute = match capabilities.price.as_ref().map(|price| price.rate) {
            Some(Rate::PerMinute(price)) => Some(price.0),
            Some(Rate::PerToken(_)) | None => None,
        };
        self
    }
}

/// Whether a language is among those; the first part of each tag decides.
pub(super) fn speaks(languages: &[String], wanted: &str) -> bool {
    let first = |tag: &str| tag.split(['-', '_']).next().unwrap_or("").to_ascii_lowercase();
    languages.is_empty() || languages.iter().any(|language| first(language) == first(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_compared_by_their_first_part() {
        let some = ["en".to_owned(), "pt-BR".to_owned()];
        for (wanted, known) in [("en-GB", true), ("EN", true), ("pt", true), ("de", false), ("e", false)] {
            assert_eq!(speaks(&some, wanted), known, "{wanted}");
        }
        assert!(speaks(&[], "de"));
    }

    #[test]
    fn keys_are_the_same_everywhere_and_say_nothing() {
        assert_eq!(StickyKey::of("+15550100"), StickyKey::of("+15550100"));
        assert_ne!(StickyKey::of("+15550100"), StickyKey::of("+15550101"));
        assert_eq!(format!("{:?}", StickyKey::of("+15550100")), "StickyKey");
    }
}
