//! Tests of the uploads, against a store that checks signatures by a reckoning of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use sha2::{Digest, Sha256};
use voice_telephony::carrier_error::Reach;
use voice_telephony::rest::Why;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Signature Version 4 in the query, as the store's documentation prescribes; the body is not signed.
fn signature(method: &str, url: &Url, secret: &str) -> String {
    let raw = url.query().unwrap_or_default();
    let mut pairs: Vec<&str> = raw.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
    pairs.sort_unstable();
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let (date, credential) = (value("X-Amz-Date"), value("X-Amz-Credential"));
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap()),
        None => url.host_str().unwrap().to_owned(),
    };
    let canonical = format!(
        "{method}\n{}\n{}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
        url.path(),
        pairs
            .iter()
            .map(|pair| if pair.contains('=') { (*pair).to_owned() } else { format!("{pair}=") })
            .collect::<Vec<_>>()
            .join("&"),
    );
    let (_, scope) = credential.split_once('/').unwrap();
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    hex(&mac(&key, &to_sign))
}

/// The example of Amazon's documentation of presigned requests.
#[test]
fn the_tests_reckoning_is_amazons() {
    let url = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host";
    let signature = signature("GET", &Url::parse(url).unwrap(), SECRET);
    assert_eq!(signature, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<String, Bytes>,
    /// Parts by upload and number.
    parts: BTreeMap<(String, u16), Bytes>,
    uploads: u32,
    /// What the next requests are answered with, instead of what they ask for.
    troubles: Vec<Trouble>,
    asked: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Status(u16),
    NoAnswer,
    /// Stored, but not all of it.
    Half,
    None,
}

/// A store that knows one key.
#[derive(Default)]
struct FakeStore(Mutex<Shelf>);

impl FakeStore {
    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(troubles: &[Trouble]) -> Arc<Self> {
        let store = Self::default();
        store.shelf().troubles = troubles.iter().rev().copied().collect();
        Arc::new(store)
    }
}

fn answer(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).body(body.into()).unwrap()
}

#[async_trait]
impl HttpSend for FakeStore {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
        let url = Url::parse(&request.uri().to_string()).unwrap();
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let mut shelf = self.shelf();
        shelf.asked.push(format!("{} {}", request.method(), url.path()));
        let mut body = request.body().clone();
        match shelf.troubles.pop().unwrap_or(Trouble::None) {
            Trouble::Status(status) => return Ok(answer(status, "<Error/>")),
            Trouble::NoAnswer => return Err(RestError { reach: Reach::Unknown, why: Why::Broken }),
            Trouble::Half => body.truncate(body.len() / 2),
            Trouble::None => {}
        }
        if query["X-Amz-Signature"] != signature(request.method().as_str(), &url, SECRET) {
            return Ok(answer(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"));
        }
        let object = url.path().to_owned();
        let (upload, part) = (query.get("uploadId"), query.get("partNumber"));
        let xmlns = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        Ok(match (request.method().as_str(), upload, part) {
            ("PUT", None, None) => {
                shelf.objects.insert(object, body);
                answer(200, "")
            }
            ("POST", None, None) if query.contains_key("uploads") => {
                shelf.uploads += 1;
                let id = format!("upload-{}", shelf.uploads);
                answer(
                    200,
                    format!(
                        "<InitiateMultipartUploadResult {xmlns}><Bucket>calls</Bucket><Key>k</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ),
                )
            }
            ("PUT", Some(upload), Some(part)) => {
                let tag = format!("\"{upload}-{part}\"");
                shelf.parts.insert((upload.clone(), part.parse().unwrap()), body);
                Response::builder().header(ETAG, tag).body(Bytes::new()).unwrap()
            }
            ("POST", Some(upload), None) => {
                let told = String::from_utf8(body.to_vec()).unwrap();
                let parts: Vec<_> = shelf.parts.iter().filter(|((id, _), _)| id == upload).collect();
                assert_eq!(told.matches("<PartNumber>").count(), parts.len(), "{told}");
                for ((id, number), _) in &parts {
                    let tag = format!("{id}-{number}");
                    assert!(told.contains(&tag), "{told} lacks {tag}");
                }
                let whole: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part.to_vec()).collect();
                shelf.objects.insert(object, whole.into());
                answer(
                    200,
                    format!(
                        "<CompleteMultipartUploadResult {xmlns}><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>"
                    ),
                )
            }
            ("DELETE", Some(upload), None) => {
                let upload = upload.clone();
                shelf.parts.retain(|(id, _), _| *id != upload);
                answer(204, "")
            }
            ("HEAD", None, None) => match shelf.objects.get(&object) {
                Some(there) => {
                    Response::builder().header(CONTENT_LENGTH, there.len()).body(Bytes::new()).unwrap()
                }
                None => answer(StatusCode::NOT_FOUND.as_u16(), ""),
            },
            other => panic!("no store knows {other:?}"),
        })
    }
}

fn config() -> BucketConfig {
    BucketConfig {
        name: "calls".to_owned(),
        endpoint: Some(Url::parse("http://127.0.0.1:9000").unwrap()),
        region: "eu-central-1".to_owned(),
        prefix: "berlin/".to_owned(),
        key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret: Secret::new(SECRET.to_owned()),
    }
}

/// A directory with a file that is still being written and these whole ones.
fn directory(files: &[(&str, usize)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("now.wav.part"), b"half").unwrap();
    for (name, length) in files {
        let body: Vec<u8> = (0..*length).map(|at| (at % 251) as u8).collect();
        std::fs::write(dir.path().join(name), body).unwrap();
    }
    dir
}

fn left(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "now.wav.part").collect();
    names.sort();
    names
}

/// Runs until nothing is left, or nothing more can be expected.
async fn upload(dir: &Path, store: &Arc<FakeStore>, looks: u32) {
    tokio::time::pause();
    let uploads = Uploads::start(dir, &config(), store.clone()).unwrap();
    for _ in 0..looks {
        // Files are read by other threads, which paused time does not wait for.
        for _ in 0..200 {
            if left(dir).is_empty() {
                break;
            }
            std::thread::yield_now();
            tokio::time::advance(Duration::from_millis(50)).await;
            tokio::task::spawn_blocking(|| {}).await.unwrap();
        }
    }
    uploads.close().await;
}

#[tokio::test]
async fn a_recording_is_stored_whole_and_leaves_the_directory() {
    let dir = directory(&[("a.wav", 4_000), ("b.wav", 44)]);
    let store = FakeStore::with(&[]);
    upload(dir.path(), &store, 1).await;
    assert_eq!(left(dir.path()), [""; 0]);
    let shelf = store.shelf();
    assert_eq!(shelf.objects["/calls/berlin/a.wav"].len(), 4_000);
    assert_eq!(shelf.objects["/calls/berlin/b.wav"].len(), 44);
    assert!(dir.path().join("now.wav.part").exists(), "nobody touches what is being written");
}

#[tokio::test]
async fn a_long_one_goes_in_parts_and_a_broken_attempt_is_given_up() {
    let length = 2 * PART_BYTES as usize + 5;
    let dir = directory(&[("long.wav", length)]);
    // The second part of the first attempt gets no answer.
    let store = FakeStore::with(&[Trouble::None, Trouble::None, Trouble::NoAnswer]);
    upload(dir.path(), &store, 3).await;
    assert_eq!(left(dir.path()), [""; 0]);
    let shelf = store.shelf();
    let expected: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    assert!(shelf.objects["/calls/berlin/long.wav"] == expected, "the parts are in their order");
    assert_eq!(shelf.uploads, 2);
    assert!(shelf.parts.keys().all(|(id, _)| id == "upload-2"), "nothing is left of the first attempt");
}

#[tokio::test]
async fn a_store_in_trouble_is_asked_again_and_nothing_is_deleted_before() {
    let dir = directory(&[("a.wav", 100)]);
    let store = FakeStore::with(&[Trouble::Status(503), Trouble::NoAnswer, Trouble::Half]);
    upload(dir.path(), &store, 10).await;
    assert_eq!(left(dir.path()), [""; 0]);
    let shelf = store.shelf();
    assert_eq!(shelf.objects["/calls/berlin/a.wav"].len(), 100);
    let puts = shelf.asked.iter().filter(|asked| asked.starts_with("PUT")).count();
    assert_eq!(puts, 4, "{:?}", shelf.asked);
}

#[tokio::test]
async fn a_key_that_is_refused_leaves_everything_where_it_is() {
    let dir = directory(&[("a.wav", 100), ("b.wav", 100)]);
    let store = FakeStore::with(&[]);
    tokio::time::pause();
    let wrong = BucketConfig { secret: Secret::new("another secret".to_owned()), ..config() };
    let uploads = Uploads::start(dir.path(), &wrong, store.clone()).unwrap();
    uploads.close().await;
    assert_eq!(left(dir.path()), ["a.wav", "b.wav"]);
    assert!(store.shelf().objects.is_empty() && !store.shelf().asked.is_empty());
}

#[test]
fn amazons_buckets_are_hosts_and_others_are_paths() {
    let place = |config: BucketConfig| config.bucket().unwrap().base_url().to_string();
    assert_eq!(place(config()), "http://127.0.0.1:9000/calls/");
    let amazon = BucketConfig { endpoint: None, ..config() };
    assert_eq!(place(amazon), "https://calls.s3.eu-central-1.amazonaws.com/");
}
