//! Cookies: the session, the state of a sign-in through an identity provider, and the known browser.

use std::time::Duration;

use hookstream_model::identity::session::SessionText;
use http::{HeaderMap, HeaderValue, header};

/// Name of the session cookie, fixed by the public API.
const NAME: &str = "better-auth.session_token";

/// Name of the cookie of a sign-in through a provider. With TLS only this host can set it (RFC 6265bis section
/// 4.1.3.2), so another host cannot sign a user in to another account.
const FLOW: &str = "hookstream.provider";
const FLOW_BY_HTTPS: &str = "__Host-hookstream.provider";

/// Name of the cookie of a browser that has signed in before.
const DEVICE: &str = "hookstream.device";
const DEVICE_BY_HTTPS: &str = "__Host-hookstream.device";

/// Returns the cookie of a browser that has signed in before.
pub(crate) fn device(headers: &HeaderMap, is_secure: bool) -> Option<&str> {
    named(headers, if is_secure { DEVICE_BY_HTTPS } else { DEVICE })
}

/// Returns the `Set-Cookie` value for [`device`].
pub(crate) fn set_device(value: &str, lasts: Duration, is_secure: bool) -> HeaderValue {
    line(if is_secure { DEVICE_BY_HTTPS } else { DEVICE }, value, lasts, is_secure)
}

/// Returns the session cookie.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    named(headers, NAME)
}

/// Returns the cookie of a sign-in through a provider.
pub(crate) fn flow(headers: &HeaderMap, is_secure: bool) -> Option<&str> {
    named(headers, if is_secure { FLOW_BY_HTTPS } else { FLOW })
}

fn named<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut values = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted && !value.is_empty()).then_some(value)
    });
    values.next()
}

/// Returns the `Set-Cookie` value of a session: not readable by scripts, sent by other sites only when the user
/// follows a link, and sent only over TLS if this installation uses TLS.
pub(crate) fn set(text: &SessionText, lasts: Duration, is_secure: bool) -> HeaderValue {
    line(NAME, text.expose(), lasts, is_secure)
}

/// Returns the `Set-Cookie` value that removes the session cookie.
pub(crate) fn remove(is_secure: bool) -> HeaderValue {
    line(NAME, "", Duration::ZERO, is_secure)
}

/// Returns the `Set-Cookie` value that sets or removes the cookie of [`flow`].
pub(crate) fn set_flow(value: &str, lasts: Duration, is_secure: bool) -> HeaderValue {
    line(if is_secure { FLOW_BY_HTTPS } else { FLOW }, value, lasts, is_secure)
}

fn line(name: &str, value: &str, lasts: Duration, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", lasts.as_secs());
    let mut line = HeaderValue::from_str(&text).expect("hexadecimal characters, base64url and words");
    line.set_sensitive(true);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_cookie_is_found_among_others() {
        let check = |lines: &[&'static str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(session(&headers), expected, "{lines:?}");
        };
        check(&[], None);
        check(&["a=b; better-auth.session_token=three;c=d"], Some("three"));
        check(&["a=b", "c=d; better-auth.session_token=three"], Some("three"));
        check(&["better-auth.session_token="], None);
        check(&["xbetter-auth.session_token=three"], None);
    }

    #[test]
    fn session_cookie_is_closed_to_scripts_and_other_sites() {
        let text = SessionText::generate(&[0xab; 32]);
        let line = set(&text, Duration::from_secs(60), true);
        let expected = format!("{NAME}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure", "ab".repeat(32));
        assert_eq!(line.to_str().ok(), Some(expected.as_str()));
        assert!(line.is_sensitive() && !remove(false).to_str().expect("text").contains("Secure"));
    }
}
