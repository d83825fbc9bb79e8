//! Connection errors in the fixed vocabulary, for every kind of destination.

use std::{io, time::Duration};

use hookstream_model::delivery::outcome::{Failure, FailureKind};
use rustls::CertificateError;

use super::connect::ConnectError;

/// Describes an attempt that ran into its time limit.
pub(crate) fn no_response_within(timeout: Duration) -> Failure {
    Failure::new(FailureKind::Timeout, format!("no response within {} ms", timeout.as_millis()))
}

/// Describes why no connection could be opened.
pub(crate) fn classify_connect(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Url => Failure::new(FailureKind::ConnectionFailed, "no connection can be made to the URL"),
        ConnectError::Dns(dns) => Failure::new(FailureKind::DnsFailed, dns.to_string()),
        ConnectError::Refused(refused) => Failure::new(FailureKind::AddressNotAllowed, format!("the URL {refused}")),
        ConnectError::Tcp(io) => classify_io(io),
        ConnectError::TimedOut => Failure::new(FailureKind::Timeout, "the connection timed out"),
        ConnectError::Tls(io) => match classify_io(io) {
            Failure { kind: FailureKind::ConnectionFailed, .. } => Failure::new(FailureKind::TlsFailed, "the TLS handshake failed"),
            failure => failure,
        },
    }
}

/// Describes why a connection broke.
pub(crate) fn classify_io(error: &io::Error) -> Failure {
    use io::ErrorKind;
    if let Some(tls) = tls_cause(error) {
        return classify_tls(tls);
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::new(FailureKind::ConnectionRefused, "the receiver refused the connection"),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            Failure::new(FailureKind::ConnectionReset, "the receiver closed the connection before its response was complete")
        }
        // TLS error after the handshake, whose cause HTTP/2 has reduced to text.
        ErrorKind::InvalidData => Failure::new(FailureKind::TlsFailed, "the TLS connection failed after the handshake"),
        ErrorKind::TimedOut => Failure::new(FailureKind::Timeout, "the connection timed out"),
        _ => Failure::new(FailureKind::ConnectionFailed, "the receiver cannot be reached"),
    }
}

/// Returns the TLS error inside an I/O error. It may occur after the handshake: with TLS 1.3 a receiver rejects a
/// missing or wrong client certificate only once the client considers the handshake complete.
fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn classify_tls(cause: &rustls::Error) -> Failure {
    match cause {
        rustls::Error::InvalidCertificate(problem) => classify_certificate(problem),
        rustls::Error::AlertReceived(alert) => {
            Failure::new(FailureKind::TlsFailed, format!("the receiver ended the TLS connection ({alert:?})"))
        }
        _ => Failure::new(FailureKind::TlsFailed, "no TLS 1.2 or 1.3 connection with the receiver"),
    }
}

fn classify_certificate(problem: &CertificateError) -> Failure {
    match problem {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            Failure::new(FailureKind::TlsExpired, "the receiver's certificate has expired or is not yet valid")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Failure::new(FailureKind::TlsWrongHost, "the receiver's certificate is for another host")
        }
        CertificateError::Revoked => Failure::new(FailureKind::TlsRevoked, "the receiver's certificate was revoked"),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Failure::new(FailureKind::TlsUntrusted, "the receiver's certificate is not signed by a trusted authority")
        }
        _ => Failure::new(FailureKind::TlsUntrusted, "the receiver's certificate is invalid"),
    }
}
