//! Files of trusted and own certificates. They are read at the start and again when they change, so that a
//! certificate is renewed without a restart.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use hookstream_destinations::{
    Registry,
    net::{ClientIdentity, Trust, certificates, revocation_lists},
};
use tokio_util::sync::CancellationToken;

use crate::server::watch::reload_on_change;

/// Paths, each named like its setting.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustFiles {
    pub(crate) target_ca_file: Option<PathBuf>,
    pub(crate) target_crl_file: Option<PathBuf>,
    pub(crate) target_client_cert_file: Option<PathBuf>,
    pub(crate) target_client_key_file: Option<PathBuf>,
}

impl TrustFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the setting and the file that cannot be read or has other content.
    pub(crate) fn read(&self) -> anyhow::Result<Trust> {
        let mut trust = Trust::default();
        if let Some(path) = &self.target_ca_file {
            trust.extra_roots = certificates(&read("target_ca_file", path)?)
                .with_context(|| format!("target_ca_file {} holds no certificates in PEM", path.display()))?;
        }
        if let Some(path) = &self.target_crl_file {
            trust.revoked = revocation_lists(&read("target_crl_file", path)?)
                .with_context(|| format!("target_crl_file {} holds no revocation lists in PEM", path.display()))?;
        }
        trust.identity = match (&self.target_client_cert_file, &self.target_client_key_file) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                let identity = ClientIdentity::from_pem(&read("target_client_cert_file", cert)?, &read("target_client_key_file", key)?);
                Some(identity.with_context(|| {
                    format!(
                        "target_client_cert_file {} and target_client_key_file {} hold no certificate and key in PEM",
                        cert.display(),
                        key.display()
                    )
                })?)
            }
            (Some(_), None) | (None, Some(_)) => {
                anyhow::bail!("target_client_cert_file and target_client_key_file belong together: set both or neither")
            }
        };
        Ok(trust)
    }

    /// Has the destinations read the files again when one of them changes.
    pub(crate) async fn watch(self, destinations: Arc<Registry>, stop: CancellationToken) {
        let files = self.paths().map(Path::to_owned).collect();
        reload_on_change("certificates for deliveries", files, stop, || Ok(destinations.trust(self.read()?)?)).await;
    }

    /// Returns the paths of the files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let Self { target_ca_file, target_crl_file, target_client_cert_file, target_client_key_file } = self;
        [target_ca_file, target_crl_file, target_client_cert_file, target_client_key_file].into_iter().filter_map(|path| path.as_deref())
    }
}

fn read(setting: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("could not read {setting} {}", path.display()))
}
