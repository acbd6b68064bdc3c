//! Bodies of requests to the API: read whole before their route is asked, within limits, or refused.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::problem::Problem;

/// An order has a few hundred bytes; its metadata may be some thousand.
const BYTES_MAX: usize = 64 << 10;

/// Whoever orders something sends that at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the body of a request; its route finds it whole. A layer.
pub(super) async fn take(request: Request, next: Next) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    if !body.is_empty() {
        is_json(&head.headers)?;
    }
    Ok(next.run(Request::from_parts(head, Body::from(body))).await)
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(TIMEOUT, Limited::new(body, BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too large")
                .detail(format!("a body has {BYTES_MAX} bytes at most")))
        }
        Ok(Err(_broken)) => Err(Problem::of(StatusCode::BAD_REQUEST).detail("the body did not come whole")),
        Err(_late) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The request did not come in time"))
        }
    }
}

/// Who says nothing means JSON; who says something else is not understood.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let kind =
        content.map(|content| content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let is_packed = headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
    if kind.is_none_or(|kind| kind == "application/json" || kind.ends_with("+json")) && !is_packed {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The body is not of a kind that is understood",
    )
    .detail("send it as it is, with Content-Type: application/json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_understood_and_nothing_else() {
        let is = |content: &'static str| {
            is_json(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content))])).is_ok()
        };
        assert!(is_json(&HeaderMap::new()).is_ok());
        assert!(is("application/json") && is("Application/JSON; charset=utf-8") && is("application/a+json"));
        assert!(!is("application/x-www-form-urlencoded") && !is("text/plain") && !is(""));
        let packed = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(is_json(&packed).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_in_time_or_not_at_all() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let status = |problem: Problem| axum::response::IntoResponse::into_response(problem).status();
        assert_eq!(read(never).await.map_err(status), Err(StatusCode::REQUEST_TIMEOUT));
        let large = Body::from(vec![b' '; BYTES_MAX + 1]);
        assert_eq!(read(large).await.map_err(status), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(read(Body::from("{}")).await.map_err(status), Ok(Bytes::from_static(b"{}")));
    }
}
