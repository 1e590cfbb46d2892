//! The ways that the routes of a message type lead, and what would become of a message of that type.

use serde::Serialize;
use utoipa::ToSchema;

use super::candidate_route::{CandidateRoute, general};
use super::facts::Facts;
use crate::bridge::planning::route_views::{RouteVerdict, RouteView, SWITCHED_OFF};
use crate::bridge::planning::senders::sender;
use crate::bridge::routes::Route;
use crate::bridge::templates::RouteProblem;
use crate::db::text_enum;
use crate::models::delivery::Reason;

text_enum! {
    /// What would become of a message.
    pub enum TypeVerdict {
        /// A route leads to the person.
        WouldSend = "would_send",
        /// It would wait for the person's consent.
        WouldWait = "would_wait",
        /// No route leads to the person.
        Unreachable = "unreachable",
    }
}

/// What would become of a message of one type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TypeStory {
    /// Its name.
    pub name: String,
    /// What would become of it.
    pub verdict: TypeVerdict,
    /// Which route would be taken, or waited for, from 0.
    pub route: Option<usize>,
    /// Every route with its own verdict, also those behind the one that would be taken.
    pub routes: Vec<RouteView>,
    /// What is wrong with its routes as far as the templates are known.
    pub problems: Vec<RouteProblem>,
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
        .candidates
        .iter()
        .filter(|candidate| !candidate.message_types.is_empty());
    let named: Vec<&CandidateRoute> = named.collect();
    match named.is_empty() {
        true => facts.candidates.iter().collect(),
        false => named,
    }
}

/// The way that a route goes, or why it cannot be used at all.
fn of_route<'a>(facts: &'a Facts, route: &Route) -> Result<&'a CandidateRoute, String> {
    let sender = general(sender(&facts.known, 0, route).map_err(|error| error.problem)?);
    let found = facts
        .candidates
        .iter()
        .find(|candidate| candidate.sender == sender);
    found.ok_or_else(|| "has just been changed".to_owned())
}

/// What would become of a message of the type that was asked about.
pub(super) fn of_type(facts: &Facts) -> Option<TypeStory> {
    let asked = facts.asked.as_ref()?;
    let routes = asked.routes.iter().enumerate().map(|(at, route)| {
        match of_route(facts, route) {
            Ok(candidate) => {
                let why = candidate.why.as_ref();
                let why = why.map(|(reason, detail)| (Reason::from(*reason), detail.as_str()));
                let view = RouteView::judged(at, &candidate.sender, why);
                match candidate.why.is_none() && facts.is_switched_off(candidate.sender.id, route) {
                    true => view.warned(SWITCHED_OFF),
                    false => view,
                }
            }
            // Then every request of this type is refused.
            Err(problem) => RouteView {
                route: at,
                channel: route.channel,
                account: route.account.clone(),
                verdict: RouteVerdict::Left(Reason::RouteUnusable),
                detail: Some(format!("The account {problem}.")),
            },
        }
    });
    let routes: Vec<RouteView> = routes.collect();
    let is_usable = !routes.iter().any(is_unusable);
    let taken = routes.iter().position(|view| view.leads() && is_usable);
    let is_awaited =
        |route: &Route| of_route(facts, route).is_ok_and(|candidate| candidate.is_awaited);
    let mut asks = asked.routes.iter();
    let awaited = asks.position(is_awaited);
    let awaited = awaited.filter(|_| is_usable && facts.waits_for_consent);
    Some(TypeStory {
        name: asked.name.clone(),
        verdict: match (taken, awaited) {
            (Some(_), _) => TypeVerdict::WouldSend,
            (None, Some(_)) => TypeVerdict::WouldWait,
            (None, None) => TypeVerdict::Unreachable,
        },
        route: taken.or(awaited),
        problems: asked.problems.clone(),
        routes,
    })
}

/// Whether every message of the type is refused for it.
pub(super) fn is_unusable(view: &RouteView) -> bool {
    view.verdict == RouteVerdict::Left(Reason::RouteUnusable)
}
