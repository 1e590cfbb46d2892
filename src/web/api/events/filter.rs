//! Which events are meant: the same words in a query string and in a body.

use crate::bridge::limits::ID_MAX;
use crate::ids::text::TextId;
use crate::ids::{AccountId, EventId};
use crate::models::event::{EventState, Filter};
use crate::web::api::check;
use crate::web::api::person::Accounts;
use crate::web::api::times;
use crate::web::error::{Code, Problem};

/// The filters as they are given.
pub(super) struct EventFilters {
    pub(super) app_id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) openid: Option<String>,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
}

/// The account that is meant; without one, all of the project.
pub(super) struct AccountFilter(Option<String>);

impl EventFilters {
    pub(super) fn check(
        self,
        failed: bool,
        before: Option<EventId>,
    ) -> Result<(Filter, AccountFilter), Problem> {
        check::maybe_text("kind", self.kind.as_ref(), ID_MAX)?;
        check::maybe_id("openid", TextId::Openid, self.openid.as_ref())?;
        let filter = Filter {
            kind: self.kind,
            openid: self.openid,
            since: times::wechat_seconds("since", self.since.as_ref())?,
            until: times::wechat_seconds("until", self.until.as_ref())?,
            failed,
            before,
        };
        Ok((filter, AccountFilter(self.app_id)))
    }
}

impl AccountFilter {
    /// The accounts; `unknown` says what is wrong with one that the project does not have.
    pub(super) fn resolve(
        &self,
        accounts: &Accounts,
        unknown: fn(&str) -> Problem,
    ) -> Result<Vec<AccountId>, Problem> {
        let Some(app_id) = &self.0 else {
            return Ok(accounts.ids());
        };
        let account = accounts.with_app_id(app_id);
        Ok(vec![account.ok_or_else(|| unknown(app_id))?])
    }
}

/// Whether only those that failed are meant: the one state that events are found by.
pub(super) fn only_failed(state: Option<&str>, code: Code) -> Result<bool, Problem> {
    match state.map(str::parse) {
        None => Ok(false),
        Some(Ok(EventState::Failed)) => Ok(true),
        Some(_) => {
            let detail = "state can only be failed: an event whose effects could not be applied.";
            Err(Problem::new(code, detail).field("state"))
        }
    }
}
