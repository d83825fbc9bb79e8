//! Settings of the portal: who may embed it, and its appearance.

use hookstream_model::identity::{
    environment::Environment,
    portal::{self, PortalTheme},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    body::{Field, Flag, json_fields, json_value},
    error::ApiError,
};

/// Changes of an environment's portal settings; `None` keeps a setting.
pub(crate) struct PortalSettings {
    reveal_secrets: Option<bool>,
    frame_origins: Option<Vec<String>>,
    theme: Option<Option<PortalTheme>>,
}

impl PortalSettings {
    /// Reads the fields of a body.
    pub(crate) fn read(reveal_secrets: Field<Flag>, frame_origins: Field<&RawValue>, theme: Field<&RawValue>) -> Result<Self, ApiError> {
        let frame_origins = frame_origins.required("portal_frame_origins")?;
        let frame_origins =
            frame_origins.map(|raw| json_value::<Vec<String>>("portal_frame_origins", raw, "a list of origins")).transpose()?;
        Ok(Self {
            reveal_secrets: reveal_secrets.required("portal_reveal_secrets")?.map(Flag::is_set),
            frame_origins: frame_origins.as_deref().map(portal::frame_origins).transpose()?,
            theme: theme.try_map(portal_theme)?.nullable(),
        })
    }

    /// Returns true if no field is given.
    pub(crate) const fn is_absent(&self) -> bool {
        self.reveal_secrets.is_none() && self.frame_origins.is_none() && self.theme.is_none()
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
