//! Which deliveries are meant: the same words in a query string and in a body.

use std::str::FromStr as _;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::bridge::limits::ID_MAX;
use crate::db::Conn;
use crate::ids::text::TextId;
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::delivery::{DeliveryState, Filter};
use crate::web::api::check;
use crate::web::api::people::unknown_app_id;
use crate::web::api::person::Accounts;
use crate::web::api::times;
use crate::web::error::{Code, Problem};

/// The filters as they are given.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filters {
    /// One state, or several with commas.
    pub(super) state: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) app_id: Option<String>,
    pub(super) message_type: Option<String>,
    pub(super) staff_id: Option<String>,
    pub(super) openid: Option<String>,
    pub(super) unionid: Option<String>,
    pub(super) notification_id: Option<NotificationId>,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
}

/// The filters, checked; the account is still to be found.
pub(super) struct CheckedFilters {
    pub(super) filter: Filter,
    app_id: Option<String>,
}

impl Filters {
    /// Whether nothing at all is filtered.
    pub(super) fn is_empty(&self) -> bool {
        let texts = [
            &self.state,
            &self.reason,
            &self.app_id,
            &self.message_type,
            &self.staff_id,
            &self.openid,
            &self.unionid,
            &self.since,
            &self.until,
        ];
        self.notification_id.is_none() && texts.iter().all(|text| text.is_none())
    }

    pub(super) fn check(self, before: Option<DeliveryId>) -> Result<CheckedFilters, Problem> {
        for (field, text) in [
            ("reason", &self.reason),
            ("app_id", &self.app_id),
            ("message_type", &self.message_type),
        ] {
            check::maybe_text(field, text.as_ref(), ID_MAX)?;
        }
        check::maybe_id("staff_id", TextId::StaffId, self.staff_id.as_ref())?;
        check::maybe_id("openid", TextId::Openid, self.openid.as_ref())?;
        check::maybe_id("unionid", TextId::Unionid, self.unionid.as_ref())?;
        let filter = Filter {
            states: states(self.state.as_deref())?,
            reason: self.reason,
            account_id: None,
            message_type: self.message_type,
            staff_id: self.staff_id,
            openid: self.openid,
            unionid: self.unionid,
            notification_id: self.notification_id,
            since: times::instant("since", self.since.as_ref())?,
            until: times::instant("until", self.until.as_ref())?,
            id: None,
            before,
        };
        Ok(CheckedFilters {
            filter,
            app_id: self.app_id,
        })
    }
}

impl CheckedFilters {
    /// The filter, with the account it names.
    pub(super) fn resolve(self, conn: &mut Conn, project: ProjectId) -> Result<Filter, Problem> {
        let mut filter = self.filter;
        if let Some(app_id) = &self.app_id {
            let account = Accounts::of(conn, project)?.with_app_id(app_id);
            filter.account_id = Some(account.ok_or_else(|| unknown_app_id(app_id))?);
        }
        Ok(filter)
    }
}

fn states(text: Option<&str>) -> Result<Vec<DeliveryState>, Problem> {
    let words = text.map(|text| text.split(',')).into_iter().flatten();
    words
        .map(DeliveryState::from_str)
        .collect::<Result<_, _>>()
        .map_err(|rule| {
            let detail = format!("state, or each of several with commas, {rule}.");
            Problem::new(Code::InvalidQuery, detail).field("state")
        })
}
