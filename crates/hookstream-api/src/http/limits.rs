//! How many requests a key, or an address without one, may make: the generic cell rate algorithm (ITU-T I.371,
//! annex A), which is exact, fair between those who are limited, and keeps one moment for each.

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

/// The most of them that are remembered; those that have made no request of late are forgotten first.
const KEPT: usize = 100_000;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Who is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Key(ApiKeyId),
    Person(UserId),
    Portal(ApplicationId),
    /// Test messages that a portal sends.
    PortalTests(ApplicationId),
    /// Device codes that an address asks for.
    Devices(IpAddr),
    Address(IpAddr),
}

/// How a subject stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitStatus {
    /// How many it may make in a second, and at once.
    limit: NonZeroU32,
    /// How many it may make now.
    remaining: u32,
    /// How long until it may make as many as ever.
    reset: Duration,
    /// For how long it has to wait; `None` where the request is let through.
    pub(crate) wait: Option<Duration>,
}

impl RateLimitStatus {
    /// Tells it in the headers of an answer, in whole seconds, rounded up (draft-ietf-httpapi-ratelimit-headers-07).
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

/// What subjects have made of late.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// For each, until when what it made takes at its rate.
    busy_until: Mutex<HashMap<Subject, Instant>>,
}

impl Limiter {
    /// Counts a request of one that may make so many a second, unless it is one too many.
    pub(crate) fn count(&self, subject: Subject, limit: NonZeroU32, now: Instant) -> RateLimitStatus {
        self.count_in(subject, limit, SECOND, now)
    }

    /// The same of one that may make so many in a period, which each subject has one of.
    pub(crate) fn count_in(&self, subject: Subject, limit: NonZeroU32, period: Duration, now: Instant) -> RateLimitStatus {
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        if busy_until.len() >= KEPT && !busy_until.contains_key(&subject) {
            busy_until.retain(|_, until| *until > now);
            if busy_until.len() >= KEPT {
                // So many at once are an attack: those that are known go on to be limited.
                return RateLimitStatus { limit, remaining: 0, reset: period, wait: Some(period) };
            }
        }
        let until = busy_until.entry(subject).or_insert(now);
        let (standing, after) = decide((*until).max(now), limit, period, now);
        *until = after;
        standing
    }

    /// How a subject stands that would be refused now. Nothing is counted.
    pub(crate) fn refusal(&self, subject: Subject, limit: NonZeroU32, now: Instant) -> Option<RateLimitStatus> {
        let busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *busy_until.get(&subject)?;
        Some(decide(until.max(now), limit, SECOND, now).0).filter(|standing| standing.wait.is_some())
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// What comes of a request of somebody who is busy until then, and until when it is busy after it.
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
    fn as_many_as_the_limit_go_at_once_and_then_one_after_the_other() {
        let (limiter, begin) = (Limiter::default(), Instant::now());
        for made in 1..=10 {
            let standing = limiter.count(address(1), limit(10), begin);
            assert_eq!((standing.wait, standing.remaining), (None, 10 - made));
        }
        let refused = limiter.count(address(1), limit(10), begin);
        assert_eq!((refused.wait, refused.reset), (Some(Duration::from_millis(100)), SECOND));
        // What is refused does not count.
        assert_eq!(limiter.count(address(1), limit(10), begin + Duration::from_millis(100)).wait, None);
        assert!(limiter.count(address(1), limit(10), begin + Duration::from_millis(150)).wait.is_some());
        assert_eq!(limiter.count(address(1), limit(10), begin + Duration::from_millis(200)).wait, None);
        // Another has its own.
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
        // After a while it is as at the beginning.
        assert_eq!(limiter.count(address(1), limit(10), begin + SECOND * 5).remaining, 9);
    }

    #[test]
    fn over_a_time_no_more_go_than_the_limit() {
        let (limiter, begin) = (Limiter::default(), Instant::now());
        let mut went = 0;
        for millis in 0..10_000 {
            let now = begin + Duration::from_millis(millis);
            went += (0..3).filter(|_| limiter.count(address(1), limit(100), now).wait.is_none()).count();
        }
        assert!((1_090..=1_100).contains(&went), "{went}: as many at once, and then so many a second");
    }

    #[test]
    fn a_limit_without_end_keeps_nobody_back() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..10_000 {
            assert_eq!(limiter.count(address(1), limit(1_000_000), now).wait, None);
        }
    }

    #[test]
    fn what_stands_is_told_in_whole_seconds() {
        let mut headers = HeaderMap::new();
        let standing =
            RateLimitStatus { limit: limit(10), remaining: 3, reset: Duration::from_millis(1_200), wait: Some(Duration::from_millis(5)) };
        standing.write(&mut headers);
        let told =
            ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"].map(|name| headers[name].to_str().expect("text"));
        assert_eq!(told, ["10", "3", "2", "1"]);
    }
}
