//! Who may use the API: whoever has the token, or, without one, this very machine.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;
use voice_core::sensitive::Secret;

use super::problem::Problem;
use crate::server::{App, ClientAddress};

/// Headers by which a proxy says that somebody else is behind it.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Lets a request in, or says why not.
///
/// Without a token only loopback peers are let in, and not if they say that they ask for somebody else:
/// a proxy on this machine would otherwise open the API to the world.
pub(super) fn authorise(
    token: Option<&Secret<String>>,
    client: ClientAddress,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let Some(token) = token else {
        let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        if client.0.to_canonical().is_loopback() && !is_forwarded {
            return Ok(());
        }
        return Err(Problem::unauthorised()
            .detail("API_TOKEN is not set, so the API answers to the machine it runs on only"));
    };
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let given = match given.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
        Some(_) | None => return Err(Problem::unauthorised()),
    };
    let is_right: bool = given.ct_eq(token.expose().as_bytes()).into();
    if is_right { Ok(()) } else { Err(Problem::unauthorised()) }
}

/// The same as a layer, for routes that all ask for it.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    authorise(app.outbound.api_token(), client, request.headers())?;
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
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(header.1))]);
        authorise(token.as_ref(), ClientAddress(client.parse().expect("an address")), &headers).is_ok()
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
        ] {
            assert_eq!(check(None, client, (header, "203.0.113.7")), is_in, "{client} {header}");
        }
        assert!(!check(None, "203.0.113.7", ("authorization", "Bearer ")));
    }
}
