//! Roles: the permissions of an organization's members.

use crate::{
    InvalidField,
    base::text::got,
    identity::scopes::{
        Resource::{self, ApiKeys, Audit, Environments, Members, Organization},
        Scope, Scopes, Verb,
    },
};

/// Role of a member. The words are stored and returned by the API, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads, and changes nothing.
    Viewer,
    /// Works with applications, endpoints, messages and API keys.
    Developer,
    /// Does everything except changing owners and deleting the organization.
    Admin,
    /// Does everything. An organization has at least one owner.
    Owner,
}

impl Role {
    /// All roles, in ascending order.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Developer, Self::Admin, Self::Owner];

    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Parses the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Parses the value of a field `role`.
    ///
    /// # Errors
    /// Lists the allowed words.
    pub fn read(word: &str) -> Result<Self, InvalidField> {
        Self::parse(word)
            .ok_or_else(|| InvalidField::new("role", format!("must be `owner`, `admin`, `developer` or `viewer`{}", got(word))))
    }

    /// Scopes of the role.
    pub fn scopes(self) -> Scopes {
        let administration = [Environments, Members, Organization].map(Scope::write);
        match self {
            Self::Viewer => Scopes::of_verb(Verb::Read).without(Scopes::of([Scope::read(Audit), Scope::read(ApiKeys)])),
            Self::Developer => Scopes::of(Resource::ALL.into_iter().flat_map(|resource| [Scope::read(resource), Scope::write(resource)]))
                .without(Scopes::of(administration))
                .without(Scopes::of([Scope::read(Audit)])),
            Self::Admin | Self::Owner => Scopes::EVERYTHING,
        }
    }

    /// Returns true if a member with this role may change a member's role from `now` to `to`. Only owners may add,
    /// change or remove owners.
    pub fn may_change(self, now: Option<Self>, to: Option<Self>) -> bool {
        self.scopes().allow(Scope::write(Members)) && (self == Self::Owner || (now != Some(Self::Owner) && to != Some(Self::Owner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_role_includes_the_scopes_of_a_lower_one() {
        for pair in Role::ALL.windows(2) {
            assert_eq!(pair[1].scopes().lack(pair[0].scopes()), None, "{pair:?}");
        }
    }

    #[test]
    fn viewer_only_reads_and_developer_does_not_administer() {
        let viewer = Role::Viewer.scopes();
        assert!(Resource::ALL.into_iter().all(|resource| !viewer.allow(Scope::write(resource))));
        let developer = Role::Developer.scopes();
        assert!(developer.allow(Scope::write(ApiKeys)) && developer.allow(Scope::read(Members)));
        assert!([Members, Organization, Environments].into_iter().all(|resource| !developer.allow(Scope::write(resource))));
    }

    #[test]
    fn only_owners_may_change_owners() {
        let check = |role: Role, now: Option<Role>, to: Option<Role>, may: bool| {
            assert_eq!(role.may_change(now, to), may, "{role:?} {now:?} {to:?}");
        };
        check(Role::Owner, Some(Role::Owner), None, true);
        check(Role::Owner, None, Some(Role::Owner), true);
        check(Role::Admin, Some(Role::Viewer), Some(Role::Admin), true);
        check(Role::Admin, Some(Role::Admin), Some(Role::Owner), false);
        check(Role::Admin, Some(Role::Owner), Some(Role::Viewer), false);
        check(Role::Admin, Some(Role::Owner), None, false);
        check(Role::Developer, Some(Role::Viewer), Some(Role::Viewer), false);
    }
}
