//! Layers that every request passes: id, limits, body, parameters, pages, errors, idempotency.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod cookies;
pub(crate) mod error;
pub(crate) mod gzip;
pub(crate) mod headers;
pub(crate) mod idempotency;
pub(crate) mod in_flight;
pub(crate) mod limits;
pub(crate) mod names;
pub(crate) mod page;
pub(crate) mod params;
pub(crate) mod portal_settings;
pub(crate) mod request;
pub(crate) mod request_id;
pub(crate) mod several;
pub(crate) mod shapes;
