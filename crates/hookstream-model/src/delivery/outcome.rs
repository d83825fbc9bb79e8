//! The result of one attempt: what the receiver answered, or why there was no answer.

use bytes::Bytes;

use crate::delivery::retry::RetryAfter;

/// What came of one try. It is data: a refusal by a receiver is a result of our work, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target took it (HTTP: 2xx).
    Accepted(ReceiverResponse),
    /// The target answered, but did not take it.
    Refused(ReceiverResponse),
    /// There was no answer that could be used.
    Failed(Failure),
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverResponse {
    /// The HTTP status.
    pub status: u16,
    /// The first bytes of the body, at most [`BODY_KEPT`].
    pub body: Bytes,
    /// `Retry-After`, where it was given and could be read.
    pub retry_after: Option<RetryAfter>,
    /// What the receiver asked for beyond the status.
    pub directive: Option<Directive>,
    /// `Location` of a redirect, which is shown and never followed.
    pub location: Option<String>,
}

/// How much of a receiver's body is kept with the attempt, in bytes.
pub const BODY_KEPT: usize = 16 * 1024;

/// How much of a receiver's body is read before its connection is given up, in bytes.
pub const BODY_READ: usize = 64 * 1024;

/// The `webhook-delivery` header of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// `disable`: send nothing more to this endpoint.
    Disable,
    /// `abort-message`: do not try this message again.
    AbortMessage,
}

impl Directive {
    /// Reads the header's value; anything unknown is `None`.
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "disable" => Some(Self::Disable),
            "abort-message" => Some(Self::AbortMessage),
            _ => None,
        }
    }
}

/// Why a try had no answer that could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The word of the fixed vocabulary.
    pub kind: FailureKind,
    /// A sentence for the person who asks why; without secrets, addresses of other hosts, or causes
    /// that only the operator may read.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind`, told as `detail`.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// The fixed vocabulary of an attempt's `error` (CONTRACT: Messages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The whole exchange did not end in time.
    Timeout,
    /// The host's name has no address, or the question was not answered.
    DnsFailed,
    /// Nobody listens there.
    ConnectionRefused,
    /// The connection broke before the answer was complete.
    ConnectionReset,
    /// No connection came about for another reason (no route, unreachable).
    ConnectionFailed,
    /// The certificate's time is over or has not begun.
    TlsExpired,
    /// The certificate is not from an authority that is trusted here.
    TlsUntrusted,
    /// The certificate is for another host.
    TlsWrongHost,
    /// The certificate was revoked.
    TlsRevoked,
    /// TLS failed otherwise.
    TlsFailed,
    /// The installation's policy does not allow the address.
    AddressNotAllowed,
    /// The receiver sent us elsewhere; redirects are not followed.
    RedirectRefused,
    /// What came back is not HTTP, or beyond its limits.
    ResponseInvalid,
    /// The receiver answered with a status that is not 2xx.
    HttpStatus,
}

impl FailureKind {
    /// The word.
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
    /// The outcome that an HTTP answer stands for: 2xx is accepted, all else refused.
    pub fn from_answer(answer: ReceiverResponse) -> Self {
        if (200..300).contains(&answer.status) { Self::Accepted(answer) } else { Self::Refused(answer) }
    }

    /// Whether the target took it.
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// The answer, where there was one.
    pub const fn answer(&self) -> Option<&ReceiverResponse> {
        match self {
            Self::Accepted(answer) | Self::Refused(answer) => Some(answer),
            Self::Failed(_) => None,
        }
    }

    /// The attempt's `error`: a word of the fixed vocabulary, a colon and a sentence; `None` where
    /// the target took it.
    pub fn error(&self) -> Option<String> {
        let (kind, detail) = match self {
            Self::Accepted(_) => return None,
            Self::Refused(answer) if (300..400).contains(&answer.status) => (FailureKind::RedirectRefused, redirect_detail(answer)),
            Self::Refused(answer) => (FailureKind::HttpStatus, format!("the receiver answered {}", answer.status)),
            Self::Failed(failure) => (failure.kind, failure.detail.clone()),
        };
        Some(format!("{}: {detail}", kind.as_str()))
    }
}

pub(crate) fn redirect_detail(answer: &ReceiverResponse) -> String {
    match &answer.location {
        Some(location) => {
            format!(
                "the receiver answered {} with a redirect to {location}; redirects are not followed. Set the endpoint's URL to the new address if it is correct",
                answer.status
            )
        }
        None => format!("the receiver answered {} with a redirect; redirects are not followed", answer.status),
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
            let outcome = Outcome::from_answer(ReceiverResponse { status, ..ReceiverResponse::default() });
            assert_eq!(outcome.is_accepted(), accepted, "{status}");
            assert_eq!(outcome.error().is_none(), accepted, "{status}");
        }
    }

    #[test]
    fn an_error_is_a_word_of_the_vocabulary_and_a_sentence() {
        let check = |outcome: Outcome, expected: &str| assert_eq!(outcome.error().as_deref(), Some(expected));
        check(
            Outcome::from_answer(ReceiverResponse { status: 500, ..ReceiverResponse::default() }),
            "http_status: the receiver answered 500",
        );
        check(
            Outcome::from_answer(ReceiverResponse {
                status: 302,
                location: Some("http://a.example/".into()),
                ..ReceiverResponse::default()
            }),
            "redirect_refused: the receiver answered 302 with a redirect to http://a.example/; redirects are not followed. Set the endpoint's URL to the new address if it is correct",
        );
        check(Outcome::Failed(Failure::new(FailureKind::Timeout, "no answer within 20 s")), "timeout: no answer within 20 s");
    }

    #[test]
    fn directives_are_read_leniently() {
        assert_eq!(Directive::parse(" Disable "), Some(Directive::Disable));
        assert_eq!(Directive::parse("abort-message"), Some(Directive::AbortMessage));
        assert_eq!(Directive::parse("pause"), None);
    }
}
