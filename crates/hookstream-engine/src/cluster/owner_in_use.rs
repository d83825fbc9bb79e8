//! Guard that keeps an owner id while deliveries may still come into memory under it.

use hookstream_store::delivery::deliveries::Owner;

use crate::core::Core;

/// A number that is not given up, since something may come into memory under it.
pub(crate) struct InUse<'a> {
    core: &'a Core,
    pub(crate) owner: Owner,
}

impl<'a> InUse<'a> {
    /// The current number, for something that is about to be claimed.
    pub(crate) fn current(core: &'a Core) -> Self {
        let mut lease = core.lease();
        let owner = lease.current();
        lease.hold(owner);
        Self { core, owner }
    }

    /// A number that was the current one when something was decided; `None` where it is not any more.
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
