//! The web applications of `dashboard/` and `website/`, built by the build script and embedded. The HTTP API serves them.
//!
//! A program that was built without Node.js contains neither; [`page`] is then a page that says what to do.

pub mod guide;

/// File of an application.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Path below `/dashboard/` or `/docs/guide/`.
    path: &'static str,
    is_gzip: bool,
    body: &'static [u8],
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Page in place of an application that was left out.
static LEFT_OUT: Asset = Asset { path: "index.html", is_gzip: false, body: include_bytes!("left-out.html") };

/// Content security policy of the application: only its own files, nothing inline, no frames.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Content security policy of the portal without its last rule, which names the pages that may embed it. An icon may come
/// from any host.
const PORTAL_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' https:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors";

/// Returns the content security policy of the portal, which pages of these origins may embed.
#[must_use]
pub fn portal_policy(frame_origins: &[String]) -> String {
    let mut policy = format!("{PORTAL_POLICY} 'self'");
    for origin in frame_origins {
        policy.push(' ');
        policy.push_str(origin);
    }
    policy
}

/// Whether the application is part of this program.
#[must_use]
pub fn is_built() -> bool {
    !ASSETS.is_empty()
}

/// Returns the file at a path below `/dashboard/`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Returns the document of every page of the application.
#[must_use]
pub fn page() -> &'static Asset {
    find("index.html").unwrap_or(&LEFT_OUT)
}

/// Returns the document of the portal.
#[must_use]
pub fn portal() -> &'static Asset {
    find("portal.html").unwrap_or(&LEFT_OUT)
}

/// Returns the script that defines the element `<hookstream-portal>`; `None` if the application was left out.
#[must_use]
pub fn portal_element() -> Option<&'static Asset> {
    find("hookstream-portal.js")
}

impl Asset {
    /// Bytes of the file, compressed if [`Asset::is_gzip`].
    #[must_use]
    pub const fn body(&self) -> &'static [u8] {
        self.body
    }

    /// Whether the bytes are compressed with gzip.
    #[must_use]
    pub const fn is_gzip(&self) -> bool {
        self.is_gzip
    }

    /// Whether the name contains a hash of the content, so that the file never changes.
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }

    /// Media type, by the extension.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "json" => "application/json",
            "woff2" => "font/woff2",
            _ => "application/octet-stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_exists_with_and_without_the_application() {
        assert_eq!(page().content_type(), "text/html; charset=utf-8");
        assert_eq!(page().is_gzip(), is_built());
        assert!(!page().is_immutable() && !page().body().is_empty());
    }

    #[test]
    fn only_names_with_a_hash_are_immutable() {
        for asset in ASSETS {
            assert_eq!(asset.is_immutable(), asset.path.starts_with("assets/"), "{}", asset.path);
            assert_ne!(asset.content_type(), "application/octet-stream", "{}", asset.path);
        }
        assert!(find("assets/absent.js").is_none());
    }
}
