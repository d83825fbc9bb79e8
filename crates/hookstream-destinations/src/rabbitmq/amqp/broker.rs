//! One broker: a connection, opened when needed and again after a break, and its channels.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{
    frames::FRAME_MAX,
    link::{self, Cutter},
};
use crate::{
    net::connect::{ConnectError, Shared},
    rabbitmq::settings::{Protocol, RabbitMqSettings},
};

/// Maximum number of messages under way to one broker: as many as one endpoint may have at full concurrency.
const CHANNELS_MAX: usize = 64;
/// Interval of heartbeats, in seconds. A dead connection is noticed after two of them.
const HEARTBEAT_S: u16 = 10;

/// Time limit for closing a connection. After it the connection is cut.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Code of a close without an error (AMQP 0-9-1, section 1.1).
const REPLY_SUCCESS: u16 = 200;

/// Reason why a broker could not be used.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// No connection.
    Connect(ConnectError),
    /// The connection, the channel or the message failed.
    Amqp(lapin::Error),
}

impl From<lapin::Error> for Unavailable {
    fn from(error: lapin::Error) -> Self {
        Self::Amqp(error)
    }
}

/// Identity of a connection. The password belongs to it: an endpoint with a wrong one must not use the connection of another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct BrokerKey {
    host: String,
    port: u16,
    with_tls: bool,
    vhost: String,
    username: String,
    password: String,
}

impl BrokerKey {
    pub(super) fn of(settings: &RabbitMqSettings) -> Self {
        Self {
            host: settings.host.clone(),
            port: settings.port,
            with_tls: matches!(settings.protocol, Protocol::Amqp { with_tls: true }),
            vhost: settings.vhost.clone(),
            username: settings.username.clone(),
            password: settings.password.expose().to_owned(),
        }
    }
}

/// Broker with its connection.
pub(super) struct Broker {
    /// Held while a connection or a channel is being opened, so that one connection serves all who wait.
    opening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    channels: Semaphore,
}

struct State {
    open: Option<Open>,
    /// Channels of the open connection that carry no message.
    idle: Vec<Channel>,
    used_at: Instant,
}

/// Open connection.
struct Open {
    connection: Arc<Connection>,
    _cutter: Cutter,
}

impl Default for Broker {
    fn default() -> Self {
        let state = State { open: None, idle: Vec::new(), used_at: Instant::now() };
        Self { opening: tokio::sync::Mutex::default(), state: Mutex::new(state), channels: Semaphore::new(CHANNELS_MAX) }
    }
}

impl Broker {
    /// Returns a channel for one message.
    ///
    /// # Errors
    /// If the broker cannot be reached, or refuses the user, the virtual host or another channel.
    pub(super) async fn channel(&self, network: &Shared, settings: &RabbitMqSettings, with_tls: bool) -> Result<Lent<'_>, Unavailable> {
        let permit = self.channels.acquire().await.expect("the semaphore is never closed");
        let lent = |channel| Lent { channel, broker: self, _permit: permit };
        if let Some(channel) = self.idle_channel() {
            return Ok(lent(channel));
        }
        let _opening = self.opening.lock().await;
        let connection = match self.connection() {
            Some(connection) => connection,
            None => {
                let open = open(network, settings, with_tls).await?;
                let connection = Arc::clone(&open.connection);
                let mut state = self.lock();
                state.idle.clear();
                state.open = Some(open);
                connection
            }
        };
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(lent(channel))
    }

    /// Returns an open channel that carries no message.
    fn idle_channel(&self) -> Option<Channel> {
        let mut state = self.lock();
        while let Some(channel) = state.idle.pop() {
            if channel.status().connected() {
                return Some(channel);
            }
        }
        None
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        let state = self.lock();
        state.open.as_ref().map(|open| &open.connection).filter(|connection| connection.status().connected()).map(Arc::clone)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection().is_some()
    }

    /// Returns true if the broker asked its clients to publish nothing for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.lock().open.as_ref().is_some_and(|open| open.connection.status().blocked())
    }

    /// Closes the connection as AMQP asks for, so that the broker's log has no warning.
    pub(super) async fn close(&self) {
        let open = {
            let mut state = self.lock();
            state.idle.clear();
            state.open.take()
        };
        if let Some(Open { connection, _cutter }) = open {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close(REPLY_SUCCESS, "idle".into())).await;
        }
    }

    pub(super) fn note_use(&self) {
        self.lock().used_at = Instant::now();
    }

    pub(super) fn used_at(&self) -> Instant {
        self.lock().used_at
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Channel lent for one message. Unless it is released, it is closed: its state is unknown after a failure.
pub(super) struct Lent<'a> {
    channel: Channel,
    broker: &'a Broker,
    _permit: SemaphorePermit<'a>,
}

impl Lent<'_> {
    pub(super) async fn publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<PublisherConfirm, Unavailable> {
        Ok(self.channel.basic_publish(exchange, routing_key, options, body, properties).await?)
    }

    /// Keeps the channel for the next message.
    pub(super) fn release(self) {
        if self.channel.status().connected() {
            self.broker.lock().idle.push(self.channel);
        }
    }
}

/// Opens a connection: to an address that the policy allows, and with TLS if the URL asks for it.
async fn open(network: &Shared, settings: &RabbitMqSettings, with_tls: bool) -> Result<Open, Unavailable> {
    let stream = network.connect_to_host(&settings.host, settings.port, with_tls).await.map_err(Unavailable::Connect)?;
    // From here on, an end of this function cuts the connection, and so ends the client's thread.
    let (link, cutter) = link::pair(stream);
    let uri = AMQPUri {
        scheme: if with_tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: settings.username.clone(), password: settings.password.expose().to_owned() },
            host: settings.host.clone(),
            port: settings.port,
        },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString {
            frame_max: Some(FRAME_MAX),
            heartbeat: Some(HEARTBEAT_S),
            auth_mechanism: Some(SASLMechanism::Plain),
            ..AMQPQueryString::default()
        },
    };
    let properties = ConnectionProperties::default().with_connection_name("hookstream".into());
    let connection = link::connect(uri, link, properties).await?;
    Ok(Open { connection: Arc::new(connection), _cutter: cutter })
}
