//! Client address of a request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{HeaderMap, Request, request::Parts};
use ipnet::IpNet;

/// Returns the client address of a request: the peer's, or, if the peer is a trusted proxy, the last address in
/// `X-Forwarded-For` that is not a trusted proxy. No other header is used.
pub(crate) fn client_address(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(behind_proxies(peer.ip().to_canonical(), &parts.headers, trusted))
}

/// Returns the client address of a request that is not taken apart yet, by the same rules.
pub(crate) fn client_address_of<B>(request: &Request<B>, trusted: &[IpNet]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(behind_proxies(peer.ip().to_canonical(), request.headers(), trusted))
}

/// Returns the network of a request's client, by which clients without credentials are counted.
pub(crate) fn client_network(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    client_address(parts, trusted).map(hookstream_model::identity::sign_in::network)
}

fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut last = peer;
    for text in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // A trusted proxy would have written a readable address.
        let Some(address) = parse(text.trim()) else { break };
        last = address;
        if !is_trusted(&address) {
            break;
        }
    }
    last
}

/// Parses an address as proxies write it: with or without a port, with or without brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    Some(address.or_else(bracketed)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn forwarded_address_counts_from_trusted_proxies_only() {
        let check = |peer: &str, forwarded: &[&'static str], expected: &str| {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            let trusted = ["10.0.0.0/8".parse().expect("a network"), "::1/128".parse().expect("a network")];
            let address = behind_proxies(peer.parse().expect("an address"), &headers, &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().expect("an address"), "{peer} {forwarded:?}");
        };
        check("8.8.8.8", &[], "8.8.8.8");
        check("8.8.8.8", &["1.1.1.1"], "8.8.8.8");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["1.1.1.1"], "1.1.1.1");
        check("10.0.0.1", &["1.1.1.1, 2.2.2.2"], "2.2.2.2");
        check("10.0.0.1", &["1.1.1.1, 10.9.9.9"], "1.1.1.1");
        check("10.0.0.1", &["1.1.1.1", "2.2.2.2:443,10.9.9.9"], "2.2.2.2");
        check("::1", &["[2001:db8::1]:443"], "2001:db8::1");
        check("::1", &["::ffff:1.2.3.4"], "1.2.3.4");
        check("10.0.0.1", &["1.1.1.1, nonsense"], "10.0.0.1");
        check("10.0.0.1", &["1.1.1.1, nonsense, 10.1.1.1"], "10.1.1.1");
    }
}
