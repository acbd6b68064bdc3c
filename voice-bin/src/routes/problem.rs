//! What went wrong with a request to the API, as RFC 9457 has it: `application/problem+json`.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A problem, ready to be answered. Made by status and name; everything else is optional.
#[derive(Debug)]
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
#[derive(Debug, Serialize)]
struct FieldProblem {
    field: &'static str,
    detail: String,
}

/// The body. `type` is a URN of ours: it names the problem, and leads nowhere.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
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
    pub(crate) fn add(&mut self, field: &'static str, detail: impl Into<String>) {
        self.errors.push(FieldProblem { field, detail: detail.into() });
    }

    /// Whether anything was said of a field.
    pub(crate) fn has_fields(&self) -> bool {
        !self.errors.is_empty()
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: format!("urn:voice:problem:{}", self.name),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
            errors: &self.errors,
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let content = [(CONTENT_TYPE, "application/problem+json")];
        let headers = HeaderMap::from_iter(self.headers);
        (self.status, headers, content, json).into_response()
    }
}

/// A JSON object; no body at all is an empty one.
pub(super) fn understood<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Problem::invalid().detail(error.to_string()))
}

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
}
