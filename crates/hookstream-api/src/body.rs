//! Reading a request's body: bounded, JSON, with errors that name the field.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{json, value::RawValue};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{error::ApiError, state::Api};

/// The bytes of a request's body, at most as many as the installation takes.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) Bytes);

impl FromRequest<Api> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, api: &Api) -> Result<Self, ApiError> {
        let limit = api.body_limit();
        let mut body = request.into_body();
        let mut kept = BytesMut::new();
        let end = Instant::now() + BODY_WITHIN;
        while let Some(frame) =
            tokio::time::timeout_at(end.min(Instant::now() + PART_WITHIN), body.frame()).await.map_err(|_| too_slow())?
        {
            let Ok(frame) = frame else {
                let message = "The request's body broke off. Send it again, with a Content-Length that is true.";
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "body_incomplete", message));
            };
            let Ok(data) = frame.into_data() else { continue };
            if kept.len() + data.len() > limit {
                read_off(body).await;
                let message = format!(
                    "The request's body is larger than {limit} bytes, the most this installation takes (setting payload_limit_bytes)."
                );
                return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message).with_details(json!({ "limit": limit })));
            }
            kept.extend_from_slice(&data);
        }
        Ok(Self(kept.freeze()))
    }
}

/// How long each part of a body may take to come, and all of it.
const PART_WITHIN: Duration = Duration::from_secs(30);
const BODY_WITHIN: Duration = Duration::from_secs(300);

fn too_slow() -> ApiError {
    let message = format!(
        "The request's body comes too slowly: each part may take {} s, all of it {} s. Send it again.",
        PART_WITHIN.as_secs(),
        BODY_WITHIN.as_secs()
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
}

/// How much of a body that is refused is read off, in bytes, and for how long.
const READ_OFF: usize = 32 * 1024 * 1024;
const READ_OFF_FOR: Duration = Duration::from_secs(3);

/// Reads off what is left of a body: a connection that is closed on a sender in mid-sentence is reset, and
/// the sender never reads why.
async fn read_off(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while read < READ_OFF
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    let _ = tokio::time::timeout(READ_OFF_FOR, reading).await;
}

impl RawBody {
    /// Reads the body as a JSON object with these fields; others are ignored.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        // serde would take an array for the fields in their order.
        if !is_object(&self.0) {
            return Err(self.explain::<T>());
        }
        // The usual case costs nothing more; only a body that is refused is read again to name the place.
        serde_json::from_slice(&self.0).map_err(|_| self.explain::<T>())
    }

    /// The same where a body may be left out, or be `null`: as if it were `{}`.
    pub(crate) fn parse_optional<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if matches!(self.0.trim_ascii(), b"" | b"null") { Self(Bytes::from_static(b"{}")).parse() } else { self.parse() }
    }

    fn explain<'a, T: Deserialize<'a>>(&'a self) -> ApiError {
        if self.0.is_empty() {
            return ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", "The request has no body. Send a JSON object.");
        }
        if let Err(error) = serde_json::from_slice::<&RawValue>(&self.0) {
            let message = format!("The request's body is not JSON: {error}.");
            return ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message);
        }
        if !is_object(&self.0) {
            return ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", "The request's body must be a JSON object.");
        }
        let mut deserializer = serde_json::Deserializer::from_slice(&self.0);
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Err(error) => refused(&error.path().to_string(), &error.inner().to_string()),
            Ok(_) => ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", "The request's body cannot be read."),
        }
    }
}

fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// Names the field: by the path to it, or by what serde says of one that is missing or twice there.
fn refused(path: &str, problem: &str) -> ApiError {
    let problem = without_text(problem);
    let problem = problem.rsplit_once(" at line ").map_or(&*problem, |(problem, _)| problem);
    for (start, clause) in [("missing field `", "is missing"), ("duplicate field `", "is there twice")] {
        if let Some(field) = problem.strip_prefix(start) {
            return ApiError::invalid(field.trim_end_matches('`'), clause);
        }
    }
    ApiError::invalid(path, &format!("is refused: {problem}"))
}

/// What serde says of a value, without the value where that is text: a secret may stand in the wrong field.
fn without_text(problem: &str) -> Cow<'_, str> {
    let kind = ["invalid type: string", "invalid value: string"].into_iter().find(|kind| problem.starts_with(kind));
    // What is expected is our own word, so that the last one of these is the one that stands before it.
    match kind.zip(problem.rsplit_once(", expected ")) {
        Some((kind, (_, expected))) => Cow::Owned(format!("{kind}, expected {expected}")),
        None => Cow::Borrowed(problem),
    }
}

/// A field of a change: left out, set to null, or given.
#[derive(Debug, Default)]
pub(crate) enum Field<T> {
    /// It is not to be changed.
    #[default]
    Absent,
    /// It is to have no value.
    Null,
    /// It is to have this value.
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

    /// For a field that may not be null: the value, or `None` where it is left out.
    pub(crate) fn required(self, field: &'static str) -> Result<Option<T>, ApiError> {
        match self {
            Self::Absent => Ok(None),
            Self::Null => Err(ApiError::invalid(field, "must not be null")),
            Self::Given(value) => Ok(Some(value)),
        }
    }

    /// For a field that may be null: what it is to become, or `None` where it is left out.
    pub(crate) fn nullable(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Given(value) => Some(Some(value)),
        }
    }

    /// The same with the value read further.
    pub(crate) fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Field<U>, E> {
        Ok(match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Given(value) => Field::Given(read(value)?),
        })
    }
}

/// Yes or no: `true` and `false`, or 1 and 0, as they are written in answers.
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

/// The text of a JSON value that may be given natively or as text.
pub(crate) fn json_text(field: &'static str, raw: &RawValue) -> Result<String, ApiError> {
    hookstream_model::json::text_of(raw)
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ApiError::invalid(field, "contains an escape that is no character"))
}

/// The value itself, or its JSON text. It stands in the document only: what is given is read by [`json_value`].
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it stands in the document only")]
pub(crate) enum OrText<T> {
    /// The value itself.
    Native(T),
    /// Its JSON text.
    Text(String),
}

/// The same, read into a structure; serde would take an array for its fields in their order.
pub(crate) fn json_fields<T: DeserializeOwned>(field: &'static str, raw: &RawValue, expected: &str) -> Result<T, ApiError> {
    if is_object(json_text(field, raw)?.as_bytes()) {
        json_value(field, raw, expected)
    } else {
        Err(ApiError::invalid(field, &format!("must be {expected}, or the JSON text of one")))
    }
}

/// The same, read into what it stands for; `expected` says what that is.
pub(crate) fn json_value<T: DeserializeOwned>(field: &'static str, raw: &RawValue, expected: &str) -> Result<T, ApiError> {
    serde_json::from_str(&json_text(field, raw)?)
        .map_err(|_| ApiError::invalid(field, &format!("must be {expected}, or the JSON text of one")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only what cannot be read is looked at")]
    struct Read {
        number: u32,
        word: Option<String>,
    }

    #[test]
    fn a_refusal_names_the_field_and_quotes_no_text() {
        let refusal = |body: &str| {
            let body = RawBody(Bytes::copy_from_slice(body.as_bytes()));
            let error = body.parse::<Read>().expect_err(body.0.escape_ascii().to_string().as_str());
            serde_json::to_value(error.body("")).expect("JSON")["error"].as_str().expect("a text").to_owned()
        };
        for text in ["hunter2", "hunter2, expected hunter2", "hunter2\\\" at line hunter2", "hunter2`, expected"] {
            let said = refusal(&format!(r#"{{"number": "{text}"}}"#));
            assert_eq!(said, "`number` is refused: invalid type: string, expected u32.", "{text}");
        }
        assert_eq!(refusal(r#"{"number": -1}"#), "`number` is refused: invalid value: integer `-1`, expected u32.");
        assert_eq!(refusal(r#"{"number": 1, "word": ["hunter2"]}"#), "`word` is refused: invalid type: sequence, expected a string.");
        assert_eq!(refusal("{}"), "`number` is missing.");
        assert_eq!(refusal(" [1, null]"), "The request's body must be a JSON object.");
        assert!(!refusal(r#"{"number": "hunter2"#).contains("hunter2"));
    }
}
