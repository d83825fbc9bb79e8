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

/// What it means that an answer's body could not be read to its end.
pub(crate) fn classify_body(error: &hyper::Error) -> Failure {
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    // Chunks that are none, and trailers or extensions without end. What TLS finds wrong has the same kind.
    let is_malformed =
        io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) && tls_cause(io).is_none());
    if is_malformed {
        return Failure::new(FailureKind::ResponseInvalid, "the answer's body is not HTTP, or beyond its limits");
    }
    Failure::new(FailureKind::ConnectionReset, "the connection broke before the answer's body was complete")
}

fn classify_connect(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Url => Failure::new(FailureKind::ConnectionFailed, "the URL cannot be connected to"),
        ConnectError::Dns(dns) => Failure::new(FailureKind::DnsFailed, dns.to_string()),
        ConnectError::Refused(refused) => Failure::new(FailureKind::AddressNotAllowed, format!("the URL {refused}")),
        ConnectError::Tcp(io) => classify_io(io),
        ConnectError::TimedOut => Failure::new(FailureKind::Timeout, "no connection came about in time"),
        ConnectError::Tls(io) => match classify_io(io) {
            Failure { kind: FailureKind::ConnectionFailed, .. } => Failure::new(FailureKind::TlsFailed, "TLS failed"),
            told => told,
        },
    }
}

fn classify_io(error: &io::Error) -> Failure {
    use io::ErrorKind;
    if let Some(tls) = tls_cause(error) {
        return classify_tls(tls);
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::new(FailureKind::ConnectionRefused, "nobody listens at the host and port"),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            Failure::new(FailureKind::ConnectionReset, "the receiver broke the connection before its answer was complete")
        }
        // What TLS finds wrong after the handshake, where HTTP/2 has made a mere text of its cause.
        ErrorKind::InvalidData => Failure::new(FailureKind::TlsFailed, "TLS broke off after the handshake"),
        ErrorKind::TimedOut => Failure::new(FailureKind::Timeout, "no connection came about in time"),
        _ => Failure::new(FailureKind::ConnectionFailed, "the host cannot be reached"),
    }
}

/// TLS speaks through I/O errors, in the handshake and after it: with TLS 1.3 a receiver refuses the
/// client's certificate, or that there is none, only once the client thinks that the handshake is over.
fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn classify_tls(cause: &rustls::Error) -> Failure {
    match cause {
        rustls::Error::InvalidCertificate(problem) => classify_certificate(problem),
        rustls::Error::AlertReceived(alert) => {
            Failure::new(FailureKind::TlsFailed, format!("the receiver ended the TLS connection ({alert:?})"))
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
        CertificateError::Revoked => Failure::new(FailureKind::TlsRevoked, "the receiver's certificate was revoked by its authority"),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Failure::new(FailureKind::TlsUntrusted, "the receiver's certificate is not from an authority that is trusted here")
        }
        _ => Failure::new(FailureKind::TlsUntrusted, "the receiver's certificate is not acceptable"),
    }
}
