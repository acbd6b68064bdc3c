//! Traces, as a collector of the standard sees them: a tree of spans for each call, and the context that goes
//! in and out with requests.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message of protocol buffers, read by hand: numbers of fields and their values.
#[derive(Clone, Debug)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// What came to `/v1/traces`, decoded as `opentelemetry.proto.trace.v1` has it.
#[derive(Clone, Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    start: u64,
    end: u64,
    attributes: BTreeMap<String, String>,
    events: Vec<String>,
    error: Option<String>,
}

#[derive(Default)]
struct Collected {
    spans: Vec<Span>,
    resource: BTreeMap<String, String>,
    heads: Vec<String>,
}

#[tokio::test]
async fn a_call_becomes_a_tree_of_spans() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, collected) = collector().await;
    let demo = Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .args(["demo", "--once", "--json"])
        .current_dir(directory.path())
        .env_clear()
        .env("DATABASE_URL", "sqlite:demo.db")
        .env("ENVIRONMENT", "test")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=seven")
        .env("OTEL_RESOURCE_ATTRIBUTES", "service.name=switchboard,region=north")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The demonstration ends by itself; the collector listens meanwhile.
    let output = tokio::task::spawn_blocking(|| demo.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let collected = collected.lock().unwrap();
    for (name, value) in
        [("service.name", "switchboard"), ("region", "north"), ("deployment.environment.name", "test")]
    {
        assert_eq!(collected.resource.get(name).map(String::as_str), Some(value), "{name}");
    }
    let head = collected.heads.first().unwrap().to_lowercase();
    assert!(
        head.contains("content-type: application/x-protobuf") && head.contains("x-tenant: seven"),
        "{head}"
    );

    let spans = &collected.spans;
    let of = |name: &str| -> Vec<&Span> { spans.iter().filter(|span| span.name == name).collect() };
    let [call] = of("call")[..] else { panic!("one call: {spans:#?}") };
    assert_eq!((call.kind, call.parent.as_str(), &call.error), (2, "", &None), "{call:#?}");
    for key in ["voice.call_id", "voice.correlation_id", "voice.carrier", "voice.end"] {
        assert!(call.attributes.contains_key(key), "{key} in {call:#?}");
    }
    let [stay] = of("attachment")[..] else { panic!("one attachment: {spans:#?}") };
    assert_eq!((&stay.parent, &stay.attributes["voice.provider"]), (&call.id, &"openai".to_owned()));
    assert!(["ready", "live"].iter().all(|event| stay.events.contains(&(*event).to_owned())), "{stay:#?}");
    let turns = of("turn");
    assert!(turns.len() >= 3 && turns.iter().all(|turn| turn.parent == stay.id), "{turns:#?}");
    assert!(turns.iter().any(|turn| turn.attributes.contains_key("voice.latency_ms")), "{turns:#?}");
    assert!(turns.iter().any(|turn| turn.events.contains(&"barge_in".to_owned())), "{turns:#?}");
    let [tool] = of("tool")[..] else { panic!("one tool: {spans:#?}") };
    assert_eq!(tool.attributes["voice.tool"], "lookup_order");
    let above = spans.iter().find(|span| span.id == tool.parent).unwrap();
    assert_eq!(above.name, "turn");
    for span in spans {
        assert_eq!(span.trace, call.trace);
        assert!(call.start <= span.start && span.start <= span.end, "{span:#?}");
    }
    for span in [stay, tool].into_iter().chain(turns) {
        assert!(span.end <= call.end, "{span:#?}");
    }
    let ids: std::collections::BTreeSet<&String> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), spans.len(), "an id stands twice");
    // The trace's id is the correlation id's.
    assert_eq!(call.trace, call.attributes["voice.correlation_id"].replace('-', ""));
}

#[tokio::test]
async fn the_context_of_an_order_leads_to_the_carrier_who_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, collected) = collector().await;
    let mut server = Command::new(env!("CARGO_BIN_EXE_voice-server"))
        .arg("serve")
        .current_dir(directory.path())
        .env_clear()
        .env("PORT", "0")
        .env("LOG_FORMAT", "json")
        .env("OPENAI_API_KEY", "sk-of-a-test-0123456789")
        .env("TWILIO_ACCOUNT_SID", "AC00112233445566778899aabbccddeeff")
        .env("TWILIO_AUTH_TOKEN", crate::world::TOKEN)
        .env("TWILIO_FROM_NUMBER", "+15005550006")
        // The same listener: it refuses what is no span.
        .env("TWILIO_API_URL", &endpoint)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = std::io::BufReader::new(server.stderr.take().unwrap());
    let (sender, address) = tokio::sync::oneshot::channel();
    // Reading a pipe waits; this thread ends with the process.
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        for line in std::io::BufRead::lines(pipe) {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["event_type"] == "system.started"
                && let Some(sender) = sender.take()
            {
                sender.send(line["address"].as_str().unwrap().to_owned()).unwrap();
            }
        }
    });
    let address = tokio::time::timeout(PATIENCE, address).await.unwrap().unwrap();
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let body = r#"{"to_number":"+15005550010"}"#;
    let order = format!(
        "POST /api/v1/telephony/outbound HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ntraceparent: 00-{trace}-{span}-01\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(order.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let seen = async {
        loop {
            if let Some(request) = collected.lock().unwrap().spans.iter().find(|span| span.name == "request")
            {
                return request.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let request = tokio::time::timeout(PATIENCE, seen).await.unwrap();
    assert_eq!((request.trace.as_str(), request.kind, request.error.as_deref()), (trace, 3, Some("404")));
    assert_eq!(request.attributes["http.request.method"], "POST");
    let heads = collected.lock().unwrap().heads.join("\n").to_lowercase();
    assert!(heads.contains(&format!("traceparent: 00-{trace}-{}-01", request.id)), "{heads}");
    assert!(!format!("{request:?}").contains("5005550010"));
    server.kill().unwrap();
    server.wait().unwrap();
}

/// A collector of the standard on this machine; whatever is no span is not found.
async fn collector() -> (String, Arc<Mutex<Collected>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collected = Arc::<Mutex<Collected>>::default();
    let into = collected.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(attend(stream, into.clone()));
        }
    });
    (endpoint, collected)
}

async fn attend(mut stream: TcpStream, into: Arc<Mutex<Collected>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let lower = head.to_lowercase();
        let length =
            lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        let is_traces = head.starts_with("POST /v1/traces ");
        {
            let mut collected = into.lock().unwrap();
            collected.heads.push(head);
            if is_traces {
                collected.take(&body);
            }
        }
        let status = if is_traces { "200 OK" } else { "404 Not Found" };
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

impl Collected {
    /// `ExportTraceServiceRequest`: resource_spans 1 { resource 1 { attributes 1 }, scope_spans 2 { spans 2 } }.
    fn take(&mut self, body: &[u8]) {
        for of_resource in all(body, 1) {
            for resource in all(&of_resource, 1) {
                self.resource.extend(attributes(&resource, 1));
            }
            for of_scope in all(&of_resource, 2) {
                self.spans.extend(all(&of_scope, 2).iter().map(|span| Span::read(span)));
            }
        }
    }
}

impl Span {
    fn read(bytes: &[u8]) -> Self {
        let hex = |number| all(bytes, number).concat().iter().map(|byte| format!("{byte:02x}")).collect();
        let status = all(bytes, 15).concat();
        Self {
            trace: hex(1),
            id: hex(2),
            parent: hex(4),
            name: text(bytes, 5),
            kind: number(bytes, 6),
            start: number(bytes, 7),
            end: number(bytes, 8),
            attributes: attributes(bytes, 9),
            events: all(bytes, 11).iter().map(|event| text(event, 2)).collect(),
            error: (number(&status, 3) == 2).then(|| text(&status, 2)),
        }
    }
}

/// `KeyValue { key 1, value 2 { string 1, bool 2, int 3 } }`.
fn attributes(bytes: &[u8], field: u64) -> BTreeMap<String, String> {
    let one = |pair: &Vec<u8>| {
        let value = all(pair, 2).concat();
        let told = match fields(&value).first() {
            Some((_, Field::Number(number))) => number.to_string(),
            Some((_, Field::Bytes(text))) => String::from_utf8(text.clone()).unwrap(),
            None => String::new(),
        };
        (text(pair, 1), told)
    };
    all(bytes, field).iter().map(one).collect()
}

fn text(bytes: &[u8], field: u64) -> String {
    String::from_utf8(all(bytes, field).concat()).unwrap()
}

fn number(bytes: &[u8], field: u64) -> u64 {
    let found = fields(bytes).into_iter().find(|(number, _)| *number == field);
    match found {
        Some((_, Field::Number(value))) => value,
        Some((_, Field::Bytes(_))) | None => 0,
    }
}

fn all(bytes: &[u8], field: u64) -> Vec<Vec<u8>> {
    let wanted = fields(bytes).into_iter().filter(|(number, _)| *number == field);
    wanted
        .filter_map(|(_, value)| match value {
            Field::Bytes(bytes) => Some(bytes),
            Field::Number(_) => None,
        })
        .collect()
}

/// The wire format: a key of field number and wire type, then the value.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(cut(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                Field::Bytes(cut(&mut bytes, length).to_vec())
            }
            5 => Field::Number(u32::from_le_bytes(cut(&mut bytes, 4).try_into().unwrap()).into()),
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, value));
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = cut(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn cut<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (piece, rest) = bytes.split_at(length);
    *bytes = rest;
    piece
}
