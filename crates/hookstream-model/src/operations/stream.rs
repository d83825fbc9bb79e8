//! Channels of the live stream: their names, what each carries and the scope that each needs.

use crate::{
    base::ids::{EndpointId, OriginId, RouteId},
    identity::scopes::{Resource, Scope},
};

/// Maximum length of a channel's name, in characters.
pub const NAME_MAX: usize = 128;

/// Subject of an event of the live stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A message was accepted.
    Message,
    /// A delivery was settled after an attempt, or ended without one.
    Delivery,
    /// An endpoint was created, changed, disabled or deleted, or its circuit breaker opened or closed.
    Endpoint,
    /// A job was created, progressed or ended.
    Job,
}

impl Topic {
    /// Word in frames and between nodes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Delivery => "delivery",
            Self::Endpoint => "endpoint",
            Self::Job => "job",
        }
    }

    /// Parses a word that [`Self::as_str`] returned.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Message, Self::Delivery, Self::Endpoint, Self::Job].into_iter().find(|topic| topic.as_str() == word)
    }
}

/// Name of a channel, as a client writes it. References are not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelName<'a> {
    /// Accepted messages: of all applications, or of the one with this id or `uid`.
    Messages(Option<&'a str>),
    /// Settled deliveries: of all endpoints, or of the one with this id.
    Attempts(Option<EndpointId>),
    /// Changes of endpoints.
    Endpoints,
    /// Progress of jobs.
    Jobs,
    /// Alerts.
    Alerts,
    /// Channel of a destination of the kind `websocket`.
    Custom(&'a str),
}

/// Error: the text names no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChannel {
    /// The text breaks the rule of names.
    #[error(
        "must be `messages`, `messages:<application_id>`, `attempts`, `attempts:<endpoint_id>`, `endpoints`, `jobs`, `alerts`, or 1 to 128 \
         letters, digits, `.`, `_` and `-`"
    )]
    Name,
    /// The endpoint after `attempts:` is not an id.
    #[error("must name an endpoint by its id of 32 hexadecimal characters after `attempts:`")]
    Endpoint,
}

impl<'a> ChannelName<'a> {
    /// Parses a name.
    ///
    /// # Errors
    /// Fails if the text names no channel.
    pub fn parse(text: &'a str) -> Result<Self, InvalidChannel> {
        if text.is_empty() || text.chars().count() > NAME_MAX {
            return Err(InvalidChannel::Name);
        }
        match text.split_once(':') {
            Some(("messages", reference)) if !reference.is_empty() => Ok(Self::Messages(Some(reference))),
            Some(("attempts", id)) => id.parse().map(|id| Self::Attempts(Some(id))).map_err(|_| InvalidChannel::Endpoint),
            Some(_) => Err(InvalidChannel::Name),
            None => Self::plain(text),
        }
    }

    fn plain(text: &'a str) -> Result<Self, InvalidChannel> {
        match text {
            "messages" => Ok(Self::Messages(None)),
            "attempts" => Ok(Self::Attempts(None)),
            "endpoints" => Ok(Self::Endpoints),
            "jobs" => Ok(Self::Jobs),
            "alerts" => Ok(Self::Alerts),
            custom if custom.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) => {
                Ok(Self::Custom(custom))
            }
            _ => Err(InvalidChannel::Name),
        }
    }

    /// Returns the scope that a caller needs.
    pub const fn scope(&self) -> Scope {
        match self {
            // A custom channel carries payloads.
            Self::Messages(_) | Self::Attempts(_) | Self::Custom(_) => Scope::read(Resource::Messages),
            Self::Endpoints => Scope::read(Resource::Endpoints),
            Self::Jobs => Scope::read(Resource::Jobs),
            Self::Alerts => Scope::read(Resource::Usage),
        }
    }

    /// Returns whether a customer may subscribe: to what concerns the portal's application only.
    pub const fn is_for_customers(&self) -> bool {
        match self {
            Self::Messages(_) | Self::Attempts(_) | Self::Endpoints | Self::Jobs => true,
            Self::Alerts | Self::Custom(_) => false,
        }
    }
}

/// Channel with its references looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Accepted messages, of one origin if it is given.
    Messages(Option<OriginId>),
    /// Settled deliveries, of one route if it is given.
    Attempts(Option<RouteId>),
    /// Changes of endpoints.
    Endpoints,
    /// Progress of jobs.
    Jobs,
    /// Channel that carries none of the topics above.
    Other,
}

impl Channel {
    /// Returns whether the channel carries an event of this topic, origin and route.
    pub fn carries(self, topic: Topic, origin: OriginId, route: Option<RouteId>) -> bool {
        match self {
            Self::Messages(wanted) => topic == Topic::Message && wanted.is_none_or(|wanted| wanted == origin),
            Self::Attempts(wanted) => topic == Topic::Delivery && wanted.is_none_or(|wanted| route == Some(wanted)),
            Self::Endpoints => topic == Topic::Endpoint,
            Self::Jobs => topic == Topic::Job,
            Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019dc1e2a3b47c5d8e9f001122334455";

    #[test]
    fn channel_names_are_parsed_or_refused() {
        let check = |text: &str, expected| assert_eq!(ChannelName::parse(text), expected, "{text}");
        let endpoint = ID.parse().expect("an id");
        check("messages", Ok(ChannelName::Messages(None)));
        check("messages:acme", Ok(ChannelName::Messages(Some("acme"))));
        check("attempts", Ok(ChannelName::Attempts(None)));
        check(&format!("attempts:{ID}"), Ok(ChannelName::Attempts(Some(endpoint))));
        check("endpoints", Ok(ChannelName::Endpoints));
        check("jobs", Ok(ChannelName::Jobs));
        check("alerts", Ok(ChannelName::Alerts));
        check("Live.orders_1-a", Ok(ChannelName::Custom("Live.orders_1-a")));
        check("", Err(InvalidChannel::Name));
        check("messages:", Err(InvalidChannel::Name));
        check("attempts:acme", Err(InvalidChannel::Endpoint));
        check("jobs:1", Err(InvalidChannel::Name));
        check("a b", Err(InvalidChannel::Name));
        check("ä", Err(InvalidChannel::Name));
        let longest = "a".repeat(NAME_MAX);
        check(&longest, Ok(ChannelName::Custom(&longest)));
        check(&format!("{longest}a"), Err(InvalidChannel::Name));
    }

    #[test]
    fn channel_carries_its_topic_and_reference_only() {
        let (origin, other) = (OriginId::from_bytes([1; 16]), OriginId::from_bytes([2; 16]));
        let (route, another) = (RouteId::from_bytes([3; 16]), RouteId::from_bytes([4; 16]));
        let check = |channel: Channel, topic, expected| {
            assert_eq!(channel.carries(topic, origin, Some(route)), expected, "{channel:?} {topic:?}");
        };
        check(Channel::Messages(None), Topic::Message, true);
        check(Channel::Messages(Some(origin)), Topic::Message, true);
        check(Channel::Messages(Some(other)), Topic::Message, false);
        check(Channel::Messages(None), Topic::Delivery, false);
        check(Channel::Attempts(None), Topic::Delivery, true);
        check(Channel::Attempts(Some(route)), Topic::Delivery, true);
        check(Channel::Attempts(Some(another)), Topic::Delivery, false);
        check(Channel::Endpoints, Topic::Endpoint, true);
        check(Channel::Jobs, Topic::Job, true);
        check(Channel::Jobs, Topic::Endpoint, false);
        check(Channel::Other, Topic::Message, false);
    }

    #[test]
    fn words_of_topics_are_parsed() {
        for topic in [Topic::Message, Topic::Delivery, Topic::Endpoint, Topic::Job] {
            assert_eq!(Topic::parse(topic.as_str()), Some(topic));
        }
        assert_eq!(Topic::parse("alert"), None);
    }
}
