//! How a notification names people, and what it brings along of them.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::bridge::limits::FieldError;
use crate::bridge::notify::Brought;
use crate::bridge::people::bind::PersonRef;
use crate::bridge::people::consent::Answered;
use crate::web::api::person_body::PersonBody;
use crate::web::api::subscriptions::{self, ConsentResults};
use crate::web::api::times;
use crate::web::error::Problem;

/// A person in one of the three forms of [`PersonBody`], and what they answered a consent pop-up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonEntry {
    app_id: Option<String>,
    code: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
    /// What wx.requestSubscribeMessage returned, as it is.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    results: Option<ConsentResults>,
    /// When they answered; as in a report of consent.
    reported_at: Option<String>,
    /// Whether these are long-term templates.
    long_term: Option<bool>,
}

/// The people that the entries name, and what some of them answered.
pub(super) fn read(entries: Vec<PersonEntry>) -> Result<(Vec<PersonRef>, Vec<Brought>), Problem> {
    let mut people = Vec::with_capacity(entries.len());
    let mut brought = Vec::new();
    for (at, mut entry) in entries.into_iter().enumerate() {
        let answered =
            answered(&mut entry).map_err(|problem| problem.within(&format!("people[{at}]")));
        brought.extend(answered?.map(|answered| Brought { at, answered }));
        let person = PersonBody {
            app_id: entry.app_id,
            code: entry.code,
            openid: entry.openid,
            unionid: entry.unionid,
        };
        people.push(person.person_ref().ok_or_else(|| {
            let problem =
                "must have exactly one of: app_id and openid, app_id and code, or unionid";
            FieldError::new(format!("people[{at}]"), problem)
        })?);
    }
    Ok((people, brought))
}

fn answered(entry: &mut PersonEntry) -> Result<Option<Answered>, Problem> {
    let Some(results) = entry.results.take() else {
        if entry.reported_at.is_none() && entry.long_term.is_none() {
            return Ok(None);
        }
        let problem = "is missing: reported_at and long_term say more of it, and nothing alone";
        return Err(FieldError::new("results", problem).into());
    };
    Ok(Some(Answered {
        results: subscriptions::results(&results)?,
        reported_at: entry
            .reported_at
            .as_deref()
            .map(times::reported_at)
            .transpose()?,
        long_term: entry.long_term.unwrap_or_default(),
    }))
}
