//! From whatever went wrong to the fixed vocabulary.

use std::{error::Error, io};

use hookstream_model::attempt::{Failure, FailureKind};
use rustls::CertificateError;

use super::connect::ConnectError;

/// What a failed request means, found among the causes of the error.
pub(crate) fn classify(error: &(dyn Error + 'static)) -> Failure {
    let mut next = Some(error);
    while let Some(cause) = next {
        next = cause.source();
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return classify_connect(connect);
        }
        if let Some(http) = cause.downcast_ref::<hyper::Error>()
            && (http.is_parse() || http.is_parse_too_large() || http.is_parse_status())
        {
            return Failure::new(FailureKind::ResponseInvalid, "the answer is not HTTP, or its head is larger than allowed");
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return classify_io(io);
        }
    }
    Failure::new(FailureKind::ConnectionReset, "the connection broke before there was an answer")
}

fn classify_connect(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Url => Failure::new(FailureKind::ConnectionFailed, "the URL cannot be connected to"),
        ConnectError::Dns(dns) => Failure::new(FailureKind::DnsFailed, dns.to_string()),
        ConnectError::Refused(refused) => Failure::new(FailureKind::AddressNotAllowed, format!("the URL {refused}")),
        ConnectError::Tcp(io) => classify_io(io),
        ConnectError::TimedOut => Failure::new(FailureKind::Timeout, "no connection came about in time"),
        ConnectError::Tls(io) => classify_tls(io),
    }
}

fn classify_io(error: &io::Error) -> Failure {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::new(FailureKind::ConnectionRefused, "nobody listens at the host and port"),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            Failure::new(FailureKind::ConnectionReset, "the receiver broke the connection before its answer was complete")
        }
        ErrorKind::TimedOut => Failure::new(FailureKind::Timeout, "no connection came about in time"),
        _ => Failure::new(FailureKind::ConnectionFailed, "the host cannot be reached"),
    }
}

fn classify_tls(error: &io::Error) -> Failure {
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) else {
        return match classify_io(error) {
            Failure { kind: FailureKind::ConnectionFailed, .. } => Failure::new(FailureKind::TlsFailed, "TLS failed"),
            other => other,
        };
    };
    match cause {
        rustls::Error::InvalidCertificate(problem) => classify_certificate(problem),
        rustls::Error::AlertReceived(alert) => {
            Failure::new(FailureKind::TlsFailed, format!("the receiver ended the TLS handshake ({alert:?})"))
        }
        _ => Failure::new(FailureKind::TlsFailed, "no TLS 1.2 or 1.3 with the receiver"),
    }
}

fn classify_certificate(problem: &CertificateError) -> Failure {
    match problem {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            Failure::new(FailureKind::TlsExpired, "the receiver's certificate is not valid at this time")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Failure::new(FailureKind::TlsWrongHost, "the receiver's certificate is for another host")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Revoked => {
            Failure::new(FailureKind::TlsUntrusted, "the receiver's certificate is not from an authority that is trusted here")
        }
        _ => Failure::new(FailureKind::TlsUntrusted, "the receiver's certificate is not acceptable"),
    }
}
