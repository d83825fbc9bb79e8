//! Addresses in disguise: however a forbidden address is written, it is judged, and nothing is asked.

use super::*;

/// The address and the rule that a URL is refused for, by the check and by the connection alike.
async fn check(host: &str, expected: &str) {
    let names = Names::default();
    let asked = Arc::clone(&names.asked);
    let transport = with_names(Options::new(AddressPolicy::public_only()), names);
    let url = format!("http://{host}:81/");
    let refused = transport.check(&target(&url)).await.expect_err("refused");
    assert_eq!(format!("{} {}", refused.address, refused.rule), expected, "{host}");
    assert_eq!(send(&transport, &url, AMPLE).await, failed(FailureKind::AddressNotAllowed, &format!("the URL {refused}")), "{host}");
    assert!(asked.lock().expect("not poisoned").is_empty(), "{host}");
}

#[tokio::test]
async fn an_ipv4_address_is_judged_however_it_is_written() {
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
async fn an_ipv6_address_is_judged_by_the_ipv4_address_it_carries() {
    for host in
        ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::7f00:1]"]
    {
        check(host, "127.0.0.1 loopback").await;
    }
    check("[::ffff:a9fe:a9fe]", "169.254.169.254 link-local").await;
    check("[2001:0:4136:e378:8000:63bf:f5ff:fffe]", "10.0.0.1 private").await;
}

#[tokio::test]
async fn an_ipv6_address_that_is_not_public_is_refused() {
    check("[::1]", "::1 loopback").await;
    check("[::]", ":: unspecified").await;
    check("[fe80::1]", "fe80::1 link-local").await;
    check("[fd00:ec2::254]", "fd00:ec2::254 unique local").await;
}

#[tokio::test]
async fn an_ipv6_address_that_is_allowed_is_connected_to() {
    let outcome = send(&transport(options()), "http://[::1]:1/", AMPLE).await;
    assert_eq!(outcome, refused_connection());
}
