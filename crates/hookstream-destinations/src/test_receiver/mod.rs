//! Test receivers: endpoints inside of the server, for first steps and for trying failures. An attempt takes the usual path
//! and is recorded as any other, but opens no connection: the receiver responds with the status that its settings name.

mod settings;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use hookstream_model::InvalidField;

use self::settings::status;
use crate::{
    AddressRefused, Destination, Envelope, RenderedRequest, Sent, Settings, Target,
    http::{classify::HttpResponse, settings::HttpTarget},
    net::{network::Network, steps::Phases},
};

/// Headers of the response, as an attempt records them.
const HEADERS: &str = "content-type: application/json\nserver: hookstream-test-receiver\n";

/// Destination kind `test_receiver`.
pub(crate) struct TestReceiverDestination(pub(crate) Arc<Network>);

impl Destination for TestReceiverDestination {
    fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        let status = status(settings)?;
        // The request is that of an HTTP endpoint; its network is never used.
        Ok(Arc::new(TestReceiver { status, http: HttpTarget::new(settings, Arc::clone(&self.0)) }))
    }
}

/// Receiver that responds with a status.
#[derive(Debug)]
struct TestReceiver {
    status: u16,
    http: HttpTarget,
}

#[async_trait]
impl Target for TestReceiver {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        Ok(())
    }

    async fn send(&self, envelope: &Envelope<'_>, _: Duration) -> Sent {
        let phases = Phases::begin();
        let body = format!(r#"{{"received":"{}","bytes":{}}}"#, envelope.id, envelope.body.len());
        let response = HttpResponse { status: self.status, body: Bytes::from(body), headers: HEADERS.to_owned(), ..HttpResponse::default() };
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
        base::{
            ids::TargetId,
            secret::Secret,
            time::Timestamp,
        },
        outbound::{
            endpoint::EndpointUrl,
            message::ContentType,
            signature::{SigningKey, SigningKeys},
            target::{TargetConfig, TargetKind},
        },
    };

    use super::*;
    use crate::net::Options;

    fn destination() -> TestReceiverDestination {
        TestReceiverDestination(Arc::new(Network::new(Options::default()).expect("a network")))
    }

    async fn status_for(given: Option<&str>) -> Result<Option<u16>, String> {
        let url = EndpointUrl::parse("https://test-receiver.invalid/").expect("a URL");
        let config = given.map(|status| TargetConfig::new(TargetKind::TestReceiver, BTreeMap::from([("status".to_owned(), status.to_owned())])));
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
            keys: &keys,
            signed_at: Timestamp::from_millis(0),
        };
        assert!(target.check_address().await.is_ok());
        let rendered = target.rendered(&envelope).expect("a request");
        assert!(rendered.headers.iter().any(|(name, _)| name == "webhook-signature"));
        let sent = target.send(&envelope, Duration::from_secs(1)).await;
        assert_eq!(sent.outcome.is_accepted(), matches!(given, None | Some("204")));
        Ok(sent.outcome.response().and_then(|response| response.status))
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
    }
}
