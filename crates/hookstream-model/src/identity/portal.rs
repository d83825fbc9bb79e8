//! Appearance of the customer portal, and the pages that may embed it.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{InvalidField, base::text::check_line};

/// Maximum number of origins that may embed a portal.
const ORIGINS_MAX: usize = 20;
/// Maximum length of a font's name, in characters.
const FONT_MAX: usize = 64;
/// Maximum length of the URL of the page that shows the portal, in bytes.
const PAGE_MAX: usize = 2_048;
/// Maximum length of the icon's URL, in bytes.
const ICON_MAX: usize = 2_048;

/// Appearance of a portal. A field without a value is that of the environment, else of Hookstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalTheme {
    /// Accent colour in both colour schemes, as six hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_color: Option<String>,
    /// Accent colour in the light scheme; precedes `primary_color`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_color_light: Option<String>,
    /// Accent colour in the dark scheme; precedes `primary_color`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_color_dark: Option<String>,
    /// Colour scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color_scheme: Option<ColorScheme>,
    /// Name of a font that the viewer's system has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font_family: Option<String>,
    /// URL (`https`) of an image, shown 24 pixels high.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// Colour scheme of a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorScheme {
    /// Scheme of the viewer's system.
    Auto,
    /// Dark text on light ground.
    Light,
    /// Light text on dark ground.
    Dark,
}

impl PortalTheme {
    /// Checks a theme and writes colours as six lower-case digits.
    ///
    /// # Errors
    /// Names the rule that is broken.
    pub fn checked(self) -> Result<Self, InvalidField> {
        let problem = |problem: String| InvalidField::new("portal_theme", problem);
        let color = |name: &str, given: Option<String>| {
            given
                .map(|given| {
                    let digits = given.strip_prefix('#').unwrap_or(&given).to_ascii_lowercase();
                    let is_color = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                    is_color
                        .then_some(digits)
                        .ok_or_else(|| problem(format!("has a `{name}` that is not six hexadecimal digits, such as `2f55e0`")))
                })
                .transpose()
        };
        let font_family = self.font_family.map(|font| check_font(&font).map(|()| font)).transpose()?;
        let icon = self.icon.map(|icon| check_icon(&icon).map(|()| icon)).transpose()?;
        Ok(Self {
            primary_color: color("primary_color", self.primary_color)?,
            primary_color_light: color("primary_color_light", self.primary_color_light)?,
            primary_color_dark: color("primary_color_dark", self.primary_color_dark)?,
            color_scheme: self.color_scheme,
            font_family,
            icon,
        })
    }

    /// Returns this theme with the fields of `other` where it has none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        // A colour for both schemes precedes colours of the other theme for one.
        let has_color = self.primary_color.is_some();
        let of_scheme = |own: Option<String>, other: Option<String>| own.or(if has_color { None } else { other });
        Self {
            primary_color_light: of_scheme(self.primary_color_light, other.primary_color_light),
            primary_color_dark: of_scheme(self.primary_color_dark, other.primary_color_dark),
            primary_color: self.primary_color.or(other.primary_color),
            color_scheme: self.color_scheme.or(other.color_scheme),
            font_family: self.font_family.or(other.font_family),
            icon: self.icon.or(other.icon),
        }
    }
}

/// Checks the name of a font: letters, digits, spaces and `-`, so that it is nothing but a name in a style sheet.
fn check_font(font: &str) -> Result<(), InvalidField> {
    check_line("portal_theme", font, FONT_MAX)?;
    match font.chars().find(|c| !c.is_alphanumeric() && !matches!(c, ' ' | '-')) {
        Some(odd) => Err(InvalidField::new(
            "portal_theme",
            format!("has a `font_family` with {odd:?}; it is the name of one font: letters, digits, spaces and `-`"),
        )),
        None => Ok(()),
    }
}

fn check_icon(icon: &str) -> Result<(), InvalidField> {
    let is_secure = icon.len() <= ICON_MAX && Url::parse(icon).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty());
    let problem = || format!("has an `icon` that is not an https URL of at most {ICON_MAX} characters without credentials");
    if is_secure { Ok(()) } else { Err(InvalidField::new("portal_theme", problem())) }
}

/// Returns the origins that may embed a portal, each in the form that a content security policy takes.
///
/// # Errors
/// Names the first that is not an origin.
pub fn frame_origins(given: &[String]) -> Result<Vec<String>, InvalidField> {
    let field = "portal_frame_origins";
    if given.len() > ORIGINS_MAX {
        return Err(InvalidField::new(field, format!("must have at most {ORIGINS_MAX} origins; got {}", given.len())));
    }
    let mut origins: Vec<String> = Vec::with_capacity(given.len());
    for (position, text) in given.iter().enumerate() {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        let is_origin = |url: &Url| {
            let has_more = url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some();
            url.path() == "/" && !has_more && url.host_str().is_some_and(|host| !host.contains(['*', ';', ',']))
        };
        let origin = url.filter(is_origin).map(|url| url.origin().ascii_serialization()).ok_or_else(|| {
            let number = position + 1;
            InvalidField::new(field, format!("has something else than an origin at position {number}; an origin is a scheme, a host and a port, such as `https://app.example.com`"))
        })?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

/// Checks the URL of the page that shows a portal. It may have places for ids ([`page_of`]).
///
/// # Errors
/// Names the rule that it breaks.
pub fn check_page(text: &str) -> Result<(), InvalidField> {
    let is_page = |url: &Url| matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none();
    let filled = page_of(text, "x", "x", "x");
    if text.len() <= PAGE_MAX && !filled.contains(['{', '}']) && Url::parse(&filled).is_ok_and(|url| is_page(&url)) {
        return Ok(());
    }
    Err(InvalidField::new(
        "portal_url",
        format!(
            "must be an https or http URL of at most {PAGE_MAX} characters without credentials. It may contain {{application_id}}, \
             {{application_uid}} and {{endpoint_id}}"
        ),
    ))
}

/// Returns the URL of the page that shows an endpoint in a portal.
pub fn page_of(page: &str, application_id: &str, application_uid: &str, endpoint_id: &str) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    page.replace("{application_id}", application_id)
        .replace("{application_uid}", &encode(application_uid))
        .replace("{endpoint_id}", endpoint_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_a_url_with_places_for_ids() {
        for good in ["https://app.example.com/webhooks", "http://localhost:3000/?c={application_uid}#/endpoints/{endpoint_id}"] {
            assert_eq!(check_page(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "app.example.com",
            "ftp://example.com/",
            "https://u:p@example.com/",
            "https://example.com/{customer}",
            "javascript:alert(1)",
        ] {
            assert!(check_page(bad).is_err(), "{bad}");
        }
        assert_eq!(page_of("https://a.example/{application_uid}/{endpoint_id}", "1", "a b/c", "2"), "https://a.example/a%20b%2Fc/2");
    }

    fn texts(given: &[&str]) -> Vec<String> {
        given.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn origin_is_a_scheme_a_host_and_a_port() {
        let check = |given: &[&str], expected: &[&str]| assert_eq!(frame_origins(&texts(given)), Ok(texts(expected)));
        check(&[], &[]);
        check(
            &["https://App.Example.com/", "https://app.example.com", "http://localhost:3000"],
            &["https://app.example.com", "http://localhost:3000"],
        );
        check(&["https://example.com:443", "https://[::1]:8443"], &["https://example.com", "https://[::1]:8443"]);
        for odd in [
            "*",
            "https://*.example.com",
            "example.com",
            "https://example.com/a",
            "https://example.com?a",
            "https://a@example.com",
            "data:a",
            "https://a.example; script-src *",
            "",
        ] {
            assert_eq!(frame_origins(&texts(&[odd])).map_err(|error| error.field), Err("portal_frame_origins"), "{odd}");
        }
        assert!(frame_origins(&vec!["https://example.com".to_owned(); ORIGINS_MAX + 1]).is_err());
    }

    #[test]
    fn theme_has_checked_values() {
        let theme = |json: &str| serde_json::from_str::<PortalTheme>(json).expect("a theme").checked();
        let checked = theme(
            r##"{"primary_color":"#2F55E0","color_scheme":"dark","font_family":"Source Sans 3","icon":"https://example.com/icon.svg"}"##,
        );
        let checked = checked.expect("valid");
        assert_eq!((checked.primary_color.as_deref(), checked.color_scheme), (Some("2f55e0"), Some(ColorScheme::Dark)));
        for odd in [
            r#"{"primary_color":"red"}"#,
            r#"{"primary_color_dark":"12345"}"#,
            r#"{"font_family":"a; } body { display: none"}"#,
            r#"{"font_family":""}"#,
            r#"{"icon":"http://example.com/icon.svg"}"#,
            r#"{"icon":"javascript:alert(1)"}"#,
        ] {
            assert_eq!(theme(odd).map_err(|error| error.field), Err("portal_theme"), "{odd}");
        }
        assert!(serde_json::from_str::<PortalTheme>(r#"{"primaryColor":"2f55e0"}"#).is_err());
    }

    #[test]
    fn theme_of_the_application_precedes_that_of_the_environment() {
        let color = |both: Option<&str>, dark: Option<&str>| PortalTheme {
            primary_color: both.map(str::to_owned),
            primary_color_dark: dark.map(str::to_owned),
            ..PortalTheme::default()
        };
        assert_eq!(color(Some("111111"), None).or(color(Some("222222"), Some("333333"))), color(Some("111111"), None));
        assert_eq!(color(None, Some("111111")).or(color(Some("222222"), Some("333333"))), color(Some("222222"), Some("111111")));
        assert_eq!(color(None, None).or(color(Some("222222"), Some("333333"))), color(Some("222222"), Some("333333")));
    }
}
