//! TLS: whom we trust, and who we are.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
};

use super::Error;

/// What an installation sets about TLS, besides the public authorities, which are always trusted.
#[derive(Debug, Default)]
pub struct Trust {
    /// Authorities to trust as well.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// What authorities have revoked. A certificate of an authority that has no list here is not revoked.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
    /// The certificate that is shown to a receiver who asks for one.
    pub identity: Option<ClientIdentity>,
}

/// A certificate with what leads from it to its authority, and its key.
#[derive(Debug)]
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientIdentity {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// Where one of them is not there or cannot be read.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Error::Key)?;
        Ok(Self { chain: certificates(chain)?, key })
    }
}

/// The certificates in a PEM file.
///
/// # Errors
/// Where there is none, or one cannot be read.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Error::Certificates)?;
    if found.is_empty() { Err(Error::Certificates) } else { Ok(found) }
}

/// The revocation lists in a PEM file.
///
/// # Errors
/// Where there is none, or one cannot be read.
pub fn revocation_lists(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let found = CertificateRevocationListDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Error::RevocationLists)?;
    if found.is_empty() { Err(Error::RevocationLists) } else { Ok(found) }
}

/// The configuration of our side of a connection.
pub(crate) fn client(trust: Trust) -> Result<ClientConfig, Error> {
    let Trust { extra_roots, revoked, identity } = trust;
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for root in extra_roots {
        roots.add(root).map_err(Error::Tls)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .with_crls(revoked)
        .allow_unknown_revocation_status()
        .build()
        .map_err(|_| Error::RevocationLists)?;
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(Error::Tls)?;
    let builder = versions.with_webpki_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(Error::Tls)?,
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
