//! Quotas of organizations without their own.

use std::sync::OnceLock;

use hookstream_model::operations::quota::Quotas;

/// Quotas of organizations without their own, once set.
#[derive(Debug, Default)]
pub struct InstallationQuotas(OnceLock<Quotas>);

impl InstallationQuotas {
    /// Sets the quotas, before anything is created. Only the first call has an effect.
    pub fn set(&self, quotas: Quotas) {
        let _ = self.0.set(quotas);
    }

    /// Returns the quotas.
    pub fn get(&self) -> Quotas {
        self.0.get().copied().unwrap_or_default()
    }
}
