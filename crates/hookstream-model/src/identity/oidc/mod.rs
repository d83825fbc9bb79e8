//! Signing in with a provider of OpenID Connect: what it says of somebody, and what that makes them here.
//!
//! [`token`] verifies what it says; [`arrive`] decides. The rule that matters most is about an account that is there
//! already, with the address that the provider names. Whoever made it may not be whose address it is: an administrator
//! may have accepted an invitation in somebody's name and wait for them to come (pre-hijacking). So a provider's word
//! leads into such an account only where the address was proved here as well, by a link that was sent to it.

pub mod keys;
pub mod token;

use serde::Deserialize;

use crate::{base::ids::UserId, identity::user::Email};

/// The longest subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_MAX: usize = 255;

/// What a provider says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// What it calls them, for ever.
    pub subject: String,
    /// Their address, where it tells one.
    pub email: Option<Email>,
    /// Whether it has seen to it that the address is theirs.
    pub is_email_verified: bool,
    /// Their name, where it tells one that can be one here.
    pub name: Option<String>,
}

/// The same as it stands in a token and in what the provider answers for one.
#[derive(Debug, Deserialize)]
struct RawClaims {
    sub: String,
    email: Option<String>,
    email_verified: Option<Flag>,
    name: Option<String>,
}

/// Some providers write it as text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Flag {
    Native(bool),
    Text(String),
}

impl From<RawClaims> for Claims {
    fn from(told: RawClaims) -> Self {
        let is_email_verified = match told.email_verified {
            Some(Flag::Native(is)) => is,
            Some(Flag::Text(text)) => text == "true",
            None => false,
        };
        Self {
            subject: told.sub,
            email: told.email.and_then(|email| Email::parse(&email).ok()),
            is_email_verified,
            name: told.name.filter(|name| crate::identity::user::check_name(name).is_ok()),
        }
    }
}

impl Claims {
    /// Takes what the provider answers about the owner of an access token (section 5.3.2) for what the ID token leaves out.
    /// `None` where it is no answer, or about somebody else.
    #[must_use]
    pub fn completed(self, answer: &[u8]) -> Option<Self> {
        let told = Self::from(serde_json::from_slice::<RawClaims>(answer).ok()?);
        if told.subject != self.subject {
            return None;
        }
        let name = self.name.or(told.name);
        Some(match self.email {
            // Whether it is verified is said beside the address it is said of.
            Some(_) => Self { name, ..self },
            None => Self { name, subject: self.subject, ..told },
        })
    }

    /// The address, where it is theirs.
    fn verified_email(&self) -> Option<&Email> {
        self.email.as_ref().filter(|_| self.is_email_verified)
    }
}

/// What is known here of somebody who comes from a provider.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Whose the identity is.
    pub identified: Option<UserId>,
    /// Who is signed in and wants to connect it.
    pub connecting: Option<UserId>,
    /// Who has the address that the provider names.
    pub account: Option<Account>,
    /// Whether that address is invited.
    pub is_invited: bool,
}

/// An account, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Whose.
    pub id: UserId,
    /// Whether the address was proved to be theirs.
    pub is_verified: bool,
    /// Whether it has a second factor.
    pub has_second_factor: bool,
}

/// What becomes of somebody who comes from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// They sign in.
    SignIn(UserId),
    /// They are signed in, and sign in with this from now on too.
    Connect(UserId),
    /// They sign in to the account that has their address, and do so from now on.
    Adopt(UserId),
    /// They are new, and join where they are invited.
    Join,
    /// They do not come in.
    Refused(Refusal),
}

/// Why somebody does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The provider names no address, or has not seen to it that it is theirs.
    AddressNotVerified,
    /// The address is in none of the domains that the provider is good for.
    OtherDomain,
    /// There is an account with the address, which they have to sign in to first.
    ConnectFirst,
    /// Nobody invited them.
    NotInvited,
    /// Somebody else here signs in with it.
    Taken,
}

/// Whether the provider names an address in one of these domains, where there are any.
pub fn is_of_domains(claims: &Claims, domains: &[String]) -> Result<(), Refusal> {
    if domains.is_empty() {
        return Ok(());
    }
    let email = claims.verified_email().ok_or(Refusal::AddressNotVerified)?;
    let (_, domain) = email.as_str().rsplit_once('@').ok_or(Refusal::OtherDomain)?;
    if domains.iter().any(|allowed| allowed == domain) { Ok(()) } else { Err(Refusal::OtherDomain) }
}

/// What becomes of somebody.
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
        // A second factor that somebody has set up here is not passed by with a provider that they did not connect.
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
    fn who_comes_in_and_who_does_not() {
        let verified = claims(Some("ada@example.com"), true);
        let account = |is_verified, has_second_factor| Some(Account { id: user(1), is_verified, has_second_factor });
        let check = |claims: &Claims, known: Known, expected: Arrival| assert_eq!(arrive(claims, known), expected, "{claims:?} {known:?}");
        let nobody = Known::default();
        let refused = Arrival::Refused;

        // Whoever is known comes in whatever the address is by now.
        check(&claims(None, false), Known { identified: Some(user(1)), ..nobody }, Arrival::SignIn(user(1)));
        check(&verified, Known { identified: Some(user(1)), account: account(false, true), ..nobody }, Arrival::SignIn(user(1)));
        // Whoever is signed in connects what is nobody's.
        check(&claims(None, false), Known { connecting: Some(user(1)), ..nobody }, Arrival::Connect(user(1)));
        check(&verified, Known { identified: Some(user(1)), connecting: Some(user(1)), ..nobody }, Arrival::SignIn(user(1)));
        check(&verified, Known { identified: Some(user(2)), connecting: Some(user(1)), ..nobody }, refused(Refusal::Taken));
        // An account with the address is adopted only where that was proved here, and has no lock of its own.
        check(&verified, Known { account: account(true, false), ..nobody }, Arrival::Adopt(user(1)));
        check(&verified, Known { account: account(false, false), ..nobody }, refused(Refusal::ConnectFirst));
        check(&verified, Known { account: account(true, true), ..nobody }, refused(Refusal::ConnectFirst));
        check(&verified, Known { account: account(false, false), is_invited: true, ..nobody }, refused(Refusal::ConnectFirst));
        // New people are invited.
        check(&verified, Known { is_invited: true, ..nobody }, Arrival::Join);
        check(&verified, nobody, refused(Refusal::NotInvited));
        for claims in [claims(Some("ada@example.com"), false), claims(None, true)] {
            let known = Known { account: account(true, false), is_invited: true, ..nobody };
            check(&claims, known, refused(Refusal::AddressNotVerified));
        }
    }

    #[test]
    fn a_provider_may_be_good_for_some_domains_only() {
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
    fn what_the_token_leaves_out_is_asked_for_of_the_same_person() {
        let check = |token: Claims, answer: &str, expected: Option<Claims>| {
            assert_eq!(token.completed(answer.as_bytes()), expected, "{answer}");
        };
        let told = r#"{"sub": "1", "email": "ada@example.com", "email_verified": "true", "name": "Ada", "more": [1]}"#;
        let whole = Claims { name: Some("Ada".to_owned()), ..claims(Some("ada@example.com"), true) };
        check(claims(None, false), told, Some(whole));
        // What the token says of the address stands.
        let other = claims(Some("ada@example.org"), false);
        check(other.clone(), told, Some(Claims { name: Some("Ada".to_owned()), ..other }));
        check(claims(None, true), r#"{"sub": "1", "email": "ada@example.com"}"#, Some(claims(Some("ada@example.com"), false)));
        check(claims(None, false), r#"{"sub": "2", "email": "ada@example.com"}"#, None);
        check(claims(None, false), r#"{"email": "ada@example.com"}"#, None);
        check(claims(None, false), "ada@example.com", None);
    }
}
