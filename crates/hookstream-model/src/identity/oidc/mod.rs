//! Sign-in with an OpenID Connect provider: the provider's claims about a user, and the resulting decision.
//!
//! [`token`] verifies the claims; [`arrive`] decides. The most important rule concerns an existing account with the
//! address that the provider names. Its creator may not own that address: an administrator may have accepted an
//! invitation in another person's name and wait for them (pre-hijacking). So a provider's claim opens such an account
//! only if the address was verified here too, by a link that was sent to it.

pub mod keys;
pub mod token;

use serde::Deserialize;

use crate::{base::ids::UserId, identity::user::Email};

/// Maximum length of a subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_MAX: usize = 255;

/// Claims of a provider about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Permanent id of the user at the provider.
    pub subject: String,
    /// Email address, if the provider names one.
    pub email: Option<Email>,
    /// True if the provider has verified the address.
    pub is_email_verified: bool,
    /// Display name, if the provider names a valid one.
    pub name: Option<String>,
}

/// Claims as they appear in a token and in a userinfo response.
#[derive(Debug, Deserialize)]
struct RawClaims {
    sub: String,
    email: Option<String>,
    email_verified: Option<Flag>,
    name: Option<String>,
}

/// Boolean claim; some providers send it as text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Flag {
    Native(bool),
    Text(String),
}

impl From<RawClaims> for Claims {
    fn from(raw: RawClaims) -> Self {
        let is_email_verified = match raw.email_verified {
            Some(Flag::Native(is)) => is,
            Some(Flag::Text(text)) => text == "true",
            None => false,
        };
        Self {
            subject: raw.sub,
            email: raw.email.and_then(|email| Email::parse(&email).ok()),
            is_email_verified,
            name: raw.name.filter(|name| crate::identity::user::check_name(name).is_ok()),
        }
    }
}

impl Claims {
    /// Adds the claims of a userinfo response (section 5.3.2) that the ID token lacks. Returns `None` if the response
    /// is invalid or about another user.
    #[must_use]
    pub fn completed(self, response: &[u8]) -> Option<Self> {
        let raw = Self::from(serde_json::from_slice::<RawClaims>(response).ok()?);
        if raw.subject != self.subject {
            return None;
        }
        let name = self.name.or(raw.name);
        Some(match self.email {
            // Verification belongs to the address of the same document.
            Some(_) => Self { name, ..self },
            None => Self { name, subject: self.subject, ..raw },
        })
    }

    /// Address, if the provider has verified it.
    fn verified_email(&self) -> Option<&Email> {
        self.email.as_ref().filter(|_| self.is_email_verified)
    }
}

/// Facts known here about a user who comes from a provider.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// User who has this provider identity.
    pub identified: Option<UserId>,
    /// Signed-in user who wants to connect the identity.
    pub connecting: Option<UserId>,
    /// Account with the address that the provider names.
    pub account: Option<Account>,
    /// True if that address has an invitation.
    pub is_invited: bool,
}

/// Account, as far as the decision needs it.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// User of the account.
    pub id: UserId,
    /// True if the address was verified here.
    pub is_verified: bool,
    /// True if the account has a second factor.
    pub has_second_factor: bool,
}

/// Decision about a user who comes from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Sign in as this user.
    SignIn(UserId),
    /// Connect the identity to this signed-in user.
    Connect(UserId),
    /// Sign in to the account with the same address, and connect the identity to it.
    Adopt(UserId),
    /// Create a new user, who joins the inviting organizations.
    Join,
    /// Reject the sign-in.
    Refused(Refusal),
}

/// Reason to reject a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The provider names no address, or has not verified it.
    AddressNotVerified,
    /// The address is in none of the provider's allowed domains.
    OtherDomain,
    /// An account with the address exists; its user must sign in first and connect the provider.
    ConnectFirst,
    /// The address has no invitation.
    NotInvited,
    /// Another user here has this identity.
    Taken,
}

/// Checks that the provider names a verified address in one of these domains; an empty list allows all.
pub fn is_of_domains(claims: &Claims, domains: &[String]) -> Result<(), Refusal> {
    if domains.is_empty() {
        return Ok(());
    }
    let email = claims.verified_email().ok_or(Refusal::AddressNotVerified)?;
    let (_, domain) = email.as_str().rsplit_once('@').ok_or(Refusal::OtherDomain)?;
    if domains.iter().any(|allowed| allowed == domain) { Ok(()) } else { Err(Refusal::OtherDomain) }
}

/// Decides about a user who comes from a provider.
pub fn arrive(claims: &Claims, known: Known) -> Arrival {
    match (known.identified, known.connecting) {
        (Some(user), Some(connecting)) if user != connecting => return Arrival::Refused(Refusal::Taken),
        (Some(user), _) => return Arrival::SignIn(user),
        (None, Some(connecting)) => return Arrival::Connect(connecting),
        (None, None) => {}
    }
    if claims.verified_email().is_none() {
        return Arrival::Refused(Refusal::AddressNotVerified);
    }
    match known.account {
        // A provider that the user did not connect must not bypass a second factor.
        Some(account) if account.is_verified && !account.has_second_factor => Arrival::Adopt(account.id),
        Some(_) => Arrival::Refused(Refusal::ConnectFirst),
        None if known.is_invited => Arrival::Join,
        None => Arrival::Refused(Refusal::NotInvited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(email: Option<&str>, is_email_verified: bool) -> Claims {
        let email = email.map(|email| Email::parse(email).expect("an address"));
        Claims { subject: "1".to_owned(), email, is_email_verified, name: None }
    }

    fn user(byte: u8) -> UserId {
        UserId::from_bytes([byte; 16])
    }

    #[test]
    fn arrival_decides_by_identity_account_and_invitation() {
        let verified = claims(Some("ada@example.com"), true);
        let account = |is_verified, has_second_factor| Some(Account { id: user(1), is_verified, has_second_factor });
        let check = |claims: &Claims, known: Known, expected: Arrival| assert_eq!(arrive(claims, known), expected, "{claims:?} {known:?}");
        let unknown = Known::default();
        let refused = Arrival::Refused;

        // A known identity signs in, whatever its address is by now.
        check(&claims(None, false), Known { identified: Some(user(1)), ..unknown }, Arrival::SignIn(user(1)));
        check(&verified, Known { identified: Some(user(1)), account: account(false, true), ..unknown }, Arrival::SignIn(user(1)));
        // A signed-in user connects an unused identity.
        check(&claims(None, false), Known { connecting: Some(user(1)), ..unknown }, Arrival::Connect(user(1)));
        check(&verified, Known { identified: Some(user(1)), connecting: Some(user(1)), ..unknown }, Arrival::SignIn(user(1)));
        check(&verified, Known { identified: Some(user(2)), connecting: Some(user(1)), ..unknown }, refused(Refusal::Taken));
        // An account with the address is adopted only if the address was verified here and there is no second factor.
        check(&verified, Known { account: account(true, false), ..unknown }, Arrival::Adopt(user(1)));
        check(&verified, Known { account: account(false, false), ..unknown }, refused(Refusal::ConnectFirst));
        check(&verified, Known { account: account(true, true), ..unknown }, refused(Refusal::ConnectFirst));
        check(&verified, Known { account: account(false, false), is_invited: true, ..unknown }, refused(Refusal::ConnectFirst));
        // New users need an invitation.
        check(&verified, Known { is_invited: true, ..unknown }, Arrival::Join);
        check(&verified, unknown, refused(Refusal::NotInvited));
        for claims in [claims(Some("ada@example.com"), false), claims(None, true)] {
            let known = Known { account: account(true, false), is_invited: true, ..unknown };
            check(&claims, known, refused(Refusal::AddressNotVerified));
        }
    }

    #[test]
    fn provider_may_be_limited_to_domains() {
        let check = |claims: &Claims, domains: &[&str], expected: Result<(), Refusal>| {
            let domains: Vec<_> = domains.iter().map(|domain| (*domain).to_owned()).collect();
            assert_eq!(is_of_domains(claims, &domains), expected, "{claims:?} {domains:?}");
        };
        let ada = claims(Some("ada@Example.com"), true);
        check(&ada, &[], Ok(()));
        check(&claims(None, false), &[], Ok(()));
        check(&ada, &["example.org", "example.com"], Ok(()));
        check(&ada, &["example.org"], Err(Refusal::OtherDomain));
        check(&ada, &["ample.com"], Err(Refusal::OtherDomain));
        check(&claims(Some("ada@mail.example.com"), true), &["example.com"], Err(Refusal::OtherDomain));
        check(&claims(Some("ada@example.com"), false), &["example.com"], Err(Refusal::AddressNotVerified));
    }

    #[test]
    fn userinfo_completes_the_token_for_the_same_subject() {
        let check = |token: Claims, response: &str, expected: Option<Claims>| {
            assert_eq!(token.completed(response.as_bytes()), expected, "{response}");
        };
        let raw = r#"{"sub": "1", "email": "ada@example.com", "email_verified": "true", "name": "Ada", "more": [1]}"#;
        let whole = Claims { name: Some("Ada".to_owned()), ..claims(Some("ada@example.com"), true) };
        check(claims(None, false), raw, Some(whole));
        // The token's statement about the address takes precedence.
        let other = claims(Some("ada@example.org"), false);
        check(other.clone(), raw, Some(Claims { name: Some("Ada".to_owned()), ..other }));
        check(claims(None, true), r#"{"sub": "1", "email": "ada@example.com"}"#, Some(claims(Some("ada@example.com"), false)));
        check(claims(None, false), r#"{"sub": "2", "email": "ada@example.com"}"#, None);
        check(claims(None, false), r#"{"email": "ada@example.com"}"#, None);
        check(claims(None, false), "ada@example.com", None);
    }
}
