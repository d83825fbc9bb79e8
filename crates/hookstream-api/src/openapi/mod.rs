//! OpenAPI 3.1 document. `xtask openapi` derives it from the operations and writes `docs/openapi.json`, which the binary
//! contains.

pub(crate) mod docs;

mod enrich;
mod words;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, RefOr,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::http::{error::ErrorBody, gzip};

/// `docs/openapi.json`, compressed by the build script.
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// Clients must revalidate, because the next version has another document.
const NOT_UNASKED: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hookstream",
        description = "Send webhooks to your customers. Each customer is an application with endpoints. A message is delivered to every \
            matching endpoint, signed according to Standard Webhooks and retried for days. Every attempt is recorded.\n\n\
            Ids are 32 hexadecimal characters and sort by time. Times are ISO 8601 in UTC with milliseconds. Unknown fields and query \
            parameters are refused with 400, and the error names the nearest known name. Every POST accepts an `Idempotency-Key`, \
            except those of signing in. Every answer has an `X-Request-Id`.\n\n[Guides and explanations](/docs/guide/)"
    ),
    tags(
        (name = "Applications", description = "Applications: one for each of your customers."),
        (name = "Endpoints", description = "Endpoints: URLs that receive an application's messages."),
        (name = "Messages", description = "Messages: events sent to your customers, with their deliveries."),
        (name = "Attempts", description = "Attempts: requests to endpoints, with their outcome."),
        (name = "Jobs", description = "Jobs: sending messages again in the background."),
        (name = "Event types", description = "Event types: the catalog of events, with their JSON Schemas."),
        (name = "API keys", description = "API keys: credentials of programs, with scopes."),
        (name = "Environments", description = "Environments: isolated applications, messages and API keys, with their limits."),
        (name = "Organizations", description = "Organizations: members, roles and invitations."),
        (name = "Sign-in", description = "Sign-in: sessions, passwords, second factors and identity providers of users. A request with the session cookie that changes something must come from a page of this installation."),
        (name = "Live stream", description = "Live stream: events as they happen, over a WebSocket or as server-sent events."),
        (name = "Portal", description = "Portal: operations for your customers, with a portal token."),
        (name = "Operational webhooks", description = "Operational webhooks: endpoints of your own that are told what happens in the environment."),
        (name = "Metrics", description = "Metrics: numbers of messages, deliveries and attempts over time."),
        (name = "Usage", description = "Usage: counts of messages and deliveries, storage and quotas."),
        (name = "Views", description = "Views: saved filters of lists, of one user or shared in the environment."),
        (name = "Audit log", description = "Audit log: changes with their actor, address, and state before and after."),
        (name = "Backups", description = "Backups: copies of the data directory that the server makes by itself."),
        (name = "Nodes", description = "Nodes: processes of this installation, and their delivery queues."),
        (name = "Health", description = "Health: checks for load balancers and probes.")
    ),
    components(schemas(ErrorBody)),
    security(("api_key" = []), ("bearer" = []), ("session" = [])),
    modifiers(&Secured)
)]
struct Document;

struct Secured;

impl Modify for Secured {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let key = ApiKeyValue::with_description("X-API-Key", "API key: `hs_live_` or `hs_test_` and 64 hexadecimal characters.");
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
        components.add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
        let cookie = ApiKeyValue::with_description("better-auth.session_token", "Session of a signed-in user.");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
            "Portal token from `POST /v1/applications/{appId}/portal-access`: valid for one application, for an hour, and for `/v1/portal/…` and the live stream only.",
        ));
        components.add_security_scheme("portal", SecurityScheme::Http(token.build()));
    }
}

/// Returns the OpenAPI document of this version.
pub fn document() -> utoipa::openapi::OpenApi {
    let operations = crate::versioned(utoipa::openapi::OpenApi::default());
    let mut document = Document::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.merge(utoipa::openapi::OpenApi::default().nest("/v1", operations));
    document.merge(crate::unversioned(utoipa::openapi::OpenApi::default()));
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            add_errors(path, operation);
        }
    }
    document
}

/// Returns the document as JSON, with additions that clients expect, as `docs/openapi.json` has it.
pub fn document_json() -> serde_json::Value {
    let mut document = serde_json::to_value(document()).expect("the document is JSON");
    enrich::enrich(&mut document);
    document
}

/// Adds the errors that any operation can answer.
fn add_errors(path: &str, operation: &mut Operation) {
    let mut errors = vec![
        ("500", "Internal server error."),
        ("503", "The server is shutting down, its disk is full, or its database is not available."),
    ];
    if !path.starts_with("/v1/health") {
        errors.push(("400", "Invalid parameter or field; `details.field` names it."));
        errors.push(("401", "The API key, session or portal token is missing or invalid."));
        errors.push(("429", "Too many requests; `Retry-After` is the time to wait."));
        errors.push(("403", "The caller lacks the required scope; `details.scope` names it."));
        errors.push(("404", "Not found."));
    }
    if operation.request_body.is_some() {
        errors.push(("408", "Request body timed out."));
        errors.push(("413", "The body or the payload is too large; `details.limit` is the limit in bytes."));
        errors.push(("422", "The `Idempotency-Key` was already used for another request."));
    }
    for (status, description) in errors {
        let responses = &mut operation.responses.responses;
        if !responses.contains_key(status) {
            responses.insert(status.to_owned(), RefOr::T(ErrorBody::response(description)));
        }
    }
}

/// `GET /v1/openapi.json`
pub(crate) async fn serve(headers: HeaderMap) -> Response {
    let mut response = gzip::respond(COMPRESSED, &headers).await;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, NOT_UNASKED);
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[tokio::test]
    async fn document_of_the_binary_is_the_derived_one() {
        let response = serve(HeaderMap::new()).await;
        let text = axum::body::to_bytes(response.into_body(), 20_000_000).await.expect("read");
        let embedded: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert!(embedded == document_json(), "`cargo run -p xtask -- openapi` was not run after a change of operations");
    }

    #[test]
    fn operations_have_unique_ids_summaries_and_errors() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.post, &item.patch, &item.delete].into_iter().flatten() {
                let id = operation.operation_id.as_deref().unwrap_or_default();
                assert!(!id.is_empty() && ids.insert(id.to_owned()), "{path}: the id {id:?} is missing or taken");
                assert!(operation.summary.is_some(), "{id} has no summary");
                assert!(operation.responses.responses.keys().any(|status| status.starts_with('5')), "{id} tells no errors");
            }
        }
        assert!(ids.len() > 20, "only {} operations", ids.len());
    }
}
