//! Meaning of HTTP responses and errors. Only this file knows what 410, 429, 503, `Retry-After` and `webhook-delivery` mean.

use std::{error::Error, io};

use bytes::Bytes;
use hookstream_model::{
    base::{secret::HIDDEN, time::Timestamp},
    delivery::{
        outcome::{Failure, FailureKind, HEADER_NAMES_KEPT, HEADERS_KEPT, Outcome, ReceiverResponse},
        retry::RetryAfter,
        state::DisabledReason,
    },
};
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::net::{client::HEAD_MAX, connect::ConnectError, failure};

/// Maximum length of the `Location` that is shown, in characters.
const LOCATION_MAX: usize = 2048;
const WEBHOOK_DELIVERY: HeaderName = HeaderName::from_static("webhook-delivery");

/// Response, as far as it decides the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// First bytes of the body.
    pub body: Bytes,
    /// Headers as an attempt records them, a line each.
    pub headers: String,
    /// `Retry-After` header, if present and valid.
    pub retry_after: Option<RetryAfter>,
    /// Request of the receiver beyond the status.
    pub directive: Option<Directive>,
    /// `Location` of a redirect; shown to the user, never followed.
    pub location: Option<String>,
}

impl HttpResponse {
    /// Reads a response head. No header value can make this fail.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let text = |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Self {
            status: status.as_u16(),
            body,
            headers: recorded_headers(headers),
            retry_after: text(&header::RETRY_AFTER).and_then(|value| parse_retry_after(&value)),
            directive: text(&WEBHOOK_DELIVERY).and_then(|value| Directive::parse(&value)),
            location: text(&header::LOCATION).map(|value| value.chars().take(LOCATION_MAX).collect()),
        }
    }

    /// Decides the outcome: 2xx is accepted, 410 disables the target, `webhook-delivery` is obeyed, and every other response is
    /// retried.
    pub fn outcome(self) -> Outcome {
        let asks_to_stop = self.directive == Some(Directive::Disable);
        if (200..300).contains(&self.status) {
            return Outcome::Accepted { response: Some(self.recorded()), asks_to_stop };
        }
        let (status, directive) = (self.status, self.directive);
        let failure = self.failure();
        match directive {
            _ if status == 410 => Outcome::TargetGone(failure, DisabledReason::Gone),
            Some(Directive::Disable) => Outcome::TargetGone(failure, DisabledReason::AskedToStop),
            Some(Directive::AbortMessage) => Outcome::Permanent(failure),
            None => Outcome::Retryable(failure),
        }
    }

    pub(crate) fn failure(self) -> Failure {
        let status = self.status;
        let failure = if (300..400).contains(&status) {
            Failure::new(FailureKind::RedirectRefused, redirect_detail(status, self.location.as_deref()))
        } else {
            Failure::new(FailureKind::HttpStatus, format!("the receiver responded with {status}"))
        };
        // RFC 9110 section 15.6.4, RFC 6585 section 4: a receiver that has too much to do says when to come back.
        let failure = if matches!(status, 429 | 503) { failure.overloaded(self.retry_after) } else { failure };
        failure.with_response(self.recorded())
    }

    fn recorded(self) -> ReceiverResponse {
        ReceiverResponse { status: Some(self.status), body: self.body, headers: self.headers }
    }
}

/// Returns the headers that an attempt records, a line each. Cookies are credentials of the receiver, so their values are
/// hidden; bytes beyond visible ASCII are replaced.
fn recorded_headers(headers: &HeaderMap) -> String {
    let mut lines =
        String::with_capacity(headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 3).sum::<usize>().min(HEADERS_KEPT));
    for (name, value) in headers.iter().take(HEADER_NAMES_KEPT) {
        let begun = lines.len();
        lines.push_str(name.as_str());
        lines.push_str(": ");
        match value.to_str() {
            Ok(_) if name == header::SET_COOKIE => lines.push_str(HIDDEN),
            Ok(text) => lines.push_str(text),
            Err(_) => lines.push_str(&String::from_utf8_lossy(value.as_bytes()).replace(char::is_control, "\u{fffd}")),
        }
        lines.push('\n');
        if lines.len() > HEADERS_KEPT {
            lines.truncate(begun);
            break;
        }
    }
    lines
}

fn redirect_detail(status: u16, location: Option<&str>) -> String {
    match location {
        Some(location) => format!(
            "the receiver responded with {status} with a redirect to {location}; redirects are not followed. Set the endpoint's URL to the new \
             address if it is correct"
        ),
        None => format!("the receiver responded with {status} with a redirect; redirects are not followed"),
    }
}

/// Value of the `webhook-delivery` header of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// `disable`: send nothing more to this endpoint.
    Disable,
    /// `abort-message`: do not retry this message.
    AbortMessage,
}

impl Directive {
    /// Parses the header's value; returns `None` for an unknown one.
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "disable" => Some(Self::Disable),
            "abort-message" => Some(Self::AbortMessage),
            _ => None,
        }
    }
}

/// Parses `Retry-After` (RFC 9110 section 10.2.3), in seconds or as a date. An invalid value is ignored.
fn parse_retry_after(value: &str) -> Option<RetryAfter> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(RetryAfter::Seconds(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(RetryAfter::At(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?)))
}

/// Classifies a failed request by the causes of its error.
pub(crate) fn classify(error: &(dyn Error + 'static)) -> Failure {
    let mut next = Some(error);
    while let Some(cause) = next {
        next = cause.source();
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return failure::classify_connect(connect);
        }
        if let Some(http) = cause.downcast_ref::<hyper::Error>()
            && let Some(detail) = invalid_head(http)
        {
            return Failure::new(FailureKind::ResponseInvalid, detail);
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return failure::classify_io(io);
        }
    }
    Failure::new(FailureKind::ConnectionReset, "the connection was closed before the response")
}

/// Describes the problem of a response head, if it is why the request failed.
fn invalid_head(error: &hyper::Error) -> Option<String> {
    if error.is_parse_too_large() {
        Some(format!("the response's head is larger than {HEAD_MAX} bytes"))
    } else if error.is_parse_status() {
        Some("the response's status is not a number from 100 to 999".to_owned())
    } else if error.is_parse() {
        Some("the response is not valid HTTP".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn responded(status: u16) -> HttpResponse {
        HttpResponse { status, ..HttpResponse::default() }
    }

    #[test]
    fn only_2xx_is_accepted() {
        for (status, accepted) in
            [(199, false), (200, true), (204, true), (299, true), (300, false), (304, false), (410, false), (500, false)]
        {
            let outcome = responded(status).outcome();
            assert_eq!(outcome.is_accepted(), accepted, "{status}");
            assert_eq!(outcome.error().is_none(), accepted, "{status}");
            assert_eq!(outcome.response().and_then(|response| response.status), Some(status));
        }
    }

    #[test]
    fn status_and_location_are_in_the_error() {
        let check = |response: HttpResponse, expected: &str| assert_eq!(response.outcome().error().as_deref(), Some(expected));
        check(responded(500), "http_status: the receiver responded with 500");
        check(
            HttpResponse { location: Some("http://a.example/".into()), ..responded(302) },
            "redirect_refused: the receiver responded with 302 with a redirect to http://a.example/; redirects are not followed. Set the endpoint's \
             URL to the new address if it is correct",
        );
        check(responded(304), "redirect_refused: the receiver responded with 304 with a redirect; redirects are not followed");
    }

    #[test]
    fn gone_and_directives_decide_about_message_and_target() {
        let check = |status, directive, retried: bool, disables| {
            let outcome = HttpResponse { directive, ..responded(status) }.outcome();
            assert_eq!((matches!(outcome, Outcome::Retryable(_)), outcome.disables()), (retried, disables), "{status} {directive:?}");
        };
        check(500, None, true, None);
        check(410, None, false, Some(DisabledReason::Gone));
        check(410, Some(Directive::Disable), false, Some(DisabledReason::Gone));
        check(500, Some(Directive::AbortMessage), false, None);
        check(500, Some(Directive::Disable), false, Some(DisabledReason::AskedToStop));
        check(200, Some(Directive::Disable), false, Some(DisabledReason::AskedToStop));
        check(200, Some(Directive::AbortMessage), false, None);
        assert!(HttpResponse { directive: Some(Directive::AbortMessage), ..responded(204) }.outcome().is_accepted());
    }

    #[test]
    fn only_429_and_503_are_overload_and_delay_by_retry_after() {
        let asked = Some(RetryAfter::Seconds(90));
        for (status, is_overload) in [(429, true), (503, true), (500, false), (502, false), (504, false), (410, false), (200, false)] {
            let outcome = HttpResponse { retry_after: asked, ..responded(status) }.outcome();
            assert_eq!((outcome.is_overload(), outcome.asked_wait()), (is_overload, asked.filter(|_| is_overload)), "{status}");
        }
        assert!(responded(503).outcome().is_overload());
    }

    #[test]
    fn directives_are_parsed_leniently() {
        assert_eq!(Directive::parse(" Disable "), Some(Directive::Disable));
        assert_eq!(Directive::parse("abort-message"), Some(Directive::AbortMessage));
        assert_eq!(Directive::parse("pause"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().expect("a time");
        let check = |value: &str, expected: Option<u64>| {
            let wait = parse_retry_after(value).map(|after| after.from(now));
            assert_eq!(wait, expected.map(Duration::from_secs), "{value}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999999", Some(u64::MAX));
        check("Tue, 24 Nov 2026 08:01:00 GMT", Some(60));
        check("Tue, 24 Nov 2020 08:01:00 GMT", Some(0));
        check("-5", None);
        check("1.5", None);
        check("soon", None);
        check("", None);
    }
}
