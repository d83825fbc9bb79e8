//! Names: what they lead to is vetted on every connection, and how they fail is told.

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

/// The refusal of a name: the tenant learns the rule, and not the address.
fn refused_name(rule: &str) -> Outcome {
    let detail = format!(
        "the URL leads to an address that this installation does not allow ({rule}). Its operator can allow networks with the setting \
         allow_targets; the server's log names the address"
    );
    failed(FailureKind::AddressNotAllowed, &detail)
}

/// What comes of a message to a name of which this is said.
async fn outcome_of(says: Vec<Says>) -> Outcome {
    let receiver = Receiver::start().await;
    let transport = with_names(options(), Names::default().saying("name.test.", says));
    let outcome = send(&transport, &receiver.url_at("name.test"), AMPLE).await;
    assert_eq!(receiver.received().len(), usize::from(outcome.is_accepted()));
    outcome
}

#[tokio::test]
async fn a_name_leads_to_its_address_and_stays_the_host() {
    let receiver = Receiver::start().await;
    let transport = with_names(options(), Names::default().with("name.test.", &["127.0.0.1"]));
    let url = receiver.url_at("Name.TEST");
    assert_eq!(send(&transport, &url, AMPLE).await, answered(204));
    assert_eq!(format!("http://{}/hook", receiver.received()[0].header("host")), url.to_lowercase());
}

#[tokio::test]
async fn a_final_dot_changes_nothing_of_what_is_asked() {
    let receiver = Receiver::start().await;
    let names = Names::default().with("name.test.", &["127.0.0.1"]);
    let asked = Arc::clone(&names.asked);
    let transport = with_names(options(), names);
    for host in ["name.test", "name.test."] {
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, answered(204));
    }
    // With its final dot each, so that no search domain is tried.
    assert_eq!(*asked.lock().expect("not poisoned"), ["name.test.", "name.test."]);
}

#[tokio::test]
async fn a_name_without_addresses_is_a_failure_that_says_why() {
    for error in [DnsError::NoSuchName, DnsError::Failed, DnsError::TimedOut] {
        let expected = failed(FailureKind::DnsFailed, &error.to_string());
        assert_eq!(outcome_of(vec![Says::Fails(error)]).await, expected);
    }
    let expected = failed(FailureKind::DnsFailed, &DnsError::NoSuchName.to_string());
    assert_eq!(outcome_of(vec![Says::addresses(&[])]).await, expected);
}

#[tokio::test]
async fn a_name_that_stalls_ends_at_the_limit_or_when_a_connection_should_have_come_about() {
    let names = || Names::default().saying("name.test.", vec![Says::Stalls]);
    let outcome = send(&with_names(options(), names()), "http://name.test/", SHORT).await;
    assert_eq!(outcome, timed_out(SHORT));
    let transport = with_names(Options { connect_timeout: SHORT, ..options() }, names());
    let outcome = send(&transport, "http://name.test/", AMPLE).await;
    assert_eq!(outcome, failed(FailureKind::DnsFailed, &DnsError::TimedOut.to_string()));
}

#[tokio::test]
async fn one_forbidden_address_refuses_the_whole_answer() {
    assert_eq!(outcome_of(vec![Says::addresses(&["127.0.0.1", "10.0.0.1"])]).await, refused_name("private"));
    assert_eq!(outcome_of(vec![Says::addresses(&["127.0.0.1", "fd00:ec2::254"])]).await, refused_name("unique local"));
    let mut addresses = vec!["127.0.0.1".parse().expect("an address"); 999];
    addresses.push("169.254.169.254".parse().expect("an address"));
    assert_eq!(outcome_of(vec![Says::Addresses(addresses)]).await, refused_name("link-local"));
}

#[tokio::test]
async fn the_next_address_is_tried_where_nobody_listens_at_the_first() {
    assert_eq!(outcome_of(vec![Says::addresses(&["127.0.0.2", "127.0.0.3", "127.0.0.1"])]).await, answered(204));
}

#[tokio::test]
async fn of_a_thousand_addresses_a_few_are_tried() {
    let nobody = |count: u8| (2..2 + count).map(|last| IpAddr::from([127, 0, 0, last]));
    let somebody = IpAddr::from([127, 0, 0, 1]);
    let expected = refused_connection();
    assert_eq!(outcome_of(vec![Says::Addresses(nobody(7).chain([somebody]).collect())]).await, answered(204));
    assert_eq!(outcome_of(vec![Says::Addresses(nobody(8).chain([somebody; 992]).collect())]).await, expected);
}

#[tokio::test]
async fn a_name_that_changes_after_the_check_is_refused_when_connecting() {
    let receiver = Receiver::start().await;
    let says = vec![Says::addresses(&["127.0.0.1"]), Says::addresses(&["10.0.0.1"])];
    let transport = with_names(options(), Names::default().saying("name.test.", says));
    let url = receiver.url_at("name.test");
    assert_eq!(transport.check(&target(&url)).await, Ok(()));
    assert_eq!(send(&transport, &url, AMPLE).await, refused_name("private"));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn localhost_is_this_machine_whatever_a_name_server_says() {
    let names = || Names::default().with("localhost.", &["1.1.1.1"]).with("a.localhost.", &["1.1.1.1"]);
    let receiver = Receiver::start().await;
    for host in ["localhost", "localhost.", "LOCALHOST", "a.localhost", "a.localhost."] {
        let transport = with_names(options(), names());
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, answered(204), "{host}");
        let transport = with_names(Options::new(AddressPolicy::public_only()), names());
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, refused("127.0.0.1", "loopback"), "{host}");
    }
}

#[tokio::test]
async fn check_refuses_a_forbidden_address_and_names_it_and_the_setting() {
    let transport = with_names(options(), Names::default().with("name.test.", &["127.0.0.1", "10.0.0.1"]));
    let refused = transport.check(&target("http://name.test/")).await.expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "leads to an address that this installation does not allow (private). Its operator can allow networks with the setting \
         allow_targets; the server's log names the address"
    );
    let address = "::1".parse().expect("an address");
    let rule = AddressPolicy::public_only().judge(address).expect_err("refused").rule;
    let transport = with_names(Options::new(AddressPolicy::public_only()), Names::default());
    assert_eq!(transport.check(&target("https://[::1]:8443/")).await, Err(AddressRefused { address, rule, is_of_name: false }));
}

#[tokio::test]
async fn check_accepts_a_name_that_does_not_resolve_or_not_in_time() {
    for says in [Says::Fails(DnsError::NoSuchName), Says::Fails(DnsError::Failed), Says::Stalls, Says::addresses(&[])] {
        let names = Names::default().saying("name.test.", vec![says.clone()]);
        let transport = with_names(Options { check_timeout: SHORT, ..options() }, names);
        let target = target("http://name.test/");
        let checked = tokio::time::timeout(SHORT + SLACK, transport.check(&target)).await;
        assert_eq!(checked.expect("in time"), Ok(()), "{says:?}");
    }
}
