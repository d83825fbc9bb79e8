//! Saved views: named filters of a list in the dashboard, kept by one user or shared in an environment.
//!
//! The server stores the filters and never applies them: a list interprets its own.

use std::collections::BTreeMap;

use crate::{
    InvalidField,
    base::{
        ids::{UserId, ViewId},
        text::{check_line, got},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
};

/// Maximum number of shared views of an environment, and of own views of a user in an environment. Each is one tab of a
/// page, so a list of more serves nobody.
pub const VIEWS_MAX: u64 = 100;
/// Maximum length of `name`, in characters.
const NAME_MAX: usize = 100;
/// Maximum number of filters of a view.
const FILTERS_MAX: usize = 20;
/// Maximum length of a filter's name, in characters.
const FILTER_NAME_MAX: usize = 64;
/// Maximum length of all names and values of a view's filters, in bytes. A URL with them still fits into a request.
const FILTERS_BYTES_MAX: usize = 4_096;

/// Filters of a view: names as in the list's query, each with its value.
pub type Filters = BTreeMap<String, String>;

/// Saved view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Unique id.
    pub id: ViewId,
    /// Tenant that owns it.
    pub tenant: Tenant,
    /// User who created it; `None` if an API key did. A view that is not shared has an owner.
    pub owner_id: Option<UserId>,
    /// Name, unique among the shared views of a page, and among a user's own.
    pub name: String,
    /// List that it filters.
    pub page: ViewPage,
    /// Filters of the list.
    pub filters: Filters,
    /// Whether all users of the environment see it, or its owner only.
    pub shared: bool,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// List that a view filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewPage {
    /// Messages.
    Messages,
    /// Attempts.
    Attempts,
    /// Endpoints.
    Endpoints,
    /// Applications.
    Applications,
    /// Event types.
    EventTypes,
    /// Jobs.
    Jobs,
    /// Audit log.
    AuditLog,
}

impl ViewPage {
    /// All lists.
    pub const ALL: [Self; 7] =
        [Self::Messages, Self::Attempts, Self::Endpoints, Self::Applications, Self::EventTypes, Self::Jobs, Self::AuditLog];

    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Attempts => "attempts",
            Self::Endpoints => "endpoints",
            Self::Applications => "applications",
            Self::EventTypes => "event_types",
            Self::Jobs => "jobs",
            Self::AuditLog => "audit_log",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// Lists the allowed words.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let found = Self::ALL.into_iter().find(|page| page.as_str() == word);
        found.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            InvalidField::new("page", format!("must be one of {words}{}", got(word)))
        })
    }
}

/// Caller, as far as views depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewCaller {
    /// Signed-in user; `None` for an API key.
    pub user: Option<UserId>,
    /// Whether the caller may create, change and delete shared views.
    pub may_share: bool,
}

/// Access of a caller to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewAccess {
    /// The view is another user's own: it does not exist for the caller.
    Hidden,
    /// The caller may read the view.
    Read,
    /// The caller may read, change and delete the view.
    Write,
}

/// Refusal to make a view shared, or a user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharingRefused {
    /// The caller may not create or change shared views.
    MayNotShare,
    /// An API key has no own views.
    NoUser,
    /// The view is another user's, who alone may keep it to themselves.
    OtherOwner,
}

impl View {
    /// Decides the access of a caller: to an own view, all; to a shared one, by permission.
    pub fn access(&self, caller: ViewCaller) -> ViewAccess {
        let is_own = caller.user.is_some() && caller.user == self.owner_id;
        match (self.shared, is_own, caller.may_share) {
            (false, true, _) | (true, _, true) => ViewAccess::Write,
            (true, _, false) => ViewAccess::Read,
            (false, false, _) => ViewAccess::Hidden,
        }
    }

    /// Checks that a caller may make a view of this owner shared, or not shared.
    ///
    /// # Errors
    /// Says what the caller lacks.
    pub fn check_sharing(owner: Option<UserId>, shared: bool, caller: ViewCaller) -> Result<(), SharingRefused> {
        match (shared, caller.user) {
            (true, _) if caller.may_share => Ok(()),
            (true, _) => Err(SharingRefused::MayNotShare),
            (false, None) => Err(SharingRefused::NoUser),
            (false, user) if user == owner => Ok(()),
            (false, Some(_)) => Err(SharingRefused::OtherOwner),
        }
    }
}

/// Limit on the number of views, reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyViews {
    /// Whether the shared views of the environment are meant, or the user's own.
    pub shared: bool,
}

/// Checks the name of a view.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_name(name: &str) -> Result<(), InvalidField> {
    check_line("name", name, NAME_MAX)
}

/// Checks the number and size of a view's filters, and their names: lower-case letters, digits and `_`.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_filters(filters: &Filters) -> Result<(), InvalidField> {
    let problem = |problem: String| Err(InvalidField::new("filters", problem));
    if filters.len() > FILTERS_MAX {
        return problem(format!("must have at most {FILTERS_MAX} filters; got {}", filters.len()));
    }
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_name = |name: &str| !name.is_empty() && name.len() <= FILTER_NAME_MAX && name.bytes().all(is_letter);
    if !filters.keys().all(|name| is_name(name)) {
        return problem(format!("must have names of 1 to {FILTER_NAME_MAX} lower-case letters, digits and _, such as event_type"));
    }
    if filters.values().any(|value| value.contains(char::is_control)) {
        return problem("has a value with a control character; values are texts of one line".to_owned());
    }
    let bytes: usize = filters.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > FILTERS_BYTES_MAX {
        return problem(format!("must have at most {FILTERS_BYTES_MAX} bytes of names and values; got {bytes}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{EnvironmentId, OrganizationId};

    const OWNER: UserId = UserId::from_bytes([1; 16]);
    const OTHER: UserId = UserId::from_bytes([2; 16]);

    fn view(owner_id: Option<UserId>, shared: bool) -> View {
        View {
            id: ViewId::from_bytes([3; 16]),
            tenant: Tenant { organization: OrganizationId::from_bytes([4; 16]), environment: EnvironmentId::from_bytes([5; 16]) },
            owner_id,
            name: "Failed".to_owned(),
            page: ViewPage::Messages,
            filters: Filters::new(),
            shared,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }

    const fn caller(user: Option<UserId>, may_share: bool) -> ViewCaller {
        ViewCaller { user, may_share }
    }

    #[test]
    fn own_view_is_its_owners_and_shared_one_follows_the_permission() {
        let check = |owner, shared, by, expected| assert_eq!(view(owner, shared).access(by), expected, "{owner:?} {shared} {by:?}");
        check(Some(OWNER), false, caller(Some(OWNER), false), ViewAccess::Write);
        check(Some(OWNER), false, caller(Some(OTHER), true), ViewAccess::Hidden);
        check(Some(OWNER), false, caller(None, true), ViewAccess::Hidden);
        check(Some(OWNER), true, caller(Some(OWNER), false), ViewAccess::Read);
        check(Some(OWNER), true, caller(Some(OTHER), true), ViewAccess::Write);
        check(None, true, caller(None, true), ViewAccess::Write);
        check(None, true, caller(None, false), ViewAccess::Read);
        check(None, false, caller(None, true), ViewAccess::Hidden);
    }

    #[test]
    fn sharing_needs_the_permission_and_keeping_needs_the_owner() {
        let check = |owner, shared, by, expected| assert_eq!(View::check_sharing(owner, shared, by), expected, "{owner:?} {shared} {by:?}");
        check(Some(OWNER), true, caller(Some(OWNER), true), Ok(()));
        check(Some(OWNER), true, caller(Some(OWNER), false), Err(SharingRefused::MayNotShare));
        check(None, true, caller(None, true), Ok(()));
        check(Some(OWNER), false, caller(Some(OWNER), false), Ok(()));
        check(Some(OWNER), false, caller(Some(OTHER), true), Err(SharingRefused::OtherOwner));
        check(None, false, caller(Some(OTHER), true), Err(SharingRefused::OtherOwner));
        check(None, false, caller(None, true), Err(SharingRefused::NoUser));
    }

    #[test]
    fn page_is_one_of_the_lists() {
        for page in ViewPage::ALL {
            assert_eq!(ViewPage::parse(page.as_str()), Ok(page));
        }
        let problem = ViewPage::parse("sources").expect_err("unknown").problem;
        assert!(problem.starts_with("must be one of messages, attempts, ") && problem.ends_with("; got \"sources\""), "{problem}");
    }

    #[test]
    fn filters_are_bounded_in_number_names_and_size() {
        let check = |filters: &[(&str, &str)], expected: bool| {
            let filters: Filters = filters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(check_filters(&filters).is_ok(), expected, "{filters:?}");
        };
        check(&[], true);
        check(&[("status", "failed"), ("event_type", "invoice.paid,größe")], true);
        check(&[("", "a")], false);
        check(&[("Status", "a")], false);
        check(&[(&"a".repeat(FILTER_NAME_MAX + 1), "a")], false);
        check(&[("search", "a\nb")], false);
        check(&[("search", &"a".repeat(FILTERS_BYTES_MAX - 6))], true);
        check(&[("search", &"a".repeat(FILTERS_BYTES_MAX - 5))], false);
        let many: Filters = (0..=FILTERS_MAX).map(|number| (format!("f{number}"), String::new())).collect();
        assert!(check_filters(&many).is_err());
    }
}
