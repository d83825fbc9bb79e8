//! `GET /ws`: the live stream as a WebSocket.

use std::{pin::pin, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use futures_util::{SinkExt, StreamExt};
use http::{StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use utoipa::IntoParams;

use crate::{
    auth::credentials::Credentials,
    http::error::{ApiError, ErrorCode},
    realtime::{
        caller::StreamCaller,
        frame::Frame,
        handshake,
        session::{Ending, Session},
    },
    state::Api,
};

/// Maximum size of a message from the client, in bytes: a channel's name and the words around it.
const MESSAGE_MAX: usize = 4 * 1024;
/// Size of the read buffer. Clients send little.
const READ_BUFFER: usize = 4 * 1024;
/// Maximum number of messages that a client may send within [`RATE_PERIOD`].
const RATE_MAX: u32 = 100;
const RATE_PERIOD: Duration = Duration::from_secs(1);
/// Interval of pings. Proxies close connections that are silent for a minute.
const PING: Duration = Duration::from_secs(25);
/// Time after which a client that sends nothing, not even a pong, is gone.
const SILENT_MAX: Duration = Duration::from_secs(75);
/// Time within which a client must subscribe to a channel.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(60);
/// Time limit for the switch of protocols, and for the closing handshake.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Query of the live stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read with the credentials; here for the document")]
pub(crate) struct SocketQuery {
    /// API key or portal token, for clients that cannot set headers. The server does not log it.
    token: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
}

/// Open the live stream as a WebSocket
///
/// The server sends a `welcome` frame. The client sends `{"type":"subscribe","channel":"messages"}`, `unsubscribe` and `ping`. Channels:
/// `messages`, `messages:<application_id>`, `attempts`, `attempts:<endpoint_id>`, `endpoints`, `jobs` and `alerts`. Events arrive as
/// `{"type", "channel", "data"}`. A frame `{"type":"gap","dropped"}` counts events that were left out.
#[utoipa::path(
    get, path = "/ws", operation_id = "openWebSocket", tag = "Live stream",
    security(("api_key" = []), ("bearer" = []), ("session" = []), ("portal" = [])),
    params(SocketQuery),
    responses(
        (status = 101, description = "The connection is a WebSocket now."),
        (status = 426, description = "The request is not a WebSocket handshake (`websocket_needed`).", body = crate::http::error::ErrorBody),
        (status = 429, description = "The caller has too many live streams open (`too_many_streams`), or requests are too frequent (`rate_limited`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn open(State(api): State<Api>, caller: StreamCaller, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let accept = handshake::accept(&parts)?;
    let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(ApiError::unknown_route)?;
    let credentials = parts.extensions.get::<Credentials>().ok_or_else(ApiError::unknown_route)?;
    let session = Session::open(api.clone(), caller, credentials.request)?;
    api.streams.tasks.spawn(serve(session, upgrade));
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response.body(Body::empty()).expect("a valid response"))
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves a session until either side ends it.
async fn serve(session: Session, upgrade: OnUpgrade) {
    let Ok(Ok(upgraded)) = tokio::time::timeout(UPGRADE_WITHIN, upgrade).await else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    if let Some(Farewell { frame, code, reason }) = converse(&session, &mut socket).await {
        let farewell = async {
            if let Some(frame) = frame {
                socket.send(Message::text(frame.text)).await?;
            }
            socket.close(Some(CloseFrame { code, reason: reason.into() })).await?;
            // Until the client has answered, so that it reads the close frame before the connection ends.
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
            Ok::<_, Error>(())
        };
        let _ = tokio::time::timeout(CLOSE_WITHIN, farewell).await;
    }
}

/// Last words of the server.
struct Farewell {
    frame: Option<Frame>,
    code: CloseCode,
    reason: &'static str,
}

impl Farewell {
    const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self { frame: None, code, reason }
    }

    fn of(ending: Ending, session: &Session) -> Self {
        match ending {
            Ending::Stopping => Self::new(CloseCode::Away, "the server stops"),
            Ending::Refused(error) => {
                let frame = Some(session.refusal(error, None));
                Self { frame, ..Self::new(CloseCode::Policy, "the credentials are no longer valid") }
            }
        }
    }
}

/// Message for the client, or the end of the conversation.
enum Step {
    Send(Message),
    Nothing,
    Close(Farewell),
    Gone,
}

/// Passes frames until the end. Returns the server's last words, if the client may still hear them.
async fn converse(session: &Session, socket: &mut Socket) -> Option<Farewell> {
    let mut ended = pin!(session.ended());
    let mut client = Client::new();
    let mut step = Step::Send(Message::text(session.welcome().text));
    loop {
        match step {
            Step::Send(message) => {
                // A client that reads slowly delays the frames behind; the session can still end.
                tokio::select! {
                    biased;
                    ending = ended.as_mut() => return Some(Farewell::of(ending, session)),
                    sent = socket.send(message) => sent.ok()?,
                }
            }
            Step::Nothing => {}
            Step::Close(farewell) => return Some(farewell),
            Step::Gone => return None,
        }
        step = tokio::select! {
            biased;
            ending = ended.as_mut() => Step::Close(Farewell::of(ending, session)),
            received = socket.next() => match received {
                Some(Ok(message)) => client.take(session, message).await,
                Some(Err(error)) => refuse(&error),
                None => Step::Gone,
            },
            () = tokio::time::sleep_until(client.deadline()) => client.remind(),
            frame = session.next() => Step::Send(Message::text(frame.text)),
        };
    }
}

/// State of the client's side.
struct Client {
    heard_at: Instant,
    pinged_at: Instant,
    /// Time by which the client must have subscribed; `None` once it has.
    subscribe_by: Option<Instant>,
    /// Messages since `counted_from`.
    count: u32,
    counted_from: Instant,
}

/// Message of a client.
#[derive(Deserialize)]
struct ClientFrame {
    r#type: String,
    channel: Option<String>,
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        Self { heard_at: now, pinged_at: now, subscribe_by: Some(now + SUBSCRIBE_WITHIN), count: 0, counted_from: now }
    }

    /// Returns the time of the next ping or of the end for want of an answer.
    fn deadline(&self) -> Instant {
        let ping = self.pinged_at + PING;
        self.subscribe_by.map_or(ping, |by| by.min(ping)).min(self.heard_at + SILENT_MAX)
    }

    /// Pings, or ends a session that has no use.
    fn remind(&mut self) -> Step {
        let now = Instant::now();
        if self.heard_at + SILENT_MAX <= now {
            return Step::Close(Farewell::new(CloseCode::Policy, "no answer to pings"));
        }
        if self.subscribe_by.is_some_and(|by| by <= now) {
            return Step::Close(Farewell::new(CloseCode::Policy, "no subscription within a minute"));
        }
        self.pinged_at = now;
        Step::Send(Message::Ping(Vec::new().into()))
    }

    /// Takes a message of the client.
    async fn take(&mut self, session: &Session, message: Message) -> Step {
        let now = Instant::now();
        self.heard_at = now;
        if now - self.counted_from >= RATE_PERIOD {
            (self.count, self.counted_from) = (0, now);
        }
        self.count += 1;
        if self.count > RATE_MAX {
            return Step::Close(Farewell::new(CloseCode::Policy, "too many messages"));
        }
        match message {
            Message::Text(text) => Step::Send(Message::text(self.answer(session, text.as_str()).await.text)),
            Message::Binary(_) => Step::Close(Farewell::new(CloseCode::Unsupported, "binary messages are not supported")),
            // The library has queued the answers.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Step::Nothing,
            Message::Close(_) => Step::Nothing,
        }
    }

    async fn answer(&mut self, session: &Session, text: &str) -> Frame {
        let request: ClientFrame = match serde_json::from_str(text) {
            Ok(request) => request,
            Err(_) => {
                let message = "The message is not valid. Send a JSON object such as {\"type\":\"subscribe\",\"channel\":\"messages\"}.";
                return session.refusal(ApiError::new(ErrorCode::InvalidJson, message), None);
            }
        };
        match (request.r#type.as_str(), request.channel.as_deref()) {
            ("ping", _) => Frame::pong(),
            ("subscribe" | "unsubscribe", None) => {
                session.refusal(ApiError::invalid("channel", "is missing. Name a channel such as \"messages\""), None)
            }
            ("subscribe", Some(channel)) => match session.subscribe(channel).await {
                Ok(()) => {
                    self.subscribe_by = None;
                    Frame::subscribed(channel)
                }
                Err(error) => session.refusal(error, Some(channel)),
            },
            ("unsubscribe", Some(channel)) => {
                session.unsubscribe(channel);
                Frame::unsubscribed(channel)
            }
            _ => session.refusal(ApiError::invalid("type", "must be `subscribe`, `unsubscribe` or `ping`"), None),
        }
    }
}

/// Returns the end after a message that breaks the protocol.
fn refuse(error: &Error) -> Step {
    match error {
        Error::Capacity(_) => Step::Close(Farewell::new(CloseCode::Size, "the message is too large")),
        Error::Utf8(_) => Step::Close(Farewell::new(CloseCode::Invalid, "the message is not UTF-8")),
        Error::Protocol(_) => Step::Close(Farewell::new(CloseCode::Protocol, "the message breaks the protocol")),
        _ => Step::Gone,
    }
}
