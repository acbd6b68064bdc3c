//! Plain HTTP answers of the fakes.

use serde_json::Value;
use voice_core::sim::peer::{Request, ServiceOutput};
use voice_core::wire::WireMessage;

/// An answer of JSON, from its status to its end.
pub(super) fn answer(
    status: u16,
    mut headers: Vec<(&'static str, String)>,
    body: &Value,
) -> [ServiceOutput; 3] {
    headers.push(("content-type", "application/json".to_owned()));
    [
        ServiceOutput::Respond { status, headers },
        ServiceOutput::Send(WireMessage::Binary(body.to_string().into_bytes().into())),
        ServiceOutput::Close { code: 1000, reason: String::new() },
    ]
}

/// The path of a plain `GET`, such as a probe of a service's health.
pub(super) fn read(request: &Request) -> Option<&str> {
    (request.method == "GET" && !request.upgrade).then(|| path(request))
}

/// The target without its query.
pub(super) fn path(request: &Request) -> &str {
    request.target.split('?').next().unwrap_or_default()
}
