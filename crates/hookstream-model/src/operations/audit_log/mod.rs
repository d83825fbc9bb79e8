//! The audit log: who did what, from where, and how it was before and after.
//!
//! Every change of what is configured is an [`AuditContext`] that leaves one entry, in the commit of the change; the store's
//! functions take the act and write the entry. What an entry shows of a resource is decided in [`fields`]: no secret.

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

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A program with an API key.
    ApiKey {
        /// The key's id.
        id: ApiKeyId,
        /// The name its owner gave it.
        name: String,
    },
    /// Somebody who signed in.
    Person {
        /// Who.
        id: UserId,
        /// The address they sign in with.
        email: String,
    },
    /// A customer in the portal of an application.
    Portal {
        /// Whose portal it is.
        application: ApplicationId,
    },
    /// Whoever runs the installation, with a command that works on the store.
    Operator,
    /// Hookstream itself.
    System,
}

impl Actor {
    /// Somebody who signed in.
    pub fn of_person(user: &User) -> Self {
        Self::Person { id: user.id, email: user.email.to_string() }
    }

    /// Its kind's word in the API and in the store.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey { .. } => "api_key",
            Self::Person { .. } => "person",
            Self::Portal { .. } => "portal",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }

    /// The id of who it is, where there are several of the kind.
    pub fn id(&self) -> Option<ResourceId> {
        match self {
            Self::ApiKey { id, .. } => Some(ResourceId::from_bytes(*id.as_bytes())),
            Self::Person { id, .. } => Some(ResourceId::from_bytes(*id.as_bytes())),
            Self::Portal { application } => Some(ResourceId::from_bytes(*application.as_bytes())),
            Self::Operator | Self::System => None,
        }
    }

    /// What people know it by. It is kept as it was then: keys and people may go.
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
        /// What is done: the kind of resource, a dot, and a verb. The words stand in entries, so none is ever renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its word in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

actions! {
    /// An application is made.
    ApplicationCreate = "application.create"
    /// An application is changed.
    ApplicationUpdate = "application.update"
    /// An application is deleted, and its endpoints with it.
    ApplicationDelete = "application.delete"
    /// A token for the portal of an application is made.
    ApplicationGivePortalAccess = "application.give_portal_access"
    /// An endpoint is made.
    EndpointCreate = "endpoint.create"
    /// An endpoint is changed.
    EndpointUpdate = "endpoint.update"
    /// An endpoint is deleted.
    EndpointDelete = "endpoint.delete"
    /// An endpoint gets a new signing secret.
    EndpointRotateSecret = "endpoint.rotate_secret"
    /// An endpoint's signing secrets are shown to somebody who asked for them.
    EndpointRevealSecret = "endpoint.reveal_secret"
    /// What keeps an endpoint's deliveries back is ended by hand.
    EndpointResetCircuit = "endpoint.reset_circuit"
    /// A test message is sent to an endpoint.
    EndpointTest = "endpoint.test"
    /// Hookstream disables an endpoint by itself.
    EndpointDisable = "endpoint.disable"
    /// An event type is made.
    EventTypeCreate = "event_type.create"
    /// An event type is changed.
    EventTypeUpdate = "event_type.update"
    /// An event type is deleted.
    EventTypeDelete = "event_type.delete"
    /// An organization is made, with its first environment and its owner.
    OrganizationCreate = "organization.create"
    /// An organization is renamed.
    OrganizationUpdate = "organization.update"
    /// An organization is deleted.
    OrganizationDelete = "organization.delete"
    /// The deletion of an organization is taken back.
    OrganizationRestore = "organization.restore"
    /// What an organization may have is decided anew.
    OrganizationSetQuotas = "organization.set_quotas"
    /// An owner makes another member the owner in their place.
    OrganizationTransfer = "organization.transfer"
    /// Somebody becomes an owner without an invitation: the first one, or by a command.
    MemberMakeOwner = "member.make_owner"
    /// A member gets another role.
    MemberUpdate = "member.update"
    /// A member is removed, or leaves.
    MemberRemove = "member.remove"
    /// Somebody is invited.
    InvitationCreate = "invitation.create"
    /// An invitation is taken back.
    InvitationDelete = "invitation.delete"
    /// Somebody accepts an invitation and is a member.
    InvitationAccept = "invitation.accept"
    /// An environment is made.
    EnvironmentCreate = "environment.create"
    /// An environment is changed.
    EnvironmentUpdate = "environment.update"
    /// An environment is deleted.
    EnvironmentDelete = "environment.delete"
    /// The deletion of an environment is taken back.
    EnvironmentRestore = "environment.restore"
    /// An API key is made.
    ApiKeyCreate = "api_key.create"
    /// An API key is replaced by another.
    ApiKeyRotate = "api_key.rotate"
    /// An API key is revoked.
    ApiKeyRevoke = "api_key.revoke"
    /// A recovery is started.
    JobRecover = "job.recover"
    /// A replay is started.
    JobReplay = "job.replay"
    /// A job is called off.
    JobCancel = "job.cancel"
    /// A message is sent again by hand.
    MessageRetry = "message.retry"
    /// Somebody signs in.
    PersonSignIn = "person.sign_in"
    /// Somebody ends sessions of theirs, or signs out.
    PersonEndSessions = "person.end_sessions"
    /// Somebody changes what they are called.
    PersonUpdate = "person.update"
    /// Somebody gets another password.
    PersonChangePassword = "person.change_password"
    /// Signing in takes a second factor from then on.
    PersonAddSecondFactor = "person.add_second_factor"
    /// Signing in takes no second factor any more.
    PersonRemoveSecondFactor = "person.remove_second_factor"
    /// Somebody gets other recovery codes.
    PersonReplaceRecoveryCodes = "person.replace_recovery_codes"
    /// Somebody signs in with a provider from then on.
    PersonConnectProvider = "person.connect_provider"
    /// Somebody signs in with a provider no more.
    PersonDisconnectProvider = "person.disconnect_provider"
    /// Secrets are sealed anew, and earlier encryption keys retired.
    InstallationRotateKey = "installation.rotate_key"
    /// Portal tokens are signed with another key.
    InstallationRotatePortalKey = "installation.rotate_portal_key"
}

impl Action {
    /// The kind of resource that it is done to.
    pub fn resource_type(self) -> &'static str {
        self.as_str().split_once('.').map_or("", |(resource, _)| resource)
    }

    /// Reads a word of a filter.
    ///
    /// # Errors
    /// Names those there are.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let words = || Self::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ");
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.as_str() == word)
            .ok_or_else(|| InvalidField::new("action", format!("must be one of {}", words())))
    }
}

/// Reads a kind of resource of a filter.
///
/// # Errors
/// Names those there are.
pub fn parse_resource_type(word: &str) -> Result<&'static str, InvalidField> {
    let mut types: Vec<_> = Action::ALL.iter().map(|action| action.resource_type()).collect();
    types.dedup();
    let found = types.iter().copied().find(|resource| *resource == word);
    found.ok_or_else(|| InvalidField::new("resource_type", format!("must be one of {}", types.join(", "))))
}

/// Who does something, from where and when: what an entry says besides the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditContext {
    /// The id of the entry that tells of it. An act that is recorded twice leaves one entry.
    pub entry: EntryId,
    /// When it is done.
    pub at: Timestamp,
    /// Who does it.
    pub actor: Actor,
    /// Where the request comes from.
    pub address: Option<IpAddr>,
    /// The request's id, as its answer and the log have it.
    pub request_id: Option<String>,
}

impl AuditContext {
    /// Something that Hookstream does by itself.
    pub fn of_system(entry: impl Into<EntryId>, at: Timestamp) -> Self {
        Self { entry: entry.into(), at, actor: Actor::System, address: None, request_id: None }
    }

    /// Something that whoever runs the installation does with a command.
    pub fn of_operator(entry: impl Into<EntryId>, at: Timestamp) -> Self {
        Self { actor: Actor::Operator, ..Self::of_system(entry, at) }
    }

    /// The same act for the entry that another organization has of it. They are told apart by `number`, from 0.
    pub fn with_entry_of(&self, number: u64) -> Self {
        let mut id = *self.entry.as_bytes();
        let (_, end) = id.split_at_mut(8);
        let counted = u64::from_be_bytes(end.try_into().expect("eight bytes")).wrapping_add(number);
        end.copy_from_slice(&counted.to_be_bytes());
        Self { entry: EntryId::from_bytes(id), ..self.clone() }
    }
}

/// What an entry shows of how it was before and after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Before; nothing of what was made.
    pub before: Option<Map<String, Value>>,
    /// After; nothing of what was removed.
    pub after: Option<Map<String, Value>>,
}

impl Change {
    /// Something was made: what it is, without what it leaves out.
    pub fn made(resource: &impl Audited) -> Self {
        Self { before: None, after: Some(resource.fields().shown()) }
    }

    /// Something was removed: what it was.
    pub fn removed(resource: &impl Audited) -> Self {
        Self { before: Some(resource.fields().shown()), after: None }
    }

    /// Something was changed: the fields that differ. `None` where none does.
    pub fn between(before: &impl Audited, after: &impl Audited) -> Option<Self> {
        Self::of(&before.fields(), &after.fields())
    }

    /// The fields that differ; `None` where none does.
    pub fn of(before: &Fields, after: &Fields) -> Option<Self> {
        let (before, after) = fields::differing(before, after);
        (!after.is_empty()).then_some(Self { before: Some(before), after: Some(after) })
    }

    /// Something was done that changes no field of the resource: what there is to say of it.
    pub fn done(with: &Fields) -> Self {
        Self { before: None, after: Some(with.shown()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_filters_read_back_and_others_are_refused_with_those_there_are() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Ok(*action));
            assert_eq!(parse_resource_type(action.resource_type()), Ok(action.resource_type()));
        }
        let problem = Action::parse("application.make").expect_err("there is none").problem;
        assert!(problem.contains("application.create, application.update"), "{problem}");
        let problem = parse_resource_type("thing").expect_err("there is none").problem;
        assert_eq!(
            problem,
            "must be one of application, endpoint, event_type, organization, member, invitation, environment, api_key, job, message, person, installation"
        );
    }

    #[test]
    fn every_action_stands_in_the_documentation() {
        let page = include_str!("../../../../../docs/security.md");
        for action in Action::ALL {
            assert!(page.contains(&format!("| `{}` |", action.as_str())), "docs/security.md does not tell of {}", action.as_str());
        }
    }

    #[test]
    fn entries_of_one_act_have_ids_of_their_own_and_the_same_time() {
        let act = AuditContext::of_system(EntryId::from_bytes([7; 16]), Timestamp::EPOCH);
        assert_eq!(act.with_entry_of(0), act);
        let other = act.with_entry_of(1);
        assert_ne!(other.entry, act.entry);
        assert_eq!(other.entry.timestamp(), act.entry.timestamp());
    }

    #[test]
    fn an_actor_is_told_by_its_kind_id_and_name() {
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
