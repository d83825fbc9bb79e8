//! Publishing over the management API, for brokers whose AMQP port is not reachable.

use std::{sync::Arc, time::Duration};

use ::http::{
    HeaderMap, HeaderValue, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hookstream_model::delivery::outcome::{Failure, FailureKind, Outcome};
use url::Url;

use super::{classify, render, settings::RabbitMqSettings};
use crate::{
    Envelope,
    http::{
        classify::{self as http_classify, HttpResponse},
        render::AGENT,
    },
    net::{
        client::{self, Post, Received},
        failure,
        network::Network,
        steps::Phases,
    },
};

/// Makes one attempt.
pub(super) async fn publish(
    network: &Network,
    settings: &RabbitMqSettings,
    base: &Url,
    envelope: &Envelope<'_>,
    phases: &Arc<Phases>,
    timeout: Duration,
) -> Outcome {
    let Some(post) = request(settings, base, envelope) else {
        return Outcome::Retryable(Failure::new(FailureKind::ConnectionFailed, "no request can be sent to the URL"));
    };
    let mut received = Received::default();
    let exchange = client::exchange(&network.client, post, phases, &mut received);
    let ended = tokio::time::timeout(timeout, exchange).await;
    match (received.into_parts(), ended) {
        (Some((status, headers, body)), _) => classify::response(HttpResponse::read(status, &headers, body), settings),
        (None, Ok(Err(error))) => Outcome::Retryable(http_classify::classify(&error)),
        (None, Ok(Ok(())) | Err(_)) => Outcome::Retryable(failure::no_response_within(timeout)),
    }
}

fn request(settings: &RabbitMqSettings, base: &Url, envelope: &Envelope<'_>) -> Option<Post> {
    let uri: Uri = format!("{}{}", base.as_str().trim_end_matches('/'), render::management_path(settings)).parse().ok()?;
    let credentials = STANDARD.encode(format!("{}:{}", settings.username, settings.password.expose()));
    let mut authorization = HeaderValue::from_str(&format!("Basic {credentials}")).ok()?;
    authorization.set_sensitive(true);
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(AUTHORIZATION, authorization);
    Some(Post { uri, headers, body: render::management_body(settings, envelope).into() })
}
