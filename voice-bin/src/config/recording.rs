//! Settings of recordings.

use std::path::PathBuf;

use url::Url;
use voice_core::consent::Basis;
use voice_core::recording::RecordingPlace;

use super::check::{Check, Wrong, is_local, parse};
use super::settings;
use crate::recording::{BucketConfig, RecordingConfig};

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
        let place = self.parse(&settings::RECORDING_AT, place).unwrap_or_default();
        let is_ours = place == RecordingPlace::Server;
        if assumed && dir.is_none() && is_ours {
            self.notice(&settings::RECORDING_CONSENT, "has no effect: RECORDING_DIR is not set");
        }
        let bucket = self.bucket();
        if bucket.is_some() && dir.is_none() {
            let fix = "name a directory in which recordings are written before they are sent there";
            self.error(&settings::RECORDING_BUCKET, "RECORDING_DIR is not set", fix);
        }
        let is_of_use = dir.is_some() || !is_ours;
        is_of_use.then(|| RecordingConfig { dir, place, assumed: basis.filter(|_| assumed), bucket })
    }

    fn bucket(&mut self) -> Option<BucketConfig> {
        let name = self.parse(&settings::RECORDING_BUCKET, bucket_name)?;
        let endpoint = self.parse(&settings::RECORDING_BUCKET_URL, bucket_url);
        let region = self.parse(&settings::RECORDING_BUCKET_REGION, region);
        let prefix = self.parse(&settings::RECORDING_BUCKET_PREFIX, prefix).unwrap_or_default();
        let key_id = self.parse(&settings::AWS_ACCESS_KEY_ID, key_id);
        let secret = self.parse(&settings::AWS_SECRET_ACCESS_KEY, secret);
        for (setting, is_set) in [
            (&settings::AWS_ACCESS_KEY_ID, self.is_set(&settings::AWS_ACCESS_KEY_ID)),
            (&settings::AWS_SECRET_ACCESS_KEY, self.is_set(&settings::AWS_SECRET_ACCESS_KEY)),
        ] {
            if !is_set {
                let problem = format!("{} is not set", setting.env);
                self.error(&settings::RECORDING_BUCKET, problem, "set the key that may put objects there");
            }
        }
        let config =
            BucketConfig { name, endpoint, region: region?, prefix, key_id: key_id?, secret: secret? };
        self.together("RECORDING_BUCKET", config.bucket().map(|_| ()))?;
        Some(config)
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

fn place(text: &str) -> Result<RecordingPlace, Wrong> {
    let known = RecordingPlace::ALL.into_iter().find(|place| place.name() == text);
    let fix = "use server (a file of ours) or carrier (Twilio or Telnyx records, and keeps it)";
    known.ok_or_else(|| Wrong(format!("{text:?} is nobody who could record"), fix))
}

fn basis(text: &str) -> Result<Basis, Wrong> {
    text.parse().map_err(|error| Wrong(format!("{error}"), "say in a sentence why nobody need be asked"))
}

fn bucket_name(text: &str) -> Result<String, Wrong> {
    let is_fine = (3..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte));
    if !is_fine {
        let fix =
            "3 to 63 small letters, digits, hyphens and dots; the address goes into RECORDING_BUCKET_URL";
        return Err(Wrong(format!("{text:?} is no name of a bucket"), fix));
    }
    Ok(text.to_owned())
}

fn bucket_url(text: &str) -> Result<Url, Wrong> {
    const FIX: &str =
        "leave it out for Amazon S3, or write the store's address, like https://minio.example.com";
    let url = parse::address(text, &["http", "https"], FIX)?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(Wrong("it has more than scheme, host, port and path".to_owned(), FIX));
    }
    if url.scheme() == "http" && !is_local(text) {
        return Err(Wrong("http:// would send recordings unencrypted".to_owned(), "use https://"));
    }
    Ok(url)
}

fn region(text: &str) -> Result<String, Wrong> {
    let is_fine = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_fine {
        return Err(Wrong(
            format!("{text:?} is no region"),
            "write it like eu-central-1; stores without regions take any",
        ));
    }
    Ok(text.to_owned())
}

/// Without a slash at the beginning, and with one at the end.
fn prefix(text: &str) -> Result<String, Wrong> {
    let folders = text.trim_matches('/');
    let is_fine = folders.len() <= 512
        && folders.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._=".contains(&byte))
        && !folders.split('/').any(|folder| matches!(folder, "" | "." | ".."));
    match folders {
        "" => Ok(String::new()),
        _ if is_fine => Ok(format!("{folders}/")),
        _ => Err(Wrong(
            format!("{text:?} is no prefix"),
            "use letters, digits and -._= between slashes, like calls/2026",
        )),
    }
}

fn key_id(text: &str) -> Result<String, Wrong> {
    parse::secret(text, "copy the id of the access key").map(|id| id.expose().clone())
}

fn secret(text: &str) -> Result<voice_core::sensitive::Secret<String>, Wrong> {
    parse::secret(text, "copy the secret of the access key, or name a file in AWS_SECRET_ACCESS_KEY_FILE")
}
