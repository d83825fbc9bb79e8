//! One stream of messages among others, with its own applications, endpoints and receiver.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use hookstream_cli::api::ApiClient;
use http::{Response, StatusCode, request::Parts};
use http_body_util::Empty;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    Fleet,
    load::{self, Plan},
    run::Run,
};
use crate::traffic::{
    listener::{self, Receive, plain},
    payload,
};

/// Behaviour of a stream's receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Accepts everything, after this time.
    Takes(Duration),
    /// Keeps every connection open for this time without a response.
    Hangs(Duration),
    /// Refuses connections.
    Gone,
    /// Responds with 500 for this time, then accepts everything.
    FailsFor(Duration),
    /// Responds with a `Retry-After` of a day.
    Busy,
}

/// Stream, ready to be sent.
pub(super) struct Stream {
    pub(super) run: Arc<Run>,
    applications: Vec<String>,
    tasks: TaskTracker,
    receiver: Arc<StreamReceiver>,
    _receiving: Option<AbortOnDropHandle<()>>,
}

impl Stream {
    /// Creates applications named after `name`, each with this number of endpoints.
    pub(super) async fn make(
        fleet: &Fleet,
        name: &str,
        [applications, endpoints]: [u32; 2],
        endpoint: Value,
        behaviour: Behaviour,
        room: usize,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("could not listen for a receiver")?;
        let url = format!("http://{}/0", listener.local_addr()?);
        let run = Arc::new(Run::new(room, 1));
        let receiver = Arc::new(StreamReceiver { run: Arc::clone(&run), behaviour, seen_at: Mutex::default() });
        let tasks = TaskTracker::new();
        let serve = || AbortOnDropHandle::new(tasks.spawn(listener::serve(listener, Arc::clone(&receiver), tasks.clone())));
        let receiving = (behaviour != Behaviour::Gone).then(serve);
        let server = fleet.servers.first().context("there is a server")?;
        let client = ApiClient::new(&server.url, &server.api_key)?;
        let mut ids = Vec::new();
        for number in 0..applications {
            let uid = format!("{name}-{}-{number}", number_of(&run));
            let created = client.post("/applications", json!({ "name": name, "uid": uid }).to_string(), None).await?.accepted()?;
            let id = created["application"]["id"].as_str().context("an application has an id")?.to_owned();
            let mut endpoint = endpoint.clone();
            endpoint["url"] = url.as_str().into();
            for _ in 0..endpoints {
                client.post(&format!("/applications/{id}/endpoints"), endpoint.to_string(), None).await?.accepted()?;
            }
            ids.push(id);
        }
        Ok(Self { run, applications: ids, tasks, receiver, _receiving: receiving })
    }

    /// Sends as planned. Returns the start of counting, in microseconds of the run.
    pub(super) async fn send(&self, plan: &Plan, fleet: &Fleet) -> anyhow::Result<u64> {
        Ok(load::send(plan, fleet, &self.applications, &self.run, &self.tasks).await?.counted_from)
    }

    /// Returns the arrival time of each request, with any response, in microseconds of the run.
    pub(super) fn seen_at(&self) -> Vec<u64> {
        self.receiver.seen_at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns a name that is unique among the existing streams: the process id and the address of the run in memory.
fn number_of(run: &Arc<Run>) -> String {
    format!("{}-{:x}", std::process::id(), Arc::as_ptr(run).addr())
}

struct StreamReceiver {
    run: Arc<Run>,
    behaviour: Behaviour,
    seen_at: Mutex<Vec<u64>>,
}

impl Receive for StreamReceiver {
    type Body = Empty<Bytes>;

    async fn receive(&self, _: Parts, body: Bytes) -> io::Result<Response<Self::Body>> {
        let at = self.run.now();
        let Some(number) = payload::number(&body) else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        self.seen_at.lock().unwrap_or_else(PoisonError::into_inner).push(at);
        match self.behaviour {
            Behaviour::Takes(delay) if delay.is_zero() => {}
            Behaviour::Takes(delay) => tokio::time::sleep(delay).await,
            Behaviour::FailsFor(time) if u128::from(at) < time.as_micros() => return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR)),
            Behaviour::FailsFor(_) => {}
            Behaviour::Hangs(time) => {
                tokio::time::sleep(time).await;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Behaviour::Gone => return Ok(plain(StatusCode::GONE)),
            Behaviour::Busy => {
                let mut response = plain(StatusCode::SERVICE_UNAVAILABLE);
                response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("86400"));
                return Ok(response);
            }
        }
        self.run.arrived(number, 0);
        Ok(plain(StatusCode::NO_CONTENT))
    }
}
