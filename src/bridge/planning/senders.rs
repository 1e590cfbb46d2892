//! The accounts through which routes send.

use std::collections::HashMap;

use super::planner::Sender;
use crate::bridge::limits::FieldError;
use crate::bridge::routes::Route;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, ProjectId};
use crate::models::account::{self, AccountKind};

/// The project's accounts, by app_id.
pub(in crate::bridge) type KnownAccounts = HashMap<String, (AccountId, AccountKind)>;

pub(in crate::bridge) fn known_accounts(
    conn: &mut Conn,
    project: ProjectId,
) -> QueryResult<KnownAccounts> {
    let accounts = account::list(conn, project)?.into_iter();
    Ok(accounts
        .map(|account| (account.app_id, (account.id, account.kind)))
        .collect())
}

/// The channel of a route by its number, if there is such a route.
pub(in crate::bridge) fn channel_of(senders: &[Sender], route: i32) -> Option<&'static str> {
    let sender = senders.get(usize::try_from(route).ok()?)?;
    Some(sender.channel.as_str())
}

/// The senders of the routes, in their order.
pub(in crate::bridge) fn senders(
    known: &KnownAccounts,
    routes: &[Route],
) -> Result<Vec<Sender>, FieldError> {
    let numbered = routes.iter().enumerate();
    numbered
        .map(|(at, route)| sender(known, at, route))
        .collect()
}

/// The sender of a route, if its account can send on its channel.
pub(in crate::bridge) fn sender(
    known: &KnownAccounts,
    at: usize,
    route: &Route,
) -> Result<Sender, FieldError> {
    let app_id = route.account.clone().unwrap_or_default();
    let found = known.get(&app_id);
    match route.channel.account_problem(found.map(|(_, kind)| *kind)) {
        None => Ok(Sender {
            id: found.map(|(id, _)| *id),
            app_id,
            kind: found.map(|(_, kind)| *kind),
            channel: route.channel,
            template_id: route.template_id.clone().unwrap_or_default(),
        }),
        Some(problem) => {
            let problem = format!("({app_id}) {problem}");
            Err(FieldError::new(format!("routes[{at}].account"), problem))
        }
    }
}
