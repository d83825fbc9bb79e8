//! Notifications between nodes, by `notify` and `listen`. They may be lost. Those of due deliveries and of changes carry
//! no data; relayed texts carry the live stream.

use std::{future::poll_fn, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::{Notify, broadcast, watch};
use tokio_postgres::{AsyncMessage, types::Type};
use tokio_util::sync::CancellationToken;

use super::connection::{Connector, Pool, connect, describe};
use crate::{
    db::error::Error,
    delivery::cluster::{Audience, Nudge, Relayed},
};

/// Minimum interval between two of this node's notifications, which bounds how often other nodes wake.
const PERIOD: Duration = Duration::from_millis(5);
/// Pause before listening again after a lost connection.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

const NOTIFY_DUE: &str = "select pg_notify('hookstream', 'due')";
/// Sends texts in one transaction, because each transaction with a notification takes a lock of the whole server.
const RELAY: &str = "select pg_notify($1, text) from unnest($2::text[]) with ordinality as relayed (text, place) order by place";
const LISTEN: &str = "listen hookstream; listen hookstream_all";
const LISTEN_TO_STREAM: &str = "listen hookstream_stream";
const LEAVE_STREAM: &str = "unlisten hookstream_stream";

/// Channel of texts to every process.
const ALL: &str = "hookstream_all";
/// Channel of texts to the processes that listen to the live stream.
const STREAM: &str = "hookstream_stream";

/// Receivers of the notifications that this process gets.
#[derive(Debug, Clone)]
pub(crate) struct Inbound {
    pub(crate) nudges: broadcast::Sender<Nudge>,
    pub(crate) relayed: broadcast::Sender<Relayed>,
    /// Whether this process listens to the live stream.
    pub(crate) stream: watch::Sender<bool>,
}

impl Inbound {
    fn take(&self, channel: &str, payload: &str) {
        let text = |audience| {
            let _ = self.relayed.send(Relayed::Text(audience, payload.into()));
        };
        match channel {
            ALL => text(Audience::All),
            STREAM => text(Audience::Listeners),
            _ => {
                let _ = self.nudges.send(if payload == "changed" { Nudge::Changed } else { Nudge::Due });
            }
        }
    }
}

/// Sends texts to other processes.
pub(crate) async fn relay(pool: &Pool, audience: Audience, texts: Vec<String>) -> Result<(), Error> {
    let channel = match audience {
        Audience::All => ALL,
        Audience::Listeners => STREAM,
    };
    let connection = connect(pool, "notify the other nodes").await?;
    connection.query(RELAY, &[(&channel, Type::TEXT), (&texts, Type::TEXT_ARRAY)]).await.map(|_| ())
}

/// Notifies the other nodes of due deliveries on each request.
pub(crate) async fn notify(pool: Pool, requested: Arc<Notify>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = requested.notified() => {}
        }
        // If this fails, the other nodes learn it from their poll.
        if let Ok(connection) = connect(&pool, "notify the other nodes").await {
            let _ = connection.query(NOTIFY_DUE, &[]).await;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Forwards notifications of other nodes.
pub(crate) async fn listen(connector: Connector, inbound: Inbound, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            ended = listen_once(&connector, &inbound) => {
                if let Err(error) = ended {
                    tracing::debug!(error = %describe(&error), "listening for changes of other nodes was interrupted; polling instead");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
}

async fn listen_once(connector: &Connector, inbound: &Inbound) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = connector.config.connect(connector.tls.clone()).await?;
    let mut stream = inbound.stream.subscribe();
    // One command at a time; the connection is polled meanwhile.
    let mut command = client.batch_execute(LISTEN).boxed();
    let mut is_running = true;
    let mut is_listening = false;
    let mut hears_stream = false;
    loop {
        tokio::select! {
            done = &mut command, if is_running => {
                done?;
                is_running = false;
                if !is_listening {
                    is_listening = true;
                    // Notifications sent without a listener are lost.
                    let _ = inbound.nudges.send(Nudge::Resumed);
                    let _ = inbound.relayed.send(Relayed::Resumed);
                }
            }
            changed = changed(&mut stream, hears_stream), if !is_running => {
                let Some(wanted) = changed else { return Ok(()) };
                hears_stream = wanted;
                command = client.batch_execute(if hears_stream { LISTEN_TO_STREAM } else { LEAVE_STREAM }).boxed();
                is_running = true;
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(notification))) => inbound.take(notification.channel(), notification.payload()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}

/// Waits until the value differs; `None` if it can change no more.
async fn changed(wanted: &mut watch::Receiver<bool>, from: bool) -> Option<bool> {
    wanted.wait_for(|wanted| *wanted != from).await.ok().map(|wanted| *wanted)
}
