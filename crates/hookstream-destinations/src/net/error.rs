//! Error while setting up the transport.

/// Error while setting up the transport.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TLS configuration is invalid.
    #[error("could not set up TLS")]
    Tls(#[source] rustls::Error),
    /// The resolver configuration is invalid.
    #[error("could not set up name resolution")]
    Resolver(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A certificate file contains no readable certificate.
    #[error("no readable certificate found")]
    Certificates,
    /// A revocation list file contains no readable list.
    #[error("no readable certificate revocation list found")]
    RevocationLists,
    /// A key file contains no readable private key.
    #[error("no readable private key found")]
    Key,
}
