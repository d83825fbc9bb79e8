//! Renderings of each service.
