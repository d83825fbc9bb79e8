//! The documentation site of `website/`: the pages of `docs/`, served under `/docs/guide/`.

use crate::Asset;

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/guide.rs"));

/// Page in place of a site that was left out.
static LEFT_OUT: Asset = Asset { path: "index.html", is_gzip: false, body: include_bytes!("guide-left-out.html") };

/// Content security policy of the site: only its own files and small pictures of its style sheet, nothing inline, no frames.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Whether the site is part of this program.
#[must_use]
pub fn is_built() -> bool {
    !ASSETS.is_empty()
}

/// Returns the file at a path below `/docs/guide/`: a file by its name, a page also without `.html`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    if !is_built() {
        return path.is_empty().then_some(&LEFT_OUT);
    }
    let folder = path.trim_end_matches('/');
    let index = if folder.is_empty() { "index.html".to_owned() } else { format!("{folder}/index.html") };
    let named = |name: &str| ASSETS.iter().find(|asset| asset.path == name);
    named(path).or_else(|| named(&format!("{folder}.html"))).or_else(|| named(&index))
}

/// Returns the page for a path that the site does not have.
#[must_use]
pub fn missing() -> &'static Asset {
    find("404.html").unwrap_or(&LEFT_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_with_and_without_their_extension() {
        let path = |asked: &str| find(asked).map(|asset| asset.path);
        assert_eq!(path(""), Some("index.html"));
        assert_eq!(path("guides/absent"), None);
        if is_built() {
            assert_eq!(path("guides/install"), Some("guides/install.html"));
            assert_eq!(path("guides/install.html"), Some("guides/install.html"));
            assert_eq!(path("guides/receivers/"), Some("guides/receivers/index.html"));
            assert_eq!(missing().path, "404.html");
        }
    }

    #[test]
    fn every_file_has_a_type_and_the_site_stays_small() {
        for asset in ASSETS {
            assert_ne!(asset.content_type(), "application/octet-stream", "{}", asset.path);
        }
        let bytes: usize = ASSETS.iter().map(|asset| asset.body().len()).sum();
        assert!(bytes < 2_000_000, "{bytes} bytes");
    }
}
