//! A consent as it is stored: the proof that a recording was allowed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use voice_core::consent::{Consent, Given, Ground, Method, Revocation, Scope};
use voice_core::sensitive::Pii;
use voice_core::time::UnixMillis;

use super::FormatError;

/// See the module. Times are milliseconds since 1970.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct StoredConsent {
    #[serde(flatten)]
    ground: StoredGround,
    recording: bool,
    transcription: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<StoredRevocation>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(tag = "ground", rename_all = "snake_case")]
enum StoredGround {
    Given {
        by: String,
        how: String,
        at_ms: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<String>,
    },
    NotRequired {
        basis: String,
    },
}

#[derive(Serialize, Deserialize, ToSchema)]
struct StoredRevocation {
    at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&Consent> for StoredConsent {
    fn from(consent: &Consent) -> Self {
        let ground = match consent.ground() {
            Ground::Given(Given { by, how, at, region }) => StoredGround::Given {
                by: by.expose().clone(),
                how: how.name().to_owned(),
                at_ms: at.0,
                region: region.as_ref().map(ToString::to_string),
            },
            Ground::NotRequired(basis) => StoredGround::NotRequired { basis: basis.as_str().to_owned() },
        };
        let Scope { recording, transcription } = consent.scope();
        let revoked = consent.revoked().map(|revocation| StoredRevocation {
            at_ms: revocation.at.0,
            reason: revocation.reason.as_ref().map(|reason| reason.expose().clone()),
        });
        Self { ground, recording, transcription, revoked }
    }
}

impl TryFrom<StoredConsent> for Consent {
    type Error = FormatError;

    fn try_from(stored: StoredConsent) -> Result<Self, FormatError> {
        let scope = Scope { recording: stored.recording, transcription: stored.transcription };
        let mut consent = match stored.ground {
            StoredGround::Given { by, how, at_ms, region } => {
                let how = Method::ALL.into_iter().find(|method| method.name() == how);
                let how = how.ok_or(FormatError::Field("how"))?;
                let region = region.map(|region| region.parse()).transpose();
                let region = region.map_err(|_| FormatError::Field("region"))?;
                Self::given(Given { by: by.into(), how, at: UnixMillis(at_ms), region }, scope)
            }
            StoredGround::NotRequired { basis } => {
                Self::not_required(basis.parse().map_err(|_| FormatError::Field("basis"))?, scope)
            }
        };
        if let Some(StoredRevocation { at_ms, reason }) = stored.revoked {
            consent.revoke(Revocation { at: UnixMillis(at_ms), reason: reason.map(Pii::new) });
        }
        Ok(consent)
    }
}
