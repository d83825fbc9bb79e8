//! Certificates for receivers: a test authority and the certificates it issues.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

/// Certificate authority that is not trusted by default.
pub struct Authority(CertifiedIssuer<'static, KeyPair>, AtomicU64);

impl Authority {
    /// Creates an authority.
    pub fn new() -> Self {
        // Revocation lists are looked up by the authority's name.
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key()).expect("an authority"), AtomicU64::new(1))
    }

    /// Certificate of the authority.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Certificate of the authority in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(&params(names))
    }

    /// Issues an expired certificate.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = params(names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    /// Issues a certificate that is not valid yet.
    pub fn issue_for_later(&self, names: &[&str]) -> Identity {
        let mut params = params(names);
        params.not_before = date_time_ymd(3000, 1, 1);
        self.sign(&params)
    }

    /// Creates a revocation list in PEM with these certificates.
    pub fn revoke(&self, revoked: &[&Identity]) -> String {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: SerialNumber::from(identity.serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(3000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).expect("a list").pem().expect("PEM")
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let (key, serial) = (key(), self.1.fetch_add(1, Ordering::Relaxed));
        let mut params = params.clone();
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key, serial }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Certificate and its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
    serial: u64,
}

impl Identity {
    /// Creates a self-signed certificate.
    pub fn self_signed(names: &[&str]) -> Self {
        let key = key();
        let certificate = params(names).self_signed(&key).expect("a certificate");
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), key, serial: 0 }
    }

    /// Creates a self-signed CA certificate, like `openssl req -x509`.
    pub fn self_signed_authority(names: &[&str]) -> Self {
        Self::self_signed_with(&Self::authority_params(names))
    }

    /// Creates an expired self-signed CA certificate.
    pub fn self_signed_authority_expired(names: &[&str]) -> Self {
        let mut params = Self::authority_params(names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        Self::self_signed_with(&params)
    }

    fn authority_params(names: &[&str]) -> CertificateParams {
        let mut params = params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn self_signed_with(params: &CertificateParams) -> Self {
        let key = key();
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), key, serial: 0 }
    }

    /// Certificate and key in PEM.
    pub fn pem(&self) -> (String, String) {
        (self.pem.clone(), self.key.serialize_pem())
    }

    /// Builds the TLS configuration of a server with this certificate and these protocols (ALPN).
    pub fn server(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        self.serve(protocols, None)
    }

    /// Builds the TLS configuration of a server that also requires a client certificate from this authority.
    pub fn server_for_clients_of(&self, authority: &Authority, protocols: &[&str]) -> Arc<ServerConfig> {
        self.serve(protocols, Some(authority))
    }

    fn serve(&self, protocols: &[&str], clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let versions = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().expect("TLS");
        let builder = match clients {
            None => versions.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
                versions.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = builder.with_single_cert(vec![self.certificate.clone()], key).expect("the key matches the certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Certificate parameters, valid from long ago until the distant future.
fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
