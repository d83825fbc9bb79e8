//! TLS: trusted authorities and the client certificate.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use crate::net::error::Error;

/// TLS settings of an installation. The public authorities are always trusted.
#[derive(Debug, Default)]
pub struct Trust {
    /// Additional trusted authorities. A receiver's own certificate may be among them; it is trusted for its names.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Revocation lists. A certificate whose authority has no list here counts as not revoked.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
    /// Client certificate for receivers that ask for one.
    pub identity: Option<ClientIdentity>,
}

/// Certificate chain and private key.
#[derive(Debug)]
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientIdentity {
    /// Parses both from PEM.
    ///
    /// # Errors
    /// If one of them is missing or unreadable.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Error::Key)?;
        Ok(Self { chain: certificates(chain)?, key })
    }
}

/// Parses the certificates of a PEM file.
///
/// # Errors
/// If there is none, or one is unreadable.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Error::Certificates)?;
    if found.is_empty() { Err(Error::Certificates) } else { Ok(found) }
}

/// Parses the revocation lists of a PEM file.
///
/// # Errors
/// If there is none, or one is unreadable.
pub fn revocation_lists(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let found = CertificateRevocationListDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Error::RevocationLists)?;
    if found.is_empty() { Err(Error::RevocationLists) } else { Ok(found) }
}

/// Builds the TLS client configuration.
pub(crate) fn client(trust: Trust) -> Result<ClientConfig, Error> {
    let Trust { extra_roots, revoked, identity } = trust;
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for root in &extra_roots {
        roots.add(root.clone()).map_err(Error::Tls)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .with_crls(revoked)
        .allow_unknown_revocation_status()
        .build()
        .map_err(|_| Error::RevocationLists)?;
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(Error::Tls)?;
    let verifier = Arc::new(PinningVerifier { verifier, pinned: extra_roots });
    let builder = versions.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(Error::Tls)?,
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Verifier that also accepts pinned certificates.
///
/// `openssl req -x509` creates a CA certificate (CA:TRUE), which standard verification does not accept from a server.
/// An operator who configures such a file trusts exactly that certificate. So it is accepted, byte for byte, for its
/// names and while it is valid.
#[derive(Debug)]
struct PinningVerifier {
    verifier: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

/// Returns true if the only problem is the issuer, or that the certificate is a CA. The validity period is checked
/// before either.
fn is_about_trust(problem: &CertificateError) -> bool {
    matches!(problem, CertificateError::UnknownIssuer | CertificateError::Other(_))
}

impl ServerCertVerifier for PinningVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(problem))
                if is_about_trust(&problem) && self.pinned.iter().any(|pinned| pinned.as_ref() == end_entity.as_ref()) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
