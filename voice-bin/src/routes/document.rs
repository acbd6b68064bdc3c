//! The protocol document: OpenAPI 3.1, made from the routes themselves, and a page to read it on.

mod page;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};
use utoipa::{PartialSchema, ToSchema};

use super::problem::ProblemBody;
use crate::server::App;

/// The page holds a style of its own, and nothing else may be loaded or run on it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// What all routes have in common.
pub(super) fn beginning() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("`API_TOKEN`. Where none is set the API answers on loopback only, without one."))
        .build();
    let ticket = ApiKeyValue::with_description(
        "Sec-WebSocket-Protocol",
        "The protocols of a ticket: `voice.events.v1` and `voice.ticket.…`, which opens one socket once.",
    );
    let mut schemas = vec![(ProblemBody::name().into_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut schemas);
    let components = ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Header(ticket)))
        .schemas_from_iter(schemas)
        .build();
    let info = InfoBuilder::new()
        .title("Voice")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Connects telephone calls with a realtime voice AI. Errors are problem details (RFC 9457). Every \
             answer carries `X-Correlation-ID`: the request's own if it was fit, else a new one.",
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, _, &str>("bearer", [])]))
        .build()
}

/// The document and its page. They tell nothing of this server that its source does not.
pub(super) fn routes(document: OpenApi) -> Router<Arc<App>> {
    let json = document.to_pretty_json().unwrap_or_default();
    let page = page::of(&document);
    Router::new()
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], json.clone())))
        .route(
            "/docs",
            get(async move || {
                let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
                (headers, page.clone())
            }),
        )
}
