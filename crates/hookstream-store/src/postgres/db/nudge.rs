//! Notifications between nodes, by `notify` and `listen`. They carry no data and may be lost.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::sync::{Notify, broadcast};
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use super::connection::{Connector, Pool, connect, describe};
use crate::delivery::cluster::Nudge;

/// Minimum interval between two of this node's notifications, which bounds how often other nodes wake.
const PERIOD: Duration = Duration::from_millis(5);
/// Pause before listening again after a lost connection.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

const NOTIFY_DUE: &str = "select pg_notify('hookstream', 'due')";
const LISTEN: &str = "listen hookstream";

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
pub(crate) async fn listen(connector: Connector, nudges: broadcast::Sender<Nudge>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            ended = listen_once(&connector, &nudges) => {
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

async fn listen_once(connector: &Connector, nudges: &broadcast::Sender<Nudge>) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = connector.config.connect(connector.tls.clone()).await?;
    let mut begin = std::pin::pin!(client.batch_execute(LISTEN));
    let mut is_listening = false;
    loop {
        tokio::select! {
            begun = &mut begin, if !is_listening => {
                begun?;
                is_listening = true;
                // Notifications sent without a listener are lost.
                let _ = nudges.send(Nudge::Resumed);
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    let _ = nudges.send(if notification.payload() == "changed" { Nudge::Changed } else { Nudge::Due });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}
