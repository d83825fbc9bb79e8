//! Result of one attempt, without any protocol: each kind of destination decides it in its `classify.rs`.

use bytes::Bytes;

use crate::delivery::{retry::RetryAfter, state::DisabledReason};

/// Result of one attempt. A refusal by a receiver is data, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target accepted the message.
    Accepted {
        /// Response for the record.
        response: Option<ReceiverResponse>,
        /// True if the receiver asked for no further messages.
        asks_to_stop: bool,
    },
    /// The target did not accept the message; it is sent again by the retry schedule.
    Retryable(Failure),
    /// The receiver asked not to get this message again.
    Permanent(Failure),
    /// The target must get no further messages.
    TargetGone(Failure, DisabledReason),
}

/// Response of a receiver, as an attempt records it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverResponse {
    /// Status, if the protocol has one.
    pub status: Option<u16>,
    /// First bytes of the body, at most [`BODY_KEPT`].
    pub body: Bytes,
    /// Headers, a line each (`name: value`), at most [`HEADERS_KEPT`] bytes and [`HEADER_NAMES_KEPT`] lines. Empty if the
    /// protocol has none.
    pub headers: String,
}

/// Maximum part of a response's headers that is kept with the attempt, in bytes.
pub const HEADERS_KEPT: usize = 8 * 1024;

/// Maximum number of a response's headers that are kept with the attempt.
pub const HEADER_NAMES_KEPT: usize = 64;

/// Maximum part of a response body that is kept with the attempt, in bytes.
pub const BODY_KEPT: usize = 16 * 1024;

/// Maximum part of a response body that is read before the connection is closed, in bytes.
pub const BODY_READ: usize = 64 * 1024;

/// Reason why the target did not accept the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Code in the fixed vocabulary.
    pub kind: FailureKind,
    /// Sentence for the user; without secrets, addresses of other hosts, or causes that only the operator may read.
    pub detail: String,
    /// Response, if there was one.
    pub response: Option<ReceiverResponse>,
    /// Wait that the receiver asked for.
    pub wait: Option<RetryAfter>,
    /// True if the failure is a sign that the target has too much to do.
    pub is_overload: bool,
}

impl Failure {
    /// Builds a failure of `kind` with `detail` as its sentence, without a response.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), response: None, wait: None, is_overload: kind.is_overload() }
    }

    /// Adds the response.
    #[must_use]
    pub fn with_response(self, response: ReceiverResponse) -> Self {
        Self { response: Some(response), ..self }
    }

    /// Marks the target as overloaded; it may ask for a wait.
    #[must_use]
    pub fn overloaded(self, wait: Option<RetryAfter>) -> Self {
        Self { wait, is_overload: true, ..self }
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
    /// The response does not follow the protocol, or exceeds its limits.
    ResponseInvalid,
    /// The receiver responded with a status that is not 2xx.
    HttpStatus,
    /// The target refused the user name or the password, or the user may not do this.
    AccessRefused,
    /// The exchange, the virtual host or another part of the target does not exist.
    TargetNotFound,
    /// The broker took the message and found no queue for it.
    Unroutable,
    /// The broker refused the message.
    MessageRefused,
    /// The stored settings of the endpoint cannot be used by this installation.
    SettingsInvalid,
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
            Self::AccessRefused => "access_refused",
            Self::TargetNotFound => "target_not_found",
            Self::Unroutable => "unroutable",
            Self::MessageRefused => "message_refused",
            Self::SettingsInvalid => "settings_invalid",
        }
    }

    /// Returns true if the failure, without a response, is a sign that the target has too much to do.
    const fn is_overload(self) -> bool {
        match self {
            Self::Timeout | Self::ConnectionRefused | Self::ConnectionReset | Self::ConnectionFailed => true,
            Self::DnsFailed
            | Self::TlsExpired
            | Self::TlsUntrusted
            | Self::TlsWrongHost
            | Self::TlsRevoked
            | Self::TlsFailed
            | Self::AddressNotAllowed
            | Self::RedirectRefused
            | Self::ResponseInvalid
            | Self::HttpStatus
            | Self::AccessRefused
            | Self::TargetNotFound
            | Self::Unroutable
            | Self::MessageRefused
            | Self::SettingsInvalid => false,
        }
    }
}

impl Outcome {
    /// Builds the outcome of an accepted message.
    pub const fn accepted(response: ReceiverResponse) -> Self {
        Self::Accepted { response: Some(response), asks_to_stop: false }
    }

    /// Returns true if the target accepted the message.
    pub const fn is_accepted(&self) -> bool {
        self.failure().is_none()
    }

    /// Returns the response, if there was one.
    pub const fn response(&self) -> Option<&ReceiverResponse> {
        match self {
            Self::Accepted { response, .. } => response.as_ref(),
            Self::Retryable(failure) | Self::Permanent(failure) | Self::TargetGone(failure, _) => failure.response.as_ref(),
        }
    }

    /// Returns the response for a change, if there was one.
    pub const fn response_mut(&mut self) -> Option<&mut ReceiverResponse> {
        match self {
            Self::Accepted { response, .. } => response.as_mut(),
            Self::Retryable(failure) | Self::Permanent(failure) | Self::TargetGone(failure, _) => failure.response.as_mut(),
        }
    }

    /// Returns the reason why the target did not accept the message.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Accepted { .. } => None,
            Self::Retryable(failure) | Self::Permanent(failure) | Self::TargetGone(failure, _) => Some(failure),
        }
    }

    /// Returns the wait that the receiver asked for, if any.
    pub fn asked_wait(&self) -> Option<RetryAfter> {
        self.failure().and_then(|failure| failure.wait)
    }

    /// Returns true if the target has too much to do.
    pub fn is_overload(&self) -> bool {
        self.failure().is_some_and(|failure| failure.is_overload)
    }

    /// Returns the reason to disable the target, if it must get no further messages.
    pub const fn disables(&self) -> Option<DisabledReason> {
        match self {
            Self::Accepted { asks_to_stop: true, .. } => Some(DisabledReason::AskedToStop),
            Self::TargetGone(_, reason) => Some(*reason),
            Self::Accepted { asks_to_stop: false, .. } | Self::Retryable(_) | Self::Permanent(_) => None,
        }
    }

    /// Returns the attempt's `error`: a code of the fixed vocabulary, a colon and a sentence. `None` if the target
    /// accepted the message.
    pub fn error(&self) -> Option<String> {
        self.failure().map(|failure| format!("{}: {}", failure.kind.as_str(), failure.detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_has_a_code_and_a_sentence() {
        let failure = Failure::new(FailureKind::Timeout, "no answer within 20 s");
        for outcome in
            [Outcome::Retryable(failure.clone()), Outcome::Permanent(failure.clone()), Outcome::TargetGone(failure, DisabledReason::Gone)]
        {
            assert_eq!(outcome.error().as_deref(), Some("timeout: no answer within 20 s"));
            assert!(!outcome.is_accepted());
        }
        let accepted = Outcome::accepted(ReceiverResponse::default());
        assert_eq!((accepted.error(), accepted.is_accepted()), (None, true));
    }

    #[test]
    fn missing_connection_is_a_sign_of_overload_and_a_refusal_is_none() {
        let check = |kind, expected| assert_eq!(Outcome::Retryable(Failure::new(kind, "…")).is_overload(), expected, "{kind:?}");
        check(FailureKind::Timeout, true);
        check(FailureKind::ConnectionReset, true);
        check(FailureKind::TlsExpired, false);
        check(FailureKind::HttpStatus, false);
        let busy = Failure::new(FailureKind::HttpStatus, "…").overloaded(Some(RetryAfter::Seconds(9)));
        assert_eq!((busy.is_overload, Outcome::Permanent(busy).asked_wait()), (true, Some(RetryAfter::Seconds(9))));
    }
}
