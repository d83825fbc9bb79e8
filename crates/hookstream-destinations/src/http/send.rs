//! One attempt over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use hookstream_model::delivery::outcome::{Failure, FailureKind, Outcome};

use super::{
    classify::{self, HttpResponse},
    render,
    settings::HttpTarget,
};
use crate::{
    AddressRefused, Envelope, Sent, Target,
    net::{
        client::{self, Received},
        failure,
        steps::Phases,
    },
};

#[async_trait]
impl Target for HttpTarget {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        match self.uri.as_ref().and_then(|uri| uri.host()) {
            Some(host) => self.network.check_host(host).await,
            None => Ok(()),
        }
    }

    async fn send(&self, envelope: &Envelope<'_>, timeout: Duration) -> Sent {
        let phases = Phases::begin();
        let Some(uri) = self.uri.clone() else {
            let failure = Failure::new(FailureKind::ConnectionFailed, "no request can be sent to the URL");
            return Sent { outcome: Outcome::Retryable(failure), timings: phases.timings() };
        };
        let post = render::render(self, uri, envelope);
        let mut received = Received::default();
        let exchange = client::exchange(&self.network.client, post, &phases, &mut received);
        let ended = tokio::time::timeout(timeout, exchange).await;
        // A complete response head decides, whatever happens to the body.
        let outcome = match (received.into_parts(), ended) {
            (Some((status, headers, body)), _) => HttpResponse::read(status, &headers, body).outcome(),
            (None, Ok(Err(error))) => Outcome::Retryable(classify::classify(&error)),
            (None, Ok(Ok(())) | Err(_)) => Outcome::Retryable(failure::no_response_within(timeout)),
        };
        Sent { outcome, timings: phases.timings() }
    }
}
