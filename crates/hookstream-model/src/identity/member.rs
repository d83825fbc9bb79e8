//! Roles: what a member of an organization may do in it.

use crate::{
    InvalidField,
    base::text::got,
    identity::scopes::{
        Resource::{self, ApiKeys, Audit, Environments, Members, Organization},
        Scope, Scopes, Verb,
    },
};

/// What a member is. The words stand in rows and answers, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees, and changes nothing.
    Viewer,
    /// Works with applications, endpoints, messages and API keys.
    Developer,
    /// Does everything but what is about owners and the end of the organization.
    Admin,
    /// Does everything. An organization has one at the least.
    Owner,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Developer, Self::Admin, Self::Owner];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// The same of what somebody wrote in a field `role`.
    ///
    /// # Errors
    /// Names the words there are.
    pub fn read(word: &str) -> Result<Self, InvalidField> {
        Self::parse(word)
            .ok_or_else(|| InvalidField::new("role", format!("must be `owner`, `admin`, `developer` or `viewer`{}", got(word))))
    }

    /// What it may do.
    pub fn scopes(self) -> Scopes {
        let administers = [Environments, Members, Organization].map(Scope::write);
        match self {
            Self::Viewer => Scopes::of_verb(Verb::Read).without(Scopes::of([Scope::read(Audit), Scope::read(ApiKeys)])),
            Self::Developer => Scopes::of(Resource::ALL.into_iter().flat_map(|resource| [Scope::read(resource), Scope::write(resource)]))
                .without(Scopes::of(administers))
                .without(Scopes::of([Scope::read(Audit)])),
            Self::Admin | Self::Owner => Scopes::EVERYTHING,
        }
    }

    /// Whether somebody with this role may give a role to somebody who has `now`, or take it: of owners only owners may.
    pub fn may_change(self, now: Option<Self>, to: Option<Self>) -> bool {
        self.scopes().allow(Scope::write(Members)) && (self == Self::Owner || (now != Some(Self::Owner) && to != Some(Self::Owner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_do_what_a_lower_one_may() {
        for pair in Role::ALL.windows(2) {
            assert_eq!(pair[1].scopes().lack(pair[0].scopes()), None, "{pair:?}");
        }
    }

    #[test]
    fn a_viewer_changes_nothing_and_a_developer_administers_nothing() {
        let viewer = Role::Viewer.scopes();
        assert!(Resource::ALL.into_iter().all(|resource| !viewer.allow(Scope::write(resource))));
        let developer = Role::Developer.scopes();
        assert!(developer.allow(Scope::write(ApiKeys)) && developer.allow(Scope::read(Members)));
        assert!([Members, Organization, Environments].into_iter().all(|resource| !developer.allow(Scope::write(resource))));
    }

    #[test]
    fn only_owners_deal_with_owners() {
        let check =
            |who: Role, now: Option<Role>, to: Option<Role>, may: bool| assert_eq!(who.may_change(now, to), may, "{who:?} {now:?} {to:?}");
        check(Role::Owner, Some(Role::Owner), None, true);
        check(Role::Owner, None, Some(Role::Owner), true);
        check(Role::Admin, Some(Role::Viewer), Some(Role::Admin), true);
        check(Role::Admin, Some(Role::Admin), Some(Role::Owner), false);
        check(Role::Admin, Some(Role::Owner), Some(Role::Viewer), false);
        check(Role::Admin, Some(Role::Owner), None, false);
        check(Role::Developer, Some(Role::Viewer), Some(Role::Viewer), false);
    }
}
