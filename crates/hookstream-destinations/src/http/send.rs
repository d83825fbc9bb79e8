//! One exchange: sends the request, reads the response head and the first part of the body.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hookstream_model::delivery::{
    outcome::{BODY_KEPT, BODY_READ, Directive, Failure, FailureKind, ReceiverResponse},
    retry::RetryAfter,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;

use super::failure;
use crate::{
    Request, Target,
    net::{
        connect::Connector,
        steps::{self, Outgoing, Phase, Phases},
    },
};

/// Maximum length of the `Location` that is shown, in characters.
const LOCATION_MAX: usize = 2048;
const WEBHOOK_DELIVERY: HeaderName = HeaderName::from_static("webhook-delivery");

pub(crate) type HttpClient = Client<Connector, Full<Outgoing>>;

/// Part of a response that has arrived so far. It is still available if the exchange is aborted.
#[derive(Default)]
pub(crate) struct Received {
    head: Option<response::Parts>,
    body: BytesMut,
}

impl Received {
    /// Returns the response if its head arrived, with as much of the body as did.
    pub(crate) fn into_response(self) -> Option<ReceiverResponse> {
        let Self { head, body } = self;
        head.map(|head| receiver_response(head.status.as_u16(), &head.headers, body.freeze()))
    }

    /// Reads the body and keeps its first 16 KiB. After 64 KiB reading stops, and the connection is closed.
    async fn read(&mut self, mut body: Incoming) -> Result<(), hyper::Error> {
        let mut read = 0;
        while read < BODY_READ
            && let Some(frame) = body.frame().await
        {
            let Ok(data) = frame?.into_data() else { continue };
            read += data.len();
            let room = BODY_KEPT - self.body.len();
            self.body.extend_from_slice(&data[..data.len().min(room)]);
        }
        Ok(())
    }
}

/// Sends a request and reads its response into `received`; `phases` records the progress. Returns a failure if no
/// response head arrived. An incomplete body is no failure, because the head decides.
pub(crate) async fn exchange(
    client: &HttpClient,
    target: &Target,
    request: Request,
    phases: &Arc<Phases>,
    received: &mut Received,
) -> Option<Failure> {
    let Some(uri) = target.uri.clone() else {
        return Some(Failure::new(FailureKind::ConnectionFailed, "no request can be sent to the URL"));
    };
    let is_empty = request.body.is_empty();
    let mut outgoing = ::http::Request::new(Full::new(Outgoing::new(request.body, phases)));
    *outgoing.method_mut() = Method::POST;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = request.headers;
    if is_empty {
        // RFC 9110 section 8.6: a POST without content must say so. Hyper omits the header in HTTP/1.1, and some
        // receivers then respond 411.
        outgoing.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let response = match steps::within(phases, client.request(outgoing)).await {
        Ok(response) => response,
        Err(error) => return Some(failure::classify(&error)),
    };
    phases.done(Phase::FirstByte);
    let (head, body) = response.into_parts();
    received.head = Some(head);
    match received.read(body).await {
        Ok(()) => phases.done(Phase::Read),
        Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "could not read the whole body of a response"),
    }
    None
}

/// Converts the response head. No header value can make this fail.
fn receiver_response(status: u16, headers: &HeaderMap, body: Bytes) -> ReceiverResponse {
    let text = |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    ReceiverResponse {
        status,
        body,
        retry_after: text(&header::RETRY_AFTER).and_then(|value| RetryAfter::parse(&value)),
        directive: text(&WEBHOOK_DELIVERY).and_then(|value| Directive::parse(&value)),
        location: text(&header::LOCATION).map(|value| value.chars().take(LOCATION_MAX).collect()),
    }
}
