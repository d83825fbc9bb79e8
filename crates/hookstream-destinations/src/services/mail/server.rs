//! Mail server of the operator, from the setting `smtp_url`.

use hookstream_model::base::secret::Secret;
use url::{Host, Url};

/// Encryption of the connection to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the beginning (`smtps://`, RFC 8314).
    Implicit,
    /// STARTTLS before anything else (`smtp://`, RFC 3207). A server that does not offer it gets no mail.
    StartTls,
    /// No encryption (`smtp://…?tls=none`).
    None,
}

/// Address, encryption and credentials of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) credentials: Option<(String, Secret)>,
}

impl MailServer {
    /// Parses a URL: `smtp://user:password@host:587`, `smtps://…`, or `smtp://host?tls=none`.
    ///
    /// # Errors
    /// Describes the problem in a clause that never quotes the URL, because it may contain a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "is no URL such as smtp://user:password@mail.example.com:587")?;
        let (implicit, port) = match url.scheme() {
            "smtp" => (false, 587),
            "smtps" => (true, 465),
            _ => return Err("must begin with smtp:// or smtps://"),
        };
        // For these schemes the URL parser returns an address as text.
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("has no host")?;
        let host = decoded(host)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let encryption = match (url.query(), implicit) {
            (None | Some(""), true) => Encryption::Implicit,
            (None | Some(""), false) => Encryption::StartTls,
            (Some("tls=none"), false) => Encryption::None,
            (Some(_), _) => return Err("may have ?tls=none behind smtp:// and nothing else behind a question mark"),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("has something behind the host; a password's special characters are written as %2F, %40, …");
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some((decoded(user)?, Secret::new(decoded(password)?))),
            (_, _) => return Err("has a user without a password, or a password without a user"),
        };
        if credentials.is_some() && encryption == Encryption::None && !is_loopback(&host) {
            return Err("would send a password over a connection that is not encrypted: leave ?tls=none or the password out");
        }
        Ok(Self { host, port: url.port().unwrap_or(port), encryption, credentials })
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = || text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (b'%', escaped) => {
                decoded.push(escaped().ok_or("has a % that is no escape: write %25")?);
                at += 3;
            }
            (byte, _) => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| "has escapes that are no text")?;
    if decoded.chars().any(char::is_control) { Err("has control characters") } else { Ok(decoded) }
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => host.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_names_host_encryption_and_credentials() {
        let check = |text: &str, host: &str, port: u16, encryption: Encryption, credentials: Option<(&str, &str)>| {
            let credentials = credentials.map(|(user, password)| (user.to_owned(), Secret::new(password)));
            let expected = MailServer { host: host.to_owned(), port, encryption, credentials };
            assert_eq!(MailServer::parse(text), Ok(expected), "{text}");
        };
        check("smtp://mail.example.com", "mail.example.com", 587, Encryption::StartTls, None);
        check("smtps://mail.example.com/", "mail.example.com", 465, Encryption::Implicit, None);
        check("smtp://127.0.0.1:25?tls=none", "127.0.0.1", 25, Encryption::None, None);
        check("smtp://a:b@[::1]:25?tls=none", "::1", 25, Encryption::None, Some(("a", "b")));
        let both = Some(("ada@example.com", "p@ss/w%rd:ü"));
        check("smtp://ada%40example.com:p%40ss%2Fw%25rd%3A%C3%BC@m.example:2525", "m.example", 2525, Encryption::StartTls, both);
    }

    #[test]
    fn rejected_url_is_not_quoted() {
        let check = |text: &str, expected: &str| {
            let error = MailServer::parse(text).expect_err(text);
            assert!(error.contains(expected) && !error.contains("hunter2"), "{text}: {error}");
        };
        check("hunter2", "is no URL");
        check("http://u:hunter2@mail.example.com", "smtp:// or smtps://");
        check("smtp://u:hunter2@", "");
        check("smtp://u:hunter2/x@mail.example.com", "");
        check("smtp://u:hunter2%zz@mail.example.com", "no escape");
        check("smtp://u:hunter2%0d%0a@mail.example.com", "control characters");
        check("smtp://u:hunter2%ff@mail.example.com", "no text");
        check("smtp://hunter2@mail.example.com", "without a password");
        check("smtp://:hunter2@mail.example.com", "without a user");
        check("smtp://u:hunter2@mail.example.com?tls=none", "not encrypted");
        check("smtps://mail.example.com?tls=none", "nothing else");
        check("smtp://mail.example.com?tls=off", "nothing else");
        check("smtp://mail.example.com/inbox", "behind the host");
    }
}
