//! Id of a request, in its response, the log and the audit log.

use std::fmt;

/// Id of a request. The response, the log and the audit log contain it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req_{:012x}", self.0)
    }
}
