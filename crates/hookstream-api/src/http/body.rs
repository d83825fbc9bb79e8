//! Request bodies: JSON, bounded by operation, in time, and in memory over all requests. Errors name the field.

use std::{borrow::Cow, fmt, marker::PhantomData, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, MatchedPath, Request},
};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, Unexpected},
};
use serde_json::{json, value::RawValue};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    http::{
        error::{ApiError, ErrorCode},
        in_flight::{Held, TooMuch},
        limits::Subject,
        names,
    },
    state::Api,
};

/// Bytes of a request's body, at most as many as its operation accepts.
#[derive(Debug)]
pub(crate) struct RawBody(
    pub(crate) Bytes,
    /// Counts the bytes as in flight until it is dropped.
    pub(crate) Option<Held>,
);

/// Maximum size of a body without a payload, in bytes.
const PLAIN_MAX: usize = 64 * 1024;
/// Maximum size of a body with a JSON Schema, or with an endpoint's headers and filters, in bytes.
const CONFIGURED_MAX: usize = 256 * 1024;
/// Maximum size of a body in one frame that is not counted as in flight, because it lives only while it is handled;
/// in bytes.
const UNCOUNTED: usize = 16 * 1024;

/// Returns the maximum body size of an operation, in bytes, by its path pattern.
fn limit_of(pattern: &str, api: &Api) -> usize {
    match pattern.strip_prefix("/v1").unwrap_or(pattern) {
        "/applications/{appId}/messages" | "/applications/{appId}/endpoints/{id}/test" | "/portal/endpoints/{id}/test" => api.body_limit(),
        "/event-types"
        | "/event-types/{id}"
        | "/applications/{appId}/endpoints"
        | "/test-receivers"
        | "/applications/{appId}/endpoints/{id}"
        | "/portal/endpoints"
        | "/portal/endpoints/{id}" => CONFIGURED_MAX,
        _ => PLAIN_MAX,
    }
}

impl FromRequest<Api> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, api: &Api) -> Result<Self, ApiError> {
        let limit = limit_of(request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str), api);
        check_encoding(request.headers())?;
        let announced = content_length(request.headers());
        let subject = request.extensions().get::<Subject>().copied();
        let mut body = request.into_body();
        if announced.is_some_and(|length| length > limit) {
            drain(body).await;
            return Err(too_large(limit));
        }
        let mut held = Held::new(&api.in_flight, subject);
        let mut kept = BytesMut::new();
        let mut end = None;
        // The first frame usually arrives with the head and needs no timer.
        let mut ready = body.frame().now_or_never();
        loop {
            let frame = match ready.take() {
                Some(frame) => frame,
                None => {
                    let end = *end.get_or_insert_with(|| Instant::now() + BODY_WITHIN);
                    tokio::time::timeout_at(end.min(Instant::now() + PART_WITHIN), body.frame()).await.map_err(|_| too_slow())?
                }
            };
            let Some(frame) = frame else { break };
            let Ok(frame) = frame else {
                let message = "The request's body ended before its Content-Length. Retry the request with the correct Content-Length.";
                return Err(ApiError::new(ErrorCode::BodyIncomplete, message));
            };
            let Ok(data) = frame.into_data() else { continue };
            if kept.is_empty() && data.len() <= UNCOUNTED && announced == Some(data.len()) {
                return Ok(Self(data, None));
            }
            if kept.len() + data.len() > limit {
                drop((kept, held));
                drain(body).await;
                return Err(too_large(limit));
            }
            if let Err(too_much) = held.grow(data.len()) {
                drop((kept, held));
                drain(body).await;
                return Err(busy(too_much));
            }
            kept.extend_from_slice(&data);
        }
        Ok(Self(kept.freeze(), Some(held)))
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses compressed bodies (RFC 9110 section 15.5.16).
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = codings.flat_map(|line| line.split(',')).map(str::trim).filter(|coding| !coding.is_empty());
    match codings.find(|coding| !coding.eq_ignore_ascii_case("identity")) {
        None => Ok(()),
        Some(coding) => {
            let message = format!(
                "The request's body has the Content-Encoding {:?}, which is not supported. Send it uncompressed.",
                coding.chars().take(32).collect::<String>()
            );
            Err(ApiError::new(ErrorCode::UnsupportedEncoding, message))
        }
    }
}

fn too_large(limit: usize) -> ApiError {
    let setting = if limit > CONFIGURED_MAX { " (setting payload_limit_bytes)" } else { "" };
    let message = format!("The request's body is too large: this operation accepts at most {limit} bytes{setting}.");
    ApiError::new(ErrorCode::BodyTooLarge, message).with_details(json!({ "limit": limit }))
}

fn busy(too_much: TooMuch) -> ApiError {
    match too_much {
        TooMuch::OfOne => {
            let message = "Too many large requests of this caller are in progress. Send fewer at the same time.";
            ApiError::new(ErrorCode::TooManyBytes, message).with_retry_after(RETRY_BUSY)
        }
        TooMuch::OfAll => {
            let message = "Too many large requests are in progress. Retry after the time in Retry-After.";
            ApiError::new(ErrorCode::Busy, message).with_retry_after(RETRY_BUSY)
        }
    }
}

/// `Retry-After` of a request that was refused because too many bytes were in flight.
const RETRY_BUSY: Duration = Duration::from_secs(1);
/// Time limits for each frame of a body, and for the whole body.
const PART_WITHIN: Duration = Duration::from_secs(30);
const BODY_WITHIN: Duration = Duration::from_secs(300);

fn too_slow() -> ApiError {
    let message = format!(
        "Request body timed out: each part must arrive within {} s, the whole body within {} s. Retry the request.",
        PART_WITHIN.as_secs(),
        BODY_WITHIN.as_secs()
    );
    ApiError::new(ErrorCode::BodyTooSlow, message)
}

/// Limits for draining a refused body: bytes and time.
const DRAIN_MAX: usize = 32 * 1024 * 1024;
const DRAIN_FOR: Duration = Duration::from_secs(3);

/// Drains the rest of a body. If the connection were closed while the sender still writes, it would be reset, and the
/// sender could not read the error.
async fn drain(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while read < DRAIN_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    let _ = tokio::time::timeout(DRAIN_FOR, reading).await;
}

impl RawBody {
    /// Parses the body as a JSON object with these fields and no others.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        let json = self.json();
        // serde would accept an array with the fields in their order.
        if !is_object(json) {
            return Err(explain::<T>(json));
        }
        // Only a refused body is parsed a second time, to name the place of the error.
        serde_json::from_slice(json).map_err(|_| explain::<T>(json))
    }

    /// Same for an optional body: an empty body and `null` count as `{}`.
    pub(crate) fn parse_optional<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if matches!(self.0.trim_ascii(), b"" | b"null") { Self(Bytes::from_static(b"{}"), None).parse() } else { self.parse() }
    }

    /// Returns the body without a byte order mark, which a parser may ignore (RFC 8259 section 8.1).
    fn json(&self) -> &[u8] {
        self.0.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.0)
    }
}

/// Refuses a body with fields, for an operation that accepts none.
pub(crate) async fn refuse_fields(request: Request<Body>, api: &Api) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let Nothing {} = RawBody::from_request(request, api).await?.parse_optional()?;
    Ok(())
}

/// Returns the error for a body that could not be parsed.
fn explain<'a, T: Deserialize<'a>>(json: &'a [u8]) -> ApiError {
    let refuse = |message: String| ApiError::new(ErrorCode::InvalidJson, message);
    if json.is_empty() {
        return refuse("The request has no body. Send a JSON object.".to_owned());
    }
    if json.starts_with(b"\xFE\xFF") || json.starts_with(b"\xFF\xFE") || json.iter().take(4).any(|byte| *byte == 0) {
        return refuse("The request's body is encoded as UTF-16 or UTF-32. Send JSON encoded as UTF-8.".to_owned());
    }
    if let Err(error) = std::str::from_utf8(json) {
        return refuse(format!("The request's body is not UTF-8: byte {} is invalid. Send JSON encoded as UTF-8.", error.valid_up_to()));
    }
    if let Err(error) = serde_json::from_slice::<&RawValue>(json) {
        return refuse(format!("The request's body is not JSON: {error}."));
    }
    if !is_object(json) {
        return refuse("The request's body must be a JSON object.".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => refused(&error.path().to_string(), &error.inner().to_string()),
        Ok(_) => refuse("The request's body can't be read.".to_owned()),
    }
}

fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// Builds the error for a field from serde's message.
fn refused(path: &str, problem: &str) -> ApiError {
    let problem = problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem);
    // The path ends with the unknown field; the part before it names the parent.
    let of = path.rsplit_once('.').map_or("", |(of, _)| of);
    let named = |field: &str| if path == "." || path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    if let Some((field, known)) = problem.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        return names::unknown_field(of, field, &known);
    }
    if let Some(field) = problem.strip_prefix("missing field `") {
        return ApiError::invalid(&named(field.trim_end_matches('`')), "is missing");
    }
    if let Some(field) = problem.strip_prefix("duplicate field `") {
        return ApiError::invalid(&named(field.trim_end_matches('`')), "occurs twice. Send it once");
    }
    if problem.contains("hex escape") || problem.contains("surrogate") || problem.contains("unicode code point") {
        return ApiError::invalid(path, "contains an escape sequence that is not a character, such as the lone surrogate \\ud800");
    }
    match problem.strip_prefix("invalid type: ").or_else(|| problem.strip_prefix("invalid value: ")) {
        // The expected part is our own text, so the last separator is the one before it.
        Some(rest) => {
            let (given, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another value"));
            ApiError::invalid(path, &format!("must be {}; got {}", expected_in_words(expected), given_in_words(given)))
        }
        None => ApiError::invalid(path, &format!("is invalid: {problem}")),
    }
}

/// Translates serde's expectation into the words of JSON.
fn expected_in_words(expected: &str) -> Cow<'_, str> {
    match expected {
        "a string" | "a borrowed string" | "str" => "a string".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "an array".into(),
        "a map" => "an object".into(),
        expected if expected.starts_with("struct ") => "an object".into(),
        expected => expected.into(),
    }
}

/// Translates the value that serde found into the words of JSON. A string is not quoted, because it may be a secret
/// in the wrong field.
fn given_in_words(given: &str) -> Cow<'_, str> {
    match given.split_once(' ').unwrap_or((given, "")) {
        ("string", _) => "a string".into(),
        ("map", _) => "an object".into(),
        ("sequence", _) => "an array".into(),
        ("null", _) | ("unit", _) => "null".into(),
        ("boolean" | "integer", value) => value.trim_matches('`').to_owned().into(),
        ("floating", value) => value.trim_start_matches("point ").trim_matches('`').to_owned().into(),
        _ => given.into(),
    }
}

/// Whole number, written with or without a fraction of zero: `10` and `10.0` (JSON Schema, `integer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole<T>(pub(crate) T);

impl<'de, T: TryFrom<u64> + fmt::Display + Bounded> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<T: TryFrom<u64> + fmt::Display + Bounded> de::Visitor<'_> for Visitor<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 0 to {}", T::MAX)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole<T>, E> {
                T::try_from(value).map(Whole).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Whole<T>, E> {
                let unsigned = u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
                self.visit_u64(unsigned)
            }

            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: a whole number below 2^53")]
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Whole<T>, E> {
                const EXACT: f64 = 9_007_199_254_740_992.0;
                if value.fract() == 0.0 && (0.0..EXACT).contains(&value) {
                    self.visit_u64(value as u64)
                } else {
                    Err(E::invalid_value(Unexpected::Float(value), &self))
                }
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<T> Whole<T> {
    /// Returns the number.
    pub(crate) fn number(self) -> T {
        self.0
    }
}

/// Deserializes a field that is a plain number.
pub(crate) fn whole<'de, T: TryFrom<u64> + fmt::Display + Bounded, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(Whole::number)
}

/// Number types with a maximum.
pub(crate) trait Bounded {
    const MAX: Self;
}

impl Bounded for u32 {
    const MAX: Self = Self::MAX;
}

impl Bounded for u64 {
    const MAX: Self = Self::MAX;
}

/// Field of a change: left out, set to null, or given.
#[derive(Debug, Default)]
pub(crate) enum Field<T> {
    /// The field keeps its value.
    #[default]
    Absent,
    /// The field gets no value.
    Null,
    /// The field gets this value.
    Given(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Given))
    }
}

impl<T> Field<T> {
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns the value of a field that must not be null, or `None` if it is left out.
    pub(crate) fn required(self, field: &'static str) -> Result<Option<T>, ApiError> {
        match self {
            Self::Absent => Ok(None),
            Self::Null => Err(ApiError::invalid(field, "must not be null")),
            Self::Given(value) => Ok(Some(value)),
        }
    }

    /// Returns the new value of a field that may be null, or `None` if it is left out.
    pub(crate) fn nullable(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Given(value) => Some(Some(value)),
        }
    }

    /// Maps the value with a function that may fail.
    pub(crate) fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Field<U>, E> {
        Ok(match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Given(value) => Field::Given(read(value)?),
        })
    }
}

/// Boolean: `true` and `false`, or 1 and 0, as in responses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag(bool);

impl Flag {
    pub(crate) const fn is_set(self) -> bool {
        self.0
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(is_set) => Ok(Self(is_set)),
            serde_json::Value::Number(number) if number.as_f64() == Some(1.0) => Ok(Self(true)),
            serde_json::Value::Number(number) if number.as_f64() == Some(0.0) => Ok(Self(false)),
            _ => Err(serde::de::Error::custom("must be 1, 0, true or false")),
        }
    }
}

impl<T> Field<Whole<T>> {
    /// Maps the value to its number.
    pub(crate) fn number(self) -> Field<T> {
        match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Given(whole) => Field::Given(whole.0),
        }
    }
}

/// Returns the text of a JSON value that may be given natively or as text.
pub(crate) fn json_text(field: &'static str, raw: &RawValue) -> Result<String, ApiError> {
    hookstream_model::base::json::text_of(raw)
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ApiError::invalid(field, "contains an escape sequence that is not a character, such as a lone surrogate"))
}

/// JSON value, or its JSON text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the OpenAPI document; `json_value` parses the value")]
pub(crate) enum OrText<T> {
    /// JSON value.
    Native(T),
    /// JSON text of the value.
    Text(String),
}

/// Parses such a value into a structure. serde alone would accept an array with the fields in their order.
pub(crate) fn json_fields<T: DeserializeOwned>(field: &'static str, raw: &RawValue, expected: &str) -> Result<T, ApiError> {
    if is_object(json_text(field, raw)?.as_bytes()) {
        json_value(field, raw, expected)
    } else {
        Err(ApiError::invalid(field, &format!("must be {expected}, or the JSON text of one")))
    }
}

/// Parses such a value; `expected` names the expected type.
pub(crate) fn json_value<T: DeserializeOwned>(field: &'static str, raw: &RawValue, expected: &str) -> Result<T, ApiError> {
    serde_json::from_str(&json_text(field, raw)?)
        .map_err(|_| ApiError::invalid(field, &format!("must be {expected}, or the JSON text of one")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "the test parses values that fail")]
    struct Read {
        number: Whole<u32>,
        word: Option<String>,
        part: Option<Part>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "the test parses values that fail")]
    struct Part {
        inner: bool,
    }

    fn refusal(body: &[u8]) -> String {
        let body = RawBody(Bytes::copy_from_slice(body), None);
        let error = body.parse::<Read>().expect_err(body.0.escape_ascii().to_string().as_str());
        serde_json::to_value(error.body("")).expect("JSON")["error"].as_str().expect("a text").to_owned()
    }

    #[test]
    fn error_names_the_field_and_quotes_no_text() {
        let check = |body: &str, expected: &str| assert_eq!(refusal(body.as_bytes()), expected, "{body}");
        for text in ["hunter2", "hunter2, expected hunter2", "hunter2\\\" at line hunter2", "hunter2`, expected"] {
            check(&format!(r#"{{"number": "{text}"}}"#), "`number` must be a whole number from 0 to 4294967295; got a string.");
        }
        check(r#"{"number": -1}"#, "`number` must be a whole number from 0 to 4294967295; got -1.");
        check(r#"{"number": 1.5}"#, "`number` must be a whole number from 0 to 4294967295; got 1.5.");
        check(r#"{"number": 4294967296}"#, "`number` must be a whole number from 0 to 4294967295; got 4294967296.");
        check(r#"{"number": null}"#, "`number` must be a whole number from 0 to 4294967295; got null.");
        check(r#"{"number": 1, "word": ["hunter2"]}"#, "`word` must be a string; got an array.");
        check(r#"{"number": 1, "part": 5}"#, "`part` must be an object; got 5.");
        check(r#"{"number": 1, "part": {"inner": 1}}"#, "`part.inner` must be true or false; got 1.");
        check(r#"{"number": 1, "part": {}}"#, "`part.inner` is missing.");
        check(r#"{"number": 1, "part": {"iner": true}}"#, "Unknown field `part.iner`. Did you mean `inner`?");
        check(r#"{"number": 1, "numbr": 1}"#, "Unknown field `numbr`. Did you mean `number`?");
        check(r#"{"number": 1, "number": 1}"#, "`number` occurs twice. Send it once.");
        check("{}", "`number` is missing.");
        check(" [1, null]", "The request's body must be a JSON object.");
        let surrogate = refusal(br#"{"number": 1, "word": "\ud800"}"#);
        assert!(surrogate.starts_with("`word` contains an escape sequence that is not a character"), "{surrogate}");
        assert!(!refusal(br#"{"number": "hunter2"#).contains("hunter2"));
    }

    #[test]
    fn body_must_be_utf_8() {
        assert!(refusal(b"\xFF\xFE{\0}\0").contains("UTF-16"));
        assert!(refusal(b"{\0\"\0").contains("UTF-16"));
        assert!(refusal(b"{\"word\": \"\xC3\"}").contains("byte 10 is invalid"));
        let with_mark = RawBody(Bytes::from_static(b"\xEF\xBB\xBF{\"number\": 1}"), None);
        assert_eq!(with_mark.parse::<Read>().expect("read").number, Whole(1));
    }

    #[test]
    fn whole_number_may_have_a_fraction_of_zero() {
        let read = |text: &str| serde_json::from_str::<Whole<u32>>(text).ok().map(|whole| whole.0);
        for (text, expected) in [("10", 10), ("10.0", 10), ("1e2", 100), ("0", 0), ("-0", 0), ("4294967295.0", u32::MAX)] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["10.5", "-1", "-1.0", "4294967296", "1e30", "\"10\"", "true", "null"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(serde_json::from_str::<Whole<u64>>("18446744073709551615").ok(), Some(Whole(u64::MAX)));
    }
}
