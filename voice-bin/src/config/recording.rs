//! Settings of recordings.

use std::path::PathBuf;

use voice_core::consent::Basis;

use super::check::{Check, Wrong};
use super::settings;
use crate::recording::RecordingConfig;

impl Check {
    /// `None` if nothing can be recorded.
    pub(super) fn recording(&mut self) -> Option<RecordingConfig> {
        let dir = self.parse(&settings::RECORDING_DIR, directory);
        let assumed = self.parse(&settings::RECORDING_CONSENT, assumed).unwrap_or_default();
        let basis = self.parse(&settings::RECORDING_BASIS, basis);
        if assumed && basis.is_none() && self.raw(&settings::RECORDING_BASIS).is_none() {
            self.notice(
                &settings::RECORDING_CONSENT,
                "is assumed, but RECORDING_BASIS does not say why that is allowed; no call is recorded by itself",
            );
        }
        if assumed && dir.is_none() {
            self.notice(&settings::RECORDING_CONSENT, "has no effect: RECORDING_DIR is not set");
        }
        Some(RecordingConfig { dir: dir?, assumed: basis.filter(|_| assumed) })
    }
}

fn directory(text: &str) -> Result<PathBuf, Wrong> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong("is no directory".to_owned(), "name a directory that this user may write to"));
    }
    Ok(PathBuf::from(text))
}

fn assumed(text: &str) -> Result<bool, Wrong> {
    match text {
        "off" => Ok(false),
        "assumed" => Ok(true),
        other => Err(Wrong(
            format!("{other:?} is no way to have consent"),
            "use off (only what the API orders with a consent is recorded) or assumed (every call is)",
        )),
    }
}

fn basis(text: &str) -> Result<Basis, Wrong> {
    text.parse().map_err(|error| Wrong(format!("{error}"), "say in a sentence why nobody need be asked"))
}
