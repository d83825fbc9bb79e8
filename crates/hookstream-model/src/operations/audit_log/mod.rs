//! Audit log: actor, origin, action, and the state before and after.
//!
//! Every configuration change has an [`AuditContext`] and leaves one entry, in the same commit. The store's functions
//! take the context and write the entry. [`fields`] decides which fields of a resource an entry shows: no secrets.

pub mod fields;

use std::net::IpAddr;

use serde_json::{Map, Value};

use self::fields::{Audited, Fields};
use crate::{
    InvalidField,
    base::{
        ids::{ApiKeyId, ApplicationId, EntryId, ResourceId, UserId},
        time::Timestamp,
    },
    identity::user::User,
};

/// Author of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Program with an API key.
    ApiKey {
        /// Id of the key.
        id: ApiKeyId,
        /// Name of the key, chosen by its owner.
        name: String,
    },
    /// Signed-in user.
    Person {
        /// Id of the user.
        id: UserId,
        /// Email address of the user.
        email: String,
    },
    /// Customer in the portal of an application.
    Portal {
        /// Application of the portal.
        application: ApplicationId,
    },
    /// Operator of the installation, with a command that works on the store.
    Operator,
    /// Hookstream itself.
    System,
}

impl Actor {
    /// Builds the actor for a signed-in user.
    pub fn of_person(user: &User) -> Self {
        Self::Person { id: user.id, email: user.email.to_string() }
    }

    /// Word of the kind in the API and in the store.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey { .. } => "api_key",
            Self::Person { .. } => "person",
            Self::Portal { .. } => "portal",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }

    /// Id of the actor, for kinds with several actors.
    pub fn id(&self) -> Option<ResourceId> {
        match self {
            Self::ApiKey { id, .. } => Some(ResourceId::from_bytes(*id.as_bytes())),
            Self::Person { id, .. } => Some(ResourceId::from_bytes(*id.as_bytes())),
            Self::Portal { application } => Some(ResourceId::from_bytes(*application.as_bytes())),
            Self::Operator | Self::System => None,
        }
    }

    /// Name for display. Entries keep the name of that time, because keys and users may be deleted.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::ApiKey { name, .. } => Some(name),
            Self::Person { email, .. } => Some(email),
            Self::Portal { .. } | Self::Operator | Self::System => None,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal)*) => {
        /// Action: the kind of resource, a dot, and a verb. The words are stored in entries, so none is ever renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All actions.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Word in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

actions! {
    /// An application was created.
    ApplicationCreate = "application.create"
    /// An application was changed.
    ApplicationUpdate = "application.update"
    /// An application was deleted, with its endpoints.
    ApplicationDelete = "application.delete"
    /// A token for the portal of an application was created.
    ApplicationGivePortalAccess = "application.give_portal_access"
    /// An endpoint was created.
    EndpointCreate = "endpoint.create"
    /// An endpoint was changed.
    EndpointUpdate = "endpoint.update"
    /// An endpoint was deleted.
    EndpointDelete = "endpoint.delete"
    /// An endpoint got a new signing secret.
    EndpointRotateSecret = "endpoint.rotate_secret"
    /// An endpoint's signing secrets were shown to a user on request.
    EndpointRevealSecret = "endpoint.reveal_secret"
    /// An endpoint's hold was ended by hand.
    EndpointResetCircuit = "endpoint.reset_circuit"
    /// A test message was sent to an endpoint.
    EndpointTest = "endpoint.test"
    /// Hookstream disabled an endpoint.
    EndpointDisable = "endpoint.disable"
    /// An event type was created.
    EventTypeCreate = "event_type.create"
    /// An event type was changed.
    EventTypeUpdate = "event_type.update"
    /// An event type was deleted.
    EventTypeDelete = "event_type.delete"
    /// An organization was created, with its first environment and its owner.
    OrganizationCreate = "organization.create"
    /// An organization was renamed.
    OrganizationUpdate = "organization.update"
    /// An organization was deleted.
    OrganizationDelete = "organization.delete"
    /// The deletion of an organization was undone.
    OrganizationRestore = "organization.restore"
    /// The quotas of an organization were set.
    OrganizationSetQuotas = "organization.set_quotas"
    /// An owner transferred the ownership to another member.
    OrganizationTransfer = "organization.transfer"
    /// A user became an owner without an invitation: the first one, or by a command.
    MemberMakeOwner = "member.make_owner"
    /// A member got another role.
    MemberUpdate = "member.update"
    /// A member was removed, or left.
    MemberRemove = "member.remove"
    /// A user was invited.
    InvitationCreate = "invitation.create"
    /// An invitation was withdrawn.
    InvitationDelete = "invitation.delete"
    /// A user accepted an invitation and became a member.
    InvitationAccept = "invitation.accept"
    /// An environment was created.
    EnvironmentCreate = "environment.create"
    /// An environment was changed.
    EnvironmentUpdate = "environment.update"
    /// An environment was deleted.
    EnvironmentDelete = "environment.delete"
    /// The deletion of an environment was undone.
    EnvironmentRestore = "environment.restore"
    /// An API key was created.
    ApiKeyCreate = "api_key.create"
    /// An API key was replaced by another.
    ApiKeyRotate = "api_key.rotate"
    /// An API key was revoked.
    ApiKeyRevoke = "api_key.revoke"
    /// A recovery was started.
    JobRecover = "job.recover"
    /// A replay was started.
    JobReplay = "job.replay"
    /// A job was cancelled.
    JobCancel = "job.cancel"
    /// A message was retried by hand.
    MessageRetry = "message.retry"
    /// A shared view was created.
    ViewCreate = "view.create"
    /// A shared view was changed, or a view became shared or its owner's own.
    ViewUpdate = "view.update"
    /// A shared view was deleted.
    ViewDelete = "view.delete"
    /// An alert rule was created.
    AlertRuleCreate = "alert_rule.create"
    /// An alert rule was changed.
    AlertRuleUpdate = "alert_rule.update"
    /// An alert rule was deleted.
    AlertRuleDelete = "alert_rule.delete"
    /// A user signed in.
    PersonSignIn = "person.sign_in"
    /// A user ended sessions, or signed out.
    PersonEndSessions = "person.end_sessions"
    /// A user changed their display name.
    PersonUpdate = "person.update"
    /// A user's password was changed.
    PersonChangePassword = "person.change_password"
    /// A user added a second factor.
    PersonAddSecondFactor = "person.add_second_factor"
    /// A user's second factor was removed.
    PersonRemoveSecondFactor = "person.remove_second_factor"
    /// A user's recovery codes were replaced.
    PersonReplaceRecoveryCodes = "person.replace_recovery_codes"
    /// A user connected an identity provider.
    PersonConnectProvider = "person.connect_provider"
    /// A user disconnected an identity provider.
    PersonDisconnectProvider = "person.disconnect_provider"
    /// Secrets were sealed again, and earlier encryption keys retired.
    InstallationRotateKey = "installation.rotate_key"
    /// The key that signs portal tokens was replaced.
    InstallationRotatePortalKey = "installation.rotate_portal_key"
}

impl Action {
    /// Kind of resource that the action changes.
    pub fn resource_type(self) -> &'static str {
        self.as_str().split_once('.').map_or("", |(resource, _)| resource)
    }

    /// Parses a word of a filter.
    ///
    /// # Errors
    /// Lists the allowed words.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let words = || Self::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ");
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.as_str() == word)
            .ok_or_else(|| InvalidField::new("action", format!("must be one of {}", words())))
    }
}

/// Parses a kind of resource of a filter.
///
/// # Errors
/// Lists the allowed words.
pub fn parse_resource_type(word: &str) -> Result<&'static str, InvalidField> {
    let mut types: Vec<_> = Action::ALL.iter().map(|action| action.resource_type()).collect();
    types.dedup();
    let found = types.iter().copied().find(|resource| *resource == word);
    found.ok_or_else(|| InvalidField::new("resource_type", format!("must be one of {}", types.join(", "))))
}

/// Actor, origin and time of a change: the part of an entry besides the change itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditContext {
    /// Id of the entry. Recording the same context twice leaves one entry.
    pub entry: EntryId,
    /// Time of the change.
    pub at: Timestamp,
    /// Author of the change.
    pub actor: Actor,
    /// Client address of the request.
    pub address: Option<IpAddr>,
    /// Id of the request, as in its response and in the log.
    pub request_id: Option<String>,
}

impl AuditContext {
    /// Builds the context of a change by Hookstream itself.
    pub fn of_system(entry: impl Into<EntryId>, at: Timestamp) -> Self {
        Self { entry: entry.into(), at, actor: Actor::System, address: None, request_id: None }
    }

    /// Builds the context of a change by the operator's command.
    pub fn of_operator(entry: impl Into<EntryId>, at: Timestamp) -> Self {
        Self { actor: Actor::Operator, ..Self::of_system(entry, at) }
    }

    /// Returns the same context for another organization's entry. Entries are distinguished by `number`, from 0.
    pub fn with_entry_of(&self, number: u64) -> Self {
        let mut id = *self.entry.as_bytes();
        let (_, end) = id.split_at_mut(8);
        let counted = u64::from_be_bytes(end.try_into().expect("eight bytes")).wrapping_add(number);
        end.copy_from_slice(&counted.to_be_bytes());
        Self { entry: EntryId::from_bytes(id), ..self.clone() }
    }
}

/// State before and after, as an entry shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// State before; `None` for a created resource.
    pub before: Option<Map<String, Value>>,
    /// State after; `None` for a removed resource.
    pub after: Option<Map<String, Value>>,
}

impl Change {
    /// Creation: the resource's fields, without empty ones.
    pub fn created(resource: &impl Audited) -> Self {
        Self { before: None, after: Some(resource.fields().shown()) }
    }

    /// Removal: the resource's last fields.
    pub fn removed(resource: &impl Audited) -> Self {
        Self { before: Some(resource.fields().shown()), after: None }
    }

    /// Change: the fields that differ. `None` if there is no difference.
    pub fn between(before: &impl Audited, after: &impl Audited) -> Option<Self> {
        Self::of(&before.fields(), &after.fields())
    }

    /// Change between two sets of fields; `None` if there is no difference.
    pub fn of(before: &Fields, after: &Fields) -> Option<Self> {
        let (before, after) = fields::differing(before, after);
        (!after.is_empty()).then_some(Self { before: Some(before), after: Some(after) })
    }

    /// Action that changes no field of the resource, with its details.
    pub fn done(with: &Fields) -> Self {
        Self { before: None, after: Some(with.shown()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_words_parse_and_unknown_ones_list_the_allowed() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Ok(*action));
            assert_eq!(parse_resource_type(action.resource_type()), Ok(action.resource_type()));
        }
        let problem = Action::parse("application.make").expect_err("unknown word").problem;
        assert!(problem.contains("application.create, application.update"), "{problem}");
        let problem = parse_resource_type("thing").expect_err("unknown word").problem;
        assert_eq!(
            problem,
            "must be one of application, endpoint, event_type, organization, member, invitation, environment, api_key, job, message, view, alert_rule, person, installation"
        );
    }

    #[test]
    fn every_action_is_documented() {
        let page = include_str!("../../../../../docs/reference/security.md");
        for action in Action::ALL {
            assert!(
                page.contains(&format!("| `{}` |", action.as_str())),
                "docs/reference/security.md does not document {}",
                action.as_str()
            );
        }
    }

    #[test]
    fn entries_of_one_context_have_distinct_ids_and_one_time() {
        let context = AuditContext::of_system(EntryId::from_bytes([7; 16]), Timestamp::EPOCH);
        assert_eq!(context.with_entry_of(0), context);
        let other = context.with_entry_of(1);
        assert_ne!(other.entry, context.entry);
        assert_eq!(other.entry.timestamp(), context.entry.timestamp());
    }

    #[test]
    fn actor_has_kind_id_and_name() {
        let check = |actor: &Actor, kind: &str, id: Option<u8>, name: Option<&str>| {
            let id = id.map(|byte| ResourceId::from_bytes([byte; 16]));
            assert_eq!((actor.kind(), actor.id(), actor.name()), (kind, id, name));
        };
        check(&Actor::ApiKey { id: ApiKeyId::from_bytes([1; 16]), name: "ci".to_owned() }, "api_key", Some(1), Some("ci"));
        let person = Actor::Person { id: UserId::from_bytes([2; 16]), email: "a@example.com".to_owned() };
        check(&person, "person", Some(2), Some("a@example.com"));
        check(&Actor::Portal { application: ApplicationId::from_bytes([3; 16]) }, "portal", Some(3), None);
        check(&Actor::Operator, "operator", None, None);
        check(&Actor::System, "system", None, None);
    }
}
