//! Who may use the API: whoever has the token, or, without one, this very machine.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use metrics::counter;
use subtle::ConstantTimeEq;
use tracing::warn;
use voice_core::sensitive::Secret;

use super::problem::Problem;
use crate::metrics_names as names;
use crate::server::{App, ClientAddress};
use crate::telemetry::event_types::AUTHENTICATION_FAILED;

/// Headers by which a proxy says that somebody else is behind it, and a browser that a page asks.
const NOT_FROM_HERE: [&str; 9] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
    "cf-connecting-ip",
    "origin",
    "sec-fetch-site",
];

/// Lets a request in, or says why not.
///
/// Without a token only loopback peers are let in, who ask for this very machine, and not if they say that
/// they ask for somebody else: a proxy or a web page on this machine would otherwise open the API to the
/// world. A server that is published (`PUBLIC_URL`) has a proxy as a rule, and lets nobody in without one.
pub(super) fn authorise(app: &App, client: ClientAddress, headers: &HeaderMap) -> Result<(), Problem> {
    let token = app.outbound.api_token();
    check(token, app.parts.public_url.is_some(), client, headers).inspect_err(|_| {
        let reason = match (token, headers.contains_key(AUTHORIZATION)) {
            (None, _) => "not_local",
            (Some(_), false) => "missing",
            (Some(_), true) => "wrong",
        };
        counter!(names::AUTH_FAILURES, "reason" => reason).increment(1);
        warn!(event_type = AUTHENTICATION_FAILED, reason, client = %client.0, "a request to the api was refused");
    })
}

fn check(
    token: Option<&Secret<String>>,
    is_published: bool,
    client: ClientAddress,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let Some(token) = token else {
        let is_from_elsewhere = NOT_FROM_HERE.iter().any(|name| headers.contains_key(*name));
        let is_local = client.0.to_canonical().is_loopback() && names_this_machine(headers);
        if is_local && !is_from_elsewhere && !is_published {
            return Ok(());
        }
        return Err(Problem::unauthorised().detail(
            "API_TOKEN is not set, so the API answers to the machine it runs on only, and where PUBLIC_URL is set to \
             nobody",
        ));
    };
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let given = match given.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
        Some(_) | None => return Err(Problem::unauthorised()),
    };
    let is_right: bool = given.ct_eq(token.expose().as_bytes()).into();
    if is_right { Ok(()) } else { Err(Problem::unauthorised()) }
}

/// Whether the address that was asked for is this machine's own; a name that leads here is not.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(host) = host.parse::<Authority>() else { return false };
    let name = host.host().trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The same as a layer, for routes that all ask for it.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    authorise(&app, client, request.headers())?;
    Ok(next.run(request).await)
}

const SCHEME: &[u8] = b"bearer ";

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn check(token: Option<&str>, client: &str, header: (&'static str, &'static str)) -> bool {
        let token = token.map(|token| Secret::new(token.to_owned()));
        let name = HeaderName::from_static(header.0);
        let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("127.0.0.1:8080"))]);
        headers.insert(name, HeaderValue::from_static(header.1));
        let client = ClientAddress(client.parse().expect("an address"));
        let is_in = super::check(token.as_ref(), false, client, &headers).is_ok();
        // Whether it is published makes no difference to those with a token, and all to the others.
        let if_published = super::check(token.as_ref(), true, client, &headers).is_ok();
        assert_eq!(if_published, is_in && token.is_some());
        is_in
    }

    #[test]
    fn a_token_is_asked_of_everybody_once_it_is_set() {
        assert!(check(Some("t0ken"), "203.0.113.7", ("authorization", "Bearer t0ken")));
        assert!(check(Some("t0ken"), "203.0.113.7", ("authorization", "bearer t0ken")));
        for wrong in ["", "Bearer", "Bearer ", "Bearer t0ke", "Bearer t0ken2", "Basic t0ken", "t0ken"] {
            assert!(!check(Some("t0ken"), "127.0.0.1", ("authorization", wrong)), "{wrong}");
        }
    }

    #[test]
    fn without_a_token_only_this_machine_asks_and_for_itself() {
        for (client, header, is_in) in [
            ("127.0.0.1", "accept", true),
            ("::1", "accept", true),
            ("::ffff:127.0.0.1", "accept", true),
            ("203.0.113.7", "accept", false),
            ("10.0.0.1", "accept", false),
            ("127.0.0.1", "x-forwarded-for", false),
            ("127.0.0.1", "forwarded", false),
            ("127.0.0.1", "x-forwarded-host", false),
            ("127.0.0.1", "origin", false),
            ("127.0.0.1", "sec-fetch-site", false),
            ("127.0.0.1", "host", false),
        ] {
            assert_eq!(check(None, client, (header, "203.0.113.7")), is_in, "{client} {header}");
        }
        assert!(!check(None, "203.0.113.7", ("authorization", "Bearer ")));
    }
}
