//! What a caller may do: a set of resources, each to read or to write.
//!
//! An API key has scopes, a person a role; both come down to the same set, and each operation of the API names the
//! one it needs.

use std::fmt;

use crate::InvalidField;

/// What is read or written. The words stand in scopes, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Applications.
    Applications,
    /// Endpoints, their secrets and tests.
    Endpoints,
    /// The catalogue of event types.
    EventTypes,
    /// Messages and their attempts; to write is to send.
    Messages,
    /// Recoveries and replays.
    Jobs,
    /// Access to the portal of an application; there is nothing to read.
    Portal,
    /// Environments.
    Environments,
    /// API keys.
    ApiKeys,
    /// The organization itself.
    Organization,
    /// The organization's members and invitations.
    Members,
    /// What is used and kept; there is nothing to write.
    Usage,
    /// The engine: lanes and nodes; there is nothing to write.
    Engine,
    /// The audit log; there is nothing to write.
    Audit,
    /// The whole installation, whose scopes are all named ones: [`Scope::OPERATOR_METRICS`], [`Scope::OPERATOR_NODES`].
    Operator,
}

impl Resource {
    /// All that are read or written.
    pub const ALL: [Self; 13] = [
        Self::Applications,
        Self::Endpoints,
        Self::EventTypes,
        Self::Messages,
        Self::Jobs,
        Self::Portal,
        Self::Environments,
        Self::ApiKeys,
        Self::Organization,
        Self::Members,
        Self::Usage,
        Self::Engine,
        Self::Audit,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applications => "applications",
            Self::Endpoints => "endpoints",
            Self::EventTypes => "event_types",
            Self::Messages => "messages",
            Self::Jobs => "jobs",
            Self::Portal => "portal",
            Self::Environments => "environments",
            Self::ApiKeys => "api_keys",
            Self::Organization => "organization",
            Self::Members => "members",
            Self::Usage => "usage",
            Self::Engine => "engine",
            Self::Audit => "audit",
            Self::Operator => "operator",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.as_str() == word)
    }
}

/// What is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Nothing changes.
    Read,
    /// Something does.
    Write,
    /// Secrets are shown. Only endpoints have any that can be; no `*` stands for it.
    Secret,
    /// The metrics of the installation. Only the operator has them; no `*` stands for it.
    Metrics,
    /// The nodes and disks of the installation. Only the operator has them; no `*` stands for it.
    Nodes,
}

impl Verb {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Secret => "secret",
            Self::Metrics => "metrics",
            Self::Nodes => "nodes",
        }
    }
}

/// One thing that a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// With what.
    pub resource: Resource,
    /// What.
    pub verb: Verb,
}

impl Scope {
    /// To read `resource`.
    pub const fn read(resource: Resource) -> Self {
        Self { resource, verb: Verb::Read }
    }

    /// To write `resource`.
    pub const fn write(resource: Resource) -> Self {
        Self { resource, verb: Verb::Write }
    }

    /// To be shown the signing secrets of endpoints.
    pub const ENDPOINT_SECRETS: Self = Self { resource: Resource::Endpoints, verb: Verb::Secret };

    /// To read the metrics of the installation.
    pub const OPERATOR_METRICS: Self = Self { resource: Resource::Operator, verb: Verb::Metrics };
    /// To read about the nodes and disks of the installation.
    pub const OPERATOR_NODES: Self = Self { resource: Resource::Operator, verb: Verb::Nodes };
    /// Those that no `*` stands for.
    const NAMED: [Self; 3] = [Self::ENDPOINT_SECRETS, Self::OPERATOR_METRICS, Self::OPERATOR_NODES];

    const fn bit(self) -> u64 {
        match self.verb {
            Verb::Read => 1 << (self.resource as u64 * 2),
            Verb::Write => 1 << (self.resource as u64 * 2 + 1),
            Verb::Secret => 1 << FIRST_NAMED_BIT,
            Verb::Metrics => 1 << (FIRST_NAMED_BIT + 1),
            Verb::Nodes => 1 << (FIRST_NAMED_BIT + 2),
        }
    }
}

/// From this bit on stand scopes that have to be named: `*` does not have them.
const FIRST_NAMED_BIT: u64 = 48;

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource.as_str(), self.verb.as_str())
    }
}

/// A set of scopes.
///
/// Its text is `*` for everything, also what later versions add, or words such as `messages:write` and
/// `endpoints:*`, separated by commas. `endpoints:secret` is in no `*` and has to be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u64);

impl Scopes {
    /// Everything that need not be named, now and in later versions.
    pub const ALL: Self = Self((1 << FIRST_NAMED_BIT) - 1);
    /// The same, and the secrets of endpoints: everything that an organization's owner may do.
    pub const EVERYTHING: Self = Self(Self::ALL.0 | Scope::ENDPOINT_SECRETS.bit());
    /// The same, and what concerns the whole installation: for the operator.
    pub const OPERATOR: Self = Self(Self::EVERYTHING.0 | Scope::OPERATOR_METRICS.bit() | Scope::OPERATOR_NODES.bit());
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Those that are in `scopes`.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope.bit()))
    }

    /// All of this verb.
    pub fn of_verb(verb: Verb) -> Self {
        Self::of(Resource::ALL.into_iter().map(|resource| Scope { resource, verb }))
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// These without `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether it allows this.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    const fn has_all(self) -> bool {
        self.0 & Self::ALL.0 == Self::ALL.0
    }

    /// The first that is in `others` and not in these, as it would be written; `None` where these cover them.
    pub fn lack(self, others: Self) -> Option<String> {
        if others.0 & !self.0 == 0 {
            return None;
        }
        if others.has_all() && !self.has_all() {
            return Some("*".to_owned());
        }
        let all = Resource::ALL.into_iter().flat_map(|resource| [Scope::read(resource), Scope::write(resource)]);
        let all = all.chain(Scope::NAMED);
        all.into_iter().find(|scope| others.allow(*scope) && !self.allow(*scope)).map(|scope| scope.to_string())
    }

    /// Reads the text.
    ///
    /// # Errors
    /// Names the first word that is no scope.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let mut set = 0;
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            set |= parse_word(word).ok_or_else(|| {
                let words: Vec<_> = Resource::ALL.into_iter().map(Resource::as_str).collect();
                let problem = format!(
                    "contains {word:?}; allowed: `*`, {}, and `read`, `write` or `*` of a resource, such as messages:write. Resources: {}",
                    Scope::NAMED.map(|scope| scope.to_string()).join(", "),
                    words.join(", ")
                );
                InvalidField::new("scopes", problem)
            })?;
        }
        if set == 0 {
            Err(InvalidField::new("scopes", "must contain at least one scope, such as messages:write, or * for all"))
        } else {
            Ok(Self(set))
        }
    }
}

fn parse_word(word: &str) -> Option<u64> {
    if word == "*" {
        return Some(Scopes::ALL.0);
    }
    if let Some(named) = Scope::NAMED.into_iter().find(|scope| scope.to_string() == word) {
        return Some(named.bit());
    }
    let (resource, verb) = word.split_once(':')?;
    let resource = Resource::parse(resource)?;
    match verb {
        "read" => Some(Scope::read(resource).bit()),
        "write" => Some(Scope::write(resource).bit()),
        "*" => Some(Scope::read(resource).bit() | Scope::write(resource).bit()),
        _ => None,
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if self.has_all() {
            f.write_str("*")?;
            separator = ",";
        }
        for resource in Resource::ALL.into_iter().filter(|_| !self.has_all()) {
            let verb = match (self.allow(Scope::read(resource)), self.allow(Scope::write(resource))) {
                (true, true) => "*",
                (true, false) => "read",
                (false, true) => "write",
                (false, false) => continue,
            };
            write!(f, "{separator}{}:{verb}", resource.as_str())?;
            separator = ",";
        }
        for scope in Scope::NAMED.into_iter().filter(|scope| self.allow(*scope)) {
            write!(f, "{separator}{scope}")?;
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_as_they_are_read() {
        let check = |text: &str, written: &str| assert_eq!(Scopes::parse(text).map(|scopes| scopes.to_string()), Ok(written.to_owned()));
        check("*", "*");
        check("messages:write", "messages:write");
        check("messages:write, endpoints:read", "endpoints:read,messages:write");
        check("messages:write messages:read", "messages:*");
        check("endpoints:*,endpoints:read", "endpoints:*");
        check("jobs:read,*", "*");
        check("endpoints:secret", "endpoints:secret");
        check("operator:nodes,operator:metrics,*", "*,operator:metrics,operator:nodes");
        check("endpoints:secret,*", "*,endpoints:secret");
        check("endpoints:secret,endpoints:*", "endpoints:*,endpoints:secret");
        for text in [
            "",
            " , ",
            "messages",
            "messages:",
            "messages:send",
            "message:read",
            "Messages:read",
            "*:read",
            "**",
            "messages:secret",
            "operator:*",
            "operator:read",
            "endpoints:nodes",
        ] {
            assert_eq!(Scopes::parse(text).map_err(|error| error.field), Err("scopes"), "{text}");
        }
    }

    #[test]
    fn a_scope_allows_what_it_names_and_nothing_else() {
        let scopes = Scopes::parse("messages:write,endpoints:*").expect("scopes");
        for resource in Resource::ALL {
            for verb in [Verb::Read, Verb::Write] {
                let scope = Scope { resource, verb };
                let is_named = resource == Resource::Endpoints || (resource == Resource::Messages && verb == Verb::Write);
                assert_eq!(scopes.allow(scope), is_named, "{scope}");
                assert!(Scopes::ALL.allow(scope) && !Scopes::NONE.allow(scope), "{scope}");
            }
        }
        for (scopes, expected) in [("*", false), ("endpoints:*", false), ("endpoints:secret", true), ("*,endpoints:secret", true)] {
            assert_eq!(Scopes::parse(scopes).expect("scopes").allow(Scope::ENDPOINT_SECRETS), expected, "{scopes}");
        }
    }

    #[test]
    fn what_is_lacking_is_named() {
        let some = Scopes::parse("messages:*").expect("scopes");
        assert_eq!(Scopes::ALL.lack(Scopes::ALL), None);
        assert_eq!(some.lack(Scopes::parse("messages:read").expect("scopes")), None);
        assert_eq!(some.lack(Scopes::parse("messages:read,jobs:write").expect("scopes")), Some("jobs:write".to_owned()));
        assert_eq!(some.lack(Scopes::ALL), Some("*".to_owned()));
        assert_eq!(Scopes::ALL.lack(Scopes::EVERYTHING), Some("endpoints:secret".to_owned()));
        assert_eq!(Scopes::EVERYTHING.lack(Scopes::ALL), None);
        assert_eq!(Scopes::EVERYTHING.lack(Scopes::OPERATOR), Some("operator:metrics".to_owned()));
        // Also where all that there is today is named: what comes later is not.
        assert_eq!(Scopes::of_verb(Verb::Read).lack(Scopes::of_verb(Verb::Read)), None);
        assert!(Scopes::ALL.without(Scopes::of([Scope::read(Resource::Audit)])).lack(Scopes::ALL).is_some());
    }
}
