//! What went wrong with a request to the API, as RFC 9457 has it: `application/problem+json`.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use voice_core::id::CorrelationId;

/// A problem, ready to be answered. Made by status and name; everything else is optional.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// A stable name, the last part of the type's URN: `invalid_request`.
    name: &'static str,
    title: &'static str,
    detail: Option<String>,
    errors: Vec<FieldProblem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct FieldProblem {
    /// Its name, with dots between the names of objects in objects; `body` for the whole.
    field: Cow<'static, str>,
    detail: String,
}

/// A problem as RFC 9457 has it. `type` is a URN of ours: it names the problem, and leads nowhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    #[schema(example = "urn:voice:problem:not_found")]
    r#type: String,
    /// The same for each of its type.
    title: &'a str,
    status: u16,
    /// What about this very request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldProblem],
    /// Finds the request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
}

impl Problem {
    /// A problem of this kind. `title` is the same for each of its kind.
    pub(crate) fn new(status: StatusCode, name: &'static str, title: &'static str) -> Self {
        Self { status, name, title, detail: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// The request is not what this route takes.
    pub(crate) fn invalid() -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "The request is not valid")
    }

    /// The body is not JSON.
    pub(crate) fn not_json() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", "The body is not JSON")
    }

    /// What a status alone says.
    pub(super) fn of(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("The request failed");
        Self::new(status, name_of(status), title)
    }

    /// There is no such thing.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such thing")
    }

    /// Nobody said who asks, or not the truth.
    pub(crate) fn unauthorised() -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid bearer token is required");
        problem.header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// It may be asked again after so many seconds.
    pub(crate) fn unavailable(name: &'static str, title: &'static str, retry_after_secs: u16) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, name, title).header(RETRY_AFTER, retry_after_secs.into())
    }

    /// What about this very request. It goes to whoever asked, so it may quote them.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what is wrong with a field.
    pub(crate) fn add(&mut self, field: impl Into<Cow<'static, str>>, detail: impl Into<String>) {
        self.errors.push(FieldProblem { field: field.into(), detail: detail.into() });
    }

    /// Whether anything was said of a field.
    pub(crate) fn has_fields(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Goes with the answer.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn body(&self, correlation: Option<&CorrelationId>) -> Vec<u8> {
        let body = ProblemBody {
            r#type: format!("urn:voice:problem:{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
            errors: &self.errors,
            correlation_id: correlation.map(CorrelationId::as_str),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let content = [(CONTENT_TYPE, CONTENT)];
        let headers = HeaderMap::from_iter(self.headers.clone());
        let mut response = (self.status, headers, content, self.body(None)).into_response();
        // For whoever knows how the request is called.
        response.extensions_mut().insert(self);
        response
    }
}

const CONTENT: &str = "application/problem+json";

/// What is quoted of an answer that was only a word.
const WORD_BYTES_MAX: usize = 200;

/// Makes a problem of whatever went wrong, and writes into it how the request is called.
pub(super) async fn sign(response: Response, correlation: &CorrelationId) -> Response {
    let is_wrong = response.status().is_client_error() || response.status().is_server_error();
    if !is_wrong {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let problem = match head.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None if is_word(&head.headers) => {
            let problem = Problem::of(head.status);
            let word = axum::body::to_bytes(body, WORD_BYTES_MAX).await.unwrap_or_default();
            let word = String::from_utf8_lossy(&word);
            if word.is_empty() { problem } else { problem.detail(word) }
        }
        // An answer with a form of its own, such as that of `/ready`.
        None => return Response::from_parts(head, body),
    };
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(problem.body(Some(correlation))))
}

fn is_word(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|content| content.as_bytes().starts_with(b"text/plain"))
}

const fn name_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        408 => "timeout",
        413 => "too_large",
        415 => "unsupported_media_type",
        426 => "upgrade_required",
        429 => "too_many_requests",
        503 => "unavailable",
        500.. => "internal",
        _other => "refused",
    }
}

/// A JSON object; no body at all is an empty one.
pub(super) fn understood<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    // What is no object would be taken for one whose fields come in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<IgnoredAny>(body)
            .map_err(|error| Problem::not_json().detail(plain(&error)))?;
        let mut problem = Problem::invalid();
        problem.add("body", "a JSON object is wanted");
        return Err(problem);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return Problem::not_json().detail(plain(&error));
        }
        let mut problem = Problem::invalid();
        problem.add(field(path, &error), plain(&error));
        problem
    })?;
    json.end().map_err(|error| Problem::not_json().detail(plain(&error)))?;
    Ok(read)
}

/// Without the place, which a body on one line does not need.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// Of a field that is missing or unknown only the message tells the name.
fn field(path: String, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let is_named = message.starts_with("missing field") || message.starts_with("unknown field");
    let name = message.split('`').nth(1).filter(|_| is_named);
    match name {
        None if path == "." => "body".to_owned(),
        Some(name) if path == "." => name.to_owned(),
        Some(name) if path != name && !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        Some(_) | None => path,
    }
}

/// For fields that are objects: serde would also take a list of their fields in order.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let fields: Option<serde_json::Map<String, serde_json::Value>> = Option::deserialize(from)?;
    fields
        .map(|fields| T::deserialize(serde_json::Value::Object(fields)))
        .transpose()
        .map_err(D::Error::custom)
}

/// For routes that take no wishes: an empty body, or an empty object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// For fields that are true unless they are said not to be.
pub(super) const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_says_what_and_where() {
        let mut problem = Problem::invalid();
        problem.add("to_number", "the number is empty");
        let response = problem.into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a body");
        expect_test::expect![[r#"{"type":"urn:voice:problem:invalid_request","title":"The request is not valid","status":422,"errors":[{"field":"to_number","detail":"the number is empty"}]}"#]]
        .assert_eq(&String::from_utf8_lossy(&body));
    }

    #[test]
    fn headers_go_with_it() {
        let response = Problem::unauthorised().into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        let response = Problem::unavailable("busy", "Busy", 5).into_response();
        assert_eq!(
            (response.status().as_u16(), response.headers()[RETRY_AFTER].as_bytes()),
            (503, &b"5"[..])
        );
    }

    fn problem_of(body: &'static str) -> (u16, Vec<(String, String)>) {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wish {
            #[allow(dead_code, reason = "only read")]
            name: String,
            #[serde(default, deserialize_with = "object")]
            #[allow(dead_code, reason = "only read")]
            inner: Option<Inner>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Inner {
            #[allow(dead_code, reason = "only read")]
            count: u32,
        }
        let problem = understood::<Wish>(&Bytes::from_static(body.as_bytes())).expect_err(body);
        let fields = problem.errors.into_iter().map(|error| (error.field.into_owned(), error.detail));
        (problem.status.as_u16(), fields.collect())
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_by_the_name_of_the_field() {
        for (body, field) in [
            ("", "name"),
            ("{}", "name"),
            (r#"["ada"]"#, "body"),
            ("7", "body"),
            ("null", "body"),
            (r#"{"name":7}"#, "name"),
            (r#"{"name":["ada"]}"#, "name"),
            (r#"{"name":"ada","more":1}"#, "more"),
            (r#"{"name":"ada","name":"bob"}"#, "body"),
            (r#"{"name":"ada","inner":[1]}"#, "inner"),
            (r#"{"name":"ada","inner":{}}"#, "inner.count"),
        ] {
            let (status, fields) = problem_of(body);
            assert_eq!((status, fields.len()), (422, 1), "{body}");
            assert_eq!(fields[0].0, field, "{body}: {fields:?}");
            assert!(!fields[0].1.contains("at line"));
        }
        for body in ["{", "garbage", r#"{"name":"ada"} more"#, "[1", r#"{"name":"ada""#] {
            assert_eq!(problem_of(body), (400, Vec::new()), "{body}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_only_a_word_becomes_a_problem_and_one_of_its_own_form_does_not() {
        let correlation = CorrelationId::from_static("c-1");
        let word = (StatusCode::FORBIDDEN, [(RETRY_AFTER, "7")], "bad_signature").into_response();
        let signed = sign(word, &correlation).await;
        assert_eq!(signed.headers()[RETRY_AFTER], "7");
        let body = axum::body::to_bytes(signed.into_body(), 10_000).await.expect("a body");
        expect_test::expect![[r#"{"type":"urn:voice:problem:forbidden","title":"Forbidden","status":403,"detail":"bad_signature","correlation_id":"c-1"}"#]]
        .assert_eq(&String::from_utf8_lossy(&body));
        let own = (StatusCode::SERVICE_UNAVAILABLE, axum::Json(true)).into_response();
        let kept = sign(own, &correlation).await;
        assert_eq!(axum::body::to_bytes(kept.into_body(), 10_000).await.expect("a body"), "true");
    }
}
