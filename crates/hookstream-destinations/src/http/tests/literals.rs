//! Addresses in disguise: a forbidden address is rejected in any notation, without a DNS query.

use super::*;

/// Checks that a URL is rejected with this address and rule, by the check and by the connection.
async fn check(host: &str, expected: &str) {
    let names = Names::default();
    let queries = Arc::clone(&names.queries);
    let transport = with_names(Options::new(AddressPolicy::public_only()), names);
    let url = format!("http://{host}:81/");
    let refused = transport.check(&url).await.expect_err("refused");
    assert_eq!(format!("{} {}", refused.address, refused.rule), expected, "{host}");
    assert_eq!(send(&transport, &url, AMPLE).await, failed(FailureKind::AddressNotAllowed, &format!("the URL {refused}")), "{host}");
    assert!(queries.lock().expect("not poisoned").is_empty(), "{host}");
}

#[tokio::test]
async fn ipv4_address_is_judged_in_any_notation() {
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0x0.01",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "\u{2460}\u{2461}\u{2466}.0.0.1",
    ] {
        check(host, "127.0.0.1 loopback").await;
    }
    check("2852039166", "169.254.169.254 link-local").await;
    check("0", "0.0.0.0 this network").await;
    check("0.0.0.0", "0.0.0.0 this network").await;
}

#[tokio::test]
async fn ipv6_address_is_judged_by_its_embedded_ipv4_address() {
    for host in
        ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::7f00:1]"]
    {
        check(host, "127.0.0.1 loopback").await;
    }
    check("[::ffff:a9fe:a9fe]", "169.254.169.254 link-local").await;
    check("[2001:0:4136:e378:8000:63bf:f5ff:fffe]", "10.0.0.1 private").await;
}

#[tokio::test]
async fn private_ipv6_address_is_rejected() {
    check("[::1]", "::1 loopback").await;
    check("[::]", ":: unspecified").await;
    check("[fe80::1]", "fe80::1 link-local").await;
    check("[fd00:ec2::254]", "fd00:ec2::254 unique local").await;
}

#[tokio::test]
async fn allowed_ipv6_address_is_connected_to() {
    let outcome = send(&transport(options()), "http://[::1]:1/", AMPLE).await;
    assert_eq!(outcome, refused_connection());
}
