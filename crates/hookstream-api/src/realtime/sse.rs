//! `GET /stream`: the live stream as server-sent events.

use std::{collections::VecDeque, convert::Infallible, pin::Pin, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, StatusCode, Uri, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::credentials::Credentials,
    http::error::ApiError,
    realtime::{
        caller::StreamCaller,
        frame::Frame,
        session::{Ending, Session},
    },
    state::Api,
};

/// Interval of comments that keep the connection alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// First line: the time after which a client connects again.
const RETRY: &str = "retry: 3000\n\n";
/// Header that tells nginx not to buffer the response.
const NOT_BUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Query of the live stream as server-sent events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read one by one, because `channel` may be repeated; here for the document")]
pub(crate) struct StreamQuery {
    /// Channel: `messages`, `messages:<application_id>`, `attempts`, `attempts:<endpoint_id>`, `endpoints`, `jobs` or `alerts`. Separate
    /// several with commas, or repeat the parameter.
    #[param(required = true, value_type = String)]
    channel: Option<String>,
    /// API key or portal token, for clients that cannot set headers. The server does not log it.
    token: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
}

/// Open the live stream as server-sent events
///
/// Frames are those of the WebSocket: the name of an event is the `type` of its frame, and its data is the frame. The first is `welcome`. The
/// server sends a comment every 15 seconds. After a lost connection, events of the meantime are not repeated: read the lists again.
#[utoipa::path(
    get, path = "/stream", operation_id = "openStream", tag = "Live stream",
    security(("api_key" = []), ("bearer" = []), ("session" = []), ("portal" = [])),
    params(StreamQuery),
    responses(
        (status = 200, description = "Stream of events, without an end.", content_type = "text/event-stream", body = String),
        (status = 409, description = "The request names too many channels (`too_many_subscriptions`).", body = crate::http::error::ErrorBody),
        (status = 429, description = "The caller has too many live streams open (`too_many_streams`), or requests are too frequent (`rate_limited`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn open(State(api): State<Api>, caller: StreamCaller, request: Request) -> Result<Response, ApiError> {
    let credentials = request.extensions().get::<Credentials>().ok_or_else(ApiError::unknown_route)?;
    let channels = channels(request.uri());
    if channels.is_empty() {
        return Err(ApiError::invalid("channel", "is missing. Name at least one channel, such as `channel=messages`"));
    }
    let session = Session::open(api, caller, credentials.request)?;
    let mut first = VecDeque::from([session.welcome()]);
    for channel in &channels {
        session.subscribe(channel).await?;
        first.push_back(Frame::subscribed(channel));
    }
    let ended = Box::pin(session.ended());
    let feed = Feed { session, first, ended, is_over: false };
    let frames = stream::unfold(feed, async |mut feed| feed.next().await.map(|text| (Ok::<_, Infallible>(text), feed)));
    let begin = stream::once(async { Ok(Bytes::from_static(RETRY.as_bytes())) });
    let response = Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "text/event-stream")
        .header(NOT_BUFFERED, "no")
        .body(Body::from_stream(futures_util::StreamExt::chain(begin, frames)));
    Ok(response.expect("a valid response"))
}

/// Returns the channels that a query names.
fn channels(uri: &Uri) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let lists = pairs.filter(|(name, _)| name == "channel").map(|(_, list)| list.into_owned());
    lists.flat_map(|list| list.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()).filter(|name| !name.is_empty()).collect()
}

/// Frames of a session, as text.
struct Feed {
    session: Session,
    first: VecDeque<Frame>,
    ended: Pin<Box<dyn Future<Output = Ending> + Send>>,
    is_over: bool,
}

impl Feed {
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        if let Some(frame) = self.first.pop_front() {
            return Some(event(&frame));
        }
        tokio::select! {
            biased;
            ending = self.ended.as_mut() => {
                self.is_over = true;
                match ending {
                    Ending::Stopping => None,
                    Ending::Refused(error) => Some(event(&self.session.refusal(error, None))),
                }
            }
            frame = self.session.next() => Some(event(&frame)),
            () = tokio::time::sleep(KEEP_ALIVE) => Some(Bytes::from_static(b": keep-alive\n\n")),
        }
    }
}

/// Server-sent event of a frame. Its JSON has no line breaks.
fn event(frame: &Frame) -> Bytes {
    Bytes::from(format!("event: {}\ndata: {}\n\n", frame.kind, frame.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_repeated_or_separated_by_commas() {
        let check = |query: &str, expected: &[&str]| {
            assert_eq!(channels(&format!("/v1/stream?{query}").parse().expect("an address")), expected, "{query}");
        };
        check("channel=messages", &["messages"]);
        check("channel=messages,jobs&token=x&channel=messages%3Aacme", &["messages", "jobs", "messages:acme"]);
        check("channel=,&channel=", &[]);
        check("token=x", &[]);
    }
}
