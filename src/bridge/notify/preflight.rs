//! What a request to notify would come to: decided by the code that accepts it, and not stored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use chrono::NaiveDateTime;

use super::deduplicator::Deduplicator;
use super::enqueue::decided;
use super::request::ValidRequest;
use super::times::Times;
use super::{CHUNK, NotifyError, NotifyRequest, ResolvedRequest, answers, recipients, usable};
use crate::bridge::Bridge;
use crate::bridge::availability::account_problems::Stops;
use crate::bridge::planning::await_consent::Waiting;
use crate::bridge::planning::decide::{Decision, Reach, RecipientKey};
use crate::bridge::planning::planner::Sender;
use crate::bridge::planning::prepared::Prepared;
use crate::bridge::planning::route_views::{RouteView, SWITCHED_OFF};
use crate::bridge::routes::{Channel, Recipient, Route};
use crate::bridge::templates::Library;
use crate::config::Config;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{IdentityId, ProjectId};
use crate::models::account::refusal_mark;
use crate::models::account::{self, Account};
use crate::models::delivery::Reason;

/// What would come of a request.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// One for each recipient, in the order of the request.
    pub verdicts: Vec<Forecast>,
    /// What may keep the messages from arriving all the same.
    pub warnings: Vec<Warning>,
}

/// What would be decided for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The staff member, as the app named them, or whom the person is bound to.
    pub staff_id: Option<String>,
    /// The person, where they were not asked for by staff id, as JSON.
    pub recipient: Option<String>,
    /// Which route would be taken, or be waited for, from 0; none: unreachable.
    pub route: Option<usize>,
    /// Whether the message would wait for the person's consent, as `why` says.
    pub waits: bool,
    /// Why they are unreachable: a stable word, and the same in a sentence.
    pub why: Option<(Reason, String)>,
    /// Every route that was considered, in order; the last one is taken, if any is.
    pub routes: Vec<RouteView>,
    /// Whether they have switched off the messages of the template that they would be sent.
    pub switched_off: bool,
}

/// Something about a route that concerns everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which route, from 0.
    pub route: usize,
    /// Where, such as `routes[0].account`.
    pub field: String,
    /// A stable word.
    pub code: &'static str,
    /// In words, with what to do.
    pub detail: String,
}

impl Bridge {
    /// Decides what [`Bridge::notify`] would decide now. Nothing is stored or sent.
    ///
    /// # Errors
    /// The same as if the request were accepted.
    pub async fn preflight(
        &self,
        project: ProjectId,
        request: NotifyRequest,
    ) -> Result<Preflight, NotifyError> {
        let most = self.config.deliver.max_recipients;
        let request = request.check(most)?;
        let (now, config) = (self.clock.now(), Arc::clone(&self.config));
        if request.brought.is_empty() {
            let look = move |conn: &mut Conn| look(conn, project, &request, most, &config, now);
            return self.db.snapshot(look).await;
        }
        // What people answered counts as if it were recorded: it is, and then undone.
        let done = self.db.write(move |conn| {
            let looked = look(conn, project, &request, most, &config, now);
            Err::<Infallible, _>(Undone(Box::new(looked)))
        });
        match done.await {
            Ok(never) => match never {},
            Err(Undone(looked)) => *looked,
        }
    }
}

/// What was looked at in a transaction that is rolled back.
struct Undone(Box<Result<Preflight, NotifyError>>);

impl From<DbError> for Undone {
    fn from(error: DbError) -> Self {
        Self(Box::new(Err(error.into())))
    }
}

fn look(
    conn: &mut Conn,
    project: ProjectId,
    request: &ValidRequest,
    most: usize,
    config: &Arc<Config>,
    now: NaiveDateTime,
) -> Result<Preflight, NotifyError> {
    let usable = usable(conn, project, request, config, now)?;
    if !request.brought.is_empty() {
        answers::record(conn, request, &usable.accounts, now)?;
    }
    let (mut seen, mut verdicts) = (Deduplicator::default(), Vec::new());
    let limits = (CHUNK, most);
    recipients::in_chunks(
        conn,
        project,
        &request.recipients,
        limits,
        |conn, whom| -> Result<_, NotifyError> {
            let some = forecasts(
                conn,
                project,
                &usable,
                (&mut seen, request.times, now),
                whom,
            )?;
            verdicts.extend(some);
            Ok(())
        },
    )?;
    let accounts = account::list(conn, project)?;
    let stops = Stops::read(conn, Arc::clone(config), &accounts, now)?;
    let routes = usable.prepared.routes();
    let mut warnings = troubles(routes, &accounts, &stops);
    warnings.extend(templates(conn, project, &usable.prepared)?);
    warnings.extend(shortages(routes, &accounts, &stops, &verdicts));
    warnings.extend(switches(&verdicts));
    warnings.sort_by_key(|warning| warning.route);
    Ok(Preflight { verdicts, warnings })
}

fn forecasts(
    conn: &mut Conn,
    project: ProjectId,
    usable: &ResolvedRequest,
    (seen, times, now): (&mut Deduplicator, Times, NaiveDateTime),
    whom: &[RecipientKey<'_>],
) -> QueryResult<Vec<Forecast>> {
    let mut reach = Reach::of(conn, project, whom.iter().copied())?;
    seen.imagine(&usable.accounts, whom, &mut reach);
    let known = reach.known();
    let decided = decided(conn, usable, (seen, now), whom, &known)?;
    let off = switched_off(conn, &decided, &usable.senders)?;
    let forecasts = decided.iter().map(|one| {
        let waiting = Waiting::of(one, usable.consent_wait, times.waits(now), now);
        let is_off = sent_to(one, &usable.senders).is_some_and(|sent| off.contains(&sent));
        forecast(one, waiting, (&usable.senders, is_off))
    });
    Ok(forecasts.collect())
}

/// Whom a template message would go to, and its template.
fn sent_to(decision: &Decision<'_>, senders: &[Sender]) -> Option<(IdentityId, String)> {
    let (route, to) = decision.way.as_ref().ok()?;
    let sender = senders.get(usize::try_from(*route).ok()?)?;
    let is_template = sender.channel == Channel::Template;
    is_template.then_some((to.identity_id?, sender.template_id.clone()))
}

/// Who of those that would be sent a template message have switched it off.
fn switched_off(
    conn: &mut Conn,
    decided: &[Decision<'_>],
    senders: &[Sender],
) -> QueryResult<HashSet<(IdentityId, String)>> {
    let sent = decided.iter().filter_map(|one| sent_to(one, senders));
    let people: Vec<IdentityId> = sent.map(|(person, _)| person).collect();
    let off = refusal_mark::switched_off_by(conn, &people)?.into_iter();
    Ok(off.map(|one| (one.identity_id, one.template_id)).collect())
}

/// One warning for each route whose template people have switched off.
fn switches(verdicts: &[Forecast]) -> Vec<Warning> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.switched_off) {
        if let Some(route) = verdict.route {
            *counts.entry(route).or_default() += 1;
        }
    }
    let warning = |(route, count)| Warning {
        route,
        field: format!("routes[{route}].template_id"),
        code: "switched_off",
        detail: format!(
            "WeChat said of {count} of these people that they have switched this template's messages \
             off inside WeChat. They are tried all the same, as nothing tells when they switch them \
             on again; add a route behind it that reaches them."
        ),
    };
    counts.into_iter().map(warning).collect()
}

fn forecast(
    decision: &Decision<'_>,
    waiting: Option<Waiting<'_>>,
    (senders, switched_off): (&[Sender], bool),
) -> Forecast {
    let passed = decision.considered.iter().cloned();
    let mut routes: Vec<RouteView> = passed.map(RouteView::from).collect();
    // All routes are looked at from the first, so the one behind those passed is the one chosen.
    let chosen = routes.len();
    let (route, why) = match &decision.way {
        Ok((route, _)) => (usize::try_from(*route).ok(), None),
        Err((reason, detail)) => (None, Some((*reason, detail.clone()))),
    };
    let waits = waiting.is_some();
    let awaited = waiting
        .as_ref()
        .and_then(|one| usize::try_from(one.route).ok());
    let is_chosen = route.is_some() || decision.is_unrenderable();
    if let Some(sender) = senders.get(chosen).filter(|_| is_chosen) {
        let refused = why
            .as_ref()
            .map(|(reason, detail)| (*reason, detail.as_str()));
        let view = RouteView::judged(chosen, sender, refused);
        routes.push(match switched_off {
            true => view.warned(SWITCHED_OFF),
            false => view,
        });
    }
    Forecast {
        staff_id: decision.staff_id.map(str::to_owned),
        recipient: decision.whom.recipient().map(str::to_owned),
        route: route.or(awaited),
        waits,
        why: waiting.map(|one| (one.reason, one.detail)).or(why),
        routes,
        switched_off,
    }
}

/// Texts that mention nobody are the same for everybody.
const ANYBODY: Recipient<'_> = Recipient {
    id: None,
    name: None,
};

/// What is wrong with the templates of the routes.
fn templates(
    conn: &mut Conn,
    project: ProjectId,
    prepared: &Prepared,
) -> QueryResult<Vec<Warning>> {
    let library = Library::of(conn, project)?;
    let mut problems = library.problems(prepared.routes());
    for (at, route) in prepared.routes().iter().enumerate() {
        if !prepared.mentions_staff(at)
            && let Ok(rendered) = prepared.render(at, ANYBODY)
        {
            problems.extend(library.unlisted(at, route, &rendered.data));
        }
    }
    let warnings = problems.into_iter().map(|problem| Warning {
        route: problem.route,
        field: problem.field,
        code: problem.code.as_str(),
        detail: problem.detail,
    });
    Ok(warnings.collect())
}

/// The routes that send through an account, with their number and it.
fn through<'a>(
    routes: &'a [Route],
    accounts: &'a [Account],
) -> impl Iterator<Item = (usize, &'a Route, &'a Account)> {
    routes.iter().enumerate().filter_map(|(at, route)| {
        let mut accounts = accounts.iter();
        let account = accounts.find(|one| route.account.as_ref() == Some(&one.app_id))?;
        Some((at, route, account))
    })
}

/// What keeps the accounts of the routes from sending.
fn troubles(routes: &[Route], accounts: &[Account], stops: &Stops) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (at, route, account) in through(routes, accounts) {
        let call = route.channel.traits().call;
        let troubles = stops.of(account).into_iter();
        let troubles = troubles.filter(|trouble| trouble.concerns(call));
        warnings.extend(troubles.map(|trouble| Warning {
            route: at,
            field: format!("routes[{at}].account"),
            code: trouble.code.as_str(),
            detail: match trouble.outlook() {
                Some(outlook) => format!("{} {outlook}", trouble.detail),
                None => trouble.detail,
            },
        }));
    }
    warnings
}

/// Budgets that this request alone would use up.
fn shortages(
    routes: &[Route],
    accounts: &[Account],
    stops: &Stops,
    verdicts: &[Forecast],
) -> Vec<Warning> {
    let mut counts: HashMap<usize, i64> = HashMap::new();
    for route in verdicts.iter().filter_map(|one| one.route) {
        *counts.entry(route).or_default() += 1;
    }
    let mut wanted: HashMap<_, i64> = HashMap::new();
    let mut warnings = Vec::new();
    for (at, route, account) in through(routes, accounts) {
        let (call, count) = (route.channel.traits().call, counts.get(&at).copied());
        let (Some(count), Some(left)) = (count, stops.left(account, call)) else {
            continue;
        };
        // Routes through one account and call share what is left.
        let sum = wanted.entry((account.id, call)).or_default();
        *sum += count;
        if left > 0 && *sum > left {
            let until = stops.renewed_at().format("%F %H:%M:%S UTC");
            warnings.push(Warning {
                route: at,
                field: format!("routes[{at}].account"),
                code: "budget_short",
                detail: format!(
                    "The routes up to this one take {sum} calls of {call}, and the account's budget \
                     of today has {left} left, for what is queued already too. The others wait \
                     until {until}."
                ),
            });
        }
    }
    warnings
}
