//! Unknown names in a request: the error quotes the name and suggests the nearest known one.

use http::{Method, Uri};
use serde_json::json;

use crate::http::error::{ApiError, ErrorCode};

/// Query parameters of every operation with a caller: the tenant.
const OF_CALLER: [&str; 2] = ["org_id", "env_id"];
/// Maximum length of a quoted name, in characters.
const QUOTED: usize = 64;

/// Input of an operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    /// Names of the query parameters.
    parameters: &'static [&'static str],
    has_body: bool,
}

// `OPERATIONS`, by method and path: written by the build script, from the OpenAPI document.
include!(concat!(env!("OUT_DIR"), "/operations.rs"));

/// Refuses a query with a parameter that the operation does not have.
pub(crate) fn check_query(method: &Method, pattern: &str, uri: &Uri) -> Result<(), ApiError> {
    let Some(query) = uri.query().filter(|query| !query.is_empty()) else { return Ok(()) };
    let Some(operation) = find(method, pattern) else { return Ok(()) };
    let known: Vec<&str> = operation.parameters.iter().copied().chain(OF_CALLER).collect();
    let is_known = |name: &str| known.contains(&name);
    match url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).find(|name| !is_known(name)) {
        None => Ok(()),
        Some(unknown) => {
            let mut named: Vec<_> = known.clone();
            named.dedup();
            Err(unknown_name(ErrorCode::UnknownParameter, "query parameter", "parameter", &unknown, &named))
        }
    }
}

/// Returns true if an operation has no body: then the body of a request must have no fields.
pub(crate) fn takes_no_body(method: &Method, pattern: &str) -> bool {
    find(method, pattern).is_some_and(|operation| !operation.has_body)
}

fn find(method: &Method, pattern: &str) -> Option<&'static Operation> {
    // HEAD is answered like GET (RFC 9110 section 9.3.2).
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let at = OPERATIONS.binary_search_by(|known| (known.method, known.path).cmp(&(method, pattern))).ok()?;
    OPERATIONS.get(at)
}

/// Returns the error for a body field that the operation does not have.
pub(crate) fn unknown_field(path: &str, name: &str, known: &[&str]) -> ApiError {
    let given = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    unknown_name(ErrorCode::UnknownField, "field", "field", &given, known)
}

fn unknown_name(code: ErrorCode, what: &str, detail: &'static str, name: &str, known: &[&str]) -> ApiError {
    let name = quoted(name);
    let nearest = nearest(name.rsplit('.').next().unwrap_or(&name), known);
    let advice = match (nearest, known) {
        (Some(nearest), _) => format!("Did you mean `{nearest}`?"),
        (None, []) => format!("This operation accepts no {what}s."),
        (None, known) => format!("Allowed: {}.", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    let mut details = json!({ detail: name });
    if let Some(nearest) = nearest {
        details["nearest"] = nearest.into();
    }
    ApiError::new(code, format!("Unknown {what} `{name}`. {advice}")).with_details(details)
}

/// Returns the most similar known name, or `None` if none is similar.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let likeness = |known: &str| {
        let shares_a_word = name.split('_').any(|word| word.len() > 3 && known.split('_').any(|other| other == word));
        strsim::normalized_damerau_levenshtein(&name, known) + if shares_a_word { 0.25 } else { 0.0 }
    };
    let best = known.iter().map(|known| (*known, likeness(known))).max_by(|(_, one), (_, other)| one.total_cmp(other));
    best.filter(|(_, likeness)| *likeness >= 0.5).map(|(known, _)| known)
}

/// Returns a name of a request in a form that is safe to quote in a response and a log.
fn quoted(name: &str) -> String {
    let mut quoted: String = name.chars().take(QUOTED).flat_map(char::escape_debug).collect();
    if name.chars().nth(QUOTED).is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: ApiError) -> String {
        serde_json::to_value(error.body("")).expect("JSON")["error"].as_str().expect("a text").to_owned()
    }

    #[test]
    fn nearest_known_name_is_suggested() {
        let known = ["url", "description", "filter_types", "rate_limit_per_second", "payload"];
        let check = |name: &str, expected: Option<&str>| assert_eq!(nearest(name, &known), expected, "{name}");
        check("filter_type", Some("filter_types"));
        check("event_types", Some("filter_types"));
        check("Url", Some("url"));
        check("desciption", Some("description"));
        check("rate_limit", Some("rate_limit_per_second"));
        check("paylaod", Some("payload"));
        check("zzz", None);
    }

    #[test]
    fn error_names_the_field_and_the_allowed_ones() {
        assert_eq!(said(unknown_field("", "dat", &["payload", "event_type"])), "Unknown field `dat`. Allowed: `payload`, `event_type`.");
        assert_eq!(said(unknown_field("batch", "max_sise", &["max_size"])), "Unknown field `batch.max_sise`. Did you mean `max_size`?");
        assert_eq!(said(unknown_field("", "x", &[])), "Unknown field `x`. This operation accepts no fields.");
        assert!(said(unknown_field("", "a\u{202e}\u{1b}[0m", &[])).is_ascii());
    }

    #[test]
    fn unknown_query_parameter_is_refused() {
        let check = |method: Method, pattern: &str, uri: &'static str| check_query(&method, pattern, &Uri::from_static(uri)).map_err(said);
        assert_eq!(check(Method::GET, "/v1/applications", "/v1/applications?limit=1&search=a&env_id=x"), Ok(()));
        assert_eq!(check(Method::HEAD, "/v1/applications", "/v1/applications?limit=1"), Ok(()));
        assert_eq!(check(Method::GET, "/v1/applications", "/v1/applications"), Ok(()));
        assert_eq!(
            check(Method::GET, "/v1/applications", "/v1/applications?limt=1"),
            Err("Unknown query parameter `limt`. Did you mean `limit`?".to_owned())
        );
        assert_eq!(
            check(Method::POST, "/v1/applications", "/v1/applications?%6cimit=1"),
            Err("Unknown query parameter `limit`. Allowed: `org_id`, `env_id`.".to_owned())
        );
    }

    #[test]
    fn bodies_in_the_document_refuse_unknown_fields() {
        let document = serde_json::to_value(crate::document()).expect("JSON");
        let schemas = &document["components"]["schemas"];
        let mut checked = 0;
        for operation in
            document["paths"].as_object().expect("paths").values().flat_map(|path| path.as_object().expect("operations").values())
        {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let name = [schema, &schema["oneOf"][1], &schema["oneOf"][0]].into_iter().find_map(|schema| schema["$ref"].as_str());
            let Some(name) = name.and_then(|name| name.rsplit('/').next()) else {
                assert!(operation["requestBody"].is_null(), "{}: its body has no name", operation["operationId"]);
                continue;
            };
            assert_eq!(schemas[name]["additionalProperties"], false, "{name} of {}", operation["operationId"]);
            checked += 1;
        }
        assert!(checked > 30, "only {checked} bodies");
    }

    #[test]
    fn operations_without_a_body_are_known() {
        assert!(takes_no_body(&Method::POST, "/v1/jobs/{id}/cancel"));
        assert!(!takes_no_body(&Method::POST, "/v1/applications"));
        assert!(!takes_no_body(&Method::POST, "/v1/nothing"));
    }
}
