//! Result of one attempt: the receiver's response, or the reason why there was none.

use bytes::Bytes;

use crate::delivery::retry::RetryAfter;

/// Result of one attempt. A refusal by a receiver is data, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target accepted the message (HTTP: 2xx).
    Accepted(ReceiverResponse),
    /// The target responded, but did not accept the message.
    Refused(ReceiverResponse),
    /// There was no usable response.
    Failed(Failure),
}

/// Response of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverResponse {
    /// HTTP status.
    pub status: u16,
    /// First bytes of the body, at most [`BODY_KEPT`].
    pub body: Bytes,
    /// `Retry-After` header, if present and valid.
    pub retry_after: Option<RetryAfter>,
    /// Request of the receiver beyond the status.
    pub directive: Option<Directive>,
    /// `Location` of a redirect; shown to the user, never followed.
    pub location: Option<String>,
}

/// Maximum part of a response body that is kept with the attempt, in bytes.
pub const BODY_KEPT: usize = 16 * 1024;

/// Maximum part of a response body that is read before the connection is closed, in bytes.
pub const BODY_READ: usize = 64 * 1024;

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

/// Reason why an attempt had no usable response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Code in the fixed vocabulary.
    pub kind: FailureKind,
    /// Sentence for the user; without secrets, addresses of other hosts, or causes that only the operator may read.
    pub detail: String,
}

impl Failure {
    /// Builds a failure of `kind` with `detail` as its sentence.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// Fixed vocabulary of an attempt's `error` (CONTRACT: Messages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The whole exchange did not finish within the time limit.
    Timeout,
    /// The host name has no address, or the DNS query got no response.
    DnsFailed,
    /// No process listens on the port.
    ConnectionRefused,
    /// The connection broke before the response was complete.
    ConnectionReset,
    /// The connection failed for another reason (no route, unreachable).
    ConnectionFailed,
    /// The certificate has expired or is not valid yet.
    TlsExpired,
    /// The certificate's authority is not trusted here.
    TlsUntrusted,
    /// The certificate is for another host.
    TlsWrongHost,
    /// The certificate was revoked.
    TlsRevoked,
    /// TLS failed for another reason.
    TlsFailed,
    /// The installation's policy does not allow the address.
    AddressNotAllowed,
    /// The receiver responded with a redirect; redirects are not followed.
    RedirectRefused,
    /// The response is not HTTP, or exceeds its limits.
    ResponseInvalid,
    /// The receiver responded with a status that is not 2xx.
    HttpStatus,
}

impl FailureKind {
    /// Code in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::DnsFailed => "dns_failed",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionReset => "connection_reset",
            Self::ConnectionFailed => "connection_failed",
            Self::TlsExpired => "tls_expired",
            Self::TlsUntrusted => "tls_untrusted",
            Self::TlsWrongHost => "tls_wrong_host",
            Self::TlsRevoked => "tls_revoked",
            Self::TlsFailed => "tls_failed",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::RedirectRefused => "redirect_refused",
            Self::ResponseInvalid => "response_invalid",
            Self::HttpStatus => "http_status",
        }
    }
}

impl Outcome {
    /// Classifies an HTTP response: 2xx is accepted, any other status is refused.
    pub fn from_response(response: ReceiverResponse) -> Self {
        if (200..300).contains(&response.status) { Self::Accepted(response) } else { Self::Refused(response) }
    }

    /// Returns true if the target accepted the message.
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// Returns the response, if there was one.
    pub const fn response(&self) -> Option<&ReceiverResponse> {
        match self {
            Self::Accepted(response) | Self::Refused(response) => Some(response),
            Self::Failed(_) => None,
        }
    }

    /// Returns the attempt's `error`: a code of the fixed vocabulary, a colon and a sentence. `None` if the target
    /// accepted the message.
    pub fn error(&self) -> Option<String> {
        let (kind, detail) = match self {
            Self::Accepted(_) => return None,
            Self::Refused(response) if (300..400).contains(&response.status) => (FailureKind::RedirectRefused, redirect_detail(response)),
            Self::Refused(response) => (FailureKind::HttpStatus, format!("the receiver answered {}", response.status)),
            Self::Failed(failure) => (failure.kind, failure.detail.clone()),
        };
        Some(format!("{}: {detail}", kind.as_str()))
    }
}

fn redirect_detail(response: &ReceiverResponse) -> String {
    match &response.location {
        Some(location) => {
            format!(
                "the receiver answered {} with a redirect to {location}; redirects are not followed. Set the endpoint's URL to the new address if it is correct",
                response.status
            )
        }
        None => format!("the receiver answered {} with a redirect; redirects are not followed", response.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_accepted() {
        for (status, accepted) in
            [(199, false), (200, true), (204, true), (299, true), (300, false), (304, false), (410, false), (500, false)]
        {
            let outcome = Outcome::from_response(ReceiverResponse { status, ..ReceiverResponse::default() });
            assert_eq!(outcome.is_accepted(), accepted, "{status}");
            assert_eq!(outcome.error().is_none(), accepted, "{status}");
        }
    }

    #[test]
    fn error_has_a_code_and_a_sentence() {
        let check = |outcome: Outcome, expected: &str| assert_eq!(outcome.error().as_deref(), Some(expected));
        check(
            Outcome::from_response(ReceiverResponse { status: 500, ..ReceiverResponse::default() }),
            "http_status: the receiver answered 500",
        );
        check(
            Outcome::from_response(ReceiverResponse {
                status: 302,
                location: Some("http://a.example/".into()),
                ..ReceiverResponse::default()
            }),
            "redirect_refused: the receiver answered 302 with a redirect to http://a.example/; redirects are not followed. Set the endpoint's URL to the new address if it is correct",
        );
        check(Outcome::Failed(Failure::new(FailureKind::Timeout, "no answer within 20 s")), "timeout: no answer within 20 s");
    }

    #[test]
    fn directives_are_parsed_leniently() {
        assert_eq!(Directive::parse(" Disable "), Some(Directive::Disable));
        assert_eq!(Directive::parse("abort-message"), Some(Directive::AbortMessage));
        assert_eq!(Directive::parse("pause"), None);
    }
}
