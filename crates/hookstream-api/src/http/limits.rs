//! Rate limits per key, or per address without one: the generic cell rate algorithm (ITU-T I.371, annex A). The
//! algorithm is exact and fair, and stores one time per subject.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hookstream_model::base::ids::{ApiKeyId, ApplicationId, UserId};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

/// Maximum number of stored subjects; idle ones are removed first.
const KEPT: usize = 100_000;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Subject of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Key(ApiKeyId),
    Person(UserId),
    Portal(ApplicationId),
    /// Test messages sent from a portal.
    PortalTests(ApplicationId),
    /// Codes mailed from a portal.
    PortalMails(ApplicationId),
    /// Device codes requested from an address.
    Devices(IpAddr),
    Address(IpAddr),
}

/// Status of a subject's limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitStatus {
    /// Requests per second, and size of a burst.
    limit: NonZeroU32,
    /// Requests that are allowed now.
    remaining: u32,
    /// Time until a full burst is allowed again.
    reset: Duration,
    /// Time to wait; `None` if the request is allowed.
    pub(crate) wait: Option<Duration>,
}

impl RateLimitStatus {
    /// Writes the status into response headers, in whole seconds, rounded up
    /// (draft-ietf-httpapi-ratelimit-headers-07).
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        headers.insert(LIMIT, HeaderValue::from(self.limit.get()));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(seconds(self.reset)));
        if let Some(wait) = self.wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait).max(1)));
        }
    }
}

/// Recent requests of all subjects.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// Time until which each subject's requests fill its rate.
    busy_until: Mutex<HashMap<Subject, Instant>>,
}

impl Limiter {
    /// Counts a request of a subject with a limit per second, unless it exceeds the limit.
    pub(crate) fn count(&self, subject: Subject, limit: NonZeroU32, now: Instant) -> RateLimitStatus {
        self.count_in(subject, limit, SECOND, now)
    }

    /// Same with a limit per period.
    pub(crate) fn count_in(&self, subject: Subject, limit: NonZeroU32, period: Duration, now: Instant) -> RateLimitStatus {
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        if busy_until.len() >= KEPT && !busy_until.contains_key(&subject) {
            busy_until.retain(|_, until| *until > now);
            if busy_until.len() >= KEPT {
                // This many active subjects are an attack; the known ones stay limited and new ones are refused.
                return RateLimitStatus { limit, remaining: 0, reset: period, wait: Some(period) };
            }
        }
        let until = busy_until.entry(subject).or_insert(now);
        let (status, after) = decide((*until).max(now), limit, period, now);
        *until = after;
        status
    }

    /// Returns the status of a subject whose next request would be refused. Counts nothing.
    pub(crate) fn refusal(&self, subject: Subject, limit: NonZeroU32, now: Instant) -> Option<RateLimitStatus> {
        let busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *busy_until.get(&subject)?;
        Some(decide(until.max(now), limit, SECOND, now).0).filter(|status| status.wait.is_some())
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Decides on a request of a subject that is busy until `until`. Returns the status, and the subject's new busy time.
fn decide(until: Instant, limit: NonZeroU32, period: Duration, now: Instant) -> (RateLimitStatus, Instant) {
    let one = period / limit.get();
    let ahead = until - now;
    let remaining = |ahead: Duration| u32::try_from(period.saturating_sub(ahead).as_nanos() / one.as_nanos().max(1)).unwrap_or(u32::MAX);
    if remaining(ahead) == 0 {
        let wait = (ahead + one).saturating_sub(period);
        return (RateLimitStatus { limit, remaining: 0, reset: ahead, wait: Some(wait) }, until);
    }
    let ahead = ahead + one;
    (RateLimitStatus { limit, remaining: remaining(ahead), reset: ahead, wait: None }, until + one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(of: u32) -> NonZeroU32 {
        NonZeroU32::new(of).expect("not 0")
    }

    fn address(last: u8) -> Subject {
        Subject::Address(IpAddr::from([203, 0, 113, last]))
    }

    #[test]
    fn burst_of_the_limit_is_allowed_then_one_at_a_time() {
        let (limiter, begin) = (Limiter::default(), Instant::now());
        for made in 1..=10 {
            let status = limiter.count(address(1), limit(10), begin);
            assert_eq!((status.wait, status.remaining), (None, 10 - made));
        }
        let refused = limiter.count(address(1), limit(10), begin);
        assert_eq!((refused.wait, refused.reset), (Some(Duration::from_millis(100)), SECOND));
        // Refused requests do not count.
        assert_eq!(limiter.count(address(1), limit(10), begin + Duration::from_millis(100)).wait, None);
        assert!(limiter.count(address(1), limit(10), begin + Duration::from_millis(150)).wait.is_some());
        assert_eq!(limiter.count(address(1), limit(10), begin + Duration::from_millis(200)).wait, None);
        // Another address has its own limit.
        assert_eq!(limiter.count(address(2), limit(10), begin).remaining, 9);
        // Looking counts nothing.
        let later = begin + Duration::from_millis(210);
        assert!(limiter.refusal(address(1), limit(10), later).is_some());
        assert_eq!(limiter.refusal(address(1), limit(10), begin + SECOND), None);
        assert_eq!(limiter.refusal(address(3), limit(10), later), None);
        // A period may be longer than a second.
        let minute = SECOND * 60;
        let tests: Vec<_> = (0..11).map(|_| limiter.count_in(address(9), limit(10), minute, begin).wait).collect();
        assert_eq!((tests[9], tests[10]), (None, Some(SECOND * 6)));
        // After a while the full burst is available again.
        assert_eq!(limiter.count(address(1), limit(10), begin + SECOND * 5).remaining, 9);
    }

    #[test]
    fn rate_over_time_stays_within_the_limit() {
        let (limiter, begin) = (Limiter::default(), Instant::now());
        let mut allowed = 0;
        for millis in 0..10_000 {
            let now = begin + Duration::from_millis(millis);
            allowed += (0..3).filter(|_| limiter.count(address(1), limit(100), now).wait.is_none()).count();
        }
        assert!((1_090..=1_100).contains(&allowed), "{allowed}: a burst, then the limit per second");
    }

    #[test]
    fn huge_limit_refuses_no_request() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..10_000 {
            assert_eq!(limiter.count(address(1), limit(1_000_000), now).wait, None);
        }
    }

    #[test]
    fn headers_report_whole_seconds() {
        let mut headers = HeaderMap::new();
        let status =
            RateLimitStatus { limit: limit(10), remaining: 3, reset: Duration::from_millis(1_200), wait: Some(Duration::from_millis(5)) };
        status.write(&mut headers);
        let values =
            ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"].map(|name| headers[name].to_str().expect("text"));
        assert_eq!(values, ["10", "3", "2", "1"]);
    }
}
