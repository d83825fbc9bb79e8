//! One attempt over HTTP.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hookstream_model::delivery::outcome::{Failure, FailureKind, Outcome};
use http::HeaderValue;

use super::{
    classify::{self, HttpResponse},
    render,
    settings::HttpTarget,
};
use crate::{
    AddressRefused, Envelope, RenderedRequest, Sent, Target,
    net::{
        client::{self, Post, Received},
        failure,
        network::Network,
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
        exchange(&self.network, render::render(self, uri, envelope), timeout, phases).await
    }

    fn rendered(&self, envelope: &Envelope<'_>) -> Option<RenderedRequest> {
        Some(rendered(&render::render(self, self.uri.clone()?, envelope)))
    }
}

/// Sends a request and classifies its response.
pub(crate) async fn post(network: &Network, post: Post, timeout: Duration) -> Sent {
    exchange(network, post, timeout, Phases::begin()).await
}

async fn exchange(network: &Network, post: Post, timeout: Duration, phases: Arc<Phases>) -> Sent {
    let mut received = Received::default();
    let ended = tokio::time::timeout(timeout, client::exchange(&network.client, post, &phases, &mut received)).await;
    // A complete response head decides, whatever happens to the body.
    let outcome = match (received.into_parts(), ended) {
        (Some((status, headers, body)), _) => HttpResponse::read(status, &headers, body).outcome(),
        (None, Ok(Err(error))) => Outcome::Retryable(classify::classify(&error)),
        (None, Ok(Ok(())) | Err(_)) => Outcome::Retryable(failure::no_response_within(timeout)),
    };
    Sent { outcome, timings: phases.timings() }
}

/// Returns a request for people.
pub(crate) fn rendered(post: &Post) -> RenderedRequest {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = post.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    RenderedRequest { method: "POST", url: post.uri.to_string(), headers }
}
