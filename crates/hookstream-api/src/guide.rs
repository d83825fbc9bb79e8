//! `/docs/guide`: the documentation site. All files come from this binary, so the site works without the Internet, and its
//! policy lets it load nothing from elsewhere.

use axum::{
    Router,
    extract::Path,
    response::{Redirect, Response},
    routing,
};
use hookstream_dashboard::{Asset, guide};
use http::{HeaderMap, HeaderValue, header};

use crate::{http::error::ApiError, pages, state::Api};

/// Folder of the files whose name contains a hash of the content.
const HASHED: &str = "assets/";

/// Returns the routes of the site.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        // Links of the site are relative to the folder.
        .route("/docs/guide", routing::get(|| async { Redirect::permanent("/docs/guide/") }))
        .route("/docs/guide/", routing::get(|headers: HeaderMap| file(Path(String::new()), headers)))
        .route("/docs/guide/{*path}", routing::get(file))
}

/// `GET /docs/guide/{path}`: a page or a file of the site. A path that the site lacks is a page with the status 404; a file
/// with a hash is an error, so that a browser with an older page does not read HTML as a script.
async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    match guide::find(&path) {
        Some(asset) => Ok(respond(asset, &headers).await),
        None if path.starts_with(HASHED) => Err(ApiError::unknown_route()),
        None => {
            let mut response = respond(guide::missing(), &headers).await;
            *response.status_mut() = ApiError::unknown_route().status();
            Ok(response)
        }
    }
}

async fn respond(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let mut response = pages::respond(asset, headers).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(guide::POLICY));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use http::Method;

    use super::*;
    use crate::tests::Installation;

    async fn text(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), 2_000_000).await.expect("read");
        String::from_utf8(bytes.into()).expect("text")
    }

    #[tokio::test]
    async fn site_is_served_without_credentials() {
        let installation = Installation::start().await;
        let stranger = installation.browser();
        let redirect = stranger.respond(Method::GET, "/docs/guide", &[], "").await;
        assert_eq!((redirect.status().as_u16(), &redirect.headers()["location"]), (308, &HeaderValue::from_static("/docs/guide/")));
        for path in ["/docs/guide/", "/docs/guide/index.html"].into_iter().take(if guide::is_built() { 2 } else { 1 }) {
            let page = stranger.respond(Method::GET, path, &[], "").await;
            assert_eq!(page.status().as_u16(), 200, "{path}");
            assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
            assert_eq!(page.headers()["cache-control"], "no-cache");
            assert_eq!(page.headers()["content-security-policy"], guide::POLICY);
        }
    }

    #[tokio::test]
    async fn unknown_pages_are_404_and_unknown_files_are_no_pages() {
        let page = file(Path("guides/absent".to_owned()), HeaderMap::new()).await.expect("a page");
        assert_eq!((page.status().as_u16(), &page.headers()["content-type"]), (404, &HeaderValue::from_static("text/html; charset=utf-8")));
        assert!(file(Path("assets/absent.12345678.js".to_owned()), HeaderMap::new()).await.is_err());
    }

    #[tokio::test]
    async fn files_are_compressed_and_those_with_a_hash_never_expire() {
        if !guide::is_built() {
            return;
        }
        let gzip = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let page = file(Path("reference/delivery".to_owned()), gzip).await.expect("a page");
        assert_eq!(page.headers()["content-encoding"], "gzip");
        let page = text(file(Path("reference/delivery".to_owned()), HeaderMap::new()).await.expect("a page")).await;
        assert!(page.contains("webhook-signature"));
        // Every file that a page names is there; nothing is inline or from elsewhere.
        assert!(!page.contains("<script>") && !page.contains("<style") && !page.contains(" style=\""));
        let files: Vec<&str> = page.split('"').filter_map(|word| word.strip_prefix("/docs/guide/assets/")).collect();
        assert!(files.len() > 3, "{files:?}");
        for name in files {
            let response = file(Path(format!("assets/{name}")), HeaderMap::new()).await.expect("a file");
            assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable", "{name}");
            // A build for developers would print warnings.
            assert!(!name.ends_with(".js") || !text(response).await.contains("[Vue warn]"), "{name}");
        }
    }
}
