//! Finished recordings go into a bucket of an S3-compatible store, and leave the directory once they are
//! there.
//!
//! The directory is the queue: what is in it under its whole name has not been stored yet, whoever wrote it
//! and whenever. A store that is down costs disk, never a recording.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{Method, Request, Response};
use metrics::counter;
use rusty_s3::actions::{CompleteMultipartUploadResponse, CreateMultipartUpload};
use rusty_s3::{Bucket, BucketError, Credentials, S3Action, UrlStyle};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use url::Url;
use voice_core::sensitive::Secret;
use voice_telephony::rest::{HttpSend, RestError};

use crate::metrics_names as names;
use crate::telemetry::event_types::RECORDING_FAILED;

/// Between two looks into the directory.
const LOOK: Duration = Duration::from_secs(5);

/// After a failure the looks become rarer, each time twice, up to this.
const LOOK_MAX: Duration = Duration::from_secs(300);

/// A file up to this length is sent whole, a longer one in parts of it; a part is held in memory. Eight
/// minutes of a call in mu-law. S3 wants at least 5 MiB, and takes 10,000 parts.
const PART_BYTES: u64 = 8 << 20;

/// How long a signed request may be on its way.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// One exchange with the store: a part over a slow line.
pub(crate) const EXCHANGE_MAX: Duration = Duration::from_secs(120);

/// How long a shutdown goes on sending. What is left waits in the directory for the next start.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A bucket, and the key to it.
#[derive(Clone, Debug)]
pub struct BucketConfig {
    /// Its name.
    pub name: String,
    /// Where the store is; without it Amazon's of that region.
    pub endpoint: Option<Url>,
    /// As the signature needs it; stores that know no regions take any.
    pub region: String,
    /// In front of each file's name, `/` included.
    pub prefix: String,
    /// Who we are there.
    pub key_id: String,
    /// What proves it.
    pub secret: Secret<String>,
}

impl BucketConfig {
    /// What the library makes of it. At an address of one's own the bucket's name stands in the path, because
    /// few such stores have a name for each bucket; at Amazon's in the host.
    pub(crate) fn bucket(&self) -> Result<Bucket, BucketError> {
        let (name, region) = (self.name.clone(), self.region.clone());
        match &self.endpoint {
            Some(endpoint) => Bucket::new(endpoint.clone(), UrlStyle::Path, name, region),
            None => {
                let endpoint = Url::parse(&format!("https://s3.{region}.amazonaws.com"))
                    .map_err(BucketError::ParseError)?;
                Bucket::new(endpoint, UrlStyle::VirtualHost, name, region)
            }
        }
    }
}

/// Sends what a directory holds, until it is closed.
#[derive(Debug)]
pub struct Uploads {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Uploads {
    /// Begins at once with what earlier processes left. Needs a runtime.
    ///
    /// # Errors
    /// If the bucket's name or its address cannot be used.
    pub fn start(dir: &Path, config: &BucketConfig, http: Arc<dyn HttpSend>) -> Result<Self, BucketError> {
        let store = Store {
            bucket: config.bucket()?,
            credentials: Credentials::new(config.key_id.clone(), config.secret.expose().clone()),
            prefix: config.prefix.clone(),
            http,
        };
        let stop = CancellationToken::new();
        // Beside the calls: a store may take minutes for an answer.
        let task = tokio::spawn(run(dir.to_owned(), store, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Sends what is there, as far as that goes quickly, and ends.
    pub async fn close(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
            warn!("some recordings are not in the bucket yet; the next start sends them");
        }
    }
}

async fn run(dir: PathBuf, store: Store, stop: CancellationToken) {
    let mut wait = LOOK;
    loop {
        let is_last = stop.is_cancelled();
        wait = if send_all(&dir, &store).await { LOOK } else { (wait * 2).min(LOOK_MAX) };
        if is_last {
            return;
        }
        let _stopped_or_not = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

/// Whether nothing failed. One file that cannot be sent does not keep the others.
async fn send_all(dir: &Path, store: &Store) -> bool {
    let files = match whole(dir).await {
        Ok(files) => files,
        Err(error) => {
            error!(event_type = RECORDING_FAILED, error_type = "recording_failed", directory = %dir.display(), %error, "the directory of the recordings cannot be read");
            return false;
        }
    };
    let mut went_well = true;
    for path in files {
        let sent = send(&path, store).await;
        let outcome = if sent.is_ok() { "stored" } else { "failed" };
        counter!(names::RECORDING_UPLOADS, "outcome" => outcome).increment(1);
        match sent {
            Ok(bytes) => info!(file = %path.display(), bytes, "a recording is in the bucket"),
            Err(error) => {
                went_well = false;
                warn!(event_type = RECORDING_FAILED, file = %path.display(), %error, "a recording cannot be stored yet; it stays here");
                if error.is_of_the_store() {
                    break;
                }
            }
        }
    }
    went_well
}

/// Recordings that nobody writes any more, oldest first as far as their names tell.
async fn whole(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(dir).await?;
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "wav") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Stores a file, asks the store how much of it is there, and only then deletes it here.
async fn send(path: &Path, store: &Store) -> Result<u64, UploadError> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(UploadError::Name)?;
    let object = format!("{}{name}", store.prefix);
    let mut file = fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    if length <= PART_BYTES {
        let body = read(&mut file, 0, length).await?;
        store.put(&object, body).await?;
    } else {
        store.put_in_parts(&object, &mut file, length).await?;
    }
    if store.length(&object).await? != Some(length) {
        return Err(UploadError::Incomplete);
    }
    fs::remove_file(path).await?;
    Ok(length)
}

async fn read(file: &mut fs::File, at: u64, length: u64) -> io::Result<Bytes> {
    file.seek(io::SeekFrom::Start(at)).await?;
    let mut body = Vec::new();
    file.take(length).read_to_end(&mut body).await?;
    Ok(body.into())
}

/// Why a recording is not in the bucket.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error("its name is not text")]
    Name,
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    #[error("the store does not answer: {0}")]
    NoAnswer(#[from] RestError),
    #[error("the store answers {0}; {hint}", hint = hint(*.0))]
    Refused(u16),
    #[error("the store's answer makes no sense: no {0}")]
    Nonsense(&'static str),
    #[error("the store has another length of it")]
    Incomplete,
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
}

impl UploadError {
    /// Whether the next file would fare no better.
    fn is_of_the_store(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::Refused(_))
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        301 | 307 => "RECORDING_BUCKET_REGION or RECORDING_BUCKET_URL is not where the bucket is",
        403 => "the key is wrong or may not put, or this machine's clock is",
        404 => "there is no such bucket",
        _other => "it is asked again",
    }
}

/// The store, as far as we need it.
struct Store {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    http: Arc<dyn HttpSend>,
}

impl Store {
    async fn put(&self, object: &str, body: Bytes) -> Result<(), UploadError> {
        let url = self.bucket.put_object(Some(&self.credentials), object).sign(SIGNED_FOR);
        self.ask(Method::PUT, url, body).await.map(drop)
    }

    /// A part that fails fails the whole, which is begun anew: what is stored of it costs until it is given
    /// up, so that is done here, and what a killed process left ends by a rule of the bucket's.
    async fn put_in_parts(&self, object: &str, file: &mut fs::File, length: u64) -> Result<(), UploadError> {
        let url = self.bucket.create_multipart_upload(Some(&self.credentials), object).sign(SIGNED_FOR);
        let answer = text(self.ask(Method::POST, url, Bytes::new()).await?);
        let begun = CreateMultipartUpload::parse_response(&answer);
        let begun = begun.map_err(|_| UploadError::Nonsense("number of the upload"))?;
        let sent = self.parts(object, begun.upload_id(), file, length).await;
        if sent.is_err() {
            let end = self.bucket.abort_multipart_upload(Some(&self.credentials), object, begun.upload_id());
            let _best_effort = self.ask(Method::DELETE, end.sign(SIGNED_FOR), Bytes::new()).await;
        }
        sent
    }

    async fn parts(
        &self,
        object: &str,
        upload: &str,
        file: &mut fs::File,
        length: u64,
    ) -> Result<(), UploadError> {
        let mut tags = Vec::new();
        for (number, at) in (1..).zip((0..length).step_by(PART_BYTES as usize)) {
            let body = read(file, at, PART_BYTES).await?;
            let part = self.bucket.upload_part(Some(&self.credentials), object, number, upload);
            let answer = self.ask(Method::PUT, part.sign(SIGNED_FOR), body).await?;
            let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
            tags.push(tag.ok_or(UploadError::Nonsense("tag of a part"))?.to_owned());
        }
        let tags = tags.iter().map(String::as_str);
        let end = self.bucket.complete_multipart_upload(Some(&self.credentials), object, upload, tags);
        let url = end.sign(SIGNED_FOR);
        let answer = text(self.ask(Method::POST, url, end.body().into()).await?);
        // The store says 200 before it knows; the body tells.
        CompleteMultipartUploadResponse::parse(&answer).map_err(|_| UploadError::Nonsense("end"))?;
        Ok(())
    }

    /// How long the object is; `None` where the store does not tell.
    async fn length(&self, object: &str) -> Result<Option<u64>, UploadError> {
        let url = self.bucket.head_object(Some(&self.credentials), object).sign(SIGNED_FOR);
        let answer = self.ask(Method::HEAD, url, Bytes::new()).await?;
        let length = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        Ok(length.and_then(|length| length.parse().ok()))
    }

    async fn ask(&self, method: Method, url: Url, body: Bytes) -> Result<Response<Bytes>, UploadError> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "audio/wav");
        }
        let answer = self.http.send(request.body(body)?).await?;
        let status = answer.status();
        if status.is_success() { Ok(answer) } else { Err(UploadError::Refused(status.as_u16())) }
    }
}

fn text(answer: Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

#[cfg(test)]
mod tests;
