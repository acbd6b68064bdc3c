//! What may be done with a call: the value without which nothing is recorded.
//!
//! A [`Consent`] is made on purpose, by one of two constructors, and says on what it stands. There is no
//! default, and none that allows everything: whoever records must write down why they may. What the law of
//! a place asks is not decided here; the region is kept so that somebody else can.

use std::fmt;

use crate::sensitive::Pii;
use crate::time::UnixMillis;

/// Longest text kept of a basis, a reason or a reference, in characters.
const TEXT_CHARS_MAX: usize = 500;

/// Longest region: `US-CA`, with room to spare.
const REGION_CHARS_MAX: usize = 8;

/// Leave to do something with a call, on what it stands, and whether it was taken back.
///
/// ```
/// use voice_core::consent::{Consent, Given, Method, Scope, Use};
/// use voice_core::time::UnixMillis;
///
/// let given = Given {
///     by: "+15550100".into(),
///     how: Method::Verbal,
///     at: UnixMillis(1_795_000_000_000),
///     region: Some("US-CA".parse()?),
/// };
/// let consent = Consent::given(given, Scope::RECORDING);
/// assert!(consent.covers(Use::Recording) && !consent.covers(Use::Transcription));
/// # Ok::<(), voice_core::consent::ConsentError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    ground: Ground,
    scope: Scope,
    revoked: Option<Revocation>,
}

/// On what a consent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Somebody agreed.
    Given(Given),
    /// Nobody need agree, for this reason.
    NotRequired(Basis),
}

/// Who agreed, how, when and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Who: a number, a name, a reference to a contract.
    pub by: Pii<String>,
    /// In which way.
    pub how: Method,
    /// When.
    pub at: UnixMillis,
    /// Whose rules they agreed under, if that is known.
    pub region: Option<Region>,
}

/// In which way somebody agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By word, in the call.
    Verbal,
    /// With a key of the telephone.
    Keypad,
    /// By a click, in an app or on a page.
    ClickThrough,
    /// In a contract or form, before the call.
    PriorAgreement,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Verbal, Self::Keypad, Self::ClickThrough, Self::PriorAgreement];

    /// A short, stable name for the API and the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verbal => "verbal",
            Self::Keypad => "keypad",
            Self::ClickThrough => "click_through",
            Self::PriorAgreement => "prior_agreement",
        }
    }
}

/// What a call may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Keep its sound.
    Recording,
    /// Keep its words.
    Transcription,
}

/// Which uses a consent covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its sound may be kept.
    pub recording: bool,
    /// Its words may be kept.
    pub transcription: bool,
}

impl Scope {
    /// Sound only.
    pub const RECORDING: Self = Self { recording: true, transcription: false };
    /// Words only.
    pub const TRANSCRIPTION: Self = Self { recording: false, transcription: true };
    /// Both.
    pub const BOTH: Self = Self { recording: true, transcription: true };
}

/// Why nobody need agree, in words for whoever asks later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis(String);

/// Whose rules apply: a country and, where they differ, its part, as ISO 3166 has them (`DE`, `US-CA`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

/// A consent that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: UnixMillis,
    /// Why, if they said.
    pub reason: Option<Pii<String>>,
}

/// Why something is no consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// A basis must say something, in at most 500 characters.
    #[error("a basis says in 1 to 500 characters why nobody need agree")]
    Basis,
    /// A region has the form of ISO 3166.
    #[error("a region is written like DE or US-CA")]
    Region,
    /// It does not cover what is wanted.
    #[error("the consent does not cover this")]
    NotCovered,
    /// It was taken back.
    #[error("the consent was revoked")]
    Revoked,
}

impl Consent {
    /// Somebody agreed.
    pub const fn given(given: Given, scope: Scope) -> Self {
        Self { ground: Ground::Given(given), scope, revoked: None }
    }

    /// Nobody need agree. Whoever says so answers for it.
    pub const fn not_required(basis: Basis, scope: Scope) -> Self {
        Self { ground: Ground::NotRequired(basis), scope, revoked: None }
    }

    /// On what it stands.
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// What it covers, as long as it is not revoked.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// When and why it was taken back.
    pub const fn revoked(&self) -> Option<&Revocation> {
        self.revoked.as_ref()
    }

    /// Whether this may be done now.
    pub const fn covers(&self, wanted: Use) -> bool {
        self.check(wanted).is_ok()
    }

    /// Whether this may be done now, or why not.
    ///
    /// # Errors
    /// If it was revoked, or never covered this.
    pub const fn check(&self, wanted: Use) -> Result<(), ConsentError> {
        let covered = match wanted {
            Use::Recording => self.scope.recording,
            Use::Transcription => self.scope.transcription,
        };
        match (&self.revoked, covered) {
            (Some(_), _) => Err(ConsentError::Revoked),
            (None, false) => Err(ConsentError::NotCovered),
            (None, true) => Ok(()),
        }
    }

    /// Takes it back. The first time counts; there is no way to give it again but a new consent.
    pub fn revoke(&mut self, revocation: Revocation) {
        self.revoked.get_or_insert(revocation);
    }
}

impl Basis {
    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Basis {
    type Err = ConsentError;

    fn from_str(text: &str) -> Result<Self, ConsentError> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ConsentError::Basis)
        }
    }
}

impl Region {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Region {
    type Err = ConsentError;

    fn from_str(text: &str) -> Result<Self, ConsentError> {
        let (country, part) = text.split_once('-').map_or((text, None), |(c, p)| (c, Some(p)));
        let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        if is_country && part.is_none_or(is_part) && text.len() <= REGION_CHARS_MAX {
            Ok(Self(text.to_owned()))
        } else {
            Err(ConsentError::Region)
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> Given {
        Given { by: "+15550100".into(), how: Method::Verbal, at: UnixMillis(7), region: None }
    }

    #[test]
    fn it_covers_what_it_says_until_it_is_taken_back() {
        let mut consent = Consent::given(given(), Scope::RECORDING);
        assert_eq!(consent.check(Use::Recording), Ok(()));
        assert_eq!(consent.check(Use::Transcription), Err(ConsentError::NotCovered));
        consent.revoke(Revocation { at: UnixMillis(9), reason: None });
        consent.revoke(Revocation { at: UnixMillis(10), reason: None });
        assert_eq!(consent.check(Use::Recording), Err(ConsentError::Revoked));
        assert_eq!(consent.revoked().map(|revocation| revocation.at), Some(UnixMillis(9)));
    }

    #[test]
    fn a_basis_says_something() {
        assert!("All staff are told and have signed".parse::<Basis>().is_ok());
        for wrong in ["", "  ", "a\nb", &"x".repeat(501)] {
            assert_eq!(wrong.parse::<Basis>(), Err(ConsentError::Basis), "{wrong:?}");
        }
    }

    #[test]
    fn a_region_is_a_country_and_perhaps_its_part() {
        for right in ["DE", "US-CA", "CA-QC", "GB-ENG"] {
            assert_eq!(right.parse::<Region>().map(|region| region.to_string()).as_deref(), Ok(right));
        }
        for wrong in ["", "de", "EUR", "US-", "US-ca", "US-CALIFORNIA", "Ä"] {
            assert_eq!(wrong.parse::<Region>(), Err(ConsentError::Region), "{wrong:?}");
        }
    }

    #[test]
    fn who_agreed_is_not_printed() {
        let consent = Consent::given(given(), Scope::BOTH);
        assert!(!format!("{consent:?}").contains("555"));
    }
}
