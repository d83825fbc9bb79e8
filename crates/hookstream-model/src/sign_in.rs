//! How often somebody may fail to sign in.
//!
//! Failures in a row are counted by what tries have in common: an account from one network, a network, an account. The
//! first count is strict; the others are wide, since a network has many people, and a stranger must not be able to
//! keep somebody out. Known and unknown addresses are counted alike, so that a refusal tells nothing.

use std::{net::IpAddr, time::Duration};

use sha2::{Digest, Sha256};

use crate::{person::Email, time::Timestamp};

/// After so long without a failure none is remembered.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What failed tries have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject<'a> {
    Both(&'a Email, IpAddr),
    Address(IpAddr),
    Account(&'a Email),
}

/// How many failures are free, and how long the wait becomes at the most.
struct Rule {
    free: u32,
    longest: Duration,
}

/// A count of failures, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// What it counts, in a form that tells nothing to whoever reads the store.
    pub subject: [u8; 32],
    free: u32,
    longest: Duration,
}

/// The counts that a try is under; the first is forgotten when one succeeds.
pub fn counters(email: &Email, address: Option<IpAddr>) -> Vec<Counter> {
    let account = Subject::Account(email);
    match address.map(network) {
        Some(address) => [Subject::Both(email, address), Subject::Address(address), account].map(Subject::counter).into(),
        None => vec![account.counter()],
    }
}

impl Subject<'_> {
    fn counter(self) -> Counter {
        let Rule { free, longest } = match self {
            Self::Both(..) => Rule { free: 5, longest: Duration::from_secs(15 * 60) },
            Self::Address(_) => Rule { free: 50, longest: Duration::from_secs(15 * 60) },
            Self::Account(_) => Rule { free: 50, longest: Duration::from_secs(60) },
        };
        let text = match self {
            Self::Both(email, address) => format!("both {email} {address}"),
            Self::Address(address) => format!("address {address}"),
            Self::Account(email) => format!("account {email}"),
        };
        Counter { subject: Sha256::digest(text.as_bytes()).into(), free, longest }
    }
}

impl Counter {
    /// How long the next try has to wait after `failures` in a row, the last at `last_at`: doubling from a second on.
    pub fn wait(&self, failures: u32, last_at: Timestamp, now: Timestamp) -> Option<Duration> {
        if failures < self.free || now.since(last_at) >= FORGOTTEN_AFTER {
            return None;
        }
        let doubled = Duration::from_secs(1 << (failures - self.free).min(20));
        let until = last_at + doubled.min(self.longest);
        (until > now).then(|| until.since(now))
    }
}

/// Whoever has an IPv6 address has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_after_the_free_failures_up_to_a_limit() {
        let email = Email::parse("ada@example.com").expect("an address");
        let both = counters(&email, Some("192.0.2.1".parse().expect("an address")))[0];
        let start = Timestamp::from_millis(1_000_000_000_000);
        let check = |failures: u32, seconds: Option<u64>| {
            assert_eq!(both.wait(failures, start, start), seconds.map(Duration::from_secs), "{failures}");
        };
        check(0, None);
        check(4, None);
        check(5, Some(1));
        check(6, Some(2));
        check(10, Some(32));
        check(15, Some(900));
        check(u32::MAX, Some(900));
        assert_eq!(both.wait(6, start, start + Duration::from_secs(2)), None);
        assert_eq!(both.wait(u32::MAX, start, start + FORGOTTEN_AFTER), None);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let email = Email::parse("ada@example.com").expect("an address");
        let of = |text: &str| counters(&email, Some(text.parse().expect("an address")));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
