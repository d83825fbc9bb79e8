//! Front end of the engine: one kind of origin, with the targets that its routes lead to.
//!
//! The engine delivers from origins to targets and knows neither applications nor endpoints. A front reads its origins
//! from the store, and keeps the state of their targets there.

use std::sync::Arc;

use async_trait::async_trait;
use hookstream_model::base::ids::OriginId;
use hookstream_store::Error;

use crate::routing::{origin::Origin, target_state::TargetState};

/// Front end of the engine.
#[async_trait]
pub(crate) trait Front: TargetState {
    /// Reads an origin with its routes. `base` is its cached state, of which unchanged routes are kept. Returns `None` if
    /// this front has no such origin.
    async fn read(self: Arc<Self>, id: OriginId, base: Option<Arc<Origin>>) -> Result<Option<Arc<Origin>>, Error>;
}
