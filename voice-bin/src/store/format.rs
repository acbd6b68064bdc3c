//! The stored form of a call's record: versioned JSON, with types of its own.
//!
//! voice-core knows nothing of serde, and its types may change freely; what was written to disk may
//! not. A reader of version N reads every version up to N.

mod body;
mod consent;
mod parts;

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use voice_core::record::CallEvent;

use body::Body;
pub(super) use parts::micros;

/// Version of what [`encode`] writes. Fields may be added to a version if absent means something;
/// anything else needs the next number and a reader for the old one.
pub const VERSION: u32 = 1;

/// Why an event cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// This build writes no form of the event.
    #[error("the event has no stored form")]
    Unwritable,
    /// Written by a newer build.
    #[error("stored in version {0}, which this build does not know")]
    Version(u32),
    /// Not what the version prescribes.
    #[error("the stored event cannot be read")]
    Json(#[from] serde_json::Error),
    /// A field holds what its type does not allow.
    #[error("the stored field {0} makes no sense")]
    Field(&'static str),
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// A short, stable name of the kind of event.
    pub kind: &'static str,
    /// JSON.
    pub body: String,
}

/// The shape of what [`encode`] writes, for the protocol document.
pub(crate) struct StoredEvent;

impl PartialSchema for StoredEvent {
    fn schema() -> RefOr<Schema> {
        Body::schema()
    }
}

impl ToSchema for StoredEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Body::schemas(schemas);
    }
}

/// The stored form of an event. It holds numbers of people and what they said.
pub fn encode(event: &CallEvent) -> Result<Stored, FormatError> {
    let body = Body::try_from(event)?;
    Ok(Stored { kind: body.kind(), body: serde_json::to_string(&body)? })
}

/// Back from the stored form.
pub fn decode(version: u32, body: &str) -> Result<CallEvent, FormatError> {
    if version != VERSION {
        return Err(FormatError::Version(version));
    }
    serde_json::from_str::<Body>(body)?.try_into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use voice_core::recording::RecordingPlace;

    use super::*;
    use crate::store::samples;

    #[test]
    fn every_event_survives_storage() {
        for event in samples::events() {
            let stored = encode(&event).unwrap();
            assert_eq!(decode(VERSION, &stored.body).unwrap(), event, "{}", stored.body);
            let tag: serde_json::Value = serde_json::from_str(&stored.body).unwrap();
            assert_eq!(tag["kind"], stored.kind);
        }
    }

    #[test]
    fn the_samples_cover_every_kind() {
        let kinds: BTreeSet<&str> =
            samples::events().iter().map(|event| encode(event).unwrap().kind).collect();
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), body::KINDS);
    }

    #[test]
    fn the_form_is_pinned() {
        let barge_in =
            samples::events().into_iter().find(|event| matches!(event, CallEvent::BargeIn { .. })).unwrap();
        expect_test::expect![[
            r#"{"kind":"barge_in","reply":4294967298,"heard_us":1240000,"unheard_us":3000000}"#
        ]]
        .assert_eq(&encode(&barge_in).unwrap().body);
    }

    /// Before carriers could record, nobody said who does.
    #[test]
    fn a_recording_of_before_is_the_servers() {
        let consent =
            r#"{"ground":"not_required","basis":"told before","recording":true,"transcription":false}"#;
        let old = format!(r#"{{"kind":"recording_started","consent":{consent}}}"#);
        let read = decode(VERSION, &old).unwrap();
        assert!(
            matches!(read, CallEvent::RecordingStarted { place: RecordingPlace::Server, .. }),
            "{read:?}"
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert!(matches!(decode(2, "{}"), Err(FormatError::Version(2))));
        assert!(matches!(decode(1, "{\"kind\":\"nonsense\"}"), Err(FormatError::Json(_))));
        assert!(matches!(
            decode(1, "{\"kind\":\"digit\",\"digit\":\"x\"}"),
            Err(FormatError::Field("digit"))
        ));
    }
}
