//! Nudges between nodes, by `notify` and `listen`. They carry no data and may be lost.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::sync::{Notify, broadcast};
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use super::connection::{Connector, Pool, connect, describe};
use crate::delivery::nodes::Nudge;

/// The least time between two notifications of ours: the others wake no more often.
const PERIOD: Duration = Duration::from_millis(5);
/// When to listen again after a connection was lost.
const AGAIN: Duration = Duration::from_millis(500);

const NOTIFY_DUE: &str = "select pg_notify('hookstream', 'due')";
const LISTEN: &str = "listen hookstream";

/// Tells the other nodes that something is due, whenever it is asked to.
pub(crate) async fn tell(pool: Pool, asked: Arc<Notify>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = asked.notified() => {}
        }
        // Where it fails, the others find out by their poll.
        if let Ok(connection) = connect(&pool, "notify the other nodes").await {
            let _ = connection.query(NOTIFY_DUE, &[]).await;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Passes on what other nodes tell.
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
            () = tokio::time::sleep(AGAIN) => {}
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
                // What was told while nobody listened is lost.
                let _ = nudges.send(Nudge::Resumed);
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(told))) => {
                    let _ = nudges.send(if told.payload() == "changed" { Nudge::Changed } else { Nudge::Due });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}
