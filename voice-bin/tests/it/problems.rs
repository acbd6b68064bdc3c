//! Whatever goes wrong is told in one form, with the id under which the log has it.

use serde_json::{Value, json};

use crate::sessions::split;
use crate::world::Server;

#[tokio::test]
async fn every_refusal_is_a_problem_with_a_name_and_an_id() {
    let server = Server::start().await;
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(70_000));
    let order = "/api/v1/telephony/outbound";
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let absent = "/api/v1/sessions/00000000-0000-0000-0000-000000000000";
    for (method, path, header, body, status, name) in [
        ("GET", "/nowhere", "", "", 404, "not_found"),
        ("GET", absent, "", "", 404, "not_found"),
        ("GET", "/api/v1/sessions/%FF", "", "", 400, "bad_request"),
        ("DELETE", "/api/v1/sessions", "", "", 405, "method_not_allowed"),
        ("GET", "/api/v1/sessions", "x-real-ip: 192.0.2.7\r\n", "", 401, "unauthorized"),
        ("POST", order, "", large.as_str(), 413, "too_large"),
        ("POST", order, form, "to_number=1", 415, "unsupported_media_type"),
        ("POST", order, "content-encoding: gzip\r\n", "{}", 415, "unsupported_media_type"),
        ("POST", order, "", "{", 400, "invalid_json"),
        ("POST", order, "", "[]", 422, "invalid_request"),
        ("POST", order, "", r#"{"to_number":7}"#, 422, "invalid_request"),
        ("POST", order, "", r#"{"to_number":"+15005550006"}"#, 503, "no_carrier"),
        ("POST", "/api/v1/sessions", "", r#"{"to_number":"+15005550006"}"#, 503, "no_carrier"),
        ("POST", "/api/v1/telephony/webhooks/twilio", "", "a=b", 403, "forbidden"),
        ("GET", "/api/v1/telephony/media/twilio", "", "", 426, "upgrade_required"),
    ] {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nx-correlation-id: req-7\r\n\
             {header}content-length: {length}\r\n\r\n{body}"
        );
        let answer = server.exchange(&request).await;
        let head = answer.to_lowercase();
        assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"), "{method} {path}: {answer}");
        assert!(head.contains("\r\nx-correlation-id: req-7\r\n"), "{method} {path}: {answer}");
        let (told, problem) = split(&answer);
        assert_eq!((told, &problem["status"]), (status, &json!(status)), "{method} {path}: {answer}");
        assert_eq!(problem["type"], format!("urn:voice:problem:{name}"), "{method} {path}");
        assert_eq!(problem["correlation_id"], "req-7");
        assert!(problem["title"].is_string());
        assert_eq!(status == 405, head.contains("\r\nallow: "), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_id_that_is_not_fit_is_not_carried_on() {
    let server = Server::start().await;
    for wrong in ["", "a b", "<script>", &"x".repeat(65)] {
        let answer = server
            .exchange(&format!(
                "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-correlation-id: {wrong}\r\n\r\n"
            ))
            .await;
        let (_, problem): (u16, Value) = split(&answer);
        let id = problem["correlation_id"].as_str().unwrap();
        assert_eq!(id.len(), 36, "a new one: {id}");
        assert!(answer.contains(&format!("x-correlation-id: {id}")));
    }
    server.stop().await;
}
