//! Guard that keeps an owner id while deliveries may still come into memory under it.

use hookstream_store::delivery::deliveries::Owner;

use crate::core::Core;

/// Owner id that is not retired, because deliveries may still enter memory under it.
pub(crate) struct InUse<'a> {
    core: &'a Core,
    pub(crate) owner: Owner,
}

impl<'a> InUse<'a> {
    /// Returns the current owner id for a claim.
    pub(crate) fn current(core: &'a Core) -> Self {
        let mut lease = core.lease();
        let owner = lease.current();
        lease.hold(owner);
        Self { core, owner }
    }

    /// Returns the owner id of an earlier decision; `None` if it is no longer current.
    pub(crate) fn of(core: &'a Core, owner: Owner) -> Option<Self> {
        let mut lease = core.lease();
        (lease.current() == owner).then(|| {
            lease.hold(owner);
            Self { core, owner }
        })
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.core.lease().release(self.owner);
    }
}
