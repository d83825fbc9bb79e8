//! Settings of an HTTP target, parsed once.

use std::{collections::BTreeMap, sync::Arc};

use hookstream_model::outbound::endpoint::EndpointUrl;
use http::{HeaderName, HeaderValue, Uri};

use crate::{Settings, net::network::Network};

/// HTTP target: where requests go, and the endpoint's own headers.
#[derive(Debug)]
pub(crate) struct HttpTarget {
    /// URI of the request; `None` for a URL that HTTP cannot express.
    pub(crate) uri: Option<Uri>,
    /// Custom headers, in the smallest form because there may be very many endpoints.
    pub(crate) headers: Box<[(HeaderName, HeaderValue)]>,
    pub(super) network: Arc<Network>,
}

impl HttpTarget {
    pub(crate) fn new(settings: &Settings<'_>, network: Arc<Network>) -> Self {
        Self { uri: uri(settings.url), headers: settings.headers.map(own_headers).unwrap_or_default(), network }
    }
}

/// Returns the URI of a URL; `None` for a URL that HTTP cannot express.
pub(crate) fn uri(url: &EndpointUrl) -> Option<Uri> {
    url.to_url().as_str().parse().ok()
}

/// Parses custom headers. They were checked when saved; a header that a stricter rule now rejects is dropped.
fn own_headers(headers: &BTreeMap<String, String>) -> Box<[(HeaderName, HeaderValue)]> {
    let parse =
        |(name, value): (&String, &String)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?));
    headers.iter().filter_map(parse).collect()
}
