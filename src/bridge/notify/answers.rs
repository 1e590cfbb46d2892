//! What people answered a consent pop-up, brought along with the notification to them: recorded in
//! the transaction that accepts it, before anything is planned.

use std::collections::HashMap;

use chrono::NaiveDateTime;

use super::request::{Brought, ValidRequest};
use super::{NotifyError, Recipients};
use crate::bridge::limits::FieldError;
use crate::bridge::people::bind::PersonRef;
use crate::bridge::people::consent::Answered;
use crate::bridge::planning::senders::KnownAccounts;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId};
use crate::models::account::AccountKind;
use crate::models::credit::{self, Said};
use crate::models::identity::{self, Spot};

/// Checks the answers before a login code is spent.
pub(super) fn check(
    request: &ValidRequest,
    accounts: &KnownAccounts,
    now: NaiveDateTime,
) -> Result<(), NotifyError> {
    for Brought { at, answered } in &request.brought {
        let kind = app_id_of(request, *at).and_then(|app_id| accounts.get(app_id));
        if !matches!(kind, Some((_, AccountKind::MiniProgram))) {
            let problem = "are what wx.requestSubscribeMessage returned in a mini-program: name \
                           the person by the app_id of that mini-program, with code or openid";
            return Err(FieldError::new(format!("people[{at}].results"), problem).into());
        }
        if answered.is_in_future(now) {
            let problem = "is more than 10 minutes in the future: correct the clock it comes from, \
                           or leave it out";
            return Err(FieldError::new(format!("people[{at}].reported_at"), problem).into());
        }
    }
    Ok(())
}

/// Records the answers of people whose openids are known. Said twice, they count once.
pub(super) fn record(
    conn: &mut Conn,
    request: &ValidRequest,
    accounts: &KnownAccounts,
    now: NaiveDateTime,
) -> QueryResult<()> {
    let spots: Vec<(&Answered, Spot<'_>)> = request
        .brought
        .iter()
        .filter_map(|brought| Some((&brought.answered, spot(request, brought.at, accounts)?)))
        .collect();
    let wanted: Vec<Spot<'_>> = spots
        .iter()
        .map(|(_, spot)| Spot {
            account_id: spot.account_id,
            openid: spot.openid,
        })
        .collect();
    let found = identity::ids_of(conn, &wanted)?;
    let ids: HashMap<(AccountId, &str), IdentityId> = found
        .iter()
        .map(|found| ((found.account_id, found.openid.as_str()), found.id))
        .collect();
    let said: Vec<Said> = spots
        .iter()
        .filter_map(|(answered, spot)| {
            let id = ids.get(&(spot.account_id, spot.openid))?;
            Some(answered.said(spot.account_id, *id, now))
        })
        .flatten()
        .collect();
    credit::record(conn, &said, now).map(drop)
}

fn app_id_of(request: &ValidRequest, at: usize) -> Option<&str> {
    let Recipients::People { people } = &request.recipients else {
        return None;
    };
    match people.get(at)? {
        PersonRef::Code { app_id, .. } | PersonRef::Openid { app_id, .. } => Some(app_id),
        PersonRef::Unionid(_) => None,
    }
}

fn spot<'a>(request: &'a ValidRequest, at: usize, accounts: &KnownAccounts) -> Option<Spot<'a>> {
    let Recipients::People { people } = &request.recipients else {
        return None;
    };
    let PersonRef::Openid { app_id, openid } = people.get(at)? else {
        return None;
    };
    let (account_id, _) = accounts.get(app_id)?;
    Some(Spot {
        account_id: *account_id,
        openid,
    })
}
