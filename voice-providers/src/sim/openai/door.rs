//! Who is let in, and what is said to the others.

use serde_json::json;
use voice_core::sim::peer::{Request, ServiceOutput};
use voice_core::wire::WireMessage;

use super::config::{FakeOpenAiConfig, Rudeness};
use crate::sim::http;

/// Somebody who may come in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guest {
    /// The subprotocol that was offered and is chosen.
    pub(super) subprotocol: Option<&'static str>,
    /// The model that was asked for.
    pub(super) model: String,
    /// Whether it speaks the beta's protocol.
    pub(super) is_beta: bool,
}

/// Lets somebody in, or says why not. A probe of a model (`GET /v1/models/…`) is answered, not let in.
pub(super) fn enter(config: &FakeOpenAiConfig, request: &Request) -> Result<Guest, Vec<ServiceOutput>> {
    if let Some(status) = rude_status(config) {
        return Err(refuse(status, "rate_limit_exceeded"));
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let probed = http::read(request).and_then(|path| path.strip_prefix("/v1/models/"));
    if probed.is_none() && (!request.upgrade || path != "/v1/realtime") {
        return Err(refuse(404, "not_found"));
    }
    let protocols: Vec<&str> =
        request.header("sec-websocket-protocol").unwrap_or_default().split(',').map(str::trim).collect();
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let in_protocol = protocols.iter().find_map(|p| p.strip_prefix("openai-insecure-api-key."));
    match (bearer.or(in_protocol), &config.key) {
        (Some(given), Some(key)) if given == key => {}
        (Some(given), None) if !given.is_empty() => {}
        _ => return Err(refuse(401, "invalid_api_key")),
    }
    if let Some(model) = probed {
        let model = json!({"id": model, "object": "model", "created": 0, "owned_by": "fake"});
        return Err(http::answer(200, Vec::new(), &model).into());
    }
    let model = query.split('&').find_map(|pair| pair.strip_prefix("model=")).unwrap_or_default();
    Ok(Guest {
        subprotocol: protocols.contains(&"realtime").then_some("realtime"),
        model: model.to_owned(),
        is_beta: request.header("openai-beta").is_some(),
    })
}

fn rude_status(config: &FakeOpenAiConfig) -> Option<u16> {
    let rude = [
        (Rudeness::Refuse401, 401),
        (Rudeness::Refuse403, 403),
        (Rudeness::Refuse429, 429),
        (Rudeness::Refuse503, 503),
    ];
    rude.into_iter().find(|(rudeness, _)| config.is(*rudeness)).map(|(_, status)| status)
}

fn refuse(status: u16, code: &str) -> Vec<ServiceOutput> {
    let code = if status == 401 { "invalid_api_key" } else { code };
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if status == 429 {
        headers.push(("retry-after", "7".to_owned()));
    }
    let body = match status {
        503 => "upstream connect error".to_owned(),
        _ => json!({"error": {"type": "invalid_request_error", "code": code, "message": "Refused."}})
            .to_string(),
    };
    vec![
        ServiceOutput::Respond { status, headers },
        ServiceOutput::Send(WireMessage::Binary(body.into())),
        ServiceOutput::Close { code: 1000, reason: String::new() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&str, &str)]) -> Request {
        Request {
            method: "GET".into(),
            target: target.into(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: bytes::Bytes::new(),
            upgrade: true,
        }
    }

    #[test]
    fn a_probe_is_told_whether_its_key_is_right() {
        let config = FakeOpenAiConfig::new(1).key("sk-1");
        for (header, expected) in [("Bearer sk-1", 200), ("Bearer sk-2", 401)] {
            let mut probe = request("/v1/models/gpt-realtime-2.1", &[("authorization", header)]);
            probe.upgrade = false;
            let answer = enter(&config, &probe).expect_err("an answer");
            assert!(matches!(answer[0], ServiceOutput::Respond { status, .. } if status == expected));
        }
    }

    #[test]
    fn a_key_opens_the_door_as_header_and_as_subprotocol() {
        let config = FakeOpenAiConfig::new(1).key("sk-1");
        let target = "/v1/realtime?model=gpt-realtime-2.1";
        let by_header = enter(&config, &request(target, &[("authorization", "Bearer sk-1")])).expect("in");
        assert_eq!((by_header.subprotocol, by_header.model.as_str()), (None, "gpt-realtime-2.1"));
        let offered = [("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-1")];
        let by_protocol = enter(&config, &request(target, &offered)).expect("in");
        assert_eq!(by_protocol.subprotocol, Some("realtime"));
        for (target, headers) in [
            (target, vec![("authorization", "Bearer sk-2")]),
            (target, vec![]),
            ("/v1/other", vec![("authorization", "Bearer sk-1")]),
        ] {
            let refused = enter(&config, &request(target, &headers)).expect_err("out");
            assert!(matches!(refused[0], ServiceOutput::Respond { status: 401 | 404, .. }));
        }
    }
}
