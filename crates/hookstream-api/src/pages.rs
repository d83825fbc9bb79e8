//! The dashboard and the portal: web applications that use the API as any client does.
//!
//! Every page is one document; the application reads the address. Pages for signing in, setting up an account and
//! accepting an invitation have paths outside of `/dashboard`, because links in mails lead there. The token of a link is
//! behind the `#`, so the address that reaches this server and its logs does not contain it. The portal's token is there
//! too; the query names the environment, whose `portal_frame_origins` may embed the portal.

use axum::{
    Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse, Redirect, Response},
    routing,
};
use hookstream_dashboard::Asset;
use hookstream_model::base::ids::EnvironmentId;
use hookstream_store::identity::environments;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;

use crate::{
    http::{error::ApiError, gzip, headers::RESOURCE_POLICY},
    state::Api,
};

/// Paths of the pages outside of `/dashboard`. The router of the application has the same list.
const PATHS: [&str; 6] = ["/sign-in", "/sign-in/callback/{provider}", "/setup", "/invitation", "/forgot-password", "/reset-password"];

/// Folder of the files whose name contains a hash of the content.
const HASHED: &str = "assets/";

/// Returns the routes of the application.
pub(crate) fn routes() -> Router<Api> {
    let pages = PATHS.into_iter().fold(Router::new(), |router, path| router.route(path, routing::get(page)));
    pages
        .route("/", routing::get(|| async { Redirect::to("/dashboard") }))
        .route("/dashboard", routing::get(page))
        .route("/dashboard/", routing::get(page))
        .route("/dashboard/{*path}", routing::get(file))
        .route("/portal", routing::get(portal))
        .route("/portal/", routing::get(portal))
        .route("/portal/hookstream-portal.js", routing::get(portal_element))
}

async fn page(headers: HeaderMap) -> Response {
    respond(hookstream_dashboard::page(), &headers).await
}

/// `GET /dashboard/{path}`: a file of the application, or else its document. A file that this version lacks is 404, so
/// that a browser with an older document does not read HTML as a script.
async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    match hookstream_dashboard::find(&path) {
        Some(asset) => Ok(respond(asset, &headers).await),
        None if path.starts_with(HASHED) => Err(ApiError::unknown_route()),
        None => Ok(respond(hookstream_dashboard::page(), &headers).await),
    }
}

/// Query of the portal's page.
#[derive(Deserialize)]
struct PortalPage {
    env_id: Option<String>,
}

/// `GET /portal`: the portal's document. Which pages may embed it is the environment's setting; without an environment,
/// or with one that does not exist, only pages of this server may.
async fn portal(
    State(api): State<Api>,
    query: Result<Query<PortalPage>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = query.ok().and_then(|Query(PortalPage { env_id })| env_id?.parse::<EnvironmentId>().ok());
    let environment = match id {
        Some(id) => environments::find_any(&*api.store, id).await?,
        None => None,
    };
    let origins = environment.filter(|environment| environment.deleted_at.is_none()).map(|found| found.portal_frame_origins);
    let policy = hookstream_dashboard::portal_policy(&origins.unwrap_or_default());
    let mut response = respond(hookstream_dashboard::portal(), &headers).await;
    let policy = HeaderValue::try_from(policy).map_err(|_| ApiError::unknown_route())?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// `GET /portal/hookstream-portal.js`: the script of `<hookstream-portal>`, which pages of every origin may load.
async fn portal_element(headers: HeaderMap) -> Result<Response, ApiError> {
    let asset = hookstream_dashboard::portal_element().ok_or_else(ApiError::unknown_route)?;
    let mut response = respond(asset, &headers).await;
    response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    Ok(response)
}

/// Returns a response with a file of an application, compressed if the client accepts it.
pub(crate) async fn respond(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let mut response = if asset.is_gzip() { gzip::respond(asset.body(), headers).await } else { asset.body().into_response() };
    let caching = if asset.is_immutable() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type()));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    head.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(hookstream_dashboard::POLICY));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn got(path: &str, encoding: &'static str) -> Result<Response, ApiError> {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding))]);
        file(Path(path.to_owned()), headers).await
    }

    #[tokio::test]
    async fn unknown_paths_are_pages_and_unknown_files_are_not() {
        let page = got("messages/01a2181977e071d2b8e29f03c41d7f3a", "").await.expect("a page");
        assert_eq!(
            (&page.headers()["content-type"], &page.headers()["cache-control"]),
            (&HeaderValue::from_static("text/html; charset=utf-8"), &HeaderValue::from_static("no-cache"))
        );
        assert!(!page.headers().contains_key("content-encoding"));
        assert!(got("assets/absent-12345678.js", "gzip").await.is_err());
    }

    #[tokio::test]
    async fn pages_have_a_strict_policy_and_are_compressed() {
        let page = got("", "br, gzip").await.expect("a page");
        let policy = page.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers().contains_key("content-encoding"), hookstream_dashboard::is_built());
    }
}
