//! Query parameters that may be repeated, or given once with a list: `event_type=a&event_type=b` is `event_type=a,b`.

use axum::extract::{FromRequestParts, Query};
use http::{Uri, request::Parts};
use serde::de::DeserializeOwned;

use crate::{
    http::{error::ApiError, params::QueryParams},
    state::Api,
};

/// Parameters that may be repeated.
const SEVERAL: [&str; 2] = ["event_type", "status"];

/// Parameters of a query, in which repeated ones of [`SEVERAL`] are joined to a list.
pub(crate) struct SeveralParams<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for SeveralParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        if let Some(joined) = joined(&parts.uri) {
            parts.uri = joined;
        }
        QueryParams::from_request_parts(parts, api).await.map(|QueryParams(params)| Self(params))
    }
}

/// Returns the address with repeated parameters joined; `None` if none is repeated or the query cannot be read.
fn joined(uri: &Uri) -> Option<Uri> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let mut together: Vec<(String, String)> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        match together.iter_mut().find(|(known, _)| *known == name && SEVERAL.contains(&name.as_str())) {
            Some((_, list)) => *list = format!("{list},{value}"),
            None => together.push((name, value)),
        }
    }
    let query: Vec<_> = together.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    format!("{}?{}", uri.path(), query.join("&")).parse().ok()
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

/// Returns the entries of a comma-separated list; none if the parameter is absent. An empty entry is kept, so that its
/// reader refuses `status=` like any other word.
pub(crate) fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.into_iter().flat_map(|text| text.split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_parameter_becomes_a_list() {
        let check = |query: &str, expected: &[(&str, &str)]| {
            let uri: Uri = format!("/v1/messages?{query}").parse().expect("an address");
            let joined = joined(&uri).expect("a readable query");
            let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&joined).expect("a readable query");
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(pairs, expected, "{query}");
        };
        check("event_type=a.b&limit=5&event_type=c.d", &[("event_type", "a.b,c.d"), ("limit", "5")]);
        check("event_type=a.b%2Cc.d", &[("event_type", "a.b,c.d")]);
        check("search=%C3%A4+%26%3D&since=x", &[("search", "ä &="), ("since", "x")]);
        // Other repeated parameters are refused when they are read.
        check("limit=1&limit=2", &[("limit", "1"), ("limit", "2")]);
        assert_eq!(list(Some("a, b,,c")).collect::<Vec<_>>(), ["a", "b", "", "c"]);
        assert_eq!(list(Some("")).collect::<Vec<_>>(), [""]);
        assert_eq!(list(None).count(), 0);
    }
}
