//! Sending: one connection a task, each with one request under way.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::{
    BenchArgs,
    process::{Cpu, ServerProcess},
    run::Run,
};

/// What was measured while it was sent.
pub(super) struct Begun {
    /// When counting began, in microseconds of the run.
    pub(super) counted_from: u64,
    /// When sending ended.
    pub(super) sent_until: u64,
    /// The server's and our own CPU before the first message.
    pub(super) cpu: [Option<Cpu>; 2],
}

/// What the tasks share.
struct Load {
    authority: String,
    headers: HeaderMap,
    paths: Vec<Uri>,
    payload_bytes: usize,
    /// Microseconds between two messages of all connections together; 0 for a closed loop.
    period_nanos: u64,
    first_at: u64,
    until: u64,
    run: Arc<Run>,
}

/// Sends for as long as the arguments say.
pub(super) async fn send(
    arguments: &BenchArgs,
    server: &ServerProcess,
    applications: &[String],
    run: &Arc<Run>,
    tasks: &TaskTracker,
) -> anyhow::Result<Begun> {
    let authority = server.url.strip_prefix("http://").context("the bench speaks http only")?.to_owned();
    let mut key = HeaderValue::from_str(&server.api_key).context("the API key has characters that no key has")?;
    key.set_sensitive(true);
    let host = HeaderValue::from_str(&authority)?;
    let headers = HeaderMap::from_iter([(header::HOST, host), (http::HeaderName::from_static("x-api-key"), key)]);
    let paths = applications.iter().map(|id| format!("/v1/applications/{id}/messages").parse()).collect::<Result<_, _>>()?;
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let first_at = run.now();
    let load = Arc::new(Load {
        authority,
        headers,
        paths,
        payload_bytes: usize::try_from(arguments.payload_bytes).unwrap_or(usize::MAX),
        period_nanos: arguments.rate.map_or(0, |rate| 1_000_000_000 / u64::from(rate)),
        first_at,
        until: first_at + micros(arguments.warmup + arguments.duration),
        run: Arc::clone(run),
    });
    let cpu = [server.cpu(), Cpu::of(std::process::id())];
    let connections: Vec<_> = (0..arguments.connections).map(|_| tasks.spawn(Arc::clone(&load).connection(tasks.clone()))).collect();
    for connection in connections {
        connection.await??;
    }
    Ok(Begun { counted_from: first_at + micros(arguments.warmup), sent_until: run.now(), cpu })
}

impl Load {
    async fn connection(self: Arc<Self>, tasks: TaskTracker) -> anyhow::Result<()> {
        let mut sender = self.connect(&tasks).await?;
        while let Some(number) = self.run.next() {
            let at = match self.period_nanos {
                0 => self.run.now(),
                period => self.first_at + number as u64 * period / 1_000,
            };
            if at >= self.until {
                break;
            }
            if self.period_nanos > 0 {
                tokio::time::sleep_until(self.run.instant(at)).await;
            }
            self.run.sent(number, at);
            let accepted = self.message(&mut sender, number).await;
            self.run.answered(number, matches!(accepted, Ok(true)));
            if accepted.is_err() {
                sender = self.connect(&tasks).await?;
            }
        }
        Ok(())
    }

    async fn connect(&self, tasks: &TaskTracker) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.authority).await.with_context(|| format!("could not reach {}", self.authority))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end shows in the sender, which is all that is asked of it.
        tasks.spawn(async move { connection.await.is_ok() });
        Ok(sender)
    }

    async fn message(&self, sender: &mut SendRequest<Full<Bytes>>, number: usize) -> anyhow::Result<bool> {
        let mut request = Request::new(Full::new(body(number, self.payload_bytes)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.paths[number % self.paths.len()].clone();
        *request.headers_mut() = self.headers.clone();
        let response = sender.send_request(request).await?;
        let accepted = response.status() == http::StatusCode::CREATED;
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        sender.ready().await?;
        Ok(accepted)
    }
}

const BEFORE: &[u8] = br#"{"event_type":"bench.message","payload":"#;
/// What stands before a message's number in its payload.
pub(super) const NUMBER_AFTER: &[u8] = br#"{"n":""#;
/// The digits of the number.
pub(super) const DIGITS: usize = 16;
const PAD: &[u8] = br#"","pad":""#;
const END: &[u8] = br#""}"#;

/// The body that sends message `number` with a payload of so many bytes.
fn body(number: usize, payload_bytes: usize) -> Bytes {
    let fixed = NUMBER_AFTER.len() + DIGITS + PAD.len() + END.len();
    let mut body = Vec::with_capacity(BEFORE.len() + payload_bytes + 1);
    body.extend_from_slice(BEFORE);
    body.extend_from_slice(NUMBER_AFTER);
    body.extend_from_slice(format!("{number:0DIGITS$}").as_bytes());
    body.extend_from_slice(PAD);
    body.resize(body.len() + payload_bytes.saturating_sub(fixed), b'x');
    body.extend_from_slice(END);
    body.push(b'}');
    Bytes::from(body)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, value::RawValue};

    use super::*;

    #[test]
    fn a_payload_has_its_size_and_its_number() {
        #[derive(serde::Deserialize)]
        struct Sent {
            payload: Box<RawValue>,
        }
        for size in [64, 500, 10_000] {
            let sent: Sent = serde_json::from_slice(&body(123, size)).expect("JSON");
            assert_eq!(sent.payload.get().len(), size);
            let payload: Value = serde_json::from_str(sent.payload.get()).expect("JSON");
            assert_eq!(payload["n"], "0000000000000123");
        }
    }
}
