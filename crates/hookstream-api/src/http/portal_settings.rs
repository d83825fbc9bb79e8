//! Settings of the portal: who may embed it, and its appearance.

use hookstream_model::identity::{
    environment::Environment,
    portal::{self, PortalTheme},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    body::{Field, Flag, json_fields, json_value},
    error::ApiError,
};

/// Appearance of the portal. A field without a value is that of the environment, else of Hookstream.
#[derive(Debug, ToSchema)]
#[schema(as = PortalTheme)]
#[expect(dead_code, reason = "for the OpenAPI document; the model's type is parsed and written")]
pub(crate) struct PortalThemeFields {
    /// Accent color in both color schemes: six hexadecimal digits, on input also after `#`.
    #[schema(nullable = false, example = "2f55e0")]
    primary_color: Option<String>,
    /// Accent color in the light color scheme, in place of `primary_color`.
    #[schema(nullable = false)]
    primary_color_light: Option<String>,
    /// Accent color in the dark color scheme, in place of `primary_color`.
    #[schema(nullable = false)]
    primary_color_dark: Option<String>,
    /// Color scheme: `auto` (that of the viewer's system), `light` or `dark`.
    #[schema(nullable = false, example = "auto")]
    color_scheme: Option<String>,
    /// Name of a font on the viewer's system: at most 64 letters, digits, spaces and `-`.
    #[schema(nullable = false, example = "Inter")]
    font_family: Option<String>,
    /// URL of an image, shown 24 pixels high: `https`, at most 2,048 characters.
    #[schema(nullable = false, format = "uri", example = "https://example.com/icon.svg")]
    icon: Option<String>,
}

/// Changes of an environment's portal settings; `None` keeps a setting.
pub(crate) struct PortalSettings {
    reveal_secrets: Option<bool>,
    frame_origins: Option<Vec<String>>,
    theme: Option<Option<PortalTheme>>,
    url: Option<Option<String>>,
}

impl PortalSettings {
    /// Reads the fields of a body.
    pub(crate) fn read(
        reveal_secrets: Field<Flag>,
        frame_origins: Field<&RawValue>,
        theme: Field<&RawValue>,
        url: Field<String>,
    ) -> Result<Self, ApiError> {
        let frame_origins = frame_origins.required("portal_frame_origins")?;
        let frame_origins =
            frame_origins.map(|raw| json_value::<Vec<String>>("portal_frame_origins", raw, "a list of origins")).transpose()?;
        Ok(Self {
            reveal_secrets: reveal_secrets.required("portal_reveal_secrets")?.map(Flag::is_set),
            frame_origins: frame_origins.as_deref().map(portal::frame_origins).transpose()?,
            theme: theme.try_map(portal_theme)?.nullable(),
            url: url.try_map(|text| portal::check_page(&text).map(|()| text))?.nullable(),
        })
    }

    /// Returns true if no field is given.
    pub(crate) const fn is_absent(&self) -> bool {
        self.reveal_secrets.is_none() && self.frame_origins.is_none() && self.theme.is_none() && self.url.is_none()
    }

    /// Applies the changes.
    pub(crate) fn apply(&self, environment: &mut Environment) {
        environment.portal_reveal_secrets = self.reveal_secrets.unwrap_or(environment.portal_reveal_secrets);
        if let Some(origins) = &self.frame_origins {
            environment.portal_frame_origins.clone_from(origins);
        }
        if let Some(theme) = &self.theme {
            environment.portal_theme.clone_from(theme);
        }
        if let Some(url) = &self.url {
            environment.portal_url.clone_from(url);
        }
    }
}

/// Reads a portal's theme: an object, or its JSON text.
pub(crate) fn portal_theme(raw: &RawValue) -> Result<PortalTheme, ApiError> {
    Ok(json_fields::<PortalTheme>("portal_theme", raw, "an object with the fields of a theme")?.checked()?)
}

/// Returns a value as the JSON text that responses contain.
pub(crate) fn json_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("lists and texts are JSON")
}

#[cfg(test)]
mod tests {
    use hookstream_model::identity::portal::ColorScheme;

    use super::*;

    #[test]
    fn documented_fields_of_a_theme_are_those_of_the_model() {
        let text = || Some("2f55e0".to_owned());
        let theme = PortalTheme {
            primary_color: text(),
            primary_color_light: text(),
            primary_color_dark: text(),
            color_scheme: Some(ColorScheme::Auto),
            font_family: text(),
            icon: text(),
        };
        let names = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        let of_model = names(&serde_json::to_value(theme).expect("JSON"));
        let document = crate::document_json();
        assert_eq!(names(&document["components"]["schemas"]["PortalTheme"]["properties"]), of_model);
        let page = include_str!("../../../../docs/guides/portal.md");
        for name in of_model {
            assert!(page.contains(&format!("`{name}`")), "docs/guides/portal.md does not name {name}");
        }
    }
}
