//! Open live streams, bounded in total and by caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::http::{
    error::{ApiError, ErrorCode},
    limits::Subject,
};

/// Time after which a client that was refused may try again.
const RETRY: Duration = Duration::from_secs(10);

/// Limits of live streams on one node.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// Maximum number of open streams.
    pub total: usize,
    /// Maximum number of open streams of one API key, user or portal.
    pub per_caller: usize,
}

/// Open streams of a node.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams {
    counts: Arc<Mutex<Counts>>,
    /// Tasks of WebSockets.
    pub(crate) tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_caller: HashMap<Subject, usize>,
}

/// Open stream of a caller, released on drop.
#[derive(Debug)]
pub(crate) struct OpenStream {
    counts: Arc<Mutex<Counts>>,
    caller: Subject,
}

impl OpenStreams {
    /// Counts a stream, unless a limit is reached.
    pub(crate) fn open(&self, caller: Subject, limits: StreamLimits) -> Result<OpenStream, ApiError> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= limits.total {
            let message = "The server has as many live streams as it allows. Retry later, or ask the operator to raise max_streams.";
            return Err(ApiError::new(ErrorCode::Busy, message).with_retry_after(RETRY));
        }
        let of_caller = counts.by_caller.entry(caller).or_default();
        if *of_caller >= limits.per_caller {
            let message = format!(
                "The caller has {} live streams open, which is the limit. Close one, or subscribe to several channels on one stream.",
                limits.per_caller
            );
            return Err(ApiError::new(ErrorCode::TooManyStreams, message).with_retry_after(RETRY));
        }
        *of_caller += 1;
        counts.total += 1;
        Ok(OpenStream { counts: Arc::clone(&self.counts), caller })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(count) = counts.by_caller.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                counts.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn streams_are_bounded_in_total_and_by_caller() {
        let (streams, limits) = (OpenStreams::default(), StreamLimits { total: 3, per_caller: 2 });
        let open = |last: u8| streams.open(Subject::Address(IpAddr::from([192, 0, 2, last])), limits);
        let code = |refused: Result<OpenStream, ApiError>| {
            let body = serde_json::to_value(refused.expect_err("refused").body("")).expect("JSON");
            body["code"].as_str().expect("a code").to_owned()
        };
        let held = (open(1).expect("room"), open(1).expect("room"));
        assert_eq!(code(open(1)), "too_many_streams");
        let third = open(2).expect("room");
        assert_eq!(code(open(2)), "busy");
        drop(held);
        assert!(open(1).is_ok());
        drop(third);
        assert!(streams.counts.lock().expect("no panic").by_caller.is_empty());
    }
}
