//! Properties that must hold for arbitrary bytes: the body of the fuzz target `address` (`fuzz/`), and a test with
//! its seeds. Compiled only for these.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hookstream_model::outbound::endpoint::{EndpointUrl, URL_MAX};

use crate::net::{guard::AddressPolicy, resolve::literal};

/// Treats the input as a URL, and the same bytes as addresses. An accepted URL has the documented form, is unchanged
/// after printing and parsing, and names the same host for the check and for the connection. An address that is
/// allowed by default is public, in any notation.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = EndpointUrl::parse(&text) {
        check_url(&url);
    }
    if let Ok(url) = EndpointUrl::parse_broker(&text) {
        check_broker(&url);
    }
    let mut bytes = [0; 16];
    for (byte, given) in bytes.iter_mut().zip(data) {
        *byte = *given;
    }
    check_address(Ipv6Addr::from(bytes).into());
    let v4 = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
    check_address(v4.into());
    let policy = AddressPolicy::public_only();
    let [a, b, c, d] = v4.octets();
    let other_notations = [
        v4.to_ipv6_mapped(),
        Ipv6Addr::from([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]),
        Ipv6Addr::from([0x20, 2, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for v6 in other_notations {
        assert_eq!(policy.judge(v6.into()).is_ok(), policy.judge(v4.into()).is_ok(), "{v6} is judged differently from {v4}");
    }
    let own = AddressPolicy::allowing(vec![IpAddr::from(v4).into()]);
    assert!(own.judge(v4.into()).is_ok() && own.judge(v4.to_ipv6_mapped().into()).is_ok(), "{v4} was allowed");
}

fn check_url(url: &EndpointUrl) {
    let parsed = url.to_url();
    assert!(matches!(parsed.scheme(), "https" | "http") && parsed.fragment().is_none(), "{parsed}");
    assert!(parsed.username().is_empty() && parsed.password().is_none(), "{parsed} has credentials");
    // The printed URL may be longer than the input, because it is ASCII.
    if parsed.as_str().len() <= URL_MAX {
        let again =
            EndpointUrl::parse(parsed.as_str()).unwrap_or_else(|error| panic!("{parsed} was accepted and is now rejected: {error}"));
        assert_eq!(again.to_url(), parsed, "printing changed the URL");
    }
    let host = parsed.host_str().expect("the URL has a host");
    let Some(uri) = crate::http::settings::uri(url) else { return };
    let default_port = if parsed.scheme() == "https" { 443 } else { 80 };
    assert_eq!(uri.host(), Some(host), "the checked host differs from the connected one");
    assert_eq!(Some(uri.port_u16().unwrap_or(default_port)), parsed.port_or_known_default(), "{parsed}");
    assert_eq!(uri.scheme_str(), Some(parsed.scheme()), "{parsed}");
    // Any notation of an address (0x7f.1, 127.1, ①) becomes one address when parsed.
    let as_typed = match parsed.host() {
        Some(url::Host::Ipv4(address)) => Some(IpAddr::from(address)),
        Some(url::Host::Ipv6(address)) => Some(IpAddr::from(address)),
        Some(url::Host::Domain(_)) | None => None,
    };
    assert_eq!(literal(host), as_typed, "{parsed}");
    as_typed.into_iter().for_each(check_address);
}

/// Checks a broker's URL: no credentials, and a host that is judged in the notation in which it is connected to.
fn check_broker(url: &EndpointUrl) {
    let parsed = url.to_url();
    assert!(matches!(parsed.scheme(), "amqps" | "amqp" | "https" | "http") && parsed.fragment().is_none(), "{parsed}");
    assert!(parsed.username().is_empty() && parsed.password().is_none(), "{parsed} has credentials");
    let Some(host) = crate::rabbitmq::settings::host(url) else { return };
    // The host of the Web's URL is in its final form, so that no other parser finds another address in it.
    let again = url::Url::parse(&format!("http://{host}/")).unwrap_or_else(|error| panic!("{host} of {parsed}: {error}"));
    assert_eq!(again.host_str(), Some(host.as_str()), "{parsed}");
    literal(&host).into_iter().for_each(check_address);
}

/// Checks that an allowed address is public according to the standard library and RFC 6890, independently of the
/// policy.
fn check_address(address: IpAddr) {
    if AddressPolicy::public_only().judge(address).is_err() {
        return;
    }
    match address {
        IpAddr::V4(v4) => assert!(is_public(v4), "{v4}"),
        IpAddr::V6(v6) => {
            let is_special =
                v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local() || v6.is_unicast_link_local();
            assert!(!is_special && v6.to_ipv4().is_none_or(is_public), "{v6}");
        }
    }
}

fn is_public(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    let is_special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_documentation();
    let is_shared_or_benchmark = (a == 100 && b & 0xc0 == 64) || (a == 198 && b & 0xfe == 18);
    !is_special && !is_shared_or_benchmark && a != 0 && a < 240
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn seeds_of_address_hold() {
        seeds::each("address", super::address);
    }
}
