//! What a story is made of, read at one go.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDateTime;

use super::ExplainError;
use super::candidate_route::{self, CandidateRoute};
use super::refusal::Refusal;
use crate::bridge::availability::account_problems::{AccountProblem, Stops};
use crate::bridge::notify::retry;
use crate::bridge::planning::decide::permissions;
use crate::bridge::planning::planner::Credits;
use crate::bridge::planning::route_views::Routes;
use crate::bridge::planning::senders::{KnownAccounts, known_accounts};
use crate::bridge::routes::{Channel, Route};
use crate::bridge::templates::{Library, RouteProblem};
use crate::bridge::windows;
use crate::config::Config;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, DeliveryId, IdentityId, NotificationId, ProjectId};
use crate::models::account::refusal_mark::{self, SwitchedOff};
use crate::models::account::template;
use crate::models::account::{self, Account};
use crate::models::credit::{self, Credit};
use crate::models::delivery::attempt::{self, Attempt};
use crate::models::delivery::{self, Delivery, RetryRefusal};
use crate::models::identity::unionid_change::{self, Replacement};
use crate::models::identity::windows::Rules;
use crate::models::identity::{self, Identity};
use crate::models::notification::{self, message_type};
use crate::models::staff::binding::{self, Binding};
use crate::models::staff::invitation::{self, Invitation};
use crate::models::staff::undone_binding::{self, UndoneBinding};
use crate::models::staff::{self, ReachRow, Staff};

/// Deliveries that are told of.
const DELIVERIES: i64 = 10;
/// Undone bindings that are told of.
const UNDONE: i64 = 10;
/// Invitations among which the one is looked for that a binding came through.
const INVITATIONS: i64 = 50;

/// A message type that was asked about.
pub(super) struct AskedType {
    pub(super) name: String,
    pub(super) routes: Vec<Route>,
    pub(super) problems: Vec<RouteProblem>,
}

/// All that is known of a staff member and of what they can be sent through.
pub(super) struct Facts {
    pub(super) now: NaiveDateTime,
    pub(super) staff: Staff,
    pub(super) tags: Vec<String>,
    pub(super) bindings: Vec<Binding>,
    pub(super) undone: Vec<UndoneBinding>,
    pub(super) invitations: Vec<Invitation>,
    pub(super) reach: Vec<ReachRow>,
    /// Every identity of the person, bound or linked.
    pub(super) identities: Vec<Identity>,
    /// Those of the project, oldest first.
    pub(super) accounts: Vec<Account>,
    pub(super) known: KnownAccounts,
    pub(super) troubles: HashMap<AccountId, Vec<AccountProblem>>,
    pub(super) credits: Vec<Credit>,
    /// The names of templates, as far as they were listed.
    pub(super) titles: HashMap<(AccountId, String), String>,
    /// Whether a message waits for consent that is all it lacks.
    pub(super) waits_for_consent: bool,
    /// Every way to send something, judged for this person.
    pub(super) candidates: Vec<CandidateRoute>,
    pub(super) asked: Option<AskedType>,
    pub(super) deliveries: Vec<Delivery>,
    /// Templates whose messages they have switched off inside WeChat.
    pub(super) switched_off: Vec<SwitchedOff>,
    /// What WeChat refused in the last try of each, if it did.
    pub(super) refusals: HashMap<DeliveryId, Refusal>,
    /// Why a retry by hand would be refused, where it would be whoever the person is.
    pub(super) hopeless: HashMap<DeliveryId, (RetryRefusal, String)>,
    pub(super) types: HashMap<NotificationId, String>,
    pub(super) routes: Routes,
    /// What has become of the unionids of their bindings and openids, if WeChat replaced any.
    pub(super) replacements: Vec<Replacement>,
}

impl Facts {
    pub(super) fn gather(
        conn: &mut Conn,
        project: ProjectId,
        staff_id: &str,
        config: Arc<Config>,
        now: NaiveDateTime,
    ) -> Result<Self, ExplainError> {
        let staff = staff::find(conn, project, staff_id)?.ok_or(ExplainError::UnknownStaff)?;
        let reach = staff::reach(conn, project, &[staff_id])?;
        let ids: Vec<IdentityId> = reach.iter().filter_map(|row| row.identity_id).collect();
        let credits = credit::of_identities(conn, &ids)?;
        let accounts = account::list(conn, project)?;
        let known = known_accounts(conn, project)?;
        let account_ids: Vec<AccountId> = accounts.iter().map(|account| account.id).collect();
        let titles = template::of_accounts(conn, &account_ids)?.into_iter();
        let types = message_type::routes(conn, project)?;
        let mut candidates = candidate_route::all(&accounts, &known, &types, &credits);
        let allowed = balances(
            conn,
            &reach,
            &candidates,
            (&windows::rules(&config.customer), now),
        )?;
        candidate_route::judge(&mut candidates, &reach, &allowed);
        let deliveries = delivery::latest_of_staff(conn, project, staff_id, DELIVERIES)?;
        let of: Vec<NotificationId> = deliveries.iter().map(|row| row.notification_id).collect();
        let numbers: Vec<DeliveryId> = deliveries.iter().map(|row| row.id).collect();
        let refusals = last_refusals(attempt::of_deliveries(conn, &numbers)?);
        let hopeless = retry::hopeless(conn, project, &deliveries, (now, &config.customer))?;
        let waits_for_consent = config.deliver.consent_wait_seconds > 0;
        let unionids = reach.iter().filter_map(|row| row.unionid.clone());
        let unionids: Vec<String> = unionids.collect();
        let stops = Stops::read(conn, config, &accounts, now)?;
        let troubles = accounts
            .iter()
            .map(|account| (account.id, stops.of(account)));
        Ok(Self {
            now,
            tags: staff::tags_of(conn, &[staff.id])?
                .remove(&staff.id)
                .unwrap_or_default(),
            bindings: binding::of_staff(conn, staff.id)?,
            undone: undone_binding::of_staff(conn, staff.id, UNDONE)?,
            invitations: invitation::list(conn, staff.id, None, INVITATIONS)?,
            identities: identity::by_ids(conn, project, &ids)?,
            troubles: troubles.collect(),
            titles: titles
                .map(|one| ((one.account_id, one.template_id), one.title))
                .collect(),
            refusals,
            hopeless,
            switched_off: refusal_mark::switched_off_by(conn, &ids)?,
            types: notification::types_of(conn, &of)?.into_iter().collect(),
            routes: Routes::of(conn, &deliveries)?,
            replacements: unionid_change::replacements(conn, project, &unionids)?,
            asked: None,
            waits_for_consent,
            staff,
            reach,
            accounts,
            known,
            credits,
            candidates,
            deliveries,
        })
    }

    /// Adds a message type to be told of.
    pub(super) fn ask(
        &mut self,
        conn: &mut Conn,
        project: ProjectId,
        name: String,
    ) -> Result<(), ExplainError> {
        let Some(stored) = message_type::find(conn, project, &name)? else {
            return Err(ExplainError::UnknownMessageType(name));
        };
        let routes: Vec<Route> = serde_json::from_str(&stored.routes).unwrap_or_default();
        self.asked = Some(AskedType {
            name,
            problems: Library::of(conn, project)?.problems(&routes),
            routes,
        });
        Ok(())
    }

    /// Whether they have switched off the messages of a route's template.
    pub(super) fn is_switched_off(&self, account: Option<AccountId>, route: &Route) -> bool {
        let mut off = self.switched_off.iter();
        route.channel == Channel::Template
            && off.any(|one| {
                Some(one.account_id) == account
                    && Some(&one.template_id) == route.template_id.as_ref()
            })
    }

    pub(super) fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }
}

/// What the last try of each delivery was refused with. An error of an earlier route, or of before the
/// last try was taken, is no cause of anything any more.
fn last_refusals(oldest_first: Vec<Attempt>) -> HashMap<DeliveryId, Refusal> {
    let mut last = HashMap::new();
    for one in oldest_first {
        last.insert(one.delivery_id, one);
    }
    let refused = last
        .into_iter()
        .filter_map(|(id, one)| Some((id, Refusal::of(one)?)));
    refused.collect()
}

/// What the person allows, as the planner asks for it.
fn balances(
    conn: &mut Conn,
    reach: &[ReachRow],
    candidates: &[CandidateRoute],
    (rules, now): (&Rules, NaiveDateTime),
) -> QueryResult<Credits> {
    let rows: Vec<&ReachRow> = reach.iter().collect();
    let plans = candidates
        .iter()
        .map(|candidate| (rows.as_slice(), std::slice::from_ref(&candidate.sender), 0));
    permissions(conn, plans, rules, now)
}
