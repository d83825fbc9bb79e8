//! Address policy: globally reachable addresses, and additional networks that the operator allows.
//!
//! The ranges are those of the IANA special-purpose address registries (RFC 6890 and its updates). An IPv6 address
//! that embeds an IPv4 address is judged by the embedded one.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use crate::AddressRefused;

/// Policy for outbound addresses.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNet>,
}

/// Rule that rejects an address: the kind of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule(&'static str);

impl Rule {
    /// Kind of address.
    pub(crate) const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// IPv4 ranges that are not globally reachable: address, prefix length, kind.
const REFUSED_V4: [(Ipv4Addr, u8, &str); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared address space"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // Public according to IANA's registry, but it is the host agent on every Azure machine.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "cloud metadata"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// IPv6 ranges that are not globally reachable. Addresses that embed an IPv4 address are judged before.
const REFUSED_V6: [(Ipv6Addr, u8, &str); 15] = [
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "local translation"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discard"),
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, "dummy prefix"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, "benchmarking"),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, "ORCHID"),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28, "ORCHIDv2"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "segment routing"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

impl AddressPolicy {
    /// Allows globally reachable addresses only.
    pub const fn public_only() -> Self {
        Self { allowed: Vec::new() }
    }

    /// Allows these networks too.
    pub const fn allowing(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Checks one address.
    ///
    /// # Errors
    /// Names the address and the rule that rejects it.
    pub fn judge(&self, address: IpAddr) -> Result<(), AddressRefused> {
        if self.allowed.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        let refused = match address {
            IpAddr::V4(v4) => {
                refusal(&REFUSED_V4, |network, bits| in_range(u128::from(v4.to_bits()), u128::from(network.to_bits()), 32, bits))
            }
            IpAddr::V6(v6) => match embedded_v4(v6) {
                Some(v4) => return self.judge(IpAddr::V4(v4)),
                None => refusal(&REFUSED_V6, |network, bits| in_range(v6.to_bits(), network.to_bits(), 128, bits)),
            },
        };
        refused.map_or(Ok(()), |rule| Err(AddressRefused { address, rule, is_of_name: false }))
    }

    /// Checks all addresses of a host. One rejected address rejects all, because chance or the owner of the name
    /// decides which one a connection uses. The rejected address of a name is logged for the operator.
    ///
    /// # Errors
    /// Names the first rejected address.
    pub fn judge_all(&self, host: &str, addresses: &[IpAddr]) -> Result<(), AddressRefused> {
        let judged = addresses.iter().try_for_each(|address| self.judge(*address));
        judged.map_err(|refused| {
            let is_of_name = !super::resolve::is_fixed(host);
            if is_of_name {
                tracing::info!(host, address = %refused.address, rule = %refused.rule, "endpoint host resolves to an address that is not allowed");
            }
            AddressRefused { is_of_name, ..refused }
        })
    }
}

fn refusal<A: Copy>(ranges: &[(A, u8, &'static str)], contains: impl Fn(A, u8) -> bool) -> Option<Rule> {
    ranges.iter().find(|(network, bits, _)| contains(*network, *bits)).map(|(_, _, kind)| Rule(kind))
}

const fn in_range(address: u128, network: u128, width: u8, bits: u8) -> bool {
    let shift = width - bits;
    address >> shift == network >> shift
}

/// Returns the IPv4 address embedded in an IPv6 address: mapped and compatible (RFC 4291), translated (RFC 6052),
/// 6to4 (RFC 3056), Teredo (RFC 4380).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let v4 = |bits: u128| Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).expect("masked to 32 bits"));
    match address.segments() {
        // `::` and `::1` embed no IPv4 address.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(v4(bits)),
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(v4(bits)),
        [0x2002, ..] => Some(v4(bits >> 80)),
        [0x2001, 0, ..] => Some(v4(!bits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(policy: &AddressPolicy, address: &str) -> Option<&'static str> {
        policy.judge(address.parse().expect("an address")).err().map(|refused| refused.rule.0)
    }

    #[test]
    fn only_public_addresses_are_allowed_by_default() {
        let policy = AddressPolicy::public_only();
        for address in ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "100.63.255.255", "198.20.0.0", "2606:4700::1111", "2a00::1"]
        {
            assert_eq!(rule(&policy, address), None, "{address}");
        }
        for (address, kind) in [
            ("0.0.0.0", "this network"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("100.64.0.1", "shared address space"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.169.254", "link-local"),
            ("168.63.129.16", "cloud metadata"),
            ("192.0.0.8", "protocol assignments"),
            ("192.0.2.1", "documentation"),
            ("198.18.0.1", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("fd00:ec2::254", "unique local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("64:ff9b:1::1", "local translation"),
            ("100::1", "discard"),
        ] {
            assert_eq!(rule(&policy, address), Some(kind), "{address}");
        }
    }

    #[test]
    fn embedded_ipv4_address_is_judged_as_itself() {
        let policy = AddressPolicy::public_only();
        for address in [
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::",
            // Teredo: the client's address is inverted.
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
        ] {
            assert_eq!(rule(&policy, address), Some("loopback"), "{address}");
        }
        for address in ["::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::"] {
            assert_eq!(rule(&policy, address), None, "{address}");
        }
    }

    #[test]
    fn allowed_network_is_allowed_in_every_notation() {
        let policy = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")]);
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "fd12::1"] {
            assert_eq!(rule(&policy, address), None, "{address}");
        }
        assert_eq!(rule(&policy, "::1"), Some("loopback"));
        assert_eq!(rule(&policy, "10.0.0.1"), Some("private"));
    }

    #[test]
    fn one_forbidden_address_rejects_all() {
        let addresses = ["1.1.1.1", "10.0.0.1", "::1"].map(|address| address.parse().expect("an address"));
        let refused = AddressPolicy::public_only().judge_all("10.0.0.1", &addresses).expect_err("refused");
        assert_eq!(
            refused.to_string(),
            "leads to 10.0.0.1 (private), which this installation does not allow. Its operator can allow it with the setting allow_targets \
             (--allow-targets 10.0.0.1/32)"
        );
        let refused = AddressPolicy::public_only().judge_all("vault.internal", &addresses).expect_err("refused");
        assert!(refused.to_string().contains("(private)") && !refused.to_string().contains("10.0.0.1"), "{refused}");
        let refused =
            AddressPolicy::public_only().judge_all("localhost", &["127.0.0.1".parse().expect("an address")]).expect_err("refused");
        assert!(refused.to_string().contains("--allow-targets 127.0.0.1/32"), "{refused}");
    }
}
