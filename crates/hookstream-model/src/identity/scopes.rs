//! Scopes: the permissions of a caller, as a set of resources, each to read or to write.
//!
//! An API key has scopes, a user has a role; both result in the same kind of set. Each operation of the API names the
//! scope that it needs.

use std::fmt;

use crate::InvalidField;

/// Resource that a scope grants access to. The words are stored in scopes, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Applications.
    Applications,
    /// Endpoints, their secrets and tests.
    Endpoints,
    /// Catalogue of event types.
    EventTypes,
    /// Messages and their attempts; sending is a write.
    Messages,
    /// Recoveries and replays.
    Jobs,
    /// Access to the portal of an application; there is no read scope.
    Portal,
    /// Environments.
    Environments,
    /// API keys.
    ApiKeys,
    /// The organization itself.
    Organization,
    /// Members and invitations of the organization.
    Members,
    /// Usage and stored volume; read only.
    Usage,
    /// Lanes and nodes of the engine; read only.
    Engine,
    /// Audit log; read only.
    Audit,
    /// Saved views; writing concerns the shared ones.
    Views,
    /// Alert rules, their alerts, and notification channels.
    Alerts,
    /// Whole installation. All its scopes must be named: [`Scope::OPERATOR_BACKUPS`],
    /// [`Scope::OPERATOR_METRICS`], [`Scope::OPERATOR_NODES`].
    Operator,
}

impl Resource {
    /// All resources with a read or write scope.
    pub const ALL: [Self; 15] = [
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
        Self::Views,
        Self::Alerts,
    ];

    /// Word in scopes.
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
            Self::Views => "views",
            Self::Alerts => "alerts",
            Self::Operator => "operator",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.as_str() == word)
    }
}

/// Kind of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read without changes.
    Read,
    /// Create, change or delete.
    Write,
    /// Read secrets. Exists for endpoints only, and `*` does not include it.
    Secret,
    /// Read the metrics of the installation. Only the operator has it, and `*` does not include it.
    Metrics,
    /// Read the nodes and disks of the installation. Only the operator has it, and `*` does not include it.
    Nodes,
    /// List and start backups of the installation. Only the operator has it, and `*` does not include it.
    Backups,
}

impl Verb {
    /// Word in scopes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Secret => "secret",
            Self::Metrics => "metrics",
            Self::Nodes => "nodes",
            Self::Backups => "backups",
        }
    }
}

/// One permission of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Resource of the permission.
    pub resource: Resource,
    /// Kind of access.
    pub verb: Verb,
}

impl Scope {
    /// Scope to read `resource`.
    pub const fn read(resource: Resource) -> Self {
        Self { resource, verb: Verb::Read }
    }

    /// Scope to write `resource`.
    pub const fn write(resource: Resource) -> Self {
        Self { resource, verb: Verb::Write }
    }

    /// Scope to read the signing secrets of endpoints.
    pub const ENDPOINT_SECRETS: Self = Self { resource: Resource::Endpoints, verb: Verb::Secret };

    /// Scope to read the metrics of the installation.
    pub const OPERATOR_METRICS: Self = Self { resource: Resource::Operator, verb: Verb::Metrics };
    /// Scope to read the nodes and disks of the installation.
    pub const OPERATOR_NODES: Self = Self { resource: Resource::Operator, verb: Verb::Nodes };
    /// Scope to list and start backups of the installation.
    pub const OPERATOR_BACKUPS: Self = Self { resource: Resource::Operator, verb: Verb::Backups };
    /// Scopes that `*` does not include.
    const NAMED: [Self; 4] = [Self::ENDPOINT_SECRETS, Self::OPERATOR_BACKUPS, Self::OPERATOR_METRICS, Self::OPERATOR_NODES];

    const fn bit(self) -> u64 {
        match self.verb {
            Verb::Read => 1 << (self.resource as u64 * 2),
            Verb::Write => 1 << (self.resource as u64 * 2 + 1),
            Verb::Secret => 1 << FIRST_NAMED_BIT,
            Verb::Metrics => 1 << (FIRST_NAMED_BIT + 1),
            Verb::Nodes => 1 << (FIRST_NAMED_BIT + 2),
            Verb::Backups => 1 << (FIRST_NAMED_BIT + 3),
        }
    }
}

/// First bit of the scopes that must be named, because `*` does not include them.
const FIRST_NAMED_BIT: u64 = 48;

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource.as_str(), self.verb.as_str())
    }
}

/// Set of scopes.
///
/// The text is `*` for everything, including scopes that later versions add, or words such as `messages:write` and
/// `endpoints:*`, separated by commas. No `*` includes `endpoints:secret`, so it must be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u64);

impl Scopes {
    /// All scopes that `*` includes, now and in later versions.
    pub const ALL: Self = Self((1 << FIRST_NAMED_BIT) - 1);
    /// All scopes of an organization's owner: [`Self::ALL`] and the secrets of endpoints.
    pub const EVERYTHING: Self = Self(Self::ALL.0 | Scope::ENDPOINT_SECRETS.bit());
    /// All scopes of the operator: [`Self::EVERYTHING`] and those of the whole installation.
    pub const OPERATOR: Self =
        Self(Self::EVERYTHING.0 | Scope::OPERATOR_BACKUPS.bit() | Scope::OPERATOR_METRICS.bit() | Scope::OPERATOR_NODES.bit());
    /// Empty set.
    pub const NONE: Self = Self(0);

    /// Builds a set from single scopes.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope.bit()))
    }

    /// Returns the scopes of all resources for one verb.
    pub fn of_verb(verb: Verb) -> Self {
        Self::of(Resource::ALL.into_iter().map(|resource| Scope { resource, verb }))
    }

    /// Returns the intersection of both sets.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Returns the scopes that are not in `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Returns true if the set contains `scope`.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    const fn has_all(self) -> bool {
        self.0 & Self::ALL.0 == Self::ALL.0
    }

    /// Returns the text of the first scope in `others` that is missing here, or `None` if this set contains them all.
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

    /// Parses the text.
    ///
    /// # Errors
    /// Names the first word that is not a scope.
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
    fn scopes_round_trip_in_canonical_form() {
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
    fn scope_allows_only_its_resource_and_verb() {
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
    fn lacking_scope_is_named() {
        let some = Scopes::parse("messages:*").expect("scopes");
        assert_eq!(Scopes::ALL.lack(Scopes::ALL), None);
        assert_eq!(some.lack(Scopes::parse("messages:read").expect("scopes")), None);
        assert_eq!(some.lack(Scopes::parse("messages:read,jobs:write").expect("scopes")), Some("jobs:write".to_owned()));
        assert_eq!(some.lack(Scopes::ALL), Some("*".to_owned()));
        assert_eq!(Scopes::ALL.lack(Scopes::EVERYTHING), Some("endpoints:secret".to_owned()));
        assert_eq!(Scopes::EVERYTHING.lack(Scopes::ALL), None);
        assert_eq!(Scopes::EVERYTHING.lack(Scopes::OPERATOR), Some("operator:backups".to_owned()));
        // Also if all scopes of today are named: a later version's scopes are not among them.
        assert_eq!(Scopes::of_verb(Verb::Read).lack(Scopes::of_verb(Verb::Read)), None);
        assert!(Scopes::ALL.without(Scopes::of([Scope::read(Resource::Audit)])).lack(Scopes::ALL).is_some());
    }
}
