//! The OpenAPI 3.1 document, made from the operations themselves.

mod enrich;
mod words;

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, Content, RefOr, ResponseBuilder,
        path::Operation,
        schema::Ref,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::error::ErrorBody;

/// A client asks anew each time, since the next version has another.
const NOT_UNASKED: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hookstream",
        description = "Send webhooks to your customers: applications have endpoints, messages go to every endpoint that wants them, \
            signed by Standard Webhooks, retried for days, with every attempt on record.\n\n\
            Ids are 32 hexadecimal characters and sort by time. Times are ISO 8601 in UTC with milliseconds. Unknown fields and query \
            parameters are errors that name the nearest known one. Every POST takes an `Idempotency-Key`, except those of signing in. Every \
            answer has an `X-Request-Id`."
    ),
    tags(
        (name = "Applications", description = "One for each of your customers."),
        (name = "Endpoints", description = "Where an application's messages go."),
        (name = "Messages", description = "What you tell your customers, and what became of it."),
        (name = "Jobs", description = "Sending sets of messages again, in the background."),
        (name = "Event types", description = "The catalogue of what messages can be about."),
        (name = "API keys", description = "Who may speak for an environment, and what they may do."),
        (name = "Environments", description = "What isolates applications, messages and keys, and what each may keep."),
        (name = "Organizations", description = "Who belongs together, and what each may do."),
        (name = "Sign-in", description = "How people prove who they are. A request that changes something with the cookie must come from a page of this installation."),
        (name = "Portal", description = "Where your customers help themselves."),
        (name = "Usage", description = "How much is sent, where it stands, and what it takes on disk."),
        (name = "Audit log", description = "Who did what, from where, and how it was before and after."),
        (name = "Nodes", description = "The processes of this installation."),
        (name = "Health", description = "For load balancers and probes.")
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
        let key = ApiKeyValue::with_description("X-API-Key", "An API key: `hs_live_` or `hs_test_` and 64 hexadecimal characters.");
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
        components.add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
        let cookie = ApiKeyValue::with_description("better-auth.session_token", "The session of somebody who signed in.");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
            "A portal token (`POST /v1/applications/{appId}/portal-access`): one application, for an hour, for `/v1/portal/…` only.",
        ));
        components.add_security_scheme("portal", SecurityScheme::Http(token.build()));
    }
}

/// The OpenAPI document of this version.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, operations) = crate::versioned().split_for_parts();
    let mut document = Document::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.merge(utoipa::openapi::OpenApi::default().nest("/v1", operations));
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            add_errors(path, operation);
        }
    }
    document
}

/// The same as JSON, with what clients expect besides: this is what is served, and `docs/openapi.json`.
pub fn document_json() -> serde_json::Value {
    let mut document = serde_json::to_value(document()).expect("the document is JSON");
    enrich::enrich(&mut document);
    document
}

/// The errors that an operation can answer besides its own.
fn add_errors(path: &str, operation: &mut Operation) {
    let mut errors = vec![
        ("500", "Something went wrong on our side."),
        ("503", "The server is stopping, its disk is full, or its database is not available."),
    ];
    if !path.starts_with("/v1/health") {
        errors.push(("400", "A parameter or a field is refused; `details.field` names it."));
        errors.push(("401", "No API key was given, or an invalid one."));
        errors.push(("429", "The key makes too many requests; `Retry-After` says how long to wait."));
        errors.push(("403", "The API key lacks the scope that this needs; `details.scope` names it."));
        errors.push(("404", "It is not there, or belongs to somebody else."));
    }
    if operation.request_body.is_some() {
        errors.push(("408", "The body comes too slowly."));
        errors.push(("413", "The body or the payload is too large; `details.limit` says how large it may be."));
        errors.push(("422", "The `Idempotency-Key` was used for another request."));
    }
    for (status, description) in errors {
        let responses = &mut operation.responses.responses;
        if !responses.contains_key(status) {
            let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
            let response = ResponseBuilder::new().description(description).content("application/json", content).build();
            responses.insert(status.to_owned(), RefOr::T(response));
        }
    }
}

/// `GET /v1/openapi.json`
pub(crate) async fn serve() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document_json().to_string());
    let mut response = text.as_str().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, NOT_UNASKED);
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_operation_has_an_id_of_its_own_a_summary_and_its_errors() {
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
