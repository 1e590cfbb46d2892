//! The ways to send something through the project's accounts, each judged by the planner for one
//! person.

use std::slice;

use serde::Serialize;

use super::facts::Facts;
use crate::bridge::planning::planner::{Credits, Plan, Sender, Unreachable, plan};
use crate::bridge::planning::route_views::{RouteView, SWITCHED_OFF};
use crate::bridge::planning::senders::{KnownAccounts, sender};
use crate::bridge::routes::{Channel, Permission, Route};
use crate::bridge::templates::RouteProblem;
use crate::models::account::{Account, AccountKind};
use crate::models::credit::Credit;
use crate::models::identity::FollowState;
use crate::models::staff::ReachRow;

/// One way to send something.
pub(super) struct CandidateRoute {
    /// The account, the channel and, for a subscription message, the template.
    pub(super) sender: Sender,
    /// The message types with a route that goes this way.
    pub(super) message_types: Vec<String>,
    /// Why it does not lead to the person, if it does not.
    pub(super) why: Option<(Unreachable, String)>,
    /// It leads to an identity of which it is not known whether it follows.
    pub(super) is_a_try: bool,
    /// It lacks nothing but the person's consent, which they have not refused.
    pub(super) is_awaited: bool,
}

/// What would become of a message of one type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeStory {
    /// Its name.
    pub name: String,
    /// `would_send`, `would_wait` for the person's consent, or `unreachable`.
    pub verdict: &'static str,
    /// Which route would be taken, or waited for, from 0.
    pub route: Option<usize>,
    /// Every route with its own verdict, also those behind the one that would be taken.
    pub routes: Vec<RouteView>,
    /// What is wrong with its routes as far as the templates are known.
    pub problems: Vec<RouteProblem>,
}

/// A template message goes to followers, whatever its template.
fn general(mut sender: Sender) -> Sender {
    if sender.channel.traits().permission == Permission::Follow {
        sender.template_id.clear();
    }
    sender
}

/// Every way that there is: template messages of each official account, the routes of all message
/// types, and the subscription messages that the person was asked to allow.
pub(super) fn all(
    accounts: &[Account],
    known: &KnownAccounts,
    types: &[(String, String)],
    credits: &[Credit],
) -> Vec<CandidateRoute> {
    let mut leads = Vec::new();
    let of = |account: &Account, channel, template_id: &str| Sender {
        id: Some(account.id),
        app_id: account.app_id.clone(),
        kind: Some(account.kind),
        channel,
        template_id: template_id.to_owned(),
    };
    for account in accounts {
        if account.kind == AccountKind::OfficialAccount {
            add(&mut leads, of(account, Channel::Template, ""), None);
        }
    }
    for (name, routes) in types {
        let routes: Vec<Route> = serde_json::from_str(routes).unwrap_or_default();
        for route in &routes {
            if let Ok(sender) = sender(known, 0, route) {
                add(&mut leads, general(sender), Some(name));
            }
        }
    }
    for credit in credits {
        let Some(account) = accounts.iter().find(|one| one.id == credit.account_id) else {
            continue;
        };
        let channel = match account.kind {
            AccountKind::OfficialAccount => Channel::OaSubscribe,
            AccountKind::MiniProgram => Channel::MpSubscribe,
        };
        add(&mut leads, of(account, channel, &credit.template_id), None);
    }
    leads
}

fn add(leads: &mut Vec<CandidateRoute>, sender: Sender, named_by: Option<&String>) {
    let at = leads.iter().position(|lead| lead.sender == sender);
    let at = at.unwrap_or_else(|| {
        leads.push(CandidateRoute {
            sender,
            message_types: Vec::new(),
            why: None,
            is_a_try: false,
            is_awaited: false,
        });
        leads.len() - 1
    });
    if let (Some(lead), Some(name)) = (leads.get_mut(at), named_by)
        && !lead.message_types.contains(name)
    {
        lead.message_types.push(name.clone());
    }
}

/// Has the planner judge each way by itself.
pub(super) fn judge(leads: &mut [CandidateRoute], reach: &[ReachRow], credits: &Credits) {
    let rows: Vec<&ReachRow> = reach.iter().collect();
    for lead in leads {
        match plan(&rows, slice::from_ref(&lead.sender), 0, credits) {
            Plan::Unreachable {
                reason,
                detail,
                awaiting,
                ..
            } => {
                lead.why = Some((reason, detail));
                lead.is_awaited = awaiting.is_some();
            }
            Plan::Send { to, .. } => {
                let by_follow = lead.sender.channel.traits().permission == Permission::Follow;
                lead.is_a_try = by_follow && to.follow_state != Some(FollowState::Following);
            }
        }
    }
}

/// The ways that matter: those of the message type that was asked about, else those of all message
/// types, else template messages.
pub(super) fn that_matter(facts: &Facts) -> Vec<&CandidateRoute> {
    if let Some(asked) = &facts.asked {
        let routes = asked.routes.iter();
        return routes
            .filter_map(|route| of_route(facts, route).ok())
            .collect();
    }
    let named = facts
        .leads
        .iter()
        .filter(|lead| !lead.message_types.is_empty());
    let named: Vec<&CandidateRoute> = named.collect();
    match named.is_empty() {
        true => facts.leads.iter().collect(),
        false => named,
    }
}

/// The way that a route goes, or why it cannot be used at all.
fn of_route<'a>(facts: &'a Facts, route: &Route) -> Result<&'a CandidateRoute, String> {
    let sender = general(sender(&facts.known, 0, route).map_err(|error| error.problem)?);
    let found = facts.leads.iter().find(|lead| lead.sender == sender);
    found.ok_or_else(|| "has just been changed".to_owned())
}

/// What would become of a message of the type that was asked about.
pub(super) fn of_type(facts: &Facts) -> Option<TypeStory> {
    let asked = facts.asked.as_ref()?;
    let routes = asked.routes.iter().enumerate().map(|(at, route)| {
        match of_route(facts, route) {
            Ok(lead) => {
                let why = lead.why.as_ref();
                let why = why.map(|(reason, detail)| (reason.as_str(), detail.as_str()));
                let view = RouteView::judged(at, &lead.sender, why);
                match lead.why.is_none() && facts.is_switched_off(lead.sender.id, route) {
                    true => view.warned(SWITCHED_OFF),
                    false => view,
                }
            }
            // Then every request of this type is refused.
            Err(problem) => RouteView {
                route: at,
                channel: route.channel,
                account: route.account.clone(),
                verdict: "route_unusable".to_owned(),
                detail: Some(format!("The account {problem}.")),
            },
        }
    });
    let routes: Vec<RouteView> = routes.collect();
    let is_usable = routes.iter().all(|view| view.verdict != "route_unusable");
    let taken = routes.iter().position(|view| view.leads() && is_usable);
    let is_awaited = |route: &Route| of_route(facts, route).is_ok_and(|lead| lead.is_awaited);
    let mut asks = asked.routes.iter();
    let awaited = asks.position(is_awaited);
    let awaited = awaited.filter(|_| is_usable && facts.waits_for_consent);
    Some(TypeStory {
        name: asked.name.clone(),
        verdict: match (taken, awaited) {
            (Some(_), _) => "would_send",
            (None, Some(_)) => "would_wait",
            (None, None) => "unreachable",
        },
        route: taken.or(awaited),
        problems: asked.problems.clone(),
        routes,
    })
}
