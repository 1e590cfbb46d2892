//! How a body names a person.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::bridge::people::bind::PersonRef;

/// Exactly one of three forms: `app_id` and `code`, `app_id` and `openid`, or `unionid`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonBody {
    #[serde(default)]
    pub(super) app_id: Option<String>,
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) openid: Option<String>,
    #[serde(default)]
    pub(super) unionid: Option<String>,
}

impl PersonBody {
    /// The person; none if the form is none of the three.
    pub(super) fn person_ref(self) -> Option<PersonRef> {
        match (self.app_id, self.code, self.openid, self.unionid) {
            (Some(app_id), Some(code), None, None) => Some(PersonRef::Code { app_id, code }),
            (Some(app_id), None, Some(openid), None) => Some(PersonRef::Openid { app_id, openid }),
            (None, None, None, Some(unionid)) => Some(PersonRef::Unionid(unionid)),
            _ => None,
        }
    }
}
