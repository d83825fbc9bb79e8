//! Clients of the live stream: a WebSocket and a reader of server-sent events.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
    },
};

use crate::support::{KEY, Server};

/// Time within which a frame must arrive.
const WITHIN: Duration = Duration::from_secs(20);

/// WebSocket of a client.
pub(crate) struct Live {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) welcome: Value,
}

impl Live {
    /// Connects with the owner's key in the query.
    pub(crate) async fn open(server: &Server) -> Self {
        Self::with_token(server, KEY).await
    }

    /// Connects with a token in the query.
    pub(crate) async fn with_token(server: &Server, token: &str) -> Self {
        Self::try_open(server, &format!("?token={token}"), &[]).await.expect("the server accepts the WebSocket")
    }

    /// Connects with a query and headers. Returns the status if the server refuses.
    pub(crate) async fn try_open(server: &Server, query: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::connect(server, query, headers, None).await
    }

    /// Connects with a small receive buffer, so that unread frames soon stop the server.
    pub(crate) async fn slow(server: &Server) -> Self {
        Self::connect(server, &format!("?token={KEY}"), &[], Some(4_096)).await.expect("the server accepts the WebSocket")
    }

    async fn connect(server: &Server, query: &str, headers: &[(&str, &str)], buffer: Option<u32>) -> Result<Self, u16> {
        let address: SocketAddr = server.address().parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).expect("a buffer size");
        }
        let stream = socket.connect(address).await.expect("the server listens");
        let mut request = format!("ws://{address}/v1/ws{query}").into_client_request().expect("a request");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        match client_async(request, stream).await {
            Ok((socket, _)) => {
                let mut live = Self { socket, welcome: Value::Null };
                live.welcome = live.next().await;
                assert_eq!(live.welcome["type"], "welcome", "{}", live.welcome);
                Ok(live)
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// Sends a frame and returns the next one.
    pub(crate) async fn ask(&mut self, frame: Value) -> Value {
        self.send(frame).await;
        self.next().await
    }

    /// Subscribes to channels.
    pub(crate) async fn subscribe(&mut self, channels: &[&str]) {
        for channel in channels {
            let answer = self.ask(json!({ "type": "subscribe", "channel": channel })).await;
            assert_eq!(answer, json!({ "type": "subscribed", "channel": channel }));
        }
    }

    /// Asks to subscribe and returns the code of the refusal.
    pub(crate) async fn refused(&mut self, channel: &str) -> String {
        let answer = self.ask(json!({ "type": "subscribe", "channel": channel })).await;
        assert_eq!((&answer["type"], &answer["channel"]), (&json!("error"), &json!(channel)), "{answer}");
        assert!(answer["error"].as_str().is_some_and(|sentence| sentence.ends_with('.')), "{answer}");
        answer["code"].as_str().expect("a code").to_owned()
    }

    /// Returns the next frame.
    pub(crate) async fn next(&mut self) -> Value {
        match self.read().await {
            Some(Message::Text(text)) => serde_json::from_str(text.as_str()).expect("JSON"),
            other => panic!("no frame: {other:?}"),
        }
    }

    /// Returns the next frame of a type; skips others.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Returns the code with which the server closes, and the frames before.
    pub(crate) async fn closed(&mut self) -> (u16, Vec<Value>) {
        let mut frames = Vec::new();
        loop {
            match self.read().await {
                Some(Message::Text(text)) => frames.push(serde_json::from_str(text.as_str()).expect("JSON")),
                Some(Message::Close(Some(frame))) => return (frame.code.into(), frames),
                other => panic!("no close frame: {other:?}"),
            }
        }
    }

    async fn read(&mut self) -> Option<Message> {
        loop {
            let read = tokio::time::timeout(WITHIN, self.socket.next()).await.expect("a frame arrives in time");
            match read.transpose().expect("a good frame") {
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => return other,
            }
        }
    }
}

/// Reader of server-sent events.
pub(crate) struct Events {
    reader: BufReader<TcpStream>,
    pub(crate) status: u16,
    pub(crate) head: String,
}

impl Events {
    /// Requests a stream with a query and headers.
    pub(crate) async fn open(server: &Server, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.expect("the server listens");
        let mut request = format!("GET /v1/stream{query} HTTP/1.1\r\nhost: hooks\r\n");
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        stream.write_all(format!("{request}\r\n").as_bytes()).await.expect("sent");
        let mut events = Self { reader: BufReader::new(stream), status: 0, head: String::new() };
        while let Some(line) = events.line().await.filter(|line| !line.is_empty()) {
            events.head.push_str(&line.to_lowercase());
            events.head.push('\n');
        }
        events.status = events.head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        events
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(WITHIN, self.reader.read_line(&mut line)).await.expect("a line arrives in time");
        (read.ok()? > 0).then(|| line.trim_end().to_owned())
    }

    /// Returns the next event's name and data; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.line().await?;
            if line == "0" {
                return None;
            }
            // Sizes of chunks are the only other lines.
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).expect("JSON")));
            }
        }
    }
}
