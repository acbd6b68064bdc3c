//! What every route may answer when it cannot do what it is asked, for the protocol document.

use std::collections::BTreeMap;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, ToSchema};

use super::problem::ProblemBody;

/// For routes that read.
pub(super) struct Fails;

/// For routes about one thing.
pub(super) struct FailsForOne;

/// For a route that a setting takes away.
pub(super) struct FailsWhenOff;

/// For routes that read of one thing while it runs.
pub(super) struct FailsForRunning;

/// For routes that take a body.
pub(super) struct FailsToOrder;

/// For routes that take a body, from nobody too often.
pub(super) struct FailsToPlace;

/// For routes that take a body, about one thing that may be in the wrong state.
pub(super) struct FailsToOrderOne;

/// The same, from nobody too often.
pub(super) struct FailsToStart;

/// For what carriers bring.
pub(super) struct FailsToCarrier;

impl IntoResponses for FailsToCarrier {
    fn responses() -> Table {
        table(&[400, 403, 408, 413, 426, 429, 503])
    }
}

impl IntoResponses for FailsWhenOff {
    fn responses() -> Table {
        table(&[404])
    }
}

impl IntoResponses for Fails {
    fn responses() -> Table {
        table(&[401, 422, 503])
    }
}

impl IntoResponses for FailsForOne {
    fn responses() -> Table {
        table(&[400, 401, 404, 422, 503])
    }
}

impl IntoResponses for FailsForRunning {
    fn responses() -> Table {
        table(&[400, 401, 404, 409, 503])
    }
}

impl IntoResponses for FailsToOrder {
    fn responses() -> Table {
        table(&[400, 401, 408, 413, 415, 422, 503])
    }
}

impl IntoResponses for FailsToPlace {
    fn responses() -> Table {
        table(&[400, 401, 408, 413, 415, 422, 429, 503])
    }
}

impl IntoResponses for FailsToOrderOne {
    fn responses() -> Table {
        table(&[400, 401, 404, 408, 409, 413, 415, 422, 503])
    }
}

impl IntoResponses for FailsToStart {
    fn responses() -> Table {
        table(&[400, 401, 404, 408, 409, 413, 415, 422, 429, 503])
    }
}

type Table = BTreeMap<String, RefOr<Response>>;

fn table(statuses: &[u16]) -> Table {
    statuses.iter().map(|status| (status.to_string(), RefOr::T(problem(*status)))).collect()
}

fn problem(status: u16) -> Response {
    let schema = Ref::from_schema_name(ProblemBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let title = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    ResponseBuilder::new()
        .description(title.unwrap_or("a problem"))
        .content("application/problem+json", content)
        .build()
}
