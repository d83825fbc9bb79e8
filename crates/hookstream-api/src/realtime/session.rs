//! Session of a live stream, over either protocol: subscriptions, frames and the end of the session.

use std::time::Duration;

use hookstream_engine::{Listener, Received, SUBSCRIPTIONS_MAX};
use hookstream_model::{
    base::ids::OriginId,
    operations::stream::{Channel, ChannelName},
};
use hookstream_store::outbound::endpoints;
use tokio::time::Instant;

use crate::{
    http::{
        error::{ApiError, ErrorCode},
        request_id::RequestId,
    },
    realtime::{
        caller::{Reach, StreamCaller},
        frame::Frame,
        open_streams::OpenStream,
    },
    state::Api,
};

/// Time for which a session goes on although its credentials cannot be checked.
const UNCHECKED_MAX: Duration = Duration::from_secs(30);

/// Open session.
pub(crate) struct Session {
    api: Api,
    caller: StreamCaller,
    listener: Listener,
    request: RequestId,
    _open: OpenStream,
}

/// Reason why the server ends a session.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The server stops.
    Stopping,
    /// The credentials are no longer valid.
    Refused(ApiError),
}

impl Session {
    /// Opens a session without subscriptions.
    pub(crate) fn open(api: Api, caller: StreamCaller, request: RequestId) -> Result<Self, ApiError> {
        if api.stopping.is_cancelled() {
            return Err(ApiError::new(ErrorCode::Stopping, "The server is stopping. Connect again in a few seconds."));
        }
        let open = api.streams.open(caller.subject, api.options.streams)?;
        let only = match caller.reach {
            Reach::Environment(_) => None,
            Reach::Application(application) => Some(OriginId::from(application)),
        };
        let listener = api.engine.listen(caller.tenant.environment, only);
        Ok(Self { api, caller, listener, request, _open: open })
    }

    /// Returns the first frame.
    pub(crate) fn welcome(&self) -> Frame {
        let application = match self.caller.reach {
            Reach::Environment(_) => None,
            Reach::Application(application) => Some(application.to_string()),
        };
        Frame::welcome(self.caller.tenant, application, self.api.engine.hears_every_node())
    }

    /// Subscribes to a channel.
    ///
    /// # Errors
    /// If there is no such channel, the caller may not read it, or there are too many subscriptions.
    pub(crate) async fn subscribe(&self, name: &str) -> Result<(), ApiError> {
        let parsed = ChannelName::parse(name).map_err(|error| ApiError::invalid("channel", &error.to_string()))?;
        if matches!(self.caller.reach, Reach::Application(_)) && !parsed.is_for_customers() {
            let message = "A portal token can subscribe to messages, attempts, endpoints and jobs of its application only.";
            return Err(ApiError::new(ErrorCode::Forbidden, message));
        }
        self.caller.check_scope(parsed.scope())?;
        let channel = self.resolve(&parsed).await?;
        if !self.listener.subscribe(name, channel) {
            let message =
                format!("A live stream has at most {SUBSCRIPTIONS_MAX} subscriptions. Unsubscribe from one, or open another stream.");
            return Err(ApiError::new(ErrorCode::TooManySubscriptions, message));
        }
        Ok(())
    }

    /// Looks up what a name refers to. Another tenant's resource is answered like an absent one.
    async fn resolve(&self, name: &ChannelName<'_>) -> Result<Channel, ApiError> {
        let (api, tenant) = (&self.api, self.caller.tenant);
        Ok(match name {
            ChannelName::Messages(None) => Channel::Messages(None),
            ChannelName::Messages(Some(reference)) => {
                let not_found = || ApiError::not_found("Application");
                let id = api.engine.applications().resolve_now(tenant, reference).await?.ok_or_else(not_found)?.id();
                match self.caller.reach {
                    Reach::Application(own) if own != id => return Err(not_found()),
                    Reach::Application(_) | Reach::Environment(_) => Channel::Messages(Some(id.into())),
                }
            }
            ChannelName::Attempts(None) => Channel::Attempts(None),
            ChannelName::Attempts(Some(id)) => {
                let not_found = || ApiError::not_found("Endpoint");
                let endpoint = endpoints::find_in_environment(&*api.store, tenant, *id).await?.ok_or_else(not_found)?;
                match self.caller.reach {
                    Reach::Application(own) if own != endpoint.application_id => return Err(not_found()),
                    Reach::Application(_) | Reach::Environment(_) => Channel::Attempts(Some((*id).into())),
                }
            }
            ChannelName::Endpoints => Channel::Endpoints,
            ChannelName::Jobs => Channel::Jobs,
            // No alert rules and no destinations of the kind `websocket` exist yet, so these channels carry nothing.
            ChannelName::Alerts | ChannelName::Custom(_) => Channel::Other,
        })
    }

    /// Ends a subscription. Without one, nothing happens.
    pub(crate) fn unsubscribe(&self, name: &str) {
        self.listener.unsubscribe(name);
    }

    /// Waits for the next event or gap. Cancelling the wait loses nothing.
    pub(crate) async fn next(&self) -> Frame {
        match self.listener.next().await {
            Received::Event { channel, event } => Frame::event(&channel, &event),
            Received::Gap(dropped) => Frame::gap(dropped),
        }
    }

    /// Returns the frame of an error.
    pub(crate) fn refusal(&self, error: ApiError, channel: Option<&str>) -> Frame {
        if error.is_for_the_log() {
            tracing::error!(request.id = %self.request, cause = error.cause().unwrap_or("unknown"), "a frame of a live stream failed");
        }
        Frame::error(error, &self.request.to_string(), channel)
    }

    /// Waits until the server must end the session. The future does not borrow the session.
    pub(crate) fn ended(&self) -> impl Future<Output = Ending> + Send + use<> {
        until_ended(self.api.clone(), self.caller.clone())
    }
}

async fn until_ended(api: Api, caller: StreamCaller) -> Ending {
    let mut checked_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = api.stopping.cancelled() => return Ending::Stopping,
            () = tokio::time::sleep(caller.check_interval()) => {}
        }
        match caller.check_again(&api).await {
            Ok(()) => checked_at = Instant::now(),
            // The store may be away for a moment.
            Err(error) if error.is_for_the_log() && checked_at.elapsed() < UNCHECKED_MAX => {}
            Err(error) => return Ending::Refused(error),
        }
    }
}
