//! Names: their addresses are checked on every connection, and resolution failures are reported.

use hookstream_testkit::receiver::Receiver;

use super::*;

fn refused(address: &str, rule: &str) -> Outcome {
    let detail = format!(
        "the URL leads to {address} ({rule}), which this installation does not allow. Its operator can allow it with the setting \
         allow_targets (--allow-targets {address}/{})",
        if address.contains(':') { 128 } else { 32 },
    );
    failed(FailureKind::AddressNotAllowed, &detail)
}

/// Rejection of a name: the tenant learns the rule, but not the address.
fn refused_name(rule: &str) -> Outcome {
    let detail = format!(
        "the URL leads to an address that this installation does not allow ({rule}). Its operator can allow networks with the setting \
         allow_targets; the server's log names the address"
    );
    failed(FailureKind::AddressNotAllowed, &detail)
}

/// Returns the outcome of a delivery to a name with these results.
async fn outcome_of(results: Vec<Resolution>) -> Outcome {
    let receiver = Receiver::start().await;
    let transport = with_names(options(), Names::default().with_results("name.test.", results));
    let outcome = send(&transport, &receiver.url_at("name.test"), AMPLE).await;
    assert_eq!(receiver.received().len(), usize::from(outcome.is_accepted()));
    outcome
}

#[tokio::test]
async fn name_is_resolved_and_stays_the_host_header() {
    let receiver = Receiver::start().await;
    let transport = with_names(options(), Names::default().with("name.test.", &["127.0.0.1"]));
    let url = receiver.url_at("Name.TEST");
    assert_eq!(send(&transport, &url, AMPLE).await, responded(204));
    assert_eq!(format!("http://{}/hook", receiver.received()[0].header("host")), url.to_lowercase());
}

#[tokio::test]
async fn final_dot_does_not_change_the_query() {
    let receiver = Receiver::start().await;
    let names = Names::default().with("name.test.", &["127.0.0.1"]);
    let queries = Arc::clone(&names.queries);
    let transport = with_names(options(), names);
    for host in ["name.test", "name.test."] {
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, responded(204));
    }
    // Both have the final dot, so that no search domain is used.
    assert_eq!(*queries.lock().expect("not poisoned"), ["name.test.", "name.test."]);
}

#[tokio::test]
async fn name_without_addresses_fails_with_the_reason() {
    for error in [DnsError::NoSuchName, DnsError::Failed, DnsError::TimedOut] {
        let expected = failed(FailureKind::DnsFailed, &error.to_string());
        assert_eq!(outcome_of(vec![Resolution::Fails(error)]).await, expected);
    }
    let expected = failed(FailureKind::DnsFailed, &DnsError::NoSuchName.to_string());
    assert_eq!(outcome_of(vec![Resolution::addresses(&[])]).await, expected);
}

#[tokio::test]
async fn stalled_resolution_ends_at_the_attempt_or_connect_limit() {
    let names = || Names::default().with_results("name.test.", vec![Resolution::Stalls]);
    let outcome = send(&with_names(options(), names()), "http://name.test/", SHORT).await;
    assert_eq!(outcome, timed_out(SHORT));
    let transport = with_names(Options { connect_timeout: SHORT, ..options() }, names());
    let outcome = send(&transport, "http://name.test/", AMPLE).await;
    assert_eq!(outcome, failed(FailureKind::DnsFailed, &DnsError::TimedOut.to_string()));
}

#[tokio::test]
async fn one_forbidden_address_rejects_all() {
    assert_eq!(outcome_of(vec![Resolution::addresses(&["127.0.0.1", "10.0.0.1"])]).await, refused_name("private"));
    assert_eq!(outcome_of(vec![Resolution::addresses(&["127.0.0.1", "fd00:ec2::254"])]).await, refused_name("unique local"));
    let mut addresses = vec!["127.0.0.1".parse().expect("an address"); 999];
    addresses.push("169.254.169.254".parse().expect("an address"));
    assert_eq!(outcome_of(vec![Resolution::Addresses(addresses)]).await, refused_name("link-local"));
}

#[tokio::test]
async fn next_address_is_used_after_a_refused_connection() {
    assert_eq!(outcome_of(vec![Resolution::addresses(&["127.0.0.2", "127.0.0.3", "127.0.0.1"])]).await, responded(204));
}

#[tokio::test]
async fn number_of_attempted_addresses_is_limited() {
    let closed = |count: u8| (2..2 + count).map(|last| IpAddr::from([127, 0, 0, last]));
    let open = IpAddr::from([127, 0, 0, 1]);
    let expected = refused_connection();
    assert_eq!(outcome_of(vec![Resolution::Addresses(closed(7).chain([open]).collect())]).await, responded(204));
    assert_eq!(outcome_of(vec![Resolution::Addresses(closed(8).chain([open; 992]).collect())]).await, expected);
}

#[tokio::test]
async fn changed_name_is_rejected_on_connect() {
    let receiver = Receiver::start().await;
    let results = vec![Resolution::addresses(&["127.0.0.1"]), Resolution::addresses(&["10.0.0.1"])];
    let transport = with_names(options(), Names::default().with_results("name.test.", results));
    let url = receiver.url_at("name.test");
    assert_eq!(transport.check(&url).await, Ok(()));
    assert_eq!(send(&transport, &url, AMPLE).await, refused_name("private"));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn localhost_is_never_queried() {
    let names = || Names::default().with("localhost.", &["1.1.1.1"]).with("a.localhost.", &["1.1.1.1"]);
    let receiver = Receiver::start().await;
    for host in ["localhost", "localhost.", "LOCALHOST", "a.localhost", "a.localhost."] {
        let transport = with_names(options(), names());
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, responded(204), "{host}");
        let transport = with_names(Options::new(AddressPolicy::public_only()), names());
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, refused("127.0.0.1", "loopback"), "{host}");
    }
}

#[tokio::test]
async fn check_rejects_a_forbidden_address_and_names_the_setting() {
    let transport = with_names(options(), Names::default().with("name.test.", &["127.0.0.1", "10.0.0.1"]));
    let refused = transport.check("http://name.test/").await.expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "leads to an address that this installation does not allow (private). Its operator can allow networks with the setting \
         allow_targets; the server's log names the address"
    );
    let address = "::1".parse().expect("an address");
    let rule = AddressPolicy::public_only().judge(address).expect_err("refused").rule;
    let transport = with_names(Options::new(AddressPolicy::public_only()), Names::default());
    assert_eq!(transport.check("https://[::1]:8443/").await, Err(AddressRefused { address, rule, is_of_name: false }));
}

#[tokio::test]
async fn check_accepts_an_unresolvable_name() {
    for result in
        [Resolution::Fails(DnsError::NoSuchName), Resolution::Fails(DnsError::Failed), Resolution::Stalls, Resolution::addresses(&[])]
    {
        let names = Names::default().with_results("name.test.", vec![result.clone()]);
        let transport = with_names(Options { check_timeout: SHORT, ..options() }, names);
        let checked = tokio::time::timeout(SHORT + SLACK, transport.check("http://name.test/")).await;
        assert_eq!(checked.expect("in time"), Ok(()), "{result:?}");
    }
}
