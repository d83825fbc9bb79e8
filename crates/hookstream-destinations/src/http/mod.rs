//! HTTP endpoints: a signed POST of the payload over HTTP/1.1 or HTTP/2.

pub mod classify;
pub(crate) mod render;
pub(crate) mod send;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hookstream_model::InvalidField;

use self::settings::HttpTarget;
use crate::{Destination, Settings, Target, net::network::Network};

/// Destination kind `http`.
pub(crate) struct HttpDestination(pub(crate) Arc<Network>);

impl Destination for HttpDestination {
    fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        Ok(Arc::new(HttpTarget::new(settings, Arc::clone(&self.0))))
    }
}
