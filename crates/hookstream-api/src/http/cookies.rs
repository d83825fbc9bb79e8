//! The cookies: one that carries a session, and one that a browser keeps while its owner is at an identity provider.

use std::time::Duration;

use hookstream_model::identity::session::SessionText;
use http::{HeaderMap, HeaderValue, header};

/// Its name, which the public API fixes.
const NAME: &str = "better-auth.session_token";

/// The other one's. With TLS no host beside this one can set it (RFC 6265bis section 4.1.3.2), so that nobody is signed in
/// as somebody else.
const FLOW: &str = "hookstream.provider";
const FLOW_BY_HTTPS: &str = "__Host-hookstream.provider";

/// That of a browser that has signed in before.
const DEVICE: &str = "hookstream.device";
const DEVICE_BY_HTTPS: &str = "__Host-hookstream.device";

/// What a request presents of a browser that has signed in before.
pub(crate) fn device(headers: &HeaderMap, is_secure: bool) -> Option<&str> {
    named(headers, if is_secure { DEVICE_BY_HTTPS } else { DEVICE })
}

/// The line that sets what [`device`] reads.
pub(crate) fn set_device(value: &str, lasts: Duration, is_secure: bool) -> HeaderValue {
    line(if is_secure { DEVICE_BY_HTTPS } else { DEVICE }, value, lasts, is_secure)
}

/// What a request presents in the cookie.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    named(headers, NAME)
}

/// What it presents of having begun to sign in with a provider.
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

/// The line that sets it: out of reach of scripts, sent by no other site but where somebody follows a link to this
/// one, and only over TLS where this installation has that.
pub(crate) fn set(text: &SessionText, lasts: Duration, is_secure: bool) -> HeaderValue {
    line(NAME, text.expose(), lasts, is_secure)
}

/// The line that removes it.
pub(crate) fn remove(is_secure: bool) -> HeaderValue {
    line(NAME, "", Duration::ZERO, is_secure)
}

/// The line that sets what [`flow`] reads, or removes it.
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
    fn the_cookie_is_found_among_others() {
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
    fn a_script_cannot_read_it_and_another_site_cannot_send_it() {
        let text = SessionText::generate(&[0xab; 32]);
        let line = set(&text, Duration::from_secs(60), true);
        let expected = format!("{NAME}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure", "ab".repeat(32));
        assert_eq!(line.to_str().ok(), Some(expected.as_str()));
        assert!(line.is_sensitive() && !remove(false).to_str().expect("text").contains("Secure"));
    }
}
