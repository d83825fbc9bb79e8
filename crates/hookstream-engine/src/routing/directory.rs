//! Directory of origins with their routes, cached in memory.
//!
//! An origin is read when first needed. The commit of a change marks it as stale before the change is reported
//! ([`change_feed::apply`](crate::cluster::change_feed::apply)), so that the next message sees the change.
//!
//! A change of one route costs the reading of one route: the cached origin stays as a base, and only the routes changed
//! since its version are read again. One task at a time reads an origin; the others wait for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
};

use hookstream_model::base::{
    ids::{OriginId, TargetId},
    time::Timestamp,
};
use hookstream_store::Error;

use crate::routing::{aging_cache::AgingCache, front::Front, origin::Origin, route::Route, target_state::TargetKey};

/// Number of routes that are certainly cached; up to twice as many while in use. A route takes about 2 KB.
const MIN_ROUTES: usize = 40_000;
/// Number of readers from which idle ones are dropped.
const MAX_READERS: usize = 1_000;

/// Cache of origins.
pub(crate) struct OriginDirectory {
    fronts: Vec<Arc<dyn Front>>,
    kept: RwLock<Kept>,
    /// Locks of the tasks that read an origin.
    readers: Mutex<HashMap<OriginId, Weak<tokio::sync::Mutex<()>>>>,
}

struct Kept {
    origins: AgingCache<OriginId, Remembered>,
    /// Origins being read, and whether each has changed since the read began.
    reading: HashMap<OriginId, bool>,
    /// Origins last passed to the lanes.
    notified: AgingCache<OriginId, Arc<Origin>>,
}

/// Cached origin.
#[derive(Clone)]
struct Remembered {
    origin: Arc<Origin>,
    /// Front that has read it.
    front: Arc<dyn Front>,
    /// Whether the origin has changed since it was read.
    is_stale: bool,
}

/// Changes of an origin that its lanes must take.
pub(crate) struct RouteChanges {
    /// Routes that are new or changed.
    pub(crate) changed: Vec<Arc<Route>>,
    /// Targets whose routes were deleted; `None` if unknown.
    pub(crate) gone: Option<Vec<TargetId>>,
}

impl OriginDirectory {
    /// Builds a directory over fronts. An origin is of the first front that has it.
    pub(crate) fn new(fronts: Vec<Arc<dyn Front>>) -> Self {
        Self {
            fronts,
            kept: RwLock::new(Kept {
                origins: AgingCache::new(MIN_ROUTES),
                reading: HashMap::new(),
                notified: AgingCache::new(MIN_ROUTES),
            }),
            readers: Mutex::default(),
        }
    }

    /// Returns an origin of any tenant.
    pub(crate) async fn get(&self, id: OriginId) -> Result<Option<Arc<Origin>>, Error> {
        if let Some(origin) = self.fresh(id) {
            return Ok(Some(origin));
        }
        let reader = self.reader(id);
        let _reading = reader.lock().await;
        // Another task may have read it meanwhile.
        match self.fresh(id) {
            Some(origin) => Ok(Some(origin)),
            None => self.read_anew(id).await,
        }
    }

    /// Returns the cached origin if it has not changed.
    fn fresh(&self, id: OriginId) -> Option<Arc<Origin>> {
        let remembered = self.read(|kept| kept.origins.young(&id)).or_else(|| self.write(|kept| kept.origins.rejuvenate(id)))?;
        (!remembered.is_stale).then_some(remembered.origin)
    }

    /// Returns the lock that serializes the reads of an origin.
    fn reader(&self, id: OriginId) -> Arc<tokio::sync::Mutex<()>> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(&id).and_then(Weak::upgrade) {
            return reader;
        }
        if readers.len() >= MAX_READERS {
            readers.retain(|_, reader| reader.strong_count() > 0);
        }
        let reader = Arc::default();
        readers.insert(id, Arc::downgrade(&reader));
        reader
    }

    /// Reads an origin, using its cached state as the base.
    async fn read_anew(&self, id: OriginId) -> Result<Option<Arc<Origin>>, Error> {
        let base = self.write(|kept| {
            kept.reading.insert(id, false);
            kept.origins.rejuvenate(id)
        });
        let read = self.read_with_base(id, base).await;
        self.write(|kept| {
            let has_changed = kept.reading.remove(&id).unwrap_or(true);
            match &read {
                Ok(Some((front, origin))) => {
                    // Even if changed meanwhile, it is a better base than the earlier one.
                    let remembered = Remembered { origin: Arc::clone(origin), front: Arc::clone(front), is_stale: has_changed };
                    kept.origins.insert(id, remembered, 1 + origin.routes.len());
                }
                Ok(None) => kept.origins.remove(&id),
                Err(_) => {}
            }
        });
        Ok(read?.map(|(_, origin)| origin))
    }

    /// Reads an origin from the front that read it before, or from the first that has it.
    async fn read_with_base(&self, id: OriginId, base: Option<Remembered>) -> Result<Option<(Arc<dyn Front>, Arc<Origin>)>, Error> {
        if let Some(Remembered { origin, front, .. }) = base {
            let read = Arc::clone(&front).read(id, Some(origin)).await?;
            return Ok(read.map(|origin| (front, origin)));
        }
        for front in &self.fronts {
            if let Some(origin) = Arc::clone(front).read(id, None).await? {
                return Ok(Some((Arc::clone(front), origin)));
            }
        }
        Ok(None)
    }

    /// Returns the changes of an origin since the last call; `None` if the origin does not exist.
    pub(crate) async fn changes(&self, id: OriginId) -> Result<Option<RouteChanges>, Error> {
        let Some(origin) = self.get(id).await? else {
            self.write(|kept| kept.notified.remove(&id));
            return Ok(None);
        };
        let before = self.write(|kept| {
            let before = kept.notified.rejuvenate(id);
            kept.notified.insert(id, Arc::clone(&origin), 1 + origin.routes.len());
            before
        });
        let Some(before) = before else { return Ok(Some(RouteChanges { changed: origin.routes.clone(), gone: None })) };
        let is_known = |route: &&Arc<Route>| before.route(route.id).is_some_and(|known| Arc::ptr_eq(known, route));
        let changed = origin.routes.iter().filter(|route| !is_known(route)).cloned().collect();
        let gone = before.routes.iter().filter(|route| origin.route(route.id).is_none()).map(|route| route.target.key.id);
        Ok(Some(RouteChanges { changed, gone: Some(gone.collect()) }))
    }

    /// Takes the written time since which a target fails.
    pub(crate) fn note_health(&self, key: TargetKey, failing_since: Option<Timestamp>) {
        self.read(|kept| {
            let Some(remembered) = kept.origins.young(&key.origin) else { return };
            if let Some(route) = remembered.origin.routes.iter().find(|route| route.target.key.id == key.id) {
                route.target.note_failing_since(failing_since);
            }
        });
    }

    /// Marks an origin as changed.
    pub(crate) fn forget(&self, id: OriginId) {
        self.write(|kept| {
            kept.origins.change(&id, |remembered| remembered.is_stale = true);
            if let Some(has_changed) = kept.reading.get_mut(&id) {
                *has_changed = true;
            }
        });
    }

    /// Drops the whole cache.
    pub(crate) fn forget_all(&self) {
        self.write(|kept| {
            kept.origins.clear();
            kept.reading.values_mut().for_each(|has_changed| *has_changed = true);
        });
    }

    fn read<T>(&self, read: impl FnOnce(&Kept) -> T) -> T {
        read(&self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Kept) -> T) -> T {
        write(&mut self.kept.write().unwrap_or_else(PoisonError::into_inner))
    }
}
