//! Bytes of request bodies in memory: bounded in total and per caller, so that no client can exhaust the memory with
//! requests that never end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::http::limits::Subject;

/// Minimum of the total bound, in bytes.
const ALL_LEAST: usize = 256 * 1024 * 1024;
/// Minimum of the total bound, in bodies of the largest size.
const ALL_LARGEST: usize = 8;
/// Divisor of the total for one caller with credentials: at most half, so that one caller cannot block the others.
const SHARE_OF_KNOWN: usize = 2;
/// Divisor of the total for one address without credentials.
const SHARE_OF_ADDRESS: usize = 8;

/// Bytes in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    most: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of: HashMap<Subject, usize>,
}

/// Bytes of one body, released on drop.
#[derive(Debug)]
pub(crate) struct Held {
    among: Arc<InFlight>,
    of: Option<Subject>,
    bytes: usize,
}

/// Bound that was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// The bound of the caller.
    OfOne,
    /// The total bound.
    OfAll,
}

impl InFlight {
    /// Creates the bounds for bodies of at most this many bytes each.
    pub(crate) fn new(largest: usize) -> Arc<Self> {
        Arc::new(Self { most: ALL_LEAST.max(ALL_LARGEST.saturating_mul(largest)), counts: Mutex::default() })
    }

    fn share(&self, of: Option<Subject>) -> usize {
        match of {
            Some(Subject::Key(_) | Subject::Person(_) | Subject::Portal(_) | Subject::PortalTests(_) | Subject::PortalMails(_)) => {
                self.most / SHARE_OF_KNOWN
            }
            Some(Subject::Address(_) | Subject::Devices(_)) | None => self.most / SHARE_OF_ADDRESS,
        }
    }
}

impl Held {
    /// Starts at zero bytes for this caller.
    pub(crate) fn new(among: &Arc<InFlight>, of: Option<Subject>) -> Self {
        Self { among: Arc::clone(among), of, bytes: 0 }
    }

    /// Reserves this many bytes more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let mut counts = self.among.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all + bytes > self.among.most {
            return Err(TooMuch::OfAll);
        }
        if let Some(of) = self.of {
            let share = self.among.share(self.of);
            let count = counts.of.entry(of).or_default();
            if *count + bytes > share {
                return Err(TooMuch::OfOne);
            }
            *count += bytes;
        }
        counts.all += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut counts = self.among.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= self.bytes;
        if let Some(of) = self.of
            && let Some(count) = counts.of.get_mut(&of)
        {
            *count -= self.bytes;
            if *count == 0 {
                counts.of.remove(&of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn address(last: u8) -> Option<Subject> {
        Some(Subject::Address(IpAddr::from([203, 0, 113, last])))
    }

    #[test]
    fn address_has_a_share_and_the_total_is_bounded() {
        let among = InFlight::new(0);
        let share = ALL_LEAST / SHARE_OF_ADDRESS;
        let mut first = Held::new(&among, address(1));
        assert_eq!(first.grow(share), Ok(()));
        assert_eq!(first.grow(1), Err(TooMuch::OfOne));
        assert_eq!(Held::new(&among, address(1)).grow(1), Err(TooMuch::OfOne));
        let others: Vec<_> = (2..9)
            .map(|last| {
                let mut other = Held::new(&among, address(last));
                assert_eq!(other.grow(share), Ok(()), "{last}");
                other
            })
            .collect();
        assert_eq!(Held::new(&among, address(100)).grow(1), Err(TooMuch::OfAll));
        drop(others);
        assert_eq!(Held::new(&among, address(100)).grow(share), Ok(()));
        drop(first);
        assert_eq!(among.counts.lock().expect("not poisoned").of.len(), 0);
        assert_eq!(among.counts.lock().expect("not poisoned").all, 0);
    }
}
