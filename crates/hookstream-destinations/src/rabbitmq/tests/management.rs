//! Publishing over the management API.

use hookstream_model::delivery::outcome::{FailureKind, Outcome};
use hookstream_testkit::broker::Broker;

use super::support::{AMPLE, destination, options, refused, send, target, values};

#[tokio::test]
async fn message_arrives_with_its_headers() {
    let broker = Broker::connect().await;
    let topology = broker.topology("management").await;
    let target = target(&destination(options()), &broker.api_url(), &values(&broker, &topology));
    let outcome = send(&target, AMPLE).await.outcome;
    let Outcome::Accepted { response: Some(response), asks_to_stop: false } = outcome else { panic!("{outcome:?}") };
    assert_eq!((response.status, &response.body[..]), (Some(200), &b"{\"routed\":true}"[..]));
    let received = broker.next(&topology).await;
    assert_eq!(received.body, b"{\"a\": 1.0}");
    let target_id = "07".repeat(16);
    for (name, value) in [
        ("webhook-id", "msg_1"),
        ("hookstream-event-id", "msg_1"),
        ("hookstream-destination-id", target_id.as_str()),
        ("x-hookstream-hops", "2"),
    ] {
        assert_eq!(received.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(*received.properties.delivery_mode(), Some(2));
}

#[tokio::test]
async fn refusals_have_their_own_words() {
    let broker = Broker::connect().await;
    let topology = broker.topology("management_refusals").await;
    let destination = destination(options());
    let check = async |changes: &[(&'static str, &str)], expected: FailureKind| {
        let mut values = values(&broker, &topology);
        values.extend(changes.iter().map(|(field, value)| (*field, (*value).to_owned())));
        let (kind, sentence) = refused(&target(&destination, &broker.api_url(), &values)).await;
        assert_eq!(kind, expected, "{changes:?}: {sentence}");
    };
    check(&[("routing_key", "nobody")], FailureKind::Unroutable).await;
    check(&[("exchange", "hookstream_test.missing")], FailureKind::TargetNotFound).await;
    // The API does not tell a user without access whether the virtual host exists.
    check(&[("vhost", "hookstream_test.missing")], FailureKind::AccessRefused).await;
    check(&[("password", "wrong")], FailureKind::AccessRefused).await;
}
