//! One exchange: the request out, the answer's head and the first of its body in.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, Method, header};
use bytes::{Bytes, BytesMut};
use hookstream_model::{
    attempt::{Answer, BODY_KEPT, BODY_READ, Directive, Failure, FailureKind, Outcome},
    retry::RetryAfter,
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;

use super::{
    connect::Connector,
    failure,
    steps::{self, Outgoing, Step, Steps},
};
use crate::{Request, Target};

/// The longest `Location` that is shown, in characters.
const LOCATION_MAX: usize = 2048;
const WEBHOOK_DELIVERY: HeaderName = HeaderName::from_static("webhook-delivery");

pub(crate) type HttpClient = Client<Connector, Full<Outgoing>>;

/// Sends a request and reads its answer; `steps` says how far it has come.
pub(crate) async fn exchange(client: &HttpClient, target: &Target, request: Request, steps: &Arc<Steps>) -> Outcome {
    let Some(uri) = target.uri.clone() else {
        return Outcome::Failed(Failure::new(FailureKind::ConnectionFailed, "the URL cannot be requested"));
    };
    let mut outgoing = ::http::Request::new(Full::new(Outgoing::new(request.body, steps)));
    *outgoing.method_mut() = Method::POST;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = request.headers;
    let response = match steps::within(steps, client.request(outgoing)).await {
        Ok(response) => response,
        Err(error) => return Outcome::Failed(failure::classify(&error)),
    };
    steps.done(Step::FirstByte);
    let (head, body) = response.into_parts();
    match read(body).await {
        Ok(body) => {
            steps.done(Step::Read);
            Outcome::from_answer(answer(head.status.as_u16(), &head.headers, body))
        }
        Err(error) => Outcome::Failed(failure::classify_body(&error)),
    }
}

/// The first 16 KiB. After 64 KiB no more is read, and the connection is given up: the answer counts.
async fn read(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let mut kept = BytesMut::new();
    let mut read = 0;
    while read < BODY_READ
        && let Some(frame) = body.frame().await
    {
        let Ok(data) = frame?.into_data() else { continue };
        read += data.len();
        let room = BODY_KEPT - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(kept.freeze())
}

/// Reads what matters of the head. Nothing in it can make this fail.
fn answer(status: u16, headers: &HeaderMap, body: Bytes) -> Answer {
    let text = |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    Answer {
        status,
        body,
        retry_after: text(&header::RETRY_AFTER).and_then(|value| RetryAfter::parse(&value)),
        directive: text(&WEBHOOK_DELIVERY).and_then(|value| Directive::parse(&value)),
        location: text(&header::LOCATION).map(|value| value.chars().take(LOCATION_MAX).collect()),
    }
}
