//! Limits for failed sign-ins and for mail that users trigger.
//!
//! Consecutive failures are counted per account and network, per network, and per account. The first count is strict;
//! the others are wide, because a network has many users. The count per account does not apply to browsers and
//! networks from which that account has signed in before, so a stranger cannot lock out its owner. Known and unknown
//! addresses are counted alike, so a rejection reveals nothing.
//!
//! Mail is counted the same way, but never resets: this server must not flood a mailbox.

use std::{net::IpAddr, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    base::{
        ids::{OrganizationId, UserId},
        time::Timestamp,
    },
    identity::user::Email,
};

/// Time without a failure after which the count is reset.
pub const RESET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Common property of failed attempts that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject<'a> {
    Both(&'a Email, IpAddr),
    Address(IpAddr),
    Account(&'a Email),
    /// Account from a browser that has signed in to it before.
    Device(&'a Email, &'a str),
    /// Identity provider codes from a network.
    Provider(IpAddr),
    /// Mail to an address, for any reason.
    MailTo(&'a Email),
    /// Mail requested from a network.
    MailFor(IpAddr),
    /// Mail sent by an organization.
    MailOf(OrganizationId),
    /// Mail sent by a user.
    MailBy(UserId),
}

/// Number of free failures, first wait after them, and longest wait. The wait doubles with each failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    free: u32,
    first: Duration,
    longest: Duration,
}

/// Failure counter, as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Hash of the subject, so that a reader of the store learns nothing.
    pub subject: [u8; 32],
    rule: Rule,
}

/// Evidence that a sign-in comes from the account's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Familiarity<'a> {
    /// No evidence.
    None,
    /// The account has a session from the same network.
    Network,
    /// The browser has signed in to the account before; the value is its device id.
    Device(&'a str),
}

/// Returns the counters of a sign-in. A success resets the first one.
pub fn counters(email: &Email, address: Option<IpAddr>, familiarity: Familiarity<'_>) -> Vec<Counter> {
    let address = address.map(network);
    let strict = match familiarity {
        Familiarity::Device(id) => Some(Subject::Device(email, id)),
        Familiarity::Network | Familiarity::None => address.map(|address| Subject::Both(email, address)),
    };
    // If the address is unknown, the account's counter is the only one.
    let account = (familiarity == Familiarity::None || strict.is_none()).then_some(Subject::Account(email));
    let subjects = [strict, address.map(Subject::Address), account];
    subjects.into_iter().flatten().map(Subject::counter).collect()
}

/// Returns the counters of a code from an identity provider.
pub fn counters_of_provider(address: Option<IpAddr>) -> Vec<Counter> {
    address.map(|address| Subject::Provider(network(address)).counter()).into_iter().collect()
}

/// Returns the counters of a password reset mail.
pub fn counters_of_reset_mail(email: &Email, address: Option<IpAddr>) -> Vec<Counter> {
    let network = address.map(|address| Subject::MailFor(network(address)));
    [Some(Subject::MailTo(email)), network].into_iter().flatten().map(Subject::counter).collect()
}

/// Returns the counters of an invitation mail; `by` is the user who invites.
pub fn counters_of_invitation_mail(email: &Email, organization: OrganizationId, by: Option<UserId>) -> Vec<Counter> {
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
            // At most about thirty mails a day.
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
    /// Returns the wait before the next attempt after `failures` in a row, the last at `last_at`.
    pub fn wait(&self, failures: u32, last_at: Timestamp, now: Timestamp) -> Option<Duration> {
        let Rule { free, first, longest } = self.rule;
        if failures < free || now.since(last_at) >= RESET_AFTER {
            return None;
        }
        let doubled = first * (1 << (failures - free).min(20));
        let until = last_at + doubled.min(longest);
        (until > now).then(|| until.since(now))
    }
}

/// Returns the network by which clients are counted: an IPv4 address, or the first 64 bits of an IPv6 address,
/// because a client can use any address of such a network.
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
    fn wait_doubles_after_the_free_failures_up_to_a_limit() {
        let email = Email::parse("ada@example.com").expect("an address");
        let both = counters(&email, Some("192.0.2.1".parse().expect("an address")), Familiarity::None)[0];
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
        assert_eq!(both.wait(u32::MAX, start, start + RESET_AFTER), None);
    }

    #[test]
    fn mail_is_counted_per_recipient_and_per_sender() {
        let email = |text: &str| Email::parse(text).expect("an address");
        let (ada, grace) = (email("ada@example.com"), email("grace@example.com"));
        let address = Some("192.0.2.1".parse().expect("an address"));
        let organization = OrganizationId::from_bytes([1; 16]);
        let (forgotten, invited) = (counters_of_reset_mail(&ada, address), counters_of_invitation_mail(&ada, organization, None));
        assert_eq!(forgotten[0], invited[0], "the purpose does not matter");
        assert_eq!(forgotten[1], counters_of_reset_mail(&grace, address)[1]);
        let by = |byte| counters_of_invitation_mail(&grace, OrganizationId::from_bytes([byte; 16]), Some(UserId::from_bytes([7; 16])));
        assert_eq!(invited[1], by(1)[1]);
        assert_eq!(by(1)[2], by(2)[2], "the organization does not matter");
        assert!(
            forgotten[0] != counters_of_reset_mail(&grace, address)[0] && forgotten[0] != counters(&ada, address, Familiarity::None)[2]
        );
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
    fn stranger_does_not_count_against_a_familiar_browser_or_network() {
        let email = Email::parse("ada@example.com").expect("an address");
        let address = Some("192.0.2.1".parse().expect("an address"));
        let stranger = counters(&email, Some("192.0.2.9".parse().expect("an address")), Familiarity::None);
        for familiarity in [Familiarity::Network, Familiarity::Device("d1")] {
            let own = counters(&email, address, familiarity);
            assert!(own.iter().all(|counter| !stranger.contains(counter)), "{familiarity:?}");
            assert_eq!(own[0].rule.free, 5, "{familiarity:?}: guessing is still limited");
        }
        assert_ne!(counters(&email, address, Familiarity::Device("d1"))[0], counters(&email, address, Familiarity::Device("d2"))[0]);
        assert_eq!(counters(&email, None, Familiarity::Network).len(), 1, "at least one counter applies");
    }

    #[test]
    fn ipv6_network_counts_as_one_address() {
        let email = Email::parse("ada@example.com").expect("an address");
        let of = |text: &str| counters(&email, Some(text.parse().expect("an address")), Familiarity::None);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
