//! The protocol document is current, names every route, and is kept by every answer.

use std::path::Path;
use std::sync::LazyLock;

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::sessions::split;
use crate::world::Server;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
});

#[tokio::test]
async fn the_document_in_the_repository_is_what_the_server_shows() {
    let server = Server::start().await;
    let answer = server.ask("/openapi.json").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    expect_file!["../../../docs/openapi.json"].assert_eq(body);
    let page = server.ask("/docs").await;
    for wanted in ["content-security-policy: default-src 'none'", "text/html", "/api/v1/sessions/{id}/end"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_in_the_document_is_registered() {
    let server = Server::start().await;
    let (mut paths, other) = (0, "PROPFIND");
    for path in DOCUMENT["paths"].as_object().unwrap().keys() {
        let path = path.replace("{id}", "7").replace("{call}", "7");
        let request = format!(
            "{other} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = server.exchange(&request).await;
        assert_eq!(split(&answer).0, 405, "{path}: {answer}");
        paths += 1;
    }
    assert!(paths >= 25, "{paths}");
    server.stop().await;
}

/// Routes get into the router by way of the document; what is put there by hand would not be in it.
#[test]
fn what_is_registered_is_in_the_document() {
    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, found);
            } else if std::fs::read_to_string(&path).unwrap().contains(".route(") {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes"), &mut found);
    assert_eq!(found, ["document.rs"], "use routes!, as the document itself need not");
}

#[test]
fn operations_have_names_of_their_own_and_say_what_they_are_for() {
    let mut names = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for operation in METHODS.iter().filter_map(|method| item.get(method)) {
            names.push(operation["operationId"].as_str().unwrap());
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{path}");
        }
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Asserts that an answer is one that the document allows: its status, its kind, its form.
pub(crate) fn check(method: &str, path: &str, answer: &str) {
    let path = path.split('?').next().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    let content = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    let Some(item) = DOCUMENT["paths"].as_object().unwrap().iter().find(|(known, _)| is_same(known, path))
    else {
        return assert_eq!(status, "404", "{path} is not in the document");
    };
    let answers = &item.1[method.to_lowercase()]["responses"];
    let allowed = &answers[status];
    assert!(allowed.is_object(), "{method} {path} may not answer {status}: {body}");
    let Some(content) = content else {
        return assert!(body.is_empty(), "{method} {path} {status} does not say what it is: {body}");
    };
    let schema = &allowed["content"][content]["schema"];
    assert!(schema.is_object(), "{method} {path} {status} may not be {content}");
    if !content.ends_with("json") {
        return;
    }
    let mut schema = schema.clone();
    schema["components"] = DOCUMENT["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let wrong: Vec<String> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:#?}\n{body:#}");
}

fn is_same(template: &str, path: &str) -> bool {
    let (mut known, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (known.next(), given.next()) {
            (None, None) => return true,
            (Some(known), Some(given)) if known == given || known.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[test]
fn an_answer_of_another_form_is_found_out() {
    let answer = |status: &str, content: &str, body: Value| {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-type: {content}\r\n\r\n{body}");
        std::panic::catch_unwind(move || check("GET", "/health", &answer)).is_ok()
    };
    let right = json!({"status": "ok", "version": "1", "calls": 7, "servers": 1, "redis": "off"});
    assert!(answer("200", "application/json", right.clone()));
    assert!(!answer("201", "application/json", right.clone()));
    assert!(!answer("200", "text/plain", right));
    assert!(!answer(
        "200",
        "application/json",
        json!({"status": "ok", "version": "1", "calls": "7", "servers": 1, "redis": "off"})
    ));
    assert!(!answer("200", "application/json", json!({"status": "ok", "version": "1"})));
}
