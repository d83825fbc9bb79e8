//! Test receivers: endpoints inside of the server, for first steps and for trying failures. An attempt takes the usual path
//! and is recorded as any other, but opens no connection: the receiver responds as its settings say.

mod settings;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use hookstream_model::{InvalidField, delivery::outcome::Outcome};

use self::settings::Behaviour;
pub use self::settings::{DELAYS_MS, STATUSES};
use crate::{
    AddressRefused, Destination, Envelope, RenderedRequest, Sent, Settings, Target,
    http::{classify::HttpResponse, settings::HttpTarget},
    net::{failure, network::Network, steps::Phases},
};

/// Headers of the response, as an attempt records them.
const HEADERS: &str = "content-type: application/json\nserver: hookstream-test-receiver\n";

/// Destination kind `test_receiver`.
pub(crate) struct TestReceiverDestination(pub(crate) Arc<Network>);

impl Destination for TestReceiverDestination {
    fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        let behaviour = Behaviour::read(settings)?;
        // The request is that of an HTTP endpoint; its network is never used.
        Ok(Arc::new(TestReceiver { behaviour, http: HttpTarget::new(settings, Arc::clone(&self.0)) }))
    }
}

/// Receiver that responds with a status, after a delay.
#[derive(Debug)]
struct TestReceiver {
    behaviour: Behaviour,
    http: HttpTarget,
}

#[async_trait]
impl Target for TestReceiver {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        Ok(())
    }

    async fn send(&self, envelope: &Envelope<'_>, timeout: Duration) -> Sent {
        let phases = Phases::begin();
        let delay = self.behaviour.delay_of(&envelope.id);
        tokio::time::sleep(delay.min(timeout)).await;
        if delay >= timeout {
            return Sent { outcome: Outcome::Retryable(failure::no_response_within(timeout)), timings: phases.timings() };
        }
        let body = format!(r#"{{"received":"{}","bytes":{}}}"#, envelope.id, envelope.body.len());
        let response =
            HttpResponse { status: self.behaviour.status, body: Bytes::from(body), headers: HEADERS.to_owned(), ..HttpResponse::default() };
        Sent { outcome: response.outcome(), timings: phases.timings() }
    }

    fn rendered(&self, envelope: &Envelope<'_>) -> Option<RenderedRequest> {
        self.http.rendered(envelope)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hookstream_model::{
        base::{ids::TargetId, secret::Secret, time::Timestamp},
        outbound::{
            endpoint::EndpointUrl,
            message::ContentType,
            signature::{SigningKey, SigningKeys},
            target::{TargetConfig, TargetKind},
        },
    };

    use super::*;
    use crate::{AddressPolicy, net::Options};

    fn destination() -> TestReceiverDestination {
        TestReceiverDestination(Arc::new(Network::new(Options::new(AddressPolicy::allowing(vec![]))).expect("a network")))
    }

    async fn status_for(given: Option<&str>) -> Result<Option<u16>, String> {
        answer(given.map(|status| ("status", status))).await.map(|sent| sent.outcome.response().and_then(|response| response.status))
    }

    async fn answer(given: Option<(&str, &str)>) -> Result<Sent, String> {
        let url = EndpointUrl::parse("https://test-receiver.invalid/").expect("a URL");
        let config =
            given.map(|(name, value)| TargetConfig::new(TargetKind::TestReceiver, BTreeMap::from([(name.to_owned(), value.to_owned())])));
        let settings = Settings { kind: TargetKind::TestReceiver, url: &url, config: config.as_ref(), headers: None };
        let target = destination().check(&settings).map_err(|invalid| invalid.to_string())?;
        let key = SigningKey::parse(&Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")).expect("a key");
        let keys = SigningKeys::new(key, vec![]);
        let envelope = Envelope {
            id: "019dc1e2a3b47c5d8e9f001122334455".into(),
            target_id: TargetId::from_bytes([1; 16]),
            event_type: Some("invoice.paid"),
            body: Bytes::from_static(b"{}"),
            content_type: ContentType::Json,
            attempt: 1,
            hops: 1,
            batch_size: None,
            trace: None,
            keys: &keys,
            signed_at: Timestamp::from_millis(0),
        };
        assert!(target.check_address().await.is_ok());
        let rendered = target.rendered(&envelope).expect("a request");
        assert!(rendered.headers.iter().any(|(name, _)| name == "webhook-signature"));
        Ok(target.send(&envelope, Duration::from_millis(400)).await)
    }

    #[tokio::test]
    async fn receiver_responds_with_the_status_of_its_settings() {
        assert_eq!(status_for(None).await, Ok(Some(200)));
        assert_eq!(status_for(Some("204")).await, Ok(Some(204)));
        assert_eq!(status_for(Some("503")).await, Ok(Some(503)));
        for odd in ["", "99", "199", "600", "ok", "2000", "-1"] {
            let refused = status_for(Some(odd)).await.expect_err("refused");
            assert!(refused.starts_with("`config.status` must be"), "{refused}");
        }
        assert!(answer(Some(("url", "https://example.com"))).await.is_err());
    }

    #[tokio::test]
    async fn receiver_responds_after_about_its_delay_and_times_out() {
        let begun = tokio::time::Instant::now();
        assert!(answer(Some(("delay_ms", "100"))).await.expect("sent").outcome.is_accepted());
        assert!(begun.elapsed() >= Duration::from_millis(50), "{:?}", begun.elapsed());
        let late = answer(Some(("delay_ms", "30000"))).await.expect("sent").outcome;
        assert_eq!(late.failure().map(|failure| failure.kind), Some(hookstream_model::delivery::outcome::FailureKind::Timeout));
        for odd in ["", "-1", "60001", "1.5"] {
            assert!(answer(Some(("delay_ms", odd))).await.is_err(), "{odd}");
        }
    }
}
