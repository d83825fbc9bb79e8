//! Classification of errors into the fixed vocabulary.

use std::{error::Error, io};

use hookstream_model::delivery::outcome::{Failure, FailureKind};
use rustls::CertificateError;

use super::HEAD_MAX;
use crate::net::connect::ConnectError;

/// Classifies a failed request by the causes of its error.
pub(crate) fn classify(error: &(dyn Error + 'static)) -> Failure {
    let mut next = Some(error);
    while let Some(cause) = next {
        next = cause.source();
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return classify_connect(connect);
        }
        if let Some(http) = cause.downcast_ref::<hyper::Error>()
            && let Some(detail) = invalid_head(http)
        {
            return Failure::new(FailureKind::ResponseInvalid, detail);
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return classify_io(io);
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

fn classify_connect(error: &ConnectError) -> Failure {
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

fn classify_io(error: &io::Error) -> Failure {
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
