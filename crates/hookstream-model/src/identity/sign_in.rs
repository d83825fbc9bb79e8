//! How often a person may fail to sign in, and have mail sent.
//!
//! Failures in a row are counted by what attempts have in common: an account from one network, a network, an account. The
//! first count is strict; the others are wide, since a network has many people. The count of an account by itself is not
//! for browsers and networks from which that account has signed in before, so a stranger can't keep its owner out. Known
//! and unknown addresses are counted alike, so that a refusal tells nothing.
//!
//! Mail is counted the same way, and never as succeeded: this server must not be what floods somebody's mailbox.

use std::{net::IpAddr, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    base::{
        ids::{OrganizationId, UserId},
        time::Timestamp,
    },
    identity::user::Email,
};

/// After so long without a failure none is remembered.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What failed tries have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject<'a> {
    Both(&'a Email, IpAddr),
    Address(IpAddr),
    Account(&'a Email),
    /// An account from a browser that has signed in to it before.
    Device(&'a Email, &'a str),
    /// Codes of an identity provider that a network brings.
    Provider(IpAddr),
    /// Mail to an address, for whatever reason.
    MailTo(&'a Email),
    /// Mail that a network asks for.
    MailFor(IpAddr),
    /// Mail that an organization has sent.
    MailOf(OrganizationId),
    /// Mail that a person has sent.
    MailBy(UserId),
}

/// How many failures are free, how long the wait is after them, doubling from there, and how long it becomes at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    free: u32,
    first: Duration,
    longest: Duration,
}

/// A count of failures, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// What it counts, in a form that tells nothing to whoever reads the store.
    pub subject: [u8; 32],
    rule: Rule,
}

/// What speaks for whoever signs in being the account's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Familiar<'a> {
    /// Nothing.
    No,
    /// The account has a session from the same network.
    Network,
    /// The browser has signed in to the account before; the id that it was given then.
    Device(&'a str),
}

/// The counts that an attempt is under; the first is forgotten when one succeeds.
pub fn counters(email: &Email, address: Option<IpAddr>, familiar: Familiar<'_>) -> Vec<Counter> {
    let address = address.map(network);
    let strict = match familiar {
        Familiar::Device(id) => Some(Subject::Device(email, id)),
        Familiar::Network | Familiar::No => address.map(|address| Subject::Both(email, address)),
    };
    // Where the address is not known, the account's count is the only one.
    let account = (familiar == Familiar::No || strict.is_none()).then_some(Subject::Account(email));
    let subjects = [strict, address.map(Subject::Address), account];
    subjects.into_iter().flatten().map(Subject::counter).collect()
}

/// The counts that a code of an identity provider is under.
pub fn counters_of_provider(address: Option<IpAddr>) -> Vec<Counter> {
    address.map(|address| Subject::Provider(network(address)).counter()).into_iter().collect()
}

/// The counts that asking for a link by mail is under.
pub fn counters_of_forgetting(email: &Email, address: Option<IpAddr>) -> Vec<Counter> {
    let network = address.map(|address| Subject::MailFor(network(address)));
    [Some(Subject::MailTo(email)), network].into_iter().flatten().map(Subject::counter).collect()
}

/// The counts that an invitation by mail is under; `by` is the person who invites.
pub fn counters_of_inviting(email: &Email, organization: OrganizationId, by: Option<UserId>) -> Vec<Counter> {
    let by = by.map(Subject::MailBy);
    [Some(Subject::MailTo(email)), Some(Subject::MailOf(organization)), by].into_iter().flatten().map(Subject::counter).collect()
}

impl Subject<'_> {
    fn counter(self) -> Counter {
        const SECOND: Duration = Duration::from_secs(1);
        let rule = match self {
            Self::Both(..) | Self::Device(..) => Rule { free: 5, first: SECOND, longest: SECOND * 900 },
            Self::Provider(_) => Rule { free: 20, first: SECOND, longest: SECOND * 900 },
            Self::Address(_) => Rule { free: 50, first: SECOND, longest: SECOND * 900 },
            Self::Account(_) => Rule { free: 50, first: SECOND, longest: SECOND * 60 },
            // Some thirty mails a day at the most.
            Self::MailTo(_) => Rule { free: 4, first: SECOND * 60, longest: SECOND * 3600 },
            Self::MailFor(_) => Rule { free: 20, first: SECOND * 10, longest: SECOND * 900 },
            Self::MailOf(_) | Self::MailBy(_) => Rule { free: 100, first: SECOND, longest: SECOND * 60 },
        };
        let text = match self {
            Self::Both(email, address) => format!("both {email} {address}"),
            Self::Address(address) => format!("address {address}"),
            Self::Account(email) => format!("account {email}"),
            Self::Device(email, id) => format!("device {email} {id}"),
            Self::Provider(address) => format!("provider {address}"),
            Self::MailTo(email) => format!("mail to {email}"),
            Self::MailFor(address) => format!("mail for {address}"),
            Self::MailOf(organization) => format!("mail of {organization}"),
            Self::MailBy(user) => format!("mail by {user}"),
        };
        Counter { subject: Sha256::digest(text.as_bytes()).into(), rule }
    }
}

impl Counter {
    /// How long the next try has to wait after `failures` in a row, the last at `last_at`.
    pub fn wait(&self, failures: u32, last_at: Timestamp, now: Timestamp) -> Option<Duration> {
        let Rule { free, first, longest } = self.rule;
        if failures < free || now.since(last_at) >= FORGOTTEN_AFTER {
            return None;
        }
        let doubled = first * (1 << (failures - free).min(20));
        let until = last_at + doubled.min(longest);
        (until > now).then(|| until.since(now))
    }
}

/// The network that clients are counted by: an IPv4 address, or the first 64 bits of an IPv6 address, since a client has all
/// the addresses of such a network.
pub fn network(address: IpAddr) -> IpAddr {
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
        let both = counters(&email, Some("192.0.2.1".parse().expect("an address")), Familiar::No)[0];
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
    fn mail_is_counted_by_whom_it_is_for_and_who_asks() {
        let email = |text: &str| Email::parse(text).expect("an address");
        let (ada, grace) = (email("ada@example.com"), email("grace@example.com"));
        let address = Some("192.0.2.1".parse().expect("an address"));
        let organization = OrganizationId::from_bytes([1; 16]);
        let (forgotten, invited) = (counters_of_forgetting(&ada, address), counters_of_inviting(&ada, organization, None));
        assert_eq!(forgotten[0], invited[0], "whatever it is for");
        assert_eq!(forgotten[1], counters_of_forgetting(&grace, address)[1]);
        let by = |byte| counters_of_inviting(&grace, OrganizationId::from_bytes([byte; 16]), Some(UserId::from_bytes([7; 16])));
        assert_eq!(invited[1], by(1)[1]);
        assert_eq!(by(1)[2], by(2)[2], "whatever organization it is for");
        assert!(forgotten[0] != counters_of_forgetting(&grace, address)[0] && forgotten[0] != counters(&ada, address, Familiar::No)[2]);
        let start = Timestamp::from_millis(1_000_000_000_000);
        let check = |failures: u32, seconds: Option<u64>| {
            assert_eq!(forgotten[0].wait(failures, start, start), seconds.map(Duration::from_secs), "{failures}");
        };
        check(3, None);
        check(4, Some(60));
        check(5, Some(120));
        check(u32::MAX, Some(3600));
    }

    #[test]
    fn a_stranger_does_not_count_against_a_familiar_browser_or_network() {
        let email = Email::parse("ada@example.com").expect("an address");
        let address = Some("192.0.2.1".parse().expect("an address"));
        let stranger = counters(&email, Some("192.0.2.9".parse().expect("an address")), Familiar::No);
        for familiar in [Familiar::Network, Familiar::Device("d1")] {
            let own = counters(&email, address, familiar);
            assert!(own.iter().all(|counter| !stranger.contains(counter)), "{familiar:?}");
            assert_eq!(own[0].rule.free, 5, "{familiar:?}: guessing is limited all the same");
        }
        assert_ne!(counters(&email, address, Familiar::Device("d1"))[0], counters(&email, address, Familiar::Device("d2"))[0]);
        assert_eq!(counters(&email, None, Familiar::Network).len(), 1, "something always counts");
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let email = Email::parse("ada@example.com").expect("an address");
        let of = |text: &str| counters(&email, Some(text.parse().expect("an address")), Familiar::No);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
